"""The server of the benchmark of faults, for tests: nothing is remembered of it afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from aktes_xr.bench.faults_server import FaultServer, serve
from aktes_xr.stac.network import NetworkSettings, forget_hosts

__all__ = ["HASTY", "FaultServer", "faulty"]

# Tests wait tenths of a second where users wait a minute.
HASTY = NetworkSettings(
    connect_s=0.5, silence_s=0.4, deadline_s=0.8, attempts=4, backoff_s=0.02, remember_s=60.0
)


@contextmanager
def faulty(folder: Path) -> Iterator[FaultServer]:
    """Serve a folder on loopback, and forget afterwards what became of the host."""
    with serve(folder) as host:
        forget_hosts()
        try:
            yield host
        finally:
            forget_hosts()
