"""The grid an elevation model lies on: cell size, direction of its axes, and where north is."""

from __future__ import annotations

import math

import numpy as np
import pyproj
import rioxarray  # noqa: F401  registers `.rio`, the reader of the CRS
import xarray as xr

from aktes_xr.errors import CRSError, TerrainError
from aktes_xr.terrain.block import check_shape

_UNEVEN = 1e-3


def check_elevation(elevation: xr.DataArray) -> tuple[float, float]:
    """Check an elevation model and return its cell size.

    Parameters
    ----------
    elevation : DataArray (y, x), m
        With a projected CRS in metres, or no CRS and coordinates in metres.

    Returns
    -------
    tuple of float
        Southward metres per row and eastward metres per column; negative where an axis runs the
        other way (y increasing with the row number, x decreasing with the column number).

    Raises
    ------
    TerrainError
        If the dimensions, the shape or the coordinates do not make a regular grid.
    CRSError
        If the CRS is geographic or not in metres.
    """
    if tuple(elevation.dims) != ("y", "x"):
        raise TerrainError(
            f"elevation has dimensions {tuple(elevation.dims)}: expected ('y', 'x'); select one "
            "layer, or transpose it"
        )
    check_shape(elevation.shape)
    missing = [name for name in ("y", "x") if name not in elevation.coords]
    if missing:
        raise TerrainError(
            f"elevation has no coordinate {missing}: expected y and x in metres; assign them, or "
            "open the file with rioxarray"
        )
    crs = elevation.rio.crs
    if crs is not None:
        units = pyproj.CRS.from_user_input(crs).axis_info[0].unit_name
        if not crs.is_projected or units != "metre":
            raise CRSError(
                f"elevation is in {crs.to_string()} (axes in {units}): terrain needs a projected "
                "CRS in metres; reproject it first, for example to the UTM zone of the scene"
            )
    return -_step(elevation["y"]), _step(elevation["x"])


def _step(coordinate: xr.DataArray) -> float:
    if "degree" in str(coordinate.attrs.get("units", "")):
        raise CRSError(
            f"coordinate {coordinate.name} is in {coordinate.attrs['units']}: terrain needs a "
            "projected grid in metres; reproject the elevation first"
        )
    values = np.asarray(coordinate, np.float64)
    step = float((values[-1] - values[0]) / (values.size - 1))
    uneven = float(np.max(np.abs(np.diff(values) - step)))
    if not (math.isfinite(step) and step != 0.0 and uneven <= _UNEVEN * abs(step)):
        raise TerrainError(
            f"coordinate {coordinate.name} has steps that differ by {uneven:g} from {step:g}: "
            "expected a regular grid; resample the elevation first"
        )
    # Nanometres are what subtracting coordinates of thousands of kilometres leaves.
    return round(step, 9)


def grid_convergence(elevation: xr.DataArray) -> float:
    """Bearing of grid north, clockwise from true north, at the grid's centre.

    A sun azimuth counts from true north, an aspect from grid north (the y axis): on a UTM grid
    they differ by up to some three degrees at the zone's edge, more at high latitudes. Across one
    ASTER scene the convergence itself changes by some tenths of a degree, which is neglected.

    Returns
    -------
    float
        Degrees; 0 without a CRS.
    """
    crs = elevation.rio.crs
    if crs is None:
        return 0.0
    x = float(elevation["x"][[0, -1]].mean())
    y = float(elevation["y"][[0, -1]].mean())
    source = pyproj.CRS.from_user_input(crs)
    to_map = pyproj.Transformer.from_crs(source.geodetic_crs, source, always_xy=True)
    longitude, latitude = to_map.transform(x, y, direction="INVERSE")
    step = 1e-4
    east_0, north_0 = to_map.transform(longitude, latitude - step)
    east_1, north_1 = to_map.transform(longitude, latitude + step)
    return -math.degrees(math.atan2(east_1 - east_0, north_1 - north_0))
