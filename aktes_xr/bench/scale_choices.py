"""What was chosen beside what was not: chunk shapes, ways to map a block function, readers.

Nothing here is a claim; the tables are printed so that the choices can be weighed again.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import dask.array as da
import numpy as np
import xarray as xr

import aktes_xr
from aktes_xr.bench import BenchResult, Table
from aktes_xr.bench.scale_cubes import CRS, cube, write_granules
from aktes_xr.cube.contract import NEIGHBOURHOOD_REACH
from aktes_xr.jobs.graph_size import graph_size, optimised_size
from aktes_xr.jobs.plan import plan
from aktes_xr.models import Bundle
from aktes_xr.retrieval.result import VARIABLES
from aktes_xr.retrieval.sample import both_networks, even_terrain
from aktes_xr.retrieval.tiles import N_PLANES, QUALITY
from aktes_xr.sensor import BANDS

if TYPE_CHECKING:
    from numpy.typing import NDArray

_REGION: Final = 4096
_SHAPES: Final = ((1, 512), (1, 1024), (1, 2048), (4, 512), (4, 1024))


def choice_tables(bundle: Bundle, folder: Path, dates: int, granules: int) -> BenchResult:
    """Weigh chunk shapes and engines on ``dates`` dates of a region, readers on some granules."""
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
        graph = optimised_size(aktes_xr.retrieve(ds, bundle=bundle, terrain=ground))
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
        "edges packed, own layer (ours)": lambda: aktes_xr.retrieve(
            ds, bundle=bundle, terrain=ground
        ),
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
        "stackstac with our reader": lambda: aktes_xr.open_stac(items)["tir"].data,
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
