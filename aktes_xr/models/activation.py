r"""What follows a layer's matrix product: bias, activation and skip in one pass over its outputs.

Pixels lie along the last axis. The loops run over whole rows without branches, so that the compiler
takes eight or sixteen pixels at once; each pixel's arithmetic is the same wherever it stands.

.. math:: x\,\mathrm{sigmoid}(x) = \frac{x}{1 + 2^t}, \qquad t = -x \log_2 e = n + f,

with n the nearest integer, whose bits shift the exponent, and :math:`2^f` on [-1/2, 1/2] the
polynomial of degree 5 that is closest in relative error (7.5e-8): within 2e-7 of max(1, |x|).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import numpy as np

from aktes_xr.compilation import kernel

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Float32Array = NDArray[np.float32]
    Finish = Callable[[Float32Array, Float32Array, Float32Array, bool], None]

_POWER_OF_TWO: Final = tuple(
    np.float32(x)
    for x in (
        1.0000000716543507,
        0.6931469670544532,
        0.2402211972492006,
        0.05550713290329371,
        0.00967554129107722,
        0.0013276466551703653,
    )
)
_C0, _C1, _C2, _C3, _C4, _C5 = _POWER_OF_TWO
_TO_BASE_TWO: Final = np.float32(-1.4426950408889634)
# Added to a number of moderate size it leaves the nearest integer in the lowest bits.
_ROUNDER: Final = np.float32(1.5 * 2**23)
_MANTISSA_BITS: Final = np.int32(23)
_LARGEST_POWER: Final = np.float32(126.0)
_ZERO: Final = np.float32(0.0)
_ONE: Final = np.float32(1.0)


@kernel()
def _add(values: Float32Array, before: Float32Array) -> None:  # pragma: no cover
    for place in range(values.size):
        values[place] += before[place]


@kernel()
def _linear(
    values: Float32Array, bias: Float32Array, before: Float32Array, skip: bool
) -> None:  # pragma: no cover
    for unit in range(values.shape[0]):
        row, shift = values[unit], bias[unit, 0]
        for place in range(row.size):
            row[place] += shift
        if skip:
            _add(row, before[unit])


@kernel()
def _relu(
    values: Float32Array, bias: Float32Array, before: Float32Array, skip: bool
) -> None:  # pragma: no cover
    for unit in range(values.shape[0]):
        row, shift = values[unit], bias[unit, 0]
        for place in range(row.size):
            value = row[place] + shift
            # Not max(): a NaN stays one.
            row[place] = _ZERO if value < _ZERO else value
        if skip:
            _add(row, before[unit])


# Division by NumPy's rules: a test for zero would keep the loop from being vectorised. Of fast math
# only the contraction of a product and a sum, a quarter of the time: it changes neither order nor
# NaN, and acts on each pixel alike.
@kernel(error_model="numpy", fastmath={"contract"})
def _silu(
    values: Float32Array, bias: Float32Array, before: Float32Array, skip: bool
) -> None:  # pragma: no cover
    for unit in range(values.shape[0]):
        row, shift = values[unit], bias[unit, 0]
        for place in range(row.size):
            value = row[place] + shift
            power = value * _TO_BASE_TWO
            power = _LARGEST_POWER if power > _LARGEST_POWER else power
            power = -_LARGEST_POWER if power < -_LARGEST_POWER else power
            rounded = np.float32(power + _ROUNDER)
            rest = power - (rounded - _ROUNDER)
            fraction = np.float32(
                _C0 + rest * (_C1 + rest * (_C2 + rest * (_C3 + rest * (_C4 + rest * _C5))))
            )
            bits = np.int32(fraction.view(np.int32) + (rounded.view(np.int32) << _MANTISSA_BITS))
            row[place] = value / (_ONE + bits.view(np.float32))
        if skip:
            _add(row, before[unit])


def _tanh(values: Float32Array, bias: Float32Array, before: Float32Array, skip: bool) -> None:
    _linear(values, bias, before, False)
    np.tanh(values, out=values)
    if skip:
        values += before


ACTIVATIONS: Final[dict[str, Finish]] = {
    "linear": _linear,
    "relu": _relu,
    "silu": _silu,
    "tanh": _tanh,
}
"""By name; each takes a layer's products, its bias (unit, 1), its input and whether to add that
input to the activated output, and changes the products in place."""
