"""How long a pixel takes on this machine, measured on a small block by the retrieval itself."""

from __future__ import annotations

import math
import time
from typing import Final, cast

import dask
import numpy as np
import xarray as xr

from aktes_xr.cube import GRID_MAPPING
from aktes_xr.models.bundle import Bundle
from aktes_xr.retrieval.block import Method
from aktes_xr.retrieval.mapping import retrieve
from aktes_xr.retrieval.sample import both_networks, even_terrain, sample_cube

_SIDE: Final = 256
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
    sample = sample_cube(_SIDE, digital=ds["tir"].dtype == np.uint16)
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
    return best / _SIDE**2
