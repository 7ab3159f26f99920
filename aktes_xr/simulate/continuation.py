"""Relief continued beyond where it was measured, as rivers would have cut it.

What was measured stays as it is. Relief that rivers have cut (`aktes_xr.simulate.erosion`), as
rugged as what was measured nearby, is bent to meet it, and then rivers work on: they flow into its
valleys and out of them, for what was measured is the base level of the ground beside it. Meanwhile
the ground rises as fast as would hold the measured relief in balance with its rivers,
``U = K A^m S``, so that the continuation of a plain is a plain and that of mountains is as steep.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt, gaussian_filter, zoom

from aktes_xr.simulate.erosion import AREA_EXPONENT, carve, drained, eroded_relief

_ERODIBILITY: Final = 0.5
_STEPS: Final = 4
_RELAXATIONS: Final = ((16, 400), (8, 150), (4, 80), (2, 40), (1, 20))
"""Cell size in pixels and number of sweeps of the surface that is spanned between the edges."""
_SPREAD_PIXELS: Final = 30.0
_ROUNDING_PIXELS: Final = 0.7
_MARGIN_PIXELS: Final = 12
_BENT_SHARE: Final = 0.1


def continued_relief(
    height: NDArray[np.float64],
    known: NDArray[np.bool_],
    rng: np.random.Generator,
    *,
    cell_size_m: float,
) -> NDArray[np.float64]:
    """Continue relief beyond where it is known.

    Parameters
    ----------
    height : ndarray (y, x), float64, m
        What it holds where it is not known does not count.
    known : ndarray (y, x), bool
        Some pixels at least.
    rng : numpy.random.Generator
        Advanced.
    cell_size_m : float, m

    Returns
    -------
    ndarray (y, x), float64, m
        The same where it is known.
    """
    # The outer edge keeps its height while the rest rises: it lies beyond what is handed back.
    inside = (slice(_MARGIN_PIXELS, -_MARGIN_PIXELS),) * 2
    height = np.pad(height, _MARGIN_PIXELS, mode="edge")
    known = np.pad(known, _MARGIN_PIXELS)
    uplift = _spread(_balance(height, known), known)
    made = _eroded(height.shape, rng, cell_size_m)
    made *= _spread_deviation(height, known)
    made += _spread(height, known)
    # The difference at the measured edge is spanned outwards, so that forms go on across it.
    pinned = known.copy()
    pinned[[0, -1]], pinned[:, [0, -1]] = True, True
    made += _spanned(np.where(known, height - made, 0.0), pinned)
    made[known] = height[known]
    made = _carved(made, np.where(pinned, 0.0, uplift))
    rounded = gaussian_filter(made, _ROUNDING_PIXELS, mode="nearest")
    kept = _within(rounded, float(height[known].min()), float(height[known].max()))
    return np.asarray(np.where(known, height, kept)[inside])


def _within(height: NDArray[np.float64], low: float, high: float) -> NDArray[np.float64]:
    """Bend what leaves the range of the measured heights back into it, peaks staying peaks."""
    margin = max(_BENT_SHARE * (high - low), 1e-9)
    over = np.maximum(height - (high - margin), 0.0)
    under = np.maximum(low + margin - height, 0.0)
    bent = height - over + margin * np.tanh(over / margin)
    return np.asarray(bent + under - margin * np.tanh(under / margin))


def _balance(height: NDArray[np.float64], known: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the uplift that would hold known relief in balance with its rivers, m a step."""
    lowest = height[known].min()
    filled = np.where(known, height, lowest)
    order, receiver, distance = drained(filled)
    area, flat = np.empty(filled.size), filled.ravel()
    none = np.zeros(filled.size)
    # A step without uplift moves nothing, but counts what drains through each pixel.
    carve(flat, order, receiver, distance, none, none, area)
    slope = (flat - flat[receiver]) / distance
    uplift = (_ERODIBILITY * area**AREA_EXPONENT * slope).reshape(height.shape)
    return np.asarray(np.minimum(uplift, np.quantile(uplift[known], 0.95)))


def _spread(values: NDArray[np.float64], known: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Average what is known nearby; far out, what is known nearest."""
    weight = gaussian_filter(known.astype(np.float64), _SPREAD_PIXELS, mode="constant")
    near = gaussian_filter(np.where(known, values, 0.0), _SPREAD_PIXELS, mode="constant")
    near /= np.maximum(weight, 1e-12)
    place = distance_transform_edt(weight < 0.2, return_distances=False, return_indices=True)
    return np.asarray(gaussian_filter(near[tuple(place)], _SPREAD_PIXELS, mode="nearest"))


def _spread_deviation(height: NDArray[np.float64], known: NDArray[np.bool_]) -> NDArray[np.float64]:
    mean = _spread(height, known)
    return np.asarray(np.sqrt(_spread((height - mean) ** 2, known)))


def _eroded(
    shape: tuple[int, ...], rng: np.random.Generator, cell_size_m: float
) -> NDArray[np.float64]:
    """Make relief that rivers have cut, about nothing and of unit deviation."""
    made = eroded_relief(
        (shape[0], shape[1]), rng, cell_size_m=cell_size_m, relief_m=1000.0, plains=False
    )
    fine = made - gaussian_filter(made, _SPREAD_PIXELS, mode="nearest")
    return np.asarray(fine / max(float(fine.std()), 1e-9))


def _spanned(fixed: NDArray[np.float64], pinned: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Span a smooth surface between fixed heights: Laplace's equation, from coarse to fine."""
    made: NDArray[np.float64] = np.full((1, 1), fixed[pinned].mean())
    for cell, sweeps in _RELAXATIONS:
        values, held = fixed[::cell, ::cell], pinned[::cell, ::cell]
        made = _fitted(made, values.shape)
        for _ in range(sweeps):
            made[held] = values[held]
            around = np.pad(made, 1, mode="edge")
            made = 0.25 * (
                around[:-2, 1:-1] + around[2:, 1:-1] + around[1:-1, :-2] + around[1:-1, 2:]
            )
        made[held] = values[held]
    return made


def _carved(height: NDArray[np.float64], uplift: NDArray[np.float64]) -> NDArray[np.float64]:
    """Let rivers work; ground that does not rise stays as it is."""
    raised, flat = uplift.ravel(), height.ravel()
    soft, area = np.full(flat.size, _ERODIBILITY), np.empty(flat.size)
    for _ in range(_STEPS):
        order, receiver, distance = drained(flat.reshape(height.shape))
        carve(flat, order, receiver, distance, soft, raised, area)
    return flat.reshape(height.shape)


def _fitted(height: NDArray[np.float64], shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Bring heights to a finer grid."""
    if height.shape == shape:
        return height
    factors = [size / old for size, old in zip(shape, height.shape, strict=True)]
    return np.asarray(zoom(height, factors, order=1, grid_mode=False, mode="nearest"))
