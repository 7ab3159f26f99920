"""The block function: one chunk of a few dates, calibrated, described, estimated and flagged.

It takes plain arrays and a small frozen value, and returns the stacked output planes
(`aktes_xr.retrieval.tiles.PLANES`). Networks come from the process's own copy of the bundle.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np

from aktes_xr.models.blas import single_blas_thread
from aktes_xr.models.network import TILE
from aktes_xr.models.pixel_model import PixelModel
from aktes_xr.models.runtime import BundleReference, resolve
from aktes_xr.retrieval.neighbourhood import calibration, neighbourhood
from aktes_xr.retrieval.physical import retrieve_physically
from aktes_xr.retrieval.tiles import (
    N_PLANES,
    Chunk,
    Reading,
    Standard,
    Tile,
    classify,
    gather,
    scatter_student,
    scatter_teacher,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Float32Array = NDArray[np.float32]

Method = Literal["fusion", "teacher", "student", "tes", "split_window"]
METHODS: Final[tuple[Method, ...]] = ("fusion", "teacher", "student", "tes", "split_window")
PHYSICAL: Final = frozenset({"tes", "split_window"})


@dataclass(frozen=True)
class BlockSettings:
    """What every task of a retrieval needs to know.

    Attributes
    ----------
    method : str
        One of `METHODS`.
    bundle : BundleReference
    student : str or None
        Name of the student for this place; None where there is none or no elevation.
    halo : int
        Pixels around the chunk that the measurement carries, for the neighbourhood's radiance.
    steep_k : float
        Terrain complexity (K) above which a pixel is flagged as steep.
    """

    method: Method
    bundle: BundleReference
    student: str | None
    halo: int
    steep_k: float


def retrieve_block(
    tir: NDArray[Any],
    scalars: Float32Array,
    dated: Float32Array,
    static: Float32Array,
    masks: NDArray[np.bool_],
    *,
    settings: BlockSettings,
) -> Float32Array:
    """Retrieve one chunk.

    Parameters
    ----------
    tir : ndarray (time, 5, y + 2 halo, x + 2 halo), uint16 DN or float32 W m-2 sr-1 um-1
    scalars : ndarray (time, 4), float32
        See `aktes_xr.retrieval.tiles.SCALARS`.
    dated : ndarray (time, 4, y or 1, x or 1), float32
        See `aktes_xr.retrieval.tiles.DATED`.
    static : ndarray (13, y or 1, x or 1), float32
        See `aktes_xr.retrieval.tiles.STATIC`.
    masks : ndarray (time, 2, y or 1, x or 1), bool
        Cloud and water.
    settings : BlockSettings

    Returns
    -------
    ndarray (time, 14, y, x), float32
        See `aktes_xr.retrieval.tiles.PLANES`.
    """
    halo = settings.halo
    rows, columns = tir.shape[2] - 2 * halo, tir.shape[3] - 2 * halo
    out = np.empty((tir.shape[0], N_PLANES, max(rows, 0), max(columns, 0)), np.float32)
    if out.size == 0:
        return out
    digital = tir.dtype == np.uint16
    chunk = Chunk(
        _frozen(tir, np.uint16 if digital else np.float32),
        _frozen(scalars, np.float32),
        _frozen(dated, np.float32),
        _frozen(static, np.float32),
        _frozen(masks, np.bool_),
    )
    if settings.method in PHYSICAL:
        _classify(chunk, settings, np.zeros(6, np.float32), out)
        retrieve_physically(chunk, settings.method, halo, out)
    else:
        _retrieve_by_networks(chunk, settings, out)
    return out


def _classify(
    chunk: Chunk, settings: BlockSettings, limits: Float32Array, out: Float32Array
) -> None:
    limits[2] = settings.steep_k
    classify(chunk, calibration(digital=chunk.tir.dtype == np.uint16), settings.halo, limits, out)


def _retrieve_by_networks(chunk: Chunk, settings: BlockSettings, out: Float32Array) -> None:
    bundle = resolve(settings.bundle)
    student = None if settings.student is None else bundle.models[settings.student]
    limits = np.zeros(6, np.float32)
    sharpness = np.float32(1.0)
    if student is not None:
        limits[1] = limits[3] = 1.0
        if settings.method == "student":
            limits[4] = 1.0
        elif bundle.fusion is not None:
            limits[0], limits[1] = bundle.fusion.start_k, bundle.fusion.full_k
            limits[5] = bundle.fusion.floor
            sharpness = np.float32(bundle.fusion.sharpness)
    _classify(chunk, settings, limits, out)
    with single_blas_thread():
        _run(bundle.teacher, chunk, settings.halo, sharpness, out)
        if student is not None:
            _run(student, chunk, settings.halo, sharpness, out)


def _run(
    model: PixelModel, chunk: Chunk, halo: int, sharpness: np.float32, out: Float32Array
) -> None:
    """Pass all pixels that need a model through it, tile by tile."""
    scaling, network = model.scaling, model.network
    standard = Standard(
        scaling.center,
        (np.float32(1.0) / scaling.scale).astype(np.float32),
        scaling.low,
        scaling.high,
    )
    reading = Reading(
        scaling.output_center,
        scaling.output_scale,
        scaling.log_sigma_offset,
        scaling.log_sigma_slope,
    )
    tile = Tile(
        np.zeros((network.n_features, TILE), np.float32),
        np.zeros(TILE, np.int64),
        np.zeros(TILE, np.float32),
        np.zeros(TILE, np.bool_),
    )
    buffers = network.buffers()
    tables = calibration(digital=chunk.tir.dtype == np.uint16)
    around = neighbourhood(out.shape[3], halo)
    cursor = 0
    while True:
        count, cursor = gather(chunk, tables, halo, standard, around, out, cursor, tile)
        if count == 0:
            return
        raw = network.forward(tile.features, buffers)
        if model.role == "teacher":
            scatter_teacher(raw, count, tile, reading, out)
        else:
            scatter_student(raw, count, tile, reading, sharpness, out)


def _frozen(array: NDArray[Any], dtype: type[np.generic]) -> NDArray[Any]:
    """Give kernels one kind of array to compile for, without a copy where it is that already."""
    contiguous = np.ascontiguousarray(array, dtype)
    view = contiguous.view()
    view.flags.writeable = False
    return view
