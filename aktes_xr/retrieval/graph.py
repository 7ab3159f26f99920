"""One task per chunk that also sees its neighbours' edges: two tasks per date and chunk in all.

Dask's own overlap cuts each chunk into nine pieces per neighbourhood and joins them again, some
seventy tasks per chunk. Here one task packs the edges of a chunk into a small array (a few hundred
kilobytes, which is also all that travels between workers), and the block function takes its chunk
and the packed edges of its eight neighbours.
"""

from __future__ import annotations

from functools import partial
from itertools import accumulate, product
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import dask.array as da
import numpy as np
from dask.base import tokenize
from dask.highlevelgraph import HighLevelGraph

from aktes_xr import sensor
from aktes_xr.cube.quality import QualityFlag
from aktes_xr.retrieval.block import BlockSettings, retrieve_block
from aktes_xr.retrieval.inputs import Fields
from aktes_xr.retrieval.tiles import QUALITY, Layout

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

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
    clouded = "cloud" in fields.layout.masks
    masks = fields.masks if clouded and isinstance(fields.masks, da.Array) else None
    cloud = fields.layout.masks.index("cloud") if clouded else 0

    def others(time: int, row: int, column: int) -> tuple[Any, ...]:
        return (
            _key(fields.static, (time, 0, row, column)[4 - fields.static.ndim :]),
            *(_part(field, (time, 0, row, column)) for field in dated),
        )

    return map_with_edges(
        Edged(fields.tir, settings.halo, masks, cloud),
        partial(_retrieve, settings=settings, layout=fields.layout),
        name=name,
        planes=settings.n_planes,
        others=others,
        inputs=(fields.static, *dated),
    )


class Edged(NamedTuple):
    """An array whose chunks see their neighbours' edges.

    Attributes
    ----------
    array : dask array (time, band, y, x)
        Whole along the bands; chunks of at least ``halo`` pixels.
    halo : int
        Width of the edges.
    masks : dask array (time, plane, y, x), bool, optional
        What is not to be seen in the edges: plane number ``cloud``.
    cloud : int
    """

    array: da.Array
    halo: int
    masks: da.Array | None = None
    cloud: int = 0


def map_with_edges(
    edged: Edged,
    run: Callable[..., NDArray[np.float32]],
    *,
    name: str,
    planes: int,
    others: Callable[[int, int, int], tuple[Any, ...]],
    inputs: Sequence[Any],
) -> da.Array:
    """Run a function once per chunk, with the edges of the chunk's neighbours.

    Parameters
    ----------
    edged : Edged
    run : callable
        Called with the eight packed edges, the chunk and what ``others`` names.
    name : str
        Of the layer, with its token.
    planes : int
        Number of planes that the function returns.
    others : callable
        Names the further arguments of a block (time, row, column): keys or values.
    inputs : sequence
        The arrays whose keys it names; what is not lazy is left out.

    Returns
    -------
    dask array (time, plane, y, x), float32
    """
    array = edged.array
    blocks = array.numblocks
    edges = _packed_edges(edged) if blocks[2] * blocks[3] > 1 else None
    # A chunk and its neighbours: what `blockwise` cannot say, written as tasks of Dask's public
    # graph format.
    layer = {}
    for time, row, column in np.ndindex(blocks[0], *blocks[2:]):
        places = [(row + down, column + right) for down, right in NEIGHBOURS]
        around = [
            (edges.name, time, 0, *place)
            if edges is not None and _inside(place, blocks[2:])
            else None
            for place in places
        ]
        own = (array.name, time, 0, row, column)
        layer[(name, time, 0, row, column)] = (run, around, own, *others(time, row, column))
    lazy = [part for part in (array, edges, *inputs) if isinstance(part, da.Array)]
    graph = HighLevelGraph.from_collections(name, layer, dependencies=lazy)
    chunks = (array.chunks[0], (planes,), *array.chunks[2:])
    return da.Array(graph, name, chunks, dtype=np.float32, meta=np.empty((0, 0, 0, 0), np.float32))


def pack_edges(
    tir: NDArray[Any],
    masks: NDArray[np.bool_] | None = None,
    *,
    halo: int,
    length: int,
    cloud: int = 0,
) -> NDArray[Any]:
    """Pack the edges of a chunk; what is cloud becomes fill.

    A neighbour needs these pixels as its own pixels' surroundings only, and as such cloud counts no
    more than fill does. So no mask has to travel.

    Parameters
    ----------
    tir : ndarray (time, band, y, x)
        At least ``halo`` pixels along y and x.
    masks : ndarray (time, plane, y, x), bool, optional
    halo : int
    length : int
        At least y, x and four times the halo.
    cloud : int
        Which plane of the masks is cloud.

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
    if masks is not None:
        hidden = pack_edges(masks[:, cloud : cloud + 1], halo=halo, length=length)
        np.copyto(packed, _fill(tir.dtype), where=hidden)
    return packed


def _fill(dtype: np.dtype[Any]) -> Any:
    return dtype.type(sensor.FILL_DN if dtype.kind == "u" else np.nan)


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
    shape = (*tir.shape[:2], rows + 2 * halo, columns + 2 * halo)
    padded = np.full(shape, _fill(tir.dtype), tir.dtype, order="C")
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
        "tpyx"[4 - fields.static.ndim :],
        masks,
        "tmyx",
        settings=settings,
        layout=fields.layout,
        name=name,
        new_axes={"o": settings.n_planes},
        adjust_chunks={"t": time, "y": y, "x": x},
        concatenate=True,
        # Fields that are one number per chunk have chunks of another length, as many or one.
        align_arrays=False,
        dtype=np.float32,
        meta=np.empty((0, 0, 0, 0), np.float32),
    )
    return stacked


def _packed_edges(edged: Edged) -> da.Array:
    tir, halo = edged.array, edged.halo
    length = max(4 * halo, *tir.chunks[2], *tir.chunks[3])
    arrays = (tir,) if edged.masks is None else (tir, edged.masks)
    return da.map_blocks(
        pack_edges,
        *arrays,
        halo=halo,
        length=length,
        cloud=edged.cloud,
        chunks=(
            tir.chunks[0],
            tir.chunks[1],
            (_PARTS * halo,) * tir.numblocks[2],
            (length,) * tir.numblocks[3],
        ),
        dtype=tir.dtype,
        meta=np.empty((0, 0, 0, 0), tir.dtype),
        name=f"aktes-edges-{tokenize(arrays, halo, edged.cloud)}",
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
    scalars, dated, static, masks = fields
    if static.ndim == 4:
        # What differs from date to date comes one date to a chunk.
        static = static[0]
    fields = (scalars, dated, static, masks)
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
