"""The first hour: each command takes what the one before it wrote, with default options."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import xarray as xr
import yaml
from random_bundle import random_bundle
from typer.testing import CliRunner

import aktes_xr
from aktes_xr.bench.loopback import serve
from aktes_xr.bench.reanalysis import write_earthmover
from aktes_xr.catalog import source
from aktes_xr.cli import app

pytestmark = [
    # rioxarray multiplies affine transforms in the way affine 3 means to drop.
    pytest.mark.filterwarnings("ignore:Use `@` matmul:PendingDeprecationWarning"),
    # Pcodec is what the live store of ERA5 is written with.
    pytest.mark.filterwarnings("ignore:Numcodecs codecs are not in the Zarr version 3"),
    # Kernels may have to be compiled on a busy machine.
    pytest.mark.timeout(900),
]


def run(*arguments: str | Path) -> Any:
    done = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Run the chain once; what each command answered, by its name."""
    root = tmp_path_factory.mktemp("chain")
    random_bundle(root / "bundle")
    scene, result = root / "scene", root / "result.zarr"
    found: dict[str, Any] = {"root": root, "result": result}
    found["simulate"] = run("simulate", scene, "--shape", "60x70", "--dates", "2", "--json")
    items = found["simulate"]["items"]
    given = ("--dem", scene / "dem.tif", "--ancillary", scene / "ancillary.zarr")
    bundle = ("--bundle", root / "bundle", "--json")
    found["plan"] = run("plan", *items, *given, *bundle)
    found["retrieve"] = run("retrieve", *items, "--out", result, *given, *bundle)
    found["validate"] = run("validate", result, scene / "truth.zarr", "--json")
    page = ("--out", root / "page.html", "--json")
    found["report"] = run("report", result, "--truth", scene / "truth.zarr", *page)
    formats = ("--cog", root / "cogs", "--netcdf", root / "result.nc")
    found["export"] = run("export", result, *formats, "--json")
    return found


def test_the_result_lies_on_the_granules_own_pixels(chain: dict[str, Any]) -> None:
    with rasterio.open(next((chain["root"] / "scene").glob("*.TIR.tif"))) as granule:
        step, shape = granule.res[0], granule.shape
    result = aktes_xr.open_result(chain["result"])
    assert (result.sizes["y"], result.sizes["x"]) == shape
    assert float(result["x"].diff("x").mean()) == pytest.approx(step, rel=1e-6)
    assert step != 90.0
    assert chain["retrieve"]["complete"]
    assert chain["plan"]["dates"] == 2


def test_all_pixels_are_validated_and_drawn(chain: dict[str, Any]) -> None:
    result = aktes_xr.open_result(chain["result"])
    valid = int(result["surface_temperature"].notnull().sum())
    assert chain["validate"]["pixels"] == valid > 0
    page = Path(chain["report"]["page"]).read_text(encoding="utf-8")
    assert page.count("<figure>") >= 2
    assert "<td>dem.tif</td>" in page
    assert "ancillary source" in page
    assert str(chain["root"]) not in page


def test_a_cog_is_read_by_plain_rasterio(chain: dict[str, Any]) -> None:
    result = aktes_xr.open_result(chain["result"])
    files = {Path(name).name: name for name in chain["export"]["cogs"]}
    stamp = np.datetime_as_string(result["time"].values[1], unit="s")
    name = f"surface_temperature_{stamp.replace('-', '').replace(':', '')}Z.tif"
    with rasterio.open(files[name]) as cog:
        assert cog.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
        assert cog.nodata == 65535
        assert (cog.scales, cog.offsets, cog.units) == ((0.01,), (0.0,), ("K",))
        assert cog.crs == result.rio.crs
        assert cog.transform.almost_equals(result.rio.transform(), 1e-3)
        kelvin = cog.read(1, masked=True) * cog.scales[0] + cog.offsets[0]
    expected = result["surface_temperature"].isel(time=1).to_numpy()
    np.testing.assert_array_equal(kelvin.mask, np.isnan(expected))
    np.testing.assert_allclose(kelvin.filled(np.nan), expected, atol=0.0051)
    with rasterio.open(files[name.replace("surface_temperature", "emissivity")]) as cog:
        assert cog.descriptions == ("B10", "B11", "B12", "B13", "B14")
    with rasterio.open(files[name.replace("surface_temperature", "quality")]) as cog:
        np.testing.assert_array_equal(cog.read(1), result["quality"].isel(time=1))
        assert "cloud" in cog.tags()["flag_meanings"].split()
        assert cog.nodata is None


