"""Training data in terrain: pixels of many small simulated landscapes.

Sky view, slope, illumination, neighbours and temperature go together as they do on real ground,
because every sample is a pixel of a landscape (`aktes_xr.simulate.landscape`) over synthetic alpine
relief of several heights or the real Jacksboro fault. Splits differ in relief, atmosphere and
surface. Steep ground is drawn more often than it occurs.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from aktes_xr import sensor
from aktes_xr.radiative.atmosphere import surface_pressure_from_elevation
from aktes_xr.radiative.table import WATER_SCALES
from aktes_xr.simulate.atmospheres import (
    OZONE_SCALE,
    TEMPERATURE_SHIFT_K,
    ground_pressure,
    members,
)
from aktes_xr.simulate.emissivity import SPLITS, Split
from aktes_xr.simulate.landcover import REGIONS, emissivity_map, land_cover
from aktes_xr.simulate.landscape import (
    Ground,
    Landscape,
    Moment,
    air_over,
    illuminate,
    neighbourhood_radiance,
)
from aktes_xr.simulate.relief import CELL_SIZE_M, alpine_relief, demo_elevation

if TYPE_CHECKING:
    from aktes_xr.simulate.samples import SampleRecipe

DOMAIN_PIXELS: Final = 360
PATCH_PIXELS: Final = 72
MARGIN_PIXELS: Final = 10
SAMPLES_PER_PATCH: Final = 100
MAX_PATCHES: Final = 2000
RELIEFS_M: Final = (900.0, 1800.0, 2600.0, 3400.0)
AZIMUTHS: Final = 16
# Sun zenith and azimuth from grid north, deg, of the days; one in four patches is by night.
SUNS: Final = (
    (25.0, 130.0),
    (35.0, 150.0),
    (45.0, 155.0),
    (55.0, 165.0),
    (65.0, 160.0),
    (30.0, 40.0),
)
NIGHT_SHARE: Final = 0.3
BASE_SHIFT_M: Final = (-300.0, 1500.0)
_FLAT_WEIGHT: Final = 0.12


@dataclass(frozen=True, eq=False)
class Domain:
    """A piece of relief with what is computed once: indices and the shadows of `SUNS`."""

    elevation: NDArray[np.float32]
    indices: dict[str, NDArray[np.float32]]
    shadows: tuple[NDArray[np.bool_], ...]


def _domain(elevation: NDArray[np.floating[Any]]) -> Domain:
    import xarray as xr

    from aktes_xr.terrain import cast_shadow, indices_array

    values = elevation.astype(np.float32)
    rows, columns = values.shape
    field = xr.DataArray(
        values,
        dims=("y", "x"),
        coords={
            "y": ("y", -CELL_SIZE_M[0] * np.arange(rows), {"units": "m"}),
            "x": ("x", CELL_SIZE_M[1] * np.arange(columns), {"units": "m"}),
        },
        attrs={"units": "m"},
    )
    shadows = tuple(
        cast_shadow(field, zenith, azimuth, convergence=0.0).to_numpy() for zenith, azimuth in SUNS
    )
    return Domain(values, indices_array(values, CELL_SIZE_M, azimuths=AZIMUTHS), shadows)


@functools.lru_cache(maxsize=3)
def domains(split: Split) -> tuple[Domain, ...]:
    """Make a split's relief: alpine of four heights, and for training the Jacksboro fault."""
    shape = (DOMAIN_PIXELS, DOMAIN_PIXELS)
    first = 100 * (1 + SPLITS.index(split))
    made = [
        _domain(alpine_relief(shape, seed=first + number, relief_m=relief))
        for number, relief in enumerate(RELIEFS_M)
    ]
    if split == "train":
        made.append(_domain(demo_elevation("jacksboro", shape).to_numpy()))
    return tuple(made)


