"""Air that no profile of the shipped table has: real columns mixed, bent and layered anew.

A few hundred real profiles, scaled and shifted, are few: a network learns them by heart and misses
what it never saw, an inversion over a valley or a dry layer aloft. So a column is mixed of two real
ones of its split. Its temperature is shifted, its lapse changed, and it is bent smoothly; there
may be a layer at the ground, colder (an inversion) or warmer than the air above it, and an
inversion aloft. Relative humidity is kept meanwhile, then layers of it are dried or moistened, and
all of it is scaled towards a drawn water column, as far as saturation allows. Each such column is
solved by itself.
"""

from __future__ import annotations

import functools
import importlib.resources
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from aktes_xr.radiative.atmosphere import AtmosphereBatch, slants_of, solve_batch
from aktes_xr.radiative.gases import gas_absorption
from aktes_xr.radiative.profiles import saturation_vapor_pressure
from aktes_xr.radiative.transfer import DRY_AIR_MOLAR_MASS, GRAVITY, WATER_MOLAR_MASS
from aktes_xr.simulate.atmospheres import MAX_PRECIPITABLE_WATER, ground_pressure, members
from aktes_xr.simulate.emissivity import Split

FloatArray = NDArray[np.float64]

SCALE_HEIGHT_M: Final = 7600.0
"""Of pressure; heights here only say how deep a layer is."""
MIXED_SHARE: Final = 0.6
SHIFT_K: Final = 3.0
LAPSE_K_PER_KM: Final = 0.6
BEND_K: Final = 1.2
BEND_LENGTH_M: Final = (800.0, 5000.0)
GROUND_LAYER_SHARE: Final = 0.5
INVERSION_SHARE: Final = 0.65
"""Of the layers at the ground, those that are colder than the air above."""
INVERSION_K: Final = 12.0
WARM_LAYER_K: Final = 3.0
GROUND_LAYER_M: Final = (60.0, 1200.0)
ALOFT_SHARE: Final = 0.3
ALOFT_M: Final = (600.0, 4500.0)
ALOFT_K: Final = (1.0, 7.0)
MOIST_LAYERS: Final = 3
LAYER_FACTOR: Final = (0.12, 4.0)
WATER_RANGE: Final = (0.8, 70.0)
"""kg m-2, drawn for three quarters of the columns."""
OZONE_SPREAD: Final = 0.15
MOST_HUMID: Final = 0.98
_TROPOSPHERE_PA: Final = (20000.0, 40000.0)
_DRIEST: Final = 1e-7


@dataclass(frozen=True, eq=False)
class VariedAir:
    """One column.

    Attributes
    ----------
    levels : ndarray (4, level), float64
        Pressure (Pa, falling), temperature (K), water and ozone (mol per mol of dry air).
    profile : int
        Number in the shipped table of the real column that it resembles most.
    """

    levels: FloatArray
    profile: int

    def temperature_at(self, pressure_hpa: float) -> float:
        """Return the air's temperature (K) at a pressure (hPa)."""
        at = np.log(100.0 * pressure_hpa)
        pressure, temperature = self.levels[0, ::-1], self.levels[1, ::-1]
        return float(np.interp(at, np.log(pressure), temperature))

    def water_above(self, pressure_hpa: float) -> float:
        """Return the water (kg m-2) above a pressure (hPa)."""
        return water_above(self.levels, 100.0 * pressure_hpa)

    def solve(
        self,
        pressure_hpa: FloatArray,
        water_factor: FloatArray,
        *,
        view_zenith_deg: float,
    ) -> AtmosphereBatch:
        """Solve the column above surfaces, with its water scaled.

        Parameters
        ----------
        pressure_hpa, water_factor : ndarray (n,), float64, hPa and 1
            Of each surface.
        view_zenith_deg : float

        Returns
        -------
        AtmosphereBatch
            Fields (n, 5) and (n,), float64.
        """
        columns = np.repeat(self.levels[np.newaxis], pressure_hpa.size, axis=0)
        columns[:, 2] *= water_factor[:, np.newaxis]
        solved = solve_batch(
            columns, 100.0 * pressure_hpa, slants=slants_of(view_zenith_deg), gas=gas_absorption()
        )
        return solved._replace(
            transmittance=solved.transmittance[:, 0], path_radiance=solved.path_radiance[:, 0]
        )


@functools.cache
def _profiles() -> dict[str, FloatArray]:
    resource = importlib.resources.files("aktes_xr") / "data" / "profiles.npz"
    with importlib.resources.as_file(resource) as path, np.load(path) as archive:
        arrays = {name: archive[name] for name in archive.files if name != "sources"}
    return {name: np.asarray(values, np.float64) for name, values in arrays.items()}


def water_above(levels: FloatArray, pressure_pa: float) -> float:
    """Integrate a column's water above a pressure.

    Parameters
    ----------
    levels : ndarray (4, level), float64
        As `VariedAir.levels`.
    pressure_pa : float, Pa

    Returns
    -------
    float, kg m-2
    """
    pressure = np.minimum(levels[0], pressure_pa)
    specific = levels[2] * WATER_MOLAR_MASS
    specific = specific / (DRY_AIR_MOLAR_MASS + specific)
    return float(((specific[1:] + specific[:-1]) / 2 * -np.diff(pressure)).sum() / GRAVITY)


