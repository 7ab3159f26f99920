from __future__ import annotations

import json
import logging
import os
import pickle
from pathlib import Path
from typing import Any

import dask
import numpy as np
import pystac
import pytest
import rasterio
import xarray as xr
from granules import (
    ITEM_ID,
    ORIGIN,
    PIXEL,
    asset,
    make_item,
    numbers,
    serve,
    transform,
    write_cog,
    write_granule,
    write_item,
)
from rasterio.windows import Window

import aktes_xr
from aktes_xr import cube, errors
from aktes_xr.sensor import UNREADABLE_DN
from aktes_xr.stac import open_stac, reader
from aktes_xr.stac.network import NetworkSettings
from aktes_xr.stac.opening import Access, with_raster

LAYOUTS = ("planetary_computer", "aws", "lpdaac")


def refuse(*_: object, **__: object) -> None:
    raise AssertionError("something was computed")


def nearest(dn: np.ndarray, ds: xr.Dataset, affine: rasterio.Affine | None = None) -> np.ndarray:
    """The obvious twin: for every pixel centre, the source pixel it lies in."""
    affine = transform() if affine is None else affine
    out = np.zeros((5, ds.sizes["y"], ds.sizes["x"]), np.uint16)
    for i, y in enumerate(ds["y"].to_numpy()):
        row = int(np.floor((y - affine.f) / affine.e))
        for j, x in enumerate(ds["x"].to_numpy()):
            column = int(np.floor((x - affine.c) / affine.a))
            if 0 <= row < dn.shape[1] and 0 <= column < dn.shape[2]:
                out[:, i, j] = dn[:, row, column]
    return out


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_native_cube_is_what_the_file_holds(tmp_path: Path, layout: str) -> None:
    item = write_granule(tmp_path, layout)
    ds = open_stac(item, resolution=None)
    hrefs = [a["href"] for k, a in item["assets"].items() if k.startswith("TIR")]
    stored = np.concatenate([rasterio.open(href).read() for href in hrefs])
    assert ds["tir"].dtype == np.uint16
    np.testing.assert_array_equal(ds["tir"].to_numpy()[0], stored)
    with rasterio.open(hrefs[0]) as file:
        assert ds.rio.transform().almost_equals(file.transform, 1e-6)
        assert ds.rio.crs == file.crs
    np.testing.assert_allclose(ds["x"], ORIGIN[0] + PIXEL[0] * (np.arange(90) + 0.5), rtol=1e-15)


def test_each_layout_gives_the_same_cube(tmp_path: Path) -> None:
    cubes = [
        open_stac(write_granule(tmp_path / layout, layout), resolution=90.0).load()
        for layout in LAYOUTS
    ]
    xr.testing.assert_identical(cubes[0], cubes[1])
    xr.testing.assert_identical(cubes[0], cubes[2])
    assert int(cubes[0]["tir"].max()) == 4095


@pytest.mark.parametrize("chunks", ["auto", 512, 32, (17, 90), {"y": 25, "x": 31}, -1])
def test_ninety_metres_picks_the_pixel_that_holds_each_centre(
    tmp_path: Path, chunks: object
) -> None:
    dn = numbers()
    ds = open_stac(write_granule(tmp_path), chunks=chunks)
    assert ds["tir"].chunks[1] == (5,)
    np.testing.assert_array_equal(np.diff(ds["x"]), 90.0)
    np.testing.assert_array_equal(np.diff(ds["y"]), -90.0)
    np.testing.assert_array_equal((ds["x"] - 45.0) % 90.0, 0.0)
    np.testing.assert_array_equal(ds["tir"].to_numpy()[0], nearest(dn, ds))


def test_pixels_of_the_size_asked_for_are_kept(tmp_path: Path) -> None:
    affine = transform((ORIGIN[0] + 17.0, ORIGIN[1] + 5.0), (90.0, 90.0))
    item = write_granule(tmp_path, affine=affine)
    np.testing.assert_array_equal(open_stac(item)["tir"].to_numpy()[0], numbers())
    below = transform((affine.c, affine.f - 9 * 90.0), (90.0, 90.0))
    second = write_granule(
        tmp_path, item_id="b", time="2001-02-07T03:11:00Z", affine=below, dn=numbers(seed=1)
    )
    both = open_stac([item, second])
    assert both.sizes == {"time": 2, "band": 5, "y": 79, "x": 90}
    np.testing.assert_array_equal(both["tir"].to_numpy()[1, :, 9:], numbers(seed=1))
    shifted = write_granule(tmp_path, item_id="s", affine=transform(pixel=(90.0, 90.0)))
    np.testing.assert_array_equal((open_stac([item, shifted])["x"] - 45.0) % 90.0, 0.0)


