"""Synthetic landforms and samples of one locality."""

from __future__ import annotations

import numpy as np
import pytest

from aktes_xr.errors import InputError
from aktes_xr.simulate.domains import RELIEFS, Locality
from aktes_xr.simulate.observation import SampleRecipe
from aktes_xr.simulate.relief import CELL_SIZE_M, LANDFORMS, landform, relief_of
from aktes_xr.simulate.terrain_samples import terrain_fields
from aktes_xr.terrain import indices_array
from aktes_xr.terrain.complexity import complexity_k


@pytest.mark.parametrize("kind", LANDFORMS)
def test_landforms_have_their_height_and_repeat_by_seed(kind):
    heights = relief_of(kind, (200, 200), seed=3, relief_m=1500.0)
    assert 600.0 < np.ptp(heights) < 3500.0
    np.testing.assert_array_equal(heights, relief_of(kind, (200, 200), seed=3, relief_m=1500.0))
    assert not np.array_equal(heights, relief_of(kind, (200, 200), seed=4, relief_m=1500.0))
    higher = relief_of(kind, (200, 200), seed=3, relief_m=3000.0)
    assert np.ptp(higher) > 1.5 * np.ptp(heights)


def test_canyons_hide_most_of_the_sky_and_plateaus_nothing():
    heights = relief_of("canyon", (300, 300), seed=3, relief_m=1500.0)
    view = indices_array(heights.astype(np.float32), CELL_SIZE_M, azimuths=16)["sky_view_factor"]
    assert (view < 0.7).mean() > 0.02
    assert (view > 0.96).mean() > 0.2


def test_a_landform_lies_on_a_granules_grid():
    elevation = landform("volcano", (40, 50), relief_m=2000.0)
    assert elevation.dims == ("y", "x")
    assert elevation.rio.crs.is_projected
    assert float(elevation["y"][0] - elevation["y"][1]) == pytest.approx(CELL_SIZE_M[0])


def test_unknown_landforms_are_named():
    with pytest.raises(InputError, match="plain"):
        relief_of("plain", (10, 10))


def test_test_terrain_is_of_other_kinds_than_training():
    kinds = {split: {kind for kind, _ in forms} for split, forms in RELIEFS.items()}
    assert kinds["test"] - kinds["train"] == {"ridge_valley", "volcano"}


def test_a_locality_bounds_climate_cover_and_ground():
    rng = np.random.default_rng(0)
    ground = (300.0 * rng.random((90, 100)) + 1000.0).astype(np.float32)
    place = Locality(
        covers=("arid",),
        water_vapor_range=(4.0, 12.0),
        air_temperature_range_k=(285.0, 300.0),
        elevation=(ground,),
    )
    fields = terrain_fields(SampleRecipe(size=600, seed=2, terrain=True), place)
    # The range holds at the region's height; moisture and height scatter about it.
    assert 2.5 < np.median(fields["precipitable_water"]) < 13.5
    assert 283.0 < np.median(fields["true_air_temperature"]) < 302.0
    everywhere = terrain_fields(SampleRecipe(size=600, seed=2, terrain=True))
    assert np.ptp(everywhere["precipitable_water"]) > 1.5 * np.ptp(fields["precipitable_water"])
    assert fields["surface_pressure"].max() < 905.0


def test_some_samples_do_not_say_the_height_of_their_ancillaries():
    fields = terrain_fields(SampleRecipe(size=4000, seed=5, terrain=True))
    difference = fields["elevation_difference"]
    assert 0.05 < np.isnan(difference).mean() < 0.6
    assert (difference == 0).any()
    assert (np.abs(np.nan_to_num(difference)) > 100).any()


def test_told_illumination_knows_no_cast_shadow():
    fields = terrain_fields(SampleRecipe(size=3000, seed=5, terrain=True))
    night = ~fields["day"]
    assert (fields["solar_incidence"][night] == 0).all()
    assert (fields["solar_incidence"][~night] > 0).mean() > 0.8


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"covers": ("lunar",)}, "lunar"),
        ({"covers": ()}, "land covers"),
        ({"water_vapor_range": (9.0, 3.0)}, "water_vapor_range"),
        ({"elevation": (np.zeros((20, 200), np.float32),)}, "20, 200"),
    ],
)
def test_bad_localities_are_named(options, text):
    with pytest.raises(InputError, match=text):
        Locality(**options)


def test_complexity_of_pixels_and_maps_is_one_function():
    kelvin = complexity_k(np.array([1.0, 0.9, 0.7], np.float32))
    assert kelvin.dtype == np.float32
    assert kelvin[0] == 0
    assert 0.1 < kelvin[1] < 0.4 < kelvin[2]
