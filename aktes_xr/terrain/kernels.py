"""Morphometric indices of a 3 x 3 neighbourhood: numba, plain arrays.

Slope and aspect follow [1]_. Terrain ruggedness follows [2]_ and [3]_ (eq. 9). The topographic
position index (eq. 8) and roughness (eq. 10) follow [3]_ as well. Vector ruggedness follows [4]_.

Every kernel takes the elevation with whatever surroundings there are and writes a rectangle of it,
the core. Where the elevation ends, the surface is continued linearly: a plane keeps its slope up to
its last pixel. Where the elevation is NaN, every index that touches it is NaN. All arithmetic is in
float64, in an order that does not depend on the rectangle. So the results are bit-identical however
a grid is cut.

References
----------
.. [1] Horn (1981), Proc. IEEE 69, 14-47.
.. [2] Riley et al. (1999), Intermt. J. Sci. 5, 23-27.
.. [3] Wilson et al. (2007), Mar. Geod. 30, 3-35.
.. [4] Sappington et al. (2007), J. Wildl. Manage. 71, 1419-1426.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from aktes_xr.compilation import kernel
from aktes_xr.terrain.plane import arctangent, bearing

Float = np.floating

# Rows of the array `local_indices` fills. The first two become slope and aspect in
# `finish_gradient`: the sky-view kernel needs the gradient itself.
GRADIENT_EAST, GRADIENT_NORTH, RILEY, WILSON, POSITION, ROUGHNESS, VECTOR = range(7)

_DEGREES = 180.0 / math.pi


@kernel(error_model="numpy")
def extended_row(
    elevation: NDArray[Float], row: int, first_column: int, buffer: NDArray[np.float64]
) -> None:
    """Read one row from ``first_column`` on, continued linearly beyond the array's edges.

    Parameters
    ----------
    elevation : ndarray (rows, columns), float32 or float64, m
        The block and its halo; NaN where there is no elevation.
    row : int
        Number of the row; it may lie outside the array.
    first_column : int
        Column of the buffer's first pixel; it may be negative.
    buffer : ndarray (n,), float64, m
        Written in place.
    """
    rows, columns = elevation.shape
    # Outside the array, `inner` is the edge row and `towards` the one next to it, further inside.
    inner = min(max(row, 0), rows - 1)
    outside = float(row - inner)
    towards = inner + 1 if outside < 0.0 else inner - 1
    start = max(0, first_column)
    stop = min(columns, first_column + buffer.size)
    source = elevation[inner, start:stop]
    target = buffer[start - first_column : stop - first_column]
    if outside == 0.0:
        for i in range(target.size):
            target[i] = source[i]
    else:
        neighbour = elevation[towards, start:stop]
        distance = abs(outside)
        for i in range(target.size):
            z = np.float64(source[i])
            target[i] = z + distance * (z - neighbour[i])
    # Columns come after rows, so that a corner continues what the row continued. Outwards, pixel by
    # pixel: each one needs the two before it.
    left = start - first_column
    for i in range(left - 1, -1, -1):
        buffer[i] = 2.0 * buffer[i + 1] - buffer[i + 2]
    for i in range(stop - first_column, buffer.size):
        buffer[i] = 2.0 * buffer[i - 1] - buffer[i - 2]


@kernel(error_model="numpy")
def _gradient_row(
    north: NDArray[np.float64],
    here: NDArray[np.float64],
    south: NDArray[np.float64],
    scale_east: float,
    scale_north: float,
    gradient: NDArray[np.float64],
    normal: NDArray[np.float64],
) -> None:
    """Horn's gradient (2, n) and the upward unit normal (3, n) of a row two pixels wider."""
    gradient_east, gradient_north = gradient[0], gradient[1]
    normal_east, normal_north, normal_up = normal[0], normal[1], normal[2]
    for i in range(gradient_east.size):
        a, b, c = north[i], north[i + 1], north[i + 2]
        d, f = here[i], here[i + 2]
        g, h, k = south[i], south[i + 1], south[i + 2]
        east = ((c - a) + 2.0 * (f - d) + (k - g)) * scale_east
        up_north = ((a - g) + 2.0 * (b - h) + (c - k)) * scale_north
        # The centre takes no part in Horn's sums: a hole must still have no gradient.
        east = east + 0.0 * here[i + 1]
        length = 1.0 / math.sqrt(1.0 + east * east + up_north * up_north)
        gradient_east[i] = east
        gradient_north[i] = up_north
        normal_east[i] = -east * length
        normal_north[i] = -up_north * length
        normal_up[i] = length


