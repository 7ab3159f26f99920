"""Horizons and sky-view factors: cost per azimuth linear in pixels, whatever the radius.

The horizon of a pixel in one direction is the steepest line of sight to the ground along a ray. It
is found in two parts.

*Near* (up to ``NEAR_STEPS`` steps): the pixel's own ray, sampled by linear interpolation at every
grid line it crosses, rows and columns both. A fixed number of additions per pixel.

*Far* (from there to the radius): parallel lines sweep the grid, one per row, and each pixel looks
along the line that passes within half a pixel of it, from its own tangent plane. On a line the
window of each pixel is cut where a lattice of blocks as long as the window cuts it: what is left
of the cut is a suffix, what is right of it a prefix of a block, and the upper convex hulls of all
suffixes and prefixes, for both senses of the view, come from two passes of a stack, O(1) per pixel.
(For hulls as horizons see Timonen & Westerholm 2010, Comput. Graph. Forum 29, 557-566; for blocks,
van Herk 1992, Pattern Recognit. Lett. 13, 517-521.) The steepest line to a hull is a bisection.
Lines and blocks are anchored on the row and column numbers of the whole grid and every window ends
at its radius exactly, so a pixel's horizon is the same bit for bit however the grid is cut into
chunks.

In both parts the horizon is at least that of the pixel's own tangent plane: the limit of the lines
of sight at distance zero, which no sample on a grid can see. A plane's sky view is exact with it,
up to the last pixel. Ground that is unknown (NaN, or beyond the grid) hides nothing.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from aktes_xr.terrain.arctangent import HALF_PI, arctangent

Float = np.floating

NEAR_STEPS = 8
_TILE_ROWS = 16
_SNAP = 1e-9


class Direction(NamedTuple):
    """One azimuth on one grid: small numbers only, ready for the kernels.

    The *main* axis is the one along which the ray advances faster, one pixel per step.
    """

    east: float
    north: float
    transposed: bool  # the main axis runs along rows' numbers: use the transposed elevation
    forward: bool  # towards higher indices of the main axis
    shear: float  # cross-axis pixels per main-axis pixel, in [-1, 1]
    step_m: float  # length of a step
    steps: int  # steps within the radius
    taps: NDArray[np.float64]  # (n, 7), see `_near_taps`


def direction(azimuth_rad: float, cell_size_m: tuple[float, float], radius_m: float) -> Direction:
    """Geometry of an azimuth (clockwise from grid north) on a grid.

    Parameters
    ----------
    azimuth_rad : float
        Azimuth the pixel looks to, rad.
    cell_size_m : tuple of float
        Southward metres per row, eastward metres per column; negative where an axis runs the
        other way.
    radius_m : float
        Search radius, m.
    """
    east, north = math.sin(azimuth_rad), math.cos(azimuth_rad)
    along_rows, along_columns = -north / cell_size_m[0], east / cell_size_m[1]
    transposed = abs(along_rows) > abs(along_columns)
    main, cross = (along_rows, along_columns) if transposed else (along_columns, along_rows)
    shear = cross / main
    shear = 0.0 if abs(shear) < _SNAP else shear
    step_m = 1.0 / abs(main)
    steps = int(radius_m / step_m + _SNAP)
    reach = min(steps, NEAR_STEPS)
    return Direction(
        east,
        north,
        transposed,
        main > 0.0,
        shear,
        step_m,
        steps,
        _near_taps((along_rows * step_m, along_columns * step_m), reach, cell_size_m),
    )


def _near_taps(
    step: tuple[float, float], reach: int, cell_size_m: tuple[float, float]
) -> NDArray[np.float64]:
    """Where a ray crosses the columns and rows of the grid within ``reach`` steps of its main axis.

    ``step`` is the ray's advance (rows, columns) per main-axis pixel. Each crossing is a row of
    (row, column, row step, column step to the next point of the grid line, share of that next
    point, 1 / distance, curvature factor).
    """
    taps = []
    for axis in (0, 1):
        along, across = step[axis], step[1 - axis]
        limit = reach * abs(along) + _SNAP if abs(along) > _SNAP else 0.0
        for k in range(1, int(limit) + 1):
            main = math.copysign(float(k), along)
            low, share = _split(main * across / along)
            if share == 0.0 and abs(along) < abs(across):
                continue  # a point of the grid: the other axis has it
            ends = [
                math.hypot(main * cell_size_m[axis], (low + j) * cell_size_m[1 - axis])
                for j in (0, 1)
            ]
            cross = low + share
            distance = math.hypot(main * cell_size_m[axis], cross * cell_size_m[1 - axis])
            factor = distance / ((1.0 - share) * ends[0] + share * ends[1])
            start = (main, float(low)) if axis == 0 else (float(low), main)
            next_point = (0.0, 1.0) if axis == 0 else (1.0, 0.0)
            taps.append((*start, *next_point, share, 1.0 / distance, factor))
    # Rays at exactly 45 degrees meet only points of the grid, once per axis.
    return np.unique(np.array(taps, np.float64).reshape(-1, 7), axis=0)


def _split(position: float) -> tuple[int, float]:
    """Integer part below a position and the share of the next pixel, both free of rounding."""
    low = math.floor(position + _SNAP)
    share = position - low
    return low, 0.0 if share < _SNAP else share


@njit(nogil=True, inline="always", error_model="numpy")
def _tangent(
    hull_x: NDArray[np.float64],
    hull_z: NDArray[np.float64],
    span: tuple[int, int, int],
    origin: tuple[float, float, float],
) -> float:
    """Steepest slope (per step) from a point to a hull ahead of it.

    ``span`` is the nearest and the farthest vertex and the stride between; ``origin`` is place,
    height and the sense of the view (1.0 or -1.0). Along an upper hull the slope seen from outside
    rises to one maximum and falls: a galloping bisection finds it in O(log) of its place.
    """
    first, last, stride = span
    x, z, sense = origin
    size = (last - first) * stride
    low = 0
    jump = 1
    high = size
    while low + jump <= size:
        j = first + stride * (low + jump)
        i = j - stride
        near, far = (hull_x[i] - x) * sense, (hull_x[j] - x) * sense
        if (hull_z[j] - z) * near > (hull_z[i] - z) * far:
            low += jump
            jump *= 2
        else:
            high = low + jump - 1
            break
    while low < high:
        middle = (low + high + 1) // 2
        j = first + stride * middle
        i = j - stride
        near, far = (hull_x[i] - x) * sense, (hull_x[j] - x) * sense
        if (hull_z[j] - z) * near > (hull_z[i] - z) * far:
            low = middle
        else:
            high = middle - 1
    j = first + stride * low
    slope: float = (hull_z[j] - z) / ((hull_x[j] - x) * sense)
    return slope


@njit(nogil=True, error_model="numpy")
def _sweep_line(
    line: tuple[NDArray[np.float64], NDArray[np.float64]],
    first_global: int,
    window: tuple[int, int],
    sense: int,
    best: tuple[NDArray[np.float64], NDArray[np.float64]],
) -> None:
    """Pass over a line once and raise the slopes that this pass can see.

    Points enter a hull in the order of the pass (``sense`` 1: to higher places). Of the window
    behind it, a pixel ``window[0]`` steps further on sees the part that lies in the current block,
    nearest vertex on top; of the window ahead of it, a pixel ``window[1]`` steps back sees the part
    that lies in the current block, nearest vertex at the bottom. The pass in the other sense sees
    the other two parts.

    Parameters
    ----------
    line : tuple of ndarray
        Elevations, and heights the pixels look from; NaN where there is none.
    first_global : int
        Place of the first point in the whole grid.
    window : tuple of int
        First and last step of the window.
    sense : int
        1 or -1.
    best : tuple of ndarray
        Slopes per step, >= 0, looking to lower and to higher places.
    """
    profile, origin = line
    near, far = window
    length = far - near + 1
    size = profile.size
    behind, ahead = best if sense > 0 else (best[1], best[0])
    view = float(sense)
    hull_x = np.empty(length + 1)
    hull_z = np.empty(length + 1)
    top = -1
    highest = -np.inf
    start = 0 if sense > 0 else size - 1
    # Steps until the next block begins.
    left = (first_global + start) % length
    left = (length - left) % length if sense > 0 else (left + 1) % length
    for k in range(size + far):
        p = start + sense * k
        if left == 0:
            top = -1
            highest = -np.inf
            left = length
        left -= 1
        z = profile[p] if k < size else np.nan
        x = float(p)
        if z == z:
            while top > 0 and (hull_z[top] - hull_z[top - 1]) * ((x - hull_x[top]) * view) <= (
                z - hull_z[top]
            ) * ((hull_x[top] - hull_x[top - 1]) * view):
                top -= 1
            top += 1
            hull_x[top] = x
            hull_z[top] = z
            highest = z if z > highest else highest
        # Even the highest point, were it the nearest, would not be steeper: no need to search.
        i = p + sense * near
        if k + near < size and highest - origin[i] > behind[i] * near:
            slope = _tangent(hull_x, hull_z, (top, 0, -1), (float(i), origin[i], -view))
            behind[i] = slope if slope > behind[i] else behind[i]
        i = p - sense * far
        if k >= far and highest - origin[i] > ahead[i] * ((hull_x[0] - i) * view):
            slope = _tangent(hull_x, hull_z, (0, top, 1), (float(i), origin[i], view))
            ahead[i] = slope if slope > ahead[i] else ahead[i]


@njit(nogil=True, error_model="numpy")
def far_horizons(
    elevation: NDArray[Float],
    core: tuple[int, int, int, int],
    anchor: int,
    line: tuple[float, float, int],
    out: tuple[NDArray[np.float32], NDArray[np.float32]],
) -> None:
    """Tangents of two opposite horizons beyond ``NEAR_STEPS`` steps, for the core.

    Parameters
    ----------
    elevation : ndarray (rows, columns), m
        The main axis is the second one.
    core : tuple of int
        First row, end row, first column, end column.
    anchor : int
        Column number of the first column in the whole grid.
    line : tuple
        ``shear``, ``step_m`` and ``steps`` of the `Direction`.
    out : tuple of ndarray (rows, columns of the core) float32
        Tangents, >= 0, towards lower and towards higher columns.
    """
    shear, step_m, steps = line
    columns = elevation.shape[1]
    first_row, end_row, first_column, end_column = core
    out[0][:, :] = 0.0
    out[1][:, :] = 0.0
    if steps <= NEAR_STEPS:
        return
    # Only the columns a pixel of the core can see.
    begin = max(0, first_column - steps)
    size = min(columns, end_column + steps) - begin
    shift = np.empty(size, np.int64)
    side = np.empty(size, np.int64)
    share = np.empty(size)
    for p in range(size):
        position = shear * float(anchor + begin + p)
        shift[p] = math.floor(position + 0.5)
        offset = position - shift[p]
        side[p] = 0 if abs(offset) < _SNAP else (1 if offset > 0.0 else -1)
        share[p] = 0.0 if side[p] == 0 else abs(offset)
    profile = np.empty(size)
    origin = np.empty(size)
    lower = np.empty(size)
    higher = np.empty(size)
    inside, outside = first_column - begin, end_column - begin
    lowest = min(shift[inside], shift[outside - 1])
    highest = max(shift[inside], shift[outside - 1])
    per_step = 1.0 / step_m
    for number in range(first_row - highest, end_row - lowest):
        _read_line(elevation, (number, begin), (shift, side, share), (profile, origin))
        asked = False
        for p in range(size):
            asks = inside <= p < outside and first_row <= number + shift[p] < end_row
            asked = asked or asks
            origin[p] = origin[p] if asks else np.nan
            lower[p] = 0.0
            higher[p] = 0.0
        if not asked:
            continue
        for sense in (1, -1):
            _sweep_line(
                (profile, origin),
                anchor + begin,
                (NEAR_STEPS + 1, steps),
                sense,
                (lower, higher),
            )
        for p in range(inside, outside):
            row = number + shift[p] - first_row
            if 0 <= row < end_row - first_row:
                out[0][row, p - inside] = lower[p] * per_step
                out[1][row, p - inside] = higher[p] * per_step


@njit(nogil=True, error_model="numpy")
def _read_line(
    elevation: NDArray[Float],
    line: tuple[int, int],
    track: tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]],
    target: tuple[NDArray[np.float64], NDArray[np.float64]],
) -> None:
    """Elevation along a line, and from where the pixel beside it looks along it.

    Parameters
    ----------
    line : tuple of int
        Number of the line and first column.
    track : tuple of ndarray
        Rows from the line's number to the pixel beside it, the side the line passes it on (-1, 0,
        1 rows) and how far away (0 to 1/2).
    target : tuple of ndarray
        Elevations and origins to write; NaN where the line is outside.
    """
    rows = elevation.shape[0]
    number, start = line
    shift, side, share = track
    profile, origin = target
    for p in range(profile.size):
        row = number + shift[p]
        if row < 0 or row >= rows:
            profile[p] = np.nan
            origin[p] = np.nan
            continue
        column = start + p
        z = np.float64(elevation[row, column])
        ahead, behind = row + side[p], row - side[p]
        if min(ahead, behind) >= 0 and max(ahead, behind) < rows:
            first = np.float64(elevation[ahead, column])
            second = np.float64(elevation[behind, column])
        else:
            # Beyond the grid's edge the surface continues linearly.
            inner = np.float64(elevation[1 if row == 0 else rows - 2, column])
            outside = ahead < 0 or ahead >= rows
            first = 2.0 * z - inner if outside else inner
            second = inner if outside else 2.0 * z - inner
        along = z + share[p] * (first - z)
        plane = z + 0.5 * share[p] * (first - second)
        profile[p] = along
        # In a valley the line starts on the wall, on a crest from the crest's height: what lies
        # half a pixel aside must not look like a horizon.
        origin[p] = along if along > plane else plane


@njit(nogil=True, error_model="numpy")
def _near_tap(
    here: NDArray[Float],
    points: tuple[NDArray[Float], NDArray[Float], NDArray[Float], NDArray[Float]],
    tap: tuple[float, float, float],
    plane: NDArray[np.float64],
    tangent: NDArray[np.float64],
) -> None:
    """Raise the horizon's tangent by one crossing between ``points[1]`` and ``points[2]``.

    Between two points the ground is the chord or, where it is lower, what the two points on each
    side extrapolate to: a valley's floor that runs between pixels stays a floor. The slope to it,
    relative to the pixel's own plane, is then taken as linear in angle between the two points, not
    in distance: a cone is seen as a cone from its apex.
    """
    share, per_m, factor = tap
    before, first, second, after = points
    for i in range(tangent.size):
        z = np.float64(here[i])
        a, b = first[i] - z, second[i] - z
        chord = a + share * (b - a)
        left = a + share * (first[i] - np.float64(before[i]))
        right = b + (1.0 - share) * (second[i] - np.float64(after[i]))
        lower = left if left > right else right
        rise = lower if lower < chord else chord
        q = plane[i]
        slope = q + factor * (rise * per_m - q)
        tangent[i] = slope if slope > tangent[i] else tangent[i]


@njit(nogil=True, error_model="numpy")
def _near_row(
    elevation: NDArray[Float],
    place: tuple[int, int, int],
    taps: NDArray[np.float64],
    plane: NDArray[np.float64],
    tangent: NDArray[np.float64],
) -> None:
    """Raise the horizon's tangent of a row of the core to that of its near ground."""
    rows, columns = elevation.shape
    row, first_column, end_column = place
    for k in range(taps.shape[0]):
        share, per_m, factor = taps[k, 4], taps[k, 5], taps[k, 6]
        next_row = int(taps[k, 2]) if share > 0.0 else 0
        next_column = int(taps[k, 3]) if share > 0.0 else 0
        row_1, column_1 = row + int(taps[k, 0]), int(taps[k, 1])
        row_2, column_2 = row_1 + next_row, column_1 + next_column
        if min(row_1, row_2) < 0 or max(row_1, row_2) >= rows:
            continue
        begin = max(first_column, -column_1)
        end = min(end_column, columns - column_2)
        # A grid line's end has no point beyond to extrapolate from: there the chord serves.
        row_0, row_3 = max(row_1 - next_row, 0), min(row_2 + next_row, rows - 1)
        left = min(end, max(begin, next_column - column_1))
        right = max(left, min(end, columns - column_2 - next_column))
        for part in range(3):
            lo = begin if part == 0 else left if part == 1 else right
            hi = left if part == 0 else right if part == 1 else end
            if hi <= lo:
                continue
            outer = next_column if part == 1 else 0
            first = elevation[row_1, lo + column_1 : hi + column_1]
            second = elevation[row_2, lo + column_2 : hi + column_2]
            before = elevation[row_0, lo + column_1 - outer : hi + column_1 - outer]
            after = elevation[row_3, lo + column_2 + outer : hi + column_2 + outer]
            _near_tap(
                elevation[row, lo:hi],
                (before, first, second, after),
                (share, per_m, factor),
                plane[lo - first_column : hi - first_column],
                tangent[lo - first_column : hi - first_column],
            )


