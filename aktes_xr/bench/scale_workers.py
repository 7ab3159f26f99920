"""Workers: their peak memory, their rate together, and the same bits from each of them."""

from __future__ import annotations

import contextlib
import logging
import math
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import dask
import dask.array as da
import numpy as np
import xarray as xr

from aktes_xr.bench.checks import BenchResult, Check, Table
from aktes_xr.bench.scale_cubes import cube
from aktes_xr.jobs.kernels import both_networks, even_terrain
from aktes_xr.jobs.plan import plan
from aktes_xr.models import load_bundle
from aktes_xr.retrieval import retrieve
from aktes_xr.store.blocks import finish, write_lazily

SCALING: Final = "Scaling over workers"
_FEW: Final = 20
_TURNS: Final = 4
_LARGE_DATES: Final = 4
_PROCESS: Final = 400_000_000
_MODULE: Final = "aktes_xr.bench.scale_workers"
_ENVIRONMENT: Final = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


def memory_checks(bundle: Path, many: int, sides: tuple[int, int]) -> BenchResult:
    """Measure the peak memory of a worker with one thread.

    It retrieves few dates of two chunks and then ``many``. Its peak must not grow with the number
    of dates. Another worker retrieves a few dates of larger chunks, which shows what a pixel takes.

    Parameters
    ----------
    bundle : Path
        The networks.
    many : int
        Number of dates.
    sides : (int, int), pixel
        Sides of the smaller and of the larger chunks.

    Returns
    -------
    BenchResult
    """
    runs = ((_FEW, sides[0]), (many, sides[0]), (_LARGE_DATES, sides[1]))
    peaks: dict[tuple[int, int], int] = {}
    for together in (runs[:2], runs[2:]):
        with workers(1) as client:
            (before,) = client.run(peak_bytes).values()
            peaks |= {run: _peak(client, bundle, *run) for run in together}
    rows: list[tuple[Any, ...]] = []
    checks: list[Check] = []
    for (dates, chunk), peak in peaks.items():
        limit = 6 * 2 * 5 * chunk**2 + _PROCESS
        name = f"worker's peak, {dates} dates, chunks of {chunk} x {chunk}, of 6 inputs + 400 MB"
        checks.append(Check.at_most(name, peak / limit, 1.0, "1"))
        planned = _planned_peak(bundle, dates, chunk)
        rows.append((dates, chunk, before / 1e6, peak / 1e6, limit / 1e6, planned / 1e6))
    ratio = peaks[runs[1]] / peaks[runs[0]]
    checks.append(Check.at_most(f"worker's peak, {many} over {_FEW} dates", ratio, 1.05, "1"))
    columns = ("dates", "chunk", "idle, MB", "peak, MB", "6 inputs + 400 MB", "plan() says, MB")
    return BenchResult(checks, [Table("Peak memory of a worker", columns, rows)])