@kernel(error_model="numpy")
def _difference_row(
    north: NDArray[np.float64],
    here: NDArray[np.float64],
    south: NDArray[np.float64],
    riley: NDArray[np.float32],
    wilson: NDArray[np.float32],
    position: NDArray[np.float32],
    roughness: NDArray[np.float32],
) -> None:
    for i in range(riley.size):
        z = here[i + 1]
        a, b, c, d = north[i] - z, north[i + 1] - z, north[i + 2] - z, here[i] - z
        e, f, g, h = here[i + 2] - z, south[i] - z, south[i + 1] - z, south[i + 2] - z
        # Sums and extremes are balanced trees: their parts do not wait for each other. Extremes by
        # comparison instead of max and min keep the loop vectorised.
        total = ((a + b) + (c + d)) + ((e + f) + (g + h))
        square = ((a * a + b * b) + (c * c + d * d)) + ((e * e + f * f) + (g * g + h * h))
        absolute = ((abs(a) + abs(b)) + (abs(c) + abs(d))) + ((abs(e) + abs(f)) + (abs(g) + abs(h)))
        ab, cd = (a if a > b else b), (c if c > d else d)
        ef, gh = (e if e > f else f), (g if g > h else h)
        abcd, efgh = (ab if ab > cd else cd), (ef if ef > gh else gh)
        top = abcd if abcd > efgh else efgh
        top = top if top > 0.0 else 0.0
        ab, cd = (a if a < b else b), (c if c < d else d)
        ef, gh = (e if e < f else f), (g if g < h else h)
        abcd, efgh = (ab if ab < cd else cd), (ef if ef < gh else gh)
        bottom = abcd if abcd < efgh else efgh
        bottom = bottom if bottom < 0.0 else 0.0
        riley[i] = math.sqrt(square)
        wilson[i] = absolute * 0.125
        position[i] = -total * 0.125
        # Comparisons are blind to NaN; the sum is not.
        roughness[i] = (top - bottom) + 0.0 * total


@kernel(error_model="numpy")
def _vector_row(
    north: NDArray[np.float64],
    here: NDArray[np.float64],
    south: NDArray[np.float64],
    vector: NDArray[np.float32],
) -> None:
    """1 - |sum of nine unit normals| / 9, from the normals (3, n + 2) of three rows."""
    ne, nn, nu = north[0], north[1], north[2]
    he, hn, hu = here[0], here[1], here[2]
    se, sn, su = south[0], south[1], south[2]
    for i in range(vector.size):
        j, k = i + 1, i + 2
        east = ((ne[i] + ne[j]) + (ne[k] + he[i])) + ((he[j] + he[k]) + (se[i] + se[j])) + se[k]
        up_north = ((nn[i] + nn[j]) + (nn[k] + hn[i])) + ((hn[j] + hn[k]) + (sn[i] + sn[j])) + sn[k]
        up = ((nu[i] + nu[j]) + (nu[k] + hu[i])) + ((hu[j] + hu[k]) + (su[i] + su[j])) + su[k]
        length = math.sqrt(east * east + up_north * up_north + up * up) / 9.0
        # Nine equal vectors may add up to a little more than nine.
        vector[i] = 1.0 - (1.0 if length > 1.0 else length)


