"""Results to Zarr: whole or not at all, and never a worse one in a better one's place."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any, Literal, Protocol

import dask.array as da
import numpy as np
import xarray as xr
import zarr

from aktes_xr.errors import AktesError, InputError, StoreError, WorseResultError
from aktes_xr.store.address import ObjectAddress, parse_address, zarr_store
from aktes_xr.store.blocks import GRID, ZarrRegion, computed, finish, write_lazily
from aktes_xr.store.counts import (
    FLAGS,
    MEASURE,
    NO_CLEAR_REFERENCE,
    Counts,
    count_pixels,
    is_counted,
)
from aktes_xr.store.encoding import encode
from aktes_xr.store.history import with_history
from aktes_xr.store.jpl import as_jpl
from aktes_xr.store.local import claim
from aktes_xr.store.replacement import why_worse
from aktes_xr.store.shifts import shift_attributes
from aktes_xr.store.threads import own_threads

logger = logging.getLogger(__name__)

# What Zarr and its codecs raise for metadata or chunks that are damaged.
_UNREADABLE = (ValueError, KeyError, TypeError, AttributeError, RuntimeError, OSError)

Encoding = Literal["float", "jpl"]
Summary = Callable[[Counts], Mapping[str, Any]]
"""Makes attributes (JSON types) of a result's counts, before the store can be seen."""


class Draft(Protocol):
    """A store that is being written where no reader looks."""

    @property
    def address(self) -> str:
        """Where the store's blocks are written."""

    @property
    def previous(self) -> str | None:
        """Where the store that will be replaced lies; None where there is none."""

    def publish(self) -> None:
        """Put the store into its place."""


def write_result(
    result: xr.Dataset,
    path: str | os.PathLike[str],
    *,
    overwrite: bool = False,
    accept_worse: bool = False,
    sharded: bool = False,
    zarr_format: Literal[2, 3] = 3,
    encoding: Encoding = "float",
    summary: Summary | None = None,
) -> Counts | None:
    """Compute a result and write it to a Zarr store.

    The store is written beside its place. When it is complete and on the disk, one step puts it
    there. So a reader never sees half of a store. When anything fails, nothing is left behind and
    an older store stays. Only one run at a time writes to a place. What appears there meanwhile is
    not touched.

    Parameters
    ----------
    result : Dataset with y, x (m) and a CRS
        Its Dask chunks, made even where they are not, become the store's: one task writes whole
        chunks and no two write the same. ``scale_factor``, ``add_offset`` and ``dtype`` of a
        variable's encoding are kept; otherwise numbers are stored as they are.
    path : str or path
        Local path of the store, or its address in an object store (`address.SCHEMES`).
    overwrite : bool
        Replace a Zarr store that is there, unless the new result is worse (`why_worse`): it would
        lose half of the dates that have temperatures, or more than half of the pixels of the dates
        that both have. A store that cannot be read to be compared is not replaced either.
    accept_worse : bool
        Replace it even then.
    sharded : bool
        Pack small chunks into one file per Dask chunk; for stores of very many chunks. GDAL up to
        3.12 cannot read sharded arrays.
    zarr_format : {3, 2}
        2 for readers that do not know 3, such as GDAL before 3.12.
    encoding : str
        ``"float"``: numbers as they are. ``"jpl"``: temperature, emissivity and their
        uncertainties as the scaled integers of JPL's products, and ``QC`` beside our own flags
        (`aktes_xr.store.jpl`).
    summary : callable, optional
        Makes further attributes of the result's counts.

    Returns
    -------
    Counts or None
        Pixels of each date, as the tasks counted them that wrote them; None where the result has
        no ``surface_temperature`` (time, y, x).

    Raises
    ------
    StoreExistsError
        There is something at ``path``, and it was not to be, or must not be, replaced.
    StoreBusyError
        Another run is writing there.
    WorseResultError
        What is there is better, and stays.
    StoreError
        The store cannot be written there.
    ClusterError
        The cluster that computes is lost, or no worker works on it.
    CRSError, InputError
        The result has no CRS, or no regular north-up grid.
    MissingVariableError
        JPL's encoding is asked for, and the result is not one of `aktes_xr.retrieve`.
    """
    if sharded and zarr_format != 3:
        raise InputError("found sharded=True with zarr_format=2: shards exist in format 3 only")
    if encoding not in ("float", "jpl"):
        raise InputError(f"found encoding={encoding!r}, expected 'float' or 'jpl'")
    if encoding == "jpl":
        result = as_jpl(result)
    target = parse_address(path)
    try:
        with _claimed(target, overwrite=overwrite) as draft:
            counts = _write(encode(result, sharded=sharded), draft, zarr_format, summary)
            if counts is not None and not accept_worse:
                _refuse_if_worse(result, counts, draft, name=target.name)
            draft.publish()
    except AktesError:
        raise
    except OSError as error:
        raise StoreError(
            f"could not write the store {target.name}: {error.strerror or error}; check the "
            "place's rights and free space"
        ) from error
    logger.info("wrote %s", target.name)
    return counts