def test_metadata(tmp_path: Path) -> None:
    ds = open_stac(write_granule(tmp_path))
    info = cube.check(ds, require=set(cube.COORDINATES))
    assert info.tir_units == "DN"
    assert info.crs == "EPSG:32650"
    assert list(ds["band"].to_numpy()) == ["B10", "B11", "B12", "B13", "B14"]
    assert ds["sun_zenith"].item() == pytest.approx(90 - 47.852381)
    assert ds["sun_azimuth"].item() == 154.289792
    # The ray from 705 km meets a sphere of 6371 km: zenith = off-nadir + angle at the centre.
    zenith = np.radians(ds["view_zenith"].item())
    centre = zenith - np.radians(2.863)
    assert (6371 + 705) * np.sin(np.radians(2.863)) == pytest.approx(6371 * np.sin(zenith))
    assert (6371 + 705) * np.cos(np.radians(2.863)) - 6371 * np.cos(zenith) == pytest.approx(
        np.sin(centre) * 6371 / np.sin(np.radians(2.863)), rel=1e-9
    )
    assert ds["platform_time"].item() == ds["time"].item()
    assert str(ds["time"].to_numpy()[0]) == "2001-01-06T03:11:39.833000000"
    assert str(ds["processing_time"].to_numpy()[0])[:19] == "2015-04-14T03:12:32"
    assert ds["item_id"].item() == ITEM_ID
    assert ds["processing_version"].item() == "V003-83940"
    assert ds["tir"].attrs["units"] == "DN"
    assert json.loads(ds.attrs["skipped_items"]) == []
    assert "tmp" not in json.dumps(ds.attrs)


def test_night_scene(tmp_path: Path) -> None:
    ds = open_stac(write_granule(tmp_path, **{"view:sun_elevation": -31.5}))
    assert ds["sun_zenith"].item() == 121.5
    cube.check(ds)


def test_angles_that_are_not_stated_are_unknown(tmp_path: Path) -> None:
    item = write_granule(tmp_path)
    for name in ("view:off_nadir", "view:sun_elevation", "view:sun_azimuth"):
        del item["properties"][name]
    ds = open_stac(item)
    for name in ("view_zenith", "sun_zenith", "sun_azimuth"):
        assert np.isnan(ds[name].item())
    cube.check(ds)


def test_every_way_to_hand_over_items(tmp_path: Path) -> None:
    item = write_granule(tmp_path)
    item["assets"]["TIR"]["href"] = f"./{Path(item['assets']['TIR']['href']).name}"
    path = write_item(tmp_path / "item.json", item)
    collection = tmp_path / "items.json"
    collection.write_text(json.dumps({"type": "FeatureCollection", "features": [item]}))
    wanted = open_stac(path).load()
    assert wanted["tir"].any()
    for items in (
        str(path),
        [path],
        collection,
        pystac.Item.from_file(str(path)),
        [pystac.Item.from_file(str(path))],
        pystac.ItemCollection([pystac.Item.from_file(str(path))]),
        iter([path]),
    ):
        xr.testing.assert_identical(open_stac(items).load(), wanted)
    assert aktes_xr.open_stac is open_stac


def test_static_catalogue_as_items(tmp_path: Path) -> None:
    item = pystac.Item.from_dict(write_granule(tmp_path))
    catalog = pystac.Catalog("c", "test")
    catalog.add_item(item)
    catalog.normalize_and_save(str(tmp_path / "c"), pystac.CatalogType.SELF_CONTAINED)
    ds = open_stac(tmp_path / "c" / "catalog.json")
    assert ds["item_id"].item() == ITEM_ID
    xr.testing.assert_identical(ds.load(), open_stac(catalog).load())


def test_several_dates_on_one_grid_in_order(tmp_path: Path) -> None:
    later = write_granule(
        tmp_path, item_id="later", time="2001-02-07T03:11:00Z", dn=numbers(seed=1)
    )
    moved = transform((ORIGIN[0] + 450.0, ORIGIN[1] - 900.0))
    first = write_granule(tmp_path, item_id="first", affine=moved, dn=numbers(seed=2))
    ds = open_stac([later, first])
    assert list(ds["item_id"].to_numpy()) == ["first", "later"]
    assert ds["tir"].chunksizes["time"] == (1, 1)
    np.testing.assert_array_equal(ds["tir"].to_numpy()[0], nearest(numbers(seed=2), ds, moved))
    np.testing.assert_array_equal(ds["tir"].to_numpy()[1], nearest(numbers(seed=1), ds))


