"""From the ground to digital numbers: the radiance equation in terrain, noise and rounding.

The instrument scans on a grid of its own, turned against the map; its noise is white there and is
resampled to the map with the signal, which correlates neighbours.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from aktes_xr import sensor
from aktes_xr.bench.world.air import Air
from aktes_xr.bench.world.horizon import terrain_radiance

FloatArray = NDArray[np.float64]

_CUBIC: Final = -0.5
"""Parameter of cubic convolution (Keys 1981, IEEE Trans. Acoust. 29(6), 1153-1160)."""


def toa_radiance(
    temperature_k: FloatArray,
    emissivity: FloatArray,
    air: Air,
    *,
    sky_view: NDArray[np.floating],
    elevation: FloatArray,
    cell_size_m: float,
) -> FloatArray:
    """Evaluate ``t (e B(T) + (1 - e)(V Ls + (1 - V) La)) + Lp``.

    Parameters
    ----------
    temperature_k : ndarray (y, x), K
    emissivity : ndarray (y, x, 5)
    air : Air
    sky_view : ndarray (y, x), 1
    elevation : ndarray (y, x), m
    cell_size_m : float

    Returns
    -------
    ndarray (y, x, 5), W m-2 sr-1 um-1
        La is the mean over the terrain a pixel sees of what leaves it under the open sky.
    """
    black = sensor.brightness_temperature_to_radiance(
        np.repeat(temperature_k[..., np.newaxis], 5, axis=-1)
    )
    emitted, reflectance = emissivity * black, 1.0 - emissivity
    open_sky = np.asarray(sky_view, np.float64)[..., np.newaxis]
    around: NDArray[np.floating] = air.sky_radiance
    if float(open_sky.min()) < 1.0 - 1e-4:
        around = terrain_radiance(emitted + reflectance * air.sky_radiance, elevation, cell_size_m)
    hemisphere = open_sky * air.sky_radiance + (1 - open_sky) * around
    return np.asarray(air.transmittance * (emitted + reflectance * hemisphere) + air.path_radiance)


def resampled_noise(
    shape: tuple[int, int], rng: np.random.Generator, *, angle_deg: float, pitch: float
) -> FloatArray:
    """Draw white noise of unit variance on a turned grid and resample it by cubic convolution.

    Parameters
    ----------
    shape : (int, int)
    rng : Generator
    angle_deg : float
        Of the instrument's grid against the map's.
    pitch : float
        Its spacing in pixels of the map.

    Returns
    -------
    ndarray (y, x, 5), float64
        Of a variance below one: resampling averages.
    """
    rows, columns = np.mgrid[: shape[0], : shape[1]].astype(np.float64)
    angle = np.deg2rad(angle_deg)
    line = (rows * np.cos(angle) - columns * np.sin(angle)) / pitch
    place = (rows * np.sin(angle) + columns * np.cos(angle)) / pitch
    line, place = line - line.min() + 2, place - place.min() + 2
    white = rng.standard_normal((int(line.max()) + 4, int(place.max()) + 4, 5))
    i, j = np.floor(line).astype(np.intp), np.floor(place).astype(np.intp)
    down, right = _keys(line - i), _keys(place - j)
    out = np.zeros((*shape, 5))
    for a in range(4):
        for b in range(4):
            weight = (down[a] * right[b])[..., np.newaxis]
            out += weight * white[i + a - 1, j + b - 1]
    return out


def _keys(offset: FloatArray) -> list[FloatArray]:
    """Weights of the four neighbours for an offset of 0 to 1 from the second."""
    weights = []
    for distance in (1 + offset, offset, 1 - offset, 2 - offset):
        near = (_CUBIC + 2) * distance**3 - (_CUBIC + 3) * distance**2 + 1
        far = _CUBIC * (distance**3 - 5 * distance**2 + 8 * distance - 4)
        weights.append(np.where(distance <= 1, near, far))
    return weights


def digital_numbers(
    radiance: FloatArray, rng: np.random.Generator, *, nedt_k: float
) -> NDArray[np.uint16]:
    """Add noise to radiances and round them to digital numbers.

    Parameters
    ----------
    radiance : float64 (y, x, band), W m-2 sr-1 um-1
        At the sensor.
    rng : numpy.random.Generator
        Draws the noise.
    nedt_k : float
        Noise-equivalent temperature difference at 300 K, K. The noise is drawn on the instrument's
        grid.

    Returns
    -------
    uint16 (y, x, band)
    """
    noise = resampled_noise(
        (radiance.shape[0], radiance.shape[1]),
        rng,
        angle_deg=float(rng.uniform(-14, 14)),
        pitch=float(rng.uniform(0.97, 1.03)),
    )
    scale = sensor.noise_equivalent_radiance(np.full(5, nedt_k))
    counts: NDArray[np.uint16] = sensor.radiance_to_dn(radiance + scale * noise)
    return counts
