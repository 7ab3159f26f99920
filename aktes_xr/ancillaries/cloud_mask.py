"""The cloud mask of MODIS on the same satellite, MOD35_L2, brought to a cube, lazily.

A granule is an HDF4 file of five minutes. Its ``Cloud_Mask`` has six bytes for each pixel of 1 km,
of which the first says all that is needed here [1]_: bit 0 whether the mask was determined, bits 1
and 2 the confidence that the pixel is clear (0 cloudy, 1 uncertain, 2 probably clear, 3 clear).
Latitude and longitude are given at every fifth pixel, from the third on, and are interpolated. Each
scan of ten lines sees the ground anew and overlaps its neighbours' edges, so nothing is
interpolated from one scan to the next.

A pixel of the cube takes the nearest pixel of MODIS. What is cloudy, uncertain, not determined or
out of the granule's reach is cloud: only what is known to be clear counts as clear.

References
----------
.. [1] Ackerman, S. et al. (2010). Discriminating clear-sky from cloud with MODIS: algorithm
   theoretical basis document (MOD35), version 6.1.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import dask.array as da
import numpy as np
import xarray as xr
from dask.base import tokenize
from pyproj import Transformer
from scipy.spatial import cKDTree

from aktes_xr.ancillaries.place import CubeGrid
from aktes_xr.cube import check
from aktes_xr.errors import AncillaryError, DependencyError, InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]

_GRANULE: Final = re.compile(r"^MOD35_L2\.A(\d{7})\.(\d{4})\.\d{3}\.\d+\.hdf$")
_LENGTH: Final = timedelta(minutes=5)
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


def add_cloud_mask(ds: xr.Dataset, granules: Iterable[str | Path]) -> xr.Dataset:
    """Give a cube the cloud mask of MOD35_L2 granules, lazily: one task per date.

    Parameters
    ----------
    ds : Dataset
        A cube, with ``time`` in UTC.
    granules : iterable of path
        Files with the names they have in the archive (``MOD35_L2.A2004183.1035.061....hdf``), which
        say when they begin. Others of the cube's dates may be among them.

    Returns
    -------
    Dataset
        With ``cloud`` (time, y, x), bool, and in the attribute ``cloud_mask_source`` the granules'
        names. A retrieval takes this mask before its own cloud test.

    Raises
    ------
    DependencyError
        The HDF4 reader is not installed.
    InputError
        A name is not one of MOD35_L2, or there is no granule for a date.
    CubeError
        The cube breaks its contract; see `aktes_xr.cube.check`.
    AncillaryError
        When the mask is computed: a granule cannot be read.
    """
    check(ds)
    _hdf4()
    by_start = {_start(Path(path)): Path(path) for path in granules}
    chosen = tuple(str(_granule(time, by_start)) for time in ds["time"].to_numpy())
    grid = CubeGrid.of(ds)
    numbers = da.arange(len(chosen), chunks=1, dtype=np.int64)
    mask = da.map_blocks(
        _mask,
        numbers,
        granules=chosen,
        grid=grid,
        new_axis=[1, 2],
        chunks=((1,) * len(chosen), (grid.y[2],), (grid.x[2],)),
        dtype=np.bool_,
        meta=np.empty((0, 0, 0), np.bool_),
        name=f"aktes-mod35-{tokenize(chosen, grid)}",
    )
    found = ds.assign(cloud=(("time", "y", "x"), mask, {"long_name": "cloud, by MOD35_L2"}))
    names = sorted({Path(path).name for path in chosen})
    return found.assign_attrs(cloud_mask_source=" ".join(names))


def _hdf4() -> Any:
    try:
        from pyhdf import SD
    except ModuleNotFoundError:
        raise DependencyError(f"MOD35_L2 is HDF4, which needs pyhdf; run: {_EXTRA}") from None
    return SD


def _start(path: Path) -> datetime:
    match = _GRANULE.match(path.name)
    if match is None:
        raise InputError(
            f"found {path.name!r}, expected a granule of Terra's cloud mask under its own name, "
            "such as MOD35_L2.A2004183.1035.061.2017214155303.hdf"
        )
    try:
        return datetime.strptime(match[1] + match[2], "%Y%j%H%M").replace(tzinfo=UTC)
    except ValueError:
        raise InputError(f"the name of {path.name} holds no date: expected AYYYYDDD.HHMM") from None


def _granule(time: np.datetime64, by_start: dict[datetime, Path]) -> Path:
    moment = datetime.fromtimestamp(float(time.astype("M8[ms]").astype(np.int64)) / 1e3, UTC)
    for start, path in by_start.items():
        if start <= moment < start + _LENGTH:
            return path
    raise InputError(
        f"found no MOD35_L2 granule for {moment:%Y-%m-%d %H:%M:%S} UTC among {len(by_start)}: "
        "expected one that begins in the five minutes before"
    )


def _mask(number: NDArray[np.int64], *, granules: tuple[str, ...], grid: CubeGrid) -> Any:
    """Return a date's mask (1, y, x) on the cube's grid."""
    latitude, longitude, first = _read(Path(granules[int(number[0])]))
    clear = ((first & 1) == 1) & ((first >> 1 & 3) >= _PROBABLY_CLEAR)
    y, x = (start + step * np.arange(count) for start, step, count in (grid.y, grid.x))
    transformer = Transformer.from_crs("EPSG:4326", grid.crs, always_xy=True)
    easting, northing = transformer.transform(longitude.ravel(), latitude.ravel())
    near = np.flatnonzero(
        (easting > x.min() - _FARTHEST_M)
        & (easting < x.max() + _FARTHEST_M)
        & (northing > y.min() - _FARTHEST_M)
        & (northing < y.max() + _FARTHEST_M)
    )
    if near.size == 0:
        return np.ones((1, y.size, x.size), np.bool_)
    tree = cKDTree(np.column_stack([easting[near], northing[near]]))
    rows, columns = np.meshgrid(y, x, indexing="ij")
    places = np.column_stack([columns.ravel(), rows.ravel()])
    distance, nearest = tree.query(places, distance_upper_bound=_FARTHEST_M)
    known = np.isfinite(distance)
    cloud = np.ones(places.shape[0], np.bool_)
    cloud[known] = ~clear.ravel()[near[nearest[known]]]
    return cloud.reshape(1, y.size, x.size)


def _read(path: Path) -> tuple[FloatArray, FloatArray, NDArray[np.uint8]]:
    """Return latitude, longitude and the mask's first byte, of each pixel of 1 km."""
    sd = _hdf4()
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
