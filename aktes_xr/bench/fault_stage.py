"""The stage that faults are played on: commands as processes, and how they end."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias

from aktes_xr.bench.fault_process import Forked

Running: TypeAlias = "subprocess.Popen[str] | Forked"
COMMAND: Final = (sys.executable, "-c", "from aktes_xr.cli import app; app()")
_DEADLINE_S: Final = 600.0
_POLL_S: Final = 0.01


@dataclass(frozen=True)
class Ended:
    """How a process ended.

    Attributes
    ----------
    code : exit code; None where the process had to be killed
    said, told : what it wrote to stderr and to stdout
    """

    code: int | None
    said: str
    told: str = ""

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

    @property
    def granules(self) -> Path:
        """Folder of the items' files."""
        return Path(self.items[0]).parent

    def item(self, number: int, **changes: Any) -> dict[str, Any]:
        """Return one of the items.

        Parameters
        ----------
        number : int
            Which.
        **changes : Any
            Members to replace; ``href`` is that of its file.

        Returns
        -------
        dict
        """
        item: dict[str, Any] = json.loads(Path(self.items[number]).read_text(encoding="utf-8"))
        if "href" in changes:
            item["assets"]["TIR"]["href"] = changes.pop("href")
        return {**item, **changes}

    def write(self, items: Sequence[Any]) -> list[str]:
        """Write items to files.

        Parameters
        ----------
        items : sequence
            STAC items, or what should be some.

        Returns
        -------
        list of str
            Paths.
        """
        folder = self.folder / "items"
        folder.mkdir(exist_ok=True)
        paths = []
        for item in items:
            path = folder / f"{len(list(folder.iterdir())):03d}.json"
            path.write_text(json.dumps(item), encoding="utf-8")
            paths.append(str(path))
        return paths

    def start(
        self,
        *options: str,
        items: Sequence[str] | None = None,
        out: str | Path | None = None,
        code: str | None = None,
        **popen: Any,
    ) -> Running:
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
        subprocess.Popen, or what serves as one
        """
        arguments = [*(self.items if items is None else items), "--out", str(out or self.out)]
        bundle = () if "--bundle" in options else ("--bundle", self.bundle)
        arguments = ["retrieve", *arguments, *bundle, *options]
        if code is None and not set(popen) - {"env"}:
            return Forked(arguments, {**os.environ, **popen.get("env", {})})
        python = [*COMMAND[:2], COMMAND[2] if code is None else f"{code}\n{COMMAND[2]}"]
        return _start([*python, *arguments], **popen)

    def python(self, code: str, *arguments: str, **popen: Any) -> Ended:
        """Run Python code in a process of its own.

        Parameters
        ----------
        code : str
            What to run.
        *arguments : str
            What it finds in ``sys.argv`` behind the first.
        **popen : Any
            Further arguments of `subprocess.Popen`.

        Returns
        -------
        Ended
        """
        return self.end(_start([sys.executable, "-c", code, *arguments], **popen))

    def aktes(self, *arguments: str) -> Ended:
        """Run another command of ``aktes``.

        Parameters
        ----------
        *arguments : str
            Its name and options.

        Returns
        -------
        Ended
        """
        return self.end(Forked(arguments, os.environ))

    def run(self, *options: str, **how: Any) -> Ended:
        """Run ``aktes retrieve`` to its end."""
        return self.end(self.start(*options, **how))

    def end(self, process: Running) -> Ended:
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
            told, said = process.communicate(timeout=_DEADLINE_S)
            return Ended(process.returncode, said or "", told or "")
        except subprocess.TimeoutExpired:
            process.kill()
            told, said = process.communicate()
            return Ended(None, said or "", told or "")

    def kill(self, process: Running, number: int = signal.SIGKILL) -> Ended:
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

    def writing(self, process: Running, *, blocks: bool = True) -> bool:
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

    def until(self, happened: Callable[[], bool], process: Running) -> bool:
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
        """Return what lies in the folder besides the items of the fault's own."""
        return sorted({path.name for path in self.folder.iterdir()} - {*known, "items"})


def _start(command: Sequence[str], **popen: Any) -> subprocess.Popen[str]:
    environment = {**os.environ, **popen.pop("env", {})}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **popen}
    return subprocess.Popen(command, text=True, errors="replace", env=environment, **pipes)


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
