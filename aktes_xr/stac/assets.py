"""From a STAC item to a granule: where its five thermal bands are, on what grid, seen from where.

Three layouts hold the same numbers: one five-band COG (asset ``TIR`` at Planetary Computer, a
file ``{granule}_TIR.tif`` on AWS), or one COG per band (``..._TIR_B10.tif`` at the LP DAAC). For an
item that holds none of them there is an `AssetError`, which the loader turns into a report.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import pandas as pd
from affine import Affine

from aktes_xr.cube.grid import Grid
from aktes_xr.errors import AssetError, CRSError, printable
from aktes_xr.sensor import BANDS
from aktes_xr.stac.grid import epsg_of
from aktes_xr.stac.item import LIMIT_SIDE_PIXELS, Asset, Item, Properties, item_of, link_of
from aktes_xr.stac.items import Found
from aktes_xr.stac.links import granule_name
from aktes_xr.stac.opening import Access, with_raster
from aktes_xr.stac.signing import bare_href

Layout = Literal["five-band", "per-band"]

EARTH_RADIUS_KM = 6371.0
ORBIT_HEIGHT_KM = 705.0
_PIXEL_M = (1.0, 10_000.0)

_BAND = re.compile(r"(?:TIR[_.-]?)?B(?:and)?_?(1[0-4])$", re.IGNORECASE)
_BAND_FILE = re.compile(r"[_.-]TIR[_.-]B(?:and)?(1[0-4])\.tiff?$", re.IGNORECASE)
_TIR_FILE = re.compile(r"[_.-]TIR\.tiff?$", re.IGNORECASE)
_RASTER_FILE = re.compile(r"\.tiff?$", re.IGNORECASE)
_GRANULE = re.compile(r"AST_L1T_(\d{3})\d{14}_(\d{14})")


@dataclass(frozen=True, slots=True)
class Granule:
    """One acquisition, ready to be loaded; links are bare (unsigned).

    Attributes
    ----------
    item_id, layout : str
    bands : (link, band number in the file) for B10..B14
    grid : Grid, the file's own
    time, processing_time : UTC without zone; NaT where unknown
    view_zenith, sun_zenith, sun_azimuth : degrees; NaN where unknown
    processing_version : e.g. ``"V003-83940"``
    orbit_state : ``"ascending"`` or ``"descending"``; empty where unknown
    """

    item_id: str
    layout: Layout
    bands: tuple[tuple[str, int], ...]
    grid: Grid
    time: pd.Timestamp
    view_zenith: float
    sun_zenith: float
    sun_azimuth: float
    processing_version: str
    processing_time: pd.Timestamp
    orbit_state: str


def granule_of(item: Mapping[str, Any] | Found, *, access: Access | None = None) -> Granule:
    """Read a STAC item.

    Parameters
    ----------
    item : dict of a STAC item, or one as `aktes_xr.stac.items.plain_items` finds it
    access : how files are reached; a file is asked only where the item does not say its grid

    Raises
    ------
    AssetError
        It is misshapen, or holds no thermal bands in a layout that is known, or no time.
    """
    found = item if isinstance(item, Found) else Found(item)
    access = access or Access()
    read = item_of(found)
    properties = read.properties or Properties()
    layout, located = _locate(read)
    time = _utc(properties.time or properties.start)
    if time is pd.NaT:
        raise AssetError(f"item {read.name} has no datetime that is understood")
    links = [
        link_of(read, asset, local=found.local, allowed_hosts=access.allowed_hosts)
        for asset, _ in located
    ]
    bare = [bare_href(link, access.modifier) for link in links]
    version, processed = _processing(read.name, links[0], properties)
    elevation = _angle(properties.sun_elevation)
    return Granule(
        item_id=read.name,
        layout=layout,
        bands=tuple((link, band) for link, (_, band) in zip(bare, located, strict=True)),
        grid=_grid(read, located[0][0], bare[0], access),
        time=time,
        view_zenith=_view_zenith(properties),
        sun_zenith=90.0 - elevation,
        sun_azimuth=_angle(properties.sun_azimuth),
        processing_version=version,
        processing_time=processed,
        orbit_state=printable(properties.orbit_state or ""),
    )


def links_of(found: Found) -> list[str]:
    """Return the links of an item's thermal files; none where it cannot be used.

    Parameters
    ----------
    found : Found
        An item as it was found.

    Returns
    -------
    list of str
        The links; empty where the item cannot be used.
    """
    try:
        return [asset.link for asset, _ in _locate(item_of(found))[1]]
    except AssetError:
        return []


def view_zenith_of(off_nadir: float) -> float:
    """Return the zenith angle at the ground of a view that leaves the satellite off nadir.

    The Earth's curvature makes it larger: ``sin(zenith) = (R + h) / R sin(off_nadir)`` with the
    orbit's 705 km (8.55 degrees, the sensor's largest, become 9.50).

    Parameters
    ----------
    off_nadir : degrees; the sign (side of the track) is dropped
    """
    ratio = (EARTH_RADIUS_KM + ORBIT_HEIGHT_KM) / EARTH_RADIUS_KM
    return math.degrees(math.asin(ratio * math.sin(math.radians(abs(off_nadir)))))


def _locate(item: Item) -> tuple[Layout, list[tuple[Asset, int]]]:
    assets = item.assets or {}
    rasters = {key: asset for key, asset in assets.items() if _is_raster(asset)}
    single = {}
    for key, asset in rasters.items():
        named = _BAND.fullmatch(key) or _BAND_FILE.search(granule_name(asset.link))
        if named is not None and len(asset.band_names) <= 1:
            single[f"B{named.group(1)}"] = asset
    for key, asset in rasters.items():
        if key.upper() == "TIR" or _TIR_FILE.search(granule_name(asset.link)):
            return "five-band", [(asset, number) for number in _band_numbers(item, asset)]
    if single:
        missing = [band for band in BANDS if band not in single]
        if missing:
            raise AssetError(f"item {item.name} lacks the thermal band(s) {', '.join(missing)}")
        return "per-band", [(single[band], 1) for band in BANDS]
    listed = printable(", ".join(sorted(assets))[:200])
    raise AssetError(f"item {item.name} has no thermal (TIR) asset: found {listed or 'none'}")


def _is_raster(asset: Asset) -> bool:
    media = asset.media or ""
    if not asset.link or set(asset.roles or ()) & {"thumbnail", "overview", "metadata"}:
        return False
    if media:
        return media.startswith("image/tiff") or "geotiff" in media
    return _RASTER_FILE.search(granule_name(asset.link)) is not None


def _band_numbers(item: Item, asset: Asset) -> list[int]:
    """Return the file's band number of B10..B14: in order, unless the item names them otherwise."""
    names, found = asset.band_names, {}
    for number, name in enumerate(names, start=1):
        named = _BAND.search(name)
        if named is not None:
            found[f"B{named.group(1)}"] = number
    if not found and len(names) in (0, len(BANDS)):
        return list(range(1, len(BANDS) + 1))
    missing = [band for band in BANDS if band not in found]
    if missing:
        listed = printable(", ".join(names)[:200])
        raise AssetError(
            f"item {item.name}: its TIR asset lists {listed}, {', '.join(missing)} missing"
        )
    return [found[band] for band in BANDS]


