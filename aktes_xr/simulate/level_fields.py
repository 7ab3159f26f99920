"""Fields on flat ground: one air mass, one pressure, any structure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from aktes_xr import sensor
from aktes_xr.radiative.atmosphere import AtmosphereBatch
from aktes_xr.simulate.atmospheres import (
    Columns,
    draw_columns,
    draw_surface_pressure,
)
from aktes_xr.simulate.cover import Cover, draw_cover, kind_temperature
from aktes_xr.simulate.fields import Field, FieldRecipe
from aktes_xr.simulate.landcover import SNOW_AIR_LIMIT_K, sunlight
from aktes_xr.simulate.measuring import kelvin_by_dn, leave_gaps, measure, tell
from aktes_xr.simulate.structures import Site, draw_layout
from aktes_xr.simulate.varied_air import draw_varied_air

if TYPE_CHECKING:
    from numpy.typing import NDArray

SUN_ZENITH_DEG: Final = (15.0, 75.0)
NIGHT_ZENITH_DEG: Final = 120.0
HEATING_SCATTER: Final = 0.35
WARMTH_K: Final = 3.5
HIGH_SHARE: Final = 0.15
SEA_LEVEL_SPREAD_HPA: Final = 9.0
_CANDIDATES: Final = 12


def draw_air(rng: np.random.Generator, recipe: FieldRecipe, structure: str) -> Columns:
    """Draw one column of air.

    It is cold where there is snow. Over the sea it reaches down to sea level.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of the numbers.
    recipe : FieldRecipe
        Split, protocol and range of view angles.
    structure : str
        Structure of the field.

    Returns
    -------
    Columns
        One column.
    """
    if recipe.varies(rng):
        return _varied(rng, recipe, structure)
    columns = draw_columns(
        rng,
        _CANDIDATES,
        split=recipe.split,
        protocol=recipe.protocol,
        view_zenith_max_deg=recipe.view_zenith_max_deg,
        even_water=recipe.even_water,
        high_share=HIGH_SHARE,
    )
    chosen = 0
    if structure == "snow":
        chosen = int(np.argmax(columns.air_temperature < SNOW_AIR_LIMIT_K))
        if columns.air_temperature[chosen] >= SNOW_AIR_LIMIT_K:
            chosen = int(np.argmin(columns.air_temperature))
    elif structure == "sea":
        chosen = int(np.argmax(columns.surface_pressure))
    return columns.take(np.array([chosen]))


def _varied(rng: np.random.Generator, recipe: FieldRecipe, structure: str) -> Columns:
    """Draw a column of its own, the coldest of some under snow."""
    deepest = np.array([1013.25 + SEA_LEVEL_SPREAD_HPA * rng.standard_normal()])
    pressure = deepest
    if structure != "sea":
        pressure = draw_surface_pressure(rng, deepest, high_share=HIGH_SHARE)
    ground = float(pressure[0])
    air = draw_varied_air(rng, recipe.split, ground_hpa=ground)
    for _ in range(_CANDIDATES - 1 if structure == "snow" else 0):
        if air.temperature_at(ground) < SNOW_AIR_LIMIT_K:
            break
        other = draw_varied_air(rng, recipe.split, ground_hpa=ground)
        if other.temperature_at(ground) < air.temperature_at(ground):
            air = other
    view = float(rng.uniform(0.0, recipe.view_zenith_max_deg))
    solved = air.solve(pressure, np.ones(1), view_zenith_deg=view)
    return Columns(
        solved.transmittance.astype(np.float32),
        solved.path_radiance.astype(np.float32),
        solved.sky_radiance.astype(np.float32),
        solved.precipitable_water.astype(np.float32),
        solved.air_temperature.astype(np.float32),
        pressure.astype(np.float32),
        np.array([view], np.float32),
        np.array([air.profile], np.int32),
    )


def level_temperature(
    rng: np.random.Generator,
    cover: Cover,
    air: AtmosphereBatch,
    sun_zenith_deg: float | None,
) -> NDArray[np.float32]:
    """Draw how warm level ground is at one moment.

    Parameters
    ----------
    rng : numpy.random.Generator
        Advanced.
    cover : Cover
    air : AtmosphereBatch
        One column.
    sun_zenith_deg : float, degree
        None by night.

    Returns
    -------
    ndarray (y, x), float32, K
    """
    light = None
    if sun_zenith_deg is not None:
        light = sunlight(sun_zenith_deg, np.cos(np.deg2rad(sun_zenith_deg)), 1.0)
    return kind_temperature(
        cover,
        float(air.air_temperature),
        light_w_m2=light,
        heating=float(np.exp(HEATING_SCATTER * rng.standard_normal())),
        warmth_k=float(WARMTH_K * rng.standard_normal()),
    )


def level_field(recipe: FieldRecipe, number: int) -> Field:
    """Draw one field on flat ground; equal arguments give equal fields.

    Parameters
    ----------
    recipe : FieldRecipe
    number : int
        Of the field.

    Returns
    -------
    Field
    """
    rng = recipe.generator(number)
    structure = recipe.structure(number)
    column = draw_air(rng, recipe, structure)
    air = column.air(0)
    varied = recipe.varies(rng)
    layout = draw_layout(rng, structure, Site(recipe.shape, any_land=varied))
    cover = draw_cover(rng, layout, split=recipe.surface_split(rng), varied=varied)
    day = rng.random() < recipe.day_share
    sun_zenith = float(rng.uniform(*SUN_ZENITH_DEG)) if day else NIGHT_ZENITH_DEG
    temperature = level_temperature(rng, cover, air, sun_zenith if day else None)
    radiance = flat_radiance(temperature, cover.emissivity, air)
    dn, nedt = measure(rng, radiance, recipe)
    cloud = leave_gaps(rng, dn, float(air.air_temperature), recipe.gap_share)
    told = tell(
        rng,
        recipe,
        cover,
        day=day,
        water_vapor=air.precipitable_water,
        air_temperature=air.air_temperature,
        surface_pressure=column.surface_pressure[0],
        skin_temperature=float(temperature.mean()),
    )
    told["elevation_difference"] = np.float32(0.0)  # type: ignore[assignment]
    return Field(
        number=number,
        structure=structure,
        dn=dn,
        brightness_temperature=kelvin(dn),
        cloud=cloud,
        water=cover.water > 0.5,
        surface_temperature=temperature,
        emissivity=cover.emissivity,
        surface_class=cover.classes,
        told=told,
        nedt=nedt,
        view_zenith=float(column.view_zenith[0]),
        sun_zenith=sun_zenith,
        sun_azimuth=float(rng.uniform(0.0, 360.0)),
        air=air,
        surface_pressure=column.surface_pressure[0],
        profile=int(column.profile[0]),
    )


def flat_radiance(
    temperature: NDArray[np.float32], emissivity: NDArray[np.float32], air: AtmosphereBatch
) -> NDArray[np.float32]:
    """Evaluate the radiance equation of flat ground.

    Parameters
    ----------
    temperature : ndarray (y, x), float32, K
        Of the surface.
    emissivity : ndarray (y, x, 5), float32, 1
        Of the surface.
    air : AtmosphereBatch
        Fields that broadcast to (y, x, 5).

    Returns
    -------
    ndarray (y, x, 5), float32, W m-2 sr-1 um-1
        At the sensor.
    """
    planck = planck_radiance(temperature)
    leaving = emissivity * (planck - air.sky_radiance) + air.sky_radiance
    return np.asarray(air.transmittance * leaving + air.path_radiance, np.float32)


def planck_radiance(temperature: NDArray[np.float32]) -> NDArray[np.float32]:
    """Evaluate the Planck function in the five bands.

    Parameters
    ----------
    temperature : ndarray (y, x), float32, K
        Of a black body.

    Returns
    -------
    ndarray (y, x, 5), W m-2 sr-1 um-1
    """
    spread = np.broadcast_to(temperature[..., np.newaxis], (*temperature.shape, 5))
    return np.asarray(sensor.brightness_temperature_to_radiance(spread))


def kelvin(dn: NDArray[np.uint16]) -> NDArray[np.float32]:
    """Look up the brightness temperatures of digital numbers.

    Parameters
    ----------
    dn : ndarray (y, x, 5), uint16
        Digital numbers.

    Returns
    -------
    ndarray (y, x, 5), float32, K
    """
    table = kelvin_by_dn()
    return np.stack([table[:, band][dn[..., band]] for band in range(5)], axis=-1)
