"""A network's pass by ONNX Runtime, in calls of a fixed number of pixels.

A pixel's bits must not depend on its place in a chunk, on the chunk's shape, on threads or on
processes. ONNX Runtime adds up a row's products in an order that depends on the layer alone. What
could depend on the call is kept fixed. Every call has the same number of rows, and the last one of
a chunk is filled up with whatever was there. Every call has one thread. (OpenBLAS keeps no such
order: on processors without AVX-512 it rounds the columns of one product differently.) Between
processors of different kinds the last bits may differ.

A session is made from the network's own arrays; no model file is read. Dask's threads share it: a
run has its own arrays and takes the calling thread.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import onnxruntime

from aktes_xr.models.onnx_graph import dense_chain

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aktes_xr.compilation import Float32Array
    from aktes_xr.models.layer import Layer

_FEWEST: Final = 64
_MOST: Final = 1024
_UNITS_TIMES_ROWS: Final = 65_536
"""A layer's outputs fill at most 256 kilobytes: two layers' lie in a core's own cache."""
_ERRORS_ONLY: Final = 3


class Engine:
    """One network as a session of ONNX Runtime.

    Parameters
    ----------
    layers : sequence of Layer
        Input to output.

    Attributes
    ----------
    rows : int
        Pixels per call.
    """

    def __init__(self, layers: Sequence[Layer]) -> None:
        self.rows = rows_per_call(layers)
        self.n_features = int(layers[0].weight.shape[1])
        self.n_outputs = int(layers[-1].weight.shape[0])
        self.session = onnxruntime.InferenceSession(
            dense_chain(layers, self.rows), _options(), providers=["CPUExecutionProvider"]
        )
        self.input = str(self.session.get_inputs()[0].name)
        self.output = str(self.session.get_outputs()[0].name)


class Pass:
    """Arrays of pixels, bound to an engine call by call; not to be shared between threads.

    Parameters
    ----------
    engine : Engine
    pixels : int
        Room for so many pixels, rounded up to whole calls.

    Attributes
    ----------
    features : ndarray (call, feature, row), float32
        Standardised before `run`. Within a call a feature's pixels lie side by side, as those that
        describe them have them.
    outputs : ndarray (call, output, row), float32
        Overwritten by `run`.
    """

    def __init__(self, engine: Engine, pixels: int) -> None:
        self._engine = engine
        calls = -(-pixels // engine.rows)
        # Bindings hold addresses only: the arrays have to live as long, and are not replaced.
        self.features: Final = np.zeros((calls, engine.n_features, engine.rows), np.float32)
        self.outputs: Final = np.zeros((calls, engine.n_outputs, engine.rows), np.float32)
        self._calls = [self._bound(call) for call in range(calls)]

    def _bound(self, call: int) -> onnxruntime.IOBinding:
        engine = self._engine
        binding = engine.session.io_binding()
        features, outputs = self.features[call], self.outputs[call]
        address = features.ctypes.data
        binding.bind_input(engine.input, "cpu", 0, np.float32, features.shape, address)
        address = outputs.ctypes.data
        binding.bind_output(engine.output, "cpu", 0, np.float32, outputs.shape, address)
        return binding

    def run(self, count: int) -> None:
        """Pass pixels through the network, in whole calls.

        Parameters
        ----------
        count : int
            Number of pixels. Those that share a call with the last of them are passed too.
        """
        rows, session = self._engine.rows, self._engine.session
        for binding in self._calls[: -(-count // rows)]:
            session.run_with_iobinding(binding)

    def put(self, features: Float32Array) -> None:
        """Lay pixels out for `run`.

        Parameters
        ----------
        features : ndarray (pixel, feature), float32
            Standardised; at most as many as there is room for.
        """
        for call, first in enumerate(range(0, len(features), self._engine.rows)):
            part = features[first : first + self._engine.rows]
            self.features[call, :, : len(part)] = part.T

    def get(self, count: int) -> Float32Array:
        """Return what the first pixels came out as.

        Parameters
        ----------
        count : int
            Number of pixels.

        Returns
        -------
        ndarray (pixel, output), float32
            A copy.
        """
        turned = self.outputs.transpose(0, 2, 1)
        return np.ascontiguousarray(turned.reshape(-1, self._engine.n_outputs)[:count])


def rows_per_call(layers: Sequence[Layer]) -> int:
    """Return how many pixels are passed at once: a power of two, fewer through wider layers.

    Parameters
    ----------
    layers : sequence of Layer
        The network's layers.

    Returns
    -------
    int
    """
    widest = max(int(layer.weight.shape[0]) for layer in layers)
    rows = 1 << max(_UNITS_TIMES_ROWS // widest, 1).bit_length() - 1
    return min(max(rows, _FEWEST), _MOST)


def _options() -> onnxruntime.SessionOptions:
    options = onnxruntime.SessionOptions()
    # Dask gives the parallelism.
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    # An arena keeps for good what the most threads at once ever needed.
    options.enable_cpu_mem_arena = False
    options.enable_mem_pattern = False
    options.log_severity_level = _ERRORS_ONLY
    return options
