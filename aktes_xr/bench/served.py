"""Keras in a process of its own, asked line by line, so that its threads disturb nothing here."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from aktes_xr.errors import ResourceError


@contextmanager
def served(module: str, *arguments: str) -> Iterator[Callable[[str], float]]:
    """Start a module that prints ``ready`` and answers each line with the seconds it took.

    Parameters
    ----------
    module : str
        Run by ``python -m``.
    *arguments : str
        Of that command.

    Yields
    ------
    callable
        Sends a line and returns the answer, s.

    Raises
    ------
    ResourceError
        The process ended before it was ready.
    """
    with subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"},
    ) as process:
        stdin, stdout = process.stdin, process.stdout
        if stdin is None or stdout is None or "ready\n" not in stdout:
            call = " ".join(("python -m", module, *arguments))
            raise ResourceError(f"Keras ended before it was ready; run {call} to see why")

        def ask(line: str) -> float:
            stdin.write(f"{line}\n")
            stdin.flush()
            return float(stdout.readline())

        yield ask
        stdin.close()
