"""Accuracy on simulated pixels never seen in training: the teacher beside physics and beside size.

One table: protocol x method x ancillaries x stratum. Protocol G: atmospheres and surfaces that
training never saw. Protocol P, the published networks' own: the six model atmospheres with scaled
water, surfaces of the whole prior. All methods are given the same ancillaries with the same errors.

Confidence intervals are analytic, of means over clusters (`aktes_xr.validation.metrics`): in
protocol G the samples of one atmosphere count as one observation, so that its interval says what a
few dozen test atmospheres can say, however many samples there are; in protocol P each sample is
one.
"""

from __future__ import annotations

import importlib.resources
import json
from typing import TYPE_CHECKING, Any, Final

from aktes_xr.bench.accuracy_gain import gain
from aktes_xr.bench.accuracy_methods import (
    ALL,
    NO_PRIOR,
    NOTHING,
    PRESSURE,
    REFERENCE,
    TEACHER,
    TES,
    Comparison,
    compare,
    harm,
    worth,
)
from aktes_xr.bench.checks import BenchResult, Check, Table
from aktes_xr.cube import (
    DEFAULT_AIR_TEMPERATURE_ERROR_K,
    DEFAULT_EMISSIVITY_ERROR,
    DEFAULT_WATER_VAPOR_ERROR,
)
from aktes_xr.learn.evaluation import (
    ANCILLARY_SETS,
    DRY,
    NEDT_K,
    OVERALL,
    SEED,
    unseen_pixels,
)
from aktes_xr.models.bundle import load_bundle
from aktes_xr.simulate.atmospheres import Protocol

if TYPE_CHECKING:
    from aktes_xr.models import Bundle
    from aktes_xr.validation.metrics import Scores

    Row = tuple[Any, ...]

QUICK_SAMPLES: Final = 15_000
SAMPLES: Final = 200_000
REFERENCE_FIGURES: Final = "reference_network.json"
_COLUMNS: Final = (
    "protocol",
    "method",
    "ancillaries",
    "stratum",
    "T MAE",
    "+-",
    "bias",
    "RMSE",
    "PCC",
    "N",
    "T 68",
    "T 95",
    "e MAE",
    "e 68",
    "e 95",
)
"""Temperature in K with the half width of its MAE's interval; shares within 1 and 1.96 sigma."""


def run(*, quick: bool, bundle: str = "default", reference: str | None = None) -> BenchResult:
    """Score the teacher, the physics baselines and, if given, the larger network.

    Parameters
    ----------
    quick : bool
        Fewer samples.
    bundle : str
        With the teacher.
    reference : str, optional
        Bundle of the larger network, which is too large to ship: ``aktes train reference`` makes
        it. Without it, the figures that were kept of it are shown with their provenance, and
        nothing is claimed.

    Returns
    -------
    BenchResult
    """
    size = QUICK_SAMPLES if quick else SAMPLES
    loaded = load_bundle(bundle)
    larger = None if reference is None else load_bundle(reference).teacher
    protocols: tuple[Protocol, ...] = ("G", "P")
    comparisons: dict[str, Comparison] = {
        protocol: compare(unseen_pixels(size, protocol), loaded.teacher, larger)
        for protocol in protocols
    }
    everywhere, paper = comparisons["G"], comparisons["P"]
    gains, gains_table = gain(everywhere)
    helps, helps_table = worth(comparisons)
    harms, harms_table = harm(comparisons, loaded.teacher)
    coverage = [coverage_checks(protocol, found) for protocol, found in comparisons.items()]
    checks = [
        *paper_checks(paper),
        *physics_checks(everywhere),
        *reference_checks(everywhere),
        *alone_checks(everywhere),
        *gains,
        *helps,
        *harms,
        *(check for found, _ in coverage for check in found),
    ]
    worst = Table(
        "Stated uncertainty in the worst stratum",
        ("protocol", "quantity", "level", "ancillaries", "stratum", "share"),
        [row for _, rows in coverage for row in rows],
    )
    tables = [
        accuracy_table(comparisons),
        physics_table(comparisons),
        gains_table,
        helps_table,
        harms_table,
        worst,
    ]
    if larger is None:
        tables += stored_reference(loaded)
    return BenchResult(checks, [_settings(loaded, size), *tables])


def accuracy_table(comparisons: dict[str, Comparison]) -> Table:
    """Put every score into one table.

    Parameters
    ----------
    comparisons : dict of str to Comparison
        By protocol.

    Returns
    -------
    Table
    """
    rows = [
        (protocol, *key, stratum, *_cells(*pair))
        for protocol, comparison in comparisons.items()
        for key, strata in comparison.scores.items()
        for stratum, pair in strata.items()
    ]
    return Table("Unseen simulated pixels", _COLUMNS, rows, headings=2)


def _cells(temperature: Scores, emissivity: Scores) -> tuple[Any, ...]:
    return (
        round(temperature.mae, 3),
        round(temperature.mae_high - temperature.mae, 3),
        round(temperature.bias, 3),
        round(temperature.rmse, 3),
        round(temperature.pcc, 4),
        temperature.n,
        _share(temperature.coverage68),
        _share(temperature.coverage95),
        round(emissivity.mae, 4) if emissivity.n else None,
        _share(emissivity.coverage68),
        _share(emissivity.coverage95),
    )


