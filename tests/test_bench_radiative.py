"""Against reference spectra and the published spectral file, where they are at hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from aktes_xr import radiative, sensor
from aktes_xr.bench.radiative import compare, reference_directory
from aktes_xr.radiative.gases import absorption_arrays, assemble, gas_absorption
from aktes_xr.tables.gas_fit import fit_calibration, read_reference, solve_reference, subset
from aktes_xr.tables.response import build_sensor_table
from aktes_xr.tables.socrates import read_absorption

TRANSMITTANCE = np.array([0.005, 0.005, 0.009, 0.009, 0.010])
PATH_RADIANCE = np.array([0.04, 0.03, 0.05, 0.06, 0.06])


@pytest.fixture(scope="module")
def directory() -> Path:
    found = reference_directory()
    if found is None:
        pytest.skip("no reference data: set AKTES_REFERENCE_DATA")
    return found


def test_profiles_the_calibration_has_not_seen(directory: Path) -> None:
    """One fold of the cross-validation; the benchmark runs all five."""
    reference = read_reference(directory / "reference_rt.nc")
    number = np.arange(40)
    seen, unseen = number[number % 5 != 2], number[number % 5 == 2]
    calibration = fit_calibration(absorption_arrays(), subset(reference, seen))
    left_out = subset(reference, unseen)
    found = solve_reference(left_out, assemble(absorption_arrays(), calibration))
    errors = compare(left_out, found)
    assert (errors.transmittance < TRANSMITTANCE).all()
    assert (errors.path_radiance < PATH_RADIANCE).all()
    assert (errors.brightness_temperature < 0.2).all()
    plain = compare(left_out, solve_reference(left_out, gas_absorption(calibrated=False)))
    assert (errors.brightness_temperature < plain.brightness_temperature).all()


def test_the_public_function_is_what_was_compared(directory: Path) -> None:
    reference = read_reference(directory / "reference_rt.nc")
    found = solve_reference(subset(reference, np.array([4])), gas_absorption())
    with xr.open_dataset(directory / "reference_rt.nc") as data:
        one = data.isel(profile=4)
        out = radiative.simulate_atmosphere(one.p, one["T"], one.q, one.o3)
    np.testing.assert_allclose(out.transmittance, found[0, 0], rtol=1e-12)
    np.testing.assert_allclose(out.path_radiance, found[0, 1], rtol=1e-12)


def test_shipped_absorption_is_the_published_file_reduced(directory: Path) -> None:
    fresh = read_absorption(directory / "socrates_sp_lw_300.txt")
    shipped = absorption_arrays()
    for name, values in fresh.items():
        np.testing.assert_array_equal(shipped[name], values, err_msg=name)


def test_shipped_response_is_the_published_one(directory: Path, tmp_path: Path) -> None:
    build_sensor_table(directory / "aster_tir_srf.csv", tmp_path / "table.npz")
    with np.load(tmp_path / "table.npz") as fresh:
        # NumPy's exp differs in its last bit between one processor's vector units and another's.
        np.testing.assert_allclose(fresh["radiance"], sensor.planck_table().radiance, rtol=1e-14)
