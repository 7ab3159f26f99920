"""A whole granule, or a series of them over one ground: the cube, what is told, and the truth."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from aktes_xr import sensor
from aktes_xr.cube import describe, new_cube
from aktes_xr.radiative.atmosphere import surface_pressure_from_elevation
from aktes_xr.radiative.table import sample_atmospheres
from aktes_xr.simulate.atmospheres import (
    OZONE_SCALE,
    TEMPERATURE_SHIFT_K,
    ground_pressure,
    members,
)
from aktes_xr.simulate.emissivity import SPLITS
from aktes_xr.simulate.ground import climatology, ground_dataset, make_ground
from aktes_xr.simulate.landscape import Ground, Landscape, Moment, illuminate
from aktes_xr.simulate.resampling import resampled_noise
from aktes_xr.simulate.settings import SceneSettings
from aktes_xr.simulate.texture import fractal_noise
from aktes_xr.terrain import cast_shadow, grid_convergence
from aktes_xr.terrain.solar import solar_position

LOCAL_HOUR_DAY: Final = 10.6
LOCAL_HOUR_NIGHT: Final = 22.4
REPEAT_DAYS: Final = 16
SWATH_TILT_DEG: Final = 9.0
_WATER_SCALE: Final = (0.75, 1.3)
_CLOUD_PATCH_M: Final = 12_000.0
_CLOUD_SOFTNESS: Final = 0.6
_CLOUD_VISIBLE: Final = 0.02
_ERROR_PATCH_M: Final = 20_000.0


def _centre(elevation: xr.DataArray) -> tuple[float, float]:
    from pyproj import Transformer

    to_degrees = Transformer.from_crs(elevation.rio.crs, 4326, always_xy=True)
    x, y = float(elevation["x"].mean()), float(elevation["y"].mean())
    longitude, latitude = to_degrees.transform(x, y)
    return float(longitude), float(latitude)


def scene_dates(settings: SceneSettings, *, longitude: float) -> tuple[datetime, ...]:
    """Return the dates of a series.

    Parameters
    ----------
    settings : SceneSettings
        Its dates are taken as they are. Without any there are overpasses every 16 days from 15 July
        2003.
    longitude : float, degrees
        Of the scene; it turns local time into UTC.

    Returns
    -------
    tuple of datetime, UTC
    """
    if settings.dates:
        return settings.dates
    hour = LOCAL_HOUR_NIGHT if settings.night else LOCAL_HOUR_DAY
    first = datetime(2003, 7, 15, tzinfo=UTC) + timedelta(hours=hour - longitude / 15)
    first = first.replace(microsecond=0)
    return tuple(first + timedelta(days=REPEAT_DAYS * number) for number in range(settings.count))


def swath_mask(shape: tuple[int, int], *, tilt_deg: float = SWATH_TILT_DEG) -> NDArray[np.bool_]:
    """Return where the tilted swath has data.

    The swath is a rectangle that touches all four edges.

    Parameters
    ----------
    shape : tuple of int
        Rows and columns.
    tilt_deg : float, degrees
        Angle of the swath.

    Returns
    -------
    ndarray (y, x), bool
    """
    rows, columns = shape
    sine, cosine = np.sin(np.deg2rad(tilt_deg)), np.cos(np.deg2rad(tilt_deg))
    across = (columns * cosine - rows * sine) / (cosine**2 - sine**2)
    along = (rows * cosine - columns * sine) / (cosine**2 - sine**2)
    y, x = np.mgrid[:rows, :columns] + 0.5
    y, x = y - rows / 2, x - columns / 2
    inside = np.abs(x * cosine + y * sine) <= across / 2
    return np.asarray(inside & (np.abs(y * cosine - x * sine) <= along / 2))


def draw_air_mass(
    rng: np.random.Generator, settings: SceneSettings, elevation: NDArray[np.float32]
) -> dict[str, Any]:
    """Draw a profile and its perturbation that suit the scene's water vapour and season.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of the numbers.
    settings : SceneSettings
        Ranges of water vapour and air temperature.
    elevation : ndarray (y, x), float32, m
        The profile reaches down to the lowest ground where one does.

    Returns
    -------
    dict
        ``profile`` (number), ``water_scale`` (1), ``temperature_shift_k`` (K) and ``ozone_scale``
        (1).
    """
    profiles = members(settings.split, "G")
    needed = float(surface_pressure_from_elevation(float(elevation.min())))
    deep = ground_pressure()[profiles] >= min(needed, ground_pressure()[profiles].max()) - 1e-6
    profiles = profiles[deep]
    middle = float(surface_pressure_from_elevation(float(np.median(elevation))))
    dry, wet = np.log(_WATER_SCALE)
    scale = np.exp(rng.uniform(dry, wet, size=profiles.size))
    shift = np.clip(TEMPERATURE_SHIFT_K * rng.standard_normal(profiles.size), -6.0, 6.0)
    air = sample_atmospheres(
        profiles,
        surface_pressure_hpa=np.clip(middle, 500.0, 1013.25),
        water_scale=scale,
        temperature_shift_k=shift,
    )
    low, high = settings.water_vapor_range
    far = np.maximum(low - air.precipitable_water, 0) + np.maximum(air.precipitable_water - high, 0)
    cold, warm = settings.air_temperature_range_k
    far += np.maximum(cold - air.air_temperature, 0) + np.maximum(air.air_temperature - warm, 0)
    best = np.flatnonzero(far <= far.min() + 1e-6)
    chosen = int(rng.choice(best))
    return {
        "profile": int(profiles[chosen]),
        "water_scale": float(scale[chosen]),
        "temperature_shift_k": float(shift[chosen]),
        "ozone_scale": float(np.clip(1 + OZONE_SCALE * rng.standard_normal(), 0.6, 1.4)),
    }


def _cover_with_clouds(
    scene: Landscape, rng: np.random.Generator, cell_m: float
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Lay clouds over the radiance; return it and where there is any."""
    shape = scene.surface_temperature.shape
    field = fractal_noise(shape, _CLOUD_PATCH_M / cell_m, rng, octaves=5)
    opacity = np.clip((field - 0.8) / _CLOUD_SOFTNESS, 0.0, 1.0).astype(np.float32)
    top = scene.air.air_temperature - 12.0 - 25.0 * opacity
    emitted = sensor.brightness_temperature_to_radiance(
        np.broadcast_to(top[..., np.newaxis], (*shape, 5)).astype(np.float32)
    )
    share = opacity[..., np.newaxis]
    covered = scene.toa_radiance + share * (emitted - scene.toa_radiance)
    return covered.astype(np.float32), opacity > _CLOUD_VISIBLE


