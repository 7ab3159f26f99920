"""Accuracy by terrain class: teacher, student, fusion and physics on granules over unseen terrain.

The classes are by sky view, on which the error of a flat retrieval depends. A class's scores pool
the pixels of all granules that have some; the bias's standard error is that of the mean over
granules, since one granule has one air mass and one error of it.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from aktes_xr.bench.checks import BenchResult, Check, Table
from aktes_xr.bench.terrain_granules import Estimate, Granule, granules
from aktes_xr.errors import InputError
from aktes_xr.models import Fusion, Network
from aktes_xr.models.bundle import load_bundle
from aktes_xr.models.engine import Engine, Pass
from aktes_xr.retrieval import retrieve
from aktes_xr.retrieval.inputs import terrain_of
from aktes_xr.simulate.relief import landform
from aktes_xr.simulate.scene import simulate_scene
from aktes_xr.simulate.settings import SceneSettings

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import NDArray

    from aktes_xr.models import Bundle

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
        """Add one granule's pixels.

        Parameters
        ----------
        granule : Granule
            Its truth.
        estimate : Estimate
            One method's answer.
        members : bool (y, x)
            The pixels that count.
        """
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
    """Add a granule to the tallies by class and method.

    Parameters
    ----------
    granule : Granule
        Its truth, and every method's answer.
    tallies : dict of (str, str) to Tally
        By class and method; changed in place.
    """
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
    """Compare the fusion with both networks in every class.

    Parameters
    ----------
    tallies : dict of (str, str) to Tally
        By class and method.

    Returns
    -------
    list of Check
    """
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


CHUNKS: Final = 10
FLAT_CHUNKS: Final = 7
"""Flat chunks of the granule, of `CHUNKS`."""
BOTH: Final = Fusion(1e5, 2e5, 0.0, 0.5)
"""Runs both networks everywhere."""


class _CountingPass(Pass):
    def __init__(self, engine: Engine, pixels: int, counted: list[int]) -> None:
        super().__init__(engine, pixels)
        self._counted = counted

    def run(self, count: int) -> None:
        self._counted.append(count)
        super().run(count)


@dataclass(frozen=True, eq=False)
class Counting(Network):
    """A network that counts a retrieval's pixels, a tile at a time, as it is run."""

    counted: list[int] = field(default_factory=list)

    def new_pass(self, pixels: int) -> Pass:
        """Allocate the arrays of a pass that counts.

        Parameters
        ----------
        pixels : int
            Number of pixels.

        Returns
        -------
        Pass
        """
        return _CountingPass(self.engine, pixels, self.counted)


def counting(bundle: Bundle, fusion: Fusion, counts: dict[str, list[int]]) -> Bundle:
    """Give a bundle another fusion, and networks that count their pixels.

    Parameters
    ----------
    bundle : Bundle
        The bundle to start from.
    fusion : Fusion
        What takes its fusion's place.
    counts : dict of str to list of int
        By model; each pass adds its number of pixels.

    Returns
    -------
    Bundle
    """
    models = {
        name: replace(model, network=Counting(model.network.layers, counts.setdefault(name, [])))
        for name, model in bundle.models.items()
    }
    label = f"counting-{fusion.to_json()}-{bundle.sha256}"
    return replace(bundle, models=models, fusion=fusion, sha256=label)


