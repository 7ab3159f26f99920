"""Faults of a Dask cluster: a lost scheduler, workers that die, pause or never come."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from aktes_xr.bench.fault_results import same_result, undisturbed
from aktes_xr.bench.fault_rows import Outcome, fault
from aktes_xr.bench.fault_stage import Stage, ended_after
from aktes_xr.errors import ClusterError
from aktes_xr.store import open_result

_WAITED_S: Final = 40
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


@fault("cluster", expected="0, the same result")
def nanny_and_both_killed(stage: Stage) -> Outcome:
    """Two workers are killed, one of them under a nanny."""
    with _scheduler() as (_, address):
        with _worker(address) as bare, _worker(address, "--nanny") as nanny:
            process = stage.start("--scheduler", address)
            seen = stage.writing(process)
            bare.kill()
            _kill_children(nanny)
            # The nanny starts its worker anew.
            ended = stage.end(process)
        same = ended.code == 0 and same_result(open_result(stage.out), undisturbed(stage))
    return Outcome(f"{ended}, {'same' if same else 'other'} result", seen and same)


@fault("cluster", expected="130 and 143, nothing left")
def client_ended(stage: Stage) -> Outcome:
    """The client is interrupted (SIGINT), another one terminated."""
    ended = []
    for number in (signal.SIGINT, signal.SIGTERM):
        with _scheduler() as (_, address), _worker(address):
            process = stage.start("--scheduler", address)
            stage.writing(process)
            ended.append(stage.kill(process, number))
    left = stage.left()
    holds = [one.code for one in ended] == [130, 143] and not left
    holds = holds and all(one.plain for one in ended)
    return Outcome(f"{ended[0]}; {ended[1]}, {len(left)} left", holds)


@fault("cluster", expected="0, the same result", own=True)
def worker_elsewhere(stage: Stage) -> Outcome:
    """Items named by relative paths, and a worker in another folder."""
    with _scheduler() as (_, address), _worker(address, cwd="/"):
        names = [Path(path).name for path in stage.items]
        ended = stage.run("--scheduler", address, items=names, cwd=str(stage.granules))
    same = ended.code == 0 and same_result(open_result(stage.out), undisturbed(stage))
    return Outcome(f"{ended}, {'same' if same else 'other'} result", same)


@fault("cluster", expected="4, one line, not unexpected", own=True)
def dies_of_each_task(stage: Stage) -> Outcome:
    """Workers that die of every task they get."""
    # What a worker imports first when it reads: here, its end.
    poison = "import os, aktes_xr.stac.reader as r; r.BandReader.read = lambda *a, **k: os._exit(9)"
    folder = stage.folder / "items"
    folder.mkdir()
    (folder / "poison.py").write_text(poison, encoding="utf-8")
    path = os.pathsep.join((str(folder), os.environ.get("PYTHONPATH", "")))
    few = {"DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "1"}
    with (
        _scheduler(**few) as (_, address),
        _worker(address, "--nanny", "--preload", "poison", PYTHONPATH=path),
    ):
        ended = stage.run("--scheduler", address, env=_PATIENCE)
    return Outcome(f"{ended}, {len(stage.left())} left", ended.code == 4 and ended.plain)


def _kill_children(process: subprocess.Popen[str]) -> None:
    """Kill what a process has started."""
    listed = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    for number in listed.read_text(encoding="ascii").split():
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(number), signal.SIGKILL)


@contextlib.contextmanager
def _scheduler(**settings: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    code = "from distributed.cli.dask_scheduler import main; main()"
    options = ("--host", "127.0.0.1", "--port", "0", "--no-dashboard")
    process = subprocess.Popen(
        [sys.executable, "-c", code, *options],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **settings},
    )
    with ended_after(process):
        for line in process.stderr or ():
            if "Scheduler at:" in line:
                yield process, line.split()[-1]
                return
        raise ClusterError("the benchmark's scheduler did not start")


@contextlib.contextmanager
def _worker(
    address: str, *options: str, memory: str = "0", cwd: str | None = None, **settings: str
) -> Iterator[subprocess.Popen[str]]:
    code = "from distributed.cli.dask_worker import main; main()"
    nanny = () if "--nanny" in options else ("--no-nanny",)
    usual = ("--nthreads", "1", "--no-dashboard", "--memory-limit", memory, *nanny)
    process = subprocess.Popen(
        [sys.executable, "-c", code, address, *usual, *options],
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=cwd,
        env={**os.environ, **settings},
    )
    with ended_after(process):
        try:
            yield process
        finally:
            if "--nanny" in options:
                # A nanny that is told to end takes its worker along; one that is killed does not.
                process.terminate()
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(20)
