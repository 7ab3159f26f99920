"""Sun on sloping ground: local incidence and cast shadow."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from aktes_xr.terrain.grid import grid_convergence
from aktes_xr.terrain.indices import Rechunk, horizon_angle

Field = TypeVar("Field", xr.DataArray, NDArray[np.floating])


def local_incidence(
    slope: Field,
    aspect: Field,
    sun_zenith: float | Field,
    sun_azimuth: float | Field,
    *,
    convergence: float = 0.0,
) -> Field:
    """Cosine of the angle between the sun and the surface's normal.

    ``cos i = cos Z cos S + sin Z sin S cos(A_sun - A)``; negative where the surface faces away.

    Parameters
    ----------
    slope, aspect : DataArray or ndarray, degree
        Aspect is downslope, clockwise from grid north.
    sun_zenith, sun_azimuth : float or like ``slope``, degree
        Azimuth clockwise from true north.
    convergence : float
        Bearing of grid north from true north, degrees, see
        `aktes_xr.terrain.grid_convergence`.

    Returns
    -------
    like ``slope``, 1
    """
    zenith, tilt = np.deg2rad(sun_zenith), np.deg2rad(slope)
    across = np.deg2rad(sun_azimuth - convergence - aspect)
    cosine = np.cos(zenith) * np.cos(tilt) + np.sin(zenith) * np.sin(tilt) * np.cos(across)
    if isinstance(cosine, xr.DataArray):
        cosine.attrs = {"units": "1", "long_name": "cosine of the local solar incidence angle"}
    result: Field = cosine
    return result


def cast_shadow(
    elevation: xr.DataArray,
    sun_zenith: float,
    sun_azimuth: float,
    *,
    convergence: float | None = None,
    radius_m: float = 10_000.0,
    rechunk: Rechunk = None,
) -> xr.DataArray:
    """Where the sun is behind the horizon or behind the pixel's own slope, lazily.

    Parameters
    ----------
    elevation : DataArray (y, x), m
        As for `terrain_indices`.
    sun_zenith, sun_azimuth : float, degree
        Azimuth clockwise from true north.
    convergence : float, optional
        Bearing of grid north from true north, degrees; by default that of the grid's centre.
    radius_m : float
        How far the horizon is searched, m.
    rechunk : "auto", optional
        Join chunks that are smaller than the halo instead of raising `ChunkError`.

    Returns
    -------
    DataArray (y, x) bool
        True in shadow; also where the elevation is not known or the sun is down.
    """
    north = grid_convergence(elevation) if convergence is None else convergence
    horizon = horizon_angle(
        elevation, (sun_azimuth - north) % 360.0, radius_m=radius_m, rechunk=rechunk
    )
    # Written so that an unknown horizon (NaN) counts as shadow: it must not count as lit.
    shadow = ~(horizon < 90.0 - sun_zenith)
    shadow.attrs = {"long_name": "sun hidden by terrain"}
    return shadow
