"""Every kernel of a retrieval, compiled before it is needed."""

from __future__ import annotations

import math
import time
from typing import Any, Final, cast, get_args

import dask
import dask.array as da
import numpy as np
import xarray as xr

from aktes_xr import sensor
from aktes_xr.compilation import cache_directory
from aktes_xr.cube import DN_UNITS, GRID_MAPPING, RADIANCE_UNITS, describe, new_cube
from aktes_xr.models.bundle import Bundle
from aktes_xr.retrieval.block import Method
from aktes_xr.retrieval.mapping import retrieve
from aktes_xr.retrieval.series_prior import recall
from aktes_xr.retrieval.witnesses import DATE, KEPT, PLANES, SIGMA, STEP

__all__ = ["compile_kernels"]
_SIDE: Final = 64
_CHUNK: Final = 32


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
            dask.compute(retrieve(ds, method=method, closure=True), scheduler="synchronous")
            dask.compute(retrieve(_bare(ds), method=method), scheduler="synchronous")
    place = cache_directory()
    return len(list(place.glob("*.kernel"))), str(place)


def _bare(ds: xr.Dataset) -> xr.Dataset:
    """Return the cube with ancillaries that are one number per date, in one chunk."""
    mean = {
        name: ds[name].mean(("y", "x"), keep_attrs=True).compute()
        for name in ("water_vapor", "air_temperature", "skin_temperature", "surface_pressure")
    }
    return ds.drop_vars(["cloud", "water"]).assign(mean).chunk(y=-1, x=-1)


_PACE_SIDE: Final = 256
_PRIOR_SIDE: Final = 128
_TURNS: Final = 2


def pixel_seconds(ds: xr.Dataset, method: Method, bundle: Bundle) -> dict[str, float]:
    """Measure the seconds that a pixel of a cube takes on one thread.

    Parameters
    ----------
    ds : Dataset
        The cube; only what variables it has matters.
    method : str
    bundle : Bundle

    Returns
    -------
    dict
        By what retrieves a pixel: ``teacher``, ``student``, ``both``, or the method's name where
        terrain decides nothing.
    """
    sample = sample_cube(_PACE_SIDE, digital=ds["tir"].dtype == np.uint16)
    sample = sample.drop_vars([name for name in sample.data_vars if name not in ds])
    sample = _moved(sample, ds)
    if method not in {"fusion", "student"} or "elevation" not in sample:
        return {method: _seconds(sample, method, bundle, None)}
    complexity = {"teacher": math.nan, "student": math.inf}
    if method == "fusion" and bundle.fusion is not None:
        complexity["both"] = both_networks(bundle)
    return {
        name: _seconds(sample, method, bundle, even_terrain(sample, value))
        for name, value in complexity.items()
    }


def prior_seconds(witnesses: int) -> float:
    """Measure the seconds that a pixel's prior of other dates takes on one thread.

    Parameters
    ----------
    witnesses : int
        Dates that speak for the pixel.

    Returns
    -------
    float
    """
    other = np.zeros((1, KEPT, _PRIOR_SIDE, _PRIOR_SIDE), np.uint16)
    other[:, :SIGMA] = int(0.95 * STEP)
    other[:, SIGMA] = int(0.01 * STEP)
    own = np.zeros((1, PLANES, _PRIOR_SIDE, _PRIOR_SIDE), np.uint16)
    own[:, :KEPT], own[:, KEPT:] = other, int(0.01 * STEP)
    own[:, DATE] = witnesses
    start = time.perf_counter()
    recall(own, [other] * witnesses)
    return (time.perf_counter() - start) / _PRIOR_SIDE**2


def _moved(sample: xr.Dataset, ds: xr.Dataset) -> xr.Dataset:
    """Move the sample to where the cube is, for which a bundle may have a student of its own."""
    moved = sample.rio.write_crs(ds.rio.crs, grid_mapping_name=GRID_MAPPING)
    for axis in ("y", "x"):
        if ds.sizes[axis]:
            shift = float(np.mean(ds.indexes[axis][[0, -1]])) - float(sample[axis].mean())
            moved = moved.assign_coords(
                {axis: (axis, sample[axis].data + shift, sample[axis].attrs)}
            )
    return cast("xr.Dataset", moved)


def _seconds(
    sample: xr.Dataset, method: Method, bundle: Bundle, terrain: xr.Dataset | None
) -> float:
    result = retrieve(sample, method=method, bundle=bundle, terrain=terrain)
    work = [variable.data for variable in result.data_vars.values() if "time" in variable.dims]
    best = math.inf
    # The first turn compiles, or loads what was compiled.
    for _ in range(_TURNS):
        start = time.perf_counter()
        dask.compute(work, scheduler="synchronous")
        best = min(best, time.perf_counter() - start)
    return best / _PACE_SIDE**2


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
    ds["skin_temperature"] = (image, np.full(shape, 300.0, np.float32), {"units": "K"})
    ds["surface_pressure"] = (image, np.full(shape, 950.0, np.float32), {"units": "hPa"})
    ds["cloud"] = (image, np.zeros(shape, bool))
    ds["water"] = (image, np.zeros(shape, bool))
    return describe(ds).chunk()


def even_terrain(ds: xr.Dataset, complexity_k: float, *, lazy: bool = False) -> xr.Dataset:
    """Make terrain of one complexity everywhere.

    Parameters
    ----------
    ds : Dataset
        A cube; its grid is taken over.
    complexity_k : float, K
        Terrain complexity.
    lazy : bool
        Make dask arrays, as the terrain of a region is, and not numpy arrays.

    Returns
    -------
    Dataset (y, x), float32
        Terrain complexity, sky-view factor, slope, aspect and relief.
    """
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
    """Return a terrain complexity at which teacher and student both run.

    Parameters
    ----------
    bundle : Bundle
        The networks.

    Returns
    -------
    float, K
    """
    if bundle.fusion is None:
        return 0.5
    return 0.5 * (bundle.fusion.start_k + bundle.fusion.full_k)
