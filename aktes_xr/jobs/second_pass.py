"""The second pass of a scheduled series: a second store, made of the first one's dates.

The first series stays what it is, every date by itself, and is what priors are made of. Beside it
lies a second one with the same dates, each retrieved with what the others say of its emissivity. A
date that comes later gets its second pass at once, of the dates that are there; it changes the
priors of those, too, but they are made anew only where that is asked for (``prior``), as for
another bundle. A date whose first pass is made anew gets a new second pass always.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Final

from aktes_xr.jobs.agenda import Task, by_time, same_pass
from aktes_xr.jobs.config import Job
from aktes_xr.jobs.dates import Date
from aktes_xr.jobs.stamps import fingerprint
from aktes_xr.retrieval.two_pass import BRIGHTNESS
from aktes_xr.retrieval.witnesses import in_season
from aktes_xr.store import open_result
from aktes_xr.store.journal import Entry, Journal

SUFFIX: Final = "-second"
_FIRST, _PRIOR = "first", "prior"


def second_address(address: str) -> str:
    """Return where the second pass of a series lies.

    Parameters
    ----------
    address : str
        Of the series: ``r.zarr`` has its second pass in ``r-second.zarr``.

    Returns
    -------
    str
    """
    plain = address.rstrip("/")
    stem = plain.removesuffix(".zarr")
    return f"{stem}{SUFFIX}{plain[len(stem) :]}"


def keeps_brightness(job: Job, journal: Journal) -> bool:
    """Return whether a first pass keeps the brightness temperature, for a clear background.

    All dates of a store have the same variables. So the first one decides, and a second pass that
    is asked for later has no background.

    Parameters
    ----------
    job : Job
    journal : Journal
        Of the first pass.

    Returns
    -------
    bool
    """
    if journal.length:
        return BRIGHTNESS in open_result(job.store.address)
    return job.retrieval.passes == 2


def own_stamps(first: Journal) -> dict[str, dict[str, str]]:
    """Return what each date's second pass depends on besides, as fingerprints.

    Parameters
    ----------
    first : Journal
        Of the first pass.

    Returns
    -------
    dict
        By the date's key: ``first``, its own first pass, and ``prior``, those of the other dates of
        its season.
    """
    lying = [entry for entry in first.entries.values() if entry.slot is not None]
    months = {entry.key: datetime.fromisoformat(entry.key).month for entry in lying}
    found = {}
    for entry in lying:
        others = [
            [other.key, other.made]
            for other in lying
            if other is not entry and in_season(months[other.key], months[entry.key])
        ]
        found[entry.key] = {
            _FIRST: fingerprint([entry.slot, entry.made]),
            _PRIOR: fingerprint(sorted(others)),
        }
    return found


def second_agenda(
    dates: Sequence[Date],
    journals: tuple[Journal, Journal],
    stamps: Mapping[str, str],
    *,
    redo: Collection[str] = (),
) -> list[Task]:
    """Say what is to be done in the second pass.

    Parameters
    ----------
    dates : sequence of Date
        What the sources offer.
    journals : (Journal, Journal)
        Of the first pass and of the second.
    stamps : mapping
        Fingerprints of what all dates depend on.
    redo : collection of str
        For which of them, or ``prior``, dates are made anew.

    Returns
    -------
    list of Task
        In the order of time; only dates that have a first pass and are still offered.
    """
    first, second = journals
    known, own = by_time(first), own_stamps(first)
    tasks = []
    for date in dates:
        entry = same_pass(date.time, known)
        if entry is None or entry.slot is None:
            continue
        before = second.entries.get(entry.key)
        wanted = {**stamps, **own[entry.key]}
        tasks.append(_compared(date, entry.key, before, wanted, redo))
    return sorted(tasks, key=lambda task: task.key)


def _compared(
    date: Date,
    key: str,
    before: Entry | None,
    wanted: Mapping[str, str],
    redo: Collection[str],
) -> Task:
    if before is None:
        return Task("new", key, "second pass: not in its store", date)
    changed = [name for name, stamp in wanted.items() if before.stamps.get(name) != stamp]
    if _FIRST in changed:
        return Task("redo", key, "second pass: its first one has changed", date, before)
    asked = [name for name in changed if name in redo]
    if asked:
        reason = f"second pass: asked for: other {' and '.join(asked)}"
        return Task("redo", key, reason, date, before)
    said = f", with other {' and '.join(changed)}" if changed else ""
    return Task("skip", key, f"second pass: done{said}", date, before)
