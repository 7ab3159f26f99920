"""One scene by its number: draws, in order, relief, structure, air, heat, measurement, ancillaries.

Structures take turns from scene to scene, and reliefs from round to round of structures, so that
any run of scenes has them in equal shares.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import xarray as xr

from aktes_xr.bench.world.air import air_over, draw_profile
from aktes_xr.bench.world.cover import STRUCTURES, cover
from aktes_xr.bench.world.heat import Sun
from aktes_xr.bench.world.horizon import sky_view
from aktes_xr.bench.world.overpass import observe
from aktes_xr.bench.world.relief import CELL_M, RELIEFS, draw_relief
from aktes_xr.bench.world.spectra import METAL
from aktes_xr.cube import describe, new_cube
from aktes_xr.errors import InputError
from aktes_xr.sensor import BANDS

_SIZES: Final = (128, 128, 160)
_VIEW_DEG: Final = (0.0, 8.55)
_NEDT_K: Final = (0.1, 0.3)
_STREAM: Final = 20_000
"""First number of every seed: no other generator of the package starts with it."""
_AIR_K: Final[dict[str, tuple[float, float]]] = {
    "snow": (240.0, 281.0),
    "open sea": (266.0, 306.0),
    "lakes and rivers": (262.0, 312.0),
}
_ANY_AIR_K: Final = (243.0, 315.0)
_COLDEST_PEAK_K: Final = 238.0
_CRS: Final = "EPSG:32633"
_ORIGIN_M: Final = (500_000.0, 5_000_000.0)


def scenes(count: int, *, first: int = 0, size: int | None = None) -> Iterator[xr.Dataset]:
    """Draw scenes one after the other; see `scene`.

    Parameters
    ----------
    count : int
        Number of scenes.
    first : int
        Number of the first; a scene depends on its number alone.
    size : int, optional, pixel
        Side of a scene; by default that of `scene`.

    Yields
    ------
    Dataset
    """
    for number in range(first, first + count):
        yield scene(number, size=size)


def scene(number: int, *, size: int | None = None) -> xr.Dataset:
    """Make a scene of one date.

    Parameters
    ----------
    number : int
        Which; a scene depends on it (and on ``size``) alone.
    size : int, optional
        Rows and columns; None: 128 or 160.

    Returns
    -------
    Dataset
        A cube that `aktes_xr.cube.check` accepts: ``tir`` (DN), ``elevation``, angles, water
        vapour, air temperature and emissivity prior with their stated errors. Its truth beside it:
        ``surface_temperature`` (K), ``emissivity``, ``sky_view_factor``, ``kind`` (index into
        `KINDS`), ``surface``, ``body`` (lakes, rivers and blocks), ``in_domain`` (not metal),
        ``precipitable_water``, ``true_air_temperature``, ``surface_pressure_true`` (hPa),
        ``transmittance``, ``path_radiance``, ``sky_radiance``. Attributes ``structure``,
        ``relief_kind``, ``night``, ``nedt_k``.

    Raises
    ------
    InputError
        If the number is negative, or the size smaller than 16.
    """
    if number < 0 or (size is not None and size < 16):
        raise InputError(
            f"found scene {number} of {size} pixels, expected a number from 0 on and a size of at "
            "least 16"
        )
    rng = np.random.default_rng([_STREAM, number])
    turn = number // len(STRUCTURES)
    structure = STRUCTURES[number % len(STRUCTURES)]
    relief = RELIEFS[(turn + number % len(STRUCTURES)) % len(RELIEFS)]
    relief = "flat" if structure == "open sea" else relief
    side = int(rng.choice(_SIZES)) if size is None else size
    night = bool(rng.random() < 0.5)
    base_m = 0.0 if structure == "open sea" else float(rng.uniform(0, 1) ** 2 * 3500)
    height = draw_relief(relief, (side, side), rng)
    coldest, warmest = _AIR_K.get(structure, _ANY_AIR_K)
    # 6 K per km: high ground is never as warm as the sea, nor a peak colder than any on Earth.
    coldest = max(coldest, _COLDEST_PEAK_K + 0.006 * float(np.ptp(height)))
    warmest = max(warmest - 0.006 * base_m, coldest + 5.0)
    profile = draw_profile(rng, lowest_m=base_m, air_k=(coldest, warmest), night=night)
    ground, elevation = cover(
        structure, base_m + height, rng, air_k=float(profile.temperature_k[0])
    )
    view = float(rng.uniform(*_VIEW_DEG))
    sun = Sun(
        float(rng.uniform(100, 170) if night else rng.uniform(15, 78)), float(rng.uniform(60, 300))
    )
    air = air_over(profile, elevation, view_zenith_deg=view)
    seen = sky_view(elevation, CELL_M)
    made = observe(rng, ground, elevation, seen, air=air, sun=sun, nedt_k=_NEDT_K)
    temperature, counts, nedt, told = made
    ds = _cube(counts, number, view=view, sun=sun)
    truth = {
        "surface_temperature": (temperature, "K"),
        "precipitable_water": (air.precipitable_water, "kg m-2"),
        "true_air_temperature": (air.air_temperature, "K"),
        "surface_pressure_true": (air.surface_pressure, "hPa"),
        "transmittance": (air.transmittance, "1"),
        "path_radiance": (air.path_radiance, "W m-2 sr-1 um-1"),
        "sky_radiance": (air.sky_radiance, "W m-2 sr-1 um-1"),
    }
    for name, values in told._asdict().items():
        dated = "prior" not in name
        ds[name] = _variable(values, dated=dated, dtype=np.float32)
    for name, (values, units) in truth.items():
        ds[name] = _variable(values, dated=True, dtype=np.float32, units=units)
    ds["elevation"] = _variable(elevation, dated=False, dtype=np.float32)
    ds["ancillary_elevation"] = ds["elevation"].copy()
    ds["emissivity"] = _variable(ground.emissivity, dated=False, dtype=np.float32, units="1")
    ds["sky_view_factor"] = _variable(seen, dated=False, dtype=np.float32, units="1")
    for name, values in (("kind", ground.kind), ("surface", ground.surface)):
        ds[name] = _variable(values, dated=False, dtype=np.int32)
    ds["body"] = _variable(ground.body, dated=False, dtype=np.bool_)
    ds["in_domain"] = _variable(ground.kind != METAL, dated=False, dtype=np.bool_)
    ds.attrs = {
        "structure": structure,
        "relief_kind": relief,
        "night": int(night),
        "nedt_k": nedt,
        "number": number,
    }
    return describe(ds)


def _cube(counts: Any, number: int, *, view: float, sun: Sun) -> xr.Dataset:
    rows, columns = counts.shape[:2]
    left, top = _ORIGIN_M
    return new_cube(
        np.moveaxis(counts, -1, 0)[np.newaxis],
        time=np.array([np.datetime64("2005-01-01T10:30") + np.timedelta64(number, "D")]),
        y=top - CELL_M * (np.arange(rows) + 0.5),
        x=left + CELL_M * (np.arange(columns) + 0.5),
        crs=_CRS,
        coordinates={
            "view_zenith": np.array([view], np.float32),
            "sun_zenith": np.array([sun.zenith], np.float32),
            "sun_azimuth": np.array([sun.azimuth], np.float32),
            "processing_version": np.array(["simulated"]),
        },
    ).assign_coords(band=np.array(BANDS, dtype=object))


def _variable(
    values: Any, *, dated: bool, dtype: Any, units: str | None = None
) -> tuple[tuple[str, ...], Any, dict[str, str]]:
    """Put bands first, and a date before them where there is one."""
    array = np.asarray(values).astype(dtype)
    dims: tuple[str, ...] = ("y", "x")
    if array.ndim == 3:
        array, dims = np.moveaxis(array, -1, 0), ("band", *dims)
    if dated:
        array, dims = array[np.newaxis], ("time", *dims)
    return dims, array, {} if units is None else {"units": units}
