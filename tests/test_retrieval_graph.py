from __future__ import annotations

import dask
import dask.array as da
import numpy as np
import pytest
import xarray as xr
from random_bundle import random_bundle

import aktes_xr
from aktes_xr.cube import new_cube
from aktes_xr.cube.calibration import radiance
from aktes_xr.cube.quality import QualityFlag
from aktes_xr.jobs.graph_size import graph_size
from aktes_xr.models import Bundle
from aktes_xr.retrieval.edges import (
    NEIGHBOURS,
    pack_edges,
    pack_plane_edges,
    surround,
    surround_planes,
)
from aktes_xr.sensor import UNREADABLE_DN

HALO = 3


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return random_bundle(tmp_path_factory.mktemp("bundle") / "random")


def test_packed_edges_put_a_chunk_back_into_its_scene() -> None:
    rng = np.random.default_rng(0)
    rows, columns = (7, 3, 11), (4, 9, 5)
    image = rng.integers(1, 4000, (2, 5, sum(rows), sum(columns)), dtype=np.uint16)
    tops, lefts = np.cumsum((0, *rows)), np.cumsum((0, *columns))
    blocks = {
        (i, j): image[:, :, tops[i] : tops[i + 1], lefts[j] : lefts[j + 1]]
        for i in range(3)
        for j in range(3)
    }
    edges = {place: pack_edges(block, halo=HALO) for place, block in blocks.items()}
    beyond = np.pad(image, ((0, 0), (0, 0), (HALO, HALO), (HALO, HALO)))
    for (i, j), block in blocks.items():
        around = [edges.get((i + down, j + right)) for down, right in NEIGHBOURS]
        window = (
            slice(tops[i], tops[i + 1] + 2 * HALO),
            slice(lefts[j], lefts[j + 1] + 2 * HALO),
        )
        np.testing.assert_array_equal(surround(block, around, halo=HALO), beyond[:, :, *window])


def test_beyond_the_scene_radiance_is_nan() -> None:
    padded = surround(np.ones((1, 5, 4, 4), np.float32), [None] * 8, halo=HALO)
    assert np.isnan(padded[0, 0, :HALO]).all()
    assert (padded[:, :, HALO:-HALO, HALO:-HALO] == 1.0).all()


def test_planes_that_lie_apart_are_surrounded_as_if_they_were_stacked() -> None:
    rng = np.random.default_rng(1)
    dated, still = (rng.normal(size=(n, 9, 12)).astype(np.float32) for n in (2, 1))
    stacked = np.stack([dated, np.broadcast_to(still, dated.shape)], axis=1)
    packed = pack_plane_edges([dated, still], dates=2, halo=HALO)
    np.testing.assert_array_equal(packed, pack_edges(stacked, halo=HALO))
    around = [packed, None, packed, packed, None, packed, packed, packed]
    found = surround_planes([dated, still], around, dates=2, halo=HALO)
    np.testing.assert_array_equal(found, surround(stacked, around, halo=HALO))
    assert found.dtype == np.float32
    assert found.flags.c_contiguous
    assert pack_plane_edges([], dates=2, halo=HALO) is None
    assert surround_planes([], [None] * 8, dates=2, halo=HALO).shape[:2] == (2, 0)


def cube(dates: int) -> xr.Dataset:
    ds = new_cube(
        da.full((dates, 5, 300, 300), 1500, dtype=np.uint16, chunks=(1, 5, 100, 100)),
        time=np.datetime64("2004-07-01") + np.arange(dates),
        y=4_000_000.0 - 90.0 * np.arange(300),
        x=300_000.0 + 90.0 * np.arange(300),
        crs="EPSG:32617",
        coordinates={"view_zenith": np.zeros(dates)},
    )
    elevation = da.zeros((300, 300), dtype=np.float32, chunks=150)
    ds["elevation"] = (("y", "x"), elevation, {"units": "m"})
    ds["water_vapor"] = ("time", np.full(dates, 20.0), {"units": "kg m-2"})
    return ds


def test_two_tasks_and_one_per_variable_for_each_date_and_chunk(bundle: Bundle) -> None:
    def added_tasks(dates: int) -> int:
        ds = cube(dates)
        result = aktes_xr.retrieve(ds, bundle=bundle)
        return graph_size(result).tasks - graph_size(ds).tasks

    few, many = added_tasks(2), added_tasks(6)
    variables = 7
    assert many - few == 4 * 9 * (2 + variables)
    (optimised,) = dask.optimize(aktes_xr.retrieve(cube(6), bundle=bundle))
    assert graph_size(optimised).largest_array_bytes <= 1000


def test_a_scene_of_one_chunk_has_no_edges_to_pack(bundle: Bundle) -> None:
    ds = cube(3)
    chunked = ds.assign(tir=ds["tir"].chunk(y=-1, x=-1))
    result = aktes_xr.retrieve(chunked, bundle=bundle)
    names = {str(key[0]).rsplit("-", 1)[0] for key in dict(result.__dask_graph__())}
    assert "aktes-retrieve-fusion" in names
    assert "aktes-edges" not in names
    expected = aktes_xr.retrieve(ds, bundle=bundle).compute()
    xr.testing.assert_identical(result.compute(), expected)


@pytest.mark.parametrize("method", ["fusion", "teacher"])
def test_unreadable_pixels_are_fill_for_themselves_and_their_neighbours(
    bundle: Bundle, method: str
) -> None:
    ds = cube(1).drop_vars("water_vapor").compute()
    ds["tir"] = ds["tir"].chunk(time=1, y=100, x=100)
    hole = np.zeros((1, 5, 300, 300), bool)
    hole[:, :, 95:120, 40:110] = True
    filled = ds.assign(tir=ds["tir"].copy(data=da.where(hole, np.uint16(0), ds["tir"].data)))
    unread = ds.assign(
        tir=ds["tir"].copy(data=da.where(hole, np.uint16(UNREADABLE_DN), ds["tir"].data))
    )
    expected = aktes_xr.retrieve(filled, bundle=bundle, method=method).compute()
    found = aktes_xr.retrieve(unread, bundle=bundle, method=method).compute()
    xr.testing.assert_identical(found.drop_vars("quality"), expected.drop_vars("quality"))
    flags = (found["quality"] - expected["quality"]).to_numpy()
    np.testing.assert_array_equal(flags, hole[:, 0] * np.uint16(QualityFlag.UNREADABLE))
    assert np.isnan(radiance(unread)).to_numpy()[hole].all()


def test_all_variables_are_computed_however_they_are_asked_for(bundle: Bundle) -> None:
    ds = cube(1)
    whole = ds.assign(tir=ds["tir"].chunk(y=-1, x=-1), elevation=ds["elevation"].chunk(y=-1, x=-1))
    result = aktes_xr.retrieve(whole, bundle=bundle)
    (found,) = dask.compute(result)
    xr.testing.assert_identical(found, result.compute())


def test_annotations_reach_the_tasks(bundle: Bundle) -> None:
    with dask.annotate(priority=7, resources={"memory": 2}):
        result = aktes_xr.retrieve(cube(2), bundle=bundle)
    layers = result.__dask_graph__().layers
    annotated = [layer.annotations for name, layer in layers.items() if "aktes-retrieve" in name]
    assert annotated == [{"priority": 7, "resources": {"memory": 2}}]
