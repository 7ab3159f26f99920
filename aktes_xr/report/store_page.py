"""The page of a store: the series, the chosen dates, the ground, what was left out, its origin."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import xarray as xr

from aktes_xr.report.document import (
    Calendar,
    Image,
    Section,
    TableOf,
    data_uri,
    embedded,
    provenance,
    provenance_section,
    render,
)
from aktes_xr.report.maps import crs_words, panel_figure
from aktes_xr.report.panels import (
    Panel,
    comparison_panels,
    described,
    panel_of,
    thinned,
)
from aktes_xr.report.quicklook import one_date, overview, overview_names
from aktes_xr.report.series import calendar, series_figure
from aktes_xr.report.summary import (
    CLOUDY,
    DateSummary,
    clearest,
    common_range,
    summarise,
    thumbnail,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_GROUND: Final = ("terrain_complexity", "sky_view_factor")
_CAPTIONS: Final = {
    "surface_temperature": "Surface temperature, on one scale for all dates",
    "surface_temperature_uncertainty": "Stated uncertainty of the temperature (one standard "
    "deviation)",
    "quality": "Quality: what made each pixel, and what speaks against it",
    "student_weight": "Weight of the student: 0 is the teacher alone, 1 the student alone",
    "emissivity_composite": "Emissivity of B14 (red), B12 (green) and B10 (blue), each stretched: "
    "quartz-rich ground turns red, vegetation and water pale",
    "cloud_probability": "Probability of cloud",
    "closure_residual": "What the retrieval does not explain of the five brightness temperatures",
    "terrain_complexity": "Terrain complexity: the error to be expected of a flat retrieval",
    "sky_view_factor": "Sky-view factor: the share of the sky that the ground sees, weighted by "
    "Lambert's law",
}


def store_page(
    result: xr.Dataset,
    *,
    truth: xr.Dataset | None = None,
    detailed: int = 4,
    figures: str | PathLike[str] | None = None,
    run: Mapping[str, str] | None = None,
    gaps: Sequence[tuple[str, str]] = (),
) -> str:
    """Return the page of a result.

    All dates have a line in a table and a thumbnail on one common scale. A few, the clearest of
    each part of the series, are shown in full. What does not change is shown once. Dates are read
    one after the other, at no more pixels than a map shows.

    Parameters
    ----------
    result : Dataset
        What `aktes_xr.open_result` returns.
    truth : Dataset, optional
        ``surface_temperature`` on the same grid, with the same dates or without time; drawn beside
        it.
    detailed : int
        How many dates are shown in full.
    figures : path, optional
        A folder for the figures on their own: an overview of each date in full, and the series, as
        PNG and as SVG.
    run : mapping of str to str, optional
        What the run that made it has to say of itself: names and values, shown first.
    gaps : sequence of (str, str)
        Dates or items that are not in the result, or only in part, and why, besides those that its
        attributes name.

    Returns
    -------
    str
        HTML.

    Raises
    ------
    MissingVariableError
        There is no ``surface_temperature``.
    """
    one_date(result, 0)
    dates = summarise(result)
    shown = clearest(dates, detailed)
    scale = common_range(dates)
    sections = [
        *_run(run or {}),
        *_series(dates, scale),
        *(_date(result, truth, date, scale) for date in shown),
        *_ground(result),
        _quality(dates),
        *_left_out(result, gaps),
        provenance_section(provenance(result)),
    ]
    if figures is not None:
        _write_figures(result, dates, shown, Path(figures))
    return render("Land-surface temperature", sections, facts=_facts(result, dates))


def _facts(result: xr.Dataset, dates: Sequence[DateSummary]) -> dict[str, str]:
    times = [date.time for date in dates if date.time]
    rows, columns = result.sizes["y"], result.sizes["x"]
    pixel = abs(float(result["x"][1] - result["x"][0])) if columns > 1 else float("nan")
    found = {"dates": str(len(dates))}
    if times:
        found["period"] = times[0] if len(times) == 1 else f"{times[0]} to {times[-1]} UTC"
    found |= {
        "pixels": f"{rows} x {columns} of {pixel:.0f} m",
        "coordinate reference system": crs_words(result),
        "method": str(result.attrs.get("method_used", result.attrs.get("method", "not stated"))),
    }
    if "bundle" in result.attrs:
        found["networks"] = str(result.attrs["bundle"])
    return found


def _run(run: Mapping[str, str]) -> Iterator[Section]:
    """Say what the run did."""
    if run:
        table = TableOf("What this run did", ("what", "value"), list(run.items()))
        yield Section("run", "The run", tables=[table])


def _series(dates: Sequence[DateSummary], scale: tuple[float, float]) -> Iterator[Section]:
    rows = [
        (
            date.time or f"date {date.number + 1}",
            _daytime(date.day),
            f"{100 * date.valid:.1f} %",
            f"{100 * date.cloud:.1f} %",
            *(_kelvin(value) for value in date.percentiles),
            _kelvin(date.sigma, 2),
        )
        for date in dates
    ]
    columns = (
        "date (UTC)",
        "sun",
        "with a temperature",
        "cloud",
        "5 % (K)",
        "median (K)",
        "95 % (K)",
    )
    table = TableOf("Dates: temperatures outside cloud", (*columns, "stated sigma (K)"), rows)
    if len(dates) == 1:
        yield Section("dates", "Date", words=_cloud_words(dates), tables=[table])
        return
    images = []
    if any(date.time and np.isfinite(date.percentiles[1]) for date in dates):
        images = [
            embedded(
                series_figure(dates),
                caption="Median of each date, and the middle 90 % of its pixels. Hollow "
                "markers: less than half of the ground was clear.",
                alt=_series_words(dates),
            )
        ]
    years = calendar(dates)
    yield Section(
        "series",
        "Series",
        words=_cloud_words(dates),
        images=images,
        calendar=Calendar(years) if years else None,
    )
    yield Section(
        "dates",
        "All dates",
        words=(
            f"One scale for all: black is {scale[0]:.0f} K, light yellow {scale[1]:.0f} K. Grey: "
            "nothing known; light blue: cloud.",
        ),
        thumbnails=[_thumbnail(date, scale) for date in dates],
        tables=[table],
    )


def _thumbnail(date: DateSummary, scale: tuple[float, float]) -> Image:
    cloudy = date.clear < CLOUDY
    words = date.time or f"date {date.number + 1}"
    said = f"{words}: {_kelvin(date.percentiles[1])} K"
    if cloudy:
        said += f", only {100 * date.clear:.0f} % clear"
    height, width = date.small.shape
    alt = (
        f"Small map of temperatures from {_kelvin(date.percentiles[0])} to "
        f"{_kelvin(date.percentiles[2])} K; {100 * date.cloud:.0f} % cloud, "
        f"{100 * (1 - date.valid):.0f} % without data."
    )
    return Image(data_uri(thumbnail(date, scale), "png"), alt, said, width, height)


def _date(
    result: xr.Dataset, truth: xr.Dataset | None, date: DateSummary, scale: tuple[float, float]
) -> Section:
    """Show a date in full."""
    view = one_date(result, date.number)
    panels: list[tuple[str, Panel]] = []
    if truth is not None:
        true = thinned(truth, date.number)["surface_temperature"]
        panels += [("", panel) for panel in comparison_panels(view, true)]
    for name in overview_names(view):
        if name in _GROUND or (name == "surface_temperature" and truth is not None):
            continue
        bounds = scale if name == "surface_temperature" else None
        panels.append((name, panel_of(view, name, bounds=bounds)))
    images = [
        embedded(
            panel_figure(panel, title=False),
            caption=_CAPTIONS.get(name, _capital(panel.title)),
            alt=described(panel),
        )
        for name, panel in panels
    ]
    heading = date.time + " UTC" if date.time else f"Date {date.number + 1}"
    words = [f"Made of {date.item.replace(chr(10), ', ')}."] if date.item else []
    if date.clear < CLOUDY:
        words.append(
            f"Only {100 * date.clear:.0f} % of it is clear; {100 * date.cloud:.0f} % is cloud, "
            f"{100 * (1 - date.valid):.0f} % has no temperature."
        )
    return Section(f"date-{date.number + 1}", heading, words=words, images=images)


def _ground(result: xr.Dataset) -> Iterator[Section]:
    """Show once what has no time."""
    still = thinned(result, None)
    names = [name for name in _GROUND if name in still and "time" not in still[name].dims]
    panels = [(name, panel_of(still, name)) for name in names]
    if panels:
        yield Section(
            "ground",
            "The ground",
            images=[
                embedded(
                    panel_figure(panel, title=False), caption=_CAPTIONS[name], alt=described(panel)
                )
                for name, panel in panels
            ],
        )


def _quality(dates: Sequence[DateSummary]) -> Section:
    names = list(dict.fromkeys(name for date in dates for name in date.flags))
    rows = []
    for name in names:
        shares = np.array([date.flags.get(name, 0.0) for date in dates])
        row: list[Any] = [name.replace("_", " "), f"{100 * shares.mean():.2f} %"]
        if len(dates) > 1:
            row += [f"{100 * shares.max():.1f} %", str(int((shares > 0).sum()))]
        rows.append(row)
    columns = ("flag", "share of all pixels", "most on one date", "dates")[
        : 4 if len(dates) > 1 else 2
    ]
    words = () if rows else ("The result holds no quality flags.",)
    tables = [TableOf("Flags of quality that occur", columns, rows)] if rows else []
    return Section("quality", "Quality", words=words, tables=tables)


def _left_out(result: xr.Dataset, gaps: Sequence[tuple[str, str]]) -> Iterator[Section]:
    """Say which items were not used or not readable, and why."""
    skipped = result.attrs.get("skipped_items", [])
    if isinstance(skipped, str):
        skipped = json.loads(skipped or "[]")
    rows = [(str(one.get("id", "")), str(one.get("reason", ""))) for one in skipped]
    shares = result.attrs.get("unreadable_share", {})
    rows += [
        (str(item), f"could not be read in {100 * float(share):.2f} % of its pixels")
        for item, share in dict(shares).items()
    ]
    rows += gaps
    if rows:
        table = TableOf("What was left out or could not be read", ("item", "why"), rows)
        yield Section("left-out", "Left out", tables=[table])


def _write_figures(
    result: xr.Dataset, dates: Sequence[DateSummary], shown: Sequence[DateSummary], folder: Path
) -> None:
    """Write figures on their own, for a paper or a slide."""
    folder.mkdir(parents=True, exist_ok=True)
    made: dict[str, Figure] = {
        f"overview-{_file_words(date)}": overview(result, time=date.number) for date in shown
    }
    if sum(bool(date.time) and np.isfinite(date.percentiles[1]) for date in dates) > 1:
        made["series"] = series_figure(dates)
    for name, figure in made.items():
        figure.savefig(folder / f"{name}.png", dpi=150)
        figure.savefig(folder / f"{name}.svg", dpi=150)


def _file_words(date: DateSummary) -> str:
    return (date.time or str(date.number + 1)).replace(" ", "T").replace(":", "")


def _cloud_words(dates: Sequence[DateSummary]) -> tuple[str, ...]:
    cloudy = [date for date in dates if date.clear < CLOUDY]
    if not cloudy:
        return ()
    if len(dates) == 1:
        return (f"Less than half of this date is clear ({100 * cloudy[0].clear:.0f} %).",)
    return (f"On {len(cloudy)} of {len(dates)} dates less than half of the ground is clear.",)


def _series_words(dates: Sequence[DateSummary]) -> str:
    medians = [date.percentiles[1] for date in dates if np.isfinite(date.percentiles[1])]
    warmest = max(dates, key=lambda date: np.nan_to_num(date.percentiles[1], nan=-np.inf))
    return (
        f"Chart of {len(medians)} dates. Medians lie between {min(medians):.1f} and "
        f"{max(medians):.1f} K; the warmest date is {warmest.time}."
    )


def _daytime(day: bool | None) -> str:
    return "unknown" if day is None else "up" if day else "down"


def _kelvin(value: float, digits: int = 1) -> str:
    return "n/a" if np.isnan(value) else f"{value:.{digits}f}"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
