"""A cluster that is lost or does not work: said in one line and in time; nothing waits for ever."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import pytest
import xarray as xr
from distributed import Client, LocalCluster
from rich.console import Console
from test_store import leftovers, make_result
from typer.testing import CliRunner

from aktes_xr import errors
from aktes_xr.cli import app, progress
from aktes_xr.store import write_result
from aktes_xr.store.blocks import finish, write_lazily
from aktes_xr.store.cluster import patience

# What distributed says of a cluster that is taken away under it is not the point here.
pytestmark = pytest.mark.filterwarnings("ignore")


def drop(block: xr.Dataset, region: dict[str, slice]) -> None:
    pass


def slow(block: xr.Dataset, region: dict[str, slice]) -> None:
    time.sleep(0.2)


def series(dates: int) -> xr.Dataset:
    values = da.ones((dates, 8, 8), chunks=(1, 4, 4))
    return xr.Dataset({"temperature": (("time", "y", "x"), values)})


@pytest.fixture
def empty() -> Iterator[Client]:
    """A cluster without workers."""
    with (
        LocalCluster(
            n_workers=0, processes=False, host="127.0.0.1", protocol="tcp", dashboard_address=None
        ) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        yield client


def test_a_cluster_without_workers_ends_with_an_error(empty: Client) -> None:
    with pytest.raises(errors.ClusterError, match=r"no worker has worked .*\(none connected\)"):
        finish(write_lazily(series(2), drop), client=empty, patience_s=0.5)


def test_workers_that_come_late_are_waited_for(empty: Client) -> None:
    timer = threading.Timer(1.0, lambda: empty.cluster.scale(1))
    timer.start()
    (counts,) = finish(write_lazily(series(3), drop), client=empty, patience_s=60.0)
    timer.join()
    assert counts.tolist() == [4, 4, 4]


def pause(dask_worker: Any) -> None:
    from distributed.core import Status

    # Which would find that there is memory enough, and let it go on.
    dask_worker.periodic_callbacks["memory_monitor"].stop()
    dask_worker.status = Status.paused


def test_paused_workers_are_no_workers(client: Client) -> None:
    client.run(pause)
    with pytest.raises(errors.ClusterError, match="1 connected, all paused: they are short of mem"):
        finish(write_lazily(series(2), drop), client=client, patience_s=0.5)


def test_patience_is_the_configurations(monkeypatch: pytest.MonkeyPatch) -> None:
    import dask

    assert patience() == 600.0
    with dask.config.set({"aktes.worker-timeout": "90s"}):
        assert patience() == 90.0


@contextlib.contextmanager
def scheduler() -> Iterator[tuple[subprocess.Popen[str], str]]:
    command = "from distributed.cli.dask_scheduler import main; main()"
    process = subprocess.Popen(
        [sys.executable, "-c", command, "--host", "127.0.0.1", "--port", "0", "--no-dashboard"],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONWARNINGS": "ignore"},
    )
    try:
        assert process.stderr is not None
        line = next(line for line in process.stderr if "Scheduler at:" in line)
        yield process, line.split()[-1]
    finally:
        process.kill()
        process.wait()
        process.stderr.close()


def test_a_scheduler_that_is_killed_is_said_and_nothing_is_left(tmp_path: Path) -> None:
    with scheduler() as (process, address), Client(address, set_as_default=False) as client:
        killer = threading.Timer(1.0, process.kill)
        killer.start()
        with client.as_current(), pytest.raises(errors.ClusterError, match="has gone away"):
            write_result(make_result(chunks={"time": 1}), tmp_path / "r.zarr")
        with contextlib.suppress(TimeoutError):
            client.close(timeout=2)
    assert leftovers(tmp_path) == set()


def test_a_scheduler_that_is_not_there_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import dask

    arguments = ["retrieve", "x.json", "--out", str(tmp_path / "r"), "--scheduler"]
    with dask.config.set({"distributed.comm.timeouts.connect": "1s"}):
        done = CliRunner().invoke(app, [*arguments, "tcp://127.0.0.1:9"])
    assert done.exit_code == 4
    assert done.stderr.startswith("error [cluster]: no Dask scheduler answers at tcp://127.0.0.1:9")
    assert done.stderr.count("\n") == 1


def test_waiting_for_workers_is_said(empty: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_SECONDS_OF_PATIENCE", "_SECONDS_BETWEEN_LINES", "_SECONDS_BETWEEN_POLLS"):
        monkeypatch.setattr(progress, name, 0.05)
    console = Console(file=io.StringIO(), width=100)
    with (
        pytest.raises(errors.ClusterError),
        progress.watch("retrieve", console, client=empty),
    ):
        finish(write_lazily(series(2), drop), client=empty, patience_s=1.0)
    assert isinstance(console.file, io.StringIO)
    assert "retrieve: waiting for workers: none connected\n" in console.file.getvalue()


def test_counts_come_from_the_workers(client: Client, tmp_path: Path) -> None:
    result = make_result(chunks={"time": 1, "y": 16})
    with client.as_current():
        counts = write_result(result, tmp_path / "r.zarr")
    assert counts is not None
    assert counts.valid.tolist() == [37 * 50, 37 * 50]
    assert counts.pixels.tolist() == [2000, 2000]
    np.testing.assert_array_equal(counts.fill, (result["quality"] & 1).sum(("y", "x")))
