"""Fetch emissivity files from NASA's archive through earthaccess, unless they are there already."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from aktes_xr.ancillaries import earthdata
from aktes_xr.ancillaries.camel import find_months
from aktes_xr.ancillaries.ged import find_tiles, needed_tiles
from aktes_xr.ancillaries.place import CubeGrid
from aktes_xr.errors import AncillaryError

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
    AccessError
        There is no login, or it is refused.
    ReadError
        The search or the download fails.
    """
    if definition.content != "emissivity" or definition.collection is None:
        raise AncillaryError(
            f"{definition.name!r} holds {definition.content}, expected emissivity: 'ged' or 'camel'"
        )
    place = earthdata.folder_of(definition, folder)
    present = earthdata.files_in(place)
    if definition.collection == "AG100":
        tiles = find_tiles(present)
        complete = all(corner in tiles for corner in needed_tiles(grid))
    else:
        months = find_months(present)
        complete = all(month in months for month in np.unique(ds["time"].dt.month.to_numpy()))
    if complete:
        return present
    earthdata.require(definition)
    earthdata.login(definition)
    found = earthdata.search(definition, bounding_box=ds.rio.transform_bounds("EPSG:4326"))
    if found:
        earthdata.download(definition, found, place)
    return earthdata.files_in(place)
