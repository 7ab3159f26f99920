"""What a network can do to a run, with a server on loopback that does it."""

from __future__ import annotations

import json
import logging
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from fault_server import HASTY, FaultServer, faulty
from granules import make_item, numbers, write_granule, write_item

from aktes_xr import errors
from aktes_xr.sensor import UNREADABLE_DN
from aktes_xr.stac import NetworkSettings, open_stac, search

SHAPE = (160, 160)  # more than one request per file: its header, and the rest


@pytest.fixture
def host(tmp_path: Path) -> Iterator[FaultServer]:
    with faulty(tmp_path) as found:
        yield found


def granules(folder: Path, host: FaultServer, number: int = 3) -> list[dict[str, Any]]:
    """Items of several dates, whose files lie on the host."""
    items = []
    for day in range(1, number + 1):
        item = write_granule(
            folder,
            item_id=f"date{day}",
            time=f"2001-01-{day:02d}T03:11:39Z",
            dn=numbers(SHAPE, seed=day),
        )
        name = Path(item["assets"]["TIR"]["href"]).name
        item["assets"]["TIR"]["href"] = f"{host.url}/{name}"
        items.append(item)
    return items


def load(items: Any, **options: Any) -> xr.DataArray:
    return open_stac(items, network=HASTY, resolution="native", **options)["tir"].load()


def unreadable(tir: xr.DataArray) -> list[bool]:
    return [bool((date == UNREADABLE_DN).all()) for date in tir]


