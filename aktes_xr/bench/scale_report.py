"""What the page of a long series costs: beside its retrieval, and in bytes.

Two simulated granules stand for many dates by turns: their items are repeated with other times.
Retrieval and page are the commands themselves, each in a process of its own, with its start.
"""

from __future__ import annotations

import copy
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

from aktes_xr.bench.checks import BenchResult, Check, Table
from aktes_xr.errors import ResourceError
from aktes_xr.simulate import write_scene

_REPEAT_DAYS: Final = 16
_SIMULATED: Final = 2
_MEGABYTE: Final = 1e6
_KIBIBYTE: Final = 1024.0


@dataclass(frozen=True)
class Cost:
    """What a process took: time on the wall and of the processor, s, and memory at its peak, MB."""

    seconds: float
    processor_s: float
    peak_mb: float


def report_checks(folder: Path, counts: Sequence[int], shape: tuple[int, int]) -> BenchResult:
    """Retrieve series of few and of many dates, draw their pages, and compare what both take.

    Parameters
    ----------
    folder : Path
        For granules, stores and pages.
    counts : sequence of int
        Numbers of dates; the checks are of the largest.
    shape : (int, int), pixel
        Rows and columns of a granule.

    Returns
    -------
    BenchResult
    """
    scene = folder / "scene"
    simulated = write_scene(scene, shape=shape, dates=_SIMULATED, clouds=True)
    items = _repeated(simulated, folder / "items", max(counts))
    rows: list[tuple[Any, ...]] = []
    found: dict[int, tuple[Cost, Cost, float]] = {}
    for count in counts:
        store, page = folder / f"{count}.zarr", folder / f"{count}.html"
        retrieved = _run(
            ["retrieve", *map(str, items[:count])],
            ["--dem", str(scene / "dem.tif"), "--out", str(store)],
        )
        drawn = _run(["report", str(store)], ["--out", str(page)])
        found[count] = retrieved, drawn, page.stat().st_size / _MEGABYTE
        for what, cost, size in (("retrieve", retrieved, None), ("report", drawn, found[count][2])):
            rows.append((what, count, cost.seconds, cost.processor_s, cost.peak_mb, size))
    few, many = min(counts), max(counts)
    retrieved, drawn, size = found[many]
    words = f"of {many} dates of {shape[0]} x {shape[1]}"
    checks = [
        Check.at_most(
            f"processor time of the page {words}, over its retrieval's",
            drawn.processor_s / retrieved.processor_s,
            0.25,
            "1",
        ),
        Check.at_most(f"page {words}", size, 15.0, "MB"),
        Check.at_most(
            f"memory of the page {words}, over that of {few}",
            drawn.peak_mb / found[few][1].peak_mb,
            1.1,
            "1",
        ),
    ]
    columns = ("command", "dates", "s", "processor s", "peak, MB", "page, MB")
    return BenchResult(checks, [Table("The page of a series beside its retrieval", columns, rows)])


def _repeated(items: Sequence[Path], folder: Path, count: int) -> list[Path]:
    """Write items of many dates that point to the files of a few."""
    folder.mkdir()
    found = []
    for number in range(count):
        source = items[number % len(items)]
        item = copy.deepcopy(json.loads(source.read_text()))
        first = datetime.fromisoformat(json.loads(items[0].read_text())["properties"]["datetime"])
        when = first + timedelta(days=_REPEAT_DAYS * number)
        item["properties"]["datetime"] = when.isoformat().replace("+00:00", "Z")
        item["id"] = f"{item['id']}_{number:03d}"
        for asset in item["assets"].values():
            asset["href"] = str((source.parent / asset["href"]).resolve())
        found.append(folder / f"{item['id']}.json")
        found[-1].write_text(json.dumps(item))
    return found


def _run(command: Sequence[str], options: Sequence[str]) -> Cost:
    """Run a command of ours in a process and say what it took, its children included."""
    call = [sys.executable, "-m", "aktes_xr", *command, *options]
    begin = time.perf_counter()
    with subprocess.Popen(
        call, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=os.environ
    ) as process:
        said = b"" if process.stderr is None else process.stderr.read()
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise ResourceError(
            f"aktes {command[0]} ended with {process.returncode}: {said.decode()[-500:]}"
        )
    peak_mb = used.ru_maxrss * _KIBIBYTE / _MEGABYTE
    return Cost(time.perf_counter() - begin, used.ru_utime + used.ru_stime, peak_mb)
