"""Graph of a ten-year regional cube: how fast it is built, how many tasks, how many bytes."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import time
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import dask
import dask.array as da
import dask.threaded
import numpy as np
import xarray as xr

from aktes_xr.bench.checks import BenchResult, Check, Table
from aktes_xr.bench.scale_cubes import CRS, cube, item, write_granules
from aktes_xr.bench.scale_workers import discard
from aktes_xr.cube import describe
from aktes_xr.cube.contract import NEIGHBOURHOOD_REACH
from aktes_xr.jobs.graph_size import graph_size, optimised_size
from aktes_xr.jobs.kernels import both_networks, even_terrain
from aktes_xr.jobs.plan import plan
from aktes_xr.models import Bundle
from aktes_xr.retrieval import retrieve
from aktes_xr.retrieval.clouds import Clouds
from aktes_xr.retrieval.result import VARIABLES
from aktes_xr.retrieval.tiles import N_PLANES, QUALITY
from aktes_xr.sensor import BANDS
from aktes_xr.stac import open_stac

if TYPE_CHECKING:
    from numpy.typing import NDArray

_DATES: Final = 400
_SIDE: Final = 4000
_CHUNK: Final = 1024


def graph_checks(*, dates: int = _DATES, clouds: bool = True) -> BenchResult:
    """Build the graph of a cube of 5 bands x 4000 x 4000 from items whose files do not exist.

    Parameters
    ----------
    dates : int
    clouds : bool
        Add the graph of one with a cloud test.

    Returns
    -------
    BenchResult
    """
    # Build one graph first, so that imports and caches are not counted.
    _build(2)
    start = time.perf_counter()
    ds, result = _build(dates)
    seconds = time.perf_counter() - start
    loading, whole = graph_size(ds), graph_size(result)
    few_ds, few = _build(dates // 2)
    chunks = (-(-_SIDE // _CHUNK)) ** 2
    added = whole.tasks - graph_size(few).tasks - (loading.tasks - graph_size(few_ds).tasks)
    per_block = added / (dates // 2 * chunks)
    variables = sum("time" in variable.dims for variable in result.data_vars.values())
    sent, stored = optimised_size(result), optimised_size(discard(result))
    size = f"{dates} x 5 x {_SIDE} x {_SIDE}"
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
    if clouds:
        tested = optimised_size(_build(dates, clouds="network")[1])
        rows.append(
            ("to retrieval with a cloud test, optimised", tested.tasks, tested.pickled_bytes / 1e6)
        )
        # A scene's sample, its probability and its confidence; and the scene, once per date.
        more = (tested.tasks - sent.tasks) / (dates * chunks)
        checks.append(
            Check.at_most("tasks that a cloud test adds for each (date, chunk)", more, 3.1, "1")
        )
    return BenchResult(checks, [Table(f"Graph of {size}", ("graph", "tasks", "MB"), rows)])


def _build(dates: int, *, clouds: Clouds = "none") -> tuple[xr.Dataset, xr.Dataset]:
    items = [
        item(number, f"https://host.invalid/{number:05d}.TIR.tif", (_SIDE, _SIDE))
        for number in range(dates)
    ]
    ds = open_stac(items, chunks=_CHUNK)
    elevation = da.zeros((_SIDE, _SIDE), dtype=np.float32, chunks=_CHUNK)
    ds["elevation"] = (("y", "x"), elevation, {"units": "m"})
    ds = describe(ds)
    return ds, retrieve(ds, clouds=clouds)


_BLOCKS_PER_DATE: Final = 16
_STAND_INS: Final = 16
_QUIET: Final[dict[str, Any]] = {
    "distributed.scheduler.worker-ttl": None,
    # The stand-ins do not answer requests to hand tasks over.
    "distributed.scheduler.work-stealing": False,
    "distributed.scheduler.active-memory-manager.start": False,
}
_METRICS: Final[dict[str, Any]] = {
    "bandwidth": {"total": 1e8, "workers": {}, "types": {}},
    "memory": 0,
    "cpu": 0,
    "time": 0.0,
    "managed_bytes": 0,
    "spilled_bytes": {"memory": 0, "disk": 0},
    "event_loop_interval": 0.02,
    "digests_total_since_heartbeat": {},
}
Stubs = tuple[dict[Any, Any], list[Any]]


def scheduler_checks(bundle: Bundle, client: Any, simulated: int, live: int) -> BenchResult:
    """Schedule retrievals of ``simulated`` and of ``live`` chunks whose tasks do nothing.

    Parameters
    ----------
    bundle : Bundle
        The networks.
    client : distributed.Client
        Of a running cluster.
    simulated : int
        Chunks of the retrieval whose scheduler is simulated.
    live : int
        Chunks of the retrieval that the cluster schedules.

    Returns
    -------
    BenchResult
    """
    rows: list[tuple[Any, ...]] = []
    stubs = _stubs(bundle, simulated)
    milliseconds = 1e3 * asyncio.run(_simulate(stubs)) / len(stubs[0])
    rows.append(("simulated, processor time", simulated, len(stubs[0]), milliseconds))
    name = f"scheduler (distributed) per task of {simulated} simulated chunks"
    checks = [Check.at_most(name, milliseconds, 1.0, "ms")]
    del stubs
    gc.collect()
    few = _stubs(bundle, live)
    threads = _per_task(few, lambda: dask.threaded.get(*few, num_workers=2))
    rows.append(("threads, wall", live, len(few[0]), threads))
    name = f"scheduler (threads) per task of {live} chunks, compute stubbed"
    checks.append(Check.at_most(name, threads, 1.0, "ms"))
    alone: dict[Any, Any] = {f"alone-{number}": (_nothing, []) for number in range(len(few[0]))}
    floor: Stubs = (alone, list(alone))
    client.get({("first", n): (_nothing, []) for n in range(100)}, [("first", 0)])
    least = _per_task(floor, lambda: client.get(*floor))
    ours = _per_task(few, lambda: client.get(*few))
    rows.append(("two worker processes, wall", live, len(few[0]), ours))
    rows.append(("the same, tasks that depend on nothing", live, len(few[0]), least))
    name = f"live workers, {live} chunks: per task, over tasks that depend on nothing"
    checks.append(Check.at_most(name, ours / least, 1.5, "1"))
    columns = ("scheduler", "chunks", "tasks", "ms per task")
    return BenchResult(checks, [Table("Real graphs, stub compute", columns, rows)])


def _stubs(bundle: Bundle, chunks: int) -> Stubs:
    """Graph from source to store of 16 chunks per date, each task replaced by one that is idle."""
    ds = cube(max(1, chunks // _BLOCKS_PER_DATE), (256, 256), 64)
    written = dask.optimize(*discard(retrieve(ds, bundle=bundle)))
    graph = {key: task for part in written for key, task in dict(part.__dask_graph__()).items()}
    stubs = {key: (_nothing, sorted(task.dependencies, key=str)) for key, task in graph.items()}
    return stubs, [key for part in written for key in dask.core.flatten(part.__dask_keys__())]


def _nothing(inputs: list[Any]) -> None:
    """Stand for a task: its inputs must be there."""


def _per_task(stubs: Stubs, call: Any) -> float:
    """Milliseconds of wall time per task."""
    start = time.perf_counter()
    call()
    return 1e3 * (time.perf_counter() - start) / len(stubs[0])


async def _answer_at_once(scheduler: str, number: int) -> None:
    """Stand for a worker: say of each task that it is done."""
    from distributed.core import connect
    from distributed.protocol.pickle import dumps
    from distributed.versions import get_versions

    address = f"tcp://127.0.0.1:{10_000 + number}"
    comm = await connect(scheduler)
    await comm.write(
        {
            "op": "register-worker",
            "reply": False,
            "address": address,
            "status": "running",
            "nthreads": 1,
            "name": number,
            "now": time.time(),
            "resources": {},
            "memory_limit": 2**34,
            "local_directory": "",
            "services": {},
            "nanny": None,
            "pid": 0,
            "versions": get_versions(),
            "metrics": _METRICS,
            "extra": {},
            "stimulus_id": "register",
            "server_id": address,
        }
    )
    await comm.read()
    answer = {
        "op": "task-finished",
        "status": "OK",
        "nbytes": 16,
        "type": dumps(type(None)),
        "typename": "NoneType",
        "metadata": {},
        "thread": 1,
        "startstops": [],
        "stimulus_id": "finished",
    }
    while True:
        messages: Any = await comm.read()
        done = [
            {**answer, "key": message["key"], "run_id": message["run_id"]}
            for message in messages
            if message["op"] == "compute-task"
        ]
        if done:
            await comm.write(done)


@contextlib.asynccontextmanager
async def _scheduler(*, count: int) -> AsyncIterator[str]:
    from distributed import Scheduler

    logging.getLogger("distributed").setLevel(logging.ERROR)
    with dask.config.set(_QUIET):
        async with Scheduler(
            protocol="inproc", dashboard=False, dashboard_address=":0"
        ) as scheduler:
            standing = [
                asyncio.create_task(_answer_at_once(scheduler.address, number))
                for number in range(count)
            ]
            while len(scheduler.workers) < count:
                for task in standing:
                    if task.done():
                        task.result()
                await asyncio.sleep(0.01)
            try:
                yield scheduler.address
            finally:
                for task in standing:
                    task.cancel()
                await asyncio.gather(*standing, return_exceptions=True)


async def _simulate(stubs: Stubs) -> float:
    """Processor seconds of scheduler and client for a graph whose workers answer at once."""
    from distributed import Client, as_completed

    async with (
        _scheduler(count=_STAND_INS) as address,
        Client(address, asynchronous=True) as client,
    ):
        start = time.process_time()
        futures: Any = client.get(*stubs, sync=False)
        # Let go of finished tasks, as the writer does.
        async for future in as_completed(futures, loop=client.loop):
            future.release()
        return time.process_time() - start


_REGION: Final = 4096
_SHAPES: Final = ((1, 512), (1, 1024), (1, 2048), (4, 512), (4, 1024))


def choice_tables(bundle: Bundle, folder: Path, dates: int, granules: int) -> BenchResult:
    """Weigh shapes of chunks, engines and readers.

    Parameters
    ----------
    bundle : Bundle
        The networks.
    folder : Path
        A folder for the files.
    dates : int
        Dates of the region on which chunks and engines are weighed.
    granules : int
        Granules on which readers are weighed.

    Returns
    -------
    BenchResult
    """
    return BenchResult(
        [], [_chunk_shapes(bundle, dates), _engines(bundle, dates), _readers(folder, granules)]
    )


def _chunk_shapes(bundle: Bundle, dates: int) -> Table:
    rows = []
    for count, side in _SHAPES:
        ds = cube(dates, (_REGION, _REGION), side).chunk(time=count)
        ground = even_terrain(ds, both_networks(bundle), lazy=True)
        projected = plan(ds, bundle=bundle, terrain=ground, workers=1, memory="1 TB")
        name = f"{count} x {side} x {side}"
        graph = optimised_size(retrieve(ds, bundle=bundle, terrain=ground))
        rows.append(
            (
                name,
                graph.tasks,
                graph.pickled_bytes / 1e6,
                100.0 * projected.halo_overhead,
                projected.peak_bytes / 1e6,
            )
        )
    columns = ("chunk: dates x y x x", "tasks", "MB pickled", "halo, %", "projected peak, MB")
    return Table(f"Chunk shapes, {dates} x {_REGION} x {_REGION}, optimised", columns, rows)


def _engines(bundle: Bundle, dates: int) -> Table:
    """Graphs of ways to give one function a chunk with its neighbours' edges."""
    ds = cube(dates, (_REGION, _REGION), 1024)
    ground = even_terrain(ds, both_networks(bundle), lazy=True)
    ways: dict[str, Callable[[], Any]] = {
        "edges packed, own layer (ours)": lambda: retrieve(ds, bundle=bundle, terrain=ground),
        "dask map_overlap, then planes": lambda: _by_overlap(ds),
        "xarray map_blocks with a template, no edges": lambda: _by_map_blocks(ds),
        "xarray apply_ufunc, an output per variable, no edges": lambda: _by_apply_ufunc(ds),
    }
    rows = []
    for name, way in ways.items():
        start = time.perf_counter()
        result = way()
        seconds = time.perf_counter() - start
        raw, optimised = graph_size(result), optimised_size(result)
        rows.append((name, seconds, raw.tasks, optimised.tasks, optimised.pickled_bytes / 1e6))
    columns = ("engine", "build, s", "tasks", "optimised", "MB pickled, optimised")
    return Table(f"Engines, {dates} x {_REGION} x {_REGION}, chunks of 1024", columns, rows)


