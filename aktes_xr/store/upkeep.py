"""What may leave a series: dates beyond the retention, earlier versions, what dead runs left.

Nothing leaves that a reader may still look at. Whoever has opened a series sees the slots, or the
snapshot, that counted then. So what has been superseded stays for as long as the caller says, and
is removed by a step of its own. All is done while no run can be at work on the series.

`Upkeep.retain` has dates leave: of plain Zarr the journal lets them go and their slots stay, of
Icechunk their chunks leave the newest snapshot. `Upkeep.compact` removes the slots of what has left
the journal; Icechunk's old snapshots expire [1]_. `Upkeep.collect` removes what lies behind the end
and unfinished files; of Icechunk, what no snapshot refers to.

References
----------
.. [1] https://icechunk.io/en/latest/expiration/
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Protocol

from aktes_xr.errors import StoreError, StoreNotFoundError
from aktes_xr.store.address import parse_address
from aktes_xr.store.journal import Entry, Journal
from aktes_xr.store.medium import Medium, held
from aktes_xr.store.root import ROOT, Root
from aktes_xr.store.series import read_journal
from aktes_xr.store.slots import SlotStore, strays
from aktes_xr.store.snapshots import BRANCH, SnapshotStore, open_repository


@dataclass(frozen=True)
class Leaving:
    """Something that leaves a series.

    Attributes
    ----------
    name : of a date, a snapshot or a file
    reason : why
    size : bytes that its leaving frees; 0 where another step frees them
    """

    name: str
    reason: str
    size: int = 0


class Upkeep(Protocol):
    """A series that this process holds, to be tidied up.

    Each step returns what leaves, and does it only where ``apply`` says so.
    """

    def retain(self, before: datetime, *, apply: bool) -> list[Leaving]:
        """Have dates that were taken before a moment leave the series."""

    def compact(self, before: datetime, *, apply: bool) -> list[Leaving]:
        """Remove what was superseded before a moment."""

    def collect(self, before: datetime, *, apply: bool) -> list[Leaving]:
        """Remove what nothing refers to, and what was written before a moment."""


@contextlib.contextmanager
def claim_upkeep(path: str | os.PathLike[str]) -> Iterator[Upkeep]:
    """Hold a series against runs while the block tidies it up.

    Parameters
    ----------
    path : str or path
        Local path of the store, or its address in an object store.

    Yields
    ------
    Upkeep

    Raises
    ------
    StoreNotFoundError
        There is no series.
    StoreBusyError
        A run works on it.
    StoreError
        It cannot be read or written.
    """
    target = parse_address(path)
    if read_journal(path) is None:
        raise StoreNotFoundError(f"there is no series at {target.name}; run its job first")
    with held(target) as medium, _store_errors(target.name):
        root = Root.parse(medium.read(ROOT), target.name)
        if root is not None:
            yield SlotUpkeep(medium, root, target.name)
        else:
            store = SnapshotStore(target, medium, sharded=True)
            yield SnapshotUpkeep(store, open_repository(target))


class SlotUpkeep:
    """Of a series in plain Zarr.

    Parameters
    ----------
    medium : Medium
        Where it lies, held.
    root : Root
        Read from there.
    name : str
        Of the series, for messages.
    """

    def __init__(self, medium: Medium, root: Root, name: str) -> None:
        self._medium, self._root, self._name = medium, root, name

    def retain(self, before: datetime, *, apply: bool) -> list[Leaving]:
        """Have dates that were taken before a moment leave the journal; their slots stay."""
        journal = self._root.journal
        left = _taken_before(journal, before)
        if apply and left:
            now = datetime.now(UTC).isoformat(timespec="milliseconds")
            self._publish(journal.without([entry.key for entry in left], at=now))
        return [Leaving(entry.key, _beyond(before)) for entry in left]

    def compact(self, before: datetime, *, apply: bool) -> list[Leaving]:
        """Remove the slots of what left the journal before a moment.

        The slots stay empty. Were they filled again, who opened the series with plain Zarr before
        would see another date in the place of the old one.
        """
        journal = self._root.journal
        due = [entry for entry in journal.retired if _left_at(entry, journal) < before]
        found = []
        for entry in due:
            keys = [f"{name}/c/{entry.slot}" for name in self._root.dated(slots=True)]
            found.append(
                Leaving(
                    f"{entry.key} in slot {entry.slot}",
                    "made anew" if entry.key in journal.entries else "beyond the retention",
                    sum(self._medium.measure(key) for key in keys),
                )
            )
            for key in keys if apply else ():
                self._medium.remove(key)
        if apply and due:
            # After the files: a run that is killed between the two does it once more.
            self._publish(
                replace(journal, retired=tuple(e for e in journal.retired if e not in due))
            )
        return found

    def collect(self, before: datetime, *, apply: bool) -> list[Leaving]:
        """Remove what lies behind the end, and unfinished files; nobody can be writing them."""
        keys = strays(self._medium, self._root)
        found = [Leaving(key, "left by a run that died", self._medium.measure(key)) for key in keys]
        if apply and keys:
            # Who claims a series to write to it removes them first.
            SlotStore(self._medium, self._name, sharded=True).close()
        return found

    def _publish(self, journal: Journal) -> None:
        content = self._root.with_journal(journal)
        self._medium.replace(ROOT, content)


class SnapshotUpkeep:
    """Of a series in Icechunk.

    Parameters
    ----------
    store : SnapshotStore
        Held.
    repository : icechunk.Repository
        The same.
    """

    def __init__(self, store: SnapshotStore, repository: Any) -> None:
        self._store, self._repository = store, repository

    def retain(self, before: datetime, *, apply: bool) -> list[Leaving]:
        """Have dates that were taken before a moment leave the newest snapshot."""
        left = _taken_before(self._store.journal, before)
        if apply and left:
            self._store.remove([entry.key for entry in left], f"retained from {before:%Y-%m-%d}")
        return [Leaving(entry.key, _beyond(before)) for entry in left]

    def compact(self, before: datetime, *, apply: bool) -> list[Leaving]:
        """Have snapshots expire that no reader can have opened since a moment.

        What counts at that moment, and all after it, stays, however old it is itself; so does the
        first, empty one. A snapshot that a tag names is kept.
        """
        history = list(self._repository.ancestry(branch=BRANCH))
        then = next((n for n, one in enumerate(history) if one.written_at <= before), len(history))
        due = [one for one in history[then + 1 :] if one.parent_id is not None]
        if apply and due:
            # Only what is older than this is taken for expired.
            self._repository.expire_snapshots(older_than=history[then].written_at)
        return [
            Leaving(f"{one.id} ({one.message})", f"superseded before {before:%Y-%m-%d %H:%M}")
            for one in due
        ]

    def collect(self, before: datetime, *, apply: bool) -> list[Leaving]:
        """Remove what no snapshot refers to and was written before a moment."""
        summary = self._repository.garbage_collect(before, dry_run=not apply)
        kinds = ("chunks", "manifests", "snapshots", "attributes", "transaction_logs")
        counts = {kind: getattr(summary, f"{kind}_deleted") for kind in kinds}
        told = ", ".join(f"{n} {kind.replace('_', ' ')}" for kind, n in counts.items() if n)
        reason = "no snapshot refers to them"
        return [Leaving(told, reason, int(summary.bytes_deleted))] if told else []


def _taken_before(journal: Journal, moment: datetime) -> list[Entry]:
    found = sorted(journal.entries.values(), key=lambda entry: entry.key)
    return [entry for entry in found if datetime.fromisoformat(entry.key) < moment]


def _beyond(before: datetime) -> str:
    return f"taken before {before:%Y-%m-%d}"


def _left_at(entry: Entry, journal: Journal) -> datetime:
    """Return when an entry ceased to count: what took its place says so where it does not."""
    present = journal.entries.get(entry.key)
    text = entry.retired or (present.made if present is not None else "") or entry.made
    return datetime.fromisoformat(text) if text else datetime.fromtimestamp(0, UTC)


@contextlib.contextmanager
def _store_errors(name: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if isinstance(error, StoreError):
            raise
        raise StoreError(
            f"could not tidy up {name}: {error.strerror or error}; check the place's rights, and "
            "begin again: what was done stays done"
        ) from error
