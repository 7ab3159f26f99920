"""From STAC items to the cube, through stackstac."""

from __future__ import annotations

import functools
import json
import logging
from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Literal

import numpy as np
import pandas as pd
import rasterio
import stackstac
import xarray as xr
from rasterio.errors import RasterioError

from aktes_xr import cube
from aktes_xr.cube.grid import Bounds, Grid
from aktes_xr.errors import AssetError, CRSError, InputError, NoItemsError
from aktes_xr.sensor import BANDS
from aktes_xr.stac.assets import Granule, granule_of
from aktes_xr.stac.chunking import Chunks, chunk_lengths
from aktes_xr.stac.elevation import ElevationSource, open_elevation
from aktes_xr.stac.grid import (
    covering_grid,
    epsg_of,
    grid_like,
    native_grid,
    overlap,
    project_bbox,
    reproject_bounds,
)
from aktes_xr.stac.items import ItemsLike, plain_items
from aktes_xr.stac.login import with_environment
from aktes_xr.stac.reader import BandReader, OnError, band_href, check_header
from aktes_xr.stac.signing import Modifier, granule_name

logger = logging.getLogger(__name__)

Skipped = list[dict[str, str]]

_HALF_ORBIT = timedelta(minutes=98.88 / 2)
"""Terra takes 98.88 minutes round the Earth, and sees no place again before that."""


def open_stac(
    items: ItemsLike,
    *,
    bbox: Sequence[float] | None = None,
    like: xr.Dataset | xr.DataArray | None = None,
    crs: Any = None,
    resolution: float | None = 90.0,
    chunks: Chunks = "auto",
    dem: ElevationSource | None = None,
    engine: Literal["stackstac"] = "stackstac",
    modifier: Modifier | None = None,
    errors: OnError = "nodata",
    groupby: Literal["orbit", "item"] = "orbit",
) -> xr.Dataset:
    """Open ASTER Level-1T items as a lazy cube.

    Pixels are picked by nearest neighbour, digital numbers stay uint16 and fill stays 0. The
    archive's pixels are not exactly 90 m (89.9034 m by 89.8908 m, say), so on the default 90 m
    grid one row in about a thousand is left out, the same for all bands. ``resolution=None`` keeps
    a granule's own pixels: the cube is then what the file holds, number for number. So it is where
    all items have pixels of the very size asked for, on common edges.

    Parameters
    ----------
    items : STAC items in any form `aktes_xr.stac.items.plain_items` takes; five-band and
        one-band-per-file layouts may be mixed. Items without thermal bands, and items outside the
        grid, are left out and reported in ``attrs["skipped_items"]`` and the log.
    bbox : (west, south, east, north), degrees; the grid covers it
    like : Dataset or DataArray whose x, y and CRS the cube takes; excludes bbox, crs, resolution
    crs : projected CRS in metres; None takes the items', which must then agree
    resolution : m, edges on its multiples or the items' own; None takes the items' own pixels
    chunks : ``"auto"`` (a date whole, or squares that suit the memory of a worker's thread, Dask's
        ``array.chunk-size`` and the store's shards; see `aktes_xr.stac.chunking`), pixels per side,
        (y, x), or a mapping of time, y, x. All five bands are always in one chunk.
    dem : elevation model: DataArray, path of a raster, or STAC items; averaged to the grid
    engine : ``"stackstac"``, the only one
    modifier : function that signs items and links, such as ``planetary_computer.sign``; called in
        the task that reads, so that no signature is in the graph and none expires there. It must
        fetch its token rather than carry it. An `aktes_xr.stac.Login` brings credentials for the
        header or the storage instead; what an enclosing ``rasterio.Env`` holds serves this
        process's threads.
    errors : what an unreadable file is: ``"nodata"``, logged and marked with
        `sensor.UNREADABLE_DN`, so that a retrieval has no value there and flags it ``unreadable``,
        or ``"raise"`` a ReadError when it is read. An archive that refuses (401, 403) is an
        AccessError either way.
    groupby : ``"orbit"`` joins the granules of one pass into one date, earlier ones on top, and of
        a granule that was processed twice the newer; ``"item"`` gives each item a date

    Returns
    -------
    Dataset
        ``tir`` (time, band, y, x) uint16 DN, ``elevation`` (y, x) float32 m if ``dem`` is given,
        per-time coordinates view_zenith, sun_zenith, sun_azimuth (degree), platform_time,
        processing_time, item_id and processing_version; see `aktes_xr.cube`.

    Raises
    ------
    NoItemsError
        No item is left to load; the message says why each was left out.
    CRSError, GridError, InputError
        The grid cannot be made from what was given.
    CalibrationError
        A file's tags contradict the sensor's constants (local files now, others when read).
    """
    _check_arguments(engine=engine, errors=errors, groupby=groupby)
    modifier = with_environment(modifier)
    granules, skipped = _granules(items, modifier)
    if like is not None:
        if bbox is not None or crs is not None:
            raise InputError("like= already says where and in which CRS: leave out bbox= and crs=")
        grid = grid_like(like)
    else:
        grid = _choose_grid(granules, bbox=bbox, crs=crs, resolution=resolution)
    granules = _inside(granules, grid, skipped)
    for granule in granules:
        _check_local_files(granule)
    groups = _group(granules, groupby)
    shape = (len(groups), *grid.shape)
    ds = _stack(groups, grid, chunk_lengths(chunks, shape), modifier=modifier, errors=errors)
    if like is not None:
        # The very same numbers, so that both align exactly.
        ds = ds.assign_coords(x=like["x"].variable, y=like["y"].variable)
    if dem is not None:
        blocks = (ds["tir"].chunksizes["y"], ds["tir"].chunksizes["x"])
        ds["elevation"] = open_elevation(dem, ds, grid, chunks=blocks, modifier=modifier)
    ds.attrs = {
        "title": "ASTER Level-1T thermal infrared",
        "Conventions": "CF-1.11",
        "skipped_items": json.dumps(skipped),
    }
    return cube.describe(ds)


