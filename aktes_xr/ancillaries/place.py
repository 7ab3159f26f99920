"""Where the pixels of a cube lie on another grid: exactly at nodes, and linearly in between.

A projection takes a microsecond per pixel and is smooth. So it is evaluated at every 32nd pixel of
the cube, and between these nodes its result is interpolated. Over the 3 km between nodes that is
wrong by less than a metre up to 80 degrees of latitude. Nodes belong to the cube and not to a
chunk, so that no result depends on chunks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import dask.array as da
import numpy as np
import pyproj

from aktes_xr.errors import GridError

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import NDArray

    Float64Array = NDArray[np.float64]

NODE_PIXELS: Final = 32
_CHUNK_PIXELS: Final = 1024
KM_PER_DEGREE: Final = 111.195
_WIDE: Final = 1.5
"""A step longer than so many usual steps is a gap in the grid. Nothing is known inside a gap."""
_LONE_DEGREES: Final = 0.5
"""Where a source has a single point along an axis, the point may be this far from the cube."""


@dataclass(frozen=True, slots=True)
class CubeGrid:
    """The pixels of a cube as a few numbers, which a task may carry.

    Attributes
    ----------
    crs : str, WKT
    y, x : (first, step, count), m
    """

    crs: str
    y: tuple[float, float, int]
    x: tuple[float, float, int]

    @classmethod
    def of(cls, ds: xr.Dataset) -> CubeGrid:
        """Read the grid off a cube that was checked.

        Parameters
        ----------
        ds : Dataset
            A cube that was checked.

        Returns
        -------
        CubeGrid
        """
        return cls(ds.rio.crs.to_wkt(), _line(ds, "y"), _line(ds, "x"))


def _line(ds: xr.Dataset, axis: str) -> tuple[float, float, int]:
    values = np.asarray(ds.indexes[axis], dtype=np.float64)
    step = float(values[-1] - values[0]) / (values.size - 1) if values.size > 1 else 90.0
    return float(values[0]), step, values.size


def cube_chunks(ds: xr.Dataset) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    """Return a cube's chunks along time, y, x.

    A cube without chunks gets those that a retrieval gives it.

    Parameters
    ----------
    ds : Dataset
        A cube with ``tir`` (time, band, y, x).

    Returns
    -------
    (tuple of int, tuple of int, tuple of int), pixel
    """
    sizes = ds["tir"].chunksizes
    if sizes:
        return sizes["time"], sizes["y"], sizes["x"]
    shape = tuple(ds.sizes[dim] for dim in ("time", "y", "x"))
    time, y, x = da.core.normalize_chunks((1, _CHUNK_PIXELS, _CHUNK_PIXELS), shape=shape)
    return time, y, x


@dataclass(frozen=True, slots=True)
class Axis:
    """The part of a source's axis that a cube needs, in ascending order.

    Attributes
    ----------
    index : places on the source's axis
    values : coordinates; longitudes without a jump
    """

    index: tuple[int, ...]
    values: tuple[float, ...]

    @property
    def step(self) -> float:
        """Usual spacing; 0 of a single point."""
        return float(np.median(np.diff(self.values))) if len(self.values) > 1 else 0.0


@dataclass(frozen=True, slots=True)
class Place:
    """A cube on a source's grid.

    Attributes
    ----------
    cube : CubeGrid
    crs : str, WKT of the source
    rows, columns : Axis
    middle : longitude of the cube's centre on a geographic grid, else NaN
    cell_km : (rows, columns), spacing of the source
    """

    cube: CubeGrid
    crs: str
    rows: Axis
    columns: Axis
    middle: float
    cell_km: tuple[float, float]

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the part."""
        return len(self.rows.index), len(self.columns.index)


def locate(
    cube: CubeGrid, rows: Float64Array, columns: Float64Array, *, crs: str, name: str
) -> Place:
    """Find the part of a source's grid that a cube needs: its own area and a cell around.

    Parameters
    ----------
    cube : CubeGrid
    rows, columns : float64 (n,)
        The source's coordinates, either way round; degrees or the CRS's metres.
    crs : str
        WKT of the source.
    name : str
        What messages call the source.

    Returns
    -------
    Place

    Raises
    ------
    GridError
        The source has no point near the cube, or its coordinates do not increase or decrease.
    """
    geographic = bool(pyproj.CRS.from_user_input(crs).is_geographic)
    middle = _middle_longitude(cube) if geographic else float("nan")
    nodes = node_coordinates(cube, crs, middle)
    along, across = nodes
    lone = _LONE_DEGREES if geographic else _LONE_DEGREES * KM_PER_DEGREE * 1e3
    row_axis = _cut(_axis(rows, name), along.min(), along.max(), lone=lone)
    columns_axis = _cut(
        _axis(columns, name, around=geographic, middle=middle),
        across.min(),
        across.max(),
        lone=lone,
    )
    if row_axis is None or columns_axis is None:
        raise GridError(
            f"{name} runs from {rows.min():.6g} to {rows.max():.6g} and {columns.min():.6g} to "
            f"{columns.max():.6g}, but the cube lies at {along.min():.6g} to {along.max():.6g} and "
            f"{across.min():.6g} to {across.max():.6g}; give one that covers it"
        )
    latitude = np.deg2rad(float(np.mean(along))) if geographic else 0.0
    scale = (KM_PER_DEGREE, KM_PER_DEGREE * np.cos(latitude)) if geographic else (1e-3, 1e-3)
    cell = (row_axis.step * scale[0], columns_axis.step * float(scale[1]))
    return Place(cube, crs, row_axis, columns_axis, middle, cell)


