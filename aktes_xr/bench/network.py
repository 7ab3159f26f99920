"""Passes of the shipped networks beside the machine's matrix rate and Keras's ``predict``.

One thread, in turns: the rate of a large single-precision product, our pass, and ``predict`` at
several batches. In a round the best turn counts, for other work on the machine makes a turn slower,
never faster; of the rounds' ratios the median. Keras runs in a process of its own where it is
installed, and waits there while we measure: importing TensorFlow starts threads that would compete
with ours. Times are processor time, which other processes disturb less than the time on the wall;
Keras, whose threads overlap, is given the shorter of the two.

``--part bits`` compares every bit of pixels that are passed in another order, in other numbers and
from several threads; ``--part emulated`` does so on an emulated processor without AVX-512 (it needs
``qemu-x86_64`` of the system package ``qemu-user`` and takes minutes).
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import importlib.metadata
import importlib.util
import logging
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any, Final, NamedTuple

import numpy as np
from llvmlite import binding

from aktes_xr.bench.checks import BenchResult, Check, Table, machine
from aktes_xr.bench.network_bits import bit_checks, emulated_checks
from aktes_xr.bench.served import served
from aktes_xr.errors import InputError
from aktes_xr.models.bundle import load_bundle
from aktes_xr.models.layer import Layer
from aktes_xr.models.network import Network
from aktes_xr.retrieval.tiles import TILE

_LOGGER = logging.getLogger(__name__)
PARTS: Final = ("speed", "bits", "emulated")
BATCH: Final = 8192
"""Of ``predict``, for the student; Keras's default of 32 is many times slower."""
_BATCHES: Final = {"teacher": (1024, 4096, BATCH, 32768), "student": (BATCH,), "small": (BATCH,)}
_SMALL_UNITS: Final = (32, 32)
_MATRIX: Final = 2048
_TURNS: Final = 6
_PIXELS: Final = 2**15
"""Pixels of a pass. It is so short that the best of many turns was hardly ever interrupted."""
_KERAS_PIXELS: Final = 512 * 512
"""Pixels that ``predict`` gets. They are more, so that its work once a call counts little."""


@dataclass
class _Timing:
    """Seconds per pixel, round by round.

    Of a product of as many operations, our pass alone, ours from the features of all pixels to
    their outputs, and ``predict`` by batch.
    """

    network: Network
    matrix: list[float] = field(default_factory=list)
    alone: list[float] = field(default_factory=list)
    ours: list[float] = field(default_factory=list)
    predict: dict[int, list[float]] = field(default_factory=dict)

    def ratio(self, seconds: Sequence[float]) -> float:
        """Median over the rounds of others' seconds over ours."""
        return median(other / own for other, own in zip(seconds, self.ours, strict=True))


def run(*, quick: bool, part: str | None = None) -> BenchResult:
    """Measure the networks' passes, and compare their bits.

    Parameters
    ----------
    quick : bool
        Fewer pixels and repetitions.
    part : str, optional
        One of `PARTS`, to measure it alone; without it the first two.

    Returns
    -------
    BenchResult

    Raises
    ------
    InputError
        There is no such part.
    """
    if part is not None and part not in PARTS:
        raise InputError(f"found part {part!r}, expected one of {', '.join(PARTS)}")
    networks = _networks()
    measures: dict[str, Callable[[], BenchResult]] = {
        "speed": lambda: _speed(networks, quick=quick),
        "bits": lambda: bit_checks(networks),
        "emulated": emulated_checks,
    }
    found = [measures[name]() for name in (PARTS[:2] if part is None else (part,))]
    checks = [check for result in found for check in result.checks]
    return BenchResult(checks, [_where(), *(table for result in found for table in result.tables)])


def _speed(networks: dict[str, Network], *, quick: bool) -> BenchResult:
    timings = _measure(networks, 3 if quick else 9)
    rows: list[tuple[Any, ...]] = []
    for name, timing in timings.items():
        measured = {"matrix rate": timing.matrix, "pass alone": timing.alone, "ours": timing.ours}
        measured |= {f"predict, batch {size}": took for size, took in timing.predict.items()}
        work = 2e-9 * timing.network.multiplications
        rows += [
            (name, what, 1e-6 / min(seconds), work / min(seconds), timing.ratio(seconds))
            for what, seconds in measured.items()
        ]
    teacher, small = timings["teacher"], timings["small"]
    pairs = zip(teacher.matrix, teacher.alone, strict=True)
    share = median(matrix / alone for matrix, alone in pairs)
    checks = [Check.at_least("teacher's pass alone of the matrix rate", share, 0.85, "1")]
    if teacher.predict:
        gain = min(teacher.ratio(seconds) for seconds in teacher.predict.values())
        name = "teacher over predict at its best batch"
        checks.append(Check.at_least(name, gain, 1.0, "1"))
        gain = small.ratio(small.predict[BATCH])
        name = f"student of 32 and 32 units over predict at batch {BATCH}"
        checks.append(Check.at_least(name, gain, 5.0, "1"))
    columns = ("network", "what", "Mpixel/s", "GFLOP/s", "our rate over it")
    return BenchResult(checks, [Table("Best rates, one thread", columns, rows)])


