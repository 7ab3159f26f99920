"""What the cloud test sees of a chunk: temperatures, and what is told of the clear ground."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from aktes_xr import sensor
from aktes_xr.models.cloud_features import SEEN
from aktes_xr.retrieval.surroundings import calibration
from aktes_xr.retrieval.tiles import DATED, SCALARS, Layout

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from aktes_xr.compilation import Float32Array

_TOLD: Final = SEEN[len(sensor.BANDS) :]
_WHOLE: Final = (slice(None), slice(None))


def told_names(layout: Layout) -> tuple[str, ...]:
    """Name what is told pixel by pixel.

    Parameters
    ----------
    layout : Layout

    Returns
    -------
    tuple of str
        Of `aktes_xr.models.cloud_features.SEEN`.
    """
    return tuple(name for name in _TOLD if name in (*layout.static, *layout.dated))


def told_planes(
    static: Float32Array,
    dated: Float32Array,
    layout: Layout,
    *,
    places: tuple[slice, slice] = _WHOLE,
) -> list[Float32Array]:
    """Return what is told pixel by pixel, as views of where it lies.

    Parameters
    ----------
    static : ndarray (plane, y, x) or (1, plane, y, x), float32
    dated : ndarray (time, plane, y, x), float32
    layout : Layout
    places : (slice, slice)
        Rows and columns to take.

    Returns
    -------
    list of ndarray (time or 1, y, x), float32
        As `told_names` names them.
    """
    if static.ndim == 4:
        static = static[0]
    return [_plane(name, static, dated, layout, places) for name in told_names(layout)]


def _plane(
    name: str,
    static: Float32Array,
    dated: Float32Array,
    layout: Layout,
    places: tuple[slice, slice],
) -> Float32Array:
    """Take a plane (time or 1, y, x)."""
    if name in layout.static:
        place = layout.static.index(name)
        return static[place : place + 1, *places]
    return dated[:, layout.dated.index(name), *places]


def see(
    tir: NDArray[Any],
    told: Float32Array | Sequence[Float32Array],
    scalars: Float32Array,
    layout: Layout,
) -> Float32Array:
    """Arrange one date as the cloud test sees it.

    Parameters
    ----------
    tir : ndarray (5, y, x), uint16 DN or float32 W m-2 sr-1 um-1
    told : ndarray (plane, y, x), or one (y, x) for each plane, float32
        As `told_names` names them.
    scalars : ndarray (13,), float32
        The date's numbers, in the order of `aktes_xr.retrieval.tiles.SCALARS`.
    layout : Layout

    Returns
    -------
    ndarray (9, y, x), float32
        In the order of `aktes_xr.models.cloud_features.SEEN`: K, m, K; NaN where not known.
    """
    bands = len(tir)
    seen = np.full((len(SEEN), *tir.shape[1:]), np.nan, np.float32)
    if tir.dtype == np.uint16:
        table = calibration(digital=True).kelvin
        for band, numbers in enumerate(tir):
            np.take(table[band], np.minimum(numbers, sensor.SATURATION_DN), out=seen[band])
            seen[band][numbers == sensor.UNREADABLE_DN] = np.nan
    else:
        kelvin = sensor.radiance_to_brightness_temperature(np.moveaxis(tir, 0, -1))
        seen[:bands] = np.moveaxis(kelvin, -1, 0)
    names = told_names(layout)
    for place, name in enumerate(_TOLD, start=bands):
        if name in names:
            seen[place] = told[names.index(name)]
        elif name in DATED:
            seen[place] = scalars[SCALARS.index(name)]
    return seen