def _told(
    truth: NDArray[np.float32], rng: np.random.Generator, cell_m: float
) -> NDArray[np.float32]:
    """Draw a unit error: mostly common to the scene, partly varying over tens of kilometres."""
    smooth = fractal_noise(truth.shape, _ERROR_PATCH_M / cell_m, rng, octaves=1)
    return (0.8 * rng.standard_normal() + 0.6 * smooth).astype(np.float32)


def simulate_date(
    elevation: xr.DataArray,
    ground: Ground,
    settings: SceneSettings,
    *,
    number: int,
    date: datetime,
) -> xr.Dataset:
    """Simulate one date of a series.

    Parameters
    ----------
    elevation : DataArray (y, x), m
        With a coordinate reference system.
    ground : Ground
        What does not change from date to date.
    settings : SceneSettings
        The scene's settings.
    number : int
        Number of the date in the series; it seeds the random numbers.
    date : datetime
        Time of the acquisition, with a time zone.

    Returns
    -------
    Dataset
        One date, with the variables of `simulate_scene`.
    """
    rng = np.random.default_rng([settings.seed, SPLITS.index(settings.split), 2, number])
    longitude, latitude = _centre(elevation)
    sun_zenith, sun_azimuth = solar_position(date, longitude=longitude, latitude=latitude)
    shadow = np.zeros(ground.elevation.shape, dtype=bool)
    if sun_zenith < 90:
        shadow = np.asarray(cast_shadow(elevation, sun_zenith, sun_azimuth).to_numpy())
    view = rng.uniform(0.0, 8.55) if settings.view_zenith is None else settings.view_zenith
    moment = Moment(
        **draw_air_mass(rng, settings, ground.elevation),
        view_zenith=float(view),
        sun_zenith=sun_zenith,
        sun_azimuth=sun_azimuth - grid_convergence(elevation),
        shadow=shadow,
    )
    scene = illuminate(ground, moment, rng)
    cell = float(np.mean(ground.cell_size_m))
    radiance, cloud = scene.toa_radiance, np.zeros(shadow.shape, dtype=bool)
    if settings.clouds:
        radiance, cloud = _cover_with_clouds(scene, rng, cell)
    counts = _count(radiance, settings, rng)
    rows, columns = ground.elevation.shape
    inside = np.ones((rows, columns), dtype=bool)
    if settings.swath:
        inside = swath_mask((rows, columns))
    counts[~inside] = sensor.FILL_DN
    ds = new_cube(
        np.moveaxis(counts, -1, 0)[np.newaxis],
        time=np.array([np.datetime64(date.astimezone(UTC).replace(tzinfo=None), "ns")]),
        y=elevation["y"].to_numpy(),
        x=elevation["x"].to_numpy(),
        crs=elevation.rio.crs,
        coordinates={
            "view_zenith": np.array([view], dtype=np.float32),
            "sun_zenith": np.array([sun_zenith], dtype=np.float32),
            "sun_azimuth": np.array([sun_azimuth], dtype=np.float32),
        },
    )
    water_error = settings.water_vapor_error * _told(ground.elevation, rng, cell)
    air_error = settings.air_temperature_error_k * _told(ground.elevation, rng, cell)
    water = scene.air.precipitable_water * np.exp(water_error)
    told = {
        "water_vapor": water,
        "water_vapor_error": settings.water_vapor_error * water,
        "air_temperature": scene.air.air_temperature + air_error,
        "air_temperature_error": np.full_like(water, settings.air_temperature_error_k),
    }
    truth = {
        "surface_temperature": (np.where(inside, scene.surface_temperature, np.nan), "K"),
        "precipitable_water": (scene.air.precipitable_water, "kg m-2"),
        "true_air_temperature": (scene.air.air_temperature, "K"),
        "solar_incidence": (scene.solar_incidence, "1"),
    }
    for name, values in told.items():
        ds[name] = (("time", "y", "x"), values[np.newaxis].astype(np.float32))
    ds["ancillary_elevation"] = (("y", "x"), ground.elevation)
    for name, values in climatology(ground, settings).items():
        ds[name] = (("band", "y", "x"), np.moveaxis(values, -1, 0))
    for name, (values, units) in truth.items():
        ds[name] = (("time", "y", "x"), values[np.newaxis].astype(np.float32), {"units": units})
    for name, values, units in (
        ("transmittance", scene.air.transmittance, "1"),
        ("path_radiance", scene.air.path_radiance, sensor.RADIANCE_UNITS),
        ("sky_radiance", scene.air.sky_radiance, sensor.RADIANCE_UNITS),
        ("adjacent_radiance", scene.adjacent_radiance, sensor.RADIANCE_UNITS),
    ):
        planes = np.moveaxis(values, -1, 0)[np.newaxis].astype(np.float32)
        ds[name] = (("time", "band", "y", "x"), planes, {"units": units})
    ds["cloud"] = (("time", "y", "x"), cloud[np.newaxis])
    return describe(ds)


