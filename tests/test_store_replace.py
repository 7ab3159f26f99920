"""A store's place: what is there is never lost, nobody's things are touched, one run at a time."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import xarray as xr
from test_store import leftovers, make_result

from aktes_xr import errors
from aktes_xr.cube.quality import QualityFlag
from aktes_xr.store import open_result, write_result


def lazy(act: Callable[[], object], **changes: Any) -> xr.Dataset:
    """A result during whose computation something happens."""
    result = make_result(chunks={"time": 1}).assign(changes)

    def work(block: np.ndarray) -> np.ndarray:
        act()
        return block

    measured = result["surface_temperature"]
    data = measured.data.map_blocks(work, dtype="float32", meta=np.empty((0, 0, 0), "float32"))
    return result.assign(surface_temperature=measured.copy(data=data))


def once(act: Callable[[], object]) -> Callable[[], None]:
    done = threading.Lock()

    def only_once() -> None:
        if done.acquire(blocking=False):
            act()

    return only_once


def valid_in(share: float) -> xr.Dataset:
    """A result with a temperature in so many of its rows; the rest could not be read."""
    result = make_result(chunks={"time": 1})
    rows = np.arange(result.sizes["y"]) < round(share * result.sizes["y"])
    seen = xr.DataArray(rows, dims="y")
    temperature = xr.full_like(result["surface_temperature"], 300.0).where(seen)
    flags = np.where(rows, 0, int(QualityFlag.UNREADABLE | QualityFlag.FILL)).astype(np.uint16)
    quality = xr.zeros_like(result["quality"]) + xr.DataArray(flags, dims="y")
    return result.assign(
        surface_temperature=temperature,
        quality=quality.transpose(*result["quality"].dims).assign_attrs(result["quality"].attrs),
    )


@pytest.fixture(params=["one step", "plain renames"])
def renames(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """With the system's exchange of names, and as on a file system that knows none."""
    if request.param == "plain renames":
        monkeypatch.setattr(ctypes, "CDLL", lambda *_, **__: SimpleNamespace())
    return str(request.param)


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_folder_that_appears_meanwhile_is_not_touched(
    tmp_path: Path, renames: str, overwrite: bool
) -> None:
    target = tmp_path / "r.zarr"

    def appear() -> None:
        target.mkdir()
        (target / "photo.jpg").write_text("mine")

    with pytest.raises(errors.StoreExistsError, match="while the new result was computed"):
        write_result(lazy(once(appear)), target, overwrite=overwrite)
    assert (target / "photo.jpg").read_text() == "mine"
    assert leftovers(tmp_path, "r.zarr") == set()


def test_a_file_or_an_empty_folder_that_appears_meanwhile_stays(tmp_path: Path) -> None:
    for name, act in (("file", Path.touch), ("folder", Path.mkdir)):
        target = tmp_path / name
        with pytest.raises(errors.StoreExistsError, match="left as it is"):
            write_result(lazy(once(lambda act=act, target=target: act(target))), target)  # type: ignore[misc]
        assert target.exists()
        assert not any(target.iterdir()) if target.is_dir() else target.stat().st_size == 0
    assert leftovers(tmp_path, "file", "folder") == set()


def test_a_store_that_was_changed_meanwhile_stays(tmp_path: Path, renames: str) -> None:
    target = tmp_path / "r.zarr"
    write_result(make_result(), target)

    def another() -> None:
        target.rename(tmp_path / "aside.zarr")
        write_result(make_result(dates=1), tmp_path / "new.zarr")
        (tmp_path / "new.zarr").rename(target)

    with pytest.raises(errors.StoreExistsError, match="while the new result was computed"):
        write_result(lazy(once(another)), target, overwrite=True)
    assert open_result(target).sizes["time"] == 1
    assert leftovers(tmp_path, "r.zarr", "aside.zarr") == set()


def test_a_store_taken_away_meanwhile_is_said(tmp_path: Path) -> None:
    target = tmp_path / "r.zarr"
    write_result(make_result(), target)
    away = once(lambda: target.rename(tmp_path / "away.zarr"))
    with pytest.raises(errors.StoreExistsError, match="taken away"):
        write_result(lazy(away), target, overwrite=True)
    assert leftovers(tmp_path, "away.zarr") == set()


