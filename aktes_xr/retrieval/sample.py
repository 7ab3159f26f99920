"""A small cube and even terrain, to compile kernels by and to measure a retrieval's pace with."""

from __future__ import annotations

from typing import Any, Final

import dask.array as da
import numpy as np
import xarray as xr

from aktes_xr import sensor
from aktes_xr.cube import DN_UNITS, RADIANCE_UNITS, describe, new_cube
from aktes_xr.models.bundle import Bundle

LEVEL: Final = np.array([1362, 1423, 1496, 1709, 1802], np.uint16)
"""Digital numbers of a surface at 300 K."""


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
    measured = np.broadcast_to(LEVEL, (1, side, side, 5))
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


def even_terrain(ds: xr.Dataset, complexity_k: float, *, lazy: bool = False) -> xr.Dataset:
    """Terrain of one complexity (K) everywhere; in memory, or ``lazy`` as that of a region is."""
    values = {
        "terrain_complexity_k": complexity_k,
        "sky_view_factor": 0.93,
        "slope": 14.0,
        "aspect": 200.0,
        "relief": 240.0,
    }
    shape = (ds.sizes["y"], ds.sizes["x"])
    chunks = (ds.chunksizes["y"], ds.chunksizes["x"]) if lazy else "auto"
    fields: dict[str, Any] = {
        name: da.full(shape, value, dtype=np.float32, chunks=chunks)
        if lazy
        else np.full(shape, value, np.float32)
        for name, value in values.items()
    }
    return xr.Dataset(
        {name: (("y", "x"), field) for name, field in fields.items()},
        coords={"y": ds.y, "x": ds.x, "spatial_ref": ds.spatial_ref},
    )


def both_networks(bundle: Bundle) -> float:
    """Terrain complexity (K) at which teacher and student both run."""
    if bundle.fusion is None:
        return 0.5
    return 0.5 * (bundle.fusion.start_k + bundle.fusion.full_k)
