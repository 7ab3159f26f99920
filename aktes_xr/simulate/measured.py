"""Measured relief: two pieces of the Shuttle Radar Topography Mission (NASA, public domain).

The Jacksboro fault, Tennessee, comes from matplotlib's sample data, 3 arc seconds, warped to UTM. A
granule is larger than it: beyond the edges the relief continues as rivers would have cut it
(`aktes_xr.simulate.erosion`), of the same ruggedness and without a seam. The San Gabriel Mountains,
California, averaged from 1 arc second to 90 m, are shipped (``data/relief_san_gabriel.npz``); their
west is for training, their east for the test, and between them lie 2 km that belong to neither.
"""

from __future__ import annotations

import functools
import importlib.resources
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt, gaussian_filter, map_coordinates

from aktes_xr.errors import InputError
from aktes_xr.simulate.erosion import eroded_relief

JACKSBORO_EPSG: Final = 32616
_WANDER_M: Final = 12_000.0
_SEAM_PIXELS: Final = 25.0
_COARSE_PIXELS: Final = 30.0
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
    return _continued(heights, known, float(abs(y[0] - y[1])), seed)


def _continued(
    mirrored: NDArray[np.float64], known: NDArray[np.bool_], cell_size_m: float, seed: int
) -> NDArray[np.float64]:
    """Continue relief beyond where it is known.

    What the known part is at large, spread outwards, carries the fine forms of synthetic relief,
    made as rugged as the known part is nearby. They take over within 2 km of the edge, so that
    what is mirrored there is too narrow to be seen.
    """
    rng = np.random.default_rng([seed, 41])
    made = eroded_relief(
        mirrored.shape, rng, cell_size_m=cell_size_m, relief_m=1000.0, plains=False
    )
    weight = gaussian_filter(known.astype(np.float64), _COARSE_PIXELS, mode="constant")

    def spread(values: NDArray[np.float64]) -> NDArray[np.float64]:
        near = gaussian_filter(np.where(known, values, 0.0), _COARSE_PIXELS, mode="constant")
        near /= np.maximum(weight, 1e-12)
        # Far out, where nothing known is left in the average, the nearest such average holds.
        place = distance_transform_edt(weight < 0.05, return_distances=False, return_indices=True)
        return np.asarray(gaussian_filter(near[tuple(place)], _COARSE_PIXELS, mode="nearest"))

    smooth = spread(mirrored)
    rugged = np.sqrt(spread((mirrored - smooth) ** 2))
    fine = made - gaussian_filter(made, _COARSE_PIXELS, mode="nearest")
    fine *= rugged / max(fine.std(), 1e-9)
    takeover = np.clip(distance_transform_edt(~known) / _SEAM_PIXELS, 0.0, 1.0)
    takeover = takeover * takeover * (3.0 - 2.0 * takeover)
    continued = (1.0 - takeover) * mirrored + takeover * (smooth + fine)
    lowest, highest = mirrored[known].min(), mirrored[known].max()
    return np.asarray(np.where(known, mirrored, np.clip(continued, lowest, highest)))
