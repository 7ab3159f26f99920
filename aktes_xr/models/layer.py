"""A dense layer, ``h <- act(W h + b) (+ h)``: what a network is a chain of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from aktes_xr.errors import BundleIntegrityError

if TYPE_CHECKING:
    from aktes_xr.compilation import Float32Array

ACTIVATIONS: Final = ("linear", "relu", "silu", "tanh")
"""Names; ``silu`` is x sigmoid(x)."""


@dataclass(frozen=True, eq=False)
class Layer:
    """One dense layer.

    Attributes
    ----------
    weight : ndarray (unit, input), float32
    bias : ndarray (unit, 1), float32
    activation : str
        One of `ACTIVATIONS`.
    skip : bool
        Whether the layer's input is added to its activated output.
    """

    weight: Float32Array
    bias: Float32Array
    activation: str = "relu"
    skip: bool = False

    def __post_init__(self) -> None:
        if self.weight.ndim != 2 or self.bias.shape != (self.weight.shape[0], 1):
            raise BundleIntegrityError(
                f"a layer has weights {self.weight.shape} and bias {self.bias.shape}; expected "
                "(unit, input) and (unit, 1)"
            )
        if self.activation not in ACTIVATIONS:
            raise BundleIntegrityError(
                f"a layer has activation {self.activation!r}; expected one of {sorted(ACTIVATIONS)}"
            )
        if self.skip and self.weight.shape[0] != self.weight.shape[1]:
            raise BundleIntegrityError(
                f"a layer of shape {self.weight.shape} cannot have a skip connection"
            )
