r"""Radiative closure: what a retrieval leaves unexplained of the temperatures that were measured.

A retrieved temperature and emissivity, put back through the radiance equation
(`aktes_xr.radiative.surface`), must give the measured brightness temperatures again,

.. math:: r_b = T_b^{measured} - T_b\{t [e B(T) + (1 - e)(V L_s + (1 - V) L_a)] + L_p\}.

It needs no truth. The atmosphere is the one that was given. Where it was not, it is the one that
fits best: water column w and air temperature T_a minimise

.. math:: \sum_b (r_b / s)^2 + ((w - w_0) / s_w)^2 + ((T_a - T_0) / s_T)^2,

so that five numbers still judge two fitted ones. A given atmosphere errs. What its stated errors
do to the five temperatures is returned beside the residual, and a doubt is raised only by what
exceeds both that and the noise. It is taken to first order, as slope times stated error, each error
by itself:

.. math:: p^2 = \frac{1}{5} \sum_b \left(\frac{\partial T_b}{\partial w} \sigma_w\right)^2
          + \left(\frac{\partial T_b}{\partial T_a} \sigma_T\right)^2.

A pixel is closed in all five bands or in none: where one is missing there is neither a residual nor
a doubt.

What is left of terrain is seen as the retrieval's own surface around the pixel:
:math:`L_a = e B(T) + (1 - e) L_s`.

References
----------
.. [1] Rodgers, C. D. (2000), Inverse Methods for Atmospheric Sounding, World Scientific, ch. 5
   (minimisation with a prior, damped) and ch. 12 (the residual as a test).
"""

from __future__ import annotations

import functools
from typing import Any, Final

import numpy as np

from aktes_xr import sensor
from aktes_xr.compilation import Float32Array, kernel
from aktes_xr.radiative.closure_block import (
    NOTHING,
    TOLD,
    UNTOLD,
    Block,
    model,
    new_block,
)
from aktes_xr.radiative.closure_fit import fit_air
from aktes_xr.radiative.emulated_block import BLOCK, FUSED, BlockTables, block_tables
from aktes_xr.radiative.emulator import Emulator, load_emulator
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
# What the air is taken to be like where nobody says: wide enough for all that there is.
_WATER: Final = (np.float32(15.0), np.float32(15.0))
_AIR_BELOW_SURFACE: Final = (np.float32(2.0), np.float32(10.0))
_LEAST_SPREAD: Final = np.float32(0.05)
_ZERO, _ONE, _FIFTH = np.float32(0.0), np.float32(1.0), np.float32(0.2)
_NAN: Final = np.float32(np.nan)


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


@kernel(error_model="numpy")
def close_pixels(
    state: Float32Array,
    air: Float32Array,
    slant: Float32Array,
    tables: BlockTables,
    block: Block,
    out: Float32Array,
) -> None:
    """Write the closure of pixels with their given atmosphere, or the one that fits best.

    Parameters
    ----------
    state : ndarray (12, pixel), float32
        In the order of `STATE`.
    air : ndarray (5, pixel), float32
        In the order of `AIR`. An error that is unknown counts as none.
    slant : ndarray (5,), float32, 1
        Secant of the view zenith angle to the power of each band's exponent.
    tables : BlockTables
        The fitted atmosphere.
    block : Block
        Memory to work in; of one thread alone.
    out : ndarray (8, pixel), float32
        Written in place in the order of `CLOSURE`; NaN in all rows where there is no retrieval or
        pressure, or where one of the five temperatures is missing.
    """
    for start in range(0, out.shape[1], BLOCK):
        count = min(BLOCK, out.shape[1] - start)
        told, untold = _load(state, air, start, count, block)
        block.result[:] = _NAN
        if told > 0:
            model(block, block.point, slant, tables)
            _write(TOLD, block, block.modelled[0])
        # Few blocks hold both kinds: air is mostly told of a whole image or not at all.
        if untold > 0:
            _expect(block)
            fit_air(block, slant, tables)
            _write(UNTOLD, block, block.best)
        for row in range(out.shape[0]):
            out[row, start : start + count] = block.result[row, :count]


