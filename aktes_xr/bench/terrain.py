"""Accuracy by terrain class: teacher, student, fusion and physics on granules over unseen terrain.

The classes are by sky view, on which the error of a flat retrieval depends. A class's scores pool
the pixels of all granules that have some; the bias's standard error is that of the mean over
granules, since one granule has one air mass and one error of it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from aktes_xr.bench import BenchResult, Check, Table
from aktes_xr.bench.terrain_granules import Estimate, Granule, granules
from aktes_xr.bench.terrain_work import seam, work
from aktes_xr.models.bundle import load_bundle

if TYPE_CHECKING:
    from numpy.typing import NDArray

CLASSES: Final = {
    "extreme": (0.0, 0.70),
    "steep": (0.70, 0.88),
    "rolling": (0.88, 0.96),
    "flat": (0.96, 1.01),
}
"""Lambert-weighted sky-view factor, from and to."""
_FEWEST: Final = 200
_SUMS: Final = ("n", "absolute", "error", "square", "x", "y", "xx", "yy", "xy", "one", "two")
_COLUMNS: Final = (
    "class",
    "method",
    "N",
    "granules",
    "T MAE (K)",
    "T bias",
    "+-",
    "T RMSE",
    "T PCC",
    "68 %",
    "95 %",
    "e MAE",
)


@dataclass
class Tally:
    """Sums over the pixels of one class and method."""

    sums: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    biases: list[float] = field(default_factory=list)
    emissivity: float = 0.0
    emissivity_n: int = 0

    def add(self, granule: Granule, estimate: Estimate, members: NDArray[np.bool_]) -> None:
        """Add one granule's pixels."""
        truth = granule.truth[members].astype(np.float64)
        found = estimate.temperature[members].astype(np.float64)
        known = np.isfinite(truth) & np.isfinite(found)
        x, y = truth[known] - 290.0, found[known] - 290.0
        error = y - x
        if error.size < _FEWEST:
            return
        self.biases.append(float(error.mean()))
        values = [error.size, np.abs(error).sum(), error.sum(), (error**2).sum()]
        values += [x.sum(), y.sum(), (x * x).sum(), (y * y).sum(), (x * y).sum()]
        if estimate.sigma is not None:
            ratio = np.abs(error) / estimate.sigma[members][known]
            values += [(ratio <= 1.0).sum(), (ratio <= 1.959964).sum()]
        for name, value in zip(_SUMS, values, strict=False):
            self.sums[name] += float(value)
        if estimate.emissivity is not None:
            gap = np.abs(estimate.emissivity - granule.emissivity)[:, members]
            self.emissivity += float(np.nansum(gap))
            self.emissivity_n += int(np.isfinite(gap).sum())

    @property
    def mae(self) -> float:
        """Mean absolute error, K."""
        return self.sums["absolute"] / self.sums["n"]

    @property
    def bias(self) -> float:
        """Mean error, K."""
        return self.sums["error"] / self.sums["n"]

    @property
    def emissivity_mae(self) -> float:
        """Mean absolute error over the bands; NaN where the method has none."""
        return self.emissivity / self.emissivity_n if self.emissivity_n else float("nan")

    def cells(self) -> tuple[Any, ...]:
        """Return what the table shows after class and method."""
        s, n = self.sums, self.sums["n"]
        spread = (s["xx"] - s["x"] ** 2 / n) * (s["yy"] - s["y"] ** 2 / n)
        return (
            int(n),
            len(self.biases),
            self.mae,
            self.bias,
            float(np.std(self.biases) / max(len(self.biases) - 1, 1) ** 0.5),
            float(np.sqrt(s["square"] / n)),
            float((s["xy"] - s["x"] * s["y"] / n) / np.sqrt(spread)),
            s["one"] / n if "one" in s else None,
            s["two"] / n if "two" in s else None,
            self.emissivity_mae if self.emissivity_n else None,
        )


Tallies = dict[tuple[str, str], Tally]


def run(*, quick: bool) -> BenchResult:
    """Score the shipped bundle and the physics baselines over unseen terrain.

    Parameters
    ----------
    quick : bool
        Small granules, two days and two nights per site, instead of full ones.

    Returns
    -------
    BenchResult
    """
    bundle = load_bundle()
    shape, dates = ((110, 120), 2) if quick else ((700, 830), 4)
    groups: dict[str, Tallies] = {"all granules": {}}
    for granule in granules(bundle, shape=shape, dates=dates):
        for name in ("all granules", *_conditions(granule)):
            score(granule, groups.setdefault(name, {}))
    whole = groups["all granules"]
    tables = [Table("Unseen terrain, all granules", _COLUMNS, _rows(whole))]
    for name, tallies in groups.items():
        if name != "all granules":
            networks = {key: tally for key, tally in tallies.items() if key[1] == "fusion"}
            tables.append(Table(f"Fusion, {name}", _COLUMNS, _rows(networks)))
    done, table = work(bundle, chunk=96 if quick else 256)
    return BenchResult([*checks(whole), *seam(bundle), *done], [*tables, table])


def _conditions(granule: Granule) -> tuple[str, ...]:
    return (
        "days" if granule.day else "nights",
        "with an emissivity climatology" if granule.prior else "without a climatology",
        f"cover {granule.site.cover}",
    )


def score(granule: Granule, tallies: Tallies) -> None:
    """Add a granule to the tallies by class and method."""
    for name, (low, high) in CLASSES.items():
        members = (granule.sky_view_factor >= low) & (granule.sky_view_factor < high)
        for method, estimate in granule.estimates.items():
            tallies.setdefault((name, method), Tally()).add(granule, estimate, members)


def _rows(tallies: Tallies) -> list[tuple[Any, ...]]:
    order = list(CLASSES)
    found = [(key, tally) for key, tally in tallies.items() if tally.biases]
    found.sort(key=lambda entry: order.index(entry[0][0]))
    return [(*key, *tally.cells()) for key, tally in found]


def checks(tallies: Tallies) -> list[Check]:
    """Compare the fusion with both networks in every class."""
    found: list[Check] = []
    for name in CLASSES:
        three = [tallies.get((name, method)) for method in ("teacher", "student", "fusion")]
        if any(tally is None or not tally.biases for tally in three):
            continue
        teacher, student, fusion = (tally for tally in three if tally is not None)
        found += _class_checks(name, teacher, student, fusion)
    return found


def _class_checks(name: str, teacher: Tally, student: Tally, fusion: Tally) -> Iterable[Check]:
    better = min(teacher.mae, student.mae)
    darker = min(teacher.emissivity_mae, student.emissivity_mae)
    yield Check.at_most(
        f"{name}: fusion over the better network, T", fusion.mae / better, 1.02, "1"
    )
    yield Check.at_most(
        f"{name}: fusion over the better network, e", fusion.emissivity_mae / darker, 1.02, "1"
    )
    yield Check.at_most(f"{name}: |bias| of the fusion", abs(fusion.bias), 0.1, "K")
    target = {"extreme": 0.30, "steep": 0.12}.get(name)
    if target is not None:
        gain = 1.0 - fusion.mae / teacher.mae
        yield Check.at_least(f"{name}: fusion's MAE below the teacher's", gain, target, "1")
