"""What the accuracy benchmark claims, as checks on its comparisons."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from aktes_xr.bench import Check
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
    from collections.abc import Callable

    from aktes_xr.learn.metrics import Scores

_NORMAL_68: Final = 0.682689
_TES_TARGETS: Final = {OVERALL: 0.60, DRY: 0.85}
_ALONE_TARGETS_K: Final = {OVERALL: 0.75, DRY: 0.50}
_REFERENCE_WITHIN: Final = 1.05
_COVERAGE: Final = (("68 %", _NORMAL_68, 0.04), ("95 %", 0.95, 0.02))
_STRATUM_WITHIN: Final = 0.08


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


def coverage_checks(protocol: str, comparison: Comparison) -> list[Check]:
    """Shares of errors within the stated uncertainty: overall, and in the worst stratum."""
    checks = []
    for index, quantity in enumerate(("temperature", "emissivity")):
        for label, share, within in _COVERAGE:
            level = _level(label, share, index)
            for given in (ALL, NO_PRIOR, PRESSURE, NOTHING):
                found = comparison.scores[TEACHER, given]
                name = f"{protocol}, {given}: {quantity} sigma off {label}"
                checks.append(Check.at_most(name, level(found[OVERALL]), within, "1"))
            worst, where = max(
                (level(pair), f"{given}, {stratum}")
                for given in ANCILLARY_SETS
                for stratum, pair in comparison.scores[TEACHER, given].items()
            )
            name = f"{protocol}: {quantity} sigma off {label}, worst stratum ({where})"
            checks.append(Check.at_most(name, worst, _STRATUM_WITHIN, "1"))
    return checks


def _level(label: str, share: float, index: int) -> Callable[[tuple[Scores, Scores]], float]:
    def off(pair: tuple[Scores, Scores]) -> float:
        found = pair[index].coverage68 if label == "68 %" else pair[index].coverage95
        return float("nan") if found is None else abs(found - share)

    return off
