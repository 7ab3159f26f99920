"""How long a host is waited for, how often it is asked, and what this process remembers of it.

A host that does not answer costs one deadline, not one per file: it is remembered as down, and
asked again by a single short request from time to time (known as a circuit breaker).
"""

from __future__ import annotations

import os
import threading
import time
from dataclasses import dataclass, field, fields
from typing import Final, Self

from aktes_xr.errors import ConfigError, NetworkError

ENOUGH_REFUSALS: Final = 5
"""After so many refused items with none served, an archive counts as refusing all."""

_PREFIX: Final = "AKTES_NETWORK_"


@dataclass(frozen=True, slots=True)
class NetworkSettings:
    """Patience with the network, the same for searches, items and pixels.

    Attributes
    ----------
    connect_s : s, wait for a connection
    silence_s : s, wait for the next byte
    deadline_s : s, for one request with all its repetitions
    attempts : requests at most, within the deadline
    backoff_s : s, before the first repetition; doubled each time, with jitter
    slowest_bytes_per_s : a transfer below this rate, over ``silence_s``, has failed
    remember_s : s after which a host that was down is asked once more
    strikes : files in a row that a host fails to serve before it counts as down; one that it does
        not answer at all counts four times
    pages : pages of a search at most

    Each has an environment variable, such as ``AKTES_NETWORK_DEADLINE_S``.
    """

    connect_s: float = 10.0
    silence_s: float = 30.0
    deadline_s: float = 60.0
    attempts: int = 6
    backoff_s: float = 0.5
    slowest_bytes_per_s: float = 500.0
    remember_s: float = 900.0
    strikes: int = 10
    pages: int = 1000

    @classmethod
    def from_environment(cls) -> Self:
        """Return the defaults, with what the environment says.

        Raises
        ------
        ConfigError
            A variable holds no positive number.
        """
        found: dict[str, float] = {}
        for one in fields(cls):
            text = os.environ.get(f"{_PREFIX}{one.name.upper()}")
            if text is None:
                continue
            try:
                value = int(text) if one.type == "int" else float(text)
            except ValueError:
                value = 0.0
            if not 0 < value < float("inf"):
                raise ConfigError(
                    f"{_PREFIX}{one.name.upper()} is {text!r}, expected a positive number"
                )
            found[one.name] = value
        return cls(**found)  # type: ignore[arg-type]


@dataclass
class _Memory:
    """What a host has done so far."""

    strikes: int = 0
    down_until: float = 0.0
    reason: str = ""
    probing: bool = False
    served: float | None = None
    refused: set[str] = field(default_factory=set)


_LOCK: Final = threading.Lock()
_hosts: dict[str, _Memory] = {}


def forget_hosts() -> None:
    """Forget which hosts were down, in this process."""
    with _LOCK:
        _hosts.clear()


def admitted(host: str) -> bool:
    """Return True to ask a host as usual, and False to try it by one short request only.

    Parameters
    ----------
    host : str
        As `links.host_of` gives it.

    Returns
    -------
    bool

    Raises
    ------
    NetworkError
        It is down, and it is too early to ask again.
    """
    with _LOCK:
        memory = _hosts.setdefault(host, _Memory())
        if not memory.reason:
            return True
        if time.monotonic() < memory.down_until or memory.probing:
            raise NetworkError(f"{memory.reason} (remembered, not asked again)")
        # Only one thread at a time tries a host that was down. The others fail at once meanwhile.
        memory.probing = True
        return False


def has_served(host: str) -> None:
    """Remember that a host gave what was asked for.

    Parameters
    ----------
    host : str
        As `links.host_of` gives it.
    """
    with _LOCK:
        _hosts[host] = _Memory(served=time.monotonic())


def is_down(host: str) -> bool:
    """Return whether a host is remembered as down.

    Parameters
    ----------
    host : str
        As `links.host_of` gives it.

    Returns
    -------
    bool
    """
    with _LOCK:
        return bool(_hosts.get(host, _Memory()).reason)


def has_failed(
    host: str, reason: str, settings: NetworkSettings, *, dead: bool, wait_s: float = 0.0
) -> None:
    """Remember a failure that remained after all repetitions.

    Parameters
    ----------
    host : str
        As `links.host_of` gives it.
    reason : str
        What later messages say of it.
    settings : NetworkSettings
        How many failures make a host count as down, and for how long.
    dead : bool
        The host itself failed; otherwise one file of it did.
    wait_s : float, s
        How long the host asked to be left alone; 0 where it did not.
    """
    with _LOCK:
        memory = _hosts.setdefault(host, _Memory())
        # A host that does not answer at all is given up sooner than one that fails on some files.
        memory.strikes += 4 if dead else 1
        # A host that has served other files is not dead: it may hang on this one file.
        dead = dead and memory.served is None
        if dead or wait_s or memory.probing or memory.strikes >= settings.strikes:
            memory.down_until = time.monotonic() + (wait_s or settings.remember_s)
            memory.reason = reason
        memory.probing = False


def has_answered(host: str) -> None:
    """Remember that a host is there, though it did not give what was asked for.

    Parameters
    ----------
    host : str
        As `links.host_of` gives it.
    """
    with _LOCK:
        memory = _hosts.setdefault(host, _Memory())
        memory.probing, memory.reason = False, ""


def has_refused(host: str, item: str) -> None:
    """Remember that a host refused an item (401, 403); it answers, so it is not down.

    Parameters
    ----------
    host : str
        As `links.host_of` gives it.
    item : str
        Name of the item.
    """
    with _LOCK:
        memory = _hosts.setdefault(host, _Memory())
        memory.refused.add(item)
        memory.probing, memory.reason = False, ""


def nothing_comes(host: str, settings: NetworkSettings, *, items: int) -> bool:
    """Return whether all that was asked of a host lately has failed.

    Parameters
    ----------
    host : host name
    settings : NetworkSettings
    items : how many items lie there; so many refusals are enough, or `ENOUGH_REFUSALS`
    """
    with _LOCK:
        memory = _hosts.get(host, _Memory())
        lately = (
            memory.served is not None and time.monotonic() - memory.served < settings.remember_s
        )
        refused = len(memory.refused) >= min(ENOUGH_REFUSALS, items)
        return refused or (bool(memory.reason) and not lately)
