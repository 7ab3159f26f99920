"""Clear-sky columns to train on: real profiles with perturbed water, temperature and ozone.

A profile of the shipped table is drawn, its water and ozone scaled, its troposphere shifted in
temperature, and the column is cut at a surface drawn between sea level and high mountains, never
below the profile's own ground. Every sample has a column of its own. Protocol P scales the water
alone.
"""

from __future__ import annotations

import functools
from typing import Any, Final, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from aktes_xr.radiative.atmosphere import AtmosphereBatch, surface_pressure_from_elevation
from aktes_xr.radiative.table import (
    SURFACE_PRESSURES_HPA,
    WATER_SCALES,
    profiles_of,
    sample_atmospheres,
    shipped_atmospheres,
)
from aktes_xr.simulate.emissivity import Split

Protocol = Literal["G", "P"]

TEMPERATURE_SHIFT_K: Final = 2.5
"""Standard deviation; held within the table's 6 K."""
OZONE_SCALE: Final = 0.1
"""Standard deviation; held within 0.6 to 1.4."""
_CANDIDATES: Final = 24
MEAN_ELEVATION_M: Final = 700.0
MAX_ELEVATION_M: Final = 5200.0
WEATHER_HPA: Final = 8.0
MAX_PRECIPITABLE_WATER: Final = 75.0
"""kg m-2: hardly ever exceeded over land."""


class Columns(NamedTuple):
    """Solved columns, one per sample: (n, 5) and (n,), float32 but ``profile`` (int32)."""

    transmittance: NDArray[np.float32]
    path_radiance: NDArray[np.float32]
    sky_radiance: NDArray[np.float32]
    precipitable_water: NDArray[np.float32]
    air_temperature: NDArray[np.float32]
    surface_pressure: NDArray[np.float32]
    view_zenith: NDArray[np.float32]
    profile: NDArray[np.int32]

    def take(self, index: NDArray[np.intp]) -> Columns:
        """Return some of the columns.

        Parameters
        ----------
        index : ndarray (n,), int
            Numbers of the columns.

        Returns
        -------
        Columns
            ``n`` columns in that order.
        """
        return Columns._make([values[index] for values in self])

    def air(self, number: int) -> AtmosphereBatch:
        """Return what one of the columns does to radiance.

        Parameters
        ----------
        number : int

        Returns
        -------
        AtmosphereBatch
            (5,) and ().
        """
        return AtmosphereBatch(
            self.transmittance[number],
            self.path_radiance[number],
            self.sky_radiance[number],
            self.precipitable_water[number],
            self.air_temperature[number],
        )


@functools.cache
def ground_pressure() -> NDArray[np.float64]:
    """Return the greatest pressure (hPa) each profile of the table is solved for."""
    solved = np.isfinite(shipped_atmospheres()["air_temperature"][:, :, 0, 0])
    return np.asarray((solved * np.array(SURFACE_PRESSURES_HPA)).max(axis=1))


def members(split: Split, protocol: Protocol) -> NDArray[np.intp]:
    """Return the numbers of the profiles a split may draw from.

    Parameters
    ----------
    split : {"train", "validation", "test"}
    protocol : {"G", "P"}
        ``P``: the six model atmospheres, whatever the split.
    """
    if protocol == "P":
        return np.flatnonzero(shipped_atmospheres()["profile_source"] == "afgl6")
    return profiles_of(split)


WATER_STEP: Final = 10.0
"""kg m-2: width of the classes that `evened` balances."""