def _share(value: float | None) -> float | None:
    return None if value is None else round(value, 3)


def _settings(bundle: Bundle, size: int) -> Table:
    rows = [
        ("bundle", f"{bundle.name} {bundle.sha256[:12]}"),
        ("samples per protocol, seed", f"{size}, {SEED}"),
        ("noise (NEdT at 300 K)", f"{NEDT_K:g} K"),
        ("water column error", f"{100 * DEFAULT_WATER_VAPOR_ERROR:g} %"),
        ("air temperature error", f"{DEFAULT_AIR_TEMPERATURE_ERROR_K:g} K"),
        ("emissivity prior error", f"{DEFAULT_EMISSIVITY_ERROR:g} per band, each band's its own"),
        ("confidence interval", "95 %, analytic; G: samples of one atmosphere are one cluster"),
    ]
    return Table("Test sample", ("setting", "value"), rows)


def stored_reference(bundle: Bundle) -> list[Table]:
    """Show the stored figures of the larger network, and beside which teacher it stood.

    Parameters
    ----------
    bundle : Bundle
        The bundle at hand.

    Returns
    -------
    list of Table
        Empty where nothing is stored.
    """
    resource = importlib.resources.files("aktes_xr") / "data" / REFERENCE_FIGURES
    if not resource.is_file():
        return []
    found = json.loads(resource.read_text(encoding="utf-8"))
    test = found["test"]
    mine = found["teacher_sha256"] == bundle.teacher.network.sha256
    teacher = "this teacher" if mine else "another teacher"
    title = (
        f"8x network as it was measured beside {teacher}, not in this run: "
        f"{found['multiplications'] / found['teacher_multiplications']:.1f} times the "
        f"multiplications, recipe {found['recipe']['name']}, "
        f"{found['recipe']['teacher']['epochs']} epochs, {test['samples']} test samples, seed "
        f"{test['seed']}"
    )
    columns = ("protocol", "ancillaries", "stratum", "T MAE (K)", "e MAE", "N")
    rows = [
        (
            row["protocol"],
            row["ancillaries"],
            row["stratum"],
            row["temperature"]["mae"],
            row["emissivity"]["mae"],
            row["temperature"]["n"],
        )
        for row in found["rows"]
        if row["stratum"] == OVERALL
    ]
    return [Table(title, columns, rows)]


_NORMAL_68: Final = 0.682689
_TES_TARGETS: Final = {OVERALL: 0.60, DRY: 0.85}
_ALONE_TARGETS_K: Final = {OVERALL: 0.75, DRY: 0.50}
_REFERENCE_WITHIN: Final = 1.05
_COVERAGE: Final = (("68 %", _NORMAL_68, 0.04), ("95 %", 0.95, 0.02))
_STRATUM_WITHIN: Final = 0.08
_QUANTITIES: Final = ("temperature", "emissivity")


def paper_checks(comparison: Comparison) -> list[Check]:
    """Check protocol P with all ancillaries against the published figures.

    Parameters
    ----------
    comparison : Comparison
        Of protocol P.

    Returns
    -------
    list of Check
    """
    temperature, emissivity = comparison.scores[TEACHER, ALL][OVERALL]
    return [
        Check.at_most("P, all ancillaries: temperature MAE", temperature.mae, 0.30, "K"),
        Check.at_least("P, all ancillaries: temperature PCC", temperature.pcc, 0.999, "1"),
        Check.at_most("P, all ancillaries: emissivity MAE", emissivity.mae, 0.0050, "1"),
    ]


def physics_checks(comparison: Comparison) -> list[Check]:
    """Compare the teacher with TES.

    Once both are told exactly the same. Once the teacher is also told the emissivity prior, for
    which TES has no use.

    Parameters
    ----------
    comparison : Comparison
        Every method's answers.

    Returns
    -------
    list of Check
    """
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
    """Compare the teacher with TES in every stratum.

    The table shows how the overall ratio depends on the mixture of strata.

    Parameters
    ----------
    comparisons : dict of str to Comparison
        By protocol.

    Returns
    -------
    Table
    """
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
    """Check protocol G without ancillaries, and with pressure alone.

    Any elevation model gives the pressure.

    Parameters
    ----------
    comparison : Comparison
        Of protocol G.

    Returns
    -------
    list of Check
    """
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
    """Compare the teacher with the larger network.

    Parameters
    ----------
    comparison : Comparison
        Every method's answers.

    Returns
    -------
    list of Check
        Empty where no larger network was given.
    """
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
    """Check the shares of errors within the stated uncertainty, overall and in the worst stratum.

    Strata are those of the truth. An estimator that is told no emissivity cannot know a rock from a
    soil, and so it errs by class in one direction. Hence the worst stratum with all ancillaries is
    checked by itself, and then that of any ancillaries.

    Parameters
    ----------
    protocol : str
        Name of the protocol.
    comparison : Comparison
        Every method's answers.

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
