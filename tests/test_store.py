from __future__ import annotations

import json
import os
import re
from pathlib import Path

import dask.array as da
import numpy as np
import pytest
import rasterio
import xarray as xr
import zarr

from aktes_xr import cube, errors
from aktes_xr.store import open_result, write_result


def make_result(
    shape: tuple[int, int] = (40, 50), *, dates: int = 2, chunks: object = None
) -> xr.Dataset:
    ny, nx = shape
    rng = np.random.default_rng(0)
    ds = cube.new_cube(
        np.zeros((dates, 5, ny, nx), np.uint16),
        time=np.array(["2001-01-06T03:11:39.833", "2001-01-22"][:dates], dtype="datetime64[ns]"),
        y=1_700_000.0 - 90.0 * np.arange(ny),
        x=270_000.0 + 90.0 * np.arange(nx),
        crs="EPSG:32650",
        coordinates={
            "view_zenith": np.full(dates, 3.2),
            "item_id": ["a", "b-longer"][:dates],
            "processing_time": np.array(["2015-04-14", "NaT"][:dates], dtype="datetime64[ns]"),
        },
    ).drop_vars("tir")
    temperature = rng.uniform(270, 320, (dates, ny, nx)).astype("float32")
    temperature[:, :3] = np.nan
    ds["surface_temperature"] = (
        ("time", "y", "x"),
        temperature,
        {"units": "K", "standard_name": "surface_temperature"},
    )
    ds["emissivity"] = (
        ("time", "band", "y", "x"),
        rng.uniform(0.8, 1, (dates, 5, ny, nx)).astype("float32"),
        {"units": "1"},
    )
    ds["quality"] = (
        ("time", "y", "x"),
        rng.integers(0, 16, (dates, ny, nx), dtype=np.uint16),
        {
            "flag_masks": np.array([1, 2, 4], np.uint16),
            "flag_values": np.array([1, 2, 4], np.uint16),
            "flag_meanings": "fill cloud saturated",
        },
    )
    ds["sky_view_factor"] = (("y", "x"), rng.uniform(0.5, 1, shape).astype("float32"))
    ds.attrs = {"title": "a result", "Conventions": "CF-1.11"}
    if chunks is not None:
        ds = ds.chunk(chunks)
    return ds


def leftovers(folder: Path, *known: str) -> set[str]:
    return {entry.name for entry in folder.iterdir()} - set(known)


@pytest.mark.parametrize("sharded", [False, True])
@pytest.mark.parametrize(
    "chunks",
    [
        None,
        {"time": 1},
        {"time": 1, "y": 16, "x": 16},
        {"time": 1, "y": (7, 20, 13), "x": (20, 30)},
        {"time": 2, "y": (37, 3), "x": 41},
    ],
)
def test_round_trip(tmp_path: Path, chunks: object, sharded: bool) -> None:
    result = make_result(chunks=chunks)
    before = result.copy(deep=True)
    encodings = {name: dict(result[name].encoding) for name in result.variables}
    write_result(result, tmp_path / "r.zarr", sharded=sharded)
    again = open_result(tmp_path / "r.zarr")
    for name in result.data_vars:
        np.testing.assert_array_equal(again[name], result[name])
        assert again[name].dtype == result[name].dtype
        assert again[name].attrs.get("units") == result[name].attrs.get("units")
    for name in result.coords:
        np.testing.assert_array_equal(again[name], result[name])
    history = again.attrs.pop("history")
    assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ aktes_xr: computed and .*", history)
    assert again.attrs == result.attrs
    assert list(again["band"].to_numpy()) == list(result["band"].to_numpy())
    assert again["quality"].dtype == np.uint16
    assert again.rio.crs == result.rio.crs
    assert leftovers(tmp_path, "r.zarr") == set()
    xr.testing.assert_identical(result, before)
    assert {name: result[name].encoding for name in result.variables} == encodings


def test_xarray_and_rioxarray_need_no_help(tmp_path: Path) -> None:
    write_result(make_result(chunks={"time": 1}), tmp_path / "r.zarr")
    ds = xr.open_zarr(tmp_path / "r.zarr")
    assert ds.rio.crs.to_epsg() == 32650
    assert ds["surface_temperature"].rio.crs.to_epsg() == 32650
    assert ds["surface_temperature"].rio.transform()[2] == 270_000.0 - 45.0
    assert set(ds.data_vars) == {"surface_temperature", "emissivity", "quality", "sky_view_factor"}
    assert set(ds.coords) >= {"item_id", "view_zenith", "spatial_ref"}
    assert str(ds["time"].to_numpy()[0]) == "2001-01-06T03:11:39.833000000"
    assert np.isnat(ds["processing_time"].to_numpy()[1])


