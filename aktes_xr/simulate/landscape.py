"""The ground under one air mass at one moment: how warm it is and what leaves the atmosphere above.

Surface temperature is the near-surface air's at the pixel's elevation plus what the sun does to the
class of surface (direct light by the local incidence angle and cast shadow, diffuse light by the
sky-view factor), or at night what it loses to the part of the sky it sees. Radiance follows the
terrain's radiance equation with the adjacent terrain of `aktes_xr.simulate.adjacency`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter

from aktes_xr import sensor
from aktes_xr.cube.contract import NEIGHBOURHOOD_PIXELS
from aktes_xr.radiative.atmosphere import AtmosphereBatch, surface_pressure_from_elevation
from aktes_xr.radiative.table import SURFACE_PRESSURES_HPA, WATER_SCALES, sample_atmospheres
from aktes_xr.simulate.adjacency import adjacent_radiance
from aktes_xr.simulate.landcover import (
    CONTRAST_NIGHT,
    FREEZING_K,
    SNOW,
    SURFACE_TEMPERATURE_RANGE_K,
)
from aktes_xr.simulate.texture import fractal_noise
from aktes_xr.terrain import local_incidence

# Kelvin per 1000 W m-2 of absorbed sun, and kelvin without it, in the order of CLASS_NAMES.
HEATING: Final = np.array([9.0, 20.0, 24.0, 19.0, 1.5, 3.0, 20.0])
SHADE: Final = np.array([-2.0, -2.0, -2.0, -2.0, 0.0, -3.0, -1.0])
_DIRECT_W_M2: Final = 1000.0
_OPTICAL_DEPTH: Final = 0.15
_DIFFUSE_W_M2: Final = 120.0
_TWILIGHT_DEG: Final = 88.0
_HEATING_SCATTER: Final = 0.15
_SMOOTH_SCATTER_K: Final = 0.8
_PIXEL_SCATTER_K: Final = 0.3
_WATER_SCATTER: Final = 0.04
_AIR_MASS_M: Final = 15_000.0


@dataclass(frozen=True, eq=False)
class Ground:
    """What does not change from date to date.

    Attributes
    ----------
    elevation, slope, aspect, sky_view_factor, relief : ndarray (y, x), float32
        m, deg, deg, 1, m.
    cell_size_m : (float, float), m
        Height and width of a pixel.
    classes : ndarray (y, x), int8
    emissivity : ndarray (y, x, 5), float32
    """

    elevation: NDArray[np.float32]
    slope: NDArray[np.float32]
    aspect: NDArray[np.float32]
    sky_view_factor: NDArray[np.float32]
    relief: NDArray[np.float32]
    cell_size_m: tuple[float, float]
    classes: NDArray[np.int8]
    emissivity: NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Moment:
    """Air mass, sun and view.

    Attributes
    ----------
    profile : int
        Number of a profile of the shipped table.
    water_scale, temperature_shift_k, ozone_scale : float
        As in `aktes_xr.radiative.sample_atmospheres`.
    view_zenith, sun_zenith : float, deg
    sun_azimuth : float, deg
        Clockwise from grid north.
    shadow : ndarray (y, x), bool
        Cast shadow.
    heating : float
        How much stronger than usual sun and clear sky warm or cool the ground.
    warmth_k : float
        How much warmer than usual all ground is than the air (advection, the past days), K.
    """

    profile: int
    water_scale: float
    temperature_shift_k: float
    ozone_scale: float
    view_zenith: float
    sun_zenith: float
    sun_azimuth: float
    shadow: NDArray[np.bool_]
    heating: float = 1.0
    warmth_k: float = 0.0

    @property
    def day(self) -> bool:
        """Whether the sun is up."""
        return self.sun_zenith < _TWILIGHT_DEG


@dataclass(frozen=True, eq=False)
class Landscape:
    """One moment's truth and radiance, all float32: (y, x) or (y, x, 5)."""

    surface_temperature: NDArray[np.float32]
    toa_radiance: NDArray[np.float32]
    adjacent_radiance: NDArray[np.float32]
    solar_incidence: NDArray[np.float32]
    surface_pressure: NDArray[np.float32]
    air: AtmosphereBatch


def air_over(
    elevation: NDArray[np.float32],
    moment: Moment,
    water_factor: NDArray[np.float32] | float = 1.0,
) -> tuple[AtmosphereBatch, NDArray[np.float32]]:
    """Return the air (fields (..., 5) and (...)) and surface pressure (hPa) at elevations (m)."""
    pressure = surface_pressure_from_elevation(elevation).astype(np.float32)
    held = np.clip(pressure, SURFACE_PRESSURES_HPA[0], SURFACE_PRESSURES_HPA[-1])
    scale = np.clip(moment.water_scale * water_factor, WATER_SCALES[0], WATER_SCALES[-1])
    flat = sample_atmospheres(
        np.full(elevation.size, moment.profile),
        surface_pressure_hpa=held.ravel(),
        view_zenith_deg=moment.view_zenith,
        water_scale=np.broadcast_to(scale, elevation.shape).ravel(),
        temperature_shift_k=moment.temperature_shift_k,
        ozone_scale=moment.ozone_scale,
    )
    shape = elevation.shape
    return (
        AtmosphereBatch(
            flat.transmittance.reshape(*shape, 5),
            flat.path_radiance.reshape(*shape, 5),
            flat.sky_radiance.reshape(*shape, 5),
            flat.precipitable_water.reshape(shape),
            flat.air_temperature.reshape(shape),
        ),
        pressure,
    )


