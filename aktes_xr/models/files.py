"""Reading a bundle's files from a directory or a zip, local or remote."""

from __future__ import annotations

import hashlib
import io
import os
import stat
import sys
import zipfile
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

import fsspec

from aktes_xr.errors import (
    BundleError,
    BundleIntegrityError,
    BundleNotFoundError,
    UnsafeBundleError,
)

LIMIT_BYTES: Final = 256 * 2**20
"""Larger than any bundle should be: what keeps a forged archive from filling the memory."""
MANIFEST_LIMIT_BYTES: Final = 8 * 2**20

_UNREADABLE: Final = (OSError, ValueError, EOFError, RuntimeError, NotImplementedError, zlib.error)
"""What the zip module raises on damaged, encrypted or unknown members (`BadZipFile` aside)."""


@dataclass(frozen=True)
class BundleFiles:
    """A bundle's manifest and a way to read the files it lists, up to so many bytes of each."""

    manifest: bytes
    fetch: Callable[[str, int], bytes]

    def read(self, name: str, entry: Mapping[str, Any]) -> bytes:
        """Read one listed file and verify its size and hash.

        Parameters
        ----------
        name : str
            The file's name.
        entry : mapping
            The manifest's entry, with ``bytes`` and ``sha256``.

        Returns
        -------
        bytes
            The file's content.

        Raises
        ------
        BundleIntegrityError
        UnsafeBundleError
            It is larger than any bundle's file should be.
        """
        size, digest = int(entry["bytes"]), str(entry["sha256"])
        if size > LIMIT_BYTES:
            raise UnsafeBundleError(
                f"{name} has {size} bytes; a bundle's file has at most {LIMIT_BYTES}"
            )
        data = self.fetch(name, size + 1)
        if len(data) != size:
            found = f"more than {size}" if len(data) > size else str(len(data))
            raise BundleIntegrityError(
                f"{name} has {found} bytes, its manifest says {size}: the bundle is truncated or "
                "was changed; fetch it again"
            )
        if hashlib.sha256(data).hexdigest() != digest:
            raise BundleIntegrityError(
                f"{name} is not what its SHA-256 in the manifest says: the bundle was changed or "
                "damaged; fetch it again"
            )
        return data


def read_files(location: str, manifest: str) -> BundleFiles:
    """Open a bundle.

    Parameters
    ----------
    location : str
        Directory, ``.zip``, or an fsspec URL of either.
    manifest : str
        Name of the manifest inside it.

    Raises
    ------
    BundleNotFoundError
        Nothing is there, or it has no manifest.
    BundleIntegrityError, UnsafeBundleError
        A zip that is not whole, or not what a bundle should be.
    BundleError
        The place could not be read.
    """
    shown = _shown(location)
    try:
        filesystem, root = fsspec.core.url_to_fs(location)
        if urlsplit(location).path.endswith(".zip"):
            return _from_zip(_content(filesystem, root, LIMIT_BYTES + 1), manifest, shown)
        raw = _content(filesystem, _inside(root, manifest), MANIFEST_LIMIT_BYTES + 1)
    except (FileNotFoundError, NotADirectoryError):
        # fsspec says so of refused downloads too, and quotes the URL with its signature.
        raise BundleNotFoundError(
            f"no bundle at {shown}, or no access to it: expected a directory or zip with {manifest}"
        ) from None
    except BundleError:
        raise
    except _access_errors() as error:
        raise _not_read(f"the bundle at {shown}", error) from None

    def fetch(name: str, limit: int) -> bytes:
        try:
            return _content(filesystem, _inside(root, name), limit)
        except FileNotFoundError:
            raise BundleIntegrityError(
                f"{name} is listed in the manifest but is not in the bundle"
            ) from None
        except _access_errors() as error:
            raise _not_read(f"{name} of the bundle at {shown}", error) from None

    return BundleFiles(_small(raw, MANIFEST_LIMIT_BYTES, manifest), fetch)


