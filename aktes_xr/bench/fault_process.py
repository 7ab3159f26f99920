"""Commands as processes that are forked from one that has imported the package already.

Each is a process of its own and dies like one. But it costs what the command does, and not the
seconds that a start of Python takes: dozens of faults can be played in minutes.
"""

from __future__ import annotations

import functools
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import weakref
from collections.abc import Mapping, Sequence
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Final

_IMPORTED: Final = (
    "aktes_xr.cli.commands",
    "aktes_xr.cli.progress",
    "aktes_xr.jobs.retrieval",
    "aktes_xr.store.objects",
    "aktes_xr.report",
    "stackstac",
    "rioxarray",
    "zarr",
)


class Forked:
    """A command that runs, or has ended; a part of what `subprocess.Popen` offers.

    Parameters
    ----------
    arguments : sequence of str
        Of ``aktes``.
    environment : mapping
        All its variables.
    """

    def __init__(self, arguments: Sequence[str], environment: Mapping[str, str]) -> None:
        self._folder = tempfile.mkdtemp(prefix="aktes-said-")
        weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)
        target = (list(arguments), dict(environment), self._folder)
        self._process = _server().Process(target=_run, args=target, daemon=True)
        self._process.start()

    @property
    def pid(self) -> int:
        """Number of the process."""
        return int(self._process.pid or 0)

    @property
    def returncode(self) -> int | None:
        """How it ended, as `subprocess.Popen` says it; None while it runs."""
        return self._process.exitcode

    def poll(self) -> int | None:
        """Return how it ended; None while it runs."""
        return self._process.exitcode

    def send_signal(self, number: int) -> None:
        """Send a signal, unless it has ended.

        Parameters
        ----------
        number : int
            Number of the signal.
        """
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """Kill it."""
        self.send_signal(signal.SIGKILL)

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """Wait for its end and return what it wrote to stdout and to stderr.

        Parameters
        ----------
        timeout : float, s, optional

        Returns
        -------
        (str, str)

        Raises
        ------
        subprocess.TimeoutExpired
            It has not ended by then.
        """
        self._process.join(timeout)
        if self.poll() is None:
            raise subprocess.TimeoutExpired("aktes", timeout or 0.0)
        told, said = (
            Path(self._folder, name).read_text(encoding="utf-8", errors="replace")
            for name in ("stdout", "stderr")
        )
        return told, said


@functools.cache
def _server() -> ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(_IMPORTED))
    return context


def _run(arguments: list[str], environment: dict[str, str], folder: str) -> None:
    """Become the command."""
    for number, name in ((1, "stdout"), (2, "stderr")):
        handle = os.open(Path(folder, name), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(handle, number)
        os.close(handle)
    # A benchmark that runs on without its terminal has not to do so for what it starts.
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    os.environ.clear()
    os.environ.update(environment)
    # Dask has read its settings from the environment of the process that was forked.
    import dask

    dask.config.refresh()
    sys.argv = ["aktes", *arguments]
    from aktes_xr.cli import app

    app()
