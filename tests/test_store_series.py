"""A series grows by whole dates: on a disk and in an object store, alike for every reader."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from object_server import serve_objects
from test_store import make_result

from aktes_xr import errors
from aktes_xr.store import open_result
from aktes_xr.store.address import object_store, zarr_store
from aktes_xr.store.journal import Entry, Journal
from aktes_xr.store.series import claim_series, read_journal

KEYS = ("2001-01-06T03:11:39Z", "2001-01-22T00:00:00Z")


@pytest.fixture(scope="module")
def bucket() -> Iterator[str]:
    pytest.importorskip("moto.server", reason="moto[server] is not installed")
    with serve_objects() as address:
        yield address


@pytest.fixture(params=["disk", "objects"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "disk":
        return str(tmp_path / "s.zarr")
    return f"{request.getfixturevalue('bucket')}/{tmp_path.name}/s.zarr"


def result(**changes: Any) -> xr.Dataset:
    return make_result(chunks={"time": 1, "y": 20, "x": 50}, **changes)


def entry(number: int, **changes: Any) -> Entry:
    return replace(Entry(KEYS[number], "done", stamps={"items": "x"}), **changes)


def names(place: str) -> set[str]:
    """Keys of all that lies at a place."""
    if "://" in place:
        return {str(one["path"]) for batch in object_store(place).list() for one in batch}
    root = Path(place)
    return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}


def same(one: xr.Dataset, other: xr.Dataset) -> None:
    for name in (*other.data_vars, *other.coords):
        np.testing.assert_array_equal(one[name], other[name])
        assert one[name].dtype.kind == other[name].dtype.kind
    assert one.rio.crs == other.rio.crs


def test_a_date_is_there_when_it_is_committed_and_not_before(place: str) -> None:
    whole = result()
    with claim_series(place) as series:
        counts = series.write(whole)
        assert counts.valid.tolist() == [1850, 1850]
        with pytest.raises(errors.StoreError, match="holds no date yet"):
            open_result(place)
        assert "surface_temperature" not in xr.open_zarr(zarr_store(place))
        series.commit(0, entry(0))
        same(open_result(place), whole.isel(time=[0]))
        assert xr.open_zarr(zarr_store(place)).sizes["time"] == 1
        series.commit(1, entry(1))
    same(open_result(place), whole)
    assert open_result(place).attrs["title"] == "a result"
    assert not any("lease" in name or "partial" in name for name in names(place))
    alone = xr.open_zarr(zarr_store(place), consolidated=False)
    assert alone.sizes["time"] == 2


def test_what_was_not_committed_leaves_nothing(place: str) -> None:
    with claim_series(place) as series:
        series.write(result())
        series.commit(0, entry(0))
    once = names(place)
    with claim_series(place) as series:
        series.write(result())
        assert names(place) > once
    assert names(place) == once
    assert xr.open_zarr(zarr_store(place), consolidated=False).sizes["time"] == 1


def test_a_date_left_out_of_a_batch_leaves_no_gap(place: str) -> None:
    with claim_series(place) as series:
        series.write(result())
        series.commit(None, entry(0, state="unreadable", reason="no file"))
        series.commit(1, entry(1))
    same(open_result(place), result().isel(time=[1]))
    journal = read_journal(place)
    assert journal is not None
    assert journal.length == 1
    assert journal.entries[KEYS[0]].state == "unreadable"
    assert journal.slots == (0,)


def test_dates_come_in_order_and_keep_their_history(place: str) -> None:
    whole = result()
    with claim_series(place) as series:
        series.write(whole)
        series.commit(1, entry(1))
    with claim_series(place) as series:
        assert series.block == (20, 50)
        series.write(whole.assign(surface_temperature=whole["surface_temperature"] + 1.0))
        series.commit(0, entry(0))
        series.commit(1, entry(1, made="again"))
    again = open_result(place)
    assert again["time"].values.tolist() == whole["time"].values.tolist()
    np.testing.assert_array_equal(
        again["surface_temperature"], whole["surface_temperature"] + np.float32(1.0)
    )
    journal = read_journal(place)
    assert journal is not None
    assert (journal.slots, [old.slot for old in journal.retired]) == ((1, 2), [0])
    plain = xr.open_zarr(zarr_store(place))
    assert plain.sizes["time"] == 3
    assert plain.attrs["aktes:retired_slots"] == [0]
    assert "aktes:retired_slots" not in again.attrs


def test_one_run_at_a_time(place: str) -> None:
    with (
        claim_series(place),
        pytest.raises(errors.StoreBusyError, match=f"process {os.getpid()} on"),
        claim_series(place),
    ):
        pass


def test_another_grid_or_other_variables_are_refused(place: str) -> None:
    with claim_series(place) as series:
        series.write(result())
        series.commit(0, entry(0))
        with pytest.raises(errors.StoreExistsError, match="has another grid"):
            series.write(result(shape=(41, 50)))
        with pytest.raises(errors.StoreExistsError, match="differing: emissivity"):
            series.write(result().drop_vars("emissivity"))


def test_what_is_no_series_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").write_text("mine")
    with (
        pytest.raises(errors.StoreExistsError, match="is no series of a job"),
        claim_series(tmp_path),
    ):
        pass
    assert (tmp_path / "photo.jpg").read_text() == "mine"
    assert read_journal(tmp_path) is None


KILLED = """
import os, signal, sys
from test_store_series import claim_series, entry, result
with claim_series(sys.argv[1]) as series:
    series.write(result())
    series.commit(0, entry(0))
    print("committed", flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_killed_run_leaves_whole_dates_and_the_next_goes_on(place: str) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", KILLED, place],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    same(open_result(place), result().isel(time=[0]))
    before = names(place)
    with claim_series(place):
        swept = names(place)
    assert swept < before
    with claim_series(place) as series:
        series.write(result().isel(time=[1]))
        series.commit(0, entry(1))
    same(open_result(place), result())


def test_a_root_that_somebody_else_has_changed_is_not_replaced(bucket: str) -> None:
    place = f"{bucket}/changed/s.zarr"
    with claim_series(place) as series:
        series.write(result())
        series.commit(0, entry(0))
        object_store(place).put("zarr.json", b"{}")
        with pytest.raises(errors.StoreBusyError):
            series.commit(1, entry(1))
    assert bytes(object_store(place).get("zarr.json").bytes()) == b"{}"


def test_a_journal_is_the_same_after_json() -> None:
    journal = Journal()
    for number in (1, 0):
        journal = journal.with_entry(entry(number, slot=number, items=("a", "b"), attempts=2))
    journal = journal.with_entry(entry(0, slot=2))
    again = Journal.from_json(journal.to_json())
    assert again == journal
    assert (again.length, again.slots) == (3, (2, 1))


@pytest.mark.parametrize(
    "found", [{}, None, {"version": 9}, {"version": 1, "length": 0, "dates": [{}], "retired": []}]
)
def test_what_is_no_journal_is_refused(found: Any) -> None:
    with pytest.raises(errors.StoreError, match="journal"):
        Journal.from_json(found)


@pytest.fixture(params=["disk", "objects"])
def repository(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    pytest.importorskip("icechunk", reason="icechunk is not installed")
    if request.param == "disk":
        return str(tmp_path / "s.icechunk")
    return f"{request.getfixturevalue('bucket')}/{tmp_path.name}/s.icechunk"


def test_icechunk_dates_are_transactions(repository: str) -> None:
    whole = result()
    with claim_series(repository, backend="icechunk") as series:
        assert series.write(whole).valid.tolist() == [1850, 1850]
        series.commit(1, entry(1))
        with pytest.raises(errors.StoreBusyError), claim_series(repository, backend="icechunk"):
            pass
    same(open_result(repository), whole.isel(time=[1]))
    reader = open_result(repository)
    warmer = whole.assign(surface_temperature=whole["surface_temperature"] + 1.0)
    with claim_series(repository, backend="icechunk") as series:
        assert series.block == (20, 50)
        series.write(warmer)
        series.commit(0, entry(0))
        series.commit(1, entry(1, made="again"))
        series.commit(None, entry(1, state="unreadable", slot=0, attempts=1))
    same(open_result(repository), warmer)
    # Who has opened it before still sees what was there.
    same(reader, whole.isel(time=[1]))
    journal = read_journal(repository)
    assert journal is not None
    assert (journal.slots, journal.retired) == ((1, 0), ())
    with (
        claim_series(repository, backend="icechunk") as series,
        pytest.raises(errors.StoreExistsError, match="has another grid"),
    ):
        series.write(result(shape=(41, 50)))


@pytest.mark.parametrize("backend", ["zarr", "icechunk"])
def test_dates_that_have_nothing_clear_are_named(tmp_path: Path, backend: Any) -> None:
    if backend == "icechunk":
        pytest.importorskip("icechunk", reason="icechunk is not installed")
    place, name = tmp_path / "series", "dates_without_clear_reference"

    def named() -> Any:
        return open_result(place).attrs.get(name)

    with claim_series(place, backend=backend) as series:
        series.write(result())
        series.commit(1, entry(1, overcast=True))
        assert named() == ["2001-01-22T00:00:00"]
    with claim_series(place, backend=backend) as series:
        # Nothing that is there is read again.
        assert series.journal.entries[KEYS[1]].overcast
        series.write(result())
        series.commit(0, entry(0, overcast=True))
        assert named() == ["2001-01-06T03:11:39", "2001-01-22T00:00:00"]
        series.commit(None, entry(1, overcast=True, slot=0, state="unreadable"))
        assert len(named()) == 2
    with claim_series(place, backend=backend) as series:
        series.write(result())
        series.commit(0, entry(0, made="again"))
        assert named() == ["2001-01-22T00:00:00"]
        series.commit(1, entry(1, made="again"))
    assert named() is None


def test_backends_do_not_write_into_each_other(tmp_path: Path) -> None:
    pytest.importorskip("icechunk", reason="icechunk is not installed")
    for first, second in (("zarr", "icechunk"), ("icechunk", "zarr")):
        place = tmp_path / first
        with claim_series(place, backend=first) as series:  # type: ignore[arg-type]
            series.write(result())
            series.commit(0, entry(0))
        with (
            pytest.raises(errors.StoreExistsError, match="choose another place"),
            claim_series(place, backend=second),  # type: ignore[arg-type]
        ):
            pass
        assert open_result(place).sizes["time"] == 1
