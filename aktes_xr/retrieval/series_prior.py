"""The emissivity that the other dates of a season show, with what it errs by; and clear background.

For each pixel and date the prior is the mean of witnesses (`aktes_xr.retrieval.witnesses`) weighed
by their own variances. The date itself has no say, so that nothing depends on itself twice; nor has
one that is water where the date is not, or the other way round. The others are parted by one
another into two grounds: those that differ from the surest by no more than both err, and of the
rest those that agree with the surest of them. The date's own first pass only chooses between the
two, or rejects both: there the ground has changed, there is no prior, and the date keeps what it
says by itself.

Errors of single dates are not independent: networks shrink all dates of a surface towards what is
common, so that most of a date's error comes again on every other date. The mean of n dates is told
with the error

    sigma^2 = k^2 s^2 [ rho + (1 - rho) n_eff^-1 ],    n_eff = (sum w)^2 / sum w^2,

with s^2 the witnesses' mean variance, of which the part that is not common is replaced by the
measured scatter where that is larger. The factor k is there because networks take the error of what
they are told for one that is independent of their own; this one is not. `COMMON` (rho), `WIDENING`
(k), `UNLIKE` and the bands' correlation were fitted on simulated series over surfaces and air of
the split "validation"; `aktes bench series --part two-pass` judges them on others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import dask.array as da
import numpy as np
from dask.base import tokenize
from dask.highlevelgraph import HighLevelGraph

from aktes_xr.retrieval.witnesses import (
    DATE,
    KELVIN,
    KELVIN_STEP,
    KEPT,
    SIGMA,
    STATE,
    STEP,
    UNSEEN,
    Seasons,
)
from aktes_xr.sensor import BANDS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from aktes_xr.compilation import Float32Array

    Words = NDArray[np.uint16]

COMMON: Final = 0.5
"""Share of a single date's error variance that all dates of a pixel have in common (rho)."""
WIDENING: Final = 1.5
UNLIKE: Final = 2.0
"""Two are of other ground if their squared distance, over its expectation, exceeds this."""
CORRELATION: Final = np.array(
    [
        [1.00, 0.90, 0.70, 0.38, 0.36],
        [0.90, 1.00, 0.87, 0.59, 0.52],
        [0.70, 0.87, 1.00, 0.79, 0.74],
        [0.38, 0.59, 0.79, 1.00, 0.90],
        [0.36, 0.52, 0.74, 0.90, 1.00],
    ]
)
"""Of the bands in what the errors of two dates differ by."""
_WHITENING: Final = np.linalg.inv(np.linalg.cholesky(CORRELATION)).astype(np.float32)
_BANDS: Final = len(BANDS)
UNCERTAINTY, BACKGROUND, USED, OFFERED = _BANDS, 2 * _BANDS, 2 * _BANDS + 1, 2 * _BANDS + 2
"""Planes behind the prior's five: its sigma by band, the background (K), how many dates the prior
is made of, and how many there were."""
PLANES: Final = OFFERED + 1
_SLAB_PIXELS: Final = 8_192
"""Pixels that are worked on at once, so that what is made on the way stays small."""


def series_prior(
    observed: da.Array, kept: da.Array, seasons: Seasons, months: Sequence[int]
) -> da.Array:
    """Make the prior of each date, lazily.

    Parameters
    ----------
    observed : dask array (time, 14, y, x), uint16
        The dates' own first pass (`aktes_xr.retrieval.witnesses.observations`).
    kept : dask array (slot, 9, y, x), uint16
        What `aktes_xr.retrieval.witnesses.witnesses` returned; chunks along y and x are alike.
    seasons : Seasons
        Of its slots.
    months : sequence of int
        Month of each date.

    Returns
    -------
    dask array (time, 13, y, x), float32
        Prior by band, its sigma by band, background (K), dates used, dates offered. NaN where
        there is no prior or background.
    """
    name = f"aktes-recall-{tokenize(observed.name, kept.name, seasons, tuple(months))}"
    layer = {}
    for date, month in enumerate(months):
        slots = seasons.around(month)
        for row, column in np.ndindex(*observed.numblocks[2:]):
            others = [(kept.name, slot, 0, row, column) for slot in slots]
            own = (observed.name, date, 0, row, column)
            layer[(name, date, 0, row, column)] = (recall, own, others)
    graph = HighLevelGraph.from_collections(name, layer, dependencies=[observed, kept])
    chunks = (observed.chunks[0], (PLANES,), *observed.chunks[2:])
    return da.Array(graph, name, chunks, dtype=np.float32, meta=np.empty((0, 0, 0, 0), np.float32))


