"""One task per chunk that also sees its neighbours' edges: two tasks per date and chunk in all.

Dask's own overlap cuts each chunk into nine pieces per neighbourhood and joins them again, some
seventy tasks per chunk. Here one task packs the edges of a chunk into a small array (a few hundred
kilobytes, which is also all that travels between workers), and the block function takes its chunk
and the packed edges of its eight neighbours.
"""

from __future__ import annotations

from functools import partial
from itertools import accumulate, product
from typing import TYPE_CHECKING, Any, Final

import dask.array as da
import numpy as np
from dask.base import tokenize
from dask.highlevelgraph import HighLevelGraph

from aktes_xr import sensor
from aktes_xr.cube.quality import QualityFlag
from aktes_xr.retrieval.block import BlockSettings, retrieve_block
from aktes_xr.retrieval.inputs import Fields
from aktes_xr.retrieval.tiles import N_PLANES, QUALITY, Layout

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

NEIGHBOURS: Final = tuple(place for place in product((-1, 0, 1), repeat=2) if place != (0, 0))
"""Steps along y and x, in the order in which the block function takes the edges."""
_PARTS: Final = 5


def map_chunks(fields: Fields, settings: BlockSettings) -> da.Array:
    """Run the block function once per date and chunk.

    Parameters
    ----------
    fields : Fields
    settings : BlockSettings

    Returns
    -------
    dask array (time, plane, y, x), float32
    """
    name = f"aktes-retrieve-{settings.method}-{tokenize(fields.token, settings)}"
    if settings.halo == 0:
        return _map_chunks_alone(fields, settings, name)
    dated = [
        _by_date(field, fields.chunks[0]) for field in (fields.scalars, fields.dated, fields.masks)
    ]
    several = fields.tir.numblocks[2] * fields.tir.numblocks[3] > 1
    edges = _packed_edges(fields.tir, settings.halo) if several else None
    run = partial(_retrieve, settings=settings, layout=fields.layout)
    # A chunk and its neighbours: what `blockwise` cannot say, written as tasks of Dask's public
    # graph format.
    layer = {}
    blocks = fields.tir.numblocks
    for time, row, column in np.ndindex(blocks[0], *blocks[2:]):
        places = [(row + down, column + right) for down, right in NEIGHBOURS]
        around = [
            (edges.name, time, 0, *place)
            if edges is not None and _inside(place, blocks[2:])
            else None
            for place in places
        ]
        layer[(name, time, 0, row, column)] = (
            run,
            around,
            (fields.tir.name, time, 0, row, column),
            _key(fields.static, (0, row, column)),
            *(_part(field, (time, 0, row, column)) for field in dated),
        )
    arrays = (fields.tir, edges, fields.static, *dated)
    inputs = [array for array in arrays if isinstance(array, da.Array)]
    graph = HighLevelGraph.from_collections(name, layer, dependencies=inputs)
    chunks = (fields.chunks[0], (N_PLANES,), *fields.chunks[1:])
    return da.Array(graph, name, chunks, dtype=np.float32, meta=np.empty((0, 0, 0, 0), np.float32))


def pack_edges(tir: NDArray[Any], *, halo: int, length: int) -> NDArray[Any]:
    """Pack the edges of a chunk.

    Parameters
    ----------
    tir : ndarray (time, band, y, x)
        At least ``halo`` pixels along y and x.
    halo : int
    length : int
        At least y, x and four times the halo.

    Returns
    -------
    ndarray (time, band, 5 halo, length)
        First rows, last rows, first columns, last columns (these two transposed), and the corners
        first-first, first-last, last-first, last-last side by side.
    """
    rows, columns = tir.shape[2:]
    packed = np.zeros((*tir.shape[:2], _PARTS * halo, length), tir.dtype)
    head, tail = slice(None, halo), slice(-halo, None)
    packed[:, :, :halo, :columns] = tir[:, :, head]
    packed[:, :, halo : 2 * halo, :columns] = tir[:, :, tail]
    packed[:, :, 2 * halo : 3 * halo, :rows] = tir[..., head].swapaxes(2, 3)
    packed[:, :, 3 * halo : 4 * halo, :rows] = tir[..., tail].swapaxes(2, 3)
    for number, (down, right) in enumerate(product((head, tail), repeat=2)):
        place = slice(number * halo, (number + 1) * halo)
        packed[:, :, 4 * halo :, place] = tir[:, :, down, right]
    return packed


def surround(
    tir: NDArray[Any], around: Sequence[NDArray[Any] | None], *, halo: int
) -> NDArray[Any]:
    """Put a chunk between its neighbours' edges.

    Parameters
    ----------
    tir : ndarray (time, band, y, x)
    around : sequence of eight ndarrays from `pack_edges`, in the order of `NEIGHBOURS`
        None beyond the scene, where there is fill (0, or NaN for radiance).
    halo : int

    Returns
    -------
    ndarray (time, band, y + 2 halo, x + 2 halo)
    """
    rows, columns = tir.shape[2:]
    fill = 0 if tir.dtype.kind == "u" else np.nan
    padded = np.full(
        (*tir.shape[:2], rows + 2 * halo, columns + 2 * halo), fill, tir.dtype, order="C"
    )
    padded[:, :, halo : halo + rows, halo : halo + columns] = tir
    target = {-1: slice(None, halo), 0: slice(halo, -halo), 1: slice(-halo, None)}
    for (down, right), packed in zip(NEIGHBOURS, around, strict=True):
        if packed is not None:
            piece = _piece(packed, (down, right), (rows, columns), halo)
            padded[:, :, target[down], target[right]] = piece
    return padded


