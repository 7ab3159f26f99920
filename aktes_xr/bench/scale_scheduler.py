"""What schedulers cost for a retrieval's real graph with the compute taken out of its tasks.

Two ways, each beside its floor: as many tasks that depend on nothing.

- Simulated: dask.distributed's scheduler and client with the whole graph, and workers that answer
  each task as soon as they are told of it. What is counted is the processor time of scheduler and
  client, which other work on the machine does not change.
- Live: processes that run tasks which do nothing. That is wall time, and besides the scheduler it
  holds the workers' own share (messages, threads, transfers), which the processors share.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import time
from collections.abc import AsyncIterator
from typing import Any, Final

import dask
import dask.threaded

import aktes_xr
from aktes_xr.bench import BenchResult, Check, Table
from aktes_xr.bench.scale_cubes import cube
from aktes_xr.bench.scale_process import discard
from aktes_xr.models import Bundle

_BLOCKS_PER_DATE: Final = 16
_STAND_INS: Final = 16
_QUIET: Final[dict[str, Any]] = {
    "distributed.scheduler.worker-ttl": None,
    # The stand-ins do not answer requests to hand tasks over.
    "distributed.scheduler.work-stealing": False,
    "distributed.scheduler.active-memory-manager.start": False,
}
_METRICS: Final[dict[str, Any]] = {
    "bandwidth": {"total": 1e8, "workers": {}, "types": {}},
    "memory": 0,
    "cpu": 0,
    "time": 0.0,
    "managed_bytes": 0,
    "spilled_bytes": {"memory": 0, "disk": 0},
    "event_loop_interval": 0.02,
    "digests_total_since_heartbeat": {},
}

Stubs = tuple[dict[Any, Any], list[Any]]


def scheduler_checks(bundle: Bundle, client: Any, simulated: int, live: int) -> BenchResult:
    """Schedule retrievals of ``simulated`` and of ``live`` chunks whose tasks do nothing."""
    rows: list[tuple[Any, ...]] = []
    stubs = _stubs(bundle, simulated)
    milliseconds = 1e3 * asyncio.run(_simulate(stubs)) / len(stubs[0])
    rows.append(("simulated, processor time", simulated, len(stubs[0]), milliseconds))
    name = f"scheduler (distributed) per task of {simulated} simulated chunks"
    checks = [Check.at_most(name, milliseconds, 1.0, "ms")]
    del stubs
    gc.collect()
    few = _stubs(bundle, live)
    threads = _per_task(few, lambda: dask.threaded.get(*few, num_workers=2))
    rows.append(("threads, wall", live, len(few[0]), threads))
    name = f"scheduler (threads) per task of {live} chunks, compute stubbed"
    checks.append(Check.at_most(name, threads, 1.0, "ms"))
    alone: dict[Any, Any] = {f"alone-{number}": (_nothing, []) for number in range(len(few[0]))}
    floor: Stubs = (alone, list(alone))
    client.get({("first", n): (_nothing, []) for n in range(100)}, [("first", 0)])
    least = _per_task(floor, lambda: client.get(*floor))
    ours = _per_task(few, lambda: client.get(*few))
    rows.append(("two worker processes, wall", live, len(few[0]), ours))
    rows.append(("the same, tasks that depend on nothing", live, len(few[0]), least))
    name = f"live workers, {live} chunks: per task, over tasks that depend on nothing"
    checks.append(Check.at_most(name, ours / least, 1.5, "1"))
    columns = ("scheduler", "chunks", "tasks", "ms per task")
    return BenchResult(checks, [Table("Real graphs, stub compute", columns, rows)])


def _stubs(bundle: Bundle, chunks: int) -> Stubs:
    """Graph from source to store of 16 chunks per date, each task replaced by one that is idle."""
    ds = cube(max(1, chunks // _BLOCKS_PER_DATE), (256, 256), 64)
    written = dask.optimize(*discard(aktes_xr.retrieve(ds, bundle=bundle)))
    graph = {key: task for part in written for key, task in dict(part.__dask_graph__()).items()}
    stubs = {key: (_nothing, sorted(task.dependencies, key=str)) for key, task in graph.items()}
    return stubs, [key for part in written for key in dask.core.flatten(part.__dask_keys__())]


def _nothing(inputs: list[Any]) -> None:
    """Stand for a task: its inputs must be there."""


def _per_task(stubs: Stubs, call: Any) -> float:
    """Milliseconds of wall time per task."""
    start = time.perf_counter()
    call()
    return 1e3 * (time.perf_counter() - start) / len(stubs[0])


async def _simulate(stubs: Stubs) -> float:
    """Processor seconds of scheduler and client for a graph whose workers answer at once."""
    from distributed import Client, as_completed

    async with (
        _scheduler(count=_STAND_INS) as address,
        Client(address, asynchronous=True) as client,
    ):
        start = time.process_time()
        futures: Any = client.get(*stubs, sync=False)
        # As the writer does: what is done with is let go.
        async for future in as_completed(futures, loop=client.loop):
            future.release()
        return time.process_time() - start


@contextlib.asynccontextmanager
async def _scheduler(*, count: int) -> AsyncIterator[str]:
    from distributed import Scheduler

    logging.getLogger("distributed").setLevel(logging.ERROR)
    with dask.config.set(_QUIET):
        async with Scheduler(
            protocol="inproc", dashboard=False, dashboard_address=":0"
        ) as scheduler:
            standing = [
                asyncio.create_task(_answer_at_once(scheduler.address, number))
                for number in range(count)
            ]
            while len(scheduler.workers) < count:
                for task in standing:
                    if task.done():
                        task.result()
                await asyncio.sleep(0.01)
            try:
                yield scheduler.address
            finally:
                for task in standing:
                    task.cancel()
                await asyncio.gather(*standing, return_exceptions=True)


async def _answer_at_once(scheduler: str, number: int) -> None:
    """Stand for a worker: say of each task that it is done."""
    from distributed.core import connect
    from distributed.protocol.pickle import dumps
    from distributed.versions import get_versions

    address = f"tcp://127.0.0.1:{10_000 + number}"
    comm = await connect(scheduler)
    await comm.write(
        {
            "op": "register-worker",
            "reply": False,
            "address": address,
            "status": "running",
            "nthreads": 1,
            "name": number,
            "now": time.time(),
            "resources": {},
            "memory_limit": 2**34,
            "local_directory": "",
            "services": {},
            "nanny": None,
            "pid": 0,
            "versions": get_versions(),
            "metrics": _METRICS,
            "extra": {},
            "stimulus_id": "register",
            "server_id": address,
        }
    )
    await comm.read()
    answer = {
        "op": "task-finished",
        "status": "OK",
        "nbytes": 16,
        "type": dumps(type(None)),
        "typename": "NoneType",
        "metadata": {},
        "thread": 1,
        "startstops": [],
        "stimulus_id": "finished",
    }
    while True:
        messages: Any = await comm.read()
        done = [
            {**answer, "key": message["key"], "run_id": message["run_id"]}
            for message in messages
            if message["op"] == "compute-task"
        ]
        if done:
            await comm.write(done)
