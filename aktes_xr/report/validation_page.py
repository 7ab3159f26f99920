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
from aktes_xr.validation.comparison import STRATA_COLUMNS, Comparison, strata_rows
from aktes_xr.validation.reliability import Reliability
from aktes_xr.validation.sites import SiteMatch

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_BINS = 120


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
    sections = [_section(number, one) for number, one in enumerate(comparisons, 1)]
    if sites:
        sections.append(_sites(sites))
    sections.append(provenance_section(provenance(result)))
    first = comparisons[0].overall
    facts = {
        "pairs": f"{sum(one.overall.n for one in comparisons):,}",
        "compared with": "; ".join(one.name for one in comparisons),
    }
    if len(comparisons) == 1:
        facts |= {
            "bias": f"{first.bias:+.2f} K ({first.bias_low:+.2f} to {first.bias_high:+.2f})",
            "mean absolute error": f"{first.mae:.2f} K",
        }
    return render("Validation of land-surface temperature", sections, facts=facts)


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
    low, high = (low, high) if high - low > 0.5 else (low - 0.5, high + 0.5)
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
    axis.set_xlabel("reference (K)")
    axis.set_ylabel("retrieved (K)")
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
    reach = max(4 * scores.spread, float(np.percentile(np.abs(error - scores.median), 99)), 0.1)
    figure = Figure(figsize=(4.6, 4.2), layout="constrained")
    axis = figure.subplots()
    bins = min(80, max(8, error.size // 5))
    edges = (np.linspace(-reach, reach, bins) + scores.median).tolist()
    axis.hist(error, bins=edges, color="#8fa6c9")
    axis.axvline(0, color="0.2", linewidth=1)
    axis.axvline(scores.bias, color="#b3261e", label=f"bias {scores.bias:+.2f} K")
    axis.axvline(
        scores.median, color="#1f3a93", linestyle="--", label=f"median {scores.median:+.2f} K"
    )
    axis.legend(fontsize="small", frameon=False)
    axis.set_xlabel("retrieved - reference (K)")
    axis.set_ylabel("pairs")
    return figure


def reliability_figure(found: Reliability) -> Figure:
    """Draw coverage against what was stated, and errors against the stated sigma.

    Parameters
    ----------
    found : Reliability

    Returns
    -------
    matplotlib.figure.Figure
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8.6, 4.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.plot([0, 1], [0, 1], color="0.5", linewidth=1)
    left.plot(found.levels, found.covered, "o-", color="#1f3a93", markersize=4)
    left.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")
    left.set_xlabel("stated probability of the interval")
    left.set_ylabel("share of errors inside")
    top = 1.05 * max(*found.stated_k, *found.found_k)
    right.plot([0, top], [0, top], color="0.5", linewidth=1)
    right.plot(found.stated_k, found.found_k, "o-", color="#b3261e", markersize=4)
    right.set(xlim=(0, top), ylim=(0, top), aspect="equal")
    right.set_xlabel("stated sigma (K)")
    right.set_ylabel("root-mean-square error (K)")
    return figure


def _section(number: int, found: Comparison) -> Section:
    words = [f"95 % intervals: {found.basis}."]
    words += [f"{note[:1].upper()}{note[1:]}." for note in found.notes]
    if found.left_out:
        left = ", ".join(f"{count:,} {reason}" for reason, count in found.left_out.items())
        words.append(f"Left out: {left}.")
    return Section(
        f"comparison-{number}",
        f"Against {found.name}",
        words=words,
        images=_images(found),
        tables=[TableOf("Retrieved minus reference", STRATA_COLUMNS, strata_rows(found))],
    )


def _images(found: Comparison) -> list[Image]:
    scores = found.overall
    images = [
        embedded(
            scatter_figure(found),
            caption="Retrieved against reference",
            alt=f"Density of {scores.n:,} pairs about the line of equality, from "
            f"{found.pairs.truth.min():.0f} to {found.pairs.truth.max():.0f} K; correlation "
            f"{scores.pcc:.3f}.",
        ),
        embedded(
            error_figure(found),
            caption="Distribution of the errors",
            alt=f"Histogram with its middle at {scores.median:+.2f} K and a robust standard "
            f"deviation of {scores.spread:.2f} K.",
        ),
    ]
    if found.reliability is not None:
        covered = dict(zip(found.reliability.levels, found.reliability.covered, strict=True))
        images.append(
            embedded(
                reliability_figure(found.reliability),
                caption="Does the stated uncertainty hold? Left: below the line it is too narrow. "
                "Right: errors of pixels that state alike.",
                alt=f"Two charts. Intervals stated to hold 68 % of the errors hold "
                f"{100 * covered[0.68]:.0f} %, those of 95 % hold {100 * covered[0.95]:.0f} %.",
            )
        )
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
