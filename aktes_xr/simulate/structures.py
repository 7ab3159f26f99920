"""The structures of many worlds: how kinds of surface lie beside one another.

No land has *one* patch size, one kind of border and one way of mixing. A field (a small image) is
of one of the named structures, drawn in equal shares, so that a network learns them all alike and
an evaluation can use them as strata. Inside a structure everything is drawn again: a patch is 100 m
to 10 km wide, its border sharp or smoothed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter

from aktes_xr import sensor
from aktes_xr.errors import InputError
from aktes_xr.simulate.emissivity import CLASS_NAMES, CLASSES
from aktes_xr.simulate.texture import fractal_noise

STRUCTURES: Final = (
    "homogeneous",
    "patches",
    "mosaic",
    "mixture",
    "salt_and_pepper",
    "edges",
    "parcels",
    "blocks",
    "lava",
    "water",
    "snow",
    "sea",
)
"""All of them."""
TERRAIN_STRUCTURES: Final = tuple(name for name in STRUCTURES if name != "sea")
"""Those that relief has, too."""
PATCH_M: Final = (100.0, 10_000.0)
EDGE_K: Final = 10.0
BLOCK_K: Final = (5.0, 20.0)
LAVA_K: Final = (2.0, 25.0)
_WATER: Final = CLASS_NAMES.index("water")
_SNOW: Final = CLASS_NAMES.index("snow_ice")
_ROCK: Final = CLASS_NAMES.index("rock")
_MANMADE: Final = CLASS_NAMES.index("manmade")
_LAND: Final = np.array([n for n in range(len(CLASSES)) if n not in (_WATER, _SNOW)])
_LAND_WEIGHT: Final = np.array([CLASSES[n].weight for n in _LAND])
_POND_SHARE: Final = 0.06
_SHARP_SHARE: Final = 0.45
_SOFT_PIXELS: Final = (2, 9)


@dataclass(frozen=True, eq=False)
class Layout:
    """Which kinds of surface there are, and where.

    Attributes
    ----------
    fractions : ndarray (y, x, kind), float32, 1
        How much of a pixel each kind covers; the sum is one.
    classes : ndarray (kind,), int8
        Indices into `aktes_xr.simulate.emissivity.CLASS_NAMES`.
    anomaly : ndarray (y, x), float32, K
        By how much the structure itself makes the ground warmer: hot roofs, irrigated fields.
    """

    fractions: NDArray[np.float32]
    classes: NDArray[np.int8]
    anomaly: NDArray[np.float32]

    @property
    def dominant(self) -> NDArray[np.intp]:
        """The kind (y, x) that covers most of each pixel."""
        return np.asarray(self.fractions.argmax(axis=-1))

    def share(self, surface_class: int) -> NDArray[np.float32]:
        """Return how much of each pixel belongs to a class.

        Parameters
        ----------
        surface_class : int
            Number of the class.

        Returns
        -------
        ndarray (y, x), 1
        """
        return np.asarray(self.fractions[..., self.classes == surface_class].sum(axis=-1))


@dataclass(frozen=True, eq=False)
class Site:
    """What the place imposes on a structure.

    Attributes
    ----------
    shape : (int, int)
        Rows and columns.
    elevation : ndarray (y, x), float32, m, optional
        None where it is flat. Snow lies high.
    northness : ndarray (y, x), float32, 1, optional
        Sine of the slope times the cosine of the aspect: snow stays longer where it is positive.
    flooded : ndarray (y, x), bool, optional
        Where relief is under water.
    any_land : bool
        Whether every class of land is as likely as the others, as in no region that is known.
    """

    shape: tuple[int, int]
    elevation: NDArray[np.float32] | None = None
    northness: NDArray[np.float32] | None = None
    flooded: NDArray[np.bool_] | None = None
    any_land: bool = False


def draw_layout(rng: np.random.Generator, structure: str, site: Site) -> Layout:
    """Draw a layout of one structure.

    Parameters
    ----------
    rng : numpy.random.Generator
        Advanced.
    structure : str
        One of `STRUCTURES`.
    site : Site

    Returns
    -------
    Layout

    Raises
    ------
    InputError
        There is no such structure.
    """
    if structure not in _DRAW:
        raise InputError(f"found structure {structure!r}, expected one of {', '.join(STRUCTURES)}")
    layout = _DRAW[structure](rng, site)
    if site.flooded is not None and site.flooded.any():
        layout = _overlaid(layout, site.flooded.astype(np.float32), _WATER)
    return layout


def draw_patch_pixels(rng: np.random.Generator) -> float:
    """Draw the size of a patch, log-uniformly over `PATCH_M`.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of the numbers.

    Returns
    -------
    float, pixels
    """
    return float(np.exp(rng.uniform(*np.log(PATCH_M))) / sensor.PIXEL_M)


def _land_kinds(
    rng: np.random.Generator, site: Site, count: int, *, ponds: bool = True
) -> NDArray[np.int8]:
    """Draw classes of land; a region favours some of them, and a few kinds are ponds."""
    usual = np.ones(_LAND.size) if site.any_land else _LAND_WEIGHT
    weight = usual * np.exp(rng.standard_normal(_LAND.size))
    classes = rng.choice(_LAND, size=count, p=weight / weight.sum())
    if ponds:
        classes = np.where(rng.random(count) < _POND_SHARE, _WATER, classes)
    return np.asarray(classes, np.int8)


def _calm(shape: tuple[int, int]) -> NDArray[np.float32]:
    return np.zeros(shape, np.float32)


def _hard(labels: NDArray[np.integer], count: int) -> NDArray[np.float32]:
    return np.asarray(np.eye(count, dtype=np.float32)[labels])


def _softened(rng: np.random.Generator, fractions: NDArray[np.float32]) -> NDArray[np.float32]:
    """Leave borders sharp, or smooth them by two running means of 2 to 9 pixels."""
    if fractions.shape[-1] == 1 or rng.random() < _SHARP_SHARE:
        return fractions
    width = int(rng.integers(*_SOFT_PIXELS))
    for _ in range(2):
        fractions = uniform_filter(fractions, size=(width, width, 1), mode="nearest")
    return fractions


def _blobs(rng: np.random.Generator, shape: tuple[int, int], count: int) -> NDArray[np.intp]:
    """Label patches: of so many random fields the one that prevails; smooth or ragged."""
    pixels = draw_patch_pixels(rng)
    if count == 1:
        return np.zeros(shape, np.intp)
    if pixels < 1.6:
        return rng.integers(count, size=shape)
    octaves = int(rng.integers(1, 6))
    favour = 0.5 * rng.standard_normal(count)
    # Zero lines of a field are about half its wavelength apart.
    scores = [
        favour[n] + fractal_noise(shape, 1.5 * pixels, rng, octaves=octaves) for n in range(count)
    ]
    return np.asarray(np.argmax(scores, axis=0))


def _rotated(
    rng: np.random.Generator, shape: tuple[int, int]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return coordinates (pixels) along two axes at right angles, turned at random."""
    angle = rng.uniform(0.0, np.pi)
    row = np.arange(shape[0])[:, np.newaxis]
    column = np.arange(shape[1])[np.newaxis]
    along = column * np.cos(angle) + row * np.sin(angle)
    across = row * np.cos(angle) - column * np.sin(angle)
    return along - along.min(), across - across.min()