@pytest.mark.parametrize("dangling", [False, True])
def test_a_link_is_refused_before_anything_is_computed(tmp_path: Path, dangling: bool) -> None:
    if not dangling:
        write_result(make_result(), tmp_path / "real.zarr")
    (tmp_path / "r.zarr").symlink_to(tmp_path / "real.zarr")
    computed: list[int] = []
    for overwrite in (False, True):
        with pytest.raises(errors.StoreExistsError, match="is a link"):
            write_result(lazy(lambda: computed.append(1)), tmp_path / "r.zarr", overwrite=overwrite)
    assert not computed
    assert (tmp_path / "r.zarr").is_symlink()
    assert leftovers(tmp_path, "r.zarr", "real.zarr") == set()


def test_a_store_with_somebodys_file_in_it_is_not_replaced(tmp_path: Path) -> None:
    target = tmp_path / "r.zarr"
    write_result(make_result(), target)
    (target / "notes.txt").write_text("mine")
    with pytest.raises(errors.StoreExistsError, match=r"holds more than arrays \(notes\.txt\)"):
        write_result(make_result(), target, overwrite=True)
    assert (target / "notes.txt").exists()


def test_one_run_at_a_time(tmp_path: Path) -> None:
    target = tmp_path / "r.zarr"
    refused: list[errors.StoreBusyError] = []

    def second() -> None:
        with contextlib.suppress(errors.StoreBusyError):
            try:
                write_result(make_result(), target)
            except errors.StoreBusyError as error:
                refused.append(error)
                raise

    write_result(lazy(once(second)), target)
    assert len(refused) == 1
    assert f"is being written by process {os.getpid()} on " in str(refused[0])
    assert refused[0].exit_code == 7
    assert open_result(target).sizes["time"] == 2
    assert leftovers(tmp_path, "r.zarr") == set()


def test_what_dead_runs_left_is_swept_up_and_nothing_else(tmp_path: Path) -> None:
    for name in (f".r.zarr.{'0a' * 16}.partial", f".r.zarr.{'1b' * 16}.old"):
        write_result(make_result(dates=1), tmp_path / "x.zarr")
        (tmp_path / "x.zarr").rename(tmp_path / name)
    kept = {f".other.zarr.{'0a' * 16}.partial", ".r.zarr.mine.partial", ".r.zarr"}
    for name in kept:
        (tmp_path / name).mkdir()
    (tmp_path / ".r.zarr.lock").write_text("of a dead process")
    write_result(make_result(), tmp_path / "r.zarr", overwrite=True)
    assert leftovers(tmp_path, "r.zarr", *kept) == set()


def test_what_a_dead_run_had_moved_aside_comes_back(tmp_path: Path) -> None:
    target = tmp_path / "r.zarr"
    write_result(make_result(dates=1), target)
    target.rename(tmp_path / f".r.zarr.{'1b' * 16}.old")
    with pytest.raises(errors.StoreExistsError, match="exists; choose another place"):
        write_result(make_result(), target)
    assert open_result(target).sizes["time"] == 1
    assert leftovers(tmp_path, "r.zarr") == set()


def test_a_living_runs_partial_is_left_alone(tmp_path: Path) -> None:
    target = tmp_path / "r.zarr"
    seen: list[set[str]] = []

    def another_place() -> None:
        with contextlib.suppress(errors.StoreBusyError):
            write_result(make_result(), target)
        seen.append({p.suffix for p in tmp_path.iterdir() if p.name.startswith(".r.zarr.")})

    write_result(lazy(once(another_place)), target)
    assert seen == [{".partial", ".lock"}]
    assert leftovers(tmp_path, "r.zarr") == set()


CHILD = """
import os, signal, sys
sys.path.insert(0, {tests!r})
import ctypes
from types import SimpleNamespace
from test_store import make_result
from aktes_xr.store import write_result
if sys.argv[2] == "plain":
    ctypes.CDLL = lambda *_, **__: SimpleNamespace()
rename, count = os.rename, [0]
def dies(*args, **options):
    rename(*args, **options)
    count[0] += 1
    os.kill(os.getpid(), signal.SIGKILL)
from pathlib import Path
Path.rename = lambda self, to: dies(self, to)
write_result(make_result(), sys.argv[1], overwrite=True)
"""


def test_killed_between_two_renames_the_next_run_finds_the_old_store(tmp_path: Path) -> None:
    target = tmp_path / "r.zarr"
    write_result(make_result(dates=1), target)
    code = CHILD.format(tests=str(Path(__file__).parent))
    done = subprocess.run([sys.executable, "-c", code, str(target), "plain"], check=False)
    assert done.returncode == -signal.SIGKILL
    assert not target.exists()
    with pytest.raises(errors.StoreExistsError):
        write_result(make_result(), target)
    assert open_result(target).sizes["time"] == 1
    assert leftovers(tmp_path, "r.zarr") == set()


