"""Workers: their peak memory, their rate together, and the same bits from each of them."""

from __future__ import annotations

import contextlib
import math
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, Final

import dask
import numpy as np
import xarray as xr

import aktes_xr
from aktes_xr.bench import BenchResult, Check, Table
from aktes_xr.bench.scale_cubes import both_networks, cube, terrain
from aktes_xr.bench.scale_process import discard, lazy_result, two_workers
from aktes_xr.models import load_bundle

_FEW: Final = 20
_MANY: Final = 400
_MODULE: Final = "aktes_xr.bench.scale_process"
_ENVIRONMENT: Final = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


def memory_checks(bundle: Path, side: int) -> BenchResult:
    """Peak memory of a process with one thread, for 20 and for 400 dates of two chunks."""
    peaks = {dates: _peak(bundle, dates, side) for dates in (_FEW, _MANY)}
    limit = 6 * 2 * 5 * side**2 + 400_000_000
    checks = [
        Check.at_most(
            f"worker's peak, {dates} dates, chunks of {side} x {side}, of 6 inputs + 400 MB",
            peak / limit,
            1.0,
            "1",
        )
        for dates, peak in peaks.items()
    ]
    ratio = peaks[_MANY] / peaks[_FEW]
    checks.append(Check.at_most(f"worker's peak, {_MANY} over {_FEW} dates", ratio, 1.05, "1"))
    rows = [(dates, peak / 1e6, limit / 1e6) for dates, peak in peaks.items()]
    return BenchResult(checks, [Table("Peak memory", ("dates", "MB", "6 inputs + 400 MB"), rows)])


def worker_checks(dates: int, side: int, repeats: int) -> BenchResult:
    """Compare two distributed workers with two processes that know nothing of each other."""
    best = dict.fromkeys(("independent", "half", "alone", "together"), math.inf)
    with _independent(dates // 2, side) as go, two_workers() as client:
        client.run(_warm)
        first = list(client.scheduler_info()["workers"])[:1]
        for _ in range(repeats):
            for name, call in (
                ("independent", go),
                ("half", partial(_distributed, client, dates // 2, side, first)),
                ("alone", partial(_distributed, client, dates, side, first)),
                ("together", partial(_distributed, client, dates, side, None)),
            ):
                best[name] = min(best[name], call())
    independent, half, alone, together = best.values()
    pixels = dates * side**2 / 1e6
    name = f"two workers over two independent processes, {dates} retrievals of {side} x {side}"
    check = Check.at_least(name, independent / together, 0.95, "1")
    rows = [
        ("two independent processes", dates, independent, pixels / independent, None),
        ("1 worker", dates // 2, half, pixels / 2 / half, None),
        ("1 worker", dates, alone, pixels / alone, 1.0),
        ("2 workers, strong scaling", dates, together, pixels / together, alone / together),
        ("2 workers, weak scaling", dates, together, pixels / together, 2 * half / together),
    ]
    columns = ("what", "dates", "s", "Mpixel/s", "speed-up")
    return BenchResult([check], [Table("Scaling over workers", columns, rows)])


def identity_checks() -> BenchResult:
    """Compare every bit between schedulers and between chunkings."""
    shape = (260, 300)
    ds = cube(2, shape, 100, memory=True)
    # Fusion ramps from the teacher alone to the student alone over the scene.
    ground = terrain(ds, 0.0)
    ramp = np.linspace(0.0, 4.0 * both_networks(load_bundle()), shape[1], dtype=np.float32)
    ground["terrain_complexity_k"][:] = ramp

    def result(source: xr.Dataset) -> xr.Dataset:
        return aktes_xr.retrieve(source, terrain=ground)

    whole = result(ds.chunk(time=-1, band=-1, y=-1, x=-1)).compute(scheduler="synchronous")
    found: dict[str, xr.Dataset] = {}
    for scheduler in ("threads", "processes"):
        found[scheduler] = result(ds).compute(scheduler=scheduler, num_workers=2)
    with two_workers():
        found["distributed"] = result(ds).compute()
    for time_, y, x in ((1, 64, 64), (2, 33, 300), (2, 260, 7)):
        name = f"chunks of {time_} x {y} x {x}"
        chunked = ds.chunk(time=time_, band=-1, y=y, x=x)
        found[name] = result(chunked).compute(scheduler="threads")
    rows = [(name, other.identical(whole)) for name, other in found.items()]
    different = sum(not same for _, same in rows)
    check = Check.at_most("schedulers and chunkings that change a bit", different, 0.0, "1")
    return BenchResult([check], [Table("Bitwise identity", ("with", "identical"), rows)])


def _peak(bundle: Path, dates: int, side: int) -> int:
    command = [sys.executable, "-m", _MODULE, "memory", str(bundle), str(dates), str(side)]
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, env={**os.environ, **_ENVIRONMENT}
    )
    return int(done.stdout.split()[-1])


@contextlib.contextmanager
def _independent(dates: int, side: int) -> Iterator[Callable[[], float]]:
    """Two processes; what is yielded lets both retrieve, and returns the slower one's seconds."""
    command = [sys.executable, "-m", _MODULE, "rate", "default", str(dates), str(side)]
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


def _distributed(client: Any, dates: int, side: int, workers: list[str] | None) -> float:
    """Seconds of retrievals on a cluster's workers, or on some of them."""
    work = discard(lazy_result("default", dates, (side, side), side))
    start = time.perf_counter()
    futures = client.compute(work, workers=workers)
    client.gather(futures)
    return time.perf_counter() - start


def _warm() -> None:
    dask.compute(discard(lazy_result("default", 1, (64, 64), 64)), scheduler="synchronous")
