"""Relief continued beyond where it was measured, as rivers would have cut it.

What was measured stays as it is. Beyond it lies relief that rivers have cut
(`aktes_xr.simulate.erosion`), with the mouths of all of them at its edge. It is made as rugged as
what was measured nearby, in each band of scales by itself: of the same deviation at large, relief
with broad valleys between steep crests would show where the measured one ends, above all in how
much sky each pixel sees. Then it is bent to meet what was measured, and what is steeper than the
measured ground stands is lowered.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt, gaussian_filter, zoom

from aktes_xr.simulate.erosion import drained, eroded_relief, slump

_RELAXATIONS: Final = ((16, 400), (8, 150), (4, 80), (2, 40), (1, 20))
"""Cell size in pixels and number of sweeps of the surface that is spanned between the edges."""
_SPREAD_PIXELS: Final = 30.0
_BANDS_PIXELS: Final = (1.0, 2.0, 4.0, 8.0, 16.0, _SPREAD_PIXELS)
"""Widths of the smoothing between which the bands of scales lie; the last one parts them from what
is spread and spanned."""
_FLATTEST: Final = 0.1
"""Ground flatter than this share of what is usual is not made as rugged as the rest."""
_TURNS: Final = 3
_STEEPEST_SHARE: Final = 0.99
_ROUNDING_PIXELS: Final = 0.7
_MARGIN_PIXELS: Final = 12
_BENT_SHARE: Final = 0.04


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
    # The outer edge keeps its height while the rest is bent: it lies beyond what is handed back.
    inside = (slice(_MARGIN_PIXELS, -_MARGIN_PIXELS),) * 2
    height = np.pad(height, _MARGIN_PIXELS, mode="edge")
    known = np.pad(known, _MARGIN_PIXELS)
    shape = (height.shape[0], height.shape[1])
    made = eroded_relief(shape, rng, cell_size_m=cell_size_m, relief_m=1000.0, plains=False)
    spread = _Spread(known)
    made = _as_rugged(made, height, spread)
    made += spread.mean(height)
    # The difference at the measured edge is spanned outwards, so that forms go on across it.
    pinned = known.copy()
    pinned[[0, -1]], pinned[:, [0, -1]] = True, True
    made += _spanned(np.where(known, height - made, 0.0), pinned)
    made[known] = height[known]
    made = _slumped(made, known)
    rounded = gaussian_filter(made, _ROUNDING_PIXELS, mode="nearest")
    kept = _bent(rounded, float(height[known].min()), float(height[known].max()))
    return np.asarray(np.where(known, height, kept)[inside])


class _Spread:
    """Spreads what is known over all of a grid.

    Parameters
    ----------
    known : ndarray (y, x), bool
    """

    def __init__(self, known: NDArray[np.bool_]) -> None:
        self.known = known
        self._weight = self._smooth(known.astype(np.float64))
        self._place = tuple(
            distance_transform_edt(self._weight < 0.2, return_distances=False, return_indices=True)
        )

    def mean(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Average what is known nearby; far out, what is known nearest."""
        near = self._smooth(np.where(self.known, values, 0.0))
        near /= np.maximum(self._weight, 1e-12)
        return np.asarray(gaussian_filter(near[self._place], _SPREAD_PIXELS, mode="nearest"))

    @staticmethod
    def _smooth(values: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(gaussian_filter(values, _SPREAD_PIXELS, mode="constant"))


def _as_rugged(
    made: NDArray[np.float64], height: NDArray[np.float64], spread: _Spread
) -> NDArray[np.float64]:
    """Give each band of scales the deviation that it has in the measured relief nearby."""
    found = np.zeros_like(made)
    everywhere = np.ones_like(spread.known)
    bands = zip(_bands(made, everywhere), _bands(height, spread.known), strict=True)
    for own, measured in bands:
        even = own / max(float(own.std()), 1e-9)
        # Once is not enough: a plain beside mountains is judged by them, too.
        for _ in range(_TURNS):
            there = gaussian_filter(even**2, _SPREAD_PIXELS, mode="nearest")
            even /= np.sqrt(there + _FLATTEST**2)
        found += even * np.sqrt(spread.mean(measured**2))
    return found


def _bands(height: NDArray[np.float64], known: NDArray[np.bool_]) -> list[NDArray[np.float64]]:
    """Part relief into bands of scales, from fine to coarse, where it is known."""
    parts, finer = [], height
    for width in _BANDS_PIXELS:
        weight = gaussian_filter(known.astype(np.float64), width, mode="nearest")
        smooth = gaussian_filter(np.where(known, height, 0.0), width, mode="nearest")
        coarser = smooth / np.maximum(weight, 1e-12)
        parts.append(np.where(known, finer - coarser, 0.0))
        finer = coarser
    return parts


def _slumped(made: NDArray[np.float64], known: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Lower what is steeper than nearly all of the measured ground, m a pixel."""
    steps = np.hypot(*np.gradient(made))
    order, receiver, distance = drained(made)
    flat = made.ravel()
    slump(flat, order, receiver, distance, float(np.quantile(steps[known], _STEEPEST_SHARE)))
    return flat.reshape(made.shape)


def _bent(height: NDArray[np.float64], low: float, high: float) -> NDArray[np.float64]:
    """Bend what leaves the range of the measured heights, to end a little beyond it."""
    # Not within it: the lowest plain would be pressed flat, and its hills with it.
    margin = max(_BENT_SHARE * (high - low), 1e-9)
    over = np.maximum(height - high, 0.0)
    under = np.maximum(low - height, 0.0)
    bent = height - over + margin * np.tanh(over / margin)
    return np.asarray(bent + under - margin * np.tanh(under / margin))


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


def _fitted(height: NDArray[np.float64], shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Bring heights to a finer grid."""
    if height.shape == shape:
        return height
    factors = [size / old for size, old in zip(shape, height.shape, strict=True)]
    return np.asarray(zoom(height, factors, order=1, grid_mode=False, mode="nearest"))
