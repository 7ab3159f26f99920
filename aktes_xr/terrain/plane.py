"""The tangent plane of a pixel: the ground at distance zero, which no sample on a grid can see.

Its slope is a central difference of two neighbours [1]_, less what the third derivative adds to it.
The third derivative is known from the second differences. These must rise or fall steadily over
three points, or nothing is taken off: an edge two pixels away leaves no mark. The slope index uses
Horn's difference instead, which also averages over the diagonals. That is smoother on noise, but
where the surface bends it is off by more than the horizon is.

References
----------
.. [1] Zevenbergen & Thorne (1987), Earth Surf. Process. Landf. 12, 47-56.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from aktes_xr.compilation import kernel

Float = np.floating


@kernel(inline="always", error_model="numpy")
def _excess(a: float, b: float, z: float, c: float, d: float) -> float:
    """How much larger ``c - b`` is than twice the slope at ``z``, of five points a, b, z, c, d."""
    before, here, after = (a - b) - (b - z), (b - z) - (z - c), (z - c) - (c - d)
    first, second = here - before, after - here
    small = first if abs(first) < abs(second) else second
    return small * (1.0 / 3.0) if first * second > 0.0 else 0.0


@kernel(error_model="numpy")
def plane_row(
    elevation: NDArray[Float],
    place: tuple[int, int, int],
    cell_size_m: tuple[float, float],
    gradient: NDArray[np.float64],
) -> None:
    """Write the gradient of the tangent planes of a row's pixels.

    Parameters
    ----------
    elevation : ndarray (rows, columns), float32 or float64, m
        The block and its halo; NaN where there is no elevation.
    place : tuple of int
        Row, first column, end column.
    cell_size_m : tuple of float, m
        Southward metres per row and eastward metres per column.
    gradient : ndarray (2, end column - first column), float64, m m-1
        Written in place: rise towards east, rise towards north.

    References
    ----------
    .. [1] Zevenbergen & Thorne (1987), Earth Surf. Process. Landf. 12, 47-56.
    """
    rows, columns = elevation.shape
    row, first_column, end_column = place
    north = elevation[max(row - 1, 0), first_column:end_column]
    here = elevation[row, first_column:end_column]
    south = elevation[min(row + 1, rows - 1), first_column:end_column]
    # At the grid's first and last row `north` or `south` is the row itself: one step, not two.
    scale = (0.5 if 0 < row < rows - 1 else 1.0) / cell_size_m[0]
    east_gradient, north_gradient = gradient[0], gradient[1]
    for i in range(here.size):
        north_gradient[i] = (np.float64(north[i]) - np.float64(south[i])) * scale
    # The third derivative needs two rows on each side. Nearer the edge the plain difference stays.
    if 1 < row < rows - 2:
        far_north = elevation[row - 2, first_column:end_column]
        far_south = elevation[row + 2, first_column:end_column]
        for i in range(here.size):
            z = np.float64(here[i])
            b, c = np.float64(south[i]), np.float64(north[i])
            a, d = np.float64(far_south[i]), np.float64(far_north[i])
            north_gradient[i] -= _excess(a, b, z, c, d) * scale
    # East and west are slices of the same row, shifted. The edge columns are done after, so that
    # the loops over the inner ones have no branch and are vectorised.
    per_column = 0.5 / cell_size_m[1]
    begin, end = max(first_column, 1), min(end_column, columns - 1)
    west = elevation[row, begin - 1 : end - 1]
    east = elevation[row, begin + 1 : end + 1]
    inner = east_gradient[begin - first_column : end - first_column]
    for i in range(inner.size):
        inner[i] = (np.float64(east[i]) - np.float64(west[i])) * per_column
    begin, end = max(first_column, 2), min(end_column, columns - 2)
    inner = east_gradient[begin - first_column : end - first_column]
    for i in range(inner.size):
        k = begin + i
        b, c = np.float64(elevation[row, k - 1]), np.float64(elevation[row, k + 1])
        a, d = np.float64(elevation[row, k - 2]), np.float64(elevation[row, k + 2])
        inner[i] -= _excess(a, b, np.float64(elevation[row, k]), c, d) * per_column
    for column in (0, columns - 1):
        if first_column <= column < end_column:
            ahead, behind = min(column + 1, columns - 1), max(column - 1, 0)
            rise = np.float64(elevation[row, ahead]) - np.float64(elevation[row, behind])
            east_gradient[column - first_column] = rise / cell_size_m[1]


HALF_PI = 0.5 * math.pi
# Chebyshev fit of atan(x) / x in x^2 on [0, 1]; largest error 4.5e-11 rad. One long polynomial is
# faster than a second range reduction: that would be a division.
_COEFFICIENTS = (
    0.9999999999390123,
    -0.3333333151819677,
    0.19999909956965847,
    -0.14283948420406634,
    0.1109298478093698,
    -0.08979051018674351,
    0.07242284055083002,
    -0.05421530682453216,
    0.03413342113604255,
    -0.016055159306532757,
    0.004827227227518271,
    -0.0006804971753881813,
)
_A, _B, _C, _D, _E, _F, _G, _H, _I, _J, _K, _L = _COEFFICIENTS


@kernel(inline="always", error_model="numpy")
def arctangent_unit(x: float) -> float:
    """Arctangent of a number from 0 to 1.

    Parameters
    ----------
    x : float, 1
        From 0 to 1. Outside this range the polynomial does not hold.

    Returns
    -------
    float, rad
    """
    s = x * x
    upper = _G + s * (_H + s * (_I + s * (_J + s * (_K + s * _L))))
    return x * (_A + s * (_B + s * (_C + s * (_D + s * (_E + s * (_F + s * upper))))))


@kernel(inline="always", error_model="numpy")
def arctangent(x: float) -> float:
    """Arctangent of a number that is not negative.

    Parameters
    ----------
    x : float, 1
        At least 0; infinity is allowed.

    Returns
    -------
    float, rad
    """
    large = x > 1.0
    angle: float = arctangent_unit(1.0 / x if large else x)
    return HALF_PI - angle if large else angle


@kernel(inline="always", error_model="numpy")
def bearing(east: float, north: float) -> float:
    """Direction of a vector, clockwise from north.

    Parameters
    ----------
    east, north : float
        Parts of the vector, both in the same unit.

    Returns
    -------
    float, rad
        From 0 to 2 pi; 0 for the null vector.
    """
    # Reduce to the first half quadrant, where the argument is at most 1. Then undo the reduction
    # step by step.
    across = abs(east)
    along = abs(north)
    steep = across > along
    larger = across if steep else along
    smaller = along if steep else across
    # The null vector would divide 0 by 0: it divides 0 by 1 and gives 0.
    angle: float = arctangent_unit(smaller / (larger if larger > 0.0 else 1.0))
    angle = HALF_PI - angle if steep else angle
    angle = math.pi - angle if north < 0.0 else angle
    return 2.0 * math.pi - angle if east < 0.0 else angle
