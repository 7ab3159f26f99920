"""What the cloud test is told of a scene as a whole: pixels at fixed places, one task per date.

The places depend on the scene's size alone, so no bit depends on its chunks.
"""

from __future__ import annotations

from functools import partial
from itertools import accumulate
from typing import TYPE_CHECKING, Any, Final

import dask.array as da
import numpy as np
from dask.base import tokenize

from aktes_xr.models.cloud_features import SEEN, STATISTICS, scene_statistics
from aktes_xr.retrieval.blocks import Blocks, layered
from aktes_xr.retrieval.sight import see, told_planes
from aktes_xr.retrieval.tiles import Layout

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from aktes_xr.compilation import Float32Array
    from aktes_xr.retrieval.inputs import Fields

_SAMPLED: Final = 48
"""The shorter side of a scene is sampled at about so many pixels."""


def describe_scenes(fields: Fields, blocks: Blocks) -> da.Array:
    """Describe each date's scene, lazily.

    Parameters
    ----------
    fields : Fields
    blocks : Blocks
        Of these fields.

    Returns
    -------
    dask array (time, 11), float32
        See `aktes_xr.models.cloud_features.STATISTICS`.
    """
    _, y, x = fields.chunks
    step = max(1, min(sum(y), sum(x)) // _SAMPLED)
    rows, columns = _first_places(y, step), _first_places(x, step)
    token = tokenize(fields.token, step)
    sampled, described = f"aktes-scene-sample-{token}", f"aktes-scene-{token}"
    samples: dict[Any, Any] = {}
    scenes: dict[Any, Any] = {}
    # A chunk that lies between two places gives nothing.
    takers = {
        (row, column): partial(_sample, layout=fields.layout, start=(down, right), step=step)
        for row, down in enumerate(rows)
        for column, right in enumerate(columns)
        if down is not None and right is not None
    }
    for time in range(blocks.shape[0]):
        for (row, column), take in takers.items():
            samples[(sampled, time, row, column)] = (take, *blocks.of(time, row, column))
        keys = [
            [(sampled, time, row, column) for row, column in takers if row == line]
            for line in sorted({row for row, _ in takers})
        ]
        scenes[(described, time, 0)] = (_describe, keys)
    graph = layered(blocks.lazy, {sampled: samples, described: scenes})
    chunks = (fields.chunks[0], (len(STATISTICS),))
    return da.Array(graph, described, chunks, dtype=np.float32, meta=np.empty((0, 0), np.float32))


def _first_places(sizes: tuple[int, ...], step: int) -> list[int | None]:
    """Return each chunk's first place of a sample; None where none lies in it."""
    starts = [stop - size for size, stop in zip(sizes, accumulate(sizes), strict=True)]
    first = [-start % step for start in starts]
    return [place if place < size else None for place, size in zip(first, sizes, strict=True)]


def _sample(
    tir: NDArray[Any],
    static: Float32Array,
    scalars: Float32Array,
    dated: Float32Array,
    _masks: NDArray[np.bool_],
    *,
    layout: Layout,
    start: tuple[int, int],
    step: int,
) -> Float32Array:
    places = (slice(start[0], None, step), slice(start[1], None, step))
    planes = told_planes(static, dated, layout, places=places)
    dates = []
    for date, image in enumerate(tir):
        told = [plane[date if len(plane) > 1 else 0] for plane in planes]
        dates.append(see(image[:, *places], told, scalars[date], layout))
    return np.stack(dates)


def _describe(samples: list[list[Float32Array]]) -> Float32Array:
    dates = np.block(samples)
    return np.stack([scene_statistics(date.reshape(len(SEEN), -1)) for date in dates])
