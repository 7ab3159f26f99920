"""Witnesses: the few clear dates of each season that a series keeps of every pixel.

What a hundred dates say of a pixel's emissivity is hardly more than what a dozen say, for their
errors have much in common. So a month keeps `ERAS` dates of a pixel and no more: its dates are cut
into as many runs of successive years, and of each run the surest observation of the pixel is kept.
That bounds the memory for any number of dates, lets a date be left out exactly, and keeps both what
was before a lasting change and what came after it.

An observation is eight numbers and the number of its date, as 16-bit integers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import dask.array as da
import numpy as np
import xarray as xr
from dask.base import tokenize
from dask.highlevelgraph import HighLevelGraph

from aktes_xr.cube.conditions import DOUBTFUL_CONDITIONS
from aktes_xr.cube.quality import DOUBTFUL, QualityFlag
from aktes_xr.sensor import BANDS, NEDT_SPECIFICATION_K

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Words = NDArray[np.uint16]

SEASON_MONTHS: Final = 2
"""Months on either side of a date's own that belong to its season."""
ERAS: Final = 3
_BANDS: Final = len(BANDS)
SIGMA, STATE, KELVIN, DATE = _BANDS, _BANDS + 1, _BANDS + 2, _BANDS + 3
"""Planes of an observation behind its emissivities: sigma over the bands, whether it is water, the
brightness temperature, and the number of its date."""
KEPT: Final = _BANDS + 4
PLANES: Final = KEPT + _BANDS
"""Planes of a date's own observation: behind those that a witness keeps, its sigma by band."""
STEP: Final = 50_000.0
"""An emissivity, or the sigma of one, is a number of steps of 2e-5."""
KELVIN_STEP: Final = 100.0
UNSEEN: Final = np.uint16(65_535)
"""Sigma where there is no observation."""
_LARGEST: Final = 65_534.0
_UNFIT: Final = np.uint16(DOUBTFUL | QualityFlag.FILL | QualityFlag.UNREADABLE)
_DOUBTFUL: Final = np.uint16(DOUBTFUL_CONDITIONS)


@dataclass(frozen=True)
class Seasons:
    """Which dates are kept together, and which of them speak for which month.

    Attributes
    ----------
    slots : tuple of tuple of int
        Numbers of dates of which one observation is kept for each pixel.
    months : tuple of int
        The month, 1 to 12, of each slot.
    """

    slots: tuple[tuple[int, ...], ...]
    months: tuple[int, ...]

    @classmethod
    def of(cls, months: Sequence[int]) -> Seasons:
        """Cut dates, which are in the order of time, into slots.

        Parameters
        ----------
        months : sequence of int
            Month of each date.

        Returns
        -------
        Seasons
        """
        slots, owners = [], []
        for month in sorted(set(months)):
            numbers = [n for n, one in enumerate(months) if one == month]
            for run in np.array_split(numbers, min(ERAS, len(numbers))):
                slots.append(tuple(int(number) for number in run))
                owners.append(month)
        return cls(tuple(slots), tuple(owners))

    def around(self, month: int) -> tuple[int, ...]:
        """Return the slots of the season around a month.

        Parameters
        ----------
        month : int

        Returns
        -------
        tuple of int
            Numbers of slots.
        """
        return tuple(number for number, own in enumerate(self.months) if in_season(own, month))


def in_season(month: int, other: int) -> bool:
    """Return whether two months, 1 to 12, belong to one season."""
    return min((month - other) % 12, (other - month) % 12) <= SEASON_MONTHS


def observations(result: xr.Dataset, brightness: xr.DataArray | None = None) -> da.Array:
    """Pack what a result says of emissivity, lazily, one date to a chunk.

    Parameters
    ----------
    result : Dataset
        Of a retrieval. Its ``closure_residual`` (K) widens sigma, where there is one.
    brightness : DataArray (time, y, x), K, optional
        Brightness temperature that is remembered beside it.

    Returns
    -------
    dask array (time, 14, y, x), uint16
    """
    emissivity = _whole(result["emissivity"])
    chunks = (emissivity.chunks[0], *emissivity.chunks[2:])
    extra: list[Any] = []
    for array in (result.get("closure_residual"), brightness):
        extra += [None, None] if array is None else [_whole(array).rechunk(chunks), "tyx"]
    flags = [_whole(result[name]).rechunk(chunks) for name in ("quality", "conditions")]
    sigma = _whole(result["emissivity_uncertainty"]).rechunk(emissivity.chunks)
    numbers = da.arange(emissivity.shape[0], chunks=(chunks[0],), dtype=np.uint16)
    packed: da.Array = da.blockwise(
        _pack, "toyx", emissivity, "tbyx", sigma, "tbyx", flags[0], "tyx", flags[1], "tyx",
        numbers, "t", *extra,
        new_axes={"o": PLANES}, concatenate=True, dtype=np.uint16,
        meta=np.empty((0, 0, 0, 0), np.uint16),
        name=f"aktes-observe-{tokenize(emissivity, sigma, flags, extra)}",
    )  # fmt: skip
    return packed


