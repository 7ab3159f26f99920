"""Pixels to train a domain on: fields as they are, and the same ones distorted at random.

The distortions are no list of what may go wrong. They are drawn widely around what is normal, so
that whatever lies far from it is among them: all bands or single ones scaled or shifted, a second
temperature in the pixel, another order of the bands; the whole image or some patches of it. Small
ones leave a pixel as normal as it was, and the network learns that, too.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from aktes_xr import sensor
from aktes_xr.learn.drawing import field_quantities, level_and_steep
from aktes_xr.radiative.planck import planck_wavelength
from aktes_xr.simulate.fields import Field, FieldRecipe
from aktes_xr.simulate.texture import fractal_noise

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from aktes_xr.compilation import Float32Array
    from aktes_xr.simulate.emissivity import Split

_N_BANDS: Final = len(sensor.BANDS)
_PLACE: Final = (sensor.WAVELENGTH_UM - sensor.WAVELENGTH_UM.mean()) / sensor.WAVELENGTH_UM.std()
_STEEP_TIMES: Final = 4
"""Over relief every pixel has its own view of the sky: more of each field are worth taking."""
_PATCHES: Final = 0.4
"""Share of the distorted fields that are distorted in patches only."""
_PATCH_PIXELS: Final = 24.0
_DRIFT_SHARE: Final = 0.5
_COLDEST_K, _WARMEST_K = 125.0, 395.0


@dataclass(frozen=True, eq=False)
class DomainPixels:
    """Pixels with whether they are normal.

    Attributes
    ----------
    quantities : ndarray (pixel, quantity), float32
        In the order of `aktes_xr.models.features.QUANTITIES`, all that can be told.
    normal : ndarray (pixel,), bool
    field : ndarray (pixel,), int64
        Number of the field.
    """

    quantities: Float32Array
    normal: NDArray[np.bool_]
    field: NDArray[np.int64]


def draw_domain_pixels(
    count: int,
    *,
    split: Split,
    seed: int,
    per_field: int,
    steep_share: float,
    drift_k: float = 0.0,
    looks: int = 1,
    varied: float = 0.0,
    progress: Callable[[str], None] | None = None,
) -> DomainPixels:
    """Draw as many normal as distorted pixels of fields.

    Parameters
    ----------
    count : int
        Number of fields.
    split : {"train", "validation", "test"}
        Atmospheres, surfaces and relief of the three have nothing in common.
    seed : int
    per_field : int
        Normal pixels taken of each look at a flat field; over relief four times as many.
    steep_share : float, 1
        Share of the fields over relief.
    drift_k : float, K
        In half the normal fields each band is off by so much (1 sigma), as other worlds' are.
    looks : int
        How often each field is looked at, distorted in another way.
    varied : float, 1
        Share of fields under air, and with surfaces, that no table has.
    progress : callable, optional
        Called with a line now and then.

    Returns
    -------
    DomainPixels
    """
    tables, normal, fields = [], [], []
    recipe = FieldRecipe(count=count, seed=seed, split=split, shape=(64, 64), varied=varied)
    for number, field in enumerate(level_and_steep(recipe, steep_share)):
        size = per_field * (1 if field.terrain is None else _STEEP_TIMES)
        for look in range(looks):
            rng = np.random.default_rng([seed, number, 83, look])
            usual = _drifted(rng, field, drift_k)
            other, where = distorted(rng, field)
            for image, mask in ((usual, field.valid), (other, where)):
                measured = np.isfinite(image.brightness_temperature).all(axis=-1)
                places = np.flatnonzero(mask & measured)
                chosen = rng.choice(places, size=min(size, places.size), replace=False)
                tables.append(field_quantities(image, np.sort(chosen), rng))
                normal.append(np.full(chosen.size, image is usual))
                fields.append(np.full(chosen.size, number, np.int64))
        if progress is not None and (number + 1) % 200 == 0:
            progress(f"{split}: {number + 1} of {count} fields")
    return DomainPixels(np.concatenate(tables), np.concatenate(normal), np.concatenate(fields))


def _drifted(rng: np.random.Generator, field: Field, drift_k: float) -> Field:
    """Shift a field's bands by little, each by its own: what is normal has no sharp border."""
    if rng.random() >= _DRIFT_SHARE:
        return field
    shift = (drift_k * rng.standard_normal(_N_BANDS)).astype(np.float32)
    return replace(field, brightness_temperature=field.brightness_temperature + shift)


