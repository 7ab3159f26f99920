"""Inputs that a bundle should refuse: bands exchanged, half the gain, metal, lava, thick cirrus.

They are made from a scene's truth by the radiance equation, apart from how a domain is trained.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from aktes_xr import sensor
from aktes_xr.bench.world.patterns import spectral_field
from aktes_xr.radiative.planck import planck_wavelength
from aktes_xr.radiative.surface import top_of_atmosphere_radiance

FloatArray = NDArray[np.float64]
_N_BANDS: Final = len(sensor.BANDS)
_TILT: Final = np.linspace(-1.0, 1.0, _N_BANDS)
_METAL: Final = (0.05, 0.25)
_METAL_TILT: Final = 0.03
_ROOFS_SHARE: Final = 0.1
_LAVA_K: Final = (800.0, 1400.0)
_LAVA_SHARE: Final = (0.02, 0.5)
_LAVA_PATCHES: Final = 0.05
_CRUST_K: Final = 340.0
_CIRRUS_K: Final = (205.0, 235.0)
_CIRRUS_DEPTH: Final = (3.0, 8.0)


class Subject(NamedTuple):
    """A scene whose measurement is to be made strange.

    Attributes
    ----------
    numbers : ndarray (y, x, 5), uint16
        As measured.
    temperature : ndarray (y, x), K
        Of the surface.
    air : tuple of ndarray (5,) or (y, x, 5)
        Transmittance, path radiance and sky radiance.
    """

    numbers: NDArray[np.uint16]
    temperature: FloatArray
    air: tuple[FloatArray, FloatArray, FloatArray]


Strange = tuple[Any, NDArray[np.bool_]]


def _everywhere(numbers: Any) -> Strange:
    return numbers, np.ones(numbers.shape[:2], bool)


def _exchanged(rng: np.random.Generator, subject: Subject, *, apart: int | None) -> Strange:
    """Exchange two bands: neighbours, or any that are not."""
    first = int(rng.integers(_N_BANDS - (1 if apart == 1 else 2)))
    second = first + 1 if apart == 1 else int(rng.integers(first + 2, _N_BANDS))
    order = np.arange(_N_BANDS)
    order[[first, second]] = second, first
    return _everywhere(subject.numbers[..., order])


def _neighbours_exchanged(rng: np.random.Generator, subject: Subject) -> Strange:
    return _exchanged(rng, subject, apart=1)


def _others_exchanged(rng: np.random.Generator, subject: Subject) -> Strange:
    return _exchanged(rng, subject, apart=None)


def _reversed(rng: np.random.Generator, subject: Subject) -> Strange:
    del rng
    return _everywhere(subject.numbers[..., ::-1])


def _half_gain(rng: np.random.Generator, subject: Subject) -> Strange:
    del rng
    kept = subject.numbers != sensor.FILL_DN
    return _everywhere(np.where(kept, (subject.numbers - 1) // 2 + 1, 0).astype(np.uint16))


def _no_measurement(rng: np.random.Generator, subject: Subject) -> Strange:
    del rng
    return _everywhere(np.full_like(subject.numbers, 60_000))


def _patches(rng: np.random.Generator, subject: Subject, share: float) -> NDArray[np.bool_]:
    rows, columns = subject.temperature.shape
    noise = spectral_field((rows, columns), rng, exponent=2.5)
    return np.asarray(noise > np.quantile(noise, 1.0 - share))


def _laid(subject: Subject, radiance: Any, where: NDArray[np.bool_]) -> Strange:
    numbers = sensor.radiance_to_dn(np.asarray(radiance, np.float64))
    return np.where(where[..., np.newaxis], numbers, subject.numbers), where


def _metal(rng: np.random.Generator, subject: Subject) -> Strange:
    """Lay metal roofs: they reflect the sky and are up to 25 K warmer than the ground."""
    where = _patches(rng, subject, _ROOFS_SHARE)
    emissivity = rng.uniform(*_METAL) + rng.normal(0.0, _METAL_TILT) * _TILT
    emissivity = np.clip(emissivity, 0.02, 1.0)
    warm = subject.temperature + rng.uniform(0.0, 25.0)
    spectra = np.broadcast_to(emissivity, subject.numbers.shape)
    return _laid(subject, top_of_atmosphere_radiance(warm, spectra, *subject.air), where)


def _lava(rng: np.random.Generator, subject: Subject) -> Strange:
    """Let a part of each pixel be molten and the rest a warm crust."""
    where = _patches(rng, subject, _LAVA_PATCHES)
    least, most_share = np.log(_LAVA_SHARE)
    share = np.exp(rng.uniform(least, most_share, where.shape))[..., np.newaxis]
    crust = planck_wavelength(sensor.WAVELENGTH_UM, _CRUST_K)
    molten = planck_wavelength(sensor.WAVELENGTH_UM, rng.uniform(*_LAVA_K))
    transmittance, path, _ = subject.air
    radiance = transmittance * 0.95 * (share * molten + (1.0 - share) * crust) + path
    most = sensor.dn_to_radiance(np.full(_N_BANDS, sensor.SATURATION_DN, np.uint16))
    return _laid(subject, np.minimum(radiance, most), where)


def _cirrus(rng: np.random.Generator, subject: Subject, share: float) -> Strange:
    rows, columns = subject.temperature.shape
    where = _patches(rng, subject, share)
    cold = rng.uniform(*_CIRRUS_K) + 3.0 * spectral_field((rows, columns), rng, exponent=3.0)
    through = np.exp(-rng.uniform(*_CIRRUS_DEPTH))
    below = sensor.dn_to_radiance(subject.numbers)
    above = planck_wavelength(sensor.WAVELENGTH_UM, cold[..., np.newaxis])
    return _laid(subject, through * below + (1.0 - through) * above, where)


def _half_cirrus(rng: np.random.Generator, subject: Subject) -> Strange:
    return _cirrus(rng, subject, 0.5)


def _whole_cirrus(rng: np.random.Generator, subject: Subject) -> Strange:
    return _cirrus(rng, subject, 1.0)


ODDITIES: Final[dict[str, Callable[[np.random.Generator, Subject], Strange]]] = {
    "neighbouring bands exchanged": _neighbours_exchanged,
    "other bands exchanged": _others_exchanged,
    "bands reversed": _reversed,
    "half the gain": _half_gain,
    "metal roofs": _metal,
    "active lava": _lava,
    "thick cirrus over half": _half_cirrus,
    "thick cirrus all over": _whole_cirrus,
    "60,000 DN": _no_measurement,
}
"""By name: numbers (y, x, 5), uint16, and where (y, x) they are strange."""
