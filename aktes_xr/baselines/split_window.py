"""The generalised split window on B13 and B14, with coefficients by water vapour.

    T = c0 + (c1 + c2 (1-e)/e + c3 de/e^2) (T13+T14)/2
           + (c4 + c5 (1-e)/e + c6 de/e^2) (T13-T14)/2
           + c7 (T13-T14)^2 + c8 (sec(view) - 1) (T13-T14)

with e the mean and de the difference of the two emissivities ([1]_, equation 11; the square:
[2]_). The coefficients were fitted on simulations by ``python -m aktes_xr.tables.split_window``, in
overlapping classes of water vapour. Between the centres of the classes the results are
interpolated, so that no step shows where the water column crosses a class.

References
----------
.. [1] Wan and Dozier (1996), IEEE TGRS 34(4), 892-905.
.. [2] Wan (2014), Remote Sens. Environ. 140, 36-45.
"""

from __future__ import annotations

import functools
import importlib.resources
import json
from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from aktes_xr.compilation import kernel
from aktes_xr.errors import InputError, ShapeError
from aktes_xr.sensor import BANDS

WATER_OUT_OF_RANGE: Final = 1
"""More water vapour than any class was fitted for; the last class is used."""
EMISSIVITY_ASSUMED: Final = 2
"""No emissivity was given: the prior's mean is assumed."""
TEMPERATURE_OUT_OF_RANGE: Final = 4
"""A brightness temperature, or the result, is outside what the classes were fitted on."""
INVALID: Final = 8
"""An input is missing: the output is NaN."""
_B13, _B14 = BANDS.index("B13"), BANDS.index("B14")
_TEMPERATURE_RANGE: Final = (200.0, 370.0)


@dataclass(frozen=True, eq=False)
class SplitWindowTable:
    """The shipped coefficients.

    Attributes
    ----------
    water_vapor : ndarray (class,), float64, kg m-2
        Centres of the classes.
    coefficients : ndarray (class, 9), float64
    water_vapor_max : float, kg m-2
        The wettest that was fitted.
    emissivity : ndarray (2,), float64, 1
        Mean of B13 and B14 over the prior.
    provenance : dict
        How they were fitted, and the residuals per class (K).
    """

    water_vapor: NDArray[np.float64]
    coefficients: NDArray[np.float64]
    water_vapor_max: float
    emissivity: NDArray[np.float64]
    provenance: dict[str, Any]


class SplitWindowResult(NamedTuple):
    """Temperature (...) K, emissivity of B13 and B14 used (..., 2), flags (...) uint8."""

    temperature: NDArray[Any]
    emissivity: NDArray[Any]
    flags: NDArray[np.uint8]


@functools.cache
def split_window_table() -> SplitWindowTable:
    """Read the shipped coefficients."""
    resource = importlib.resources.files("aktes_xr") / "data" / "split_window.json"
    document = json.loads(resource.read_text(encoding="utf-8"))
    return SplitWindowTable(
        np.array([entry["water_vapor"] for entry in document["classes"]]),
        np.array([entry["coefficients"] for entry in document["classes"]]),
        float(document["water_vapor_max"]),
        np.array(document["emissivity"]),
        {key: document[key] for key in ("provenance", "classes")},
    )


def predictors(
    t13: NDArray[Any],
    t14: NDArray[Any],
    emissivity: NDArray[Any],
    secant: NDArray[Any] | float,
) -> NDArray[np.float64]:
    """Return the terms that the coefficients multiply.

    Parameters
    ----------
    t13, t14 : ndarray (n,), float32 or float64, K
        Brightness temperatures of B13 and B14.
    emissivity : ndarray (n, 2), float32 or float64, 1
        Of B13 and B14.
    secant : ndarray (n,) or float, 1
        Secant of the view zenith angle.

    Returns
    -------
    ndarray (n, 9), float64
        In the order of the coefficients.
    """
    e = emissivity.astype(np.float64).mean(axis=-1)
    difference = emissivity[..., 0].astype(np.float64) - emissivity[..., 1]
    mean, half = (t13.astype(np.float64) + t14) / 2, (t13.astype(np.float64) - t14) / 2
    gray, spread = (1 - e) / e, difference / e**2
    return np.stack(
        [
            np.ones_like(mean),
            mean,
            gray * mean,
            spread * mean,
            half,
            gray * half,
            spread * half,
            4 * half**2,
            (secant - 1) * 2 * half,
        ],
        axis=-1,
    )


