"""What the libraries beneath get wrong silently, one test per trap.

Each shows the trap where the installed versions still have it, and that our own path avoids it.
"""

from __future__ import annotations

import importlib.metadata
import json
import shutil
from pathlib import Path

import numpy as np
import pystac
import pytest
import rasterio
import xarray as xr
import zarr
from granules import numbers, transform, write_granule
from packaging.requirements import Requirement

from aktes_xr import cube
from aktes_xr.stac import open_stac
from aktes_xr.store import open_result, write_result


def requirements() -> dict[str, Requirement]:
    lines = importlib.metadata.requires("aktes-xr") or []
    parsed = [Requirement(line) for line in lines]
    return {one.name: one for one in parsed if one.marker is None}


def test_the_metadata_asks_for_a_keras_that_autokeras_runs_with() -> None:
    keras = requirements()["keras"].specifier
    assert not keras.contains("3.13.0"), "AutoKeras 3.0.0 fails in every trial from Keras 3.13.0 on"
    assert keras.contains("3.12.4")
    assert keras.contains(importlib.metadata.version("keras"))


def test_tensorboard_is_asked_for(tmp_path: Path) -> None:
    # keras-tuner imports it in every trial, TensorFlow no longer brings it.
    assert "tensorboard" in requirements()
    assert importlib.metadata.version("tensorboard")
    brought = importlib.metadata.requires("tensorflow") or []
    if not any(Requirement(line).name == "tensorboard" for line in brought):
        tuner = importlib.metadata.files("keras-tuner") or []
        assert any(
            "hparams" in Path(str(f.locate())).read_text() for f in tuner if f.suffix == ".py"
        )


def test_migrated_items_keep_their_extent(tmp_path: Path) -> None:
    plain = write_granule(tmp_path)
    item = pystac.Item.from_dict(plain)
    migrated = item.to_dict()["properties"]
    assert ("proj:code" in migrated) != ("proj:epsg" in migrated)
    ds = open_stac(item)
    # 90 pixels of 89.9034 m from 267210 m: with the loose lat-lon box it would be over a thousand.
    assert ds.sizes["x"] == 90
    assert ds.sizes["y"] == 70
    xr.testing.assert_identical(ds.load(), open_stac(plain).load())
    code = json.loads(json.dumps(plain))
    code["properties"]["proj:code"] = f"EPSG:{code['properties'].pop('proj:epsg')}"
    xr.testing.assert_identical(open_stac(code).load(), ds)


@pytest.mark.parametrize("options", [{}, {"resolution": None}, {"crs": "EPSG:32651"}])
@pytest.mark.parametrize("tagged", [False, True])
def test_fill_stays_fill_and_nothing_becomes_one(
    tmp_path: Path, options: dict[str, object], tagged: bool
) -> None:
    dn = numbers()
    dn[dn == 1] = 2
    dn[1, 20:40, 20:40] = 0  # fill in one band only
    item = write_granule(tmp_path, dn=dn)
    if tagged:
        with rasterio.open(item["assets"]["TIR"]["href"], "r+") as file:
            file.nodata = 0
    tir = open_stac(item, **options)["tir"].to_numpy()[0]
    assert not (tir == 1).any()
    assert (tir[1] == 0).sum() > (tir[0] == 0).sum() + 300
    assert tir.any(axis=0).sum() == pytest.approx(dn.any(axis=0).sum(), rel=0.15)


def test_the_bump_of_valid_zeros_is_still_in_gdal(tmp_path: Path) -> None:
    version = tuple(int(part) for part in rasterio.__gdal_version__.split(".")[:2])
    if version < (3, 11):
        pytest.skip("older GDAL leaves valid pixels alone")
    item = write_granule(tmp_path)
    shifted = transform((267_250.0, 1_747_900.0))
    with (
        rasterio.open(item["assets"]["TIR"]["href"]) as file,
        rasterio.vrt.WarpedVRT(
            file, crs=file.crs, transform=shifted, width=90, height=70, nodata=0
        ) as warped,
    ):
        bumped = (warped.read(1) == 1).sum()
    assert bumped > 100, "GDAL no longer does it: the reader's own nodata value may go"


def small_result() -> xr.Dataset:
    ds = cube.new_cube(
        np.ones((1, 5, 64, 64), np.uint16),
        time=np.array(["2001-01-06"], dtype="datetime64[ns]"),
        y=1_700_000.0 - 90.0 * np.arange(64),
        x=270_000.0 + 90.0 * np.arange(64),
        crs="EPSG:32650",
    ).drop_vars("tir")
    for name, encoding in (
        ("surface_temperature", {}),
        (
            "packed",
            {"dtype": "uint16", "scale_factor": 0.02, "add_offset": 150.0, "_FillValue": 65535},
        ),
    ):
        ds[name] = (("time", "y", "x"), np.full((1, 64, 64), 300.0, "float32"), {"units": "K"})
        ds[name].encoding = encoding
    return ds.chunk({"y": 32, "x": 32})


def test_a_region_that_was_never_written_is_no_temperature(tmp_path: Path) -> None:
    write_result(small_result(), tmp_path / "r.zarr")
    for name in ("surface_temperature", "packed"):
        shutil.rmtree(tmp_path / "r.zarr" / name / "c" / "0" / "1")
        array = zarr.open_array(tmp_path / "r.zarr" / name)
        for ds in (open_result(tmp_path / "r.zarr"), xr.open_zarr(tmp_path / "r.zarr")):
            values = ds[name].to_numpy()[0]
            assert np.isnan(values[32:]).all(), f"{name}: fill_value {array.fill_value}"
            np.testing.assert_allclose(values[:32], 300.0)


def test_the_projection_survives_the_encoding(tmp_path: Path) -> None:
    result = small_result()
    # The trap itself: an encoding handed to xarray takes the grid mapping away.
    result.to_zarr(
        tmp_path / "lost.zarr",
        encoding={"surface_temperature": {"dtype": "float32"}},
        consolidated=False,
        zarr_format=2,
    )
    lost = xr.open_zarr(tmp_path / "lost.zarr", consolidated=False, decode_coords="all")
    assert lost["surface_temperature"].encoding.get("grid_mapping") is None
    write_result(result, tmp_path / "kept.zarr")
    for kept in (
        open_result(tmp_path / "kept.zarr"),
        xr.open_zarr(tmp_path / "kept.zarr"),
        xr.open_zarr(tmp_path / "kept.zarr", decode_coords="all"),
    ):
        assert kept["surface_temperature"].rio.crs.to_epsg() == 32650
        assert kept["packed"].rio.crs.to_epsg() == 32650
