"""Forty mistakes a user makes: each ends with code 2, and a line that says how to mend it.

``tests/mistakes.md`` is the table of what is said. It is compared with what the commands say now;
``AKTES_WRITE_TABLE=1`` writes it anew.
"""

from __future__ import annotations

import ast
import json
import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import typer
import xarray as xr
from affine import Affine
from random_bundle import random_bundle
from typer.testing import CliRunner

import aktes_xr
from aktes_xr.cli import app
from aktes_xr.cli.wording import PHRASES, in_options

pytestmark = [
    # rioxarray multiplies affine transforms in the way affine 3 means to drop.
    pytest.mark.filterwarnings("ignore:Use `@` matmul:PendingDeprecationWarning"),
    # Kernels may have to be compiled on a busy machine.
    pytest.mark.timeout(900),
]

TABLE = Path(__file__).parent / "mistakes.md"
RETRIEVE = "retrieve ITEM --out new.zarr"
MISTAKES = (
    # what, command
    ("no items", "retrieve --out new.zarr"),
    ("items and a source", "retrieve ITEM --source aws --out new.zarr"),
    ("an item that is not there", "retrieve none.json --out new.zarr"),
    ("a TIFF as item", "retrieve dem.tif --out new.zarr"),
    ("a JSON file that is no item", "retrieve other.json --out new.zarr"),
    ("a source nobody knows", "retrieve --source nowhere --bbox 7,45,8,46 --out new.zarr"),
    ("a search without an area", "retrieve --source aws --out new.zarr"),
    ("half a box", f"{RETRIEVE} --bbox 1,2"),
    ("a reversed box", "retrieve --source planetary_computer --bbox 8,46,7,45 --out new.zarr"),
    ("a box in metres", f"{RETRIEVE} --bbox 300000,4000000,310000,4010000"),
    ("a box of NaN", f"{RETRIEVE} --bbox nan,45,8,46"),
    ("a box elsewhere", f"{RETRIEVE} --bbox 100,10,101,11"),
    (
        "reversed dates",
        "retrieve --source planetary_computer --bbox 7,45,8,46 --datetime 2004-08/2004-07 "
        "--out new.zarr",
    ),
    (
        "a date in words",
        "retrieve --source planetary_computer --bbox 7,45,8,46 --datetime yesterday --out new.zarr",
    ),
    ("an elevation model that is not there", f"{RETRIEVE} --dem none.tif"),
    ("text as elevation model", f"{RETRIEVE} --dem text.txt"),
    ("an elevation model elsewhere", f"{RETRIEVE} --dem elsewhere.tif"),
    ("an elevation source without an area", f"{RETRIEVE} --dem nasadem"),
    ("ancillaries that are not there", f"{RETRIEVE} --ancillary none.nc"),
    ("a TIFF as ancillaries", f"{RETRIEVE} --ancillary dem.tif"),
    ("a damaged HDF5 file as ancillaries", f"{RETRIEVE} --ancillary damaged.nc"),
    ("a CRS nobody knows", f"{RETRIEVE} --crs nonsense"),
    ("a geographic CRS", f"{RETRIEVE} --crs EPSG:4326"),
    ("native pixels in another CRS", f"{RETRIEVE} --crs EPSG:32633 --resolution native"),
    ("a resolution in words", f"{RETRIEVE} --resolution fine"),
    ("a resolution of a million kilometres", f"{RETRIEVE} --resolution 1e9"),
    ("a resolution of nothing", f"{RETRIEVE} --resolution 0"),
    ("a bundle that is not there", f"{RETRIEVE} --bundle none"),
    ("a bundle that is a plain file", f"{RETRIEVE} --bundle text.txt"),
    ("a bundle without a student", f"{RETRIEVE} --bundle bundle --dem dem.tif --method student"),
    ("TES without water vapour", f"{RETRIEVE} --method tes"),
    ("a method nobody knows", f"{RETRIEVE} --method best"),
    ("a place that is taken", "retrieve ITEM --out result.zarr"),
    ("a place that is a file", "retrieve ITEM --out text.txt --overwrite"),
    ("a place on a server of files", "retrieve ITEM --out ftp://example.org/r.zarr"),
    ("a plan without memory", "plan ITEM --memory nothing"),
    ("a plan that cannot fit", "plan ITEM --memory '1 MB'"),
    ("a result that is not there", "validate none.zarr truth.zarr"),
    ("a result that is no store", "validate folder truth.zarr"),
    ("a truth that is not there", "validate result.zarr none.zarr"),
    ("a truth that is no store", "validate result.zarr folder"),
    ("a truth that is no raster", "validate result.zarr text.txt"),
    ("a truth on other pixels", "validate result.zarr shifted.zarr"),
    ("a truth without a value", "validate result.zarr empty.zarr --json"),
    ("a truth in tenths of a kelvin", "validate result.zarr tenths.tif"),
    ("a report of no store", "report folder --out page.html"),
    ("a report beside no truth", "report result.zarr --truth none.zarr --out page.html"),
    ("a report into no folder", "report result.zarr --out none/page.html"),
    ("an export to nothing", "export result.zarr"),
    ("an export of no store", "export folder --cog cogs"),
    ("an export onto a file", "export result.zarr --netcdf text.txt"),
    ("a scene where one is", "simulate . --shape 40x48"),
    ("a scene without columns", "simulate new --shape 700"),
    ("a scene of no pixels", "simulate new --shape 0x0"),
    ("terrain of no raster", "terrain text.txt --out new.zarr"),
    ("terrain of degrees", "terrain degrees.tif --out new.zarr"),
    ("terrain of nothing", "terrain none.tif --out new.zarr"),
    ("a recipe that is not there", "train teacher --recipe none.toml"),
    ("a recipe that is none", "train teacher --recipe text.txt"),
    ("an elevation model without a region", "distil --dem dem.tif"),
    ("a region that is not there", "distil --region none.toml"),
    ("labels that are not there", "distil --recipe quick --labels none.csv"),
    ("a benchmark nobody knows", "bench nope"),
    ("an option nobody knows", "info --jsn"),
    ("a command nobody knows", "retreive"),
)

