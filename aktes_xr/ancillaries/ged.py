"""ASTER GED, the mean emissivity of 2000 to 2008 on 100 m, from tiles of one degree.

A tile ``AG100.v003.LAT.LON.0001.h5`` [1]_ is named after its upper left corner: it covers
``LAT - 1`` to ``LAT`` north and ``LON`` to ``LON + 1`` east. ``/Emissivity/Mean`` is int16
(5, 1000, 1000) in thousandths, ``/Emissivity/SDev`` in ten thousandths, fill is -9999. A tile that
is not there may be sea, or may not have been downloaded: nothing is assumed where it would be.

References
----------
.. [1] Hulley, G. et al. (2015): The ASTER Global Emissivity Dataset (ASTER GED). Geophys. Res.
       Lett. 42, 7966-7976, doi 10.1002/2015GL065564.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import dask.array as da
import numpy as np
from dask.base import tokenize

from aktes_xr.ancillaries.place import CubeGrid, coordinates, node_coordinates
from aktes_xr.errors import ReadError
from aktes_xr.sensor import BANDS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Float32Array = NDArray[np.float32]
    Float64Array = NDArray[np.float64]

Corner = tuple[int, int]
"""Latitude and longitude of a tile's upper left corner, degrees."""

TILE: Final = re.compile(r"AG100\.v003\.(-?\d+)\.(-?\d+)\.0001\.h5$")
PLANES: Final = 2 * len(BANDS) + 1
"""Means, standard deviations, and where there is water (1)."""
_MEAN_SCALE: Final = 0.001
_DEVIATION_SCALE: Final = 0.0001
_PLAUSIBLE: Final = (0.4, 1.0)
"""Emissivities that count. At the edges of holes the product has values that no surface has. A
value above 1 by a thousandth is noise and becomes 1.
"""
_NOISE: Final = 0.0015
_LEAST_SHARE: Final = 0.5
_WATER: Final = 1
_LEAST_WATER_EMISSIVITY: Final = 0.93
"""Water's emissivity is in no band below this. A pixel that the map calls water, but that is below
it in a band, is land.
"""
_SAMPLE_STEP: Final = 8


def find_tiles(paths: Iterable[Path]) -> dict[Corner, Path]:
    """Return the tiles among files, by their upper left corners.

    Parameters
    ----------
    paths : iterable of Path
        Files of any name.

    Returns
    -------
    dict of (int, int) to Path
        By latitude and longitude of the corner, degree.
    """
    found = {}
    for path in paths:
        match = TILE.search(path.name)
        if match:
            found[int(match[1]), int(match[2])] = path
    return found


def needed_tiles(cube: CubeGrid) -> list[Corner]:
    """Return the upper left corners of the tiles that a cube touches.

    Parameters
    ----------
    cube : CubeGrid
        The cube's pixels.

    Returns
    -------
    list of (int, int)
        Latitude and longitude, degree.
    """
    nodes = node_coordinates(cube, "EPSG:4326", np.nan)
    rows, columns = (
        np.unique(np.append(np.arange(0, count, _SAMPLE_STEP), count - 1))
        for _, _, count in (cube.y, cube.x)
    )
    latitude, longitude = coordinates(nodes, rows, columns)
    longitude = (longitude + 180.0) % 360.0 - 180.0
    corners = np.stack([np.floor(latitude) + 1, np.floor(longitude)], axis=-1)
    unique = np.unique(corners.reshape(-1, 2).astype(int), axis=0)
    return [(int(latitude), int(longitude)) for latitude, longitude in unique]


def tile_name(corner: Corner) -> str:
    """Return what a tile is called in messages and attributes: its corner.

    Parameters
    ----------
    corner : (int, int), degree
        Latitude and longitude of the upper left corner.

    Returns
    -------
    str
    """
    latitude, longitude = corner
    return f"{latitude:02d}.{longitude:04d}" if longitude < 0 else f"{latitude:02d}.{longitude:03d}"


def read_tiles(
    tiles: dict[Corner, Path], cube: CubeGrid, chunks: tuple[tuple[int, ...], tuple[int, ...]]
) -> da.Array:
    """Bring tiles to the pixels of a cube, lazily.

    Parameters
    ----------
    tiles : files by corner
    cube : CubeGrid
    chunks : along y and x

    Returns
    -------
    dask array (plane, y, x), float32
        Five means, five standard deviations, and 1 where the map says water; NaN outside the tiles
        and in their holes. Bilinear among the valid pixels around, if they have half the weight;
        water is the nearest pixel's.
    """
    known = tuple(
        (corner, str(path), path.stat().st_mtime_ns) for corner, path in sorted(tiles.items())
    )
    return da.map_blocks(
        _read_block,
        tiles=known,
        cube=cube,
        chunks=((PLANES,), *chunks),
        dtype=np.float32,
        meta=np.empty((0, 0, 0), np.float32),
        name=f"aktes-emissivity-tiles-{tokenize(known, cube, chunks)}",
    )


