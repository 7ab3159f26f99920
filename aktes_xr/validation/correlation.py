"""Which errors are alike: the clusters that a confidence interval counts.

Pixels of one date share an atmosphere. Neighbours share ground, and errors of what is told of it.
A mean over half a million of them is known only as well as a mean over the patches, or dates, that
err on their own. With enough dates each is a cluster. Otherwise clusters are square blocks within a
date, several correlation lengths wide [1]_. What errs over a whole date is then not in the
interval, and whoever prints it says so.

References
----------
.. [1] Roberts et al. (2017), Cross-validation strategies for data with temporal, spatial,
   hierarchical, or phylogenetic structure, Ecography 40(8), 913-929.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

ENOUGH_DATES: Final = 10
"""From this number on, dates are the clusters."""
_BLOCK_LENGTHS: Final = 6.0
"""Side of a block in correlation lengths: neighbouring blocks are then nearly independent."""
_FEWEST_BLOCKS: Final = 16
_LARGEST_LAG_SHARE: Final = 0.25
_NUGGET_ONLY: Final = 0.05


@dataclass(frozen=True)
class Clusters:
    """Which pairs err alike.

    Attributes
    ----------
    labels : ndarray (pair,), int64
        The number of each pair's cluster.
    basis : str
        What a cluster is, for people.
    """

    labels: NDArray[np.int64]
    basis: str


def correlation_length(error: NDArray[np.floating]) -> float:
    """Return how far errors of an image are alike.

    The autocorrelation of what is known of the image (by the Wiener-Khinchin theorem, with the
    mask's own autocorrelation divided out) is followed along rows and columns until it has fallen
    to 1/e of its value one pixel away. Noise of single pixels, which has no length, does not count.

    Parameters
    ----------
    error : ndarray (y, x), float
        NaN where unknown.

    Returns
    -------
    float, pixel
        At least one, at most a quarter of the image's longer side.
    """
    known = np.isfinite(error)
    if known.sum() < 2:
        return 1.0
    values = np.where(known, error - error[known].mean(), 0.0).astype(np.float64)
    shape = tuple(2 * size for size in error.shape)
    power = np.fft.irfft2(np.abs(np.fft.rfft2(values, shape)) ** 2, shape)
    pairs = np.fft.irfft2(np.abs(np.fft.rfft2(known.astype(np.float64), shape)) ** 2, shape)
    variance = power[0, 0] / pairs[0, 0]
    largest = max(1, int(_LARGEST_LAG_SHARE * max(error.shape)))
    if variance <= 0.0:
        return 1.0
    correlation = np.ones(largest + 1)
    for lag in range(1, largest + 1):
        # Lags beyond an axis have no pairs; the other axis speaks for both.
        above = sum(
            float(power[at]) for at in ((lag, 0), (0, lag)) if lag < error.shape[at[0] == 0]
        )
        below = sum(
            float(pairs[at]) for at in ((lag, 0), (0, lag)) if lag < error.shape[at[0] == 0]
        )
        correlation[lag] = above / below / variance if below > 0.5 else 0.0
    return _crossing(correlation)


def _crossing(correlation: NDArray[np.float64]) -> float:
    """Return the lag at which a correlation has fallen to 1/e of its value at lag one."""
    last = correlation.size - 1
    if last < 1 or correlation[1] < _NUGGET_ONLY:
        return 1.0
    limit = correlation[1] / np.e
    below = np.flatnonzero(correlation[1:] < limit)
    if below.size == 0:
        return float(last)
    lag = int(below[0]) + 1
    fraction = (correlation[lag - 1] - limit) / (correlation[lag - 1] - correlation[lag])
    return float(max(lag - 1 + fraction, 1.0))


def block_side(length: float, shape: tuple[int, int]) -> int:
    """Return how wide blocks of nearly independent errors are.

    Parameters
    ----------
    length : float, pixel
        Of `correlation_length`.
    shape : (int, int)
        Of the image. Where blocks of six lengths would be fewer than sixteen, they are smaller.

    Returns
    -------
    int, pixel
    """
    wished = int(np.ceil(_BLOCK_LENGTHS * length))
    largest = int(np.sqrt(shape[0] * shape[1] / _FEWEST_BLOCKS))
    return max(1, min(wished, largest))


def block_labels(
    row: NDArray[np.integer], column: NDArray[np.integer], side: int
) -> NDArray[np.int64]:
    """Return the number of the block that each pixel lies in.

    Parameters
    ----------
    row, column : ndarray (pixel,), int
        Of each pixel.
    side : int, pixel
        Of a block.

    Returns
    -------
    ndarray (pixel,), int64
        Numbers that differ between blocks; not all numbers occur.
    """
    # Images have at most some ten thousand pixels along a side.
    return (row.astype(np.int64) // side) * 1_000_003 + column.astype(np.int64) // side
