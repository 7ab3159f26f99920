"""A series of dates that grows by one date at a time, by one run at a time."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Literal, Protocol

import xarray as xr

from aktes_xr.errors import AktesError, InputError, StoreError
from aktes_xr.store.address import parse_address
from aktes_xr.store.counts import Counts
from aktes_xr.store.journal import Entry, Journal
from aktes_xr.store.medium import held, seen
from aktes_xr.store.root import ROOT, Root
from aktes_xr.store.slots import SlotStore
from aktes_xr.store.snapshots import SnapshotStore, open_snapshot

Backend = Literal["zarr", "icechunk"]


class SeriesStore(Protocol):
    """A series that this process holds against others."""

    journal: Journal

    @property
    def block(self) -> tuple[int, int] | None:
        """Rows and columns that are written at once; None where nothing is in it."""

    def write(self, batch: xr.Dataset) -> Counts:
        """Write the dates of a batch where no reader looks, and count their pixels."""

    def commit(self, row: int | None, entry: Entry) -> Entry:
        """Make a date of the batch count, or note an entry alone."""


@contextlib.contextmanager
def claim_series(
    path: str | os.PathLike[str], *, backend: Backend = "zarr", sharded: bool = True
) -> Iterator[SeriesStore]:
    """Hold a series against other runs while the block adds dates to it.

    What a killed run has left is removed first.

    Parameters
    ----------
    path : str or path
        Local path of the store, or its address in an object store; it need not exist.
    backend : {"zarr", "icechunk"}
        Plain Zarr, which every reader of Zarr v3 opens, or an Icechunk repository.
    sharded : bool
        One file for each variable and block.

    Yields
    ------
    SeriesStore

    Raises
    ------
    StoreBusyError
        Another run holds it.
    StoreExistsError
        There is something else in the place.
    StoreError
        The store cannot be read or written.
    """
    target = parse_address(path)
    try:
        with held(target) as medium:
            store: SlotStore | SnapshotStore
            if backend == "zarr":
                store = SlotStore(medium, target.name, sharded=sharded)
            elif backend == "icechunk":
                store = SnapshotStore(target, medium, sharded=sharded)
            else:
                raise InputError(f"found backend {backend!r}, expected 'zarr' or 'icechunk'")
            try:
                yield store
            finally:
                store.close()
    except AktesError:
        raise
    except OSError as error:
        raise StoreError(
            f"could not write the series {target.name}: {error.strerror or error}; check the "
            "place's rights and free space"
        ) from error


def read_journal(path: str | os.PathLike[str]) -> Journal | None:
    """Return what a series holds, without holding it.

    Parameters
    ----------
    path : str or path
        Local path of the store, or its address in an object store.

    Returns
    -------
    Journal or None
        None where there is no series.

    Raises
    ------
    StoreError
        It cannot be read.
    """
    target = parse_address(path)
    with seen(target) as read:
        root = Root.parse(read(ROOT), target.name)
    if root is not None:
        return root.journal
    snapshot = open_snapshot(target)
    return None if snapshot is None else snapshot[1]
