"""What follows a layer's matrix product: bias, activation and skip in one pass over its outputs.

Pixels lie along the last axis. The loops run over whole rows without branches, so that the compiler
takes eight or sixteen pixels at once; each pixel's arithmetic is the same wherever it stands.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import numpy as np
from numba import njit

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Float32Array = NDArray[np.float32]
    Finish = Callable[[Float32Array, Float32Array, Float32Array, bool, Float32Array], None]


@njit(nogil=True)
def _add(values: Float32Array, before: Float32Array) -> None:  # pragma: no cover
    for place in range(values.size):
        values[place] += before[place]


@njit(nogil=True)
def _shift(values: Float32Array, bias: Float32Array, scale: np.float32) -> None:  # pragma: no cover
    for unit in range(values.shape[0]):
        row, shift = values[unit], bias[unit, 0]
        for place in range(row.size):
            row[place] = (row[place] + shift) * scale


@njit(nogil=True)
def _rectify(
    values: Float32Array, bias: Float32Array, before: Float32Array, skip: bool
) -> None:  # pragma: no cover
    zero = np.float32(0.0)
    for unit in range(values.shape[0]):
        row, shift = values[unit], bias[unit, 0]
        for place in range(row.size):
            value = row[place] + shift
            # Not max(): a NaN stays one.
            row[place] = zero if value < zero else value
        if skip:
            _add(row, before[unit])


@njit(nogil=True)
def _add_rows(values: Float32Array, before: Float32Array) -> None:  # pragma: no cover
    for unit in range(values.shape[0]):
        _add(values[unit], before[unit])


@njit(nogil=True)
def _gate(
    values: Float32Array, tangent: Float32Array, before: Float32Array, skip: bool
) -> None:  # pragma: no cover
    for unit in range(values.shape[0]):
        row, other = values[unit], tangent[unit]
        for place in range(row.size):
            row[place] += row[place] * other[place]
        if skip:
            _add(row, before[unit])


def _linear(
    values: Float32Array, bias: Float32Array, before: Float32Array, skip: bool, _: Float32Array
) -> None:
    _shift(values, bias, np.float32(1.0))
    if skip:
        _add_rows(values, before)


def _relu(
    values: Float32Array, bias: Float32Array, before: Float32Array, skip: bool, _: Float32Array
) -> None:
    _rectify(values, bias, before, skip)


def _tanh(
    values: Float32Array, bias: Float32Array, before: Float32Array, skip: bool, _: Float32Array
) -> None:
    _shift(values, bias, np.float32(1.0))
    np.tanh(values, out=values)
    if skip:
        _add_rows(values, before)


def _silu(
    values: Float32Array,
    bias: Float32Array,
    before: Float32Array,
    skip: bool,
    scratch: Float32Array,
) -> None:
    # x sigmoid(x) = x/2 (1 + tanh(x/2)): one transcendental and no overflow.
    _shift(values, bias, np.float32(0.5))
    np.tanh(values, out=scratch)
    _gate(values, scratch, before, skip)


ACTIVATIONS: Final[dict[str, Finish]] = {
    "linear": _linear,
    "relu": _relu,
    "silu": _silu,
    "tanh": _tanh,
}
"""By name; each takes a layer's products, its bias (unit, 1), its input, whether to add that input
to the activated output, and scratch of the products' shape, and changes the products in place."""
