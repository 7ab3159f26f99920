"""The ground under one air mass at one moment: how warm it is and what leaves the atmosphere above.

Surface temperature is the near-surface air's at the pixel's elevation plus what the sun does to the
class of surface (direct light by the local incidence angle and cast shadow, diffuse light by the
sky-view factor), or at night what it loses to the part of the sky it sees. Radiance follows the
terrain's radiance equation with the adjacent terrain of `aktes_xr.simulate.adjacency`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import PchipInterpolator
from scipy.ndimage import uniform_filter

from aktes_xr import sensor
from aktes_xr.compilation import kernel
from aktes_xr.cube.contract import NEIGHBOURHOOD_PIXELS
from aktes_xr.radiative.atmosphere import AtmosphereBatch, surface_pressure_from_elevation
from aktes_xr.radiative.table import SURFACE_PRESSURES_HPA, WATER_SCALES, sample_atmospheres
from aktes_xr.simulate.adjacency import adjacent_radiance
from aktes_xr.simulate.cover import Cover, kind_temperature
from aktes_xr.simulate.landcover import (
    CONTRAST_NIGHT,
    FREEZING_K,
    HEATING,
    SHADE,
    SNOW,
    SURFACE_TEMPERATURE_RANGE_K,
    TWILIGHT_DEG,
    sunlight,
)
from aktes_xr.simulate.texture import fractal_noise
from aktes_xr.simulate.varied_air import VariedAir
from aktes_xr.terrain import local_incidence

_HEATING_SCATTER: Final = 0.15
_SMOOTH_SCATTER_K: Final = 0.8
_PIXEL_SCATTER_K: Final = 0.3
_WATER_SCATTER: Final = 0.04
_AIR_MASS_M: Final = 15_000.0
# Where an air mass is solved exactly; between them it is linear to a thousandth of a kelvin or so.
_HEIGHTS: Final = 33
_MOISTURES: Final = 5
# Where a column of its own is solved: about every 150 m, 9 at most.
_NODE_SPACING: Final = 0.02
_MOST_NODES: Final = 9


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
    cover : Cover, optional
        What its kinds of surface are like; None: as their classes usually are.
    """

    elevation: NDArray[np.float32]
    slope: NDArray[np.float32]
    aspect: NDArray[np.float32]
    sky_view_factor: NDArray[np.float32]
    relief: NDArray[np.float32]
    cell_size_m: tuple[float, float]
    classes: NDArray[np.int8]
    emissivity: NDArray[np.float32]
    cover: Cover | None = None


@dataclass(frozen=True, eq=False)
class Moment:
    """Air mass, sun and view.

    Attributes
    ----------
    profile : int
        Number of a profile of the shipped table.
    water_scale, temperature_shift_k, ozone_scale : float
        As in `aktes_xr.radiative.sample_atmospheres`.
    column : VariedAir, optional
        The air itself, in place of a perturbed profile of the table.
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
    view_zenith: float
    sun_zenith: float
    sun_azimuth: float
    shadow: NDArray[np.bool_]
    water_scale: float = 1.0
    temperature_shift_k: float = 0.0
    ozone_scale: float = 1.0
    column: VariedAir | None = None
    heating: float = 1.0
    warmth_k: float = 0.0

    @property
    def day(self) -> bool:
        """Whether the sun is up."""
        return self.sun_zenith < TWILIGHT_DEG


@dataclass(frozen=True, eq=False)
class Landscape:
    """One moment's truth and radiance, all float32: (y, x) or (y, x, 5)."""

    surface_temperature: NDArray[np.float32]
    toa_radiance: NDArray[np.float32]
    adjacent_radiance: NDArray[np.float32]
    solar_incidence: NDArray[np.float32]
    surface_pressure: NDArray[np.float32]
    air: AtmosphereBatch


