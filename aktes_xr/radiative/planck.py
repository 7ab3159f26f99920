"""Planck's law: spectral, by wavelength and by wavenumber, and response-weighted inside kernels.

The compiled functions read rows of `aktes_xr.sensor.planck_table`; their signatures, for use inside
other numba kernels, are

    band_radiance(temperature, first_k, step_k, row) -> radiance
    band_temperature(radiance, first_k, step_k, row) -> temperature

with ``table = planck_table()``, ``first_k = table.temperature[0]``, ``step_k = table.step`` and
``row = table.radiance[band]`` (n,) float64. Outside the table both return NaN. They agree with
`aktes_xr.sensor` to rounding, because the nodes and the interpolation are the same.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from aktes_xr.compilation import kernel

# CODATA 2018, exact: 2 h c^2 and h c / k.
_PLANCK: Final = 6.62607015e-34
_LIGHT: Final = 299792458.0
_BOLTZMANN: Final = 1.380649e-23
FIRST_CONSTANT_UM: Final = 2.0 * _PLANCK * _LIGHT**2 * 1e24
"""W um4 m-2 sr-1."""
SECOND_CONSTANT_UM: Final = _PLANCK * _LIGHT / _BOLTZMANN * 1e6
"""um K."""
FIRST_CONSTANT_CM: Final = 2.0 * _PLANCK * _LIGHT**2 * 1e8
"""W m-2 sr-1 cm4: radiance per cm-1 is this times the cube of the wavenumber in cm-1."""
SECOND_CONSTANT_CM: Final = SECOND_CONSTANT_UM * 1e-4
"""cm K."""


def planck_wavelength(wavelength_um: ArrayLike, temperature: ArrayLike) -> NDArray[np.float64]:
    """Evaluate Planck's law by wavelength.

    Parameters
    ----------
    wavelength_um : array, um
        Broadcasts against ``temperature``.
    temperature : array, K
        Of the black body.

    Returns
    -------
    ndarray, float64, W m-2 sr-1 um-1
        ``c1 / l^5 / (exp(c2 / (l T)) - 1)``.
    """
    wavelength = np.asarray(wavelength_um, dtype=np.float64)
    exponent = SECOND_CONSTANT_UM / (wavelength * np.asarray(temperature, dtype=np.float64))
    return np.asarray(FIRST_CONSTANT_UM / (wavelength**5 * np.expm1(exponent)))


def planck_temperature(wavelength_um: ArrayLike, radiance: ArrayLike) -> NDArray[np.float64]:
    """Invert Planck's law at a wavelength.

    Parameters
    ----------
    wavelength_um : array, um
        Broadcasts against ``radiance``.
    radiance : array, W m-2 sr-1 um-1
        Spectral radiance, positive.

    Returns
    -------
    ndarray, float64, K
        NaN where ``radiance`` is not positive.
    """
    wavelength = np.asarray(wavelength_um, dtype=np.float64)
    values = np.asarray(radiance, dtype=np.float64)
    positive = np.where(values > 0, values, np.nan)
    inner = np.log1p(FIRST_CONSTANT_UM / (wavelength**5 * positive))
    return np.asarray(SECOND_CONSTANT_UM / (wavelength * inner))


def planck_wavenumber(wavenumber_cm: ArrayLike, temperature: ArrayLike) -> NDArray[np.float64]:
    """Evaluate Planck's law by wavenumber.

    Parameters
    ----------
    wavenumber_cm : array, cm-1
        Broadcasts against ``temperature``.
    temperature : array, K
        Of the black body.

    Returns
    -------
    ndarray, float64, W m-2 sr-1 (cm-1)-1
        ``c1 n^3 / (exp(c2 n / T) - 1)``.
    """
    wavenumber = np.asarray(wavenumber_cm, dtype=np.float64)
    exponent = SECOND_CONSTANT_CM * wavenumber / np.asarray(temperature, dtype=np.float64)
    return np.asarray(FIRST_CONSTANT_CM * wavenumber**3 / np.expm1(exponent))


def planck_derivative(wavelength_um: ArrayLike, temperature: ArrayLike) -> NDArray[np.float64]:
    """Evaluate the derivative of Planck's law by temperature.

    Parameters
    ----------
    wavelength_um : array, um
        Broadcasts against ``temperature``.
    temperature : array, K
        Of the black body.

    Returns
    -------
    ndarray, float64, W m-2 sr-1 um-1 K-1
        Spectral, by wavelength.
    """
    values = np.asarray(temperature, dtype=np.float64)
    exponent = SECOND_CONSTANT_UM / (np.asarray(wavelength_um, dtype=np.float64) * values)
    radiance = planck_wavelength(wavelength_um, values)
    return np.asarray(radiance * exponent / (values * -np.expm1(-exponent)))


@kernel()
def band_radiance(
    temperature: float, first_k: float, step_k: float, row: NDArray[np.float64]
) -> float:
    """Interpolate a band's radiance at a temperature.

    Parameters
    ----------
    temperature : float, K
        Of a black body.
    first_k, step_k : float, K
        First node of the table and the spacing of its nodes.
    row : ndarray (node,), float64, W m-2 sr-1 um-1
        The band's radiance at the nodes.

    Returns
    -------
    float, W m-2 sr-1 um-1
        NaN outside the table.
    """
    position = (temperature - first_k) / step_k
    if not (0.0 <= position <= row.size - 1):
        return np.nan
    node = min(int(position), row.size - 2)
    return float(row[node] + (position - node) * (row[node + 1] - row[node]))


@kernel()
def band_temperature(
    radiance: float, first_k: float, step_k: float, row: NDArray[np.float64]
) -> float:
    """Invert a band's radiance to a temperature, by bisection.

    Parameters
    ----------
    radiance : float, W m-2 sr-1 um-1
        Of a black body.
    first_k, step_k : float, K
        First node of the table and the spacing of its nodes.
    row : ndarray (node,), float64, W m-2 sr-1 um-1
        The band's radiance at the nodes; it rises from node to node.

    Returns
    -------
    float, K
        NaN outside the table.
    """
    last = row.size - 1
    if not (row[0] <= radiance <= row[last]):
        return np.nan
    low, high = 0, last
    while high - low > 1:
        middle = (low + high) // 2
        if row[middle] <= radiance:
            low = middle
        else:
            high = middle
    fraction = (radiance - row[low]) / (row[low + 1] - row[low])
    return float(first_k + (low + fraction) * step_k)
