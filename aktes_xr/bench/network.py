"""Forward passes side by side: ours, the bare matrix rate of the machine, and Keras's ``predict``.

One thread, a chunk of 512 x 512 pixels, random weights (the time does not depend on them); the
matrix rate is that of a large single-precision product, measured between the passes of the same
run. Keras runs in a process of its own where it is installed: importing TensorFlow starts threads
that would compete with ours. Times are processor time, which other processes disturb less than the
time on the wall; Keras, whose threads overlap, is given the shorter of the two.
"""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from statistics import median
from typing import Final

import numpy as np

from aktes_xr.bench.blas import single_blas_thread
from aktes_xr.bench.checks import BenchResult, Check, Table
from aktes_xr.models.bundle import load_bundle
from aktes_xr.models.features import N_OUTPUTS, STUDENT_FEATURES, TEACHER_FEATURES
from aktes_xr.models.network import Layer, Network

PIXELS: Final = 512 * 512
TEACHER_UNITS: Final = (256, 256, 256)
STUDENT_UNITS: Final = (32, 32)
_MATRIX: Final = 2048
_KERAS: Final = """
import json, os, sys, time
os.environ.update(TF_CPP_MIN_LOG_LEVEL="3", CUDA_VISIBLE_DEVICES="-1")
import numpy as np
import keras, tensorflow as tf
tf.config.threading.set_intra_op_parallelism_threads(1)
tf.config.threading.set_inter_op_parallelism_threads(1)
pixels, repeats, sizes = json.loads(sys.argv[1])
seconds = []
for first, *units in sizes:
    layers = [keras.layers.Dense(n, activation="relu") for n in units[:-1]]
    model = keras.Sequential([keras.Input((first,)), *layers, keras.layers.Dense(units[-1])])
    x = np.random.default_rng(0).normal(size=(pixels, first)).astype("float32")
    runs = []
    for _ in range(repeats + 1):
        wall, own = time.perf_counter(), time.process_time()
        model.predict(x, batch_size=8192, verbose=0)
        runs.append(min(time.perf_counter() - wall, time.process_time() - own))
    seconds.append(min(runs[1:]))
print(json.dumps(seconds))
"""


def run(*, quick: bool) -> BenchResult:
    """Measure the networks' forward passes.

    Parameters
    ----------
    quick : bool
        Fewer repetitions.

    Returns
    -------
    BenchResult
    """
    repeats = 5 if quick else 15
    networks = {
        "teacher-size": _network(len(TEACHER_FEATURES), TEACHER_UNITS),
        "student-size": _network(len(STUDENT_FEATURES), STUDENT_UNITS),
        "default teacher": load_bundle().teacher.network,
    }
    rates, shares = _measure(networks, repeats)
    keras = _keras_seconds(networks, repeats)
    rows = []
    for name, network in networks.items():
        pixels_per_second = rates[name] / (2 * network.multiplications)
        seconds = keras.get(name)
        rows.append(
            (
                name,
                network.multiplications,
                pixels_per_second / 1e6,
                rates[name] / 1e9,
                shares[name],
                None if seconds is None else PIXELS / seconds / 1e6,
                None if seconds is None else pixels_per_second * seconds / PIXELS,
            )
        )
    columns = ("network", "products", "Mpixel/s", "GFLOP/s", "of matrix rate")
    table = Table("Forward pass, one thread", (*columns, "predict Mpixel/s", "times predict"), rows)
    checks = [
        Check.at_least("teacher-size pass of the matrix rate", shares["teacher-size"], 0.70, "1")
    ]
    if keras:
        ratio = rows[1][-1]
        checks.append(
            Check.at_least("student-size pass over model.predict", float(ratio or 0.0), 5.0, "1")
        )
    return BenchResult(checks, [table])


def _network(features: int, units: tuple[int, ...]) -> Network:
    rng = np.random.default_rng(0)
    sizes = (features, *units, 2 * N_OUTPUTS)
    layers = [
        Layer(
            rng.normal(scale=before**-0.5, size=(after, before)).astype(np.float32),
            np.zeros((after, 1), np.float32),
            "relu" if index < len(units) else "linear",
        )
        for index, (before, after) in enumerate(pairwise(sizes))
    ]
    return Network(tuple(layers))


def _measure(
    networks: dict[str, Network], repeats: int
) -> tuple[dict[str, float], dict[str, float]]:
    """Floating-point rate of each pass, and the median of its share of the matrix rate."""
    rng = np.random.default_rng(1)
    left = rng.normal(size=(_MATRIX, _MATRIX)).astype(np.float32)
    right, product = left.T.copy(), np.empty_like(left)
    inputs = {
        name: rng.normal(size=(network.n_features, PIXELS)).astype(np.float32)
        for name, network in networks.items()
    }
    best = dict.fromkeys(networks, 0.0)
    shares: dict[str, list[float]] = {name: [] for name in networks}
    with single_blas_thread():
        for _ in range(repeats):
            for name, network in networks.items():
                matrix = 2 * _MATRIX**3 / _seconds(partial(np.matmul, left, right, out=product))
                work = 2 * network.multiplications * PIXELS
                rate = work / _seconds(partial(network.predict, inputs[name]))
                best[name] = max(best[name], rate)
                shares[name].append(rate / matrix)
    return best, {name: median(values) for name, values in shares.items()}


def _seconds(call: Callable[[], object]) -> float:
    start = time.thread_time()
    call()
    return time.thread_time() - start


def _keras_seconds(networks: dict[str, Network], repeats: int) -> dict[str, float]:
    if importlib.util.find_spec("keras") is None:
        return {}
    sizes = [
        [network.n_features, *(int(layer.bias.shape[0]) for layer in network.layers)]
        for network in networks.values()
    ]
    request = json.dumps([PIXELS, min(repeats, 3), sizes])
    done = subprocess.run(
        [sys.executable, "-c", _KERAS, request], capture_output=True, text=True, check=True
    )
    return dict(zip(networks, json.loads(done.stdout.splitlines()[-1]), strict=True))