@kernel()
def _between(
    table, height, first_height, height_step, moisture, first_moisture, moisture_step, out
):
    """Interpolate ``table`` (height, moisture, number) linearly at each pixel."""
    heights, moistures, numbers = table.shape
    for pixel in range(height.size):
        u = (height[pixel] - first_height) / height_step
        v = (moisture[pixel] - first_moisture) / moisture_step
        i = min(max(int(u), 0), heights - 2)
        j = min(max(int(v), 0), moistures - 2)
        fu, fv = np.float32(u - i), np.float32(v - j)
        for number in range(numbers):
            low = table[i, j, number] + fv * (table[i, j + 1, number] - table[i, j, number])
            high = table[i + 1, j, number] + fv * (
                table[i + 1, j + 1, number] - table[i + 1, j, number]
            )
            out[pixel, number] = low + fu * (high - low)


def air_over(
    elevation: NDArray[np.float32],
    moment: Moment,
    water_factor: NDArray[np.float32] | float = 1.0,
) -> tuple[AtmosphereBatch, NDArray[np.float32]]:
    """Return the air over ground of given elevations.

    One air mass over many pixels differs by height and moisture alone. It is solved at some heights
    and moistures and interpolated in between.

    Parameters
    ----------
    elevation : ndarray (...), float32, m
        Of the ground.
    moment : Moment
        The air mass and the view.
    water_factor : ndarray (...), float32, or float, 1
        Factor of the water vapour.

    Returns
    -------
    air : AtmosphereBatch
        Fields (..., 5) and (...).
    pressure : ndarray (...), float32, hPa
        At the surface.
    """
    pressure = surface_pressure_from_elevation(elevation).astype(np.float32)
    factor = np.broadcast_to(np.asarray(water_factor, np.float32), elevation.shape)
    if elevation.size <= _HEIGHTS * _MOISTURES:
        solved = _air_at(pressure.ravel(), factor.ravel(), moment)
    else:
        low, high = float(elevation.min()), float(elevation.max()) + 1.0
        dry, wet = float(factor.min()), float(factor.max()) + 1e-3
        heights = np.linspace(low, high, _HEIGHTS)
        moistures = np.linspace(dry, wet, _MOISTURES)
        at = np.repeat(surface_pressure_from_elevation(heights), _MOISTURES)
        table = _air_at(at, np.tile(moistures, _HEIGHTS), moment)
        solved = np.empty((elevation.size, table.shape[1]), np.float32)
        _between(
            table.reshape(_HEIGHTS, _MOISTURES, -1),
            np.ascontiguousarray(elevation).ravel(),
            low,
            heights[1] - heights[0],
            np.ascontiguousarray(factor).ravel(),
            dry,
            moistures[1] - moistures[0],
            solved,
        )
    shape = elevation.shape
    parts = [
        np.ascontiguousarray(solved[:, first : first + 5]).reshape(*shape, 5)
        for first in (0, 5, 10)
    ]
    parts += [np.ascontiguousarray(solved[:, number]).reshape(shape) for number in (15, 16)]
    return AtmosphereBatch(*parts), pressure


def _air_at(
    pressure_hpa: NDArray[Any], water_factor: NDArray[Any], moment: Moment
) -> NDArray[np.float32]:
    """Solve an air mass at pressures (n,), with its water scaled; return its 17 numbers (n, 17)."""
    if moment.column is not None:
        return _column_at(
            moment.column,
            np.asarray(pressure_hpa, np.float64),
            np.asarray(water_factor, np.float64),
            view_zenith_deg=moment.view_zenith,
        )
    scale = np.clip(moment.water_scale * water_factor, WATER_SCALES[0], WATER_SCALES[-1])
    found = sample_atmospheres(
        np.full(pressure_hpa.size, moment.profile),
        surface_pressure_hpa=np.clip(
            pressure_hpa, SURFACE_PRESSURES_HPA[0], SURFACE_PRESSURES_HPA[-1]
        ),
        view_zenith_deg=moment.view_zenith,
        water_scale=scale,
        temperature_shift_k=moment.temperature_shift_k,
        ozone_scale=moment.ozone_scale,
    )
    return np.column_stack(found).astype(np.float32)