@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (1, 50), (40, 1)])
def test_a_row_a_column_or_a_single_pixel_is_written(
    tmp_path: Path, rows: int, columns: int
) -> None:
    result = make_result().isel(y=slice(rows), x=slice(columns))
    write_result(result, tmp_path / "r.zarr")
    attrs = json.loads((tmp_path / "r.zarr" / "zarr.json").read_text())["attributes"]
    assert attrs["spatial:shape"] == [rows, columns]
    assert attrs["spatial:transform"] == [90.0, 0.0, 269_955.0, 0.0, -90.0, 1_700_045.0]
    assert open_result(tmp_path / "r.zarr").sizes["y"] == rows


def test_metadata_of_the_store(tmp_path: Path) -> None:
    write_result(make_result(chunks={"time": 1, "y": 16, "x": 25}), tmp_path / "r.zarr")
    attrs = json.loads((tmp_path / "r.zarr" / "zarr.json").read_text())
    assert attrs["zarr_format"] == 3
    assert "consolidated_metadata" in attrs
    attrs = attrs["attributes"]
    assert [convention["name"] for convention in attrs["zarr_conventions"]] == ["proj", "spatial"]
    assert attrs["proj:code"] == "EPSG:32650"
    assert attrs["spatial:dimensions"] == ["y", "x"]
    assert attrs["spatial:shape"] == [40, 50]
    assert attrs["spatial:transform"] == [90.0, 0.0, 269_955.0, 0.0, -90.0, 1_700_045.0]
    assert attrs["spatial:bbox"] == [269_955.0, 1_696_445.0, 274_455.0, 1_700_045.0]
    array = zarr.open_array(tmp_path / "r.zarr" / "surface_temperature")
    assert array.chunks == (1, 16, 25)
    assert array.attrs["grid_mapping"] == "spatial_ref"
    assert zarr.open_array(tmp_path / "r.zarr" / "emissivity").chunks == (1, 1, 16, 25)
    for path in (tmp_path / "r.zarr").rglob("zarr.json"):
        assert str(tmp_path) not in path.read_text()


def test_one_file_per_shard(tmp_path: Path) -> None:
    result = make_result((512, 512), dates=1, chunks={"time": 1, "y": 512, "x": 512})
    write_result(result, tmp_path / "r.zarr", sharded=True)
    array = zarr.open_array(tmp_path / "r.zarr" / "emissivity")
    assert array.shards == (1, 5, 512, 512)
    assert array.chunks == (1, 1, 256, 256)
    files = [
        path for path in (tmp_path / "r.zarr" / "emissivity" / "c").rglob("*") if path.is_file()
    ]
    assert len(files) == 1


def test_what_exists_stays(tmp_path: Path) -> None:
    path = tmp_path / "r.zarr"
    write_result(make_result(), path)
    with pytest.raises(errors.StoreExistsError, match=r"r\.zarr exists.*overwrite=True"):
        write_result(make_result(), path)
    changed = make_result() + 1
    changed = changed.rio.write_crs(32650)
    write_result(changed, path, overwrite=True)
    np.testing.assert_array_equal(
        open_result(path)["surface_temperature"], changed["surface_temperature"]
    )
    assert leftovers(tmp_path, "r.zarr") == set()
    folder = tmp_path / "holiday"
    folder.mkdir()
    (folder / "photo.jpg").write_text("x")
    with pytest.raises(errors.StoreExistsError, match="no Zarr store: it is not replaced"):
        write_result(make_result(), folder, overwrite=True)
    assert (folder / "photo.jpg").exists()


def explode(block: np.ndarray) -> np.ndarray:
    raise errors.ReadError("could not read granule.tif: truncated")


@pytest.mark.parametrize("existing", [False, True])
def test_a_failure_leaves_nothing_behind(tmp_path: Path, existing: bool) -> None:
    path = tmp_path / "r.zarr"
    if existing:
        write_result(make_result(), path)
    bad = make_result(chunks={"time": 1})
    lazy = bad["surface_temperature"].data.map_blocks(explode, dtype="float32", meta=np.empty(0))
    bad["surface_temperature"] = (("time", "y", "x"), lazy)
    with pytest.raises(errors.ReadError, match="truncated"):
        write_result(bad, path, overwrite=existing)
    assert leftovers(tmp_path, "r.zarr") == set()
    assert path.exists() == existing
    if existing:
        xr.testing.assert_equal(
            open_result(path)["emissivity"].load(), make_result()["emissivity"].load()
        )


def test_places_where_no_store_can_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(errors.StoreError, match="could not write the store"):
        write_result(make_result(), tmp_path / "file" / "r.zarr")
    with pytest.raises(errors.InputError, match="begins with ftp://: expected a local path"):
        write_result(make_result(), "ftp://host/r.zarr")
    with pytest.raises(errors.StoreError, match=r"no Zarr store at none\.zarr"):
        open_result(tmp_path / "none.zarr")
    write_result(make_result(), tmp_path / "new" / "deep" / "r.zarr")
    assert open_result(os.fspath(tmp_path / "new" / "deep" / "r.zarr")).sizes["time"] == 2


