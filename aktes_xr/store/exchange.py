"""A finished folder put into place: by one step of the file system, and after it is on the disk.

Linux can rename only where nothing is (``RENAME_NOREPLACE``), and can swap two names
(``RENAME_EXCHANGE``), each as one step [1]_. With these there is no moment without a store, and
nothing is ever deleted that was not looked at first. Some file systems (NFS among them) know
neither; there, plain renames do the same in two steps, and `restore` mends what a crash between
them leaves.

References
----------
.. [1] renameat2(2), Linux manual pages.
"""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

OLD: Final = ".old"
_CURRENT_FOLDER: Final = -100  # AT_FDCWD
_NOREPLACE: Final = 1
_EXCHANGE: Final = 2
_UNKNOWN: Final = frozenset({errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP})
_SYNCING_THREADS: Final = 8


def place(partial: Path, target: Path) -> None:
    """Rename a folder to where nothing is.

    Parameters
    ----------
    partial, target : Path
        Of one file system.

    Raises
    ------
    FileExistsError
        Something is at ``target``: a file, a folder (an empty one too) or a link.
    OSError
        The folder cannot be renamed.
    """
    if _renamed(partial, target, _NOREPLACE):
        return
    if os.path.lexists(target):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
    # A folder made between these two lines stops the rename unless it is empty.
    partial.rename(target)


def exchange(partial: Path, target: Path, *, expected: Callable[[Path], bool]) -> None:
    """Swap two folders, if the one in place is still the one that is to be replaced.

    Parameters
    ----------
    partial, target : Path
        Of one file system; afterwards ``partial`` is what was in place.
    expected : callable
        Is given the path of what was in place, and says whether that is what it should be.

    Raises
    ------
    FileExistsError
        Something else is in place; it is there still.
    FileNotFoundError
        Nothing is in place any more.
    OSError
        The folders cannot be renamed.
    """
    if _renamed(partial, target, _EXCHANGE):
        # Looked at only now that nobody else finds it by its name: what is judged is what goes.
        if not expected(partial):
            _renamed(partial, target, _EXCHANGE)
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
        return
    if not expected(target):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
    old = partial.with_suffix(OLD)
    target.rename(old)
    try:
        partial.rename(target)
    except OSError:
        old.rename(target)
        raise
    old.rename(partial)


def restore(old: Path, target: Path) -> bool:
    """Put a folder back after a crash between two plain renames.

    Parameters
    ----------
    old : Path
        What was moved aside.
    target : Path
        Where it was.

    Returns
    -------
    bool
        Whether it was put back; not where something is in its place.
    """
    if os.path.lexists(target):
        return False
    place(old, target)
    return True


def sync_tree(folder: Path) -> None:
    """Wait until a folder's files, and their names, are on the disk.

    Parameters
    ----------
    folder : Path

    Raises
    ------
    OSError
        The disk reports that something could not be written.
    """
    paths = [Path(root) / name for root, _, names in os.walk(folder) for name in (*names, ".")]
    # The disk gathers what several threads wait for into one write of its journal.
    with ThreadPoolExecutor(_SYNCING_THREADS) as pool:
        for _ in pool.map(sync, paths):
            pass


def sync(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk.

    Parameters
    ----------
    path : Path
        A file or a folder.

    Raises
    ------
    OSError
        If the disk refuses.
    """
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _renamed(source: Path, target: Path, flag: int) -> bool:
    """Rename by the system's own call; False where system or file system does not know it."""
    call = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if call is None:
        return False
    paths = os.fsencode(source), os.fsencode(target)
    if call(_CURRENT_FOLDER, paths[0], _CURRENT_FOLDER, paths[1], ctypes.c_uint(flag)) == 0:
        return True
    number = ctypes.get_errno()
    if number in _UNKNOWN:
        return False
    raise OSError(number, os.strerror(number))
