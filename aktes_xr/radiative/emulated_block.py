r"""The fitted atmosphere of a block of pixels at once, in loops that processors have vectors for.

`aktes_xr.radiative.emulator` evaluates one column after the other: a call of the exponential, a
search of a table, sums of twenty terms. Here the same formulas run over rows of `BLOCK` pixels, one
step after the other, in single precision. The parts:

- the three polynomials of third degree by Horner's rule; their slopes fall out of the same terms;
- the exponential as :math:`e^a - 1` by its series at :math:`a / 32`, doubled five times by
  :math:`s \leftarrow s (2 + s)`: no call, and no loss where :math:`1 - t` is small;
- Planck's law and its inverse by look-up on even nodes. The inverse's nodes are even in the square
  root of radiance, in which temperature is nearly straight.

All this changes a temperature by less than 2e-4 K; the tests say so.

A block is always computed whole, so that a pixel's bits depend neither on its place in a block nor
on what else is in it. That is why multiplications may be fused with additions here.
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from aktes_xr.compilation import Float32Array, kernel
from aktes_xr.radiative.emulator import (
    PRESSURE_LIMITS,
    SCALE_HEIGHT_M,
    SOFTNESS,
    TEMPERATURE_LIMITS,
    VAPOR_GAS_CONSTANT,
    WATER_LIMITS,
    Emulator,
)

BLOCK: Final = 512
"""Pixels at once: few enough for the processor's own memory, so many that calls cost little."""
FUSED: Final = {"error_model": "numpy", "fastmath": {"contract"}}
"""How kernels over blocks are compiled: no check of divisors, multiplications fused with sums."""

_NODES: Final = 4096
_ZERO, _HALF, _ONE, _TWO, _THREE, _FOUR = (np.float32(x) for x in (0.0, 0.5, 1.0, 2.0, 3.0, 4.0))
_NAN: Final = np.float32(np.nan)
_FRACTION: Final = np.float32(1.0 / 32.0)
_SERIES: Final = tuple(np.float32(1.0 / math.factorial(n)) for n in range(1, 8))
_S1, _S2, _S3, _S4, _S5, _S6, _S7 = _SERIES
# Beyond this depth nothing passes, and the series would leave its range.
_DEEPEST: Final = np.float32(30.0)
_SOFT: Final = np.float32(SOFTNESS**2)
_COLDEST, _WARMEST = np.float32(TEMPERATURE_LIMITS[0]), np.float32(TEMPERATURE_LIMITS[1])
_WETTEST: Final = np.float32(WATER_LIMITS[1])
# Bolton's saturation pressure (`profiles.saturation_vapor_pressure`) over twice a scale height.
_FREEZING, _BOLTON, _OFFSET = np.float32(273.15), np.float32(17.67), np.float32(243.5)
_CARRIED: Final = np.float32(2.0 * 611.2 * SCALE_HEIGHT_M / VAPOR_GAS_CONSTANT)
_PER_30: Final = np.float32(1.0 / 30.0)
_MIDDLE_K: Final = np.float32(280.0)
_LEAST_HPA, _MOST_HPA = np.float32(PRESSURE_LIMITS[0]), np.float32(PRESSURE_LIMITS[1])
_PRESSURE, _PER_PRESSURE = np.float32(850.0), np.float32(1.0 / 250.0)


class BlockTables(NamedTuple):
    """The emulator and Planck's law in single precision.

    Attributes
    ----------
    coefficients : ndarray (3, 5, term), float32
        As `aktes_xr.radiative.emulator.Emulator` has them.
    least : ndarray (5,), float32
        The least optical depth of each band.
    exponent : ndarray (5,), float64
        Of the secant of the view angle.
    planck : ndarray (5, node), float32, W m-2 sr-1 um-1
        At temperatures from ``first_k`` on, ``per_k`` of them in each kelvin.
    first_k, per_k : float32, K and K-1
    temperature : ndarray (5, node), float32, K
        At even square roots of radiance, from ``first_root`` on, ``per_root`` of them in each.
    first_root, per_root : ndarray (5,), float32
    """

    coefficients: Float32Array
    least: Float32Array
    exponent: NDArray[np.float64]
    planck: Float32Array
    first_k: np.float32
    per_k: np.float32
    temperature: Float32Array
    first_root: Float32Array
    per_root: Float32Array


