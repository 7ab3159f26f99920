"""What benchmarks share: a check, a table, a study; how a run is found, printed and kept."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import inspect
import itertools
import json
import math
import os
import platform
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

from aktes_xr.documents import write_json
from aktes_xr.errors import InputError
from aktes_xr.version import __version__

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table as RichTable

__all__ = [
    "NAMES",
    "BenchResult",
    "Check",
    "Table",
    "available",
    "machine",
    "print_result",
    "run_benchmark",
    "to_json",
]
NAMES = (
    "accuracy",
    "terrain",
    "worlds",
    "context",
    "terrain_kernels",
    "radiative",
    "realism",
    "network",
    "scale",
    "series",
    "faults",
    "ancillaries",
    "clouds",
    "domain",
    "flags",
)
_ROOM = "aktes_xr.bench"
_PACKAGES = ("numpy", "xarray", "dask", "numba", "onnxruntime", "rasterio", "zarr", "stackstac")


@dataclass(frozen=True)
class Check:
    """One claim: a measured value beside what it must reach.

    Parameters
    ----------
    name : str
        What is claimed, unique within the benchmark.
    value : float
        What this run measured.
    target : float
        What it is compared with; whether as a floor or a ceiling is the benchmark's business.
    unit : str
        Unit of both, "1" for a ratio.
    holds : bool
        Whether the claim holds. A value that is not finite never does.
    """

    name: str
    value: float
    target: float
    unit: str
    holds: bool

    @classmethod
    def at_most(cls, name: str, value: float, target: float, unit: str) -> Check:
        """Claim that `value` is no larger than `target`.

        Parameters
        ----------
        name : str
            What was measured.
        value : float
            The figure.
        target : float
            The largest that will do.
        unit : str
            Of both.

        Returns
        -------
        Check
        """
        return cls(name, float(value), float(target), unit, bool(value <= target))

    @classmethod
    def at_least(cls, name: str, value: float, target: float, unit: str) -> Check:
        """Claim that `value` is no smaller than `target`.

        Parameters
        ----------
        name : str
            What was measured.
        value : float
            The figure.
        target : float
            The smallest that will do.
        unit : str
            Of both.

        Returns
        -------
        Check
        """
        return cls(name, float(value), float(target), unit, bool(value >= target))


@dataclass(frozen=True)
class Table:
    """Figures to read.

    Parameters
    ----------
    title : str
    columns : sequence of str
    rows : sequence of sequence
        One sequence of cells (str, number, bool, None) per row.
    headings : int
        So many first columns are printed as headings above their rows instead of in them.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]
    headings: int = 0


@dataclass(frozen=True)
class BenchResult:
    """What a benchmark found: its checks, and the tables they were taken from."""

    checks: Sequence[Check]
    tables: Sequence[Table] = ()

    @property
    def holds(self) -> bool:
        """Whether every check holds; a benchmark without any check proves nothing."""
        return bool(self.checks) and all(check.holds for check in self.checks)


class _Benchmark(Protocol):
    def run(self, *, quick: bool, **options: str) -> BenchResult: ...


def available() -> tuple[str, ...]:
    """Names of the benchmarks this installation has, in their documented order."""
    return tuple(name for name in NAMES if importlib.util.find_spec(f"{_ROOM}.{name}"))


def run_benchmark(name: str, *, quick: bool = False, **options: str) -> BenchResult:
    """Run one benchmark.

    Parameters
    ----------
    name : str
        One of `available()`.
    quick : bool
        The short form, which finishes within two minutes on two cores.
    **options : str
        What this benchmark's ``run`` takes besides.

    Returns
    -------
    BenchResult
        Its checks and tables.

    Raises
    ------
    InputError
        If there is no such benchmark, or it takes no such option.
    """
    names = available()
    if name not in names:
        raise InputError(
            f"There is no benchmark {name!r}. Choose one of: {', '.join(names) or '(none)'}."
        )
    module = cast("_Benchmark", importlib.import_module(f"{_ROOM}.{name}"))
    surplus = sorted(set(options) - set(inspect.signature(module.run).parameters))
    if surplus:
        raise InputError(f"The benchmark {name} takes no {', '.join(surplus)}; leave it out.")
    return module.run(quick=quick, **options)


def machine() -> dict[str, Any]:
    """Describe where a benchmark ran: processor, memory, and versions; no host name, no path."""
    return {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "system": f"{platform.system()} {platform.release()}",
        "processor": _processor_name(),
        "cpus": len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count(),
        "memory_gib": _memory_gib(),
        "python": platform.python_version(),
        "packages": {name: importlib.metadata.version(name) for name in _PACKAGES},
        "aktes_xr": __version__,
    }


