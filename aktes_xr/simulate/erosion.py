"""Relief that rivers have cut: dendritic valleys between ridges, as most mountains have them.

Ground rises everywhere but in the plains, and each river lowers its bed in proportion to a power of
the area A it drains and to its slope S,

    dz/dt = U - K A^m S,

solved to its steady state on grids of falling cell size, implicitly from the mouths upwards [1]_.
The exponent m, the smoothing and the steepest slope are those measured on relief of the San Gabriel
Mountains that the package ships (NASA SRTM, 90 m): slopes of 5, 19 and 32 degrees (5, 50 and 95 per
cent), variance falling as the wavelength to the power 3.5 from 6 to 1 km and 4 to 5 below.

References
----------
.. [1] Braun, J. and Willett, S. D. (2013), A very efficient O(n), implicit and parallel method to
   solve the stream power equation, Geomorphology 180-181, 170-179.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, zoom

from aktes_xr.compilation import kernel
from aktes_xr.simulate.texture import fractal_noise, value_noise

AREA_EXPONENT: Final = 0.45
STEEPEST: Final = 0.78
"""Tangent of the steepest slope that stands."""
_STEPS: Final = ((4, 60), (2, 25), (1, 12))
"""Cell size in pixels and number of steps."""
_FINE_PIXELS: Final = 250_000
"""Of larger reliefs the last steps are left out, and the finest forms with them."""
_PLAIN_WAVELENGTH_M: Final = 24_000.0
_PLAIN_SHARE: Final = (0.05, 0.35)
_TRUNK_SHARE: Final = (0.004, 0.012)
_HARDNESS_WAVELENGTH_M: Final = 3_000.0
_HARDNESS: Final = 0.5
_ROUNDING_PIXELS: Final = 0.7


@kernel()
def _find_receivers(height, columns, receiver, distance):
    """Let each node drain to the lowest of its eight neighbours, by slope; a pit to itself."""
    rows = height.size // columns
    for node in range(height.size):
        row, column = node // columns, node % columns
        steepest, found, length = 0.0, node, 1.0
        for down in range(-1, 2):
            for right in range(-1, 2):
                r, c = row + down, column + right
                if (down == 0 and right == 0) or r < 0 or r >= rows or c < 0 or c >= columns:
                    continue
                run = np.sqrt(float(down * down + right * right))
                slope = (height[node] - height[r * columns + c]) / run
                if slope > steepest:
                    steepest, found, length = slope, r * columns + c, run
        receiver[node] = found
        distance[node] = length


@kernel()
def carve(height, order, receiver, distance, erodibility, uplift, area):
    """Take one implicit step in place; ``order`` holds the nodes from the lowest to the highest.

    A river's bed depends on the bed below it alone, so that going upwards each node is solved by
    one division, however long the step is.
    """
    area[:] = 1.0
    for place in range(order.size - 1, -1, -1):
        node = order[place]
        if receiver[node] != node:
            area[receiver[node]] += area[node]
    for place in range(order.size):
        node = order[place]
        if uplift[node] <= 0.0:
            continue
        height[node] += uplift[node]
        below = receiver[node]
        if below != node:
            factor = erodibility[node] * area[node] ** AREA_EXPONENT / distance[node]
            height[node] = (height[node] + factor * height[below]) / (1.0 + factor)


@kernel()
def slump(height, order, receiver, distance, steepest):
    """Lower what is steeper than ground stands, from the valleys upwards, in place."""
    for place in range(order.size):
        node = order[place]
        below = receiver[node]
        if below != node:
            height[node] = min(height[node], height[below] + steepest * distance[node])


def drained(height: NDArray[np.float64]) -> tuple[Any, Any, Any]:
    """Find where water flows.

    Parameters
    ----------
    height : ndarray (y, x), float64, m

    Returns
    -------
    order : ndarray (node,), int64
        Nodes from the lowest to the highest.
    receiver : ndarray (node,), int64
        The node that each drains to; a pit's own number.
    distance : ndarray (node,), float64, pixel
        To there.
    """
    flat = height.ravel()
    receiver, distance = np.empty(flat.size, np.int64), np.empty(flat.size)
    _find_receivers(flat, height.shape[1], receiver, distance)
    return np.argsort(flat, kind="stable"), receiver, distance


def eroded_relief(
    shape: tuple[int, int],
    rng: np.random.Generator,
    *,
    cell_size_m: float,
    relief_m: float,
    plains: bool = True,
) -> NDArray[np.float64]:
    """Make relief that rivers have cut.

    Parameters
    ----------
    shape : (int, int)
        Rows and columns.
    rng : numpy.random.Generator
        Advanced.
    cell_size_m : float, m
    relief_m : float, m
        From the plains to the crests, about.
    plains : bool
        Whether there are plains between the mountains; or only the valleys of large rivers, and
        mouths all along the edge.

    Returns
    -------
    ndarray (y, x), float64, m
        Above the plains.
    """
    region = fractal_noise(shape, _PLAIN_WAVELENGTH_M / cell_size_m, rng, octaves=4)
    share = rng.uniform(*(_PLAIN_SHARE if plains else _TRUNK_SHARE))
    if not plains:
        region = 6.0 * np.abs(region)
    rising = np.clip((region - np.quantile(region, share)) * 4.0, 0.0, 1.0)
    rising *= np.clip(1.0 + 0.35 * value_noise(shape, 12_000.0 / cell_size_m, rng), 0.2, 2.0)
    soft = np.exp(
        _HARDNESS * fractal_noise(shape, _HARDNESS_WAVELENGTH_M / cell_size_m, rng, octaves=3)
    )
    height: NDArray[np.float64] = np.zeros(shape)
    fine = shape[0] * shape[1] <= _FINE_PIXELS
    for coarse, steps in _STEPS if fine else _STEPS[:-1]:
        ground = rising[::coarse, ::coarse].copy()
        if not plains:
            # Else what lies beyond the valleys of large rivers drains into itself, and stays flat.
            ground[[0, -1]], ground[:, [0, -1]] = 0.0, 0.0
        erodibility = (0.5 * soft[::coarse, ::coarse]).ravel()
        height = _fitted(height, ground.shape) + 1e-3 * rng.random(ground.shape)
        if coarse == _STEPS[0][0]:
            # Uneven ground to begin with: else rivers follow the grid's eight directions.
            height += 4.0 * np.abs(fractal_noise(ground.shape, 12.0, rng)) * (ground > 0.0)
        uplift = np.ascontiguousarray(ground).ravel()
        area = np.empty(height.size)
        for _ in range(steps):
            order, receiver, distance = drained(height)
            flat = height.ravel()
            carve(flat, order, receiver, distance, erodibility, uplift, area)
            height = flat.reshape(ground.shape)
    height = _fitted(height, shape)
    height *= relief_m / max(float(np.quantile(height, 0.98)), 1e-9)
    order, receiver, distance = drained(height)
    flat = height.ravel()
    slump(flat, order, receiver, distance, STEEPEST * cell_size_m)
    return np.asarray(gaussian_filter(flat.reshape(shape), _ROUNDING_PIXELS, mode="nearest"))


def _fitted(height: NDArray[np.float64], shape: tuple[int, int]) -> NDArray[np.float64]:
    """Bring heights to a finer grid."""
    if height.shape == shape:
        return height
    if not height.any():
        return np.zeros(shape)
    factors = [size / old for size, old in zip(shape, height.shape, strict=True)]
    return np.asarray(zoom(height, factors, order=2))