def _readers(folder: Path, count: int) -> Table:
    """Seconds to read granules of five bands to their own grid on two threads."""
    place = folder / "readers"
    place.mkdir()
    items = write_granules(place, count, (700, 830))
    ways: dict[str, Callable[[], Any]] = {
        "stackstac with our reader": lambda: open_stac(items)["tir"].data,
        "stackstac with its own, vrt:// per band": lambda: _stackstac_vrt(items),
    }
    rows = []
    for name, way in ways.items():
        seconds = []
        for _ in range(2):
            start = time.perf_counter()
            way().max().compute(scheduler="threads", num_workers=2)
            seconds.append(time.perf_counter() - start)
        rows.append((name, min(seconds), min(seconds) / count))
    return Table(f"Readers, {count} granules of 5 x 700 x 830", ("reader", "s", "s each"), rows)


def _stackstac_vrt(items: list[dict[str, Any]]) -> da.Array:
    import stackstac

    split = [
        {
            **item,
            "assets": {
                band: {
                    **{k: v for k, v in item["assets"]["TIR"].items() if k.startswith("proj:")},
                    "href": f"vrt://{item['assets']['TIR']['href']}?bands={number}&a_nodata=0",
                }
                for number, band in enumerate(BANDS, start=1)
            },
        }
        for item in items
    ]
    array: da.Array = stackstac.stack(
        split,
        assets=list(BANDS),
        epsg=int(CRS.split(":")[1]),
        resolution=90.0,
        chunksize=(1, 5, 1024, 1024),
        dtype=np.dtype("uint16"),
        fill_value=np.uint16(0),
        rescale=False,
        xy_coords="center",
        properties=False,
        band_coords=False,
    ).data
    return array


