"""Surfaces of a layout: what their kinds emit, how warm they get, and what is told of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from aktes_xr.simulate.emissivity import CLASSES, RAW_CLASS_SHARE, Split, load_prior
from aktes_xr.simulate.landcover import (
    CONTRAST_NIGHT,
    FREEZING_K,
    HEATING,
    SHADE,
    SNOW,
    SURFACE_TEMPERATURE_RANGE_K,
    WATER,
)
from aktes_xr.simulate.structures import Layout
from aktes_xr.simulate.texture import fractal_noise

SEA_FREEZES_K: Final = 271.35
TEXTURE_K: Final = 3.0
TEXTURE_PIXELS: Final = (1.0, 30.0)
_HEATING_SCATTER: Final = 0.25
_OFFSET_K: Final = 1.5
_WATER_OFFSET_K: Final = 3.5
_WATER_TEXTURE: Final = 0.12
_SNOW_TEXTURE: Final = 0.4
_KIND_ERROR_SCATTER: Final = 0.3
# Of surfaces that no library has: standard deviations of the logarithm of 1 - e, common to the
# bands, along them, and of each.
_STRENGTH: Final = 0.35
_TILT: Final = 0.25
_BEND: Final = 0.12
_VARIED_RAW: Final = 0.5
_ALONG: Final = np.linspace(-1.0, 1.0, 5)


@dataclass(frozen=True, eq=False)
class Cover:
    """Land cover of a field with what its kinds are like.

    Attributes
    ----------
    layout : Layout
    emissivity : ndarray (y, x, 5), float32, 1
    heating, shade, night : ndarray (y, x), float32, K
        Warmth over the air per 1000 W m-2 of sunlight, without it, and by night.
    offset : ndarray (y, x), float32, K
        What a kind is warmer besides.
    texture : ndarray (y, x), float32, K
        Differences inside a kind.
    water, snow : ndarray (y, x), float32, 1
        Shares of each pixel.
    """

    layout: Layout
    emissivity: NDArray[np.float32]
    heating: NDArray[np.float32]
    shade: NDArray[np.float32]
    night: NDArray[np.float32]
    offset: NDArray[np.float32]
    texture: NDArray[np.float32]
    water: NDArray[np.float32]
    snow: NDArray[np.float32]

    @property
    def classes(self) -> NDArray[np.int8]:
        """The class (y, x) of what covers most of each pixel."""
        return self.layout.classes[self.layout.dominant]


def draw_cover(
    rng: np.random.Generator, layout: Layout, *, split: Split, varied: bool = False
) -> Cover:
    """Draw what the kinds of a layout are like.

    Parameters
    ----------
    rng : numpy.random.Generator
        Advanced.
    layout : Layout
    split : {"train", "validation", "test"}
        Of the endmembers.
    varied : bool
        Surfaces that no library has: each kind's spectrum is made stronger or weaker, tilted and
        bent, and more kinds are single endmembers, so that neither what was measured in
        laboratories nor how often it is met with bounds what is learnt.

    Returns
    -------
    Cover
    """
    kinds, shape = layout.classes, layout.anomaly.shape
    count = kinds.size
    heating = HEATING[kinds] * np.exp(_HEATING_SCATTER * rng.standard_normal(count))
    night = CONTRAST_NIGHT[kinds, 0] + 0.7 * CONTRAST_NIGHT[kinds, 1] * rng.standard_normal(count)
    offset = np.where(kinds == WATER, _WATER_OFFSET_K, _OFFSET_K) * rng.standard_normal(count)
    lively = np.where(kinds == WATER, _WATER_TEXTURE, np.where(kinds == SNOW, _SNOW_TEXTURE, 1.0))
    per_kind = np.stack([heating, SHADE[kinds], night, offset, lively], axis=1).astype(np.float32)
    maps = layout.fractions @ per_kind
    return Cover(
        layout,
        _emissivity(rng, layout, split, varied=varied),
        heating=maps[..., 0],
        shade=maps[..., 1],
        night=maps[..., 2],
        offset=maps[..., 3],
        texture=maps[..., 4] * _texture(rng, shape),
        water=layout.share(WATER),
        snow=layout.share(SNOW),
    )


def _texture(rng: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Draw differences of 0 to 3 K over 1 to 30 pixels: from one scale to a whole cascade."""
    size = (shape[0], shape[1])
    amplitude = TEXTURE_K * rng.random() ** 2
    pixels = float(np.exp(rng.uniform(*np.log(TEXTURE_PIXELS))))
    white = amplitude * rng.random() * rng.standard_normal(size, dtype=np.float32)
    if pixels < 1.6:
        return np.asarray(white, np.float32)
    smooth = amplitude * fractal_noise(size, 2.0 * pixels, rng, octaves=int(rng.integers(1, 6)))
    if rng.random() < 0.5:
        white *= np.float32(rng.random())
    return np.asarray(0.85 * smooth + 0.4 * white, np.float32)


