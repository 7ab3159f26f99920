from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pystac
import pytest
from granules import ITEM_ID, make_item, write_granule

from aktes_xr import errors
from aktes_xr.catalog import read_sources
from aktes_xr.stac import open_stac, search, source, sources


@pytest.fixture
def catalogue(tmp_path: Path) -> Path:
    """A static catalogue of three dates; one lies elsewhere."""
    collection = pystac.Collection(
        "aster-l1t",
        "test",
        pystac.Extent(
            pystac.SpatialExtent([[-180, -90, 180, 90]]), pystac.TemporalExtent([[None, None]])
        ),
    )
    for number, time in enumerate(("2001-02-07", "2001-01-06", "2003-05-01")):
        item = make_item({}, item_id=f"item-{number}", time=f"{time}T03:11:39Z")
        if number == 2:
            item["bbox"] = [10.0, 40.0, 11.0, 41.0]
        collection.add_item(pystac.Item.from_dict(item))
    collection.normalize_and_save(str(tmp_path / "catalog"), pystac.CatalogType.SELF_CONTAINED)
    return tmp_path / "catalog" / "collection.json"


def ids(items: pystac.ItemCollection) -> list[str]:
    return [item.id for item in items]


def test_static_catalogue(catalogue: Path) -> None:
    assert ids(search(catalogue)) == ["item-1", "item-0", "item-2"]
    assert ids(search(catalogue, bbox=(115, 15, 116, 16))) == ["item-1", "item-0"]
    assert ids(search(catalogue, bbox=(-60, -10, -50, 0))) == []
    assert ids(search(catalogue, collections=["other"])) == []
    assert ids(search(str(catalogue), collections=["aster-l1t"], max_items=1)) == ["item-0"]


@pytest.mark.parametrize(
    ("datetime", "expected"),
    [
        ("2001", ["item-1", "item-0"]),
        ("2001-02", ["item-0"]),
        ("2001-01-06", ["item-1"]),
        ("2001-01-06/2001-02-07", ["item-1", "item-0"]),
        ("2001-02/..", ["item-0", "item-2"]),
        ("../2001-01", ["item-1"]),
        ("2001-01-06T03:11:39Z", ["item-1"]),
        ("2001-01-06T03:11:40Z/2001-12", ["item-0"]),
    ],
)
def test_intervals(catalogue: Path, datetime: str, expected: list[str]) -> None:
    assert ids(search(catalogue, datetime=datetime)) == expected


@pytest.mark.parametrize("datetime", ["yesterday", "2001/2002/2003"])
def test_intervals_that_are_none(catalogue: Path, datetime: str) -> None:
    with pytest.raises(errors.InputError, match="expected"):
        search(catalogue, datetime=datetime)


def test_modifier_is_applied_to_what_is_found(catalogue: Path) -> None:
    def in_place(item: pystac.Item) -> None:
        item.properties["seen"] = True

    def copying(item: pystac.Item) -> pystac.Item:
        copy = item.clone()
        copy.properties["seen"] = True
        return copy

    for modifier in (in_place, copying):
        assert all(item.properties["seen"] for item in search(catalogue, modifier=modifier))


def test_found_items_open(tmp_path: Path) -> None:
    catalog = pystac.Catalog("c", "test")
    catalog.add_item(pystac.Item.from_dict(write_granule(tmp_path)))
    catalog.normalize_and_save(str(tmp_path / "c"), pystac.CatalogType.SELF_CONTAINED)
    assert open_stac(search(tmp_path / "c"))["item_id"].item() == ITEM_ID


def test_places_that_cannot_be_searched(tmp_path: Path) -> None:
    with pytest.raises(errors.StacError, match="no source or catalogue 'mars'"):
        search("mars")
    with pytest.raises(errors.StacError, match="'aws' cannot be searched: There is no search"):
        search("aws")
    with pytest.raises(errors.StacError, match=r"found no file .*none.json; expected a catalogue"):
        search(tmp_path / "none.json")


