"""One retrieval from items to store: by function and by command, complete and in part."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import xarray as xr
from granules import numbers, write_granule, write_item
from random_bundle import random_bundle
from typer.testing import CliRunner

import aktes_xr
from aktes_xr import jobs
from aktes_xr.cli import app
from aktes_xr.cube.quality import decode
from aktes_xr.errors import DependencyError, InputError, ReadError

FIRST, SECOND = "AST_L1T_00301062001031139_1", "AST_L1T_00301222001031139_2"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("bundle") / "random"
    random_bundle(path)
    return str(path)


def granule(folder: Path, name: str = FIRST, *, day: int = 6) -> Path:
    # Bright enough for the networks' inputs to be temperatures of the ground.
    dn = np.where(numbers() == 0, 0, 1500 + numbers() // 8).astype(np.uint16)
    time = f"2001-01-{day:02d}T03:11:39.833000Z"
    item = write_granule(folder, dn=dn, item_id=name, time=time)
    return write_item(folder / f"{name}.json", item)


def run(*arguments: str) -> Any:
    return CliRunner().invoke(app, list(arguments))


def test_command_writes_what_the_functions_give(tmp_path: Path, bundle: str) -> None:
    item, store = granule(tmp_path), tmp_path / "out.zarr"
    done = run(
        "retrieve",
        str(item),
        "--out",
        str(store),
        "--method",
        "teacher",
        "--bundle",
        bundle,
        "--closure",
        "--json",
    )
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert found["complete"] is True
    assert found["store"] == str(store)
    assert [d["item_id"] for d in found["dates"]] == [FIRST]
    assert 0.5 < found["dates"][0]["valid_share"] < 1.0
    cube = aktes_xr.open_stac(item, resolution="native")
    expected = cube.aktes.retrieve(method="teacher", bundle=bundle, closure=True).compute()
    written = aktes_xr.open_result(store)
    for name in ("surface_temperature", "closure_residual"):
        np.testing.assert_array_equal(written[name], expected[name])
    share = float(expected["surface_temperature"].notnull().mean())
    assert found["dates"][0]["valid_share"] == pytest.approx(share, abs=1e-4)


def test_what_the_fusion_spared_is_in_the_store(tmp_path: Path, bundle: str) -> None:
    item = granule(tmp_path)
    opened = jobs.open_request(jobs.Request(items=(str(item),)))
    rows, columns = np.meshgrid(*(np.arange(opened.sizes[d]) for d in "yx"), indexing="ij")
    # Level in the west, cliffs in the east.
    height = np.where(columns < opened.sizes["x"] // 2, 0.0, 300.0 * (rows % 8))
    dem = opened["tir"].isel(time=0, band=0, drop=True).copy(data=height.astype(np.float32))
    dem.drop_attrs().rio.write_crs(opened.rio.crs).rio.to_raster(tmp_path / "dem.tif")
    outcomes = {
        method: jobs.retrieve_to_store(
            jobs.Request(
                items=(str(item),), dem=str(tmp_path / "dem.tif"), bundle=bundle, method=method
            ),
            tmp_path / f"{method}.zarr",
        )
        for method in ("fusion", "teacher")
    }
    assert outcomes["teacher"].network_work_saved is None
    stored = aktes_xr.open_result(tmp_path / "fusion.zarr")
    assert stored.attrs["network_work_saved"] == outcomes["fusion"].network_work_saved
    networks = aktes_xr.models.load_bundle(bundle).models
    costs = {name: model.network.multiplications for name, model in networks.items()}
    retrieved = stored["surface_temperature"].notnull()
    alone = {
        "teacher": float((retrieved & (stored["student_weight"] == 0.0)).sum()),
        "student": float((retrieved & (stored["student_weight"] == 1.0)).sum()),
    }
    assert min(alone["teacher"] + alone["student"], int(retrieved.sum())) > 0
    spared = alone["teacher"] * costs["student"] + alone["student"] * costs["teacher"]
    every = float(retrieved.sum()) * (costs["teacher"] + costs["student"])
    assert outcomes["fusion"].network_work_saved == pytest.approx(spared / every, abs=1e-4)


def test_progress_and_answer_do_not_mix(tmp_path: Path, bundle: str) -> None:
    store = str(tmp_path / "out.zarr")
    done = run("retrieve", str(granule(tmp_path)), "--out", store, "--bundle", bundle)
    assert done.exit_code == 0, done.output
    assert done.stdout == f"store: {store}\n"
    assert done.stderr.startswith("retrieve: done in ")


def test_an_existing_store_is_kept_unless_told_otherwise(tmp_path: Path, bundle: str) -> None:
    arguments = ("retrieve", str(granule(tmp_path)), "--out", str(tmp_path / "o.zarr"))
    arguments += ("--bundle", bundle)
    assert run(*arguments).exit_code == 0
    again = run(*arguments)
    assert again.exit_code == 2
    assert "error [store.exists]: o.zarr exists" in again.stderr
    assert run(*arguments, "--overwrite").exit_code == 0


def test_an_item_without_thermal_bands_is_code_3_and_named(tmp_path: Path, bundle: str) -> None:
    good = granule(tmp_path)
    plain = json.loads(good.read_text())
    plain["id"] = "no-tir"
    del plain["assets"]["TIR"]
    bad = write_item(tmp_path / "bad.json", plain)
    store = tmp_path / "o.zarr"
    done = run("retrieve", str(good), str(bad), "--out", str(store), "--bundle", bundle, "--json")
    assert done.exit_code == 3
    assert json.loads(done.stdout)["complete"] is False
    assert "left out no-tir: " in done.stderr
    assert aktes_xr.open_result(store).sizes["time"] == 1


def test_an_unreadable_file_stops_or_is_left_out_as_told(tmp_path: Path, bundle: str) -> None:
    items = [granule(tmp_path), granule(tmp_path, SECOND, day=22)]
    broken = next(tmp_path.glob(f"{SECOND}*.tif"))
    whole = broken.read_bytes()
    broken.write_bytes(whole[: len(whole) // 2])
    store = tmp_path / "o.zarr"
    arguments = ("retrieve", *map(str, items), "--out", str(store), "--bundle", bundle)
    stopped = run(*arguments, "--strict")
    assert stopped.exit_code == 4
    assert "error [stac.read]: " in stopped.stderr
    assert str(tmp_path) not in stopped.stderr
    assert not store.exists()
    partial = run(*arguments)
    assert partial.exit_code == 3, partial.output
    assert f"no temperature anywhere: {SECOND} (2001-01-22T03:11:39)" in partial.stderr
    assert f"could not be read in 100.00% of the pixels: {SECOND}" in partial.stderr
    written = aktes_xr.open_result(store)
    assert written.attrs["unreadable_items"] == 1
    assert written.attrs["unreadable_share"] == {SECOND: 1.0}
    flagged = decode(written["quality"])["unreadable"].mean(("y", "x"))
    assert flagged.values.tolist() == [0.0, 1.0]


def test_search_names_the_period_and_the_area(tmp_path: Path) -> None:
    catalogue = tmp_path / "items.json"
    items = [
        json.loads(granule(tmp_path, n, day=d).read_text()) for n, d in ((FIRST, 6), (SECOND, 22))
    ]
    catalogue.write_text(json.dumps({"type": "FeatureCollection", "features": items}))
    request = jobs.Request(
        source=str(catalogue), bbox=(114.85, 15.76, 114.87, 15.78), datetime="2001-01-22"
    )
    ds = jobs.open_request(request)
    assert ds["item_id"].values.tolist() == [SECOND]
    assert ds.sizes["x"] < 60


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        (jobs.Request(), "found neither"),
        (jobs.Request(items=("a.json",), source="aws"), "found both"),
        (jobs.Request(source="planetary_computer"), "needs bbox"),
        (jobs.Request(items=("a.json",), dem="nasadem"), "needs bbox"),
    ],
)
def test_requests_that_do_not_say_enough(request_: jobs.Request, words: str) -> None:
    with pytest.raises(InputError, match=words):
        jobs.open_request(request_)


def test_a_source_that_signs_needs_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "planetary_computer", None)
    request = jobs.Request(source="planetary_computer", bbox=(7.0, 45.5, 8.5, 46.5))
    with pytest.raises(DependencyError, match="pip install planetary-computer"):
        jobs.open_request(request)


def test_the_sources_own_signing_function_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    def sign(link: Any) -> Any:
        return link

    seen: dict[str, Any] = {}

    def searched(source: str, **options: Any) -> list[Any]:
        seen.update(options, source=source)
        raise ReadError("far enough")

    monkeypatch.setitem(sys.modules, "planetary_computer", SimpleNamespace(sign=sign))
    monkeypatch.setattr("aktes_xr.jobs.retrieval.search", searched)
    box = (7.0, 45.5, 8.5, 46.5)
    request = jobs.Request(source="planetary_computer", bbox=box, datetime="2004-07")
    with pytest.raises(ReadError):
        jobs.open_request(request)
    assert seen == {
        "source": "planetary_computer",
        "bbox": box,
        "datetime": "2004-07",
        "modifier": sign,
    }


def test_ancillaries_of_several_sources_reach_the_cube(tmp_path: Path) -> None:
    times = np.array(["2001-01-06T03"], "M8[ns]")
    for name, units, value in (("tcwv", "mm", 21.5), ("t2m", "degC", 18.0)):
        field = xr.Dataset({name: ("time", [value], {"units": units})}, coords={"time": times})
        field.to_netcdf(tmp_path / f"{name}.nc", engine="h5netcdf")
    sources = (str(tmp_path / "tcwv.nc"), str(tmp_path / "t2m.nc"))
    request = jobs.Request(items=(str(granule(tmp_path)),), ancillary=sources)
    cube = jobs.open_request(request)
    assert cube["water_vapor"].values.tolist() == [21.5]
    assert cube["air_temperature"].values.tolist() == [np.float32(291.15)]
    assert "tcwv.nc" in cube.attrs["ancillary_source"]
    assert str(tmp_path) not in str(cube.attrs)


def test_a_source_of_ancillaries_that_cannot_be_used_is_wrong_input(tmp_path: Path) -> None:
    done = run(
        "retrieve", str(granule(tmp_path)), "--out", str(tmp_path / "o"), "--ancillary", "era55"
    )
    assert done.exit_code == 2
    assert "found no file 'era55' and no shipped source" in done.output


@pytest.mark.parametrize("form", ["zarr", "netcdf"])
def test_xarrays_own_writers_keep_the_crs(tmp_path: Path, bundle: str, form: str) -> None:
    cube = aktes_xr.open_stac(granule(tmp_path))
    encodings = {name: dict(cube[name].encoding) for name in cube.variables}
    out = cube.aktes.retrieve(method="teacher", bundle=bundle)
    if form == "zarr":
        out.to_zarr(tmp_path / "plain", consolidated=False)
        again = xr.open_zarr(tmp_path / "plain", consolidated=False)
    else:
        out.to_netcdf(tmp_path / "plain", engine="h5netcdf")
        again = xr.open_dataset(tmp_path / "plain", engine="h5netcdf")
    assert again.rio.crs == again["surface_temperature"].rio.crs == cube.rio.crs
    assert set(again.data_vars) == set(out.data_vars)
    assert again["item_id"].values.tolist() == [FIRST]
    assert {name: cube[name].encoding for name in cube.variables} == encodings
    again.close()


def test_a_store_is_not_replaced_by_unreadable_files(tmp_path: Path, bundle: str) -> None:
    item, store = granule(tmp_path), tmp_path / "o.zarr"
    arguments = ("retrieve", str(item), "--out", str(store), "--bundle", bundle, "--overwrite")
    assert run(*arguments).exit_code == 0
    file = next(tmp_path.glob("*.tif"))
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    kept = run(*arguments)
    assert kept.exit_code == 6, kept.output
    assert "error [store.worse]: kept o.zarr: the new result has a temperature in 0.00%" in (
        kept.stderr
    )
    assert float(aktes_xr.open_result(store)["surface_temperature"].notnull().mean()) > 0.5
    assert run(*arguments, "--accept-worse").exit_code == 3