def block_tables(emulator: Emulator) -> BlockTables:
    """Prepare an emulator for blocks of pixels.

    Parameters
    ----------
    emulator : Emulator
        Of `aktes_xr.radiative.load_emulator`.

    Returns
    -------
    BlockTables
    """
    kelvin = emulator.first_k + emulator.step_k * np.arange(emulator.planck.shape[1])
    ends = np.sqrt(emulator.planck[:, [0, -1]])
    roots = np.linspace(ends[:, 0], ends[:, 1], _NODES, axis=1)
    rows = zip(roots, emulator.planck, strict=True)
    inverse = np.stack([np.interp(root**2, row, kelvin) for root, row in rows])
    return BlockTables(
        emulator.coefficients.astype(np.float32),
        emulator.least.astype(np.float32),
        emulator.exponent,
        emulator.planck.astype(np.float32),
        np.float32(emulator.first_k),
        np.float32(1.0 / emulator.step_k),
        inverse.astype(np.float32),
        ends[:, 0].astype(np.float32),
        ((_NODES - 1) / (ends[:, 1] - ends[:, 0])).astype(np.float32),
    )


class Air(NamedTuple):
    """The air of a block as the polynomials take it.

    Attributes
    ----------
    water, pressure, warmth : ndarray (pixel,), float32, 1
        Water column, surface pressure and air temperature, scaled and held to what was fitted.
    by_water, by_air, warmth_by_air : ndarray (pixel,), float32
        Slopes of ``water`` by the column (m2 kg-1) and by the air temperature (K-1), which says
        how much the air can carry, and of ``warmth`` by the air temperature.
    """

    water: Float32Array
    pressure: Float32Array
    warmth: Float32Array
    by_water: Float32Array
    by_air: Float32Array
    warmth_by_air: Float32Array


@kernel(inline="always", **FUSED)
def grown(a: np.float32) -> np.float32:
    """Return the exponential less one, for arguments between -30 and 4."""
    r = a * _FRACTION
    s = r * (_S1 + r * (_S2 + r * (_S3 + r * (_S4 + r * (_S5 + r * (_S6 + r * _S7))))))
    s = s * (_TWO + s)
    s = s * (_TWO + s)
    s = s * (_TWO + s)
    s = s * (_TWO + s)
    return s * (_TWO + s)


@kernel(inline="always", **FUSED)
def passed(depth: np.float32, least: np.float32, slant: np.float32) -> tuple[float, float, float]:
    """Return what a slant path lets pass, less one; the same by depth; as `emulator` bends it.

    The third is that bend's share: the slope of the bent depth by the polynomial's own.
    """
    above = depth - least
    root = np.sqrt(above * above + _SOFT)
    slanted = (least + _HALF * (above + root)) * slant
    slanted = slanted if slanted < _DEEPEST else _DEEPEST
    lost = grown(-slanted)
    return lost, _ONE + lost, _HALF * (_ONE + above / root)


@kernel(**FUSED)
def scale(water: Float32Array, pressure: Float32Array, temperature: Float32Array, air: Air) -> None:
    """Scale the air of a block, and say how that depends on water column and air temperature.

    Parameters
    ----------
    water, pressure, temperature : ndarray (pixel,), float32, kg m-2, hPa, K
        All of them finite.
    air : Air
        Written in place.
    """
    scaled, level, warmth = air.water, air.pressure, air.warmth
    by_water, by_air, warmth_by_air = air.by_water, air.by_air, air.warmth_by_air
    for i in range(scaled.size):
        t, w, p = temperature[i], water[i], pressure[i]
        held = t if t > _COLDEST else _COLDEST
        held = held if held < _WARMEST else _WARMEST
        celsius = held - _FREEZING
        share = _ONE / (celsius + _OFFSET)
        carried = _CARRIED * (_ONE + grown(_BOLTON * celsius * share)) / held
        most = carried + _FOUR
        bounded = most < _WETTEST
        most = most if bounded else _WETTEST
        # Conditions are joined by & and chosen by values: a branch keeps loops from being vectors.
        full = w > most
        inside = (t >= _COLDEST) & (t <= _WARMEST)
        w = w if w > _ZERO else _ZERO
        scaled[i] = (most if full else w) * _PER_30
        p = p if p > _LEAST_HPA else _LEAST_HPA
        p = p if p < _MOST_HPA else _MOST_HPA
        level[i] = (p - _PRESSURE) * _PER_PRESSURE
        warmth[i] = (held - _MIDDLE_K) * _PER_30
        by_water[i] = _ZERO if full | (water[i] < _ZERO) else _PER_30
        # Where the air is full, its temperature alone says how much water there is.
        rise = carried * (_BOLTON * _OFFSET * share * share - _ONE / held) * _PER_30
        by_air[i] = rise if full & bounded & inside else _ZERO
        warmth_by_air[i] = _PER_30 if inside else _ZERO


