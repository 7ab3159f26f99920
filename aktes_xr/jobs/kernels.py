"""Every kernel of a retrieval, compiled before it is needed."""

from __future__ import annotations

from typing import Final, get_args

import dask
import xarray as xr

from aktes_xr.compilation import cache_directory
from aktes_xr.retrieval.block import Method
from aktes_xr.retrieval.mapping import retrieve
from aktes_xr.retrieval.sample import sample_cube

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
            dask.compute(retrieve(ds, method=method), scheduler="synchronous")
            dask.compute(retrieve(_bare(ds), method=method), scheduler="synchronous")
    place = cache_directory()
    return len(list(place.glob("*.kernel"))), str(place)


def _bare(ds: xr.Dataset) -> xr.Dataset:
    """Return the cube with ancillaries that are one number per date, in one chunk."""
    mean = {
        name: ds[name].mean(("y", "x"), keep_attrs=True).compute()
        for name in ("water_vapor", "air_temperature")
    }
    return ds.drop_vars(["cloud", "water"]).assign(mean).chunk(y=-1, x=-1)
