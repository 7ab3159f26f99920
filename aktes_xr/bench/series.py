"""The scheduled series: every date once, whatever happens, at a price that does not grow.

Runs are processes of their own, killed at random moments or started together, on a disk and on an
S3-compatible server on loopback. What a second pass brings is judged on simulated series.
``--part`` plays one of `PARTS` alone.
"""

from __future__ import annotations

import contextlib
import logging
import random
import resource
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import numpy as np

from aktes_xr.bench.checks import BenchResult, Check, Table
from aktes_xr.bench.fault_results import same_result
from aktes_xr.bench.faults_objects import bucket
from aktes_xr.bench.series_stage import Granules, Stage, end_all
from aktes_xr.bench.two_pass import run as run_two_pass
from aktes_xr.errors import InputError
from aktes_xr.jobs.config import load_job
from aktes_xr.jobs.run import run_job
from aktes_xr.store import open_result

PARTS: Final = ("kills", "races", "second", "soak", "two-pass")
_KILLS, _QUICK_KILLS = 30, 2
_SOAK, _QUICK_SOAK = 200, 24
_EARLY: Final = slice(10, 60)
_LATE: Final = 50
_MEGABYTE: Final = 1e6


def run(*, quick: bool, part: str | None = None) -> BenchResult:
    """Play the parts.

    Parameters
    ----------
    quick : bool
        Fewer kills and dates, of plain Zarr on a disk alone.
    part : str, optional
        One of `PARTS`.

    Returns
    -------
    BenchResult

    Raises
    ------
    InputError
        There is no such part.
    """
    plays: dict[str, Callable[[Path, bool], BenchResult]] = {
        "kills": _kills,
        "races": _races,
        "second": _second,
        "soak": _soak,
        "two-pass": _two_pass,
    }
    if part is not None and part not in plays:
        raise InputError(f"found part {part!r}, expected one of {', '.join(PARTS)}")
    checks: list[Check] = []
    tables: list[Table] = []
    for name, play in plays.items():
        if part in (None, name):
            with tempfile.TemporaryDirectory(prefix="aktes-series-") as place:
                found = play(Path(place), quick)
            checks += found.checks
            tables += found.tables
    return BenchResult(checks, tables)


@contextlib.contextmanager
def _places(folder: Path, quick: bool) -> Iterator[list[tuple[str, str, str]]]:
    """Yield name, back end and address of each place."""
    local = [("zarr on a disk", "zarr", str(folder / "zarr"))]
    if quick:
        yield local
        return
    with bucket() as address:
        above = address.rpartition("/")[0]
        yield [
            *local,
            ("Icechunk on a disk", "icechunk", str(folder / "icechunk")),
            ("zarr on S3", "zarr", f"{above}/zarr"),
            ("Icechunk on S3", "icechunk", f"{above}/icechunk"),
        ]


def _kills(folder: Path, quick: bool) -> BenchResult:
    """Kill runs at random moments, run again, and compare with a run that nobody disturbed."""
    granules = Granules.write(folder / "granules", 4 if quick else 8, (96, 96))
    moments = random.Random(0)
    times = _QUICK_KILLS if quick else _KILLS
    rows, checks = [], []
    with _places(folder, quick) as places:
        for name, backend, address in places:
            calm = Stage.set(
                granules, folder / "calm.toml", f"{address}-calm", backend=backend, batch=1
            )
            calm.run()
            begin = time.monotonic()
            calm_again = Stage.set(
                granules, folder / "usual.toml", f"{address}-usual", backend=backend, batch=1
            )
            calm_again.run()
            usual = time.monotonic() - begin
            expected = open_result(calm.store).load()
            right = killed = 0
            for number in range(times):
                stage = Stage.set(
                    granules, folder / "job.toml", f"{address}-{number}", backend=backend, batch=1
                )
                process = stage.start()
                # The first part of a run's time goes by before it writes.
                time.sleep(usual * moments.uniform(0.3, 1.0))
                process.send_signal(signal.SIGKILL)
                process.communicate()
                killed += process.returncode == -signal.SIGKILL
                ended = stage.run()
                whole = same_result(open_result(stage.store).load(), expected)
                tidy = backend == "icechunk" or set(stage.listing()) == set(calm.listing())
                right += ended.code == 0 and whole and tidy
            rows.append((name, times, killed, right))
            checks.append(Check.at_least(f"killed runs made good, {name}", right / times, 1.0, "1"))
    columns = ("place", "runs", "killed before their end", "as if undisturbed after a rerun")
    return BenchResult(checks, [Table("Kills", columns, rows)])


