"""TES in compiled code against the same in straightforward vectorised NumPy, in one run."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aktes_xr import sensor
from aktes_xr.baselines.tes import MMD_GILLESPIE, tes_block, tes_parameters
from aktes_xr.sensor import noise_equivalent_radiance

_SKY_RADIANCE = np.array([2.8, 2.0, 1.8, 1.4, 1.7])


@dataclass(frozen=True)
class TesThroughput:
    """Pixels per second, and how far the two implementations are apart."""

    pixels: int
    kernel_per_second: float
    numpy_per_second: float
    largest_difference_k: float

    @property
    def ratio(self) -> float:
        """How many times faster the kernel is."""
        return self.kernel_per_second / self.numpy_per_second


def tes_numpy(
    surface_leaving: NDArray[Any],
    sky_radiance: NDArray[Any],
    *,
    emissivity_max: float = 0.99,
    mmd: tuple[float, float, float] = MMD_GILLESPIE,
    iterations: int = 12,
    nedt_k: float = 0.05,
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Separate as `aktes_xr.baselines.tes` does by default, in whole-array NumPy.

    Parameters
    ----------
    surface_leaving : ndarray (n, 5), W m-2 sr-1 um-1
    sky_radiance : ndarray (5,) or (n, 5), W m-2 sr-1 um-1
    emissivity_max, mmd, iterations, nedt_k
        As there.

    Returns
    -------
    temperature : ndarray (n,), K
    emissivity : ndarray (n, 5), 1
    """
    tolerance = noise_equivalent_radiance(np.full(5, nedt_k))
    emissivity = np.full_like(surface_leaving, emissivity_max)
    previous = np.full_like(surface_leaving, np.inf)
    active = np.ones(surface_leaving.shape[0], dtype=bool)
    for _ in range(iterations):
        corrected = surface_leaving - (1 - emissivity) * sky_radiance
        warmest = sensor.radiance_to_brightness_temperature(corrected / emissivity).max(axis=-1)
        planck = sensor.brightness_temperature_to_radiance(
            np.broadcast_to(warmest[:, np.newaxis], corrected.shape)
        )
        emissivity = np.where(active[:, np.newaxis], corrected / planck, emissivity)
        active &= ~np.all(np.abs(corrected - previous) < tolerance, axis=-1)
        if not active.any():
            break
        previous = corrected
    beta = emissivity / emissivity.mean(axis=-1, keepdims=True)
    contrast = beta.max(axis=-1) - beta.min(axis=-1)
    minimum = mmd[0] - mmd[1] * contrast ** mmd[2]
    emissivity = beta * (minimum / beta.min(axis=-1))[:, np.newaxis]
    corrected = surface_leaving - (1 - emissivity) * sky_radiance
    chosen = emissivity.argmax(axis=-1)[:, np.newaxis]
    temperature = np.take_along_axis(
        sensor.radiance_to_brightness_temperature(corrected / emissivity), chosen, axis=-1
    )
    return temperature[:, 0], emissivity


def sample_radiances(pixels: int, *, seed: int = 0) -> NDArray[np.float64]:
    """Draw surface-leaving radiances of plausible surfaces.

    Parameters
    ----------
    pixels : int
        Number of pixels.
    seed : int
        Of the random numbers.

    Returns
    -------
    float64 (pixel, 5), W m-2 sr-1 um-1
    """
    rng = np.random.default_rng(seed)
    temperature = rng.uniform(265.0, 325.0, size=pixels)
    emissivity = 0.985 - rng.beta(1.2, 4.0, size=(pixels, 1)) * rng.uniform(0, 0.4, (pixels, 5))
    planck = sensor.brightness_temperature_to_radiance(np.repeat(temperature[:, None], 5, axis=1))
    return np.asarray(emissivity * planck + (1 - emissivity) * _SKY_RADIANCE)


def _best_seconds(work: Callable[[], object], repeats: int) -> float:
    seconds = []
    for _ in range(repeats):
        begin = time.thread_time()
        work()
        seconds.append(time.thread_time() - begin)
    return min(seconds)


def tes_throughput(*, pixels: int = 200_000, repeats: int = 5) -> TesThroughput:
    """Time both on the same pixels, with one thread each.

    The best of several repetitions counts, in processor time.

    Parameters
    ----------
    pixels : int
        Number of pixels.
    repeats : int
        Number of repetitions.

    Returns
    -------
    TesThroughput
    """
    leaving = sample_radiances(pixels)
    parameters = tes_parameters()
    compiled = tes_block(leaving, _SKY_RADIANCE, parameters)
    plain = tes_numpy(leaving, _SKY_RADIANCE)
    kernel_s = _best_seconds(lambda: tes_block(leaving, _SKY_RADIANCE, parameters), repeats)
    numpy_s = _best_seconds(lambda: tes_numpy(leaving, _SKY_RADIANCE), repeats)
    return TesThroughput(
        pixels=pixels,
        kernel_per_second=pixels / kernel_s,
        numpy_per_second=pixels / numpy_s,
        largest_difference_k=float(np.nanmax(np.abs(compiled.temperature - plain[0]))),
    )
