"""Scores of an estimate against the truth, with their confidence intervals.

Samples that share an atmosphere (or a scene) have similar errors. Counting them as independent
overstates how well a mean is known. Where such groups are given, intervals are those of a mean over
clusters. The variance of a mean ``m`` is
``G / (G - 1) sum_g (sum_{i in g} (a_i - m))^2 / n^2`` ([1]_, section II, for a constant regressor).
Without groups each value is a group of its own, and the formula is the usual one. With few groups
their spread is itself known badly: the quantile is then Student's, of ``G - 1`` degrees of freedom
([1]_, section VI.D).

References
----------
.. [1] Cameron and Miller (2015), J. Human Resources 50(2), 317-372.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy.special import stdtrit

from aktes_xr.errors import InputError, ShapeError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

_NORMAL_95: Final = 1.959964
"""Two-sided 95 % quantile of the standard normal distribution."""
_NORMAL_SPREAD: Final = 1.4826
"""Standard deviation over median absolute deviation, of a normal distribution."""


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
        95 % confidence interval of ``mae`` (see the module); NaN where there is only one group.
    coverage68, coverage95 : float or None
        Share of errors within 1 and 1.96 stated standard uncertainties; None without a statement.
    bias_low, bias_high : float
        95 % confidence interval of ``bias``, as that of ``mae``.
    median, spread : float
        Robust twins of ``bias`` and of the errors' standard deviation: the median error, and 1.4826
        times the median absolute deviation from it. A few wild pixels do not move them.
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
    bias_low: float = float("nan")
    bias_high: float = float("nan")
    median: float = float("nan")
    spread: float = float("nan")

    def as_dict(self) -> dict[str, float | int | None]:
        """Return the scores by name, for tables and JSON: None where there is no number."""
        return {
            name: None if isinstance(value, float) and np.isnan(value) else value
            for name, value in asdict(self).items()
        }


@dataclass(frozen=True)
class Ratio:
    """A ratio of two mean errors over the same samples, with its 95 % confidence interval."""

    value: float
    low: float
    high: float


def scores(
    estimate: ArrayLike,
    truth: ArrayLike,
    *,
    sigma: ArrayLike | None = None,
    groups: ArrayLike | None = None,
) -> Scores:
    """Score an estimate.

    Parameters
    ----------
    estimate, truth : array (sample, ...), same shape and unit
        Pairs with a NaN are left out.
    sigma : array, optional
        Stated standard uncertainty of the estimate, same shape. A pair without one (NaN) counts in
        the errors, not in the coverage.
    groups : array (sample,), optional
        Which samples err alike (the number of their atmosphere); each value its own
        unless given.

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
    members = _groups(groups, found.shape)
    finite = np.isfinite(found) & np.isfinite(expected)
    if not finite.any():
        nan = float("nan")
        return Scores(0, nan, nan, nan, nan, nan, nan)
    coverage68 = coverage95 = None
    if stated is not None:
        coverage68, coverage95 = _coverage(np.abs(found - expected), stated)
    found, expected = found[finite], expected[finite]
    error = found - expected
    absolute = np.abs(error)
    mae, bias = float(absolute.mean()), float(error.mean())
    counted = None if members is None else members[finite]
    half, half_bias = _half_width(absolute - mae, counted), _half_width(error - bias, counted)
    median = float(np.median(error))
    return Scores(
        n=int(error.size),
        mae=mae,
        bias=bias,
        rmse=float(np.sqrt((error**2).mean())),
        pcc=_correlation(found, expected),
        mae_low=mae - half,
        mae_high=mae + half,
        coverage68=coverage68,
        coverage95=coverage95,
        bias_low=bias - half_bias,
        bias_high=bias + half_bias,
        median=median,
        spread=_NORMAL_SPREAD * float(np.median(np.abs(error - median))),
    )


