"""Relief: level ground, hills, mountains by least-cost drainage, canyons and volcanoes.

Mountains are a landscape of cheapest ways: a pixel is as high as the cost of its cheapest way to an
outlet, over ground whose resistance varies at random. Slopes are near an angle of repose, valleys
branch, and ridges are sharp where two ways are equally cheap.
"""

from __future__ import annotations

from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, grey_erosion
from scipy.sparse import coo_array
from scipy.sparse.csgraph import dijkstra

from aktes_xr.bench.world.patterns import Shape, log_uniform, meander, places, spectral_field
from aktes_xr.errors import InputError

Relief = Literal["flat", "rolling", "mountains", "canyons", "volcanoes", "gorges"]
RELIEFS: Final[tuple[Relief, ...]] = (
    "flat",
    "rolling",
    "mountains",
    "canyons",
    "volcanoes",
    "gorges",
)
CELL_M: Final = 90.0
_PIXEL_BLUR: Final = 0.5
"""Pixels, over which elevation is smoothed: a pixel's elevation is a mean over its area."""
_STEEPEST: Final = np.tan(np.deg2rad(60.0)) * CELL_M
"""Metres per pixel. Steeper ground falls down."""
_FALLS: Final = 16


def draw_relief(kind: Relief, shape: Shape, rng: np.random.Generator) -> NDArray[np.float64]:
    """Draw elevation above the scene's lowest point.

    Parameters
    ----------
    kind : str
        One of `RELIEFS`.
    shape : (int, int)
    rng : Generator

    Returns
    -------
    ndarray (y, x), float64, m

    Raises
    ------
    InputError
        If there is no such relief.
    """
    if kind == "flat":
        height = _plain(shape, rng)
    elif kind == "rolling":
        field = spectral_field(shape, rng, exponent=rng.uniform(3.2, 4.4))
        height = field * log_uniform(rng, 25.0, 130.0)
    elif kind == "mountains":
        height = _drainage(shape, rng, slope_deg=(24.0, 46.0), outlets=(3, 12))
    elif kind == "canyons":
        height = _canyons(shape, rng)
    elif kind == "volcanoes":
        height = _volcanoes(shape, rng)
    elif kind == "gorges":
        height = _drainage(shape, rng, slope_deg=(46.0, 60.0), outlets=(30, 120))
    else:
        raise InputError(f"found relief {kind!r}, expected one of {', '.join(RELIEFS)}")
    height = gaussian_filter(_fallen(height), _PIXEL_BLUR, mode="nearest")
    return np.asarray(height - height.min())


def _fallen(height: NDArray[np.float64]) -> NDArray[np.float64]:
    """Lower pixels that rise steeper than `_STEEPEST` over a neighbour, again and again."""
    step = -_STEEPEST * np.hypot(*np.mgrid[-1:2, -1:2])
    for _ in range(_FALLS):
        height = grey_erosion(height, structure=step, mode="nearest")
    return height


def _plain(shape: Shape, rng: np.random.Generator) -> NDArray[np.float64]:
    rows, columns = places(shape)
    tilt = np.tan(np.deg2rad(rng.uniform(0, 0.5))) * CELL_M
    angle = rng.uniform(0, 2 * np.pi)
    rough = spectral_field(shape, rng, exponent=2.5) * rng.uniform(0, 5)
    return np.asarray(tilt * (rows * np.cos(angle) + columns * np.sin(angle)) + rough)


def _drainage(
    shape: Shape,
    rng: np.random.Generator,
    *,
    slope_deg: tuple[float, float],
    outlets: tuple[int, int],
) -> NDArray[np.float64]:
    """Cost of the cheapest way to an outlet; outlets lie along a few valleys and at random."""
    steep = np.tan(np.deg2rad(rng.uniform(*slope_deg))) * CELL_M
    resistance = np.exp(rng.uniform(0.3, 0.8) * spectral_field(shape, rng, exponent=1.5))
    resistance *= steep / resistance.mean()
    # Valleys are nearly level.
    for _ in range(int(rng.integers(1, 4))):
        resistance[meander(shape, rng) < rng.uniform(1.0, 3.0)] *= 0.04
    number = np.arange(resistance.size).reshape(shape)
    pairs = [
        (number[:, 1:], number[:, :-1], 1.0),
        (number[1:], number[:-1], 1.0),
        (number[1:, 1:], number[:-1, :-1], 2**0.5),
        (number[1:, :-1], number[:-1, 1:], 2**0.5),
    ]
    flat = resistance.ravel()
    ends = [(a.ravel(), b.ravel(), d) for a, b, d in pairs]
    costs = np.concatenate([d * (flat[a] + flat[b]) / 2 for a, b, d in ends])
    first, second = (np.concatenate([end[k] for end in ends]) for k in (0, 1))
    graph = coo_array((costs, (first, second)), shape=(flat.size, flat.size)).tocsr()
    sources = rng.choice(flat.size, int(rng.integers(*outlets)), replace=False)
    cost = dijkstra(graph, directed=False, indices=sources, min_only=True)
    return np.asarray(cost, np.float64).reshape(shape)


def _canyons(shape: Shape, rng: np.random.Generator) -> NDArray[np.float64]:
    """Cut winding rivers into a plateau, with walls in steps as hard and soft beds make them."""
    depth = log_uniform(rng, 250.0, 1600.0)
    height = np.full(shape, depth) + spectral_field(shape, rng, exponent=3.0) * 0.03 * depth
    wall = depth / np.tan(np.deg2rad(rng.uniform(30.0, 55.0))) / CELL_M
    steps = int(rng.integers(1, 5))
    for _ in range(int(rng.integers(1, 4))):
        rough = 1.5 * spectral_field(shape, rng, exponent=2.0, longest=30)
        distance = np.maximum(meander(shape, rng) + rough - rng.uniform(0.5, 3.0), 0.0)
        rise = np.minimum(distance / max(wall, 1.0), 1.0) * steps
        stepped = np.floor(rise) + np.clip((rise - np.floor(rise)) * 1.5, 0, 1)
        height = np.minimum(height, depth * stepped / steps + 5.0 * distance)
    return np.asarray(height)


def _volcanoes(shape: Shape, rng: np.random.Generator) -> NDArray[np.float64]:
    """Cones that steepen upwards, with gullies and a crater, on an uneven plain."""
    rows, columns = places(shape)
    height = 20.0 * spectral_field(shape, rng, exponent=3.0)
    for _ in range(int(rng.integers(1, 5))):
        centre = rng.uniform(0.15, 0.85, 2) * shape
        peak = log_uniform(rng, 300.0, 3500.0)
        scale = peak / np.tan(np.deg2rad(rng.uniform(22.0, 42.0))) / CELL_M
        dy, dx = rows - centre[0], columns - centre[1]
        radius, bearing = np.hypot(dy, dx), np.arctan2(dy, dx)
        gullies = int(rng.integers(8, 24))
        groove = 0.5 + 0.5 * np.cos(gullies * bearing + 3 * np.sin(radius / scale))
        cone = peak * np.exp(-radius / scale) * (1 - 0.18 * groove * np.minimum(radius / scale, 1))
        crater = max(2.0, rng.uniform(0.1, 0.3) * scale)
        rim = peak * np.exp(-crater / scale)
        floor = rim * (1 - rng.uniform(0.05, 0.25) * (1 - (radius / crater) ** 2))
        cone = np.where(radius < crater, np.minimum(cone, floor), cone)
        height = np.maximum(height, cone)
    return np.asarray(height)
