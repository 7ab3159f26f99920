"""Small granules for the tests: five bands, a fill border, an item, in each archive's layout."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np
import rasterio
from affine import Affine

BANDS = ("B10", "B11", "B12", "B13", "B14")
GAIN = (6.882e-3, 6.780e-3, 6.590e-3, 5.693e-3, 5.225e-3)
# As in the archive: not 90 m, and not square.
PIXEL = (89.90343349026969, 89.89077669903477)
ORIGIN = (267_209.9999865112, 1_747_979.999999643)
ITEM_ID = "AST_L1T_00301062001031139_20150414031232"


def numbers(shape: tuple[int, int] = (70, 90), *, seed: int = 0) -> np.ndarray:
    """Digital numbers (5, y, x): all different, a fill border, odd fill, zero-radiance and
    saturated pixels."""
    rng = np.random.default_rng(seed)
    dn = rng.integers(2, 4095, (5, *shape), dtype=np.uint16)
    dn[:, :4] = 0
    dn[:, :, -7:] = 0
    dn[2, 10, 10] = 0  # one band only: a warp must not turn it into 1
    dn[:, 11, 11] = 1
    dn[:, 12, 12] = 4095
    return dn


def transform(origin: tuple[float, float] = ORIGIN, pixel: tuple[float, float] = PIXEL) -> Affine:
    return Affine(pixel[0], 0.0, origin[0], 0.0, -pixel[1], origin[1])


def write_cog(
    path: Path,
    dn: np.ndarray,
    *,
    affine: Affine | None = None,
    epsg: int = 32650,
    tags: dict[str, str] | None = None,
) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    count, height, width = dn.shape
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        count=count,
        height=height,
        width=width,
        dtype=dn.dtype,
        crs=f"EPSG:{epsg}",
        transform=transform() if affine is None else affine,
        interleave="pixel",
        tiled=True,
        blockxsize=64,
        blockysize=64,
        compress="deflate",
    ) as file:
        file.write(dn)
        if tags:
            file.update_tags(**tags)
    return path


def make_item(
    assets: dict[str, Any],
    *,
    item_id: str = ITEM_ID,
    time: str = "2001-01-06T03:11:39.833000Z",
    epsg: int = 32650,
    **properties: Any,
) -> dict[str, Any]:
    return {
        "type": "Feature",
        "stac_version": "1.0.0",
        "stac_extensions": [
            "https://stac-extensions.github.io/eo/v1.0.0/schema.json",
            "https://stac-extensions.github.io/view/v1.0.0/schema.json",
            "https://stac-extensions.github.io/projection/v1.0.0/schema.json",
        ],
        "id": item_id,
        "geometry": {
            "type": "Polygon",
            "coordinates": [
                [[114.8, 15.1], [114.8, 15.9], [115.7, 15.9], [115.7, 15.1], [114.8, 15.1]]
            ],
        },
        "bbox": [114.8, 15.1, 115.7, 15.9],
        "links": [],
        "collection": "aster-l1t",
        "properties": {
            "datetime": time,
            "created": "2015-04-14T03:15:01.341000Z",
            "proj:epsg": epsg,
            "view:off_nadir": 2.863,
            "view:sun_azimuth": 154.289792,
            "view:sun_elevation": 47.852381,
            "sat:orbit_state": "descending",
            "aster:processing_number": "83940",
            **properties,
        },
        "assets": assets,
    }


def asset(
    href: str,
    shape: tuple[int, ...],
    *,
    affine: Affine | None = None,
    bands: tuple[str, ...] = BANDS,
) -> dict[str, Any]:
    affine = transform() if affine is None else affine
    height, width = shape[-2:]
    return {
        "href": href,
        "type": "image/tiff; application=geotiff; profile=cloud-optimized",
        "roles": ["data"],
        "eo:bands": [{"name": f"TIR_Band{band[1:]}"} for band in bands],
        "raster:bands": [{"nodata": 0, "data_type": "uint16"} for _ in bands],
        "proj:shape": [height, width],
        "proj:transform": [*affine[:6], 0.0, 0.0, 1.0],
        "proj:bbox": [
            affine.c,
            affine.f + height * affine.e,
            affine.c + width * affine.a,
            affine.f,
        ],
    }


def write_granule(
    folder: Path,
    layout: str = "planetary_computer",
    *,
    dn: np.ndarray | None = None,
    affine: Affine | None = None,
    gain: tuple[float, ...] = GAIN,
    **item: Any,
) -> dict[str, Any]:
    """Write one granule's files and return its item."""
    dn = numbers() if dn is None else dn
    name = item.get("item_id", ITEM_ID)
    epsg = item.get("epsg", 32650)
    if layout == "planetary_computer":
        path = write_cog(folder / f"{name}_83940.TIR.tif", dn, affine=affine, epsg=epsg)
        browse = {
            "href": "https://host.test/preview.jpg",
            "type": "image/jpeg",
            "roles": ["thumbnail"],
        }
        assets = {"TIR": asset(str(path), dn.shape, affine=affine), "tir-browse": browse}
    elif layout == "aws":
        place = folder / "TIR" / str(epsg) / "129" / "49" / "2001-01-06"
        tags = {
            "SATURATION_DN": "4095",
            "RADIANCE_GAIN": " ".join(f"{value:.6f}" for value in gain),
            "RADIANCE_BIAS": " ".join(f"{-value:.6f}" for value in gain),
        }
        path = write_cog(place / f"{name}_TIR.tif", dn, affine=affine, epsg=epsg, tags=tags)
        assets = {"TIR": asset(str(path), dn.shape, affine=affine)}
    elif layout == "lpdaac":
        assets = {}
        for number, band in enumerate(BANDS):
            path = write_cog(
                folder / f"{name}_TIR_{band}.tif", dn[number : number + 1], affine=affine, epsg=epsg
            )
            assets[f"TIR_{band}"] = asset(str(path), dn.shape, affine=affine, bands=(band,))
        assets["QA"] = {"href": str(folder / "qa.tif"), "type": "image/tiff", "roles": ["data"]}
    else:
        raise ValueError(layout)
    return make_item(assets, **item)


