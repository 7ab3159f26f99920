"""Training data in terrain: pixels of many small simulated landscapes.

Sky view, slope, illumination, neighbours and temperature go together as they do on real ground,
because every sample is a pixel of a landscape (`aktes_xr.simulate.landscape`): alpine relief of
several heights, canyons, the real Jacksboro fault. Splits differ in relief, atmosphere and surface;
the test split has kinds of relief (ridges and valleys, volcanoes) that the others lack. Steep
ground is drawn more often than it occurs. A `Locality` narrows all this to one region.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from aktes_xr import sensor
from aktes_xr.simulate.atmospheres import draw_air_mass, members
from aktes_xr.simulate.domains import PATCH_PIXELS, SUNS, Domain, Locality, domains
from aktes_xr.simulate.emissivity import Split
from aktes_xr.simulate.landcover import emissivity_map, land_cover
from aktes_xr.simulate.landscape import (
    Ground,
    Landscape,
    Moment,
    air_over,
    facing_sun,
    illuminate,
    neighbourhood_radiance,
)
from aktes_xr.simulate.observation import SampleRecipe, draw_ancillaries, observe
from aktes_xr.simulate.relief import CELL_SIZE_M

MARGIN_PIXELS: Final = 10
SAMPLES_PER_PATCH: Final = 100
MAX_PATCHES: Final = 12_000
MOMENTS_PER_GROUND: Final = 3
"""Each patch of covered ground is seen under so many atmospheres and suns."""
NIGHT_SHARE: Final = 0.4
# Standard deviations of the logarithm of a moment's heating and of its warmth (K).
HEATING_SCATTER: Final = 0.35
WARMTH_SCATTER_K: Final = 3.0
# Of what is told about the air: at a regional height, and without saying at which height.
REGIONAL_SHARE: Final = 0.45
UNSTATED_SHARE: Final = 0.25
_FLAT_WEIGHT: Final = 0.12


def _patch(
    rng: np.random.Generator, domain: Domain, split: Split, place: Locality
) -> tuple[Ground, tuple[slice, slice], float]:
    """Cut a patch, shift its height and cover it; also return the region's mean height."""
    corner = [int(rng.integers(0, extent - PATCH_PIXELS)) for extent in domain.elevation.shape]
    window = (
        slice(corner[0], corner[0] + PATCH_PIXELS),
        slice(corner[1], corner[1] + PATCH_PIXELS),
    )
    shift = 0.0 if place.elevation else rng.uniform(*place.base_shift_m)
    elevation = (domain.elevation[window] + shift).astype(np.float32)
    fields = {name: values[window] for name, values in domain.indices.items()}
    cell = float(np.mean(CELL_SIZE_M))
    cover = place.covers[int(rng.integers(len(place.covers)))]
    classes = land_cover(elevation, fields["slope"], rng, cover=cover, cell_size_m=cell)
    ground = Ground(
        elevation=elevation,
        slope=fields["slope"],
        aspect=fields["aspect"],
        sky_view_factor=fields["sky_view_factor"],
        relief=fields["relief"],
        cell_size_m=CELL_SIZE_M,
        classes=classes,
        emissivity=emissivity_map(classes, rng, split=split, cell_size_m=cell),
    )
    return ground, window, float(domain.elevation.mean()) + shift


def draw_moment(
    rng: np.random.Generator,
    recipe: SampleRecipe,
    *,
    air_mass: dict[str, Any],
    shadows: tuple[NDArray[np.bool_], ...],
) -> Moment:
    """Give an air mass a sun (or the night), a view, and a past that warmed the ground.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of the numbers.
    recipe : SampleRecipe
        Range of view angles.
    air_mass : dict
        Of `draw_air_mass`.
    shadows : tuple of ndarray (y, x), bool
        Cast shadows, one for each of `SUNS`.

    Returns
    -------
    Moment
    """
    night = rng.random() < NIGHT_SHARE
    which = int(rng.integers(len(SUNS)))
    zenith, azimuth = (120.0, 0.0) if night else SUNS[which]
    return Moment(
        **air_mass,
        view_zenith=float(rng.uniform(0.0, recipe.view_zenith_max_deg)),
        sun_zenith=zenith,
        sun_azimuth=azimuth,
        shadow=shadows[which],
        heating=float(np.exp(HEATING_SCATTER * rng.standard_normal())),
        warmth_k=float(WARMTH_SCATTER_K * rng.standard_normal()),
    )


def _interior(values: NDArray[Any], chosen: NDArray[np.intp]) -> NDArray[Any]:
    inner = values[MARGIN_PIXELS:-MARGIN_PIXELS, MARGIN_PIXELS:-MARGIN_PIXELS]
    return inner.reshape(-1, *values.shape[2:])[chosen]


def _pixels(rng: np.random.Generator, ground: Ground, count: int) -> NDArray[np.intp]:
    """Choose pixels of the interior, steep ones more often."""
    edge = MARGIN_PIXELS
    hidden = 1.0 - ground.sky_view_factor[edge:-edge, edge:-edge].ravel()
    weight = _FLAT_WEIGHT + np.clip(hidden, 0.0, 1.0)
    return rng.choice(weight.size, size=count, p=weight / weight.sum())


