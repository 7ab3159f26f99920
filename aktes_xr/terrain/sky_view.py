"""Horizons and sky-view factors of a block.

The horizon of a pixel in one direction is the steepest line of sight to the ground along a ray. It
is found in two parts, `near` and `far`, and in both it is at least that of the pixel's own tangent
`plane`. A plane's sky view is exact with it, up to the last pixel. Ground that is unknown (NaN, or
beyond the grid) hides nothing.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from aktes_xr.compilation import kernel
from aktes_xr.terrain.near import near_row
from aktes_xr.terrain.plane import HALF_PI, arctangent, plane_row

Float = np.floating

# A transposed far horizon is read column by column. Sixteen float32 fill one cache line of 64
# bytes, so each line is fetched once for a tile and not once for each row.
_TILE_ROWS = 16


@kernel(error_model="numpy")
def _far_tile(
    far: NDArray[np.float32],
    transposed: bool,
    rows: tuple[int, int],
    tile: NDArray[np.float32],
) -> None:
    """Copy rows of the far horizons into a tile; transposed ones one cache line at a time."""
    first, end = rows
    if transposed:
        for column in range(tile.shape[1]):
            for k in range(end - first):
                tile[k, column] = far[column, first + k]
    else:
        for k in range(end - first):
            for column in range(tile.shape[1]):
                tile[k, column] = far[first + k, column]


@kernel(error_model="numpy")
def _horizon_row(
    elevation: NDArray[Float],
    place: tuple[int, int, int],
    view: tuple[tuple[NDArray[np.float64], int], float, float, float, float],
    own: tuple[NDArray[np.float64], NDArray[np.float32]],
    horizon: NDArray[np.float32],
) -> None:
    """Write a row's own planes towards the azimuth, and raise its far horizon to the near one."""
    taps, east, north, dy, dx = view
    gradient, plane = own
    plane_row(elevation, place, (dy, dx), gradient)
    for i in range(plane.size):
        plane[i] = gradient[0, i] * east + gradient[1, i] * north
    near_row(elevation, place, taps, plane, horizon)


@kernel(error_model="numpy")
def horizon_tangent(
    elevation: NDArray[Float],
    core: tuple[int, int, int, int],
    far: tuple[NDArray[np.float32], bool],
    view: tuple[tuple[NDArray[np.float64], int], float, float, float, float],
    out: NDArray[np.float32],
) -> None:
    """Write the tangent of one azimuth's horizon, the pixel's own plane included.

    Parameters
    ----------
    elevation : ndarray (rows, columns), float32 or float64, m
        The block and its halo; NaN where there is no elevation.
    core : tuple of int
        First row, end row, first column, end column within ``elevation``.
    far : tuple
        Far horizons of the core (ndarray, float32) and whether they are transposed.
    view : tuple
        (``taps``, ``reach``), ``east`` and ``north`` of the direction, and the cell's size (y, x),
        m.
    out : ndarray (rows of the core, columns of the core), float32, 1
        Written in place: at least 0; NaN where the pixel has no tangent plane.
    """
    first_row, end_row, first_column, end_column = core
    tile = np.empty((_TILE_ROWS, end_column - first_column), np.float32)
    gradient = np.zeros((2, end_column - first_column))
    plane = np.empty(end_column - first_column, np.float32)
    for top in range(0, end_row - first_row, _TILE_ROWS):
        bottom = min(top + _TILE_ROWS, end_row - first_row)
        _far_tile(far[0], far[1], (top, bottom), tile)
        for k in range(bottom - top):
            place = (first_row + top + k, first_column, end_column)
            _horizon_row(elevation, place, view, (gradient, plane), tile[k])
            for i in range(plane.size):
                q = plane[i]
                # The far part is 0 over a hole. Adding 0 times the inputs makes the result NaN
                # there.
                hole = 0.0 * (np.float64(elevation[place[0], first_column + i]) + q)
                out[top + k, i] = (q if q > tile[k, i] else tile[k, i]) + hole


