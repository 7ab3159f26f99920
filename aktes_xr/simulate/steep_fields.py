"""Fields over relief: sky view, slope, sun, neighbours and temperature go together.

A window of a piece of relief (`aktes_xr.simulate.domains`) is lifted to a drawn height, covered
with a structure, and seen under a drawn sun and air mass (`aktes_xr.simulate.landscape`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from aktes_xr.errors import InputError
from aktes_xr.radiative.atmosphere import AtmosphereBatch, surface_pressure_from_elevation
from aktes_xr.simulate.atmospheres import draw_air_mass, members
from aktes_xr.simulate.cover import Cover, draw_cover
from aktes_xr.simulate.domains import SUNS, Domain, Locality, domain_makers
from aktes_xr.simulate.fields import Field, FieldRecipe, FieldTerrain
from aktes_xr.simulate.landcover import SNOW_AIR_LIMIT_K
from aktes_xr.simulate.landscape import Ground, Landscape, Moment, air_over, facing_sun, illuminate
from aktes_xr.simulate.level_fields import HEATING_SCATTER, NIGHT_ZENITH_DEG, WARMTH_K, kelvin
from aktes_xr.simulate.measuring import leave_gaps, measure, tell
from aktes_xr.simulate.relief import CELL_SIZE_M
from aktes_xr.simulate.structures import Site, draw_layout
from aktes_xr.simulate.varied_air import VariedAir, draw_varied_air

if TYPE_CHECKING:
    from numpy.typing import NDArray

_CANDIDATES: Final = 16
MARGIN_PIXELS: Final = 12
"""Around a field, so that its edge has neighbours, too."""
FLOODED_SHARE: Final = 0.12
STEEPER_SHARE: Final = 0.6
REGIONAL_SHARE: Final = 0.45
UNSTATED_SHARE: Final = 0.25
"""Shares of fields told of the air at a regional height, and without saying at which height."""


@dataclass(frozen=True, eq=False)
class Pool:
    """Relief to draw from, made when it is first drawn: dry, and with water in it."""

    dry: tuple[Callable[[], Domain], ...]
    flooded: tuple[Callable[[], Domain], ...]

    @classmethod
    def of(cls, recipe: FieldRecipe) -> Pool:
        """Return the relief of a recipe's split and locality.

        Parameters
        ----------
        recipe : FieldRecipe
            The recipe.

        Returns
        -------
        Pool
        """
        return cls(
            domain_makers(recipe.split, recipe.locality),
            domain_makers(recipe.split, recipe.locality, flooded=True),
        )


def _window(rng: np.random.Generator, recipe: FieldRecipe, domain: Domain) -> tuple[slice, slice]:
    """Choose where to look; mostly the one of two places that hides more of the sky."""
    sizes = [size + 2 * MARGIN_PIXELS for size in recipe.shape]
    extents = domain.elevation.shape
    if extents[0] < sizes[0] or extents[1] < sizes[1]:
        raise InputError(
            f"found relief of {extents[0]} x {extents[1]} pixels, expected at least {sizes[0]} x "
            f"{sizes[1]}: a field of {recipe.shape[0]} x {recipe.shape[1]} and {MARGIN_PIXELS} "
            "pixels around it"
        )
    windows = []
    for _ in range(2 if rng.random() < STEEPER_SHARE else 1):
        corner = [
            int(rng.integers(0, extent - size + 1))
            for extent, size in zip(extents, sizes, strict=True)
        ]
        windows.append(
            (slice(corner[0], corner[0] + sizes[0]), slice(corner[1], corner[1] + sizes[1]))
        )
    return min(windows, key=lambda window: domain.indices["sky_view_factor"][window].mean())


def _ground(
    rng: np.random.Generator, recipe: FieldRecipe, structure: str, pool: Pool
) -> tuple[Ground, Cover, Domain, tuple[slice, slice], float]:
    """Cut a window out of the relief, lift it and cover it; also return the region's height."""
    flooded = structure == "water" or rng.random() < FLOODED_SHARE
    choice = pool.flooded if flooded else pool.dry
    domain = choice[int(rng.integers(len(choice)))]()
    window = _window(rng, recipe, domain)
    place = recipe.locality or Locality()
    shift = 0.0 if place.elevation else rng.uniform(*place.base_shift_m)
    elevation = (domain.elevation[window] + shift).astype(np.float32)
    fields = {name: values[window] for name, values in domain.indices.items()}
    slope, aspect = np.deg2rad(fields["slope"]), np.deg2rad(np.nan_to_num(fields["aspect"]))
    varied = recipe.varies(rng)
    site = Site(
        (elevation.shape[0], elevation.shape[1]),
        elevation,
        (np.sin(slope) * np.cos(aspect)).astype(np.float32),
        domain.flooded[window],
        any_land=varied,
    )
    layout = draw_layout(rng, structure, site)
    cover = draw_cover(rng, layout, split=recipe.surface_split(rng), varied=varied)
    ground = Ground(
        elevation=elevation,
        slope=fields["slope"],
        aspect=fields["aspect"],
        sky_view_factor=fields["sky_view_factor"],
        relief=fields["relief"],
        cell_size_m=CELL_SIZE_M,
        classes=cover.classes,
        emissivity=cover.emissivity,
        cover=cover,
    )
    return ground, cover, domain, window, float(domain.elevation.mean()) + shift


