from __future__ import annotations

import dask
import numpy as np
import pytest
import xarray as xr

from aktes_xr import sensor
from aktes_xr.errors import BandError, CalibrationError, InputError, ShapeError
from aktes_xr.radiative.planck import planck_wavelength

# DN whose brightness temperature is 280, 300, 320 K, as published with the response; one DN is
# 0.04 K, and they come from another interpolation of the response, hence the unit of slack.
PUBLISHED_DN = {
    280.0: (900, 956, 1025, 1235, 1326),
    300.0: (1362, 1423, 1496, 1709, 1802),
    320.0: (1957, 2016, 2085, 2272, 2361),
}
# Maximum radiances of the Level-1T product guide; B14 is 0.05 % below 4094 steps.
MAXIMUM_RADIANCE = (28.17, 27.75, 26.97, 23.30, 21.38)


def refuse_to_compute(dsk: object, keys: object, **kwargs: object) -> None:
    raise AssertionError("something computed")


@pytest.fixture
def dn_cube() -> xr.DataArray:
    rng = np.random.default_rng(0)
    dn = rng.integers(700, 2500, size=(2, 5, 6, 7)).astype(np.uint16)
    dn[0, :, 0, 0] = sensor.FILL_DN
    dn[1, 2, 3, 3] = sensor.ZERO_RADIANCE_DN
    dn[1, 4, 5, 6] = sensor.SATURATION_DN
    return xr.DataArray(
        dn,
        dims=("time", "band", "y", "x"),
        coords={"band": list(sensor.BANDS), "spatial_ref": 0, "item_id": ("time", ["a", "b"])},
        attrs={"units": "DN", "_FillValue": 0, "provider": "test"},
        name="tir",
    )


@pytest.mark.parametrize("temperature", sorted(PUBLISHED_DN))
def test_published_digital_numbers(temperature: float) -> None:
    radiance = sensor.brightness_temperature_to_radiance(np.full(5, temperature))
    exact = radiance / sensor.UNIT_CONVERSION + 1
    np.testing.assert_allclose(exact, PUBLISHED_DN[temperature], atol=1.0)


def test_the_end_of_the_scale() -> None:
    top = np.full(5, sensor.SATURATION_DN, dtype=np.uint16)
    np.testing.assert_allclose(sensor.dn_to_radiance(top), MAXIMUM_RADIANCE, rtol=1e-3)
    np.testing.assert_allclose(sensor.dn_to_brightness_temperature(top), 370.0, atol=0.8)
    assert sensor.is_saturated(top).all()
    assert not sensor.is_saturated(top - 1).any()


def test_fill_and_zero_radiance() -> None:
    dn = np.array([[0, 1, 2, 1000, 4095]], dtype=np.uint16)
    radiance = sensor.dn_to_radiance(dn, band="B10")
    assert radiance.dtype == np.float32
    assert np.isnan(radiance[0, 0])
    assert radiance[0, 1] == 0.0
    temperature = sensor.dn_to_brightness_temperature(dn, band="B10")
    assert np.isnan(temperature[0, :2]).all()
    assert np.isfinite(temperature[0, 2:]).all()


def test_table_against_the_integral() -> None:
    temperature = np.linspace(200.0, 370.0, 997)
    for band in sensor.BANDS:
        wavelength, response = sensor.spectral_response(band)
        spectrum = planck_wavelength(wavelength, temperature[:, None])
        exact = np.trapezoid(spectrum * response, wavelength) / np.trapezoid(response, wavelength)
        found = sensor.radiance_to_brightness_temperature(exact, band=band)
        assert np.abs(found - temperature).max() < 1e-3


def test_wavelengths_are_the_centroids_of_the_response() -> None:
    for number, band in enumerate(sensor.BANDS):
        wavelength, response = sensor.spectral_response(band)
        centroid = np.trapezoid(wavelength * response, wavelength)
        centroid /= np.trapezoid(response, wavelength)
        assert abs(centroid - sensor.WAVELENGTH_UM[number]) < 1e-4


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_round_trips_are_exact_to_rounding(dtype: type) -> None:
    temperature = np.random.default_rng(1).uniform(180, 390, (100, 5)).astype(dtype)
    radiance = sensor.brightness_temperature_to_radiance(temperature)
    back = sensor.radiance_to_brightness_temperature(radiance)
    assert radiance.dtype == back.dtype == dtype
    assert np.abs(back - temperature).max() < 600 * np.finfo(dtype).eps * 20


def test_quantisation_inverts_every_digital_number() -> None:
    dn = np.repeat(np.arange(0, 4096, dtype=np.uint16)[:, None], 5, axis=1)
    back = sensor.radiance_to_dn(sensor.dn_to_radiance(dn))
    assert back.dtype == np.uint16
    np.testing.assert_array_equal(back, dn)


