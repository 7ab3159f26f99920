"""Processes of the benchmark of scale: a cluster's workers, and one that works by itself.

``python -m aktes_xr.bench.scale_process BUNDLE DATES SIDE`` says it is ready, and prints its
seconds for each line it is sent.
"""

from __future__ import annotations

import contextlib
import logging
import re
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dask
import dask.array as da
import xarray as xr

import aktes_xr
from aktes_xr.bench.scale_cubes import cube
from aktes_xr.models import load_bundle
from aktes_xr.retrieval.sample import both_networks, even_terrain
from aktes_xr.store.blocks import write_lazily


@dataclass(frozen=True)
class Nowhere:
    """Takes a block as a store would, and drops it."""

    def __call__(self, block: xr.Dataset, region: dict[str, slice]) -> None:
        """Drop the block."""


def lazy_result(bundle: str, dates: int, shape: tuple[int, int], chunk: int) -> xr.Dataset:
    """Fusion of both networks at every pixel of a cube that tasks draw."""
    loaded = load_bundle(bundle)
    ds = cube(dates, shape, chunk)
    ground = even_terrain(ds, both_networks(loaded), lazy=True)
    return aktes_xr.retrieve(ds, bundle=loaded, terrain=ground)


def discard(result: xr.Dataset) -> list[da.Array]:
    """Write a result nowhere, lazily: what remains is reading, computing and the scheduler."""
    return write_lazily(result.unify_chunks(), Nowhere())


@contextlib.contextmanager
def workers(count: int) -> Iterator[Any]:
    """Client of a cluster of processes with one thread each, which logs warnings only."""
    from distributed import Client, LocalCluster

    logging.getLogger("distributed").setLevel(logging.WARNING)
    with (
        LocalCluster(n_workers=count, threads_per_worker=1, dashboard_address=":0") as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        yield client


def peak_bytes() -> int:
    """Peak resident memory of this process since it began (Linux)."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    return 0 if found is None else int(found.group(1)) * 1024


def main(arguments: list[str]) -> None:
    """Retrieve once for each line of the standard input."""
    bundle, dates, side = arguments[0], int(arguments[1]), int(arguments[2])
    # Compiled and loaded before the clock runs.
    dask.compute(discard(lazy_result(bundle, 1, (64, 64), 64)), scheduler="synchronous")
    work = lazy_result(bundle, dates, (side, side), side)
    print("ready", flush=True)
    for _ in sys.stdin:
        start = time.perf_counter()
        dask.compute(discard(work), scheduler="synchronous")
        print(time.perf_counter() - start, flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
