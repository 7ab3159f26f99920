"""Small cubes at a known place, for what is brought to them."""

from __future__ import annotations

from collections.abc import Sequence

import dask.array as da
import numpy as np
import pyproj
import xarray as xr

from aktes_xr import cube

PLACE = (43.6, 7.4)
DATES = ("2004-07-03T10:41", "2004-07-19T10:41:30")


def cube_at(
    place: tuple[float, float] = PLACE,
    *,
    dates: Sequence[str] = DATES,
    shape: tuple[int, int] = (70, 90),
    chunk: int = 64,
    elevation: bool = True,
    epsg: int = 32632,
    pixel: float = 90.0,
) -> xr.Dataset:
    """Make a cube of digital numbers whose centre is at (latitude, longitude)."""
    to_metres = pyproj.Transformer.from_crs(4326, epsg, always_xy=True)
    x, y = to_metres.transform(place[1], place[0])
    rows, columns = shape
    ds = cube.new_cube(
        da.ones((len(dates), 5, rows, columns), dtype="uint16", chunks=(1, 5, chunk, chunk)),
        time=np.array(dates, "M8[ns]"),
        y=round(y) + pixel * (rows / 2 - 0.5 - np.arange(rows)),
        x=round(x) + pixel * (np.arange(columns) - columns / 2 + 0.5),
        crs=f"EPSG:{epsg}",
    )
    if elevation:
        wave = 900.0 + 500.0 * np.sin(np.arange(rows) / 9.0)[:, np.newaxis]
        height = wave + np.linspace(-100.0, 100.0, columns)
        ds["elevation"] = (("y", "x"), height.astype(np.float32), {"units": "m"})
    return cube.describe(ds)


def degrees_of(ds: xr.Dataset) -> tuple[np.ndarray, np.ndarray]:
    """Latitude and longitude of each pixel."""
    to_degrees = pyproj.Transformer.from_crs(ds.rio.crs, 4326, always_xy=True)
    longitude, latitude = to_degrees.transform(*np.meshgrid(ds["x"], ds["y"]))
    return latitude, longitude
