"""What each ancillary is worth where it is right, and what it costs where it is wrong.

Right: the ratio of the errors with and without it, given beside all the others and alone. Water
vapour, air temperature and pressure describe the atmosphere: they should lower the temperature's
error. The emissivity prior should lower both errors. Overall the ratio itself is held against 1; in
each stratum, and every one counts, the lower end of its 95 % interval is: in dry air a
water column has little to say, and a ratio that cannot be told from 1 does no harm.

Wrong: off by exactly three times the stated error in every pixel, or drawn from a distribution
three times as wide as stated (`aktes_xr.learn.evaluation.wrong_ancillary`); the others are right.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from aktes_xr.bench import Check, Table
from aktes_xr.bench.accuracy_methods import ALL, NOTHING, TEACHER, Comparison
from aktes_xr.learn.ancillaries import keep_only
from aktes_xr.learn.evaluation import ANCILLARY_SETS, NAMES, OVERALL, Wrong, wrong_ancillary
from aktes_xr.learn.metrics import ratio_of_means

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from aktes_xr.learn.metrics import Ratio
    from aktes_xr.models import PixelModel

    Float32Array = NDArray[np.float32]

WORSE_BY: Final = 1.10
"""A wrong ancillary may cost so much, as a factor."""
_COLUMNS: Final = (
    "protocol",
    "ancillary",
    "beside",
    "stratum",
    "T with/without",
    "95 %",
    "e",
    "95 %",
)


def worth(comparisons: dict[str, Comparison]) -> tuple[list[Check], Table]:
    """Compare errors with and without each ancillary in every stratum.

    Parameters
    ----------
    comparisons : dict of str to Comparison
        By protocol.

    Returns
    -------
    list of Check, Table
        Per ancillary, the worst stratum of either protocol beside all the others, and alone.
    """
    rows: list[tuple[Any, ...]] = []
    checks = []
    for name, label in NAMES.items():
        found: dict[str, list[tuple[str, Ratio]]] = {"temperature": [], "emissivity": []}
        for protocol, comparison in comparisons.items():
            for beside, given, without in _pairs(label):
                for stratum in comparison.scores[TEACHER, ALL]:
                    pair = _ratios(comparison, given, without, stratum)
                    rows.append((protocol, label, beside, stratum, *_cells(pair)))
                    found["temperature"].append((stratum, pair[0]))
                    if name == "emissivity_prior":
                        found["emissivity"].append((stratum, pair[1]))
        for quantity, ratios in found.items():
            if ratios:
                checks += _helps(f"{label} lowers the {quantity} error", ratios)
    return checks, Table("With an ancillary over without it", _COLUMNS, rows)


def _pairs(label: str) -> tuple[tuple[str, str, str], ...]:
    """Beside what an ancillary is given, and the sets of ancillaries with and without it."""
    return (
        ("all others", ALL, f"no {label}"),
        ("nothing", f"{label} only", NOTHING),
    )


def _ratios(comparison: Comparison, given: str, without: str, stratum: str) -> list[Ratio]:
    first, second = (TEACHER, given), (TEACHER, without)
    return [
        comparison.ratio(first, second, stratum=stratum, emissivity=emissivity)
        for emissivity in (False, True)
    ]


def _helps(name: str, ratios: list[tuple[str, Ratio]]) -> list[Check]:
    overall = max(ratio.value for stratum, ratio in ratios if stratum == OVERALL)
    worst = max(ratio.low for _, ratio in ratios)
    return [
        Check.at_most(f"{name}: with/without, overall", overall, 1.0, "1"),
        Check.at_most(f"{name}: lower end of it, worst stratum", worst, 1.0, "1"),
    ]


def _cells(pair: list[Ratio]) -> list[Any]:
    return [cell for ratio in pair for cell in (ratio.value, f"{ratio.low:.3f}-{ratio.high:.3f}")]


def harm(comparisons: dict[str, Comparison], teacher: PixelModel) -> tuple[list[Check], Table]:
    """Give the teacher ancillaries that are wrong by three stated errors.

    Parameters
    ----------
    comparisons : dict of str to Comparison
        By protocol.
    teacher : PixelModel

    Returns
    -------
    list of Check, Table
        Per ancillary and quantity: the worse of the protocols and of given beside the others or
        alone, against none.
    """
    rows: list[tuple[Any, ...]] = []
    checks = []
    ways: tuple[Wrong, ...] = ("exactly", "drawn")
    for name, label in NAMES.items():
        if name == "surface_pressure":
            continue  # from an elevation model, without a stated error
        for how in ways:
            worst = [0.0, 0.0]
            for protocol, comparison in comparisons.items():
                changed = wrong_ancillary(comparison.pixels, name, how=how)
                for beside, given, without in _pairs(label):
                    mean, _ = teacher.predict(keep_only(changed, ANCILLARY_SETS[given]))
                    pair = _against(mean, comparison, without)
                    rows.append((protocol, f"{label}, {how}", beside, OVERALL, *_cells(pair)))
                    worst = [
                        max(most, found.value) for most, found in zip(worst, pair, strict=True)
                    ]
            checks += [
                Check.at_most(
                    f"{label} wrong by 3 stated errors ({how}) over without it: {quantity}",
                    most,
                    WORSE_BY,
                    "1",
                )
                for quantity, most in zip(("temperature", "emissivity"), worst, strict=True)
            ]
    return checks, Table("With a wrong ancillary over without it", _COLUMNS, rows)


def _against(mean: Float32Array, comparison: Comparison, without: str) -> list[Ratio]:
    """Divide an estimate's errors by those of the teacher without the ancillary."""
    error = np.abs(mean - comparison.pixels.truth)
    return [
        ratio_of_means(
            error[:, columns],
            comparison.error((TEACHER, without), emissivity=emissivity),
            groups=comparison.pixels.groups,
        )
        for emissivity, columns in ((False, slice(0, 1)), (True, slice(1, 6)))
    ]