def _by_overlap(ds: xr.Dataset) -> xr.Dataset:
    halo = NEIGHBOURHOOD_REACH
    time_, _, y, x = ds["tir"].data.chunks
    stacked = da.map_overlap(
        _stub,
        ds["tir"].data,
        depth={0: 0, 1: 0, 2: halo, 3: halo},
        boundary=0,
        trim=False,
        dtype=np.float32,
        chunks=(time_, (N_PLANES,), y, x),
        halo=halo,
        meta=np.empty((0, 0, 0, 0), np.float32),
    )
    places = [(dims, stacked[:, plane]) for dims, plane, _ in VARIABLES.values()]
    named = dict(zip(VARIABLES, places, strict=True))
    named["quality"] = (("time", "y", "x"), stacked[:, QUALITY].astype(np.uint16))
    return xr.Dataset(named)


def _by_map_blocks(ds: xr.Dataset) -> xr.Dataset:
    source = ds[["tir"]].drop_vars([str(name) for name in ds.coords])
    images = source["tir"].isel(band=0, drop=True)
    template = xr.Dataset(
        {
            name: (source["tir"] if "band" in dims else images).astype(np.float32)
            for name, (dims, _, _) in VARIABLES.items()
        }
    )
    return xr.map_blocks(_stub_dataset, source, template=template)


