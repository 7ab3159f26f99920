"""A series in an Icechunk repository: each date one transaction.

A commit there is whole or not at all, and readers keep the snapshot they opened. A date that is
made anew takes the place of the old one, which stays in the snapshots before. Dates are computed
first and written by this process: sessions are not shared with a cluster's workers. Nothing is ever
merged with what somebody else has committed meanwhile: Icechunk's own solver of conflicts would let
the later one win in silence.
"""

from __future__ import annotations

import importlib.util
import os
import warnings
from collections.abc import Mapping, Sequence, Set
from dataclasses import replace
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import xarray as xr
import zarr

from aktes_xr.errors import DependencyError, StoreBusyError, StoreError, StoreExistsError
from aktes_xr.store.address import ObjectAddress
from aktes_xr.store.blocks import computed
from aktes_xr.store.counts import Counts, count_pixels
from aktes_xr.store.dates import DateStore, begun
from aktes_xr.store.journal import Entry, Journal
from aktes_xr.store.lock import busy
from aktes_xr.store.medium import Medium
from aktes_xr.store.root import JOURNAL, has_slots

BRANCH: Final = "main"
"""The only one that counts."""
_BLOCK: Final = "block"
_PARTS: Final = ("refs", "repo", "snapshots")


class SnapshotStore(DateStore):
    """A series in a repository that this process holds.

    Parameters
    ----------
    target : Path or ObjectAddress
        Where it lies.
    medium : Medium
        The same place, to see whether anything else is there.
    sharded : bool
        One chunk for each variable and block.

    Attributes
    ----------
    journal : what is in it
    """

    def __init__(self, target: Path | ObjectAddress, medium: Medium, *, sharded: bool) -> None:
        super().__init__(target.name, sharded=sharded)
        self._repository = open_repository(target)
        if self._repository is None:
            if medium.names(""):
                raise StoreExistsError(
                    f"{target.name} exists and is no Icechunk repository: choose another place"
                )
            self._repository = _create(target)
        self.journal, self._block = _journal(self._repository)

    def _present(self) -> tuple[Mapping[str, Any], Set[str]]:
        group = zarr.open_group(self._repository.readonly_session(BRANCH).store, mode="r")
        return dict(group.attrs), {name for name, _ in group.arrays()}

    def _write(self, prepared: xr.Dataset) -> Counts:
        values = computed(prepared, list(prepared.variables))
        self._batch = prepared.copy()
        for name, variable in values.items():
            variable.encoding = prepared[name].encoding
            self._batch[name] = variable
        return Counts.of(count_pixels(self._batch))

    def commit(self, row: int | None, entry: Entry) -> Entry:
        """Make a date count.

        Parameters
        ----------
        row : int or None
            Which one of the batch; None notes the entry alone.
        entry : Entry

        Returns
        -------
        Entry
            With its slot.

        Raises
        ------
        StoreBusyError
            Somebody else has committed meanwhile.
        """
        session = self._repository.writable_session(BRANCH)
        if row is not None:
            before = self.journal.entries.get(entry.key)
            # The place of a date that has left serves the next one: readers keep their snapshot.
            slot = next(iter(self.journal.holes), self.journal.length)
            if before is not None and before.slot is not None:
                slot = before.slot
            self._put(session.store, row, slot)
            entry = replace(entry, slot=slot)
        journal = self.journal.with_entry(entry)
        self._finish(session, journal, f"{entry.key}: {entry.state}")
        return entry

    def remove(self, keys: Sequence[str], message: str) -> None:
        """Have dates leave, in one transaction; the snapshots before still hold them.

        Parameters
        ----------
        keys : sequence of str
            Of the dates.
        message : str
            Of the commit.

        Raises
        ------
        StoreBusyError
            Somebody else has committed meanwhile.
        """
        session = self._repository.writable_session(BRANCH)
        group = zarr.open_group(session.store, mode="r+")
        left = [entry for key, entry in self.journal.entries.items() if key in keys]
        slots = [entry.slot for entry in left if entry.slot is not None]
        for _, array in group.arrays():
            if has_slots(getattr(array.metadata, "dimension_names", None) or ()):
                for slot in slots:
                    # Zarr keeps no chunk that holds nothing but the fill value.
                    array[slot] = array.fill_value
        self._finish(session, self.journal.without(keys, at=None), message)

    def close(self) -> None:
        """Do nothing: what was not committed is nowhere."""

    def _put(self, store: Any, row: int, slot: int) -> None:
        """Write a date into a session."""
        date = self._batch.isel(time=slice(row, row + 1))
        if not self.journal.length:
            date.attrs["history"] = begun(date)
            date.to_zarr(store, mode="w", zarr_format=3, consolidated=False)
            return
        if slot == self.journal.length:
            for _, array in zarr.open_group(store, mode="r+").arrays():
                if "time" in (getattr(array.metadata, "dimension_names", None) or ()):
                    array.resize((slot + 1, *array.shape[1:]))
        dated = xr.Dataset({n: v for n, v in date.variables.items() if "time" in v.dims})
        region = {"time": slice(slot, slot + 1)}
        # xarray does not write indexes into regions: without its index, time is written.
        dated.drop_indexes("time").to_zarr(store, region=region, consolidated=False, zarr_format=3)

    def _finish(self, session: Any, journal: Journal, message: str) -> None:
        """Commit a session together with its journal."""
        import icechunk

        group = zarr.open_group(session.store, mode="a", zarr_format=3)
        kept = {} if self._block is None else {_BLOCK: list(self._block)}
        group.require_group(JOURNAL).attrs.put({**journal.to_json(), **kept})
        journal.name_dates(group.attrs)
        try:
            session.commit(message)
        except icechunk.ConflictError:
            raise StoreBusyError(busy(self._name, None)) from None
        except icechunk.IcechunkError as error:
            raise StoreError(
                f"could not commit to {self._name} ({type(error).__name__}); check the place's "
                "rights and free space, and try again"
            ) from None
        self.journal = journal


