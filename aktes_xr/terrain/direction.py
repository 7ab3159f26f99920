"""Geometry of one azimuth on a grid: what the horizon kernels need to know, in small numbers."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

NEAR_STEPS = 8
SNAP = 1e-9


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
    reach: int  # of these, steps along the pixel's own ray
    taps: NDArray[np.float64]  # (n, 7), see `_taps`


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
    shear = 0.0 if abs(shear) < SNAP else shear
    step_m = 1.0 / abs(main)
    steps = int(radius_m / step_m + SNAP)
    reach = min(steps, NEAR_STEPS)
    return Direction(
        east,
        north,
        transposed,
        main > 0.0,
        shear,
        step_m,
        steps,
        reach,
        _taps((along_rows * step_m, along_columns * step_m), reach, cell_size_m),
    )


def _taps(
    step: tuple[float, float], reach: int, cell_size_m: tuple[float, float]
) -> NDArray[np.float64]:
    """Where a ray crosses the columns and rows of the grid within ``reach`` steps of its main axis.

    ``step`` is the ray's advance (rows, columns) per main-axis pixel. First the lines of the main
    axis, one per step and two beyond ``reach``: whether there is a crest shows from behind it.
    Then those of the other axis. Each crossing is a row of (row, column, row step, column step to
    the next point of the grid line, share of that next point, 1 / distance, curvature factor).
    """
    main = 0 if abs(step[0]) > abs(step[1]) else 1
    taps = [_crossing(step, main, float(k), cell_size_m) for k in range(1, reach + 3)]
    cross = abs(step[1 - main])
    for k in range(1, int(reach * cross + SNAP) + 1 if cross > SNAP else 1):
        steps = k / cross
        # A point of the grid lies on both lines.
        if abs(steps - round(steps)) > SNAP:
            taps.append(_crossing(step, 1 - main, steps, cell_size_m))
    return np.array(taps, np.float64)


def _crossing(
    step: tuple[float, float], axis: int, steps: float, cell_size_m: tuple[float, float]
) -> tuple[float, ...]:
    """Crossing of a ray, ``steps`` along, with a line of constant row (axis 0) or column (1)."""
    main = float(round(steps * step[axis]))
    low, share = _split(steps * step[1 - axis])
    ends = [math.hypot(main * cell_size_m[axis], (low + j) * cell_size_m[1 - axis]) for j in (0, 1)]
    distance = math.hypot(main * cell_size_m[axis], (low + share) * cell_size_m[1 - axis])
    factor = distance / ((1.0 - share) * ends[0] + share * ends[1])
    start = (main, float(low)) if axis == 0 else (float(low), main)
    next_point = (0.0, 1.0) if axis == 0 else (1.0, 0.0)
    return (*start, *next_point, share, 1.0 / distance, factor)


def _split(position: float) -> tuple[int, float]:
    """Integer part below a position and the share of the next pixel, both free of rounding."""
    low = math.floor(position + SNAP)
    share = position - low
    return low, 0.0 if share < SNAP else share