def to_json(result: BenchResult) -> dict[str, Any]:
    """Return a result in plain, strictly valid JSON types.

    NumPy scalars become Python numbers. Values that are not finite become None, since JSON cannot
    hold them.

    Parameters
    ----------
    result : BenchResult
        What was measured.

    Returns
    -------
    dict
        ``{"machine", "checks", "tables"}``.
    """
    return {
        "machine": machine(),
        "checks": [
            {key: _plain(value) for key, value in asdict(check).items()} for check in result.checks
        ],
        "tables": [
            {
                "title": table.title,
                "columns": list(table.columns),
                "rows": [[_plain(cell) for cell in row] for row in table.rows],
            }
            for table in result.tables
        ],
    }


def print_result(result: BenchResult, console: Console) -> None:
    """Print the tables, then one line per check.

    Parameters
    ----------
    result : BenchResult
        What was measured.
    console : Console
        Where to print.
    """
    from rich import box
    from rich.markup import escape
    from rich.table import Table as RichTable

    for table in result.tables:
        for title, rows in _parts(table):
            grid = RichTable(
                title=escape(title),
                box=box.SIMPLE_HEAD,
                title_justify="left",
                padding=(0, 1, 0, 0),
            )
            for column, cell in zip(table.columns[table.headings :], rows[0], strict=True):
                words = isinstance(cell, str)
                grid.add_column(escape(column), justify="left" if words else "right", no_wrap=True)
            for row in rows:
                grid.add_row(*(escape(_cell(cell)) for cell in row))
            _print_whole(grid, console)
    grid = RichTable(title="Checks", box=box.SIMPLE_HEAD, title_justify="left")
    for column in ("", "claim", "value", "target", "unit"):
        grid.add_column(column, justify="right" if column in ("value", "target") else "left")
    for check in result.checks:
        mark = "[green]holds[/green]" if check.holds else "[bold red]FAILS[/bold red]"
        grid.add_row(
            mark, escape(check.name), _cell(check.value), _cell(check.target), escape(check.unit)
        )
    console.print(grid)


def _print_whole(grid: RichTable, console: Console) -> None:
    """Print a table as wide as it is: a terminal folds its lines, which cuts no figure short."""
    from rich.measure import Measurement

    width = console.width
    needed = Measurement.get(console, console.options.update(max_width=1000), grid).maximum
    console.width = max(width, needed)
    console.print(grid)
    console.width = width


def _parts(table: Table) -> Iterator[tuple[str, list[Sequence[Any]]]]:
    """Divide a table's rows by its heading columns, in order, each part with its title."""
    for heading, rows in itertools.groupby(table.rows, lambda row: tuple(row[: table.headings])):
        title = ", ".join((table.title, *(_cell(cell) for cell in heading)))
        yield title, [row[table.headings :] for row in rows]


def _plain(value: Any) -> Any:
    """Python's own type for a cell; NumPy scalars have ``item``."""
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _cell(value: Any) -> str:
    value = value.item() if hasattr(value, "item") else value
    if isinstance(value, float):
        return f"{value:.4g}" if abs(value) < 1e4 else f"{value:,.0f}"
    return "" if value is None else str(value)


def _processor_name() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in text.splitlines() if "model name" in line]
    return names[0] if names else platform.machine()


def _memory_gib() -> float | None:
    if not hasattr(os, "sysconf") or "SC_PHYS_PAGES" not in os.sysconf_names:
        return None
    return round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30, 1)


@dataclass(frozen=True)
class Study:
    """Figures of a study.

    Attributes
    ----------
    title : str
    columns : sequence of str
    rows : sequence of sequence
        Text and numbers in the order of the columns.
    path : Path
        Where they are kept, as JSON.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]
    path: Path

    def write(self) -> None:
        """Write title, columns and rows to the path."""
        write_json(
            self.path,
            {
                "title": self.title,
                "columns": list(self.columns),
                "rows": [[_json_cell(cell) for cell in row] for row in self.rows],
            },
        )

    def text(self) -> str:
        """Return a Markdown table."""
        lines = [self.title, "", "| " + " | ".join(self.columns) + " |"]
        lines.append("|" + " --- |" * len(self.columns))
        lines += [
            "| " + " | ".join(_markdown_cell(value) for value in row) + " |" for row in self.rows
        ]
        return "\n".join(lines)

    @classmethod
    def read(cls, path: Path) -> Study:
        """Read what `write` wrote.

        Parameters
        ----------
        path : Path
            The file.

        Returns
        -------
        Study
        """
        found = json.loads(path.read_text(encoding="utf-8"))
        return cls(found["title"], found["columns"], found["rows"], path)


def _json_cell(value: Any) -> Any:
    """Return a cell as JSON knows it: a figure that could not be had is null."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _markdown_cell(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