def _measure(
    rng: np.random.Generator,
    recipe: SampleRecipe,
    *,
    ground: Ground,
    moment: Moment,
    scene: Landscape,
    region_m: float,
    chosen: NDArray[np.intp],
) -> dict[str, NDArray[Any]]:
    """Take pixels of a landscape, measure them and tell what a retrieval may know."""
    count = chosen.size
    radiance, nedt = observe(rng, _interior(scene.toa_radiance, chosen), recipe.nedt_range_k)
    neighbours = _interior(neighbourhood_radiance(scene.toa_radiance), chosen)
    emissivity = _interior(ground.emissivity, chosen)
    elevation = _interior(ground.elevation, chosen)
    water = _interior(scene.air.precipitable_water, chosen)
    air = _interior(scene.air.air_temperature, chosen)
    told_water, told_air, difference = water, air, np.zeros(count, dtype=np.float32)
    if rng.random() < REGIONAL_SHARE:
        coarse, _ = air_over(np.array([region_m], dtype=np.float32), moment)
        told_water = np.repeat(coarse.precipitable_water, count)
        told_air = np.repeat(coarse.air_temperature, count)
        difference = (elevation - region_m).astype(np.float32)
    if rng.random() < UNSTATED_SHARE:
        difference = np.full(count, np.nan, dtype=np.float32)
    told = draw_ancillaries(
        rng, recipe, water_vapor=told_water, air_temperature=told_air, emissivity=emissivity
    )
    return {
        "radiance": radiance,
        "brightness_temperature": sensor.radiance_to_brightness_temperature(radiance),
        "nedt": nedt,
        "view_zenith": np.full(count, moment.view_zenith, dtype=np.float32),
        "surface_pressure": _interior(scene.surface_pressure, chosen),
        **told,
        "sky_view_factor": _interior(ground.sky_view_factor, chosen),
        "slope": _interior(ground.slope, chosen),
        "solar_incidence": _interior(facing_sun(ground, moment), chosen),
        "relief": _interior(ground.relief, chosen),
        "elevation_difference": difference,
        "adjacent_brightness_temperature": sensor.radiance_to_brightness_temperature(neighbours),
        "surface_temperature": _interior(scene.surface_temperature, chosen),
        "emissivity": emissivity,
        "precipitable_water": water,
        "true_air_temperature": air,
        "transmittance": _interior(scene.air.transmittance, chosen),
        "path_radiance": _interior(scene.air.path_radiance, chosen),
        "sky_radiance": _interior(scene.air.sky_radiance, chosen),
        "adjacent_radiance": _interior(scene.adjacent_radiance, chosen),
        "surface_class": _interior(ground.classes, chosen),
        "day": np.full(count, moment.day),
        "profile": np.full(count, moment.profile, dtype=np.int32),
    }


def terrain_fields(
    recipe: SampleRecipe, locality: Locality | None = None
) -> dict[str, NDArray[Any]]:
    """Draw training data in terrain; the fields of `aktes_xr.simulate.simulate_samples`.

    Parameters
    ----------
    recipe : SampleRecipe
        Its atmospheres are one per `SAMPLES_PER_PATCH` samples, at most `MAX_PATCHES`.
    locality : Locality, optional
        Everywhere unless given.

    Returns
    -------
    dict of name to ndarray (size,) or (size, 5)
        Shuffled. ``solar_incidence`` is what a retrieval knows: without cast shadows, which the
        temperature does follow. ``elevation_difference`` is NaN where nothing is said of the height
        that the ancillaries hold for.
    """
    rng = recipe.generator()
    place = locality or Locality()
    pool = domains(recipe.split, place)
    patches = int(np.clip(recipe.size // SAMPLES_PER_PATCH, 1, MAX_PATCHES))
    counts = np.diff(np.linspace(0, recipe.size, patches + 1).astype(int))
    parts = []
    for number, count in enumerate(counts):
        if number % MOMENTS_PER_GROUND == 0:
            domain = pool[int(rng.integers(len(pool)))]
            ground, window, region_m = _patch(rng, domain, recipe.split, place)
            shadows = tuple(shadow[window] for shadow in domain.shadows)
        lowest_m = float(ground.elevation.min())
        air_mass = draw_air_mass(
            rng,
            members(recipe.split, recipe.protocol),
            lowest_m=lowest_m,
            middle_m=region_m,
            water_vapor_range=place.water_vapor_range,
            air_temperature_range_k=place.air_temperature_range_k,
        )
        moment = draw_moment(rng, recipe, air_mass=air_mass, shadows=shadows)
        chosen = _pixels(rng, ground, int(count))
        scene = illuminate(ground, moment, rng, chosen=_marked(ground, chosen))
        parts.append(
            _measure(
                rng,
                recipe,
                ground=ground,
                moment=moment,
                scene=scene,
                region_m=region_m,
                chosen=chosen,
            )
        )
    order = rng.permutation(recipe.size)
    return {name: np.concatenate([part[name] for part in parts])[order] for name in parts[0]}


def _marked(ground: Ground, chosen: NDArray[np.intp]) -> NDArray[np.bool_]:
    """Mark interior pixels by number on the patch."""
    marks = np.zeros(ground.elevation.shape, bool)
    inner = marks[MARGIN_PIXELS:-MARGIN_PIXELS, MARGIN_PIXELS:-MARGIN_PIXELS]
    inner[np.unravel_index(chosen, inner.shape)] = True
    return marks
