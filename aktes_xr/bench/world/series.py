"""Ten dates of one scene of this world: the same ground under other air, sun and heat each time.

`aktes_xr.bench.world.changing_ground` says what grows and what changes; green plants, soil, snow
and water are this world's own.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import xarray as xr

from aktes_xr.bench.world.air import air_over, draw_profile
from aktes_xr.bench.world.changing_ground import CHANGES, SUMMER, TIMES, Course, draw_course
from aktes_xr.bench.world.cover import Ground, cover
from aktes_xr.bench.world.heat import Sun
from aktes_xr.bench.world.horizon import sky_view
from aktes_xr.bench.world.overpass import observe
from aktes_xr.bench.world.relief import CELL_M, RELIEFS, draw_relief
from aktes_xr.bench.world.spectra import KINDS, Kind, draw_palette
from aktes_xr.cube import describe, new_cube

STRUCTURES: Final[tuple[Any, ...]] = (
    *("homogeneous", "fine patches", "wide patches", "salt and pepper", "mosaic"),
    *("fields", "sharp edges", "lakes and rivers", "hot and cold blocks"),
)
_STREAM: Final = 22_000
_BROUGHT: Final[dict[str, Kind]] = {
    "fire": "soil",
    "growth": "green",
    "snow": "snow",
    "flood": "water",
}
_AIR_K: Final = {True: (284.0, 312.0), False: (262.0, 288.0)}
_SNOW_AIR_K: Final = (255.0, 275.0)
_NEDT_K: Final = (0.1, 0.3)
_NIGHTS: Final = 0.3
_SUN_DEG: Final = {True: (15.0, 45.0), False: (45.0, 75.0)}
_TOLD: Final = ("water_vapor", "air_temperature")


def scene_series(count: int, *, first: int = 0, size: int = 96) -> Iterator[xr.Dataset]:
    """Draw series one after the other.

    Parameters
    ----------
    count : int
    first : int
        Number of the first; a series depends on its number and size alone.
    size : int, pixel
        Rows and columns.

    Yields
    ------
    Dataset
        A cube of ten dates with elevation and without a prior, and its truth:
        ``surface_temperature`` (K) and ``emissivity`` by date, and ``changed`` (y, x).
    """
    for number in range(first, first + count):
        yield _series(number, size)


def _series(number: int, size: int) -> xr.Dataset:
    rng = np.random.default_rng([_STREAM, number, size])
    structure = STRUCTURES[number % len(STRUCTURES)]
    relief = RELIEFS[number % len(RELIEFS)]
    base_m = float(rng.uniform(0, 1) ** 2 * 2500)
    height = base_m + draw_relief(relief, (size, size), rng)
    ground, elevation = cover(structure, height, rng, air_k=290.0)
    change = CHANGES[number % len(CHANGES)]
    land = (ground.kind != KINDS.index("water")).astype(np.float32)
    course = draw_course(rng, (size, size), change=change, plants=land)
    seen = sky_view(elevation, CELL_M)
    green = _covered_by(rng, "green", ground)
    other = _covered_by(rng, _BROUGHT[change], ground)
    made = []
    for date in range(TIMES.size):
        now = _laid(_laid(ground, green, course.green[date]), other, course.other[date])
        snowy = change == "snow" and bool(course.other[date].any())
        air_k = _SNOW_AIR_K if snowy else _AIR_K[bool(SUMMER[date])]
        made.append(_date(rng, now, elevation, seen, air_k=air_k, summer=bool(SUMMER[date])))
    return _cube(made, elevation, course, structure)


def _covered_by(rng: np.random.Generator, kind: Kind, like: Ground) -> Ground:
    """Draw a ground of one kind alone."""
    palette = draw_palette([kind], rng)
    shape = like.kind.shape

    def all_over(values: Any) -> Any:
        return np.broadcast_to(values[0], (*shape, *values.shape[1:]))

    return like._replace(
        emissivity=all_over(palette.emissivity),
        albedo=all_over(palette.albedo),
        damping=all_over(palette.damping),
        evaporation=all_over(palette.evaporation),
        anomaly_k=np.zeros(shape),
        kind=all_over(palette.kind),
    )


def _laid(below: Ground, above: Ground, share: Any) -> Ground:
    """Lay a share of one ground over another."""
    mixed = {}
    for name in ("emissivity", "albedo", "damping", "evaporation", "anomaly_k"):
        old, new = getattr(below, name), getattr(above, name)
        mixed[name] = old + (share[..., np.newaxis] if old.ndim == 3 else share) * (new - old)
    return below._replace(kind=np.where(share > 0.5, above.kind, below.kind), **mixed)


def _date(
    rng: np.random.Generator,
    ground: Ground,
    elevation: Any,
    seen: Any,
    *,
    air_k: tuple[float, float],
    summer: bool,
) -> dict[str, Any]:
    """Measure a ground once."""
    night = bool(rng.random() < _NIGHTS)
    lowest = float(elevation.min())
    warmest = max(air_k[1] - 0.006 * lowest, air_k[0] + 5.0)
    profile = draw_profile(rng, lowest_m=lowest, air_k=(air_k[0], warmest), night=night)
    view = float(rng.uniform(0.0, 8.55))
    zenith = rng.uniform(100.0, 170.0) if night else rng.uniform(*_SUN_DEG[summer])
    sun = Sun(float(zenith), float(rng.uniform(60.0, 300.0)))
    air = air_over(profile, elevation, view_zenith_deg=view)
    temperature, counts, _, known = observe(
        rng, ground, elevation, seen, air=air, sun=sun, nedt_k=_NEDT_K
    )
    told = known._asdict()
    values = {name: told[name] for one in _TOLD for name in (one, f"{one}_error")}
    return {
        "tir": np.moveaxis(counts, -1, 0),
        "surface_temperature": temperature,
        "emissivity": np.moveaxis(ground.emissivity, -1, 0),
        "view_zenith": view,
        "sun_zenith": sun.zenith,
        "sun_azimuth": sun.azimuth,
        **values,
    }


def _cube(made: list[dict[str, Any]], elevation: Any, course: Course, structure: str) -> xr.Dataset:
    stacked = {name: np.stack([one[name] for one in made]) for name in made[0]}
    rows, columns = elevation.shape
    angles = ("view_zenith", "sun_zenith", "sun_azimuth")
    ds = new_cube(
        stacked.pop("tir"),
        time=TIMES,
        y=5_000_000.0 - CELL_M * (np.arange(rows) + 0.5),
        x=500_000.0 + CELL_M * (np.arange(columns) + 0.5),
        crs="EPSG:32633",
        coordinates={name: stacked.pop(name).astype(np.float32) for name in angles},
    )
    for name, values in stacked.items():
        dims = ("time", "y", "x") if values.ndim == 3 else ("time", "band", "y", "x")
        ds[name] = (dims, values.astype(np.float32))
    ds["elevation"] = (("y", "x"), elevation.astype(np.float32))
    ds["ancillary_elevation"] = ds["elevation"].copy()
    ds["changed"] = (("y", "x"), course.changed)
    return describe(ds).assign_attrs(structure=structure, change=course.change)
