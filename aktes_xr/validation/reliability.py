"""Whether a stated uncertainty is what it says: coverage, and errors against what was stated."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from scipy.special import ndtri

if TYPE_CHECKING:
    from numpy.typing import NDArray

LEVELS: Final = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.68, 0.8, 0.9, 0.95, 0.99)
_CLASSES: Final = 10
_FEWEST_PER_CLASS: Final = 5


@dataclass(frozen=True)
class Reliability:
    """Stated uncertainty against the errors that were made.

    Attributes
    ----------
    levels, covered : tuple of float
        Probability of a central interval of the stated normal distribution, and the share of errors
        inside it. Equal where the statement is right; a smaller share means it is too narrow.
    stated, found : tuple of float
        Root-mean-square stated uncertainty and error of classes of like statements, ascending; in
        the unit of what was compared.
    count : tuple of int
        Pairs in each class.
    """

    levels: tuple[float, ...]
    covered: tuple[float, ...]
    stated: tuple[float, ...]
    found: tuple[float, ...]
    count: tuple[int, ...]

    def as_dict(self, suffix: str = "_k") -> dict[str, list[Any]]:
        """Return plain types for JSON.

        Parameters
        ----------
        suffix : str
            The unit, at the end of the names of what has one.

        Returns
        -------
        dict
        """
        united = ("stated", "found")
        return {
            f"{name}{suffix}" if name in united else name: list(value)
            for name, value in vars(self).items()
        }


def reliability(
    error: NDArray[np.floating], sigma: NDArray[np.floating] | None
) -> Reliability | None:
    """Compare errors with the uncertainty stated for them.

    Parameters
    ----------
    error : ndarray (pair,), K or 1
        Estimate minus truth.
    sigma : ndarray (pair,), K or 1, or None
        Stated standard uncertainty.

    Returns
    -------
    Reliability or None
        None where nothing is stated.
    """
    if sigma is None:
        return None
    known = np.isfinite(error) & np.isfinite(sigma) & (np.asarray(sigma) > 0)
    if not known.any():
        return None
    found, stated = np.abs(error[known], dtype=np.float64), sigma[known].astype(np.float64)
    ratio = found / stated
    covered = tuple(float((ratio <= ndtri((1.0 + level) / 2.0)).mean()) for level in LEVELS)
    number = max(1, min(_CLASSES, found.size // _FEWEST_PER_CLASS))
    members = np.array_split(np.argsort(stated, kind="stable"), number)
    return Reliability(
        LEVELS,
        covered,
        tuple(_quadratic_mean(stated[one]) for one in members),
        tuple(_quadratic_mean(found[one]) for one in members),
        tuple(int(one.size) for one in members),
    )


def _quadratic_mean(values: NDArray[np.float64]) -> float:
    return float(np.sqrt((values**2).mean()))
