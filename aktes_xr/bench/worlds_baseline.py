"""Errors of version 0.1.0's teacher where most of the sky is hidden; later ones must be smaller.

``python -m aktes_xr.bench.worlds_baseline quick=Q.json full=F.json ...`` takes it from what
``aktes bench worlds [--quick] [--part ...] --json`` wrote with that version's bundle. The figures
hold for the scenes as they are: whoever changes a simulator makes them anew with that bundle.
"""

from __future__ import annotations

import importlib.resources
import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from aktes_xr.bench.worlds_methods import TEACHER
from aktes_xr.bench.worlds_tally import SKY_CLASSES
from aktes_xr.errors import InputError

_FILE: Final = "worlds_0.1.0.json"


def steep_errors(world: str, *, quick: bool) -> dict[str, float]:
    """Return the stored errors of a world, by what is told.

    Parameters
    ----------
    world : str
        Name of the world.
    quick : bool
        Those of the benchmark's quick form.

    Returns
    -------
    dict of str to float, K
        Empty where none are known of this world.
    """
    resource = importlib.resources.files("aktes_xr") / "data" / "studies" / _FILE
    stored = json.loads(resource.read_text(encoding="utf-8"))
    found: dict[str, float] = stored["quick" if quick else "full"].get(world, {})
    return found


def steep_rows(report: dict[str, Any]) -> dict[str, dict[str, float]]:
    """Take the errors out of a benchmark's JSON, by world and by what is told.

    Parameters
    ----------
    report : dict
        The benchmark's JSON.

    Returns
    -------
    dict of str to dict of str to float, K
        By world, then by what is told.

    Raises
    ------
    InputError
        If the report holds no such table.
    """
    found: dict[str, dict[str, float]] = {}
    for table in report["tables"]:
        world, _, rest = table["title"].partition(", by sky view")
        if not rest:
            continue
        columns = table["columns"]
        sky, error = columns.index("sky view"), columns.index(f"T {TEACHER}")
        found[world] = {r[0]: round(r[error], 4) for r in table["rows"] if r[sky] == SKY_CLASSES[0]}
    if not found:
        raise InputError(
            "found no table by sky view, expected a report of 'aktes bench worlds --json'"
        )
    return found


def write(reports: Iterable[tuple[str, Path]], path: Path) -> None:
    """Write the baseline from reports.

    Parameters
    ----------
    reports : iterable of (str, Path)
        The benchmark's form, ``quick`` or ``full``, and the report's file.
    path : Path
        Where to write.
    """
    made: dict[str, dict[str, dict[str, float]]] = {"quick": {}, "full": {}}
    for form, report in reports:
        made[form] |= steep_rows(json.loads(report.read_text(encoding="utf-8")))
    path.write_text(json.dumps(made, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    named = [argument.partition("=") for argument in sys.argv[1:]]
    write(
        [(form, Path(report)) for form, _, report in named],
        Path(__file__).parents[1] / "data" / "studies" / _FILE,
    )
