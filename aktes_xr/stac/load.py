"""From STAC items to the cube, through stackstac."""

from __future__ import annotations

import functools
import json
import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any, Final, Literal

import numpy as np
import pandas as pd
import stackstac
import xarray as xr

from aktes_xr import cube
from aktes_xr.ancillaries import SourceLike, add_ancillaries
from aktes_xr.cube.grid import Bounds, Grid
from aktes_xr.errors import AssetError, CalibrationError, InputError, NoItemsError, ReadError
from aktes_xr.sensor import BANDS
from aktes_xr.stac.assets import Granule, granule_of, links_of
from aktes_xr.stac.chunking import Chunks, chunk_lengths
from aktes_xr.stac.elevation import SOURCE, ElevationSource, open_elevation
from aktes_xr.stac.extent import bounds_in, choose_grid, inside, leave_out_far, union
from aktes_xr.stac.items import ItemsLike, Skipped, plain_items
from aktes_xr.stac.links import granule_name, host_of, is_remote
from aktes_xr.stac.network import NetworkSettings
from aktes_xr.stac.opening import Access, with_raster
from aktes_xr.stac.reader import BandLink, BandReader, File, OnError, check_header
from aktes_xr.stac.request import Rules
from aktes_xr.stac.signing import Modifier, for_hosts, with_environment

logger = logging.getLogger(__name__)

_REMEDY = "try again, or open the cube with errors='nodata' to go on without it"
HALF_ORBIT: Final = timedelta(minutes=98.88 / 2)
"""Terra takes 98.88 minutes round the Earth, and sees no place again before that."""


def open_stac(
    items: ItemsLike,
    *,
    bbox: Sequence[float] | None = None,
    like: xr.Dataset | xr.DataArray | None = None,
    crs: Any = None,
    resolution: float | Literal["native", "auto"] | None = 90.0,
    chunks: Chunks = "auto",
    dem: ElevationSource | None = None,
    engine: Literal["stackstac"] = "stackstac",
    modifier: Modifier | None = None,
    errors: OnError = "nodata",
    groupby: Literal["orbit", "item"] = "orbit",
    ancillaries: SourceLike | Sequence[SourceLike] | None = None,
    allowed_hosts: Sequence[str] | None = None,
    network: NetworkSettings | None = None,
) -> xr.Dataset:
    """Open ASTER Level-1T items as a lazy cube.

    Pixels are picked by nearest neighbour, digital numbers stay uint16 and fill stays 0. The
    archive's pixels are not exactly 90 m (89.9034 m by 89.8908 m, say), so on the default 90 m
    grid one row in about a thousand is left out, the same for all bands. ``resolution="native"``
    keeps a granule's own pixels: the cube is then what the file holds, number for number. Items
    whose pixels have exactly the resolution asked for, on common edges, keep them as well.

    An item that cannot be used takes no others along: it is left out, and named with the reason.

    Parameters
    ----------
    items : STAC items in any form `aktes_xr.stac.items.plain_items` takes; five-band and
        one-band-per-file layouts may be mixed. Items without thermal bands, and items outside the
        grid, are left out and reported in ``attrs["skipped_items"]`` and the log.
    bbox : (west, south, east, north), degrees; the grid covers it
    like : Dataset or DataArray whose x, y and CRS the cube takes; excludes bbox, crs, resolution
    crs : projected CRS in metres; None takes the items', which must then agree
    resolution : m, edges on its multiples or the items' own; ``"native"`` (or None) takes the
        items' own pixels, which must lie on one grid; ``"auto"`` does so where they lie on one, and
        takes 90 m where they do not
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
        or ``"raise"`` a ReadError when it is read. Where hosts give nothing at all, because they
        refuse (401, 403: AccessError) or do not answer, that is an error either way.
    groupby : ``"orbit"`` joins the granules of one pass into one date, earlier ones on top, and of
        a granule that was processed twice the newer; ``"item"`` gives each item a date
    ancillaries : source or sources of water column, air temperature and an emissivity prior, such
        as ``"era5"``; see `aktes_xr.add_ancillaries`
    allowed_hosts : the only hosts that items may name and redirects may lead to, such as
        ``("data.example.org", ".nasa.gov")``; None allows all
    network : how long hosts are waited for; None takes the defaults and the environment

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
        The tags of all local files contradict the sensor's constants.
    """
    _check_arguments(engine=engine, errors=errors, groupby=groupby)
    skipped: Skipped = []
    access = Access(
        modifier=with_environment(modifier),
        allowed_hosts=None if allowed_hosts is None else tuple(allowed_hosts),
        settings=network or NetworkSettings.from_environment(),
    )
    granules, access = _granules(items, access, skipped)
    if bbox is None and like is None:
        granules = leave_out_far(granules, skipped)
    grid = choose_grid(granules, bbox=bbox, like=like, crs=crs, resolution=resolution)
    granules = inside(granules, grid, skipped)
    granules = _checked_files(granules, skipped, access, errors)
    groups = _group(granules, groupby)
    lengths = chunk_lengths(chunks, (len(groups), *grid.shape))
    ds = _stack(groups, grid, lengths, access=access, errors=errors)
    if like is not None:
        # Take the very same coordinate values. Values that differ by rounding would not align.
        ds = ds.assign_coords(x=like["x"].variable, y=like["y"].variable)
    origin: dict[str, str] = {}
    if dem is not None:
        blocks = (ds["tir"].chunksizes["y"], ds["tir"].chunksizes["x"])
        elevation = open_elevation(dem, ds, grid, chunks=blocks, access=access)
        origin = {"elevation_source": elevation.attrs[SOURCE]}
        ds = cube.describe(ds.assign(elevation=elevation))
    ds.attrs = {
        "title": "ASTER Level-1T thermal infrared",
        "Conventions": "CF-1.11",
        "skipped_items": json.dumps(skipped),
        **origin,
    }
    return ds if ancillaries is None else add_ancillaries(ds, ancillaries, errors=errors)


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