def _claimed(target: Any, *, overwrite: bool) -> AbstractContextManager[Draft]:
    if isinstance(target, ObjectAddress):
        # Imported where it is needed: most stores are local.
        from aktes_xr.store.objects import claim_object

        return claim_object(target, overwrite=overwrite)
    return claim(target, overwrite=overwrite)


def _write(
    prepared: xr.Dataset, draft: Draft, zarr_format: Literal[2, 3], summary: Summary | None
) -> Counts | None:
    """Write a store with all its attributes, where it cannot be seen yet."""
    with own_threads():
        counts = _fill(prepared, ZarrRegion(draft.address, zarr_format))
    store = zarr_store(draft.address)
    made = {} if counts is None or summary is None else summary(counts)
    described = with_history(prepared, "computed and written to Zarr")
    attributes = {**made, "history": described.attrs["history"]}
    if counts is not None and counts.overcast.any():
        times = prepared["time"].to_numpy()[counts.overcast]
        attributes[NO_CLEAR_REFERENCE] = np.datetime_as_string(times, unit="s").tolist()
    group = zarr.open_group(store, mode="r+", use_consolidated=False, zarr_format=zarr_format)
    group.attrs.update(attributes | shift_attributes(prepared, group))
    with warnings.catch_warnings():
        # Readers that do not know consolidated metadata of format 3 ignore it.
        warnings.filterwarnings("ignore", message="Consolidated metadata is currently not part")
        zarr.consolidate_metadata(store, zarr_format=zarr_format)
    return counts


def _refuse_if_worse(result: xr.Dataset, counts: Counts, draft: Draft, *, name: str) -> None:
    if draft.previous is None:
        return
    try:
        with xr.open_zarr(zarr_store(draft.previous)) as old:
            found = why_worse(result, counts, old)
    except FileNotFoundError:
        # Taken away meanwhile: publishing will say so.
        return
    except _UNREADABLE as error:
        found = (
            f"the old store cannot be read to be compared ({type(error).__name__}: "
            f"{str(error)[:120]})"
        )
    if found is not None:
        raise WorseResultError(
            f"kept {name}: {found}; see why, or replace it all the same with accept_worse=True"
        )


def _fill(prepared: xr.Dataset, region: ZarrRegion) -> Counts | None:
    """Write metadata and what is in memory first, then the lazy variables by blocks."""
    counted = is_counted(prepared)
    small = [
        name
        for name, variable in prepared.variables.items()
        if variable.chunks is not None and not set(GRID) & set(variable.dims)
    ]
    prepared = prepared.assign(computed(prepared, small))
    lazy = [name for name, variable in prepared.variables.items() if variable.chunks is not None]
    pair = {MEASURE, FLAGS} & set(prepared.data_vars)
    if counted and MEASURE in lazy:
        # One task shall have both in its hands.
        sizes = prepared[MEASURE].chunksizes
        prepared = prepared.assign({name: prepared[name].chunk(sizes) for name in pair})
        lazy = [*lazy, *(name for name in pair if name not in lazy)]
    # A task for every chunk, which xarray would make here, is never needed.
    bare = {
        name: prepared[name].variable.copy(
            data=da.zeros(prepared[name].shape, dtype=prepared[name].dtype, chunks=-1)
        )
        for name in lazy
    }
    prepared.assign(bare).to_zarr(
        zarr_store(region.store),
        mode="w-",
        zarr_format=region.zarr_format,
        consolidated=False,
        compute=False,
    )
    found = finish(write_lazily(prepared, region))
    if not counted:
        return None
    if MEASURE in lazy:
        return Counts.of(next(numbers for numbers in found if numbers.ndim > 1))
    return Counts.of(count_pixels(xr.Dataset(computed(prepared, pair))))
