"""An HTTP server on loopback that breaks on demand: one fault per path, counted and timed."""

from __future__ import annotations

import gzip
import json
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

_BOMB: Final = gzip.compress(bytes(2**20)) * 1024
"""A gigabyte of zeros in one megabyte; parts of a gzip file may follow each other."""


class FaultServer:
    """Serves a folder; ``faults`` says what goes wrong, by the end of a path.

    A fault is a list of what to do with the first, second, ... request for the path; the last one
    stays. Each is a status (int), a (status, headers) pair, or one of ``ok``, ``reset``,
    ``silent``, ``cut``, ``flipped``, ``drip`` (10 kB/s), ``trickle`` (2 B/s), ``headers`` (a byte
    now and then), ``other`` (another range than asked for), ``page`` (HTML), ``bomb`` (a gigabyte
    of zeros, compressed), ``no ranges``.

    Attributes
    ----------
    folder : what is served
    documents : answers by path, before files
    asked : requests of each fault
    times, headers : of each request: path and time; its headers
    silent_s : s, how long it is silent before it closes the connection
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.faults: dict[str, list[Any]] = {}
        self.asked: Counter[str] = Counter()
        self.times: list[tuple[str, float]] = []
        self.headers: list[dict[str, str]] = []
        self.url = ""
        self.silent_s = 2.5
        self.documents: dict[str, bytes] = {}

    def fault(self, path: str) -> Any:
        """Return what is to go wrong with a request, and count it.

        Parameters
        ----------
        path : str
            Of the request.

        Returns
        -------
        int, tuple or str
        """
        for end, faults in self.faults.items():
            if path.endswith(end):
                number = self.asked[end]
                self.asked[end] += 1
                return faults[min(number, len(faults) - 1)]
        return "ok"

    def serve_api(self, pages: Sequence[bytes]) -> None:
        """Become a STAC API whose search has these pages.

        Parameters
        ----------
        pages : sequence of bytes
            As `page` makes them.
        """
        base = "https://api.stacspec.org/v1.0.0"
        links = [{"rel": rel, "href": f"{self.url}/"} for rel in ("self", "root")]
        search = {"rel": "search", "href": f"{self.url}/search", "method": "POST"}
        root = {
            "type": "Catalog",
            "id": "api",
            "stac_version": "1.0.0",
            "description": "faults",
            "conformsTo": [f"{base}/core", f"{base}/item-search", f"{base}/item-search#query"],
            "links": [*links, {**search, "type": "application/geo+json"}],
        }
        self.documents["/"] = json.dumps(root).encode()
        for number, answer in enumerate(pages):
            self.documents[f"/search{number or ''}"] = answer


def page(*features: Any, following: str | None = None) -> bytes:
    """Return one page of what a search found.

    Parameters
    ----------
    *features : Any
        Items.
    following : str, optional
        Link of the next page.

    Returns
    -------
    bytes
        JSON.
    """
    links = [] if following is None else [{"rel": "next", "href": following, "method": "GET"}]
    found = {"type": "FeatureCollection", "features": list(features), "links": links}
    return json.dumps(found).encode()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def __init__(self, *args: Any, host: FaultServer, **kwargs: Any) -> None:
        self.host = host
        super().__init__(*args, **kwargs)

    def log_message(self, *_: Any) -> None:
        pass

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.do_GET()

    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        self.host.times.append((self.path, time.monotonic()))
        self.host.headers.append(dict(self.headers))
        fault = self.host.fault(path)
        if fault == "silent":
            time.sleep(self.host.silent_s)
            self.close_connection = True
        elif fault == "reset":
            self._reset()
        elif fault == "headers":
            self._drip_headers()
        elif isinstance(fault, tuple):
            self._send(fault[0], b"", fault[1])
        elif isinstance(fault, int):
            self._send(fault, b"")
        elif fault == "page":
            self._send(200, b"<html><body>please log in</body></html>")
        elif fault == "bomb":
            self._send(200, _BOMB, {"Content-Encoding": "gzip"})
        elif path in self.host.documents:
            self._send(200, self.host.documents[path])
        else:
            self._send_file(path, str(fault))

    def _send_file(self, path: str, fault: str) -> None:
        file = self.host.folder / path.lstrip("/")
        if not file.is_file():
            self._send(404, b"")
            return
        content, wanted = file.read_bytes(), self.headers.get("Range")
        if wanted is None or fault == "no ranges":
            self._send(200, content)
            return
        first, _, last = wanted.removeprefix("bytes=").partition("-")
        begin, end = int(first), min(int(last or len(content) - 1), len(content) - 1)
        if fault == "other" and begin:
            begin, end = begin - 512, end - 512
        part = content[begin : end + 1]
        if fault == "flipped" and begin:
            part = bytes(255 - byte for byte in part)
        more = {"Content-Range": f"bytes {begin}-{end}/{len(content)}"}
        self._send(206, part, more, how=fault)

    def _send(
        self, status: int, body: bytes, more: dict[str, str] | None = None, *, how: str = "ok"
    ) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        for name, value in (more or {}).items():
            self.send_header(name, value)
        self.end_headers()
        slow = {"drip": (1000, 0.1), "trickle": (1, 0.5)}
        while how in slow and body:
            size, wait_s = slow[how]
            self.wfile.write(body[:size])
            body = body[size:]
            time.sleep(wait_s)
        self.wfile.write(body[: len(body) // 2] if how == "cut" else body)
        if how == "cut":
            self.close_connection = True

    def _drip_headers(self) -> None:
        self.close_connection = True
        self.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
        # It would go on for days: only who asks can end it.
        for _ in range(3000):
            self.wfile.write(b"x")
            time.sleep(0.1)

    def _reset(self) -> None:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.shutdown(socket.SHUT_RD)
        self.rfile.close()
        self.wfile.close()
        self.connection.close()
        self.close_connection = True


@contextmanager
def serve(folder: Path, *, address: str = "127.0.0.1") -> Iterator[FaultServer]:
    """Serve a folder on loopback.

    Parameters
    ----------
    folder : Path
    address : str
        Of loopback; each is a host of its own.

    Yields
    ------
    FaultServer
    """
    host = FaultServer(folder)
    server = ThreadingHTTPServer((address, 0), partial(_Handler, host=host))
    server.daemon_threads = True
    server.handle_error = lambda *_: None  # type: ignore[method-assign]
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    host.url = f"http://{address}:{server.server_port}"
    try:
        yield host
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
