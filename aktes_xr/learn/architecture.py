"""Networks as values: what the search chooses, built as plain Keras and folded for retrieval."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from aktes_xr.models.features import N_OUTPUTS
from aktes_xr.models.layer import Layer
from aktes_xr.models.network import Network


@dataclass(frozen=True)
class Architecture:
    """A chain of dense layers.

    Attributes
    ----------
    units : tuple of int
        Of the hidden layers.
    activation : str
    normalisation : bool
        Batch normalisation before each activation.
    skip : bool
        A layer's input is added to its output where their widths agree.
    """

    units: tuple[int, ...]
    activation: str = "relu"
    normalisation: bool = False
    skip: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return the choices as plain values."""
        return asdict(self)


def multiplications(architecture: Architecture, features: int) -> int:
    """Count a network's multiplications for one pixel.

    Parameters
    ----------
    architecture : Architecture
        The hidden layers.
    features : int
        Number of inputs.

    Returns
    -------
    int
    """
    sizes = (features, *architecture.units, 2 * N_OUTPUTS)
    return sum(before * after for before, after in pairwise(sizes))


def hidden_layers(node: Any, architecture: Architecture) -> Any:
    """Apply the hidden layers to a Keras tensor.

    Parameters
    ----------
    node : Keras tensor (pixel, feature)
        What the first layer takes.
    architecture : Architecture
        The hidden layers.

    Returns
    -------
    Keras tensor (pixel, unit)
    """
    import keras

    for index, units in enumerate(architecture.units):
        before = node
        node = keras.layers.Dense(units, kernel_initializer="he_normal", name=f"dense_{index}")(
            node
        )
        if architecture.normalisation:
            node = keras.layers.BatchNormalization(name=f"normalisation_{index}")(node)
        node = keras.layers.Activation(architecture.activation, name=f"activation_{index}")(node)
        if architecture.skip and before.shape[-1] == units:
            node = keras.layers.Add(name=f"skip_{index}")([before, node])
    return node


def keras_model(architecture: Architecture, features: int, name: str) -> Any:
    """Build a plain Keras model of twelve outputs.

    They are six means and six logarithms of variances.

    Parameters
    ----------
    architecture : Architecture
        The hidden layers.
    features : int
        Number of inputs.
    name : str
        The model's name.

    Returns
    -------
    keras.Model
    """
    import keras

    inputs = keras.Input((features,), name="features")
    outputs = keras.layers.Dense(2 * N_OUTPUTS, name="outputs")(hidden_layers(inputs, architecture))
    return keras.Model(inputs, outputs, name=name)


def fold(model: Any, architecture: Architecture) -> Network:
    """Turn a trained Keras model into the chain that retrieval runs.

    Parameters
    ----------
    model : keras.Model
        From `keras_model`.
    architecture : Architecture

    Returns
    -------
    Network
        Batch normalisation is folded into the weights.
    """
    layers = []
    inputs = int(model.input_shape[-1])
    for index, units in enumerate(architecture.units):
        kernel, bias = (np.asarray(w) for w in model.get_layer(f"dense_{index}").get_weights())
        if architecture.normalisation:
            norm = model.get_layer(f"normalisation_{index}")
            gamma, beta, mean, variance = (np.asarray(w) for w in norm.get_weights())
            factor = gamma / np.sqrt(variance + norm.epsilon)
            kernel, bias = kernel * factor, (bias - mean) * factor + beta
        skip = architecture.skip and inputs == units
        layers.append(_layer(kernel, bias, architecture.activation, skip))
        inputs = units
    kernel, bias = (np.asarray(w) for w in model.get_layer("outputs").get_weights())
    layers.append(_layer(kernel, bias, "linear", False))
    return Network(tuple(layers))


def _layer(kernel: Any, bias: Any, activation: str, skip: bool) -> Layer:
    return Layer(
        np.ascontiguousarray(kernel.T, np.float32),
        np.ascontiguousarray(bias, np.float32)[:, np.newaxis],
        activation,
        skip,
    )
