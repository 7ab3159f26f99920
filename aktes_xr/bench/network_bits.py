"""Bits of the networks' outputs: the same wherever, with whomever and on whatever thread.

``python -m aktes_xr.bench.network_bits`` prints the comparison of this processor as JSON, which is
what an emulated one is asked for.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from llvmlite import binding

from aktes_xr.bench.checks import BenchResult, Check, Table
from aktes_xr.errors import ResourceError
from aktes_xr.models.bundle import load_bundle

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from aktes_xr.models.network import Network

_PIXELS: Final = 2000
_WIDTHS: Final = (*range(1, 101), 127, 128, 129, 255, 256, 257, 511, 513, 1023, 1025)
_THREADS: Final = 4
_EMULATOR: Final = "qemu-x86_64"
_PROCESSOR: Final = "Haswell"
"""The last kind of Intel's processors before AVX-512."""
_COLUMNS: Final = ("network", "pixels passed", "pixels", "differ in a bit")


def bit_checks(networks: Mapping[str, Network]) -> BenchResult:
    """Compare the bits on this processor.

    Parameters
    ----------
    networks : mapping of str to Network

    Returns
    -------
    BenchResult
    """
    rows = changed_bits(networks)
    return BenchResult([_check("this processor", rows)], [Table("Bits", _COLUMNS, rows)])


def emulated_checks() -> BenchResult:
    """Compare the default networks' bits on an emulated processor without AVX-512.

    Raises
    ------
    ResourceError
        There is no emulator, or it failed.
    """
    emulator = shutil.which(_EMULATOR)
    if emulator is None:
        raise ResourceError(
            f"found no {_EMULATOR} to emulate a processor with; install the system package "
            "qemu-user"
        )
    command = [emulator, "-cpu", _PROCESSOR, sys.executable, "-m", "aktes_xr.bench.network_bits"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ResourceError(
            f"the emulated process ended with {done.returncode}; run it by hand to see why: "
            f"{_EMULATOR} -cpu {_PROCESSOR} python -m aktes_xr.bench.network_bits"
        )
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    where = f"emulated {_PROCESSOR}, AVX-512: {'yes' if answer['avx512'] else 'no'}"
    rows = [tuple(row) for row in answer["rows"]]
    return BenchResult([_check(where, rows)], [Table(f"Bits, {where}", _COLUMNS, rows)])


def changed_bits(networks: Mapping[str, Network]) -> list[tuple[Any, ...]]:
    """Count pixels whose outputs differ in a bit from those of all pixels in their order.

    Parameters
    ----------
    networks : mapping of str to Network

    Returns
    -------
    list of tuple
        Network, how its pixels were passed, how many, and how many differ.
    """
    rows: list[tuple[Any, ...]] = []
    for name, network in networks.items():
        rng = np.random.default_rng(5)
        features = rng.normal(size=(_PIXELS, network.n_features)).astype(np.float32)
        whole = network.predict(features)
        order = rng.permutation(_PIXELS)
        shuffled = np.empty_like(whole)
        shuffled[order] = network.predict(features[order])
        rows.append((name, "in another order", _PIXELS, _differ(shuffled, whole)))
        widths = [
            _differ(network.predict(features[_PIXELS - width :]), whole[_PIXELS - width :])
            for width in _WIDTHS
        ]
        rows.append((name, f"{len(_WIDTHS)} other numbers of", sum(_WIDTHS), sum(widths)))
        with ThreadPoolExecutor(_THREADS) as pool:
            answers = list(pool.map(network.predict, [features] * _THREADS))
        different = sum(_differ(answer, whole) for answer in answers)
        rows.append((name, f"by {_THREADS} threads", _THREADS * _PIXELS, different))
    return rows


def _differ(found: NDArray[np.float32], expected: NDArray[np.float32]) -> int:
    return int((found.view(np.uint32) != expected.view(np.uint32)).any(axis=1).sum())


def _check(where: str, rows: list[tuple[Any, ...]]) -> Check:
    different = sum(row[-1] for row in rows)
    return Check.at_most(f"pixels that their place changes, {where}", different, 0.0, "1")


def main() -> None:
    """Print the default networks' comparison as JSON."""
    bundle = load_bundle()
    networks = {name: bundle.models[name].network for name in ("teacher", "student")}
    avx512 = bool(binding.get_host_cpu_features().get("avx512f", False))
    print(json.dumps({"avx512": avx512, "rows": changed_bits(networks)}))


if __name__ == "__main__":
    main()
