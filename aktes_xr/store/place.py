"""Where a store lies: local paths only, and what counts as a store there."""

from __future__ import annotations

import os
from pathlib import Path

from aktes_xr.errors import InputError


def local_path(path: str | os.PathLike[str]) -> Path:
    """Return a store's path.

    Raises
    ------
    InputError
        It is no local one.
    """
    text = os.fspath(path)
    if "://" in text:
        raise InputError(
            f"the store's place begins with {text.split('://', 1)[0]}://: expected a local path, "
            "for only there is a store renamed into place at once; write locally and copy"
        )
    return Path(text)


def is_store(path: Path) -> bool:
    """Return whether a Zarr v3 store lies there."""
    return (path / "zarr.json").is_file()
