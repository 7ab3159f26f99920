"""Which samples of a source lie before and after each date, and how far."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

REACH: Final = np.timedelta64(6, "h")
"""Samples at most twice this apart are interpolated; otherwise the nearest one within this is
taken.
"""
_HOUR: Final = np.timedelta64(1, "h")


@dataclass(frozen=True, eq=False)
class Moments:
    """The samples that dates need.

    Attributes
    ----------
    samples : int (sample,), places on the source's time axis, in order, none twice
    before, after : int (date,), places in ``samples``
    weight : float64 (date,), of the sample after
    hours : float64 (date,), distance in time that the error grows with
    outside : bool (date,), no sample is near; the other arrays hold some sample there
    """

    samples: NDArray[np.intp]
    before: NDArray[np.intp]
    after: NDArray[np.intp]
    weight: NDArray[np.float64]
    hours: NDArray[np.float64]
    outside: NDArray[np.bool_]


def bracket(
    dates: NDArray[np.datetime64],
    times: NDArray[np.datetime64],
    *,
    period: tuple[np.datetime64, np.datetime64] | None = None,
) -> Moments:
    """Find the samples before and after each date.

    Parameters
    ----------
    dates : datetime64 (date,), UTC
    times : datetime64 (n,), UTC, increasing, n > 0
    period : first and last time that count, where the axis goes beyond what is filled

    Returns
    -------
    Moments
    """
    times = times.astype("datetime64[ns]")
    dates = dates.astype("datetime64[ns]")
    first, last = 0, times.size - 1
    if period is not None:
        first = int(np.searchsorted(times, period[0], side="left"))
        last = int(np.searchsorted(times, period[1], side="right")) - 1
    if first > last:
        nothing = np.zeros(dates.size, np.intp)
        flat = np.zeros(dates.size)
        return Moments(
            np.zeros(1, np.intp), nothing, nothing, flat, flat, np.ones(dates.size, np.bool_)
        )
    after = np.clip(np.searchsorted(times, dates, side="left"), first, last)
    before = np.clip(after - 1, first, last)
    before = np.where(times[after] <= dates, after, before)
    # A date beyond either end has the end itself on both sides.
    before = np.where(dates < times[first], first, before)
    step = (times[after] - times[before]) / _HOUR
    part = (dates - times[before]) / _HOUR
    weight = np.divide(part, step, out=np.zeros(dates.size), where=step > 0)
    linear = (step > 0) & (step <= 2 * (REACH / _HOUR))
    nearest = np.where(weight > 0.5, after, before)
    away = np.abs((dates - times[nearest]) / _HOUR)
    before, after = np.where(linear, before, nearest), np.where(linear, after, nearest)
    weight = np.where(linear, weight, 0.0)
    # A sample of weight zero need not be read.
    after = np.where(weight == 0.0, before, after)
    hours = np.where(linear, weight * (1.0 - weight) * step, away)
    outside = ~linear & (away > REACH / _HOUR)
    if outside.any() and not outside.all():
        # Dates without a sample must not cause anything to be read.
        before[outside] = after[outside] = before[~outside][0]
        weight[outside] = 0.0
    samples, places = np.unique(np.concatenate([before, after]), return_inverse=True)
    before, after = np.split(places.astype(np.intp), 2)
    return Moments(samples, before, after, weight, hours, outside)
