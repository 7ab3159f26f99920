"""The cube at scale: graph, memory, time against the machine's limit, workers, identity.

Figures that are compared come from the same run, in turns, and of repeated ones the best counts:
other work on the machine makes a turn slower, never faster. ``--quick`` takes smaller cubes for the
same checks; each check's name says the size it was measured at.
"""

from __future__ import annotations

import logging
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aktes_xr.bench.checks import BenchResult, Check, Table
from aktes_xr.bench.scale_cubes import small_bundle
from aktes_xr.bench.scale_graph import choice_tables, graph_checks, scheduler_checks
from aktes_xr.bench.scale_report import report_checks
from aktes_xr.bench.scale_time import granule_checks, retrieval_checks
from aktes_xr.bench.scale_workers import (
    SCALING,
    identity_checks,
    memory_checks,
    worker_checks,
    workers,
)
from aktes_xr.errors import InputError

_LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True)
class Sizes:
    """How large the cubes of a run are.

    Attributes
    ----------
    side, repeats : of the retrieval in memory, pixels; turns of each measurement
    obvious_side : of the cube the obvious pipeline gets, pixels
    granules, granule_shape : of the way from COG to Zarr
    many_dates : of the long memory run, beside the one of 20
    memory_sides : of a chunk of the memory runs over many dates, and over few, pixels
    worker_dates, worker_side : of the cube that workers share
    simulated_chunks : of the scheduler's simulation, and of live schedulers
    choice_dates : of the graphs by which choices are weighed
    report_dates, report_shape : of the series whose page is drawn
    """

    side: int
    repeats: int
    obvious_side: int
    granules: int
    granule_shape: tuple[int, int]
    many_dates: int
    memory_sides: tuple[int, int]
    worker_dates: int
    worker_side: int
    simulated_chunks: tuple[int, int]
    choice_dates: int
    report_dates: tuple[int, int]
    report_shape: tuple[int, int]


FULL = Sizes(
    *(2048, 2, 1024, 20, (700, 830), 400, (256, 1024), 16, 512, (100_000, 3_200), 100),
    *((20, 100), (700, 830)),
)
QUICK = Sizes(
    *(512, 1, 256, 4, (400, 400), 80, (48, 256), 8, 224, (1_600, 160), 12),
    *((20, 100), (280, 332)),
)


PARTS = (
    "graph",
    "scheduler",
    "retrieval",
    "granules",
    "memory",
    "workers",
    "identity",
    "choices",
    "report",
)
_USUAL = tuple(name for name in PARTS if name not in ("choices", "report"))
"""What was chosen beside what was not, and the page of a series, are measured when asked for."""


def run(*, quick: bool, figure: str | Path | None = None, part: str | None = None) -> BenchResult:
    """Measure everything, or one part.

    Parameters
    ----------
    quick : bool
        Smaller cubes.
    figure : str or Path, optional
        Where to draw the checks, each as a share of its target, and the scaling.
    part : str, optional
        One of `PARTS`, to measure it alone.

    Returns
    -------
    BenchResult

    Raises
    ------
    InputError
        There is no such part.
    """
    if part is not None and part not in PARTS:
        raise InputError(f"found part {part!r}, expected one of {', '.join(PARTS)}")
    sizes = QUICK if quick else FULL
    parts: list[BenchResult] = []
    seconds: list[tuple[Any, ...]] = []
    with tempfile.TemporaryDirectory(prefix="aktes-scale-") as place:
        folder = Path(place)
        small = small_bundle(folder / "small")
        with workers(2) as client:
            measures: dict[str, Callable[[], BenchResult]] = {
                "graph": graph_checks,
                "scheduler": lambda: scheduler_checks(small, client, *sizes.simulated_chunks),
                "retrieval": lambda: retrieval_checks(
                    sizes.side, sizes.obvious_side, sizes.repeats
                ),
                "granules": lambda: granule_checks(
                    folder, sizes.granules, sizes.granule_shape, sizes.repeats
                ),
                "memory": lambda: memory_checks(
                    folder / "small", sizes.many_dates, sizes.memory_sides
                ),
                "workers": lambda: worker_checks(
                    client, "default", sizes.worker_dates, sizes.worker_side
                ),
                "identity": lambda: identity_checks(client),
                "report": lambda: report_checks(folder, sizes.report_dates, sizes.report_shape),
                "choices": lambda: choice_tables(small, folder, sizes.choice_dates, sizes.granules),
            }
            for name in _USUAL if part is None else (part,):
                start = time.perf_counter()
                parts.append(measures[name]())
                seconds.append((name, time.perf_counter() - start))
                _LOGGER.info("measured %s in %.0f s", *seconds[-1])
    parts.append(BenchResult([], [Table("Time the parts took", ("part", "s"), seconds)]))
    checks: list[Check] = [check for part in parts for check in part.checks]
    tables: list[Table] = [table for part in parts for table in part.tables]
    result = BenchResult(checks, tables)
    if figure is not None:
        draw(result, figure)
    return result


def draw(result: BenchResult, path: str | Path) -> None:
    """Draw each check as a share of its target, and the scaling over workers.

    The axis is logarithmic. A check's bar is red where it does not hold. Some checks must lie above
    the line, others below it.

    Parameters
    ----------
    result : BenchResult
        What was measured.
    path : str or Path
        Where to write the picture.
    """
    from matplotlib.figure import Figure

    shown = [check for check in result.checks if check.value > 0.0 and check.target > 0.0]
    scaling = [table for table in result.tables if table.title == SCALING]
    height = 0.34 * len(shown) + 1.2
    drawn = Figure(figsize=(11.0, height + 3.0 * bool(scaling)), layout="constrained")
    heights = [height, 2.6] if scaling else [height]
    grid = drawn.add_gridspec(len(heights), 1, height_ratios=heights)
    axes = drawn.add_subplot(grid[0])
    colours = ["tab:blue" if check.holds else "tab:red" for check in shown]
    bars = axes.barh(
        [check.name for check in shown], [c.value / c.target for c in shown], color=colours
    )
    axes.bar_label(bars, [f"{c.value:.3g} / {c.target:g}" for c in shown], padding=3, fontsize=7)
    axes.axvline(1.0, color="black", linewidth=1.0)
    axes.set_xscale("log")
    axes.margins(x=0.15)
    axes.tick_params(axis="y", labelsize=7)
    axes.invert_yaxis()
    axes.set_xlabel("value / target (blue holds, red does not)")
    for table in scaling:
        _draw_scaling(drawn.add_subplot(grid[1]), table)
    drawn.savefig(path, dpi=120)


def _draw_scaling(axes: Any, table: Table) -> None:
    columns = list(table.columns)
    kind, workers, rate = (columns.index(name) for name in ("scaling", "workers", "Mpixel/s"))
    for name, style in (("strong", "o-"), ("weak", "s--")):
        points = [(row[workers], row[rate]) for row in table.rows if row[kind] == name]
        axes.plot(*zip(*points, strict=True), style, label=f"{name} scaling")
    counts = sorted({row[workers] for row in table.rows})
    axes.set_xticks(counts)
    axes.set_ylim(bottom=0.0)
    axes.set_xlabel("workers of one thread")
    axes.set_ylabel("Mpixel/s")
    axes.legend()
