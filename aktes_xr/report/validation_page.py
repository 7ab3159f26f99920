"""The page of a validation: scores by stratum, scatter, and whether the stated sigma holds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from aktes_xr.report.document import (
    Image,
    Section,
    TableOf,
    embedded,
    provenance,
    provenance_section,
    render,
)
from aktes_xr.validation.comparison import Comparison, strata_columns, strata_rows
from aktes_xr.validation.quantity import Quantity
from aktes_xr.validation.reliability import Reliability
from aktes_xr.validation.sites import SiteMatch

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_BINS = 120
_LEAST_RANGE = 50
"""Of a chart's axes, in units of the last digit that is written."""


def validation_page(
    comparisons: Sequence[Comparison],
    *,
    result: xr.Dataset,
    sites: Sequence[SiteMatch] = (),
) -> str:
    """Return the page of a validation.

    Parameters
    ----------
    comparisons : sequence of Comparison
        One section each.
    result : Dataset
        What was compared, for its origin.
    sites : sequence of SiteMatch
        Overpasses over stations, one by one.

    Returns
    -------
    str
        HTML.
    """
    each = [one for found in comparisons for one in (found, found.emissivity) if one is not None]
    sections = [_section(number, one) for number, one in enumerate(each, 1)]
    if sites:
        sections.append(_sites(sites))
    sections.append(provenance_section(provenance(result)))
    first, told = comparisons[0].overall, comparisons[0].quantity.written
    facts = {
        "pairs": f"{sum(one.overall.n for one in comparisons):,}",
        "compared with": "; ".join(one.name for one in comparisons),
    }
    if len(comparisons) == 1:
        facts |= {
            "bias": f"{told(first.bias, sign=True)} ({told(first.bias_low, sign=True)} to "
            f"{told(first.bias_high, sign=True)})",
            "mean absolute error": told(first.mae),
        }
    words = " and ".join(dict.fromkeys(one.quantity.words for one in each))
    return render(f"Validation of land-surface {words}", sections, facts=facts)


def scatter_figure(comparison: Comparison) -> Figure:
    """Draw retrieved against known temperatures, as a density.

    Parameters
    ----------
    comparison : Comparison

    Returns
    -------
    matplotlib.figure.Figure
    """
    from matplotlib.colors import LogNorm
    from matplotlib.figure import Figure

    known, found = comparison.pairs.truth, comparison.pairs.estimate
    both = np.concatenate([known, found])
    low, high = (float(v) for v in np.percentile(both, (0.1, 99.9)))
    least = _LEAST_RANGE * 0.1**comparison.quantity.digits
    low, high = (low, high) if high - low > least else (low - least, high + least)
    figure = Figure(figsize=(4.6, 4.2), layout="constrained")
    axis = figure.subplots()
    if known.size > 2000:
        edges = np.linspace(low, high, _BINS)
        image = axis.hist2d(known, found, bins=(edges, edges), norm=LogNorm(), cmap="viridis")[3]
        figure.colorbar(image, ax=axis, label="pairs", shrink=0.85)
    else:
        axis.plot(known, found, "o", markersize=4, alpha=0.6, color="#1f3a93", markeredgewidth=0)
    axis.plot([low, high], [low, high], color="0.2", linewidth=1)
    axis.set(xlim=(low, high), ylim=(low, high), aspect="equal")
    axis.set_xlabel(comparison.quantity.labelled("reference"))
    axis.set_ylabel(comparison.quantity.labelled("retrieved"))
    return figure


