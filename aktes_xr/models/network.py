"""A network: a chain of dense layers, some with a skip connection, ``h <- act(W h + b) (+ h)``.

Pixels lie along the last axis of every array. The pass itself is `aktes_xr.models.forward`.
"""

from __future__ import annotations

import functools
import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from aktes_xr.errors import BundleIntegrityError, ShapeError
from aktes_xr.models.activation import ACTIVATIONS
from aktes_xr.models.forward import TILE, Packed, forward, pack, scratch

if TYPE_CHECKING:
    from aktes_xr.compilation import Float32Array


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


@dataclass(frozen=True, eq=False)
class Network:
    """A chain of dense layers on standardised features.

    Attributes
    ----------
    layers : tuple of Layer
        Input to output.
    """

    layers: tuple[Layer, ...]

    def __post_init__(self) -> None:
        for before, after in zip(self.layers, self.layers[1:], strict=False):
            if before.weight.shape[0] != after.weight.shape[1]:
                raise BundleIntegrityError(
                    f"a layer of {before.weight.shape[0]} units feeds one of "
                    f"{after.weight.shape[1]} inputs"
                )

    @property
    def n_features(self) -> int:
        """Number of inputs."""
        return int(self.layers[0].weight.shape[1])

    @property
    def n_outputs(self) -> int:
        """Number of outputs."""
        return int(self.layers[-1].weight.shape[0])

    @property
    def multiplications(self) -> int:
        """Multiplications per pixel."""
        return sum(int(layer.weight.size) for layer in self.layers)

    @functools.cached_property
    def _packed(self) -> Packed:
        return pack(self.layers)

    def buffers(self) -> tuple[Float32Array, Float32Array]:
        """Arrays for one tile; not to be shared between threads.

        Returns
        -------
        tuple of ndarray
            Scratch, and the output (output, TILE).
        """
        outputs = np.zeros((self.n_outputs, TILE), np.float32)
        return scratch(self._packed, self.n_features), outputs

    def forward(
        self, tile: Float32Array, buffers: tuple[Float32Array, Float32Array], count: int = TILE
    ) -> Float32Array:
        """Pass one tile through the network.

        Parameters
        ----------
        tile : ndarray (feature, TILE), float32
            Standardised features, C-contiguous.
        buffers : tuple of ndarray
            From `buffers`.
        count : int
            Pixels that matter: panels behind them are not run, and their outputs are stale.

        Returns
        -------
        ndarray (output, TILE), float32
            The last buffer: overwritten by the next call.
        """
        panels, outputs = buffers
        forward(self._packed, tile, count, panels, outputs)
        return outputs

    def predict(self, features: Float32Array) -> Float32Array:
        """Pass any number of pixels through the network.

        Parameters
        ----------
        features : ndarray (feature, pixel), float32
            Standardised, feature-major.

        Returns
        -------
        ndarray (output, pixel), float32
        """
        if features.ndim != 2 or features.shape[0] != self.n_features:
            raise ShapeError(
                f"features have shape {features.shape}; expected ({self.n_features}, pixel)"
            )
        count = features.shape[1]
        outputs = np.empty((self.n_outputs, count), np.float32)
        tile, buffers = np.zeros((self.n_features, TILE), np.float32), self.buffers()
        for start in range(0, count, TILE):
            width = min(TILE, count - start)
            tile[:, :width] = features[:, start : start + width]
            outputs[:, start : start + width] = self.forward(tile, buffers, width)[:, :width]
        return outputs

    def arrays(self) -> dict[str, Float32Array]:
        """Weights by name, for a bundle."""
        named: dict[str, Float32Array] = {}
        for index, layer in enumerate(self.layers):
            named[f"weight_{index}"] = layer.weight
            named[f"bias_{index}"] = layer.bias[:, 0]
        return named

    @property
    def sha256(self) -> str:
        """Hash of the weights: the same network in whatever bundle."""
        digest = hashlib.sha256()
        for name, values in self.arrays().items():
            digest.update(f"{name} {values.shape} ".encode())
            digest.update(np.ascontiguousarray(values, "<f4").tobytes())
        return digest.hexdigest()

    def description(self) -> list[dict[str, Any]]:
        """Activation and skip of each layer, for a bundle's manifest."""
        return [{"activation": layer.activation, "skip": layer.skip} for layer in self.layers]

    @classmethod
    def from_arrays(
        cls, arrays: dict[str, Float32Array], description: list[dict[str, Any]]
    ) -> Network:
        """Build a network from what `arrays` and `description` return.

        Raises
        ------
        BundleIntegrityError
            Where an array is missing or does not fit its neighbours.
        """
        layers = []
        for index, entry in enumerate(description):
            try:
                weight, bias = arrays[f"weight_{index}"], arrays[f"bias_{index}"]
            except KeyError as error:
                raise BundleIntegrityError(
                    f"the network's file lacks layer {index}; the manifest names "
                    f"{len(description)} layers"
                ) from error
            layers.append(
                Layer(
                    np.ascontiguousarray(weight, np.float32),
                    np.ascontiguousarray(bias, np.float32)[:, np.newaxis],
                    str(entry["activation"]),
                    bool(entry["skip"]),
                )
            )
        if not layers:
            raise BundleIntegrityError("the manifest names a network without layers")
        return cls(tuple(layers))
