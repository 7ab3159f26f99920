"""What a result's dates hold, and when one result is worse than another.

A block's pixels are counted by the task that writes them. Nothing that was written is read again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import xarray as xr

from aktes_xr.cube.quality import METHOD_MASK, QualityFlag

if TYPE_CHECKING:
    from numpy.typing import NDArray

MEASURE: Final = "surface_temperature"
"""What a pixel must have to count as valid."""
FLAGS: Final = "quality"
_METHODS: Final = (
    QualityFlag.RETRIEVED_BY_TEACHER,
    QualityFlag.RETRIEVED_BY_STUDENT,
    QualityFlag.RETRIEVED_BY_FUSION,
    QualityFlag.RETRIEVED_BY_TES,
    QualityFlag.RETRIEVED_BY_SPLIT_WINDOW,
)
_CONDITIONS: Final = (QualityFlag.UNREADABLE, QualityFlag.FILL)
N_COUNTS: Final = 2 + len(_CONDITIONS) + len(_METHODS)
"""Numbers kept of a date: pixels, valid ones, unreadable ones, fill, and by whom retrieved."""
WORSE_BELOW: Final = 0.5


@dataclass(frozen=True)
class Counts:
    """Pixels of each date.

    Attributes
    ----------
    pixels, valid, unreadable, fill : ndarray (time), int64
        All; those with a temperature; fill because a file could not be read; fill.
    retrieved : mapping of QualityFlag to ndarray (time), int64
        By each method, as the flags say.
    """

    pixels: NDArray[np.int64]
    valid: NDArray[np.int64]
    unreadable: NDArray[np.int64]
    fill: NDArray[np.int64]
    retrieved: Mapping[QualityFlag, NDArray[np.int64]]

    @classmethod
    def of(cls, numbers: NDArray[np.int64]) -> Counts:
        """Give names to the numbers that `count_pixels` returns.

        Parameters
        ----------
        numbers : ndarray (time, N_COUNTS), int64
            Counts of pixels.

        Returns
        -------
        Counts
        """
        pixels, valid, unreadable, fill, *by = numbers.T
        return cls(pixels, valid, unreadable, fill, dict(zip(_METHODS, by, strict=True)))


def count_pixels(block: xr.Dataset) -> NDArray[np.int64]:
    """Count the pixels of a result, or of a block of one.

    Parameters
    ----------
    block : Dataset
        In memory, with `MEASURE` (time, y, x) and, where it has them, `FLAGS`.

    Returns
    -------
    ndarray (time, `N_COUNTS`), int64
    """
    temperature = block[MEASURE].transpose("time", "y", "x").to_numpy()
    numbers = np.zeros((len(temperature), N_COUNTS), np.int64)
    numbers[:, 0] = temperature[0].size if len(temperature) else 0
    numbers[:, 1] = _per_date(~np.isnan(temperature))
    if FLAGS in block:
        quality = block[FLAGS].transpose("time", "y", "x").to_numpy()
        for place, flag in enumerate(_CONDITIONS, start=2):
            numbers[:, place] = _per_date(quality & np.uint16(flag))
        by = quality & np.uint16(METHOD_MASK)
        for place, flag in enumerate(_METHODS, start=2 + len(_CONDITIONS)):
            numbers[:, place] = _per_date(by == np.uint16(flag))
    return numbers


def is_counted(ds: xr.Dataset) -> bool:
    """Return whether a dataset is the result of a retrieval.

    That is one with a floating-point temperature (time, y, x). Its quality flags, if there are any,
    are uint16 on the same dimensions.

    Parameters
    ----------
    ds : Dataset
        Any dataset.

    Returns
    -------
    bool
    """
    return (
        MEASURE in ds.data_vars
        and set(ds[MEASURE].dims) == {"time", "y", "x"}
        and ds[MEASURE].dtype.kind == "f"
        and (FLAGS not in ds or set(ds[FLAGS].dims) == {"time", "y", "x"})
        and (FLAGS not in ds or ds[FLAGS].dtype == np.uint16)
    )


def why_worse(new: xr.Dataset, counts: Counts, old: xr.Dataset) -> str | None:
    """Say why a result must not replace another one; None where it may.

    It is worse where it has no temperature at all and the other has some. It is also worse where,
    on the dates that both have, two things are true: it has less than half (`WORSE_BELOW`) of the
    other's share of pixels with a temperature, *and* less than half of the ground. A larger or a
    smaller area is not worse by itself.

    Parameters
    ----------
    new : Dataset
        The new result; only its coordinates are read.
    counts : Counts
        Of the new result.
    old : Dataset
        The result in place, lazy; read only where that can make a difference.

    Returns
    -------
    str or None
        What was found, as the beginning of a message.
    """
    if not is_counted(old):
        return None
    shared = np.isin(new["time"].to_numpy(), old["time"].to_numpy())
    valid, pixels = int(counts.valid[shared].sum()), int(counts.pixels[shared].sum())
    compared = f"for the {int(shared.sum())} dates that both have"
    if not shared.any():
        valid, pixels = int(counts.valid.sum()), int(counts.pixels.sum())
        compared = "and they have no date in common"
        if valid:
            return None
    share = valid / max(pixels, 1)
    if share >= WORSE_BELOW:
        return None
    before = old[MEASURE]
    if shared.any():
        before = before.isel(time=np.isin(old["time"].to_numpy(), new["time"].to_numpy()))
    # On this machine: a cluster is asked only for what the new result needs.
    old_valid = int(before.count().compute(scheduler="threads"))
    old_share = old_valid / max(before.size, 1)
    less_ground = valid * _pixel_area(new) < WORSE_BELOW * old_valid * _pixel_area(old)
    if not (share < WORSE_BELOW * old_share and less_ground):
        return None
    unreadable = int(counts.unreadable.sum()) / max(int(counts.pixels.sum()), 1)
    return (
        f"the new result has a temperature in {share:.2%} of the pixels, the old one in "
        f"{old_share:.2%}, {compared}; {unreadable:.2%} of the new one could not be read"
    )


def _per_date(hit: NDArray[Any]) -> NDArray[np.int64]:
    return np.asarray(np.count_nonzero(hit, axis=(1, 2)), np.int64)


def _pixel_area(ds: xr.Dataset) -> float:
    """Return a pixel's area in the grid's own units squared."""
    sides = [abs(float(ds[d][-1] - ds[d][0])) / max(ds.sizes[d] - 1, 1) for d in ("y", "x")]
    return sides[0] * sides[1]
