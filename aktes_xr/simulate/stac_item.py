"""STAC items of simulated granules, field by field as the archives have them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Literal

import numpy as np

from aktes_xr.sensor import BANDS

Layout = Literal["planetary_computer", "aws", "lpdaac"]
LAYOUTS: Final = ("planetary_computer", "aws", "lpdaac")
COLLECTION: Final = "aster-l1t"
COG_TYPE: Final = "image/tiff; application=geotiff; profile=cloud-optimized"
PROCESSED: Final = "20150414031232"
PROCESSING_NUMBER: Final = "83940"
EARTH_RADIUS_KM: Final = 6371.0
ORBIT_HEIGHT_KM: Final = 705.0
_EXTENSIONS: Final = ("eo/v1.0.0", "sat/v1.0.0", "view/v1.0.0", "projection/v1.0.0")
# Centre, full width at half maximum (um), as the archives print them.
_BANDS: Final = ((8.3, 0.35), (8.65, 0.35), (9.11, 0.35), (10.6, 0.7), (11.3, 0.7))
_COMMON_NAMES: Final = {"B10", "B12", "B13", "B14"}


@dataclass(frozen=True)
class GranuleGrid:
    """Where a granule's pixels are.

    Attributes
    ----------
    epsg : int
    transform : tuple of nine float
        Row by row, to projected coordinates.
    shape : (int, int)
    bbox : (float, float, float, float)
        Left, bottom, right, top, m.
    """

    epsg: int
    transform: tuple[float, ...]
    shape: tuple[int, int]
    bbox: tuple[float, float, float, float]


def granule_id(date: datetime) -> str:
    """Return a granule's name: version, acquisition and processing time.

    Parameters
    ----------
    date : datetime
        Time of the acquisition, with a time zone.

    Returns
    -------
    str
    """
    return f"AST_L1T_003{date.astimezone(UTC):%m%d%Y%H%M%S}_{PROCESSED}"


def off_nadir_of(view_zenith_deg: float) -> float:
    """Return the pointing angle whose view reaches the ground at a zenith angle.

    Parameters
    ----------
    view_zenith_deg : float, degrees
        View zenith angle at the ground.

    Returns
    -------
    float, degrees
        Angle from nadir at the sensor.
    """
    ratio = EARTH_RADIUS_KM / (EARTH_RADIUS_KM + ORBIT_HEIGHT_KM)
    return float(np.rad2deg(np.arcsin(ratio * np.sin(np.deg2rad(view_zenith_deg)))))


def eo_bands(bands: Sequence[str]) -> list[dict[str, Any]]:
    """Return the entries of ``eo:bands`` for thermal bands.

    Parameters
    ----------
    bands : sequence of str
        Names such as ``B10``.

    Returns
    -------
    list of dict
        Wavelengths and widths are in um.
    """
    out = []
    for band in bands:
        centre, width = _BANDS[BANDS.index(band)]
        entry: dict[str, Any] = {
            "name": f"TIR_Band{band[1:]}",
            "description": "thermal infrared",
            "center_wavelength": centre,
            "full_width_half_max": width,
        }
        if band in _COMMON_NAMES:
            entry["common_name"] = "lwir"
        out.append(entry)
    return out


def _asset(href: str, bands: Sequence[str], grid: GranuleGrid, *, title: str) -> dict[str, Any]:
    return {
        "href": href,
        "type": COG_TYPE,
        "title": title,
        "roles": ["data"],
        "eo:bands": eo_bands(bands),
        "proj:shape": list(grid.shape),
        "proj:bbox": list(grid.bbox),
        "proj:transform": list(grid.transform),
    }


def assets(files: Mapping[str, str], grid: GranuleGrid, layout: Layout) -> dict[str, Any]:
    """Return the assets of an item.

    Parameters
    ----------
    files : dict of asset key to href
        ``TIR``, or one per band (``TIR_B10`` ...).
    grid : GranuleGrid
    layout : {"planetary_computer", "aws", "lpdaac"}
    """
    if layout == "lpdaac":
        return {
            key: _asset(href, [key.rpartition("_")[2]], grid, title=f"{key} Swath data")
            for key, href in files.items()
        }
    return {"TIR": _asset(files["TIR"], BANDS, grid, title="TIR Swath data")}


def _ring(grid: GranuleGrid) -> list[list[float]]:
    """Corners of the granule in degrees, closed, counter-clockwise from the upper left."""
    from pyproj import Transformer

    left, bottom, right, top = grid.bbox
    to_degrees = Transformer.from_crs(grid.epsg, 4326, always_xy=True)
    corners = [(left, top), (left, bottom), (right, bottom), (right, top), (left, top)]
    return [[float(v) for v in to_degrees.transform(*corner)] for corner in corners]


def item(
    *,
    date: datetime,
    grid: GranuleGrid,
    angles: Mapping[str, float],
    cloud_cover: float,
    item_assets: Mapping[str, Any],
) -> dict[str, Any]:
    """Return a STAC item as Planetary Computer's ``aster-l1t`` has it.

    Parameters
    ----------
    date : datetime
        UTC.
    grid : GranuleGrid
    angles : dict
        ``view_zenith``, ``sun_zenith``, ``sun_azimuth``, deg.
    cloud_cover : float, %
    item_assets : dict
        Of `assets`.
    """
    ring = _ring(grid)
    longitudes, latitudes = [c[0] for c in ring], [c[1] for c in ring]
    utc = date.astimezone(UTC)
    return {
        "type": "Feature",
        "stac_version": "1.0.0",
        "stac_extensions": [
            f"https://stac-extensions.github.io/{name}/schema.json" for name in _EXTENSIONS
        ],
        "id": granule_id(date),
        "geometry": {"type": "Polygon", "coordinates": [ring]},
        "bbox": [min(longitudes), min(latitudes), max(longitudes), max(latitudes)],
        "links": [
            {"rel": "collection", "href": "./collection.json", "type": "application/json"},
            {"rel": "parent", "href": "./collection.json", "type": "application/json"},
            {"rel": "root", "href": "./catalog.json", "type": "application/json"},
        ],
        "assets": dict(item_assets),
        "collection": COLLECTION,
        "properties": {
            "created": "2015-04-14T03:15:01.341000Z",
            "datetime": f"{utc:%Y-%m-%dT%H:%M:%S.%f}+00:00",
            "platform": "terra",
            "instruments": ["aster"],
            "proj:epsg": grid.epsg,
            "eo:cloud_cover": round(cloud_cover, 1),
            "view:off_nadir": off_nadir_of(angles["view_zenith"]),
            "view:sun_azimuth": angles["sun_azimuth"],
            "view:sun_elevation": 90.0 - angles["sun_zenith"],
            "sat:orbit_state": "descending" if angles["sun_zenith"] < 90 else "ascending",
            "aster:processing_number": PROCESSING_NUMBER,
        },
    }


def collection(items: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the static collection of a series, with links to its items.

    Parameters
    ----------
    items : sequence of mapping
        STAC items.

    Returns
    -------
    dict
        A STAC collection.
    """
    boxes = np.array([one["bbox"] for one in items])
    times = sorted(str(one["properties"]["datetime"]) for one in items)
    return {
        "type": "Collection",
        "id": COLLECTION,
        "stac_version": "1.0.0",
        "description": "Simulated ASTER Level-1T granules",
        "license": "proprietary",
        "extent": {
            "spatial": {"bbox": [[*boxes[:, :2].min(axis=0), *boxes[:, 2:].max(axis=0)]]},
            "temporal": {"interval": [[times[0], times[-1]]]},
        },
        "links": [
            {"rel": "root", "href": "./catalog.json", "type": "application/json"},
            {"rel": "parent", "href": "./catalog.json", "type": "application/json"},
            *(
                {"rel": "item", "href": f"./{one['id']}.json", "type": "application/geo+json"}
                for one in items
            ),
        ],
    }


def catalog() -> dict[str, Any]:
    """Return the static catalogue above the collection."""
    return {
        "type": "Catalog",
        "id": "simulated-aster",
        "stac_version": "1.0.0",
        "description": "Simulated ASTER Level-1T granules with their truth",
        "links": [
            {"rel": "root", "href": "./catalog.json", "type": "application/json"},
            {"rel": "child", "href": "./collection.json", "type": "application/json"},
        ],
    }
