from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import numpy_helper, reference
from random_bundle import random_network

from aktes_xr.models import Layer, load_bundle
from aktes_xr.models.engine import rows_per_call
from aktes_xr.models.layer import ACTIVATIONS
from aktes_xr.models.onnx_graph import dense_chain


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("skip", [False, True])
def test_the_written_model_is_what_the_onnx_package_reads(activation: str, skip: bool) -> None:
    rng = np.random.default_rng(0)
    weight = rng.normal(size=(5, 5)).astype(np.float32)
    bias = rng.normal(size=(5, 1)).astype(np.float32)
    layers = [Layer(weight, bias, activation, skip), Layer(weight[:3], bias[:3], "linear")]
    model = onnx.load_from_string(dense_chain(layers, 300))
    onnx.checker.check_model(model, full_check=True)
    assert model.graph.input[0].type.tensor_type.shape.dim[1].dim_value == 300
    x = rng.normal(size=(300, 5)).astype(np.float32)
    (found,) = reference.ReferenceEvaluator(model).run(None, {model.graph.input[0].name: x.T})
    hidden = x @ weight.T + bias[:, 0]
    hidden = {
        "linear": lambda v: v,
        "relu": lambda v: np.maximum(v, 0.0),
        "silu": lambda v: v / (1.0 + np.exp(-v)),
        "tanh": np.tanh,
    }[activation](hidden)
    hidden = hidden + x if skip else hidden
    expected = hidden @ weight[:3].T + bias[:3, 0]
    np.testing.assert_allclose(found.T, expected, rtol=1e-4, atol=1e-4)


def test_arrays_reach_the_model_bit_for_bit() -> None:
    layers = load_bundle().teacher.network.layers
    model = onnx.load_from_string(dense_chain(layers, 256))
    arrays = [numpy_helper.to_array(entry) for entry in model.graph.initializer]
    assert len(arrays) == 2 * len(layers)
    for layer, weight, bias in zip(layers, arrays[::2], arrays[1::2], strict=True):
        np.testing.assert_array_equal(weight, layer.weight)
        np.testing.assert_array_equal(bias, layer.bias[:, 0])
    assert not any(entry.external_data for entry in model.graph.initializer)


@pytest.mark.parametrize("widest", [1, 12, 80, 250, 256, 257, 4096, 70_000])
def test_wider_layers_take_fewer_pixels_at_once(widest: int) -> None:
    rows = rows_per_call(random_network(21, (widest,)).layers)
    assert rows & (rows - 1) == 0
    assert 64 <= rows <= 1024
    assert rows * widest <= 65_536 or rows == 64
