from __future__ import annotations

import threading

import numpy as np
import pytest
from random_bundle import random_model, random_network

from aktes_xr.errors import BundleIntegrityError, ShapeError
from aktes_xr.models import Layer, Network, load_bundle
from aktes_xr.models.activation import ACTIVATIONS, finish
from aktes_xr.models.features import (
    N_OUTPUTS,
    QUANTITIES,
    STUDENT_FEATURES,
    TEACHER_FEATURES,
    raw_features,
    standardised_features,
)
from aktes_xr.models.forward import PANEL, TILE
from aktes_xr.models.fusion import Fusion, student_weight, terrain_share


def plain(network: Network, features: np.ndarray) -> np.ndarray:
    """The forward pass written out in float64."""
    functions = {
        "linear": lambda v: v,
        "relu": lambda v: np.where(v > 0, v, 0.0),
        "silu": lambda v: v / (1.0 + np.exp(-v)),
        "tanh": np.tanh,
    }
    hidden = features.astype(np.float64)
    for layer in network.layers:
        value = functions[layer.activation](layer.weight @ hidden + layer.bias)
        hidden = value + hidden if layer.skip else value
    return hidden


@pytest.mark.parametrize("activation", sorted(ACTIVATIONS))
def test_forward_equals_the_plain_one(activation: str) -> None:
    layers = [
        Layer(layer.weight, layer.bias, activation, layer.skip)
        for layer in random_network(21, (32, 32, 16)).layers
    ]
    network = Network(tuple(layers))
    features = np.random.default_rng(0).normal(size=(21, 3000)).astype(np.float32)
    np.testing.assert_allclose(
        network.predict(features), plain(network, features), rtol=2e-5, atol=2e-5
    )


def test_what_single_precision_costs_the_default_networks() -> None:
    bundle = load_bundle()
    for model in bundle.models.values():
        count = model.network.n_features
        features = np.random.default_rng(7).normal(size=(count, 20_000)).astype(np.float32)
        error = np.abs(model.network.predict(features) - plain(model.network, features))
        cost = error[:N_OUTPUTS].max(axis=1) * model.scaling.output_scale
        # A float32 of 300 K is good to 3e-5 K, and an emissivity of 1 to 6e-8.
        assert cost[0] < 3e-5, model.name
        assert cost[1:].max() < 6e-7, model.name


def test_silu_is_the_function_from_end_to_end() -> None:
    silu = ACTIVATIONS.index("silu")
    values = np.linspace(-120.0, 120.0, 4096, dtype=np.float32)
    exact = values.astype(np.float64) / (1.0 + np.exp(-values.astype(np.float64)))
    found = values.copy()
    finish(found, silu)
    error = np.abs(found - exact) / np.maximum(1.0, np.abs(values))
    assert error.max() < 2e-7
    for code, name in enumerate(ACTIVATIONS):
        missing = np.full(PANEL, np.nan, np.float32)
        finish(missing, code)
        assert np.isnan(missing).all(), name


@pytest.mark.parametrize("units", [1, 5, 6, 7, 8, 16, 250])
def test_sums_run_in_the_order_of_the_inputs(units: int) -> None:
    """The obvious twin: one rounding for each product and sum, as in float64 and then float32."""
    rng = np.random.default_rng(units)
    weight = rng.normal(size=(units, 19)).astype(np.float32)
    x = rng.normal(size=(19, 100)).astype(np.float32)
    bias = rng.normal(size=(units, 1)).astype(np.float32)
    sums = np.repeat(bias, 100, axis=1)
    for k in range(19):
        # A product of two float32 is exact in float64; the sum is within its 53 bits but rarely.
        sums = (weight[:, k, np.newaxis].astype(np.float64) * x[k] + sums).astype(np.float32)
    network = Network((Layer(weight, bias, "linear"),))
    np.testing.assert_array_equal(network.predict(x), sums)


def test_all_equal_pixels_have_equal_results() -> None:
    network = random_network(31, (250, 80, 13))
    features = np.repeat(np.random.default_rng(6).normal(size=(31, 1)), TILE + 5, axis=1)
    found = network.predict(features.astype(np.float32))
    np.testing.assert_array_equal(found, np.repeat(found[:, :1], TILE + 5, axis=1))


def test_panels_behind_the_last_pixel_are_not_run() -> None:
    network = random_network(21, (32, 32))
    tile = np.random.default_rng(4).normal(size=(21, TILE)).astype(np.float32)
    whole = network.forward(tile, network.buffers()).copy()
    part = network.forward(tile, network.buffers(), PANEL + 1)
    np.testing.assert_array_equal(part[:, : 2 * PANEL], whole[:, : 2 * PANEL])
    assert (part[:, 2 * PANEL :] == 0.0).all()


def test_result_does_not_depend_on_the_place_in_a_tile() -> None:
    network = random_network(31, (192, 192))
    rng = np.random.default_rng(1)
    features = rng.normal(size=(31, 2 * TILE + 77)).astype(np.float32)
    order = rng.permutation(features.shape[1])
    straight, shuffled = network.predict(features), network.predict(features[:, order])
    np.testing.assert_array_equal(shuffled, straight[:, order])


def test_threads_do_not_disturb_each_other() -> None:
    network = random_network(21, (64, 64))
    features = np.random.default_rng(2).normal(size=(21, 4 * TILE)).astype(np.float32)
    results: list[np.ndarray] = []

    def work() -> None:
        results.append(network.predict(features))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for result in results[1:]:
        np.testing.assert_array_equal(result, results[0])


