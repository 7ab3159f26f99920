"""What Dask computes on now: a cluster's workers, or the threads of this machine."""

from __future__ import annotations

import sys
from typing import Any, Final

import dask.base
import dask.system

PROCESS_BYTES: Final = 450_000_000
"""Allowed for a worker's process itself: interpreter, libraries, a bundle.

Where kernels are still to be compiled, the compiler may take it some ten per cent beyond.
"""


def current_client() -> Any:
    """Return the `distributed.Client` that Dask's current scheduler belongs to, or None."""
    distributed = sys.modules.get("distributed")
    owner = getattr(dask.base.get_scheduler(), "__self__", None)
    return owner if distributed is not None and isinstance(owner, distributed.Client) else None


def workers_and_memory() -> tuple[int, int]:
    """Return how many threads compute, and the memory of each, bytes.

    On a cluster these are the threads of its workers, and the memory of the smallest worker. A
    cluster that has no workers yet, or whose workers have no limit, counts as this machine does.
    This machine counts within the limits of its container.
    """
    # It knows a container's limit; this imports psutil, and no cluster starts.
    from distributed.system import MEMORY_LIMIT

    threads, memory = dask.system.CPU_COUNT, MEMORY_LIMIT // dask.system.CPU_COUNT
    client = current_client()
    if client is not None and not client.asynchronous:
        workers = client.scheduler_info()["workers"].values()
        threads = sum(worker["nthreads"] for worker in workers) or threads
        limits = [worker["memory_limit"] // worker["nthreads"] for worker in workers]
        memory = min((limit for limit in limits if limit), default=memory)
    return int(threads), int(memory)
