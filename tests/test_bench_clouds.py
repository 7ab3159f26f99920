from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from aktes_xr.bench.world import scene
from aktes_xr.bench.world.clouds import CLOUD_KINDS, cover_with_clouds


@pytest.fixture(scope="module")
def ground() -> xr.Dataset:
    return scene(0, size=32)


@pytest.mark.parametrize("kind", CLOUD_KINDS)
def test_foreign_clouds_have_their_truth(ground: xr.Dataset, kind: str) -> None:
    found = cover_with_clouds(ground, kind)
    assert found.brightness_temperature.shape == (5, 32, 32)
    clear = found.depth == 0.0
    assert np.isnan(found.height[clear]).all()
    assert (found.change[clear] == 0.0).all()
    assert np.isfinite(found.height[~clear]).all()
    again = cover_with_clouds(ground, kind)
    np.testing.assert_array_equal(again.brightness_temperature, found.brightness_temperature)


def test_thick_high_cloud_is_much_colder_than_the_ground(ground: xr.Dataset) -> None:
    found = cover_with_clouds(ground, "shield")
    high = (found.depth > 3.0) & (found.height > 4000.0)
    if high.any():
        assert np.median(found.change[high]) > 5.0