def _homogeneous(rng: np.random.Generator, site: Site) -> Layout:
    return Layout(
        np.ones((*site.shape, 1), np.float32),
        _land_kinds(rng, site, 1, ponds=False),
        _calm(site.shape),
    )


def _patches(rng: np.random.Generator, site: Site) -> Layout:
    count = int(rng.integers(2, 7))
    labels = _blobs(rng, site.shape, count)
    return Layout(
        _softened(rng, _hard(labels, count)), _land_kinds(rng, site, count), _calm(site.shape)
    )


def _mosaic(rng: np.random.Generator, site: Site) -> Layout:
    """Cells of 2 to 3 pixels with wavering borders, of two to five kinds."""
    count = int(rng.integers(2, 6))
    cell = rng.uniform(2.0, 3.5)
    along, across = _rotated(rng, site.shape)
    along = along + 0.3 * cell * fractal_noise(site.shape, 2.5 * cell, rng, octaves=1)
    across = across + 0.3 * cell * fractal_noise(site.shape, 2.5 * cell, rng, octaves=1)
    i = np.maximum(along / cell + 2, 0).astype(np.intp)
    j = np.maximum(across / cell + 2, 0).astype(np.intp)
    cells = rng.choice(count, size=(i.max() + 1, j.max() + 1), p=rng.dirichlet(np.full(count, 2.0)))
    return Layout(_hard(cells[i, j], count), _land_kinds(rng, site, count), _calm(site.shape))


