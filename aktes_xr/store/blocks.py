"""One task per block that writes all its variables.

xarray's own writer makes a task for each variable and chunk. Here one task takes a block of all
variables and writes them as a region, by xarray.

No task joins those of different dates. Workers and scheduler of a cluster keep a task, some tens of
kilobytes per date and chunk, until all that depends on it is done. If all blocks ended in one task,
as with xarray's own writer, their memory would grow with the number of dates.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import dask
import dask.array as da
import numpy as np
import xarray as xr
from dask.base import tokenize
from numpy.typing import NDArray

from aktes_xr.machine import current_client
from aktes_xr.store.address import zarr_store
from aktes_xr.store.cluster import compute, gather
from aktes_xr.store.counts import MEASURE, N_COUNTS, count_pixels, is_counted

Write = Callable[[xr.Dataset, dict[str, slice]], None]
"""Is given a block's variables, and where they lie along each dimension."""

GRID = ("time", "y", "x")
"""Dimensions along which blocks lie."""


@dataclass(frozen=True)
class ZarrRegion:
    """Writes blocks into a store whose metadata is there.

    Attributes
    ----------
    store : path or address of the store
    zarr_format : of the store
    """

    store: str
    zarr_format: Literal[2, 3] = 3

    def __call__(self, block: xr.Dataset, region: dict[str, slice]) -> None:
        """Write a block."""
        block.to_zarr(
            zarr_store(self.store),
            region=region,
            consolidated=False,
            zarr_format=self.zarr_format,
        )


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
    list of dask array
        One for the variables of each set of dimensions, for `finish` to compute. That of a
        retrieval's temperature holds its pixels' counts (time, `N_COUNTS`), as
        `aktes_xr.store.counts.count_pixels` returns them; the others the number of blocks written
        for each row of them along the first dimension of `GRID`.
    """
    groups: dict[tuple[str, ...], dict[tuple[str, ...], list[str]]] = {}
    for name, variable in ds.variables.items():
        if variable.chunks is not None:
            dims = tuple(dim for dim in GRID if dim in variable.dims)
            beside = tuple(str(dim) for dim in variable.dims if dim not in dims)
            groups.setdefault(dims, {}).setdefault(beside, []).append(str(name))
    written = []
    for dims, kinds in groups.items():
        # Images join the first kind of stacks: these have one more dimension, such as the band.
        images = kinds.pop((), [])
        stacks = list(kinds.values()) or [[]]
        stacks[0] = images + stacks[0]
        written += [_write_group(ds, dims, names, write) for names in stacks]
    return written


def finish(
    written: Sequence[da.Array], *, client: Any = None, patience_s: float | None = None
) -> list[NDArray[np.int64]]:
    """Write what `write_lazily` has prepared.

    Where a block fails, its error is raised here.

    Parameters
    ----------
    written : sequence of dask array
    client : distributed.Client, optional
        Of the cluster that works; None takes Dask's current scheduler, whichever it is. A cluster
        is told to forget each date as soon as it is written.
    patience_s : float, optional
        How long a cluster may be without a working worker (`aktes_xr.store.cluster.gather`).

    Returns
    -------
    list of ndarray, int64
        The numbers of each array.

    Raises
    ------
    ClusterError
        The cluster is lost, or no worker works on it.
    """
    client = client or current_client()
    if client is None:
        return list(dask.compute(*written))
    return gather(client, written, patience_s=patience_s)


def computed(ds: xr.Dataset, names: Iterable[Hashable]) -> dict[Hashable, xr.Variable]:
    """Compute small variables where Dask computes now.

    On a cluster, it gives up where the cluster does not answer in time.

    Parameters
    ----------
    ds : Dataset
    names : iterable of its variables

    Returns
    -------
    dict
        The variables in memory, by name.
    """
    variables = {name: ds[name].variable for name in names}
    lazy = [name for name, variable in variables.items() if variable.chunks is not None]
    arrays = [variables[name].data for name in lazy]
    client = current_client()
    values = dask.compute(*arrays) if client is None else compute(client, arrays)
    return variables | {
        name: variables[name].copy(data=value) for name, value in zip(lazy, values, strict=True)
    }


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
    counted = MEASURE in names and is_counted(ds)
    rows = chunks[0] if counted else (1,) * len(chunks[0])
    # Counts have an axis of their own, behind those of the blocks.
    axes = beside + len(dims)
    written: da.Array = da.map_blocks(
        partial(_write_block, write=write),
        *arrays,
        names=tuple((name, (*others[name], *dims), tuple(ds[name].dims)) for name in names),
        grid=tuple((dim, sizes[0], sum(sizes)) for dim, sizes in zip(dims, chunks, strict=True)),
        counted=counted,
        chunks=(
            *((1,),) * beside,
            rows,
            *((1,) * len(sizes) for sizes in chunks[1:]),
            *(((N_COUNTS,),) if counted else ()),
        ),
        new_axis=[axes] if counted else None,
        dtype=np.int64,
        meta=np.empty((0,) * (axes + counted), np.int64),
        name=f"aktes-write-{tokenize(arrays, write)}",
    )
    # One step for all of a row: its numbers are small, however many they are.
    within = {axis: max(2, written.numblocks[axis]) for axis in range(axes) if axis != beside}
    return written.sum(axis=tuple(within), split_every=within)


def _write_block(
    *arrays: NDArray[Any],
    names: tuple[tuple[str, tuple[str, ...], tuple[str, ...]], ...],
    grid: tuple[tuple[str, int, int], ...],
    counted: bool,
    write: Write,
    block_id: tuple[int, ...] = (),
) -> NDArray[np.int64]:
    block = xr.Dataset(
        {
            name: xr.Variable(dims, array).transpose(*wanted)
            for (name, dims, wanted), array in zip(names, arrays, strict=True)
        }
    )
    beside = len(block_id) - len(grid) - counted
    places = block_id[beside : beside + len(grid)]
    region = {
        dim: slice(number * length, min((number + 1) * length, size))
        for number, (dim, length, size) in zip(places, grid, strict=True)
    }
    write(block, region)
    if not counted:
        return np.ones((1,) * len(block_id), np.int64)
    numbers = count_pixels(block)
    return numbers.reshape((1,) * beside + (len(numbers),) + (1,) * (len(grid) - 1) + (N_COUNTS,))
