"""Graph of a ten-year regional cube: how fast it is built, how many tasks, how many bytes."""

from __future__ import annotations

import time
from typing import Final

import dask.array as da
import numpy as np
import xarray as xr

import aktes_xr
from aktes_xr.bench import BenchResult, Check, Table
from aktes_xr.bench.scale_cubes import item
from aktes_xr.bench.scale_process import discard
from aktes_xr.cube import describe
from aktes_xr.jobs.graph_size import graph_size, optimised_size

_DATES: Final = 400
_SIDE: Final = 4000
_CHUNK: Final = 1024


def graph_checks() -> BenchResult:
    """Build the graph of 400 dates x 5 bands x 4000 x 4000 from items whose files do not exist."""
    # Imports and caches are not the graph's.
    _build(2)
    start = time.perf_counter()
    ds, result = _build(_DATES)
    seconds = time.perf_counter() - start
    loading, whole = graph_size(ds), graph_size(result)
    few_ds, few = _build(_DATES // 2)
    chunks = (-(-_SIDE // _CHUNK)) ** 2
    added = whole.tasks - graph_size(few).tasks - (loading.tasks - graph_size(few_ds).tasks)
    per_block = added / (_DATES // 2 * chunks)
    variables = sum("time" in variable.dims for variable in result.data_vars.values())
    sent, stored = optimised_size(result), optimised_size(discard(result))
    size = f"{_DATES} x 5 x {_SIDE} x {_SIDE}"
    checks = [
        Check.at_most(f"graph of {size} built from items", seconds, 10.0, "s"),
        Check.at_most(
            "tasks after loading for each added (date, chunk)", per_block, 2.0 + variables, "1"
        ),
        Check.at_most("graph pickled", whole.pickled_bytes / 1e6, 12.0, "MB"),
        Check.at_most(
            "graph optimised and materialised, pickled", sent.pickled_bytes / 1e6, 12.0, "MB"
        ),
        Check.at_most("largest array in the graph", whole.largest_array_bytes, 1000.0, "byte"),
    ]
    rows = [
        ("loading", loading.tasks, loading.pickled_bytes / 1e6),
        ("from items to retrieval", whole.tasks, whole.pickled_bytes / 1e6),
        ("the same, optimised", sent.tasks, sent.pickled_bytes / 1e6),
        ("from items to store, optimised", stored.tasks, stored.pickled_bytes / 1e6),
    ]
    return BenchResult(checks, [Table(f"Graph of {size}", ("graph", "tasks", "MB"), rows)])


def _build(dates: int) -> tuple[xr.Dataset, xr.Dataset]:
    items = [
        item(number, f"https://host.invalid/{number:05d}.TIR.tif", (_SIDE, _SIDE))
        for number in range(dates)
    ]
    ds = aktes_xr.open_stac(items, chunks=_CHUNK)
    elevation = da.zeros((_SIDE, _SIDE), dtype=np.float32, chunks=_CHUNK)
    ds["elevation"] = (("y", "x"), elevation, {"units": "m"})
    ds = describe(ds)
    return ds, aktes_xr.retrieve(ds)
