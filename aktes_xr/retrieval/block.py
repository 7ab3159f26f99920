"""The block function: one chunk of a few dates, calibrated, described, estimated and flagged.

It takes plain arrays and a small frozen value, and returns the stacked output planes
(`aktes_xr.retrieval.tiles.PLANES`). Networks come from the process's own copy of the bundle.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np

from aktes_xr.cube.quality import QualityFlag
from aktes_xr.models.features import TEACHER_FEATURES, feature_rows
from aktes_xr.models.quantities import REFERENCE
from aktes_xr.models.runtime import BundleReference, resolve
from aktes_xr.retrieval.flags import Limits, classify
from aktes_xr.retrieval.gathering import (
    BOTH,
    STUDENT_ALONE,
    TEACHER_ALONE,
    collect,
    describe,
    new_tile,
    take,
)
from aktes_xr.retrieval.networks import Estimator, fuse, write
from aktes_xr.retrieval.physics import retrieve_physically
from aktes_xr.retrieval.surroundings import calibration, neighbourhood
from aktes_xr.retrieval.tiles import N_PLANES, WEIGHT, Chunk, Layout, new_chunk

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from aktes_xr.compilation import Float32Array
    from aktes_xr.models.fusion import Fusion


Method = Literal["fusion", "teacher", "student", "tes", "split_window"]
METHODS: Final[tuple[Method, ...]] = ("fusion", "teacher", "student", "tes", "split_window")
PHYSICAL: Final = frozenset({"tes", "split_window"})
_BITS: Final = {
    TEACHER_ALONE: int(QualityFlag.RETRIEVED_BY_TEACHER),
    STUDENT_ALONE: int(QualityFlag.RETRIEVED_BY_STUDENT),
    BOTH: int(QualityFlag.RETRIEVED_BY_FUSION),
}


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
    layout: Layout,
) -> Float32Array:
    """Retrieve one chunk.

    Parameters
    ----------
    tir : ndarray (time, 5, y + 2 halo, x + 2 halo), uint16 DN or float32 W m-2 sr-1 um-1
    scalars : ndarray (time, 8), float32
        See `aktes_xr.retrieval.tiles.SCALARS`.
    dated : ndarray (time, plane, y, x), float32
    static : ndarray (plane, y, x), float32
    masks : ndarray (time, plane, y, x), bool
        Any shape where they have no plane.
    settings : BlockSettings
    layout : Layout
        Which planes these three have.

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
    chunk = new_chunk(
        tir, scalars, dated=dated, static=static, masks=masks, layout=layout, halo=halo
    )
    images = out.reshape(*out.shape[:2], rows * columns)
    if settings.method in PHYSICAL:
        _classify(chunk, _limits(settings, None), images)
        retrieve_physically(chunk, settings.method, out)
    else:
        _retrieve_by_networks(chunk, settings, images)
    return out


def _limits(settings: BlockSettings, fusion: Fusion | None) -> Limits:
    student = 0 if settings.student is None else 2 if settings.method == "student" else 1
    start, full, floor = 0.0, 1.0, 0.0
    if fusion is not None:
        start, full, floor = fusion.start_k, fusion.full_k, fusion.floor
    return Limits(
        np.float32(start),
        np.float32(full),
        np.float32(floor),
        np.float32(settings.steep_k),
        student,
    )


def _classify(chunk: Chunk, limits: Limits, out: Float32Array) -> None:
    classify(chunk, calibration(digital=chunk.tir.dtype == np.uint16), limits, out)


def _retrieve_by_networks(chunk: Chunk, settings: BlockSettings, out: Float32Array) -> None:
    bundle = resolve(settings.bundle)
    _classify(chunk, _limits(settings, bundle.fusion), out)
    sharpness = np.float32(1.0 if bundle.fusion is None else bundle.fusion.sharpness)
    tables = calibration(digital=chunk.tir.dtype == np.uint16)
    around = neighbourhood(chunk.columns, chunk.halo)
    teacher = Estimator(bundle.teacher)
    student = None if settings.student is None else Estimator(bundle.models[settings.student])
    # Both come last: the weights they leave would tell the others another share.
    kinds = (TEACHER_ALONE,) if student is None else (TEACHER_ALONE, STUDENT_ALONE, BOTH)
    tile = new_tile()
    for date, networks in product(range(out.shape[0]), kinds):
        image, cursor = out[date], 0
        terrain = networks != TEACHER_ALONE
        features = tile.features if terrain else tile.features[: len(TEACHER_FEATURES)]
        reference = tile.quantities[REFERENCE]
        while True:
            count, cursor = collect(image[WEIGHT], networks, cursor, tile.pixels)
            if count == 0:
                break
            describe(chunk, tables, date, count, around, terrain, tile)
            feature_rows(tile.quantities, features)
            take(image[WEIGHT], tile.pixels[:count], 0, tile.share)
            if student is None or networks == TEACHER_ALONE:
                estimate = teacher.estimate(features, reference, tile.excess, count)
            else:
                estimate = student.estimate(features, reference, tile.excess, count)
                if networks == BOTH:
                    other = teacher.estimate(features, reference, tile.excess, count)
                    fuse(other, estimate, sharpness, tile.share)
            write(estimate, _BITS[networks], tile, count, image)