def _races(folder: Path, quick: bool) -> BenchResult:
    """Start two runs of one job together."""
    granules = Granules.write(folder / "granules", 3, (96, 96))
    rows, checks = [], []
    with _places(folder, quick) as places:
        for name, backend, address in places:
            stage = Stage.set(granules, folder / "job.toml", address, backend=backend, batch=1)
            ended = end_all([stage.start(), stage.start()])
            codes = sorted(-1 if one.code is None else one.code for one in ended)
            dates = open_result(stage.store).sizes["time"]
            # One that begins after the other has ended finds nothing left to do.
            holds = codes in ([0, 7], [0, 0]) and dates == 3
            rows.append((name, " and ".join(map(str, ended)), dates))
            checks.append(
                Check.at_least(f"two runs at once, each date once, {name}", holds, 1.0, "1")
            )
    return BenchResult(checks, [Table("Races", ("place", "ends", "dates"), rows)])


def _second(folder: Path, quick: bool) -> BenchResult:
    """Run a job twice in one process: what the second run touches, and its time."""
    granules = Granules.write(folder / "granules", 20, (128, 128) if quick else (700, 830))
    stage = Stage.set(granules, folder / "job.toml", str(folder / "r"), backend="zarr", batch=2)
    job = load_job(stage.file)
    first = run_job(job)
    before = stage.listing()
    second = run_job(job)
    changed = len(set(before.items()) ^ set(stage.listing().items()))
    date = float(np.median([seconds / dates for dates, seconds, _ in first.batches]))
    checks = [
        Check.at_most("files that a second run changes", changed, 0, "1"),
        Check.at_most("second run's time over a date's, 20 dates", second.seconds / date, 0.1, "1"),
    ]
    rows = [(20, date, second.seconds)]
    columns = ("dates", "a date, s", "second run, s")
    return BenchResult(checks, [Table("Second run", columns, rows)])


def _two_pass(folder: Path, quick: bool) -> BenchResult:
    """Judge the second pass; it needs no place on the disk."""
    return run_two_pass(quick=quick)


class _Memory(logging.Handler):
    """Notes this process's memory at each date that is made."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.bytes: list[int] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Note the memory, if a date is made."""
        if ": done" in record.getMessage():
            pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
            self.bytes.append(pages * resource.getpagesize())


def _soak(folder: Path, quick: bool) -> BenchResult:
    """Make many dates in one run, and look whether memory or the time of a date grows."""
    dates = _QUICK_SOAK if quick else _SOAK
    granules = Granules.write(folder / "granules", dates, (128, 128) if quick else (700, 830))
    stage = Stage.set(granules, folder / "job.toml", str(folder / "r"), backend="zarr", batch=1)
    memory, logger = _Memory(), logging.getLogger("aktes_xr.jobs.run")
    level = logger.level
    logger.setLevel(logging.INFO)
    logger.addHandler(memory)
    try:
        account = run_job(load_job(stage.file))
    finally:
        logger.removeHandler(memory)
        logger.setLevel(level)
    times = np.array([processor / n for n, _, processor in account.batches])
    # What the first dates load stays and is no slope.
    later = np.arange(dates)[dates // 20 :]
    slope = float(np.polyfit(later, np.array(memory.bytes)[later], 1)[0]) / _MEGABYTE
    early, late = (times[_EARLY], times[-_LATE:]) if not quick else (times[4:14], times[-10:])
    ratio = float(np.median(late) / np.median(early))
    checks = [
        Check.at_most("memory's slope, MB a date", slope, 1.0, "MB"),
        Check.at_most("processor time of the last dates over that of early ones", ratio, 1.1, "1"),
    ]
    rows = [(dates, slope, float(np.median(early)), float(np.median(late)))]
    columns = ("dates", "slope, MB a date", "early, processor s", "late, processor s")
    return BenchResult(checks, [Table("Soak", columns, rows)])
