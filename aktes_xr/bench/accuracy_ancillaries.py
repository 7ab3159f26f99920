"""What each ancillary is worth where it is right, and what it costs where it is wrong.

Right: the ratio of the errors with and without it, given beside all the others and alone. Water
vapour, air temperature and pressure describe the atmosphere: they should lower the temperature's
error. The emissivity prior should lower both errors. Every stratum is one where they should. A
stratum whose ratio cannot be told from 1 (its interval, which counts atmospheres, reaches below 1)
is not counted against it.

Wrong: every pixel's ancillary is off by exactly three times its stated error
(`aktes_xr.learn.evaluation.wrong_ancillary`), the others are right.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from aktes_xr.bench import Check, Table
from aktes_xr.bench.accuracy_methods import ALL, NOTHING, TEACHER, Comparison
from aktes_xr.learn.ancillaries import keep_only
from aktes_xr.learn.evaluation import ANCILLARY_SETS, NAMES, OVERALL, wrong_ancillary
from aktes_xr.learn.metrics import ratio_of_means

if TYPE_CHECKING:
    from aktes_xr.learn.metrics import Ratio
    from aktes_xr.models import PixelModel

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
        worst: dict[str, list[Ratio]] = {"temperature": [], "emissivity": []}
        for protocol, comparison in comparisons.items():
            for beside, given, without in (
                ("all others", ALL, f"all but {label}"),
                ("nothing", f"{label} only", NOTHING),
            ):
                for stratum in comparison.scores[TEACHER, ALL]:
                    pair = [
                        comparison.ratio(
                            (TEACHER, given),
                            (TEACHER, without),
                            stratum=stratum,
                            emissivity=emissivity,
                        )
                        for emissivity in (False, True)
                    ]
                    rows.append((protocol, label, beside, stratum, *_cells(pair)))
                    worst["temperature"].append(pair[0])
                    if name == "emissivity_prior":
                        worst["emissivity"].append(pair[1])
        for quantity, ratios in worst.items():
            if ratios:
                checks.append(_helps(f"{label} lowers the {quantity} error: worst stratum", ratios))
    return checks, Table("With an ancillary over without it", _COLUMNS, rows)


def _helps(name: str, ratios: list[Ratio]) -> Check:
    """Claim that no ratio lies above 1 with its whole interval; show the largest that does."""
    harmful = [ratio for ratio in ratios if ratio.low > 1.0]
    shown = max(harmful or ratios, key=lambda ratio: ratio.value)
    return Check(name, shown.value, 1.0, "1", not harmful)


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
    for name, label in NAMES.items():
        if name == "surface_pressure":
            continue  # from an elevation model, without a stated error
        worst = [0.0, 0.0]
        for protocol, comparison in comparisons.items():
            changed = wrong_ancillary(comparison.pixels, name)
            for beside, given, without in (
                ("all others", ALL, f"all but {label}"),
                ("nothing", f"{label} only", NOTHING),
            ):
                mean, _ = teacher.predict(keep_only(changed, ANCILLARY_SETS[given]))
                error = np.abs(mean - comparison.pixels.truth)
                pair = [
                    ratio_of_means(
                        error[:, columns],
                        comparison.error((TEACHER, without), emissivity=emissivity),
                        groups=comparison.pixels.atmospheres,
                    )
                    for emissivity, columns in ((False, slice(0, 1)), (True, slice(1, 6)))
                ]
                rows.append((protocol, label, beside, OVERALL, *_cells(pair)))
                worst = [max(most, ratio.value) for most, ratio in zip(worst, pair, strict=True)]
        checks += [
            Check.at_most(
                f"{label} wrong by 3 stated errors over without it: {quantity}", most, WORSE_BY, "1"
            )
            for quantity, most in zip(("temperature", "emissivity"), worst, strict=True)
        ]
    return checks, Table("With a wrong ancillary over without it", _COLUMNS, rows)
