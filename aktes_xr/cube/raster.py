"""A raster of one band, of this machine, as a DataArray."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import rioxarray
import xarray as xr
from rasterio.errors import RasterioError

from aktes_xr.errors import InputError


def open_band(path: str | os.PathLike[str], *, holds: str, chunks: Any = None) -> xr.DataArray:
    """Open a raster of one band, with NaN for its nodata.

    Parameters
    ----------
    path : path
        The raster, in any format GDAL knows.
    holds : str
        What the band is expected to hold, for the message.
    chunks : optional
        Of the array, as rioxarray takes them; by default the values are read when they are used.

    Returns
    -------
    DataArray (y, x)

    Raises
    ------
    InputError
        It is no raster, or has several bands or grids.
    """
    name = Path(path).name
    wanted = f"expected a raster of one band, {holds}"
    try:
        raster = rioxarray.open_rasterio(path, masked=True, chunks=chunks)
    except (RasterioError, OSError) as error:
        reason = str(error).replace(str(path), name).rstrip(".")
        raise InputError(f"{name} could not be opened ({reason}); {wanted}") from error
    if not isinstance(raster, xr.DataArray) or raster.sizes["band"] != 1:
        raise InputError(f"{name} holds several bands or grids; {wanted}")
    return raster.squeeze("band", drop=True)
