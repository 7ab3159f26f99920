"""A network: a chain of dense layers. Its pass is `aktes_xr.models.engine`."""

from __future__ import annotations

import hashlib
import threading
import weakref
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from aktes_xr.errors import BundleIntegrityError, ShapeError
from aktes_xr.models.engine import Engine, Pass
from aktes_xr.models.layer import Layer

if TYPE_CHECKING:
    from aktes_xr.compilation import Float32Array

_AT_ONCE: Final = 2**13
"""Pixels laid out at once."""
_LOCK: Final = threading.Lock()
_ENGINES: Final[weakref.WeakKeyDictionary[Network, Engine]] = weakref.WeakKeyDictionary()


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

    @property
    def engine(self) -> Engine:
        """The process's one session of this network."""
        # Not an attribute of the network: a session cannot be pickled, a network can.
        with _LOCK:
            engine = _ENGINES.get(self)
            if engine is None:
                engine = _ENGINES[self] = Engine(self.layers)
        return engine

    def new_pass(self, pixels: int) -> Pass:
        """Allocate the arrays of a pass; not to be shared between threads.

        Parameters
        ----------
        pixels : int
            Largest number of pixels at once.

        Returns
        -------
        Pass
        """
        return Pass(self.engine, pixels)

    def predict(self, features: Float32Array) -> Float32Array:
        """Pass any number of pixels through the network.

        Parameters
        ----------
        features : ndarray (pixel, feature), float32
            Standardised.

        Returns
        -------
        ndarray (pixel, output), float32

        Raises
        ------
        ShapeError
            The features are not this network's.
        """
        if features.ndim != 2 or features.shape[1] != self.n_features:
            raise ShapeError(
                f"features have shape {features.shape}; expected (pixel, {self.n_features})"
            )
        outputs = np.empty((len(features), self.n_outputs), np.float32)
        work = self.new_pass(min(len(features), _AT_ONCE))
        for first in range(0, len(features), _AT_ONCE):
            part = features[first : first + _AT_ONCE]
            work.put(part)
            work.run(len(part))
            outputs[first : first + len(part)] = work.get(len(part))
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

        Parameters
        ----------
        arrays : dict of str to ndarray, float32
            ``weight_<n>`` and ``bias_<n>`` of each layer.
        description : list of dict
            Activation and skip connection of each layer.

        Returns
        -------
        Network

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
