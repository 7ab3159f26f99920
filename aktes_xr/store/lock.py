"""One run at a time for one place: a file beside it that the system lets one process lock.

The lock ends with its process, however that ends, so there are no stale ones. On NFS it holds
between machines too, as far as the mount passes ``flock`` on; object stores have leases instead
(`aktes_xr.store.objects`).
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from aktes_xr.errors import StoreBusyError
from aktes_xr.store.owner import Owner

logger = logging.getLogger(__name__)

_NO_LOCKS: Final = frozenset({errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS})
_LONGEST_OWNER: Final = 4096


@contextlib.contextmanager
def locked(path: Path, *, name: str) -> Iterator[bool]:
    """Hold a lock file while the block runs, and remove it afterwards.

    Parameters
    ----------
    path : Path
        The file; it need not exist.
    name : str
        What is locked, for the message.

    Yields
    ------
    bool
        Whether nobody else can be at work; False, with a warning, where there are no locks.

    Raises
    ------
    StoreBusyError
        Another process, or another thread of this one, holds it.
    OSError
        The file cannot be made.
    """
    handle, held = _lock(path, name)
    try:
        if held:
            os.ftruncate(handle, 0)
            os.write(handle, Owner.this_process().text().encode())
        yield held
    finally:
        if held:
            # Removed while it is held: who has opened it meanwhile sees that it is gone.
            path.unlink(missing_ok=True)
        os.close(handle)


def _lock(path: Path, name: str) -> tuple[int, bool]:
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            found = os.pread(handle, _LONGEST_OWNER, 0).decode(errors="replace")
            os.close(handle)
            raise StoreBusyError(busy(name, Owner.read(found))) from None
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                os.close(handle)
                raise
            logger.warning(
                "the file system of %s has no locks: nothing keeps two runs apart there", name
            )
            return handle, False
        if _is_at(handle, path):
            return handle, True
        os.close(handle)


def busy(name: str, owner: Owner | None) -> str:
    """Return the message for a run that a lock keeps out.

    Parameters
    ----------
    name : str
        What is locked.
    owner : Owner or None
        Who holds the lock, if that is known.

    Returns
    -------
    str
    """
    return (
        f"{name} is being written by {owner or 'another run'}; wait until that has ended, or "
        "choose another place"
    )


def _is_at(handle: int, path: Path) -> bool:
    """Return whether the open file is the one at its path, not one removed before it was locked."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return False
    return os.path.samestat(os.fstat(handle), found)
