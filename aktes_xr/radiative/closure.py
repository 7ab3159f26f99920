r"""Radiative closure: what a retrieval leaves unexplained of the temperatures that were measured.

A retrieved temperature and emissivity, put back through the radiance equation
(`aktes_xr.radiative.surface`), must give the measured brightness temperatures again,

.. math:: r_b = T_b^{measured} - T_b\{t [e B(T) + (1 - e)(V L_s + (1 - V) L_a)] + L_p\}.

It needs no truth. The atmosphere is the one that was given. Where it was not, it is the one that
fits best: water column w and air temperature T_a minimise, by Gauss and Newton's method,

.. math:: \sum_b (r_b / s)^2 + ((w - w_0) / s_w)^2 + ((T_a - T_0) / s_T)^2,

so that five numbers still judge two fitted ones. A given atmosphere errs. What its stated errors
do to the five temperatures is returned beside the residual, and a doubt is raised only by what
exceeds both that and the noise.

What is left of terrain is seen as the retrieval's own surface around the pixel:
:math:`L_a = e B(T) + (1 - e) L_s`.

References
----------
.. [1] Rodgers, C. D. (2000), Inverse Methods for Atmospheric Sounding, World Scientific, ch. 5
   (Gauss-Newton with a prior) and ch. 12 (the residual as a test).
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from aktes_xr import sensor
from aktes_xr.compilation import kernel
from aktes_xr.radiative.emulator import Emulator, band_atmosphere_kernel
from aktes_xr.radiative.planck import band_radiance, band_temperature
from aktes_xr.radiative.surface import top_of_atmosphere_radiance

STATE: Final = (*(f"brightness_temperature_{band}" for band in sensor.BANDS),
                "surface_temperature", *(f"emissivity_{band}" for band in sensor.BANDS),
                "sky_view_factor")  # fmt: skip
"""Rows of a pixel's measurement and retrieval, as the kernel takes them: K, K, 1, 1."""
AIR: Final = (
    "water_vapor",
    "water_vapor_error",
    "air_temperature",
    "air_temperature_error",
    "surface_pressure",
)
"""Rows of what is known of the air: kg m-2, K and hPa; NaN where it is not."""
CLOSURE: Final = (
    *(f"residual_{band}" for band in sensor.BANDS),
    "residual_rms",
    "propagated_rms",
    "fitted",
)
"""Rows that the kernel writes: K, and 1 where the atmosphere was fitted."""

_TEMPERATURE: Final = STATE.index("surface_temperature")
_EMISSIVITY: Final = _TEMPERATURE + 1
_SKY_VIEW: Final = STATE.index("sky_view_factor")
_RMS: Final = CLOSURE.index("residual_rms")
_PROPAGATED: Final = CLOSURE.index("propagated_rms")
_FITTED: Final = CLOSURE.index("fitted")
_NOISE_K: Final = sensor.NEDT_SPECIFICATION_K
# What the air is taken to be like where nobody says: wide enough for all that there is.
_WATER: Final = (15.0, 15.0)
_AIR_BELOW_SURFACE: Final = (2.0, 10.0)
_WATER_LIMITS: Final = (0.0, 80.0)
_AIR_LIMITS: Final = (205.0, 325.0)
_ITERATIONS: Final = 4
_WATER_STEP: Final = 0.5
_AIR_STEP_K: Final = 0.5


def closure_residual(
    brightness_temperature: Any,
    surface_temperature: Any,
    emissivity: Any,
    transmittance: Any,
    path_radiance: Any,
    sky_radiance: Any,
    *,
    sky_view_factor: Any = None,
    adjacent_radiance: Any = None,
) -> Any:
    """Put a retrieval back through the radiance equation with a known atmosphere.

    Parameters
    ----------
    brightness_temperature : ndarray (..., 5) or DataArray (..., band), K
        Measured at the sensor.
    surface_temperature : ndarray (...) or DataArray, K
    emissivity, transmittance : ndarray (..., 5) or DataArray (..., band), 1
    path_radiance, sky_radiance : ndarray (..., 5) or DataArray (..., band), W m-2 sr-1 um-1
    sky_view_factor, adjacent_radiance : optional
        As in `aktes_xr.radiative.top_of_atmosphere_radiance`.

    Returns
    -------
    ndarray (..., 5) or DataArray, K
        Measured minus modelled, in each band.

    Raises
    ------
    InputError
        One of the two terrain terms is given without the other.
    """
    modelled = top_of_atmosphere_radiance(
        surface_temperature,
        emissivity,
        transmittance,
        path_radiance,
        sky_radiance,
        sky_view_factor=sky_view_factor,
        adjacent_radiance=adjacent_radiance,
    )
    return brightness_temperature - sensor.radiance_to_brightness_temperature(modelled)


