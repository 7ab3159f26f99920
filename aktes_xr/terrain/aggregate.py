"""A finer elevation model on the cube's grid: mean and spread within each pixel."""

from __future__ import annotations

import functools
import logging
import math
from dataclasses import dataclass
from typing import Any

import dask.array as da
import numpy as np
import pyproj
import xarray as xr
from dask.delayed import delayed
from numpy.typing import NDArray

from aktes_xr.compilation import kernel
from aktes_xr.errors import CRSError, GridError, TerrainError

logger = logging.getLogger(__name__)

# Above this share of the target's cell a pixel holds too few cells of the model to average.
_COARSE = 0.75
_MARGIN_CELLS = 2


@dataclass(frozen=True)
class _Grid:
    """An affine grid: six coefficients, shape and CRS."""

    coefficients: tuple[float, float, float, float, float, float]
    shape: tuple[int, int]
    crs: str

    def window(self, rows: slice, columns: slice) -> _Grid:
        """Return a part of the grid."""
        a, b, c, d, e, f = self.coefficients
        origin = (
            c + a * columns.start + b * rows.start,
            f + d * columns.start + e * rows.start,
        )
        shape = (rows.stop - rows.start, columns.stop - columns.start)
        return _Grid((a, b, origin[0], d, e, origin[1]), shape, self.crs)

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """Left, bottom, right, top."""
        a, _, c, _, e, f = self.coefficients
        xs = sorted((c, c + a * self.shape[1]))
        ys = sorted((f, f + e * self.shape[0]))
        return xs[0], ys[0], xs[1], ys[1]


def _grid(field: xr.DataArray | xr.Dataset, name: str) -> _Grid:
    crs = field.rio.crs
    if crs is None:
        raise CRSError(f"{name} has no CRS: expected one; assign it with .rio.write_crs")
    if "y" not in field.coords or "x" not in field.coords:
        raise GridError(f"{name} has no coordinates y and x: expected the centres of its pixels")
    y, x = (np.asarray(field[axis], np.float64) for axis in ("y", "x"))
    if min(y.size, x.size) < 2:
        raise GridError(f"{name} has {y.size} x {x.size} pixels: expected at least 2 x 2")
    dy, dx = (y[-1] - y[0]) / (y.size - 1), (x[-1] - x[0]) / (x.size - 1)
    coefficients = (dx, 0.0, float(x[0] - dx / 2), 0.0, dy, float(y[0] - dy / 2))
    return _Grid(
        tuple(float(value) for value in coefficients),  # type: ignore[arg-type]
        (y.size, x.size),
        crs.to_wkt(),
    )


