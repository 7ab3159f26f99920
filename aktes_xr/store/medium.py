"""Files of a store by their keys, on a disk or in an object store, beside what Zarr itself does.

Both are small: read, put, list, move and remove. What is put is there whole or not at all. The key
that decides what readers see is put by `replace`: on a disk by a rename, once all that it speaks of
is on the disk; in an object store only if nobody else has changed it.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, Protocol

from aktes_xr.errors import StoreBusyError
from aktes_xr.store.address import ObjectAddress, object_store
from aktes_xr.store.exchange import sync, sync_tree
from aktes_xr.store.lease import Lease, Tag, tag_of
from aktes_xr.store.lock import busy, locked
from aktes_xr.store.objects import object_errors

PARTIAL: Final = ".partial"
"""End of the names of files that are being written; Zarr's own are called so too."""


class Medium(Protocol):
    """Where the files of one store lie."""

    address: str

    def read(self, key: str) -> bytes | None:
        """Return a file's content; None where there is none."""

    def put(self, key: str, content: bytes) -> None:
        """Write a file."""

    def replace(self, key: str, content: bytes) -> None:
        """Write the file that decides, which this medium has read before."""

    def names(self, prefix: str) -> list[str]:
        """Return the names of files and folders directly below a prefix."""

    def move(self, prefix: str, other: str) -> None:
        """Move what lies below a prefix to another one, where nothing is."""

    def remove(self, prefix: str) -> None:
        """Remove a file, or all that lies below a prefix."""

    def sync(self, prefix: str) -> None:
        """Wait until what lies there is safe from a crash of the machine."""

    def measure(self, prefix: str) -> int:
        """Return the bytes of a file, or of all that lies below a prefix."""


class Folder:
    """Files on a disk.

    Attributes
    ----------
    address : path of the store
    """

    def __init__(self, path: Path) -> None:
        self.address = str(path)
        self._path = path

    def read(self, key: str) -> bytes | None:
        """Return a file's content; None where there is none."""
        try:
            return (self._path / key).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None

    def put(self, key: str, content: bytes) -> None:
        """Write a file beside its place, and rename it once it is on the disk."""
        target = self._path / key
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_name(f"{target.stem}.{uuid.uuid4().hex}{PARTIAL}")
        try:
            with partial.open("xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(target)
        finally:
            partial.unlink(missing_ok=True)
        sync(target.parent)

    def replace(self, key: str, content: bytes) -> None:
        """Write the file that decides; the lock keeps everybody else away from it."""
        self.put(key, content)

    def names(self, prefix: str) -> list[str]:
        """Return the names of files and folders directly below a prefix."""
        try:
            return sorted(os.listdir(self._path / prefix))
        except (FileNotFoundError, NotADirectoryError):
            return []

    def move(self, prefix: str, other: str) -> None:
        """Move what lies below a prefix to another one, where nothing is."""
        with contextlib.suppress(FileNotFoundError):
            (self._path / prefix).rename(self._path / other)

    def remove(self, prefix: str) -> None:
        """Remove a file, or all that lies below a prefix."""
        path = self._path / prefix
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)

    def sync(self, prefix: str) -> None:
        """Wait until what lies there, and its name, is on the disk."""
        path = self._path / prefix
        if path.is_dir():
            sync_tree(path)
            sync(path.parent)
        elif path.exists():
            sync(path)

    def measure(self, prefix: str) -> int:
        """Return the bytes of a file, or of all that lies below a prefix."""
        path = self._path / prefix
        files = path.rglob("*") if path.is_dir() else [path]
        return sum(file.stat().st_size for file in files if file.is_file())


