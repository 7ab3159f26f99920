"""Atmospheres by parametrised profiles, solved at a few elevations of a scene.

Temperature falls at a drawn rate to a drawn tropopause, with an inversion at the ground or aloft;
relative humidity is a profile of its own with a moist or a dry layer; ozone is one layer in the
stratosphere. Pressure is hydrostatic, so the surface pressure of a mountain depends on the air.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import PchipInterpolator

from aktes_xr.bench.world.patterns import log_uniform
from aktes_xr.radiative.atmosphere import simulate_atmosphere

FloatArray = NDArray[np.float64]

_GRAVITY: Final = 9.80665
_GAS_CONSTANT: Final = 287.05
_WATER_TO_AIR: Final = 0.622
_TOP_M: Final = 60_000.0
_MOST_HUMID: Final = 0.92
_DRIEST: Final = 4e-6
"""Mole fraction of water in the stratosphere."""
_NODES: Final = 6


class Profile(NamedTuple):
    """A column from the scene's lowest point up: m, hPa, K, mol mol-1, mol mol-1."""

    elevation_m: FloatArray
    pressure_hpa: FloatArray
    temperature_k: FloatArray
    water_vmr: FloatArray
    ozone_vmr: FloatArray


class Air(NamedTuple):
    """What the air does over every pixel: (y, x, 5) the first three, (y, x) the others."""

    transmittance: FloatArray
    path_radiance: FloatArray
    sky_radiance: FloatArray
    precipitable_water: FloatArray
    air_temperature: FloatArray
    surface_pressure: FloatArray


def saturation_pressure(temperature_k: FloatArray) -> FloatArray:
    """Return the saturation pressure of water vapour by Magnus' formula.

    It is that over water, and below freezing that over ice.

    Parameters
    ----------
    temperature_k : float64, K
        Air temperature, of any shape.

    Returns
    -------
    float64, hPa
    """
    celsius = temperature_k - 273.15
    over_water = 6.112 * np.exp(17.62 * celsius / (243.12 + celsius))
    over_ice = 6.112 * np.exp(22.46 * celsius / (272.62 + celsius))
    return np.where(celsius < 0, over_ice, over_water)


def water_column(profile: Profile) -> float:
    """Return the water above a profile's ground.

    Parameters
    ----------
    profile : Profile
        Pressure and water vapour by level.

    Returns
    -------
    float, kg m-2
    """
    ratio = _WATER_TO_AIR * profile.water_vmr
    specific = ratio / (1 + ratio)
    step = -np.diff(100.0 * profile.pressure_hpa)
    return float(((specific[1:] + specific[:-1]) / 2 * step).sum() / _GRAVITY)


def draw_profile(
    rng: np.random.Generator, *, lowest_m: float, air_k: tuple[float, float], night: bool
) -> Profile:
    """Draw a profile above a scene's lowest point.

    Parameters
    ----------
    rng : Generator
    lowest_m : float
    air_k : (float, float)
        Range of the air temperature there.
    night : bool
        Inversions at the ground are stronger and more frequent.

    Returns
    -------
    Profile
        With 1 to 60 kg m-2 of water as far as its temperature and humidity allow.
    """
    steps = np.concatenate(
        [np.arange(0, 2000, 125), np.arange(2000, 12_000, 500), np.arange(12_000, _TOP_M, 2000)]
    )
    height = np.asarray(steps, np.float64)
    temperature = _temperature(height, rng, rng.uniform(*air_k), lowest_m=lowest_m, night=night)
    start = (1013.25 + rng.normal(0, 9.0)) * np.exp(-lowest_m * _GRAVITY / (_GAS_CONSTANT * 273.0))
    thickness = np.diff(height) * _GRAVITY / _GAS_CONSTANT
    fall = thickness / ((temperature[1:] + temperature[:-1]) / 2)
    pressure = start * np.exp(-np.concatenate([[0.0], np.cumsum(fall)]))
    humidity = _humidity(height, rng)
    saturated = saturation_pressure(temperature) / pressure
    profile = Profile(
        height + lowest_m, pressure, temperature, np.zeros_like(height), _ozone(pressure, rng)
    )

    def moist(factor: float) -> Profile:
        relative = np.minimum(humidity * factor, _MOST_HUMID)
        wet = np.minimum(relative * saturated, 0.08)
        # The stratosphere's own water, and no more than saturation allows anywhere below it.
        water = np.where(pressure < 150.0, _DRIEST, np.maximum(wet, 1e-7))
        return profile._replace(water_vmr=water)

    # Dry air is drawn more often, but wet air is not rare.
    wanted = log_uniform(rng, 1.0, 60.0) if rng.random() < 0.5 else rng.uniform(1.0, 60.0)
    low, high = 1e-3, 4.0
    for _ in range(24):
        middle = (low * high) ** 0.5
        low, high = (middle, high) if water_column(moist(middle)) < wanted else (low, middle)
    return moist(low)


