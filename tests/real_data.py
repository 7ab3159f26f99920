"""Files of real measurements, which are too large or not ours to ship."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

VARIABLE = "AKTES_REAL_DATA"


def real_files(folder: str) -> Path:
    """Return a folder of real files, or skip the test and say why."""
    root = os.environ.get(VARIABLE)
    if root is None:
        pytest.skip(f"set {VARIABLE} to the folder of real data that holds {folder!r}")
    found = next((path for path in sorted(Path(root).rglob(folder)) if path.is_dir()), None)
    if found is None:
        pytest.skip(f"{VARIABLE} names a folder without {folder!r} anywhere below it")
    return found