def test_bbox_crops_and_like_repeats_the_grid(tmp_path: Path) -> None:
    item = write_granule(tmp_path)
    full = open_stac(item)
    west, south, east, north = 114.85, 15.76, 114.88, 15.79
    part = open_stac(item, bbox=(west, south, east, north))
    assert 0 < part.sizes["x"] < full.sizes["x"]
    assert set(part["x"].to_numpy()) <= set(full["x"].to_numpy())
    same = full.sel(x=part["x"], y=[y for y in part["y"].to_numpy() if y in full["y"]])
    xr.testing.assert_equal(part["tir"].sel(y=same["y"]).load(), same["tir"].load())
    odd = full.isel(y=slice(3, 40), x=slice(5, 60)).assign_coords(x=full["x"][5:60] + 1e-9)
    again = open_stac(item, like=odd)
    np.testing.assert_array_equal(again["x"], odd["x"])
    np.testing.assert_array_equal(again["tir"], full["tir"].isel(y=slice(3, 40), x=slice(5, 60)))
    xr.testing.assert_equal(open_stac(item, like=odd["tir"])["tir"].load(), again["tir"].load())


def test_native_grid_with_bbox_is_a_window_of_the_file(tmp_path: Path) -> None:
    item = write_granule(tmp_path)
    whole = open_stac(item, resolution=None)
    part = open_stac(item, resolution=None, bbox=(114.85, 15.77, 114.88, 15.79))
    offset = int(np.argmin(np.abs(whole["x"].to_numpy() - part["x"].to_numpy()[0])))
    row = int(np.argmin(np.abs(whole["y"].to_numpy() - part["y"].to_numpy()[0])))
    window = whole["tir"][..., row : row + part.sizes["y"], offset : offset + part.sizes["x"]]
    np.testing.assert_array_equal(part["tir"], window)


def test_another_projection(tmp_path: Path) -> None:
    item = write_granule(tmp_path)
    ds = open_stac(item, crs="EPSG:32651")
    tir = ds["tir"].to_numpy()[0]
    assert ds.rio.crs.to_epsg() == 32651
    dn = numbers()
    known = set(dn[0].ravel().tolist())
    assert set(tir[0].ravel().tolist()) <= known
    # Fill stays fill: no valid pixel of the source is 1 except the one written so.
    assert (tir[0] == 1).sum() <= 2
    x, y = rasterio.warp.transform(
        "EPSG:32651",
        "EPSG:32650",
        np.tile(ds["x"].to_numpy(), ds.sizes["y"]),
        np.repeat(ds["y"].to_numpy(), ds.sizes["x"]),
    )
    affine = transform()
    rows = np.floor((np.array(y) - affine.f) / affine.e).astype(int)
    columns = np.floor((np.array(x) - affine.c) / affine.a).astype(int)
    inside = (rows >= 0) & (rows < 70) & (columns >= 0) & (columns < 90)
    exact = np.zeros((5, rows.size), np.uint16)
    exact[:, inside] = dn[:, rows[inside], columns[inside]]
    # GDAL approximates the projection to an eighth of a pixel.
    assert (exact == tir.reshape(5, -1)).mean() > 0.75