def _temperature(
    height: FloatArray, rng: np.random.Generator, ground_k: float, *, lowest_m: float, night: bool
) -> FloatArray:
    lapse = rng.uniform(4.5, 8.5) / 1000.0
    tropopause = rng.uniform(8_000.0, 16_500.0) - lowest_m
    coldest = max(ground_k - lapse * tropopause, rng.uniform(188.0, 215.0))
    temperature = np.maximum(ground_k - lapse * height, coldest)
    warming = rng.uniform(0.8, 1.8) / 1000.0
    temperature += warming * np.clip(height + lowest_m - 20_000.0, 0, 28_000.0)
    if rng.random() < (0.6 if night else 0.2):
        depth = log_uniform(rng, 60.0, 900.0)
        # In an inversion the ground is cold, and the air above it keeps its temperature.
        temperature += rng.uniform(0, 10.0) * (1 - np.exp(-height / depth)) * np.exp(-height / 6e3)
    if rng.random() < 0.35:
        middle, depth = rng.uniform(900.0, 3500.0), rng.uniform(150.0, 500.0)
        step = rng.uniform(1.0, 6.0) / (1 + np.exp(-(height - middle) / depth))
        temperature += step * np.exp(-np.maximum(height - middle, 0) / 4e3)
    return np.asarray(np.clip(temperature, 182.0, 325.0))


def _humidity(height: FloatArray, rng: np.random.Generator) -> FloatArray:
    relative = 0.8 * np.exp(-height / log_uniform(rng, 2500.0, 14_000.0))
    for _ in range(int(rng.integers(0, 3))):
        middle, depth = rng.uniform(300.0, 7000.0), rng.uniform(300.0, 1500.0)
        factor = log_uniform(rng, 0.15, 3.0)
        relative *= 1 + (factor - 1) * np.exp(-(((height - middle) / depth) ** 2))
    return np.asarray(relative)


def _ozone(pressure: FloatArray, rng: np.random.Generator) -> FloatArray:
    peak, width = rng.uniform(6.0, 14.0), rng.uniform(1.0, 1.35)
    layer = rng.uniform(4.5e-6, 9.0e-6) * np.exp(-((np.log(pressure / peak) / width) ** 2))
    return np.asarray(layer + rng.uniform(2e-8, 7e-8))


def air_over(profile: Profile, elevation: FloatArray, *, view_zenith_deg: float) -> Air:
    """Solve a profile at a few elevations and interpolate to every pixel.

    Parameters
    ----------
    profile : Profile
    elevation : ndarray (y, x), m
        Within the profile.
    view_zenith_deg : float

    Returns
    -------
    Air
        Optical depth and path radiance per absorbed part are what is interpolated: both are smooth.
    """
    low, high = float(elevation.min()), float(elevation.max())
    nodes = np.linspace(low, max(high, low + 20.0), 2 if high - low < 60.0 else _NODES)
    log_pressure = np.log(profile.pressure_hpa)
    rows = []
    for node in nodes:
        solved = simulate_atmosphere(
            profile.pressure_hpa,
            profile.temperature_k,
            profile.water_vmr,
            profile.ozone_vmr,
            surface_pressure_hpa=float(np.exp(np.interp(node, profile.elevation_m, log_pressure))),
            view_zenith_deg=view_zenith_deg,
        )
        t = solved["transmittance"].to_numpy()
        emitted = solved["path_radiance"].to_numpy() / (1 - t)
        below = [np.log(float(solved["precipitable_water"])), float(solved["air_temperature"])]
        rows.append(np.concatenate([np.log(t), emitted, solved["sky_radiance"].to_numpy(), below]))
    over = PchipInterpolator(nodes, np.array(rows))(elevation)
    transmittance = np.exp(over[..., :5])
    return Air(
        transmittance,
        over[..., 5:10] * (1 - transmittance),
        over[..., 10:15],
        np.exp(over[..., 15]),
        over[..., 16],
        np.exp(np.interp(elevation, profile.elevation_m, log_pressure)),
    )
