"""Near horizons: a pixel's own ray, at every grid line it crosses, rows and columns both.

A fixed number of additions per pixel, whatever the radius. Once elevations are
subtracted float32 is enough, and eight pixels go at once.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from aktes_xr.compilation import kernel
from aktes_xr.terrain.crest import raise_to_crests

Float = np.floating


@kernel(error_model="numpy")
def _near_tap(
    here: NDArray[Float],
    points: tuple[NDArray[Float], NDArray[Float], NDArray[Float], NDArray[Float]],
    tap: tuple[float, float, float],
    plane: NDArray[np.float32],
    slopes: NDArray[np.float32],
) -> None:
    """Slope of each pixel's line of sight to a crossing between ``points[1]`` and ``points[2]``.

    Between two points the ground is the chord or, where it is lower, what the two points on each
    side extrapolate to: a valley's floor that runs between pixels stays a floor. The slope to it,
    relative to the pixel's own plane, is then taken as linear in angle between the two points, not
    in distance: a cone is seen as a cone from its apex.
    """
    share, per_m, factor = np.float32(tap[0]), np.float32(tap[1]), np.float32(tap[2])
    rest = np.float32(1.0) - share
    before, first, second, after = points
    for i in range(slopes.size):
        z = here[i]
        a, b = np.float32(first[i] - z), np.float32(second[i] - z)
        chord = a + share * (b - a)
        left = a + share * np.float32(first[i] - before[i])
        right = b + rest * np.float32(second[i] - after[i])
        # Selections without a branch, for the loop to be vectorised. Where one of
        # the two inner points is NaN the slope is NaN, and leaves the horizon as it was.
        lower = left if left > right else right
        rise = lower if lower < chord else chord
        q = plane[i]
        slopes[i] = q + factor * (rise * per_m - q)


@kernel(error_model="numpy")
def _tap_row(
    elevation: NDArray[Float],
    place: tuple[int, int, int],
    tap: NDArray[np.float64],
    plane: NDArray[np.float32],
    slopes: NDArray[np.float32],
) -> None:
    """Slopes to one tap of a row of pixels; NaN where the tap is outside the grid."""
    rows, columns = elevation.shape
    row, first_column, end_column = place
    slopes[:] = np.nan
    share, per_m, factor = tap[4], tap[5], tap[6]
    next_row = int(tap[2]) if share > 0.0 else 0
    next_column = int(tap[3]) if share > 0.0 else 0
    row_1, column_1 = row + int(tap[0]), int(tap[1])
    row_2, column_2 = row_1 + next_row, column_1 + next_column
    if min(row_1, row_2) < 0 or max(row_1, row_2) >= rows:
        return
    begin = max(first_column, -column_1)
    end = min(end_column, columns - column_2)
    # A grid line's end has no point beyond to extrapolate from: there the chord serves.
    row_0, row_3 = max(row_1 - next_row, 0), min(row_2 + next_row, rows - 1)
    left = min(end, max(begin, next_column - column_1))
    right = max(left, min(end, columns - column_2 - next_column))
    # Three stretches: west end, middle and east end. Only the middle has points on both sides to
    # extrapolate from, and this way its loop needs no test per pixel.
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
            slopes[lo - first_column : hi - first_column],
        )


@kernel(error_model="numpy")
def near_row(
    elevation: NDArray[Float],
    place: tuple[int, int, int],
    ray: tuple[NDArray[np.float64], int],
    plane: NDArray[np.float32],
    tangent: NDArray[np.float32],
) -> None:
    """Raise the horizon's tangents of a row of the core to those of its near ground.

    Parameters
    ----------
    elevation : ndarray (rows, columns), m
        The block and its halo.
    place : tuple of int
        Row, first column, end column.
    ray : tuple
        ``taps`` and ``reach`` of the `Direction`.
    plane : ndarray (end column - first column)
        Tangents of the pixels' own planes.
    tangent : ndarray (end column - first column)
        Tangents to raise, NaN nowhere.
    """
    taps, reach = ray
    size = tangent.size
    # Heights of five steps in turn, in units of a step's length.
    profile = np.zeros((5, size), np.float32)
    # Steps go outwards. A crest at step k - 2 can be judged once step k is known, so two steps more
    # than the reach are read. The ring of five rows holds what is needed.
    for k in range(1, reach + 3):
        step = profile[k % 5]
        _tap_row(elevation, place, taps[k - 1], plane, step)
        if k <= reach:
            for i in range(size):
                tangent[i] = step[i] if step[i] > tangent[i] else tangent[i]
        for i in range(size):
            step[i] *= np.float32(k)
        if k >= 4:
            five = (
                profile[(k - 4) % 5],
                profile[(k - 3) % 5],
                profile[(k - 2) % 5],
                profile[(k - 1) % 5],
                step,
            )
            raise_to_crests(five, float(k - 2), tangent)
    # The taps behind are the crossings with grid lines of the other axis. They raise the horizon,
    # but are not evenly spaced, so no crest is sought among them. The ring is free to hold their
    # slopes.
    slopes = profile[0]
    for k in range(reach + 2, taps.shape[0]):
        _tap_row(elevation, place, taps[k], plane, slopes)
        for i in range(size):
            tangent[i] = slopes[i] if slopes[i] > tangent[i] else tangent[i]
