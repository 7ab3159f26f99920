"""A scheduled series: every date once, in as many runs as it takes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from random_bundle import random_bundle
from series_jobs import SmallJob
from typer.testing import CliRunner

import aktes_xr
from aktes_xr.cli import app
from aktes_xr.store.series import claim_series, read_journal


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("bundle") / "random"
    random_bundle(path)
    return str(path)


@pytest.fixture
def job(tmp_path: Path, bundle: str) -> SmallJob:
    return SmallJob(tmp_path, bundle)


def run(job: SmallJob, *options: str) -> Any:
    return CliRunner().invoke(app, ["run", str(job.file), *options])


def state(job: SmallJob) -> dict[str, tuple[int, int, int]]:
    """Bytes, times of change and inodes of all that is in the store."""
    found = [Path(job.store), *Path(job.store).rglob("*")]
    stats = {str(path): path.stat() for path in found}
    return {path: (s.st_size, s.st_mtime_ns, s.st_ino) for path, s in stats.items()}


def test_every_date_once(job: SmallJob) -> None:
    days = (22, 6, 14)
    items = [job.item(day) for day in days]
    job.offer(*items)
    planned = run(job, "--dry-run")
    assert planned.exit_code == 0, planned.output
    assert "2001-01-06T03:11:39Z new: not in the store" in planned.stdout
    assert not Path(job.store).exists()
    done = run(job, "--json")
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert found["outcomes"] == {"done": 3}
    series = aktes_xr.open_result(job.store)
    like = aktes_xr.open_stac(items, like=series)
    expected = like.aktes.retrieve(method="teacher", bundle=job.bundle)
    for name in ("surface_temperature", "emissivity", "quality"):
        np.testing.assert_array_equal(series[name], expected[name])
    assert series["item_id"].values.tolist() == [f"AST_L1T_003{d:02d}_1" for d in sorted(days)]
    assert "item_ids" not in series.attrs
    before = state(job)
    again = run(job, "--json")
    assert json.loads(again.stdout)["planned"] == {"skip: done": 3}
    assert state(job) == before


def test_what_comes_later_and_what_changes(job: SmallJob) -> None:
    first, second = job.item(6), job.item(22)
    job.offer(second)
    assert run(job).exit_code == 0
    second["properties"]["updated"] = "2026-01-01T00:00:00Z"
    job.offer(first, second)
    done = run(job, "--json")
    assert json.loads(done.stdout)["planned"] == {
        "new: not in the store": 1,
        "redo: its items have changed": 1,
    }
    series = aktes_xr.open_result(job.store)
    assert series["item_id"].values.tolist() == ["AST_L1T_00306_1", "AST_L1T_00322_1"]
    journal = read_journal(job.store)
    assert journal is not None
    assert [old.slot for old in journal.retired] == [0]
    job.offer(first)
    assert "2001-01-22T03:11:39Z gone" in run(job, "--dry-run").stdout


def test_what_cannot_be_read_is_said_and_tried_again(job: SmallJob) -> None:
    items = [job.item(6), job.item(22)]
    job.offer(*items)
    file = job.raster(22)
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 3])
    done = run(job)
    assert done.exit_code == 3, done.output
    assert "unreadable: 2001-01-22T03:11:39Z (AST_L1T_00322_1)" in done.stderr
    assert aktes_xr.open_result(job.store).sizes["time"] == 1
    file.write_bytes(whole)
    assert "redo: could not be read, try 2 of 4" in run(job, "--dry-run").stdout
    assert run(job).exit_code == 0
    assert aktes_xr.open_result(job.store).sizes["time"] == 2


def test_an_item_that_cannot_be_used_takes_no_others_along(job: SmallJob) -> None:
    good, bad = job.item(6), job.item(22)
    del bad["assets"]["TIR"]
    job.offer(good, bad)
    done = run(job, "--json")
    assert done.exit_code == 3, done.output
    assert json.loads(done.stdout)["outcomes"] == {"done": 1, "unusable": 1}
    assert run(job).exit_code == 0


def test_a_budget_leaves_the_rest_for_the_next_run(job: SmallJob) -> None:
    job.offer(*(job.item(day) for day in (6, 14, 22)))
    done = run(job, "--dates", "2", "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["remaining"] == 1
    assert aktes_xr.open_result(job.store).sizes["time"] == 2
    assert json.loads(run(job, "--json").stdout)["outcomes"] == {"done": 1}


def test_two_runs_at_once(job: SmallJob) -> None:
    job.offer(job.item(6))
    with claim_series(job.store):
        busy = run(job)
    assert busy.exit_code == 7
    assert "is being written by process" in busy.stderr
    assert not Path(job.store).exists() or not read_journal(job.store)


def test_a_log_of_json_lines_and_metrics(job: SmallJob, monkeypatch: pytest.MonkeyPatch) -> None:
    metrics = job.folder / "out" / "aktes.prom"
    monkeypatch.setenv("AKTES_JOB__REPORT__METRICS", str(metrics))
    job.offer(job.item(6))
    done = subprocess.run(
        [sys.executable, "-m", "aktes_xr", "run", str(job.file), "--log", "json"],
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert {"time", "level", "logger", "message"} == set(lines[0])
    assert any(line["message"].startswith("2001-01-06T03:11:39Z: done") for line in lines)
    text = metrics.read_text()
    assert 'aktes_series_dates{state="done"} 1' in text
    assert "aktes_run_exit_code 0" in text


def test_a_page_shows_the_series_and_what_the_run_did(
    job: SmallJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = job.folder / "out" / "series.html"
    monkeypatch.setenv("AKTES_JOB__REPORT__PAGE", str(page))
    whole, torn = job.item(6), job.item(22)
    job.raster(22).write_bytes(job.raster(22).read_bytes()[:400])
    job.offer(whole, torn)
    assert run(job).exit_code == 3
    text = page.read_text()
    assert "What this run did" in text
    assert "1 done, 1 unreadable" in text
    assert "2001-01-22T03:11:39Z (AST_L1T_00322_1)" in text
    assert str(job.folder) not in text
    told = run_report(job)
    assert "2001-01-22T03:11:39Z (AST_L1T_00322_1)" in told
    assert "What this run did" not in told
    job.offer(whole)
    before = page.stat().st_mtime_ns
    assert run(job).exit_code == 0
    assert page.stat().st_mtime_ns == before  # nothing was made: nothing is written


def run_report(job: SmallJob) -> str:
    """Return the page that ``aktes report`` writes of a job's store."""
    page = job.folder / "report.html"
    done = CliRunner().invoke(app, ["report", job.store, "--out", str(page)])
    assert done.exit_code == 0, done.output
    return page.read_text()


