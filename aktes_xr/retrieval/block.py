"""The block function: one chunk of a few dates, calibrated, described, estimated and flagged.

It takes plain arrays and a small frozen value, and returns the stacked output planes
(`aktes_xr.retrieval.tiles.PLANES`). Networks come from the process's own copy of the bundle.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np

from aktes_xr.cube.quality import QualityFlag
from aktes_xr.models.features import N_OUTPUTS, TEACHER_FEATURES, feature_rows
from aktes_xr.models.runtime import BundleReference, resolve
from aktes_xr.retrieval.closure import CLOSURE_COUNT, Closure, close_chunk
from aktes_xr.retrieval.clouds import CloudSource, edge_width
from aktes_xr.retrieval.components import Components, complete
from aktes_xr.retrieval.conditions import doubt_cloud, mark_conditions
from aktes_xr.retrieval.flags import classify
from aktes_xr.retrieval.gathering import (
    BOTH,
    STUDENT_ALONE,
    TEACHER_ALONE,
    Limits,
    Tile,
    describe,
    gather,
    new_gathering,
)
from aktes_xr.retrieval.networks import Estimator, Judge, fuse, write
from aktes_xr.retrieval.physics import retrieve_physically
from aktes_xr.retrieval.surroundings import Calibration, calibration, neighbourhood
from aktes_xr.retrieval.tiles import (
    COMPONENT_PLANES,
    N_PLANES,
    QUALITY,
    Chunk,
    Layout,
    new_chunk,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from aktes_xr.compilation import Float32Array
    from aktes_xr.models.bundle import Bundle
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
        Pixels around the chunk that the measurement carries, for what lies around a pixel.
    steep_k : float
        Terrain complexity (K) above which a pixel is flagged as steep.
    closure : str
        What is kept of putting the retrieval back through the radiance equation.
    components : bool
        Split the temperature's uncertainty into its parts.
    keep_cloudy : bool
        Keep what was retrieved of pixels under cloud.
    cloud_source : str
        Who says where cloud is: ``mask``, ``network`` or ``none``.
    missed_cloud_k : float
        How much a cloud that is missed shifts the temperature, on average.
    """

    method: Method
    bundle: BundleReference
    student: str | None
    halo: int
    steep_k: float
    closure: Closure = "none"
    components: bool = False
    keep_cloudy: bool = False
    cloud_source: CloudSource = "none"
    missed_cloud_k: float = 0.0

    @property
    def n_planes(self) -> int:
        """Number of planes that the block function returns."""
        components = len(COMPONENT_PLANES) if self.components else 0
        return self.first_component + components + (self.cloud_source != "none")

    @property
    def edge(self) -> int:
        """Pixels around the chunk that are looked at, for clouds around it, too."""
        return edge_width(self.cloud_source, self.halo)

    @property
    def cloud_plane(self) -> int | None:
        """The plane of the probability of cloud; None where nobody says where cloud is."""
        return None if self.cloud_source == "none" else self.n_planes - 1

    @property
    def first_component(self) -> int:
        """The first of `aktes_xr.retrieval.tiles.COMPONENT_PLANES`, where there are any."""
        return N_PLANES + CLOSURE_COUNT[self.closure]


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
    scalars : ndarray (time, 13), float32
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
    ndarray (time, plane, y, x), float32
        See `aktes_xr.retrieval.tiles.PLANES`; with closure also those of `CLOSURE_PLANES` that are
        kept, with components `COMPONENT_PLANES` behind all, and the probability of cloud where
        anybody says it.
    """
    halo = settings.halo
    rows, columns = tir.shape[2] - 2 * halo, tir.shape[3] - 2 * halo
    out = np.empty((tir.shape[0], settings.n_planes, max(rows, 0), max(columns, 0)), np.float32)
    if out.size == 0:
        return out
    chunk = new_chunk(
        tir, scalars, dated=dated, static=static, masks=masks, layout=layout, halo=halo
    )
    images = out.reshape(*out.shape[:2], rows * columns)
    tables = calibration(digital=chunk.tir.dtype == np.uint16)
    classify(chunk, tables, np.float32(settings.steep_k), images)
    if settings.method in PHYSICAL:
        retrieve_physically(chunk, settings.method, out)
    else:
        _retrieve_by_networks(chunk, tables, settings, images)
    mark_conditions(chunk, out)
    if settings.closure != "none":
        close_chunk(chunk, tables, out, kept=settings.closure)
    before = out[:, N_OUTPUTS].copy() if settings.components else None
    doubt_cloud(
        chunk,
        settings.missed_cloud_k,
        out,
        keep=settings.keep_cloudy,
        closure=CLOSURE_COUNT[settings.closure],
    )
    if settings.cloud_plane is not None:
        for date, planes in enumerate(out):
            planes[settings.cloud_plane] = chunk.dated_plane("cloud_probability", date)
    if before is not None:
        complete(out, before, settings.first_component)
    return out


def _limits(settings: BlockSettings, fusion: Fusion | None) -> Limits:
    student = 0 if settings.student is None else 2 if settings.method == "student" else 1
    start, full, floor = 0.0, 1.0, 0.0
    if fusion is not None:
        start, full, floor = fusion.start_k, fusion.full_k, fusion.floor
    return Limits(np.float32(start), np.float32(full), np.float32(floor), student)


def _retrieve_by_networks(
    chunk: Chunk, tables: Calibration, settings: BlockSettings, out: Float32Array
) -> None:
    bundle = resolve(settings.bundle)
    limits = _limits(settings, bundle.fusion)
    networks = _Networks(bundle, settings.student)
    components = Components(bundle, settings.student) if settings.components else None
    parts = slice(settings.first_component, settings.first_component + len(COMPONENT_PLANES))
    around = neighbourhood(chunk.columns)
    gathering, tiles = new_gathering(chunk.columns, 1 if settings.student is None else 3)
    for date, image in enumerate(out):
        row, full = 0, TEACHER_ALONE
        while full >= 0:
            row, full = gather(chunk, tables, date, row, image[QUALITY], limits, around, gathering)
            for kind, tile in enumerate(tiles):
                # At the end of a date (-1) all tiles go, full or not.
                count = int(gathering.held[kind])
                if count > 0 and full in (kind, -1):
                    describe(chunk, tables, date, count, kind != TEACHER_ALONE, tile)
                    write(networks.estimate(tile, kind, count), _BITS[kind], tile, count, image)
                    if components is not None:
                        components.write(tile, kind, count, image[parts])
                    gathering.held[kind] = 0


class _Networks:
    """Teacher and student of a place; not to be shared by threads."""

    def __init__(self, bundle: Bundle, student: str | None) -> None:
        self._teacher = Estimator(bundle.teacher)
        self._student = None if student is None else Estimator(bundle.models[student])
        self._judge = None if bundle.domain is None else Judge(bundle.domain)
        self._sharpness = np.float32(1.0 if bundle.fusion is None else bundle.fusion.sharpness)

    def estimate(self, tile: Tile, kind: int, count: int) -> Float32Array:
        """Estimate a described tile by the networks it needs; its weights are written."""
        if self._student is None or kind == TEACHER_ALONE:
            features = tile.features[: len(TEACHER_FEATURES)]
            feature_rows(tile.quantities, features)
            self._judged(tile, count)
            tile.weight[:] = 0.0
            return self._teacher.estimate(features, tile.quantities, tile.excess, count)
        feature_rows(tile.quantities, tile.features)
        self._judged(tile, count)
        estimate = self._student.estimate(tile.features, tile.quantities, tile.excess, count)
        tile.weight[:] = 1.0
        if kind == BOTH:
            other = self._teacher.estimate(tile.features, tile.quantities, tile.excess, count)
            fuse(other, estimate, self._sharpness, tile.share, tile.weight)
        return estimate

    def _judged(self, tile: Tile, count: int) -> None:
        if self._judge is not None:
            self._judge.judge(tile.features, tile.excess, count)
