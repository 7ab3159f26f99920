"""What a run has to do, by comparing what is offered with what the journal says."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pystac
import pytest

from aktes_xr.jobs.agenda import Task, agenda, tally
from aktes_xr.jobs.dates import Date, group_dates
from aktes_xr.store.journal import Entry, Journal

STAMPS = {"bundle": "b", "settings": "s", "ancillaries": "a"}
START = datetime(2001, 1, 6, 3, 11, 39, tzinfo=UTC)


def item(name: str, *, minutes: float = 0.0, updated: str = "2015-04-14") -> pystac.Item:
    time = START + timedelta(minutes=minutes)
    return pystac.Item(name, None, None, time, {"updated": updated})


def done(date: Date, **changes: object) -> Journal:
    entry = Entry(date.key, "done", {"items": date.stamp, **STAMPS}, date.ids, slot=0)
    return Journal().with_entry(replace(entry, **changes))  # type: ignore[arg-type]


def only(date: Date, journal: Journal, **options: object) -> Task:
    (task,) = agenda([date], journal, STAMPS, **options)  # type: ignore[arg-type]
    return task


def test_items_of_a_pass_are_one_date() -> None:
    dates = group_dates([item("c", minutes=98.9), item("b", minutes=1.0), item("a")])
    assert [date.ids for date in dates] == [("a", "b"), ("c",)]
    assert dates[0].key == "2001-01-06T03:11:39Z"


def test_a_stamp_does_not_depend_on_the_order_or_on_signatures() -> None:
    one, other = item("a"), item("b", minutes=1.0)
    (date,) = group_dates([one, other])
    signed = other.clone()
    signed.add_asset("TIR", pystac.Asset("https://host/x.tif?sig=secret"))
    (again,) = group_dates([signed, one])
    assert again.stamp == date.stamp
    (newer,) = group_dates([one, item("b", minutes=1.0, updated="2026-01-01")])
    assert newer.stamp != date.stamp


def test_new_then_done_then_gone() -> None:
    (date,) = group_dates([item("a")])
    assert only(date, Journal()).kind == "new"
    assert only(date, done(date)).kind == "skip"
    (task,) = agenda([], done(date), STAMPS)
    assert (task.kind, task.key) == ("gone", date.key)
    assert tally([task]) == {"gone: no source offers it any more": 1}


def test_changed_items_are_made_anew_under_the_same_name() -> None:
    (before,) = group_dates([item("a")])
    (now,) = group_dates([item("a"), item("earlier", minutes=-1.0)])
    task = only(now, done(before))
    assert (task.kind, task.key, task.reason) == ("redo", before.key, "its items have changed")


@pytest.mark.parametrize("name", STAMPS)
def test_another_bundle_is_taken_only_where_that_is_asked_for(name: str) -> None:
    (date,) = group_dates([item("a")])
    old = done(date, stamps={"items": date.stamp, **STAMPS, name: "old"})
    task = only(date, old)
    assert (task.kind, task.reason) == ("skip", f"done, with other {name}")
    assert only(date, old, redo=(name,)).kind == "redo"
    assert only(date, done(date), redo=tuple(STAMPS)).kind == "skip"


def test_what_could_not_be_read_is_tried_again_so_often() -> None:
    (date,) = group_dates([item("a")])
    tries = [only(date, done(date, state="unreadable", attempts=n), retries=2) for n in (1, 2, 3)]
    assert [task.kind for task in tries] == ["redo", "redo", "skip"]
    assert tries[0].reason == "could not be read, try 2 of 3"
    assert tries[2].reason == "could not be read in 3 tries"


def test_what_cannot_be_used_is_left_until_its_items_change() -> None:
    (date,) = group_dates([item("a")])
    journal = done(date, state="unusable", reason="no thermal bands", slot=None)
    assert only(date, journal).reason == "cannot be used: no thermal bands"
    (now,) = group_dates([item("a", updated="2026-01-01")])
    assert only(now, journal).kind == "redo"
