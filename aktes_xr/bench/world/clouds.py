"""Clouds over the foreign world's scenes: other shapes, other spectra, other air above them.

Depths are random fields of a power spectrum, cut at a level; streets, cells and shields differ by
what is done to the field before the cut. The air above a cloud has the water that an exponential of
2.2 km leaves, and the ozone of all.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from aktes_xr import sensor
from aktes_xr.bench.world.patterns import log_uniform, places, spectral_field

FloatArray = NDArray[np.float64]

CLOUD_KINDS: Final = (
    "heaps",
    "streets",
    "honeycomb",
    "low deck",
    "overcast",
    "shield",
    "streaks",
    "veil",
)
_TOP_M: Final[dict[str, tuple[float, float]]] = {
    "heaps": (700.0, 4500.0),
    "streets": (700.0, 3000.0),
    "honeycomb": (500.0, 2500.0),
    "low deck": (400.0, 2000.0),
    "overcast": (500.0, 9000.0),
    "shield": (3000.0, 11_500.0),
    "streaks": (6000.0, 12_000.0),
    "veil": (7000.0, 12_000.0),
}
_COVER: Final[dict[str, tuple[float, float]]] = {
    "heaps": (0.03, 0.4),
    "streets": (0.1, 0.6),
    "honeycomb": (0.4, 0.9),
    "low deck": (0.4, 0.98),
    "overcast": (1.0, 1.0),
    "shield": (0.3, 0.9),
    "streaks": (0.2, 0.9),
    "veil": (1.0, 1.0),
}
_DEPTH: Final[dict[str, tuple[float, float]]] = {
    **dict.fromkeys(("heaps", "streets", "honeycomb", "low deck"), (0.5, 30.0)),
    "overcast": (1.0, 30.0),
    "shield": (0.5, 30.0),
    "streaks": (0.2, 3.0),
    "veil": (0.1, 2.0),
}
# Absorption beside B13's: drops, small and large crystals.
_SPECTRA: Final = np.array(
    [[0.75, 0.75, 0.77, 1.0, 1.20], [0.60, 0.60, 0.58, 1.0, 1.14], [0.88, 0.88, 0.88, 1.0, 1.02]]
)
_OZONE: Final = np.array([0.05, 0.05, 0.45, 0.05, 0.1])
"""Share of the absorption that lies above all clouds."""
_WATER_SCALE_M: Final = 2200.0
_STREAM: Final = 31_000


class Cloudy(NamedTuple):
    """A scene under clouds: what is measured (5, y, x) in K, and the truth (y, x)."""

    brightness_temperature: NDArray[np.float32]
    depth: FloatArray
    height: FloatArray
    change: FloatArray


def cover_with_clouds(scene: xr.Dataset, kind: str) -> Cloudy:
    """Lay clouds over a scene of `aktes_xr.bench.world.scenes`.

    Parameters
    ----------
    scene : Dataset
        Of one date.
    kind : str
        One of `CLOUD_KINDS`.

    Returns
    -------
    Cloudy
        Brightness temperature (K), absorption optical depth in B13, height of the top above ground
        (m, NaN without cloud) and what the cloud takes from B13 (K).
    """
    rng = np.random.default_rng([_STREAM, scene.attrs["number"], CLOUD_KINDS.index(kind)])
    clear_dn = np.moveaxis(scene["tir"].to_numpy()[0], 0, -1)
    shape = (clear_dn.shape[0], clear_dn.shape[1])
    pattern = _pattern(kind, shape, rng)
    share = rng.uniform(*_COVER[kind])
    level = np.quantile(pattern, 1.0 - share) if share < 1.0 else pattern.min() - 0.3
    thickness = np.clip(pattern - level, 0.0, None)
    thickness /= max(float(np.quantile(thickness, 0.95)), 1e-6)
    depth = log_uniform(rng, *_DEPTH[kind]) * np.clip(thickness, 0.0, 2.0) ** rng.uniform(0.5, 1.5)
    elevation = scene["elevation"].to_numpy().astype(np.float64)
    top = rng.uniform(*_TOP_M[kind])
    height = top + 0.08 * top * np.clip(thickness, 0, 2) - (elevation - elevation.mean())
    depth[(depth < 0.02) | (height < 150.0)] = 0.0
    ice = top > rng.uniform(4000.0, 7000.0)
    spectrum = _SPECTRA[int(rng.integers(1, 3)) if ice else 0]
    passed = np.exp(-depth[..., None] * spectrum)
    radiance = _seen(scene, clear_dn, (passed, height), rng)
    nedt = float(scene.attrs["nedt_k"])
    noise = sensor.noise_equivalent_radiance(np.full(5, nedt)) * np.sqrt(1.0 - passed**2)
    dn = sensor.radiance_to_dn(radiance + noise * rng.standard_normal(radiance.shape))
    kelvin = np.asarray(sensor.dn_to_brightness_temperature(dn), np.float32)
    before = sensor.dn_to_brightness_temperature(clear_dn)
    under = depth > 0.0
    return Cloudy(
        np.moveaxis(kelvin, -1, 0),
        depth,
        np.where(under, height, np.nan),
        np.where(under, before[..., 3] - kelvin[..., 3], 0.0),
    )


def _pattern(kind: str, shape: tuple[int, int], rng: np.random.Generator) -> FloatArray:
    if kind == "heaps":
        return spectral_field(shape, rng, exponent=2.6, longest=rng.uniform(6.0, 16.0))
    if kind == "honeycomb":
        # Walls between cells: where a smooth field is near its middle.
        cells = spectral_field(shape, rng, exponent=5.0, longest=rng.uniform(10.0, 24.0))
        return np.asarray(-np.abs(cells) + 0.3 * spectral_field(shape, rng, exponent=2.5))
    rows, columns = places(shape)
    angle = rng.uniform(0.0, np.pi)
    across = rows * np.cos(angle) + columns * np.sin(angle)
    if kind == "streets":
        waves = np.sin(2.0 * np.pi * across / rng.uniform(6.0, 20.0))
        return np.asarray(waves + 1.2 * spectral_field(shape, rng, exponent=2.8, longest=20.0))
    if kind == "shield":
        slope = across / max(float(np.ptp(across)), 1.0)
        return np.asarray(3.0 * slope + 0.5 * spectral_field(shape, rng, exponent=3.0))
    if kind == "streaks":
        smooth = spectral_field(shape, rng, exponent=3.0)
        return np.asarray(np.sin(across / rng.uniform(2.0, 8.0) + 3.0 * smooth) + smooth)
    return spectral_field(shape, rng, exponent=rng.uniform(2.6, 3.6))


def _seen(
    scene: xr.Dataset,
    clear_dn: NDArray[np.uint16],
    cloud: tuple[FloatArray, FloatArray],
    rng: np.random.Generator,
) -> FloatArray:
    """Mix ground and cloud at the sensor."""
    passed, height = cloud
    whole = np.moveaxis(scene["transmittance"].to_numpy()[0].astype(np.float64), 0, -1)
    air_k = scene["true_air_temperature"].to_numpy()[0].astype(np.float64)
    lapse = rng.uniform(4.5, 7.5) / 1000.0
    lifted = np.clip(height, 0.0, None)
    warmth = air_k - lapse * lifted
    if scene.attrs["night"]:
        # The air above the ground keeps the day's warmth.
        warmth += rng.uniform(0.0, 6.0) * (1 - np.exp(-lifted / 300.0)) * np.exp(-lifted / 4000.0)
    warmth = np.maximum(warmth, rng.uniform(195.0, 215.0))
    water = np.exp(-lifted / _WATER_SCALE_M)[..., None]
    above = whole ** (_OZONE + (1.0 - _OZONE) * water)
    colder = np.maximum(warmth - 6.0, 190.0)
    path = (1.0 - above) * _planck(colder)
    clear = sensor.dn_to_radiance(clear_dn).astype(np.float64)
    return np.asarray(passed * (clear - path) + (1.0 - passed) * above * _planck(warmth) + path)


def _planck(temperature: FloatArray) -> FloatArray:
    spread = np.broadcast_to(temperature[..., None], (*temperature.shape, 5))
    return np.asarray(sensor.brightness_temperature_to_radiance(spread), np.float64)
