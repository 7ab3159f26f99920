from __future__ import annotations

import hashlib
import pickle
import subprocess
import sys
import threading

import numpy as np
import pytest
from random_bundle import random_model, random_network

from aktes_xr.errors import BundleIntegrityError, ShapeError
from aktes_xr.models import Layer, Network, load_bundle
from aktes_xr.models.features import (
    N_OUTPUTS,
    N_QUANTITIES,
    QUANTITIES,
    REFERENCE,
    STUDENT_FEATURES,
    TEACHER_FEATURES,
    raw_features,
    standardised_features,
)
from aktes_xr.models.fusion import Fusion, fuse, student_weight, terrain_share
from aktes_xr.models.layer import ACTIVATIONS
from aktes_xr.models.reading import EMISSIVITY_RANGE

NETWORKS = {
    "teacher's shape": random_network(21, (256, 256)),
    "student's shape": random_network(31, (80, 80)),
    "odd widths": random_network(31, (13, 250, 7)),
    "default teacher": load_bundle().teacher.network,
    "default student": load_bundle().students[-1].network,
}
PIXELS = 2 * 4096 + 77


def drawn(network: Network, count: int = PIXELS, seed: int = 1) -> np.ndarray:
    values = np.random.default_rng(seed).normal(size=(count, network.n_features))
    return values.astype(np.float32)


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
        value = functions[layer.activation](hidden @ layer.weight.T + layer.bias[:, 0])
        hidden = value + hidden if layer.skip else value
    return hidden


@pytest.mark.parametrize("activation", sorted(ACTIVATIONS))
def test_forward_equals_the_plain_one(activation: str) -> None:
    layers = [
        Layer(layer.weight, layer.bias, activation, layer.skip)
        for layer in random_network(21, (32, 32, 16)).layers
    ]
    assert any(layer.skip for layer in layers)
    network = Network(tuple(layers))
    features = drawn(network, 3000, seed=0)
    np.testing.assert_allclose(
        network.predict(features), plain(network, features), rtol=2e-5, atol=2e-5
    )


def test_what_single_precision_costs_the_default_networks() -> None:
    bundle = load_bundle()
    for model in bundle.models.values():
        features = drawn(model.network, 20_000, seed=7)
        error = np.abs(model.network.predict(features) - plain(model.network, features))
        cost = error[:, :N_OUTPUTS].max(axis=0) * model.scaling.output_scale
        # A float32 of 300 K is good to 3e-5 K, and an emissivity of 1 to 6e-8; five layers of sums
        # cost some ten times that.
        assert cost[0] < 3e-5, model.name
        assert cost[1:].max() < 1e-6, model.name


@pytest.mark.parametrize("activation", sorted(ACTIVATIONS))
def test_activations_are_the_functions_from_end_to_end(activation: str) -> None:
    network = Network(
        (Layer(np.ones((1, 1), np.float32), np.zeros((1, 1), np.float32), activation),)
    )
    values = np.linspace(-120.0, 120.0, 4096, dtype=np.float32)[:, np.newaxis]
    error = np.abs(network.predict(values) - plain(network, values))
    assert (error / np.maximum(1.0, np.abs(values))).max() < 3e-7


@pytest.mark.parametrize("network", NETWORKS.values(), ids=NETWORKS)
def test_no_bit_depends_on_a_pixels_place(network: Network) -> None:
    features = drawn(network)
    order = np.random.default_rng(2).permutation(len(features))
    whole = network.predict(features)
    np.testing.assert_array_equal(network.predict(features[order]), whole[order])
    same = np.repeat(features[:1], PIXELS, axis=0)
    np.testing.assert_array_equal(network.predict(same), np.repeat(whole[:1], PIXELS, axis=0))


@pytest.mark.parametrize("network", NETWORKS.values(), ids=NETWORKS)
@pytest.mark.parametrize("width", [1, 2, 3, 5, 7, 15, 17, 63, 65, 100, 255, 257, 511, 4097])
def test_no_bit_depends_on_how_many_pixels_come_together(network: Network, width: int) -> None:
    features = drawn(network, min(40 * width, 4200))
    whole = network.predict(features)
    for start in range(0, len(features), width):
        part = slice(start, start + width)
        np.testing.assert_array_equal(network.predict(features[part]), whole[part])


def test_what_lies_behind_the_last_pixel_changes_no_bit() -> None:
    network = NETWORKS["default teacher"]
    features = drawn(network, 40)
    whole = network.predict(features)
    for rest in (0.0, 1e30, -1e30, np.inf, np.nan):
        work = network.new_pass(1000)
        work.features[:] = rest
        work.put(features)
        work.run(40)
        np.testing.assert_array_equal(work.get(40), whole)
    assert np.isfinite(whole).all()
    # Calls behind the last pixel are not run.
    assert (work.outputs[1:] == 0.0).all()


