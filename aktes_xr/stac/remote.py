"""A remote raster as a file that GDAL reads: bytes by range, fetched by this package's own rules.

GDAL is handed bytes only. This has three merits. Nothing that a file says can lead GDAL to another
address. Deadlines and repetitions are those of `aktes_xr.stac.request`. And the cause of a failure
is known: it need not be guessed from "TIFFReadEncodedTile() failed".

The first request brings the header. A small file, such as a granule's, then comes whole in one more
request. Of a large file only the pieces that are needed come. All are kept for a while, because the
next chunk is likely to need them.
"""

from __future__ import annotations

import io
import re
import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, Final

import rasterio.abc

from aktes_xr.errors import NetworkError, ReadError
from aktes_xr.stac.request import Rules, fetch

if TYPE_CHECKING:
    from collections.abc import Mapping

HEAD_BYTES: Final = 2**15
PIECE_BYTES: Final = 2**20
SMALL_BYTES: Final = 2**23
"""Files up to this size come whole."""
LIMIT_BYTES: Final = 2**28
"""Largest answer of a server that sends the whole file because it knows no ranges."""
KEPT_BYTES: Final = 2**25
"""Bytes that this process keeps of all files together."""

_MAGIC: Final = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


class _Kept:
    """Pieces of files that were read. When there are too many, the least recently used go first."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pieces: OrderedDict[tuple[str, int], bytes] = OrderedDict()
        self._sizes: dict[str, int] = {}
        self._bytes = 0

    def size(self, name: str) -> int | None:
        with self._lock:
            return self._sizes.get(name)

    def set_size(self, name: str, size: int) -> None:
        with self._lock:
            self._sizes[name] = size

    def get(self, name: str, start: int) -> bytes | None:
        with self._lock:
            piece = self._pieces.get((name, start))
            if piece is not None:
                self._pieces.move_to_end((name, start))
            return piece

    def put(self, name: str, start: int, piece: bytes) -> None:
        with self._lock:
            self._bytes += len(piece) - len(self._pieces.pop((name, start), b""))
            self._pieces[(name, start)] = piece
            while self._bytes > KEPT_BYTES and len(self._pieces) > 1:
                _, old = self._pieces.popitem(last=False)
                self._bytes -= len(old)

    def forget(self, name: str) -> None:
        with self._lock:
            self._sizes.pop(name, None)
            for key in [key for key in self._pieces if key[0] == name]:
                self._bytes -= len(self._pieces.pop(key))


_kept: Final = _Kept()


class RemoteRaster(rasterio.abc.FileContainer):  # type: ignore[misc]
    """What rasterio takes as ``opener=``: one file, however often it is opened.

    Parameters
    ----------
    url : the link to ask, signed if need be
    rules : Rules
    """

    def __init__(self, url: str, rules: Rules) -> None:
        # Pieces are kept under the headers too: what one login may read, another may not.
        self._name = repr((url, sorted(rules.headers.items())))
        self._url = url
        self._rules = rules
        self.failure: NetworkError | None = None
        self.bytes = 0
        self._head()

    def forget(self) -> None:
        """Give up what is kept of the file, so that it is fetched anew."""
        _kept.forget(self._name)

    def read_at(self, start: int, length: int) -> bytes:
        """Return bytes of the file.

        At the end of the file, or after a failure, they are fewer than asked for.

        An exception cannot pass through GDAL. So it is kept in ``failure``, and the caller raises
        it.

        Parameters
        ----------
        start : int, byte
            Offset of the first byte.
        length : int, byte
            How many bytes to read.

        Returns
        -------
        bytes
        """
        if self.failure is not None:
            return b""
        end = min(start + length, self.bytes)
        found = bytearray()
        try:
            # The length comes from the file itself. A damaged one may ask for terabytes.
            if length > LIMIT_BYTES:
                raise NetworkError(f"a part of the file claims {length} bytes")
            while start + len(found) < end:
                found += self._from(start + len(found), end)
        except NetworkError as error:
            self.failure = error
            return b""
        return bytes(found[: end - start])

    def _from(self, position: int, end: int) -> bytes:
        """Return some bytes from a position on, from what is kept or by asking for them."""
        if position < HEAD_BYTES:
            return self._head()[position:]
        # Pieces start at multiples of PIECE_BYTES, so that two chunks share them. Only the first
        # piece starts behind the header, which is kept apart.
        whole = self.bytes <= SMALL_BYTES
        begin = HEAD_BYTES if whole else max(position // PIECE_BYTES * PIECE_BYTES, HEAD_BYTES)
        piece = _kept.get(self._name, begin)
        if piece is None or len(piece) <= position - begin:
            last = self.bytes if whole else -(-end // PIECE_BYTES) * PIECE_BYTES
            piece = self._fetch_pieces(begin, min(last, self.bytes), whole=whole)
        return piece[position - begin :]

    def _head(self) -> bytes:
        """Return the first bytes, and learn the length."""
        known = _kept.get(self._name, 0), _kept.size(self._name)
        if known[0] is not None and known[1] is not None:
            self.bytes = known[1]
            return known[0]
        reply = fetch(
            self._url,
            self._rules,
            limit_bytes=LIMIT_BYTES,
            headers={"Range": f"bytes=0-{HEAD_BYTES - 1}", "Accept-Encoding": "identity"},
        )
        head = reply.body[:HEAD_BYTES]
        # A login page, for one, comes with status 200. It must not reach GDAL.
        if not head.startswith(_MAGIC):
            raise ReadError(f"it is no TIFF (it starts with {head[:12]!r}); expected a GeoTIFF")
        if reply.status == 206:
            self.bytes = _stated_size(reply.headers)
        else:
            # The server knows no ranges and has sent the whole file: keep it, do not ask again.
            self.bytes = len(reply.body)
            self._keep(HEAD_BYTES, reply.body[HEAD_BYTES:], whole=self.bytes <= SMALL_BYTES)
        _kept.put(self._name, 0, head)
        _kept.set_size(self._name, self.bytes)
        return head

    def _fetch_pieces(self, begin: int, end: int, *, whole: bool) -> bytes:
        reply = fetch(
            self._url,
            self._rules,
            limit_bytes=max(LIMIT_BYTES, end - begin),
            headers={"Range": f"bytes={begin}-{end - 1}", "Accept-Encoding": "identity"},
        )
        # A server may ignore the range and send the whole file with status 200.
        body = reply.body if reply.status == 206 else reply.body[begin:end]
        stated = reply.headers.get("Content-Range", "").strip()
        wanted = f"bytes {begin}-{end - 1}/"
        if reply.status == 206 and stated not in ("", f"{wanted}{self.bytes}", f"{wanted}*"):
            # Other bytes may well decode, to other pixels; another length is another file.
            raise NetworkError(f"asked for {wanted}{self.bytes}, the answer holds {stated[:60]}")
        # A shorter answer was cut off. GDAL must not decode part of a block.
        if len(body) != end - begin:
            raise NetworkError(f"the answer has {len(body)} bytes, expected {end - begin}")
        self._keep(begin, body, whole=whole)
        return body

    def _keep(self, begin: int, body: bytes, *, whole: bool) -> None:
        if whole:
            _kept.put(self._name, begin, body)
            return
        # A request may bring several pieces. Each is kept by itself, so that each can go by itself.
        position = 0
        while position < len(body):
            start = begin + position
            stop = (start // PIECE_BYTES + 1) * PIECE_BYTES - begin
            _kept.put(self._name, start, body[position:stop])
            position = stop

    def open(self, path: str, mode: str = "r", **unused: object) -> _Cursor:
        """Open the file; GDAL asks for it and for nothing else.

        Parameters
        ----------
        path : str
            Ignored: there is one file only.
        mode : str
            Ignored: the file is only read.
        **unused : object
            Ignored; GDAL's binding may pass more.

        Returns
        -------
        file-like
        """
        return _Cursor(self)

    def isfile(self, path: str) -> bool:
        """Return True: there is one file only.

        Parameters
        ----------
        path : str
            Ignored.

        Returns
        -------
        bool
        """
        return True

    def isdir(self, path: str) -> bool:
        """Return False: there are no directories.

        Parameters
        ----------
        path : str
            Ignored.

        Returns
        -------
        bool
        """
        return False

    def ls(self, path: str) -> list[str]:
        """Return nothing: there are no files beside it.

        Parameters
        ----------
        path : str
            Ignored.

        Returns
        -------
        list of str
        """
        return []

    def mtime(self, path: str) -> int:
        """Return 0: the time of change is not known.

        Parameters
        ----------
        path : str
            Ignored.

        Returns
        -------
        int
        """
        return 0

    def rm(self, path: str) -> None:
        """Refuse to remove anything.

        Parameters
        ----------
        path : str
            Ignored.

        Raises
        ------
        OSError
            Always.
        """
        raise OSError("a remote raster is only read")

    def size(self, path: str) -> int:
        """Return the file's length in bytes.

        Parameters
        ----------
        path : str
            Ignored.

        Returns
        -------
        int
        """
        return self.bytes


class _Cursor(io.RawIOBase):
    """A position in a remote raster."""

    def __init__(self, raster: RemoteRaster) -> None:
        super().__init__()
        self._raster = raster
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = 0) -> int:
        self._position = offset + (0, self._position, self._raster.bytes)[whence]
        return self._position

    def read(self, size: int = -1) -> bytes:
        length = self._raster.bytes - self._position if size < 0 else size
        found = self._raster.read_at(self._position, max(length, 0))
        self._position += len(found)
        return found


def _stated_size(headers: Mapping[str, str]) -> int:
    found = re.fullmatch(r"bytes 0-\d+/(\d+)", headers.get("Content-Range", "").strip())
    if found is None:
        raise NetworkError("the answer does not say how long the file is (Content-Range)")
    return int(found.group(1))
