"""Results in an object store: whole or not at all, one run at a time, and no secret anywhere."""

from __future__ import annotations

import json
import pickle
import threading
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import xarray as xr
from object_server import SECRET, serve_objects
from test_store import make_result
from test_store_replace import lazy, once, valid_in

from aktes_xr import errors
from aktes_xr.store import open_result, write_result
from aktes_xr.store.address import object_store, parse_address
from aktes_xr.store.blocks import ZarrRegion, write_lazily
from aktes_xr.store.owner import Owner

pytest.importorskip("moto.server", reason="moto[server] is not installed")


@pytest.fixture(scope="module")
def bucket() -> Iterator[str]:
    with serve_objects() as address:
        yield address


@pytest.fixture
def address(bucket: str, request: pytest.FixtureRequest) -> str:
    return f"{bucket}/{request.node.name}/r.zarr"


def names(address: str) -> set[str]:
    """First parts of what lies below an address, versions counted."""
    paths = [str(entry["path"]) for batch in object_store(address).list() for entry in batch]
    return {"/".join(path.split("/")[: 2 if path.startswith(".versions") else 1]) for path in paths}


def test_round_trip(address: str) -> None:
    result = make_result(chunks={"time": 1, "y": 16, "x": 25})
    write_result(result, address)
    again = open_result(address)
    for name in (*result.data_vars, *result.coords):
        np.testing.assert_array_equal(again[name], result[name])
    assert again.rio.crs == result.rio.crs
    (version,) = names(address) - {"zarr.json"}
    assert version.startswith(".versions/")


def test_other_tools_find_the_result_by_the_group_the_address_names(address: str) -> None:
    from zarr.storage import ObjectStore

    write_result(make_result(), address)
    pointer = json.loads(bytes(object_store(address).get("zarr.json").bytes()))
    group = pointer["attributes"]["aktes:current"]
    plain = xr.open_zarr(ObjectStore(object_store(f"{address}/{group}")))
    assert plain.rio.crs.to_epsg() == 32650
    assert plain.sizes["time"] == 2


def test_what_exists_stays_and_is_replaced_when_told(address: str) -> None:
    write_result(make_result(), address)
    with pytest.raises(errors.StoreExistsError, match=r"r\.zarr exists"):
        write_result(make_result(), address)
    with pytest.raises(errors.WorseResultError):
        write_result(make_result(dates=1), address, overwrite=True)
    write_result(make_result(dates=1), address, overwrite=True, accept_worse=True)
    assert open_result(address).sizes["time"] == 1
    assert len(names(address)) == 2


def test_a_worse_result_does_not_replace_a_better(address: str) -> None:
    write_result(valid_in(0.9), address)
    with pytest.raises(errors.WorseResultError):
        write_result(valid_in(0.0), address, overwrite=True)
    assert float(open_result(address)["surface_temperature"].notnull().mean()) > 0.8
    assert len(names(address)) == 2


def test_what_was_made_meanwhile_is_left(address: str) -> None:
    def appear() -> None:
        object_store(address).put("zarr.json", b'{"zarr_format": 3, "node_type": "group"}')

    with pytest.raises(errors.StoreExistsError, match="while the new result was computed"):
        write_result(lazy(once(appear)), address)
    assert names(address) == {"zarr.json"}


def test_something_else_there_is_not_replaced(address: str) -> None:
    object_store(address).put("photo.jpg", b"x")
    with pytest.raises(errors.StoreExistsError, match=r"photo\.jpg"):
        write_result(make_result(), address, overwrite=True)
    assert names(address) == {"photo.jpg"}


def test_one_run_at_a_time(address: str) -> None:
    refused: list[str] = []

    def second() -> None:
        try:
            write_result(make_result(), address)
        except errors.StoreBusyError as error:
            refused.append(str(error))

    write_result(lazy(once(second)), address)
    assert len(refused) == 1
    assert "is being written by process " in refused[0]
    assert open_result(address).sizes["time"] == 2


def plant(address: str, owner: Owner, until: float) -> None:
    """What a run leaves behind that was killed."""
    store = object_store(address)
    store.put(".lease", owner.text(until=until).encode())
    store.put(f".versions/{'0a' * 16}/zarr.json", b"{}")


def test_a_dead_runs_lease_and_versions_are_taken_over(address: str) -> None:
    here = Owner.this_process()
    plant(address, Owner(2**22 - 1, here.host, here.start, here.space), time.time() + 60)
    write_result(make_result(), address)
    assert len(names(address)) == 2
    assert f".versions/{'0a' * 16}" not in names(address)


def test_a_lease_from_elsewhere_holds_until_it_has_run_out(address: str) -> None:
    elsewhere = Owner(1, "another-host", "2026-01-01T00:00:00+00:00", "another boot")
    plant(address, elsewhere, time.time() + 60)
    with pytest.raises(errors.StoreBusyError, match="process 1 on another-host"):
        write_result(make_result(), address)
    assert f".versions/{'0a' * 16}" in names(address)
    plant(address, elsewhere, time.time() - 3600)
    write_result(make_result(), address)
    assert open_result(address).sizes["time"] == 2


def test_a_run_whose_lease_was_taken_over_does_not_publish(address: str) -> None:
    elsewhere = Owner(1, "another-host", "2026-01-01T00:00:00+00:00", "another boot")
    taken = once(lambda: plant(address, elsewhere, time.time() + 60))
    with pytest.raises(errors.StoreBusyError):
        write_result(lazy(taken), address)
    assert "zarr.json" not in names(address)


def test_of_two_runs_that_begin_at_once_one_is_refused(address: str) -> None:
    outcomes: list[str] = []
    start = threading.Barrier(2)

    def run() -> None:
        start.wait()
        try:
            write_result(make_result(), address)
            outcomes.append("written")
        except errors.StoreError as error:
            outcomes.append(error.code)

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes)[1] == "written"
    assert sorted(outcomes)[0] in ("store.busy", "store.exists")
    assert len(names(address)) == 2


def test_no_credential_in_graph_store_or_error(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    region = ZarrRegion(address)
    graph = write_lazily(make_result(chunks={"time": 1}).drop_vars("spatial_ref"), region)
    assert SECRET.encode() not in pickle.dumps([dict(a.__dask_graph__()) for a in graph])
    write_result(make_result(), address)
    for batch in object_store(address).list():
        for entry in batch:
            content = bytes(object_store(address).get(entry["path"]).bytes())
            assert SECRET.encode() not in content
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setattr("aktes_xr.store.address._RETRIES", 0)
    with pytest.raises(errors.StoreError, match="the object store failed for r") as caught:
        open_result(address)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("s3://bucket", "expected bucket and prefix"),
        ("s3://bucket/../other", "expected bucket and prefix"),
        ("s3://bucket/r.zarr?sig=SECRET", "holds more than bucket and prefix"),
        ("s3://id:SECRET@bucket/r.zarr", "holds more than bucket and prefix"),
        ("https://host/r.zarr", "expected a local path, or an address"),
        ("file://other-host/r.zarr", "expected a local path, or an address"),
    ],
)
def test_addresses_that_are_refused(address: str, words: str) -> None:
    with pytest.raises(errors.InputError, match=words) as caught:
        parse_address(address)
    assert "SECRET" not in str(caught.value)


def test_a_file_address_is_a_path(tmp_path: Any) -> None:
    write_result(make_result(), f"file://{tmp_path}/r%20s.zarr")
    assert open_result(tmp_path / "r s.zarr").sizes["time"] == 2