@kernel(error_model="numpy")
def add_sky_view(
    elevation: NDArray[Float],
    core: tuple[int, int, int, int],
    far: tuple[NDArray[np.float32], bool],
    view: tuple[tuple[NDArray[np.float64], int], float, float, float, float],
    weight: float,
    sums: NDArray[np.float32],
    carry: NDArray[np.float32],
) -> None:
    """Add one azimuth's share to the two sky-view sums.

    With ``q`` the rise of the pixel's own plane towards the azimuth, ``m`` the horizon's tangent
    (at least ``q`` and 0) and ``H = pi/2 - atan m``, eq. 7b of [1]_ reads
    ``cosS [sin^2 H - q (H - sin H cos H)]``. The factor cosS is left to `finish_sky_view`.

    Parameters
    ----------
    elevation : ndarray (rows, columns), m
        The block and its halo.
    core : tuple of int
        First row, end row, first column, end column.
    far : tuple
        Far horizons of the core and whether they are transposed.
    view : tuple
        (``taps``, ``reach``), ``east`` and ``north`` of the direction, and the cell's size (y, x),
        m.
    weight : float
        Weight of this azimuth; all add up to one.
    sums : ndarray (2, rows, columns) float32
        Lambert-weighted and uniform sums.
    carry : ndarray (rows, columns) float32
        What the first sum lost to rounding so far.

    References
    ----------
    .. [1] Dozier & Frew (1990), IEEE Trans. Geosci. 28, 963-969.
    """
    first_row, end_row, first_column, end_column = core
    tile = np.empty((_TILE_ROWS, end_column - first_column), np.float32)
    gradient = np.zeros((2, end_column - first_column))
    plane = np.empty(end_column - first_column, np.float32)
    for top in range(0, end_row - first_row, _TILE_ROWS):
        bottom = min(top + _TILE_ROWS, end_row - first_row)
        _far_tile(far[0], far[1], (top, bottom), tile)
        for k in range(bottom - top):
            row = top + k
            place = (first_row + row, first_column, end_column)
            _horizon_row(elevation, place, view, (gradient, plane), tile[k])
            _add_row(tile[k], plane, weight, (sums[0, row], sums[1, row], carry[row]))


@kernel(error_model="numpy")
def _add_row(
    tangent: NDArray[np.float32],
    plane: NDArray[np.float32],
    weight: float,
    sums: tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]],
) -> None:
    weighted, uniform, carry = sums
    for i in range(tangent.size):
        q = np.float64(plane[i])
        m = np.float64(tangent[i])
        m = q if q > m else m
        # With H = pi/2 - atan m: sin^2 H = 1 / (1 + m^2), and sin H cos H = m / (1 + m^2). No sine
        # or cosine needs to be evaluated.
        share = 1.0 / (1.0 + m * m)
        zenith = HALF_PI - arctangent(m)
        # Sums are kept in float32 to save memory. What rounding takes is carried to the next
        # azimuth, so that rounding does not add up.
        total = (np.float64(weighted[i]) + carry[i]) + weight * (share - q * (zenith - m * share))
        high = np.float32(total)
        weighted[i] = high
        carry[i] = total - high
        uniform[i] = uniform[i] + weight * (1.0 - m * math.sqrt(share))


@kernel(error_model="numpy")
def finish_sky_view(
    elevation: NDArray[Float],
    core: tuple[int, int, int, int],
    cell_size_m: tuple[float, float],
    horn: NDArray[np.float32],
    sums: NDArray[np.float32],
    carry: NDArray[np.float32],
) -> None:
    """Multiply the Lambert-weighted sum by the cosine of the slope, in place.

    A pixel without Horn's gradient gets no sky view either.

    Parameters
    ----------
    elevation : ndarray (rows, columns), float32 or float64, m
        The block and its halo; NaN where there is no elevation.
    core : tuple of int
        First row, end row, first column, end column within ``elevation``.
    cell_size_m : tuple of float, m
        Southward metres per row and eastward metres per column.
    horn : ndarray (2, rows of the core, columns of the core), float32
        Any two planes that are NaN where Horn's gradient is.
    sums : ndarray (2, rows of the core, columns of the core), float32, 1
        Sums of `add_sky_view` before, sky-view factors after.
    carry : ndarray (rows of the core, columns of the core), float32
        What the first sum lost to rounding.
    """
    first_row, end_row, first_column, end_column = core
    gradient = np.zeros((2, end_column - first_column))
    for row in range(end_row - first_row):
        plane_row(elevation, (first_row + row, first_column, end_column), cell_size_m, gradient)
        for i in range(end_column - first_column):
            east, north = gradient[0, i], gradient[1, i]
            cosine = 1.0 / math.sqrt(1.0 + east * east + north * north)
            # The plane reaches across some holes that Horn's gradient does not. Both products must
            # have the same holes as slope and aspect.
            hole = 0.0 * (np.float64(horn[0, row, i]) + horn[1, row, i])
            total = np.float64(sums[0, row, i]) + carry[row, i]
            sums[0, row, i] = cosine * total + hole
            sums[1, row, i] = sums[1, row, i] + hole
