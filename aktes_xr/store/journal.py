"""What a series holds: one entry per date, kept in the store itself and changed with it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, MutableMapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final, Literal

from aktes_xr.errors import StoreError
from aktes_xr.store.counts import NO_CLEAR_REFERENCE

State = Literal["done", "unreadable", "unusable"]
"""``done``: all of it could be read. ``unreadable``: a part, or nothing, could be read.
``unusable``: none of its items can be used."""
VERSION: Final = 1
RETIRED: Final = "aktes:retired_slots"
"""Attribute that names the slots without a present date: earlier versions, and dates that left."""
_STATES: Final = ("done", "unreadable", "unusable")


@dataclass(frozen=True)
class Entry:
    """One date.

    Attributes
    ----------
    key : its name for good, the time of its first item (ISO 8601, UTC)
    state : see `State`
    stamps : fingerprints of what it was made from, by what they are of
    items : ids of its items
    slot : where along time it lies; None where nothing of it is in the store
    attempts : how often it was tried in vain since its items last changed
    valid_share, unreadable_share : of its pixels
    overcast : whether all of it that was measured is cloud
    reason : why it is not done
    made : when (ISO 8601, UTC)
    retired : when another version took its place, or it left the series; empty for present ones
    """

    key: str
    state: State
    stamps: Mapping[str, str] = field(default_factory=dict)
    items: tuple[str, ...] = ()
    slot: int | None = None
    attempts: int = 0
    valid_share: float = 0.0
    unreadable_share: float = 0.0
    overcast: bool = False
    reason: str = ""
    made: str = ""
    retired: str = ""


@dataclass(frozen=True)
class Journal:
    """All dates of a series.

    Attributes
    ----------
    length : slots that count, along time
    entries : of the present dates, by key
    retired : entries of a plain store that have left the series while their slots are still
        there: earlier versions of dates, and dates beyond the retention; oldest first
    """

    length: int = 0
    entries: Mapping[str, Entry] = field(default_factory=dict)
    retired: tuple[Entry, ...] = ()

    @property
    def slots(self) -> tuple[int, ...]:
        """Slots of the present dates, in the order of time."""
        placed = sorted((entry.key, entry.slot) for entry in self.entries.values() if _lies(entry))
        return tuple(slot for _, slot in placed if slot is not None)

    @property
    def holes(self) -> tuple[int, ...]:
        """Slots that count and hold no present date."""
        return tuple(sorted(set(range(self.length)) - set(self.slots)))

    @property
    def overcast(self) -> list[str]:
        """Times (ISO 8601, UTC) of the present dates that have nothing clear, in their order."""
        found = [entry for entry in self.entries.values() if _lies(entry) and entry.overcast]
        return sorted(entry.key.removesuffix("Z") for entry in found)

    def name_dates(self, attributes: MutableMapping[str, Any]) -> None:
        """Name in a store's attributes the slots without a date, and the dates without clear sky.

        Parameters
        ----------
        attributes : mapping
            Of the store's root. Changed in place: what there is none of has no attribute.
        """
        for name, found in ((RETIRED, list(self.holes)), (NO_CLEAR_REFERENCE, self.overcast)):
            if found:
                attributes[name] = found
            else:
                attributes.pop(name, None)

    def gaps(self) -> list[tuple[str, str]]:
        """Say of each date that is not done which it is, and why.

        Returns
        -------
        list of (str, str)
            Time and items of the date, then its state and the reason, in the order of time.
        """
        return [
            (
                f"{key} ({', '.join(entry.items)})" if entry.items else key,
                f"{entry.state}: {entry.reason}" if entry.reason else entry.state,
            )
            for key, entry in sorted(self.entries.items())
            if entry.state != "done"
        ]

    def with_entry(self, entry: Entry) -> Journal:
        """Return the journal with an entry, in the place of an earlier one of its date.

        Parameters
        ----------
        entry : Entry
            Where its slot is another one, the earlier entry is kept among the retired.

        Returns
        -------
        Journal
        """
        before = self.entries.get(entry.key)
        retired = self.retired
        if before is not None and _lies(before) and before.slot != entry.slot:
            retired = (*retired, replace(before, retired=entry.made))
        length = self.length if entry.slot is None else max(self.length, entry.slot + 1)
        return replace(
            self, length=length, entries={**self.entries, entry.key: entry}, retired=retired
        )

    def without(self, keys: Collection[str], *, at: str | None) -> Journal:
        """Return the journal without some dates.

        Parameters
        ----------
        keys : collection of str
            Of the dates that leave.
        at : str or None
            When (ISO 8601, UTC): those that lie in a slot are then kept among the retired. None
            where the store itself keeps what was before.

        Returns
        -------
        Journal
        """
        left = [entry for key, entry in sorted(self.entries.items()) if key in keys]
        retired = [] if at is None else [replace(e, retired=at) for e in left if _lies(e)]
        stay = {key: entry for key, entry in self.entries.items() if key not in keys}
        return replace(self, entries=stay, retired=(*self.retired, *retired))

    def to_json(self) -> dict[str, Any]:
        """Return plain types, dates in the order of their keys."""
        entries = sorted(self.entries.values(), key=lambda entry: entry.key)
        return {
            "version": VERSION,
            "length": self.length,
            "dates": [_plain(entry) for entry in entries],
            "retired": [_plain(entry) for entry in self.retired],
        }

    @classmethod
    def from_json(cls, found: Any) -> Journal:
        """Read what `to_json` returned.

        Parameters
        ----------
        found : Any
            From a store, which somebody else may have written.

        Returns
        -------
        Journal

        Raises
        ------
        StoreError
            It is no journal, or one of a newer version.
        """
        try:
            if found["version"] != VERSION:
                raise StoreError(
                    f"the series' journal is of version {found['version']}, expected {VERSION}: "
                    "use the version of aktes_xr that wrote it, or a newer one"
                )
            entries = _entries(found["dates"])
            length = int(found["length"])
            retired = tuple(_entries(found["retired"]))
        except (KeyError, TypeError, ValueError) as error:
            raise StoreError(
                f"the series' journal cannot be read ({type(error).__name__}: {error}): restore "
                "the store, or let the job write to another place"
            ) from None
        return cls(length, {entry.key: entry for entry in entries}, retired)


def _lies(entry: Entry) -> bool:
    return entry.slot is not None


def _plain(entry: Entry) -> dict[str, Any]:
    known = {key: value for key, value in asdict(entry).items() if value not in ("", 0.0, None)}
    return {**known, "items": list(entry.items)} | ({"slot": 0} if entry.slot == 0 else {})


def _entries(found: Iterable[Mapping[str, Any]]) -> list[Entry]:
    entries = []
    for one in found:
        if one["state"] not in _STATES:
            raise ValueError(f"state {one['state']!r}")
        entries.append(Entry(**{**one, "items": tuple(one["items"])}))
    return entries
