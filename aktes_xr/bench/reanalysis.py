"""Stores of the very layout of the public ERA5 stores, of which only some chunks are filled.

Names, dimensions, chunks, codecs and encodings are those of the live stores; the fields are a
simple function of place and time, so that what is read can be checked. A chunk that is not written
is NaN.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from aktes_xr.ancillaries.height import (
    GAS_CONSTANT,
    GRAVITY,
    LAPSE_RATE,
    WATER_SCALE_HEIGHT_M,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Float64Array = NDArray[np.float64]

_ORIGIN: Final = np.datetime64("2004-07-01T00")
_START: Final = np.datetime64("1940-01-01T00")
LATITUDE: Final = np.arange(90.0, -90.125, -0.25)
LONGITUDE: Final = np.arange(0.0, 360.0, 0.25)
HOURS: Final = 756_048
"""From 1940 to 31 March 2026."""
TILE: Final = (8736, 12, 12)
_AROUND: Final = (-0.75, 0.75)
"""Degrees around a place in which the temporal tiles are filled."""
EARTHMOVER: Final = {
    "t2m": ("air_temperature", "K", 1.0),
    "tcwv": ("water_vapor", "kg m**-2", 1.0),
    "sp": ("surface_pressure", "Pa", 100.0),
    "skt": ("skin_temperature", "K", 1.0),
}
ARCO: Final = {
    "2m_temperature": ("air_temperature", "K", 1.0),
    "total_column_water_vapour": ("water_vapor", "kg m**-2", 1.0),
    "surface_pressure": ("surface_pressure", "Pa", 100.0),
    "skin_temperature": ("skin_temperature", "K", 1.0),
}


@dataclass(frozen=True)
class Weather:
    """The fields, at any height: what a perfect reanalysis would hold.

    Attributes
    ----------
    origin : datetime64, when the trend in time is nothing
    """

    origin: np.datetime64 = _ORIGIN

    def orography(self, latitude: Float64Array, longitude: Float64Array) -> Float64Array:
        """Return the height of the model's surface, m.

        It is linear in both coordinates, so that bilinear interpolation is exact.

        Parameters
        ----------
        latitude, longitude : float64, degree
            Of any shape.

        Returns
        -------
        float64, m
        """
        return np.asarray(800.0 + 60.0 * (latitude - 45.0) + 40.0 * (longitude - 7.0))

    def at(
        self,
        quantity: str,
        hours: Float64Array | float,
        latitude: Float64Array,
        longitude: Float64Array,
        height: Float64Array,
    ) -> Float64Array:
        """Return a quantity at some times and places.

        Parameters
        ----------
        quantity : str
            Such as ``"air_temperature"``.
        hours : float or float64, h
            After the origin.
        latitude, longitude : float64, degree
            Of any shape.
        height : float64, m
            Height of the ground.

        Returns
        -------
        float64, K, kg m-2 or hPa
        """
        warm = 296.0 - 0.6 * (latitude - 45.0) + 0.3 * (longitude - 7.0) + 0.002 * hours
        if quantity == "air_temperature":
            return np.asarray(warm - LAPSE_RATE * height)
        if quantity == "skin_temperature":
            return np.asarray(warm + 8.0 - LAPSE_RATE * height)
        if quantity == "water_vapor":
            sea = np.log(28.0) - 0.02 * (latitude - 45.0) + 0.0004 * hours
            return np.asarray(np.exp(sea - height / WATER_SCALE_HEIGHT_M))
        power = GRAVITY / (GAS_CONSTANT * LAPSE_RATE)
        return np.asarray(1013.25 * (1.0 - LAPSE_RATE * height / warm) ** power)

    def hours(self, time: Any) -> Any:
        """Return the hours after the origin.

        Parameters
        ----------
        time : datetime64
            One time or many.

        Returns
        -------
        float64, h
        """
        return (np.asarray(time, "M8[ns]") - self.origin) / np.timedelta64(1, "h")


def _hours_around(dates: Sequence[np.datetime64], start: np.datetime64) -> list[int]:
    """Count the hours before and after each date."""
    before = [int((date - start) // np.timedelta64(1, "h")) for date in dates]
    return sorted({hour + more for hour in before for more in (0, 1)})


def _field(
    weather: Weather, quantity: str, hours: Any, rows: slice, columns: slice
) -> NDArray[np.float32]:
    latitude, longitude = np.meshgrid(LATITUDE[rows], LONGITUDE[columns], indexing="ij")
    height = weather.orography(latitude, longitude)
    after = np.asarray(hours, np.float64).reshape(-1, 1, 1)
    return weather.at(quantity, after, latitude, longitude, height).astype(np.float32)


def write_earthmover(
    folder: Path,
    dates: Sequence[np.datetime64],
    place: tuple[float, float],
    *,
    weather: Weather | None = None,
    without: Sequence[str] = (),
) -> str:
    """Write an Icechunk repository as Earthmover lays out ERA5, filled around dates and a place.

    Parameters
    ----------
    folder : Path
    dates : datetime64, UTC
    place : (latitude, longitude), degrees; the temporal tiles around it are filled
    weather : Weather, optional
    without : names of variables that it shall lack

    Returns
    -------
    str
        Its snapshot.
    """
    import icechunk
    import zarr

    weather = Weather() if weather is None else weather
    storage = icechunk.local_filesystem_storage(str(folder))
    try:
        # Icechunk 2: the format that both read.
        repository = icechunk.Repository.create(storage, spec_version=1)  # type: ignore[call-arg]
    except TypeError:
        repository = icechunk.Repository.create(storage)
    session = repository.writable_session("main")
    root = zarr.open_group(session.store, mode="a")
    names = [name for name in EARTHMOVER if name not in without]
    spatial = _earthmover_group(root, "single/spatial", (1, 721, 1440), names, weather)
    _earthmover_group(root, "single/temporal", TILE, names, weather)
    offset = float(weather.hours(_START))
    everywhere = slice(None)
    for name in names:
        quantity, _, scale = EARTHMOVER[name]
        for hour in _hours_around(dates, _START):
            field = _field(weather, quantity, offset + hour, everywhere, everywhere)
            spatial[name][hour] = field[0] * np.float32(scale)
    _fill_tiles(root["single/temporal"], dates, place, names, weather)
    return str(session.commit("ERA5"))


def fill_tiles(folder: Path, dates: Sequence[np.datetime64], place: tuple[float, float]) -> None:
    """Fill the temporal tiles of a repository for further dates, of the default weather.

    Parameters
    ----------
    folder : Path
        As `write_earthmover` left it.
    dates : datetime64, UTC
    place : (latitude, longitude), degrees
    """
    import icechunk
    import zarr

    repository = icechunk.Repository.open(icechunk.local_filesystem_storage(str(folder)))
    session = repository.writable_session("main")
    group = zarr.open_group(session.store, mode="a", path="single/temporal")
    _fill_tiles(group, dates, place, list(EARTHMOVER), Weather())
    session.commit("more years")


def _fill_tiles(
    group: Any,
    dates: Sequence[np.datetime64],
    place: tuple[float, float],
    names: Sequence[str],
    weather: Weather,
) -> None:
    rows_around = sorted({int((90.0 - place[0] + away) / 0.25) // 12 for away in _AROUND})
    columns_around = sorted({int((place[1] + away) % 360.0 / 0.25) // 12 for away in _AROUND})
    offset = float(weather.hours(_START))
    for block in sorted({hour // TILE[0] for hour in _hours_around(dates, _START)}):
        hours = np.arange(block * TILE[0], min((block + 1) * TILE[0], HOURS))
        for row in rows_around:
            for column in columns_around:
                rows = slice(row * 12, row * 12 + 12)
                columns = slice(column * 12, column * 12 + 12)
                for name in names:
                    quantity, _, scale = EARTHMOVER[name]
                    field = _field(weather, quantity, offset + hours, rows, columns)
                    group[name][hours[0] : hours[-1] + 1, rows, columns] = field * np.float32(scale)


def _earthmover_group(
    root: Any, path: str, chunks: tuple[int, int, int], names: Sequence[str], weather: Weather
) -> Any:
    from zarr.codecs.numcodecs import PCodec

    group = root.require_group(path)
    dims = ("valid_time", "latitude", "longitude")
    _coordinates(group, "valid_time", "hours since 1940-01-01", HOURS)
    for name in names:
        group.create_array(
            name,
            shape=(HOURS, 721, 1440),
            chunks=chunks,
            dtype="float32",
            fill_value=float("nan"),
            dimension_names=dims,
            serializer=PCodec(),
            compressors=None,
            attributes={"units": EARTHMOVER[name][1], "GRIB_shortName": name},
        )
    ground = group.create_array(
        "z_sfc",
        shape=(721, 1440),
        chunks=(721, 1440),
        dtype="float32",
        fill_value=float("nan"),
        dimension_names=dims[1:],
        serializer=PCodec(),
        compressors=None,
        attributes={"units": "m**2 s**-2", "long_name": "Geopotential at the surface"},
    )
    grid = np.meshgrid(LATITUDE, LONGITUDE, indexing="ij")
    ground[:] = (weather.orography(*grid) * GRAVITY).astype(np.float32)
    return group


def _coordinates(group: Any, time: str, units: str, count: int) -> None:
    old = group.metadata.zarr_format == 2
    hours = group.create_array(
        time,
        fill_value=None if old else 0,
        shape=(count,),
        chunks=(count,),
        dtype="int64",
        dimension_names=None if old else (time,),
        attributes={
            "units": units,
            "calendar": "proleptic_gregorian",
            "standard_name": "time",
            **({"_ARRAY_DIMENSIONS": [time]} if old else {}),
        },
    )
    hours[:] = np.arange(count)
    for name, values, unit in (
        ("latitude", LATITUDE, "degrees_north"),
        ("longitude", LONGITUDE, "degrees_east"),
    ):
        array = group.create_array(
            name,
            shape=values.shape,
            chunks=values.shape,
            dtype="float32",
            dimension_names=None if old else (name,),
            fill_value=float("nan"),
            attributes={
                "units": unit,
                "standard_name": name,
                **({"_ARRAY_DIMENSIONS": [name]} if old else {}),
            },
        )
        array[:] = values.astype(np.float32)


def write_arco(
    folder: Path,
    dates: Sequence[np.datetime64],
    *,
    weather: Weather | None = None,
    last_day: str = "2026-05-31",
) -> None:
    """Write a Zarr store as Google lays out ARCO-ERA5, filled around dates.

    Its time axis runs from 1900 to 2050, and where it is not filled it is NaN.

    Parameters
    ----------
    folder : Path
    dates : datetime64, UTC
    weather : Weather, optional
    last_day : str, what ``valid_time_stop_era5t`` says
    """
    import numcodecs
    import zarr

    weather = Weather() if weather is None else weather
    start = np.datetime64("1900-01-01T00")
    group = zarr.open_group(folder, mode="w", zarr_format=2)
    group.attrs.update(
        {
            "valid_time_start": "1940-01-01",
            "valid_time_stop": "2026-04-30",
            "valid_time_stop_era5t": last_day,
            "last_updated": "2026-06-05 02:15:36.622817+00:00",
        }
    )
    _coordinates(group, "time", "hours since 1900-01-01", 1_323_648)
    blosc = numcodecs.Blosc(cname="lz4", clevel=5, shuffle=1)
    needed = _hours_around(dates, start)
    offset = float(weather.hours(start))
    for name, (quantity, units, scale) in ARCO.items():
        array = group.create_array(
            name,
            shape=(1_323_648, 721, 1440),
            chunks=(1, 721, 1440),
            dtype="float32",
            fill_value=float("nan"),
            compressors=blosc,
            attributes={"units": units, "_ARRAY_DIMENSIONS": ["time", "latitude", "longitude"]},
        )
        for hour in needed:
            field = _field(weather, quantity, offset + hour, slice(None), slice(None))
            array[hour] = field[0] * np.float32(scale)
    ground = group.create_array(
        "geopotential_at_surface",
        shape=(721, 1440),
        chunks=(721, 1440),
        dtype="float32",
        fill_value=float("nan"),
        compressors=blosc,
        attributes={"units": "m**2 s**-2", "_ARRAY_DIMENSIONS": ["latitude", "longitude"]},
    )
    grid = np.meshgrid(LATITUDE, LONGITUDE, indexing="ij")
    ground[:] = (weather.orography(*grid) * GRAVITY).astype(np.float32)
    zarr.consolidate_metadata(folder, zarr_format=2)
