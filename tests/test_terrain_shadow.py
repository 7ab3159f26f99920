from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from aktes_xr.errors import InputError
from aktes_xr.terrain.shadow import cast_shadow

SIDE = 40


def wall() -> xr.DataArray:
    """Level ground with a wall of 900 m along a column, 90 m pixels, coordinates in metres."""
    height = np.zeros((SIDE, SIDE), np.float32)
    height[:, 20] = 900.0
    coords = {
        "y": 4_000_000.0 - 90.0 * np.arange(SIDE),
        "x": 500_000.0 + 90.0 * (np.arange(SIDE) - 20.0),
    }
    elevation = xr.DataArray(height, coords, ("y", "x"), attrs={"units": "m"})
    return elevation.rio.write_crs("EPSG:32617")


def angles(zenith: list[float], azimuth: list[float]) -> tuple[xr.DataArray, xr.DataArray]:
    return xr.DataArray(zenith, dims="time"), xr.DataArray(azimuth, dims="time")


def test_a_wall_throws_its_shadow_away_from_the_sun() -> None:
    # Sun in the east, 45 degrees high: the shadow of 900 m is ten pixels long, to the west.
    found = cast_shadow(wall(), *angles([45.0, 45.0, 120.0], [90.0, 270.0, 90.0])).to_numpy()
    east, west, night = found[:, 20]
    assert east[11:19].all()
    assert not east[:9].any()
    assert not east[23:].any()
    assert west[22:29].all()
    assert not west[:18].any()
    assert not night.any()


def test_lazy_angles_are_refused() -> None:
    zenith, azimuth = angles([45.0], [90.0])
    with pytest.raises(InputError, match="lazy"):
        cast_shadow(wall(), zenith.chunk(), azimuth)
