"""MOD35_L2, the cloud mask of MODIS: names of its granules, and what a granule says of a grid.

A granule is an HDF4 file of five minutes. Its ``Cloud_Mask`` has six bytes for each pixel of 1 km,
of which the first says all that is needed here [1]_: bit 0 whether the mask was determined, bits 1
and 2 the confidence that the pixel is clear (0 cloudy, 1 uncertain, 2 probably clear, 3 clear).
Latitude and longitude are given at every fifth pixel, from the third on, and are interpolated. Each
scan of ten lines sees the ground anew and overlaps its neighbours' edges, so nothing is
interpolated from one scan to the next.

References
----------
.. [1] Ackerman, S. et al. (2010). Discriminating clear-sky from cloud with MODIS: algorithm
   theoretical basis document (MOD35), version 6.1.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from pyproj import Transformer
from scipy.spatial import cKDTree

from aktes_xr.ancillaries.place import CubeGrid
from aktes_xr.errors import AncillaryError, DependencyError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]

NAME: Final = re.compile(r"^MOD35_L2\.A(\d{7})\.(\d{4})\.\d{3}\.\d+\.hdf$")
LENGTH: Final = timedelta(minutes=5)
_SCAN_LINES: Final = 10
_STEP: Final = 5
_FIRST: Final = 2
"""Line and column, counted from 0, of the first pixel whose place is given."""
_PROBABLY_CLEAR: Final = 2
_FARTHEST_M: Final = 3000.0
"""A pixel of MODIS grows towards the swath's edge; what is farther away is another one."""
_EXTRA: Final = "pip install 'aktes-xr[modis]'"
_LOCK: Final = threading.Lock()
"""The HDF4 library may be called from one thread at a time."""


def hdf4() -> Any:
    """Return the module that reads HDF4.

    Returns
    -------
    module ``pyhdf.SD``

    Raises
    ------
    DependencyError
        It is not installed.
    """
    try:
        from pyhdf import SD
    except ModuleNotFoundError:
        raise DependencyError(f"MOD35_L2 is HDF4, which needs pyhdf; run: {_EXTRA}") from None
    return SD


def start_of(name: str) -> datetime | None:
    """Return when a granule begins, as its name says.

    Parameters
    ----------
    name : str
        Such as ``MOD35_L2.A2004183.1035.061.2017214155303.hdf``.

    Returns
    -------
    datetime, UTC, or None
        None where it is no name of a granule.
    """
    match = NAME.match(name)
    if match is None:
        return None
    try:
        return datetime.strptime(match[1] + match[2], "%Y%j%H%M").replace(tzinfo=UTC)
    except ValueError:
        return None


def newest(paths: Iterable[Path]) -> dict[datetime, Path]:
    """Return granules by when they begin; of one that was processed twice, the newer.

    Parameters
    ----------
    paths : iterable of Path
        Files; those that are no granules by their names are left out.

    Returns
    -------
    dict
    """
    # Collection and time of processing end the name: of the same five minutes the last is newest.
    by_name = sorted(paths, key=lambda path: path.name)
    return {start: path for path in by_name if (start := start_of(path.name)) is not None}


