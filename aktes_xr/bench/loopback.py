"""A store's files over HTTP on loopback, as an object store serves them, and the bytes it sends.

It answers GET and HEAD with ranges, and S3's listing of a prefix: all that reading a public bucket
anonymously takes.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import md5
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

_RANGE = re.compile(r"bytes=(\d*)-(\d*)$")


@dataclass
class Traffic:
    """What a server has sent.

    Attributes
    ----------
    address : ``http://127.0.0.1:port``
    sent : (path, bytes) of every answer with content
    """

    address: str
    sent: list[tuple[str, int]] = field(default_factory=list)

    def bytes_of(self, part: str = "") -> int:
        """Return the bytes of the answers whose path contains ``part``.

        Parameters
        ----------
        part : str
            Empty for all answers.

        Returns
        -------
        int
        """
        return sum(size for path, size in self.sent if part in path)

    def clear(self) -> None:
        """Forget what was sent."""
        self.sent.clear()


@contextmanager
def serve(folder: Path) -> Iterator[Traffic]:
    """Serve a folder; the first part of an address is the bucket, a folder in it.

    Parameters
    ----------
    folder : Path

    Yields
    ------
    Traffic
    """

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing on stderr."""

        def do_HEAD(self) -> None:
            self._answer(body=False)

        def do_GET(self) -> None:
            self._answer(body=True)

        def _answer(self, *, body: bool) -> None:
            address = urlsplit(self.path)
            place = folder / unquote(address.path).lstrip("/")
            if "list-type=2" in address.query:
                prefix = parse_qs(address.query).get("prefix", [""])[0]
                self._send(200, _listing(place, prefix), body=body)
            elif place.is_file():
                self._file(place, body=body)
            else:
                self._send(404, b"<Error><Code>NoSuchKey</Code></Error>", body=body)

        def _file(self, place: Path, *, body: bool) -> None:
            content = place.read_bytes()
            asked = _RANGE.match(self.headers.get("Range", ""))
            if asked is None:
                self._send(200, content, body=body)
                return
            first, last = asked[1], asked[2]
            start = int(first) if first else max(len(content) - int(last), 0)
            stop = min(int(last) + 1, len(content)) if first and last else len(content)
            span = f"bytes {start}-{stop - 1}/{len(content)}"
            self._send(206, content[start:stop], body=body, span=span)

        def _send(self, code: int, content: bytes, *, body: bool, span: str | None = None) -> None:
            self.send_response(code)
            self.send_header("Content-Length", str(len(content)))
            self.send_header("ETag", f'"{md5(content, usedforsecurity=False).hexdigest()}"')
            self.send_header("Last-Modified", "Thu, 01 Jan 2026 00:00:00 GMT")
            self.send_header("Accept-Ranges", "bytes")
            if span is not None:
                self.send_header("Content-Range", span)
            self.end_headers()
            if body:
                self.wfile.write(content)
                traffic.sent.append((self.path, len(content)))

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    traffic = Traffic(f"http://127.0.0.1:{server.server_address[1]}")
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield traffic
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _listing(bucket: Path, prefix: str) -> bytes:
    entries = "".join(
        f"<Contents><Key>{escape(path.relative_to(bucket).as_posix())}</Key>"
        f"<Size>{path.stat().st_size}</Size><LastModified>2026-01-01T00:00:00.000Z</LastModified>"
        "</Contents>"
        for path in sorted(bucket.rglob("*"))
        if path.is_file() and path.relative_to(bucket).as_posix().startswith(prefix)
    )
    return (
        '<?xml version="1.0" encoding="UTF-8"?><ListBucketResult '
        'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><IsTruncated>false</IsTruncated>'
        f"{entries}</ListBucketResult>"
    ).encode()