def _networks() -> dict[str, Network]:
    """Return the shipped teacher and student, and a student of random weights and `_SMALL_UNITS`.

    The last is what students were when their gain over ``predict`` was first measured. The shipped
    one has four times the operations, of which no engine does more than the matrix rate allows.
    """
    bundle = load_bundle()
    student = bundle.models["student"].network
    rng = np.random.default_rng(0)
    sizes = (student.n_features, *_SMALL_UNITS, student.n_outputs)
    layers = [
        Layer(
            rng.normal(scale=before**-0.5, size=(after, before)).astype(np.float32),
            np.zeros((after, 1), np.float32),
            "relu" if place < len(_SMALL_UNITS) else "linear",
        )
        for place, (before, after) in enumerate(pairwise(sizes))
    ]
    small = Network(tuple(layers))
    return {"teacher": bundle.teacher.network, "student": student, "small": small}


def _measure(networks: dict[str, Network], rounds: int) -> dict[str, _Timing]:
    rng = np.random.default_rng(1)
    left = rng.normal(size=(_MATRIX, _MATRIX)).astype(np.float32)
    product = partial(np.matmul, left, left.T.copy(), out=np.empty_like(left))
    timings = {name: _Timing(network) for name, network in networks.items()}
    inputs = {
        name: rng.normal(size=(_PIXELS, network.n_features)).astype(np.float32)
        for name, network in networks.items()
    }
    alone = {name: _tiles(network) for name, network in networks.items()}
    with single_blas_thread(), _keras() as predict:
        for _ in range(rounds):
            for name, timing in timings.items():
                calls = (product, alone[name], partial(timing.network.predict, inputs[name]))
                turns = [[_seconds(call) for call in calls] for _ in range(_TURNS)]
                matrix, tiles, own = (min(seconds) for seconds in zip(*turns, strict=True))
                timing.matrix.append(matrix * timing.network.multiplications / _MATRIX**3)
                timing.alone.append(tiles / _PIXELS)
                timing.ours.append(own / _PIXELS)
                if predict is not None:
                    for size in _BATCHES[name]:
                        seconds = predict(name, size) / _KERAS_PIXELS
                        timing.predict.setdefault(size, []).append(seconds)
    return timings


def _tiles(network: Network) -> Callable[[], None]:
    """Return a call that passes `_PIXELS` tile by tile, on arrays at hand, as a retrieval does."""
    work = network.new_pass(TILE)
    work.features[:] = np.random.default_rng(2).normal(size=work.features.shape)

    def run_tiles() -> None:
        for _ in range(_PIXELS // TILE):
            work.run(TILE)

    return run_tiles


def _seconds(call: Callable[[], object]) -> float:
    start = time.thread_time()
    call()
    return time.thread_time() - start


@contextmanager
def _keras() -> Iterator[Callable[[str, int], float] | None]:
    """Start Keras in its process; what is yielded returns the seconds of ``predict``."""
    if importlib.util.find_spec("keras") is None:
        yield None
        return
    with served("aktes_xr.bench.network") as ask:
        yield lambda name, batch: ask(f"{name} {batch}")


def serve_keras() -> None:
    """Time ``predict`` for each line of the standard input: a network's name and a batch."""
    import tensorflow as tf

    from aktes_xr.bench.scale_pipeline import keras_model

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    networks = {name: keras_model(network) for name, network in _networks().items()}
    rng = np.random.default_rng(0)
    print("ready", flush=True)
    for line in sys.stdin:
        name, batch = line.split()
        width = networks[name].input_shape[-1]
        features = rng.normal(size=(_KERAS_PIXELS, width)).astype(np.float32)
        # TensorFlow traces the model for each new shape of batch. That must not be timed.
        networks[name].predict(features[: 2 * int(batch)], batch_size=int(batch), verbose=0)
        wall, own = time.perf_counter(), time.process_time()
        networks[name].predict(features, batch_size=int(batch), verbose=0)
        print(min(time.perf_counter() - wall, time.process_time() - own), flush=True)


def _where() -> Table:
    """State what the figures depend on."""
    rows = [
        ("processor", machine()["processor"]),
        ("AVX-512", "yes" if binding.get_host_cpu_features().get("avx512f", False) else "no"),
    ]
    for package in ("numpy", "onnxruntime", "tensorflow", "keras"):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            rows.append((package, importlib.metadata.version(package)))
    return Table("Measured on", ("what", "which"), rows)


class _Entry(NamedTuple):
    get: ctypes._NamedFuncPointer
    set: ctypes._NamedFuncPointer


@functools.cache
def _openblas() -> _Entry | None:
    root = Path(np.__file__).parent
    for folder in (root.parent / "numpy.libs", root / ".libs", root / ".dylibs"):
        for path in sorted(folder.glob("*openblas*")):
            library = ctypes.CDLL(str(path))
            for prefix, suffix in (("scipy_", "64_"), ("scipy_", ""), ("", "64_"), ("", "")):
                get = getattr(library, f"{prefix}openblas_get_num_threads{suffix}", None)
                put = getattr(library, f"{prefix}openblas_set_num_threads{suffix}", None)
                if get is not None and put is not None:
                    get.restype, put.argtypes = ctypes.c_int, [ctypes.c_int]
                    return _Entry(get, put)
    _LOGGER.info("numpy bundles no OpenBLAS here: the BLAS library's own thread settings hold")
    return None


@contextmanager
def single_blas_thread() -> Iterator[None]:
    """Hold OpenBLAS at one thread, for the matrix rate that passes are compared with.

    Nothing in NumPy's API sets the number; NumPy's own wheels bundle OpenBLAS, whose entry points
    are called here. With another BLAS (MKL, Accelerate) nothing is changed, and the environment
    variables of that library decide (``OMP_NUM_THREADS=1``).
    """
    entry = _openblas()
    if entry is None:
        yield
        return
    before = entry.get()
    entry.set(1)
    try:
        yield
    finally:
        entry.set(before)


if __name__ == "__main__":
    serve_keras()
