"""`add_cloud_mask`: the cloud mask of MODIS on the same satellite, brought to a cube, lazily.

A pixel of the cube takes the nearest pixel of MODIS (`aktes_xr.ancillaries.mod35`). What is cloudy,
uncertain, not determined or out of the granules' reach is cloud: only what is known to be clear
counts as clear.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import dask.array as da
import numpy as np
import xarray as xr
from dask.base import tokenize

from aktes_xr.ancillaries import earthdata
from aktes_xr.ancillaries.mod35 import LENGTH, cloud_on_grid, hdf4, newest, start_of
from aktes_xr.ancillaries.place import CubeGrid
from aktes_xr.catalog import source as shipped
from aktes_xr.cube import check
from aktes_xr.errors import GranuleError, InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

ARCHIVE: Final = "mod35"
"""What stands for the archive of the granules, instead of files."""
USED_BY: Final = ("auto", "none")
"""Values of ``clouds`` in `aktes_xr.retrieve` by which a cube's own mask says where cloud is."""
_GROUND_SPEED: Final = 6700.0
"""Of the satellite, m s-1: a date is the time of its first item, and a cube takes a while."""
_MARGIN: Final = timedelta(seconds=10)
"""What a granule of ASTER takes, and its time may be that of its middle."""
_NAME: Final = "MOD35_L2.A2004183.1035.061.2017214155303.hdf"


def add_cloud_mask(
    ds: xr.Dataset,
    source: str | Path | Iterable[str | Path] = ARCHIVE,
    *,
    folder: str | Path | None = None,
) -> xr.Dataset:
    """Give a cube the cloud mask of MOD35_L2 granules, lazily: one task per date.

    Parameters
    ----------
    ds : Dataset
        A cube, with ``time`` in UTC.
    source : str, Path or iterable of them
        ``"mod35"``: for each date the granule of the same five minutes is downloaded, now, as far
        as ``folder`` does not hold it, with the Earthdata login that earthaccess finds in the
        environment or in ``~/.netrc``. Or files, and folders of files, with the names they have in
        the archive (``MOD35_L2.A2004183.1035.061....hdf``), which say when they begin; others of
        the cube's dates may be among them.
    folder : str or Path, optional
        Where downloads are kept; the user's cache directory unless given.

    Returns
    -------
    Dataset
        With ``cloud`` (time, y, x), bool, and in the attribute ``cloud_mask_source`` the granules'
        names. A retrieval takes this mask before its own cloud test. Where a pass goes on into the
        next five minutes within the cube, that granule is taken, too, where there is one.

    Raises
    ------
    DependencyError
        The HDF4 reader is not installed, or earthaccess is needed and is not.
    InputError
        A name is not one of MOD35_L2, or there is no such file.
    GranuleError
        There is no granule for a date.
    AccessError
        Granules must be downloaded, and there is no login, or it is refused.
    ReadError
        The search or the download failed.
    CubeError
        The cube breaks its contract; see `aktes_xr.cube.check`.
    AncillaryError
        When the mask is computed: a granule cannot be read.
    """
    check(ds)
    check_cloud_mask(source)
    grid = CubeGrid.of(ds)
    moments = [_moment(time) for time in ds["time"].to_numpy()]
    passes = [_starts(moment, _span(grid)) for moment in moments]
    found = _from_archive(passes, folder) if _is_archive(source) else newest(_files(source))
    chosen = tuple(
        _granules(moment, starts, found) for moment, starts in zip(moments, passes, strict=True)
    )
    mask = da.map_blocks(
        _mask,
        da.arange(len(chosen), chunks=1, dtype=np.int64),
        granules=chosen,
        grid=grid,
        new_axis=[1, 2],
        chunks=((1,) * len(chosen), (grid.y[2],), (grid.x[2],)),
        dtype=np.bool_,
        meta=np.empty((0, 0, 0), np.bool_),
        name=f"aktes-mod35-{tokenize(chosen, grid)}",
    )
    masked = ds.assign(cloud=(("time", "y", "x"), mask, {"long_name": "cloud, by MOD35_L2"}))
    names = sorted({Path(path).name for paths in chosen for path in paths})
    return masked.assign_attrs(cloud_mask_source=" ".join(names))


def check_cloud_mask(source: str | Path | Iterable[str | Path], *, clouds: str = "auto") -> None:
    """Check all of a source of cloud masks that can be checked without a cube.

    Parameters
    ----------
    source : str, Path or iterable of them
        As `add_cloud_mask` takes it.
    clouds : str
        Who is to say where cloud is, as `aktes_xr.retrieve` takes it.

    Raises
    ------
    DependencyError
        A package is missing; the message names the extra.
    InputError
        There is no such file, its name is not one of MOD35_L2, or no mask is to be used.
    """
    if clouds not in USED_BY:
        raise InputError(
            f"found a cloud mask with clouds={clouds!r}, which does not look at it: leave one out"
        )
    hdf4()
    if not _is_archive(source):
        _files(source)


