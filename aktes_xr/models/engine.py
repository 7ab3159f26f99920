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

    def whole_calls(self, pixels: int) -> int:
        """Round a number of pixels up to whole calls.

        Parameters
        ----------
        pixels : int
            Pixels to pass.

        Returns
        -------
        int
            Pixels of as many whole calls as they take.
        """
        return -(-pixels // self.rows) * self.rows


class Pass:
    """Arrays of pixels, bound to an engine call by call; not to be shared between threads.

    Parameters
    ----------
    engine : Engine
    features : ndarray (pixel, feature), float32
        C-contiguous, and a multiple of the engine's rows; standardised before `run`.
    outputs : ndarray (pixel, output), float32
        C-contiguous, as many; overwritten by `run`.
    """

    def __init__(self, engine: Engine, features: Float32Array, outputs: Float32Array) -> None:
        self._engine = engine
        # Bindings hold addresses only: the arrays have to live as long, and are not replaced.
        self.features: Final = features
        self.outputs: Final = outputs
        self._calls = [
            self._bound(slice(first, first + engine.rows))
            for first in range(0, len(features), engine.rows)
        ]

    def _bound(self, part: slice) -> onnxruntime.IOBinding:
        engine = self._engine
        binding = engine.session.io_binding()
        features, outputs = self.features[part], self.outputs[part]
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
