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
