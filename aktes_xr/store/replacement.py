"""When a new result must not take an old one's place, because more would be lost than gained."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import xarray as xr

from aktes_xr.store.counts import MEASURE, Counts, is_counted

if TYPE_CHECKING:
    from numpy.typing import NDArray

WORSE_BELOW: Final = 0.5
"""A date with less than this of its former share of temperatures, and of its ground, is lost; a
result that loses this share of the old one's dates is worse."""
_SAME_DATE: Final = np.timedelta64(30, "m")
"""A date's time is that of its first granule, and one more granule of the pass moves it by some
seconds. Two passes are 98 minutes apart."""


@dataclass(frozen=True)
class _Dates:
    """What becomes of each date of the old result.

    Attributes
    ----------
    partner : index of the same date in the new result; -1 where that has none
    valid, pixels : of that date in the new result; 0 where it has none
    before : pixels with a temperature in the old result
    size : all pixels of a date of the old result
    area : a new pixel's area over an old one's
    """

    partner: NDArray[np.int64]
    valid: NDArray[np.int64]
    pixels: NDArray[np.int64]
    before: NDArray[np.int64]
    size: int
    area: float

    @property
    def lost(self) -> NDArray[np.bool_]:
        """Dates that had temperatures, and have hardly any now."""
        return np.asarray((self.before > 0) & self._worse(self.valid, self.pixels, self.before))

    def worse_together(self) -> bool:
        """Return whether the dates that both have are worse, taken together."""
        both = self.partner >= 0
        sums = (int(one[both].sum()) for one in (self.valid, self.pixels, self.before))
        return bool(self._worse(*sums, days=int(both.sum())))

    def _worse(self, valid: Any, pixels: Any, before: Any, *, days: int = 1) -> Any:
        share = valid / np.maximum(pixels, 1)
        old_share = before / max(self.size * days, 1)
        # A larger area may have a smaller share, and a smaller one less ground, without a loss.
        less_ground = valid * self.area < WORSE_BELOW * before
        return (share < WORSE_BELOW * old_share) & less_ground


def why_worse(new: xr.Dataset, counts: Counts, old: xr.Dataset) -> str | None:
    """Say why a result must not replace another one; None where it may.

    A date of the old result is lost where the new one does not have it, or has less than half
    (`WORSE_BELOW`) of its share of pixels with a temperature *and* less than half of its ground. A
    result is worse where it loses half of the dates that had a temperature, or where the dates
    that both have are lost when they are taken together. Dates half an hour apart are the same one.

    Parameters
    ----------
    new : Dataset
        The new result; only its coordinates are read.
    counts : Counts
        Of the new result.
    old : Dataset
        The result in place, lazy; read only where that can make a difference.

    Returns
    -------
    str or None
        What was found, as the beginning of a message.
    """
    if not is_counted(old):
        return None
    partner = _partners(old["time"].to_numpy(), new["time"].to_numpy())
    there = partner >= 0
    valid = np.where(there, counts.valid[partner], 0)
    pixels = np.where(there, counts.pixels[partner], 0)
    # No date can be lost that has at least half of all its pixels: the usual case ends here.
    if not (valid < WORSE_BELOW * np.maximum(pixels, 1)).any():
        return None
    # On this machine: a cluster is asked only for what the new result needs.
    before = old[MEASURE].count(("y", "x")).compute(scheduler="threads").to_numpy()
    area = _pixel_area(new) / _pixel_area(old)
    size = old.sizes["y"] * old.sizes["x"]
    return _verdict(_Dates(partner, valid, pixels, before, size, area), counts)


def _verdict(dates: _Dates, counts: Counts) -> str | None:
    held, lost, both = dates.before > 0, dates.lost, dates.partner >= 0
    if dates.worse_together():
        share = dates.valid[both].sum() / max(dates.pixels[both].sum(), 1)
        old_share = dates.before[both].sum() / max(both.sum() * dates.size, 1)
        unreadable = int(counts.unreadable.sum()) / max(int(counts.pixels.sum()), 1)
        return (
            f"the new result has a temperature in {share:.2%} of the pixels, the old one in "
            f"{old_share:.2%}, for the {both.sum()} dates that both have; {unreadable:.2%} of the "
            "new one could not be read"
        )
    if lost.any() and lost.sum() >= WORSE_BELOW * held.sum():
        missing = int((held & ~both).sum())
        return (
            f"of the old result's {held.sum()} dates with temperatures, {missing} are not in the "
            f"new one and {lost.sum() - missing} have less than half their pixels there"
        )
    return None


def _partners(old: NDArray[Any], new: NDArray[Any]) -> NDArray[np.int64]:
    """Return for each old time the index of the nearest new one; -1 where none is near."""
    if not len(new):
        return np.full(len(old), -1)
    apart = np.abs(old[:, np.newaxis] - new[np.newaxis])
    nearest = apart.argmin(axis=1)
    return np.where(apart.min(axis=1) <= _SAME_DATE, nearest, -1)


def _pixel_area(ds: xr.Dataset) -> float:
    """Return a pixel's area in the grid's own units squared; a side of 1 where there is one row."""
    sides = [
        abs(float(ds[d][-1] - ds[d][0])) / (ds.sizes[d] - 1) if ds.sizes[d] > 1 else 1.0
        for d in ("y", "x")
    ]
    return sides[0] * sides[1]
