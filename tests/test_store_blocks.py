from __future__ import annotations

import pickle
from pathlib import Path

import dask
import dask.array as da
import numpy as np
import pytest
import xarray as xr
from distributed import Client

import aktes_xr
from aktes_xr.bench.scale_cubes import cube, small_bundle
from aktes_xr.store.blocks import ZarrRegion, finish, write_lazily


class Seen:
    """Keeps what it is given."""

    def __init__(self) -> None:
        self.blocks: list[tuple[xr.Dataset, dict[str, slice]]] = []

    def __call__(self, block: xr.Dataset, region: dict[str, slice]) -> None:
        self.blocks.append((block, region))

    def __dask_tokenize__(self) -> str:
        return "seen"


def dataset(chunks: dict[str, int]) -> xr.Dataset:
    rng = np.random.default_rng(0)
    return xr.Dataset(
        {
            "temperature": (("time", "y", "x"), rng.normal(size=(3, 7, 8))),
            "emissivity": (("time", "band", "y", "x"), rng.normal(size=(3, 5, 7, 8))),
            "sky_view": (("y", "x"), rng.normal(size=(7, 8))),
        }
    ).chunk(chunks)


@pytest.mark.parametrize(
    "chunks", [{"time": 1, "y": 4, "x": 3}, {"time": 2}, {"time": 1, "y": 7, "x": 8, "band": 2}]
)
def test_blocks_are_the_dataset(chunks: dict[str, int]) -> None:
    ds = dataset(chunks)
    seen = Seen()
    counts = dask.compute(*write_lazily(ds, seen))
    assert sum(int(count.sum()) for count in counts) == len(seen.blocks)
    found = ds.copy(data={name: np.full(ds[name].shape, np.nan) for name in ds.data_vars})
    for block, region in seen.blocks:
        for name, variable in block.variables.items():
            assert variable.dims == ds[name].dims
            place = {dim: part for dim, part in region.items() if dim in variable.dims}
            found[name][place] = variable.to_numpy()
    xr.testing.assert_equal(found, ds.compute())


def test_a_block_is_read_edged_retrieved_and_written_by_three_tasks(tmp_path: Path) -> None:
    def tasks(dates: int) -> int:
        ds = cube(dates, (64, 64), 32)
        result = aktes_xr.retrieve(ds, bundle=small_bundle(tmp_path / f"{dates}"))
        written = write_lazily(result.unify_chunks(), ZarrRegion("nowhere"))
        (dated,) = dask.optimize(written[0])
        graph = dict(dated.__dask_graph__())
        # Fused tasks keep their old names as aliases, and one task per date counts its blocks.
        return sum("sum" not in str(key[0]) or "retrieve" in str(key[0]) for key in graph)

    blocks = 4
    assert (tasks(9) - tasks(5)) == 4 * blocks * 3


def test_the_writer_is_small(tmp_path: Path) -> None:
    write = ZarrRegion(str(tmp_path / "store"))
    assert pickle.loads(pickle.dumps(write)) == write
    (group, *_) = write_lazily(dataset({"time": 1}), write)
    assert group.name == write_lazily(dataset({"time": 1}), write)[0].name


def refuse(block: xr.Dataset, region: dict[str, slice]) -> None:
    raise OSError("no space left")


def test_a_failure_stops_the_writing() -> None:
    with pytest.raises(OSError, match="no space left"):
        finish(write_lazily(dataset({"time": 1}), refuse))


class Known:
    """Writes nothing, and notes how many tasks the worker knows meanwhile."""

    most = 0

    def __call__(self, block: xr.Dataset, region: dict[str, slice]) -> None:
        from distributed import get_worker

        Known.most = max(Known.most, len(get_worker().state.tasks))


def long_series(dates: int) -> xr.Dataset:
    values = da.ones((dates, 8, 8), chunks=(1, 4, 4)).map_blocks(np.sin)
    return xr.Dataset({"temperature": (("time", "y", "x"), values)})


def test_a_cluster_forgets_what_is_written(client: Client) -> None:
    most = []
    for dates in (20, 200):
        Known.most = 0
        finish(write_lazily(long_series(dates), Known()), client=client)
        most.append(Known.most)
    # A sum over all of it would have the worker know 200 x 4 blocks' tasks in the end.
    assert 0 < most[1] < most[0] + 80


def test_a_cluster_takes_what_is_current(client: Client, tmp_path: Path) -> None:
    ds = dataset({"time": 1})
    store = str(tmp_path / "store")
    ds.to_zarr(store, compute=False, consolidated=False)
    with client.as_current():
        finish(write_lazily(ds, ZarrRegion(store)))
    xr.testing.assert_equal(xr.open_zarr(store, consolidated=False).compute(), ds.compute())


def test_a_failure_on_a_cluster_stops_the_writing(client: Client) -> None:
    with pytest.raises(OSError, match="no space left"):
        finish(write_lazily(long_series(20), refuse), client=client)


def test_what_is_in_memory_is_not_written_by_tasks() -> None:
    ds = dataset({"time": 1}).compute()
    assert write_lazily(ds, Seen()) == []
    ds["lazy"] = ("time", da.arange(3, chunks=1))
    (only,) = write_lazily(ds, Seen())
    assert int(only.compute(scheduler="synchronous").sum()) == 3
