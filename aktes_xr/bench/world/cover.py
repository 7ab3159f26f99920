"""Structures: which surface lies where, and how much hotter or colder it is than its own balance.

Each structure is a way that a field's temperature and emissivity can vary between neighbours, from
not at all to a surface of its own for each pixel. Scenes have one structure each, in equal shares.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from aktes_xr.bench.world.patterns import (
    chosen,
    fields,
    log_uniform,
    meander,
    patches,
    places,
    rectangles,
    spectral_field,
)
from aktes_xr.bench.world.spectra import KINDS, Kind, draw_palette
from aktes_xr.errors import InputError

FloatArray = NDArray[np.float64]
Labels = NDArray[np.intp]

Structure = Literal[
    "homogeneous",
    "fine patches",
    "wide patches",
    "salt and pepper",
    "mosaic",
    "fields",
    "sharp edges",
    "lakes and rivers",
    "hot and cold blocks",
    "snow",
    "open sea",
    "raw rock",
]

_LAND: Final[dict[str, float]] = {
    "soil": 0.38,
    "green": 0.30,
    "senescent": 0.17,
    "rock": 0.10,
    "man-made": 0.05,
}
_COLD_LAND: Final[dict[str, float]] = {
    "soil": 0.30,
    "senescent": 0.30,
    "rock": 0.20,
    "green": 0.12,
    "snow": 0.08,
}
_COLD_K: Final = 268.0
_METAL_SCENES: Final = 0.25


class Ground(NamedTuple):
    """A covered scene; (y, x) but for ``emissivity`` (y, x, 5).

    ``surface`` numbers the scene's surfaces, ``body`` is True in lakes, rivers and blocks, whose
    borders are looked at, ``anomaly_k`` (K) is added to the balance's temperature.
    """

    emissivity: FloatArray
    albedo: FloatArray
    damping: FloatArray
    evaporation: FloatArray
    anomaly_k: FloatArray
    kind: Labels
    surface: Labels
    body: NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class _Plan:
    """Surfaces by name, which of them lies where, anomalies, bodies, and how borders are mixed."""

    kinds: list[Kind]
    surface: Labels
    anomaly_k: FloatArray
    body: NDArray[np.bool_]
    blur: float = 0.0


def cover(
    structure: Structure, elevation: FloatArray, rng: np.random.Generator, *, air_k: float
) -> tuple[Ground, FloatArray]:
    """Cover a scene.

    Parameters
    ----------
    structure : str
        One of `STRUCTURES`.
    elevation : ndarray (y, x), m
    rng : Generator
    air_k : float
        Air temperature at the lowest point: cold land has other surfaces.

    Returns
    -------
    ground : Ground
    elevation : ndarray (y, x), m
        Level where there is standing water.

    Raises
    ------
    InputError
        If there is no such structure.
    """
    if structure not in _PLANS:
        raise InputError(f"found structure {structure!r}, expected one of {', '.join(STRUCTURES)}")
    level = elevation.copy()
    plan = _PLANS[structure](level, rng, air_k)
    palette = draw_palette(plan.kinds, rng)
    variation = rng.uniform(0.0, 0.004)

    def laid(values: FloatArray) -> FloatArray:
        field = values[plan.surface]
        if plan.blur > 0:
            sigma = (plan.blur, plan.blur, 0.0)[: field.ndim]
            field = gaussian_filter(field, sigma, mode="nearest")
        return np.asarray(field)

    emissivity = laid(palette.emissivity)
    kind = palette.kind[plan.surface]
    # Surfaces vary from place to place, except for water and snow.
    within = variation * spectral_field(elevation.shape, rng, exponent=2.0)
    steady = np.isin(kind, [KINDS.index(name) for name in ("water", "snow", "ice")])
    emissivity += np.where(steady, 0.0, within)[..., np.newaxis] * (1 - emissivity[..., :1]) * 10
    anomaly = plan.anomaly_k
    if plan.blur > 0:
        anomaly = gaussian_filter(anomaly, plan.blur, mode="nearest")
    ground = Ground(
        np.clip(emissivity, 0.05, 0.998),
        laid(palette.albedo),
        laid(palette.damping),
        laid(palette.evaporation),
        anomaly,
        kind,
        plan.surface,
        plan.body,
    )
    return ground, level


def _land(rng: np.random.Generator, air_k: float, count: int) -> list[Kind]:
    return chosen(rng, _COLD_LAND if air_k < _COLD_K else _LAND, count)


def _blur(rng: np.random.Generator) -> float:
    """Borders are sharp, or mixed over about a pixel or two."""
    return float(rng.choice([0.0, 0.4, 1.0]))


def _by_patch(label: Labels, rng: np.random.Generator, members: int) -> Labels:
    return np.asarray(rng.integers(0, members, int(label.max()) + 1)[label])


def _patched(
    label: Labels,
    rng: np.random.Generator,
    air_k: float,
    *,
    anomaly: float,
    blur: float | None = None,
) -> _Plan:
    members = int(rng.integers(3, 9))
    surface = _by_patch(label, rng, members)
    step = rng.normal(0, anomaly, int(label.max()) + 1)[label]
    return _Plan(
        _land(rng, air_k, members),
        surface,
        step,
        np.zeros(label.shape, bool),
        _blur(rng) if blur is None else blur,
    )


def _homogeneous(elevation: FloatArray, rng: np.random.Generator, air_k: float) -> _Plan:
    zero = np.zeros(elevation.shape)
    return _Plan(_land(rng, air_k, 1), zero.astype(np.intp), zero, zero.astype(bool))


def _fine_patches(elevation: FloatArray, rng: np.random.Generator, air_k: float) -> _Plan:
    size = log_uniform(rng, 3.0, 20.0)
    label = patches(elevation.shape, rng, size=size)
    return _patched(label, rng, air_k, anomaly=rng.uniform(0, 2.5))


def _wide_patches(elevation: FloatArray, rng: np.random.Generator, air_k: float) -> _Plan:
    label = patches(elevation.shape, rng, size=log_uniform(rng, 25.0, 90.0))
    plan = _patched(label, rng, air_k, anomaly=rng.uniform(0, 2.5))
    return _Plan(plan.kinds, plan.surface, plan.anomaly_k, plan.body, 2 * plan.blur)


def _salt_and_pepper(elevation: FloatArray, rng: np.random.Generator, air_k: float) -> _Plan:
    label = np.arange(elevation.size).reshape(elevation.shape)
    return _patched(label, rng, air_k, anomaly=rng.uniform(0, 3.0), blur=0.0)


def _mosaic(elevation: FloatArray, rng: np.random.Generator, air_k: float) -> _Plan:
    label = patches(elevation.shape, rng, size=rng.uniform(2.0, 3.0), warp=0.0)
    return _patched(label, rng, air_k, anomaly=rng.uniform(0, 3.0), blur=0.0)


def _fields(elevation: FloatArray, rng: np.random.Generator, air_k: float) -> _Plan:
    label = fields(elevation.shape, rng, size=log_uniform(rng, 5.0, 25.0))
    return _patched(
        label, rng, air_k, anomaly=rng.uniform(0.5, 4.0), blur=float(rng.choice([0, 0.4]))
    )


def _sharp_edges(elevation: FloatArray, rng: np.random.Generator, air_k: float) -> _Plan:
    """Cut the scene by a few lines, straight or bent, with a step of up to 10 K at each."""
    rows, columns = places(elevation.shape)
    label = np.zeros(elevation.shape, np.intp)
    anomaly = np.zeros(elevation.shape)
    bend = rng.choice([0.0, 6.0])
    for number in range(int(rng.integers(2, 6))):
        angle = rng.uniform(0, np.pi)
        middle = rng.uniform(0.2, 0.8, 2) * elevation.shape
        across = (rows - middle[0]) * np.cos(angle) + (columns - middle[1]) * np.sin(angle)
        across += bend * spectral_field(elevation.shape, rng, exponent=3.0)
        side = across > 0
        label += side.astype(np.intp) << number
        anomaly += np.where(side, 1, -1) * rng.choice([-1, 1]) * rng.uniform(1.0, 5.0)
    _, label = np.unique(label, return_inverse=True)
    label = label.reshape(elevation.shape)
    plan = _patched(label, rng, air_k, anomaly=0.0, blur=0.0)
    return _Plan(plan.kinds, plan.surface, np.clip(anomaly, -9, 9), plan.body)


def _lakes_and_rivers(elevation: FloatArray, rng: np.random.Generator, air_k: float) -> _Plan:
    """Flood the lowest ground, or level ground at random, and level it; add a river."""
    rough = float(np.ptp(elevation)) > 60.0
    height = (
        elevation if rough else spectral_field(elevation.shape, rng, exponent=rng.uniform(2.5, 4))
    )
    flooded = height <= np.quantile(height, rng.uniform(0.08, 0.35))
    if rough:
        elevation[flooded] = elevation[flooded].max()
    river = meander(elevation.shape, rng) < log_uniform(rng, 0.6, 4.0)
    body = flooded | river if rng.random() < 0.7 else flooded
    label = patches(elevation.shape, rng, size=log_uniform(rng, 10.0, 60.0))
    plan = _patched(label, rng, air_k, anomaly=rng.uniform(0, 1.5), blur=0.0)
    surface = np.where(body, len(plan.kinds), plan.surface)
    anomaly = np.where(body, 0.0, plan.anomaly_k)
    return _Plan([*plan.kinds, "water"], surface, anomaly, body)


def _blocks(elevation: FloatArray, rng: np.random.Generator, air_k: float) -> _Plan:
    """Lay blocks 5 to 20 K hotter or colder than what is around; now and then one of metal."""
    count = int(rng.integers(6, 20))
    block = rectangles(elevation.shape, rng, count=count, sides=(4.0, 32.0))
    label = patches(elevation.shape, rng, size=log_uniform(rng, 15.0, 90.0))
    plan = _patched(label, rng, air_k, anomaly=rng.uniform(0, 1.0), blur=0.0)
    own: list[Kind] = chosen(rng, {"man-made": 0.6, "soil": 0.2, "rock": 0.2}, count)
    if rng.random() < _METAL_SCENES:
        own[0] = "metal"
    step = np.concatenate([[0.0], rng.choice([-1, 1], count) * rng.uniform(5.0, 20.0, count)])
    surface = np.where(block > 0, len(plan.kinds) + block - 1, plan.surface)
    return _Plan([*plan.kinds, *own], surface, plan.anomaly_k + step[block], block > 0)


def _snow(elevation: FloatArray, rng: np.random.Generator, air_k: float) -> _Plan:
    """Snow above a line anywhere in the scene, more on the shaded side, with patchy borders."""
    shape = elevation.shape
    span = max(float(np.ptp(elevation)), 1.0)
    wander = spectral_field(shape, rng, exponent=rng.uniform(1.0, 3.0), longest=40)
    north = np.gradient(elevation, axis=0)
    shaded = north / (np.abs(north).mean() + 1.0)
    height = (elevation - elevation.min()) / span
    favour = height * rng.uniform(0.0, 4.0) + rng.uniform(0.1, 1.0) * wander - 0.2 * shaded
    snowy = favour > np.quantile(favour, rng.uniform(0.05, 0.7))
    label = patches(shape, rng, size=log_uniform(rng, 3.0, 40.0))
    plan = _patched(label, rng, air_k, anomaly=rng.uniform(0, 1.5), blur=_blur(rng))
    bare = [kind for kind in plan.kinds if kind != "snow"] or ["soil"]
    surface = np.where(snowy, len(bare), plan.surface % len(bare))
    kinds: list[Kind] = [*bare, "snow"]
    if rng.random() < 0.3:
        ice = snowy & (spectral_field(shape, rng, exponent=3.0) > 1.0)
        surface = np.where(ice, len(kinds), surface)
        kinds.append("ice")
    return _Plan(kinds, surface, plan.anomaly_k, plan.body, plan.blur)


def _open_sea(elevation: FloatArray, rng: np.random.Generator, air_k: float) -> _Plan:
    """Water everywhere, with a front of up to 3 K; ``elevation`` becomes the sea's."""
    elevation[:] = 0.0
    front = spectral_field(elevation.shape, rng, exponent=3.0) * rng.uniform(0.5, 4.0)
    anomaly = np.tanh(front) * rng.uniform(0.0, 1.5)
    zero = np.zeros(elevation.shape)
    return _Plan(["water"], zero.astype(np.intp), anomaly, zero.astype(bool))


