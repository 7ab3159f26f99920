"""Three processes that write to one series at once: nothing is lost, and nothing comes twice."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from test_store import make_result
from test_store_series import bucket

from aktes_xr.errors import StoreBusyError
from aktes_xr.store import open_result
from aktes_xr.store.journal import Entry
from aktes_xr.store.series import claim_series, read_journal

__all__ = ["bucket"]

COMMITTERS, DATES = 3, 2
# Forked from one process that has loaded everything and started no thread yet.
SCRIPT = """
import os, sys
from test_store_committers import COMMITTERS, commit
children = []
for who in range(COMMITTERS):
    child = os.fork()
    if child == 0:
        commit(sys.argv[1], sys.argv[2], who)
        os._exit(0)
    children.append(child)
codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
sys.exit(max(map(abs, codes)))
"""


def date_of(who: int, number: int) -> tuple[str, xr.Dataset]:
    """A date's key, and what its pixels hold: its own day as kelvins."""
    day = 1 + who + COMMITTERS * number
    time_ = np.array([f"2001-01-{day:02d}T03:00:00"], dtype="datetime64[ns]")
    one = make_result(dates=1).assign_coords(time=time_)
    field = one["surface_temperature"]
    return f"2001-01-{day:02d}T03:00:00Z", one.assign(
        surface_temperature=(field * 0 + (250 + day)).astype(np.float32)
    ).chunk({"time": 1, "y": 20, "x": 50})


def commit(place: str, backend: Any, who: int) -> None:
    """Add the dates of one committer, each in a claim of its own, as often as it takes."""
    pause = random.Random(who)
    for number in range(DATES):
        key, date = date_of(who, number)
        while True:
            try:
                with claim_series(place, backend=backend) as series:
                    series.write(date)
                    series.commit(0, Entry(key, "done", items=(f"{who}-{number}",)))
                break
            except StoreBusyError:
                time.sleep(pause.uniform(0.005, 0.05))


@pytest.fixture(params=["zarr-disk", "zarr-objects", "icechunk-disk", "icechunk-objects"])
def target(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, str]:
    backend, where = request.param.split("-")
    if backend == "icechunk":
        pytest.importorskip("icechunk", reason="icechunk is not installed")
    place = str(tmp_path / "s")
    if where == "objects":
        place = f"{request.getfixturevalue('bucket')}/{tmp_path.name}/s"
    return place, backend


@pytest.mark.slow
def test_three_committers_lose_nothing(target: tuple[str, str]) -> None:
    place, backend = target
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", SCRIPT, place, backend],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert done.returncode == 0, done.stderr
    expected = dict(date_of(who, n) for who in range(COMMITTERS) for n in range(DATES))
    journal = read_journal(place)
    assert journal is not None
    assert sorted(journal.entries) == sorted(expected)
    assert (journal.length, journal.holes, journal.retired) == (len(expected), (), ())
    result = open_result(place)
    assert result["time"].to_index().is_monotonic_increasing
    whole = xr.concat([expected[key] for key in sorted(expected)], "time", data_vars="minimal")
    for name in ("surface_temperature", "emissivity", "quality", "time"):
        np.testing.assert_array_equal(result[name], whole[name])