def error_figure(comparison: Comparison) -> Figure:
    """Draw the distribution of the errors, with bias and median.

    Parameters
    ----------
    comparison : Comparison

    Returns
    -------
    matplotlib.figure.Figure
    """
    from matplotlib.figure import Figure

    error = comparison.pairs.estimate.astype(float) - comparison.pairs.truth
    scores = comparison.overall
    quantity = comparison.quantity
    reach = max(
        4 * scores.spread,
        float(np.percentile(np.abs(error - scores.median), 99)),
        10 * 0.1**quantity.digits,
    )
    figure = Figure(figsize=(4.6, 4.2), layout="constrained")
    axis = figure.subplots()
    bins = min(80, max(8, error.size // 5))
    edges = (np.linspace(-reach, reach, bins) + scores.median).tolist()
    axis.hist(error, bins=edges, color="#8fa6c9")
    axis.axvline(0, color="0.2", linewidth=1)
    axis.axvline(
        scores.bias, color="#b3261e", label=f"bias {quantity.written(scores.bias, sign=True)}"
    )
    axis.axvline(
        scores.median,
        color="#1f3a93",
        linestyle="--",
        label=f"median {quantity.written(scores.median, sign=True)}",
    )
    # "best" is searched for, which on a busy machine takes long enough for a warning.
    axis.legend(fontsize="small", frameon=False, loc="upper right")
    axis.set_xlabel(quantity.labelled("retrieved - reference"))
    axis.set_ylabel("pairs")
    return figure


def coverage_figure(found: Reliability) -> Figure:
    """Draw the share of errors inside intervals against what was stated.

    Parameters
    ----------
    found : Reliability

    Returns
    -------
    matplotlib.figure.Figure
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.6, 4.2), layout="constrained")
    axis = figure.subplots()
    axis.plot([0, 1], [0, 1], color="0.5", linewidth=1)
    axis.plot(found.levels, found.covered, "o-", color="#1f3a93", markersize=4)
    axis.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")
    axis.set_xlabel("stated probability of the interval")
    axis.set_ylabel("share of errors inside")
    return figure


def sigma_figure(found: Reliability, quantity: Quantity) -> Figure:
    """Draw errors against the stated sigma.

    Parameters
    ----------
    found : Reliability
    quantity : Quantity
        What was compared.

    Returns
    -------
    matplotlib.figure.Figure
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.6, 4.2), layout="constrained")
    axis = figure.subplots()
    top = 1.05 * max(*found.stated, *found.found)
    axis.plot([0, top], [0, top], color="0.5", linewidth=1)
    axis.plot(found.stated, found.found, "o-", color="#b3261e", markersize=4)
    axis.set(xlim=(0, top), ylim=(0, top), aspect="equal")
    axis.set_xlabel(quantity.labelled("stated sigma"))
    axis.set_ylabel(quantity.labelled("root-mean-square error"))
    return figure


def _section(number: int, found: Comparison) -> Section:
    words = [f"95 % intervals: {found.basis}."]
    words += [f"{note[:1].upper()}{note[1:]}." for note in found.notes]
    if found.left_out:
        left = ", ".join(f"{count:,} {reason}" for reason, count in found.left_out.items())
        words.append(f"Left out: {left}.")
    return Section(
        f"comparison-{number}",
        f"{found.quantity.words.capitalize()} against {found.name}",
        words=words,
        images=_images(found),
        tables=[TableOf("Retrieved minus reference", strata_columns(found), strata_rows(found))],
    )


def _images(found: Comparison) -> list[Image]:
    scores, told = found.overall, found.quantity.written
    images = [
        embedded(
            scatter_figure(found),
            caption="Retrieved against reference",
            alt=f"Density of {scores.n:,} pairs about the line of equality, from "
            f"{told(found.pairs.truth.min())} to {told(found.pairs.truth.max())}; correlation "
            f"{scores.pcc:.3f}.",
        ),
        embedded(
            error_figure(found),
            caption="Distribution of the errors",
            alt=f"Histogram with its middle at {told(scores.median, sign=True)} and a robust "
            f"standard deviation of {told(scores.spread)}.",
        ),
    ]
    stated = found.reliability
    if stated is not None:
        covered = dict(zip(stated.levels, stated.covered, strict=True))
        images += [
            embedded(
                coverage_figure(stated),
                caption="Does the stated uncertainty hold? Below the line it is too narrow",
                alt="Intervals stated to hold 68 % of the errors hold "
                f"{100 * covered[0.68]:.0f} %, those of 95 % hold {100 * covered[0.95]:.0f} %.",
            ),
            embedded(
                sigma_figure(stated, found.quantity),
                caption="Errors of pixels that state alike: above the line they are larger than "
                "stated",
                alt=f"Pixels that state {told(stated.stated[0])} err by {told(stated.found[0])} "
                f"(root mean square), those that state {told(stated.stated[-1])} by "
                f"{told(stated.found[-1])}.",
            ),
        ]
    return images


def _sites(sites: Sequence[SiteMatch]) -> Section:
    rows = [
        (
            site.station,
            str(site.time)[:16].replace("T", " "),
            f"{site.retrieved_k:.2f}",
            "not stated" if np.isnan(site.sigma_k) else f"{site.sigma_k:.2f}",
            f"{site.measured_k:.2f}",
            f"{site.retrieved_k - site.measured_k:+.2f}",
            "none needed" if np.isnan(site.emissivity) else f"{site.emissivity:.3f}",
            f"{site.spread_k:.2f}",
            str(site.pixels),
        )
        for site in sites
    ]
    columns = ("station", "overpass (UTC)", "retrieved (K)", "sigma (K)", "measured (K)")
    more = ("difference (K)", "broadband emissivity", "spread of the window (K)", "pixels")
    return Section(
        "sites", "Overpasses", tables=[TableOf("Each overpass", (*columns, *more), rows)]
    )