def _raw_rock(elevation: FloatArray, rng: np.random.Generator, air_k: float) -> _Plan:
    """Cooled lava in flows and pure rock, of any patch size, with hardly anything mixed in."""
    label = patches(elevation.shape, rng, size=log_uniform(rng, 3.0, 60.0), warp=0.6)
    members = int(rng.integers(2, 7))
    kinds: list[Kind] = chosen(rng, {"lava": 0.45, "rock": 0.50, "soil": 0.05}, members)
    step = rng.normal(0, rng.uniform(0, 3.0), int(label.max()) + 1)[label]
    return _Plan(
        kinds, _by_patch(label, rng, members), step, np.zeros(label.shape, bool), _blur(rng)
    )


_PLANS: Final[dict[str, Callable[[FloatArray, np.random.Generator, float], _Plan]]] = {
    "homogeneous": _homogeneous,
    "fine patches": _fine_patches,
    "wide patches": _wide_patches,
    "salt and pepper": _salt_and_pepper,
    "mosaic": _mosaic,
    "fields": _fields,
    "sharp edges": _sharp_edges,
    "lakes and rivers": _lakes_and_rivers,
    "hot and cold blocks": _blocks,
    "snow": _snow,
    "open sea": _open_sea,
    "raw rock": _raw_rock,
}
STRUCTURES: Final[tuple[Any, ...]] = tuple(_PLANS)