def solar_incidence(ground: Ground, moment: Moment) -> NDArray[np.float32]:
    """Cosine of the local angle of the sun; 0 in shadow, on averted slopes and by night."""
    return np.where(moment.shadow, np.float32(0.0), facing_sun(ground, moment))


def facing_sun(ground: Ground, moment: Moment) -> NDArray[np.float32]:
    """Cosine of the local angle of the sun as a retrieval knows it: without cast shadows."""
    if not moment.day:
        return np.zeros(ground.elevation.shape, dtype=np.float32)
    cosine = local_incidence(
        ground.slope, np.nan_to_num(ground.aspect), moment.sun_zenith, moment.sun_azimuth
    )
    return np.asarray(np.clip(cosine, 0.0, 1.0), dtype=np.float32)


def surface_temperature(
    ground: Ground,
    moment: Moment,
    air_temperature: NDArray[np.float32],
    incidence: NDArray[np.float32],
    rng: np.random.Generator,
) -> NDArray[np.float32]:
    """Draw the surface temperature (y, x), float32, K (see the module)."""
    shape = ground.elevation.shape
    patch = _AIR_MASS_M / 5 / float(np.mean(ground.cell_size_m))
    if moment.day:
        thinness = np.exp(-_OPTICAL_DEPTH / max(np.cos(np.deg2rad(moment.sun_zenith)), 0.1))
        light = _DIRECT_W_M2 * thinness * incidence + _DIFFUSE_W_M2 * ground.sky_view_factor
        wetness = 1.0 + _HEATING_SCATTER * fractal_noise(shape, patch, rng, octaves=3)
        contrast = SHADE[ground.classes] + HEATING[ground.classes] * light / 1000.0 * wetness
    else:
        contrast = CONTRAST_NIGHT[ground.classes, 0] * ground.sky_view_factor
    contrast = moment.heating * contrast + moment.warmth_k
    contrast = contrast + _SMOOTH_SCATTER_K * fractal_noise(shape, patch, rng, octaves=3)
    contrast += _PIXEL_SCATTER_K * rng.standard_normal(shape)
    temperature = uniform_filter(air_temperature + contrast, size=2, mode="nearest")
    snow = ground.classes == SNOW
    temperature = np.where(snow, np.minimum(temperature, FREEZING_K), temperature)
    clipped = np.clip(temperature, *SURFACE_TEMPERATURE_RANGE_K)
    return np.asarray(clipped, dtype=np.float32)


def illuminate(
    ground: Ground,
    moment: Moment,
    rng: np.random.Generator,
    *,
    chosen: NDArray[np.bool_] | None = None,
) -> Landscape:
    """Simulate one moment over the ground.

    Parameters
    ----------
    ground : Ground
    moment : Moment
    rng : numpy.random.Generator
        Advanced.
    chosen : ndarray (y, x), bool, optional
        Where the adjacent terrain is to be walked; elsewhere its radiance is approximate.

    Returns
    -------
    Landscape
        Radiance before noise and quantisation.
    """
    shape = ground.elevation.shape
    reach = _AIR_MASS_M / float(np.mean(ground.cell_size_m))
    moist = 1.0 + _WATER_SCATTER * fractal_noise(shape, reach, rng, octaves=2)
    air, pressure = air_over(ground.elevation, moment, moist.astype(np.float32))
    incidence = solar_incidence(ground, moment)
    temperature = surface_temperature(ground, moment, air.air_temperature, incidence, rng)
    emitted = ground.emissivity * sensor.brightness_temperature_to_radiance(
        np.broadcast_to(temperature[..., np.newaxis], (*shape, 5))
    )
    reflectivity = 1 - ground.emissivity
    around = adjacent_radiance(
        emitted + reflectivity * air.sky_radiance,
        ground.elevation,
        ground.slope,
        ground.aspect,
        cell_size_m=ground.cell_size_m,
        chosen=chosen,
    )
    view = ground.sky_view_factor[..., np.newaxis]
    leaving = emitted + reflectivity * (view * air.sky_radiance + (1 - view) * around)
    return Landscape(
        surface_temperature=temperature,
        toa_radiance=air.transmittance * leaving + air.path_radiance,
        adjacent_radiance=around,
        solar_incidence=incidence,
        surface_pressure=pressure,
        air=air,
    )


def neighbourhood_radiance(radiance: NDArray[np.float32]) -> NDArray[np.float32]:
    """Mean radiance (y, x, 5) of the square around each pixel, `NEIGHBOURHOOD_PIXELS` wide."""
    size = (NEIGHBOURHOOD_PIXELS, NEIGHBOURHOOD_PIXELS, 1)
    return np.asarray(uniform_filter(radiance, size=size, mode="nearest"))
