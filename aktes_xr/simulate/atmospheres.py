"""Clear-sky columns to train on: real profiles with perturbed water, temperature and ozone.

A profile is drawn, its water column scaled (relative humidity stays physical: the solver condenses
what exceeds saturation), its temperature shifted as a whole and tilted between surface and
tropopause, its ozone scaled, and the column is cut at a surface drawn between sea level and high
mountains. Each is solved at nadir and at 15 degrees; between, ``ln t`` and ``Lp`` are linear in
the secant of the view angle to better than the instrument's noise.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from aktes_xr.radiative.atmosphere import simulate_atmospheres, surface_pressure_from_elevation
from aktes_xr.radiative.profile_sets import ProfileSet, load_profiles
from aktes_xr.radiative.profiles import condense
from aktes_xr.radiative.transfer import DRY_AIR_MOLAR_MASS, GRAVITY, WATER_MOLAR_MASS
from aktes_xr.simulate.emissivity import Split

Protocol = Literal["G", "P"]
VIEW_ANGLES_DEG: Final = (0.0, 15.0)
_SLANT_RANGE: Final = 1.0 / np.cos(np.deg2rad(VIEW_ANGLES_DEG[1])) - 1.0

WATER_SCALE: Final = (0.6, 1.5)
"""Limits of the factor on water under protocol G, uniform in its logarithm."""
WATER_SCALE_P: Final = (0.2, 1.6)
MAX_PRECIPITABLE_WATER: Final = 75.0
"""kg m-2: hardly ever exceeded over land."""
TEMPERATURE_SHIFT_K: Final = 3.0
TEMPERATURE_TILT_K: Final = 2.0
"""Standard deviations of the whole column's shift, and of what the surface gets more of."""
OZONE_SCALE: Final = 0.1
_TILT_TOP_HPA: Final = 250.0
MEAN_ELEVATION_M: Final = 700.0
MAX_ELEVATION_M: Final = 5200.0


