"""Results back from Zarr, as they were handed over."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import rioxarray  # noqa: F401  registers `.rio`
import xarray as xr

from aktes_xr.errors import StoreError, StoreNotFoundError
from aktes_xr.store.address import ObjectAddress, parse_address, zarr_store
from aktes_xr.store.journal import RETIRED, Journal
from aktes_xr.store.local import is_store
from aktes_xr.store.medium import seen
from aktes_xr.store.root import ROOT, Root
from aktes_xr.store.snapshots import open_snapshot


def open_result(path: str | os.PathLike[str]) -> xr.Dataset:
    """Open a store that `write_result` or a job wrote.

    ``xr.open_zarr(path)`` does as well; here the per-date coordinates are in memory, text is text,
    and what describes the store rather than the result is taken off the attributes.

    Parameters
    ----------
    path : local path of the store, or an address in an object store

    Returns
    -------
    Dataset, lazy, in the store's chunks
        Of a series the present version of each date, in the order of time.

    Raises
    ------
    StoreNotFoundError
        There is no Zarr store at ``path``.
    StoreError
        The object store does not answer.
    """
    ds, journal = _opened(path)
    if journal is not None:
        ds = _present(ds, journal, parse_address(path).name)
    small = {
        name: _as_text(coordinate.load())
        for name, coordinate in ds.coords.items()
        if name not in ds.indexes and coordinate.ndim <= 1
    }
    ds = ds.assign_coords(small)
    if "band" in ds.indexes:
        labels = np.array(ds["band"].to_numpy().tolist(), dtype=str)
        ds = ds.assign_coords(band=("band", labels, ds["band"].attrs))
    ds.attrs = {
        key: value
        for key, value in ds.attrs.items()
        if key != "zarr_conventions" and not key.startswith(("proj:", "spatial:"))
    }
    return ds


def read_gaps(path: str | os.PathLike[str]) -> list[tuple[str, str]]:
    """Say which dates of a series are missing or were read in part, and why.

    Parameters
    ----------
    path : local path of the store, or an address in an object store

    Returns
    -------
    list of (str, str)
        As `aktes_xr.store.journal.Journal.gaps`; nothing where the store is no series.

    Raises
    ------
    StoreNotFoundError
        There is no Zarr store at ``path``.
    StoreError
        The object store does not answer.
    """
    _, journal = _opened(path)
    return [] if journal is None else journal.gaps()


def _found(target: Path | ObjectAddress) -> str | None:
    """Return where the Zarr store at a place really lies; None where there is none."""
    if isinstance(target, ObjectAddress):
        # Imported where it is needed: most stores are local.
        from aktes_xr.store.objects import current_version

        return current_version(target)
    return str(target) if is_store(target) else None


def _opened(path: str | os.PathLike[str]) -> tuple[xr.Dataset, Journal | None]:
    """Open what lies at a place, with the journal where it is a series."""
    target = parse_address(path)
    place = _found(target)
    snapshot = open_snapshot(target) if place is None else None
    if snapshot is not None:
        store, journal = snapshot
        return xr.open_zarr(store, decode_coords="all", consolidated=False), journal
    if place is None:
        raise StoreNotFoundError(
            f"there is no Zarr store at {target.name} (no zarr.json); write one with "
            "aktes_xr.write_result"
        )
    # The journal first: what is read after it holds all that it speaks of.
    with seen(parse_address(place)) as read:
        root = Root.parse(read(ROOT), target.name)
    ds = xr.open_zarr(zarr_store(place), decode_coords="all")
    return ds, None if root is None else root.journal


def _present(ds: xr.Dataset, journal: Journal, name: str) -> xr.Dataset:
    """Take the present version of each date, in the order of time."""
    slots = journal.slots
    if not slots:
        raise StoreError(f"the series {name} holds no date yet; run its job first")
    ds.attrs.pop(RETIRED, None)
    return ds if slots == tuple(range(ds.sizes["time"])) else ds.isel(time=list(slots))


def _as_text(coordinate: xr.DataArray) -> xr.DataArray:
    if coordinate.dtype.kind in ("O", "T"):
        # NumPy cannot cast the variable-length strings that Zarr returns.
        return coordinate.copy(data=np.array(coordinate.to_numpy().tolist(), dtype=str))
    return coordinate