def _moment(
    rng: np.random.Generator,
    recipe: FieldRecipe,
    *,
    ground: Ground,
    structure: str,
    shadows: tuple[NDArray[np.bool_], ...],
    region_m: float,
) -> Moment:
    """Draw an air mass, a sun or the night, a view, and a past that warmed the ground."""
    place = recipe.locality or Locality()
    coldest, warmest = place.air_temperature_range_k
    if structure == "snow":
        warmest = min(warmest, SNOW_AIR_LIMIT_K)
    lowest_m = float(ground.elevation.min())
    wanted = (place.water_vapor_range, (min(coldest, warmest), warmest))
    if recipe.varies(rng):
        column = _varied(rng, recipe, lowest_m, region_m, wanted)
        air_mass: dict[str, Any] = {"profile": column.profile, "column": column}
    else:
        air_mass = draw_air_mass(
            rng,
            members(recipe.split, recipe.protocol),
            lowest_m=lowest_m,
            middle_m=region_m,
            water_vapor_range=wanted[0],
            air_temperature_range_k=wanted[1],
        )
    day = rng.random() < recipe.day_share
    which = int(rng.integers(len(SUNS)))
    zenith, azimuth = SUNS[which] if day else (NIGHT_ZENITH_DEG, 0.0)
    return Moment(
        **air_mass,
        view_zenith=float(rng.uniform(0.0, recipe.view_zenith_max_deg)),
        sun_zenith=zenith,
        sun_azimuth=azimuth,
        shadow=shadows[which],
        heating=float(np.exp(HEATING_SCATTER * rng.standard_normal())),
        warmth_k=float(WARMTH_K * rng.standard_normal()),
    )


def _varied(
    rng: np.random.Generator,
    recipe: FieldRecipe,
    lowest_m: float,
    middle_m: float,
    wanted: tuple[tuple[float, float], tuple[float, float]],
) -> VariedAir:
    """Draw columns of their own until one has the wanted water and temperature over the region."""
    ground, middle = surface_pressure_from_elevation(np.array([lowest_m, middle_m]))

    def far_from_wanted(air: VariedAir) -> float:
        values = (air.water_above(float(middle)), air.temperature_at(float(middle)))
        return sum(
            max(low - value, 0.0) + max(value - high, 0.0)
            for value, (low, high) in zip(values, wanted, strict=True)
        )

    best = draw_varied_air(rng, recipe.split, ground_hpa=float(ground))
    nearest = far_from_wanted(best)
    for _ in range(_CANDIDATES - 1):
        if nearest == 0.0:
            break
        air = draw_varied_air(rng, recipe.split, ground_hpa=float(ground))
        far = far_from_wanted(air)
        if far < nearest:
            best, nearest = air, far
    return best


