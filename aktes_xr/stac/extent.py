"""Where a cube lies.

Its grid follows from what the caller says and from the items' own grids. Items that do not lie on
it are left out.
"""

from __future__ import annotations

import logging
import math
from collections import Counter
from collections.abc import Sequence
from typing import Any, Final, Literal

import numpy as np
import xarray as xr
from rasterio.errors import RasterioError

from aktes_xr.cube.grid import Bounds, Grid
from aktes_xr.errors import CRSError, GridError, InputError, NoItemsError
from aktes_xr.stac.assets import Granule
from aktes_xr.stac.grid import (
    check_one_grid,
    checked_resolution,
    covering_grid,
    epsg_of,
    grid_like,
    native_grid,
    overlap,
    project_bbox,
    reproject_bounds,
)
from aktes_xr.stac.items import Skipped

logger = logging.getLogger(__name__)

Resolution = float | Literal["native", "auto"] | None

AUTO_RESOLUTION_M: Final = 90.0
"""Pixels of a cube with ``resolution="auto"`` whose items share no grid of their own."""

REACH_KM: Final = 1000.0
"""Without ``bbox`` or ``like``, items farther than this from the middle of all are left out."""
_EARTH_RADIUS_KM: Final = 6371.0
_NOWHERE: Final[Bounds] = (math.nan, math.nan, math.nan, math.nan)


def choose_grid(
    granules: Sequence[Granule],
    *,
    bbox: Sequence[float] | None,
    like: xr.Dataset | xr.DataArray | None,
    crs: Any,
    resolution: Resolution,
) -> Grid:
    """Return the grid that a cube of these granules lands on.

    Parameters
    ----------
    granules : of which there is at least one
    bbox, like, crs, resolution : as in `aktes_xr.stac.open_stac`

    Raises
    ------
    CRSError, GridError, InputError
        It cannot be made from what was given.
    """
    if like is not None:
        if bbox is not None or crs is not None:
            raise InputError("like= already says where and in which CRS: leave out bbox= and crs=")
        return grid_like(like)
    epsg = _common_epsg(granules) if crs is None else epsg_of(crs)
    box = None if bbox is None else project_bbox(bbox, epsg)
    if resolution == "auto":
        resolution = _auto_resolution(granules, epsg)
    size = None if resolution in (None, "native") else checked_resolution(resolution)
    if size is None and epsg != granules[0].grid.epsg:
        raise InputError(
            f"resolution='native' keeps the items' own pixels, in EPSG:{granules[0].grid.epsg}, "
            f"but crs is EPSG:{epsg}: give a resolution in metres, or leave out crs="
        )
    grids = [granule.grid for granule in granules]
    if size is None or _already_on(grids, epsg, size):
        return native_grid(grids, bounds=box)
    box = union([bounds_in(grid, epsg) for grid in grids]) if box is None else box
    return covering_grid(box, epsg=epsg, resolution=size)


def leave_out_far(granules: Sequence[Granule], skipped: Skipped) -> list[Granule]:
    """Return the granules that lie where most do.

    One item with a wrong place must not stretch the grid over half the world.

    Parameters
    ----------
    granules : Granules
    skipped : those left out are added to it

    Raises
    ------
    GridError
        They have no place in common.
    """
    centres = np.array([_direction(granule.grid) for granule in granules])
    placed = np.isfinite(centres).all(axis=1)
    middle = np.median(centres[placed], axis=0) if placed.any() else np.full(3, math.nan)
    cosine = centres @ (middle / (np.linalg.norm(middle) or 1.0))
    distance = _EARTH_RADIUS_KM * np.arccos(np.clip(cosine, -1.0, 1.0))
    near = distance <= REACH_KM
    if 2 * near.sum() <= len(granules):
        raise GridError(
            f"the items lie too far apart for one grid (more than {REACH_KM:.0f} km from their "
            "middle): give bbox= or like="
        )
    for granule, far in zip(granules, ~near, strict=True):
        if far:
            reason = f"more than {REACH_KM:.0f} km from the other items: give bbox= if it is meant"
            logger.warning("skipped: item %s lies %s", granule.item_id, reason)
            skipped.append({"id": granule.item_id, "reason": reason})
    return [granule for granule, kept in zip(granules, near, strict=True) if kept]


