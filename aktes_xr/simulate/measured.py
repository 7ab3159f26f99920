"""Measured relief: two pieces of the Shuttle Radar Topography Mission (NASA, public domain).

The Jacksboro fault, Tennessee, comes from matplotlib's sample data, 3 arc seconds, warped to UTM. A
granule is larger than it: beyond the edges the relief continues as rivers would have cut it, and as
rugged (`aktes_xr.simulate.continuation`). The San Gabriel Mountains, California, averaged from
1 arc second to 90 m, are shipped (``data/relief_san_gabriel.npz``); their west is for training,
their east for the test, and between them lie 2 km that belong to neither.
"""

from __future__ import annotations

import functools
import importlib.resources
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from aktes_xr.errors import InputError
from aktes_xr.simulate.continuation import continued_relief

JACKSBORO_EPSG: Final = 32616
_WANDER_M: Final = 12_000.0
_TRAINING_COLUMNS: Final = slice(0, 215)
_TEST_COLUMNS: Final = slice(239, None)


@functools.cache
def san_gabriel(split: str) -> NDArray[np.float32] | None:
    """Return a split's part of the San Gabriel Mountains.

    Parameters
    ----------
    split : {"train", "validation", "test"}

    Returns
    -------
    ndarray (y, x), float32, m, or None
        Pixels of 90 m, north up; None for validation, which has no part.
    """
    if split == "validation":
        return None
    resource = importlib.resources.files("aktes_xr") / "data" / "relief_san_gabriel.npz"
    with importlib.resources.as_file(resource) as path, np.load(path) as archive:
        whole = archive["elevation"].astype(np.float32)
    part = whole[:, _TRAINING_COLUMNS if split == "train" else _TEST_COLUMNS]
    part.flags.writeable = False
    return np.asarray(part)


@functools.cache
def _jacksboro_source() -> tuple[NDArray[np.float64], tuple[float, float, float, float]]:
    """Return heights, and their west, east, south and north in degrees."""
    from matplotlib import cbook

    path = cbook.get_sample_data("jacksboro_fault_dem.npz", asfileobj=False)
    with np.load(str(path)) as archive:
        edges = tuple(float(archive[name]) for name in ("xmin", "xmax", "ymin", "ymax"))
        return archive["elevation"].astype(np.float64), (edges[0], edges[1], edges[2], edges[3])


def jacksboro_centre(seed: int = 0) -> tuple[float, float]:
    """Return where a granule lies.

    Parameters
    ----------
    seed : int
        With 0 the granule is centred on the relief; otherwise it is moved at random.

    Returns
    -------
    y, x : float, m
        In UTM.
    """
    from pyproj import Transformer

    _, (west, east, south, north) = _jacksboro_source()
    to_utm = Transformer.from_crs(4326, JACKSBORO_EPSG, always_xy=True)
    x, y = to_utm.transform((west + east) / 2, (south + north) / 2)
    if seed:
        offset = np.random.default_rng([seed, 7]).uniform(-_WANDER_M, _WANDER_M, size=2)
        x, y = x + offset[0], y + offset[1]
    return float(y), float(x)


def jacksboro(
    y: NDArray[np.float64], x: NDArray[np.float64], *, seed: int = 0
) -> NDArray[np.float64]:
    """Return heights (y, x), m, at coordinates (m, UTM): measured, and continued beyond.

    Parameters
    ----------
    y, x : ndarray (y,) and (x,), float64, m
        Of pixel centres.
    seed : int
        Of the continuation.
    """
    from pyproj import Transformer

    source, (west, east, south, north) = _jacksboro_source()
    to_utm = Transformer.from_crs(4326, JACKSBORO_EPSG, always_xy=True)
    columns, rows = np.meshgrid(x, y)
    longitude, latitude = to_utm.transform(columns, rows, direction="INVERSE")
    row = (north - latitude) / (north - south) * (source.shape[0] - 1)
    column = (longitude - west) / (east - west) * (source.shape[1] - 1)
    known = (row >= 0) & (row <= source.shape[0] - 1)
    known &= (column >= 0) & (column <= source.shape[1] - 1)
    heights = map_coordinates(source, [row, column], order=3, mode="mirror")
    if known.all():
        return np.asarray(heights)
    if not known.any():
        raise InputError(
            "found a granule that does not touch the measured relief, expected one that does: "
            "use a seed's own centre"
        )
    return continued_relief(
        np.asarray(heights),
        known,
        np.random.default_rng([seed, 41]),
        cell_size_m=float(abs(y[0] - y[1])),
    )