def ratio_of_means(
    first: ArrayLike, second: ArrayLike, *, groups: ArrayLike | None = None
) -> Ratio:
    """Divide the mean of one method's absolute errors by another's on the same samples.

    Parameters
    ----------
    first, second : array (sample, ...), same shape
        Absolute errors; pairs with a NaN are left out, so that neither method gains by failing.
    groups : array (sample,), optional
        As in `scores`.

    Returns
    -------
    Ratio
        Its interval is that of the linearised ratio (delta method), which counts on the errors of
        the two being of the same samples.

    Raises
    ------
    ShapeError
        The shapes differ.
    """
    above, below = np.asarray(first, np.float64), np.asarray(second, np.float64)
    if above.shape != below.shape:
        raise ShapeError(f"errors have shapes {above.shape} and {below.shape}; expected one shape")
    members = _groups(groups, above.shape)
    finite = np.isfinite(above) & np.isfinite(below)
    above, below = above[finite], below[finite]
    if not above.size or not below.any():
        nan = float("nan")
        return Ratio(nan, nan, nan)
    value = float(above.mean() / below.mean())
    influence = (above - value * below) / below.mean()
    half = _half_width(influence, None if members is None else members[finite])
    return Ratio(value, value - half, value + half)


def strata_by(
    values: ArrayLike, edges: Sequence[float], *, name: str, unit: str = ""
) -> dict[str, NDArray[np.bool_]]:
    """Divide samples into classes of a quantity.

    Parameters
    ----------
    values : array (sample,)
        NaN belongs to no class.
    edges : sequence of float
        Ascending; each class holds its lower edge. The last may be infinite.
    name, unit : str
        For the labels: ``"water 10-25 kg m-2"``.

    Returns
    -------
    dict of str to ndarray (sample,), bool

    Raises
    ------
    InputError
        The edges do not ascend.
    """
    if len(edges) < 2 or any(low >= high for low, high in pairwise(edges)):
        raise InputError(f"found edges {list(edges)}, expected at least two that ascend")
    found = np.asarray(values)
    suffix = f" {unit}" if unit else ""
    return {
        _class_label(name, low, high) + suffix: (found >= low) & (found < high)
        for low, high in pairwise(edges)
    }


def strata_of(classes: ArrayLike, names: Sequence[str]) -> Mapping[str, NDArray[np.bool_]]:
    """Divide samples by class into masks.

    Parameters
    ----------
    classes : array_like (sample,), int
        Number of each sample's class.
    names : sequence of str
        Names of the classes, by number.

    Returns
    -------
    dict of str to ndarray (sample,), bool
        One mask for each name, in the order of the names.
    """
    found = np.asarray(classes)
    return {name: found == number for number, name in enumerate(names)}


def _class_label(name: str, low: float, high: float) -> str:
    if np.isinf(high):
        return f"{name} over {low:g}"
    return f"{name} {low:g}-{high:g}"


def _groups(groups: ArrayLike | None, shape: tuple[int, ...]) -> NDArray[np.intp] | None:
    """Give each value the number of its group."""
    if groups is None:
        return None
    labels = np.asarray(groups)
    if not shape or labels.shape != shape[:1]:
        raise ShapeError(f"groups have shape {labels.shape}; expected one per sample of {shape}")
    number = np.unique(labels, return_inverse=True)[1]
    return np.broadcast_to(number.reshape(-1, *[1] * (len(shape) - 1)), shape)


def _half_width(deviation: NDArray[np.float64], groups: NDArray[np.intp] | None) -> float:
    """Half the 95 % interval of a mean, from the deviations (summing to zero) of its values."""
    if groups is None:
        return _NORMAL_95 * float(np.sqrt((deviation**2).sum()) / deviation.size)
    sums = np.bincount(groups.ravel(), weights=deviation.ravel())
    count = np.unique(groups).size
    if count < 2:
        return float("nan")
    error = np.sqrt(count / (count - 1) * (sums**2).sum()) / deviation.size
    return float(stdtrit(count - 1, 0.975) * error)


def _coverage(
    absolute: NDArray[np.float64], stated: NDArray[np.float64]
) -> tuple[float | None, float | None]:
    known = np.isfinite(absolute) & np.isfinite(stated)
    if not known.any():
        return None, None
    error, sigma = absolute[known], stated[known]
    return float((error <= sigma).mean()), float((error <= _NORMAL_95 * sigma).mean())


def _correlation(found: NDArray[np.float64], expected: NDArray[np.float64]) -> float:
    first, second = found - found.mean(), expected - expected.mean()
    spread = float(np.sqrt((first**2).sum() * (second**2).sum()))
    return float((first * second).sum() / spread) if spread > 0 else float("nan")