@kernel(error_model="numpy")
def _load(
    state: Float32Array, air: Float32Array, start: int, count: int, block: Block
) -> tuple[int, int]:
    """Copy pixels into a block, and return how many of each kind can be closed."""
    stop = start + count
    pressure, known, view = block.pressure, block.sums[0], block.surface[6]
    pressure[:count] = air[4, start:stop]
    known[:] = pressure
    for band in range(5):
        block.measured[band, :count] = state[band, start:stop]
        known += block.measured[band]
    # Temperature, five emissivities and the sky view lie one behind the other.
    for part in range(7):
        block.surface[part, :count] = state[_TEMPERATURE + part, start:stop]
        if part < 6:
            known += block.surface[part]
    for part in range(2):
        block.point[part, :count] = air[2 * part, start:stop]
        block.spread[part, :count] = air[2 * part + 1, start:stop]
        for i in range(count):
            error = block.spread[part, i]
            block.spread[part, i] = error if error > _ZERO else _ZERO
    told, untold = 0, 0
    for i in range(count):
        view[i] = view[i] if np.isfinite(view[i]) else _ONE
        given = block.point[0, i] + block.point[1, i]
        kind = UNTOLD if np.isnan(given) else TOLD if np.isfinite(given) else NOTHING
        block.kind[i] = kind if np.isfinite(known[i]) else NOTHING
        told += block.kind[i] == TOLD
        untold += block.kind[i] == UNTOLD
    # What an earlier block left behind these is of no kind.
    block.kind[count:] = NOTHING
    return told, untold


@kernel(error_model="numpy")
def _expect(block: Block) -> None:
    """Write what the air is taken to be like where nobody says, and bounds of what is said."""
    for i in range(BLOCK):
        if np.isnan(block.point[0, i]):
            block.point[0, i], block.spread[0, i] = _WATER
        if np.isnan(block.point[1, i]):
            block.point[1, i] = block.surface[0, i] - _AIR_BELOW_SURFACE[0]
            block.spread[1, i] = _AIR_BELOW_SURFACE[1]
        for part in range(2):
            # An error that is not stated, or nothing, would hold the fit in place for good.
            block.spread[part, i] = max(block.spread[part, i], _LEAST_SPREAD)


@kernel(**FUSED)
def _write(kind: np.float32, block: Block, modelled: Float32Array) -> None:
    """Write the results of a block's pixels of one kind."""
    chosen, total, moved = block.kind, block.sums[0], block.sums[1]
    total[:] = _ZERO
    moved[:] = _ZERO
    for band in range(5):
        measured, explained, out = block.measured[band], modelled[band], block.result[band]
        for i in range(BLOCK):
            left = measured[i] - explained[i]
            total[i] += left * left
            before = out[i]
            out[i] = left if chosen[i] == kind else before
        if kind == TOLD:
            # Each stated error by itself, by the slope at what is told.
            for part in range(2):
                slope, spread = block.modelled[1 + part, band], block.spread[part]
                for i in range(BLOCK):
                    shift = slope[i] * spread[i]
                    moved[i] += shift * shift
    rms, propagated, fitted = block.result[_RMS], block.result[_PROPAGATED], block.result[_FITTED]
    for i in range(BLOCK):
        own = chosen[i] == kind
        left, shift, before = np.sqrt(total[i] * _FIFTH), np.sqrt(moved[i] * _FIFTH), fitted[i]
        old, other = rms[i], propagated[i]
        rms[i] = left if own else old
        propagated[i] = shift if own else other
        fitted[i] = kind if own else before


@functools.cache
def closure_tables() -> BlockTables:
    """Return the shipped atmosphere as `close` takes it; its arrays are shared."""
    return block_tables(load_emulator())


def close(
    state: Float32Array,
    air: Float32Array,
    view_zenith_deg: float,
    atmosphere: Emulator | BlockTables,
) -> Float32Array:
    """Close pixels of one view angle; see `close_pixels`.

    Parameters
    ----------
    state : ndarray (12, pixel), float32
        In the order of `STATE`.
    air : ndarray (5, pixel), float32
        In the order of `AIR`.
    view_zenith_deg : float, degree
    atmosphere : BlockTables or Emulator
        Of `closure_tables`, or of `aktes_xr.radiative.load_emulator`, which is prepared here.

    Returns
    -------
    ndarray (8, pixel), float32
        In the order of `CLOSURE`.
    """
    tables = block_tables(atmosphere) if isinstance(atmosphere, Emulator) else atmosphere
    out = np.empty((len(CLOSURE), state.shape[1]), np.float32)
    secant = 1.0 / np.cos(np.deg2rad(float(view_zenith_deg)))
    slant = (secant**tables.exponent).astype(np.float32)
    # One layout, so that the kernel compiles once.
    state, air = (np.ascontiguousarray(rows, np.float32) for rows in (state, air))
    close_pixels(state, air, slant, tables, new_block(), out)
    return out
