from __future__ import annotations

import numpy as np
import pytest

from aktes_xr.learn.cloud_sample import draw_cloud_pixels
from aktes_xr.models.cloud_features import (
    CLOUD_FEATURES,
    SEEN,
    STATISTICS,
    cloud_features,
    scene_statistics,
)
from aktes_xr.radiative.water import absorption_efficiency
from aktes_xr.simulate import Field, FieldRecipe, draw_fields
from aktes_xr.simulate.clouds import KINDS, lay_clouds


@pytest.fixture(scope="module")
def field() -> Field:
    recipe = FieldRecipe(count=1, shape=(48, 48), gap_share=0.0, structures=("patches",))
    return next(iter(draw_fields(recipe)))


@pytest.mark.parametrize("kind", KINDS)
def test_clouds_change_what_lies_under_them_alone(field: Field, kind: str) -> None:
    under = lay_clouds(np.random.default_rng(1), field, kind)
    clear = under.depth == 0.0
    before = field.brightness_temperature
    np.testing.assert_array_equal(under.brightness_temperature[clear], before[clear])
    assert np.isnan(under.height[clear]).all()
    assert (under.change[clear] == 0.0).all()
    assert (~clear).any()
    assert (under.height[~clear] > 0.0).all()
    again = lay_clouds(np.random.default_rng(1), field, kind)
    np.testing.assert_array_equal(again.depth, under.depth)


def test_high_thick_cloud_is_cold_and_thin_ice_has_its_spectrum(field: Field) -> None:
    found = [lay_clouds(np.random.default_rng(seed), field, "front") for seed in range(12)]
    thick = np.concatenate([f.change[(f.depth > 5.0) & (f.height > 5000.0)] for f in found])
    assert np.median(thick) > 15.0
    # Ice absorbs half as well at 8 um as at 11 um where its crystals are small (Warren 2008).
    ratio = absorption_efficiency("ice", 10.0)
    assert ratio[0] / ratio[4] < 0.65
    large = absorption_efficiency("ice", 60.0)
    assert large[0] / large[4] > 0.9


def image(rows: int, columns: int) -> np.ndarray:
    rng = np.random.default_rng(0)
    seen = np.full((len(SEEN), rows, columns), np.nan, np.float32)
    seen[:5] = 295.0 + rng.standard_normal((5, rows, columns))
    seen[5] = 500.0
    return seen


def test_features_have_names_and_unknown_ones_are_nan() -> None:
    seen = image(30, 40)
    statistics = scene_statistics(seen.reshape(len(SEEN), -1))
    assert statistics.shape == (len(STATISTICS),)
    features = cloud_features(seen, statistics, 40.0)
    assert features.shape == (len(CLOUD_FEATURES), 30, 40)
    known = dict(zip(CLOUD_FEATURES, features, strict=True))
    assert np.isnan(known["below_air"]).all()
    assert (known["air_known"] == 0.0).all()
    assert (known["elevation_known"] == 1.0).all()
    np.testing.assert_allclose(known["sun_height"], np.cos(np.deg2rad(40.0)), rtol=1e-6)
    # A colder pixel lies further below its scene.
    seen[:5, 10, 10] -= 20.0
    colder = dict(zip(CLOUD_FEATURES, cloud_features(seen, statistics, 40.0), strict=True))
    gap = known["below_scene_p90"][10, 10] - colder["below_scene_p90"][10, 10]
    np.testing.assert_allclose(gap, 20.0, rtol=1e-4)
    assert np.isnan(scene_statistics(np.full((len(SEEN), 100), np.nan, np.float32))).all()


def test_pixels_to_train_on_have_their_truth() -> None:
    drawn = {"per_field": 50, "shape": (32, 32), "steep_share": 0.0}
    pixels = draw_cloud_pixels(6, split="train", seed=1, **drawn)  # type: ignore[arg-type]
    assert pixels.features.shape[1] == len(CLOUD_FEATURES)
    assert pixels.cloudy.any()
    assert (~pixels.cloudy).any()
    np.testing.assert_array_equal(pixels.cloudy, pixels.depth >= 0.3)
    assert (pixels.depth[~pixels.cloudy] == 0.0).all()
    again = draw_cloud_pixels(6, split="train", seed=1, **drawn)  # type: ignore[arg-type]
    np.testing.assert_array_equal(again.features, pixels.features)
