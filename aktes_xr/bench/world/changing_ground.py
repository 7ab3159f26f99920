"""What a series of ten dates does to a place: green summers, bare winters, and one change.

Either world of surfaces can be put through it: all it needs are maps of what each surface is like
and the same maps of other surfaces.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from aktes_xr.bench.world.patterns import spectral_field

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Share = NDArray[np.float32]

TIMES: Final = np.array(
    [
        *("2003-06-10T10:30", "2003-07-20T10:30", "2003-12-15T10:30", "2004-01-25T10:30"),
        *("2004-07-05T10:30", "2004-08-15T10:30", "2005-01-10T10:30", "2005-02-05T10:30"),
        *("2005-06-25T10:30", "2005-12-20T10:30"),
    ],
    "datetime64[ns]",
)
SUMMER: Final = np.array([1, 1, 0, 0, 1, 1, 0, 0, 1, 0], bool)
CHANGES: Final = ("fire", "growth", "snow", "flood")
"""The first two last from a date on; the others are there on one date."""
_GREENEST_DAY: Final = 200
_GREEN_SCATTER: Final = 0.07
_MOST_GREEN: Final = 0.6
_CHANGED_SHARE: Final = (0.1, 0.35)


@dataclass(frozen=True, eq=False)
class Course:
    """What lies where on each date.

    Attributes
    ----------
    change : str
        One of `CHANGES`.
    green : ndarray (time, y, x), float32, 1
        Share of a pixel that is green.
    other : ndarray (time, y, x), float32, 1
        Share of a pixel that is what the change brings.
    """

    change: str
    green: Share
    other: Share

    @property
    def changed(self) -> NDArray[np.bool_]:
        """Pixels (y, x) that the change meets on any date."""
        return np.asarray(self.other.max(axis=0) > 0.0)


def draw_course(
    rng: np.random.Generator, shape: tuple[int, int], *, change: str, plants: Share
) -> Course:
    """Draw the course of a place.

    Parameters
    ----------
    rng : numpy.random.Generator
        Advanced.
    shape : (int, int)
        Rows and columns.
    change : str
        One of `CHANGES`.
    plants : ndarray (y, x), float32, 1
        Share of a pixel on which anything grows.

    Returns
    -------
    Course
    """
    days = TIMES.astype("datetime64[D]")
    of_year = (days - days.astype("datetime64[Y]")).astype(float)
    season = 0.5 + 0.5 * np.cos(2.0 * np.pi * (of_year - _GREENEST_DAY) / 365.25)
    season = season + _GREEN_SCATTER * rng.standard_normal(TIMES.size)
    field = 0.5 * spectral_field(shape, rng, exponent=3.0, longest=rng.uniform(10.0, 60.0))
    most = _MOST_GREEN * np.clip(0.5 + 0.5 * field, 0.0, 1.0) * plants
    green = np.clip(season, 0.0, 1.0)[:, np.newaxis, np.newaxis] * most
    where = spectral_field(shape, rng, exponent=3.0, longest=rng.uniform(20.0, 60.0))
    there = where > np.quantile(where, 1.0 - rng.uniform(*_CHANGED_SHARE))
    if change in ("fire", "growth"):
        dates = np.arange(TIMES.size) >= rng.integers(3, 8)
    else:
        possible = np.flatnonzero(~SUMMER if change == "snow" else np.ones(TIMES.size, bool))
        dates = np.arange(TIMES.size) == rng.choice(possible)
    other = dates[:, np.newaxis, np.newaxis] * there * rng.uniform(0.7, 1.0)
    return Course(change, green.astype(np.float32), other.astype(np.float32))