def open_snapshot(target: Path | ObjectAddress) -> tuple[Any, Journal] | None:
    """Return the present snapshot of a repository.

    Parameters
    ----------
    target : Path or ObjectAddress

    Returns
    -------
    (store, Journal) or None
        What Zarr opens, and what it holds; None where there is no repository, or Icechunk is not
        installed.
    """
    if importlib.util.find_spec("icechunk") is None:
        return None
    repository = open_repository(target)
    if repository is None:
        return None
    return repository.readonly_session(BRANCH).store, _journal(repository)[0]


def open_repository(target: Path | ObjectAddress) -> Any:
    """Open a repository.

    Parameters
    ----------
    target : Path or ObjectAddress

    Returns
    -------
    icechunk.Repository or None
        None where there is none.

    Raises
    ------
    DependencyError
        Icechunk is not installed.
    """
    storage = _storage(target)
    icechunk = importlib.import_module("icechunk")
    # A folder without these is none of its repositories, and need not be asked about.
    if isinstance(target, Path) and not any((target / name).exists() for name in _PARTS):
        return None
    return icechunk.Repository.open(storage) if icechunk.Repository.exists(storage) else None


def _create(target: Path | ObjectAddress) -> Any:
    icechunk = importlib.import_module("icechunk")
    # Format 1 is what every Icechunk reads, that for Python 3.11 included.
    form = {} if icechunk.__version__.startswith("1.") else {"spec_version": 1}
    return icechunk.Repository.create(_storage(target), **form)


def _journal(repository: Any) -> tuple[Journal, tuple[int, int] | None]:
    store = repository.readonly_session(BRANCH).store
    try:
        attributes = dict(zarr.open_group(store, path=JOURNAL, mode="r").attrs)
    except FileNotFoundError:
        return Journal(), None
    block: Any = attributes.get(_BLOCK)
    return Journal.from_json(attributes), None if block is None else (block[0], block[1])


def _storage(target: Path | ObjectAddress) -> Any:
    """Return Icechunk's storage of a place, with the settings of the environment."""
    try:
        icechunk = importlib.import_module("icechunk")
    except ModuleNotFoundError:
        raise DependencyError(
            "backend 'icechunk' needs the package icechunk; run: pip install 'aktes-xr[era5]'"
        ) from None
    if isinstance(target, Path):
        with warnings.catch_warnings():
            # It warns of several committers in a folder, in Python and on stderr. The lock keeps
            # them apart.
            warnings.simplefilter("ignore")
            if "ICECHUNK_LOG" not in os.environ:
                icechunk.set_logs_filter("error")
            return icechunk.local_filesystem_storage(str(target))
    parts = urlsplit(target.url)
    place = {"prefix": parts.path.strip("/"), "from_env": True}
    if parts.scheme == "s3":
        endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
        return icechunk.s3_storage(
            bucket=parts.netloc,
            region=os.environ.get("AWS_DEFAULT_REGION") or os.environ.get("AWS_REGION"),
            endpoint_url=endpoint,
            allow_http=bool(endpoint and endpoint.startswith("http://")),
            force_path_style=endpoint is not None,
            **place,
        )
    if parts.scheme == "gs":
        return icechunk.gcs_storage(bucket=parts.netloc, **place)
    account = os.environ.get("AZURE_STORAGE_ACCOUNT_NAME", "")
    container = parts.username or parts.netloc
    return icechunk.azure_storage(account=account, container=container, **place)
