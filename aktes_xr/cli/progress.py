"""Progress of long work: a bar on a terminal or in a notebook, a line now and then in a log.

Local schedulers report through Dask's callbacks; a distributed cluster is asked once a second how
many tasks it still has, and whether anybody works on them. Where kernels are compiled in this
process, that is said too: nothing else happens for half a minute.
"""

from __future__ import annotations

import contextlib
import re
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import CancelledError
from typing import Any, Final

from dask.callbacks import Callback
from numba.core import event
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from aktes_xr.store.cluster import idle_reason, worker_states

__all__ = ["progress", "steps", "watch"]

_SECONDS_BETWEEN_LINES = 30.0
_SECONDS_BETWEEN_POLLS = 1.0
_SECONDS_OF_PATIENCE = 10.0
_SECONDS_TO_LEAVE = 2.0
_PENDING = ("ready", "waiting", "running")
_PENDING_ON_A_CLUSTER = frozenset({"waiting", "queued", "processing", "no-worker"})
_COUNT: Final = re.compile(r"\b(\d+) of (\d+)\b")


@contextlib.contextmanager
def progress(label: str = "compute", *, client: Any = None) -> Iterator[None]:
    """Show a bar for the Dask work inside the ``with`` block, in a notebook or on a terminal.

    Parameters
    ----------
    label : str
        What is being done.
    client : distributed.Client, optional
        Watch this cluster; the current one if there is one, else this process.

    Examples
    --------
    >>> with aktes_xr.progress("retrieve"):  # doctest: +SKIP
    ...     aktes_xr.write_result(ds.aktes.retrieve(), "result.zarr")
    """
    with watch(label, Console(), client=client or _current_client()):
        yield


@contextlib.contextmanager
def steps(label: str, console: Console) -> Iterator[Callable[[str], None]]:
    """Show how far work has come that says so itself, in lines such as ``epoch 3 of 20``.

    Parameters
    ----------
    label : str
        What is being done, e.g. "train teacher".
    console : rich.console.Console
        Where to show it: the lines, and below them a bar where it can be drawn.

    Yields
    ------
    callable
        Takes a line of text; "N of M" in it moves the bar.
    """
    with (
        _Meter(label, console) as meter,
        event.install_listener("numba:compile", _Compiling(meter)),
    ):
        yield meter.step


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
            with _LocalTasks(meter), event.install_listener("numba:compile", _Compiling(meter)):
                yield
        else:
            with _cluster_tasks(meter, client):
                yield


class _Meter:
    """Where counts go: a rich bar or plain lines."""

    def __init__(self, label: str, console: Console) -> None:
        self._label = label
        self._console = console
        self._drawn = console.is_terminal or console.is_jupyter
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=console,
            transient=True,
            disable=not self._drawn,
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
            if self._drawn or now - self._last_line < _SECONDS_BETWEEN_LINES:
                return
            self._last_line = now
            self._console.print(
                f"{self._label}: {done} of {total} tasks, {now - self._start:.0f} s"
            )

    def step(self, text: str) -> None:
        """Print a line; one that counts moves the bar, too."""
        with self._lock:
            found = _COUNT.search(text)
            if found is not None:
                done, total = map(int, found.groups())
                what = text[: found.start()].strip(" :")
                self._bar.update(
                    self._task, description=f"{self._label}: {what}", completed=done, total=total
                )
            self._bar.console.print(text, markup=False, highlight=False)

    def say(self, text: str) -> None:
        """Print a line, above the bar where there is one."""
        with self._lock:
            self._last_line = time.monotonic()
            self._bar.console.print(f"{self._label}: {text}")


def _current_client() -> Any:
    """Return the client of the cluster that Dask would compute on, or None."""
    if "distributed" not in sys.modules:
        return None
    from distributed import get_client

    try:
        return get_client()
    except ValueError:
        return None


class _Compiling(event.Listener):
    """Says once that kernels are compiled, where none are kept from an earlier process."""

    def __init__(self, meter: _Meter) -> None:
        self._meter = meter
        self._said = threading.Event()

    def on_start(self, event: Any) -> None:
        if not self._said.is_set():
            self._said.set()
            self._meter.say("compiling kernels (once, about half a minute)")

    def on_end(self, event: Any) -> None:
        pass


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
    """Ask the scheduler how many tasks are pending.

    It forgets finished tasks. So the largest number that was seen stands for the total.
    """
    stop = threading.Event()
    thread = threading.Thread(
        target=_poll, args=(meter, client, stop), name="aktes-progress", daemon=True
    )
    thread.start()
    try:
        yield
    finally:
        stop.set()
        # A scheduler that has gone away never answers. The process must not wait for it to end.
        thread.join(_SECONDS_TO_LEAVE)


def _poll(meter: _Meter, client: Any, stop: threading.Event) -> None:
    peak = 0
    said = time.monotonic() + _SECONDS_OF_PATIENCE - _SECONDS_BETWEEN_LINES
    while not stop.wait(_SECONDS_BETWEEN_POLLS):
        try:
            pending, states = client.run_on_scheduler(_work)
        except (OSError, TimeoutError, CancelledError):
            # A lost cluster is reported by the code that waits for the results.
            return
        peak = max(peak, pending)
        reason = idle_reason(states)
        now = time.monotonic()
        if reason is None or not pending:
            said = max(said, now + _SECONDS_OF_PATIENCE - _SECONDS_BETWEEN_LINES)
            meter.update(peak - pending, peak)
        elif now - said >= _SECONDS_BETWEEN_LINES:
            said = now
            meter.say(f"waiting for workers: {reason}")


def _work(dask_scheduler: Any) -> tuple[int, list[str]]:
    """Return the number of pending tasks, and the workers' states; runs on the scheduler."""
    tasks = dask_scheduler.tasks.values()
    pending = sum(task.state in _PENDING_ON_A_CLUSTER for task in tasks)
    return pending, worker_states(dask_scheduler)