@kernel()
def close_pixels(
    state: NDArray[np.float32],
    air: NDArray[np.float32],
    secant: float,
    emulator: Emulator,
    out: NDArray[np.float32],
) -> None:
    """Write the closure of pixels with their given atmosphere, or the one that fits best.

    Parameters
    ----------
    state : ndarray (12, pixel), float32
        In the order of `STATE`.
    air : ndarray (5, pixel), float32
        In the order of `AIR`. An error that is unknown counts as none.
    secant : float, 1
        Of the view zenith angle.
    emulator : Emulator
        The fitted atmosphere.
    out : ndarray (8, pixel), float32
        Written in place in the order of `CLOSURE`; NaN where there is no retrieval or pressure.
    """
    measured = np.empty(5)
    surface = np.empty(7)
    column = np.empty(15)
    residual = np.empty(5)
    other = np.empty(5)
    for pixel in range(out.shape[1]):
        for band in range(5):
            measured[band] = state[band, pixel]
        # Temperature, five emissivities and the sky view lie one behind the other.
        for part in range(7):
            surface[part] = state[_TEMPERATURE + part, pixel]
        if surface[6] != surface[6]:
            surface[6] = 1.0
        water, warmth, pressure = air[0, pixel], air[2, pixel], air[4, pixel]
        place = (np.float64(pressure), secant)
        fitted = water != water or warmth != warmth
        if fitted:
            point = _fit(measured, surface, air[:, pixel], place, emulator, column)
        else:
            point = (np.float64(water), np.float64(warmth))
        _residual(measured, surface, point, place, emulator, column, residual)
        propagated = 0.0
        if not fitted:
            # Each stated error by itself, as a step of one standard deviation.
            for part in range(2):
                step = np.float64(air[2 * part + 1, pixel])
                if step == step and step > 0.0:
                    moved = (point[0] + (step if part == 0 else 0.0),
                             point[1] + (step if part == 1 else 0.0))  # fmt: skip
                    _residual(measured, surface, moved, place, emulator, column, other)
                    for band in range(5):
                        propagated += (other[band] - residual[band]) ** 2
        total = 0.0
        for band in range(5):
            out[band, pixel] = residual[band]
            total += residual[band] ** 2
        out[_RMS, pixel] = np.sqrt(total / 5.0)
        out[_PROPAGATED, pixel] = np.sqrt(propagated / 5.0)
        out[_FITTED, pixel] = np.float32(1.0 if fitted else 0.0)


@kernel()
def _residual(
    measured: NDArray[np.float64],
    surface: NDArray[np.float64],
    point: tuple[float, float],
    place: tuple[float, float],
    emulator: Emulator,
    column: NDArray[np.float64],
    out: NDArray[np.float64],
) -> None:
    """Write measured minus modelled temperatures for one water column and air temperature."""
    band_atmosphere_kernel(point[0], point[1], place[0], place[1], emulator, column)
    view = surface[6]
    for band in range(5):
        row = emulator.planck[band]
        emissivity = surface[1 + band]
        planck = band_radiance(surface[0], emulator.first_k, emulator.step_k, row)
        sky = column[10 + band]
        around = emissivity * planck + (1.0 - emissivity) * sky
        reaching = view * sky + (1.0 - view) * around
        leaving = emissivity * planck + (1.0 - emissivity) * reaching
        radiance = column[band] * leaving + column[5 + band]
        modelled = band_temperature(radiance, emulator.first_k, emulator.step_k, row)
        out[band] = measured[band] - modelled


@kernel()
def _fit(
    measured: NDArray[np.float64],
    surface: NDArray[np.float64],
    air: NDArray[np.float32],
    place: tuple[float, float],
    emulator: Emulator,
    column: NDArray[np.float64],
) -> tuple[float, float]:
    """Return the water column and air temperature that leave least, held by what is known."""
    water, warmth = np.float64(air[0]), np.float64(air[2])
    known = (water, np.float64(air[1])) if water == water else _WATER
    expected = (
        (warmth, np.float64(air[3]))
        if warmth == warmth
        else (surface[0] - _AIR_BELOW_SURFACE[0], _AIR_BELOW_SURFACE[1])
    )
    # An error that is not stated, or nothing, would hold the fit in place for good.
    spread = (known[1] if known[1] > 0.05 else 0.05, expected[1] if expected[1] > 0.05 else 0.05)
    x, y = known[0], min(max(expected[0], _AIR_LIMITS[0]), _AIR_LIMITS[1])
    here, wetter, warmer = np.empty(5), np.empty(5), np.empty(5)
    for _ in range(_ITERATIONS):
        _residual(measured, surface, (x, y), place, emulator, column, here)
        _residual(measured, surface, (x + _WATER_STEP, y), place, emulator, column, wetter)
        _residual(measured, surface, (x, y + _AIR_STEP_K), place, emulator, column, warmer)
        # Normal equations of two unknowns; the prior keeps their determinant positive.
        a, b, c = 1.0 / spread[0] ** 2, 0.0, 1.0 / spread[1] ** 2
        g, h = (x - known[0]) / spread[0] ** 2, (y - expected[0]) / spread[1] ** 2
        for band in range(5):
            by_water = (wetter[band] - here[band]) / _WATER_STEP / _NOISE_K
            by_air = (warmer[band] - here[band]) / _AIR_STEP_K / _NOISE_K
            left = here[band] / _NOISE_K
            a += by_water * by_water
            b += by_water * by_air
            c += by_air * by_air
            g += by_water * left
            h += by_air * left
        determinant = a * c - b * b
        x -= (c * g - b * h) / determinant
        y -= (a * h - b * g) / determinant
        x = min(max(x, _WATER_LIMITS[0]), _WATER_LIMITS[1])
        y = min(max(y, _AIR_LIMITS[0]), _AIR_LIMITS[1])
    return x, y


def close(
    state: NDArray[np.float32], air: NDArray[np.float32], view_zenith_deg: float, emulator: Emulator
) -> NDArray[np.float32]:
    """Close pixels of one view angle; see `close_pixels`.

    Parameters
    ----------
    state : ndarray (12, pixel), float32
        In the order of `STATE`.
    air : ndarray (5, pixel), float32
        In the order of `AIR`.
    view_zenith_deg : float, degree
    emulator : Emulator
        Of `aktes_xr.radiative.load_emulator`.

    Returns
    -------
    ndarray (8, pixel), float32
        In the order of `CLOSURE`.
    """
    out = np.empty((len(CLOSURE), state.shape[1]), np.float32)
    secant = 1.0 / np.cos(np.deg2rad(float(view_zenith_deg)))
    close_pixels(state, air, float(secant), emulator, out)
    return out
