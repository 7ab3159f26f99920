"""Reading a bundle's files from a directory or a zip, local or remote."""

from __future__ import annotations

import hashlib
import io
import zipfile
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


@dataclass(frozen=True)
class BundleFiles:
    """A bundle's manifest and a way to read the files it lists."""

    manifest: bytes
    fetch: Callable[[str, int], bytes]

    def read(self, name: str, entry: Mapping[str, Any]) -> bytes:
        """Read one listed file and verify its size and hash.

        Raises
        ------
        BundleIntegrityError
        """
        size, digest = int(entry["bytes"]), str(entry["sha256"])
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
    BundleError
        The place could not be read.
    """
    shown = _shown(location)
    try:
        filesystem, root = fsspec.core.url_to_fs(location)
        if urlsplit(location).path.endswith(".zip"):
            return _from_zip(filesystem.cat_file(root), manifest, shown)
        root = root.rstrip("/")

        def fetch(name: str, limit: int) -> bytes:
            try:
                with filesystem.open(f"{root}/{name}", "rb") as file:
                    return bytes(file.read(limit))
            except FileNotFoundError as error:
                raise BundleIntegrityError(
                    f"{name} is listed in the manifest but is not in the bundle"
                ) from error

        return BundleFiles(filesystem.cat_file(f"{root}/{manifest}"), fetch)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise BundleNotFoundError(
            f"no bundle at {shown}: expected a directory or zip with {manifest}"
        ) from error
    except (OSError, ValueError, ImportError) as error:
        if isinstance(error, BundleError):
            raise
        # A message of fsspec's may quote the whole URL, with its signature.
        raise BundleError(
            f"the bundle at {shown} could not be read ({type(error).__name__}); check the address "
            "and the access to it"
        ) from None


def _from_zip(data: bytes, manifest: str, shown: str) -> BundleFiles:
    try:
        archive = zipfile.ZipFile(io.BytesIO(data))
    except zipfile.BadZipFile as error:
        raise BundleIntegrityError(
            f"{shown} is not a complete zip file ({error}); fetch it again"
        ) from error
    members = {info.filename: info for info in archive.infolist() if not info.is_dir()}
    for name, info in members.items():
        if "/" in name or "\\" in name:
            raise UnsafeBundleError(
                f"the zip holds {name!r}; a bundle's files lie side by side at its top"
            )
        if info.file_size > LIMIT_BYTES:
            raise UnsafeBundleError(f"{name} declares {info.file_size} bytes: too large to load")
    if manifest not in members:
        raise BundleNotFoundError(f"no bundle at {shown}: the zip has no {manifest}")

    def fetch(name: str, limit: int) -> bytes:
        if name not in members:
            raise BundleIntegrityError(f"{name} is listed in the manifest but is not in the zip")
        try:
            with archive.open(members[name]) as file:
                return file.read(limit)
        except (zipfile.BadZipFile, EOFError, OSError) as error:
            raise BundleIntegrityError(f"{name} in the zip is damaged ({error})") from error

    return BundleFiles(fetch(manifest, LIMIT_BYTES), fetch)


def _shown(location: str) -> str:
    """Return the location without what may be a credential or a private path."""
    parts = urlsplit(location)
    if parts.scheme and parts.netloc:
        return f"{parts.scheme}://{parts.hostname or ''}{parts.path}"
    return location