def aggregate_elevation(
    dem: xr.DataArray, like: xr.DataArray | xr.Dataset, *, chunks: int = 1024
) -> xr.Dataset:
    """Average an elevation model over the pixels of another grid, lazily.

    Each pixel of the result is the mean of all of the model's cells it overlaps, weighted by the
    overlap (NaN where less than half of it is known), and not a sample of one of them: slopes and
    horizons of a decimated surface carry the roughness that was cut off as noise. That roughness
    is ``elevation_std``.

    Parameters
    ----------
    dem : DataArray (y, x), m
        In any CRS; NaN or its nodata value where there is none. Usually 30 m.
    like : DataArray or Dataset
        With the CRS and the coordinates y and x of the grid to land on.
    chunks : int
        Size of the result's blocks, pixels.

    Returns
    -------
    Dataset (y, x) float32, lazy
        elevation (m) and elevation_std (m), the standard deviation within a pixel. A model that is
        not finer than the grid is interpolated bilinearly instead and has no ``elevation_std``
        (NaN); the attribute ``method`` says which it was.

    Raises
    ------
    CRSError, GridError
        If either has no CRS or no coordinates, or the two do not overlap.
    TerrainError
        If ``dem`` is not two-dimensional.
    """
    if tuple(dem.dims) != ("y", "x"):
        raise TerrainError(
            f"dem has dimensions {tuple(dem.dims)}: expected ('y', 'x'); select one layer"
        )
    source, target = _grid(dem, "dem"), _grid(like, "like")
    span = _transformer(target.crs, source.crs).transform_bounds(*target.bounds)
    _overlap(source, span)
    coarse = _cell_ratio(source, target, span) > _COARSE
    if coarse:
        logger.warning("the elevation model is not finer than the grid: interpolated, no spread")
    method = "bilinear" if coarse else "average"
    nodata = dem.rio.nodata
    values = dem.astype(np.float64)
    if nodata is not None and np.isfinite(nodata):
        values = values.where(dem != nodata)
    array = values.data if values.chunks is not None else values.chunk().data
    rows = [
        [
            _block(array, source, target.window(r, c), not coarse)
            for c in _spans(target.shape[1], chunks)
        ]
        for r in _spans(target.shape[0], chunks)
    ]
    stack = da.block(rows)
    coords = {name: like.coords[name] for name in ("y", "x")}
    if "spatial_ref" in like.coords:
        coords["spatial_ref"] = like.coords["spatial_ref"]
    names = {
        "elevation": {"units": "m", "standard_name": "surface_altitude", "method": method},
        "elevation_std": {
            "units": "m",
            "long_name": "standard deviation of elevation within a pixel",
            "method": method,
        },
    }
    fields = {
        name: xr.DataArray(stack[number], coords, ("y", "x"), attrs=attrs)
        for number, (name, attrs) in enumerate(names.items())
    }
    result: xr.Dataset = xr.Dataset(fields).rio.write_crs(like.rio.crs)
    return result


def _spans(size: int, chunk: int) -> list[slice]:
    return [slice(start, min(start + chunk, size)) for start in range(0, size, chunk)]


def _overlap(source: _Grid, span: tuple[float, ...]) -> None:
    left, bottom, right, top = source.bounds
    if not (span[0] < right and span[2] > left and span[1] < top and span[3] > bottom):
        raise GridError(
            f"dem covers {left:.6g}..{right:.6g}, {bottom:.6g}..{top:.6g}, the grid "
            f"{span[0]:.6g}..{span[2]:.6g}, {span[1]:.6g}..{span[3]:.6g} in the dem's CRS: they do "
            "not overlap; use a model of the same region"
        )


def _cell_ratio(source: _Grid, target: _Grid, span: tuple[float, ...]) -> float:
    """Return the model's cell in units of the target's, along the coarser axis."""
    across = abs(source.coefficients[0]) * target.shape[1] / (span[2] - span[0])
    along = abs(source.coefficients[4]) * target.shape[0] / (span[3] - span[1])
    return max(across, along)


def _block(array: da.Array, source: _Grid, target: _Grid, spread: bool) -> Any:
    """One block of the result, from the part of the model below it."""
    transformer = _transformer(target.crs, source.crs)
    span = transformer.transform_bounds(*target.bounds, densify_pts=41)
    a, _, c, _, e, f = source.coefficients
    columns = sorted(((span[0] - c) / a, (span[2] - c) / a))
    rows = sorted(((span[1] - f) / e, (span[3] - f) / e))
    window = [
        slice(max(int(np.floor(lo)) - _MARGIN_CELLS, 0), min(int(np.ceil(hi)) + _MARGIN_CELLS, n))
        for (lo, hi), n in zip((rows, columns), source.shape, strict=True)
    ]
    if any(part.stop <= part.start for part in window):
        return da.full((2, *target.shape), np.nan, np.float32)
    values = array[window[0], window[1]]
    averaged = delayed(_average, pure=True)(
        values, source.window(window[0], window[1]), target, spread
    )
    return da.from_delayed(averaged, (2, *target.shape), meta=np.empty((0, 0, 0), np.float32))


@functools.lru_cache(maxsize=8)
def _transformer(target: str, source: str) -> pyproj.Transformer:
    return pyproj.Transformer.from_crs(target, source, always_xy=True)


