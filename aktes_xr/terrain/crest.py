"""Crests between the points of a profile, where a chord would cut them off.

A roof that is sampled at its eaves and beside its ridge has lost the ridge, and a horizon with it.
Five equally spaced points are looked at. Where the profile bends downwards most at the middle one,
the part of this bend that exceeds the bend around it is taken for an edge. The bend at the middle
point and the one at its stronger neighbour tell where between the two the edge lies (subcell
resolution [1]_). The wall, continued to that place, tells how high it is. A smooth profile bends as
much around the middle as in it, so there is little to add.

References
----------
.. [1] Harten (1989), J. Comput. Phys. 83, 148-184.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from aktes_xr.compilation import kernel

_HALF = np.float32(0.5)
# Added and taken away, it rounds a small number to the next multiple of 2^-20.
_ROUNDER = 1.5 * 2.0**32


@kernel(inline="always", error_model="numpy")
def crest(a: float, b: float, z: float, d: float, e: float, half: Any) -> tuple[float, float]:
    """Find the crest beside the middle one of five points.

    Parameters
    ----------
    a, b, z, d, e : float
        Heights of five points one step apart; ``z`` is the middle one.
    half : float
        One half in the precision of the points. A literal would make all of it float64.

    Returns
    -------
    rise : float
        Height of the crest above ``z``; 0 where there is no crest or a point is NaN.
    place : float
        Where the crest lies, in steps from ``z``, from -1/2 to 1/2.
    """
    # Constants come from `half`, so that they have the precision of the points.
    zero, one = half - half, half + half
    # Second differences at the three inner points: negative where the profile bends down.
    first = (a - b) - (b - z)
    here = (b - z) - (z - d)
    third = (z - d) - (d - e)
    first = zero if first > zero else first
    third = zero if third > zero else third
    right = third < first
    base = first if right else third
    beside = (third if right else first) - base
    wall = (z - b) if right else (z - d)
    own = here - base
    # Comparisons with NaN are false: unknown ground has no crest beside it.
    edge = own < beside
    share = beside / (own + beside) if edge else zero
    rise = share * (wall + half * base * (one + share)) if edge else zero
    return rise, (share if right else -share)


@kernel(error_model="numpy")
def raise_to_crests(
    profile: tuple[
        NDArray[np.float32],
        NDArray[np.float32],
        NDArray[np.float32],
        NDArray[np.float32],
        NDArray[np.float32],
    ],
    steps: float,
    tangent: NDArray[np.float32],
) -> None:
    """Raise the tangents of a row of pixels to the crest of each pixel's ray.

    Parameters
    ----------
    profile : tuple of five ndarray (n,), float32
        Heights above the pixel of five steps in turn, in units of a step's length.
    steps : float
        Distance of the middle one of the five, in steps.
    tangent : ndarray (n,), float32, 1
        Tangents of the horizon, raised in place.
    """
    before, near, here, far, after = profile
    distance = np.float32(steps)
    for i in range(tangent.size):
        rise, offset = crest(before[i], near[i], here[i], far[i], after[i], _HALF)
        slope = (here[i] + rise) / (distance + offset)
        tangent[i] = slope if slope > tangent[i] else tangent[i]


@kernel(error_model="numpy")
def move_to_crests(
    profile: NDArray[np.float64], places: NDArray[np.float64], heights: NDArray[np.float64]
) -> None:
    """Move the points of a profile that lie beside a crest onto it.

    Nothing is lost with the point that moves: it lies on the wall to its crest.

    Parameters
    ----------
    profile : ndarray (n,), float64, m
        Heights of points one step apart; NaN where there is none.
    places : ndarray (n,), float64, steps
        Written in place: where each point lies, at most half a step from its number.
    heights : ndarray (n,), float64, m
        Written in place: the height there.
    """
    size = profile.size
    for p in range(size):
        places[p] = float(p)
        heights[p] = profile[p]
    for p in range(2, size - 2):
        rise, offset = crest(
            profile[p - 2], profile[p - 1], profile[p], profile[p + 1], profile[p + 2], 0.5
        )
        # Rounded to 2^-20 steps, sums with any point's number are exact: the distance between two
        # places is the same wherever the profile begins.
        places[p] += (offset + _ROUNDER) - _ROUNDER
        heights[p] += rise