def _middle_longitude(cube: CubeGrid) -> float:
    to_degrees = pyproj.Transformer.from_crs(cube.crs, "EPSG:4326", always_xy=True)
    x, y = (first + step * (count - 1) / 2 for first, step, count in (cube.x, cube.y))
    return float(to_degrees.transform(x, y)[0])


def node_shape(cube: CubeGrid) -> tuple[int, int, int]:
    """Return the shape of `node_coordinates`.

    Parameters
    ----------
    cube : CubeGrid
        The cube's pixels.

    Returns
    -------
    (int, int, int)
    """
    rows, columns = ((count - 1) // NODE_PIXELS + 2 for _, _, count in (cube.y, cube.x))
    return 2, rows, columns


def node_coordinates(cube: CubeGrid, crs: str, middle: float) -> Float64Array:
    """Project every 32nd pixel to the source's coordinates.

    Parameters
    ----------
    cube : CubeGrid
        The cube's pixels.
    crs : str
        The source's CRS, as pyproj takes it.
    middle : float, degree
        Longitude of the cube's middle; NaN where the source is not in degrees.

    Returns
    -------
    float64 (2, node, node)
        Row and column coordinate; longitudes within 180 degrees of the cube's middle.
    """
    transformer = pyproj.Transformer.from_crs(cube.crs, crs, always_xy=True)
    x, y = (
        first + step * NODE_PIXELS * np.arange(nodes)
        for (first, step, _), nodes in zip((cube.x, cube.y), node_shape(cube)[:0:-1], strict=True)
    )
    column, row = transformer.transform(*np.meshgrid(x, y))
    if not np.isnan(middle):
        column = middle + (column - middle + 180.0) % 360.0 - 180.0
    return np.stack([row, column])


def _axis(
    values: Float64Array, name: str, *, around: bool = False, middle: float = 0.0
) -> tuple[NDArray[np.intp], Float64Array]:
    """Order an axis; a longitude is repeated on both sides, as it goes round."""
    index = np.arange(values.size)
    steps = np.diff(values)
    if not ((steps > 0).all() or (steps < 0).all()):
        raise GridError(
            f"{name} has coordinates that neither increase nor decrease throughout; sort them"
        )
    if values.size > 1 and steps[0] < 0:
        index, values = index[::-1], values[::-1]
    if not around:
        return index, values
    turn = 360.0 * np.round((middle - values.mean()) / 360.0)
    wide = np.concatenate([values + turn - 360.0, values + turn, values + turn + 360.0])
    # A grid may hold both 0 and 360.
    kept = np.concatenate([[True], np.diff(wide) > 1e-6])
    return np.tile(index, 3)[kept], wide[kept]


def _cut(
    axis: tuple[NDArray[np.intp], Float64Array], low: float, high: float, *, lone: float
) -> Axis | None:
    index, values = axis
    step = float(np.median(np.diff(values))) if values.size > 1 else 2.0 * lone
    if high < values[0] - step / 2 or low > values[-1] + step / 2:
        return None
    first = max(int(np.searchsorted(values, low, side="right")) - 2, 0)
    last = min(int(np.searchsorted(values, high, side="left")) + 2, values.size)
    if values[first] > high + step / 2 or values[last - 1] < low - step / 2:
        return None
    return Axis(tuple(index[first:last].tolist()), tuple(values[first:last].tolist()))


def coordinates(nodes: Float64Array, rows: NDArray[Any], columns: NDArray[Any]) -> Float64Array:
    """Interpolate the nodes' coordinates to pixels.

    Parameters
    ----------
    nodes : float64 (2, node, node)
    rows, columns : int (y,), (x,)
        Pixels of the cube.

    Returns
    -------
    float64 (2, y, x)
    """
    i, u = np.divmod(rows / NODE_PIXELS, 1.0)
    j, v = np.divmod(columns / NODE_PIXELS, 1.0)
    top, left = i.astype(np.intp), j.astype(np.intp)
    # Rows first, then columns, and no matrix product: its sums depend on the shape.
    between = nodes[:, top] * (1.0 - u)[:, np.newaxis] + nodes[:, top + 1] * u[:, np.newaxis]
    found: Float64Array = between[:, :, left] * (1.0 - v) + between[:, :, left + 1] * v
    return found


def positions(
    nodes: Float64Array, rows: NDArray[Any], columns: NDArray[Any], axes: tuple[Axis, Axis]
) -> Float64Array:
    """Return where pixels lie on the part of a source's grid, counted in its points.

    Parameters
    ----------
    nodes, rows, columns : as `coordinates` takes them
    axes : of the source, along rows and columns

    Returns
    -------
    float64 (2, y, x)
        Between 0 and the number of points less one; NaN more than half a step outside them and in
        gaps of the grid.
    """
    found = coordinates(nodes, rows, columns)
    return np.stack([_count(found[k], axis) for k, axis in enumerate(axes)])


def _count(coordinates: Float64Array, axis: Axis) -> Float64Array:
    values = np.asarray(axis.values)
    if values.size == 1:
        return np.zeros_like(coordinates)
    steps, usual = np.diff(values), axis.step
    counted = np.interp(coordinates, values, np.arange(values.size, dtype=np.float64))
    outside = (coordinates < values[0] - usual / 2) | (coordinates > values[-1] + usual / 2)
    wide = steps > _WIDE * usual
    if wide.any():
        before = np.minimum(counted.astype(np.intp), steps.size - 1)
        outside |= wide[before] & (counted != before)
    counted[outside] = np.nan
    return counted
