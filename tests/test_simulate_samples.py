"""Training samples: seeds, splits, the radiance equation, and what is told."""

from __future__ import annotations

import numpy as np
import pytest

from aktes_xr import sensor
from aktes_xr.errors import InputError
from aktes_xr.radiative.surface import top_of_atmosphere_radiance
from aktes_xr.radiative.table import profiles_of
from aktes_xr.simulate import SampleRecipe, simulate_samples
from aktes_xr.simulate.atmospheres import MAX_PRECIPITABLE_WATER, ground_pressure, members
from aktes_xr.simulate.emissivity import CLASS_NAMES, SPLITS

PER_BAND = {
    "radiance",
    "brightness_temperature",
    "nedt",
    "emissivity",
    "emissivity_prior",
    "emissivity_prior_uncertainty",
    "transmittance",
    "path_radiance",
    "sky_radiance",
}
TERRAIN = {
    "sky_view_factor",
    "slope",
    "solar_incidence",
    "relief",
    "elevation_difference",
    "adjacent_brightness_temperature",
}


@pytest.fixture(scope="module")
def samples():
    return simulate_samples(SampleRecipe(size=20_000, seed=1))


@pytest.fixture(scope="module")
def steep():
    return simulate_samples(SampleRecipe(size=3_000, seed=1, terrain=True))


def test_names_dimensions_and_units(samples):
    assert dict(samples.sizes) == {"sample": 20_000, "band": 5}
    for name in PER_BAND:
        assert samples[name].dims == ("sample", "band")
    for name in ("surface_temperature", "water_vapor", "surface_pressure", "view_zenith"):
        assert samples[name].dims == ("sample",)
        assert samples[name].dtype == np.float32
    assert samples["water_vapor"].attrs["units"] == "kg m-2"
    assert samples["surface_pressure"].attrs["units"] == "hPa"
    assert samples["path_radiance"].attrs["units"] == sensor.RADIANCE_UNITS
    assert all(bool(np.isfinite(v).all()) for v in samples.values() if v.dtype.kind == "f")


def test_equal_recipes_give_equal_samples():
    recipe = SampleRecipe(size=500, seed=7)
    first = simulate_samples(recipe)
    assert first.identical(simulate_samples(recipe))
    assert not np.array_equal(
        first["radiance"], simulate_samples(SampleRecipe(size=500, seed=8))["radiance"]
    )


def test_splits_share_no_profile():
    drawn = {
        split: set(
            simulate_samples(SampleRecipe(size=3_000, split=split))["profile"].to_numpy().tolist()
        )
        for split in SPLITS
    }
    for split in SPLITS:
        assert drawn[split] <= set(profiles_of(split).tolist())
    assert not drawn["train"] & drawn["test"]
    assert not drawn["train"] & drawn["validation"]


def test_protocol_p_draws_from_the_six_model_atmospheres():
    drawn = simulate_samples(SampleRecipe(size=2_000, protocol="P"))
    assert members("train", "P").size == 6
    assert set(drawn["profile"].to_numpy().tolist()) == set(members("train", "P").tolist())


def test_radiance_obeys_the_equation_to_noise_and_quantisation(samples):
    exact = top_of_atmosphere_radiance(
        *(
            samples[name].to_numpy()
            for name in (
                "surface_temperature",
                "emissivity",
                "transmittance",
                "path_radiance",
                "sky_radiance",
            )
        )
    )
    expected = sensor.noise_equivalent_radiance(samples["nedt"].to_numpy().astype(np.float64))
    scaled = (samples["radiance"].to_numpy() - exact) / np.hypot(
        expected, sensor.UNIT_CONVERSION / np.sqrt(12)
    )
    assert abs(scaled.mean()) < 0.02
    assert scaled.std() == pytest.approx(1.0, abs=0.02)
    counts = samples["radiance"].to_numpy().astype(np.float64) / sensor.UNIT_CONVERSION
    np.testing.assert_allclose(counts, np.rint(counts), atol=1e-3)
    np.testing.assert_allclose(
        samples["brightness_temperature"],
        sensor.radiance_to_brightness_temperature(samples["radiance"].to_numpy()),
    )


def test_noise_is_drawn_per_band_within_its_range(samples):
    nedt = samples["nedt"].to_numpy()
    assert nedt.min() >= 0.05
    assert nedt.max() <= 0.3
    assert abs(np.corrcoef(nedt[:, 0], nedt[:, 1])[0, 1]) < 0.03


def test_told_ancillaries_have_the_stated_errors():
    drawn = simulate_samples(
        SampleRecipe(
            size=20_000,
            water_vapor_error=(0.05, 0.2),
            air_temperature_error_k=(1.0, 3.0),
        )
    )
    for told, truth in (
        ("water_vapor", "precipitable_water"),
        ("air_temperature", "true_air_temperature"),
    ):
        error = drawn[f"{told}_error"]
        if told == "water_vapor":
            # Stated in proportion to what is told; the error was drawn in proportion to the truth.
            error = error / drawn[told] * drawn[truth]
        scaled = (drawn[told] - drawn[truth]) / error
        assert float(scaled.std()) == pytest.approx(1.0, abs=0.06)
        assert abs(float(scaled.mean())) < 0.08
    prior = (drawn["emissivity_prior"] - drawn["emissivity"]) / drawn[
        "emissivity_prior_uncertainty"
    ]
    inside = prior.where(drawn["emissivity"] < 0.93)
    assert float(inside.std()) == pytest.approx(1.0, abs=0.05)
    assert float(drawn["emissivity_prior_uncertainty"].min()) >= 0.005
    assert float(drawn["emissivity_prior_uncertainty"].max()) <= 0.03


