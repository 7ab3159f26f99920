"""Further synthetic relief, so that terrain to train on and terrain to test on differ in kind.

``canyon``: a plateau into which a river system has cut gorges with benches. ``ridge_valley``: the
parallel, wavering crests of folded strata. ``volcano``: cones with barrancos and a caldera. Their
steep flanks follow from height and width alone, without erosion; what matters here is which part of
the sky they hide and what they show of one another.
"""

from __future__ import annotations

from typing import Final, Literal

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from aktes_xr.errors import InputError
from aktes_xr.simulate.relief import (
    CELL_SIZE_M,
    alpine_relief,
    fractal_noise,
    on_alpine_grid,
    value_noise,
)

Landform = Literal["alpine", "canyon", "ridge_valley", "volcano"]
LANDFORMS: Final[tuple[Landform, ...]] = ("alpine", "canyon", "ridge_valley", "volcano")
_BASE_M: Final = 500.0


def relief_of(
    kind: Landform,
    shape: tuple[int, int],
    *,
    seed: int = 0,
    relief_m: float = 1800.0,
    cell_size_m: tuple[float, float] = CELL_SIZE_M,
) -> NDArray[np.float64]:
    """Make relief of one kind (y, x), m.

    Parameters
    ----------
    kind : {"alpine", "canyon", "ridge_valley", "volcano"}
    shape : (int, int)
        Rows and columns.
    seed : int
    relief_m : float, m
        From the lowest ground to the crests, about.
    cell_size_m : (float, float), m

    Raises
    ------
    InputError
        There is no such kind.
    """
    rng = np.random.default_rng([seed, LANDFORMS.index(kind) if kind in LANDFORMS else 0, 23])
    pixel = float(np.sqrt(cell_size_m[0] * cell_size_m[1]))
    if kind == "alpine":
        return alpine_relief(shape, cell_size_m, seed=seed, relief_m=relief_m)
    if kind == "canyon":
        return _BASE_M + relief_m * _canyon(shape, pixel, rng)
    if kind == "ridge_valley":
        return _BASE_M + relief_m * _ridge_valley(shape, pixel, rng)
    if kind == "volcano":
        return _BASE_M + relief_m * _volcano(shape, pixel, rng)
    raise InputError(f"found landform {kind!r}, expected one of {', '.join(LANDFORMS)}")


def landform(
    kind: Landform, shape: tuple[int, int] = (700, 830), *, seed: int = 0, relief_m: float = 1800.0
) -> xr.DataArray:
    """Return `relief_of` a kind as elevation on a granule's grid: (y, x), float32, m, with CRS."""
    return on_alpine_grid(relief_of(kind, shape, seed=seed, relief_m=relief_m))


def _canyon(
    shape: tuple[int, int], pixel_m: float, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Plateau of height 1 with gorges down to 0: walls between two distances from the river."""
    plateau = 1.0 + 0.04 * fractal_noise(shape, 9_000.0 / pixel_m, rng)
    cut = np.zeros(shape)
    for wavelength, depth in ((16_000.0, 0.95), (6_000.0, 0.55)):
        river = np.abs(fractal_noise(shape, wavelength / pixel_m, rng, octaves=4))
        # The field crosses zero at about one per quarter wavelength: distance in metres.
        distance = river * wavelength / 4.0
        wall = np.clip((distance - 250.0) / (700.0 + 500.0 * depth), 0.0, 1.0)
        benches = wall + 0.06 * np.sin(6.0 * np.pi * wall)
        cut = np.maximum(cut, depth * (1.0 - np.clip(benches, 0.0, 1.0)))
    return np.asarray(plateau - cut)


def _ridge_valley(
    shape: tuple[int, int], pixel_m: float, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Parallel crests some four kilometres apart, with one flank steeper, and wind gaps."""
    y, x = np.mgrid[: shape[0], : shape[1]] * pixel_m
    strike = rng.uniform(0.0, np.pi)
    across = x * np.cos(strike) + y * np.sin(strike)
    waver = 1_600.0 * fractal_noise(shape, 14_000.0 / pixel_m, rng, octaves=3)
    phase = ((across + waver) / rng.uniform(3_000.0, 4_500.0)) % 1.0
    crest = np.where(phase < 0.62, phase / 0.62, (1.0 - phase) / 0.38)
    height = crest**1.2 * np.clip(0.8 + 0.35 * value_noise(shape, 5_000.0 / pixel_m, rng), 0.1, 1.4)
    return np.asarray(height + 0.06 * fractal_noise(shape, 1_500.0 / pixel_m, rng))


def _volcano(
    shape: tuple[int, int], pixel_m: float, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Raise a few dissected cones of concave flanks; the largest holds a caldera."""
    y, x = np.mgrid[: shape[0], : shape[1]] * pixel_m
    height = 0.05 * fractal_noise(shape, 8_000.0 / pixel_m, rng)
    extent = min(shape) * pixel_m
    for number in range(3):
        size = (0.45, 0.28, 0.18)[number]
        middle = rng.uniform(0.25, 0.75, 2) * np.array(shape) * pixel_m
        radius = np.hypot(y - middle[0], x - middle[1]) / min(size * extent, 14_000.0 * size / 0.45)
        angle = np.arctan2(y - middle[0], x - middle[1])
        gullies = np.abs(np.sin(11.0 * angle + 1.5 * fractal_noise(shape, 4_000.0 / pixel_m, rng)))
        cone = np.exp(-2.6 * radius) * (
            1.0 - 0.30 * (1.0 - gullies) * np.clip(4 * radius, 0.0, 1.0)
        )
        if number == 0:
            rim = 0.16
            floor = np.exp(-2.6 * rim) - 0.55
            inside = np.clip((radius - 0.6 * rim) / (0.4 * rim), 0.0, 1.0)
            cone = np.where(radius < rim, floor + inside * (np.exp(-2.6 * rim) - floor), cone)
        height = np.maximum(height, cone * (1.0, 0.6, 0.45)[number])
    return np.asarray(height)