@kernel(error_model="numpy")
def local_indices(
    elevation: NDArray[Float],
    core: tuple[int, int, int, int],
    cell_size_m: tuple[float, float],
    out: NDArray[np.float32],
) -> None:
    """Fill the seven 3 x 3 indices of the core.

    Parameters
    ----------
    elevation : ndarray (rows, columns) float32 or float64, m
        At least 3 x 3; NaN where there is no elevation.
    core : tuple of int
        First row, end row, first column, end column to be written.
    cell_size_m : tuple of float
        Southward metres per row and eastward metres per column; negative where an axis runs the
        other way.
    out : ndarray (7, end row - first row, end column - first column) float32
        Gradient east and north (m m-1), Riley's and Wilson's ruggedness, topographic position,
        roughness (m) and vector ruggedness (1).
    """
    first_row, end_row, first_column, end_column = core
    width = end_column - first_column
    scale_east = 0.125 / cell_size_m[1]
    scale_north = 0.125 / cell_size_m[0]
    # Rings of rows: five of elevation, three of gradients and normals. Each row of elevation is
    # read once and each normal is made once, although nine pixels use it.
    z = np.empty((5, width + 4))
    gradient = np.empty((3, 2, width + 2))
    normal = np.empty((3, 3, width + 2))
    # The vector index needs normals one pixel around the core, and these need elevation two around.
    for k in range(4):
        extended_row(elevation, first_row - 2 + k, first_column - 2, z[k])
    for k in range(2):
        _gradient_row(z[k], z[k + 1], z[k + 2], scale_east, scale_north, gradient[k], normal[k])
    for row in range(end_row - first_row):
        extended_row(elevation, first_row + row + 2, first_column - 2, z[(row + 4) % 5])
        north, here, south = z[(row + 1) % 5], z[(row + 2) % 5], z[(row + 3) % 5]
        below = z[(row + 4) % 5]
        _gradient_row(
            here,
            south,
            below,
            scale_east,
            scale_north,
            gradient[(row + 2) % 3],
            normal[(row + 2) % 3],
        )
        middle = gradient[(row + 1) % 3]
        for i in range(width):
            out[GRADIENT_EAST, row, i] = middle[0, i + 1]
            out[GRADIENT_NORTH, row, i] = middle[1, i + 1]
        _difference_row(
            north[1:],
            here[1:],
            south[1:],
            out[RILEY, row],
            out[WILSON, row],
            out[POSITION, row],
            out[ROUGHNESS, row],
        )
        _vector_row(normal[row % 3], normal[(row + 1) % 3], normal[(row + 2) % 3], out[VECTOR, row])


@kernel(error_model="numpy")
def horn_gradient(
    elevation: NDArray[Float],
    core: tuple[int, int, int, int],
    cell_size_m: tuple[float, float],
    out: NDArray[np.float32],
) -> None:
    """Fill Horn's gradient alone, with the same numbers as `local_indices`.

    Parameters
    ----------
    elevation : ndarray (rows, columns), float32 or float64, m
        The block and its halo; NaN where there is no elevation.
    core : tuple of int
        First row, end row, first column, end column within ``elevation``.
    cell_size_m : tuple of float, m
        Southward metres per row and eastward metres per column.
    out : ndarray (2, rows of the core, columns of the core), float32, m m-1
        Written in place: rise towards east, rise towards north.

    References
    ----------
    .. [1] Horn (1981), Proc. IEEE 69, 14-47.
    """
    first_row, end_row, first_column, end_column = core
    width = end_column - first_column
    scale_east = 0.125 / cell_size_m[1]
    scale_north = 0.125 / cell_size_m[0]
    # The same ring as in `local_indices`, without what the other indices need.
    z = np.empty((3, width + 2))
    gradient, normal = np.empty((2, width)), np.empty((3, width))
    for k in range(2):
        extended_row(elevation, first_row - 1 + k, first_column - 1, z[k])
    for row in range(end_row - first_row):
        south = z[(row + 2) % 3]
        extended_row(elevation, first_row + row + 1, first_column - 1, south)
        north, here = z[row % 3], z[(row + 1) % 3]
        _gradient_row(north, here, south, scale_east, scale_north, gradient, normal)
        for i in range(width):
            out[GRADIENT_EAST, row, i] = gradient[0, i]
            out[GRADIENT_NORTH, row, i] = gradient[1, i]


@kernel(error_model="numpy")
def finish_gradient(first: NDArray[np.float32], second: NDArray[np.float32]) -> None:
    """Turn the gradient into slope and aspect, in place.

    Aspect is the direction in which the ground falls, clockwise from grid north, from 0 to 360
    degrees. It is 0 where the ground is flat.

    Parameters
    ----------
    first : ndarray (rows, columns), float32
        Gradient towards east (m m-1) before, slope (degrees) after.
    second : ndarray (rows, columns), float32
        Gradient towards north (m m-1) before, aspect (degrees) after.
    """
    for row in range(first.shape[0]):
        east_row, north_row = first[row], second[row]
        for i in range(east_row.size):
            east, north = np.float64(east_row[i]), np.float64(north_row[i])
            slope = arctangent(math.sqrt(east * east + north * north)) * _DEGREES
            aspect = bearing(-east, -north) * _DEGREES
            # In float32 this would round up to 360.
            aspect = 0.0 if aspect >= 359.99999 else aspect
            east_row[i] = slope
            # A NaN slope makes the aspect NaN too.
            north_row[i] = aspect + 0.0 * slope
