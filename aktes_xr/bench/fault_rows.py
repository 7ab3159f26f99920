"""What a fault of the benchmark is, and the stage it is played on.

A module of faults registers functions with `fault`; each plays one fault on components that it
starts itself and says what came of it. `aktes_xr.bench.faults` imports the modules and plays them.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import xarray as xr

from aktes_xr.errors import TrainingError
from aktes_xr.store import open_result

COMMAND: Final = (sys.executable, "-c", "from aktes_xr.cli import app; app()")
_DEADLINE_S: Final = 300.0
_POLL_S: Final = 0.01


@dataclass(frozen=True)
class Ended:
    """How a process ended: its exit code (None: it had to be killed), and what it said."""

    code: int | None
    said: str

    @property
    def plain(self) -> bool:
        """Whether it ended by itself and without a traceback."""
        return self.code is not None and "Traceback" not in self.said

    def __str__(self) -> str:
        last = [line for line in self.said.splitlines() if line.startswith("error [")]
        return f"exit {self.code}" + (f", {last[-1].split(':')[0]}" if last else "")


@dataclass(frozen=True)
class Stage:
    """Where a fault is played.

    Attributes
    ----------
    folder : empty, the fault's own
    items : STAC items of whole granules
    broken : items of the same dates whose files are cut short
    bundle : small networks
    quick : whether to play the short form
    """

    folder: Path
    items: tuple[str, ...]
    broken: tuple[str, ...]
    bundle: str
    quick: bool

    @property
    def out(self) -> Path:
        """Place of the result."""
        return self.folder / "r.zarr"

    def start(
        self,
        *options: str,
        items: Sequence[str] | None = None,
        out: str | Path | None = None,
        code: str | None = None,
        **popen: Any,
    ) -> subprocess.Popen[str]:
        """Start ``aktes retrieve`` as a process of its own.

        Parameters
        ----------
        *options : str
            Further options of the command.
        items : sequence of str, optional
            Files of STAC items; by default the stage's.
        out : str or Path, optional
            Where to write; by default the stage's place.
        code : str, optional
            Python code that the process runs before the command.
        **popen : Any
            Further arguments of `subprocess.Popen`.

        Returns
        -------
        subprocess.Popen
        """
        command = list(COMMAND) if code is None else [*COMMAND[:2], f"{code}\n{COMMAND[2]}"]
        arguments = [*(self.items if items is None else items), "--out", str(out or self.out)]
        environment = {**os.environ, **popen.pop("env", {})}
        return subprocess.Popen(
            [*command, "retrieve", *arguments, "--bundle", self.bundle, *options],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
            **popen,
        )

    def run(self, *options: str, **how: Any) -> Ended:
        """Run ``aktes retrieve`` to its end."""
        return self.end(self.start(*options, **how))

    def end(self, process: subprocess.Popen[str]) -> Ended:
        """Wait for a process's end.

        One that has not ended after some minutes is killed.

        Parameters
        ----------
        process : subprocess.Popen
            What `start` returned.

        Returns
        -------
        Ended
        """
        try:
            _, said = process.communicate(timeout=_DEADLINE_S)
            return Ended(process.returncode, said)
        except subprocess.TimeoutExpired:
            process.kill()
            return Ended(None, process.communicate()[1])

    def kill(self, process: subprocess.Popen[str], number: int = signal.SIGKILL) -> Ended:
        """Send a process a signal and wait for its end.

        Parameters
        ----------
        process : subprocess.Popen
            What `start` returned.
        number : int
            Number of the signal.

        Returns
        -------
        Ended
        """
        process.send_signal(number)
        return self.end(process)

    def writing(self, process: subprocess.Popen[str], *, blocks: bool = True) -> bool:
        """Wait until a process writes beside the place of its result.

        Parameters
        ----------
        process : subprocess.Popen
            What `start` returned.
        blocks : bool
            Wait for the first block; otherwise for the folder alone.

        Returns
        -------
        bool
            False where the process ended before.
        """
        pattern = f".{self.out.name}.*.partial" + ("/quality/c/*" if blocks else "")
        return self.until(lambda: any(self.folder.glob(pattern)), process)

    def until(self, happened: Callable[[], bool], process: subprocess.Popen[str]) -> bool:
        """Wait until something has happened.

        Parameters
        ----------
        happened : callable
            Returns whether it has.
        process : subprocess.Popen
            What `start` returned.

        Returns
        -------
        bool
            False where the process ended before, or after some minutes.
        """
        deadline = time.monotonic() + _DEADLINE_S
        while process.poll() is None and time.monotonic() < deadline:
            if happened():
                return True
            time.sleep(_POLL_S)
        return False

    def left(self, *known: str) -> list[str]:
        """Return what lies in the folder besides."""
        return sorted({path.name for path in self.folder.iterdir()} - {*known})


@dataclass(frozen=True)
class Outcome:
    """What came of a fault, in words, and whether it is what should."""

    said: str
    holds: bool


@dataclass(frozen=True)
class Fault:
    """A fault, and how it should end.

    Attributes
    ----------
    area, what, expected : words of the table
    play : plays it
    """

    area: str
    what: str
    expected: str
    play: Callable[[Stage], Outcome]


FAULTS: list[Fault] = []
"""All that the imported modules have registered, in their order."""

Play = Callable[[Stage], Outcome]


def fault(area: str, *, expected: str) -> Callable[[Play], Play]:
    """Register a function that plays a fault.

    The table shows the whole docstring of that function. So it must stay one short line.

    Parameters
    ----------
    area : str
        The part of the table that the fault belongs to.
    expected : str
        What should come of it.

    Returns
    -------
    callable
        The decorator.
    """

    def register(play: Play) -> Play:
        what = (play.__doc__ or "").strip().removesuffix(".").replace("``", "")
        FAULTS.append(Fault(area, what, expected, play))
        return play

    return register


def same_result(one: xr.Dataset, other: xr.Dataset) -> bool:
    """Return whether two results are the same.

    When they were written does not count.

    Parameters
    ----------
    one, other : Dataset
        Results of a retrieval.

    Returns
    -------
    bool
    """
    attributes = [{**ds.attrs, "history": ""} for ds in (one, other)]
    names = [set(ds.variables) for ds in (one, other)]
    return (
        attributes[0] == attributes[1]
        and names[0] == names[1]
        and all(
            one[name].attrs.keys() == other[name].attrs.keys()
            and one[name].dtype == other[name].dtype
            and np.array_equal(
                one[name].to_numpy(),
                other[name].to_numpy(),
                equal_nan=one[name].dtype.kind in "fM",
            )
            for name in names[0]
        )
    )


def undisturbed(stage: Stage) -> xr.Dataset:
    """Return the result of a run that nobody disturbs.

    Parameters
    ----------
    stage : Stage
        Items and folder.

    Returns
    -------
    Dataset
    """
    calm = replace(stage, folder=stage.folder / "calm")
    calm.folder.mkdir(exist_ok=True)
    if not calm.out.exists():
        ended = calm.run()
        if ended.code != 0:
            raise TrainingError(f"an undisturbed run ended with {ended}: {ended.said[-500:]}")
    return open_result(calm.out)


@contextlib.contextmanager
def ended_after(process: subprocess.Popen[str]) -> Iterator[subprocess.Popen[str]]:
    """Make sure that a process has ended when the block ends.

    Parameters
    ----------
    process : subprocess.Popen
        What `Stage.start` returned.

    Yields
    ------
    subprocess.Popen
    """
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()