def evened(profiles: NDArray[np.intp]) -> NDArray[np.float64]:
    """Return draw probabilities under which wet profiles come nearer to being as common as dry.

    Of the profiles at hand most are dry, and what a network sees seldom it learns late: a profile
    counts inversely to the square root of how many share its class of water column.

    Parameters
    ----------
    profiles : ndarray (n,), int
        Numbers in the shipped table.

    Returns
    -------
    ndarray (n,), float64
        Sum one.
    """
    water = np.nanmax(shipped_atmospheres()["precipitable_water"][profiles, :, 1, 1], axis=1)
    _, own, counts = np.unique(water // WATER_STEP, return_inverse=True, return_counts=True)
    weight = 1.0 / np.sqrt(counts[own])
    return np.asarray(weight / weight.sum())


@functools.cache
def _evened(split: Split, protocol: Protocol) -> NDArray[np.float64]:
    return evened(members(split, protocol))


def draw_surface_pressure(
    rng: np.random.Generator, deepest_hpa: NDArray[np.float64], *, high_share: float = 0.0
) -> NDArray[np.float64]:
    """Draw surface pressures.

    Elevations are exponentially distributed. A share of them is drawn uniformly instead, so that
    plateaus are as frequent as plains. Weather is added, and no pressure exceeds that of the
    profile's own ground.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of the numbers.
    deepest_hpa : ndarray (n,), float64, hPa
        Pressure at the profile's own ground.
    high_share : float, 1
        Share of the elevations that are drawn uniformly.

    Returns
    -------
    ndarray (n,), float64, hPa
    """
    elevation = rng.exponential(MEAN_ELEVATION_M, size=deepest_hpa.size)
    elevation = np.where(elevation > MAX_ELEVATION_M, elevation % MAX_ELEVATION_M, elevation)
    if high_share > 0.0:
        high = rng.random(deepest_hpa.size) < high_share
        elevation = np.where(high, rng.uniform(0.0, MAX_ELEVATION_M, high.size), elevation)
    weather = WEATHER_HPA * rng.standard_normal(deepest_hpa.size)
    pressure = surface_pressure_from_elevation(elevation) + weather
    return np.asarray(np.clip(pressure, SURFACE_PRESSURES_HPA[0], deepest_hpa))


def draw_columns(
    rng: np.random.Generator,
    size: int,
    *,
    split: Split = "train",
    protocol: Protocol = "G",
    view_zenith_max_deg: float = 15.0,
    even_water: bool = False,
    high_share: float = 0.0,
) -> Columns:
    """Draw and solve ``size`` columns.

    Parameters
    ----------
    rng : numpy.random.Generator
        Advanced.
    size : int
    split, protocol
        See `members`.
    view_zenith_max_deg : float, deg
        View angles are uniform up to it.
    even_water : bool
        Draw the profiles by `evened` instead of all alike.
    high_share : float, 1
        See `draw_surface_pressure`.

    Returns
    -------
    Columns
    """
    profiles = members(split, protocol)
    profile = rng.choice(profiles, size=size, p=_evened(split, protocol) if even_water else None)
    pressure = draw_surface_pressure(rng, ground_pressure()[profile], high_share=high_share)
    view_zenith = rng.uniform(0.0, view_zenith_max_deg, size=size)
    low, high = np.log(WATER_SCALES[0]), np.log(WATER_SCALES[-1])
    varied = 0.0 if protocol == "P" else 1.0
    shift_k = varied * TEMPERATURE_SHIFT_K * rng.standard_normal(size)
    ozone = 1.0 + varied * OZONE_SCALE * rng.standard_normal(size)
    solved = sample_atmospheres(
        profile,
        surface_pressure_hpa=pressure,
        view_zenith_deg=view_zenith,
        water_scale=np.clip(
            np.exp(rng.uniform(low, high, size=size)), WATER_SCALES[0], WATER_SCALES[-1]
        ),
        temperature_shift_k=np.clip(shift_k, -6.0, 6.0),
        ozone_scale=np.clip(ozone, 0.6, 1.4),
    )
    columns = Columns(
        solved.transmittance,
        solved.path_radiance,
        solved.sky_radiance,
        solved.precipitable_water,
        solved.air_temperature,
        pressure.astype(np.float32),
        view_zenith.astype(np.float32),
        profile.astype(np.int32),
    )
    return columns.take(_believable(rng, columns))


def _believable(rng: np.random.Generator, columns: Columns) -> NDArray[np.intp]:
    """Replace columns of more water than is seen by others of the draw."""
    index = np.arange(columns.profile.size)
    wet = columns.precipitable_water > MAX_PRECIPITABLE_WATER
    if wet.any() and not wet.all():
        index[wet] = rng.choice(index[~wet], size=int(wet.sum()))
    return index


def colder_than(
    rng: np.random.Generator, columns: Columns, chosen: NDArray[Any], limit_k: float
) -> NDArray[np.intp]:
    """Give some samples columns that are cold, where there are any.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of the numbers.
    columns : Columns
        The columns, one per sample.
    chosen : ndarray (n,), bool
        Samples that need a cold column.
    limit_k : float, K
        Air temperature that a cold column stays below.

    Returns
    -------
    ndarray (n,), int
        Number of the column for each sample.
    """
    index = np.arange(columns.profile.size)
    cold = np.flatnonzero(columns.air_temperature < limit_k)
    if cold.size:
        index[chosen] = rng.choice(cold, size=int(np.count_nonzero(chosen)))
    return index


def draw_air_mass(
    rng: np.random.Generator,
    profiles: NDArray[np.intp],
    *,
    lowest_m: float,
    middle_m: float,
    water_vapor_range: tuple[float, float] = (0.0, np.inf),
    air_temperature_range_k: tuple[float, float] = (0.0, np.inf),
) -> dict[str, Any]:
    """Draw an air mass that reaches down to the lowest ground and suits a place.

    Parameters
    ----------
    rng : numpy.random.Generator
        Advanced.
    profiles : ndarray (n,), int
        Numbers in the shipped table.
    lowest_m, middle_m : float, m
        Heights of the lowest ground and of the region.
    water_vapor_range : (float, float), kg m-2
        Of the column over the region; what comes nearest is taken.
    air_temperature_range_k : (float, float), K
        There.

    Returns
    -------
    dict
        ``profile``, ``water_scale``, ``temperature_shift_k`` and ``ozone_scale``.
    """
    needed = min(float(surface_pressure_from_elevation(lowest_m)), 1013.25)
    deep = profiles[ground_pressure()[profiles] >= needed - 1e-6]
    low, high = np.log(WATER_SCALES[0]), np.log(WATER_SCALES[-1])
    profile = rng.choice(deep if deep.size else profiles, size=_CANDIDATES)
    scale = np.exp(rng.uniform(low, high, size=_CANDIDATES))
    shift = np.clip(TEMPERATURE_SHIFT_K * rng.standard_normal(_CANDIDATES), -6.0, 6.0)
    chosen = 0
    bounds = (*water_vapor_range, *air_temperature_range_k)
    if max(bounds[::2]) > 0.0 or np.isfinite(bounds[1::2]).any():
        air = sample_atmospheres(
            profile,
            surface_pressure_hpa=float(
                np.clip(surface_pressure_from_elevation(middle_m), 500.0, 1013.25)
            ),
            water_scale=scale,
            temperature_shift_k=shift,
        )
        far = np.zeros(_CANDIDATES)
        for value, least, most in (
            (air.precipitable_water, *bounds[:2]),
            (air.air_temperature, *bounds[2:]),
        ):
            far += np.maximum(least - value, 0.0) + np.maximum(value - most, 0.0)
        chosen = int(np.argmin(far))
    return {
        "profile": int(profile[chosen]),
        "water_scale": float(scale[chosen]),
        "temperature_shift_k": float(shift[chosen]),
        "ozone_scale": float(np.clip(1 + OZONE_SCALE * rng.standard_normal(), 0.6, 1.4)),
    }
