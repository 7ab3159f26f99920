"""One date of a result on a map that can be moved, for notebooks."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any, Final

import xarray as xr

from aktes_xr.errors import DependencyError, InputError, MissingVariableError

__all__ = ["explore"]

_LONGEST_SIDE: Final = 2000
"""Pixels along a side that a browser is handed: more only makes the page heavy."""
_EXTRA: Final = "pip install 'aktes-xr[explore]'"
_COLOURS: Final = {
    "surface_temperature": "inferno",
    "emissivity": "cividis",
    "sky_view_factor": "gray",
    "surface_temperature_uncertainty": "magma",
}


def explore(
    ds: xr.Dataset,
    variable: str = "surface_temperature",
    *,
    time: int = 0,
    band: str | None = None,
    **options: Any,
) -> Any:
    """Show a variable on an interactive map, through odc-geo and folium.

    Parameters
    ----------
    ds : Dataset
        A result or a cube, with a CRS.
    variable : str
        What to show.
    time : int
        Index of the date.
    band : str, optional
        Band of a variable that has several; the first unless given.
    **options
        For ``DataArray.odc.explore``: ``map`` (a folium map to add to), ``vmin``, ``vmax``,
        ``cmap``, ``tiles``, ...

    Returns
    -------
    folium.Map
        Colours reach from the second to the 98th percentile unless ``vmin`` and ``vmax`` are given.

    Raises
    ------
    DependencyError
        odc-geo or folium is not installed.
    MissingVariableError
        There is no such variable.
    InputError
        There is no such date or band, or the variable has no y and x.

    Notes
    -----
    The values of this one layer are computed. The base map is fetched by the browser.
    """
    missing = [name for name in ("odc.geo", "folium") if not _installed(name)]
    if missing:
        raise DependencyError(f"a map needs {' and '.join(missing)}; run: {_EXTRA}")
    import odc.geo.xr  # noqa: F401  registers `.odc`

    layer = _layer(ds, variable, time, band)
    step = -(-max(layer.sizes["y"], layer.sizes["x"]) // _LONGEST_SIDE)
    layer = layer.isel(y=slice(None, None, step), x=slice(None, None, step)).compute()
    chosen = {"cmap": _COLOURS.get(variable, "viridis"), "robust": True, "name": variable}
    return layer.odc.explore(**{**chosen, **options})


def _installed(name: str) -> bool:
    parent = name.partition(".")[0]
    return find_spec(parent) is not None and find_spec(name) is not None


def _layer(ds: xr.Dataset, variable: str, time: int, band: str | None) -> xr.DataArray:
    if variable not in ds:
        raise MissingVariableError(
            f"found no variable {variable!r}, expected one of "
            f"{', '.join(sorted(map(str, ds.data_vars)))}"
        )
    layer = ds[variable]
    if "time" in layer.dims:
        if not -layer.sizes["time"] <= time < layer.sizes["time"]:
            raise InputError(f"time is {time}, expected the index of {layer.sizes['time']} date(s)")
        layer = layer.isel(time=time)
    if "band" in layer.dims:
        names = [str(name) for name in layer["band"].to_numpy()]
        if band is not None and band not in names:
            raise InputError(f"band is {band!r}, expected one of {', '.join(names)}")
        layer = layer.isel(band=0 if band is None else names.index(band))
    if set(layer.dims) != {"y", "x"}:
        raise InputError(f"{variable!r} has dimensions {layer.dims}, expected y and x for a map")
    aside = [name for name in layer.coords if name not in {"y", "x", "spatial_ref"}]
    placed: xr.DataArray = layer.drop_vars(aside).rio.write_crs(ds.rio.crs)
    return placed
