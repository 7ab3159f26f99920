"""Threads that have all stopped when a store is left."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import dask
import dask.base
import dask.system
import dask.threaded


@contextlib.contextmanager
def own_threads() -> Iterator[None]:
    """Run Dask's threaded scheduler on threads that have all stopped when this ends.

    When a task fails, the scheduler raises while other tasks are still at work: on its shared
    threads they would go on writing into a store that is being removed.
    """
    scheduler = dask.base.get_scheduler()
    if scheduler not in (None, dask.threaded.get) or dask.config.get("pool", None) is not None:
        yield
        return
    workers = dask.config.get("num_workers", None) or dask.system.CPU_COUNT
    with ThreadPoolExecutor(workers) as pool, dask.config.set(pool=pool):
        yield