def _content(filesystem: Any, path: str, limit: int) -> bytes:
    """Read a file up to so many bytes; a local one must be a plain file, for a pipe could hang."""
    if "file" in filesystem.protocol:
        mode = os.stat(path).st_mode
        if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
            raise UnsafeBundleError(
                f"{_shown(path).rsplit('/', 1)[-1]} is a pipe or a device; a bundle has plain files"
            )
    with filesystem.open(path, "rb") as file:
        return bytes(file.read(limit))


def _from_zip(data: bytes, manifest: str, shown: str) -> BundleFiles:
    try:
        archive = zipfile.ZipFile(io.BytesIO(_small(data, LIMIT_BYTES, shown)))
    except (zipfile.BadZipFile, *_UNREADABLE) as error:
        if isinstance(error, BundleError):
            raise
        raise BundleIntegrityError(
            f"{shown} is not a complete zip file ({error}); fetch it again"
        ) from error
    members = check_members(archive, shown)
    if manifest not in members:
        raise BundleNotFoundError(f"no bundle at {shown}: the zip has no {manifest}")

    def fetch(name: str, limit: int) -> bytes:
        if name not in members:
            raise BundleIntegrityError(f"{name} is listed in the manifest but is not in the zip")
        try:
            with archive.open(members[name]) as file:
                return file.read(limit)
        except (zipfile.BadZipFile, *_UNREADABLE) as error:
            raise BundleIntegrityError(f"{name} in the zip is damaged ({error})") from error

    raw = fetch(manifest, MANIFEST_LIMIT_BYTES + 1)
    return BundleFiles(_small(raw, MANIFEST_LIMIT_BYTES, manifest), fetch)


def check_members(archive: zipfile.ZipFile, shown: str) -> dict[str, zipfile.ZipInfo]:
    """List a zip's files by name; their declared sizes are what reading them stops at.

    Parameters
    ----------
    archive : zipfile.ZipFile
        An open archive.
    shown : str
        Name of the archive in messages.

    Returns
    -------
    dict of str to zipfile.ZipInfo
        Entries by name, without folders.

    Raises
    ------
    UnsafeBundleError
        A file in a folder, or more than a bundle should hold: a zip of a few kilobytes can declare
        gigabytes.
    """
    members = {info.filename: info for info in archive.infolist() if not info.is_dir()}
    for name in members:
        if "/" in name or "\\" in name:
            raise UnsafeBundleError(
                f"{shown} holds {name!r}; a bundle's files lie side by side at its top"
            )
    total = sum(info.file_size for info in members.values())
    if total > LIMIT_BYTES:
        raise UnsafeBundleError(
            f"{shown} would unpack to {total} bytes, expected at most {LIMIT_BYTES}: too large to "
            "load"
        )
    return members


def _small(data: bytes, limit: int, shown: str) -> bytes:
    if len(data) > limit:
        raise UnsafeBundleError(f"{shown} has more than {limit} bytes: too large to load")
    return data


def _access_errors() -> tuple[type[Exception], ...]:
    """List what opening a place raises; fsspec hands on the HTTP client's own errors."""
    http = getattr(sys.modules.get("aiohttp"), "ClientError", OSError)
    return (OSError, ValueError, ImportError, http)


def _not_read(what: str, error: Exception) -> BundleError:
    # A message of fsspec's may quote the whole URL, with its signature.
    return BundleError(
        f"{what} could not be read ({type(error).__name__}); check the address and the access to it"
    )


def _inside(root: str, name: str) -> str:
    """Name a file of a directory; the signature of a URL stays behind its path."""
    if urlsplit(root).scheme in ("http", "https"):
        path, mark, query = root.partition("?")
        return f"{path.rstrip('/')}/{name}{mark}{query}"
    return f"{root.rstrip('/')}/{name}"


def _shown(location: str) -> str:
    """Return the location without what may be a credential or a private path."""
    parts = urlsplit(location)
    if parts.scheme and parts.netloc:
        return f"{parts.scheme}://{parts.hostname or ''}{parts.path}"
    return location
