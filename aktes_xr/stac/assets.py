"""From a STAC item to a granule: where its five thermal bands are, on what grid, seen from where.

Three layouts hold the same numbers: one five-band COG (asset ``TIR`` at Planetary Computer, a
file ``{granule}_TIR.tif`` on AWS), or one COG per band (``..._TIR_B10.tif`` at the LP DAAC). For an
item that holds none of them there is an `AssetError`, which the loader turns into a report.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import pandas as pd
from affine import Affine

from aktes_xr.cube.grid import Grid
from aktes_xr.errors import AssetError, CRSError
from aktes_xr.sensor import BANDS
from aktes_xr.stac.grid import epsg_of
from aktes_xr.stac.opening import with_raster
from aktes_xr.stac.signing import Modifier, bare_href, granule_name

Layout = Literal["five-band", "per-band"]

EARTH_RADIUS_KM = 6371.0
ORBIT_HEIGHT_KM = 705.0

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


def granule_of(item: Mapping[str, Any], *, modifier: Modifier | None = None) -> Granule:
    """Read a plain STAC item.

    Parameters
    ----------
    item : dict of a STAC item whose links are absolute
    modifier : signs links; used only where the item does not say its grid and a file must be asked

    Raises
    ------
    AssetError
        It holds no thermal bands in a layout that is known, or no time.
    """
    item_id = str(item.get("id", "unnamed"))
    properties = item.get("properties") or {}
    layout, located = _locate(item_id, item.get("assets") or {})
    time = _utc(properties.get("datetime") or properties.get("start_datetime"))
    if time is pd.NaT:
        raise AssetError(f"item {item_id} has no datetime")
    grid = _grid(item_id, properties, [asset for asset, _ in located], modifier)
    version, processed = _processing(item_id, located[0][0]["href"], properties)
    elevation = _number(properties, "view:sun_elevation")
    return Granule(
        item_id=item_id,
        layout=layout,
        bands=tuple((bare_href(asset["href"], modifier), band) for asset, band in located),
        grid=grid,
        time=time,
        view_zenith=_view_zenith(properties),
        sun_zenith=90.0 - elevation,
        sun_azimuth=_number(properties, "view:sun_azimuth"),
        processing_version=version,
        processing_time=processed,
        orbit_state=str(properties.get("sat:orbit_state") or ""),
    )


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


def _locate(
    item_id: str, assets: Mapping[str, Mapping[str, Any]]
) -> tuple[Layout, list[tuple[Mapping[str, Any], int]]]:
    rasters = {key: asset for key, asset in assets.items() if _is_raster(asset)}
    single = {}
    for key, asset in rasters.items():
        name = granule_name(str(asset["href"]))
        named = _BAND.fullmatch(key) or _BAND_FILE.search(name)
        if named is not None and len(_band_names(asset)) <= 1:
            single[f"B{named.group(1)}"] = asset
    for key, asset in rasters.items():
        if key.upper() == "TIR" or _TIR_FILE.search(granule_name(str(asset["href"]))):
            return "five-band", [
                (asset, number) for number in _band_numbers(item_id, _band_names(asset))
            ]
    if single:
        missing = [band for band in BANDS if band not in single]
        if missing:
            raise AssetError(f"item {item_id} lacks the thermal band(s) {', '.join(missing)}")
        return "per-band", [(single[band], 1) for band in BANDS]
    raise AssetError(
        f"item {item_id} has no thermal (TIR) asset: found {', '.join(sorted(assets)) or 'none'}"
    )


def _is_raster(asset: Mapping[str, Any]) -> bool:
    media = str(asset.get("type") or "")
    roles = set(asset.get("roles") or ())
    if not asset.get("href") or roles & {"thumbnail", "overview", "metadata"}:
        return False
    if media:
        return media.startswith("image/tiff") or "geotiff" in media
    return _RASTER_FILE.search(granule_name(str(asset["href"]))) is not None


def _band_names(asset: Mapping[str, Any]) -> list[str]:
    for field in ("eo:bands", "bands", "raster:bands"):
        entries = asset.get(field)
        if entries:
            return [str(entry.get("name") or "") for entry in entries]
    return []


def _band_numbers(item_id: str, names: Sequence[str]) -> list[int]:
    """Return the file's band number of B10..B14: in order, unless the item names them otherwise."""
    found = {}
    for number, name in enumerate(names, start=1):
        named = _BAND.search(name)
        if named is not None:
            found[f"B{named.group(1)}"] = number
    if not found and len(names) in (0, len(BANDS)):
        return list(range(1, len(BANDS) + 1))
    missing = [band for band in BANDS if band not in found]
    if missing:
        raise AssetError(
            f"item {item_id}: its TIR asset lists {', '.join(names)}, {', '.join(missing)} missing"
        )
    return [found[band] for band in BANDS]