def test_items_that_cannot_be_used_are_reported(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    good = write_granule(tmp_path)
    blind = make_item({"VNIR": asset("/x/VNIR.tif", (5, 5))}, item_id="no-tir")
    partial = write_granule(tmp_path / "p", "lpdaac", item_id="partial")
    del partial["assets"]["TIR_B12"]
    timeless = write_granule(tmp_path / "t", item_id="timeless")
    timeless["properties"]["datetime"] = None
    far = write_granule(tmp_path / "f", item_id="far", affine=transform((800_000.0, 1_000_000.0)))
    with caplog.at_level(logging.WARNING):
        ds = open_stac([good, blind, partial, timeless, far], like=open_stac(good))
    skipped = {entry["id"]: entry["reason"] for entry in json.loads(ds.attrs["skipped_items"])}
    assert set(skipped) == {"no-tir", "partial", "timeless", "far"}
    assert "no thermal (TIR) asset: found VNIR" in skipped["no-tir"]
    assert "lacks the thermal band(s) B12" in skipped["partial"]
    assert skipped["far"] == "outside the grid"
    assert "no-tir" in caplog.text
    assert list(ds["item_id"].to_numpy()) == [ITEM_ID]
    with pytest.raises(errors.NoItemsError, match="no thermal"):
        open_stac(blind)
    with pytest.raises(errors.NoItemsError, match="there were none"):
        open_stac([])
    with pytest.raises(errors.NoItemsError, match="none of the 1 item"):
        open_stac(far, like=open_stac(good))


def test_bands_in_another_order_are_found_by_name(tmp_path: Path) -> None:
    dn = numbers()
    item = write_granule(tmp_path, dn=dn[::-1])
    item["assets"]["TIR"]["eo:bands"].reverse()
    ds = open_stac(item, resolution=None)
    np.testing.assert_array_equal(ds["tir"].to_numpy()[0], dn)


def test_an_item_that_does_not_say_its_grid(tmp_path: Path) -> None:
    item = write_granule(tmp_path)
    wanted = open_stac(item).load()
    del item["properties"]["proj:epsg"]
    for name in ("proj:shape", "proj:transform", "proj:bbox"):
        del item["assets"]["TIR"][name]
    xr.testing.assert_identical(open_stac(item).load(), wanted)
    item["assets"]["TIR"]["href"] = "/nowhere/at/all_TIR.tif"
    with pytest.raises(
        errors.ReadError, match=r"could not read all_TIR\.tif.*does not say its grid"
    ) as caught:
        open_stac(item)
    assert "/nowhere" not in str(caught.value)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_wrong_gain_in_the_file_is_refused(tmp_path: Path, layout: str) -> None:
    item = write_granule(tmp_path, layout)
    hrefs = [a["href"] for k, a in item["assets"].items() if k.startswith("TIR")]
    with rasterio.open(hrefs[0], "r+") as file:
        if layout == "lpdaac":
            file.update_tags(RADIANCE_GAIN="0.006822")
        else:
            file.update_tags(RADIANCE_GAIN="6.822e-3, 6.780e-3, 6.590e-3, 5.693e-3, 5.225e-3")
    with pytest.raises(errors.CalibrationError, match=r"0\.006822 for B10.*misprint"):
        open_stac(item)
    with rasterio.open(hrefs[-1], "r+") as file:
        file.update_tags(RADIANCE_GAIN="")
        file.update_tags(file.count, RADIANCE_GAIN="0.005")
    with pytest.raises(errors.CalibrationError):
        open_stac(item)


def test_a_wrong_bias_is_refused(tmp_path: Path) -> None:
    item = write_granule(tmp_path)
    with rasterio.open(item["assets"]["TIR"]["href"], "r+") as file:
        file.update_tags(1, RADIANCE_BIAS="0.5")
    with pytest.raises(errors.CalibrationError, match=r"bias 0.5 for B10, expected -0.006882"):
        open_stac(item)


def test_files_that_are_no_thermal_imagery(tmp_path: Path) -> None:
    item = write_granule(tmp_path)
    href = item["assets"]["TIR"]["href"]
    write_cog(Path(href), numbers()[:3])
    with pytest.raises(errors.ReadError, match=r"has 3 band\(s\), expected at least 5"):
        open_stac(item, errors="raise")
    write_cog(Path(href), np.ones((5, 4, 4), "float32"))
    with pytest.raises(errors.ReadError, match="holds float32, expected uint16"):
        open_stac(item, errors="raise")


def test_opening_and_checking_compute_nothing_and_change_nothing(tmp_path: Path) -> None:
    item = write_granule(tmp_path)
    before = json.dumps(item)
    with dask.config.set(scheduler=refuse):
        ds = open_stac(item, dem=write_dem(tmp_path / "dem.tif"))
        cube.check(ds)
    assert json.dumps(item) == before


def test_one_open_per_file_and_chunk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ds = open_stac(write_granule(tmp_path), resolution=None, chunks=(40, 90))
    opened: list[str] = []
    true_open = rasterio.open

    def counting(path: str, *args: object, **kwargs: object) -> object:
        opened.append(path)
        return true_open(path, *args, **kwargs)

    monkeypatch.setattr(rasterio, "open", counting)
    ds["tir"].load(scheduler="sync")
    assert len(opened) == 2


def test_the_graph_is_small(tmp_path: Path) -> None:
    item = write_granule(tmp_path)
    ds = open_stac(item, chunks=8)
    graph = ds["tir"].data.__dask_graph__()
    blocks = ds["tir"].data.npartitions
    assert blocks == 9 * 12
    assert len(graph) <= blocks + 2
    assert len(pickle.dumps(graph)) < 6000
    copy = pickle.loads(pickle.dumps(graph))
    (key,) = [key for key in copy if key == (ds["tir"].data.name, 0, 0, 3, 4)]
    block = dask.get(copy, key)
    np.testing.assert_array_equal(block, ds["tir"].data.blocks[0, 0, 3, 4].compute())
    again = open_stac(item, chunks=8)
    assert again["tir"].data.name == ds["tir"].data.name


@pytest.mark.parametrize("kind", ["missing", "truncated"])
def test_a_bad_file_is_an_error_or_fill_but_never_silent(
    tmp_path: Path, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    good = write_granule(tmp_path, item_id="good")
    bad = write_granule(tmp_path, item_id="bad", time="2001-02-07T03:11:00Z")
    path = Path(bad["assets"]["TIR"]["href"])
    if kind == "missing":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(errors.ReadError, match=r"bad_83940.TIR.tif.*errors='nodata'") as caught:
        open_stac([good, bad], errors="raise")["tir"].load()
    assert str(tmp_path) not in str(caught.value)
    with caplog.at_level(logging.WARNING):
        tir = open_stac([good, bad])["tir"].to_numpy()
    assert tir[0].any()
    assert (tir[1] == UNREADABLE_DN).all()
    assert caplog.text.count("its pixels are marked unreadable") == 1


def test_signed_where_it_is_read(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    local = write_granule(tmp_path)
    wanted = open_stac(local).load()
    with serve(tmp_path, token="first-secret") as host, caplog.at_level(logging.DEBUG):
        name = Path(local["assets"]["TIR"]["href"]).name

        def sign(link: str) -> str:
            assert isinstance(link, str)
            assert "?" not in link
            return f"{link}?se=2030&sig={host.token}"

        item = json.loads(json.dumps(local))
        # As a search with the modifier leaves it: signed, and by now expired.
        item["assets"]["TIR"]["href"] = f"{host.url}/{name}?se=2020&sig=expired-secret"
        ds = open_stac(item, modifier=sign)
        host.token = "second-secret"  # the token that was valid when the cube was opened is not now
        xr.testing.assert_identical(ds.load(), wanted)

        ds = open_stac(item, modifier=sign)
        graph = repr(dict(ds["tir"].data.__dask_graph__())) + repr(ds.attrs) + ds._repr_html_()
        host.token = "third-secret"
        stale = open_stac(item, modifier=lambda link: f"{link}?se=2020&sig=stale-secret")
        with pytest.raises(errors.AccessError, match="pass modifier=") as caught:
            stale["tir"].load()
        chain = repr(caught.value.__cause__) + repr(caught.value.__context__) + str(caught.value)
    assert "secret" not in graph
    assert "secret" not in chain
    assert "secret" not in caplog.text


def test_signed_by_the_search_alone(tmp_path: Path) -> None:
    item = write_granule(tmp_path)
    wanted = open_stac(item).load()
    with serve(tmp_path, token="the-secret") as host:
        name = Path(item["assets"]["TIR"]["href"]).name
        item["assets"]["TIR"]["href"] = f"{host.url}/{name}?se=2030&sig=the-secret"
        ds = open_stac(item)
        assert "secret" not in repr(dict(ds["tir"].data.__dask_graph__()))
        xr.testing.assert_identical(ds.load(), wanted)


def test_a_failure_is_not_remembered(tmp_path: Path) -> None:
    item = write_granule(tmp_path)
    wanted = open_stac(item).load()
    path = Path(item["assets"]["TIR"]["href"])
    with serve(tmp_path) as host:
        item["assets"]["TIR"]["href"] = f"{host.url}/{path.name}"
        ds = open_stac(item, errors="raise", network=NetworkSettings(attempts=2, backoff_s=0.01))
        host.broken = True
        with pytest.raises(errors.ReadError, match="503"):
            ds.compute()
        host.broken = False
        # Left to itself, GDAL would say 503 for as long as this process lives.
        xr.testing.assert_identical(ds.compute(), wanted)
        assert all("#" not in request for request in host.requests)


def test_a_modifier_for_items_only(tmp_path: Path) -> None:
    item = write_granule(tmp_path)
    item["assets"]["TIR"]["href"] = "https://host.test/x_TIR.tif"
    ds = open_stac(item, modifier=lambda link: None)
    with pytest.raises(errors.StacError, match="returned NoneType for a link"):
        ds["tir"].load()


def test_one_pass_becomes_one_date(tmp_path: Path) -> None:
    north, south = numbers(seed=3), numbers(seed=4)
    below = transform((ORIGIN[0] + 9 * PIXEL[0], ORIGIN[1] - 60 * PIXEL[1]))
    items = [
        write_granule(tmp_path, item_id="north", dn=north, time="2001-01-06T03:11:39Z"),
        write_granule(
            tmp_path, item_id="south", dn=south, affine=below, time="2001-01-06T03:11:48Z"
        ),
        write_granule(tmp_path, item_id="next", dn=north, time="2001-01-22T03:11:39Z"),
    ]
    ds = open_stac(items, resolution=None)
    assert list(ds["item_id"].to_numpy()) == ["north+south", "next"]
    apart = open_stac(items, groupby="item", resolution=None)["tir"].to_numpy()
    np.testing.assert_array_equal(
        ds["tir"].to_numpy()[0], np.where(apart[0] > 0, apart[0], apart[1])
    )
    np.testing.assert_array_equal(ds["tir"].to_numpy()[1], apart[2])
    cube.check(ds)


def test_the_next_orbit_is_another_date(tmp_path: Path) -> None:
    times = ("2001-01-06T23:30:00Z", "2001-01-07T00:10:00Z", "2001-01-07T01:09:00Z")
    items = [write_granule(tmp_path, item_id=time[8:16], time=time) for time in times]
    assert open_stac(items)["item_id"].to_numpy().tolist() == ["06T23:30+07T00:10", "07T01:09"]
    items[1]["properties"]["sat:orbit_state"] = "ascending"
    items[0]["properties"]["sat:orbit_state"] = "descending"
    assert open_stac(items).sizes["time"] == 3


def test_of_two_versions_the_newer_lies_on_top(tmp_path: Path) -> None:
    old, new = (f"AST_L1T_00301062001031139_{day}031232" for day in ("20050414", "20150414"))
    items = [
        write_granule(tmp_path, item_id=name, dn=numbers(seed=seed))
        for seed, name in enumerate((old, new))
    ]
    ds = open_stac(items, resolution=None)
    assert ds["item_id"].to_numpy().tolist() == [f"{new}+{old}"]
    np.testing.assert_array_equal(ds["tir"][0, :, 5:9, :80], numbers(seed=1)[:, 5:9, :80])


@pytest.mark.parametrize("chunks", [-1, 32])
def test_an_unreadable_granule_of_a_pass_marks_its_own_place(tmp_path: Path, chunks: int) -> None:
    below = transform((ORIGIN[0], ORIGIN[1] - 60 * PIXEL[1]))
    north = write_granule(tmp_path, item_id="north", time="2001-01-06T03:11:39Z")
    south = write_granule(tmp_path, item_id="south", affine=below, time="2001-01-06T03:11:48Z")
    Path(north["assets"]["TIR"]["href"]).write_bytes(b"torn")
    ds = open_stac([north, south], resolution=None, chunks=chunks)
    tir = ds["tir"].to_numpy()[0]
    found = numbers()
    np.testing.assert_array_equal(tir[:, 71:], found[:, 11:])
    overlap = np.where(found[:, :10] == 0, UNREADABLE_DN, found[:, :10])
    np.testing.assert_array_equal(tir[:, 60:70], overlap)
    assert (tir[:, :60] == UNREADABLE_DN).all()


def test_files_of_a_pass_are_opened_where_they_lie(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    below = transform((ORIGIN[0], ORIGIN[1] - 70 * PIXEL[1]))
    items = [
        write_granule(tmp_path, item_id="north", time="2001-01-06T03:11:39Z"),
        write_granule(tmp_path, item_id="south", affine=below, time="2001-01-06T03:11:48Z"),
    ]
    ds = open_stac(items, resolution=None, chunks=35)
    opened: list[str] = []

    def note(href: str, *rest: Any, **options: Any) -> Any:
        opened.append(Path(href).name[:5])
        return with_raster(href, *rest, **options)

    monkeypatch.setattr(reader, "with_raster", note)
    ds["tir"][0, :, :35, :35].compute(scheduler="synchronous")
    assert opened == ["north"]


def test_a_file_torn_at_row_403_is_not_refused(tmp_path: Path) -> None:
    def torn(source: Any) -> None:
        raise rasterio.errors.RasterioIOError("IReadBlock failed at X offset 0, Y offset 403")

    item = write_granule(tmp_path)
    with pytest.raises(errors.ReadError, match="Y offset 403; do something") as caught:
        with_raster(item["assets"]["TIR"]["href"], Access(), torn, remedy="do something")
    assert not isinstance(caught.value, errors.AccessError)


def write_dem(
    path: Path, *, factor: int = 3, shape: tuple[int, int] = (70, 90), value: float | None = None
) -> Path:
    """A model of `factor` times the native resolution, with a void."""
    rng = np.random.default_rng(5)
    fine = rng.uniform(200, 900, (shape[0] * factor, shape[1] * factor)).astype("float32")
    if value is not None:
        fine[:] = value
    fine[: 2 * factor, : 2 * factor] = -9999.0
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        count=1,
        height=fine.shape[0],
        width=fine.shape[1],
        dtype="float32",
        nodata=-9999.0,
        crs="EPSG:32650",
        transform=transform(pixel=(PIXEL[0] / factor, PIXEL[1] / factor)),
    ) as file:
        file.write(fine, 1)
    return path


@pytest.mark.parametrize("chunks", ["auto", 32])
def test_the_elevation_is_averaged(tmp_path: Path, chunks: object) -> None:
    path = write_dem(tmp_path / "dem.tif")
    ds = open_stac(write_granule(tmp_path), resolution=None, dem=path, chunks=chunks)
    assert ds["elevation"].chunks == (ds["tir"].chunks[2], ds["tir"].chunks[3])
    assert ds["elevation"].dtype == np.float32
    assert ds["elevation"].attrs["units"] == "m"
    with rasterio.open(path) as file:
        fine = file.read(1)
    fine[fine == -9999.0] = np.nan
    mean = fine.reshape(70, 3, 90, 3).mean(axis=(1, 3))
    np.testing.assert_allclose(ds["elevation"], mean, rtol=2e-6)
    assert np.isnan(ds["elevation"].to_numpy()[:2, :2]).all()
    cube.check(ds, require={"elevation"})


def test_elevation_from_items_of_a_collection(tmp_path: Path) -> None:
    path = write_dem(tmp_path / "dem.tif", value=640.0)
    item = make_item({"data": {"href": str(path), "type": "image/tiff"}}, item_id="tile")
    far = make_item({"data": {"href": str(write_far_dem(tmp_path))}}, item_id="far-tile")
    ds = open_stac(write_granule(tmp_path), resolution=None, dem=[item, far])
    assert float(ds["elevation"].max()) == 640.0
    # Provenance names files, and no path.
    assert str(tmp_path) not in json.dumps(ds.attrs)


def write_far_dem(tmp_path: Path) -> Path:
    path = tmp_path / "far.tif"
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        count=1,
        height=4,
        width=4,
        dtype="float32",
        crs="EPSG:32650",
        transform=transform((800_000.0, 1_000_000.0)),
    ) as file:
        file.write(np.ones((4, 4), "float32"), 1)
    return path


def test_an_elevation_that_does_not_cover_the_cube(tmp_path: Path) -> None:
    item = write_granule(tmp_path)
    with pytest.raises(errors.NodataError, match=r"far.tif\) does not overlap the cube"):
        open_stac(item, dem=write_far_dem(tmp_path))
    with pytest.raises(errors.ReadError, match=r"could not read none\.tif.*give as dem="):
        open_stac(item, dem=tmp_path / "none.tif")
    with pytest.raises(errors.AssetError, match="no asset that is known to hold heights"):
        open_stac(item, dem=make_item({"qa": {"href": "x.txt"}}))


def test_an_elevation_of_nothing_but_nodata(tmp_path: Path) -> None:
    item = write_granule(tmp_path)
    with pytest.raises(errors.NodataError, match=r"empty\.tif\) has no valid height"):
        open_stac(item, dem=write_dem(tmp_path / "empty.tif", value=-9999.0))


def test_an_elevation_with_one_valid_corner(tmp_path: Path) -> None:
    path = write_dem(tmp_path / "dem.tif", value=-9999.0)
    with rasterio.open(path, "r+") as file:
        file.write(np.full((3, 3), 700.0, "float32"), 1, window=Window(267, 207, 3, 3))
    ds = open_stac(write_granule(tmp_path), resolution=None, dem=path)
    assert int(ds["elevation"].notnull().sum()) == 1


def test_elevation_as_an_array_on_the_grid(tmp_path: Path) -> None:
    item = write_granule(tmp_path)
    ds = open_stac(item, dem=write_dem(tmp_path / "dem.tif"))
    again = open_stac(item, dem=ds["elevation"])
    xr.testing.assert_equal(again["elevation"].load(), ds["elevation"].load())


def test_elevation_as_an_array_on_another_grid(tmp_path: Path) -> None:
    path = write_dem(tmp_path / "dem.tif")
    item = write_granule(tmp_path)
    with rasterio.open(path) as file:
        fine = xr.DataArray(
            np.where(file.read(1) == -9999.0, np.nan, file.read(1)),
            dims=("y", "x"),
            coords={
                "y": file.transform.f + file.transform.e * (np.arange(file.height) + 0.5),
                "x": file.transform.c + file.transform.a * (np.arange(file.width) + 0.5),
            },
        ).rio.write_crs(file.crs)
    from_path = open_stac(item, resolution=None, dem=path)["elevation"]
    for dem in (fine, fine.expand_dims("band"), fine.to_dataset(name="elevation")):
        with dask.config.set(scheduler=refuse):
            ds = open_stac(item, resolution=None, dem=dem)
        assert ds["elevation"].chunks == (ds["tir"].chunks[2], ds["tir"].chunks[3])
        np.testing.assert_allclose(ds["elevation"], from_path, rtol=1e-5)
        cube.check(ds)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"crs": "EPSG:4326"}, errors.CRSError, "not projected in metres"),
        ({"crs": "nonsense"}, errors.CRSError, "no coordinate reference system"),
        ({"resolution": -90.0}, errors.InputError, "positive number of metres"),
        ({"bbox": (115, 15, 114, 16)}, errors.InputError, "west < east"),
        ({"bbox": (115, 15)}, errors.InputError, r"expected \(west, south, east, north\)"),
        ({"resolution": None, "crs": 32651}, errors.InputError, "leave out crs="),
        ({"chunks": 0}, errors.InputError, "positive lengths"),
        ({"chunks": {"lat": 5}}, errors.InputError, "chunks names lat"),
        ({"engine": "odc"}, errors.InputError, "odc-stac returns fill"),
        ({"errors": "ignore"}, errors.InputError, "expected 'nodata' or 'raise'"),
        ({"groupby": "week"}, errors.InputError, "expected 'orbit' or 'item'"),
        ({"bbox": (0, 0, 1, 1)}, errors.NoItemsError, "none of the 1 item"),
    ],
)
def test_bad_arguments(
    tmp_path: Path, options: dict[str, object], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        open_stac(write_granule(tmp_path), **options)


def test_grids_that_disagree(tmp_path: Path) -> None:
    one = write_granule(tmp_path, item_id="one")
    two = write_granule(tmp_path, item_id="two", epsg=32651)
    with pytest.raises(errors.CRSError, match=r"EPSG:32650 \(1\), EPSG:32651 \(1\)"):
        open_stac([one, two])
    shifted = write_granule(tmp_path, item_id="s", affine=transform((ORIGIN[0] + 30, ORIGIN[1])))
    with pytest.raises(errors.GridError, match="no native grid serves both"):
        open_stac([one, shifted], resolution=None)
    with pytest.raises(errors.InputError, match="leave out bbox= and crs="):
        open_stac(one, like=open_stac(one), crs="EPSG:32650")
    with pytest.raises(errors.GridError, match="not north-up"):
        open_stac(one, like=open_stac(one).isel(y=slice(None, None, -1)))
    with pytest.raises(errors.StacError, match="found int where STAC items were expected"):
        open_stac([7])
    with pytest.raises(errors.StacError, match="type None where a STAC item"):
        open_stac({"id": "x"})


def reference_folder() -> Path:
    default = Path(__file__).parents[2] / "shared" / "data"
    folder = Path(os.environ.get("AKTES_REFERENCE_DATA", default)) / "stac"
    if not folder.is_dir():
        pytest.skip("the published items are not at hand")
    return folder


def local_copy(path: Path, tmp_path: Path) -> tuple[dict, np.ndarray]:
    """A published item whose TIR link points at a local file of the same shape."""
    item = json.loads(path.read_text())
    tir = item["assets"]["TIR"]
    height, width = tir["proj:shape"]
    rng = np.random.default_rng(int(item["properties"]["aster:processing_number"]))
    dn = rng.integers(0, 4096, (5, height, width), dtype=np.uint16)
    tir["href"] = str(
        write_cog(
            tmp_path / f"{item['id']}_TIR.tif",
            dn,
            affine=rasterio.Affine(*tir["proj:transform"][:6]),
            epsg=item["properties"]["proj:epsg"],
        )
    )
    return item, dn


def test_published_items(tmp_path: Path) -> None:
    paths = sorted(reference_folder().glob("*AST_L1T_*.json"))
    assert len(paths) == 6
    for path in paths:
        item, dn = local_copy(path, tmp_path)
        ds = open_stac(pystac.Item.from_dict(item), resolution=None)
        properties = item["properties"]
        np.testing.assert_array_equal(ds["tir"].to_numpy()[0], dn)
        assert ds.rio.crs.to_epsg() == properties["proj:epsg"]
        assert tuple(ds.rio.transform())[:6] == pytest.approx(
            item["assets"]["TIR"]["proj:transform"][:6], rel=1e-9
        )
        assert ds["sun_zenith"].item() == pytest.approx(90 - properties["view:sun_elevation"])
        assert ds["sun_azimuth"].item() == properties["view:sun_azimuth"]
        assert 1.0 < ds["view_zenith"].item() / properties["view:off_nadir"] < 1.13
        assert str(ds["time"].to_numpy()[0])[:19] == properties["datetime"][:19]
        assert ds["processing_version"].item() == f"V003-{properties['aster:processing_number']}"
        cube.check(ds, require=set(cube.COORDINATES))