def test_all_is_on_the_disk_before_it_is_in_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "r.zarr"
    synced: list[tuple[int, bool]] = []
    fsync = os.fsync

    def note(handle: int) -> None:
        synced.append((os.fstat(handle).st_ino, target.exists()))
        fsync(handle)

    monkeypatch.setattr(os, "fsync", note)
    write_result(make_result(chunks={"time": 1}), target)
    before = {inode for inode, in_place in synced if not in_place}
    after = {inode for inode, in_place in synced if in_place}
    assert {path.stat().st_ino for path in [target, *target.rglob("*")]} <= before
    assert tmp_path.stat().st_ino in after


@pytest.mark.parametrize("share", [0.0, 0.3])
def test_a_worse_result_does_not_replace_a_better(tmp_path: Path, share: float) -> None:
    target = tmp_path / "r.zarr"
    write_result(valid_in(0.9), target)
    with pytest.raises(errors.WorseResultError) as caught:
        write_result(valid_in(share), target, overwrite=True)
    assert f"in {share:.2%} of the pixels, the old one in 90.00%" in str(caught.value)
    assert f"for the 2 dates that both have; {1 - share:.2%} of the new" in str(caught.value)
    assert caught.value.exit_code == 6
    kept = open_result(target)["surface_temperature"]
    assert float(kept.notnull().mean()) == pytest.approx(0.9)
    assert leftovers(tmp_path, "r.zarr") == set()
    write_result(valid_in(share), target, overwrite=True, accept_worse=True)
    replaced = open_result(target)["surface_temperature"]
    assert float(replaced.notnull().mean()) == pytest.approx(share)


def test_a_little_less_or_other_ground_is_no_worse(tmp_path: Path) -> None:
    target = tmp_path / "r.zarr"
    write_result(valid_in(0.9), target)
    write_result(valid_in(0.5), target, overwrite=True)
    # Half the share, on four times the ground.
    wide = valid_in(0.25)
    wide = wide.assign_coords(y=wide["y"][0] + 4 * (wide["y"] - wide["y"][0]))
    write_result(wide, target, overwrite=True)


def dates(shares: dict[str, float]) -> xr.Dataset:
    """A result of these dates, each with a temperature in so much of it."""
    parts = [
        valid_in(share).isel(time=[0]).assign_coords(time=np.array([time], "datetime64[ns]"))
        for time, share in shares.items()
    ]
    return xr.concat(parts, "time", data_vars="minimal", coords="minimal", compat="override")


DAYS = [f"2001-01-{day:02d}T03:11:39" for day in range(1, 7)]


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        # Most dates are gone; what is left is better than before.
        (dict.fromkeys(DAYS, 0.6), dict.fromkeys(DAYS[:2], 1.0), "6 dates with temp.*, 4 are not"),
        (dict.fromkeys(DAYS, 0.6), dict.fromkeys(DAYS[:3], 0.6), "6 dates with temp.*, 3 are not"),
        # No date is the same.
        (dict.fromkeys(DAYS[:3], 0.6), dict.fromkeys(DAYS[3:], 0.6), "3 dates with temp.*, 3 are"),
        # One large date makes up for five that are gone.
        ({**dict.fromkeys(DAYS[1:], 0.2), DAYS[0]: 1.0}, {**dict.fromkeys(DAYS[1:], 0.05),
         DAYS[0]: 1.0}, "6 dates with temp.*, 0 are not.*and 5 have less than half"),
        # Empty dates do not count.
        ({**dict.fromkeys(DAYS[2:], 0.0), **dict.fromkeys(DAYS[:2], 0.6)},
         {**dict.fromkeys(DAYS[1:], 0.6)}, "2 dates with temp.*, 1 are not"),
    ],
)  # fmt: skip
def test_a_result_that_loses_most_dates_does_not_replace(
    tmp_path: Path, before: dict[str, float], after: dict[str, float], said: str
) -> None:
    target = tmp_path / "r.zarr"
    write_result(dates(before), target)
    with pytest.raises(errors.WorseResultError, match=said):
        write_result(dates(after), target, overwrite=True)
    assert open_result(target).sizes["time"] == len(before)
    assert leftovers(tmp_path, "r.zarr") == set()
    write_result(dates(after), target, overwrite=True, accept_worse=True)
    assert open_result(target).sizes["time"] == len(after)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        # One date of six is lost.
        (dict.fromkeys(DAYS, 0.6), dict.fromkeys(DAYS[:5], 0.6)),
        (dict.fromkeys(DAYS, 0.6), {**dict.fromkeys(DAYS, 0.6), DAYS[2]: 0.0}),
        # A granule more moves a date by some seconds.
        ({DAYS[0]: 0.6}, {"2001-01-01T03:11:30": 0.6}),
        # There were no temperatures on what is gone.
        (dict.fromkeys(DAYS, 0.0), {DAYS[0]: 0.1}),
    ],
)
def test_a_result_that_loses_little_replaces(
    tmp_path: Path, before: dict[str, float], after: dict[str, float]
) -> None:
    target = tmp_path / "r.zarr"
    write_result(dates(before), target)
    write_result(dates(after), target, overwrite=True)
    assert open_result(target).sizes["time"] == len(after)


