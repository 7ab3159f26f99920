"""One figure of all terrain indices, for a report or a notebook."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from aktes_xr.errors import MissingVariableError
from aktes_xr.terrain.block import INDICES

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_LONGEST_SIDE = 600
_COLUMNS = 4
_PANELS = (*INDICES, "terrain_complexity_k")
_CYCLIC = frozenset({"aspect"})
_DIVERGING = frozenset({"tpi"})
_REVERSED = frozenset({"sky_view_factor", "sky_view_factor_uniform"})


def plot_indices(indices: xr.Dataset, *, title: str | None = None) -> Figure:
    """Draw every terrain index that is there, each on its own scale.

    Computes what it draws: every n-th pixel, so that the longer side has 600 at most.

    Parameters
    ----------
    indices : Dataset (y, x)
        Of `terrain_indices`, with ``terrain_complexity_k`` where it was merged in.
    title : str, optional
        Above all panels.

    Returns
    -------
    matplotlib.figure.Figure
        Not attached to pyplot; ``figure.savefig(path)`` writes it.

    Raises
    ------
    MissingVariableError
        If there is no index in the dataset.
    """
    from matplotlib.figure import Figure

    names = [name for name in _PANELS if name in indices.data_vars]
    if not names:
        raise MissingVariableError(
            "no terrain index to draw: expected the Dataset of terrain_indices"
        )
    step = max(1, -(-max(indices.sizes["y"], indices.sizes["x"]) // _LONGEST_SIDE))
    shown = indices[names].isel(y=slice(None, None, step), x=slice(None, None, step)).compute()
    rows = -(-len(names) // _COLUMNS)
    height = min(max(shown.sizes["y"] / shown.sizes["x"], 0.4), 1.6)
    figure = Figure(figsize=(3.4 * _COLUMNS, (2.6 * height + 0.7) * rows), layout="constrained")
    axes = figure.subplots(rows, _COLUMNS, squeeze=False)
    for panel in axes.flat:
        panel.set_axis_off()
    for panel, name in zip(axes.flat, names, strict=False):
        values = shown[name].values
        low, high, colours = _scale(name, values)
        image = panel.imshow(values, vmin=low, vmax=high, cmap=colours, interpolation="nearest")
        units = shown[name].attrs.get("units", "1")
        panel.set_title(name.replace("_", " ") + ("" if units == "1" else f" ({units})"), size=9)
        bar = figure.colorbar(image, ax=panel, shrink=0.8, pad=0.02)
        bar.ax.tick_params(labelsize=7)
    if title:
        figure.suptitle(title)
    return figure


def _scale(name: str, values: np.ndarray) -> tuple[float, float, str]:
    """Limits and colour map: two per cent of the pixels at each end are beyond the limits."""
    if name in _CYCLIC:
        return 0.0, 360.0, "twilight"
    known = values[np.isfinite(values)]
    low, high = (float(v) for v in np.percentile(known, [2, 98])) if known.size else (0.0, 1.0)
    high = high if high > low else low + 1.0
    if name in _DIVERGING:
        limit = max(abs(low), abs(high))
        return -limit, limit, "RdBu_r"
    return low, high, "viridis_r" if name in _REVERSED else "viridis"