def _check_arguments(*, engine: str, errors: str, groupby: str) -> None:
    if engine == "odc":
        raise InputError(
            "engine='odc' is not offered: with GDAL 3.11 and later odc-stac returns fill (DN 0) as "
            "DN 1, which is zero radiance; use engine='stackstac'"
        )
    for name, value, allowed in (
        ("engine", engine, ("stackstac",)),
        ("errors", errors, ("nodata", "raise")),
        ("groupby", groupby, ("orbit", "item")),
    ):
        if value not in allowed:
            raise InputError(f"{name} is {value!r}, expected {' or '.join(map(repr, allowed))}")


def _granules(items: ItemsLike, modifier: Modifier | None) -> tuple[list[Granule], Skipped]:
    granules: list[Granule] = []
    skipped: Skipped = []
    for item in plain_items(items):
        try:
            granules.append(granule_of(item, modifier=modifier))
        except AssetError as error:
            logger.warning("skipped: %s", error)
            skipped.append({"id": str(item.get("id")), "reason": str(error)})
    if not granules:
        reasons = "; ".join(entry["reason"] for entry in skipped) or "there were none"
        raise NoItemsError(f"no item with thermal bands to load ({reasons}); widen the search")
    granules.sort(key=lambda one: (one.time, -one.processing_time.value, one.item_id))
    return granules, skipped


def _choose_grid(
    granules: Sequence[Granule],
    *,
    bbox: Sequence[float] | None,
    crs: Any,
    resolution: float | None,
) -> Grid:
    if crs is not None:
        epsg = epsg_of(crs)
    else:
        zones = Counter(granule.grid.epsg for granule in granules)
        if len(zones) > 1:
            found = ", ".join(f"EPSG:{code} ({n})" for code, n in zones.most_common())
            raise CRSError(
                f"the items lie in several projections: {found}; say which the cube takes, e.g. "
                f"crs='EPSG:{zones.most_common(1)[0][0]}'"
            )
        epsg = granules[0].grid.epsg
    box = None if bbox is None else project_bbox(bbox, epsg)
    if resolution is None:
        if epsg != granules[0].grid.epsg:
            raise InputError(
                f"resolution=None keeps the items' own pixels, in EPSG:{granules[0].grid.epsg}, "
                f"but crs is EPSG:{epsg}: give a resolution, or leave out crs="
            )
        return native_grid([granule.grid for granule in granules], bounds=box)
    if _already_on(granules, epsg, resolution):
        return native_grid([granule.grid for granule in granules], bounds=box)
    if box is None:
        boxes = [_bounds(granule, epsg) for granule in granules]
        box = (
            min(b[0] for b in boxes),
            min(b[1] for b in boxes),
            max(b[2] for b in boxes),
            max(b[3] for b in boxes),
        )
    return covering_grid(box, epsg=epsg, resolution=resolution)


def _already_on(granules: Sequence[Granule], epsg: int, resolution: float) -> bool:
    """Return whether the items' pixels are of this size and share their edges."""
    first = granules[0].grid
    for grid in (granule.grid for granule in granules):
        offsets = [(a - b) / resolution for a, b in zip(grid.origin, first.origin, strict=True)]
        if grid.epsg != epsg or any(abs(size / resolution - 1) > 1e-6 for size in grid.pixel):
            return False
        if any(abs(offset - round(offset)) > 1e-3 for offset in offsets):
            return False
    return True