def _mixture(rng: np.random.Generator, site: Site) -> Layout:
    """Mix two to five kinds in every pixel, about a composition that changes slowly."""
    count = int(rng.integers(2, 6))
    strength = np.exp(rng.uniform(np.log(0.3), np.log(4.0)))
    mean = np.exp(
        [
            rng.uniform(0, 1.5) * fractal_noise(site.shape, 40.0, rng, octaves=3)
            for _ in range(count)
        ]
    )
    alpha = strength * np.moveaxis(mean / mean.mean(axis=0), 0, -1)
    parts = rng.standard_gamma(alpha.astype(np.float32), dtype=np.float32) + np.float32(1e-6)
    return Layout(
        parts / parts.sum(axis=-1, keepdims=True), _land_kinds(rng, site, count), _calm(site.shape)
    )


def _salt_and_pepper(rng: np.random.Generator, site: Site) -> Layout:
    """Scatter single pixels of one to three kinds over another."""
    count = int(rng.integers(2, 5))
    share = np.exp(rng.uniform(np.log(0.02), np.log(0.5)))
    odd = rng.random(site.shape) < share
    labels = np.where(odd, rng.integers(1, count, size=site.shape), 0)
    scatter = np.where(labels > 0, rng.uniform(-8.0, 8.0, size=count)[labels], 0.0)
    return Layout(_hard(labels, count), _land_kinds(rng, site, count), scatter.astype(np.float32))


def _edges(rng: np.random.Generator, site: Site) -> Layout:
    """Divide the field by one to four straight lines; steps of up to `EDGE_K` at each."""
    lines = int(rng.integers(1, 5))
    labels = np.zeros(site.shape, np.intp)
    for number in range(lines):
        along, _ = _rotated(rng, site.shape)
        labels += 2**number * (along > rng.uniform(0.15, 0.85) * along.max())
    present, labels = np.unique(labels, return_inverse=True)
    labels = labels.reshape(site.shape)
    count = min(present.size, 6)
    kind = np.arange(present.size) % count
    step = rng.uniform(-EDGE_K / 2, EDGE_K / 2, size=present.size).astype(np.float32)
    return Layout(_hard(kind[labels], count), _land_kinds(rng, site, count), step[labels])


def _parcels(rng: np.random.Generator, site: Site) -> Layout:
    """Lay out straight-bordered parcels, each of its own warmth: irrigated, fallow, harvested."""
    count = int(rng.integers(2, 6))
    along, across = _rotated(rng, site.shape)
    width = np.exp(rng.uniform(np.log(1.5), np.log(12.0)))
    stripes = np.cumsum(rng.uniform(0.6, 1.6, size=int(along.max() / width * 2) + 4)) * width
    stripe = np.searchsorted(stripes, along)
    length = width * np.exp(rng.uniform(0.0, np.log(5.0)))
    shift = rng.uniform(0.0, 3.0, size=stripe.max() + 1)
    stretch = rng.uniform(0.6, 1.6, size=stripe.max() + 1)
    place = (across / (length * stretch[stripe]) + shift[stripe]).astype(np.intp)
    kinds = rng.integers(count, size=(stripe.max() + 1, place.max() + 1))
    warmth = rng.uniform(0.5, 4.0) * rng.standard_normal(kinds.shape)
    return Layout(
        _hard(kinds[stripe, place], count),
        _land_kinds(rng, site, count, ponds=False),
        warmth[stripe, place].astype(np.float32),
    )


def _blocks(rng: np.random.Generator, site: Site) -> Layout:
    """Put rectangles and ellipses, 5 to 20 K hotter or colder, on patches."""
    base = _patches(rng, site)
    labels, count = base.dominant.copy(), base.classes.size
    classes = np.append(base.classes, _MANMADE).astype(np.int8)
    anomaly = _calm(site.shape)
    for _ in range(int(rng.integers(2, 25))):
        half = np.exp(rng.uniform(np.log(0.5), np.log(9.0), size=2))
        middle = rng.uniform(0, 1, size=2) * site.shape
        angle = rng.uniform(0.0, np.pi)
        row = np.arange(site.shape[0])[:, np.newaxis] - middle[0]
        column = np.arange(site.shape[1])[np.newaxis] - middle[1]
        u = np.abs(column * np.cos(angle) + row * np.sin(angle)) / half[0]
        v = np.abs(row * np.cos(angle) - column * np.sin(angle)) / half[1]
        inside = (u * u + v * v <= 1.0) if rng.random() < 0.3 else (np.maximum(u, v) <= 1.0)
        sign = 1.0 if rng.random() < 0.6 else -1.0
        anomaly[inside] = sign * rng.uniform(*BLOCK_K)
        if rng.random() < 0.7:
            labels[inside] = count
    return Layout(_hard(labels, count + 1), classes, anomaly)


