r"""What follows a layer's product: the activation, in one pass over a few of its units.

The loops run over all pixels of all these units without branches, so that the compiler
takes eight or sixteen pixels at once; each pixel's arithmetic is the same wherever it stands.

.. math:: x\,\mathrm{sigmoid}(x) = \frac{x}{1 + 2^t}, \qquad t = -x \log_2 e = n + f,

with n the nearest integer, whose bits shift the exponent, and :math:`2^f` on [-1/2, 1/2] the
polynomial of degree 5 that is closest in relative error (7.5e-8): within 2e-7 of max(1, |x|).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np

from aktes_xr.compilation import kernel

if TYPE_CHECKING:
    from aktes_xr.compilation import Float32Array


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
_HALF: Final = np.float32(0.5)
_ONE: Final = np.float32(1.0)


ACTIVATIONS: Final = ("linear", "relu", "silu", "tanh")
"""Names; kernels know an activation by its number here."""
_RELU: Final = ACTIVATIONS.index("relu")
_SILU: Final = ACTIVATIONS.index("silu")
_TANH: Final = ACTIVATIONS.index("tanh")


@kernel()
def finish(values: Float32Array, activation: int) -> None:  # pragma: no cover
    """Turn sums into a layer's outputs, in place.

    Parameters
    ----------
    values : ndarray (number,), float32
    activation : int
        Place in `ACTIVATIONS`.
    """
    if activation == _SILU:
        _silu(values)
    elif activation == _RELU:
        _relu(values)
    elif activation == _TANH:
        _tanh(values)


@kernel()
def add(values: Float32Array, before: Float32Array) -> None:  # pragma: no cover
    """Add a layer's input to its output."""
    for place in range(values.size):
        values[place] += before[place]


@kernel()
def _relu(values: Float32Array) -> None:  # pragma: no cover
    for place in range(values.size):
        # Exact, and a NaN stays one. A comparison would become a store on condition, and a branch.
        values[place] = _HALF * (values[place] + abs(values[place]))


@kernel()
def _tanh(values: Float32Array) -> None:  # pragma: no cover
    for place in range(values.size):
        values[place] = np.float32(math.tanh(values[place]))


# Division by NumPy's rules: a test for zero would keep the loop from being vectorised. Of fast math
# only the contraction of a product and a sum, a quarter of the time: it changes neither order nor
# NaN, and acts on each pixel alike.
@kernel(error_model="numpy", fastmath={"contract"})
def _silu(values: Float32Array) -> None:  # pragma: no cover
    for place in range(values.size):
        value = values[place]
        power = value * _TO_BASE_TWO
        power = _LARGEST_POWER if power > _LARGEST_POWER else power
        power = -_LARGEST_POWER if power < -_LARGEST_POWER else power
        rounded = np.float32(power + _ROUNDER)
        rest = power - (rounded - _ROUNDER)
        fraction = np.float32(
            _C0 + rest * (_C1 + rest * (_C2 + rest * (_C3 + rest * (_C4 + rest * _C5))))
        )
        bits = np.int32(fraction.view(np.int32) + (rounded.view(np.int32) << _MANTISSA_BITS))
        values[place] = value / (_ONE + bits.view(np.float32))