def write_item(path: Path, item: dict[str, Any]) -> Path:
    path.write_text(json.dumps(item), encoding="utf-8")
    return path


class _Handler(BaseHTTPRequestHandler):
    """Files with byte ranges; refuses what is not signed with the token of the moment."""

    protocol_version = "HTTP/1.1"

    def __init__(self, *args: Any, host: FileHost, **kwargs: Any) -> None:
        self.host = host
        super().__init__(*args, **kwargs)

    def log_message(self, *_: Any) -> None:
        pass

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, *, body: bool) -> None:
        url = urlsplit(self.path)
        self.host.requests.append(self.path)
        token = parse_qs(url.query).get("sig", [""])[0]
        token = token or self.headers.get("Authorization", "").removeprefix("Bearer ")
        path = self.host.folder / url.path.lstrip("/")
        if self.host.broken:
            self._send(503, b"", body=body)
        elif self.host.token is not None and token != self.host.token:
            self._send(403, b"", body=body)
        elif not path.is_file():
            self._send(404, b"", body=body)
        else:
            content = path.read_bytes()
            wanted = self.headers.get("Range")
            if wanted is None:
                self._send(200, content, body=body)
                return
            first, _, last = wanted.removeprefix("bytes=").partition("-")
            begin, end = int(first), min(int(last or len(content) - 1), len(content) - 1)
            self._send(
                206,
                content[begin : end + 1],
                body=body,
                extra={"Content-Range": f"bytes {begin}-{end}/{len(content)}"},
            )

    def _send(
        self, status: int, content: bytes, *, body: bool, extra: dict[str, str] | None = None
    ) -> None:
        self.send_response(status)
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(len(content)))
        for name, value in (extra or {}).items():
            self.send_header(name, value)
        self.end_headers()
        if body:
            self.wfile.write(content)


class FileHost:
    """A folder served on loopback."""

    def __init__(self, folder: Path, token: str | None) -> None:
        self.folder = folder
        self.token = token
        self.requests: list[str] = []
        self.url = ""
        self.broken = False


@contextmanager
def serve(folder: Path, *, token: str | None = None) -> Iterator[FileHost]:
    host = FileHost(folder, token)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, host=host))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    host.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield host
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
