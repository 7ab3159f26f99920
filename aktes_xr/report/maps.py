"""Drawing a map: pixels on their edges, a colour bar or legend, a scale bar, north and the CRS."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import xarray as xr

from aktes_xr.cube.grid import grid_convergence
from aktes_xr.report.panels import Panel

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_BAR_SHARE: Final = 0.28
_MISSING: Final = "0.85"


def draw(axis: Axes, panel: Panel, *, labelled: bool = True) -> None:
    """Draw a map.

    Parameters
    ----------
    axis : matplotlib Axes
    panel : Panel
    labelled : bool
        Whether a bar tells the scale and an arrow north.
    """
    field = panel.field
    left, right, bottom, top = extent(field)
    axis.set_facecolor(_MISSING)
    options: dict[str, Any] = {"interpolation": "nearest", "extent": (left, right, bottom, top)}
    if panel.field.ndim == 3:
        axis.imshow(np.ma.masked_invalid(field.to_numpy()).filled(0.85), **options)
    elif panel.classes:
        _draw_classes(axis, panel, options)
    else:
        low, high = panel.limits
        image = axis.imshow(
            field.transpose("y", "x").to_numpy(), cmap=panel.colours, vmin=low, vmax=high, **options
        )
        _colour_bar(axis, panel, image)
    axis.set_title(panel.title, fontsize="medium")
    axis.tick_params(labelsize="small")
    axis.ticklabel_format(useOffset=False, style="plain")
    axis.locator_params(nbins=4)
    if labelled:
        _scale_bar(axis, right - left)
        _north(axis, field)


def extent(field: xr.DataArray) -> tuple[float, float, float, float]:
    """Return the outer edges of a field's pixels.

    Parameters
    ----------
    field : DataArray with y and x, m
        Coordinates of the pixels' centres.

    Returns
    -------
    left, right, bottom, top : float, km
    """
    x = field["x"].to_numpy().astype("float64") / 1000
    y = field["y"].to_numpy().astype("float64") / 1000
    dx, dy = (x[-1] - x[0]) / max(x.size - 1, 1) / 2, (y[-1] - y[0]) / max(y.size - 1, 1) / 2
    return float(x[0] - dx), float(x[-1] + dx), float(y[-1] + dy), float(y[0] - dy)


def crs_words(ds: xr.Dataset | xr.DataArray) -> str:
    """Name the coordinate reference system of a map.

    Parameters
    ----------
    ds : Dataset or DataArray

    Returns
    -------
    str
        Such as ``"WGS 84 / UTM zone 32N (EPSG:32632)"``.
    """
    crs = ds.rio.crs
    if crs is None:
        return "no coordinate reference system is stated"
    import pyproj

    name = pyproj.CRS.from_user_input(crs).name
    code = crs.to_epsg()
    return name if code is None else f"{name} (EPSG:{code})"


def _colour_bar(axis: Axes, panel: Panel, image: Any) -> None:
    values = panel.field.to_numpy()
    low, high = np.nanmin(values, initial=np.inf), np.nanmax(values, initial=-np.inf)
    below, above = low < panel.limits[0], high > panel.limits[1]
    extend = {(0, 0): "neither", (1, 0): "min", (0, 1): "max", (1, 1): "both"}[(below, above)]
    bar = axis.figure.colorbar(image, ax=axis, shrink=0.85, pad=0.02, extend=extend)
    bar.ax.tick_params(labelsize="small")
    bar.ax.set_title("" if panel.unit == "1" else panel.unit, fontsize="small")


def _draw_classes(axis: Axes, panel: Panel, options: dict[str, Any]) -> None:
    from matplotlib.colors import ListedColormap
    from matplotlib.patches import Patch

    colours = [colour for _, colour in panel.classes]
    low, high = panel.limits
    if colours:
        axis.imshow(
            panel.field.to_numpy(), cmap=ListedColormap(colours), vmin=low, vmax=high, **options
        )
    handles = [
        Patch(facecolor=colour, edgecolor="0.3", linewidth=0.5, label=name)
        for name, colour in panel.classes
    ]
    axis.legend(
        handles=handles,
        # Below the map: beside it a legend would leave the map half its width.
        loc="upper center",
        bbox_to_anchor=(0.5, -0.2),
        ncols=2,
        fontsize="small",
        frameon=False,
        handlelength=1.2,
    )


def _scale_bar(axis: Axes, width_km: float) -> None:
    """Draw a bar of a round number of kilometres in the lower left corner."""
    length = _round_length(width_km * _BAR_SHARE)
    words = f"{length:g} km" if length >= 1 else f"{1000 * length:g} m"
    share = length / width_km
    start, height = 0.04, 0.045
    box = {"facecolor": "white", "alpha": 0.75, "edgecolor": "none", "pad": 1.5}
    axis.plot(
        [start, start + share],
        [height, height],
        transform=axis.transAxes,
        color="black",
        linewidth=3.5,
        solid_capstyle="butt",
        zorder=4,
    )
    axis.plot(
        [start, start + share],
        [height, height],
        transform=axis.transAxes,
        color="white",
        linewidth=1.5,
        solid_capstyle="butt",
        zorder=5,
    )
    axis.text(
        start,
        height + 0.03,
        words,
        transform=axis.transAxes,
        fontsize="small",
        va="bottom",
        bbox=box,
        zorder=5,
    )


def _round_length(wished: float) -> float:
    """Return the largest of 1, 2, 5, 10, ... that is not longer than wished."""
    power = 10.0 ** math.floor(math.log10(max(wished, 1e-6)))
    return max(step * power for step in (1.0, 2.0, 5.0) if step * power <= wished * (1 + 1e-9))


def _north(axis: Axes, field: xr.DataArray) -> None:
    """Point to true north in the upper right corner; grid north may be off by some degrees."""
    angle = -math.radians(grid_convergence(field))
    sine, cosine = math.sin(angle), math.cos(angle)
    centre, length = (0.93, 0.88), 0.055
    axis.annotate(
        "N",
        xy=(centre[0] + length * sine, centre[1] + length * cosine),
        xytext=(centre[0] - length * sine, centre[1] - length * cosine),
        xycoords="axes fraction",
        textcoords="axes fraction",
        ha="center",
        va="center",
        fontsize="small",
        arrowprops={"arrowstyle": "-|>", "color": "black", "linewidth": 1.2},
        bbox={"facecolor": "white", "alpha": 0.75, "edgecolor": "none", "pad": 1.0},
        zorder=6,
    )


def panel_figure(panel: Panel, *, title: bool = True) -> Figure:
    """Draw one map as a figure of its own.

    Parameters
    ----------
    panel : Panel
    title : bool
        Whether the figure carries its title; on a page the caption does.

    Returns
    -------
    matplotlib.figure.Figure
    """
    from matplotlib.figure import Figure

    ny, nx = panel.field.shape[:2]
    height = 3.6 * min(max(ny / nx, 0.4), 1.6) + (0.3 if title else 0.05)
    figure = Figure(figsize=(4.5, height + 0.1 * len(panel.classes)), layout="constrained")
    axis = figure.subplots()
    draw(axis, panel)
    if not title:
        axis.set_title("")
    axis.set_xlabel("easting (km)", fontsize="small")
    axis.set_ylabel("northing (km)", fontsize="small")
    return figure