def distorted(rng: np.random.Generator, field: Field) -> tuple[Field, NDArray[np.bool_]]:
    """Distort a field's measurement at random.

    Parameters
    ----------
    rng : numpy.random.Generator
    field : Field

    Returns
    -------
    field : Field
        With another ``brightness_temperature``; all else as it was told.
    where : ndarray (y, x), bool
        Which measured pixels are distorted.
    """
    kelvin = np.asarray(field.brightness_temperature, np.float64)
    kind = _KINDS[int(rng.integers(len(_KINDS)))]
    other = np.clip(kind(rng, kelvin), _COLDEST_K, _WARMEST_K)
    where = field.valid
    if rng.random() < _PATCHES:
        noise = fractal_noise(field.shape, _PATCH_PIXELS, rng)
        patches = noise > np.quantile(noise, rng.uniform(0.4, 0.97))
        if (where & patches).any():
            where = where & patches
    mixed = np.where(where[..., np.newaxis], other, kelvin).astype(np.float32)
    return replace(field, brightness_temperature=mixed), where


def _radiance(kelvin: Any) -> Any:
    return planck_wavelength(sensor.WAVELENGTH_UM, kelvin)


def _kelvin(radiance: Any) -> Any:
    least, most = _radiance(_COLDEST_K), _radiance(_WARMEST_K)
    return sensor.radiance_to_brightness_temperature(np.clip(radiance, least, most))


def _scaled(rng: np.random.Generator, kelvin: Any) -> Any:
    """Scale the radiance by a factor that leans from band to band."""
    factor = rng.uniform(-2.3, 1.2) + rng.normal(0.0, 0.15) * _PLACE
    factor = factor + rng.choice([0.0, 0.05]) * rng.standard_normal(_N_BANDS)
    return _kelvin(np.exp(factor) * sensor.brightness_temperature_to_radiance(kelvin))


def _shifted(rng: np.random.Generator, kelvin: Any) -> Any:
    """Shift some bands, each by its own."""
    size = np.exp(rng.uniform(np.log(1.0), np.log(25.0)))
    moved = rng.random(_N_BANDS) < rng.uniform(0.2, 1.0)
    return kelvin + size * rng.standard_normal(_N_BANDS) * moved


def _moved(rng: np.random.Generator, kelvin: Any) -> Any:
    """Shift all bands together: only what is told, or what lies around, can tell."""
    return kelvin + rng.uniform(-100.0, 100.0) + rng.uniform(0.0, 1.0) * rng.standard_normal(5)


def _mixed(rng: np.random.Generator, kelvin: Any) -> Any:
    """Mix a second temperature into each pixel, cold or hot, in shares that vary."""
    cold = rng.random() < 0.5
    second = rng.uniform(180.0, 260.0) if cold else np.exp(rng.uniform(np.log(350), np.log(1400)))
    share = np.exp(rng.uniform(np.log(0.01), 0.0))
    noise = fractal_noise((kelvin.shape[0], kelvin.shape[1]), _PATCH_PIXELS, rng)
    share = np.clip(share * np.exp(0.3 * noise), 0.0, 1.0)[..., np.newaxis]
    radiance = sensor.brightness_temperature_to_radiance(kelvin)
    return _kelvin((1.0 - share) * radiance + share * _radiance(second))


def _permuted(rng: np.random.Generator, kelvin: Any) -> Any:
    """Put the bands, or their digital numbers, into another order."""
    order = rng.permutation(_N_BANDS)
    while (order == np.arange(_N_BANDS)).all():
        order = rng.permutation(_N_BANDS)
    if rng.random() < 0.3:
        return kelvin[..., order]
    numbers = sensor.brightness_temperature_to_radiance(kelvin) / sensor.UNIT_CONVERSION
    return _kelvin(numbers[..., order] * sensor.UNIT_CONVERSION)


_KINDS: Final = (_scaled, _shifted, _moved, _mixed, _permuted)
