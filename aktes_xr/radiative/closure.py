r"""Radiative closure: what a retrieval leaves unexplained of the temperatures that were measured.

A retrieved temperature and emissivity, put back through the radiance equation
(`aktes_xr.radiative.surface`), must give the measured brightness temperatures again,

.. math:: r_b = T_b^{measured} - T_b\{t [e B(T) + (1 - e)(V L_s + (1 - V) L_a)] + L_p\}.

It needs no truth. The atmosphere is the one that was given. Where it was not, it is the one that
fits best: water column w and air temperature T_a minimise

.. math:: \sum_b (r_b / s)^2 + ((w - w_0) / s_w)^2 + ((T_a - T_0) / s_T)^2,

so that five numbers still judge two fitted ones. A given atmosphere errs. What its stated errors
do to the five temperatures is returned beside the residual, and a doubt is raised only by what
exceeds both that and the noise.

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
from numpy.typing import NDArray

from aktes_xr import sensor
from aktes_xr.compilation import Float32Array, kernel
from aktes_xr.radiative.closure_block import Block, fit_air, move_air, new_block
from aktes_xr.radiative.emulated_block import BLOCK, BlockTables, block_tables
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
_ZERO, _FIVE = np.float32(0.0), np.float32(5.0)


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
        Memory to work in.
    out : ndarray (8, pixel), float32
        Written in place in the order of `CLOSURE`; NaN where there is no retrieval or pressure, or
        not every temperature.
    """
    out[:] = np.float32(np.nan)
    members = np.empty((2, BLOCK), np.int64)
    held = np.zeros(2, np.int64)
    for pixel in range(out.shape[1]):
        # Few pixels need the fit, which takes three times as long: blocks are of one kind.
        unknown = np.isnan(air[0, pixel]) or np.isnan(air[2, pixel])
        kind = 1 if unknown else 0
        out[_FITTED, pixel] = np.float32(kind)
        known = air[4, pixel] if unknown else air[0, pixel] + air[2, pixel] + air[4, pixel]
        for part in range(_SKY_VIEW):
            known += state[part, pixel]
        if np.isfinite(known):
            members[kind, held[kind]] = pixel
            held[kind] += 1
            if held[kind] == BLOCK:
                _close_block(members[kind], kind, state, air, slant, tables, block, out)
                held[kind] = 0
    for kind in range(2):
        if held[kind] > 0:
            chosen = members[kind, : held[kind]]
            _close_block(chosen, kind, state, air, slant, tables, block, out)


@kernel(error_model="numpy")
def _close_block(
    members: NDArray[np.int64],
    kind: int,
    state: Float32Array,
    air: Float32Array,
    slant: Float32Array,
    tables: BlockTables,
    block: Block,
    out: Float32Array,
) -> None:
    """Close the pixels of one block; ``kind`` 1 for those whose air must be fitted."""
    for band in range(5):
        for i in range(members.size):
            block.measured[band, i] = state[band, members[i]]
    # Temperature, five emissivities and the sky view lie one behind the other.
    for part in range(7):
        for i in range(members.size):
            block.surface[part, i] = state[_TEMPERATURE + part, members[i]]
    for i in range(members.size):
        view = block.surface[6, i]
        block.surface[6, i] = view if np.isfinite(view) else np.float32(1.0)
        block.pressure[i] = air[4, members[i]]
    for part in range(2):
        for i in range(members.size):
            error = air[2 * part + 1, members[i]]
            block.point[part, i] = air[2 * part, members[i]]
            block.spread[part, i] = error if error > _ZERO else _ZERO
    if kind == 0:
        move_air(block, slant, tables)
        _write(members, block, block.modelled[0], True, out)
    else:
        _expect(members.size, block)
        fit_air(block, slant, tables)
        _write(members, block, block.best, False, out)


@kernel(error_model="numpy")
def _expect(count: int, block: Block) -> None:
    """Write what the air is taken to be like where nobody says, and bounds of what is said."""
    for i in range(count):
        if np.isnan(block.point[0, i]):
            block.point[0, i], block.spread[0, i] = _WATER
        if np.isnan(block.point[1, i]):
            block.point[1, i] = block.surface[0, i] - _AIR_BELOW_SURFACE[0]
            block.spread[1, i] = _AIR_BELOW_SURFACE[1]
        for part in range(2):
            # An error that is not stated, or nothing, would hold the fit in place for good.
            block.spread[part, i] = max(block.spread[part, i], _LEAST_SPREAD)


@kernel(error_model="numpy")
def _write(
    members: NDArray[np.int64],
    block: Block,
    modelled: Float32Array,
    told: bool,
    out: Float32Array,
) -> None:
    for i in range(members.size):
        total, propagated = np.float32(0.0), np.float32(0.0)
        for band in range(5):
            left = block.measured[band, i] - modelled[band, i]
            out[band, members[i]] = left
            total += left * left
            if told:
                # Each stated error by itself, as a step of one standard deviation.
                for moved in range(1, 3):
                    shift = block.modelled[moved, band, i] - modelled[band, i]
                    propagated += shift * shift
        out[_RMS, members[i]] = np.sqrt(total / _FIVE)
        out[_PROPAGATED, members[i]] = np.sqrt(propagated / _FIVE)


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