def test_results_that_cannot_be_placed(tmp_path: Path) -> None:
    result = make_result()
    bare = result.drop_vars("spatial_ref")
    for variable in bare.variables.values():
        variable.encoding.pop("grid_mapping", None)
    with pytest.raises(errors.CRSError, match="no coordinate reference system"):
        write_result(bare, tmp_path / "r.zarr")
    with pytest.raises(errors.InputError, match="coordinate 'x' with a pixel"):
        write_result(result.drop_vars("x"), tmp_path / "r.zarr")
    result["surface_temperature"].encoding = {"dtype": "uint16", "scale_factor": 0.02}
    with pytest.raises(errors.InputError, match="'surface_temperature' is to be stored as uint16"):
        write_result(result, tmp_path / "r.zarr")
    assert leftovers(tmp_path) == set()


def test_packed_numbers_keep_their_fill(tmp_path: Path) -> None:
    result = make_result()
    result["surface_temperature"].encoding = {
        "dtype": "uint16",
        "scale_factor": 0.02,
        "_FillValue": 0,
    }
    write_result(result, tmp_path / "r.zarr")
    array = zarr.open_array(tmp_path / "r.zarr" / "surface_temperature")
    assert array.dtype == np.uint16
    assert array.fill_value == 0
    again = open_result(tmp_path / "r.zarr")["surface_temperature"]
    np.testing.assert_allclose(again, result["surface_temperature"], atol=0.0101)


def test_lazy_results_are_written_chunk_by_chunk(tmp_path: Path) -> None:
    seen: list[tuple[int, ...]] = []

    def note(block: np.ndarray) -> np.ndarray:
        seen.append(block.shape)
        return block

    result = make_result()
    lazy = da.from_array(result["surface_temperature"].to_numpy(), chunks=(1, 20, 25))
    result["surface_temperature"] = (
        ("time", "y", "x"),
        lazy.map_blocks(note, dtype="float32", meta=np.empty((0, 0, 0), "float32")),
    )
    write_result(result, tmp_path / "r.zarr")
    assert sorted(seen) == [(1, 20, 25)] * 8


def test_variables_of_other_dimensions_are_stored_too(tmp_path: Path) -> None:
    result = make_result(chunks={"time": 1, "y": 20, "x": 25})
    cube_of_quantiles = result["surface_temperature"].expand_dims(quantile=[0.1, 0.5, 0.9])
    result["quantiles"] = cube_of_quantiles.chunk(quantile=1)
    result["bias"] = ("band", da.arange(5, chunks=2))
    result["count"] = ((), da.ones((), chunks=()))
    result["per_date"] = ("time", da.arange(2, chunks=1))
    write_result(result, tmp_path / "r.zarr")
    again = open_result(tmp_path / "r.zarr")
    for name in result.data_vars:
        np.testing.assert_array_equal(again[name], result[name], err_msg=str(name))


def test_gdal(tmp_path: Path) -> None:
    version = tuple(int(part) for part in rasterio.__gdal_version__.split(".")[:2])
    if version < (3, 12):
        pytest.skip(f"GDAL {rasterio.__gdal_version__} cannot read Zarr v3 as it was published")
    result = make_result(chunks={"time": 1})
    write_result(result, tmp_path / "r.zarr")
    with rasterio.open(f'ZARR:"{tmp_path / "r.zarr"}":/surface_temperature') as file:
        assert file.crs.to_epsg() == 32650
        assert file.transform[:6] == (90.0, 0.0, 269_955.0, 0.0, -90.0, 1_700_045.0)
        assert np.isnan(file.nodata)
        np.testing.assert_array_equal(file.read(1), result["surface_temperature"][0])


def test_format_2_serves_older_readers(tmp_path: Path) -> None:
    result = make_result(chunks={"time": 1})
    write_result(result, tmp_path / "r.zarr", zarr_format=2)
    assert xr.open_zarr(tmp_path / "r.zarr").rio.crs.to_epsg() == 32650
    again = open_result(tmp_path / "r.zarr")
    for name in (*result.data_vars, *result.coords):
        np.testing.assert_array_equal(again[name], result[name])
    with rasterio.open(f'ZARR:"{tmp_path / "r.zarr"}":/surface_temperature') as file:
        assert file.crs.to_epsg() == 32650
        np.testing.assert_array_equal(file.read(1), result["surface_temperature"][0])
    write_result(result, tmp_path / "r.zarr", zarr_format=2, overwrite=True)
    with pytest.raises(errors.InputError, match="shards exist in format 3 only"):
        write_result(result, tmp_path / "s.zarr", zarr_format=2, sharded=True)