def _patch(
    rng: np.random.Generator, domain: Domain, split: Split
) -> tuple[Ground, tuple[slice, slice], float]:
    """Cut a patch, shift its height and cover it; also return the region's mean height."""
    corner = rng.integers(0, DOMAIN_PIXELS - PATCH_PIXELS, size=2)
    window = (
        slice(corner[0], corner[0] + PATCH_PIXELS),
        slice(corner[1], corner[1] + PATCH_PIXELS),
    )
    shift = rng.uniform(*BASE_SHIFT_M)
    elevation = (domain.elevation[window] + shift).astype(np.float32)
    fields = {name: values[window] for name, values in domain.indices.items()}
    cell = float(np.mean(CELL_SIZE_M))
    cover = list(REGIONS)[int(rng.integers(len(REGIONS)))]
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
    lowest_m: float,
    suns: tuple[tuple[float, float], ...],
    shadows: tuple[NDArray[np.bool_], ...],
) -> Moment:
    """Draw an air mass that reaches down to the lowest ground, a sun and a view."""
    profiles = members(recipe.split, recipe.protocol)
    needed = min(float(surface_pressure_from_elevation(lowest_m)), 1013.25)
    deep = profiles[ground_pressure()[profiles] >= needed - 1e-6]
    low, high = np.log(WATER_SCALES[0]), np.log(WATER_SCALES[-1])
    night = rng.random() < NIGHT_SHARE
    which = int(rng.integers(len(suns)))
    zenith, azimuth = (120.0, 0.0) if night else suns[which]
    return Moment(
        profile=int(rng.choice(deep if deep.size else profiles)),
        water_scale=float(np.exp(rng.uniform(low, high))),
        temperature_shift_k=float(np.clip(TEMPERATURE_SHIFT_K * rng.standard_normal(), -6, 6)),
        ozone_scale=float(np.clip(1 + OZONE_SCALE * rng.standard_normal(), 0.6, 1.4)),
        view_zenith=float(rng.uniform(0.0, recipe.view_zenith_max_deg)),
        sun_zenith=zenith,
        sun_azimuth=azimuth,
        shadow=shadows[which],
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
    count: int,
) -> dict[str, NDArray[Any]]:
    """Take pixels of a landscape, measure them and tell what a retrieval may know."""
    from aktes_xr.simulate.samples import draw_ancillaries, observe

    chosen = _pixels(rng, ground, count)
    radiance, nedt = observe(rng, _interior(scene.toa_radiance, chosen), recipe.nedt_range_k)
    neighbours = _interior(neighbourhood_radiance(scene.toa_radiance), chosen)
    emissivity = _interior(ground.emissivity, chosen)
    elevation = _interior(ground.elevation, chosen)
    water = _interior(scene.air.precipitable_water, chosen)
    air = _interior(scene.air.air_temperature, chosen)
    told_water, told_air, difference = water, air, np.zeros(count, dtype=np.float32)
    if rng.random() < 0.5:
        coarse, _ = air_over(np.array([region_m], dtype=np.float32), moment)
        told_water = np.repeat(coarse.precipitable_water, count)
        told_air = np.repeat(coarse.air_temperature, count)
        difference = (elevation - region_m).astype(np.float32)
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
        "solar_incidence": _interior(scene.solar_incidence, chosen),
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


def terrain_fields(recipe: SampleRecipe) -> dict[str, NDArray[Any]]:
    """Draw training data in terrain; the fields of `aktes_xr.simulate.simulate_samples`.

    Parameters
    ----------
    recipe : SampleRecipe
        Its atmospheres are one per patch: ``size / 100`` of them, at most 2000.

    Returns
    -------
    dict of name to ndarray (size,) or (size, 5)
        Shuffled.
    """
    rng = recipe.generator()
    pool = domains(recipe.split)
    patches = int(np.clip(recipe.size // SAMPLES_PER_PATCH, 1, MAX_PATCHES))
    counts = np.diff(np.linspace(0, recipe.size, patches + 1).astype(int))
    parts = []
    for count in counts:
        domain = pool[int(rng.integers(len(pool)))]
        ground, window, region_m = _patch(rng, domain, recipe.split)
        moment = draw_moment(
            rng,
            recipe,
            lowest_m=float(ground.elevation.min()),
            suns=SUNS,
            shadows=tuple(shadow[window] for shadow in domain.shadows),
        )
        scene = illuminate(ground, moment, rng)
        parts.append(
            _measure(
                rng,
                recipe,
                ground=ground,
                moment=moment,
                scene=scene,
                region_m=region_m,
                count=int(count),
            )
        )
    order = rng.permutation(recipe.size)
    return {name: np.concatenate([part[name] for part in parts])[order] for name in parts[0]}