def _several(source: str | Path | Iterable[str | Path]) -> Sequence[str | Path]:
    return [source] if isinstance(source, str | Path) else list(source)


def _is_archive(source: str | Path | Iterable[str | Path]) -> bool:
    several = [str(one) for one in _several(source)]
    if ARCHIVE in several and len(several) > 1:
        raise InputError(
            f"found {ARCHIVE!r} beside {len(several) - 1} path(s) of cloud masks, expected either"
        )
    return several == [ARCHIVE]


def _files(source: str | Path | Iterable[str | Path]) -> list[Path]:
    """Return the files that are named, and the granules in the folders that are."""
    found: list[Path] = []
    for one in map(Path, _several(source)):
        if one.is_dir():
            inside = [path for path in one.iterdir() if start_of(path.name) is not None]
            if not inside:
                raise InputError(
                    f"the folder {one.name} holds no granule of MOD35_L2: expected files such as "
                    f"{_NAME}"
                )
            found += inside
        elif start_of(one.name) is None:
            raise InputError(
                f"found {one.name!r}, expected a granule of Terra's cloud mask under its own name, "
                f"such as {_NAME}, a folder of them, or {ARCHIVE!r}"
            )
        elif not one.is_file():
            raise InputError(f"there is no file {one.name!r} at the path given for a cloud mask")
        else:
            found.append(one)
    if not found:
        raise InputError(f"found no path of a cloud mask, expected at least one, or {ARCHIVE!r}")
    return found


def _moment(time: np.datetime64) -> datetime:
    return datetime.fromtimestamp(float(time.astype("M8[ms]").astype(np.int64)) / 1e3, UTC)


def _span(grid: CubeGrid) -> timedelta:
    """Return how long the satellite takes over a cube."""
    height, width = (step * count for _, step, count in (grid.y, grid.x))
    return timedelta(seconds=float(np.hypot(height, width)) / _GROUND_SPEED)


def _starts(moment: datetime, span: timedelta) -> tuple[datetime, ...]:
    """Return when the granules of a pass begin: that of its moment first."""
    midnight = moment.replace(hour=0, minute=0, second=0, microsecond=0)
    several = (moment, moment - _MARGIN, moment + span + _MARGIN)
    # Granules begin at whole five minutes of the day.
    begins = [midnight + (one - midnight) // LENGTH * LENGTH for one in several]
    return tuple(dict.fromkeys(begins))


def _granules(
    moment: datetime, starts: Sequence[datetime], found: dict[datetime, Path]
) -> tuple[str, ...]:
    if starts[0] not in found:
        raise GranuleError(
            f"found no MOD35_L2 granule for {moment:%Y-%m-%d %H:%M:%S} UTC among {len(found)}: "
            f"expected that of {starts[0]:%H:%M}; leave this date out, or take the bundle's own "
            "cloud test"
        )
    return tuple(str(found[start]) for start in starts if start in found)


def _from_archive(
    passes: Sequence[Sequence[datetime]], folder: str | Path | None
) -> dict[datetime, Path]:
    """Return the granules of passes; download those that are not in the folder."""
    collection = shipped(ARCHIVE)
    place = earthdata.folder_of(collection, folder)
    present = newest(earthdata.files_in(place))
    missing = sorted({start for starts in passes for start in starts} - present.keys())
    if not missing:
        return present
    earthdata.require(collection)
    earthdata.login(collection)
    wanted = []
    for start in missing:
        # In the middle of the five minutes no other granule is under way.
        middle = (start + LENGTH / 2).strftime("%Y-%m-%dT%H:%M:%SZ")
        granules = earthdata.search(collection, temporal=(middle, middle))
        named = {name: one for one in granules for name in earthdata.file_names(one)}
        if (name := max((n for n in named if start_of(n) == start), default=None)) is not None:
            wanted.append(named[name])
    if wanted:
        earthdata.download(collection, wanted, place)
    return newest(earthdata.files_in(place))


def _mask(
    number: NDArray[np.int64], *, granules: tuple[tuple[str, ...], ...], grid: CubeGrid
) -> Any:
    """Return a date's mask (1, y, x) on the cube's grid."""
    return cloud_on_grid([Path(path) for path in granules[int(number[0])]], grid)[np.newaxis]