@pytest.mark.parametrize("network", NETWORKS.values(), ids=NETWORKS)
def test_threads_share_a_session_and_change_no_bit(network: Network) -> None:
    features = drawn(network)
    expected = network.predict(features)
    fresh = Network(network.layers)
    results: list[np.ndarray] = []
    together = threading.Barrier(6)

    def work(start: int) -> None:
        together.wait()
        rolled = np.roll(features, start, axis=0)
        results.append(np.roll(fresh.predict(rolled), -start, axis=0))

    threads = [threading.Thread(target=work, args=(97 * number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 6
    for result in results:
        np.testing.assert_array_equal(result, expected)


def test_another_process_has_the_same_bits() -> None:
    features = drawn(NETWORKS["default teacher"], 5000)
    script = (
        "import hashlib, sys, pickle\n"
        "network, features = pickle.loads(sys.stdin.buffer.read())\n"
        "print(hashlib.sha256(network.predict(features).tobytes()).hexdigest())"
    )
    for network in (NETWORKS["default teacher"], NETWORKS["default student"]):
        features = drawn(network, 5000)
        expected = hashlib.sha256(network.predict(features).tobytes()).hexdigest()
        done = subprocess.run(
            [sys.executable, "-c", script],
            input=pickle.dumps((network, features)),
            capture_output=True,
            check=True,
        )
        assert done.stdout.decode().strip() == expected


def test_a_network_that_is_pickled_leaves_its_session_behind() -> None:
    network = random_network(21, (64, 64))
    before = len(pickle.dumps(network))
    features = drawn(network, 10)
    expected = network.predict(features)
    assert len(pickle.dumps(network)) == before
    again = pickle.loads(pickle.dumps(network))
    np.testing.assert_array_equal(again.predict(features), expected)


def test_no_pixels_make_no_outputs() -> None:
    network = random_network(21, (8,))
    assert network.predict(np.zeros((0, 21), np.float32)).shape == (0, 12)


def test_wrong_shapes_are_refused() -> None:
    with pytest.raises(ShapeError, match="expected"):
        random_network(21, (8,)).predict(np.zeros((5, 20), np.float32))
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
    tile = standardised_features(pixel(), center, scale)[0]
    assert tile[TEACHER_FEATURES.index("air_temperature_excess")] == 0.0
    assert tile[TEACHER_FEATURES.index("brightness_temperature_B13")] == (293.0 - 3.0) / 2.0
    assert tile[TEACHER_FEATURES.index("air_temperature_mask")] == -1.5


def described(count: int) -> np.ndarray:
    """Pixels of which nothing is known but a brightness temperature of 300 K."""
    quantities = np.full((count, N_QUANTITIES), np.nan, np.float32)
    quantities[:, REFERENCE] = 300.0
    return quantities


def test_sigma_is_calibrated_in_physical_units() -> None:
    model = random_model("teacher", (8,))
    raw = np.full((1, 12), 2.0 * np.log(0.5), np.float32)
    _, sigma = model.read(raw, described(1))
    np.testing.assert_allclose(sigma[0], 0.5 * model.scaling.output_scale, rtol=1e-6)


def test_estimates_are_read_within_their_ranges() -> None:
    model = random_model("teacher", (8,))
    raw = np.array([[0.0] * 12, [1e4] * 12, [-1e4] * 12], np.float32)
    estimate, sigma = model.read(raw, described(3))
    np.testing.assert_allclose(estimate[0], model.scaling.output_center + np.eye(6)[0] * 300.0)
    assert (estimate[1, 1:] == np.float32(EMISSIVITY_RANGE[1])).all()
    assert (estimate[2, 1:] == np.float32(EMISSIVITY_RANGE[0])).all()
    np.testing.assert_allclose(estimate[1:, 0], [30_301.0, -29_699.0])
    assert np.isfinite(sigma).all()
    # A prediction, which model cards score, is read so, too.
    quantities = pixel(view_zenith=0.0)
    quantities[:, REFERENCE] += 3e4
    found, _ = model.predict(quantities)
    assert (found[:, 1:] <= EMISSIVITY_RANGE[1]).all()
    assert (found[:, 1:] >= EMISSIVITY_RANGE[0]).all()


def test_fused_estimates_lie_between_their_parts_and_widen_where_these_disagree() -> None:
    rng = np.random.default_rng(4)
    teacher, student = (
        (rng.normal(size=(50, 6)).astype(np.float32), np.full((50, 6), sigma, np.float32))
        for sigma in (0.3, 0.4)
    )
    complexity = np.linspace(0.0, 1.0, 50, dtype=np.float32)
    mean, sigma = fuse(teacher, student, Fusion(0.1, 0.6, 0.7), complexity)
    np.testing.assert_array_equal(mean[:5], teacher[0][:5])
    np.testing.assert_allclose(mean[-10:], student[0][-10:], atol=1e-6)
    low, high = np.minimum(teacher[0], student[0]), np.maximum(teacher[0], student[0])
    assert ((mean >= low - 1e-6) & (mean <= high + 1e-6)).all()
    agreed, narrow = fuse(teacher, (teacher[0], student[1]), Fusion(0.1, 0.6, 0.7), complexity)
    np.testing.assert_allclose(agreed, teacher[0], atol=1e-6)
    assert (sigma >= narrow - 1e-6).all()
    assert narrow.max() <= np.float32(0.4) + 1e-6


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
