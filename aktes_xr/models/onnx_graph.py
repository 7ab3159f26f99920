"""A chain of dense layers as an ONNX model, in memory.

A model is a protocol-buffers message [1]_ whose field numbers are fixed for good [2]_; a dozen of
them say all there is to say of dense layers. They are written here, for the `onnx` package would
take 12 MB of every worker's memory to do the same; the tests read the result back with it.

References
----------
.. [1] https://protobuf.dev/programming-guides/encoding/
.. [2] https://github.com/onnx/onnx/blob/main/onnx/onnx.proto
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from aktes_xr.errors import BundleIntegrityError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from aktes_xr.models.layer import Layer

_FEATURES: Final = "features"
_OPERATOR: Final = {"relu": "Relu", "tanh": "Tanh"}
_IR_VERSION: Final = 8
_OPERATORS: Final = 17
"""Version of ONNX's operators; every one that is used here is older."""
_FLOAT: Final = 1
_INTEGER_ATTRIBUTE: Final = 2


def dense_chain(layers: Sequence[Layer], rows: int) -> bytes:
    """Write a network as an ONNX model.

    Parameters
    ----------
    layers : sequence of Layer
        Input to output.
    rows : int
        Pixels per call. It is fixed, so that nothing that reads the model can choose its way by it.

    Returns
    -------
    bytes
        A ``ModelProto`` with one input (feature, row) and one output (output, row), float32.
    """
    graph = _Graph()
    # What describes pixels has a feature's pixels side by side, a product a pixel's features.
    value = graph.apply("Transpose", _FEATURES)
    for layer in layers:
        value = _add_layer(graph, layer, value)
    value = graph.apply("Transpose", value)
    body = (
        *graph.parts,
        _text(2, "dense chain"),
        _message(11, _declared(_FEATURES, (layers[0].weight.shape[1], rows))),
        _message(12, _declared(value, (layers[-1].weight.shape[0], rows))),
    )
    operators = _message(8, _text(1, ""), _number(2, _OPERATORS))
    return _number(1, _IR_VERSION) + _message(7, *body) + operators


class _Graph:
    """The weights and operations of a model so far, as fields of its graph."""

    def __init__(self) -> None:
        self.parts: list[bytes] = []

    def constant(self, values: NDArray[np.float32]) -> str:
        """Add an array; return its name."""
        name = f"array_{len(self.parts)}"
        tensor = (
            *(_number(1, length) for length in values.shape),
            _number(2, _FLOAT),
            _text(8, name),
            _message(9, np.ascontiguousarray(values, "<f4").tobytes()),
        )
        self.parts.append(_message(5, *tensor))
        return name

    def apply(self, operator: str, *inputs: str, attributes: bytes = b"") -> str:
        """Add an operation; return its result's name."""
        name = f"{operator}_{len(self.parts)}"
        names = (*(_text(1, value) for value in inputs), _text(2, name))
        self.parts.append(_message(1, *names, _text(4, operator), attributes))
        return name


def _add_layer(graph: _Graph, layer: Layer, before: str) -> str:
    weight, bias = graph.constant(layer.weight), graph.constant(layer.bias[:, 0])
    # Weights are kept (unit, input).
    transposed = _message(5, _text(1, "transB"), _number(3, 1), _number(20, _INTEGER_ATTRIBUTE))
    total = graph.apply("Gemm", before, weight, bias, attributes=transposed)
    if layer.activation == "linear":
        value = total
    elif layer.activation == "silu":
        value = graph.apply("Mul", total, graph.apply("Sigmoid", total))
    elif layer.activation in _OPERATOR:
        value = graph.apply(_OPERATOR[layer.activation], total)
    else:
        raise BundleIntegrityError(
            f"a layer has activation {layer.activation!r}, for which there is no operator"
        )
    return graph.apply("Add", value, before) if layer.skip else value


def _declared(name: str, shape: Sequence[int]) -> bytes:
    """Return the fields that declare a float32 array of a fixed shape."""
    lengths = (_message(1, _number(1, length)) for length in shape)
    kind = _message(1, _number(1, _FLOAT), _message(2, *lengths))
    return _text(1, name) + _message(2, kind)


def _message(field: int, *parts: bytes) -> bytes:
    """Write a field that has a length: a message, or bytes."""
    body = b"".join(parts)
    return _varint(field << 3 | 2) + _varint(len(body)) + body


def _text(field: int, text: str) -> bytes:
    return _message(field, text.encode())


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _varint(value: int) -> bytes:
    """Write a number seven bits at a time, the lowest first; a set eighth bit says more follow."""
    written = bytearray()
    while value > 127:
        written.append(value & 127 | 128)
        value >>= 7
    written.append(value)
    return bytes(written)