@dataclass(frozen=True, eq=False)
class Atmospheres:
    """Solved columns.

    Attributes
    ----------
    transmittance : ndarray (n, view, 5), float32, 1
    path_radiance : ndarray (n, view, 5), float32, W m-2 sr-1 um-1
    sky_radiance : ndarray (n, 5), float32, W m-2 sr-1 um-1
    precipitable_water : ndarray (n,), float32, kg m-2
    air_temperature : ndarray (n,), float32, K
    surface_pressure : ndarray (n,), float32, hPa
    profile : ndarray (n,), int32
        Number of the shipped profile each was made from.
    """

    transmittance: NDArray[np.float32]
    path_radiance: NDArray[np.float32]
    sky_radiance: NDArray[np.float32]
    precipitable_water: NDArray[np.float32]
    air_temperature: NDArray[np.float32]
    surface_pressure: NDArray[np.float32]
    profile: NDArray[np.int32]

    @property
    def size(self) -> int:
        """Number of columns."""
        return int(self.surface_pressure.size)

    def at(
        self, index: NDArray[np.intp], view_zenith_deg: NDArray[Any]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
        """Return t, Lp and Ls, each (m, 5), of columns ``index`` at view angles (m,)."""
        share = (1.0 / np.cos(np.deg2rad(view_zenith_deg)) - 1.0) / _SLANT_RANGE
        share = share.astype(np.float32)[:, np.newaxis]
        depth = np.log(self.transmittance)
        t = np.exp(depth[index, 0] + share * (depth[index, 1] - depth[index, 0]))
        low, high = self.path_radiance[index, 0], self.path_radiance[index, 1]
        return t, low + share * (high - low), self.sky_radiance[index]


@dataclass(frozen=True, eq=False)
class Profiles:
    """Perturbed profiles, all (n, level) but ``number`` (n,); hPa, K, mol per mol of dry air."""

    pressure_hpa: NDArray[np.float64]
    temperature_k: NDArray[np.float64]
    h2o_vmr: NDArray[np.float64]
    o3_vmr: NDArray[np.float64]
    number: NDArray[np.int32]


def members(profiles: ProfileSet, split: Split, protocol: Protocol) -> NDArray[np.intp]:
    """Return the numbers of the profiles a split may draw from."""
    standard = np.array(["afgl" in source.lower() for source in profiles.source])
    if protocol == "P":
        return np.flatnonzero(standard)
    return np.flatnonzero((np.asarray(profiles.split) == split) & ~standard)


def perturb_profiles(
    rng: np.random.Generator, n: int, *, split: Split = "train", protocol: Protocol = "G"
) -> Profiles:
    """Draw profiles and perturb them.

    Parameters
    ----------
    rng : numpy.random.Generator
        Advanced.
    n : int
        Number of columns.
    split : {"train", "validation", "test"}
        Which shipped profiles.
    protocol : {"G", "P"}
        All real profiles of the split, or the six model atmospheres.

    Returns
    -------
    Profiles
    """
    shipped = load_profiles()
    chosen = members(shipped, split, protocol)
    # Every profile serves equally often; the rest is drawn.
    number = np.concatenate(
        [np.tile(chosen, n // chosen.size), rng.choice(chosen, n % chosen.size, replace=False)]
    )
    rng.shuffle(number)
    pressure = shipped.pressure_hpa[number].astype(np.float64)
    low, high = np.log(WATER_SCALE if protocol == "G" else WATER_SCALE_P)
    scale = np.exp(rng.uniform(low, high, size=(n, 1)))
    shift = TEMPERATURE_SHIFT_K * rng.standard_normal((n, 1))
    tilt = TEMPERATURE_TILT_K * rng.standard_normal((n, 1))
    height = np.clip(
        (pressure - _TILT_TOP_HPA) / (pressure.max(axis=1, keepdims=True) - _TILT_TOP_HPA), 0, 1
    )
    temperature = shipped.temperature_k[number] + shift + tilt * height
    water = shipped.h2o_vmr[number] * scale
    water *= np.minimum(1.0, MAX_PRECIPITABLE_WATER / water_column(pressure, water))[:, np.newaxis]
    for row in range(n):
        water[row] = condense(100.0 * pressure[row], temperature[row], water[row])
    ozone = shipped.o3_vmr[number] * np.exp(OZONE_SCALE * rng.standard_normal((n, 1)))
    return Profiles(pressure, temperature, water, ozone, number.astype(np.int32))


def water_column(
    pressure_hpa: NDArray[np.float64], h2o_vmr: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Integrate profiles (n, level) of water to columns (n,), kg m-2."""
    mass_ratio = h2o_vmr * WATER_MOLAR_MASS / DRY_AIR_MOLAR_MASS
    specific = mass_ratio / (1.0 + mass_ratio)
    return np.asarray(np.abs(np.trapezoid(specific, 100.0 * pressure_hpa, axis=1)) / GRAVITY)


def draw_surface_pressure(
    rng: np.random.Generator, deepest_hpa: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Draw surface pressures (hPa): exponential elevations over each profile's own surface."""
    elevation = rng.exponential(MEAN_ELEVATION_M, size=deepest_hpa.size)
    elevation = np.where(elevation > MAX_ELEVATION_M, elevation % MAX_ELEVATION_M, elevation)
    weather = 8.0 * rng.standard_normal(deepest_hpa.size)
    pressure = surface_pressure_from_elevation(elevation) + weather
    return np.asarray(np.clip(pressure, 400.0, deepest_hpa), dtype=np.float64)


def draw_atmospheres(
    rng: np.random.Generator, n: int, *, split: Split = "train", protocol: Protocol = "G"
) -> Atmospheres:
    """Draw and solve ``n`` columns; the arguments are those of `perturb_profiles`."""
    drawn = perturb_profiles(rng, n, split=split, protocol=protocol)
    surface = draw_surface_pressure(rng, drawn.pressure_hpa.max(axis=1))
    return solve_profiles(drawn, surface)


def solve_profiles(drawn: Profiles, surface_pressure_hpa: NDArray[np.float64]) -> Atmospheres:
    """Solve perturbed profiles down to surface pressures (n,), hPa."""
    batch = simulate_atmospheres(
        drawn.pressure_hpa,
        drawn.temperature_k,
        drawn.h2o_vmr,
        drawn.o3_vmr,
        surface_pressure_hpa=surface_pressure_hpa,
        view_zenith_deg=VIEW_ANGLES_DEG,
    )
    return Atmospheres(
        batch.transmittance.astype(np.float32),
        batch.path_radiance.astype(np.float32),
        batch.sky_radiance.astype(np.float32),
        batch.precipitable_water.astype(np.float32),
        batch.air_temperature.astype(np.float32),
        surface_pressure_hpa.astype(np.float32),
        drawn.number,
    )
