"""An HTTP server on loopback that breaks on demand: one fault per path, counted and timed."""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from aktes_xr.stac.network import NetworkSettings, forget_hosts

# Tests wait tenths of a second where users wait a minute.
HASTY = NetworkSettings(
    connect_s=0.5, silence_s=0.4, deadline_s=0.8, attempts=4, backoff_s=0.02, remember_s=60.0
)


class FaultServer:
    """Serves a folder; ``faults`` says what goes wrong, by the end of a path.

    A fault is a list of what to do with the first, second, ... request for the path; the last one
    stays. Each is a status (int), a (status, headers) pair, or one of ``ok``, ``reset``,
    ``silent``, ``cut``, ``drip``, ``page`` (HTML), ``no ranges``.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.faults: dict[str, list[Any]] = {}
        self.asked: Counter[str] = Counter()
        self.times: list[tuple[str, float]] = []
        self.headers: list[dict[str, str]] = []
        self.url = ""
        self.documents: dict[str, Any] = {}

    def fault(self, path: str) -> Any:
        for end, faults in self.faults.items():
            if path.endswith(end):
                number = self.asked[end]
                self.asked[end] += 1
                return faults[min(number, len(faults) - 1)]
        return "ok"


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
            time.sleep(2.5)
            self.close_connection = True
        elif fault == "reset":
            self._reset()
        elif isinstance(fault, tuple):
            self._send(fault[0], b"", fault[1])
        elif isinstance(fault, int):
            self._send(fault, b"")
        elif fault == "page":
            self._send(200, b"<html><body>please log in</body></html>")
        elif path in self.host.documents:
            self._send(200, self.host.documents[path])
        else:
            self._send_file(path, fault)

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
        part = content[begin : end + 1]
        more = {"Content-Range": f"bytes {begin}-{end}/{len(content)}"}
        self._send(206, part, more, cut=fault == "cut", drip=fault == "drip")

    def _send(
        self,
        status: int,
        body: bytes,
        more: dict[str, str] | None = None,
        *,
        cut: bool = False,
        drip: bool = False,
    ) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        for name, value in (more or {}).items():
            self.send_header(name, value)
        self.end_headers()
        while drip and body:
            self.wfile.write(body[:1000])
            body = body[1000:]
            time.sleep(0.1)
        self.wfile.write(body[: len(body) // 2] if cut else body)
        if cut:
            self.close_connection = True

    def _reset(self) -> None:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.shutdown(socket.SHUT_RD)
        self.rfile.close()
        self.wfile.close()
        self.connection.close()
        self.close_connection = True


@contextmanager
def faulty(folder: Path) -> Iterator[FaultServer]:
    """Serve a folder on loopback, and forget afterwards what became of the host."""
    host = FaultServer(folder)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, host=host))
    server.daemon_threads = True
    server.handle_error = lambda *_: None  # type: ignore[method-assign]
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    host.url = f"http://127.0.0.1:{server.server_port}"
    forget_hosts()
    try:
        yield host
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
        forget_hosts()
