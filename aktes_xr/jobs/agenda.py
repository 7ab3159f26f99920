"""What a run has to do: which dates are new, are made anew, are left as they are, or are gone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

from aktes_xr.jobs.dates import Date
from aktes_xr.stac.load import HALF_ORBIT
from aktes_xr.store.journal import Entry, Journal

Kind = Literal["new", "redo", "skip", "gone"]
ITEMS: Final = "items"
"""Name of the fingerprint of a date's items."""


@dataclass(frozen=True)
class Task:
    """What is to be done with a date.

    Attributes
    ----------
    kind : ``"new"``, ``"redo"``, ``"skip"`` or ``"gone"`` (in the store, offered no more; it stays)
    key : the date's name
    reason : why
    date : its items; None where they are gone
    entry : what the journal has of it; None where it is new
    """

    kind: Kind
    key: str
    reason: str
    date: Date | None = None
    entry: Entry | None = None

    @property
    def is_work(self) -> bool:
        """Whether it asks for computing."""
        return self.kind in ("new", "redo")

    def as_dict(self) -> dict[str, Any]:
        """Return plain types for JSON."""
        items = self.date.ids if self.date is not None else self.entry.items if self.entry else ()
        return {"date": self.key, "kind": self.kind, "reason": self.reason, "items": list(items)}


def agenda(
    dates: Sequence[Date],
    journal: Journal,
    stamps: Mapping[str, str],
    *,
    redo: Collection[str] = (),
    retries: int = 3,
) -> list[Task]:
    """Compare what there is to make with what is made.

    Parameters
    ----------
    dates : sequence of Date
        What the sources offer.
    journal : Journal
        Of the series.
    stamps : mapping
        Fingerprints of all that has a say in a date besides its items
        (`aktes_xr.jobs.stamps.stamps_of`).
    redo : collection of str
        For which of them dates are made anew. Changed items always do that.
    retries : int
        How often to try again what could not be read.

    Returns
    -------
    list of Task
        In the order of time.
    """
    known = by_time(journal)
    tasks, met = [], set()
    for date in dates:
        entry = same_pass(date.time, known)
        if entry is None:
            tasks.append(Task("new", date.key, "not in the store", date))
            continue
        met.add(entry.key)
        kind, reason = _compare(date, entry, stamps, redo=redo, retries=retries)
        tasks.append(Task(kind, entry.key, reason, date, entry))
    tasks += [
        Task("gone", entry.key, "no source offers it any more", None, entry)
        for entry in journal.entries.values()
        if entry.key not in met
    ]
    return sorted(tasks, key=lambda task: task.key)


def tally(tasks: Sequence[Task]) -> dict[str, int]:
    """Count tasks by kind and reason, in the order of their kinds.

    Parameters
    ----------
    tasks : sequence of Task

    Returns
    -------
    dict
        Numbers by ``"kind: reason"``.
    """
    kinds: tuple[Kind, ...] = ("new", "redo", "skip", "gone")
    found = Counter((kinds.index(task.kind), task.reason) for task in tasks)
    return {f"{kinds[kind]}: {reason}": n for (kind, reason), n in sorted(found.items())}


def _compare(
    date: Date,
    entry: Entry,
    stamps: Mapping[str, str],
    *,
    redo: Collection[str],
    retries: int,
) -> tuple[Kind, str]:
    if entry.stamps.get(ITEMS) != date.stamp:
        return "redo", "its items have changed"
    if entry.state == "unusable":
        return "skip", f"cannot be used: {entry.reason}"
    changed = [name for name, stamp in stamps.items() if entry.stamps.get(name) != stamp]
    asked = [name for name in changed if name in redo]
    if asked:
        return "redo", f"asked for: other {' and '.join(asked)}"
    if entry.state == "unreadable" and entry.attempts <= retries:
        return "redo", f"could not be read, try {entry.attempts + 1} of {retries + 1}"
    if entry.state == "unreadable":
        return "skip", f"could not be read in {entry.attempts} tries"
    if changed:
        return "skip", f"done, with other {' and '.join(changed)}"
    return "skip", "done"


def same_pass(time: datetime, known: Mapping[datetime, Entry]) -> Entry | None:
    """Return the entry of a pass, also where its first item is another one by now.

    Parameters
    ----------
    time : datetime
        Of the pass.
    known : mapping
        Entries by their times.

    Returns
    -------
    Entry or None
        None where there is none within half an orbit.
    """
    near = min(known, key=lambda other: abs(other - time), default=None)
    if near is None or abs(near - time) > HALF_ORBIT:
        return None
    return known[near]


def by_time(journal: Journal) -> dict[datetime, Entry]:
    """Return a journal's entries by the times of their passes."""
    return {datetime.fromisoformat(entry.key): entry for entry in journal.entries.values()}
