"""On what grid a variable of a source lies: the cube's own, another, or none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import rioxarray  # noqa: F401  registers `.rio`
import xarray as xr

from aktes_xr.cube import check_grid
from aktes_xr.errors import AncillaryError, GridError

_DEGREES = "EPSG:4326"


@dataclass(frozen=True, slots=True)
class Layout:
    """How a variable is laid out.

    Attributes
    ----------
    kind : ``"cube"`` (on the cube's pixels), ``"grid"`` (on others) or ``"nowhere"``
    time : name of its time dimension, or None
    rows, columns : names of its dimensions in space; None where it has none
    crs : WKT of another grid
    """

    kind: Literal["cube", "grid", "nowhere"]
    time: str | None
    rows: str | None = None
    columns: str | None = None
    crs: str | None = None


def lay_out(
    variable: xr.DataArray, cube: xr.Dataset, known: dict[str, tuple[str, ...]]
) -> tuple[xr.DataArray, Layout]:
    """Find out how a variable lies, and bring its dimensions into the order time, rows, columns.

    Parameters
    ----------
    variable : DataArray
    cube : Dataset
    known : the source's coordinates, as `aktes_xr.ancillaries.names.axes` finds them

    Returns
    -------
    variable : DataArray
        Without dimensions of length one that mean neither time nor place; a time that all of it
        shares has become a dimension.
    layout : Layout

    Raises
    ------
    AncillaryError
        It has further dimensions, or coordinates that it cannot be placed by.
    """
    dims = [str(dim) for dim in variable.dims]
    time = _one([dim for dim in dims if dim in variable.coords and _is_time(variable[dim])], "time")
    if time is None:
        shared = [name for name in known["time"] if name in variable.coords]
        scalars = [name for name in shared if variable[name].ndim == 0 and _is_time(variable[name])]
        if scalars:
            # A forecast has two times. This is the one that its values hold for.
            time = "valid_time" if "valid_time" in scalars else scalars[0]
            variable = variable.expand_dims(time)
    rows, columns = _in_space(dims, known)
    wanted = [dim for dim in (time, rows, columns) if dim is not None]
    further = [dim for dim in dims if dim not in wanted]
    long = [dim for dim in further if variable.sizes[dim] > 1]
    if long:
        raise AncillaryError(
            f"it has the dimension {', '.join(long)}, expected time and place alone; select one"
        )
    variable = variable.squeeze(further, drop=True).transpose(*wanted)
    if rows is None or columns is None:
        if rows is not None or columns is not None:
            raise AncillaryError(f"it has one dimension in space ({rows or columns}), expected two")
        return variable, Layout("nowhere", time)
    for dim in (rows, columns):
        if dim not in variable.indexes:
            raise AncillaryError(
                f"its dimension {dim!r} has no coordinate of its own (a curvilinear grid?); "
                "reproject it to a regular grid"
            )
    if (rows, columns) == ("y", "x") and _on_cube(variable, cube):
        return variable, Layout("cube", time, rows, columns)
    return variable, Layout("grid", time, rows, columns, _crs(variable, cube, rows, known))


def _is_time(coord: xr.DataArray) -> bool:
    return coord.dtype.kind == "M"


def _one(found: list[str], what: str) -> str | None:
    if len(found) > 1:
        raise AncillaryError(f"it has {' and '.join(found)} for {what}, expected one; select one")
    return found[0] if found else None


def _in_space(dims: list[str], known: dict[str, tuple[str, ...]]) -> tuple[str | None, str | None]:
    pairs = []
    for degrees, metres, plain in (("latitude", "Y", "y"), ("longitude", "X", "x")):
        found = [dim for dim in dims if dim in known[degrees]]
        found = found or [dim for dim in dims if dim in known[metres] or dim == plain]
        pairs.append(_one(found, degrees))
    return pairs[0], pairs[1]


def _on_cube(variable: xr.DataArray, cube: xr.Dataset) -> bool:
    try:
        check_grid(variable, cube, name=str(variable.name))
    except GridError:
        return False
    return True


def _crs(
    variable: xr.DataArray, cube: xr.Dataset, rows: str, known: dict[str, tuple[str, ...]]
) -> str:
    """Return the CRS that the variable states.

    Without one, a latitude stands for degrees, and metres for the cube's own CRS.
    """
    own = variable.rio.crs
    if own is not None:
        return str(own.to_wkt())
    if rows in known["latitude"]:
        return _DEGREES
    values = np.asarray(variable.indexes[rows], dtype=np.float64)
    if np.abs(values).max() <= 90.0:
        raise AncillaryError(
            f"its coordinate {rows!r} has no coordinate reference system and might be degrees; "
            "give it units='degrees_north' or a CRS (ds.rio.write_crs)"
        )
    return str(cube.rio.crs.to_wkt())