def cloud_on_grid(paths: Sequence[Path], grid: CubeGrid) -> NDArray[np.bool_]:
    """Return where a pass was not known to be clear, on the pixels of a cube.

    Parameters
    ----------
    paths : sequence of Path
        Granules of one pass.
    grid : CubeGrid

    Returns
    -------
    ndarray (y, x), bool
        By the nearest pixel of the granules: cloudy, uncertain, not determined or out of reach.

    Raises
    ------
    AncillaryError
        A granule cannot be read.
    """
    y, x = (start + step * np.arange(count) for start, step, count in (grid.y, grid.x))
    transformer = Transformer.from_crs("EPSG:4326", grid.crs, always_xy=True)
    places, clear = [], []
    for path in paths:
        latitude, longitude, first = _read(path)
        easting, northing = transformer.transform(longitude.ravel(), latitude.ravel())
        near = np.flatnonzero(
            (easting > x.min() - _FARTHEST_M)
            & (easting < x.max() + _FARTHEST_M)
            & (northing > y.min() - _FARTHEST_M)
            & (northing < y.max() + _FARTHEST_M)
        )
        places.append(np.column_stack([easting[near], northing[near]]))
        known = ((first & 1) == 1) & ((first >> 1 & 3) >= _PROBABLY_CLEAR)
        clear.append(known.ravel()[near])
    seen, sky = np.concatenate(places), np.concatenate(clear)
    if sky.size == 0:
        return np.ones((y.size, x.size), np.bool_)
    rows, columns = np.meshgrid(y, x, indexing="ij")
    pixels = np.column_stack([columns.ravel(), rows.ravel()])
    distance, nearest = cKDTree(seen).query(pixels, distance_upper_bound=_FARTHEST_M)
    reached = np.isfinite(distance)
    cloud = np.ones(pixels.shape[0], np.bool_)
    cloud[reached] = ~sky[nearest[reached]]
    return cloud.reshape(y.size, x.size)


def _read(path: Path) -> tuple[FloatArray, FloatArray, NDArray[np.uint8]]:
    """Return latitude, longitude and the mask's first byte, of each pixel of 1 km."""
    sd = hdf4()
    try:
        with _LOCK:
            file = sd.SD(str(path), sd.SDC.READ)
            try:
                latitude, longitude, mask = (
                    np.asarray(file.select(name)[:])
                    for name in ("Latitude", "Longitude", "Cloud_Mask")
                )
            finally:
                file.end()
    except (sd.HDF4Error, OSError) as error:
        raise AncillaryError(
            f"{path.name} could not be read as MOD35_L2 ({error}): expected an HDF4 file with "
            "Latitude, Longitude and Cloud_Mask; fetch it again"
        ) from error
    lines, columns = 2 * mask.shape[1] // _SCAN_LINES, mask.shape[-1] // _STEP
    whole = mask.ndim == 3 and mask.shape[0] == 6 and mask.shape[1] % _SCAN_LINES == 0
    if not whole or latitude.shape != (lines, columns) or longitude.shape != latitude.shape:
        raise AncillaryError(
            f"{path.name} has a mask of shape {mask.shape} and places of shape {latitude.shape}; "
            "expected (6, lines, columns) with whole scans of ten lines, and every fifth of both"
        )
    return (*_places(latitude, longitude, mask.shape[1:]), mask[0].astype(np.uint8))


def _places(
    latitude: NDArray[Any], longitude: NDArray[Any], shape: tuple[int, ...]
) -> tuple[FloatArray, FloatArray]:
    """Interpolate places along columns, and along lines within each scan.

    Directions are interpolated, not angles: so a granule may lie across the antimeridian or a pole.
    """
    known = (np.abs(latitude) <= 90.0) & (np.abs(longitude) <= 180.0)
    north = np.deg2rad(np.where(known, latitude, np.nan).astype(np.float64))
    east = np.deg2rad(np.where(known, longitude, np.nan).astype(np.float64))
    vector = np.stack([np.cos(north) * np.cos(east), np.cos(north) * np.sin(east), np.sin(north)])
    count = vector.shape[2]
    place = (np.arange(shape[1]) - _FIRST) / _STEP
    before = np.clip(np.floor(place).astype(int), 0, count - 2)
    share = place - before
    wide = vector[..., before] * (1.0 - share) + vector[..., before + 1] * share
    scans = wide.reshape(3, -1, 2, 1, shape[1])
    step = ((np.arange(_SCAN_LINES) - _FIRST) / _STEP)[:, np.newaxis]
    full = scans[:, :, 0] * (1.0 - step) + scans[:, :, 1] * step
    x, y, z = full.reshape(3, *shape)
    return np.rad2deg(np.arctan2(z, np.hypot(x, y))), np.rad2deg(np.arctan2(y, x))