def worker_checks(client: Any, bundle: str, dates: int, side: int) -> BenchResult:
    """Compare two distributed workers with two processes that do not know of each other.

    Parameters
    ----------
    client : distributed.Client
        Of a cluster of two workers.
    bundle : str
        Path of the networks.
    dates : int
        Number of dates.
    side : int, pixel
        Side of a date.

    Returns
    -------
    BenchResult
    """
    best = dict.fromkeys(("independent", "half", "alone", "together"), math.inf)
    with _independent(bundle, dates // 2, side) as go:
        client.run(_warm, bundle)
        first = list(client.scheduler_info()["workers"])[:1]
        calls: dict[str, Callable[[], float]] = {
            "independent": go,
            "together": partial(_distributed, client, bundle, dates, side, None),
            "half": partial(_distributed, client, bundle, dates // 2, side, first),
            "alone": partial(_distributed, client, bundle, dates, side, first),
        }
        for turn in range(_TURNS):
            for name, call in calls.items():
                # Figures that are compared with a target get more turns than those of the table
                # alone.
                if turn % 2 == 0 or name in ("independent", "together"):
                    best[name] = min(best[name], call())
    independent, half, alone, together = best.values()
    pixels = dates * side**2 / 1e6
    name = f"two workers over two independent processes, {dates} retrievals of {side} x {side}"
    check = Check.at_least(name, independent / together, 0.95, "1")
    both = Table(
        "Two workers beside two independent processes",
        ("what", "dates", "s", "Mpixel/s"),
        [
            ("two independent processes", dates, independent, pixels / independent),
            ("two workers", dates, together, pixels / together),
        ],
    )
    rows = [
        ("strong", 1, dates, alone, pixels / alone, 1.0),
        ("strong", 2, dates, together, pixels / together, alone / together / 2),
        ("weak", 1, dates // 2, half, pixels / 2 / half, 1.0),
        ("weak", 2, dates, together, pixels / together, half / together),
    ]
    columns = ("scaling", "workers", "dates", "s", "Mpixel/s", "efficiency")
    return BenchResult([check], [both, Table(SCALING, columns, rows)])


def identity_checks(client: Any) -> BenchResult:
    """Compare every bit between schedulers and between chunkings.

    Parameters
    ----------
    client : distributed.Client
        Of a running cluster.

    Returns
    -------
    BenchResult
    """
    shape = (260, 300)
    ds = cube(2, shape, 100, memory=True)
    # Fusion ramps from the teacher alone to the student alone over the scene.
    ground = even_terrain(ds, 0.0)
    ramp = np.linspace(0.0, 4.0 * both_networks(load_bundle()), shape[1], dtype=np.float32)
    ground["terrain_complexity_k"][:] = ramp

    def result(source: xr.Dataset) -> xr.Dataset:
        return retrieve(source, terrain=ground)

    whole = result(ds.chunk(time=-1, band=-1, y=-1, x=-1)).compute(scheduler="synchronous")
    found: dict[str, xr.Dataset] = {}
    for scheduler in ("threads", "processes"):
        found[scheduler] = result(ds).compute(scheduler=scheduler, num_workers=2)
    found["distributed"] = result(ds).compute(scheduler=client)
    for time_, y, x in ((1, 64, 64), (2, 33, 300), (2, 260, 7)):
        name = f"chunks of {time_} x {y} x {x}"
        chunked = ds.chunk(time=time_, band=-1, y=y, x=x)
        found[name] = result(chunked).compute(scheduler="threads")
    rows = [(name, other.identical(whole)) for name, other in found.items()]
    different = sum(not same for _, same in rows)
    check = Check.at_most("schedulers and chunkings that change a bit", different, 0.0, "1")
    return BenchResult([check], [Table("Bitwise identity", ("with", "identical"), rows)])


def _peak(client: Any, bundle: Path, dates: int, side: int) -> int:
    """Peak resident memory of a cluster's one worker after a retrieval, bytes."""
    work = lazy_result(str(bundle), dates, (side, 2 * side), side)
    finish(discard(work), client=client)
    (peak,) = client.run(peak_bytes).values()
    return int(peak)


def _planned_peak(bundle: Path, dates: int, side: int) -> int:
    loaded = load_bundle(str(bundle))
    ds = cube(dates, (side, 2 * side), side)
    ground = even_terrain(ds, both_networks(loaded), lazy=True)
    return plan(ds, bundle=loaded, terrain=ground, workers=1, memory="64 GB").peak_bytes


@contextlib.contextmanager
def _independent(bundle: str, dates: int, side: int) -> Iterator[Callable[[], float]]:
    """Start two processes.

    Yields a function that lets both retrieve, and returns the seconds of the slower one.
    """
    command = [sys.executable, "-m", _MODULE, bundle, str(dates), str(side)]
    processes = [
        subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **_ENVIRONMENT},
        )
        for _ in range(2)
    ]
    pipes: list[tuple[Any, Any]] = [(process.stdin, process.stdout) for process in processes]
    for _, out in pipes:
        out.readline()

    def go() -> float:
        for into, _ in pipes:
            into.write("go\n")
            into.flush()
        return max(float(out.readline()) for _, out in pipes)

    try:
        yield go
    finally:
        for process in processes:
            process.communicate()


def _distributed(
    client: Any, bundle: str, dates: int, side: int, addresses: list[str] | None
) -> float:
    """Seconds of retrievals on a cluster's workers, or on some of them."""
    work = discard(lazy_result(bundle, dates, (side, side), side))
    start = time.perf_counter()
    client.gather(client.compute(work, workers=addresses))
    return time.perf_counter() - start


def _warm(bundle: str) -> None:
    dask.compute(discard(lazy_result(bundle, 1, (64, 64), 64)), scheduler="synchronous")


@dataclass(frozen=True)
class Nowhere:
    """Takes a block as a store would, and drops it."""

    def __call__(self, block: xr.Dataset, region: dict[str, slice]) -> None:
        """Drop the block."""


def lazy_result(bundle: str, dates: int, shape: tuple[int, int], chunk: int) -> xr.Dataset:
    """Retrieve a cube that tasks draw, lazily.

    Both networks run at every pixel.

    Parameters
    ----------
    bundle : str
        Path of the networks.
    dates : int
        Number of dates.
    shape : (int, int), pixel
        Rows and columns.
    chunk : int, pixel
        Side of a chunk.

    Returns
    -------
    Dataset, lazy
    """
    loaded = load_bundle(bundle)
    ds = cube(dates, shape, chunk)
    ground = even_terrain(ds, both_networks(loaded), lazy=True)
    return retrieve(ds, bundle=loaded, terrain=ground)


def discard(result: xr.Dataset) -> list[da.Array]:
    """Write a result nowhere, lazily.

    The time that remains is that of reading, computing and the scheduler.

    Parameters
    ----------
    result : Dataset
        A lazy result.

    Returns
    -------
    list of dask Array
        To be computed.
    """
    return write_lazily(result.unify_chunks(), Nowhere())


@contextlib.contextmanager
def workers(count: int) -> Iterator[Any]:
    """Start a cluster of processes with one thread each.

    It logs warnings only.

    Parameters
    ----------
    count : int
        Number of processes.

    Yields
    ------
    distributed.Client
    """
    from distributed import Client, LocalCluster

    logging.getLogger("distributed").setLevel(logging.WARNING)
    with (
        LocalCluster(n_workers=count, threads_per_worker=1, dashboard_address=":0") as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        yield client


def peak_bytes() -> int:
    """Peak resident memory of this process since it began (Linux)."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    return 0 if found is None else int(found.group(1)) * 1024


def main(arguments: list[str]) -> None:
    """Retrieve once for each line of the standard input.

    Parameters
    ----------
    arguments : list of str
        Path of the networks, number of dates, side of a date in pixels.
    """
    bundle, dates, side = arguments[0], int(arguments[1]), int(arguments[2])
    # Compile and load everything before the clock runs.
    dask.compute(discard(lazy_result(bundle, 1, (64, 64), 64)), scheduler="synchronous")
    work = lazy_result(bundle, dates, (side, side), side)
    print("ready", flush=True)
    for _ in sys.stdin:
        start = time.perf_counter()
        dask.compute(discard(work), scheduler="synchronous")
        print(time.perf_counter() - start, flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