@pytest.mark.parametrize(
    "faults",
    [
        ["reset", "ok"],
        ["ok", "reset", "ok"],
        ["ok", "cut", "ok"],
        ["silent", "ok"],
        [429, "ok"],
        [500, 503, "ok"],
        ["ok", 502, "ok"],
        [403, "ok"],
        [401, "ok"],
        ["page", "ok"],
        ["no ranges"],
        [(429, {"Retry-After": "0"}), "ok"],
    ],
    ids=str,
)
def test_what_passes_is_repeated(tmp_path: Path, host: FaultServer, faults: list[Any]) -> None:
    items = granules(tmp_path, host)
    host.faults["date2_83940.TIR.tif"] = faults
    tir = load(items)
    assert unreadable(tir) == [False, False, False]
    np.testing.assert_array_equal(tir.to_numpy()[1], numbers(SHAPE, seed=2))


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (404, "HTTP 404"),
        (410, "HTTP 410"),
        (403, "HTTP 403"),
        (401, "HTTP 401"),
        (503, "HTTP 503"),
        ("page", "it is no TIFF"),
        ("reset", "date2_83940"),
        ("headers", "no answer in time"),
        ("other", "the answer holds bytes"),
        ((302, {"Location": "file:///etc/passwd"}), "not followed"),
        ((302, {"Location": "ftp://127.0.0.1/x.tif"}), "not followed"),
        ((302, {"Location": "/date2_83940.TIR.tif"}), "more than 5 redirects"),
    ],
    ids=str,
)
def test_one_bad_file_takes_no_others_along(
    tmp_path: Path, host: FaultServer, fault: Any, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    items = granules(tmp_path, host)
    host.faults["date2_83940.TIR.tif"] = [fault]
    with caplog.at_level(logging.WARNING):
        tir = load(items)
    assert unreadable(tir) == [False, True, False]
    assert said in caplog.text
    assert "could not read date2_83940.TIR.tif" in caplog.text
    with pytest.raises(errors.ReadError, match="date2_83940"):
        load(items, errors="raise")


def test_a_refusal_is_asked_once_more(tmp_path: Path, host: FaultServer) -> None:
    items = granules(tmp_path, host)
    host.faults["date2_83940.TIR.tif"] = [403]
    load(items)
    assert host.asked["date2_83940.TIR.tif"] == 2


@pytest.mark.parametrize("status", [401, 403])
def test_an_archive_that_refuses_everything_stops_the_run(
    tmp_path: Path, host: FaultServer, status: int
) -> None:
    items = granules(tmp_path, host, number=8)
    host.faults[".tif"] = [status]
    with pytest.raises(errors.AccessError, match=rf"HTTP {status}.*pass modifier="):
        load(items)
    assert host.asked[".tif"] < 2 * 8


def test_a_silent_host_costs_one_deadline(tmp_path: Path, host: FaultServer) -> None:
    items = granules(tmp_path, host, number=8)
    host.faults[".tif"] = ["silent"]
    with pytest.raises(errors.ReadError, match="no answer in time"):
        load(items)
    # Each of the threads that were at it may have asked twice, and nobody any more after that.
    asked = len(host.times)
    with pytest.raises(errors.ReadError, match="remembered, not asked again"):
        load(items)
    assert len(host.times) == asked


def test_a_host_that_is_back_is_asked_again(tmp_path: Path, host: FaultServer) -> None:
    items = granules(tmp_path, host, number=1)
    host.faults[".tif"] = ["silent", "silent", "ok"]
    brief = NetworkSettings(silence_s=0.3, deadline_s=0.5, backoff_s=0.01, remember_s=0.2)
    ds = open_stac(items, network=brief, resolution="native")
    with pytest.raises(errors.ReadError):
        ds["tir"].compute()
    time.sleep(0.3)
    assert unreadable(ds["tir"].compute()) == [False]


def test_a_refused_connection_is_repeated_and_gives_no_empty_cube(
    tmp_path: Path, host: FaultServer
) -> None:
    items = granules(tmp_path, host)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        for item in items:
            href = item["assets"]["TIR"]["href"]
            item["assets"]["TIR"]["href"] = f"http://127.0.0.1:{port}/{href.rsplit('/', 1)[1]}"
        with pytest.raises(errors.ReadError, match="refused"):
            load(items)


def test_retry_after_is_honoured_within_the_deadline(tmp_path: Path, host: FaultServer) -> None:
    items = granules(tmp_path, host, number=1)
    host.faults[".tif"] = [(503, {"Retry-After": "1"}), "ok"]
    patient = NetworkSettings(deadline_s=5.0, backoff_s=0.01)
    tir = open_stac(items, network=patient, resolution="native")["tir"].load()
    assert unreadable(tir) == [False]
    (_, first), (_, second), *_ = host.times
    assert second - first >= 1.0


def test_retry_after_beyond_the_deadline_is_not_asked_again(
    tmp_path: Path, host: FaultServer
) -> None:
    items = granules(tmp_path, host)
    host.faults[".tif"] = [(429, {"Retry-After": "3600"})]
    with pytest.raises(errors.ReadError, match="asks to wait 3600 s, longer than the deadline"):
        load(items, chunks=-1)
    assert len(host.times) <= 2  # the threads that were at it together


def test_a_slow_drip_ends(tmp_path: Path, host: FaultServer) -> None:
    items = granules(tmp_path, host, number=1)
    greedy = NetworkSettings(
        silence_s=1.0, deadline_s=4.0, attempts=1, backoff_s=0.01, slowest_bytes_per_s=1e12
    )
    host.faults[".tif"] = ["drip"]
    with pytest.raises(errors.ReadError, match="slower than 1e\\+12 bytes per second"):
        open_stac(items, network=greedy, resolution="native", errors="raise")["tir"].load()


def test_a_byte_now_and_then_is_given_up(tmp_path: Path, host: FaultServer) -> None:
    items = granules(tmp_path, host, number=1)
    patient = NetworkSettings(silence_s=2.0, deadline_s=4.0, backoff_s=0.01, attempts=1)
    # The file's head comes well, its pixels at two bytes a second: each read has its byte in time.
    host.faults[".tif"] = ["ok", "trickle"]
    with pytest.raises(errors.ReadError, match="slower than 500 bytes per second"):
        open_stac(items, network=patient, resolution="native", errors="raise")["tir"].load()


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AKTES_NETWORK_DEADLINE_S", "2.5")
    monkeypatch.setenv("AKTES_NETWORK_ATTEMPTS", "3")
    assert NetworkSettings.from_environment() == NetworkSettings(deadline_s=2.5, attempts=3)
    monkeypatch.setenv("AKTES_NETWORK_ATTEMPTS", "many")
    with pytest.raises(errors.ConfigError, match=r"AKTES_NETWORK_ATTEMPTS is 'many'"):
        NetworkSettings.from_environment()


def test_items_are_read_within_the_deadline(tmp_path: Path, host: FaultServer) -> None:
    good = write_item(tmp_path / "good.json", write_granule(tmp_path, item_id="good"))
    host.faults["page.json"] = ["page"]
    with pytest.raises(errors.SearchError, match=r"page\.json from .* is no JSON"):
        open_stac(f"{host.url}/page.json", network=HASTY)
    ds = open_stac([good, f"{host.url}/none.json"], network=HASTY)
    (skipped,) = json.loads(ds.attrs["skipped_items"])
    assert skipped["id"] == "none.json"
    host.faults["hangs.json"] = ["silent"]
    with pytest.raises(errors.SearchError, match="no answer in time"):
        open_stac(f"{host.url}/hangs.json", network=HASTY)


def root(host: FaultServer) -> dict[str, Any]:
    base = "https://api.stacspec.org/v1.0.0"
    return {
        "type": "Catalog",
        "id": "api",
        "stac_version": "1.0.0",
        "description": "test",
        "conformsTo": [f"{base}/core", f"{base}/item-search", f"{base}/item-search#query"],
        "links": [
            {"rel": "self", "href": f"{host.url}/"},
            {"rel": "root", "href": f"{host.url}/"},
            {
                "rel": "search",
                "href": f"{host.url}/search",
                "type": "application/geo+json",
                "method": "POST",
            },
        ],
    }


@pytest.fixture
def api(host: FaultServer) -> FaultServer:
    host.documents["/"] = json.dumps(root(host)).encode()
    return host


def page(*features: Any, following: str | None = None) -> bytes:
    links = [] if following is None else [{"rel": "next", "href": following, "method": "GET"}]
    found = {"type": "FeatureCollection", "features": list(features), "links": links}
    return json.dumps(found).encode()


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b"<html>out of order</html>", "could not search"),
        (b'{"type": "FeatureColl', "could not search"),
        (b"[1, 2]", "could not search"),
        (b"null", "could not search"),
        (b'"text"', "could not search"),
        (b'{"features": 7}', "could not search"),
        (b'{"features": [7]}', "all it found is misshapen"),
        (b'{"features": [{"type": "Feature"}]}', "all it found is misshapen"),
        (b'{"features": [{}], "links": 5}', "could not search"),
        (b"\xff\xfe", "could not search"),
    ],
)
def test_answers_that_are_no_stac(api: FaultServer, answer: bytes, said: str) -> None:
    api.documents["/search"] = answer
    with pytest.raises(errors.SearchError, match=said):
        search(f"{api.url}/", network=HASTY)