@kernel(**FUSED)
def polynomial(terms: Float32Array, air: Air, out: Float32Array) -> None:
    """Evaluate a polynomial of third degree and its slopes by scaled water and warmth.

    Parameters
    ----------
    terms : ndarray (20,), float32
        Coefficients in the order of ``emulator.POWERS``.
    air : Air
    out : ndarray (3, pixel), float32
        Written in place: value, slope by water, slope by warmth.
    """
    x, y, z = air.water, air.pressure, air.warmth
    value, by_x, by_z = out[0], out[1], out[2]
    a0, a1, a2, a3, a4 = terms[0], terms[1], terms[2], terms[3], terms[4]
    a5, a6, a7, a8, a9 = terms[5], terms[6], terms[7], terms[8], terms[9]
    b0, b1, b2, b3, b4, b5 = terms[10], terms[11], terms[12], terms[13], terms[14], terms[15]
    c0, c1, c2, d0 = terms[16], terms[17], terms[18], terms[19]
    twice_a2, thrice_a3, twice_a6 = _TWO * a2, _THREE * a3, _TWO * a6
    twice_b2, thrice_d0 = _TWO * b2, _THREE * d0
    for i in range(value.size):
        u, v, w = x[i], y[i], z[i]
        dry = a0 + w * (a1 + w * (a2 + w * a3))
        dry += v * (a4 + w * (a5 + w * a6) + v * (a7 + w * a8 + v * a9))
        once = b0 + w * (b1 + w * b2) + v * (b3 + w * b4 + v * b5)
        squared = c0 + w * c1 + v * c2
        value[i] = dry + u * (once + u * (squared + u * d0))
        by_x[i] = once + u * (_TWO * squared + u * thrice_d0)
        rise = a1 + w * (twice_a2 + w * thrice_a3) + v * (a5 + w * twice_a6 + v * a8)
        by_z[i] = rise + u * (b1 + w * twice_b2 + v * b4 + u * c1)


@kernel(**FUSED)
def place(
    values: Float32Array,
    first: np.float32,
    per_step: np.float32,
    nodes: int,
    node: NDArray[np.int32],
    share: Float32Array,
) -> None:
    """Find values on even nodes.

    Parameters
    ----------
    values : ndarray (pixel,), float32
    first, per_step : float32
        The first node, and how many nodes there are to one unit.
    nodes : int
        Number of nodes.
    node : ndarray (pixel,), int32
        Written in place: the node below; always one that has another above it.
    share : ndarray (pixel,), float32, 1
        Written in place: how far it is to the next; NaN for what lies outside.
    """
    last = np.float32(nodes - 1)
    below = np.float32(nodes - 2)
    for i in range(values.size):
        position = (values[i] - first) * per_step
        # The comparisons send NaN to the first node, whose index is valid.
        held = position if position > _ZERO else _ZERO
        held = held if held < below else below
        whole = np.int32(held)
        node[i] = whole
        within = (position >= _ZERO) & (position <= last)
        share[i] = position - np.float32(whole) if within else _NAN


@kernel(**FUSED)
def read(
    row: Float32Array,
    node: NDArray[np.int32],
    share: Float32Array,
    ends: Float32Array,
    out: Float32Array,
) -> None:
    """Interpolate a table's row at what `place` found.

    Parameters
    ----------
    row : ndarray (node,), float32
    node : ndarray (pixel,), int32
    share : ndarray (pixel,), float32, 1
    ends : ndarray (2, pixel), float32
        Written in place: the row's values at the nodes below and above.
    out : ndarray (pixel,), float32
        Written in place.
    """
    low, high = ends[0], ends[1]
    # Nothing but loads and stores: the compiler cannot know that `out` is not part of `row`, and
    # so would not use vectors for a loop that did both.
    for i in range(node.size):
        index = np.uint64(node[i])
        low[i] = row[index]
        high[i] = row[index + np.uint64(1)]
    for i in range(node.size):
        out[i] = low[i] + share[i] * (high[i] - low[i])