def test_check_names_what_is_wrong(job: SmallJob, monkeypatch: pytest.MonkeyPatch) -> None:
    job.offer(job.item(6))
    checked = CliRunner().invoke(app, ["job", "check", str(job.file)])
    assert checked.exit_code == 0, checked.output
    assert "grid: EPSG:32650" in checked.stdout
    monkeypatch.setenv("AKTES_JOB__INPUT__DEM", "nowhere.tif")
    wrong = CliRunner().invoke(app, ["job", "check", str(job.file)])
    assert wrong.exit_code == 2
    assert "no elevation raster or source 'nowhere.tif'" in wrong.stderr


def test_dates_are_closed_where_the_job_says_so(
    job: SmallJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    job.offer(job.item(6))
    assert run(job).exit_code == 0
    assert "closure_residual" not in aktes_xr.open_result(job.store)
    monkeypatch.setenv("AKTES_JOB__RETRIEVAL__CLOSURE", "true")
    planned = json.loads(run(job, "--json").stdout)["planned"]
    assert planned == {"skip: done, with other settings": 1}
    # What is in a store has no room for it: a new one is asked for, and the old one stays.
    refused = run(job, "--redo", "settings")
    assert refused.exit_code != 0
    assert "closure_residual" in refused.stderr
    assert "choose" in refused.stderr
    assert "closure_residual" not in aktes_xr.open_result(job.store)
    place = job.store.replace(".zarr", "-closed.zarr")
    monkeypatch.setenv("AKTES_JOB__STORE__ADDRESS", place)
    done = run(job)
    assert done.exit_code == 0, done.output
    closed = aktes_xr.open_result(place)
    assert closed["closure_residual_by_band"].sizes["band"] == 5
    assert bool(np.isfinite(closed["closure_residual"]).any())


def test_a_second_pass_beside_the_first(job: SmallJob, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AKTES_JOB__RETRIEVAL__PASSES", "2")
    items = [job.item(day) for day in (6, 14)]
    job.offer(*items)
    done = run(job, "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["planned"] == {
        "new: not in the store": 2,
        "new: second pass: not in its store": 2,
    }
    place = job.store.replace(".zarr", "-second.zarr")
    first, second = aktes_xr.open_result(job.store), aktes_xr.open_result(place)
    cube = aktes_xr.open_stac(items, like=first)
    expected = cube.aktes.retrieve(method="teacher", bundle=job.bundle, passes=2, first=first)
    for name in ("surface_temperature", "emissivity", "prior_dates"):
        np.testing.assert_array_equal(second[name], expected[name])
    assert second["other_dates"].max() == 1
    # Each date's clear background is what the other one measured.
    clear = second["prior_dates"].isel(time=0) > 0
    own = first["brightness_temperature"].isel(time=1)
    assert bool(clear.any())
    np.testing.assert_allclose(
        second["background"].isel(time=0).where(clear), own.where(clear), atol=0.006
    )
    before = state(job)
    assert set(json.loads(run(job, "--json").stdout)["planned"]) == {
        "skip: done",
        "skip: second pass: done",
    }
    assert state(job) == before
    # A date that comes later has all others; those before it are made anew only on request.
    job.offer(*items, job.item(22))
    planned = json.loads(run(job, "--json").stdout)["planned"]
    assert planned["new: second pass: not in its store"] == 1
    assert planned["skip: second pass: done, with other prior"] == 2
    assert aktes_xr.open_result(place)["other_dates"].max() == 2
    planned = json.loads(run(job, "--redo", "prior", "--json").stdout)["planned"]
    assert planned["redo: second pass: asked for: other prior"] == 2


def test_a_second_pass_of_a_series_that_is_there_already(
    job: SmallJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    job.offer(*(job.item(day) for day in (6, 14)))
    assert run(job).exit_code == 0
    assert "brightness_temperature" not in aktes_xr.open_result(job.store)
    monkeypatch.setenv("AKTES_JOB__RETRIEVAL__PASSES", "2")
    job.offer(*(job.item(day) for day in (6, 14, 22)))
    assert run(job).exit_code == 0
    second = aktes_xr.open_result(job.store.replace(".zarr", "-second.zarr"))
    assert second.sizes["time"] == 3
    assert "background" not in second


def test_a_second_pass_waits_for_the_first(job: SmallJob, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AKTES_JOB__RETRIEVAL__PASSES", "2")
    job.offer(*(job.item(day) for day in (6, 14)))
    assert json.loads(run(job, "--dates", "1", "--json").stdout)["remaining"] == 1
    place = job.store.replace(".zarr", "-second.zarr")
    assert read_journal(place) is None
    assert json.loads(run(job, "--dates", "1", "--json").stdout)["remaining"] == 2
    assert read_journal(place) is None or not read_journal(place).entries  # type: ignore[union-attr]
    assert json.loads(run(job, "--json").stdout)["outcomes"] == {"done": 2}


def test_a_file_says_that_a_run_lives(job: SmallJob, monkeypatch: pytest.MonkeyPatch) -> None:
    alive = job.folder / "probe" / "alive"
    monkeypatch.setenv("AKTES_JOB__REPORT__ALIVE", str(alive))
    job.offer(job.item(6))
    process = subprocess.Popen(
        [sys.executable, "-m", "aktes_xr", "run", str(job.file)], stderr=subprocess.DEVNULL
    )
    seen = False
    while process.poll() is None:
        seen = seen or alive.exists()
        time.sleep(0.01)
    assert process.returncode == 0
    assert seen
    assert not alive.exists()


@pytest.mark.slow
def test_killed_runs_lose_nothing(job: SmallJob, tmp_path: Path) -> None:
    job.offer(*(job.item(day) for day in (6, 9, 14, 22)))
    calm = SmallJob(tmp_path, job.bundle, str(tmp_path / "calm.zarr"))
    calm.offer(*json.loads((tmp_path / "items.json").read_text())["features"])
    assert run(calm).exit_code == 0
    job.offer(*json.loads((tmp_path / "items.json").read_text())["features"])
    seen = []
    for slots in (0, 2):
        process = subprocess.Popen(
            [sys.executable, "-m", "aktes_xr", "run", str(job.file)],
            env={**os.environ, "AKTES_JOB__BUDGET__BATCH": "1"},
            stderr=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
        # Killed as soon as the next date is being written.
        while process.poll() is None and not (Path(job.store) / "quality/c" / str(slots)).exists():
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.wait()
        journal = read_journal(job.store)
        seen.append(0 if journal is None else journal.length)
    assert seen[-1] >= 1
    assert run(job).exit_code == 0
    one, other = aktes_xr.open_result(job.store), aktes_xr.open_result(calm.store)
    for name in other.variables:
        np.testing.assert_array_equal(one[name], other[name])
    assert {**one.attrs, "history": ""} == {**other.attrs, "history": ""}
    files = [{str(p.relative_to(s)) for p in Path(s).rglob("*")} for s in (job.store, calm.store)]
    assert files[0] == files[1]