def _piece(
    packed: NDArray[Any], step: tuple[int, int], shape: tuple[int, int], halo: int
) -> NDArray[Any]:
    """Return the part of a neighbour's edges that faces the chunk."""
    down, right = step
    if right == 0:
        first = halo if down < 0 else 0
        return packed[:, :, first : first + halo, : shape[1]]
    if down == 0:
        first = 3 * halo if right < 0 else 2 * halo
        return packed[:, :, first : first + halo, : shape[0]].swapaxes(2, 3)
    number = 2 * (down < 0) + (right < 0)
    return packed[:, :, 4 * halo :, number * halo : (number + 1) * halo]


def _map_chunks_alone(fields: Fields, settings: BlockSettings, name: str) -> da.Array:
    time, y, x = fields.chunks
    scalars, dated, masks = (
        field
        if isinstance(field, da.Array)
        else da.from_array(field, (time, *(-1,) * (field.ndim - 1)))
        for field in (fields.scalars, fields.dated, fields.masks)
    )
    stacked: da.Array = da.blockwise(
        _retrieve_readable,
        "toyx",
        fields.tir,
        "tbyx",
        scalars,
        "ts",
        dated,
        "tdyx",
        fields.static,
        "pyx",
        masks,
        "tmyx",
        settings=settings,
        layout=fields.layout,
        name=name,
        new_axes={"o": N_PLANES},
        adjust_chunks={"t": time, "y": y, "x": x},
        concatenate=True,
        # Fields that are one number per chunk have chunks of another length, as many or one.
        align_arrays=False,
        dtype=np.float32,
        meta=np.empty((0, 0, 0, 0), np.float32),
    )
    return stacked


def _packed_edges(tir: da.Array, halo: int) -> da.Array:
    length = max(4 * halo, *tir.chunks[2], *tir.chunks[3])
    return da.map_blocks(
        pack_edges,
        tir,
        halo=halo,
        length=length,
        chunks=(
            tir.chunks[0],
            tir.chunks[1],
            (_PARTS * halo,) * tir.numblocks[2],
            (length,) * tir.numblocks[3],
        ),
        dtype=tir.dtype,
        meta=np.empty((0, 0, 0, 0), tir.dtype),
        name=f"aktes-edges-{tokenize(tir.name, halo)}",
    )


def _retrieve(
    around: Sequence[NDArray[Any] | None],
    tir: NDArray[Any],
    *fields: NDArray[Any],
    settings: BlockSettings,
    layout: Layout,
) -> NDArray[np.float32]:
    static, scalars, dated, masks = fields
    padded = surround(tir, around, halo=settings.halo)
    return _retrieve_readable(
        padded, scalars, dated, static, masks, settings=settings, layout=layout
    )


def _retrieve_readable(
    tir: NDArray[Any],
    *fields: NDArray[Any],
    settings: BlockSettings,
    layout: Layout,
) -> NDArray[np.float32]:
    """Retrieve a chunk; what a file that could not be read left is fill, and flagged as such."""
    if tir.dtype != np.uint16 or not tir.size or tir.max() != sensor.UNREADABLE_DN:
        return retrieve_block(tir, *fields, settings=settings, layout=layout)
    unreadable = tir == sensor.UNREADABLE_DN
    filled = np.where(unreadable, np.uint16(sensor.FILL_DN), tir)
    out = retrieve_block(filled, *fields, settings=settings, layout=layout)
    inner = slice(settings.halo, -settings.halo or None)
    out[:, QUALITY][unreadable[:, :, inner, inner].any(axis=1)] += QualityFlag.UNREADABLE
    return out


def _inside(place: tuple[int, int], shape: tuple[int, ...]) -> bool:
    return 0 <= place[0] < shape[0] and 0 <= place[1] < shape[1]


def _by_date(
    field: da.Array | NDArray[Any], time: tuple[int, ...]
) -> da.Array | list[NDArray[Any]]:
    """Cut an array in memory by dates, once, so that all chunks of a date share the piece."""
    if isinstance(field, da.Array):
        return field
    return [field[stop - size : stop] for size, stop in zip(time, accumulate(time), strict=True)]


def _part(field: da.Array | list[NDArray[Any]], block: tuple[int, ...]) -> Any:
    return field[block[0]] if isinstance(field, list) else _key(field, block)


def _key(field: da.Array, block: tuple[int, ...]) -> tuple[Any, ...]:
    """Key of a field's block; the only one along an axis where the field has one."""
    places = zip(block, field.numblocks, strict=False)
    return (field.name, *(0 if count == 1 else number for number, count in places))
