"""The dates that a job's sources offer, each with a fingerprint of its items.

A date is one pass of the satellite: all items within half an orbit, as `aktes_xr.open_stac` joins
them. Nothing here opens a file.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pystac

from aktes_xr.cube.grid import Bounds, Grid
from aktes_xr.errors import ConfigError, InputError
from aktes_xr.jobs.config import Input, Region
from aktes_xr.jobs.stamps import fingerprint
from aktes_xr.stac import search
from aktes_xr.stac.grid import covering_grid, epsg_of, project_bbox, reproject_bounds
from aktes_xr.stac.items import SKIPPED
from aktes_xr.stac.load import HALF_ORBIT

_PLACES = 6


@dataclass(frozen=True)
class Date:
    """One pass.

    Attributes
    ----------
    time : of its first item
    items : in the order of time
    """

    time: datetime
    items: tuple[pystac.Item, ...]

    @property
    def key(self) -> str:
        """The time as text, UTC, to the second."""
        return self.time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

    @property
    def ids(self) -> tuple[str, ...]:
        """Ids of the items."""
        return tuple(item.id for item in self.items)

    @property
    def stamp(self) -> str:
        """Fingerprint of the items."""
        return fingerprint(sorted(_stamp(item) for item in self.items))


def grid_of(region: Region) -> Grid:
    """Return the grid of a region, which no item has a say in.

    Parameters
    ----------
    region : Region

    Returns
    -------
    Grid

    Raises
    ------
    ConfigError
        The file of its geometry cannot be read.
    InputError, CRSError
        The box or the CRS cannot be used.
    """
    if region.bounds_m is not None:
        left, bottom, right, top = region.bounds_m
        if not (left < right and bottom < top):
            raise InputError(
                f"bounds_m is {region.bounds_m}: expected left, bottom, right and top, in metres"
            )
        epsg = epsg_of(region.crs)
        return covering_grid(region.bounds_m, epsg=epsg, resolution=region.resolution_m)
    box = region.bbox if region.geojson is None else _box_of(region.geojson)
    if box is None:
        raise ConfigError("the region has no place: give bbox, geojson or bounds_m")
    epsg = _utm_zone(box) if region.crs is None else epsg_of(region.crs)
    return covering_grid(project_bbox(box, epsg), epsg=epsg, resolution=region.resolution_m)


def box_of(grid: Grid) -> Bounds:
    """Return the box around a grid, degrees.

    Parameters
    ----------
    grid : Grid

    Returns
    -------
    (west, south, east, north), degree
    """
    west, south, east, north = reproject_bounds(grid.bounds, grid.epsg, 4326)
    return west, south, east, north


def find_dates(wanted: Input, box: Bounds) -> tuple[list[Date], list[dict[str, str]]]:
    """Search a job's sources.

    Parameters
    ----------
    wanted : Input
        Of the job.
    box : (west, south, east, north), degree
        Where.

    Returns
    -------
    list of Date
        In the order of time.
    list of dict
        ``id`` and ``reason`` of items that were found but cannot be used.

    Raises
    ------
    SearchError, StacError, InputError
        As `aktes_xr.stac.search` raises.
    """
    items: dict[str, pystac.Item] = {}
    skipped: list[dict[str, str]] = []
    for source in wanted.sources:
        # Not signed: signatures would expire, and a fingerprint must not depend on them.
        found = search(
            source,
            bbox=box,
            datetime=wanted.period,
            max_cloud_cover=wanted.max_cloud_cover,
            allowed_hosts=wanted.allowed_hosts,
        )
        skipped.extend(found.extra_fields.get(SKIPPED, ()))
        for item in found:
            items.setdefault(item.id, item)
    return group_dates(list(items.values())), skipped


def group_dates(items: Sequence[pystac.Item]) -> list[Date]:
    """Join the items of each pass.

    Parameters
    ----------
    items : sequence of pystac.Item
        In any order.

    Returns
    -------
    list of Date
        In the order of time.
    """
    groups: list[list[pystac.Item]] = []
    for item in sorted(items, key=lambda one: (time_of(one), one.id)):
        if not groups or time_of(item) - time_of(groups[-1][0]) > HALF_ORBIT:
            groups.append([])
        groups[-1].append(item)
    return [Date(time_of(group[0]), tuple(group)) for group in groups]


def time_of(item: pystac.Item) -> datetime:
    """Return when an item was taken.

    Parameters
    ----------
    item : pystac.Item
        Found by a search, which refuses items without a time.

    Returns
    -------
    datetime
        With a time zone.
    """
    time = item.datetime or item.common_metadata.start_datetime
    if time is None:
        raise InputError(f"item {item.id} has no datetime; correct the catalogue")
    return time if time.tzinfo is not None else time.replace(tzinfo=UTC)


def _stamp(item: pystac.Item) -> str:
    """Return what changes when an item is processed anew; all it says where it has no stamp."""
    known = item.properties
    stamps = [known.get(name) for name in ("updated", "created", "processing:datetime")]
    if any(stamp is not None for stamp in stamps):
        versions = [known.get(name) for name in ("version", "processing:version")]
        return fingerprint([item.id, stamps, versions])
    return fingerprint([item.id, known])


def _box_of(path: Path) -> Bounds:
    """Return the box around a GeoJSON file's geometries."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        points = list(_points(found))
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ConfigError(
            f"could not read a geometry from {path.name} ({type(error).__name__}); give a GeoJSON "
            "file in degrees"
        ) from None
    if not points:
        raise ConfigError(f"{path.name} holds no geometry; give a GeoJSON file in degrees")
    x, y = zip(*points, strict=True)
    return min(x), min(y), max(x), max(y)


def _points(found: Any) -> Any:
    if isinstance(found, dict):
        for name in ("features", "geometries", "geometry", "coordinates"):
            if found.get(name) is not None:
                yield from _points(found[name])
    elif found and isinstance(found[0], int | float):
        yield round(float(found[0]), _PLACES), round(float(found[1]), _PLACES)
    else:
        for one in found:
            yield from _points(one)


def _utm_zone(box: Bounds) -> int:
    """Return the EPSG code of the UTM zone of a box's middle."""
    longitude, latitude = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    zone = min(max(int((longitude + 180.0) // 6.0) + 1, 1), 60)
    return (32600 if latitude >= 0.0 else 32700) + zone
