"""Sun on sloping ground: local incidence and cast shadow."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TypeVar

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from aktes_xr.cube.grid import grid_convergence
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


def solar_position(time: datetime, *, longitude: float, latitude: float) -> tuple[float, float]:
    """Return the sun's zenith angle and azimuth (deg, clockwise from true north).

    Parameters
    ----------
    time : datetime
        UTC; without a zone it is taken as UTC.
    longitude, latitude : float, deg
        East and north positive.

    Returns
    -------
    zenith, azimuth : float, deg
        The zenith angle exceeds 90 by night.
    """
    utc = time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    hour = utc.hour + utc.minute / 60 + utc.second / 3600
    g = 2 * np.pi / 365.25 * (utc.timetuple().tm_yday - 1 + (hour - 12) / 24)
    declination = (
        0.006918
        - 0.399912 * np.cos(g)
        + 0.070257 * np.sin(g)
        - 0.006758 * np.cos(2 * g)
        + 0.000907 * np.sin(2 * g)
        - 0.002697 * np.cos(3 * g)
        + 0.00148 * np.sin(3 * g)
    )
    equation_min = 229.18 * (
        0.000075
        + 0.001868 * np.cos(g)
        - 0.032077 * np.sin(g)
        - 0.014615 * np.cos(2 * g)
        - 0.040849 * np.sin(2 * g)
    )
    angle = np.deg2rad((hour + equation_min / 60 + longitude / 15 - 12) * 15)
    phi = np.deg2rad(latitude)
    cosine = np.sin(phi) * np.sin(declination) + np.cos(phi) * np.cos(declination) * np.cos(angle)
    east = -np.cos(declination) * np.sin(angle)
    north = np.cos(phi) * np.sin(declination) - np.sin(phi) * np.cos(declination) * np.cos(angle)
    zenith = float(np.rad2deg(np.arccos(np.clip(cosine, -1, 1))))
    return zenith, float(np.rad2deg(np.arctan2(east, north)) % 360)