def _lava(rng: np.random.Generator, site: Site) -> Layout:
    """Let cooled lava lie in tongues: dark rock, warmer than the land around by day and night."""
    base = _patches(rng, site)
    flow = np.abs(fractal_noise(site.shape, rng.uniform(15.0, 90.0), rng, octaves=4))
    edge = np.quantile(flow, rng.uniform(0.15, 0.7))
    tongue = (flow < edge).astype(np.float32)
    age = rng.uniform(*LAVA_K) * np.clip(1.2 - flow / max(edge, 1e-6), 0.0, 1.0)
    layout = _overlaid(base, tongue, _ROCK)
    return Layout(layout.fractions, layout.classes, (tongue * age).astype(np.float32))


def _water_bodies(rng: np.random.Generator, site: Site) -> Layout:
    """Put a lake, a river or a coast into patches of land; in relief, water lies where it can."""
    base = _patches(rng, site)
    if site.elevation is not None:
        return base
    which = rng.integers(3)
    pixels = max(draw_patch_pixels(rng), 3.0)
    if which == 0:
        field = fractal_noise(site.shape, 2.0 * pixels, rng, octaves=4)
        wet = field > np.quantile(field, 1.0 - rng.uniform(0.05, 0.7))
    elif which == 1:
        along, across = _rotated(rng, site.shape)
        course = 0.5 * across.max() + rng.uniform(2.0, 15.0) * fractal_noise(
            site.shape, rng.uniform(20.0, 80.0), rng, octaves=3
        )
        wet = np.abs(across - course) < np.exp(rng.uniform(np.log(0.6), np.log(8.0)))
    else:
        along, _ = _rotated(rng, site.shape)
        shore = along.max() * rng.uniform(0.2, 0.8)
        waver = rng.uniform(0.5, 12.0) * fractal_noise(site.shape, 50.0, rng, octaves=6)
        wet = along + waver > shore
    return _overlaid(base, _shore(rng, wet), _WATER)


def _shore(rng: np.random.Generator, wet: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Leave a shore sharp, or let its pixels be partly water."""
    share = wet.astype(np.float32)
    return share if rng.random() < 0.5 else uniform_filter(share, size=2, mode="nearest")


def _snow_cover(rng: np.random.Generator, site: Site) -> Layout:
    """Lay snow over patches: above a line that wavers and dissolves, or in drifts where flat."""
    base = _patches(rng, site)
    pixels = max(draw_patch_pixels(rng), 1.5)
    patchy = fractal_noise(site.shape, pixels, rng, octaves=4)
    if site.elevation is None:
        height = patchy
    else:
        rough = np.exp(rng.uniform(np.log(15.0), np.log(250.0)))
        height = site.elevation + rough * patchy
        if site.northness is not None:
            height = height + rng.uniform(0.0, 400.0) * site.northness
    line = np.quantile(height, rng.uniform(0.02, 0.9))
    spread = max(float(height.std()), 1e-3) * rng.choice([0.02, 0.2, 0.6])
    share = np.clip((height - line) / spread + 0.5, 0.0, 1.0).astype(np.float32)
    return _overlaid(base, share, _SNOW)


def _open_sea(rng: np.random.Generator, site: Site) -> Layout:
    """Spread open water with fronts of up to 3 K, seldom with foam or sediment at an edge."""
    front = fractal_noise(site.shape, rng.uniform(20.0, 150.0), rng, octaves=4)
    warmth = np.tanh(front * rng.uniform(0.3, 4.0)) * rng.uniform(0.0, 1.5) ** 2 / 1.5
    return Layout(
        np.ones((*site.shape, 1), np.float32),
        np.array([_WATER], np.int8),
        warmth.astype(np.float32),
    )


def _overlaid(layout: Layout, share: NDArray[np.float32], surface_class: int) -> Layout:
    """Cover a share of each pixel by one more kind of a class."""
    over = share[..., np.newaxis]
    return Layout(
        np.concatenate([layout.fractions * (1 - over), over], axis=-1),
        np.append(layout.classes, surface_class).astype(np.int8),
        layout.anomaly * (1 - share),
    )


_DRAW: Final[dict[str, Callable[[np.random.Generator, Site], Layout]]] = {
    "homogeneous": _homogeneous,
    "patches": _patches,
    "mosaic": _mosaic,
    "mixture": _mixture,
    "salt_and_pepper": _salt_and_pepper,
    "edges": _edges,
    "parcels": _parcels,
    "blocks": _blocks,
    "lava": _lava,
    "water": _water_bodies,
    "snow": _snow_cover,
    "sea": _open_sea,
}
