"""Figures of one date: one map, the maps beside the truth, or everything that is known of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import numpy as np
import xarray as xr

from aktes_xr.cube import check_grid
from aktes_xr.errors import InputError, MissingVariableError
from aktes_xr.report.maps import crs_words, draw, panel_figure
from aktes_xr.report.panels import Panel, comparison_panels, panel_of, thinned
from aktes_xr.report.summary import CLOUDY, summarise

if TYPE_CHECKING:
    from matplotlib.figure import Figure

OVERVIEW: Final = (
    *("surface_temperature", "surface_temperature_uncertainty", "quality"),
    *("student_weight", "terrain_complexity", "sky_view_factor"),
    *("emissivity_composite", "cloud_probability", "closure_residual"),
)
"""What an overview shows, in this order, of what a result holds."""


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
        Not registered with pyplot: save it with ``savefig`` (``.png``, ``.svg``, ``.pdf``) or let a
        notebook show it.

    Raises
    ------
    MissingVariableError
        If there is no ``surface_temperature``.
    GridError
        If the truth is not on the result's grid.
    InputError
        If there is no such date.
    """
    date = one_date(result, time)
    if truth is None:
        first = ("surface_temperature", "surface_temperature_uncertainty", "terrain_complexity")
        panels = [panel_of(date, name) for name in first if name in date]
    else:
        check_grid(truth["surface_temperature"], result, name="the truth")
        panels = comparison_panels(date, thinned(truth, time)["surface_temperature"])
    panels += [panel_of(date, name) for name in ("student_weight",) if name in date]
    if "emissivity" in date:
        panels.append(panel_of(date, "emissivity", band=band))
    panels += [panel_of(date, name) for name in ("sky_view_factor",) if name in date]
    return panels_figure(panels, title=title or _title(result, time), foot=crs_words(result))


def overview(
    result: xr.Dataset,
    *,
    time: int = 0,
    variables: Sequence[str] | None = None,
    title: str | None = None,
) -> Figure:
    """Draw all that a result knows of one date.

    Temperature, uncertainty and quality, who retrieved it and why, and emissivity as a composite of
    three bands (B14 red, B12 green, B10 blue): quartz-rich ground turns red.

    Parameters
    ----------
    result : Dataset
        What `aktes_xr.retrieve` returns.
    time : int
        Index of the date.
    variables : sequence of str, optional
        What to draw instead: variables without bands, ``"quality"``, ``"emissivity_composite"``.
    title : str, optional
        Above the figure; the date by default.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    MissingVariableError
        There is no temperature, or no variable that was asked for.
    InputError
        If there is no such date.
    """
    date = one_date(result, time)
    names = overview_names(date) if variables is None else list(variables)
    panels = [panel_of(date, name) for name in names]
    return panels_figure(panels, title=title or _title(result, time), foot=crs_words(result))


def map_figure(
    result: xr.Dataset,
    variable: str = "surface_temperature",
    *,
    time: int = 0,
    band: str | None = None,
    limits: tuple[float, float] | None = None,
    title: str | None = None,
) -> Figure:
    """Draw one variable of one date as a map.

    Parameters
    ----------
    result : Dataset
        What `aktes_xr.retrieve` returns.
    variable : str
        A variable, ``"quality"``, or ``"emissivity_composite"``.
    time : int
        Index of the date.
    band : str, optional
        Of a variable with bands.
    limits : (float, float), optional
        What the ends of the colours stand for.
    title : str, optional
        Above the map; variable and date by default.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    MissingVariableError
        There is no temperature, or no such variable.
    InputError
        The variable needs a band, or there is no such date.
    """
    panel = panel_of(one_date(result, time), variable, band=band, bounds=limits)
    figure = panel_figure(panel, title=False)
    figure.suptitle(title or f"{panel.title}\n{_title(result, time)}", fontsize="medium")
    figure.text(0.995, 0.004, crs_words(result), ha="right", va="bottom", fontsize="x-small")
    return figure


def overview_names(date: xr.Dataset) -> list[str]:
    """Return what an overview of a date shows.

    Parameters
    ----------
    date : Dataset (y, x)

    Returns
    -------
    list of str
    """
    held = {*map(str, date.data_vars), *(("emissivity_composite",) if "emissivity" in date else ())}
    return [name for name in OVERVIEW if name in held]


def one_date(result: xr.Dataset, time: int) -> xr.Dataset:
    """Return one date of a result, thinned to what a map can show.

    Parameters
    ----------
    result : Dataset
    time : int
        Index of the date.

    Returns
    -------
    Dataset (y, x)

    Raises
    ------
    MissingVariableError
        If there is no ``surface_temperature``.
    InputError
        If there is no such date.
    """
    if "surface_temperature" not in result:
        raise MissingVariableError(
            f"The result holds {sorted(map(str, result.data_vars))} but no surface_temperature. "
            "Pass what aktes_xr.retrieve returned."
        )
    count = result.sizes.get("time", 1)
    if not -count <= time < count:
        raise InputError(f"found date {time}, expected a number below the {count} of the result")
    return thinned(result, time)


def date_words(result: xr.Dataset, time: int) -> str:
    """Return the title of a date.

    Parameters
    ----------
    result : Dataset
    time : int
        Index of the date.

    Returns
    -------
    str
    """
    if "time" not in result.coords:
        return "Land-surface temperature"
    stamp = np.atleast_1d(result["time"].to_numpy())[time]
    moment = np.datetime_as_string(stamp, unit="m").replace("T", " ")
    return f"Land-surface temperature, {moment} UTC"


def _title(result: xr.Dataset, time: int) -> str:
    """Name a date, and say where most of it is not clear: its map may look like cold ground."""
    words = date_words(result, time)
    (date,) = summarise(result, [time])
    if date.clear >= CLOUDY:
        return words
    return (
        f"{words}: only {100 * date.clear:.0f} % clear ({100 * date.cloud:.0f} % cloud, "
        f"{100 * (1 - date.valid):.0f} % without a temperature)"
    )


def panels_figure(panels: Sequence[Panel], *, title: str, foot: str = "") -> Figure:
    """Draw maps side by side, three to a row.

    Parameters
    ----------
    panels : sequence of Panel
    title : str
        Above all.
    foot : str
        Below all: the coordinate reference system.

    Returns
    -------
    matplotlib.figure.Figure
    """
    from matplotlib.figure import Figure

    columns = min(3, len(panels))
    rows = -(-len(panels) // columns)
    ny, nx = panels[0].field.shape[:2]
    height = 3.6 * min(max(ny / nx, 0.5), 1.5)
    legend = 0.1 * max(len(panel.classes) for panel in panels)
    figure = Figure(
        figsize=(4.3 * columns, (height + 0.25) * rows + legend + 0.6), layout="compressed"
    )
    axes = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
    for number, axis in enumerate(axes.flat):
        if number >= len(panels):
            axis.set_axis_off()
            continue
        draw(axis, panels[number], labelled=number == 0)
        if number % columns == 0:
            axis.set_ylabel("northing (km)")
        if number + columns >= len(panels):
            axis.set_xlabel("easting (km)")
            axis.tick_params(labelbottom=True)
    figure.suptitle(title, fontsize="large")
    if foot:
        # Constrained layout keeps clear of a label of the figure, not of a free text.
        figure.supxlabel(foot, fontsize="small", color="0.35")
    return figure
