"""One task per block that writes all its variables.

xarray's own writer makes a task for each variable and chunk, and both the workers and the scheduler
keep every one of them until the last is done: some eighty kilobytes per date and chunk, so that a
worker's memory grows with the number of dates. Here one task takes what a block has of all
variables and writes them as a region, by xarray; what it returns is a number, and these are summed
as they come in.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import dask.array as da
import numpy as np
import xarray as xr
from dask.base import tokenize
from numpy.typing import NDArray

Write = Callable[[xr.Dataset, dict[str, slice]], None]
"""Is given a block's variables, and where they lie along each dimension."""

GRID = ("time", "y", "x")
"""Dimensions along which blocks lie."""
_SUMMED_AT_ONCE = 16


@dataclass(frozen=True)
class ZarrRegion:
    """Writes blocks into a store whose metadata is there.

    Attributes
    ----------
    store : path of the store
    """

    store: str

    def __call__(self, block: xr.Dataset, region: dict[str, slice]) -> None:
        """Write a block."""
        block.to_zarr(self.store, region=region, consolidated=False)


def write_lazily(ds: xr.Dataset, write: Write) -> list[da.Array]:
    """Write the lazy variables of a dataset, block by block.

    Parameters
    ----------
    ds : Dataset
        Its lazy variables have at least one dimension of `GRID` and common chunks
        (`xarray.Dataset.unify_chunks`); those along time, y and x are of one length, but for the
        last, which may be shorter.
    write : callable
        Small, picklable and safe to be called from several threads and processes at once.

    Returns
    -------
    list of dask array ()
        Numbers of blocks written, when they are computed: one array for the variables of each set
        of dimensions.
    """
    groups: dict[tuple[str, ...], dict[tuple[str, ...], list[str]]] = {}
    for name, variable in ds.variables.items():
        if variable.chunks is not None:
            dims = tuple(dim for dim in GRID if dim in variable.dims)
            beside = tuple(str(dim) for dim in variable.dims if dim not in dims)
            groups.setdefault(dims, {}).setdefault(beside, []).append(str(name))
    counts = []
    for dims, kinds in groups.items():
        # Images join the first kind of stacks: these have one more dimension, such as the band.
        images = kinds.pop((), [])
        stacks = list(kinds.values()) or [[]]
        stacks[0] = images + stacks[0]
        counts += [_write_group(ds, dims, names, write) for names in stacks]
    return counts


def _write_group(
    ds: xr.Dataset, dims: tuple[str, ...], names: Sequence[str], write: Write
) -> da.Array:
    others = {name: [str(d) for d in ds[name].dims if d not in dims] for name in names}
    arrays = [ds[name].transpose(*others[name], *dims).data for name in names]
    # Dimensions beside those of the grid lie in one block. The result has them too: where an index
    # ends, Dask would not fuse the tasks that cut the variables out of a block's result.
    arrays = [array.rechunk(dict.fromkeys(range(array.ndim - len(dims)), -1)) for array in arrays]
    beside = max(array.ndim for array in arrays) - len(dims)
    chunks = [ds.chunksizes[dim] for dim in dims]
    numbers = da.map_blocks(
        partial(_write_block, write=write),
        *arrays,
        names=tuple((name, (*others[name], *dims), tuple(ds[name].dims)) for name in names),
        grid=tuple((dim, sizes[0], sum(sizes)) for dim, sizes in zip(dims, chunks, strict=True)),
        chunks=(*((1,),) * beside, *((1,) * len(sizes) for sizes in chunks)),
        dtype=np.int64,
        meta=np.empty((0,) * (beside + len(dims)), np.int64),
        name=f"aktes-write-{tokenize(arrays, write)}",
    )
    return numbers.sum(split_every=_SUMMED_AT_ONCE)


def _write_block(
    *arrays: NDArray[Any],
    names: tuple[tuple[str, tuple[str, ...], tuple[str, ...]], ...],
    grid: tuple[tuple[str, int, int], ...],
    write: Write,
    block_id: tuple[int, ...] = (),
) -> NDArray[np.int64]:
    block = xr.Dataset(
        {
            name: xr.Variable(dims, array).transpose(*wanted)
            for (name, dims, wanted), array in zip(names, arrays, strict=True)
        }
    )
    region = {
        dim: slice(number * length, min((number + 1) * length, size))
        for number, (dim, length, size) in zip(block_id[-len(grid) :], grid, strict=True)
    }
    write(block, region)
    return np.ones((1,) * len(block_id), np.int64)
