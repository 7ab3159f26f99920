"""`add_emissivity_prior`: the emissivity that years of earlier scenes show, brought to a cube."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import dask.array as da
import numpy as np
import xarray as xr

from aktes_xr.ancillaries.camel import UNCERTAINTY, find_months, read_month
from aktes_xr.ancillaries.download import download
from aktes_xr.ancillaries.ged import (
    PLANES,
    Corner,
    find_tiles,
    needed_tiles,
    read_tiles,
    tile_name,
)
from aktes_xr.ancillaries.opening import find_definition
from aktes_xr.ancillaries.place import CubeGrid, cube_chunks
from aktes_xr.catalog import Source, sources
from aktes_xr.cube import check, describe
from aktes_xr.errors import AncillaryError
from aktes_xr.sensor import BANDS

if TYPE_CHECKING:
    from aktes_xr.ancillaries.opening import SourceLike

logger = logging.getLogger(__name__)

DEVIATION_FLOOR: Final = 0.010
"""Standard error added to the scatter: a mean of few clear scenes errs by more than its scatter."""


def holds_emissivity(source: Any) -> bool:
    """Return whether a source holds emissivity.

    Its definition says so, or the names of its files do.

    Parameters
    ----------
    source : Any
        What a user gave as a source.

    Returns
    -------
    bool
    """
    if isinstance(source, xr.Dataset):
        return False
    definition = find_definition(source) if isinstance(source, str | Path | Source) else None
    if definition is not None:
        return definition.content == "emissivity"
    if not isinstance(source, str | Path) or "://" in str(source):
        return False
    files = _files(Path(source))
    return bool(find_tiles(files) or find_months(files))


def add_emissivity_prior(
    ds: xr.Dataset,
    source: SourceLike = "ged",
    *,
    folder: str | Path | None = None,
    water: bool = True,
) -> xr.Dataset:
    """Add ``emissivity_prior`` and its uncertainty to a cube, lazily.

    Parameters
    ----------
    ds : Dataset
        A cube; see `aktes_xr.cube`.
    source : str or Path
        Folder with tiles of ASTER GED (``AG100.v003.*.h5``) or months of CAMEL
        (``CAM5K30EM*.nc``), one such file, or ``"ged"`` or ``"camel"``: these are downloaded, now,
        as far as ``folder`` does not hold them, with the Earthdata login that earthaccess finds.
    folder : str or Path, optional
        Where downloads are kept; the user's cache directory unless given.
    water : bool
        Whether the map of water in ASTER GED becomes the cube's mask ``water``, if it has none.

    Returns
    -------
    Dataset
        With ``emissivity_prior`` and ``emissivity_prior_uncertainty`` (band, y, x) float32. Of
        ASTER GED the uncertainty is its standard deviation and 0.010, added in squares; of CAMEL
        it is 0.02. Both are NaN where a tile is missing, which a warning and the attribute
        ``emissivity_prior_missing_tiles`` say, and where the product has a hole. Of CAMEL the
        months of the cube's dates are averaged, each as often as it has dates.

    Raises
    ------
    AncillaryError
        There are no such files, or none of what the cube needs is among them.
    DependencyError
        earthaccess is needed and not installed.
    AccessError
        A download needs a login, and there is none, or it is refused.
    ReadError
        The download failed.

    Notes
    -----
    Neither product holds a mask of snow that a cube could take.
    """
    check(ds)
    if not isinstance(source, str | Path | Source):
        raise AncillaryError(
            f"found a {type(source).__name__}, expected a folder, a file, 'ged' or 'camel'"
        )
    grid = CubeGrid.of(ds)
    definition = find_definition(source)
    if definition is not None:
        files = list(download(definition, ds, grid, folder=folder))
    else:
        files = _files(Path(str(source)))
    tiles, months = find_tiles(files), find_months(files)
    if tiles:
        return _from_tiles(ds, tiles, grid, water=water)
    if months:
        return _from_months(ds, months, grid)
    raise AncillaryError(
        f"{Path(str(source)).name or source!s} holds neither a tile AG100.v003.*.h5 of ASTER GED "
        "nor a month CAM5K30EM*.nc of CAMEL; give the folder that does, 'ged' or 'camel'"
    )


def _files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    return [each for each in path.iterdir() if each.is_file()] if path.is_dir() else []


def _from_tiles(
    ds: xr.Dataset, tiles: dict[Corner, Path], grid: CubeGrid, *, water: bool
) -> xr.Dataset:
    needed = needed_tiles(grid)
    used = {corner: tiles[corner] for corner in needed if corner in tiles}
    missing = ", ".join(tile_name(corner) for corner in needed if corner not in tiles)
    if not used:
        raise AncillaryError(
            f"of ASTER GED the cube needs the tile(s) {missing} (latitude and longitude of the "
            f"upper left corner), but found {', '.join(map(tile_name, sorted(tiles)))[:200]}"
        )
    if missing:
        logger.warning("ASTER GED: no tile %s; there is no emissivity prior there", missing)
    times, rows, columns = cube_chunks(ds)
    planes = read_tiles(used, grid, (rows, columns))
    bands = len(BANDS)
    deviation = planes[bands : 2 * bands]
    added = {
        "emissivity_prior": (("band", "y", "x"), planes[:bands]),
        "emissivity_prior_uncertainty": (
            ("band", "y", "x"),
            da.sqrt(deviation**2 + np.float32(DEVIATION_FLOOR**2)),
        ),
    }
    if water and "water" not in ds:
        shape = (ds.sizes["time"], *planes.shape[1:])
        wet = da.broadcast_to(planes[PLANES - 1] == 1.0, shape, chunks=(times, rows, columns))
        added["water"] = (("time", "y", "x"), wet)
    found = describe(ds.drop_vars([name for name in added if name in ds]).assign(added))
    attrs = _said(ds, "ged", f"{len(used)} tile(s)")
    if missing:
        attrs["emissivity_prior_missing_tiles"] = missing
    return found.assign_attrs(attrs)


def _from_months(ds: xr.Dataset, months: dict[int, Path], grid: CubeGrid) -> xr.Dataset:
    every = ds["time"].dt.month.to_numpy()
    wanted, counts = np.unique(every, return_counts=True)
    present = [
        (int(month), int(n)) for month, n in zip(wanted, counts, strict=True) if month in months
    ]
    if not present:
        raise AncillaryError(
            f"of CAMEL the cube needs the month(s) {', '.join(f'{m:02d}' for m in wanted)}, but "
            f"found {', '.join(f'{m:02d}' for m in sorted(months))}"
        )
    if len(present) < wanted.size:
        absent = sorted(set(wanted.tolist()) - {month for month, _ in present})
        logger.warning("CAMEL: no file for month(s) %s; the others are taken", absent)
    _, rows, columns = cube_chunks(ds)
    total = sum(n for _, n in present)
    prior = sum(
        read_month(months[month], grid, (rows, columns)) * np.float32(n / total)
        for month, n in present
    )
    uncertainty = da.where(da.isnan(prior), np.float32(np.nan), np.float32(UNCERTAINTY))
    added = {
        "emissivity_prior": (("band", "y", "x"), prior),
        "emissivity_prior_uncertainty": (("band", "y", "x"), uncertainty.astype(np.float32)),
    }
    found = describe(ds.drop_vars([name for name in added if name in ds]).assign(added))
    said = "month " + ", ".join(f"{month:02d}" for month, _ in present)
    return found.assign_attrs(_said(ds, "camel", said))


def _said(ds: xr.Dataset, name: str, what: str) -> dict[str, str]:
    """Return the provenance of a source, added to what the cube says of other sources already."""
    known: Iterable[tuple[str, str | None]] = (
        ("ancillary_source", f"emissivity_prior from {name}: {sources()[name].title}, {what}"),
        ("ancillary_licence", sources()[name].licence),
        ("ancillary_citation", sources()[name].citation),
    )
    attrs: dict[str, str] = {}
    for key, text in known:
        if text is not None:
            before = ds.attrs.get(key)
            attrs[key] = text if before in (None, text) else f"{before}; {text}"
    return attrs