@kernel(error_model="numpy")
def _evaluate(row, t13, t14, e13, e14, secant):
    e = 0.5 * (e13 + e14)
    gray = (1.0 - e) / e
    spread = (e13 - e14) / (e * e)
    mean = 0.5 * (t13 + t14)
    half = 0.5 * (t13 - t14)
    total = row[0] + (row[1] + row[2] * gray + row[3] * spread) * mean
    total += (row[4] + row[5] * gray + row[6] * spread) * half
    return total + row[7] * 4.0 * half * half + row[8] * (secant - 1.0) * 2.0 * half


@kernel(error_model="numpy")
def split_window_kernel(
    brightness, emissivity, water, secant, table, limits, temperature, used, flags
):
    """Evaluate the split window for rows (n, 2) of B13 and B14.

    Parameters
    ----------
    brightness, emissivity : (n, 2), float32 or float64
        K, 1; NaN emissivity is replaced by ``limits[1:]``.
    water, secant : (n,), float64
        kg m-2; secant of the view zenith angle.
    table : (class, 10), float64
        Centre of the class (kg m-2), then its coefficients.
    limits : (3,), float64
        Greatest water vapour fitted; emissivities assumed.
    temperature, used, flags : (n,), (n, 2), (n,) uint8
        Written.
    """
    last = table.shape[0] - 1
    for pixel in range(temperature.size):
        # As float64 whatever the input: the loop over the three below needs one type.
        t13, t14 = np.float64(brightness[pixel, 0]), np.float64(brightness[pixel, 1])
        e13, e14 = np.float64(emissivity[pixel, 0]), np.float64(emissivity[pixel, 1])
        bits = 0
        if not (0.0 < e13 <= 1.0 and 0.0 < e14 <= 1.0):
            e13, e14 = limits[1], limits[2]
            bits |= EMISSIVITY_ASSUMED
        if not (t13 > 0.0 and t14 > 0.0 and water[pixel] >= 0.0 and secant[pixel] >= 1.0):
            bits |= INVALID
        if water[pixel] > limits[0]:
            bits |= WATER_OUT_OF_RANGE
        low = 0
        while low < last - 1 and water[pixel] > table[low + 1, 0]:
            low += 1
        share = (water[pixel] - table[low, 0]) / (table[low + 1, 0] - table[low, 0])
        share = min(max(share, 0.0), 1.0)
        dry = _evaluate(table[low, 1:], t13, t14, e13, e14, secant[pixel])
        wet = _evaluate(table[low + 1, 1:], t13, t14, e13, e14, secant[pixel])
        value = dry + share * (wet - dry)
        for other in (t13, t14, value):
            if not (_TEMPERATURE_RANGE[0] <= other <= _TEMPERATURE_RANGE[1]):
                bits |= TEMPERATURE_OUT_OF_RANGE
        temperature[pixel] = np.nan if bits & INVALID else value
        used[pixel, 0] = e13
        used[pixel, 1] = e14
        flags[pixel] = bits


