"""Projected peak memory of a worker, and what to do where it is too much.

The peak of a worker with one thread is an upper estimate,

    process + held * input + output + terrain,

with the input held for a row of chunks and two, which wait for their neighbours' edges; the
planes of `aktes_xr.retrieval.tiles`, and as much again while they are written; and the terrain's
planes of the whole region, which one worker may have to keep from one date to the next.
`aktes bench scale` prints a worker's peak beside the projection.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import xarray as xr
from dask.utils import format_bytes

from aktes_xr.machine import PROCESS_BYTES
from aktes_xr.retrieval.tiles import N_PLANES, STATIC

_CHUNK_STEP: Final = 64


@dataclass(frozen=True)
class MemoryModel:
    """What a worker holds.

    Attributes
    ----------
    input, ancillary : int
        Bytes per pixel and date of ``tir`` and of fields beside it.
    terrain : int
        Bytes per pixel of the static planes.
    halo : int
        Pixels around a chunk.
    shape : (y, x), of the region
    """

    input: int
    halo: int
    ancillary: int
    terrain: int
    shape: tuple[int, int]

    @classmethod
    def of(cls, ds: xr.Dataset, *, halo: int) -> MemoryModel:
        """Read the bytes per pixel off a cube."""
        ancillary = sum(
            ds[name].dtype.itemsize
            for name in ds.data_vars
            if name != "tir" and {"time", "y", "x"} <= set(ds[name].dims)
        )
        absent = {
            "emissivity_prior": sum(name.startswith("emissivity_prior") for name in STATIC),
            "ancillary_elevation": 1,
        }
        planes = len(STATIC) - sum(count for name, count in absent.items() if name not in ds)
        static = any({"y", "x"} == set(ds[name].dims) for name in ds.data_vars)
        size = ds["tir"].dtype.itemsize * ds.sizes["band"]
        shape = (ds.sizes["y"], ds.sizes["x"])
        return cls(size, halo, ancillary, 4 * planes if static else 0, shape)

    def peak(self, chunk: tuple[int, int, int]) -> int:
        """Projected peak of a worker, bytes."""
        dates, rows, columns = chunk
        pixels = dates * rows * columns
        padded = dates * (rows + 2 * self.halo) * (columns + 2 * self.halo)
        blocks = math.ceil(self.shape[0] / rows) * math.ceil(self.shape[1] / columns)
        held = min(math.ceil(self.shape[1] / columns) + 2, blocks) if self.halo else 1
        inputs = self.input * (held * pixels + padded) + self.ancillary * pixels
        planes = 2 * 4 * N_PLANES * pixels
        return PROCESS_BYTES + inputs + planes + self.terrain * math.prod(self.shape)


def remedy(memory: MemoryModel, chunk: tuple[int, int, int], available: int) -> str:
    """Say what does not fit, and which chunks or which memory would do."""
    dates, rows, columns = chunk
    needed = memory.peak(chunk)
    found = (
        f"a block of {dates} date(s) x {rows} x {columns} pixels needs {format_bytes(needed)} in a "
        f"worker of {format_bytes(available)}"
    )
    for side in range(min(rows, columns), 0, -_CHUNK_STEP):
        for count in sorted({dates, 1}, reverse=True):
            if memory.peak((count, side, side)) <= available:
                return (
                    f"{found}: use chunks of at most {count} date(s) x {side} x {side} pixels, as "
                    f"with open_stac(..., chunks={side}), or workers of {format_bytes(needed)}"
                )
    return f"{found}, and no smaller chunk fits: use workers of at least {format_bytes(needed)}"