def test_a_netcdf_is_read_by_plain_xarray(chain: dict[str, Any]) -> None:
    result = aktes_xr.open_result(chain["result"])
    with xr.open_dataset(chain["export"]["netcdf"], decode_coords="all") as opened:
        assert set(opened.data_vars) == set(result.data_vars)
        for name in result.data_vars:
            np.testing.assert_array_equal(opened[name], result[name])
        assert opened.rio.crs == result.rio.crs
        assert opened["surface_temperature"].attrs["units"] == "K"
        np.testing.assert_array_equal(opened["time"], result["time"])
        np.testing.assert_array_equal(opened["item_id"], result["item_id"])
        first, second = opened.attrs["history"].splitlines()
        assert first.endswith("written to NetCDF")
        assert second.endswith("computed and written to Zarr")


ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def era5(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Folders with ``era5.yaml``: the shipped source, but at a store of its layout on loopback."""
    pytest.importorskip("icechunk")
    root = tmp_path_factory.mktemp("era5")
    moment = np.datetime64("2003-07-15T16:12:59")
    write_earthmover(root / "bucket" / "icechunkV2", [moment], (36.6, -84.3))
    with serve(root) as traffic:
        mirror = replace(source("era5"), url="s3://bucket/icechunkV2", endpoint=traffic.address)
        kept = {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in asdict(mirror).items()
            if value is not None and name != "name"
        }
        for folder in ("python", "console"):
            (root / folder).mkdir()
            (root / folder / "era5.yaml").write_text(yaml.safe_dump({"sources": {"era5": kept}}))
        yield root, traffic


def test_readme_goes_from_an_item_and_era5_to_a_map_in_python(era5: Any) -> None:
    root, traffic = era5[0] / "python", era5[1]
    (snippet,) = re.findall(r"```python\n([^`]*ancillaries=\"era5\".*?)```", README, re.DOTALL)
    aktes_xr.simulate.write_scene(root / "scene", shape=(40, 48))
    text = (
        "import aktes_xr, pathlib\n"
        "items = [str(path) for path in pathlib.Path('scene').glob('AST_*.json')]\n"
        + snippet.replace('"era5"', '"era5.yaml"').replace('"dem.tif"', '"scene/dem.tif"')
        + "import matplotlib.pyplot; matplotlib.pyplot.savefig('map.png')\n"
        "print(result.attrs['ancillary_source'])\n"
    )
    traffic.clear()
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", text],
        cwd=root,
        capture_output=True,
        text=True,
        timeout=800,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert "era5" in done.stdout
    assert "retrieve: done in" in done.stdout
    assert traffic.bytes_of("icechunkV2") > 0
    assert (root / "map.png").stat().st_size > 10_000


def test_readme_goes_from_an_item_and_era5_to_a_map_on_the_command_line(
    era5: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, traffic = era5[0] / "console", era5[1]
    monkeypatch.chdir(root)
    # The weather in this store is none that the scene was simulated in: all would be cloud.
    monkeypatch.setenv("AKTES_CLOUDS", "none")
    (block,) = re.findall(r"```\n(aktes simulate scene\n.*?)```", README, re.DOTALL)
    traffic.clear()
    for line in block.strip().splitlines():
        name, *words = shlex.split(line)
        assert name == "aktes"
        typed: list[str] = []
        for word in words:
            found = sorted(map(str, Path().glob(word))) if "*" in word else []
            typed += found or ["era5.yaml" if word == "era5" else word]
        small = ["--shape", "40x48"] if words[0] == "simulate" else []
        done = CliRunner().invoke(app, [*typed, *small])
        assert done.exit_code == 0, done.output
    assert traffic.bytes_of("icechunkV2") > 0
    assert "<figure>" in (root / "report.html").read_text(encoding="utf-8")
    assert "era5" in aktes_xr.open_result("result.zarr").attrs["ancillary_source"]
    assert list((root / "cogs").glob("surface_temperature_*.tif"))
