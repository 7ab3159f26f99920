"""Pixels to train a cloud test on: fields with and without clouds, told more or less of the clear.

A field under a third of the clouds' kinds has no clear pixel left, and half the fields have no
cloud: a test that only ever saw mixtures would find cloud in any scene. What is told of the clear
ground (air, skin, background, elevation) is left out at random, so that one test serves all.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from aktes_xr.learn.drawing import level_and_steep
from aktes_xr.models.cloud_features import (
    CLOUD_FEATURES,
    SEEN,
    cloud_features,
    describable,
    scene_statistics,
)
from aktes_xr.simulate.clouds import KINDS, lay_clouds
from aktes_xr.simulate.emissivity import CLASS_NAMES
from aktes_xr.simulate.fields import Field, FieldRecipe
from aktes_xr.simulate.texture import fractal_noise

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from aktes_xr.compilation import Float32Array
    from aktes_xr.simulate.emissivity import Split

CLOUDY_DEPTH: Final = 0.3
"""Absorption optical depth in B13 from which a pixel counts as cloud; what is thinner and not
clear is neither."""
SURFACES: Final = ("land", "water", "snow")
NOWHERE: Final = -1
"""The surface of pixels that are none of these."""
_SNOW: Final = CLASS_NAMES.index("snow_ice")
_CLOUDY_FIELDS: Final = 0.55
_TOLD: Final = {"air_temperature": 0.5, "skin_temperature": 0.3}
_BACKGROUND_SHARE: Final = 0.35
_ELEVATION_SHARE: Final = 0.85
_BACKGROUND_OFFSET_K: Final = 4.0
_SAMPLE_STEP: Final = 2
_BARE_SHARE: Final = 0.05
_BARE_ABOVE_AIR_K: Final = (-5.0, 25.0)


@dataclass(frozen=True, eq=False)
class CloudPixels:
    """Pixels with what a cloud test is judged by.

    Attributes
    ----------
    features : ndarray (pixel, feature), float32
        In the order of `aktes_xr.models.cloud_features.CLOUD_FEATURES`.
    cloudy : ndarray (pixel,), bool
        Absorption optical depth of at least `CLOUDY_DEPTH`.
    depth, height, change : ndarray (pixel,), float32
        Optical depth, m above the ground (NaN in the clear), K.
    surface : ndarray (pixel,), int8
        Of `SURFACES`, or `NOWHERE`.
    day : ndarray (pixel,), bool
    """

    features: Float32Array
    cloudy: NDArray[np.bool_]
    depth: Float32Array
    height: Float32Array
    change: Float32Array
    surface: NDArray[np.int8]
    day: NDArray[np.bool_]

    @classmethod
    def joined(cls, parts: list[CloudPixels]) -> CloudPixels:
        """Put pixels of several fields behind one another.

        Parameters
        ----------
        parts : list of CloudPixels
            At least one.

        Returns
        -------
        CloudPixels
        """
        names = cls.__dataclass_fields__
        return cls(**{name: np.concatenate([getattr(p, name) for p in parts]) for name in names})


def draw_cloud_pixels(
    count: int,
    *,
    split: Split,
    seed: int,
    per_field: int,
    shape: tuple[int, int],
    steep_share: float,
    progress: Callable[[str], None] | None = None,
) -> CloudPixels:
    """Draw pixels of cloudy and clear fields.

    Parameters
    ----------
    count : int
        Number of fields.
    split : {"train", "validation", "test"}
        Atmospheres, surfaces and relief of the three have nothing in common.
    seed : int
    per_field : int
        Pixels taken of each field.
    shape : (int, int), pixel
        Of a field.
    steep_share : float, 1
        Share of the fields over relief.
    progress : callable, optional
        Called with a line now and then.

    Returns
    -------
    CloudPixels
    """
    parts = []
    recipe = FieldRecipe(count=count, seed=seed, split=split, shape=shape, gap_share=0.0)
    for number, field in enumerate(level_and_steep(recipe, steep_share)):
        rng = np.random.default_rng([seed, number, 71])
        parts.append(_pixels_of(rng, field, per_field))
        if progress is not None and (number + 1) % 200 == 0:
            progress(f"{split}: {number + 1} of {count} fields")
    return CloudPixels.joined(parts)


def _pixels_of(rng: np.random.Generator, field: Field, count: int) -> CloudPixels:
    shape = field.shape
    depth = np.zeros(shape, np.float32)
    height = np.full(shape, np.nan, np.float32)
    change = np.zeros(shape, np.float32)
    kelvin = field.brightness_temperature
    bare = rng.random() < _BARE_SHARE
    if bare:
        kelvin = _bare(rng, field)
    elif rng.random() < _CLOUDY_FIELDS:
        under = lay_clouds(rng, field, str(rng.choice(list(KINDS))))
        kelvin, depth, height, change = (
            under.brightness_temperature,
            under.depth,
            under.height,
            under.change,
        )
    seen = seen_planes(rng, field, kelvin)
    zenith = field.sun_zenith if rng.random() < 0.9 else float("nan")
    sample = seen[:, ::_SAMPLE_STEP, ::_SAMPLE_STEP].reshape(len(SEEN), -1)
    features = cloud_features(seen, scene_statistics(sample), zenith)
    # Between clear and cloudy a pixel is neither: nobody would agree on it.
    usable = describable(seen) & ((depth == 0.0) | (depth >= CLOUDY_DEPTH))
    places = np.flatnonzero(usable)
    taken = rng.choice(places, size=min(count, places.size), replace=False)
    surface = np.where(field.water, 1, np.where(field.surface_class == _SNOW, 2, 0))
    if bare:
        surface[:] = NOWHERE
    return CloudPixels(
        features=np.ascontiguousarray(features.reshape(len(CLOUD_FEATURES), -1)[:, taken].T),
        cloudy=(depth >= CLOUDY_DEPTH).ravel()[taken],
        depth=depth.ravel()[taken],
        height=height.ravel()[taken],
        change=change.ravel()[taken],
        surface=surface.astype(np.int8).ravel()[taken],
        day=np.full(taken.size, field.day),
    )


def seen_planes(rng: np.random.Generator, field: Field, kelvin: Float32Array) -> Float32Array:
    """Arrange a field as a cloud test sees it, and leave out at random what it is told.

    Parameters
    ----------
    rng : numpy.random.Generator
        Advanced.
    field : Field
    kelvin : ndarray (y, x, 5), float32, K
        Measured, clouds included.

    Returns
    -------
    ndarray (9, y, x), float32
        In the order of `aktes_xr.models.cloud_features.SEEN`.
    """
    seen = np.full((len(SEEN), *field.shape), np.nan, np.float32)
    seen[:5] = np.moveaxis(kelvin, -1, 0)
    if rng.random() < _ELEVATION_SHARE:
        seen[SEEN.index("elevation")] = elevation_of(field)
    for name, share in _TOLD.items():
        if rng.random() < share:
            seen[SEEN.index(name)] = field.told[name]
    if rng.random() < _BACKGROUND_SHARE:
        clear = field.brightness_temperature[..., 3]
        # Another season and hour, other weather here and there, and five dates' noise.
        drift = _BACKGROUND_OFFSET_K * rng.standard_normal()
        local = fractal_noise(field.shape, 40.0, rng, octaves=3)
        local *= rng.uniform(0.2, 2.0) / max(float(local.std()), 1e-6)
        noise = rng.uniform(0.2, 1.0) * rng.standard_normal(field.shape)
        seen[SEEN.index("background")] = clear + drift + local + noise
    return seen


def _bare(rng: np.random.Generator, field: Field) -> Float32Array:
    """Draw black ground under air that takes nothing away: clear, and alike in all bands.

    Cold dry air over water or snow comes near to it, and it is what people try a program with. A
    test that never saw it takes all that is grey for cloud, however warm.
    """
    pattern = fractal_noise(field.shape, rng.uniform(10.0, 80.0), rng, octaves=4)
    pattern *= rng.uniform(0.0, 5.0) / max(float(pattern.std()), 1e-6)
    ground = float(np.mean(field.air.air_temperature)) + rng.uniform(*_BARE_ABOVE_AIR_K) + pattern
    noise = rng.uniform(0.0, 0.3) * rng.standard_normal((*field.shape, 5))
    return np.asarray(ground[..., np.newaxis] + noise, np.float32)


def elevation_of(field: Field) -> Any:
    """Return a field's elevation; on flat ground that of its pressure (ISO 2533).

    Parameters
    ----------
    field : Field

    Returns
    -------
    ndarray () or (y, x), m
    """
    if field.terrain is not None:
        return field.terrain.elevation
    return (1.0 - (np.asarray(field.surface_pressure) / 1013.25) ** 0.190263) / 2.25577e-5
