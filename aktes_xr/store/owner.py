"""Who holds a place. A run writes it into the lock, and the runs that are kept out read it."""

from __future__ import annotations

import json
import os
import platform
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Owner:
    """A process that writes a store.

    Attributes
    ----------
    pid, host, start : number, machine, and when it took the place (ISO 8601, UTC)
    space : in which numbers of processes mean something: one start of one system, one container
    """

    pid: int
    host: str
    start: str
    space: str

    @classmethod
    def this_process(cls) -> Owner:
        """Return the owner that this process is."""
        start = datetime.now(UTC).isoformat(timespec="seconds")
        return cls(os.getpid(), platform.node(), start, _space())

    @classmethod
    def read(cls, text: str) -> Owner | None:
        """Read what `text` wrote.

        Parameters
        ----------
        text : str
            Content of a lock.

        Returns
        -------
        Owner or None
            None where the content is cut off or was not written by `text`.
        """
        try:
            found = json.loads(text)
            return cls(int(found["pid"]), *(str(found[k]) for k in ("host", "start", "space")))
        except (ValueError, TypeError, KeyError):
            return None

    def text(self, **more: Any) -> str:
        """Return the owner as one line of JSON.

        Parameters
        ----------
        **more
            What else the lock is to say.

        Returns
        -------
        str
            With a line break at its end.
        """
        return json.dumps({**asdict(self), **more}) + "\n"

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}, since {self.start}"

    @property
    def dead(self) -> bool:
        """Whether the process has certainly ended: it ran on this machine and is there no more."""
        if self.space != _space() or not self.space:
            return False
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return True
        except PermissionError:
            return False
        return False


def _space() -> str:
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot} {os.stat('/proc/self/ns/pid').st_ino}"
    except OSError:
        return ""
