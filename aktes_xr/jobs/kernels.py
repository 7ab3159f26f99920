"""Every kernel of a retrieval, compiled before it is needed."""

from __future__ import annotations

from typing import Final, get_args

import dask
import numpy as np
import xarray as xr

from aktes_xr import sensor
from aktes_xr.compilation import cache_directory
from aktes_xr.cube import DN_UNITS, RADIANCE_UNITS, describe, new_cube
from aktes_xr.retrieval.block import Method
from aktes_xr.retrieval.mapping import retrieve

__all__ = ["compile_kernels", "sample_cube"]

_SIDE: Final = 64
_CHUNK: Final = 32
_LEVEL: Final = np.array([1362, 1423, 1496, 1709, 1802], np.uint16)
"""Digital numbers of a surface at 300 K."""


def compile_kernels() -> tuple[int, str]:
    """Retrieve a small cube by every method, as digital numbers and as radiance.

    What is compiled is kept for later processes of this user on processors like this one, so that
    workers and commands start at once; see `aktes_xr.compilation`.

    Returns
    -------
    tuple of int and str
        Number of kernels that are kept, and where.
    """
    for digital in (True, False):
        ds = sample_cube(_SIDE, digital=digital).chunk(y=_CHUNK, x=_CHUNK)
        for method in get_args(Method):
            dask.compute(retrieve(ds, method=method), scheduler="synchronous")
            dask.compute(retrieve(_bare(ds), method=method), scheduler="synchronous")
    place = cache_directory()
    return len(list(place.glob("*.kernel"))), str(place)


def sample_cube(side: int, *, digital: bool) -> xr.Dataset:
    """Make a small cube of one date at 300 K, with terrain, ancillaries and masks.

    Parameters
    ----------
    side : int
        Pixels along y and x.
    digital : bool
        Digital numbers rather than radiance.

    Returns
    -------
    Dataset
        Of one chunk.
    """
    shape = (1, side, side)
    measured = np.broadcast_to(_LEVEL, (1, side, side, 5))
    ds = new_cube(
        np.moveaxis(measured if digital else sensor.dn_to_radiance(measured), -1, 1),
        time=np.array(["2004-07-01"], "datetime64[ns]"),
        y=4_000_000.0 - 90.0 * np.arange(side, dtype=np.float64),
        x=300_000.0 + 90.0 * np.arange(side, dtype=np.float64),
        crs="EPSG:32617",
        units=DN_UNITS if digital else RADIANCE_UNITS,
        coordinates={"view_zenith": [3.0], "sun_zenith": [40.0], "sun_azimuth": [150.0]},
    )
    slope = np.arange(side, dtype=np.float32)[:, np.newaxis] * np.ones(side, np.float32)
    image = ("time", "y", "x")
    ds["elevation"] = (("y", "x"), 500.0 + 10.0 * slope, {"units": "m"})
    ds["water_vapor"] = (image, np.full(shape, 15.0, np.float32), {"units": "kg m-2"})
    ds["air_temperature"] = (image, np.full(shape, 290.0, np.float32), {"units": "K"})
    ds["cloud"] = (image, np.zeros(shape, bool))
    ds["water"] = (image, np.zeros(shape, bool))
    return describe(ds).chunk()


def _bare(ds: xr.Dataset) -> xr.Dataset:
    """Return the cube with ancillaries that are one number per date, in one chunk."""
    mean = {
        name: ds[name].mean(("y", "x"), keep_attrs=True).compute()
        for name in ("water_vapor", "air_temperature")
    }
    return ds.drop_vars(["cloud", "water"]).assign(mean).chunk(y=-1, x=-1)