@njit(nogil=True, error_model="numpy")
def _plane_row(
    elevation: NDArray[Float],
    place: tuple[int, int, int],
    cell_size_m: tuple[float, float],
    gradient: NDArray[np.float64],
) -> None:
    """Gradient east and north (2, n) of a row from its four neighbours.

    Zevenbergen & Thorne (1987, Earth Surf. Process. Landf. 12, 47-56). Horn's, which the slope
    index uses, also averages over the diagonals: smoother on noise, but off where the surface
    bends, by more than the horizon is.
    """
    rows, columns = elevation.shape
    row, first_column, end_column = place
    north = elevation[max(row - 1, 0), first_column:end_column]
    here = elevation[row, first_column:end_column]
    south = elevation[min(row + 1, rows - 1), first_column:end_column]
    scale = (0.5 if 0 < row < rows - 1 else 1.0) / cell_size_m[0]
    east_gradient, north_gradient = gradient[0], gradient[1]
    for i in range(here.size):
        north_gradient[i] = (np.float64(north[i]) - np.float64(south[i])) * scale
    per_column = 0.5 / cell_size_m[1]
    begin, end = max(first_column, 1), min(end_column, columns - 1)
    west = elevation[row, begin - 1 : end - 1]
    east = elevation[row, begin + 1 : end + 1]
    inner = east_gradient[begin - first_column : end - first_column]
    for i in range(inner.size):
        inner[i] = (np.float64(east[i]) - np.float64(west[i])) * per_column
    for column in (0, columns - 1):
        if first_column <= column < end_column:
            ahead, behind = min(column + 1, columns - 1), max(column - 1, 0)
            rise = np.float64(elevation[row, ahead]) - np.float64(elevation[row, behind])
            east_gradient[column - first_column] = rise / cell_size_m[1]