class Bucket:
    """Files in an object store, whose errors become this package's.

    Attributes
    ----------
    address : where the store lies
    """

    def __init__(self, target: ObjectAddress, lease: Lease) -> None:
        self.address = target.url
        self._name = target.name
        self._store = object_store(target.url)
        self._lease = lease
        self._tags: dict[str, Tag | None] = {}

    def read(self, key: str) -> bytes | None:
        """Return an object's content; None where there is none."""
        with object_errors(self._name):
            try:
                found = self._store.get(key)
            except FileNotFoundError:
                self._tags[key] = None
                return None
            self._tags[key] = tag_of(found.meta)
            return bytes(found.bytes())

    def put(self, key: str, content: bytes) -> None:
        """Write an object."""
        with object_errors(self._name):
            self._store.put(key, content)

    def replace(self, key: str, content: bytes) -> None:
        """Write the object that decides, if it is still what this medium read or wrote.

        Raises
        ------
        StoreBusyError
            Somebody else has written it, or has taken over the lease.
        """
        from obstore.exceptions import AlreadyExistsError, PreconditionError

        self._lease.renew()
        tag = self._tags[key]
        mode: Any = "create" if tag is None else tag
        with object_errors(self._name):
            try:
                self._tags[key] = tag_of(self._store.put(key, content, mode=mode))
            except (AlreadyExistsError, PreconditionError):
                raise StoreBusyError(busy(self._name, None)) from None

    def names(self, prefix: str) -> list[str]:
        """Return the names of objects and prefixes directly below a prefix."""
        with object_errors(self._name):
            listed = self._store.list_with_delimiter(prefix or None)
        paths = [str(entry["path"]) for entry in listed["objects"]]
        paths += [str(path) for path in listed["common_prefixes"]]
        return sorted(path.rstrip("/").rsplit("/", 1)[-1] for path in paths)

    def move(self, prefix: str, other: str) -> None:
        """Move what lies below a prefix to another one, where nothing is."""
        with object_errors(self._name):
            for key in self._below(prefix):
                self._store.rename(key, other + key.removeprefix(prefix))

    def remove(self, prefix: str) -> None:
        """Remove an object, or all that lies below a prefix."""
        with object_errors(self._name):
            keys = self._below(prefix)
            # What names no object is listed as none: then the prefix may itself be one.
            self._store.delete(keys or [prefix])

    def sync(self, prefix: str) -> None:
        """Do nothing: what an object store has taken is safe."""

    def measure(self, prefix: str) -> int:
        """Return the bytes of an object, or of all that lies below a prefix."""
        with object_errors(self._name):
            listed = [entry for batch in self._store.list(prefix) for entry in batch]
            if not listed:
                # What names one object is listed as none.
                with contextlib.suppress(FileNotFoundError):
                    listed = [self._store.head(prefix)]
        return sum(int(entry["size"]) for entry in listed)

    def _below(self, prefix: str) -> list[str]:
        return [str(entry["path"]) for batch in self._store.list(prefix) for entry in batch]


@contextlib.contextmanager
def held(target: Path | ObjectAddress) -> Iterator[Medium]:
    """Hold a place against other runs while the block works on it.

    Parameters
    ----------
    target : Path or ObjectAddress

    Yields
    ------
    Medium

    Raises
    ------
    StoreBusyError
        Another run holds the place.
    StoreError, OSError
        The place cannot be written to.
    """
    if isinstance(target, ObjectAddress):
        # Beside the store: whoever lists a Zarr group takes all that is in it for its members.
        above, _, name = target.url.rpartition("/")
        with object_errors(name), Lease(object_store(f"{above}/.{name}"), name) as lease:
            yield Bucket(target, lease)
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    # The same lock as of `aktes_xr.store.local`: whoever writes there, in whatever way, is alone.
    with locked(target.with_name(f".{target.name}.lock"), name=target.name):
        yield Folder(target)


@contextlib.contextmanager
def seen(target: Path | ObjectAddress) -> Iterator[Any]:
    """Yield how to look at a place without holding it.

    Parameters
    ----------
    target : Path or ObjectAddress

    Yields
    ------
    callable
        Is given a key, and returns the content; None where there is none.
    """
    if not isinstance(target, ObjectAddress):
        yield Folder(target).read
        return
    store = object_store(target.url)

    def read(key: str) -> bytes | None:
        try:
            return bytes(store.get(key).bytes())
        except FileNotFoundError:
            return None

    with object_errors(target.name):
        yield read
