"""Where a cube's pixels are: CRS, regular axes in metres, and fields on the same grid."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import rioxarray  # noqa: F401  registers `.rio`
import xarray as xr

from aktes_xr.errors import CRSError, GridError, MissingVariableError, UnitsError


def check_grid(field: xr.DataArray, like: xr.Dataset | xr.DataArray, *, name: str) -> None:
    """Refuse a field that does not lie on the same pixels as ``like``.

    Parameters
    ----------
    field : DataArray with y, x
    like : Dataset or DataArray whose grid is expected
    name : what the message calls the field

    Raises
    ------
    GridError
        Its shape, coordinates (beyond a thousandth of a pixel) or CRS differ.
    """
    for axis in ("y", "x"):
        if axis not in field.indexes or axis not in like.indexes:
            raise GridError(
                f"{name} has dimensions {tuple(field.sizes)}: expected the coordinates y and x of "
                "the cube; put it on the cube's grid first (terrain.aggregate_elevation for a DEM)"
            )
        found, expected = field.indexes[axis], like.indexes[axis]
        if len(found) != len(expected):
            raise GridError(
                f"{name} has {len(found)} pixels along {axis}, the cube {len(expected)}; "
                "put it on the cube's grid first (terrain.aggregate_elevation for a DEM)"
            )
        if len(found) == 0:
            continue
        step = abs(float(expected[1] - expected[0])) if len(expected) > 1 else 1.0
        offset = float(np.abs(np.asarray(found) - np.asarray(expected)).max())
        if offset > 1e-3 * step:
            raise GridError(
                f"{name} is off the cube's {axis} coordinates by up to {offset:.6g} "
                f"({offset / step:.3g} pixels); put it on the cube's grid first"
            )
    crs, expected_crs = field.rio.crs, like.rio.crs
    if crs is not None and expected_crs is not None and crs != expected_crs:
        raise GridError(
            f"{name} is in {crs.to_string()}, the cube in {expected_crs.to_string()}; "
            "reproject it to the cube's grid first"
        )


def check_crs(ds: xr.Dataset) -> Any:
    """Return the cube's CRS; `CRSError` if it is missing, geographic or not in metres."""
    crs = ds.rio.crs
    if crs is None:
        raise CRSError(
            "the cube has no coordinate reference system: expected a projected one in metres; "
            "set it with ds.rio.write_crs(...), and open Zarr stores with decode_coords='all'"
        )
    if crs.is_geographic:
        raise CRSError(
            f"the cube is in {crs.to_string()}, which is geographic: expected a projected system "
            "in metres; load with crs=<UTM zone> or ds.rio.reproject(ds.rio.estimate_utm_crs())"
        )
    unit, factor = crs.linear_units_factor
    if not crs.is_projected or not math.isclose(factor, 1.0):
        raise CRSError(
            f"the cube's coordinate reference system is in {unit!r}: expected metres; reproject "
            "it to a UTM zone"
        )
    return crs


def check_axis(ds: xr.Dataset, axis: str) -> float:
    """Return the spacing of ``y`` or ``x`` (m); refuse one that is uneven or in degrees."""
    if axis not in ds.indexes:
        raise MissingVariableError(
            f"the dimension {axis!r} has no coordinate: expected pixel centres in metres; "
            f"set it with ds.assign_coords({axis}=...)"
        )
    values = np.asarray(ds.indexes[axis], dtype=np.float64)
    if not np.isfinite(values).all():
        raise GridError(f"the coordinate {axis!r} holds NaN or infinity; expected metres")
    units = str(ds[axis].attrs.get("units", "m"))
    if units.startswith("degree"):
        raise UnitsError(
            f"the coordinate {axis!r} is in {units!r}: expected metres in the cube's projected "
            "system; reproject the cube instead of renaming its CRS"
        )
    if values.size < 2:
        return math.nan
    steps = np.diff(values)
    step = float(steps.mean())
    if abs(step) < 1.0:
        hint = "these look like degrees" if np.abs(values).max() <= 360.0 else "another unit?"
        raise UnitsError(
            f"the coordinate {axis!r} runs from {values[0]:.6g} to {values[-1]:.6g} in steps of "
            f"{abs(step):.3g}: expected metres ({hint}); reproject the cube to its CRS"
        )
    if np.abs(steps - step).max() > 1e-3 * abs(step):
        raise GridError(
            f"the coordinate {axis!r} is not evenly spaced (steps {abs(steps).min():.6g} to "
            f"{abs(steps).max():.6g} m); resample the cube to a regular grid"
        )
    return abs(step)
