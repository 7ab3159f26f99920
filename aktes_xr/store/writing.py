"""Results to Zarr: whole or not at all."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import uuid
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import dask
import dask.array as da
import dask.base
import dask.system
import dask.threaded
import xarray as xr
import zarr

from aktes_xr.errors import AktesError, StoreError, StoreExistsError
from aktes_xr.store.blocks import GRID, ZarrRegion, finish, write_lazily
from aktes_xr.store.encoding import encode
from aktes_xr.store.place import is_store, local_path

logger = logging.getLogger(__name__)


def write_result(
    result: xr.Dataset,
    path: str | os.PathLike[str],
    *,
    overwrite: bool = False,
    sharded: bool = False,
) -> None:
    """Compute a result and write it to a Zarr v3 store.

    The store is written beside its place and renamed when it is complete: a reader never sees half
    of one, and when anything fails nothing is left and an older store stays.

    Parameters
    ----------
    result : Dataset with y, x (m) and a CRS
        Its Dask chunks, made even where they are not, become the store's: one task writes whole
        chunks and no two write the same. ``scale_factor``, ``add_offset`` and ``dtype`` of a
        variable's encoding are kept; otherwise numbers are stored as they are.
    path : local path of the store
    overwrite : replace a Zarr store that is there
    sharded : pack small chunks into one file per Dask chunk; for stores of very many chunks. GDAL
        up to 3.12 cannot read sharded arrays.

    Raises
    ------
    StoreExistsError
        There is something at ``path``, and it was not to be, or must not be, replaced.
    StoreError
        The store cannot be written there.
    CRSError, InputError
        The result has no CRS, or no regular north-up grid.
    """
    target = local_path(path)
    if target.exists():
        _refuse_unless_replaceable(target, overwrite)
    prepared = encode(result, sharded=sharded)
    partial = target.parent / f".{target.name}.{uuid.uuid4().hex}.partial"
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with _own_threads():
            _fill(prepared, partial)
        _consolidate(partial)
        _put(partial, target)
    except AktesError:
        raise
    except OSError as error:
        raise StoreError(
            f"could not write the store {target.name}: {error.strerror or error}; check the "
            "place's rights and free space"
        ) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    logger.info("wrote %s", target.name)


def add_attributes(path: str | os.PathLike[str], attributes: dict[str, Any]) -> None:
    """Add to the attributes of a store that `write_result` wrote.

    Parameters
    ----------
    path : local path of the store
    attributes : of JSON types

    Raises
    ------
    StoreError
        The store cannot be written.
    """
    target = local_path(path)
    try:
        zarr.open_group(str(target), mode="r+", use_consolidated=False).attrs.update(attributes)
        _consolidate(target)
    except OSError as error:
        raise StoreError(
            f"could not write the attributes of {target.name}: {error.strerror or error}; check "
            "the place's rights and free space"
        ) from error


def _refuse_unless_replaceable(target: Path, overwrite: bool) -> None:
    if not overwrite:
        raise StoreExistsError(
            f"{target.name} exists; choose another place, or replace it with overwrite=True"
        )
    if not is_store(target):
        raise StoreExistsError(
            f"{target.name} exists and is no Zarr store: it is not replaced; move it away first"
        )


@contextlib.contextmanager
def _own_threads() -> Iterator[None]:
    """Run Dask's threaded scheduler on threads that have all stopped when this ends.

    When a task fails, the scheduler raises while other tasks are still at work: on its shared
    threads they would go on writing into a store that is being removed.
    """
    scheduler = dask.base.get_scheduler()
    if scheduler not in (None, dask.threaded.get) or dask.config.get("pool", None) is not None:
        yield
        return
    workers = dask.config.get("num_workers", None) or dask.system.CPU_COUNT
    with ThreadPoolExecutor(workers) as pool, dask.config.set(pool=pool):
        yield


def _fill(prepared: xr.Dataset, store: Path) -> None:
    """Write metadata and what is in memory first, then the lazy variables by blocks."""
    small = [
        name
        for name, variable in prepared.variables.items()
        if variable.chunks is not None and not set(GRID) & set(variable.dims)
    ]
    prepared = prepared.assign({name: prepared[name].variable.compute() for name in small})
    # A task for every chunk, which xarray would make here, is never needed.
    bare = {
        name: variable.copy(data=da.zeros(variable.shape, dtype=variable.dtype, chunks=-1))
        for name, variable in prepared.variables.items()
        if variable.chunks is not None
    }
    prepared.assign(bare).to_zarr(
        str(store), mode="w-", zarr_format=3, consolidated=False, compute=False
    )
    finish(write_lazily(prepared, ZarrRegion(str(store))))


def _put(partial: Path, target: Path) -> None:
    """Rename the complete store into place, keeping an older one until that has worked."""
    if not target.exists():
        partial.rename(target)
        return
    old = partial.with_suffix(".old")
    target.rename(old)
    try:
        partial.rename(target)
    except OSError:
        old.rename(target)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _consolidate(store: Path) -> None:
    with warnings.catch_warnings():
        # Readers that do not know consolidated metadata of format 3 ignore it.
        warnings.filterwarnings("ignore", message="Consolidated metadata is currently not part")
        zarr.consolidate_metadata(str(store))
