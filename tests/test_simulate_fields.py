"""Fields of many worlds: their structures, noise, surfaces, and what is told of them."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from aktes_xr import sensor
from aktes_xr.errors import InputError
from aktes_xr.radiative.surface import top_of_atmosphere_radiance
from aktes_xr.radiative.table import profiles_of
from aktes_xr.radiative.water import ice_emissivity, water_emissivity
from aktes_xr.simulate import (
    STRUCTURES,
    TERRAIN_STRUCTURES,
    FieldRecipe,
    draw_emissivity,
    draw_fields,
    load_prior,
)
from aktes_xr.simulate.cover import draw_cover, tell_emissivity
from aktes_xr.simulate.emissivity import CLASS_NAMES, RAW, RAW_FLOOR, SPLITS
from aktes_xr.simulate.landcover import FREEZING_K, SNOW, WATER
from aktes_xr.simulate.resampling import cubic_gain, resampled_noise
from aktes_xr.simulate.structures import Layout, Site, draw_layout

SMALL = (40, 44)


@pytest.fixture(scope="module")
def flat():
    return list(draw_fields(FieldRecipe(count=8 * len(STRUCTURES), seed=1, shape=SMALL)))


@pytest.fixture(scope="module")
def steep():
    recipe = FieldRecipe(count=len(TERRAIN_STRUCTURES), seed=1, shape=SMALL, terrain=True)
    return list(draw_fields(recipe))


def test_structures_have_equal_shares(flat, steep):
    assert set(Counter(field.structure for field in flat).values()) == {8}
    assert Counter(field.structure for field in steep) == dict.fromkeys(TERRAIN_STRUCTURES, 1)


def test_a_field_is_the_same_whatever_is_drawn_before_it():
    recipe = FieldRecipe(count=3, first=4, seed=9, shape=SMALL)
    whole = list(draw_fields(recipe))
    (alone,) = draw_fields(replace(recipe, first=5, count=1))
    np.testing.assert_array_equal(alone.dn, whole[1].dn)
    for name, values in alone.told.items():
        np.testing.assert_array_equal(values, whole[1].told[name])
    (other,) = draw_fields(replace(recipe, first=5, count=1, seed=10))
    assert not np.array_equal(other.dn, alone.dn)


@pytest.mark.parametrize("terrain", [False, True])
def test_radiance_without_noise_obeys_the_radiance_equation(terrain):
    recipe = FieldRecipe(
        count=3, seed=2, shape=SMALL, terrain=terrain, nedt_range_k=(0.0, 0.0), gap_share=0.0
    )
    for field in draw_fields(recipe):
        around = {}
        if field.terrain is not None:
            around = {
                "sky_view_factor": field.terrain.sky_view_factor,
                "adjacent_radiance": field.terrain.adjacent_radiance,
            }
        exact = top_of_atmosphere_radiance(
            field.surface_temperature,
            field.emissivity,
            field.air.transmittance,
            field.air.path_radiance,
            field.air.sky_radiance,
            **around,
        )
        off = np.abs(sensor.dn_to_radiance(field.dn) - exact) / sensor.UNIT_CONVERSION
        assert off.max() < 0.51


def test_what_is_not_measured_has_no_temperature(flat):
    assert any((field.dn == 0).any() for field in flat)
    assert any(field.cloud.any() for field in flat)
    assert sum(field.valid.all() for field in flat) > 0.5 * len(flat)
    for field in flat:
        np.testing.assert_array_equal(np.isnan(field.brightness_temperature), field.dn == 0)


def test_noise_is_correlated_as_the_kernel_predicts():
    """At distance d the autocorrelation of cubic convolution is that of its kernel with itself."""
    noise = resampled_noise(np.random.default_rng(0), (400, 400, 5), "cubic")
    assert noise.std() == pytest.approx(1.0, abs=0.02)
    grid = np.linspace(-4.0, 4.0, 8001)
    size = np.abs(grid)
    kernel = np.where(
        size <= 1,
        1.5 * size**3 - 2.5 * size**2 + 1,
        np.where(size < 2, -0.5 * size**3 + 2.5 * size**2 - 4 * size + 2, 0.0),
    )
    energy = np.sum(kernel**2)
    next_to = np.sum(kernel[1000:] * kernel[:-1000]) / energy
    found = np.mean(noise[:, 1:] * noise[:, :-1])
    assert found == pytest.approx(next_to, abs=0.06)
    assert cubic_gain() == pytest.approx(energy * (grid[1] - grid[0]), rel=1e-3)
    white = resampled_noise(np.random.default_rng(0), (200, 200, 5), "none")
    assert abs(np.mean(white[:, 1:] * white[:, :-1])) < 0.01


def test_sharp_borders_stay_sharp(flat):
    """A field of straight edges has no pixel between two kinds."""
    for number in range(5):
        layout = draw_layout(np.random.default_rng(number), "edges", Site(SMALL))
        assert set(np.unique(layout.fractions)) == {0.0, 1.0}
    softened = [
        draw_layout(np.random.default_rng(number), "patches", Site(SMALL)).fractions
        for number in range(30)
    ]
    between = [((part > 0.02) & (part < 0.98)).mean() for part in softened]
    assert np.mean(np.array(between) == 0) > 0.2
    assert np.max(between) > 0.1


def test_water_emits_as_fresnel_says():
    np.testing.assert_allclose(water_emissivity(), (0.984, 0.985, 0.986, 0.993, 0.993), atol=0.001)
    # Smooth water hardly changes up to the sensor's largest angle, and darkens beyond.
    np.testing.assert_allclose(water_emissivity(9.0), water_emissivity(), atol=1e-4)
    assert (water_emissivity(60.0) < water_emissivity() - 0.02).all()
    assert ice_emissivity()[4] < 0.98
    with pytest.raises(InputError, match="incidence"):
        water_emissivity(95.0)


def test_drawn_water_is_water(flat):
    emissivity, classes = draw_emissivity(np.random.default_rng(0), 20_000)
    water = emissivity[classes == WATER]
    np.testing.assert_allclose(water.mean(axis=0), water_emissivity(), atol=0.003)
    for field in flat:
        if field.structure == "sea":
            np.testing.assert_allclose(
                field.emissivity.mean(axis=(0, 1)), water_emissivity(), atol=0.006
            )
            assert field.water.all()


def test_a_tenth_are_raw_endmembers_and_none_is_metal():
    for split in SPLITS:
        prior = load_prior()
        for surface in prior.classes:
            if surface.name in RAW:
                raw = prior.draw_raw(np.random.default_rng(0), surface, 300, split=split)
                assert raw.min() > RAW_FLOOR - 0.06
    with_raw, classes = draw_emissivity(np.random.default_rng(1), 30_000)
    rock = with_raw[classes == CLASS_NAMES.index("rock")]
    # Single endmembers reach beyond what mixtures do.
    assert np.percentile(rock.min(axis=1), 1) < 0.72


def test_varied_land_is_of_any_class():
    counts = np.zeros((2, len(CLASS_NAMES)))
    for number in range(600):
        for row in (0, 1):
            site = Site((16, 16), any_land=bool(row))
            layout = draw_layout(np.random.default_rng(number), "homogeneous", site)
            counts[row, layout.classes[0]] += 1 / 600
    rock = CLASS_NAMES.index("rock")
    assert counts[0, rock] < 0.2
    np.testing.assert_allclose(counts[1, counts[1] > 0], 0.2, atol=0.06)
    assert (counts[:, [WATER, SNOW]] == 0).all()


def test_single_endmembers_are_as_many_as_asked_for():
    prior, rng = load_prior(), np.random.default_rng(0)
    rock = next(surface for surface in prior.classes if surface.name == "rock")
    mixed, alone = (
        prior.draw(rng, rock, 4000, split="train", alone=share).min(axis=1) for share in (0.0, 1.0)
    )
    # A mixture has no single mineral's whole contrast.
    assert alone.std() > 1.3 * mixed.std()
    assert prior.draw(rng, rock, 4000, split="train").min(axis=1).std() < alone.std()


def test_snow_is_cold_and_its_line_lies_anywhere(flat, steep):
    shares = []
    for field in [*flat, *steep]:
        if field.structure == "snow":
            snow = field.surface_class == SNOW
            shares.append(snow.mean())
            if snow.any():
                coldest_half = np.quantile(field.surface_temperature[snow], 0.5)
                assert coldest_half <= FREEZING_K + 0.01
    assert np.min(shares) < 0.45
    assert np.max(shares) > 0.55


def prior_errors(of_surface: float) -> np.ndarray:
    shape = (60, 60)
    layout = Layout(
        np.ones((*shape, 1), np.float32), np.array([3], np.int8), np.zeros(shape, np.float32)
    )
    errors = []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        cover = draw_cover(rng, layout, split="train")
        told, stated = tell_emissivity(
            rng, cover, stated=0.01, actual=0.01, of_surface=of_surface, of_bands=0.2
        )
        errors.append((told - cover.emissivity) / stated[..., np.newaxis])
    return np.array(errors)


@pytest.mark.parametrize("share", [0.3, 0.9])
def test_the_priors_error_is_common_to_a_surface_in_part(share):
    errors = prior_errors(share)
    common = errors.mean(axis=(1, 2))
    own = errors - common[:, np.newaxis, np.newaxis]
    assert np.mean(common**2) == pytest.approx(share, abs=0.2)
    assert own.var() == pytest.approx(1 - share, rel=0.15)


def test_told_errors_are_wide_and_as_large_as_stated():
    recipe = FieldRecipe(
        count=240, seed=3, shape=(16, 16), wrong_share=0.0, structures=("homogeneous",)
    )
    ratios: dict[str, list[float]] = {"air_temperature": [], "surface_pressure": []}
    stated = []
    for field in draw_fields(recipe):
        truths = (field.air.air_temperature, field.surface_pressure)
        for (name, ratio), truth in zip(ratios.items(), truths, strict=True):
            ratio.append(float((field.told[name] - truth) / field.told[f"{name}_error"]))
        stated.append(float(field.told["water_vapor_error"] / field.told["water_vapor"]))
        assert 1.0 * 0.6 <= field.told["skin_temperature_error"] <= 8.0
    for ratio in ratios.values():
        assert np.std(ratio) == pytest.approx(1.0, abs=0.12)
    assert np.min(stated) < 0.04
    assert np.max(stated) > 0.4


def test_air_is_wet_cold_and_high_somewhere():
    recipe = FieldRecipe(count=240, seed=4, shape=(16, 16), structures=("homogeneous",))
    fields = list(draw_fields(recipe))
    water = np.array([float(field.air.precipitable_water) for field in fields])
    assert np.max(water) > 50
    assert np.max(water) <= 75
    assert min(float(field.air.air_temperature) for field in fields) < 255
    assert min(float(field.surface_pressure) for field in fields) < 620


def test_splits_share_no_air():
    for split in SPLITS:
        recipe = FieldRecipe(count=6, seed=5, split=split, shape=(16, 16))
        assert {field.profile for field in draw_fields(recipe)} <= set(profiles_of(split))


def test_relief_hides_the_sky_and_tells_of_heights(steep):
    views = np.concatenate([field.terrain.sky_view_factor.ravel() for field in steep])
    assert views.min() < 0.85
    assert views.max() > 0.97
    for field in steep:
        assert field.terrain.elevation.shape == SMALL
        assert field.told["surface_pressure"].shape == SMALL
        assert (
            np.corrcoef(field.terrain.elevation.ravel(), field.surface_pressure.ravel())[0, 1]
            < -0.99
            or np.ptp(field.terrain.elevation) < 1.0
        )
    wet = next(field for field in steep if field.structure == "water")
    level = wet.terrain.elevation[wet.water]
    if level.size:
        assert np.ptp(level[wet.terrain.slope[wet.water] < 0.1]) < 1e-3


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"structures": ("lunar",)}, "lunar"),
        ({"structures": ("sea",), "terrain": True}, "sea"),
        ({"shape": (4, 4)}, "16 x 16"),
        ({"split": "all"}, "split"),
        ({"resampling": "bicubic"}, "bicubic"),
    ],
)
def test_bad_recipes_are_named(settings, text):
    with pytest.raises(InputError, match=text):
        FieldRecipe(**settings)


def test_a_field_must_fit_into_the_relief():
    with pytest.raises(InputError, match="relief of"):
        list(draw_fields(FieldRecipe(count=1, terrain=True, shape=(900, 900))))
