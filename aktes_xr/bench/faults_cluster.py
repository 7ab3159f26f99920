"""Faults of a Dask cluster: a lost scheduler, workers that die, pause or never come."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Final

from aktes_xr.bench.fault_rows import Outcome, Stage, ended_after, fault, same_result, undisturbed
from aktes_xr.errors import ClusterError
from aktes_xr.store import open_result

_WAITED_S: Final = 12
_PATIENCE: Final = {"DASK_AKTES__WORKER_TIMEOUT": f"{_WAITED_S}s"}
_NEVER_ENOUGH: Final = {
    "DASK_DISTRIBUTED__WORKER__MEMORY__PAUSE": "0.01",
    "DASK_DISTRIBUTED__WORKER__MEMORY__SPILL": "False",
    "DASK_DISTRIBUTED__WORKER__MEMORY__TARGET": "False",
}


@fault("cluster", expected="4, one line, nothing left")
def scheduler_killed(stage: Stage) -> Outcome:
    """The scheduler is killed."""
    with _scheduler() as (scheduler, address), _worker(address):
        process = stage.start("--scheduler", address)
        seen = stage.writing(process)
        begin = time.monotonic()
        scheduler.kill()
        ended = stage.end(process)
        seconds = time.monotonic() - begin
    holds = seen and ended.code == 4 and ended.plain and not stage.left() and seconds < 60
    return Outcome(f"{ended}, {len(stage.left())} left", holds)


@fault("cluster", expected="4, one line")
def no_scheduler(stage: Stage) -> Outcome:
    """No scheduler at the address."""
    with _scheduler() as (scheduler, address):
        scheduler.kill()
        scheduler.wait()
        quickly = {"DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT": "3s"}
        ended = stage.run("--scheduler", address, env=quickly)
    return Outcome(str(ended), ended.code == 4 and ended.plain)


@fault("cluster", expected="said within 30 s; 4 at the deadline")
def no_workers(stage: Stage) -> Outcome:
    """No workers."""
    with _scheduler() as (_, address):
        ended = stage.run("--scheduler", address, env=_PATIENCE)
    said = "waiting for workers: none connected" in ended.said
    return Outcome(f"{ended}, {'said' if said else 'not said'}", said and ended.code == 4)


@fault("cluster", expected="said within 30 s; 4 at the deadline")
def paused(stage: Stage) -> Outcome:
    """All workers paused."""
    with _scheduler() as (_, address), _worker(address, memory="1GB", **_NEVER_ENOUGH):
        ended = stage.run("--scheduler", address, env=_PATIENCE)
    said = "waiting for workers: 1 connected, all paused" in ended.said
    return Outcome(f"{ended}, {'said' if said else 'not said'}", said and ended.code == 4)


@fault("cluster", expected="0, the same result")
def worker_killed(stage: Stage) -> Outcome:
    """A worker is killed, another one comes."""
    with _scheduler() as (_, address):
        with _worker(address) as worker:
            process = stage.start("--scheduler", address)
            seen = stage.writing(process)
            worker.kill()
        with _worker(address):
            ended = stage.end(process)
        same = ended.code == 0 and same_result(open_result(stage.out), undisturbed(stage))
    return Outcome(f"{ended}, {'same' if same else 'other'} result", seen and same)


@contextlib.contextmanager
def _scheduler() -> Iterator[tuple[subprocess.Popen[str], str]]:
    code = "from distributed.cli.dask_scheduler import main; main()"
    options = ("--host", "127.0.0.1", "--port", "0", "--no-dashboard")
    process = subprocess.Popen(
        [sys.executable, "-c", code, *options], stderr=subprocess.PIPE, text=True
    )
    with ended_after(process):
        for line in process.stderr or ():
            if "Scheduler at:" in line:
                yield process, line.split()[-1]
                return
        raise ClusterError("the benchmark's scheduler did not start")


@contextlib.contextmanager
def _worker(address: str, *, memory: str = "0", **settings: str) -> Iterator[subprocess.Popen[str]]:
    import os

    code = "from distributed.cli.dask_worker import main; main()"
    options = ("--nthreads", "1", "--no-nanny", "--no-dashboard", "--memory-limit", memory)
    process = subprocess.Popen(
        [sys.executable, "-c", code, address, *options],
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, **settings},
    )
    with ended_after(process):
        yield process
