"""One task per chunk that also sees its neighbours' edges: two tasks per date and chunk in all.

Dask's own overlap cuts each chunk into nine pieces per neighbourhood and joins them again, some
seventy tasks per chunk. Here one task packs the edges of a chunk into small arrays (a few hundred
kilobytes, which is also all that travels between workers), and the block function takes its chunk
and the packed edges of its eight neighbours. With a cloud test there is one more task per chunk,
which picks the pixels that describe the scene (`aktes_xr.retrieval.scene`), and one per date.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import dask.array as da
import numpy as np
from dask.base import tokenize

from aktes_xr import sensor
from aktes_xr.cube.quality import QualityFlag
from aktes_xr.errors import BundleError
from aktes_xr.models.runtime import resolve
from aktes_xr.retrieval.block import BlockSettings, retrieve_block
from aktes_xr.retrieval.blocks import Blocks, layered
from aktes_xr.retrieval.cloud_finder import CloudFinder, LearnedFinder, RulesFinder
from aktes_xr.retrieval.clouds import FOUND, BlockFields, find_clouds, take_clouds
from aktes_xr.retrieval.edges import (
    NEIGHBOURS,
    pack_edges,
    pack_plane_edges,
    surround,
    surround_planes,
)
from aktes_xr.retrieval.inputs import Fields
from aktes_xr.retrieval.scene import describe_scenes
from aktes_xr.retrieval.sight import told_planes
from aktes_xr.retrieval.tiles import QUALITY, Layout

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

_CLOUD: Final = "cloud"


class Edges(NamedTuple):
    """What a chunk gives to its neighbours, packed.

    Attributes
    ----------
    tir : ndarray or None
        The measurement.
    told : ndarray or None
        What the cloud test is told pixel by pixel.
    cloud : ndarray or None
        The cloud mask that the cube came with.
    """

    tir: NDArray[Any] | None
    told: NDArray[np.float32] | None = None
    cloud: NDArray[np.bool_] | None = None


_NO_EDGES: Final = Edges(None)
"""Of what lies beyond the scene."""


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
    if settings.edge == 0:
        return _map_chunks_alone(fields, settings, name)
    blocks = Blocks(fields)
    scenes = None
    if settings.cloud_source in FOUND:
        scenes = describe_scenes(fields, blocks)
    edges = f"aktes-edges-{tokenize(name)}"
    pack = partial(_pack, settings=settings, layout=fields.layout)
    run = partial(_retrieve, settings=settings, layout=fields.layout)
    _, rows, columns = blocks.shape
    packed: dict[Any, Any] = {}
    retrieved: dict[Any, Any] = {}
    # A chunk and its neighbours: what `blockwise` cannot say, written as tasks of Dask's public
    # graph format.
    for time, row, column in np.ndindex(blocks.shape):
        own = blocks.of(time, row, column)
        if rows * columns > 1:
            packed[(edges, time, row, column)] = (pack, *own)
        around = [
            (edges, time, row + down, column + right)
            if 0 <= row + down < rows and 0 <= column + right < columns
            else None
            for down, right in NEIGHBOURS
        ]
        scene = None if scenes is None else (scenes.name, time, 0)
        retrieved[(name, time, 0, row, column)] = (run, around, scene, *own)
    lazy = [*blocks.lazy, *([] if scenes is None else [scenes])]
    graph = layered(lazy, {edges: packed, name: retrieved})
    chunks = (fields.tir.chunks[0], (settings.n_planes,), *fields.tir.chunks[2:])
    return da.Array(graph, name, chunks, dtype=np.float32, meta=np.empty((0, 0, 0, 0), np.float32))


def _map_chunks_alone(fields: Fields, settings: BlockSettings, name: str) -> da.Array:
    time, y, x = fields.chunks
    scalars, dated, masks = (
        field
        if isinstance(field, da.Array)
        else da.from_array(field, (time, *(-1,) * (field.ndim - 1)))
        for field in (fields.scalars, fields.dated, fields.masks)
    )
    stacked: da.Array = da.blockwise(
        _retrieve_alone,
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


def _retrieve_alone(
    tir: NDArray[Any],
    scalars: NDArray[Any],
    dated: NDArray[Any],
    static: NDArray[Any],
    masks: NDArray[Any],
    *,
    settings: BlockSettings,
    layout: Layout,
) -> NDArray[np.float32]:
    return _retrieve_readable(tir, BlockFields(static, scalars, dated, masks, layout), settings)


def _pack(
    tir: NDArray[Any],
    static: NDArray[Any],
    _scalars: NDArray[Any],
    dated: NDArray[Any],
    masks: NDArray[Any],
    *,
    settings: BlockSettings,
    layout: Layout,
) -> Edges:
    """Pack what a chunk's neighbours need of it."""
    halo = settings.edge
    packed = pack_edges(tir, halo=halo)
    if settings.cloud_source in FOUND:
        told = told_planes(static, dated, layout)
        return Edges(packed, told=pack_plane_edges(told, dates=len(tir), halo=halo))
    if settings.cloud_source == "mask":
        place = layout.masks.index(_CLOUD)
        return Edges(packed, cloud=pack_edges(masks[:, place : place + 1], halo=halo))
    return Edges(packed)


