"""Far horizons: cost per azimuth linear in pixels, whatever the radius.

Parallel lines sweep the grid, one per row. Each pixel looks along the line that passes within half
a pixel of it, from its own tangent plane. On a line, every pixel has a window of the ground it can
see. A lattice of blocks as long as the window cuts it in two: what is left of the cut is a suffix
of one block, what is right of it a prefix of the next. The upper convex hulls of all suffixes and
prefixes, for both senses of the view, come from two passes of a stack, O(1) per pixel (hulls as
horizons: [1]_; blocks: [2]_). The steepest line to a hull is found by bisection.

Lines and blocks are anchored on the row and column numbers of the whole grid, and every window ends
at its radius exactly. So a pixel's horizon is the same bit for bit however the grid is cut into
chunks.

References
----------
.. [1] Timonen & Westerholm (2010), Comput. Graph. Forum 29, 557-566.
.. [2] van Herk (1992), Pattern Recognit. Lett. 13, 517-521.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from aktes_xr.compilation import kernel
from aktes_xr.terrain.crest import move_to_crests
from aktes_xr.terrain.direction import NEAR_STEPS, SNAP

Float = np.floating


@kernel(inline="always", error_model="numpy")
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
    # Gallop first: jumps double while the slope still rises. The maximum is mostly near the start,
    # which a plain bisection would not use.
    low = 0
    jump = 1
    high = size
    while low + jump <= size:
        j = first + stride * (low + jump)
        i = j - stride
        near, far = (hull_x[i] - x) * sense, (hull_x[j] - x) * sense
        # Slopes are compared as cross products: both distances are positive, and no division is
        # needed.
        if (hull_z[j] - z) * near > (hull_z[i] - z) * far:
            low += jump
            jump *= 2
        else:
            high = low + jump - 1
            break
    # The maximum is now enclosed: bisect what the last jump skipped.
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


@kernel(error_model="numpy")
def _sweep_line(
    line: tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]],
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
        Places and heights of the points, and heights the pixels look from; NaN where there is
        none. A point is at most half a step away from its number.
    first_global : int
        Place of the first point in the whole grid.
    window : tuple of int
        First and last step of the window.
    sense : int
        1 or -1.
    best : tuple of ndarray
        Slopes per step, >= 0, looking to lower and to higher places.
    """
    places, heights, origin = line
    near, far = window
    length = far - near + 1
    size = heights.size
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
    # The pass goes on `far` steps beyond the last point: the last pixels' windows end there.
    for k in range(size + far):
        p = start + sense * k
        if left == 0:
            top = -1
            highest = -np.inf
            left = length
        left -= 1
        z = heights[p] if k < size else np.nan
        x = places[p] if k < size else 0.0
        if z == z:
            # The upper hull: points that would lie on or below the chord to the new one are
            # dropped. Each point is pushed once and dropped at most once, so the pass is linear.
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
        if k + near < size and highest - origin[i] > behind[i] * (near - 0.5):
            slope = _tangent(hull_x, hull_z, (top, 0, -1), (float(i), origin[i], -view))
            behind[i] = slope if slope > behind[i] else behind[i]
        i = p - sense * far
        if k >= far and highest - origin[i] > ahead[i] * ((hull_x[0] - i) * view):
            slope = _tangent(hull_x, hull_z, (0, top, 1), (float(i), origin[i], view))
            ahead[i] = slope if slope > ahead[i] else ahead[i]


@kernel(error_model="numpy")
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
    # Within the near steps there is no far part.
    if steps <= NEAR_STEPS:
        return
    # Only the columns a pixel of the core can see, and two more to know a crest by.
    begin = max(0, first_column - steps - 2)
    size = min(columns, end_column + steps + 2) - begin
    shift = np.empty(size, np.int64)
    side = np.empty(size, np.int64)
    share = np.empty(size)
    for p in range(size):
        # From the number in the whole grid: every chunk rounds the line to the same rows.
        position = shear * float(anchor + begin + p)
        shift[p] = math.floor(position + 0.5)
        offset = position - shift[p]
        side[p] = 0 if abs(offset) < SNAP else (1 if offset > 0.0 else -1)
        share[p] = 0.0 if side[p] == 0 else abs(offset)
    profile = np.empty(size)
    places = np.empty(size)
    heights = np.empty(size)
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
            # Pixels outside the core look nowhere. NaN as their height makes every comparison with
            # them false.
            asks = inside <= p < outside and first_row <= number + shift[p] < end_row
            asked = asked or asks
            origin[p] = origin[p] if asks else np.nan
            lower[p] = 0.0
            higher[p] = 0.0
        if not asked:
            continue
        move_to_crests(profile, places, heights)
        for sense in (1, -1):
            _sweep_line(
                (places, heights, origin),
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


@kernel(error_model="numpy")
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