@pytest.mark.parametrize("answer", [b"<html/>", b"[]", b"{}", b"null", b'{"type": "Catalog"}'])
def test_a_service_that_is_none(api: FaultServer, answer: bytes) -> None:
    api.documents["/"] = answer
    with pytest.raises(errors.SearchError, match="could not search"):
        search(f"{api.url}/", network=HASTY)


def test_a_bad_feature_takes_no_others_along(api: FaultServer, tmp_path: Path) -> None:
    good = write_granule(tmp_path, item_id="good")
    api.documents["/search"] = page({**good, "assets": {}}, {"type": "Feature", "id": "bad\x1b[2J"})
    found = search(f"{api.url}/", network=HASTY)
    assert [item.id for item in found] == ["good"]
    (skipped,) = found.extra_fields["aktes:skipped_items"]
    assert skipped["id"] == "bad\\x1b[2J"


def test_a_remote_search_finds_no_local_files(api: FaultServer, tmp_path: Path) -> None:
    api.documents["/search"] = page(write_granule(tmp_path, item_id="local"))
    with pytest.raises(errors.SearchError, match="a remote item names the local file"):
        search(f"{api.url}/", network=HASTY)


@pytest.mark.parametrize("fault", ["silent", 503, "reset"])
def test_a_search_ends(api: FaultServer, fault: Any) -> None:
    api.faults["/search"] = [fault]
    with pytest.raises(errors.SearchError, match="could not search"):
        search(f"{api.url}/", network=HASTY)


def test_a_search_is_repeated(api: FaultServer) -> None:
    api.documents["/search"] = page(make_item({}))
    api.faults["/search"] = ["reset", 503, "ok"]
    assert len(search(f"{api.url}/", network=HASTY)) == 1


def test_endless_pages_end(api: FaultServer) -> None:
    api.documents["/search"] = page(make_item({}), following=f"{api.url}/search")
    few = NetworkSettings(pages=5)
    with pytest.raises(errors.SearchError, match="more than 5 pages"):
        search(f"{api.url}/", network=few)
    assert len(api.times) <= 8


def test_pages_that_lead_elsewhere(api: FaultServer, tmp_path: Path) -> None:
    api.documents["/search"] = page(make_item({}), following="file:///etc/passwd")
    with pytest.raises(errors.SearchError, match=r"leads elsewhere.*local file passwd"):
        search(f"{api.url}/", network=HASTY)


def test_cloud_cover(api: FaultServer, tmp_path: Path) -> None:
    items = [
        make_item({}, item_id=f"cloud{cover}", **{"eo:cloud_cover": cover}) for cover in (5, 50)
    ]
    api.documents["/search"] = page(*items, make_item({}, item_id="unknown"))
    found = search(f"{api.url}/", max_cloud_cover=20, network=HASTY)
    assert [item.id for item in found] == ["cloud5"]
    path = tmp_path / "items.json"
    path.write_bytes(page(*items))
    assert [item.id for item in search(path, max_cloud_cover=20)] == ["cloud5"]
    with pytest.raises(errors.InputError, match="percent from 0 to 100"):
        search(path, max_cloud_cover=200)
    with pytest.raises(errors.InputError, match="need a STAC API"):
        search(path, query={"platform": {"eq": "terra"}})
    with pytest.raises(errors.InputError, match="does not say that it understands FILTER"):
        search(f"{api.url}/", filter="platform='terra'", network=HASTY)
    found = search(f"{api.url}/", query={"platform": {"eq": "terra"}}, network=HASTY)
    assert len(found) == 3


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"bbox": (116, 15, 114, 16)}, "west < east"),
        ({"bbox": (500000, 1700000, 560000, 1760000)}, "in degrees"),
        ({"bbox": (float("nan"), 15, 116, 16)}, "in degrees"),
        ({"bbox": ("a", 1, 2, 3)}, "in degrees"),
        ({"datetime": "2002/2001"}, "ends before it starts"),
    ],
)
def test_places_and_times_that_are_none(api: FaultServer, options: Any, said: str) -> None:
    with pytest.raises(errors.InputError, match=said):
        search(f"{api.url}/", network=HASTY, **options)
    assert not api.times