def work(bundle: Bundle, *, chunk: int) -> tuple[list[Check], Table]:
    """Retrieve a granule of 70 % flat chunks with the bundle's fusion and with both networks.

    Parameters
    ----------
    bundle : Bundle
        With students.
    chunk : int
        Pixels of a chunk's side.

    Returns
    -------
    list of Check, Table
    """
    cube, terrain = _plain_and_mountain(chunk)
    if bundle.fusion is None:
        raise InputError(f"the bundle {bundle.name!r} has no fusion: run 'aktes distil'")
    spent, seconds, rows = {}, {}, []
    for label, fusion in (("fusion", bundle.fusion), ("both networks", BOTH)):
        counts: dict[str, list[int]] = {}
        counted = counting(bundle, fusion, counts)
        started = time.perf_counter()
        result = retrieve(cube, bundle=counted, terrain=terrain).compute(scheduler="synchronous")
        seconds[label] = time.perf_counter() - started
        used = str(result.attrs["student"])
        passed = {name: sum(counts.get(name, [])) for name in ("teacher", used)}
        spent[label] = sum(
            bundle.models[name].network.multiplications * pixels for name, pixels in passed.items()
        )
        rows.append((label, passed["teacher"], passed[used], spent[label] / 1e9, seconds[label]))
    share = _skipped_share(bundle, used, floor=bundle.fusion.floor)
    saved = 1.0 - spent["fusion"] / spent["both networks"]
    target = share * FLAT_CHUNKS / CHUNKS
    columns = ("retrieval", "teacher's pixels", "student's pixels", "1e9 multiplications", "s")
    check = Check.at_least(
        "70 % flat chunks: share of the networks' work saved", saved, target, "1"
    )
    return [check], Table("Networks' work, 70 % of the chunks flat", columns, rows)


def _skipped_share(bundle: Bundle, student: str, *, floor: float) -> float:
    """Share of the work of both networks that falls to the one without weight on flat ground."""
    costs = [bundle.models[name].network.multiplications for name in ("teacher", student)]
    return (costs[0] if floor == 1.0 else costs[1]) / sum(costs)


def _plain_and_mountain(chunk: int) -> tuple[xr.Dataset, xr.Dataset]:
    """One date over a row of chunks: a plain, then mountains at its far end."""
    elevation = landform("alpine", (chunk, CHUNKS * chunk), seed=911, relief_m=3000.0)
    # The last flat chunk ends well before the mountains begin to hide its sky.
    start = FLAT_CHUNKS * chunk
    column = np.arange(CHUNKS * chunk)
    rise = np.clip((column - start - 0.25 * chunk) / (0.5 * chunk), 0.0, 1.0)
    plain = elevation.copy(data=(400.0 + (elevation.to_numpy() - 400.0) * rise).astype(np.float32))
    settings = SceneSettings(seed=911, swath=False)
    scene = simulate_scene(plain, settings).chunk({"y": chunk, "x": chunk})
    names = ["tir", "elevation", "water_vapor", "air_temperature", "ancillary_elevation"]
    return scene[names], terrain_of(scene).compute(scheduler="synchronous")


def jumps(weight: NDArray[np.float32], chunk: int) -> tuple[float, float]:
    """Return the largest steps of a field between neighbours.

    Parameters
    ----------
    weight : float32 (y, x)
        The field.
    chunk : int, pixel
        Side of a chunk.

    Returns
    -------
    across, inside : float
        Across the borders of chunks, and inside chunks.
    """
    across, inside = 0.0, 0.0
    for axis in (0, 1):
        step = np.abs(np.diff(weight, axis=axis))
        border = (np.arange(step.shape[axis]) + 1) % chunk == 0
        across = max(across, float(np.nanmax(np.compress(border, step, axis=axis))))
        inside = max(inside, float(np.nanmax(np.compress(~border, step, axis=axis))))
    return across, inside


def seam(bundle: Bundle, *, size: int = 96, chunk: int = 24) -> list[Check]:
    """Compare a retrieval in chunks with one in a single piece.

    The weight must not depend on the chunks.

    Parameters
    ----------
    bundle : Bundle
        The networks.
    size : int, pixel
        Side of the granule.
    chunk : int, pixel
        Side of a chunk.

    Returns
    -------
    list of Check
    """
    elevation = landform("ridge_valley", (size, size), seed=912, relief_m=2500.0)
    scene = simulate_scene(elevation, SceneSettings(seed=912, swath=False))
    names = ["tir", "elevation", "water_vapor", "air_temperature", "ancillary_elevation"]
    weights = [
        retrieve(scene[names].chunk({"y": side, "x": side}), bundle=bundle)["student_weight"]
        .compute(scheduler="synchronous")
        .to_numpy()[0]
        for side in (chunk, size)
    ]
    gap = float(np.nanmax(np.abs(weights[0] - weights[1])))
    return [Check.at_most("weight in chunks against in one piece, largest gap", gap, 0.0, "1")]
