"""Sums of errors by structure and sky view, from which every figure of the judge follows.

A weight is constant over a cell: `Cell.mixture` holds the summed error of teacher and student mixed
with each of `WEIGHTS`, whose least is the best that any constant weight could reach there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np

from aktes_xr.bench.worlds_methods import FUSION, STUDENT, TEACHER

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import NDArray

    from aktes_xr.bench.worlds_methods import Estimate

SKY_LIMITS: Final = (0.70, 0.88, 0.96, 0.99)
SKY_CLASSES: Final = ("<0.70", "0.70-0.88", "0.88-0.96", "0.96-0.99", ">0.99")
WEIGHTS: Final[NDArray[np.float32]] = np.linspace(0, 1, 21, dtype=np.float32)
"""Of the student."""
FEWEST_PIXELS: Final = 5000
_TWO_SIGMA: Final = 1.959964
N, ABSOLUTE, SIGNED, EMISSIVITY, ONE, TWO, EMISSIVITY_ONE, EMISSIVITY_TWO = range(8)
N_SUMS: Final = 8

Key = tuple[str, str, str]
"""What is told, structure, class of sky view."""


@dataclass
class Cell:
    """Sums over the pixels of one cell: by method (8,), and of the mixture's errors (21,).

    ``products`` (3, 8) holds, summed over scenes, the fusion's sums squared, times the number of
    pixels, and that number squared: what the spread between scenes follows from.
    """

    sums: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    mixture: NDArray[np.float64] = field(default_factory=lambda: np.zeros(WEIGHTS.size))
    products: NDArray[np.float64] = field(default_factory=lambda: np.zeros((3, N_SUMS)))
    scenes: int = 0

    @property
    def n(self) -> int:
        """Number of pixels."""
        return int(self.sums[FUSION][N])

    def mean(self, method: str, quantity: int) -> float:
        """Return the mean of a quantity over the pixels.

        Parameters
        ----------
        method : str
            Name of the method.
        quantity : int
            Number of the sum.

        Returns
        -------
        float
            NaN where the method did not run.
        """
        found = self.sums.get(method)
        return float("nan") if found is None else float(found[quantity] / found[N])

    def mae(self, method: str) -> float:
        """Return the mean absolute error of temperature.

        Parameters
        ----------
        method : str
            Name of the method.

        Returns
        -------
        float, K
        """
        return self.mean(method, ABSOLUTE)

    def emissivity_mae(self, method: str) -> float:
        """Return the mean absolute error of emissivity over the bands.

        Parameters
        ----------
        method : str
            Name of the method.

        Returns
        -------
        float, 1
        """
        return self.mean(method, EMISSIVITY)

    def coverage(self, column: int) -> tuple[float, float]:
        """Return the share of errors within the fusion's stated sigma, and its standard error.

        A scene has one air mass and one error of it. So scenes are what is independent, not pixels.
        The standard error is that of a ratio of sums over scenes.

        Parameters
        ----------
        column : int
            Number of the sum.

        Returns
        -------
        share, error : float, 1
            The error is NaN for a single scene.
        """
        share = self.mean(FUSION, column)
        if self.scenes < 2:
            return share, float("nan")
        square, cross, count = self.products[:, column]
        spread = max(square - 2 * share * cross + share**2 * count, 0.0)
        return share, float((spread * self.scenes / (self.scenes - 1)) ** 0.5 / self.n)

    @property
    def better(self) -> float:
        """Temperature error of the better network, K."""
        return min(self.mae(TEACHER), self.mae(STUDENT))

    @property
    def better_emissivity(self) -> float:
        """Emissivity error of the better network."""
        return min(self.emissivity_mae(TEACHER), self.emissivity_mae(STUDENT))

    @property
    def best_weight(self) -> tuple[float, float]:
        """The constant weight of the student with the least error, and that error (K)."""
        best = int(self.mixture.argmin())
        return float(WEIGHTS[best]), float(self.mixture[best] / self.n)

    def add(self, other: Cell) -> None:
        """Add another cell's sums.

        Parameters
        ----------
        other : Cell
            Sums of other pixels.
        """
        for method, sums in other.sums.items():
            self.sums[method] = self.sums.get(method, np.zeros(N_SUMS)) + sums
        self.mixture += other.mixture
        self.products += other.products
        self.scenes += other.scenes


Cells = dict[Key, Cell]


def sky_class(sky_view: NDArray[np.floating]) -> NDArray[np.intp]:
    """Return the number of the class of sky view, see `SKY_CLASSES`.

    Parameters
    ----------
    sky_view : floating ndarray, 1
        Sky view factors.

    Returns
    -------
    intp ndarray
    """
    return np.asarray(np.digitize(sky_view, SKY_LIMITS), np.intp)


def tally(scene: xr.Dataset, found: dict[str, dict[str, Estimate]], cells: Cells) -> None:
    """Add a scene's errors to the cells.

    Two kinds of pixels count in no cell: those out of domain, and those that a method does not
    retrieve.

    Parameters
    ----------
    scene : Dataset
        A simulated scene.
    found : dict of str to dict of str to Estimate
        By what is told, then by method.
    cells : dict of tuple to Cell
        Changed in place.
    """
    truth = scene["surface_temperature"].to_numpy().ravel()
    emissivity = scene["emissivity"].to_numpy().reshape(5, -1)
    number = sky_class(scene["sky_view_factor"].to_numpy().ravel())
    structure = str(scene.attrs["structure"])
    for given, by in found.items():
        known = np.isfinite(truth) & in_domain(scene)
        for estimate in by.values():
            known &= np.isfinite(estimate.temperature)
        place = number[known]
        total = {name: _sums(e, truth, emissivity, known, place) for name, e in by.items()}
        mixed = _mixture(by[TEACHER], by[STUDENT], truth, known, place)
        for label, name in enumerate(SKY_CLASSES):
            if total[FUSION][label, N] == 0:
                continue
            own = total[FUSION][label]
            products = np.array([own**2, own * own[N], np.full(N_SUMS, own[N] ** 2)])
            cell = Cell({m: sums[label] for m, sums in total.items()}, mixed[label], products, 1)
            cells.setdefault((given, structure, name), Cell()).add(cell)


def in_domain(scene: xr.Dataset) -> NDArray[np.bool_]:
    """Return the pixels that the networks are meant for.

    Parameters
    ----------
    scene : Dataset
        A simulated scene.

    Returns
    -------
    bool (pixel,)
    """
    if "in_domain" not in scene:
        return np.ones(scene.sizes["y"] * scene.sizes["x"], bool)
    return np.asarray(scene["in_domain"].to_numpy().ravel(), bool)


def _sums(
    estimate: Estimate,
    truth: NDArray[np.float32],
    emissivity: NDArray[np.float32],
    known: NDArray[np.bool_],
    place: NDArray[np.intp],
) -> NDArray[np.float64]:
    error = (estimate.temperature - truth)[known]
    gap = np.abs(estimate.emissivity - emissivity)[:, known]
    ratio = np.abs(error) / estimate.sigma[known]
    own = gap / estimate.emissivity_sigma[:, known]
    columns = (
        np.ones(error.size),
        np.abs(error),
        error,
        gap.mean(axis=0),
        ratio <= 1,
        ratio <= _TWO_SIGMA,
        (own <= 1).mean(axis=0),
        (own <= _TWO_SIGMA).mean(axis=0),
    )
    return _by_class(columns, place)


def _mixture(
    teacher: Estimate,
    student: Estimate,
    truth: NDArray[np.float32],
    known: NDArray[np.bool_],
    place: NDArray[np.intp],
) -> NDArray[np.float64]:
    first = (teacher.temperature - truth)[known]
    step = (student.temperature - teacher.temperature)[known]
    return _by_class((np.abs(first + weight * step) for weight in WEIGHTS), place)


def _by_class(
    columns: Iterable[NDArray[np.generic]], place: NDArray[np.intp]
) -> NDArray[np.float64]:
    """Sum each column by class: (class, column)."""
    sums = [np.bincount(place, np.asarray(c, np.float64), len(SKY_CLASSES)) for c in columns]
    return np.array(sums, np.float64).T


def pooled(cells: Cells, key: Callable[[Key], Key | None]) -> Cells:
    """Add together the cells that ``key`` gives the same name.

    Parameters
    ----------
    cells : dict of tuple to Cell
        The cells.
    key : callable
        Returns a cell's new name, or None to leave it out.

    Returns
    -------
    dict of tuple to Cell
    """
    whole: Cells = {}
    for name, cell in cells.items():
        target = key(name)
        if target is not None:
            whole.setdefault(target, Cell()).add(cell)
    return whole


def gains(cells: Iterable[Cell]) -> tuple[float, float, float]:
    """Errors that pixels would have, on average over cells (K).

    Parameters
    ----------
    cells : iterable of Cell
        The cells.

    Returns
    -------
    better, best, fused : float
        With the better network of each cell, with the best constant weight of each cell, and with
        the fusion.
    """
    members = list(cells)
    count = sum(cell.n for cell in members)
    if count == 0:
        return (float("nan"),) * 3
    better = sum(cell.n * cell.better for cell in members)
    best = sum(cell.n * cell.best_weight[1] for cell in members)
    fused = sum(cell.n * cell.mae(FUSION) for cell in members)
    return better / count, best / count, fused / count