@pytest.mark.parametrize("damage", ["metadata", "pixels"])
def test_a_damaged_store_that_may_hold_better_is_not_replaced(tmp_path: Path, damage: str) -> None:
    target = tmp_path / "r.zarr"
    write_result(valid_in(0.9), target)
    if damage == "metadata":
        (target / "surface_temperature" / "zarr.json").write_text('{"zarr_format": 3, "node')
        (target / "zarr.json").write_text('{"zarr_format": 3, "node_type": "group", "attr')
    else:
        for path in (target / "surface_temperature" / "c").rglob("*"):
            if path.is_file():
                path.write_bytes(path.read_bytes()[:20])
    with pytest.raises(errors.WorseResultError, match="old store cannot be read to be compared"):
        write_result(valid_in(0.3), target, overwrite=True)
    write_result(valid_in(0.3), target, overwrite=True, accept_worse=True)
    assert leftovers(tmp_path, "r.zarr") == set()


def test_nothing_replaces_nothing(tmp_path: Path) -> None:
    target = tmp_path / "r.zarr"
    write_result(valid_in(0.0), target)
    write_result(valid_in(0.0), target, overwrite=True)
    terrain = make_result().drop_vars(["surface_temperature", "emissivity", "quality"])
    write_result(terrain, target, overwrite=True)
    write_result(valid_in(0.0), target, overwrite=True)


@contextlib.contextmanager
def synchronous() -> Iterator[None]:
    import dask

    with dask.config.set(scheduler="synchronous"):
        yield


def counts_by_hand(result: xr.Dataset) -> dict[str, list[int]]:
    quality = result["quality"].to_numpy()
    unreadable = (quality & QualityFlag.UNREADABLE) != 0
    return {
        "pixels": [quality[0].size] * len(quality),
        "valid": result["surface_temperature"].notnull().sum(("y", "x")).values.tolist(),
        "unreadable": unreadable.sum((1, 2)).tolist(),
        "fill": ((quality & QualityFlag.FILL) != 0).sum((1, 2)).tolist(),
    }


@pytest.mark.parametrize(
    "chunks", [None, {"time": 1}, {"time": 2, "y": 13, "x": 20}, {"time": 1, "y": 16, "band": 2}]
)
def test_the_tasks_that_write_count_what_they_write(tmp_path: Path, chunks: Any) -> None:
    whole = valid_in(0.4).compute()
    result = whole if chunks is None else whole.chunk(chunks)
    counts = write_result(result, tmp_path / "r.zarr")
    assert counts is not None
    expected = counts_by_hand(whole)
    assert {name: getattr(counts, name).tolist() for name in expected} == expected
    with synchronous():
        again = write_result(result, tmp_path / "s.zarr")
    assert again is not None
    assert again.valid.tolist() == expected["valid"]


def test_attributes_made_of_counts_are_there_when_the_store_is(tmp_path: Path) -> None:
    target = tmp_path / "r.zarr"
    seen: list[bool] = []

    def summary(counts: Any) -> dict[str, Any]:
        seen.append(target.exists())
        return {"valid_pixels": int(counts.valid.sum())}

    write_result(valid_in(0.5), target, summary=summary)
    assert seen == [False]
    assert open_result(target).attrs["valid_pixels"] == 2 * 20 * 50
    assert xr.open_zarr(target, consolidated=False).attrs["valid_pixels"] == 2 * 20 * 50
