"""From what a cube's ``tir`` holds to radiance and brightness temperature, lazily."""

from __future__ import annotations

import xarray as xr

from aktes_xr import sensor
from aktes_xr.cube.checking import check

__all__ = ["brightness_temperature", "radiance"]


def radiance(ds: xr.Dataset) -> xr.DataArray:
    """Return the at-sensor radiance of a cube.

    Parameters
    ----------
    ds : Dataset
        ``tir`` (time, band, y, x), uint16 DN or float32 W m-2 sr-1 um-1.

    Returns
    -------
    DataArray (time, band, y, x), float32, W m-2 sr-1 um-1
        Lazy where ``tir`` is; NaN where it is fill. Radiance is returned as it is.

    Raises
    ------
    CubeError
        If the dataset breaks the contract of `aktes_xr.cube`.
    """
    if check(ds).tir_units == "DN":
        return sensor.dn_to_radiance(ds["tir"]).rename("radiance")
    return ds["tir"].rename("radiance")


def brightness_temperature(ds: xr.Dataset) -> xr.DataArray:
    """Return the brightness temperature of a cube.

    Parameters
    ----------
    ds : Dataset
        ``tir`` (time, band, y, x), uint16 DN or float32 W m-2 sr-1 um-1.

    Returns
    -------
    DataArray (time, band, y, x), float32, K
        Lazy where ``tir`` is; NaN where it is fill or holds no radiance.

    Raises
    ------
    CubeError
        If the dataset breaks the contract of `aktes_xr.cube`.
    """
    if check(ds).tir_units == "DN":
        return sensor.dn_to_brightness_temperature(ds["tir"]).rename("brightness_temperature")
    return sensor.radiance_to_brightness_temperature(ds["tir"]).rename("brightness_temperature")
