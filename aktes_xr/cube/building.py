"""Small constructors of cubes that keep the contract."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import rioxarray  # noqa: F401  registers `.rio`
import xarray as xr

from aktes_xr.cube.contract import COORDINATES, DIMS, DN_UNITS, GRID_MAPPING, VARIABLES
from aktes_xr.sensor import BANDS


def new_cube(
    tir: Any,
    *,
    time: Sequence[Any] | npt.NDArray[Any],
    y: npt.NDArray[np.float64],
    x: npt.NDArray[np.float64],
    crs: Any,
    units: str = DN_UNITS,
    coordinates: Mapping[str, Any] | None = None,
) -> xr.Dataset:
    """Build a cube with the contract's names, coordinates and attributes.

    Parameters
    ----------
    tir : array (time, band, y, x), NumPy or Dask; uint16 DN or float radiance
    time : datetime64 (time,), UTC
    y, x : float64, m, pixel centres
    crs : anything rioxarray takes for a projected CRS
    units : ``"DN"`` or ``"W m-2 sr-1 um-1"``
    coordinates : per-time values by name (see `COORDINATES`)

    Returns
    -------
    Dataset
    """
    coords: dict[str, Any] = {
        "time": np.asarray(time, dtype="datetime64[ns]"),
        "band": list(BANDS),
        "y": ("y", y, {"units": "m", "standard_name": "projection_y_coordinate", "axis": "Y"}),
        "x": ("x", x, {"units": "m", "standard_name": "projection_x_coordinate", "axis": "X"}),
    }
    for name, values in (coordinates or {}).items():
        coords[name] = ("time", np.asarray(values))
    ds = xr.Dataset({"tir": (DIMS, tir)}, coords=coords)
    ds["tir"].attrs = {"long_name": "ASTER thermal infrared bands", "units": units}
    return describe(ds.rio.write_crs(crs, grid_mapping_name=GRID_MAPPING))


def describe(ds: xr.Dataset) -> xr.Dataset:
    """Return a copy whose known variables carry the contract's attributes and grid mapping."""
    ds = ds.copy()
    for name, field in (VARIABLES | COORDINATES).items():
        if name not in ds.variables:
            continue
        attrs = {"long_name": field.long_name}
        if field.standard_name is not None:
            attrs["standard_name"] = field.standard_name
        if field.units is not None:
            attrs["units"] = field.units
        ds[name].attrs = attrs
    for variable in ds.data_vars.values():
        if {"y", "x"} <= set(variable.dims):
            variable.encoding["grid_mapping"] = GRID_MAPPING
    return ds