def _whole(array: xr.DataArray) -> da.Array:
    """Return an array as lazy chunks of one date and all bands."""
    lazy = array if array.chunks is not None else array.chunk()
    sizes = {0: 1, 1: -1} if array.ndim == 4 else {0: 1}
    chunked: da.Array = lazy.data.rechunk(sizes)
    return chunked


def _pack(
    emissivity: NDArray[Any],
    sigma: NDArray[Any],
    quality: NDArray[Any],
    conditions: NDArray[Any],
    number: NDArray[Any],
    residual: NDArray[Any] | None,
    brightness: NDArray[Any] | None,
) -> Words:
    out = np.zeros((emissivity.shape[0], PLANES, *emissivity.shape[2:]), np.uint16)
    quality, conditions = quality.astype(np.uint16), conditions.astype(np.uint16)
    fit = ((quality & _UNFIT) == 0) & ((conditions & _DOUBTFUL) == 0)
    fit &= np.isfinite(emissivity).all(axis=1) & np.isfinite(sigma).all(axis=1)
    fit &= emissivity.min(axis=1) > 0.0
    variance = (sigma**2).mean(axis=1)
    if residual is not None:
        # What the retrieval does not explain of the measurement, in units of the noise, is error.
        variance = variance * (1.0 + (np.nan_to_num(residual) / NEDT_SPECIFICATION_K) ** 2)
    with np.errstate(invalid="ignore"):
        steps = np.rint(np.where(fit[:, np.newaxis], emissivity, 0.0) * STEP)
        out[:, :_BANDS] = steps.astype(np.uint16)
        spread = np.clip(np.rint(np.sqrt(variance) * STEP), 1.0, _LARGEST)
        out[:, SIGMA] = np.where(fit, spread, UNSEEN).astype(np.uint16)
        by_band = np.clip(np.rint(sigma * STEP), 1.0, _LARGEST)
        out[:, KEPT:] = np.where(fit[:, np.newaxis], by_band, 1.0).astype(np.uint16)
        out[:, STATE] = (quality & QualityFlag.WATER) != 0
        if brightness is not None:
            kelvin = np.where(fit, np.nan_to_num(brightness), 0.0) * KELVIN_STEP
            out[:, KELVIN] = np.clip(np.rint(kelvin), 0.0, _LARGEST).astype(np.uint16)
    out[:, DATE] = number[:, np.newaxis, np.newaxis]
    return out


def witnesses(observed: da.Array, seasons: Seasons) -> da.Array:
    """Keep of each slot's dates the surest observation of each pixel, lazily.

    Date after date is looked at and let go, so that no more than two are in memory at once.

    Parameters
    ----------
    observed : dask array (time, 14, y, x), uint16
        What `observations` returned.
    seasons : Seasons
        Of its dates.

    Returns
    -------
    dask array (slot, 9, y, x), uint16
    """
    name = f"aktes-witness-{tokenize(observed.name, seasons)}"
    layer: dict[Any, Any] = {}
    for slot, dates in enumerate(seasons.slots):
        for row, column in np.ndindex(*observed.numblocks[2:]):
            keys = [(observed.name, date, 0, row, column) for date in dates]
            before: Any = None
            for number, key in enumerate(keys):
                last = number == len(keys) - 1
                own = (name, slot, 0, row, column) if last else (name, slot, number, row, column, 0)
                layer[own] = (_surer, before, key)
                before = own
    graph = HighLevelGraph.from_collections(name, layer, dependencies=[observed])
    chunks = ((1,) * len(seasons.slots), (KEPT,), *observed.chunks[2:])
    return da.Array(graph, name, chunks, dtype=np.uint16, meta=np.empty((0, 0, 0, 0), np.uint16))


def _surer(before: Words | None, observed: Words) -> Words:
    """Return of two observations the one with the smaller sigma; of equal ones the earlier."""
    own = observed[:, :KEPT]
    if before is None:
        return own.copy()
    better = own[:, SIGMA : SIGMA + 1] < before[:, SIGMA : SIGMA + 1]
    return np.where(better, own, before)
