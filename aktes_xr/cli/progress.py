"""Progress of long work: a bar on a terminal, a line now and then in a log.

Local schedulers report through Dask's callbacks; a distributed cluster is asked once a second how
many tasks it still has.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from dask.callbacks import Callback
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["watch"]

_SECONDS_BETWEEN_LINES = 30.0
_SECONDS_BETWEEN_POLLS = 1.0
_PENDING = ("ready", "waiting", "running")
_PENDING_ON_A_CLUSTER = frozenset({"waiting", "queued", "processing", "no-worker"})


@contextlib.contextmanager
def watch(label: str, console: Console, *, client: Any = None) -> Iterator[None]:
    """Show how far the Dask work inside the ``with`` block has come.

    Parameters
    ----------
    label : str
        What is being done, e.g. "retrieve".
    console : rich.console.Console
        Where to show it; a bar if it is a terminal, else a line every half minute and at the end.
    client : distributed.Client, optional
        Watch this cluster instead of the local schedulers.
    """
    with _Meter(label, console) as meter:
        if client is None:
            with _LocalTasks(meter):
                yield
        else:
            with _cluster_tasks(meter, client):
                yield


class _Meter:
    """Where counts go: a rich bar or plain lines."""

    def __init__(self, label: str, console: Console) -> None:
        self._label = label
        self._console = console
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task = self._bar.add_task(label, total=None)
        self._lock = threading.Lock()
        self._last_line = 0.0

    def __enter__(self) -> _Meter:
        self._start = self._last_line = time.monotonic()
        self._bar.start()
        return self

    def __exit__(self, kind: Any, *_: Any) -> None:
        self._bar.stop()
        words = "done in" if kind is None else "stopped after"
        self._console.print(f"{self._label}: {words} {time.monotonic() - self._start:.1f} s")

    def update(self, done: int, total: int) -> None:
        with self._lock:
            self._bar.update(self._task, completed=done, total=total)
            now = time.monotonic()
            if self._console.is_terminal or now - self._last_line < _SECONDS_BETWEEN_LINES:
                return
            self._last_line = now
            self._console.print(
                f"{self._label}: {done} of {total} tasks, {now - self._start:.0f} s"
            )


class _LocalTasks(Callback):  # type: ignore[misc]
    """Counts the tasks of every graph a local scheduler runs, one after the other."""

    def __init__(self, meter: _Meter) -> None:
        super().__init__()
        self._meter = meter
        self._done = 0
        self._total = 0

    def _start_state(self, dsk: Mapping[Any, Any], state: Mapping[str, Any]) -> None:
        self._total += sum(len(state[name]) for name in _PENDING)
        self._meter.update(self._done, self._total)

    def _posttask(self, *_: Any) -> None:
        self._done += 1
        self._meter.update(self._done, self._total)


@contextlib.contextmanager
def _cluster_tasks(meter: _Meter, client: Any) -> Iterator[None]:
    """Ask the scheduler for its pending tasks; finished ones it forgets, so the peak is the sum."""
    stop = threading.Event()

    def poll() -> None:
        peak = 0
        while not stop.wait(_SECONDS_BETWEEN_POLLS):
            pending = client.run_on_scheduler(_pending_tasks)
            peak = max(peak, pending)
            meter.update(peak - pending, peak)

    thread = threading.Thread(target=poll, name="aktes-progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _pending_tasks(dask_scheduler: Any) -> int:
    return sum(task.state in _PENDING_ON_A_CLUSTER for task in dask_scheduler.tasks.values())
