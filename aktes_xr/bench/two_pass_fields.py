"""Ten dates of one place in the world that networks train in, with surfaces and air they never saw.

The land cover of `aktes_xr.simulate.cover` stays; on it plants grow by the season, and once fire,
growth, snow or a flood lays something else over a part of it. Air, sun, heat and noise are drawn
anew for each date. Water vapour and air temperature are told with errors of 10 % and 2 K.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import xarray as xr

from aktes_xr.bench.world.changing_ground import CHANGES, SUMMER, TIMES, Course, draw_course
from aktes_xr.cube import describe, new_cube
from aktes_xr.simulate.cover import Cover, draw_cover
from aktes_xr.simulate.emissivity import CLASS_NAMES
from aktes_xr.simulate.fields import FieldRecipe
from aktes_xr.simulate.level_fields import draw_air, flat_radiance, level_temperature
from aktes_xr.simulate.measuring import leave_gaps, measure, tell
from aktes_xr.simulate.structures import Layout, Site, draw_layout

if TYPE_CHECKING:
    from numpy.typing import NDArray

STRUCTURES: Final = (
    *("homogeneous", "patches", "mosaic", "mixture", "salt_and_pepper"),
    *("edges", "parcels", "blocks", "water"),
)
_STREAM: Final = 21_000
_SUN_ZENITH_DEG: Final = {True: (15.0, 45.0), False: (45.0, 75.0)}
_NIGHT_ZENITH_DEG: Final = 120.0
_NIGHTS: Final = 0.3
_BROUGHT: Final = {"fire": "soil", "growth": "vegetation", "snow": "snow_ice", "flood": "water"}
_TOLD: Final = {"water_vapor": "kg m-2", "air_temperature": "K", "surface_pressure": "hPa"}


def field_series(
    count: int, *, first: int = 0, size: int = 96, split: Any = "test"
) -> Iterator[xr.Dataset]:
    """Draw series one after the other.

    Parameters
    ----------
    count : int
    first : int
        Number of the first; a series depends on its number, size and split alone.
    size : int, pixel
        Rows and columns.
    split : {"train", "validation", "test"}
        Of surfaces and air.

    Yields
    ------
    Dataset
        A cube of ten dates without a prior, with ``cloud``, and its truth: ``surface_temperature``
        (K), ``emissivity`` (both by date) and ``changed`` (y, x).
    """
    for number in range(first, first + count):
        yield _series(number, size, split)


def _series(number: int, size: int, split: Any) -> xr.Dataset:
    rng = np.random.default_rng([_STREAM, number, size])
    recipe = FieldRecipe(
        split=split,
        shape=(size, size),
        water_vapor_error=(0.1, 0.1),
        air_temperature_error_k=(2.0, 2.0),
        wrong_share=0.0,
        varied=0.5,
    )
    structure = STRUCTURES[number % len(STRUCTURES)]
    layout = draw_layout(rng, structure, Site(recipe.shape))
    base = draw_cover(rng, layout, split=split, varied=recipe.varies(rng))
    change = CHANGES[number % len(CHANGES)]
    green = _covered_by(rng, "vegetation", recipe)
    other = _covered_by(rng, _BROUGHT[change], recipe)
    course = draw_course(rng, recipe.shape, change=change, plants=1.0 - base.water)
    made = [
        _date(rng, recipe, structure, _on(course, n, base, green, other), n)
        for n in range(TIMES.size)
    ]
    return _cube(made, course, structure)


def _covered_by(rng: np.random.Generator, name: str, recipe: FieldRecipe) -> Cover:
    """Draw a cover of one kind alone."""
    classes = np.array([CLASS_NAMES.index(name)], np.int8)
    shape = recipe.shape
    layout = Layout(np.ones((*shape, 1), np.float32), classes, np.zeros(shape, np.float32))
    return draw_cover(rng, layout, split=recipe.split, varied=recipe.varies(rng))


def _on(course: Course, date: int, base: Cover, green: Cover, other: Cover) -> Cover:
    """Return the cover of a date."""
    return _laid(_laid(base, green, course.green[date]), other, course.other[date])


def _laid(below: Cover, above: Cover, share: NDArray[np.float32]) -> Cover:
    """Lay a share of one cover over another."""
    mixed: dict[str, Any] = {}
    for field in fields(Cover):
        if field.name != "layout":
            old, new = getattr(below, field.name), getattr(above, field.name)
            part = share[..., np.newaxis] if old.ndim == 3 else share
            mixed[field.name] = (old + part * (new - old)).astype(np.float32)
    return replace(below, **mixed)


def _date(
    rng: np.random.Generator, recipe: FieldRecipe, structure: str, cover: Cover, date: int
) -> dict[str, Any]:
    """Measure a cover once."""
    snowy = bool(cover.snow.max() > 0.0)
    column = draw_air(rng, recipe, structure if SUMMER[date] and not snowy else "snow")
    air = column.air(0)
    day = bool(rng.random() >= _NIGHTS)
    zenith = float(rng.uniform(*_SUN_ZENITH_DEG[bool(SUMMER[date])])) if day else _NIGHT_ZENITH_DEG
    temperature = level_temperature(rng, cover, air, zenith if day else None)
    dn, _ = measure(rng, flat_radiance(temperature, cover.emissivity, air), recipe)
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
    return {
        "tir": np.moveaxis(dn, -1, 0),
        "cloud": cloud,
        "surface_temperature": temperature,
        "emissivity": np.moveaxis(cover.emissivity, -1, 0),
        "view_zenith": column.view_zenith[0],
        "sun_zenith": np.float32(zenith),
        **{name: told[name] for name in _TOLD},
        **{f"{name}_error": told[f"{name}_error"] for name in _TOLD},
    }


def _cube(made: list[dict[str, Any]], course: Course, structure: str) -> xr.Dataset:
    stacked = {name: np.stack([one[name] for one in made]) for name in made[0]}
    rows, columns = stacked["tir"].shape[2:]
    ds = new_cube(
        stacked.pop("tir"),
        time=TIMES,
        y=5_000_000.0 - 90.0 * np.arange(rows, dtype=np.float64),
        x=500_000.0 + 90.0 * np.arange(columns, dtype=np.float64),
        crs="EPSG:32633",
        coordinates={name: stacked.pop(name) for name in ("view_zenith", "sun_zenith")},
    )
    for name, values in stacked.items():
        dims = ("time", "band", "y", "x")
        if values.ndim < 4:
            dims = ("time", "y", "x")[: values.ndim]  # type: ignore[assignment]
        ds[name] = (dims, values)
    ds["changed"] = (("y", "x"), course.changed)
    found = describe(ds)
    return found.assign_attrs(structure=structure, change=course.change)
