from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from random_bundle import random_bundle

import aktes_xr
from aktes_xr import sensor
from aktes_xr.cube import new_cube
from aktes_xr.errors import InputError
from aktes_xr.models import Bundle

ROWS, COLUMNS = 30, 34
WHOLE = "surface_temperature_uncertainty"
PARTS = ("noise", "atmosphere", "model", "disagreement", "cloud")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return random_bundle(tmp_path_factory.mktemp("bundle") / "random", clouds=True)


def cube(*, relief: bool = True, told: bool = True) -> xr.Dataset:
    rng = np.random.default_rng(8)
    kelvin = rng.uniform(285.0, 300.0, (1, ROWS, COLUMNS, 5))
    numbers = sensor.radiance_to_dn(sensor.brightness_temperature_to_radiance(kelvin))
    numbers[0, 3, 4] = 0
    ds = new_cube(
        np.moveaxis(numbers, -1, 1),
        time=np.array(["2004-07-01"], "M8[ns]"),
        y=4_000_000.0 - 90.0 * np.arange(ROWS),
        x=300_000.0 + 90.0 * np.arange(COLUMNS),
        crs="EPSG:32617",
        coordinates={"view_zenith": [3.0], "sun_zenith": [40.0], "sun_azimuth": [120.0]},
    )
    if relief:
        slope = 60.0 * np.abs(np.arange(COLUMNS) - COLUMNS / 2) * (np.arange(ROWS)[:, None] > 10)
        ds["elevation"] = (("y", "x"), (500.0 + slope).astype(np.float32), {"units": "m"})
    if told:
        ds["water_vapor"] = ("time", [12.0], {"units": "kg m-2"})
        ds["water_vapor_error"] = ("time", [0.02], {"units": "kg m-2"})
    return ds


def part(result: xr.Dataset, name: str) -> xr.DataArray:
    return result[f"{WHOLE}_{name}"]


@pytest.mark.parametrize("clouds", ["none", "network"])
def test_the_parts_make_the_whole(bundle: Bundle, clouds: str) -> None:
    options = {"bundle": bundle, "clouds": clouds, "keep_cloudy": True}
    whole = aktes_xr.retrieve(cube(), uncertainty_components=True, **options).compute()  # type: ignore[arg-type]
    total = sum(part(whole, name) ** 2 for name in PARTS) ** 0.5
    np.testing.assert_allclose(total, whole[WHOLE], rtol=2e-6)
    for name in PARTS:
        values = part(whole, name)
        assert values.attrs["units"] == "K"
        assert bool((values.fillna(0.0) >= 0.0).all())
        np.testing.assert_array_equal(values.isnull(), whole[WHOLE].isnull())
    assert bool((part(whole, "noise").fillna(1.0) > 0.0).all())
    assert bool((part(whole, "disagreement") > 0.0).any())
    assert bool((part(whole, "cloud") > 0.0).any()) == (clouds == "network")
    # Nothing else changes for being asked, nor by chunks.
    bare = aktes_xr.retrieve(cube(), **options).compute()  # type: ignore[arg-type]
    xr.testing.assert_equal(whole[list(bare.data_vars)], bare)
    cut = aktes_xr.retrieve(cube().chunk(y=17, x=12), uncertainty_components=True, **options)  # type: ignore[arg-type]
    xr.testing.assert_identical(cut.compute(), whole)


def test_the_atmospheres_part_is_what_its_error_does(bundle: Bundle) -> None:
    told = cube(relief=False)
    off = told.assign(water_vapor=told["water_vapor"] + told["water_vapor_error"])
    off["water_vapor"].attrs = {"units": "kg m-2"}
    kept = {"bundle": bundle, "method": "teacher", "clouds": "none"}
    found = aktes_xr.retrieve(told, uncertainty_components=True, **kept).compute()  # type: ignore[arg-type]
    other = aktes_xr.retrieve(off, **kept).compute()  # type: ignore[arg-type]
    moved = np.abs(other["surface_temperature"] - found["surface_temperature"])
    # Where noise alone exceeds what the network states, both parts are scaled down.
    unscaled = part(found, "model") > 0.0
    assert int(unscaled.sum()) > 20
    np.testing.assert_allclose(
        part(found, "atmosphere").where(unscaled), moved.where(unscaled), atol=1e-4
    )
    bare = aktes_xr.retrieve(
        cube(relief=False, told=False),
        uncertainty_components=True,
        **kept,  # type: ignore[arg-type]
    ).compute()
    assert not bool((part(bare, "atmosphere") > 0.0).any())
    assert not bool((part(bare, "disagreement") > 0.0).any())


def test_only_networks_have_components(bundle: Bundle) -> None:
    with pytest.raises(InputError, match="split_window"):
        aktes_xr.retrieve(cube(), bundle=bundle, method="split_window", uncertainty_components=True)
