"""Whole retrievals against bare forward passes, the obvious pipeline, and reading and writing.

What runs in one thread is timed by that thread's processor time, which other processes prolong less
than the time on the wall. Both networks run at every pixel, whatever the bundle's own fusion says.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import math
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Final

import dask
import numpy as np
import xarray as xr

from aktes_xr.bench.checks import BenchResult, Check, Table
from aktes_xr.bench.network import single_blas_thread
from aktes_xr.bench.scale_cubes import cube, write_granules
from aktes_xr.bench.scale_workers import discard
from aktes_xr.bench.served import served
from aktes_xr.jobs.kernels import both_networks, even_terrain
from aktes_xr.jobs.plan import plan
from aktes_xr.models import Bundle, Fusion, load_bundle
from aktes_xr.models.network import Network
from aktes_xr.retrieval import retrieve
from aktes_xr.retrieval.clouds import Clouds
from aktes_xr.retrieval.tiles import TILE
from aktes_xr.stac import open_stac
from aktes_xr.store import write_result

_MATRIX: Final = 2048
_OBVIOUS: Final = {"8192": 2.2, "default": 20.0}
"""Batches of ``predict`` and how many times our seconds they take at least. At its best batch
both pipelines are bound by the rate of matrix products, which no engine exceeds."""
_ASKED: Final[dict[str, dict[str, Any]]] = {
    "with the cloud test": {"clouds": "network"},
    "with closure": {"closure": True},
    "with the cloud test and closure": {"clouds": "network", "closure": True},
    "without air": {"air": False},
    "without air, with closure": {"air": False, "closure": True},
}
_DOUBTS: Final = (
    ("with the cloud test", "", 1.12),
    ("with closure", "", 1.10),
    ("with the cloud test and closure", "", 1.12),
    ("without air, with closure", "without air", 1.10),
)
"""What of `_ASKED` is compared with what (nothing for the whole retrieval), and its limit."""
_AIR: Final = ("water_vapor", "air_temperature")
_PIPELINE: Final = "aktes_xr.bench.scale_pipeline"


def retrieval_checks(side: int, obvious_side: int, repeats: int) -> BenchResult:
    """Compare a retrieval in memory with its networks alone and with the obvious pipeline.

    Parameters
    ----------
    side : int, pixel
        Side of the granule.
    obvious_side : int, pixel
        Side of the granule that the obvious pipeline retrieves.
    repeats : int
        Number of repetitions.

    Returns
    -------
    BenchResult
    """
    bundle = _both(load_bundle())
    result = _result(bundle, side, min(side, 1024))
    # A bundle's other regions' students do not run here.
    networks = [bundle.models[name].network for name in ("teacher", result.attrs["student"])]
    work = sum(2.0 * network.multiplications for network in networks) * side**2
    _compute(_result(bundle, 64, 64), "synchronous")
    rate, bare, whole = 0.0, math.inf, math.inf
    others = {name: _result(bundle, side, min(side, 1024), **more) for name, more in _ASKED.items()}
    took = dict.fromkeys(_ASKED, math.inf)
    for _ in range(repeats + 1):
        rate = max(rate, _matrix_rate())
        whole = min(whole, _thread_seconds(result))
        for name, other in others.items():
            took[name] = min(took[name], _thread_seconds(other))
        bare = min(bare, sum(_pass_seconds(network) for network in networks) * side**2 / TILE)
    limit = work / rate
    planned = _planned(bundle, side)
    rows: list[tuple[Any, ...]] = [
        ("matrix products alone, at the matrix rate", side, 1, limit, 1.0),
        ("bare forward passes", side, 1, bare, bare / limit),
        ("whole retrieval", side, 1, whole, whole / limit),
        ("what plan() says of it", side, 1, planned, planned / limit),
        *((name, side, 1, seconds, seconds / limit) for name, seconds in took.items()),
    ]
    checks = [
        Check.at_most(
            f"whole retrieval of {side} x {side} over bare passes at the matrix rate",
            whole / limit,
            1.25,
            "1",
        ),
        *_doubt_checks({"": whole, **took}),
    ]
    if importlib.util.find_spec("keras") is not None:
        more, compared = _obvious(obvious_side, bundle, repeats)
        rows += more
        checks += compared
    columns = ("what", "side", "threads", "s", "over the first")
    return BenchResult(checks, [Table("Retrieval in memory", columns, rows)])


def _doubt_checks(took: dict[str, float]) -> list[Check]:
    """Compare the seconds of retrievals that doubt with those of the same without doubt."""
    return [
        Check.at_most(
            f"whole retrieval {name}, over {other or 'one without'}",
            took[name] / took[other],
            limit,
            "1",
        )
        for name, other, limit in _DOUBTS
    ]


def granule_checks(folder: Path, count: int, shape: tuple[int, int], repeats: int) -> BenchResult:
    """Time the way from COG to Zarr on two threads, and each part of it alone.

    Parameters
    ----------
    folder : Path
        A folder for the files.
    count : int
        Number of granules.
    shape : (int, int), pixel
        Rows and columns.
    repeats : int
        Number of repetitions.

    Returns
    -------
    BenchResult
    """
    items = write_granules(folder, count, shape)

    def opened() -> xr.Dataset:
        ds = open_stac(items)
        elevation = np.full((ds.sizes["y"], ds.sizes["x"]), 700.0, np.float32)
        elevation += 80.0 * np.sin(np.arange(ds.sizes["x"], dtype=np.float32) / 9.0)
        return ds.assign(elevation=(("y", "x"), elevation, {"units": "m"}))

    ds = opened()
    held = ds.assign(tir=ds["tir"].compute(scheduler="threads").chunk(ds["tir"].chunksizes))
    held["tir"].attrs = ds["tir"].attrs
    done = retrieve(held).compute(scheduler="threads", num_workers=2)
    sizes = {"time": 1, "y": -1, "x": -1}
    best = dict.fromkeys(("reading", "writing", "compute", "COG to Zarr"), math.inf)
    calls: dict[str, Callable[[], Any]] = {
        "reading": lambda: opened()["tir"].data.max().compute(),
        "writing": lambda: write_result(done.chunk(sizes), folder / "written", overwrite=True),
        "compute": lambda: dask.compute(discard(retrieve(held))),
        "COG to Zarr": lambda: write_result(retrieve(opened()), folder / "whole", overwrite=True),
    }
    with dask.config.set(scheduler="threads", num_workers=2):
        for _ in range(repeats):
            for name, call in calls.items():
                best[name] = min(best[name], _seconds(call))
    limit = max(best["reading"] + best["writing"], best["compute"])
    ratio = best["COG to Zarr"] / limit
    name = f"COG to Zarr, {count} granules of {shape[0]} x {shape[1]}, over its largest part"
    rows = [(part, seconds, seconds / limit) for part, seconds in best.items()]
    table = Table(f"{count} granules, two threads", ("part", "s", "over the limit"), rows)
    return BenchResult([Check.at_most(name, ratio, 1.5, "1")], [table])


def _obvious(side: int, bundle: Bundle, repeats: int) -> tuple[list[tuple[Any, ...]], list[Check]]:
    """Run ours and the obvious pipelines in turns on two threads; the best of each counts."""
    chunk = side // 2
    result = _result(bundle, side, chunk)
    ours = math.inf
    theirs = dict.fromkeys(_OBVIOUS, math.inf)
    with served(_PIPELINE, "default", str(side), str(chunk)) as pipeline:
        for turn in range(repeats + 1):
            ours = min(ours, _seconds(lambda: _compute(result, "threads")))
            for batch in _OBVIOUS:
                # Keras's default batch takes minutes and is far from its target. Once is enough.
                if turn == 0 or batch != "default":
                    theirs[batch] = min(theirs[batch], pipeline(batch))
    rows: list[tuple[Any, ...]] = [("whole retrieval", side, 2, ours, None)]
    checks = []
    for batch, seconds in theirs.items():
        name = f"obvious pipeline, predict with batch {batch}"
        rows.append((name, side, 2, seconds, None))
        checks.append(
            Check.at_least(
                f"{name}, over ours, {side} x {side}, 2 threads",
                seconds / ours,
                _OBVIOUS[batch],
                "1",
            )
        )
    return rows, checks


def _both(bundle: Bundle) -> Bundle:
    """Give a bundle, in this process only, a fusion in which both networks count."""
    fusion = Fusion(start_k=0.0, full_k=1.0, sharpness=0.5)
    return dataclasses.replace(bundle, fusion=fusion, sha256=f"both networks of {bundle.sha256}")


def _result(
    bundle: Bundle,
    side: int,
    chunk: int,
    *,
    clouds: Clouds = "none",
    closure: bool = False,
    air: bool = True,
) -> xr.Dataset:
    ds = cube(1, (side, side), chunk, memory=True)
    if not air:
        ds = ds.drop_vars([name for name in ds.data_vars if str(name).startswith(_AIR)])
    terrain = even_terrain(ds, both_networks(bundle))
    return retrieve(ds, bundle=bundle, terrain=terrain, clouds=clouds, closure=closure)


def _planned(bundle: Bundle, side: int) -> float:
    ds = cube(1, (side, side), side, memory=True)
    ground = even_terrain(ds, both_networks(bundle))
    return plan(ds, bundle=bundle, terrain=ground, workers=1, memory="1 TB").seconds


def _compute(result: xr.Dataset, scheduler: str) -> None:
    dask.compute(discard(result), scheduler=scheduler, num_workers=2)


def _thread_seconds(result: xr.Dataset) -> float:
    return _seconds(lambda: _compute(result, "synchronous"), time.thread_time)


def _matrix_rate() -> float:
    """Single-precision rate of one thread, operations per second."""
    left = np.ones((_MATRIX, _MATRIX), np.float32)
    out = np.empty_like(left)
    product = partial(np.matmul, left, left, out=out)
    with single_blas_thread():
        return 2.0 * _MATRIX**3 / min(_seconds(product, time.thread_time) for _ in range(3))


def _pass_seconds(network: Network) -> float:
    """Seconds of one tile's pass."""
    work = network.new_pass(TILE)
    work.features[:] = 1.0
    return min(_seconds(lambda: work.run(TILE), time.thread_time) for _ in range(50))


def _seconds(call: Callable[[], Any], clock: Callable[[], float] = time.perf_counter) -> float:
    start = clock()
    call()
    return clock() - start
