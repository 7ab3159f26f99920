"""HTTP connections on which the headers of an answer have to come within the time for a silence.

A socket's own timeout is for one read. A server that sends a byte of its headers now and then
would hold the reader for days. So a timer closes the connection when that time is over.
"""

from __future__ import annotations

import contextlib
import http.client
import socket
import threading
from collections.abc import Iterator
from typing import Any, Final

from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool


class _Connection(HTTPConnection):
    def getresponse(self) -> Any:
        with _closed_after(self.sock, self.timeout):
            return super().getresponse()


class _SecureConnection(HTTPSConnection):
    def getresponse(self) -> Any:
        with _closed_after(self.sock, self.timeout):
            return super().getresponse()


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _SecurePool(HTTPSConnectionPool):
    ConnectionCls = _SecureConnection


_POOLS: Final = {"http": _Pool, "https": _SecurePool}


class PunctualAdapter(HTTPAdapter):
    """Makes connections of this kind, also by way of a proxy; for `requests.Session.mount`."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Make the pools of connections, as requests asks for them.

        Parameters
        ----------
        *args, **kwargs : Any
            Of `requests.adapters.HTTPAdapter`.
        """
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> Any:
        """Return the pools of connections to a proxy.

        Parameters
        ----------
        *args, **kwargs : Any
            Of `requests.adapters.HTTPAdapter`.

        Returns
        -------
        urllib3.ProxyManager
        """
        manager = super().proxy_manager_for(*args, **kwargs)
        manager.pool_classes_by_scheme = _POOLS
        return manager


@contextlib.contextmanager
def _closed_after(connection: Any, seconds: Any) -> Iterator[None]:
    """Close a connection when the time is over, and say so as a socket's own timeout would."""
    if not isinstance(connection, socket.socket) or not isinstance(seconds, int | float):
        # TLS through a proxy that speaks TLS itself is no socket; its reads have their timeouts.
        yield
        return
    over = threading.Event()

    def close() -> None:
        over.set()
        # By the plain socket's method: that of TLS would take its state away under the reader.
        with contextlib.suppress(OSError):
            socket.socket.shutdown(connection, socket.SHUT_RDWR)

    timer = threading.Timer(seconds, close)
    timer.daemon = True
    timer.start()
    try:
        yield
    except (OSError, http.client.HTTPException):
        if over.is_set():
            raise TimeoutError("the headers did not come in time") from None
        raise
    finally:
        timer.cancel()
    # Headers that were cut off by the closing look complete to http.client.
    if over.is_set():
        raise TimeoutError("the headers did not come in time")