def _column_at(
    column: VariedAir,
    pressure_hpa: NDArray[np.float64],
    water_factor: NDArray[np.float64],
    *,
    view_zenith_deg: float,
) -> NDArray[np.float32]:
    """Do so for a column of its own, which is solved at few pressures and two moistures.

    In between optical depth, path radiance per absorbed share and the logarithm of water are
    smooth: cubic in the logarithm of pressure, linear in the water's factor.
    """
    log_pressure = np.log(pressure_hpa)
    low, high = float(log_pressure.min()), float(log_pressure.max())
    count = int(np.clip(np.ceil((high - low) / _NODE_SPACING) + 1, 3, _MOST_NODES))
    nodes = np.linspace(low, max(high, low + 1e-3), count)
    factors = np.array([float(water_factor.min()), float(water_factor.max()) + 1e-3])
    solved = column.solve(
        np.tile(np.exp(nodes), 2),
        np.repeat(factors, count),
        view_zenith_deg=view_zenith_deg,
    )
    passed = solved.transmittance
    smooth = np.column_stack(
        [
            np.log(passed),
            solved.path_radiance / (1.0 - passed),
            solved.sky_radiance,
            np.log(solved.precipitable_water),
            solved.air_temperature,
        ]
    ).reshape(2, count, -1)
    dry, wet = (PchipInterpolator(nodes, smooth[k], axis=0)(log_pressure) for k in (0, 1))
    share = ((water_factor - factors[0]) / (factors[1] - factors[0]))[:, np.newaxis]
    out = (1.0 - share) * dry + share * wet
    out[:, :5] = np.exp(out[:, :5])
    out[:, 5:10] *= 1.0 - out[:, :5]
    out[:, 15] = np.exp(out[:, 15])
    return np.asarray(out, np.float32)


def solar_incidence(ground: Ground, moment: Moment) -> NDArray[np.float32]:
    """Cosine of the local solar incidence, with cast shadows.

    Parameters
    ----------
    ground : Ground
        Slope and aspect.
    moment : Moment
        Position of the sun and cast shadows.

    Returns
    -------
    ndarray (y, x), float32, 1
        0 in shadow, on slopes that face away from the sun, and by night.
    """
    return np.where(moment.shadow, np.float32(0.0), facing_sun(ground, moment))


def facing_sun(ground: Ground, moment: Moment) -> NDArray[np.float32]:
    """Cosine of the local solar incidence as a retrieval knows it: without cast shadows.

    Parameters
    ----------
    ground : Ground
        Slope and aspect.
    moment : Moment
        Position of the sun.

    Returns
    -------
    ndarray (y, x), float32, 1
        0 on slopes that face away from the sun, and by night.
    """
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
    """Draw the surface temperature; see the module.

    Parameters
    ----------
    ground : Ground
        Cover or classes, and the sky-view factor.
    moment : Moment
        Position of the sun, and what warmed the ground before.
    air_temperature : ndarray (y, x), float32, K
        At the surface.
    incidence : ndarray (y, x), float32, 1
        Of `solar_incidence`.
    rng : numpy.random.Generator
        Source of the numbers.

    Returns
    -------
    ndarray (y, x), float32, K
    """
    if ground.cover is not None:
        light = None
        if moment.day:
            light = sunlight(moment.sun_zenith, incidence, ground.sky_view_factor)
        return kind_temperature(
            ground.cover,
            air_temperature,
            light_w_m2=light,
            sky_view_factor=ground.sky_view_factor,
            heating=moment.heating,
            warmth_k=moment.warmth_k,
        )
    shape = ground.elevation.shape
    patch = _AIR_MASS_M / 5 / float(np.mean(ground.cell_size_m))
    if moment.day:
        light = sunlight(moment.sun_zenith, incidence, ground.sky_view_factor)
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
    """Average the radiance over the square around each pixel.

    Parameters
    ----------
    radiance : ndarray (y, x, 5), float32, W m-2 sr-1 um-1
        Of the pixels.

    Returns
    -------
    ndarray (y, x, 5), float32, W m-2 sr-1 um-1
        Means over squares `NEIGHBOURHOOD_PIXELS` wide.
    """
    size = (NEIGHBOURHOOD_PIXELS, NEIGHBOURHOOD_PIXELS, 1)
    return np.asarray(uniform_filter(radiance, size=size, mode="nearest"))
