"""What a second pass over a series brings: errors of ten dates, each by itself and with the others.

Two worlds: the one that networks train in, with surfaces and air of the split "test", and the
second one, on which nothing was tuned. Ground that changes is counted apart, on all of its dates.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from aktes_xr.bench.checks import BenchResult, Check, Table
from aktes_xr.bench.two_pass_fields import field_series
from aktes_xr.bench.world.series import scene_series
from aktes_xr.cube.contract import VARIABLES
from aktes_xr.models.bundle import load_bundle
from aktes_xr.retrieval import retrieve
from aktes_xr.retrieval.inputs import terrain_of

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import NDArray

    from aktes_xr.models import Bundle

_LOGGER = logging.getLogger(__name__)
_WORLDS: Final[dict[str, Callable[..., Iterator[xr.Dataset]]]] = {
    "first world": field_series,
    "second world": scene_series,
}
_SERIES, _QUICK_SERIES = 72, 9
_PIXELS, _QUICK_PIXELS = 64, 48
_GROUNDS: Final = ("all", "steady", "changed")
_GAIN: Final = 0.8
"""What the errors of a single date are to fall to."""
_COVERED: Final = {1: 0.683, 2: 0.954}
_FIGURES: Final = ("T", "e")
_SIGMA: Final = {"T": "surface_temperature", "e": "emissivity"}


def run(*, quick: bool) -> BenchResult:
    """Judge the second pass in both worlds.

    Parameters
    ----------
    quick : bool
        Fewer and smaller series.

    Returns
    -------
    BenchResult
    """
    bundle = load_bundle("default")
    count, size = (_QUICK_SERIES, _QUICK_PIXELS) if quick else (_SERIES, _PIXELS)
    checks: list[Check] = []
    rows: list[tuple[Any, ...]] = []
    for world, draw in _WORLDS.items():
        tallies = {ground: _Tally() for ground in _GROUNDS}
        for number, ds in enumerate(draw(count, size=size)):
            _LOGGER.info("%s: series %d of %d, %s", world, number + 1, count, ds.attrs["change"])
            _judge(ds, bundle, tallies)
        rows += [(world, ground, *tally.row()) for ground, tally in tallies.items()]
        checks += _checks(world, tallies)
    columns = (
        *("world", "ground", "N", "prior of"),
        *("T single", "T series", "ratio", "e single", "e series", "ratio"),
        *("T 68 % single", "series", "e 68 % single", "series"),
        *("T 95 % single", "series", "e 95 % single", "series"),
    )
    title = "Ten dates: mean absolute errors (K, 1), and shares within sigma and two sigma"
    return BenchResult(checks, [Table(title, columns, rows, headings=2)])


def _checks(world: str, tallies: dict[str, _Tally]) -> list[Check]:
    found = []
    for figure in _FIGURES:
        steady, changed = tallies["all"].ratio(figure), tallies["changed"].ratio(figure)
        found += [
            Check.at_most(f"{figure} of a series over single dates, {world}", steady, _GAIN, "1"),
            Check.at_most(f"{figure} of changed ground, {world}", changed, 1.0, "1"),
        ]
        for width, share in _COVERED.items():
            miss = abs(tallies["all"].covered(figure, 1, width) - share)
            found.append(
                Check.at_most(f"{figure} within {width} sigma, miss, {world}", miss, 0.05, "1")
            )
    return found


class _Tally:
    """Sums over pixels and dates of some ground."""

    def __init__(self) -> None:
        self._pixels = 0
        self._dates = 0.0
        self._errors = {figure: np.zeros(2) for figure in _FIGURES}
        self._covered = {(f, w): np.zeros(2) for f in _FIGURES for w in _COVERED}

    def add(self, where: NDArray[np.bool_], dates: Any, errors: Any, sigmas: Any) -> None:
        """Add the pixels (time, y, x) of a series: errors and sigmas by figure and pass."""
        self._pixels += int(where.sum())
        self._dates += float(dates[where].sum())
        for figure in _FIGURES:
            for number in range(2):
                error, sigma = errors[figure][number][where], sigmas[figure][number][where]
                per_pixel = error.shape[1] if error.ndim == 2 else 1
                self._errors[figure][number] += error.sum() / per_pixel
                for width in _COVERED:
                    inside = (error <= width * sigma).sum() / per_pixel
                    self._covered[figure, width][number] += inside

    def ratio(self, figure: str) -> float:
        """Return the series' error over that of single dates."""
        single, series = self._errors[figure]
        return float(series / single)

    def covered(self, figure: str, number: int, width: int) -> float:
        """Return the share within so many sigma, of the first (0) or second (1) pass."""
        return float(self._covered[figure, width][number] / max(self._pixels, 1))

    def row(self) -> tuple[Any, ...]:
        """Return the figures of the table."""
        n = max(self._pixels, 1)
        found: list[Any] = [self._pixels, self._dates / n]
        for figure in _FIGURES:
            single, series = self._errors[figure] / n
            found += [float(single), float(series), self.ratio(figure)]
        for width in _COVERED:
            found += [self.covered(f, k, width) for f in _FIGURES for k in (0, 1)]
        return tuple(found)


def _judge(ds: xr.Dataset, bundle: Bundle, tallies: dict[str, _Tally]) -> None:
    cube = ds[["tir", *(name for name in VARIABLES if name in ds)]]
    terrain = None
    if "elevation" in cube:
        terrain = terrain_of(cube).compute(scheduler="synchronous")
    single = retrieve(cube, bundle=bundle, terrain=terrain, closure=False).compute(
        scheduler="synchronous"
    )
    series = retrieve(cube, bundle=bundle, terrain=terrain, passes=2, first=single)
    series = series.compute(scheduler="synchronous")
    known = np.isfinite(single["surface_temperature"].to_numpy())
    changed = np.broadcast_to(ds["changed"].to_numpy(), known.shape)
    errors, sigmas = {}, {}
    for figure, name in _SIGMA.items():
        truth = _last(ds[name].to_numpy())
        errors[figure] = [np.abs(_last(one[name].to_numpy()) - truth) for one in (single, series)]
        sigmas[figure] = [_last(one[f"{name}_uncertainty"].to_numpy()) for one in (single, series)]
    parts = {"all": known, "steady": known & ~changed, "changed": known & changed}
    for ground, where in parts.items():
        tallies[ground].add(where, series["prior_dates"].to_numpy(), errors, sigmas)


def _last(values: Any) -> Any:
    """Put bands last."""
    return np.moveaxis(values, 1, -1) if values.ndim == 4 else values
