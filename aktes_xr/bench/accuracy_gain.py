"""What knowing the air and the surface brings, by water column.

A reanalysis such as ERA5 knows the water column to about a tenth and the air temperature to about
2 K. An emissivity archive knows the surface beside them. Each is compared with a retrieval that is
told nothing, on the same pixels. The wetter the air, the more there is to know of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from aktes_xr.bench.accuracy_methods import ALL, NOTHING, TEACHER, WATER_AND_AIR
from aktes_xr.bench.checks import Check, Table
from aktes_xr.learn.evaluation import DRY, OVERALL

if TYPE_CHECKING:
    from aktes_xr.bench.accuracy_methods import Comparison

GAIN_TARGETS: Final = {WATER_AND_AIR: 0.85, ALL: 0.60}
"""Largest ratio of the temperature's error to that without ancillaries, by what is told."""
_COLUMNS: Final = (
    "stratum",
    "pixels",
    *(cell for name in GAIN_TARGETS for cell in (f"T, {name}", "95 %", f"e, {name}", "95 %")),
)


def gain(comparison: Comparison) -> tuple[list[Check], Table]:
    """Divide the teacher's errors with ancillaries by those without any.

    Parameters
    ----------
    comparison : Comparison
        Of protocol G.

    Returns
    -------
    list of Check
        Of the temperature: over all pixels, and in the water column where it brings least.
    Table
        Of temperature and emissivity, a row each for all pixels and for each water column.
    """
    columns = [
        stratum
        for stratum in comparison.scores[TEACHER, NOTHING]
        if stratum.startswith("water ") and stratum != DRY
    ]
    found = {
        (stratum, given, emissivity): comparison.ratio(
            (TEACHER, given), (TEACHER, NOTHING), stratum=stratum, emissivity=emissivity
        )
        for stratum in (OVERALL, *columns)
        for given in GAIN_TARGETS
        for emissivity in (False, True)
    }
    rows: list[tuple[Any, ...]] = []
    for stratum in (OVERALL, *columns):
        ratios = [ratio for key, ratio in found.items() if key[0] == stratum]
        cells = [cell for r in ratios for cell in (r.value, f"{r.low:.2f}-{r.high:.2f}")]
        rows.append((stratum, int(comparison.masks[stratum].sum()), *cells))
    checks = []
    for given, target in GAIN_TARGETS.items():
        name = f"G, {given} over nothing: temperature MAE"
        worst = max(found[stratum, given, False].value for stratum in columns)
        checks += [
            Check.at_most(f"{name}, {OVERALL}", found[OVERALL, given, False].value, target, "1"),
            Check.at_most(f"{name}, worst water column", worst, target, "1"),
        ]
    return checks, Table("G, teacher's error with ancillaries over without", _COLUMNS, rows)