def _bounds(granule: Granule, epsg: int) -> Bounds:
    return reproject_bounds(granule.grid.bounds, granule.grid.epsg, epsg)


def _inside(granules: Sequence[Granule], grid: Grid, skipped: Skipped) -> list[Granule]:
    kept = []
    for granule in granules:
        if overlap(_bounds(granule, grid.epsg), grid.bounds):
            kept.append(granule)
        else:
            logger.info("skipped: item %s lies outside the grid", granule.item_id)
            skipped.append({"id": granule.item_id, "reason": "outside the grid"})
    if not kept:
        raise NoItemsError(
            f"none of the {len(granules)} item(s) overlaps the grid (EPSG:{grid.epsg}, "
            f"{', '.join(f'{value:.0f}' for value in grid.bounds)} m); check bbox= or like="
        )
    return kept


def _check_local_files(granule: Granule) -> None:
    """Look at the headers of local files now; remote ones are checked when they are read."""
    for href, band in dict(granule.bands).items():
        if "://" in href:
            continue
        try:
            with rasterio.open(href, sharing=False) as source:
                check_header(source, granule_name(href), wanted=band)
        except RasterioError:
            # Missing or broken files are the reader's to report, as `errors` says.
            logger.info("%s cannot be opened yet", granule_name(href))


def _group(granules: Sequence[Granule], groupby: str) -> list[list[Granule]]:
    if groupby == "item":
        return [[granule] for granule in granules]
    passes: list[list[Granule]] = []
    latest: dict[tuple[Any, ...], list[Granule]] = {}
    for granule in granules:
        numbers = tuple(number for _, number in granule.bands)
        alike = (granule.orbit_state, granule.layout, numbers)
        if alike not in latest or granule.time - latest[alike][0].time > _HALF_ORBIT:
            latest[alike] = []
            passes.append(latest[alike])
        latest[alike].append(granule)
    return passes


def _stack(
    groups: Sequence[Sequence[Granule]],
    grid: Grid,
    chunks: tuple[int, int, int, int],
    *,
    modifier: Modifier | None,
    errors: OnError,
) -> xr.Dataset:
    stacked = stackstac.stack(
        [_band_item(group, grid.epsg) for group in groups],
        assets=list(BANDS),
        epsg=grid.epsg,
        resolution=grid.pixel,
        bounds=grid.bounds,
        snap_bounds=False,
        chunksize=chunks,
        dtype=np.dtype("uint16"),
        fill_value=np.uint16(0),
        rescale=False,
        sortby_date=False,
        xy_coords="center",
        properties=False,
        band_coords=False,
        reader=functools.partial(BandReader, modifier=modifier, errors=errors),
    )
    first = [group[0] for group in groups]
    time = pd.DatetimeIndex([granule.time for granule in first]).as_unit("ns").to_numpy()
    return cube.new_cube(
        stacked.data,
        time=time,
        y=grid.y,
        x=grid.x,
        crs=f"EPSG:{grid.epsg}",
        coordinates={
            "view_zenith": [_mean(group, "view_zenith") for group in groups],
            "sun_zenith": [_mean(group, "sun_zenith") for group in groups],
            "sun_azimuth": [granule.sun_azimuth for granule in first],
            "platform_time": time,
            "processing_time": pd.DatetimeIndex([granule.processing_time for granule in first])
            .as_unit("ns")
            .to_numpy(),
            "item_id": [
                cube.ITEM_SEPARATOR.join(granule.item_id for granule in group) for group in groups
            ],
            "processing_version": [
                "+".join(dict.fromkeys(granule.processing_version for granule in group))
                for group in groups
            ],
        },
    )


def _mean(group: Sequence[Granule], name: str) -> float:
    return float(np.mean([getattr(granule, name) for granule in group]))


def _band_item(group: Sequence[Granule], epsg: int) -> dict[str, Any]:
    """Return what stackstac is given: one single-band asset per band, in ``proj:epsg`` terms."""
    boxes = [_bounds(granule, epsg) for granule in group]
    box = [
        min(b[0] for b in boxes),
        min(b[1] for b in boxes),
        max(b[2] for b in boxes),
        max(b[3] for b in boxes),
    ]
    return {
        "id": group[0].item_id,
        "properties": {"datetime": group[0].time.isoformat(), "proj:epsg": epsg},
        "assets": {
            band: {
                "href": band_href(
                    [granule.bands[index][0] for granule in group],
                    group[0].bands[index][1],
                    boxes,
                ),
                "proj:bbox": box,
                "proj:epsg": epsg,
            }
            for index, band in enumerate(BANDS)
        },
    }