def _inner(values: NDArray[Any]) -> NDArray[Any]:
    """Leave the margin away."""
    return values[MARGIN_PIXELS:-MARGIN_PIXELS, MARGIN_PIXELS:-MARGIN_PIXELS]


def _tell(
    rng: np.random.Generator,
    recipe: FieldRecipe,
    cover: Cover,
    *,
    scene: Landscape,
    moment: Moment,
    elevation: NDArray[np.float32],
    region_m: float,
) -> dict[str, NDArray[np.float32]]:
    """Tell of the air at each pixel's own height, or over the region."""
    water: Any = _inner(scene.air.precipitable_water)
    air: Any = _inner(scene.air.air_temperature)
    difference: Any = np.float32(0.0)
    if rng.random() < REGIONAL_SHARE:
        coarse, _ = air_over(np.array([region_m], dtype=np.float32), moment)
        water, air = coarse.precipitable_water[0], coarse.air_temperature[0]
        difference = elevation - np.float32(region_m)
    if rng.random() < UNSTATED_SHARE:
        difference = np.float32(np.nan)
    told = tell(
        rng,
        recipe,
        cover,
        day=moment.day,
        water_vapor=water,
        air_temperature=air,
        surface_pressure=_inner(scene.surface_pressure),
        skin_temperature=float(scene.surface_temperature.mean()),
    )
    told["elevation_difference"] = np.asarray(difference, np.float32)
    return {
        name: _inner(values) if values.shape[:2] == cover.emissivity.shape[:2] else values
        for name, values in told.items()
    }


def steep_field(recipe: FieldRecipe, number: int, pool: Pool) -> Field:
    """Draw one field over relief; equal arguments give equal fields.

    Parameters
    ----------
    recipe : FieldRecipe
    number : int
        Of the field.
    pool : Pool
        The recipe's relief.

    Returns
    -------
    Field
    """
    rng = recipe.generator(number)
    structure = recipe.structure(number)
    ground, cover, domain, window, region_m = _ground(rng, recipe, structure, pool)
    moment = _moment(
        rng,
        recipe,
        ground=ground,
        structure=structure,
        shadows=tuple(shadow[window] for shadow in domain.shadows),
        region_m=region_m,
    )
    inside = np.zeros(ground.elevation.shape, bool)
    _inner(inside)[:] = True
    scene = illuminate(ground, moment, rng, chosen=inside)
    dn, nedt = measure(rng, _inner(scene.toa_radiance), recipe)
    elevation = _inner(ground.elevation)
    cloud = leave_gaps(rng, dn, float(scene.air.air_temperature.mean()), recipe.gap_share)
    return Field(
        number=number,
        structure=structure,
        dn=dn,
        brightness_temperature=kelvin(dn),
        cloud=cloud,
        water=_inner(cover.water) > 0.5,
        surface_temperature=_inner(scene.surface_temperature),
        emissivity=_inner(ground.emissivity),
        surface_class=_inner(ground.classes),
        told=_tell(
            rng,
            recipe,
            cover,
            scene=scene,
            moment=moment,
            elevation=elevation,
            region_m=region_m,
        ),
        nedt=nedt,
        view_zenith=moment.view_zenith,
        sun_zenith=moment.sun_zenith,
        sun_azimuth=moment.sun_azimuth,
        air=AtmosphereBatch(*(_inner(values) for values in scene.air)),
        surface_pressure=_inner(scene.surface_pressure),
        profile=moment.profile,
        terrain=FieldTerrain(
            elevation=elevation,
            relief=_inner(ground.relief),
            sky_view_factor=_inner(ground.sky_view_factor),
            slope=_inner(ground.slope),
            aspect=_inner(ground.aspect),
            solar_incidence=_inner(facing_sun(ground, moment)),
            adjacent_radiance=_inner(scene.adjacent_radiance),
            region_elevation=region_m,
        ),
    )
