"""The thermal radiance equation at the surface, flat and in terrain, forward and inverse.

With transmittance t, path radiance Lp, hemispheric sky radiance Ls, emissivity e, the
Lambert-weighted sky-view factor V and the mean radiance La that leaves the terrain around,

    L = t [ e B(T) + (1 - e) E ] + Lp,    E = V Ls + (1 - V) La,

and E = Ls on a flat surface (V = 1). A retrieval that ignores the terrain errs, to first order, by

    dT = (1 - V) (1 - e) (La - Ls) / (e dB/dT).

Functions take arrays with the five bands on the last axis (temperature and sky-view factor without
that axis) or DataArrays with a dimension ``band``, lazily where the input is lazy; with ``band=``
every argument is of that one band and has no band axis.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from aktes_xr import sensor
from aktes_xr.errors import InputError


def _operands(*values: Any) -> list[Any]:
    """Give vectors of five bands their dimension where they meet DataArrays."""
    if not any(isinstance(value, xr.DataArray) for value in values):
        return [None if value is None else np.asarray(value) for value in values]
    coords = {"band": list(sensor.BANDS)}
    return [
        xr.DataArray(value, coords, "band")
        if not isinstance(value, xr.DataArray) and np.shape(value) == (len(sensor.BANDS),)
        else value
        for value in values
    ]


def _spread(field: Any, like: Any, band: str | None) -> Any:
    """Give a field without a band axis that of ``like``."""
    if band is not None or field is None:
        return field
    if isinstance(like, xr.DataArray):
        if isinstance(field, xr.DataArray) and "band" in field.dims:
            return field
        return xr.DataArray(field).broadcast_like(like) if "band" in like.dims else field
    return np.asarray(field)[..., np.newaxis]


def irradiance(
    sky_radiance: Any, *, sky_view_factor: Any = None, adjacent_radiance: Any = None
) -> Any:
    """Mix sky and adjacent terrain, ``V Ls + (1 - V) La``.

    Parameters
    ----------
    sky_radiance, adjacent_radiance : ndarray or DataArray, W m-2 sr-1 um-1
        Hemispheric sky radiance and mean radiance leaving the terrain around.
    sky_view_factor : ndarray or DataArray, 1, optional
        Lambert-weighted; must broadcast against ``sky_radiance``. None: flat.

    Returns
    -------
    ndarray or DataArray, W m-2 sr-1 um-1
        The mean radiance that reaches the surface (irradiance over pi).

    Raises
    ------
    InputError
        If one of the two terrain terms is given without the other.
    """
    if (sky_view_factor is None) != (adjacent_radiance is None):
        raise InputError(
            "found one of sky_view_factor and adjacent_radiance, expected both (terrain) or "
            "neither (flat)"
        )
    if sky_view_factor is None:
        return sky_radiance
    return sky_view_factor * sky_radiance + (1 - sky_view_factor) * adjacent_radiance


def surface_leaving_radiance(toa_radiance: Any, transmittance: Any, path_radiance: Any) -> Any:
    """Remove the atmosphere between surface and sensor, ``(L - Lp) / t``.

    Parameters
    ----------
    toa_radiance, path_radiance : ndarray (..., 5) or DataArray, W m-2 sr-1 um-1
        At-sensor radiance and path radiance.
    transmittance : ndarray (..., 5) or DataArray, 1
        Positive.

    Returns
    -------
    ndarray or DataArray, W m-2 sr-1 um-1
    """
    return (toa_radiance - path_radiance) / transmittance


def top_of_atmosphere_radiance(
    surface_temperature: Any,
    emissivity: Any,
    transmittance: Any,
    path_radiance: Any,
    sky_radiance: Any,
    *,
    sky_view_factor: Any = None,
    adjacent_radiance: Any = None,
    band: str | None = None,
) -> Any:
    """Evaluate the radiance equation.

    Parameters
    ----------
    surface_temperature : ndarray (...) or DataArray, K
        Kinetic temperature, one for all bands.
    emissivity, transmittance : ndarray (..., 5) or DataArray (..., band), 1
        Of the surface and of the path to the sensor.
    path_radiance, sky_radiance : ndarray (..., 5) or DataArray (..., band), W m-2 sr-1 um-1
        Upwelling at the sensor, and hemispheric mean of the downwelling at the surface.
    sky_view_factor : ndarray (...) or DataArray, 1, optional
        Lambert-weighted; with ``adjacent_radiance`` for terrain, without for flat ground.
    adjacent_radiance : ndarray (..., 5) or DataArray (..., band), W m-2 sr-1 um-1, optional
        Mean radiance leaving the terrain around.
    band : str, optional
        The one band all arguments are of.

    Returns
    -------
    ndarray (..., 5) or DataArray, W m-2 sr-1 um-1

    Raises
    ------
    InputError
        If one of the two terrain terms is given without the other.
    """
    temperature, emis, t, lp, ls, svf, la = _operands(
        surface_temperature,
        emissivity,
        transmittance,
        path_radiance,
        sky_radiance,
        sky_view_factor,
        adjacent_radiance,
    )
    planck = sensor.brightness_temperature_to_radiance(
        _band_temperature(temperature, emis, band), band=band
    )
    reaching = irradiance(ls, sky_view_factor=_spread(svf, emis, band), adjacent_radiance=la)
    return t * (emis * planck + (1 - emis) * reaching) + lp


def _band_temperature(temperature: Any, like: Any, band: str | None) -> Any:
    spread = _spread(temperature, like, band)
    if isinstance(spread, xr.DataArray) or band is not None:
        return spread
    return np.broadcast_to(spread, np.broadcast_shapes(spread.shape, (len(sensor.BANDS),)))


def surface_temperature(
    surface_leaving: Any,
    emissivity: Any,
    sky_radiance: Any,
    *,
    sky_view_factor: Any = None,
    adjacent_radiance: Any = None,
    band: str | None = None,
) -> Any:
    """Invert the radiance equation for the temperature that each band sees.

    Parameters
    ----------
    surface_leaving : ndarray (..., 5) or DataArray (..., band), W m-2 sr-1 um-1
        Of `surface_leaving_radiance`.
    emissivity : ndarray (..., 5) or DataArray (..., band), 1
        Positive.
    sky_radiance : ndarray (..., 5) or DataArray (..., band), W m-2 sr-1 um-1
        Hemispheric mean at the surface.
    sky_view_factor, adjacent_radiance : optional
        As in `top_of_atmosphere_radiance`.
    band : str, optional
        The one band all arguments are of.

    Returns
    -------
    ndarray (..., 5) or DataArray, K
        One temperature per band; NaN where nothing is left after the reflected part.

    Raises
    ------
    InputError
        If one of the two terrain terms is given without the other.
    """
    leaving, emis, ls, svf, la = _operands(
        surface_leaving, emissivity, sky_radiance, sky_view_factor, adjacent_radiance
    )
    reaching = irradiance(ls, sky_view_factor=_spread(svf, emis, band), adjacent_radiance=la)
    planck = (leaving - (1 - emis) * reaching) / emis
    return sensor.radiance_to_brightness_temperature(planck, band=band)


def flat_retrieval_error_k(
    sky_view_factor: Any,
    emissivity: Any,
    adjacent_temperature: Any,
    sky_radiance: Any,
    *,
    surface_temperature: Any = None,
    adjacent_emissivity: Any = 1.0,
    band: str | None = None,
) -> Any:
    """Predict the temperature error of a retrieval that takes the terrain for flat.

    Parameters
    ----------
    sky_view_factor : ndarray (...) or DataArray, 1
        Lambert-weighted.
    emissivity : ndarray (..., 5) or DataArray (..., band), 1
        Of the pixel.
    adjacent_temperature : ndarray (...) or DataArray, K
        Of the terrain around.
    sky_radiance : ndarray (..., 5) or DataArray (..., band), W m-2 sr-1 um-1
        Hemispheric mean at the surface.
    surface_temperature : ndarray (...) or DataArray, K, optional
        Where the slope of the Planck function is taken; None: ``adjacent_temperature``.
    adjacent_emissivity : float or like ``emissivity``, 1
        Of the terrain around; the rest of what leaves it is reflected sky.
    band : str, optional
        The one band all arguments are of.

    Returns
    -------
    ndarray (..., 5) or DataArray, K
        Positive: the flat retrieval is too warm.
    """
    svf, emis, ta, ls, ts, ea = _operands(
        sky_view_factor,
        emissivity,
        adjacent_temperature,
        sky_radiance,
        adjacent_temperature if surface_temperature is None else surface_temperature,
        adjacent_emissivity,
    )
    planck = sensor.brightness_temperature_to_radiance(_band_temperature(ta, emis, band), band=band)
    slope = sensor.radiance_derivative(_band_temperature(ts, emis, band), band=band)
    adjacent = ea * planck + (1 - ea) * ls
    return (1 - _spread(svf, emis, band)) * (1 - emis) * (adjacent - ls) / (emis * slope)
