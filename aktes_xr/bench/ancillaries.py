"""What ancillaries of a public reanalysis cost in bytes, and whether they are right.

Stores of the layout of the public ones are written, served on loopback, and read for a region of
half a degree: for one date, and for a hundred, sixteen days apart. The live stores are not reached.
The fields are a smooth function, so that their chunks compress better than the real ones, which
hold 4.2 MB (an hour of the globe) or 5.0 MB (8736 hours of 3 x 3 degrees) before compression.
"""

from __future__ import annotations

import os
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import dask.array as da
import numpy as np
import xarray as xr

from aktes_xr import cube
from aktes_xr.ancillaries import add_ancillaries
from aktes_xr.bench.checks import BenchResult, Check, Table
from aktes_xr.bench.loopback import Traffic, serve
from aktes_xr.bench.reanalysis import ARCO, Weather, write_arco, write_earthmover
from aktes_xr.catalog import Source, source

if TYPE_CHECKING:
    from numpy.typing import NDArray

PLACE: Final = (43.6, 7.4)
_EPSG: Final = 32632
_PIXEL_M: Final = 500.0
_SIDE: Final = 110
_CENTRE: Final = (370_900.0, 4_828_600.0)
_FIRST: Final = np.datetime64("2004-01-09T10:41")
_REPEAT: Final = np.timedelta64(16, "D")
_COLUMNS: Final = ("store", "dates", "what", "requests", "MB sent")
_WANTED: Final = ("water_vapor", "air_temperature")


def run(*, quick: bool) -> BenchResult:
    """Count the bytes for one date and for many, and compare values with the fields themselves.

    Parameters
    ----------
    quick : bool
        Ten dates for a hundred.
    """
    many = _FIRST + _REPEAT * np.arange(10 if quick else 100)
    with tempfile.TemporaryDirectory(prefix="aktes-") as name:
        root = Path(name)
        write_earthmover(root / "bucket" / "icechunkV2", list(many[:1]), PLACE)
        _fill_years(root, many)
        write_arco(root / "arco", list(many[:1]))
        _link_hours(root / "arco", many)
        with serve(root) as traffic:
            era5 = replace(source("era5"), url="s3://bucket/icechunkV2", endpoint=traffic.address)
            arco = replace(source("arco-era5"), url=f"{traffic.address}/arco")
            rows = [
                row
                for name, store in (("era5", era5), ("arco-era5", arco))
                for dates in (many[:1], many)
                for row in _count(name, store, dates, traffic)
            ]
            errors = {name: _worst(store, many[:1]) for name, store in _both(era5, arco)}
    checks = [
        Check.at_most(
            f"{name}: temperature off the field at place, hour and height", off, 0.01, "K"
        )
        for name, off in errors.items()
    ]
    read = {(row[0], row[1]): row[4] for row in rows if row[2] == "fields"}
    series = float(read["era5", many.size]) / float(read["era5", 1])
    checks.append(
        Check.at_most("era5: bytes of a series over one date's", series, many.size / 3, "1")
    )
    return BenchResult(checks, [Table("Bytes for a region of half a degree", _COLUMNS, rows)])


def _both(era5: Source, arco: Source) -> tuple[tuple[str, Source], ...]:
    return ("era5", era5), ("arco-era5", arco)


def _region(dates: NDArray[np.datetime64]) -> xr.Dataset:
    steps = _PIXEL_M * (np.arange(_SIDE, dtype=np.float64) - (_SIDE - 1) / 2)
    ds = cube.new_cube(
        da.ones((dates.size, 5, _SIDE, _SIDE), dtype="uint16", chunks=(1, 5, -1, -1)),
        time=dates,
        y=np.asarray(_CENTRE[1] - steps, np.float64),
        x=np.asarray(_CENTRE[0] + steps, np.float64),
        crs=f"EPSG:{_EPSG}",
    )
    height = da.full((_SIDE, _SIDE), np.float32(900.0), chunks=-1)
    ds["elevation"] = (("y", "x"), height)
    return cube.describe(ds)


def _fill_years(root: Path, dates: NDArray[np.datetime64]) -> None:
    """Write the temporal tiles of the years that the first date is not in."""
    if dates.size > 1:
        from aktes_xr.bench.reanalysis import fill_tiles

        fill_tiles(root / "bucket" / "icechunkV2", list(dates), PLACE)


def _link_hours(store: Path, dates: NDArray[np.datetime64]) -> None:
    """Let the first date's hours stand for all others, since only their bytes are counted."""
    start = np.datetime64("1900-01-01T00")
    hours = [int((date - start) // np.timedelta64(1, "h")) for date in dates]
    for name in ARCO:
        for hour in hours[1:]:
            for more in (0, 1):
                os.link(
                    store / name / f"{hours[0] + more}.0.0", store / name / f"{hour + more}.0.0"
                )


def _count(
    name: str, store: Source, dates: NDArray[np.datetime64], traffic: Traffic
) -> list[tuple[str, int, str, int, float]]:
    traffic.clear()
    found = add_ancillaries(_region(dates), store, variables=_WANTED)
    opening = (name, int(dates.size), "opening", len(traffic.sent), traffic.bytes_of() / 1e6)
    traffic.clear()
    found[list(_WANTED)].mean(("y", "x")).compute()
    fields = (name, int(dates.size), "fields", len(traffic.sent), traffic.bytes_of() / 1e6)
    return [opening, fields]


def _worst(store: Source, dates: NDArray[np.datetime64]) -> float:
    import pyproj

    ds = _region(dates)
    found = add_ancillaries(ds, store, variables=["air_temperature"])["air_temperature"]
    to_degrees = pyproj.Transformer.from_crs(_EPSG, 4326, always_xy=True)
    longitude, latitude = to_degrees.transform(*np.meshgrid(ds["x"], ds["y"]))
    weather, height = Weather(), np.full(latitude.shape, 900.0)
    hours = float(weather.hours(dates[0]))
    true = weather.at("air_temperature", hours, latitude, longitude, height)
    return float(np.abs(found[0].to_numpy() - true).max())