def test_wrong_shapes_are_refused() -> None:
    with pytest.raises(ShapeError, match="expected"):
        random_network(21, (8,)).predict(np.zeros((20, 5), np.float32))
    weight, bias = np.zeros((4, 3), np.float32), np.zeros((4, 1), np.float32)
    with pytest.raises(BundleIntegrityError, match="feeds"):
        Network((Layer(weight, bias), Layer(weight, bias)))
    with pytest.raises(BundleIntegrityError, match="skip"):
        Layer(weight, bias, skip=True)
    with pytest.raises(BundleIntegrityError, match="activation"):
        Layer(weight, bias, "eval")


def pixel(**values: float) -> np.ndarray:
    quantities = np.full((1, len(QUANTITIES)), np.nan, np.float32)
    for index, name in enumerate(QUANTITIES):
        if name in values:
            quantities[0, index] = values[name]
    for band, kelvin in zip(("B10", "B11", "B12", "B13", "B14"), range(290, 295), strict=True):
        quantities[0, QUANTITIES.index(f"brightness_temperature_{band}")] = kelvin
    return quantities


def test_features_of_one_pixel_by_hand() -> None:
    quantities = pixel(
        view_zenith=60.0,
        surface_pressure=800.0,
        water_vapor=16.0,
        water_vapor_error=1.5,
        sine_of_slope=0.5,
        elevation_difference=-250.0,
    )
    found = dict(zip(STUDENT_FEATURES, raw_features(quantities, terrain=True)[0], strict=True))
    assert found["brightness_temperature_B13"] == 293.0
    assert found["difference_B10_B13"] == -3.0
    assert found["difference_B14_B13"] == 1.0
    assert found["air_mass_excess"] == pytest.approx(1.0, abs=1e-6)
    assert (found["water_vapor"], found["water_vapor_error"]) == (4.0, 1.5)
    assert (found["water_vapor_mask"], found["surface_pressure_mask"]) == (1.0, 1.0)
    assert (found["air_temperature_mask"], found["emissivity_prior_mask"]) == (0.0, 0.0)
    assert np.isnan(found["air_temperature_excess"])
    assert found["sine_of_slope"] == 0.5
    assert found["elevation_difference"] == -250.0


def test_a_value_without_its_error_is_not_there() -> None:
    features = raw_features(pixel(water_vapor=16.0), terrain=False)[0]
    assert features[TEACHER_FEATURES.index("water_vapor_mask")] == 0.0
    assert np.isnan(features[TEACHER_FEATURES.index("water_vapor")])


def test_missing_features_take_the_centre() -> None:
    count = len(TEACHER_FEATURES)
    center, scale = np.full(count, 3.0, np.float32), np.full(count, 2.0, np.float32)
    tile = standardised_features(pixel(), center, scale)[:, 0]
    assert tile[TEACHER_FEATURES.index("air_temperature_excess")] == 0.0
    assert tile[TEACHER_FEATURES.index("brightness_temperature_B13")] == (293.0 - 3.0) / 2.0
    assert tile[TEACHER_FEATURES.index("air_temperature_mask")] == -1.5


def test_sigma_is_calibrated_in_physical_units() -> None:
    model = random_model("teacher", (8,))
    sigma = model.sigma(np.full((1, 6), 2.0 * np.log(0.5), np.float32))
    np.testing.assert_allclose(sigma[0], 0.5 * model.scaling.output_scale, rtol=1e-6)


def test_fusion_weight_is_monotone_bounded_and_exact_at_its_ends() -> None:
    fusion = Fusion(0.1, 0.6, 0.7)
    complexity = np.linspace(0.0, 1.0, 501, dtype=np.float32)
    for teacher, student in ((0.3, 0.9), (0.9, 0.3), (0.5, 0.5)):
        weight = fusion.weight(complexity, np.float32(teacher), np.float32(student))
        assert (np.diff(weight) >= 0).all()
        assert np.diff(weight).max() < 0.03
        assert (weight[complexity <= 0.1] == 0.0).all()
        assert (weight[complexity >= 0.601] == 1.0).all()
    middle = np.float32(0.35)
    sigmas = np.linspace(0.1, 2.0, 50, dtype=np.float32)
    assert (np.diff(fusion.weight(middle, sigmas, np.float32(0.5))) > 0).all()
    assert (np.diff(fusion.weight(middle, np.float32(0.5), sigmas)) < 0).all()
    assert fusion.weight(np.float32(np.nan), np.float32(1.0), np.float32(1.0)) == 0.0
    floored = Fusion(0.1, 0.6, 0.0, floor=0.25)
    assert floored.weight(np.float32(0.0), np.float32(1.0), np.float32(1.0)) == 0.25
    assert floored.weight(np.float32(0.7), np.float32(1.0), np.float32(1.0)) == 1.0
    assert floored.weight(np.float32(np.nan), np.float32(1.0), np.float32(1.0)) == 0.0


def test_fusion_kernel_equals_the_array_form() -> None:
    fusion = Fusion(0.1, 0.6, 0.7, 0.2)
    rng = np.random.default_rng(3)
    for complexity, teacher, student in rng.uniform(0.05, 0.9, (200, 3)).astype(np.float32):
        share = terrain_share(complexity, np.float32(0.1), np.float32(0.6), np.float32(0.2))
        found = student_weight(share, teacher, student, np.float32(0.7))
        assert found == pytest.approx(float(fusion.weight(complexity, teacher, student)), abs=2e-6)
