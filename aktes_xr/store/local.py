"""A place on a disk: claimed by one run, filled beside it, and replaced by one step."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from aktes_xr.errors import StoreExistsError
from aktes_xr.store.exchange import OLD, exchange, place, restore, sync, sync_tree
from aktes_xr.store.lock import locked

PARTIAL: Final = ".partial"
_MARKERS: Final = ("zarr.json", ".zgroup")
_OF_A_STORE: Final = frozenset({"zarr.json", ".zgroup", ".zattrs", ".zmetadata"})
_OF_AN_ARRAY: Final = ("zarr.json", ".zarray", ".zgroup")


@dataclass(frozen=True)
class LocalDraft:
    """A store that is being written beside its place.

    Attributes
    ----------
    address : where its blocks are written
    previous : path of the store it will replace, or None
    """

    address: str
    previous: str | None
    _target: Path
    _identity: tuple[int, ...] | None

    def publish(self) -> None:
        """Put the store into its place, once it is on the disk.

        Raises
        ------
        StoreExistsError
            What is in place is not what was there when the writing began; it is left as it is.
        """
        partial, target = Path(self.address), self._target
        sync_tree(partial)
        try:
            if self._identity is None:
                place(partial, target)
            else:
                exchange(partial, target, expected=lambda path: _identity(path) == self._identity)
        except (FileExistsError, FileNotFoundError) as error:
            raise StoreExistsError(
                f"{target.name} was made, changed or taken away while the new result was computed: "
                "it is left as it is and the new result is dropped; choose another place"
            ) from error
        sync(target.parent)


@contextlib.contextmanager
def claim(target: Path, *, overwrite: bool) -> Iterator[LocalDraft]:
    """Hold a place against other runs while the block writes a store for it.

    What dead runs left beside the place is removed first: who holds the lock knows that nobody is
    still writing it. What this one leaves unpublished is removed at the end.

    Parameters
    ----------
    target : Path
        The place.
    overwrite : bool
        Whether a Zarr store there may be replaced.

    Yields
    ------
    LocalDraft

    Raises
    ------
    StoreExistsError
        There is something in the place, and it was not to be, or must not be, replaced.
    StoreBusyError
        Another run holds the place.
    OSError
        The place cannot be written to.
    """
    # Refused at once, and once more when nobody else can be about to change it.
    _refuse_unless_free(target, overwrite)
    target.parent.mkdir(parents=True, exist_ok=True)
    with locked(target.with_name(f".{target.name}.lock"), name=target.name) as certain:
        if certain:
            _sweep(target)
        _refuse_unless_free(target, overwrite)
        identity = _identity(target)
        partial = target.with_name(f".{target.name}.{uuid.uuid4().hex}{PARTIAL}")
        previous = None if identity is None else str(target)
        try:
            yield LocalDraft(str(partial), previous, target, identity)
        finally:
            shutil.rmtree(partial, ignore_errors=True)


def is_store(path: Path) -> bool:
    """Return whether there is a Zarr store in a folder.

    Parameters
    ----------
    path : Path
        The folder; it need not exist.

    Returns
    -------
    bool
    """
    return any((path / marker).is_file() for marker in _MARKERS)


def _refuse_unless_free(target: Path, overwrite: bool) -> None:
    if not os.path.lexists(target):
        return
    if target.is_symlink():
        raise StoreExistsError(
            f"{target.name} is a link: name the place it points to, so that it is clear which of "
            "the two is to be written"
        )
    if not overwrite:
        raise StoreExistsError(
            f"{target.name} exists; choose another place, or replace it with overwrite=True"
        )
    if not is_store(target):
        raise StoreExistsError(
            f"{target.name} exists and is no Zarr store: it is not replaced; move it away first"
        )
    foreign = sorted(entry.name for entry in target.iterdir() if not _belongs(entry))
    if foreign:
        raise StoreExistsError(
            f"{target.name} is a Zarr store that holds more than arrays "
            f"({', '.join(foreign[:3])}): it is not replaced; move what is yours away first"
        )


def _belongs(entry: Path) -> bool:
    """Return whether an entry of a store's folder is a store's own."""
    if entry.is_symlink():
        return False
    if entry.is_dir():
        return any((entry / marker).is_file() for marker in _OF_AN_ARRAY)
    return entry.name in _OF_A_STORE


def _identity(path: Path) -> tuple[int, ...] | None:
    """Return what tells a store from any other, and from itself after a change; None if none."""
    try:
        folder = path.lstat()
        marker = next(path / name for name in _MARKERS if (path / name).is_file()).stat()
    except (FileNotFoundError, NotADirectoryError, StopIteration):
        return None
    return (folder.st_dev, folder.st_ino, marker.st_ino, marker.st_mtime_ns, marker.st_size)


def _sweep(target: Path) -> None:
    """Remove what dead runs have left; put back what one had moved aside."""
    ending = "|".join(map(re.escape, (PARTIAL, OLD)))
    kind = re.compile(rf"\.{re.escape(target.name)}\.[0-9a-f]{{32}}(?:{ending})")
    for path in sorted(target.parent.glob(".*")):
        if not kind.fullmatch(path.name) or path.is_symlink():
            continue
        if path.suffix == OLD and restore(path, target):
            continue
        shutil.rmtree(path, ignore_errors=True)
