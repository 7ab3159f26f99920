"""Scores of an estimate against the truth, with their confidence intervals."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from aktes_xr.errors import ShapeError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

_NORMAL_95: Final = 1.959964
"""Two-sided 95 % quantile of the standard normal distribution."""


@dataclass(frozen=True)
class Scores:
    """How an estimate compares with the truth, over the samples where both are finite.

    Attributes
    ----------
    n : int
        Number of samples.
    mae, bias, rmse : float
        Mean absolute error, mean error (estimate minus truth) and root-mean-square error, in the
        unit of the estimate.
    pcc : float
        Pearson's correlation coefficient; NaN where either is constant.
    mae_low, mae_high : float
        95 % confidence interval of ``mae`` (normal approximation, independent samples).
    coverage68, coverage95 : float or None
        Share of errors within 1 and 1.96 stated standard uncertainties; None without a statement.
    """

    n: int
    mae: float
    bias: float
    rmse: float
    pcc: float
    mae_low: float
    mae_high: float
    coverage68: float | None = None
    coverage95: float | None = None

    def as_dict(self) -> dict[str, float | int | None]:
        """Return the scores by name, for tables and JSON."""
        return asdict(self)


def scores(estimate: ArrayLike, truth: ArrayLike, *, sigma: ArrayLike | None = None) -> Scores:
    """Score an estimate.

    Parameters
    ----------
    estimate, truth : array, same shape and unit
        Pairs with a NaN are left out.
    sigma : array, optional
        Stated standard uncertainty of the estimate, same shape.

    Returns
    -------
    Scores
        All NaN with ``n`` 0 where no pair is finite.

    Raises
    ------
    ShapeError
        The shapes differ.
    """
    found = np.asarray(estimate, np.float64)
    expected = np.asarray(truth, np.float64)
    stated = None if sigma is None else np.asarray(sigma, np.float64)
    if found.shape != expected.shape or (stated is not None and stated.shape != found.shape):
        shapes = [found.shape, expected.shape] + ([] if stated is None else [stated.shape])
        raise ShapeError(f"estimate, truth and sigma have shapes {shapes}; expected one shape")
    finite = np.isfinite(found) & np.isfinite(expected)
    if stated is not None:
        finite &= np.isfinite(stated)
    found, expected = found[finite], expected[finite]
    error = found - expected
    if error.size == 0:
        nan = float("nan")
        return Scores(0, nan, nan, nan, nan, nan, nan)
    absolute = np.abs(error)
    mae = float(absolute.mean())
    half = _NORMAL_95 * float(absolute.std()) / error.size**0.5
    coverage68 = coverage95 = None
    if stated is not None:
        coverage68 = float((absolute <= stated[finite]).mean())
        coverage95 = float((absolute <= _NORMAL_95 * stated[finite]).mean())
    return Scores(
        n=int(error.size),
        mae=mae,
        bias=float(error.mean()),
        rmse=float(np.sqrt((error**2).mean())),
        pcc=_correlation(found, expected),
        mae_low=mae - half,
        mae_high=mae + half,
        coverage68=coverage68,
        coverage95=coverage95,
    )


def _correlation(found: NDArray[np.float64], expected: NDArray[np.float64]) -> float:
    first, second = found - found.mean(), expected - expected.mean()
    spread = float(np.sqrt((first**2).sum() * (second**2).sum()))
    return float((first * second).sum() / spread) if spread > 0 else float("nan")
