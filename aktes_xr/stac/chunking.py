"""Lengths of a cube's chunks: as asked for, or picked to suit a worker's memory and the store."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal

import dask
from dask.utils import parse_bytes

from aktes_xr.cube import CHUNK_STEP
from aktes_xr.errors import InputError
from aktes_xr.machine import PROCESS_BYTES, workers_and_memory
from aktes_xr.sensor import BANDS

Chunks = Literal["auto"] | int | tuple[int, int] | Mapping[str, int]

_COPIES = 6
"""A retrieval holds about this many float32 copies of a chunk's five bands."""
_SHARE = 2
"""They may fill half of the memory that a thread's process leaves. Neighbours' edges and terrain
need the other half.
"""


def chunk_lengths(chunks: Chunks, shape: tuple[int, int, int]) -> tuple[int, int, int, int]:
    """Return the chunk lengths along time, band, y and x.

    Parameters
    ----------
    chunks : ``"auto"``, pixels per side, (y, x), or a mapping of time, y, x; -1 is a whole axis.
        ``"auto"`` takes a date whole, or squares of a multiple of `aktes_xr.cube.CHUNK_STEP`
        pixels, so that six float32 copies of a chunk fit into Dask's ``array.chunk-size`` and into
        half of the memory that a thread, on the current cluster or this machine, has besides what
        its process takes.
    shape : (time, y, x)

    Raises
    ------
    InputError
        An axis is unknown, or a length is not positive.
    """
    _, height, width = shape
    time = 1
    if chunks == "auto":
        rows, columns = _auto(height, width)
    elif isinstance(chunks, int):
        rows = columns = chunks
    elif isinstance(chunks, Mapping):
        unknown = set(chunks) - {"time", "band", "y", "x"}
        if unknown:
            raise InputError(f"chunks names {', '.join(sorted(unknown))}: expected time, y, x")
        time = chunks.get("time", 1)
        rows, columns = chunks.get("y", height), chunks.get("x", width)
    else:
        rows, columns = chunks
    lengths = [
        full if length == -1 else min(length, full)
        for length, full in zip((time, rows, columns), shape, strict=True)
    ]
    if min(lengths) < 1:
        raise InputError(f"chunks is {chunks!r}, expected positive lengths, -1 or 'auto'")
    return lengths[0], len(BANDS), lengths[1], lengths[2]


def _auto(height: int, width: int) -> tuple[int, int]:
    _, memory = workers_and_memory()
    left = max(memory - PROCESS_BYTES, 0)
    allowed = min(parse_bytes(dask.config.get("array.chunk-size")), left // _SHARE)
    pixels = allowed // (4 * len(BANDS) * _COPIES)
    if height * width <= pixels:
        return height, width
    side = max(math.isqrt(pixels) // CHUNK_STEP, 1) * CHUNK_STEP
    return side, side
