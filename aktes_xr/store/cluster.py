"""Waiting for a cluster that may be lost, or whose workers may not work."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from concurrent.futures import CancelledError
from typing import TYPE_CHECKING, Any, Final

import dask
import numpy as np
from dask.utils import parse_timedelta

from aktes_xr.errors import ClusterError

if TYPE_CHECKING:
    import dask.array as da
    from numpy.typing import NDArray

PATIENCE: Final = "10 minutes"
"""How long a cluster may be without a working worker, unless Dask's configuration says otherwise
(``aktes.worker-timeout``, or ``DASK_AKTES__WORKER_TIMEOUT`` in the environment)."""
_SECONDS_BETWEEN_LOOKS: Final = 2.0
_SECONDS_BETWEEN_RESULTS: Final = 0.05
_RUNNING: Final = "running"


def gather(
    client: Any, arrays: Sequence[da.Array], *, patience_s: float | None = None
) -> list[NDArray[np.int64]]:
    """Compute small arrays on a cluster.

    The cluster forgets each chunk as soon as it has arrived here.

    Parameters
    ----------
    client : distributed.Client
    arrays : sequence of dask array
        Small, with one column of chunks along the first axis.
    patience_s : float, optional
        Seconds without any working worker after which to give up; None takes `patience`.

    Returns
    -------
    list of ndarray

    Raises
    ------
    ClusterError
        The scheduler is gone, or for so long no worker was there, or all were paused.
    """
    from distributed import futures_of

    # Dask refuses to be given nothing.
    if not arrays:
        return []
    found = _fetch(client, futures_of(_reached(client, client.persist, list(arrays))), patience_s)
    return [
        np.concatenate([found[str(key)] for key in _first_column(array.__dask_keys__())])
        for array in arrays
    ]


def compute(client: Any, arrays: Sequence[da.Array]) -> list[NDArray[Any]]:
    """Compute arrays of any shape on a cluster.

    Like `gather`, it gives up where the cluster does not answer in time.

    Parameters
    ----------
    client : distributed.Client
        A connected client.
    arrays : sequence of dask arrays
        What to compute.

    Returns
    -------
    list of ndarray
        In the order of ``arrays``.
    """
    if not arrays:
        return []
    futures = _reached(client, client.compute, list(arrays))
    keys = [str(future.key) for future in futures]
    found = _fetch(client, futures, None)
    return [found[key] for key in keys]


def _fetch(client: Any, futures: Sequence[Any], patience_s: float | None) -> dict[str, Any]:
    """Return what futures come to, by their keys, and release each as it comes."""
    from distributed import as_completed

    waiting = {str(future.key): future for future in futures}
    found: dict[str, Any] = {}
    idle = _Idle(patience() if patience_s is None else patience_s)
    finished = as_completed(list(waiting.values()), loop=client.loop)
    try:
        while waiting:
            batch = finished.next_batch(block=False)
            if not batch:
                idle.look(client)
                time.sleep(_SECONDS_BETWEEN_RESULTS)
                continue
            for future in batch:
                _raise_unless_finished(future, client)
            results = _reached(client, client.gather, batch)
            for future, result in zip(batch, results, strict=True):
                found[str(future.key)] = result
                waiting.pop(str(future.key)).release()
    finally:
        if waiting and client.status == _RUNNING:
            with contextlib.suppress(OSError, TimeoutError):
                client.cancel(list(waiting.values()))
    return found


def patience() -> float:
    """Return how many seconds a cluster may be without a working worker."""
    return float(parse_timedelta(dask.config.get("aktes.worker-timeout", PATIENCE), "s"))


def worker_states(dask_scheduler: Any) -> list[str]:
    """Return the state of each worker; runs on the scheduler.

    Parameters
    ----------
    dask_scheduler : distributed.Scheduler
        Filled in by ``Client.run_on_scheduler``.

    Returns
    -------
    list of str
        Such as ``running`` or ``paused``.
    """
    return [str(worker.status.name) for worker in dask_scheduler.workers.values()]


def idle_reason(states: Sequence[str]) -> str | None:
    """Say why no worker of a cluster works; None where one can.

    Parameters
    ----------
    states : sequence of str
        What `worker_states` returns.
    """
    if not states:
        return "none connected"
    if _RUNNING in states:
        return None
    return f"{len(states)} connected, all paused: they are short of memory"


class _Idle:
    """Looks at a cluster now and then, and gives up when nobody has worked for too long."""

    def __init__(self, patience_s: float) -> None:
        self._patience_s = patience_s
        self._next = self._since = time.monotonic()

    def look(self, client: Any) -> None:
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + min(_SECONDS_BETWEEN_LOOKS, self._patience_s)
        if client.status != _RUNNING:
            raise _lost(client)
        reason = idle_reason(_reached(client, client.run_on_scheduler, worker_states))
        if reason is None:
            self._since = now
        elif now - self._since >= self._patience_s:
            raise ClusterError(
                f"no worker has worked for {now - self._since:.0f} s ({reason}); start workers, or "
                "wait longer with DASK_AKTES__WORKER_TIMEOUT"
            )


def _raise_unless_finished(future: Any, client: Any) -> None:
    if future.status == "error":
        future.result()
    if future.status != "finished":
        raise _lost(client)


def _reached(client: Any, call: Any, *arguments: Any) -> Any:
    """Call the cluster, and say so where it is not there."""
    try:
        return call(*arguments)
    except (OSError, TimeoutError, CancelledError) as error:
        raise _lost(client) from error


def _lost(client: Any) -> ClusterError:
    address = getattr(client.scheduler, "address", None) or "its address"
    return ClusterError(
        f"the Dask scheduler at {address} has gone away; what was written so far is removed: start "
        "the scheduler and run again"
    )


def _first_column(keys: Any) -> list[Any]:
    """Return the keys of chunks along the first axis, of which the others have one chunk."""
    return [key[0] if isinstance(key, list) else key for key in keys]
