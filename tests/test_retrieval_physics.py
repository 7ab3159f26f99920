from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from random_bundle import random_bundle
from test_retrieval import cube, terrain

from aktes_xr import sensor
from aktes_xr.baselines import split_window, tes
from aktes_xr.cube.quality import decode
from aktes_xr.errors import MissingVariableError
from aktes_xr.models import Bundle
from aktes_xr.radiative import surface_leaving_radiance, surface_pressure_from_elevation
from aktes_xr.radiative.emulator import band_atmosphere
from aktes_xr.retrieval import retrieve


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return random_bundle(tmp_path_factory.mktemp("bundle") / "random")


def full_cube() -> xr.Dataset:
    ds = cube()
    rng = np.random.default_rng(3)
    # Bands of one warm surface, so that the separation has something to separate.
    for date in range(2):
        kelvin = rng.normal(300.0, 3.0, (150, 170, 1)) + np.array([-3.0, -2.5, -2.0, 0.0, -0.5])
        radiance = sensor.brightness_temperature_to_radiance(kelvin)
        dn = sensor.radiance_to_dn(radiance).transpose(2, 0, 1)
        ds["tir"][date] = np.where(ds["tir"][date] == 0, 0, dn)
    air = np.full((2, 150, 170), 295.0)
    air[1, :10] = np.nan
    ds["air_temperature"] = (("time", "y", "x"), air, {"units": "K"})
    return ds


def test_tes_equals_the_functions_by_hand(bundle: Bundle) -> None:
    ds = full_cube()
    result = retrieve(ds, method="tes", bundle=bundle, terrain=terrain(ds)).compute()
    radiance = sensor.dn_to_radiance(ds["tir"][0].to_numpy().transpose(1, 2, 0))
    pressure = surface_pressure_from_elevation(ds["elevation"].to_numpy())
    t, path, sky = band_atmosphere(20.0, ds["air_temperature"][0].to_numpy(), pressure, 3.0)
    temperature, emissivity = tes(surface_leaving_radiance(radiance, t, path), sky)
    np.testing.assert_allclose(result["surface_temperature"][0], temperature, atol=2e-3)
    np.testing.assert_allclose(result["emissivity"][0], emissivity.transpose(2, 0, 1), atol=2e-5)
    flags = decode(result["quality"])
    np.testing.assert_array_equal(flags["retrieved_by_tes"], ~flags["fill"])
    # The bundle plays no part, so the result must not name it.
    assert "bundle_sha256" not in result.attrs


def test_tes_uncertainty_grows_with_the_stated_errors(bundle: Bundle) -> None:
    ds = full_cube()
    ds["water_vapor_error"] = ("time", [0.5, 0.5], {"units": "kg m-2"})
    small = retrieve(ds, method="tes", bundle=bundle, terrain=terrain(ds))
    ds["water_vapor_error"] = ("time", [6.0, 6.0], {"units": "kg m-2"})
    large = retrieve(ds, method="tes", bundle=bundle, terrain=terrain(ds))
    name = "surface_temperature_uncertainty"
    first, second = small[name].compute(), large[name].compute()
    measured = np.isfinite(first)
    assert (first.where(measured) >= 0.8).sum() == measured.sum()
    assert float(second.mean()) > float(first.mean()) + 0.1


def test_split_window_equals_the_function_by_hand(bundle: Bundle) -> None:
    ds = full_cube()
    prior = np.broadcast_to(np.array([0.95, 0.95, 0.95, 0.97, 0.975])[:, None, None], (5, 150, 170))
    ds["emissivity_prior"] = (("band", "y", "x"), prior, {"units": "1"})
    result = retrieve(ds, method="split_window", bundle=bundle, terrain=terrain(ds)).compute()
    kelvin = sensor.dn_to_brightness_temperature(
        ds["tir"][0].to_numpy().transpose(1, 2, 0).astype(np.float64)
    )
    expected = split_window(kelvin, water_vapor=20.0, emissivity=prior[:, 0, 0], view_zenith=3.0)
    np.testing.assert_allclose(result["surface_temperature"][0], expected, atol=2e-3)
    assert float(result["emissivity"][0].isel(band=3).max()) == pytest.approx(0.97)
    assert decode(result["quality"])["retrieved_by_split_window"].any()


@pytest.mark.parametrize("method", ["tes", "split_window"])
def test_chunking_changes_no_bit(bundle: Bundle, method: str) -> None:
    ds = full_cube()
    whole = retrieve(ds, method=method, bundle=bundle, terrain=terrain(ds)).compute()
    chunked = ds.chunk(time=1, y=(33, 90, 27), x=61)
    cut = retrieve(chunked, method=method, bundle=bundle, terrain=terrain(ds)).compute()
    # Chunking makes the coordinate item_id lazy, and what is lazy is not looked at for attributes.
    xr.testing.assert_equal(cut, whole)


def test_missing_ancillary_pixels_are_nan_and_flagged(bundle: Bundle) -> None:
    ds = full_cube()
    result = retrieve(ds, method="tes", bundle=bundle, terrain=terrain(ds)).compute()
    assert result["surface_temperature"][1, :10].isnull().all()
    flags = decode(result["quality"])
    assert flags["ancillary_missing"][1, :10].all()
    assert flags["not_converged"][1, :10].all()


def test_split_window_needs_water_vapour_alone(bundle: Bundle) -> None:
    ds = cube()
    retrieve(ds, method="split_window", bundle=bundle, terrain=terrain(ds))
    with pytest.raises(MissingVariableError, match="water_vapor"):
        retrieve(ds.drop_vars("water_vapor"), method="split_window", bundle=bundle)