class Api(BaseHTTPRequestHandler):
    """As much of a STAC API as a search needs."""

    asked: ClassVar[list[dict[str, Any]]] = []
    broken: ClassVar[bool] = False

    def log_message(self, *_: Any) -> None:
        pass

    def do_GET(self) -> None:
        root = f"http://127.0.0.1:{self.server.server_address[1]}/"
        self.answer(
            {
                "type": "Catalog",
                "id": "api",
                "stac_version": "1.0.0",
                "description": "test",
                "conformsTo": [
                    "https://api.stacspec.org/v1.0.0/core",
                    "https://api.stacspec.org/v1.0.0/item-search",
                ],
                "links": [
                    {"rel": "self", "href": root},
                    {"rel": "root", "href": root},
                    {
                        "rel": "search",
                        "href": f"{root}search",
                        "type": "application/geo+json",
                        "method": "POST",
                    },
                ],
            }
        )

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.asked.append(body)
        if self.broken:
            self.send_error(400)
            return
        items = [make_item({}, item_id="later", time="2001-02-07T00:00:00Z"), make_item({})]
        self.answer({"type": "FeatureCollection", "features": items, "links": []})

    def answer(self, plain: dict[str, Any]) -> None:
        content = json.dumps(plain).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setattr(Api, "asked", [])
    server = ThreadingHTTPServer(("127.0.0.1", 0), Api)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()
    thread.join()


def test_api(api: str, monkeypatch: pytest.MonkeyPatch) -> None:
    signed: list[str] = []
    found = search(
        api,
        bbox=(114, 15, 116, 16),
        datetime="2001",
        collections=("aster-l1t",),
        modifier=lambda item: signed.append(item.id),
        max_items=5,
    )
    assert ids(found) == [ITEM_ID, "later"]
    assert sorted(signed) == sorted(ids(found))
    assert Api.asked[0]["collections"] == ["aster-l1t"]
    assert Api.asked[0]["bbox"] == [114, 15, 116, 16]
    assert Api.asked[0]["datetime"].startswith("2001-01-01")
    monkeypatch.setattr(Api, "broken", True)
    with pytest.raises(errors.SearchError, match="could not search") as caught:
        search(api + "?sig=secret")
    assert "secret" not in str(caught.value)


def test_shipped_sources() -> None:
    known = sources()
    assert set(known) >= {"planetary_computer", "aws", "lpdaac", "cop-dem-glo-30", "nasadem"}
    archive = source("planetary_computer")
    assert (archive.kind, archive.layout, archive.end) == ("api", "five-band", "2006-12-31")
    assert source("lpdaac").layout == "per-band"
    assert source("nasadem").content == "elevation"
    for one in known.values():
        assert one.holds
        assert one.access
        assert one.licence
    with pytest.raises(errors.CatalogError, match="no source named 'mars'"):
        source("mars")


GOOD = """
sources:
  mine:
    title: mine
    kind: files
    content: thermal
    layout: five-band
    path: "{granule}.tif"
    holds: something
    access: anybody
    licence: CC0
"""


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("kind: files", "kind: ftp", r"at sources/mine/kind: 'ftp' is not one of"),
        ("    licence: CC0\n", "", "'licence' is a required property"),
        ("    path:", "    pfad:", "'path' is a required property"),
        ("kind: files", "kind: api", "'url' is a required property"),
        ("  mine:", "  Mine Own:", "does not match"),
        ("title: mine", "title: [", "is no YAML"),
        ("path:", 'url: "https://x.test/?sig=1"\n    path:', "does not match"),
    ],
)
def test_definitions_that_break_the_schema(
    tmp_path: Path, old: str, new: str, message: str
) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(GOOD)
    assert read_sources(path)["mine"].path == "{granule}.tif"
    path.write_text(GOOD.replace(old, new))
    with pytest.raises(errors.CatalogError, match=message):
        read_sources(path)