def _average(
    values: NDArray[np.float64], source: _Grid, target: _Grid, spread: bool
) -> NDArray[np.float32]:
    """Mean and standard deviation on the target's grid."""
    a, _, c, _, e, f = target.coefficients
    x, y = np.meshgrid(
        c + a * (np.arange(target.shape[1]) + 0.5), f + e * (np.arange(target.shape[0]) + 0.5)
    )
    centre = _cells(x, y, source, target)
    # A pixel's footprint on the model is a box along the model's axes: where the two grids' norths
    # differ by a few degrees its sides are right and its corners are cut.
    beside, below = _cells(x + a / 2, y, source, target), _cells(x, y + e / 2, source, target)
    half = [np.abs(below[0] - centre[0]), np.abs(beside[1] - centre[1])]
    out = np.empty((2, *target.shape), np.float32)
    box_average(values, (centre[0], centre[1]), (half[0], half[1]), out)
    if not spread:
        out[1] = np.nan
    return out


def _cells(
    x: NDArray[np.float64], y: NDArray[np.float64], source: _Grid, target: _Grid
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Rows and columns of the model, counted from its outer corner, of points of the target."""
    if source.crs != target.crs:
        x, y = _transformer(target.crs, source.crs).transform(x, y)
    a, _, c, _, e, f = source.coefficients
    return (np.asarray(y) - f) / e, (np.asarray(x) - c) / a


@kernel(error_model="numpy")
def box_average(
    values: NDArray[np.float64],
    centre: tuple[NDArray[np.float64], NDArray[np.float64]],
    half: tuple[NDArray[np.float64], NDArray[np.float64]],
    out: NDArray[np.float32],
) -> None:
    """Write mean and standard deviation of the cells under each box, weighted by their overlap.

    A box smaller than a cell is widened to a cell, which makes the mean a bilinear interpolation.

    Parameters
    ----------
    values : ndarray (rows, columns), float64
        One number per cell; NaN where it is unknown.
    centre : tuple of two ndarray (y, x), float64, cells
        Row and column of each box's centre, counted from the array's outer corner.
    half : tuple of two ndarray (y, x), float64, cells
        Half height and half width of each box.
    out : ndarray (2, y, x), float32, unit of ``values``
        Written in place: mean, standard deviation. NaN where less than half of a box is known.

    References
    ----------
    .. [1] West (1979), Commun. ACM 22, 532-535.
    """
    rows, columns = values.shape
    for i in range(out.shape[1]):
        for j in range(out.shape[2]):
            half_row, half_column = max(half[0][i, j], 0.5), max(half[1][i, j], 0.5)
            top, bottom = centre[0][i, j] - half_row, centre[0][i, j] + half_row
            left, right = centre[1][i, j] - half_column, centre[1][i, j] + half_column
            out[0, i, j] = np.nan
            out[1, i, j] = np.nan
            # Stated so that a NaN centre fails the test as well.
            if not (bottom > 0.0 and top < rows and right > 0.0 and left < columns):
                continue
            first_row, end_row = max(0, math.floor(top)), min(rows, math.ceil(bottom))
            first_column, end_column = max(0, math.floor(left)), min(columns, math.ceil(right))
            weight = 0.0
            mean = 0.0
            square = 0.0
            for r in range(first_row, end_row):
                height = min(bottom, r + 1.0) - max(top, float(r))
                for c in range(first_column, end_column):
                    z = values[r, c]
                    w = height * (min(right, c + 1.0) - max(left, float(c)))
                    if z == z and w > 0.0:
                        # West (1979, Commun. ACM 22, 532-535): one pass, no cancellation.
                        weight += w
                        step = z - mean
                        mean += step * w / weight
                        square += w * step * (z - mean)
            # The small term is for the rounding of overlaps that are exactly one half.
            if weight >= 0.5 * (bottom - top) * (right - left) - 1e-9:
                out[0, i, j] = mean
                out[1, i, j] = math.sqrt(square / weight)