def _angle(value: float | None) -> float:
    return math.nan if value is None else value


def _view_zenith(properties: Properties) -> float:
    if properties.incidence is not None:
        return abs(properties.incidence)
    return view_zenith_of(_angle(properties.off_nadir))


def _utc(text: datetime | str | None) -> pd.Timestamp:
    if text is None:
        return pd.NaT
    time = pd.to_datetime(text, utc=True, errors="coerce")
    try:
        return time if time is pd.NaT else time.tz_localize(None).as_unit("ns")
    except pd.errors.OutOfBoundsDatetime:
        # Pandas 3 takes years that nanoseconds cannot hold.
        return pd.NaT


def _processing(item_id: str, href: str, properties: Properties) -> tuple[str, pd.Timestamp]:
    """Return version and date of processing: from the granule's name, else the item's fields."""
    named = _GRANULE.search(item_id) or _GRANULE.search(granule_name(href))
    version = properties.version or properties.processing_version
    processed = _utc(properties.created)
    if named is not None:
        version = version or named.group(1)
        processed = pd.to_datetime(named.group(2), format="%Y%m%d%H%M%S", errors="coerce")
    text = f"V{str(version).upper().lstrip('V')}" if version else "unknown"
    number = properties.processing_number
    return printable(f"{text}-{number}" if number else text)[:100], processed


def _grid(item: Item, asset: Asset, href: str, access: Access) -> Grid:
    """Return the files' grid: from the asset, else the item, else the header of the first file.

    ``proj:code`` is what pystac makes of ``proj:epsg`` from 1.12 on; both are read.
    """
    holders = (asset, item.properties or Properties())
    codes = [code for one in holders for code in (one.epsg, one.code) if code is not None]
    transform = next((one.transform for one in holders if one.transform is not None), None)
    shape = next((one.shape for one in holders if one.shape is not None), None)
    if not codes or transform is None or shape is None:
        return _grid_of_file(item, href, access)
    code = codes[0]
    try:
        epsg = epsg_of(f"EPSG:{code}" if isinstance(code, int) else code)
    except CRSError as error:
        raise AssetError(f"item {item.name}: {error}") from None
    return _north_up(item, epsg, Affine(*transform[:6]), shape)


def _grid_of_file(item: Item, href: str, access: Access) -> Grid:
    return with_raster(
        href,
        access,
        lambda source: _north_up(item, epsg_of(source.crs), source.transform, source.shape),
        remedy=f"item {item.name} does not say its grid (proj:code, proj:shape, proj:transform), "
        "so its file is asked when it is opened",
    )


def _north_up(item: Item, epsg: int, affine: Affine, shape: tuple[int, int]) -> Grid:
    if affine.b or affine.d or affine.a <= 0 or affine.e >= 0:
        raise AssetError(f"item {item.name}: its grid is not north-up; Level-1T granules are")
    pixel = (float(affine.a), -float(affine.e))
    if not all(_PIXEL_M[0] <= size <= _PIXEL_M[1] for size in pixel):
        raise AssetError(
            f"item {item.name}: its pixels are {pixel[0]:g} m by {pixel[1]:g} m, expected "
            f"{_PIXEL_M[0]:g} to {_PIXEL_M[1]:g} m"
        )
    if max(shape) > LIMIT_SIDE_PIXELS:
        raise AssetError(
            f"item {item.name}: its file claims {shape[0]} x {shape[1]} pixels, expected at most "
            f"{LIMIT_SIDE_PIXELS} on a side"
        )
    return Grid(epsg=epsg, origin=(float(affine.c), float(affine.f)), pixel=pixel, shape=shape)