def test_quantisation_clips_and_fills() -> None:
    radiance = np.array([-1.0, np.nan, 1e3, 0.0, 9.41])
    np.testing.assert_array_equal(
        sensor.radiance_to_dn(radiance), [1, 0, 4095, 1, round(9.41 / 5.225e-3) + 1]
    )


def test_radiance_without_a_temperature_is_nan() -> None:
    radiance = np.array([0.0, -3.0, np.nan, 1e4, np.inf])
    assert np.isnan(sensor.radiance_to_brightness_temperature(radiance)).all()
    assert np.isnan(sensor.brightness_temperature_to_radiance(np.full(5, 401.0))).all()


def test_derivative_is_the_slope() -> None:
    temperature = np.array([250.0, 280.03, 300.0, 320.0, 350.0])
    above = sensor.brightness_temperature_to_radiance(temperature + 0.5)
    below = sensor.brightness_temperature_to_radiance(temperature - 0.5)
    found = sensor.radiance_derivative(temperature)
    np.testing.assert_allclose(found, above - below, rtol=1e-4)
    noise = sensor.noise_equivalent_radiance(0.3, temperature=300.0)
    np.testing.assert_allclose(noise[2], 0.3 * found[2], rtol=1e-12)


def test_lazy_equals_eager_and_keeps_what_it_carries(dn_cube: xr.DataArray) -> None:
    expected = sensor.dn_to_brightness_temperature(np.moveaxis(dn_cube.to_numpy(), 1, -1))
    before = dn_cube.copy(deep=True)
    with dask.config.set(scheduler=refuse_to_compute):
        radiance = sensor.dn_to_radiance(dn_cube.chunk(band=2, y=4, x=3))
        lazy = sensor.radiance_to_brightness_temperature(radiance)
        back = sensor.radiance_to_dn(radiance)
    assert lazy.dims == dn_cube.dims
    assert lazy.dtype == np.float32
    np.testing.assert_array_equal(np.moveaxis(lazy.compute().to_numpy(), 1, -1), expected)
    np.testing.assert_array_equal(back.compute(), dn_cube)
    assert lazy.attrs["units"] == "K"
    assert radiance.attrs["units"] == sensor.RADIANCE_UNITS
    assert lazy.attrs["provider"] == "test"
    assert "_FillValue" not in lazy.attrs
    assert set(lazy.coords) == set(dn_cube.coords)
    xr.testing.assert_identical(dn_cube, before)


def test_bands_are_found_by_their_labels(dn_cube: xr.DataArray) -> None:
    whole = sensor.dn_to_radiance(dn_cube)
    some = sensor.dn_to_radiance(dn_cube.sel(band=["B14", "B10"]))
    xr.testing.assert_identical(some, whole.sel(band=["B14", "B10"]))
    one = sensor.dn_to_radiance(dn_cube.sel(band="B12", drop=True), band="B12")
    np.testing.assert_array_equal(one, whole.sel(band="B12"))


def test_refusals(dn_cube: xr.DataArray) -> None:
    with pytest.raises(ShapeError, match="five bands"):
        sensor.dn_to_radiance(np.zeros((5, 4), np.uint16))
    with pytest.raises(BandError, match="'B9'"):
        sensor.dn_to_radiance(np.zeros(4, np.uint16), band="B9")
    with pytest.raises(BandError, match="'band'"):
        sensor.dn_to_radiance(dn_cube.isel(band=0))
    with pytest.raises(BandError, match="4 unlabelled"):
        sensor.dn_to_radiance(dn_cube.isel(band=slice(4)).drop_vars("band"))
    with pytest.raises(InputError, match="complex"):
        sensor.radiance_to_brightness_temperature(np.zeros(5, complex))


def test_gains_of_a_file() -> None:
    sensor.check_radiance_gain(dict(zip(sensor.BANDS, sensor.UNIT_CONVERSION, strict=True)))
    with pytest.raises(CalibrationError, match="misprint"):
        sensor.check_radiance_gain({"B10": 0.006822})
    with pytest.raises(CalibrationError, match="B14"):
        sensor.check_radiance_gain({"B10": 0.006882, "B14": 0.005693})


def test_the_misprinted_gain_costs_what_the_message_says() -> None:
    dn = np.array([900.0, 1362.0, 1957.0])
    wrong = sensor.radiance_to_brightness_temperature((dn - 1) * 6.822e-3, band="B10")
    right = sensor.dn_to_brightness_temperature(dn, band="B10")
    assert 0.35 < (right - wrong).min() <= (right - wrong).max() < 0.6


def test_the_shared_table_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="read-only"):
        sensor.planck_table().radiance[0, 0] = 1.0