def split_window_block(
    brightness_temperature: NDArray[Any],
    emissivity: NDArray[Any] | None,
    water_vapor: NDArray[Any],
    view_zenith_deg: NDArray[Any] | float,
) -> SplitWindowResult:
    """Evaluate a block that was checked before, inside a Dask task; see `split_window`.

    Parameters
    ----------
    brightness_temperature : ndarray (..., 5), float32 or float64, K
        At the sensor, B10..B14.
    emissivity : ndarray (5,) or (..., 5), 1, or None
        Known emissivity; NaN or None where there is none.
    water_vapor : ndarray () or (...), kg m-2
        Column above the surface.
    view_zenith_deg : ndarray () or (...) or float, degrees
        View zenith angle.

    Returns
    -------
    SplitWindowResult
        Temperature (...), emissivities used (..., 2) and flags (...).
    """
    dtype = np.dtype(np.float32 if brightness_temperature.dtype == np.float32 else np.float64)
    shape = brightness_temperature.shape[:-1]
    rows = brightness_temperature[..., [_B13, _B14]].reshape(-1, 2).astype(dtype)
    told = np.full(rows.shape, np.nan, dtype)
    if emissivity is not None:
        wide = np.broadcast_to(emissivity, brightness_temperature.shape)
        told = wide[..., [_B13, _B14]].reshape(-1, 2).astype(dtype)
    secant = 1.0 / np.cos(np.deg2rad(np.asarray(view_zenith_deg, dtype=np.float64)))
    shipped = split_window_table()
    temperature = np.empty(rows.shape[0], dtype)
    used = np.empty(rows.shape, dtype)
    flags = np.empty(rows.shape[0], np.uint8)
    split_window_kernel(
        rows,
        told,
        np.broadcast_to(water_vapor, shape).astype(np.float64).ravel(),
        np.broadcast_to(secant, shape).ravel().copy(),
        np.hstack([shipped.water_vapor[:, np.newaxis], shipped.coefficients]),
        np.array([shipped.water_vapor_max, *shipped.emissivity]),
        temperature,
        used,
        flags,
    )
    return SplitWindowResult(
        temperature.reshape(shape), used.reshape(*shape, 2), flags.reshape(shape)
    )


@overload
def split_window(
    brightness_temperature: ArrayLike,
    *,
    water_vapor: ArrayLike,
    emissivity: ArrayLike | None = ...,
    view_zenith: ArrayLike = ...,
    full_output: Literal[False] = ...,
) -> NDArray[Any]: ...
@overload
def split_window(
    brightness_temperature: ArrayLike,
    *,
    water_vapor: ArrayLike,
    emissivity: ArrayLike | None = ...,
    view_zenith: ArrayLike = ...,
    full_output: Literal[True],
) -> SplitWindowResult: ...
def split_window(
    brightness_temperature: ArrayLike,
    *,
    water_vapor: ArrayLike,
    emissivity: ArrayLike | None = None,
    view_zenith: ArrayLike = 0.0,
    full_output: bool = False,
) -> NDArray[Any] | SplitWindowResult:
    """Retrieve surface temperature by the generalised split window.

    Parameters
    ----------
    brightness_temperature : ndarray (..., 5), float32 or float64, K
        At the sensor, B10..B14; B13 and B14 are used.
    water_vapor : ndarray () or (...), kg m-2
        Column above the surface.
    emissivity : ndarray (5,) or (..., 5), 1, optional
        Known emissivity; where it is missing or NaN, the prior's mean is assumed and flagged.
    view_zenith : ndarray () or (...), deg
        0 to 15 as fitted.
    full_output : bool
        Also return the emissivities used and flags.

    Returns
    -------
    temperature : ndarray (...), dtype of the input, K
        NaN where an input is missing. With ``full_output`` a `SplitWindowResult`.

    Raises
    ------
    ShapeError, InputError
        If an array is not as described.
    """
    brightness = np.asarray(brightness_temperature)
    if brightness.ndim == 0 or brightness.shape[-1] != len(BANDS):
        raise ShapeError(
            f"found brightness_temperature of shape {brightness.shape}, expected the five bands on "
            "the last axis"
        )
    told = None if emissivity is None else np.asarray(emissivity)
    for name, values, shape in (
        ("water_vapor", np.asarray(water_vapor), brightness.shape[:-1]),
        ("view_zenith", np.asarray(view_zenith), brightness.shape[:-1]),
        ("emissivity", np.zeros(5) if told is None else told, brightness.shape),
    ):
        try:
            np.broadcast_to(values, shape)
        except ValueError as error:
            raise ShapeError(
                f"found {name} of shape {values.shape}, expected one that broadcasts to {shape}"
            ) from error
    angles = np.asarray(view_zenith, dtype=np.float64)
    if np.nanmax(np.abs(angles), initial=0.0) > 60.0:
        raise InputError(
            f"found a view zenith angle of {np.nanmax(np.abs(angles)):g} deg, expected at most 60"
        )
    result = split_window_block(brightness, told, np.asarray(water_vapor), angles)
    return result if full_output else result.temperature