@njit(nogil=True, error_model="numpy")
def _far_tile(
    far: NDArray[np.float32],
    transposed: bool,
    rows: tuple[int, int],
    tile: NDArray[np.float64],
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


@njit(nogil=True, error_model="numpy")
def horizon_tangent(
    elevation: NDArray[Float],
    core: tuple[int, int, int, int],
    far: tuple[NDArray[np.float32], bool],
    view: tuple[NDArray[np.float64], float, float, float, float],
    out: NDArray[np.float32],
) -> None:
    """Tangent of one azimuth's horizon (>= 0), own plane included; see `add_sky_view`."""
    first_row, end_row, first_column, end_column = core
    taps, east, north, dy, dx = view
    tile = np.empty((_TILE_ROWS, end_column - first_column))
    gradient = np.zeros((2, end_column - first_column))
    plane = np.empty(end_column - first_column)
    for top in range(0, end_row - first_row, _TILE_ROWS):
        bottom = min(top + _TILE_ROWS, end_row - first_row)
        _far_tile(far[0], far[1], (top, bottom), tile)
        for k in range(bottom - top):
            row = first_row + top + k
            _plane_row(elevation, (row, first_column, end_column), (dy, dx), gradient)
            for i in range(plane.size):
                plane[i] = gradient[0, i] * east + gradient[1, i] * north
            _near_row(elevation, (row, first_column, end_column), taps, plane, tile[k])
            for i in range(plane.size):
                q = plane[i]
                hole = 0.0 * (np.float64(elevation[row, first_column + i]) + q)
                out[top + k, i] = (q if q > tile[k, i] else tile[k, i]) + hole


@njit(nogil=True, error_model="numpy")
def add_sky_view(
    elevation: NDArray[Float],
    core: tuple[int, int, int, int],
    far: tuple[NDArray[np.float32], bool],
    view: tuple[NDArray[np.float64], float, float, float, float],
    weight: float,
    sums: NDArray[np.float32],
    carry: NDArray[np.float32],
) -> None:
    """Add one azimuth's share to the two sky-view sums.

    With ``q`` the rise of the pixel's own plane towards the azimuth, ``m`` the horizon's tangent
    (at least ``q`` and 0) and ``H = pi/2 - atan m``, Dozier & Frew (1990, IEEE Trans. Geosci. 28,
    963-969) eq. 7b reads ``cosS [sin^2 H - q (H - sin H cos H)]``: cosS is left to the end.

    Parameters
    ----------
    elevation : ndarray (rows, columns), m
        The block and its halo.
    core : tuple of int
        First row, end row, first column, end column.
    far : tuple
        Far horizons of the core and whether they are transposed.
    view : tuple
        The direction's ``taps``, ``east`` and ``north``, and the cell's size (y, x), m.
    weight : float
        Weight of this azimuth; all add up to one.
    sums : ndarray (2, rows, columns) float32
        Lambert-weighted and uniform sums.
    carry : ndarray (rows, columns) float32
        What the first sum lost to rounding so far.
    """
    first_row, end_row, first_column, end_column = core
    taps, east, north, dy, dx = view
    tile = np.empty((_TILE_ROWS, end_column - first_column))
    gradient = np.zeros((2, end_column - first_column))
    plane = np.empty(end_column - first_column)
    for top in range(0, end_row - first_row, _TILE_ROWS):
        bottom = min(top + _TILE_ROWS, end_row - first_row)
        _far_tile(far[0], far[1], (top, bottom), tile)
        for k in range(bottom - top):
            row = top + k
            place = (first_row + row, first_column, end_column)
            _plane_row(elevation, place, (dy, dx), gradient)
            for i in range(plane.size):
                plane[i] = gradient[0, i] * east + gradient[1, i] * north
            _near_row(elevation, place, taps, plane, tile[k])
            _add_row(tile[k], plane, weight, (sums[0, row], sums[1, row], carry[row]))


@njit(nogil=True, error_model="numpy")
def _add_row(
    tangent: NDArray[np.float64],
    plane: NDArray[np.float64],
    weight: float,
    sums: tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]],
) -> None:
    weighted, uniform, carry = sums
    for i in range(tangent.size):
        q = plane[i]
        m = tangent[i]
        m = q if q > m else m
        share = 1.0 / (1.0 + m * m)
        zenith = HALF_PI - arctangent(m)
        total = (np.float64(weighted[i]) + carry[i]) + weight * (share - q * (zenith - m * share))
        high = np.float32(total)
        weighted[i] = high
        carry[i] = total - high
        uniform[i] = uniform[i] + weight * (1.0 - m * math.sqrt(share))


@njit(nogil=True, error_model="numpy")
def finish_sky_view(
    elevation: NDArray[Float],
    core: tuple[int, int, int, int],
    cell_size_m: tuple[float, float],
    horn: NDArray[np.float32],
    sums: NDArray[np.float32],
    carry: NDArray[np.float32],
) -> None:
    """Multiply the Lambert-weighted sum by cosS and carry Horn's holes over, in place."""
    first_row, end_row, first_column, end_column = core
    gradient = np.zeros((2, end_column - first_column))
    for row in range(end_row - first_row):
        _plane_row(elevation, (first_row + row, first_column, end_column), cell_size_m, gradient)
        for i in range(end_column - first_column):
            east, north = gradient[0, i], gradient[1, i]
            cosine = 1.0 / math.sqrt(1.0 + east * east + north * north)
            hole = 0.0 * (np.float64(horn[0, row, i]) + horn[1, row, i])
            total = np.float64(sums[0, row, i]) + carry[row, i]
            sums[0, row, i] = cosine * total + hole
            sums[1, row, i] = sums[1, row, i] + hole
