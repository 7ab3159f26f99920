"""Where terrain stands between the ground and the sun."""

from __future__ import annotations

import dask.array as da
import numpy as np
import xarray as xr

from aktes_xr.cube.grid import grid_convergence
from aktes_xr.errors import InputError
from aktes_xr.terrain.indices import Rechunk, horizon_angle

_HORIZON_DEG = 90.0


def cast_shadow(
    elevation: xr.DataArray,
    sun_zenith: xr.DataArray,
    sun_azimuth: xr.DataArray,
    *,
    radius_m: float = 10_000.0,
    rechunk: Rechunk = None,
) -> xr.DataArray:
    """Find the pixels from which the horizon hides the sun, lazily.

    The horizon is searched once per date, in the sun's direction alone. A slope that faces away
    from the sun hides it, too.

    Parameters
    ----------
    elevation : DataArray (y, x), m
        As for `aktes_xr.terrain.terrain_indices`.
    sun_zenith, sun_azimuth : DataArray (time,), degree
        In memory; the azimuth is clockwise from true north.
    radius_m : float, m
        How far the horizon is searched.
    rechunk : "auto", optional
        Join chunks that are smaller than the halo instead of raising `ChunkError`.

    Returns
    -------
    DataArray (time, y, x), bool
        False by night, and where the horizon or the sun is not known.

    Raises
    ------
    InputError
        The angles are lazy.
    TerrainError, CRSError, ChunkError
        As `aktes_xr.terrain.terrain_indices` raises them.
    """
    if sun_zenith.chunks is not None or sun_azimuth.chunks is not None:
        raise InputError(
            "found lazy sun angles, expected them in memory: ds = ds.assign_coords("
            "sun_zenith=ds.sun_zenith.load(), sun_azimuth=ds.sun_azimuth.load())"
        )
    turned = sun_azimuth.to_numpy() - grid_convergence(elevation)
    dates = []
    for zenith, azimuth in zip(sun_zenith.to_numpy().tolist(), turned.tolist(), strict=True):
        if not (zenith < _HORIZON_DEG and np.isfinite(azimuth)):
            dates.append(da.zeros(elevation.shape, dtype=bool, chunks=elevation.chunks or -1))
            continue
        horizon = horizon_angle(elevation, azimuth % 360.0, radius_m=radius_m, rechunk=rechunk)
        dates.append(horizon.data > np.float32(_HORIZON_DEG - zenith))
    stacked = da.stack(dates) if dates else da.zeros((0, *elevation.shape), dtype=bool)
    attrs = {"long_name": "terrain between the pixel and the sun"}
    return xr.DataArray(stacked, dims=("time", "y", "x"), attrs=attrs)
