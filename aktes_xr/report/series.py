"""A series as a figure and as a calendar."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from aktes_xr.report.summary import CLOUDY, DateSummary

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_KINDS: Final = (("day", True, "#b3261e"), ("night", False, "#1f3a93"), ("unknown", None, "0.3"))


@dataclass(frozen=True)
class CalendarCell:
    """A month: how many dates it has, and how much of them is clear (0 without dates)."""

    count: int
    clear: float


def series_figure(dates: Sequence[DateSummary]) -> Figure:
    """Draw the temperatures of a series: median, the middle ninety per cent, day and night apart.

    Parameters
    ----------
    dates : sequence of DateSummary
        With times.

    Returns
    -------
    matplotlib.figure.Figure
    """
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.0, 3.0), layout="constrained")
    axis = figure.subplots()
    for words, day, colour in _KINDS:
        chosen = [d for d in dates if d.day is day and d.time and np.isfinite(d.percentiles[1])]
        if not chosen:
            continue
        times = np.array([d.time.replace(" ", "T") for d in chosen], "M8[m]")
        low, middle, high = np.array([d.percentiles for d in chosen]).T
        axis.errorbar(
            times,
            middle,
            yerr=np.stack([middle - low, high - middle]),
            fmt="o",
            markersize=4,
            linewidth=1,
            color=colour,
            label=words,
        )
        cloudy = np.array([d.clear for d in chosen]) < CLOUDY
        if cloudy.any():
            axis.plot(
                times[cloudy],
                middle[cloudy],
                "o",
                markersize=4,
                color="white",
                markeredgecolor=colour,
                # The filled ones lie a little above lines: these have to cover them.
                zorder=3,
            )
    axis.set_ylabel("surface temperature (K)")
    axis.grid(axis="y", linewidth=0.4, color="0.85")
    locator = AutoDateLocator()  # type: ignore[no-untyped-call]
    axis.xaxis.set_major_locator(locator)
    dates_only = ConciseDateFormatter(locator)  # type: ignore[no-untyped-call]
    axis.xaxis.set_major_formatter(dates_only)
    axis.legend(
        fontsize="small", frameon=False, ncols=3, loc="lower right", bbox_to_anchor=(1.0, 1.0)
    )
    return figure


def calendar(dates: Sequence[DateSummary]) -> dict[int, list[CalendarCell]]:
    """Count the dates of each month.

    Parameters
    ----------
    dates : sequence of DateSummary

    Returns
    -------
    dict of int to list of CalendarCell
        Twelve months of each year that has a date, in order.
    """
    found: dict[int, list[list[float]]] = {}
    for date in dates:
        if not date.time:
            continue
        year, month = int(date.time[:4]), int(date.time[5:7])
        found.setdefault(year, [[] for _ in range(12)])[month - 1].append(date.clear)
    return {
        year: [
            CalendarCell(len(shares), float(np.mean(shares)) if shares else 0.0)
            for shares in months
        ]
        for year, months in sorted(found.items())
    }