def inside(granules: Sequence[Granule], grid: Grid, skipped: Skipped) -> list[Granule]:
    """Return the granules that overlap a grid.

    Parameters
    ----------
    granules, grid : Granules, Grid
    skipped : the others are added to it

    Raises
    ------
    NoItemsError
        None does.
    """
    kept = []
    for granule in granules:
        if overlap(bounds_in(granule.grid, grid.epsg), grid.bounds):
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


def bounds_in(grid: Grid, epsg: int) -> Bounds:
    """Return a grid's bounds in another CRS.

    They are NaN where the grid has no place in that CRS. NaN overlaps nothing.

    Parameters
    ----------
    grid : Grid
        A grid in a CRS of its own.
    epsg : int
        Code of the other CRS.

    Returns
    -------
    (float, float, float, float)
        Left, bottom, right, top.
    """
    try:
        found = reproject_bounds(grid.bounds, grid.epsg, epsg)
    except RasterioError:
        return _NOWHERE
    return found if all(map(math.isfinite, found)) else _NOWHERE


def union(boxes: Sequence[Bounds]) -> Bounds:
    """Return the bounds around several boxes.

    Parameters
    ----------
    boxes : sequence of (float, float, float, float)
        Left, bottom, right, top of each, all in one CRS; at least one.

    Returns
    -------
    (float, float, float, float)
    """
    edges = np.array(boxes)
    west, south = edges[:, :2].min(axis=0)
    east, north = edges[:, 2:].max(axis=0)
    return float(west), float(south), float(east), float(north)


def _common_epsg(granules: Sequence[Granule]) -> int:
    zones = Counter(granule.grid.epsg for granule in granules)
    if len(zones) > 1:
        found = ", ".join(f"EPSG:{code} ({n})" for code, n in zones.most_common())
        raise CRSError(
            f"the items lie in several projections: {found}; say which the cube takes, e.g. "
            f"crs='EPSG:{zones.most_common(1)[0][0]}'"
        )
    return granules[0].grid.epsg


def _auto_resolution(granules: Sequence[Granule], epsg: int) -> Resolution:
    """Keep the items' own pixels where they share a grid in the cube's CRS."""
    try:
        check_one_grid([granule.grid for granule in granules])
    except GridError:
        shared = False
    else:
        shared = epsg == granules[0].grid.epsg
    if shared:
        return "native"
    logger.info("the items share no grid of pixels: the cube has %g m", AUTO_RESOLUTION_M)
    return AUTO_RESOLUTION_M


def _already_on(grids: Sequence[Grid], epsg: int, resolution: float) -> bool:
    """Return whether the items' pixels are of this size and share their edges."""
    first = grids[0]
    for grid in grids:
        if grid.epsg != epsg or any(abs(size - resolution) > 1e-6 * size for size in grid.pixel):
            return False
        offsets = [(a - b) / resolution for a, b in zip(grid.origin, first.origin, strict=True)]
        if any(abs(offset - round(offset)) > 1e-3 for offset in offsets):
            return False
    return True


def _direction(grid: Grid) -> tuple[float, float, float]:
    """Return the unit vector from the Earth's centre to a grid's: vectors know no date line."""
    west, south, east, north = grid.bounds
    middle = ((west + east) / 2, (south + north) / 2)
    pixel = Grid(grid.epsg, (middle[0] - 0.5, middle[1] + 0.5), (1.0, 1.0), (1, 1))
    west, south, east, north = bounds_in(pixel, 4326)
    longitude, latitude = math.radians((west + east) / 2), math.radians((south + north) / 2)
    across = math.cos(latitude)
    return across * math.cos(longitude), across * math.sin(longitude), math.sin(latitude)