def _read_block(
    *, tiles: Sequence[tuple[Corner, str, int]], cube: CubeGrid, block_info: Any = None
) -> Float32Array:
    _, (top, bottom), (left, right) = block_info[None]["array-location"]
    nodes = node_coordinates(cube, "EPSG:4326", np.nan)
    latitude, longitude = coordinates(nodes, np.arange(top, bottom), np.arange(left, right))
    planes = np.full((PLANES, bottom - top, right - left), np.nan, np.float32)
    for corner, path, _ in tiles:
        # A cube at the date line has longitudes beyond it.
        east = corner[1] + 360.0 * np.round((longitude.mean() - corner[1] - 0.5) / 360.0)
        inside = (
            (latitude <= corner[0] + 1e-3)
            & (latitude >= corner[0] - 1 - 1e-3)
            & (longitude >= east - 1e-3)
            & (longitude <= east + 1 + 1e-3)
        )
        if inside.any():
            _fill(planes, inside, Path(path), latitude, longitude - east + corner[1])
    return planes


def _fill(
    planes: Float32Array,
    inside: NDArray[np.bool_],
    path: Path,
    latitude: Float64Array,
    longitude: Float64Array,
) -> None:
    """Write what one tile says of the pixels in it; where two tiles meet, the later one's."""
    import h5py

    try:
        with h5py.File(path, "r") as file:
            place = file["Geolocation"]
            lines, samples = place["Latitude"].shape
            north, south = (float(place["Latitude"][k, 0]) for k in (0, lines - 1))
            west, east = (float(place["Longitude"][0, k]) for k in (0, samples - 1))
            if north == south or west == east:
                raise ReadError(f"{path.name}: its latitudes do not vary along its lines")
            row = (latitude - north) / (south - north) * (lines - 1)
            column = (longitude - west) / (east - west) * (samples - 1)
            inside = inside & (np.abs(row - (lines - 1) / 2) <= lines / 2)
            inside &= np.abs(column - (samples - 1) / 2) <= samples / 2
            if not inside.any():
                return
            row = np.clip(row[inside], 0, lines - 1)
            column = np.clip(column[inside], 0, samples - 1)
            first = int(row.min()), int(column.min())
            window = (
                slice(first[0], int(row.max()) + 2),
                slice(first[1], int(column.max()) + 2),
            )
            mean = _decode(file["Emissivity/Mean"][:, *window], _MEAN_SCALE)
            deviation = _decode(file["Emissivity/SDev"][:, *window], _DEVIATION_SCALE)
            water = None
            if "Land Water Map" in file:
                water = file["Land Water Map/LWmap"][window] == _WATER
    except (OSError, KeyError, ValueError) as error:
        raise ReadError(f"{path.name} could not be read as a tile of ASTER GED: {error}") from None
    mean[(mean < _PLAUSIBLE[0]) | (mean > _PLAUSIBLE[1] + _NOISE)] = np.nan
    mean = np.minimum(mean, _PLAUSIBLE[1])
    # A hole in one band becomes a hole in all, since the networks take all five bands or none.
    mean[:, np.isnan(mean).any(axis=0)] = np.nan
    deviation[np.isnan(mean)] = np.nan
    where = row - first[0], column - first[1]
    planes[: len(BANDS), inside] = _bilinear(mean, *where)
    planes[len(BANDS) : 2 * len(BANDS), inside] = _bilinear(deviation, *where)
    if water is not None:
        nearest = np.rint(where[0]).astype(int), np.rint(where[1]).astype(int)
        wet = water[
            np.minimum(nearest[0], water.shape[0] - 1), np.minimum(nearest[1], water.shape[1] - 1)
        ]
        darkest = planes[: len(BANDS), inside].min(axis=0)
        planes[-1, inside] = wet & ~(darkest < _LEAST_WATER_EMISSIVITY)


def _decode(stored: NDArray[Any], scale: float) -> Float32Array:
    return np.where(stored < 0, np.nan, stored * scale).astype(np.float32)


def _bilinear(values: Float32Array, row: Float64Array, column: Float64Array) -> Float32Array:
    top = np.minimum(row.astype(int), values.shape[1] - 1)
    left = np.minimum(column.astype(int), values.shape[2] - 1)
    bottom = np.minimum(top + 1, values.shape[1] - 1)
    right = np.minimum(left + 1, values.shape[2] - 1)
    u, v = row - top, column - left
    total = np.zeros((values.shape[0], row.size))
    weight = np.zeros_like(total)
    for rows, share_row in ((top, 1.0 - u), (bottom, u)):
        for columns, share_column in ((left, 1.0 - v), (right, v)):
            corner = values[:, rows, columns]
            share = np.where(np.isnan(corner), 0.0, share_row * share_column)
            total += share * np.nan_to_num(corner)
            weight += share
    enough = weight >= _LEAST_SHARE
    return np.where(enough, total / np.where(enough, weight, 1.0), np.nan).astype(np.float32)
