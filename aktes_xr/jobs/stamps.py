"""Fingerprints: what a date depends on, as short texts that are the same in every process."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final, Literal

from aktes_xr.cube.grid import Grid
from aktes_xr.jobs.config import Job
from aktes_xr.models import load_bundle
from aktes_xr.retrieval.block import PHYSICAL

Redo = Literal["bundle", "settings", "ancillaries", "prior"]
REDO: Final[tuple[Redo, ...]] = ("bundle", "settings", "ancillaries", "prior")
"""What a date is made anew for only where that is asked for; ``prior``, in the second pass: the
other dates of its season."""
_DIGITS: Final = 16


def fingerprint(value: Any) -> str:
    """Return a hash of a value of JSON's types.

    Parameters
    ----------
    value : Any
        Whatever else is in it counts as its text.

    Returns
    -------
    str
    """
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:_DIGITS]


def stamps_of(job: Job, grid: Grid) -> dict[str, str]:
    """Return fingerprints of all that has a say in every date of a job.

    Parameters
    ----------
    job : Job
    grid : Grid
        Of its region.

    Returns
    -------
    dict of str
        By the names of `REDO` but ``prior``. Files of this machine count by name, size and time of
        change; a source that is named, such as ``era5``, by its name.

    Raises
    ------
    BundleError
        The bundle cannot be used.
    """
    method = job.retrieval.method
    clouds = [job.retrieval.clouds, job.retrieval.keep_cloudy]
    settings = [asdict(grid), method, _content(job.input.dem), *clouds, *_closure(job)]
    return {
        "bundle": "" if method in PHYSICAL else load_bundle(job.retrieval.bundle).sha256[:_DIGITS],
        "settings": fingerprint(settings),
        "ancillaries": fingerprint([*map(_content, job.input.ancillaries), *_masks(job)]),
    }


def _closure(job: Job) -> list[str]:
    """Return what tells closed dates apart; nothing where none is, as before any was."""
    return ["closure"] if job.retrieval.closure else []


def _masks(job: Job) -> list[Any]:
    """Return what tells cloud masks apart; nothing where there are none, as before there were."""
    masks = [_content(source) for source in job.input.cloud_mask]
    return [["cloud_mask", *masks]] if masks else []


def _content(source: str | None) -> list[Any]:
    """Return what tells a file or a folder from a changed one."""
    if source is None or "://" in source or not Path(source).exists():
        return [source]
    path = Path(source)
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    found: list[Any] = [path.name]
    for file in files:
        state = file.stat()
        found.append([file.name, state.st_size, state.st_mtime_ns])
    return found
