"""How a job's sources are reached: who signs their links, and where elevation comes from."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any

from aktes_xr.errors import ConfigError, DependencyError, InputError
from aktes_xr.stac import search, sources
from aktes_xr.stac.signing import Modifier


def modifier_of(source: str | None) -> Modifier | None:
    """Return the signing function that a shipped source names as ``"package:function"``.

    Parameters
    ----------
    source : str or None
        Name of a source; None, or another text, has none.

    Returns
    -------
    callable or None

    Raises
    ------
    DependencyError
        Its package is not installed.
    """
    known = sources().get(source or "")
    if known is None or known.modifier is None:
        return None
    package, _, function = known.modifier.partition(":")
    try:
        modifier: Modifier = getattr(importlib.import_module(package), function)
    except ModuleNotFoundError:
        raise DependencyError(
            f"links of {source!r} must be signed by {package}.{function}, which is not installed; "
            f"run: pip install {package.replace('_', '-')}"
        ) from None
    return modifier


def modifier_for(names: Sequence[str]) -> Modifier | None:
    """Return the one signing function of several sources.

    Parameters
    ----------
    names : sequence of str

    Returns
    -------
    callable or None

    Raises
    ------
    ConfigError
        They sign in different ways.
    """
    found = [modifier for modifier in map(modifier_of, names) if modifier is not None]
    if any(modifier is not found[0] for modifier in found):
        raise ConfigError(
            f"the sources {', '.join(names)} sign their links differently: make a job of each"
        )
    return found[0] if found else None


def elevation_of(
    dem: str | None,
    bbox: tuple[float, float, float, float] | None,
    modifier: Modifier | None,
) -> Any:
    """Return an elevation raster, or the items of the elevation source that is named.

    Parameters
    ----------
    dem : str or None
        Path of a raster, or name of a shipped source.
    bbox : (west, south, east, north), degree, or None
        Where it is wanted.
    modifier : callable or None
        That of the thermal items.

    Returns
    -------
    path, items or None
        What `aktes_xr.open_stac` takes.

    Raises
    ------
    InputError
        A source needs a box, or signs its links otherwise than the items are signed.
    """
    if dem is None or dem not in sources():
        return dem
    if bbox is None:
        raise InputError(f"taking elevation from {dem!r} needs bbox=")
    signed = modifier_of(dem)
    if modifier is not None and signed is not None and signed is not modifier:
        raise InputError(
            f"{dem!r} and the items' source sign their links differently; download the elevation "
            "and give its path"
        )
    return search(dem, bbox=bbox, modifier=signed)