def _emissivity(
    rng: np.random.Generator, layout: Layout, split: Split, *, varied: bool
) -> NDArray[np.float32]:
    """Mix the kinds' spectra; inside a kind they wander, smoothly and from pixel to pixel."""
    prior = load_prior()
    spectra = np.empty((layout.classes.size, 5), np.float32)
    for number, surface_class in enumerate(layout.classes):
        surface = CLASSES[surface_class]
        alone = _VARIED_RAW if varied else RAW_CLASS_SHARE
        spectra[number] = prior.draw(rng, surface, 1, split=split, alone=alone)[0]
        if varied and surface_class != WATER:
            spectra[number] = _varied(rng, spectra[number])
    reflectivity = layout.fractions @ (1 - spectra)
    shape = layout.anomaly.shape
    wander = rng.uniform(0.0, 0.12) * fractal_noise(
        (shape[0], shape[1]), rng.uniform(4.0, 60.0), rng, octaves=3
    )
    scatter = rng.uniform(0.0, 0.04) * rng.standard_normal(reflectivity.shape, dtype=np.float32)
    scatter += wander[..., np.newaxis].astype(np.float32)
    # Water is the same everywhere.
    scatter *= (1 - layout.share(WATER))[..., np.newaxis]
    return np.asarray(np.clip(1 - reflectivity * np.exp(scatter), 0.4, 0.998), np.float32)


def _varied(rng: np.random.Generator, emissivity: NDArray[np.float32]) -> NDArray[np.float32]:
    """Make a spectrum (5,) stronger or weaker, tilt and bend it."""
    factor = _STRENGTH * rng.standard_normal() + _TILT * rng.standard_normal() * _ALONG
    factor += _BEND * rng.standard_normal(5)
    return np.asarray(np.clip(1 - (1 - emissivity) * np.exp(factor), 0.5, 0.998), np.float32)


def kind_temperature(
    cover: Cover,
    air_temperature: Any,
    *,
    light_w_m2: Any = None,
    sky_view_factor: Any = 1.0,
    heating: float = 1.0,
    warmth_k: float = 0.0,
) -> NDArray[np.float32]:
    """Return how warm the ground is.

    Parameters
    ----------
    cover : Cover
    air_temperature : ndarray (y, x) or float, K
        At the ground.
    light_w_m2 : ndarray (y, x) or float, W m-2, optional
        Sunlight on it (`aktes_xr.simulate.landcover.sunlight`); None: by night.
    sky_view_factor : ndarray (y, x) or float, 1
        By night the ground loses heat to the sky it sees.
    heating : float
        How much stronger than usual sun or clear sky act.
    warmth_k : float, K
        By how much all ground is warmer than usual.

    Returns
    -------
    ndarray (y, x), float32, K
        Snow is not above freezing, open water not below.
    """
    if light_w_m2 is None:
        contrast = cover.night * sky_view_factor
    else:
        contrast = cover.shade + cover.heating * (light_w_m2 * 1e-3)
    land = 1.0 - cover.water
    kelvin = air_temperature + heating * contrast + warmth_k * land
    kelvin = kelvin + cover.offset + cover.texture + cover.layout.anomaly
    kelvin -= cover.snow * np.maximum(kelvin - FREEZING_K, 0.0)
    kelvin += cover.water * np.maximum(SEA_FREEZES_K - kelvin, 0.0)
    return np.asarray(np.clip(kelvin, *SURFACE_TEMPERATURE_RANGE_K), np.float32)


def tell_emissivity(
    rng: np.random.Generator,
    cover: Cover,
    *,
    stated: float,
    actual: float,
    of_surface: float,
    of_bands: float,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Draw a climatological emissivity whose error belongs to the surface, in part.

    A climatology that is wrong about a kind of surface is wrong everywhere it lies, so that the
    mean of a neighbourhood keeps most of the error of one pixel.

    Parameters
    ----------
    rng : numpy.random.Generator
        Advanced.
    cover : Cover
    stated, actual : float, 1
        Standard deviation that is told, and that errors are drawn with.
    of_surface : float, 1
        Share of the variance that all pixels of one kind have in common.
    of_bands : float, 1
        Share of the variance that the five bands have in common.

    Returns
    -------
    prior : ndarray (y, x, 5), float32, 1
    uncertainty : ndarray (y, x), float32, 1
        Stated; it differs from kind to kind.
    """
    fractions = cover.layout.fractions
    count = fractions.shape[-1]
    size = np.exp(_KIND_ERROR_SCATTER * rng.standard_normal(count)).astype(np.float32)
    kind = size[:, np.newaxis] * (
        np.sqrt(1 - of_bands) * rng.standard_normal((count, 5))
        + np.sqrt(of_bands) * rng.standard_normal((count, 1))
    ).astype(np.float32)
    # In a mixture independent errors would cancel; the stated size holds for mixtures as well.
    length = np.sqrt((fractions**2).sum(axis=-1, keepdims=True))
    common = fractions @ kind / length
    shape = common.shape
    own = np.float32(np.sqrt(1 - of_bands)) * rng.standard_normal(shape, dtype=np.float32)
    own += np.float32(np.sqrt(of_bands)) * rng.standard_normal((*shape[:2], 1), dtype=np.float32)
    spread = fractions @ size
    error = np.float32(np.sqrt(of_surface)) * common
    error += np.float32(np.sqrt(1 - of_surface)) * own * spread[..., np.newaxis]
    prior = np.clip(cover.emissivity + np.float32(actual) * error, 0.3, 1.0)
    return prior.astype(np.float32), (np.float32(stated) * spread).astype(np.float32)
