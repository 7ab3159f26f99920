"""Brightness temperatures of some rows of a chunk, for what is not compiled."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from aktes_xr import sensor

if TYPE_CHECKING:
    from aktes_xr.compilation import Float32Array
    from aktes_xr.retrieval.surroundings import Calibration
    from aktes_xr.retrieval.tiles import Chunk

STRIP: Final = 16384
"""Pixels at once: their intermediate arrays stay small beside a chunk."""


def brightness(chunk: Chunk, tables: Calibration, date: int, window: slice) -> Float32Array:
    """Return the brightness temperatures of rows.

    Parameters
    ----------
    chunk : Chunk
    tables : Calibration
        The sensor's calibration.
    date : int
        Number of the date.
    window : slice
        Rows, counted without the halo.

    Returns
    -------
    ndarray (5, pixel), float32, K
        NaN where there is no temperature.
    """
    halo = chunk.halo
    measured = chunk.tir[date].reshape(len(sensor.BANDS), -1, chunk.wide)
    rows = slice(halo + window.start, halo + window.stop)
    inner = measured[:, rows, halo : halo + chunk.columns].reshape(len(sensor.BANDS), -1)
    if not tables.digital:
        return np.asarray(sensor.radiance_to_brightness_temperature(inner.T).T, np.float32)
    numbers = np.minimum(inner, sensor.SATURATION_DN)
    return np.stack([row[own] for row, own in zip(tables.kelvin, numbers, strict=True)])


def strips(rows: int, columns: int) -> list[slice]:
    """Cut rows into strips of about `STRIP` pixels.

    Parameters
    ----------
    rows, columns : int

    Returns
    -------
    list of slice
    """
    step = max(1, STRIP // max(columns, 1))
    return [slice(top, min(top + step, rows)) for top in range(0, rows, step)]