def _by_apply_ufunc(ds: xr.Dataset) -> xr.Dataset:
    cores = [["band"] if "band" in dims else [] for dims, _, _ in VARIABLES.values()]
    found = xr.apply_ufunc(
        partial(_stub_planes, counts=tuple(len(core) for core in cores)),
        ds["tir"],
        input_core_dims=[["band"]],
        output_core_dims=cores,
        dask="parallelized",
        output_dtypes=[np.float32] * len(cores),
    )
    return xr.Dataset(dict(zip(VARIABLES, found, strict=True)))


def _stub(block: NDArray[Any], halo: int) -> NDArray[np.float32]:
    rows, columns = block.shape[2] - 2 * halo, block.shape[3] - 2 * halo
    return np.zeros((block.shape[0], N_PLANES, rows, columns), np.float32)


def _stub_dataset(block: xr.Dataset) -> xr.Dataset:
    images = block["tir"].isel(band=0, drop=True)
    return xr.Dataset(
        {
            name: (block["tir"] if "band" in dims else images).astype(np.float32)
            for name, (dims, _, _) in VARIABLES.items()
        }
    )


def _stub_planes(tir: NDArray[Any], *, counts: tuple[int, ...]) -> tuple[NDArray[Any], ...]:
    return tuple((tir if count else tir[..., 0]).astype(np.float32) for count in counts)