def prior_errors(**settings):
    drawn = simulate_samples(
        SampleRecipe(size=20_000, emissivity_error=(0.01, 0.01), protocol="P", **settings)
    )
    error = (drawn["emissivity_prior"] - drawn["emissivity"]) / 0.01
    # No prior is above 1: only surfaces that are far from it keep their whole error.
    dark = (drawn["emissivity"] < 0.94).all("band")
    return error.where(dark, drop=True).transpose("sample", "band").to_numpy()


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_a_share_of_the_prior_error_is_common_to_the_bands(share):
    correlation = np.corrcoef(prior_errors(emissivity_error_common=(share, share)).T)
    between = correlation[np.triu_indices(5, 1)]
    np.testing.assert_allclose(between, share, atol=0.1)


def test_wrong_ancillaries_are_three_times_as_wrong():
    assert prior_errors(wrong_ancillaries=1.0).std() == pytest.approx(3.0, rel=0.05)
    half = prior_errors(wrong_ancillaries=0.5).std()
    assert half == pytest.approx(np.sqrt((1.0 + 9.0) / 2), rel=0.05)


def test_evened_draw_brings_more_water():
    plain, even = (
        simulate_samples(SampleRecipe(size=20_000, even_water=even))["precipitable_water"]
        for even in (False, True)
    )
    assert float((even > 40.0).mean()) > 1.4 * float((plain > 40.0).mean())
    assert float((even < 10.0).mean()) > 0.2


def test_protocol_p_scales_nothing_but_water():
    drawn = simulate_samples(SampleRecipe(size=20_000, protocol="P"))
    # The sea-level air temperatures of the six model atmospheres.
    sea = drawn["true_air_temperature"].where(drawn["surface_pressure"] > 1012.5, drop=True)
    assert len(np.unique(sea.round(1))) <= 12


def test_columns_are_believable(samples):
    assert float(samples["precipitable_water"].max()) <= MAX_PRECIPITABLE_WATER
    assert float(samples["view_zenith"].max()) <= 15.0
    pressure, profile = samples["surface_pressure"].to_numpy(), samples["profile"].to_numpy()
    assert (pressure <= ground_pressure()[profile] + 1e-3).all()
    assert pressure.min() >= 500.0 - 1e-3


def test_snow_is_cold_and_days_are_warm(samples):
    snow = samples["surface_class"].to_numpy() == CLASS_NAMES.index("snow_ice")
    assert float(samples["surface_temperature"].to_numpy()[snow].max()) <= 273.15
    excess = (samples["surface_temperature"] - samples["true_air_temperature"]).to_numpy()
    soil = samples["surface_class"].to_numpy() == CLASS_NAMES.index("soil")
    day = samples["day"].to_numpy()
    assert excess[soil & day].mean() > 8.0
    assert excess[soil & ~day].mean() < -2.0


def test_terrain_samples_have_their_fields_and_a_joint_distribution(steep):
    assert set(steep.data_vars) >= TERRAIN
    for name in TERRAIN - {"elevation_difference"}:
        assert bool(np.isfinite(steep[name]).all()), name
    view, slope = steep["sky_view_factor"].to_numpy(), steep["slope"].to_numpy()
    assert view.min() < 0.8
    assert view.max() <= 1.0
    assert np.corrcoef(view, slope)[0, 1] < -0.5
    night = ~steep["day"].to_numpy()
    assert (steep["solar_incidence"].to_numpy()[night] == 0).all()
    # A pixel is like its neighbours.
    own = steep["brightness_temperature"].to_numpy()[:, 3]
    around = steep["adjacent_brightness_temperature"].to_numpy()[:, 3]
    assert np.corrcoef(own, around)[0, 1] > 0.95


def test_terrain_samples_obey_the_terrain_equation(steep):
    view = steep["sky_view_factor"].to_numpy()
    names = ("surface_temperature", "emissivity", "transmittance", "path_radiance", "sky_radiance")
    exact = top_of_atmosphere_radiance(
        *(steep[name].to_numpy() for name in names),
        sky_view_factor=view,
        adjacent_radiance=steep["adjacent_radiance"].to_numpy(),
    )
    sigma = sensor.noise_equivalent_radiance(steep["nedt"].to_numpy().astype(np.float64))
    scaled = (steep["radiance"].to_numpy() - exact) / np.hypot(
        sigma, sensor.UNIT_CONVERSION / np.sqrt(12)
    )
    assert abs(scaled.mean()) < 0.05
    assert scaled.std() == pytest.approx(1.0, abs=0.05)


def test_terrain_samples_repeat_by_seed(steep):
    again = simulate_samples(SampleRecipe(size=3_000, seed=1, terrain=True))
    assert steep.identical(again)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"size": 0}, "size"),
        ({"split": "all"}, "split"),
        ({"protocol": "X"}, "protocol"),
        ({"view_zenith_max_deg": 20.0}, "view angles"),
    ],
)
def test_bad_recipes_are_named(options, text):
    with pytest.raises(InputError, match=text):
        SampleRecipe(**options)