def _number(properties: Mapping[str, Any], name: str) -> float:
    value = properties.get(name)
    return math.nan if value is None else float(value)


def _view_zenith(properties: Mapping[str, Any]) -> float:
    incidence = _number(properties, "view:incidence_angle")
    if not math.isnan(incidence):
        return abs(incidence)
    return view_zenith_of(_number(properties, "view:off_nadir"))


def _utc(text: Any) -> pd.Timestamp:
    if text is None:
        return pd.NaT
    time = pd.to_datetime(text, utc=True, errors="coerce", format="ISO8601")
    return time if time is pd.NaT else time.tz_localize(None)


def _processing(item_id: str, href: str, properties: Mapping[str, Any]) -> tuple[str, pd.Timestamp]:
    """Return version and date of processing: from the granule's name, else the item's fields."""
    named = _GRANULE.search(item_id) or _GRANULE.search(granule_name(href))
    version = properties.get("version") or properties.get("processing:version")
    processed = _utc(properties.get("created"))
    if named is not None:
        version = version or named.group(1)
        processed = pd.to_datetime(named.group(2), format="%Y%m%d%H%M%S", errors="coerce")
    text = f"V{str(version).upper().lstrip('V')}" if version else "unknown"
    number = properties.get("aster:processing_number")
    return (f"{text}-{number}" if number else text), processed


def _grid(
    item_id: str,
    properties: Mapping[str, Any],
    assets: Sequence[Mapping[str, Any]],
    modifier: Modifier | None,
) -> Grid:
    """Return the files' grid: from the asset, else the item, else the header of the first file.

    ``proj:code`` is what pystac makes of ``proj:epsg`` from 1.12 on; both are read.
    """
    asset = assets[0]
    code = None
    for holder in (asset, properties):
        code = holder.get("proj:epsg") or holder.get("proj:code") or code
        if code is not None:
            break
    transform = asset.get("proj:transform") or properties.get("proj:transform")
    shape = asset.get("proj:shape") or properties.get("proj:shape")
    if code is None or transform is None or shape is None:
        return _grid_of_file(item_id, str(asset["href"]), modifier)
    affine = Affine(*[float(value) for value in transform[:6]])
    try:
        epsg = epsg_of(f"EPSG:{code}" if isinstance(code, int) else code)
    except CRSError as error:
        raise AssetError(f"item {item_id}: {error}") from None
    return _north_up(item_id, epsg, affine, (int(shape[0]), int(shape[1])))


def _grid_of_file(item_id: str, href: str, modifier: Modifier | None) -> Grid:
    return with_raster(
        bare_href(href, modifier),
        modifier,
        lambda source: _north_up(item_id, epsg_of(source.crs), source.transform, source.shape),
        remedy=f"item {item_id} does not say its grid (proj:code, proj:shape, proj:transform), so "
        "its file is asked when it is opened",
    )


def _north_up(item_id: str, epsg: int, affine: Affine, shape: tuple[int, int]) -> Grid:
    if affine.b or affine.d or affine.a <= 0 or affine.e >= 0:
        raise AssetError(f"item {item_id}: its grid is not north-up; Level-1T granules are")
    return Grid(
        epsg=epsg,
        origin=(float(affine.c), float(affine.f)),
        pixel=(float(affine.a), -float(affine.e)),
        shape=shape,
    )
