from __future__ import annotations

import numpy as np
from scipy.constants import Stefan_Boltzmann

from aktes_xr import sensor
from aktes_xr.radiative import planck


def test_stefan_and_boltzmann() -> None:
    wavenumber = np.linspace(0.5, 20000, 400_001)
    for temperature in (220.0, 300.0):
        total = np.trapezoid(planck.planck_wavenumber(wavenumber, temperature), wavenumber)
        assert abs(np.pi * total / (Stefan_Boltzmann * temperature**4) - 1) < 1e-6


def test_wien() -> None:
    """Wien's displacement: 2897.771955 um K, CODATA 2018."""
    wavelength = np.linspace(8, 11, 300_001)
    peak = wavelength[np.argmax(planck.planck_wavelength(wavelength, 300.0))]
    assert abs(peak * 300.0 - 2897.771955) < 0.01


def test_wavelength_and_wavenumber_agree() -> None:
    wavelength = np.array([8.3, 10.6, 11.3])
    by_number = planck.planck_wavenumber(1e4 / wavelength, 290.0) * 1e4 / wavelength**2
    np.testing.assert_allclose(planck.planck_wavelength(wavelength, 290.0), by_number, rtol=1e-12)


def test_inverse_and_derivative() -> None:
    temperature = np.array([210.0, 280.0, 340.0])
    radiance = planck.planck_wavelength(10.66, temperature)
    np.testing.assert_allclose(planck.planck_temperature(10.66, radiance), temperature, rtol=1e-12)
    assert np.isnan(planck.planck_temperature(10.66, [0.0, -1.0])).all()
    step = planck.planck_wavelength(10.66, temperature + 0.01) - planck.planck_wavelength(
        10.66, temperature - 0.01
    )
    np.testing.assert_allclose(planck.planck_derivative(10.66, temperature), step / 0.02, rtol=1e-6)


def test_compiled_functions_agree_with_the_sensor() -> None:
    table = sensor.planck_table()
    grid = (float(table.temperature[0]), table.step)
    rng = np.random.default_rng(0)
    for number, band in enumerate(sensor.BANDS):
        row = table.radiance[number]
        for temperature in [*rng.uniform(120, 400, 50), 120.0]:
            radiance = planck.band_radiance(temperature, *grid, row)
            plain = sensor.brightness_temperature_to_radiance(temperature, band=band)
            assert abs(radiance - plain) < 1e-12 * max(plain, 1)
            assert abs(planck.band_temperature(radiance, *grid, row) - temperature) < 1e-8
        assert np.isnan(planck.band_radiance(119.0, *grid, row))
        assert np.isnan(planck.band_radiance(np.nan, *grid, row))
        assert np.isnan(planck.band_temperature(-1.0, *grid, row))
        assert np.isnan(planck.band_temperature(1e3, *grid, row))