FOREIGN = tuple(
    f"| {what} |"
    for what in (
        "text as elevation model",
        "a damaged HDF5 file as ancillaries",
        "a CRS nobody knows",
        "a date in words",
        "a truth that is no raster",
        "terrain of no raster",
        "a recipe that is none",
        "a benchmark nobody knows",
        "a source nobody knows",
    )
)
"""Mistakes whose message quotes another library, or a list that grows."""


def write_raster(path: Path, values: Any, *, crs: str, corner: tuple[float, float]) -> None:
    step = 1e-3 if crs == "EPSG:4326" else 90.0
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        height=values.shape[0],
        width=values.shape[1],
        count=1,
        dtype="float32",
        crs=crs,
        transform=Affine(step, 0.0, corner[0], 0.0, -step, corner[1]),
    ) as file:
        file.write(values.astype("float32"), 1)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a scene, its result, and what is easily taken for something else."""
    root = tmp_path_factory.mktemp("mistakes") / "here"
    (item,) = aktes_xr.simulate.write_scene(root, shape=(40, 48), seed=1)
    item.rename(root / "item.json")
    random_bundle(root / "bundle", students=False)
    (root / "folder").mkdir()
    (root / "text.txt").write_text("not what was asked for\n")
    (root / "other.json").write_text(json.dumps({"type": "Topology"}))
    (root / "damaged.nc").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(200))
    heights = np.full((30, 30), 500.0)
    write_raster(root / "elsewhere.tif", heights, crs="EPSG:32633", corner=(5e5, 5e6))
    write_raster(root / "degrees.tif", heights, crs="EPSG:4326", corner=(15.0, 45.0))
    truth = xr.open_zarr(root / "truth.zarr", consolidated=False, decode_coords="all")
    truth = truth[["surface_temperature"]].load().drop_encoding()
    aktes_xr.write_result(truth + 0.5, root / "result.zarr")
    truth.assign_coords(x=truth["x"] + 30.0).to_zarr(root / "shifted.zarr", consolidated=False)
    truth.where(False).to_zarr(root / "empty.zarr", consolidated=False)
    (10.0 * truth["surface_temperature"].isel(time=0)).rio.to_raster(root / "tenths.tif")
    return root


@pytest.fixture(scope="module")
def said(place: Path) -> dict[str, tuple[int, str]]:
    """What each mistake ends with: the code, and what stands on stderr."""
    before = Path.cwd()
    os.chdir(place)
    try:
        return {what: _ended(command) for what, command in MISTAKES}
    finally:
        os.chdir(before)


def _ended(command: str) -> tuple[int, str]:
    arguments = [word.strip("'") for word in re.findall(r"'[^']*'|\S+", command)]
    arguments = ["item.json" if word == "ITEM" else word for word in arguments]
    done = CliRunner().invoke(app, arguments, env={"COLUMNS": "1000", "TERM": "dumb"})
    return done.exit_code, done.stderr


def message(stderr: str) -> str:
    """The line that says what is wrong: ours, or that of the usage."""
    lines = [line.strip(" │") for line in stderr.splitlines()]
    kept = [line for line in lines if line.startswith("error [")] or [
        line for line in lines if line and not re.match(r"Usage|Try |╭|╰|WARNING", line)
    ]
    return " ".join(kept)


@pytest.mark.parametrize("what", [what for what, _ in MISTAKES])
def test_a_mistake_ends_with_code_2_and_one_line(
    said: dict[str, tuple[int, str]], what: str
) -> None:
    code, stderr = said[what]
    assert code == 2, stderr
    assert "Traceback" not in stderr
    assert "trying again" not in stderr


def test_the_table_says_what_the_commands_say(said: dict[str, tuple[int, str]]) -> None:
    rows = [
        f"| {what} | `{command}` | {said[what][0]} | {message(said[what][1])} |"
        for what, command in MISTAKES
    ]
    assert len(rows) >= 40
    text = "\n".join(
        [
            "# What is said to a mistake",
            "",
            "Written by `tests/test_cli_mistakes.py`; ITEM is a STAC item.",
            "",
            "| mistake | command | code | message |",
            "| --- | --- | --- | --- |",
            *rows,
            "",
        ]
    )
    if os.environ.get("AKTES_WRITE_TABLE"):
        TABLE.write_text(text, encoding="utf-8")
    assert _own_words(TABLE.read_text(encoding="utf-8")) == _own_words(text)


def _own_words(table: str) -> list[str]:
    """The rows, less what libraries say, which changes with their versions."""
    return [
        row.rpartition(" | ")[0] if row.startswith(FOREIGN) or "error [" not in row else row
        for row in table.splitlines()
    ]


def test_what_is_said_otherwise_on_the_command_line_is_said_in_the_library() -> None:
    """A message that changes must not leave its other wording behind."""
    package = Path(aktes_xr.__file__).parent
    texts = [
        node.value
        for path in package.rglob("*.py")
        if path.name != "wording.py"
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]
    assert not [said for said in PHRASES if not any(said in text for text in texts)]


def test_parameters_become_options_and_other_words_stay() -> None:
    command = typer.main.get_command(app).commands["retrieve"]  # type: ignore[attr-defined]
    for said, meant in (
        ("needs bbox=(west, south, east, north)", "needs --bbox W,S,E,N"),
        ("give a resolution, or leave out crs=", "give a resolution, or leave out --crs"),
        ("say e.g. crs='EPSG:32633'", "say e.g. --crs EPSG:32633"),
        ("replace it with overwrite=True", "replace it with --overwrite"),
        ("the method is good", "the method is good"),
        ("set rio.write_crs(crs)", "set rio.write_crs(crs)"),
    ):
        assert in_options(said, command) == meant
    assert in_options("needs bbox=", None) == "needs bbox="
