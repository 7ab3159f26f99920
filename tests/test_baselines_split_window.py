"""The split window against its own equation and against simulated truth."""

from __future__ import annotations

import numpy as np
import pytest

from aktes_xr.baselines import split_window, split_window_table
from aktes_xr.baselines.split_window import (
    EMISSIVITY_ASSUMED,
    INVALID,
    TEMPERATURE_OUT_OF_RANGE,
    WATER_OUT_OF_RANGE,
    predictors,
)
from aktes_xr.errors import InputError, ShapeError
from aktes_xr.simulate import SampleRecipe, simulate_samples


@pytest.fixture(scope="module")
def samples():
    return simulate_samples(SampleRecipe(size=20_000, split="test", nedt_range_k=(0.1, 0.1)))


def test_truth_is_recovered_on_unseen_atmospheres_and_surfaces(samples):
    found = split_window(
        samples["brightness_temperature"].to_numpy(),
        water_vapor=samples["precipitable_water"].to_numpy(),
        emissivity=samples["emissivity"].to_numpy(),
        view_zenith=samples["view_zenith"].to_numpy(),
    )
    error = found - samples["surface_temperature"].to_numpy()
    dry = samples["precipitable_water"].to_numpy() < 10
    assert np.sqrt(np.mean(error[dry] ** 2)) < 0.6
    assert abs(error[dry].mean()) < 0.3
    bright = samples["brightness_temperature"].to_numpy()[:, 3]
    assert (
        np.abs(error).mean()
        < 0.4 * np.abs(bright - samples["surface_temperature"].to_numpy()).mean()
    )


def test_the_kernel_equals_the_matrix_form():
    """At a class's centre the result is that class's coefficients times the terms."""
    table = split_window_table()
    rng = np.random.default_rng(0)
    brightness = rng.uniform(270, 310, size=(50, 5))
    emissivity = rng.uniform(0.93, 0.99, size=(50, 5))
    terms = predictors(
        brightness[:, 3], brightness[:, 4], emissivity[:, 3:], 1 / np.cos(np.deg2rad(8.0))
    )
    for centre, row in zip(table.water_vapor, table.coefficients, strict=True):
        found = split_window(brightness, water_vapor=centre, emissivity=emissivity, view_zenith=8.0)
        np.testing.assert_allclose(found, terms @ row, rtol=0, atol=1e-8)


def test_no_step_where_the_water_column_crosses_a_class():
    water = np.linspace(0.0, 60.0, 6001)
    brightness = np.tile([285.0, 287.0, 288.0, 291.0, 290.0], (water.size, 1))
    found = split_window(brightness, water_vapor=water)
    assert np.abs(np.diff(found)).max() < 0.01


def test_flags_and_missing_values():
    brightness = np.full((5, 5), 290.0)
    brightness[0, 3] = np.nan
    brightness[1] = 190.0
    emissivity = np.full((5, 5), 0.97)
    emissivity[2] = np.nan
    water = np.array([10.0, 10.0, 10.0, 90.0, np.nan])
    result = split_window(brightness, water_vapor=water, emissivity=emissivity, full_output=True)
    assert result.flags[0] & INVALID
    assert np.isnan(result.temperature[[0, 4]]).all()
    assert result.flags[1] & TEMPERATURE_OUT_OF_RANGE
    assert result.flags[2] == EMISSIVITY_ASSUMED
    np.testing.assert_allclose(result.emissivity[2], split_window_table().emissivity)
    assert result.flags[3] == WATER_OUT_OF_RANGE
    assert result.flags[4] & INVALID


def test_float32_stays():
    brightness = np.full((3, 5), 290.0, dtype=np.float32)
    assert split_window(brightness, water_vapor=10.0).dtype == np.float32


def test_bad_arrays_are_named():
    with pytest.raises(ShapeError, match="brightness_temperature"):
        split_window(np.ones((5, 2)), water_vapor=1.0)
    with pytest.raises(ShapeError, match="water_vapor"):
        split_window(np.ones((4, 5)), water_vapor=np.ones(3))
    with pytest.raises(InputError, match="view zenith"):
        split_window(np.full((4, 5), 290.0), water_vapor=1.0, view_zenith=80.0)


def test_the_shipped_coefficients_say_where_they_come_from():
    provenance = split_window_table().provenance
    assert provenance["provenance"]["command"].startswith("python -m aktes_xr.simulate.")
    assert all(entry["samples"] > 1000 for entry in provenance["classes"])


def test_the_fit_is_reproducible_and_close_to_what_is_shipped():
    from aktes_xr.tables.split_window import fit_split_window

    small = fit_split_window(size=30_000, seed=1)
    assert [entry["water_vapor"] for entry in small["classes"]] == list(
        split_window_table().water_vapor
    )
    brightness = np.array([285.0, 287.0, 288.0, 291.0, 290.0])
    terms = predictors(brightness[3], brightness[4], np.array([0.97, 0.975]), 1.0)
    shipped = split_window_table().coefficients @ terms
    refitted = np.array([entry["coefficients"] for entry in small["classes"]]) @ terms
    np.testing.assert_allclose(refitted[:3], shipped[:3], atol=0.3)
