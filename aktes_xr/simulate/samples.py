"""Training data by recipe and seed: what ASTER would have measured over drawn surfaces.

A recipe draws clear-sky columns (`aktes_xr.simulate.atmospheres`) and surfaces of the emissivity
prior, and measures them: radiance at the top of the atmosphere, noise per band,
quantisation to 12 bit. What a retrieval may be told besides (water vapour, air temperature, a
climatological emissivity) carries an error drawn with the stated standard deviation.

Protocol ``G`` divides by atmosphere and by surface: validation and test see profiles and endmembers
that training never saw. Protocol ``P`` is that of the published networks: the six model
atmospheres with nothing but their water scaled, surfaces of all endmembers, divided at random by
seed alone.
"""

from __future__ import annotations

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from aktes_xr import sensor
from aktes_xr.radiative.surface import top_of_atmosphere_radiance
from aktes_xr.simulate.atmospheres import colder_than, draw_columns
from aktes_xr.simulate.emissivity import SPLITS, draw_emissivity
from aktes_xr.simulate.landcover import SNOW, SNOW_AIR_LIMIT_K, draw_surface_temperature
from aktes_xr.simulate.observation import SampleRecipe, draw_ancillaries, observe, to_dataset
from aktes_xr.simulate.terrain_samples import terrain_fields


def simulate_samples(recipe: SampleRecipe) -> xr.Dataset:
    """Draw training data.

    Parameters
    ----------
    recipe : SampleRecipe
        What to draw.

    Returns
    -------
    Dataset (sample, band), float32
        Measured: radiance, brightness_temperature, nedt. Known: view_zenith, surface_pressure
        (hPa). Told, with their stated errors: water_vapor, water_vapor_error, air_temperature,
        air_temperature_error, emissivity_prior, emissivity_prior_uncertainty. Truth:
        surface_temperature, emissivity, precipitable_water, true_air_temperature, transmittance,
        path_radiance, sky_radiance. Of the draw: surface_class (int8, ``attrs["classes"]``), day,
        profile (its number in the shipped table). With
        ``terrain``: sky_view_factor, slope, solar_incidence, relief, elevation_difference and
        adjacent_brightness_temperature.
    """
    if recipe.terrain:
        return to_dataset(terrain_fields(recipe), recipe)
    rng = recipe.generator()
    columns = draw_columns(
        rng,
        recipe.size,
        split=recipe.split,
        protocol=recipe.protocol,
        view_zenith_max_deg=recipe.view_zenith_max_deg,
        even_water=recipe.even_water,
    )
    emissivity, surface_class = _draw_surfaces(rng, recipe)
    columns = columns.take(colder_than(rng, columns, surface_class == SNOW, SNOW_AIR_LIMIT_K))
    day = rng.random(recipe.size) < recipe.day_fraction
    temperature = draw_surface_temperature(rng, columns.air_temperature, surface_class, day)
    toa = top_of_atmosphere_radiance(
        temperature,
        emissivity,
        columns.transmittance,
        columns.path_radiance,
        columns.sky_radiance,
    )
    radiance, nedt = observe(rng, toa, recipe.nedt_range_k)
    told = draw_ancillaries(
        rng,
        recipe,
        water_vapor=columns.precipitable_water,
        air_temperature=columns.air_temperature,
        emissivity=emissivity,
    )
    fields = {
        "radiance": radiance,
        "brightness_temperature": sensor.radiance_to_brightness_temperature(radiance),
        "nedt": nedt,
        "view_zenith": columns.view_zenith,
        "surface_pressure": columns.surface_pressure,
        **told,
        "surface_temperature": temperature,
        "emissivity": emissivity,
        "precipitable_water": columns.precipitable_water,
        "true_air_temperature": columns.air_temperature,
        "transmittance": columns.transmittance,
        "path_radiance": columns.path_radiance,
        "sky_radiance": columns.sky_radiance,
        "surface_class": surface_class,
        "day": day,
        "profile": columns.profile,
    }
    return to_dataset(fields, recipe)


def _draw_surfaces(
    rng: np.random.Generator, recipe: SampleRecipe
) -> tuple[NDArray[np.float32], NDArray[np.int8]]:
    if recipe.protocol == "G":
        return draw_emissivity(rng, recipe.size, split=recipe.split)
    parts = [draw_emissivity(rng, recipe.size, split=split) for split in SPLITS]
    which = rng.choice(3, size=recipe.size, p=(0.6, 0.2, 0.2))
    rows = np.arange(recipe.size)
    return (
        np.stack([part[0] for part in parts])[which, rows],
        np.stack([part[1] for part in parts])[which, rows],
    )