def recall(own: Words, others: Sequence[Words]) -> Float32Array:
    """Make the prior of one date of a chunk.

    Parameters
    ----------
    own : ndarray (1, 14, y, x), uint16
        The date's observation.
    others : sequence of ndarray (1, 9, y, x), uint16
        Witnesses of its season, itself perhaps among them.

    Returns
    -------
    ndarray (1, 13, y, x), float32
    """
    rows, columns = own.shape[2:]
    out = np.full((1, PLANES, rows * columns), np.nan, np.float32)
    out[0, USED:] = 0.0
    if others:
        flat = own[0].reshape(own.shape[1], -1)
        witnesses = [one[0].reshape(KEPT, -1) for one in others]
        for start in range(0, rows * columns, _SLAB_PIXELS):
            part = slice(start, start + _SLAB_PIXELS)
            stacked = np.stack([one[:, part] for one in witnesses])
            _recall(flat[:, part], stacked, out[0, :, part])
    return out.reshape(1, PLANES, rows, columns)


def _recall(own: Words, others: Words, out: Float32Array) -> None:
    """Fill ``out`` (13, pixel) from an observation (14, pixel) and witnesses (n, 9, pixel)."""
    offered = (others[:, SIGMA] != UNSEEN) & (others[:, DATE] != own[DATE])
    out[OFFERED] = offered.sum(axis=0)
    kelvin = np.where(offered, others[:, KELVIN], 0).astype(np.float32)
    seen = kelvin > 0.0
    with np.errstate(invalid="ignore"):
        out[BACKGROUND] = kelvin.sum(axis=0) / seen.sum(axis=0) / np.float32(KELVIN_STEP)
    alike = offered & (own[SIGMA] != UNSEEN) & (others[:, STATE] == own[STATE])
    emissivity = others[:, :_BANDS].astype(np.float32) / np.float32(STEP)
    variance = (others[:, SIGMA].astype(np.float32) / np.float32(STEP)) ** 2
    measured = own[:_BANDS].astype(np.float32) / np.float32(STEP)
    sigma = own[KEPT:].astype(np.float32) / np.float32(STEP)
    own_variance = (sigma**2).mean(axis=0)
    # How the error is shared out among the bands is much the same on all dates.
    shape = sigma / np.sqrt(own_variance)
    precision = np.where(alike, 1.0 / np.maximum(variance, 1e-12), 0.0)
    likest = np.full(own_variance.shape, np.inf)
    for group in _groups(emissivity, variance, precision, shape):
        found = np.full((BACKGROUND, own_variance.size), np.nan, np.float32)
        weight = np.where(group, precision, 0.0)
        _mean(emissivity, variance, weight, shape, found)
        with np.errstate(invalid="ignore", divide="ignore"):
            # With weights of one over the variance, that of the mean is one over their sum.
            error = own_variance + 1.0 / weight.sum(axis=0)
        distance = _distance((found[:_BANDS] - measured)[np.newaxis], shape, error[np.newaxis])[0]
        here = distance < np.minimum(likest, UNLIKE)
        out[:BACKGROUND, here] = found[:, here]
        out[USED, here] = group.sum(axis=0)[here]
        likest = np.where(here, distance, likest)


def _groups(emissivity: Any, variance: Any, precision: Any, shape: Any) -> list[Any]:
    """Part witnesses (n, pixel) into those of the same ground as the surest, and the rest likewise.

    Which ground a date is of must not be told by that date itself, or its own error would choose
    its witnesses.
    """
    left, groups = precision > 0.0, []
    for _ in range(2):
        surest = np.where(left, precision, 0.0).argmax(axis=0)
        seed = np.take_along_axis(emissivity, surest[np.newaxis, np.newaxis], axis=0)
        spread = variance + np.take_along_axis(variance, surest[np.newaxis], axis=0)
        distance = _distance(emissivity - seed, shape, spread)
        group = left & (distance < np.float32(UNLIKE))
        groups.append(group)
        left = left & ~group
    return groups


def _distance(difference: Any, shape: Any, variance: Any) -> Any:
    """Return squared distances (n, pixel) over their expectation for the same ground."""
    scaled = difference / shape / np.sqrt(variance * np.float32(1.0 - COMMON))[:, np.newaxis]
    white = np.einsum("ij,njp->nip", _WHITENING, scaled)
    return (white**2).mean(axis=1)


def _mean(emissivity: Any, variance: Any, weight: Any, shape: Any, out: Float32Array) -> None:
    """Write the mean of witnesses, and what it errs by."""
    total = weight.sum(axis=0)
    some = total > 0.0
    with np.errstate(invalid="ignore", divide="ignore"):
        prior = (weight[:, np.newaxis] * emissivity).sum(axis=0) / total
        effective = total**2 / (weight**2).sum(axis=0)
        mean_variance = (weight * variance).sum(axis=0) / total
        deviation = ((emissivity - prior) / shape) ** 2
        scatter = (weight * deviation.mean(axis=1)).sum(axis=0) / total
        # The mean of few was fitted to them.
        scatter = np.where(effective > 1.01, scatter * effective / (effective - 1.0), 0.0)
        single = np.maximum((1.0 - COMMON) * mean_variance, scatter)
        sigma = WIDENING * np.sqrt(COMMON * mean_variance + single / effective)
        out[:_BANDS] = np.where(some, prior, np.nan)
        out[UNCERTAINTY:BACKGROUND] = np.where(some, np.minimum(sigma * shape, 1.0), np.nan)
