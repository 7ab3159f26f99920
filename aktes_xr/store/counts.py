"""What a result's dates hold.

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
NO_CLEAR_REFERENCE: Final = "dates_without_clear_reference"
"""Attribute of a store that names the dates which are `Counts.overcast`."""
_METHODS: Final = (
    QualityFlag.RETRIEVED_BY_TEACHER,
    QualityFlag.RETRIEVED_BY_STUDENT,
    QualityFlag.RETRIEVED_BY_FUSION,
    QualityFlag.RETRIEVED_BY_TES,
    QualityFlag.RETRIEVED_BY_SPLIT_WINDOW,
)
_CONDITIONS: Final = (QualityFlag.UNREADABLE, QualityFlag.FILL, QualityFlag.CLOUD)
N_COUNTS: Final = 2 + len(_CONDITIONS) + len(_METHODS)
"""Numbers of a date: pixels, valid and unreadable ones, fill, cloud, and by whom retrieved."""


@dataclass(frozen=True)
class Counts:
    """Pixels of each date.

    Attributes
    ----------
    pixels, valid, unreadable, fill, cloudy : ndarray (time), int64
        All; those with a temperature; fill because a file could not be read; fill; cloud.
    retrieved : mapping of QualityFlag to ndarray (time), int64
        By each method, as the flags say.
    """

    pixels: NDArray[np.int64]
    valid: NDArray[np.int64]
    unreadable: NDArray[np.int64]
    fill: NDArray[np.int64]
    cloudy: NDArray[np.int64]
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
        pixels, valid, unreadable, fill, cloudy, *by = numbers.T
        return cls(pixels, valid, unreadable, fill, cloudy, dict(zip(_METHODS, by, strict=True)))

    @property
    def overcast(self) -> NDArray[np.bool_]:
        """Dates on which all that was measured is cloud, so that nothing is clear to compare with.

        A cloud test judges a pixel beside its scene: here it had none to judge by.
        """
        measured = self.pixels - self.fill
        return np.asarray((measured > 0) & (self.cloudy >= measured))


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


def _per_date(hit: NDArray[Any]) -> NDArray[np.int64]:
    return np.asarray(np.count_nonzero(hit, axis=(1, 2)), np.int64)