def _retrieve(
    around: Sequence[Edges | None],
    scene: NDArray[np.float32] | None,
    tir: NDArray[Any],
    *arrays: NDArray[Any],
    settings: BlockSettings,
    layout: Layout,
) -> NDArray[np.float32]:
    """Retrieve a chunk with its neighbours' edges."""
    static, scalars, dated, masks = arrays
    fields = BlockFields(static, scalars, dated, masks, layout)
    halo = settings.edge
    given = [edges or _NO_EDGES for edges in around]
    padded = surround(tir, [edges.tir for edges in given], halo=halo)
    if settings.cloud_source in FOUND and scene is not None:
        planes = told_planes(static, dated, layout)
        edges_told = [edges.told for edges in given]
        told = surround_planes(planes, edges_told, dates=len(tir), halo=halo)
        finder = _finder(settings)
        padded, fields = find_clouds(finder, padded, told, scene, fields, halo=settings.halo)
    elif settings.cloud_source == "mask":
        place = layout.masks.index(_CLOUD)
        mask = masks[:, place : place + 1]
        mask = surround(mask, [edges.cloud for edges in given], halo=halo)[:, 0]
        probability = mask.astype(np.float32)
        padded, fields = take_clouds(padded, fields, probability, mask, halo=settings.halo)
    return _retrieve_readable(padded, fields, settings)


def _finder(settings: BlockSettings) -> CloudFinder:
    if settings.cloud_source == "rules":
        return RulesFinder()
    test = resolve(settings.bundle).cloud_test
    if test is None:
        raise BundleError("the bundle has lost the cloud test that it had when the graph was built")
    return LearnedFinder(test)


def _retrieve_readable(
    tir: NDArray[Any], fields: BlockFields, settings: BlockSettings
) -> NDArray[np.float32]:
    """Retrieve a chunk; what a file that could not be read left is fill, and flagged as such."""
    static, scalars, dated, masks, layout = fields
    if static.ndim == 4:
        # What differs from date to date comes one date to a chunk.
        static = static[0]
    known: dict[str, Any] = {"settings": settings, "layout": layout}
    if tir.dtype != np.uint16 or not tir.size or tir.max() != sensor.UNREADABLE_DN:
        return retrieve_block(tir, scalars, dated, static, masks, **known)
    unreadable = tir == sensor.UNREADABLE_DN
    filled = np.where(unreadable, np.uint16(sensor.FILL_DN), tir)
    out = retrieve_block(filled, scalars, dated, static, masks, **known)
    inner = slice(settings.halo, -settings.halo or None)
    out[:, QUALITY][unreadable[:, :, inner, inner].any(axis=1)] += QualityFlag.UNREADABLE
    return out
