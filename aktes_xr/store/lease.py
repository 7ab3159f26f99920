"""A lease keeps two runs apart in an object store, which has no locks.

It is an object that only one of them can create, and it is renewed while its run lives. Another run
takes it over when it has run out, by clocks that agree within half a minute, or at once where its
process is known to be dead.
"""

from __future__ import annotations

import contextlib
import json
import threading
import time
from typing import Any, Final

from aktes_xr.errors import StoreBusyError
from aktes_xr.store.lock import busy
from aktes_xr.store.owner import Owner

LEASE: Final = ".lease"
"""Name of the object."""
_LEASE_S: Final = 60.0
_GRACE_S: Final = 30.0

Tag = dict[str, Any]
"""What a conditional write asks an object still to be."""


def tag_of(described: Any) -> Tag:
    """Return what identifies an object's present content.

    Parameters
    ----------
    described : mapping
        What the object store says of the object.

    Returns
    -------
    dict
        Its tag, on some stores its version.
    """
    return {key: described[key] for key in ("e_tag", "version") if described.get(key) is not None}


class Lease:
    """An object that one run holds by renewing it; a thread does so.

    It is held while a ``with`` block runs. Entering fails with `StoreBusyError` where another run
    holds it.

    Parameters
    ----------
    store : obstore store
        The place, at whose root the lease lies.
    name : str
        What is held, for messages.
    """

    def __init__(self, store: Any, name: str) -> None:
        self._store = store
        self._name = name
        self._tag: Tag = {}
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="aktes-lease", daemon=True)

    def __enter__(self) -> Lease:
        from obstore.exceptions import AlreadyExistsError, PreconditionError

        try:
            self._tag = self._put("create")
        except AlreadyExistsError:
            tag = self._left_behind()
            try:
                self._tag = self._put(tag)
            except PreconditionError:
                raise StoreBusyError(busy(self._name, None)) from None
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        with contextlib.suppress(StoreBusyError, FileNotFoundError):
            self.renew()
            self._store.delete(LEASE)

    def renew(self) -> None:
        """Renew the lease; fails with `StoreBusyError` where another run has taken it over."""
        from obstore.exceptions import NotFoundError, PreconditionError

        with self._lock:
            try:
                self._tag = self._put(self._tag)
            except (PreconditionError, NotFoundError):
                raise StoreBusyError(busy(self._name, None)) from None

    def _put(self, mode: Any) -> Tag:
        text = Owner.this_process().text(until=time.time() + _LEASE_S)
        return tag_of(self._store.put(LEASE, text.encode(), mode=mode))

    def _left_behind(self) -> Tag:
        """Return the tag of a lease that has run out, or whose process is dead."""
        try:
            found = self._store.get(LEASE)
        except FileNotFoundError:
            raise StoreBusyError(busy(self._name, None)) from None
        text = bytes(found.bytes()).decode(errors="replace")
        owner = Owner.read(text)
        try:
            until = float(json.loads(text)["until"])
        except (ValueError, KeyError, TypeError):
            until = found.meta["last_modified"].timestamp() + _LEASE_S
        if time.time() < until + _GRACE_S and not (owner is not None and owner.dead):
            raise StoreBusyError(busy(self._name, owner))
        return tag_of(found.meta)

    def _keep(self) -> None:
        from obstore.exceptions import BaseError

        while not self._ended.wait(_LEASE_S / 3):
            # What is wrong with the lease is said where it counts: when the store is published.
            with contextlib.suppress(StoreBusyError, BaseError):
                self.renew()
