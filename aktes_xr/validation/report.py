"""What a retrieval looks like and how far from the truth it is: a figure, a table, one HTML page.

Everything here is for people: it reads results (and computes them where they are lazy), at no
more pixels than a figure can show.
"""

from __future__ import annotations

import base64
import html
import io
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from aktes_xr.cube import check_grid
from aktes_xr.documents import write_text
from aktes_xr.errors import MissingVariableError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["page", "provenance", "quicklook", "store_page", "write_page"]

# More than this along an axis and a panel of the figure cannot show it.
_PANEL_PIXELS = 900


@dataclass(frozen=True)
class _Panel:
    """One map: the field, its colours, and what the colour bar says."""

    title: str
    field: xr.DataArray
    colours: str
    limits: tuple[float, float]
    unit: str


def quicklook(
    result: xr.Dataset,
    truth: xr.Dataset | None = None,
    *,
    time: int = 0,
    band: str = "B12",
    title: str | None = None,
) -> Figure:
    """Draw one date of a result as six maps, beside the truth where there is one.

    With a truth: true and retrieved temperature on one colour scale, their difference, then
    student weight, emissivity and sky view. Without: the stated uncertainty and the terrain
    complexity take the places of truth and difference. Fields the result has not are left out.

    Parameters
    ----------
    result : Dataset
        What `aktes_xr.retrieve` returns: ``surface_temperature`` (time, y, x), K, and whatever
        else it holds.
    truth : Dataset, optional
        ``surface_temperature`` (time, y, x) or (y, x), K, on the same grid.
    time : int
        Index of the date to draw.
    band : str
        Band whose emissivity is drawn; B12 tells quartz-rich ground from vegetation.
    title : str, optional
        Above the figure; the date by default.

    Returns
    -------
    matplotlib.figure.Figure
        Not registered with pyplot: save it with ``savefig`` or let a notebook show it.

    Raises
    ------
    MissingVariableError
        If there is no ``surface_temperature``.
    GridError
        If the truth is not on the result's grid.
    """
    from matplotlib.figure import Figure

    panels = _panels(_one_date(result, time), _one_date(truth, time), band=band)
    columns = min(3, len(panels))
    rows = -(-len(panels) // columns)
    ny, nx = panels[0].field.shape
    height = 3.6 * min(max(ny / nx, 0.5), 1.5)
    figure = Figure(figsize=(4.3 * columns, (height + 0.25) * rows + 0.4), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
    for number, axis in enumerate(axes.flat):
        if number >= len(panels):
            axis.set_axis_off()
            continue
        _draw(axis, panels[number])
        if number % columns == 0:
            axis.set_ylabel("northing (km)")
        if number // columns == rows - 1:
            axis.set_xlabel("easting (km)")
    figure.suptitle(title or _date_title(result, time), fontsize="large")
    return figure


def page(
    title: str,
    *,
    tables: Mapping[str, tuple[Sequence[str], Sequence[Sequence[Any]]]],
    figures: Mapping[str, Figure],
    provenance: Mapping[str, Any],
) -> str:
    """Return one self-contained HTML page: figures embedded, no script, nothing fetched.

    Parameters
    ----------
    title : str
        Heading of the page.
    tables : mapping of caption to (column names, rows)
        Cells may be text or numbers; all text is escaped.
    figures : mapping of caption to Figure
        Embedded as PNG.
    provenance : mapping
        Name and value, one line each: version, bundle, items.

    Returns
    -------
    str
        The page.
    """
    parts = [f"<h1>{html.escape(title)}</h1>"]
    parts += [_html_figure(caption, figure) for caption, figure in figures.items()]
    parts += [_html_table(caption, *table) for caption, table in tables.items()]
    rows = "".join(
        f"<tr><th>{html.escape(str(name))}</th><td>{html.escape(str(value))}</td></tr>"
        for name, value in provenance.items()
    )
    parts.append(f"<h2>Provenance</h2><table class='provenance'>{rows}</table>")
    body = "\n".join(parts)
    head = f"<meta charset='utf-8'><title>{html.escape(title)}</title><style>{_STYLE}</style>"
    return f"<!doctype html>\n<html lang='en'><head>{head}</head>\n<body>\n{body}\n</body></html>\n"


def store_page(result: xr.Dataset, *, truth: xr.Dataset | None = None) -> str:
    """Return the page of a result: a map of each date, a table of its quality, its provenance.

    Parameters
    ----------
    result : Dataset
        What `aktes_xr.open_result` returns.
    truth : Dataset, optional
        Drawn beside it; see `quicklook`.

    Returns
    -------
    str
        The page.
    """
    dates = [_date_title(result, time) for time in range(result.sizes["time"])]
    valid = result["surface_temperature"].notnull().mean(("y", "x")).values
    mean = result["surface_temperature"].mean(("y", "x")).values
    rows = [
        (date.partition(", ")[2], f"{100 * share:.1f} %", float(kelvin))
        for date, share, kelvin in zip(dates, valid, mean, strict=True)
    ]
    return page(
        "Land-surface temperature",
        tables={"Dates": (("date", "pixels with a temperature", "mean temperature (K)"), rows)},
        figures={date: quicklook(result, truth, time=number) for number, date in enumerate(dates)},
        provenance=provenance(result),
    )


def provenance(result: xr.Dataset) -> dict[str, str]:
    """Return what a result's attributes say of its origin.

    Parameters
    ----------
    result : Dataset
        A result.

    Returns
    -------
    dict of str to str
        Name and text of each attribute; the parts of a list are joined by commas.
    """
    return {
        str(name): ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
        for name, value in result.attrs.items()
    }


def write_page(path: str | os.PathLike[str], text: str) -> None:
    """Write a page that `page` made.

    Parameters
    ----------
    path : str or path-like
        The file; an older one is replaced. A full disk leaves the old one.
    text : str
        The page.

    Raises
    ------
    InputError
        There is no folder to write it into.
    """
    write_text(path, text)


def _panels(result: xr.Dataset, truth: xr.Dataset | None, *, band: str) -> list[_Panel]:
    if "surface_temperature" not in result:
        raise MissingVariableError(
            f"The result holds {sorted(map(str, result.data_vars))} but no surface_temperature. "
            "Pass what aktes_xr.retrieve returned."
        )
    temperature = result["surface_temperature"].compute()
    panels = (
        _own_panels(result, temperature)
        if truth is None
        else _comparison_panels(temperature, truth["surface_temperature"].compute())
    )
    if "student_weight" in result:
        weight = result["student_weight"].compute()
        panels.append(_Panel("weight of the student", weight, "viridis", (0.0, 1.0), "1"))
    if "emissivity" in result:
        emissivity = result["emissivity"].sel(band=band).compute()
        limits = _limits(emissivity)
        panels.append(_Panel(f"emissivity {band}", emissivity, "cividis", limits, "1"))
    if "sky_view_factor" in result:
        sky = result["sky_view_factor"].compute()
        panels.append(_Panel("sky-view factor", sky, "gray", (_limits(sky)[0], 1.0), "1"))
    return panels


def _comparison_panels(temperature: xr.DataArray, true: xr.DataArray) -> list[_Panel]:
    check_grid(true, temperature, name="the truth")
    # Coordinates may differ in the last bit after a round trip; xarray would align such to nothing.
    error = temperature.copy(data=temperature.values - true.values)
    valid = error.values[np.isfinite(error.values)]
    spread, words = 1.0, "retrieved - true: no common pixel"
    if valid.size:
        spread = max(float(np.percentile(np.abs(valid), 98)), 0.01)
        words = f"retrieved - true: MAE {np.abs(valid).mean():.2f} K, bias {valid.mean():+.2f} K"
    limits = _limits(true)
    return [
        _Panel("true surface temperature", true, "inferno", limits, "K"),
        _Panel("retrieved surface temperature", temperature, "inferno", limits, "K"),
        _Panel(words, error, "RdBu_r", (-spread, spread), "K"),
    ]


def _own_panels(result: xr.Dataset, temperature: xr.DataArray) -> list[_Panel]:
    limits = _limits(temperature)
    panels = [_Panel("surface temperature", temperature, "inferno", limits, "K")]
    for name, words in (
        ("surface_temperature_uncertainty", "stated uncertainty (1 sigma)"),
        ("terrain_complexity", "terrain complexity"),
    ):
        if name in result:
            field = result[name].compute()
            unit = str(field.attrs.get("units", "1"))
            panels.append(_Panel(words, field, "magma", (0.0, _limits(field)[1]), unit))
    return panels


def _one_date(ds: xr.Dataset | None, time: int) -> Any:
    """Date `time` of a dataset, thinned to what a panel can show."""
    if ds is None:
        return None
    one = ds.isel(time=time) if "time" in ds.dims else ds
    step = -(-max(one.sizes["y"], one.sizes["x"]) // _PANEL_PIXELS)
    return one.isel(y=slice(None, None, step), x=slice(None, None, step))


def _limits(field: xr.DataArray) -> tuple[float, float]:
    """Second and 98th percentile, so that a handful of pixels does not take all the colours."""
    values = field.values[np.isfinite(field.values)]
    if values.size == 0:
        return 0.0, 1.0
    low, high = (float(v) for v in np.percentile(values, (2, 98)))
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def _draw(axis: Axes, panel: _Panel) -> None:
    field = panel.field.transpose("y", "x")
    x = field["x"].values.astype("float64") / 1000
    y = field["y"].values.astype("float64") / 1000
    # Centres of the pixels are given; an image needs the outer edges.
    dx, dy = (x[-1] - x[0]) / max(x.size - 1, 1) / 2, (y[-1] - y[0]) / max(y.size - 1, 1) / 2
    axis.set_facecolor("0.85")
    image = axis.imshow(
        field.values,
        extent=(x[0] - dx, x[-1] + dx, y[-1] + dy, y[0] - dy),
        cmap=panel.colours,
        vmin=panel.limits[0],
        vmax=panel.limits[1],
        interpolation="nearest",
    )
    low, high = np.nanmin(field.values, initial=np.inf), np.nanmax(field.values, initial=-np.inf)
    below, above = low < panel.limits[0], high > panel.limits[1]
    extend = {(0, 0): "neither", (1, 0): "min", (0, 1): "max", (1, 1): "both"}[(below, above)]
    bar = axis.figure.colorbar(image, ax=axis, shrink=0.85, pad=0.02, extend=extend)
    bar.ax.tick_params(labelsize="small")
    bar.ax.set_title("" if panel.unit == "1" else panel.unit, fontsize="small")
    axis.set_title(panel.title, fontsize="medium")
    axis.tick_params(labelsize="small")
    axis.ticklabel_format(useOffset=False)
    axis.locator_params(nbins=5)


def _date_title(result: xr.Dataset, time: int) -> str:
    if "time" not in result.coords:
        return "Land-surface temperature"
    stamp = np.atleast_1d(result["time"].values)[time]
    return (
        f"Land-surface temperature, {np.datetime_as_string(stamp, unit='m').replace('T', ' ')} UTC"
    )


def _html_figure(caption: str, figure: Figure) -> str:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=90)
    data = base64.b64encode(buffer.getvalue()).decode("ascii")
    words = html.escape(caption)
    return (
        f"<figure><img alt='{words}' src='data:image/png;base64,{data}'>"
        f"<figcaption>{words}</figcaption></figure>"
    )


def _html_table(caption: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    head = "".join(f"<th>{html.escape(str(column))}</th>" for column in columns)
    body = "".join(
        "<tr>" + "".join(f"<td>{html.escape(_cell(cell))}</td>" for cell in row) + "</tr>"
        for row in rows
    )
    words = html.escape(caption)
    return f"<h2>{words}</h2><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _cell(value: Any) -> str:
    if isinstance(value, float | np.floating):
        return f"{value:.3f}" if np.isfinite(value) else "n/a"
    return "n/a" if value is None else str(value)


_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 72rem; margin: 2rem auto; padding: 0 1rem; }
img { max-width: 100%; } figure { margin: 1rem 0; } figcaption { color: #555; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .2rem .8rem; text-align: right; border-bottom: 1px solid #ddd; }
th:first-child, td:first-child { text-align: left; }
.provenance td { text-align: left; word-break: break-word; }
""".strip()