def _count(
    radiance: NDArray[np.float32], settings: SceneSettings, rng: np.random.Generator
) -> NDArray[np.uint16]:
    """Add noise and quantise."""
    sigma = sensor.noise_equivalent_radiance(np.full(5, settings.nedt_k)).astype(np.float32)
    noise = resampled_noise(rng, radiance.shape, settings.resampling)
    counts: NDArray[np.uint16] = sensor.radiance_to_dn(radiance + sigma * noise)
    return counts


def simulate_dates(
    elevation: xr.DataArray, settings: SceneSettings, ground: Ground
) -> Iterator[xr.Dataset]:
    """Simulate the dates of a series one after the other.

    Parameters
    ----------
    elevation : DataArray (y, x), m
        With a coordinate reference system.
    settings : SceneSettings
        The scene's settings.
    ground : Ground
        What does not change from date to date.

    Yields
    ------
    Dataset
        One date.
    """
    longitude, _ = _centre(elevation)
    for number, date in enumerate(scene_dates(settings, longitude=longitude)):
        yield simulate_date(elevation, ground, settings, number=number, date=date)


def simulate_scene(elevation: xr.DataArray, settings: SceneSettings | None = None) -> xr.Dataset:
    """Simulate granules over a piece of terrain.

    Parameters
    ----------
    elevation : DataArray (y, x), m
        Projected, north up, without gaps; its pixels are the granule's.
    settings : SceneSettings, optional

    Returns
    -------
    Dataset
        The cube (`aktes_xr.cube`): ``tir`` (DN), ``elevation``, per-time angles, and what is told
        with its error: ``water_vapor``, ``air_temperature``, both at each pixel's own height
        (``ancillary_elevation``). Truth: ``surface_temperature`` (NaN
        outside the swath), ``emissivity``, ``precipitable_water``, ``true_air_temperature``,
        ``transmittance``, ``path_radiance``, ``sky_radiance``, ``adjacent_radiance``,
        ``solar_incidence``, ``sky_view_factor``, ``slope``, ``relief``, ``surface_class``,
        ``cloud``.

    Raises
    ------
    InputError
        If the elevation has gaps, or a setting is out of range.
    """
    chosen = SceneSettings() if settings is None else settings
    ground = make_ground(elevation, chosen)
    dates = list(simulate_dates(elevation, chosen, ground))
    series = xr.concat(dates, dim="time", data_vars="minimal", coords="minimal", compat="override")
    return series.merge(ground_dataset(elevation, ground), compat="override", join="override")
