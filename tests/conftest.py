"""What every test may rely on: figures need no display, and nothing outlives a test."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from distributed import Client

os.environ.setdefault("MPLBACKEND", "Agg")


@pytest.fixture
def client(request: pytest.FixtureRequest) -> Iterator[Client]:
    """A cluster in this process, on loopback: one worker of two threads; not Dask's default.

    Its parameter is the worker's memory. Workers pause near it, and the process may hold more than
    the cluster: where anything is computed, leave it out.
    """
    from distributed import Client, LocalCluster

    with (
        LocalCluster(
            n_workers=1,
            threads_per_worker=2,
            processes=False,
            host="127.0.0.1",
            protocol="tcp",
            dashboard_address="127.0.0.1:0",
            memory_limit=getattr(request, "param", "auto"),
        ) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        yield client
