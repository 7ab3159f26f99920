"""Fetch emissivity files from NASA's archive through earthaccess, unless they are there already."""

from __future__ import annotations

import os
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from aktes_xr.ancillaries.camel import find_months
from aktes_xr.ancillaries.ged import find_tiles, needed_tiles
from aktes_xr.ancillaries.place import CubeGrid
from aktes_xr.errors import AncillaryError, DependencyError, ReadError

if TYPE_CHECKING:
    import xarray as xr

    from aktes_xr.catalog import Source


def download(
    definition: Source, ds: xr.Dataset, grid: CubeGrid, *, folder: str | Path | None
) -> Iterable[Path]:
    """Return the files of a collection that a cube needs; fetch those that are not there.

    Parameters
    ----------
    definition : Source of kind ``"folder"``
    ds : Dataset, the cube
    grid : CubeGrid, the cube's
    folder : where files are kept; the user's cache directory unless given

    Raises
    ------
    AncillaryError
        It is no collection of emissivity.
    DependencyError
        Files are missing, and earthaccess is not installed.
    ReadError
        There is no login, or the download fails.
    """
    if definition.content != "emissivity" or definition.collection is None:
        raise AncillaryError(
            f"{definition.name!r} holds {definition.content}, expected emissivity: 'ged' or 'camel'"
        )
    place = _cache(definition.collection) if folder is None else Path(folder)
    present = [path for path in place.iterdir() if path.is_file()] if place.is_dir() else []
    if definition.collection == "AG100":
        tiles = find_tiles(present)
        complete = all(corner in tiles for corner in needed_tiles(grid))
    else:
        months = find_months(present)
        complete = all(month in months for month in np.unique(ds["time"].dt.month.to_numpy()))
    if complete:
        return present
    if find_spec("earthaccess") is None:
        raise DependencyError(
            f"downloading {definition.collection} needs earthaccess; run: pip install "
            "'aktes-xr[earthdata]', or give the folder that holds the files"
        )
    place.mkdir(parents=True, exist_ok=True)
    _fetch(definition, ds, place)
    return [path for path in place.iterdir() if path.is_file()]


def _cache(collection: str) -> Path:
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "aktes_xr" / collection


def _fetch(definition: Source, ds: xr.Dataset, place: Path) -> None:
    import earthaccess

    west, south, east, north = ds.rio.transform_bounds("EPSG:4326")
    try:
        earthaccess.login()
        found = earthaccess.search_data(
            short_name=definition.collection,
            version=definition.version,
            bounding_box=(west, south, east, north),
        )
        if found:
            earthaccess.download(found, str(place))
    except (OSError, RuntimeError, ValueError) as error:
        raise ReadError(
            f"{definition.collection} could not be downloaded ({str(error)[:200]}); check the "
            "Earthdata login, or give the folder that holds the files"
        ) from None
