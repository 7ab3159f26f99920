from __future__ import annotations

import dask
import numpy as np
import pytest
import xarray as xr
from random_bundle import random_bundle

from aktes_xr.cube import new_cube
from aktes_xr.errors import CubeError, InputError, MissingVariableError
from aktes_xr.models import Bundle
from aktes_xr.retrieve import retrieve

SHAPE = (2, 5, 150, 170)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return random_bundle(tmp_path_factory.mktemp("bundle") / "random")


def cube(*, units: str = "DN", seed: int = 0) -> xr.Dataset:
    rng = np.random.default_rng(seed)
    base = np.array([1362, 1423, 1496, 1709, 1802], float)[:, None, None]
    dn = base * rng.uniform(0.8, 1.2, SHAPE)
    tir = dn.astype(np.uint16)
    tir[0, :, :20, :30] = 0
    tir[1, 2, 5, 5] = 4095
    tir[1, 3, 100, 100] = 0
    if units != "DN":
        gain = np.array([6.882e-3, 6.780e-3, 6.590e-3, 5.693e-3, 5.225e-3])[:, None, None]
        tir = np.where(tir == 0, np.nan, (tir - 1.0) * gain).astype(np.float32)
    ds = new_cube(
        tir,
        time=["2004-07-01T18:00", "2005-01-02T06:00"],
        y=4_000_000.0 - 90.0 * np.arange(SHAPE[2]),
        x=300_000.0 + 90.0 * np.arange(SHAPE[3]),
        crs="EPSG:32617",
        units=units,
        coordinates={
            "view_zenith": [3.0, 5.0],
            "sun_zenith": [30.0, 120.0],
            "sun_azimuth": [140.0, 20.0],
            "item_id": ["a", "b"],
            "processing_version": ["03.00R00", "V004"],
        },
    )
    y, x = np.mgrid[: SHAPE[2], : SHAPE[3]]
    elevation = 500.0 + 400.0 * np.sin(x / 12.0) * np.sin(y / 15.0)
    ds["elevation"] = (("y", "x"), elevation.astype(np.float32), {"units": "m"})
    ds["water_vapor"] = ("time", np.array([20.0, 8.0]), {"units": "kg m-2"})
    return ds


def terrain(ds: xr.Dataset) -> xr.Dataset:
    rng = np.random.default_rng(5)
    shape = (ds.sizes["y"], ds.sizes["x"])
    complexity = np.clip(rng.normal(0.3, 0.3, shape), 0, None)
    complexity[:64] = 0.0
    fields = {
        "terrain_complexity_k": complexity,
        "sky_view_factor": rng.uniform(0.5, 1.0, shape),
        "slope": rng.uniform(0.0, 50.0, shape),
        "aspect": rng.uniform(0.0, 360.0, shape),
        "relief": rng.uniform(0.0, 800.0, shape),
    }
    return xr.Dataset(
        {name: (("y", "x"), field.astype(np.float32)) for name, field in fields.items()},
        coords={"y": ds.y, "x": ds.x, "spatial_ref": ds.spatial_ref},
    )


@pytest.mark.parametrize("method", ["teacher", "student", "fusion"])
@pytest.mark.parametrize("units", ["DN", "W m-2 sr-1 um-1"])
def test_chunking_changes_no_bit(bundle: Bundle, method: str, units: str) -> None:
    ds = cube(units=units)
    whole = retrieve(
        ds.chunk(time=-1, band=-1, y=-1, x=-1), method=method, bundle=bundle, terrain=terrain(ds)
    ).compute()
    for time, y, x in ((1, 64, 64), (2, (33, 90, 27), (101, 69)), (1, 150, 7)):
        cut = retrieve(
            ds.chunk(time=time, band=1, y=y, x=x),
            method=method,
            bundle=bundle,
            terrain=terrain(ds).chunk(y=40, x=170),
        )
        xr.testing.assert_identical(cut.compute(), whole)
