"""What the accuracy benchmark claims, as checks on its comparisons."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from aktes_xr.bench import Check, Table
from aktes_xr.bench.accuracy_methods import (
    ALL,
    NO_PRIOR,
    NOTHING,
    PRESSURE,
    REFERENCE,
    TEACHER,
    TES,
    Comparison,
)
from aktes_xr.learn.evaluation import ANCILLARY_SETS, DRY, OVERALL

if TYPE_CHECKING:
    from aktes_xr.learn.metrics import Scores

    Row = tuple[Any, ...]

_NORMAL_68: Final = 0.682689
_TES_TARGETS: Final = {OVERALL: 0.60, DRY: 0.85}
_ALONE_TARGETS_K: Final = {OVERALL: 0.75, DRY: 0.50}
_REFERENCE_WITHIN: Final = 1.05
_COVERAGE: Final = (("68 %", _NORMAL_68, 0.04), ("95 %", 0.95, 0.02))
_STRATUM_WITHIN: Final = 0.08
_QUANTITIES: Final = ("temperature", "emissivity")


def paper_checks(comparison: Comparison) -> list[Check]:
    """Protocol P with all ancillaries, against the published figures."""
    temperature, emissivity = comparison.scores[TEACHER, ALL][OVERALL]
    return [
        Check.at_most("P, all ancillaries: temperature MAE", temperature.mae, 0.30, "K"),
        Check.at_least("P, all ancillaries: temperature PCC", temperature.pcc, 0.999, "1"),
        Check.at_most("P, all ancillaries: emissivity MAE", emissivity.mae, 0.0050, "1"),
    ]


def physics_checks(comparison: Comparison) -> list[Check]:
    """Teacher over TES: told exactly the same, and with the prior that TES has no use for."""
    checks = []
    for label, given in (("same ancillaries", NO_PRIOR), ("and emissivity prior", ALL)):
        for stratum, target in _TES_TARGETS.items():
            for emissivity, quantity in ((False, "temperature"), (True, "emissivity")):
                ratio = comparison.ratio(
                    (TEACHER, given), (TES, NO_PRIOR), stratum=stratum, emissivity=emissivity
                )
                name = f"G, teacher over TES, {label}: {quantity} MAE, {stratum}"
                checks.append(Check.at_most(name, ratio.value, target, "1"))
    return checks


def physics_table(comparisons: dict[str, Comparison]) -> Table:
    """Teacher over TES in every stratum: what the overall ratio makes of another mixture."""
    rows = []
    for protocol, comparison in comparisons.items():
        for stratum in comparison.scores[TEACHER, ALL]:
            cells: list[Any] = []
            for given in (NO_PRIOR, ALL):
                for emissivity in (False, True):
                    ratio = comparison.ratio(
                        (TEACHER, given), (TES, NO_PRIOR), stratum=stratum, emissivity=emissivity
                    )
                    cells += [ratio.value, f"{ratio.low:.2f}-{ratio.high:.2f}"]
            rows.append((protocol, stratum, *cells))
    columns = ("T, same", "e, same", "T, and prior", "e, and prior")
    head = ("protocol", "stratum", *(cell for name in columns for cell in (name, "95 %")))
    return Table("Teacher's mean absolute error over TES's", head, rows)


def alone_checks(comparison: Comparison) -> list[Check]:
    """Protocol G without ancillaries, and with the pressure that any elevation model gives."""
    labels = {NOTHING: "brightness temperatures alone", PRESSURE: "with pressure"}
    return [
        Check.at_most(
            f"G, {label}: temperature MAE, {stratum}",
            comparison.scores[TEACHER, given][stratum][0].mae,
            target,
            "K",
        )
        for given, label in labels.items()
        for stratum, target in _ALONE_TARGETS_K.items()
    ]


def reference_checks(comparison: Comparison) -> list[Check]:
    """Teacher over the larger network, where that has been given."""
    if (REFERENCE, ALL) not in comparison.estimates:
        return []
    checks = []
    for given in (ALL, NO_PRIOR):
        for emissivity, quantity in ((False, "temperature"), (True, "emissivity")):
            ratio = comparison.ratio((TEACHER, given), (REFERENCE, given), emissivity=emissivity)
            name = f"G, teacher over 8x network, {given}: {quantity} MAE"
            checks.append(Check.at_most(name, ratio.value, _REFERENCE_WITHIN, "1"))
    return checks


def coverage_checks(protocol: str, comparison: Comparison) -> tuple[list[Check], list[Row]]:
    """Shares of errors within the stated uncertainty: overall, and in the worst stratum.

    Strata are those of the truth. An estimator that is told no emissivity cannot know a rock from a
    soil and errs by class in one direction: hence the worst stratum with all ancillaries by itself,
    and that of any.

    Returns
    -------
    list of Check
    list of tuple
        Which stratum is the worst: protocol, quantity, level, ancillaries, stratum, share.
    """
    checks, rows = [], []
    for quantity, label, share, within in (
        (quantity, *level) for quantity in _QUANTITIES for level in _COVERAGE
    ):
        covered = {
            (given, stratum): _covered(pair[_QUANTITIES.index(quantity)], label)
            for given in ANCILLARY_SETS
            for stratum, pair in comparison.scores[TEACHER, given].items()
        }
        for given in (ALL, NO_PRIOR, PRESSURE, NOTHING):
            off = abs(covered[given, OVERALL] - share)
            name = f"{protocol}, {given}: {quantity} sigma off {label}"
            checks.append(Check.at_most(name, off, within, "1"))
        for which, sets in (("all ancillaries", (ALL,)), ("any ancillaries", ANCILLARY_SETS)):
            among = {key: found for key, found in covered.items() if key[0] in sets}
            worst = max(among, key=lambda key: abs(among[key] - share))
            name = f"{protocol}, {which}: {quantity} sigma off {label}, worst stratum"
            checks.append(Check.at_most(name, abs(among[worst] - share), _STRATUM_WITHIN, "1"))
            rows.append((protocol, quantity, label, *worst, among[worst]))
    return checks, rows


def _covered(found: Scores, label: str) -> float:
    share = found.coverage68 if label == "68 %" else found.coverage95
    return float("nan") if share is None else share
