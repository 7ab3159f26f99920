"""Flags pixels that lie far from all that a bundle's networks were trained on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from aktes_xr.cube.quality import QualityFlag
from aktes_xr.retrieval.brightness import brightness, strips
from aktes_xr.retrieval.tiles import QUALITY, Chunk

if TYPE_CHECKING:
    from aktes_xr.compilation import Float32Array
    from aktes_xr.models.domain import Domain
    from aktes_xr.retrieval.surroundings import Calibration


def flag_distant(chunk: Chunk, tables: Calibration, domain: Domain, out: Float32Array) -> None:
    """Flag the pixels of a chunk that are out of domain.

    Parameters
    ----------
    chunk : Chunk
    tables : Calibration
        The sensor's calibration.
    domain : Domain
    out : ndarray (time, plane, y, x), float32
        Retrieved; bits of quality are added.
    """
    rows, columns = out.shape[2:]
    for date, planes in enumerate(out):
        for window in strips(rows, columns):
            outside = domain.outside(brightness(chunk, tables, date, window))
            if outside.any():
                quality = planes[QUALITY, window].astype(np.uint16)
                beyond = outside.reshape(quality.shape) & ((quality & QualityFlag.FILL) == 0)
                quality[beyond] |= np.uint16(QualityFlag.OUT_OF_DOMAIN)
                planes[QUALITY, window] = quality