def _log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def draw_varied_air(rng: np.random.Generator, split: Split, *, ground_hpa: float) -> VariedAir:
    """Draw a column that reaches down to a surface.

    Parameters
    ----------
    rng : numpy.random.Generator
        Advanced.
    split : {"train", "validation", "test"}
        Whose real columns are mixed.
    ground_hpa : float, hPa
        Surface pressure. Layers at the ground begin there.

    Returns
    -------
    VariedAir
    """
    arrays, numbers = _profiles(), members(split, "G")
    deep = numbers[ground_pressure()[numbers] >= min(ground_hpa, 1013.25) - 1e-6]
    first, second = rng.choice(deep if deep.size else numbers, size=2)
    # The first counts for more, so that what the column resembles is known.
    share = rng.uniform(0.0, 0.5) if rng.random() < MIXED_SHARE else 0.0
    pressure = 100.0 * arrays["pressure"]
    temperature = (1 - share) * arrays["temperature"][first] + share * arrays["temperature"][second]
    gases = np.exp((1 - share) * arrays["log_gases"][first] + share * arrays["log_gases"][second])
    height = SCALE_HEIGHT_M * np.log(100.0 * ground_hpa / pressure)
    low, high = _TROPOSPHERE_PA
    fade = np.clip((pressure - low) / (high - low), 0.0, 1.0)
    warmer = temperature + fade * _bend(rng, height)
    warmer = np.clip(warmer + _layers(rng, height), 175.0, 330.0)
    humidity = np.minimum(_vapor(pressure, gases[0]) / _saturation(temperature), 1.0)
    moister = humidity * _moisten(rng, height)
    levels = np.stack([pressure, warmer, gases[0], gases[1]])
    natural = np.exp(0.5 * rng.standard_normal())
    wanted = None
    if rng.random() < 0.75:
        wanted = (
            _log_uniform(rng, *WATER_RANGE) if rng.random() < 0.5 else rng.uniform(*WATER_RANGE)
        )
    levels[2] = _water(levels, fade, moister, 100.0 * ground_hpa, wanted=wanted, factor=natural)
    levels[3] *= float(np.clip(1.0 + OZONE_SPREAD * rng.standard_normal(), 0.6, 1.4))
    return VariedAir(levels, int(first))


def _bend(rng: np.random.Generator, height: FloatArray) -> FloatArray:
    """Shift, tilt and smoothly bend the temperature (K)."""
    above = np.clip(height, 0.0, 9000.0) / 1000.0
    out = SHIFT_K * rng.standard_normal() + LAPSE_K_PER_KM * rng.standard_normal() * above
    for _ in range(3):
        wave = 2.0 * np.pi * height / (2.0 * _log_uniform(rng, *BEND_LENGTH_M))
        out = out + BEND_K * rng.standard_normal() * np.sin(wave + rng.uniform(0.0, 2.0 * np.pi))
    return np.asarray(out)


def _layers(rng: np.random.Generator, height: FloatArray) -> FloatArray:
    """Add a layer at the ground, and an inversion aloft (K)."""
    above = np.clip(height, 0.0, None)
    out = np.zeros_like(height)
    if rng.random() < GROUND_LAYER_SHARE:
        cold = rng.random() < INVERSION_SHARE
        strength = -rng.uniform(0.0, INVERSION_K) if cold else rng.uniform(0.0, WARM_LAYER_K)
        out += strength * np.exp(-above / _log_uniform(rng, *GROUND_LAYER_M))
    if rng.random() < ALOFT_SHARE:
        middle, width = rng.uniform(*ALOFT_M), rng.uniform(80.0, 400.0)
        step = rng.uniform(*ALOFT_K) / (1.0 + np.exp(-(height - middle) / width))
        out += step * np.exp(-np.maximum(height - middle, 0.0) / 4000.0)
    return out


def _moisten(rng: np.random.Generator, height: FloatArray) -> FloatArray:
    """Factor of the relative humidity: layers that are dried or moistened."""
    out = np.ones_like(height)
    for _ in range(int(rng.integers(0, MOIST_LAYERS + 1))):
        middle, depth = rng.uniform(0.0, 8000.0), rng.uniform(250.0, 2000.0)
        factor = _log_uniform(rng, *LAYER_FACTOR)
        out *= 1.0 + (factor - 1.0) * np.exp(-(((height - middle) / depth) ** 2))
    return out


def _saturation(temperature: FloatArray) -> FloatArray:
    return np.array([saturation_vapor_pressure(value) for value in temperature])


def _vapor(pressure: FloatArray, water: FloatArray) -> FloatArray:
    return np.asarray(pressure * water / (1.0 + water))


def _water(
    levels: FloatArray,
    fade: FloatArray,
    humidity: FloatArray,
    ground_pa: float,
    *,
    wanted: float | None,
    factor: float,
) -> FloatArray:
    """Mole fractions of a humidity scaled by ``factor``, or to a wanted column (kg m-2)."""
    saturated = _saturation(levels[1])
    before = levels[2]

    def scaled(by: float) -> FloatArray:
        vapor = np.minimum(by * humidity, MOST_HUMID) * saturated
        vapor = np.minimum(vapor, 0.2 * levels[0])
        inside = np.maximum(vapor / (levels[0] - vapor), _DRIEST)
        return np.asarray(np.exp(fade * np.log(inside) + (1.0 - fade) * np.log(before)))

    def column(by: float) -> float:
        return water_above(np.stack([levels[0], levels[1], scaled(by), levels[3]]), ground_pa)

    target = wanted if wanted is not None else column(factor)
    target = min(target, MAX_PRECIPITABLE_WATER)
    low, high = 1e-3, 1e3
    for _ in range(22):
        middle = (low * high) ** 0.5
        low, high = (middle, high) if column(middle) < target else (low, middle)
    return scaled(low)