def _granules(items: ItemsLike, access: Access, skipped: Skipped) -> tuple[list[Granule], Access]:
    """Read the items, each for itself, and say in the access where their files lie."""
    rules = Rules(settings=access.settings, allowed_hosts=access.allowed_hosts)
    found = plain_items(items, skipped, rules)
    links = [link for one in found for link in links_of(one)]
    access = replace(access, modifier=for_hosts(access.modifier, links))
    granules: list[Granule] = []
    failures: list[AssetError | ReadError] = []
    for one in found:
        try:
            granules.append(granule_of(one, access=access))
        except (AssetError, ReadError) as error:
            logger.warning("skipped: %s", error)
            skipped.append({"id": one.name, "reason": str(error)})
            failures.append(error)
    if not granules:
        if failures and all(isinstance(failure, ReadError) for failure in failures):
            raise failures[0]
        reasons = "; ".join(entry["reason"] for entry in skipped[:5]) or "there were none"
        raise NoItemsError(f"no item with thermal bands to load ({reasons}); widen the search")
    granules.sort(key=lambda one: (one.time, -one.processing_time.value, one.item_id))
    hosts = Counter(host_of(granule.bands[0][0]) for granule in granules)
    return granules, replace(access, items=tuple(sorted(hosts.items())))


def _checked_files(
    granules: Sequence[Granule], skipped: Skipped, access: Access, errors: OnError
) -> list[Granule]:
    """Look at the headers of local files now; remote ones are checked when they are read.

    The reader deals with a file that is unreadable, as ``errors`` says. A file with another scaling
    is left out. Where that leaves no file at all, it is an error.
    """
    kept = []
    for granule in granules:
        try:
            for href, band in dict(granule.bands).items():
                if not is_remote(href):
                    _check_file(href, band, access, errors)
        except CalibrationError as error:
            failure = error
            logger.warning("skipped: %s", error)
            skipped.append({"id": granule.item_id, "reason": str(error)})
        else:
            kept.append(granule)
    if not kept:
        raise failure
    return kept


def _check_file(href: str, band: int, access: Access, errors: OnError) -> None:
    name = granule_name(href)
    try:
        with_raster(
            href, access, lambda source: check_header(source, name, wanted=band), remedy=_REMEDY
        )
    except ReadError as error:
        if errors == "raise":
            raise
        logger.info("%s; it is tried again when it is read", error)


def _group(granules: Sequence[Granule], groupby: str) -> list[list[Granule]]:
    if groupby == "item":
        return [[granule] for granule in granules]
    passes: list[list[Granule]] = []
    latest: dict[tuple[Any, ...], list[Granule]] = {}
    for granule in granules:
        numbers = tuple(number for _, number in granule.bands)
        alike = (granule.orbit_state, granule.layout, numbers)
        if alike not in latest or granule.time - latest[alike][0].time > HALF_ORBIT:
            latest[alike] = []
            passes.append(latest[alike])
        latest[alike].append(granule)
    return passes


def _stack(
    groups: Sequence[Sequence[Granule]],
    grid: Grid,
    chunks: tuple[int, int, int, int],
    *,
    access: Access,
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
        reader=functools.partial(BandReader, access=access, errors=errors),
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


def _rounded(box: Bounds) -> Bounds:
    west, south, east, north = (round(edge, 3) for edge in box)
    return west, south, east, north


def _band_item(group: Sequence[Granule], epsg: int) -> dict[str, Any]:
    """Return what stackstac is given: one single-band asset per band, in ``proj:epsg`` terms."""
    boxes = [bounds_in(granule.grid, epsg) for granule in group]
    whole = list(union(boxes))
    assets = {}
    for index, band in enumerate(BANDS):
        files = tuple(
            # Round to the millimetre. Otherwise the rounding of a projection could add a row.
            File(href, granule.item_id, _rounded(box), dict(granule.bands)[href])
            for granule, box in zip(group, boxes, strict=True)
            for href, _ in granule.bands[index : index + 1]
        )
        link = BandLink(files, group[0].bands[index][1])
        assets[band] = {"href": link, "proj:bbox": whole, "proj:epsg": epsg}
    return {
        "id": group[0].item_id,
        "properties": {"datetime": group[0].time.isoformat(), "proj:epsg": epsg},
        "assets": assets,
    }
