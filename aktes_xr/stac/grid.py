"""The grid a cube lands on, as a value: EPSG code, origin, pixel size and shape."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import rasterio.crs
import rioxarray  # noqa: F401  registers `.rio`
import xarray as xr
from rasterio.warp import transform_bounds

from aktes_xr.cube.grid import Bounds, Grid
from aktes_xr.errors import CRSError, GridError, InputError

RESOLUTION_M = (1.0, 10_000.0)
LIMIT_PIXELS = 2**32
"""Pixels of a grid at most: 5,900 km by 5,900 km at 90 m."""


def epsg_of(crs: object) -> int:
    """Return the EPSG code of a projected CRS in metres.

    Parameters
    ----------
    crs : object
        Anything that rasterio takes for a CRS: a code, WKT, PROJ text.

    Returns
    -------
    int

    Raises
    ------
    CRSError
        It cannot be read, has no code, or is not projected in metres.
    """
    try:
        parsed = rasterio.crs.CRS.from_user_input(crs)
    except rasterio.errors.CRSError as error:
        raise CRSError(
            f"crs {crs!r} is no coordinate reference system: {error}; give one such as 'EPSG:32650'"
        ) from None
    code = parsed.to_epsg()
    if code is None:
        raise CRSError(
            f"crs {parsed.to_string()[:80]!r} has no EPSG code, which the loader needs; "
            "use a coded one such as the scene's UTM zone"
        )
    if not parsed.is_projected or not math.isclose(parsed.linear_units_factor[1], 1.0):
        raise CRSError(
            f"crs EPSG:{code} is not projected in metres; use one that is, such as the scene's "
            "UTM zone"
        )
    return int(code)


def covering_grid(bounds: Bounds, *, epsg: int, resolution: float) -> Grid:
    """Return the smallest grid over ``bounds`` whose edges are multiples of ``resolution``.

    Parameters
    ----------
    bounds : (float, float, float, float), m
        Left, bottom, right, top in the CRS ``epsg``.
    epsg : int
        Code of a projected CRS in metres.
    resolution : float, m
        Side of a pixel.

    Returns
    -------
    Grid

    Raises
    ------
    InputError
        The resolution is no size of pixels, or the grid would have too many.
    """
    resolution = checked_resolution(resolution)
    left, bottom, right, top = bounds
    # A footprint that ends on an edge up to rounding must not gain a row of nothing.
    slack = 1e-6
    west = math.floor(left / resolution + slack)
    south = math.floor(bottom / resolution + slack)
    east = max(math.ceil(right / resolution - slack), west + 1)
    north = max(math.ceil(top / resolution - slack), south + 1)
    return limited(
        Grid(
            epsg=epsg,
            origin=(west * resolution, north * resolution),
            pixel=(float(resolution), float(resolution)),
            shape=(north - south, east - west),
        )
    )


def checked_resolution(resolution: object) -> float:
    """Return a pixel size, m, once it was checked.

    Parameters
    ----------
    resolution : object
        What a user gave.

    Returns
    -------
    float
        In metres.

    Raises
    ------
    InputError
        It is none.
    """
    low, high = RESOLUTION_M
    if not (isinstance(resolution, int | float) and low <= resolution <= high):
        raise InputError(
            f"resolution is {resolution!r}, expected a positive number of metres from {low:g} to "
            f"{high:g}, or 'native'"
        )
    return float(resolution)


def limited(grid: Grid) -> Grid:
    """Return the grid, unless it has more pixels than `LIMIT_PIXELS`.

    Parameters
    ----------
    grid : Grid
        A grid about to be used.

    Returns
    -------
    Grid
        The same.

    Raises
    ------
    GridError
        It has.
    """
    if math.prod(grid.shape) > LIMIT_PIXELS:
        raise GridError(
            f"the grid would have {grid.shape[0]} x {grid.shape[1]} pixels, more than "
            f"{LIMIT_PIXELS}: give bbox= or a coarser resolution="
        )
    return grid


def native_grid(native: Sequence[Grid], *, bounds: Bounds | None = None) -> Grid:
    """Return the items' own pixel grid, over their union or the pixels that touch ``bounds``.

    Parameters
    ----------
    native : sequence of Grid
        The grid of each item; at least one.
    bounds : (float, float, float, float), optional, m
        Left, bottom, right, top in the grids' CRS. Without them the grid covers all items.

    Returns
    -------
    Grid

    Raises
    ------
    GridError
        The items do not share CRS, pixel size and pixel edges: there is no one native grid.
    """
    check_one_grid(native)
    first = native[0]
    width, height = first.pixel
    boxes = [grid.bounds for grid in native] if bounds is None else [bounds]
    left, bottom = min(box[0] for box in boxes), min(box[1] for box in boxes)
    right, top = max(box[2] for box in boxes), max(box[3] for box in boxes)
    slack = 1e-3
    west = math.floor((left - first.origin[0]) / width + slack)
    east = math.ceil((right - first.origin[0]) / width - slack)
    north = math.floor((first.origin[1] - top) / height + slack)
    south = math.ceil((first.origin[1] - bottom) / height - slack)
    return limited(
        Grid(
            epsg=first.epsg,
            origin=(first.origin[0] + west * width, first.origin[1] - north * height),
            pixel=first.pixel,
            shape=(max(south - north, 1), max(east - west, 1)),
        )
    )


def check_one_grid(native: Sequence[Grid]) -> None:
    """Refuse grids that are not parts of one.

    Parameters
    ----------
    native : sequence of Grid
        The grid of each item; at least one.

    Raises
    ------
    GridError
        They do not share CRS, pixel size and pixel edges.
    """
    first = native[0]
    width, height = first.pixel
    for other in native[1:]:
        offsets = (
            (other.origin[0] - first.origin[0]) / width,
            (other.origin[1] - first.origin[1]) / height,
        )
        aligned = all(abs(offset - round(offset)) < 1e-3 for offset in offsets)
        if other.epsg != first.epsg or not np.allclose(other.pixel, first.pixel, rtol=1e-6):
            aligned = False
        if not aligned:
            raise GridError(
                f"the items have different pixel grids (EPSG:{first.epsg}, {width:.4f} m and "
                f"EPSG:{other.epsg}, {other.pixel[0]:.4f} m): no native grid serves both; give "
                "a resolution in metres (90.0 is the default) or like="
            )


def grid_like(like: xr.Dataset | xr.DataArray) -> Grid:
    """Return the grid of an array with regular, north-up x and y and a CRS.

    Parameters
    ----------
    like : Dataset or DataArray (..., y, x)
        Coordinates at the pixels' centres, m.

    Returns
    -------
    Grid

    Raises
    ------
    GridError
        It has no such x and y.
    CRSError
        It has no CRS, or not one in metres.
    """
    steps = {}
    for axis in ("x", "y"):
        if axis not in like.indexes or like.sizes[axis] < 2:
            raise GridError(
                f"like= has no coordinate {axis!r} of at least two pixels (found "
                f"{', '.join(map(str, like.indexes)) or 'none'}); give an array on a regular grid"
            )
        values = np.asarray(like.indexes[axis], dtype=np.float64)
        step = (values[-1] - values[0]) / (values.size - 1)
        if step == 0 or np.abs(np.diff(values) - step).max() > 1e-3 * abs(step):
            raise GridError(f"like= is not evenly spaced along {axis!r}; give a regular grid")
        steps[axis] = float(step)
    if steps["x"] < 0 or steps["y"] > 0:
        raise GridError("like= is not north-up: expected x rising and y falling; sort it first")
    if like.rio.crs is None:
        raise CRSError("like= has no coordinate reference system; set it with rio.write_crs(...)")
    width, height = steps["x"], -steps["y"]
    return Grid(
        epsg=epsg_of(like.rio.crs),
        origin=(float(like.indexes["x"][0]) - width / 2, float(like.indexes["y"][0]) + height / 2),
        pixel=(width, height),
        shape=(like.sizes["y"], like.sizes["x"]),
    )


def checked_bbox(bbox: Sequence[float]) -> Bounds:
    """Return a box of degrees as four numbers.

    Parameters
    ----------
    bbox : sequence of float, degree
        West, south, east, north.

    Returns
    -------
    (float, float, float, float), degree

    Raises
    ------
    InputError
        The box is not (west, south, east, north) in degrees.
    """
    try:
        west, south, east, north = (float(value) for value in bbox)
    except (TypeError, ValueError):
        west = south = east = north = math.nan
    if not (-180 <= west < east <= 180 and -90 <= south < north <= 90):
        raise InputError(
            f"bbox is {tuple(bbox)}, expected (west, south, east, north) in degrees with west < "
            "east and south < north; split a box that crosses the antimeridian in two"
        )
    return west, south, east, north


def project_bbox(bbox: Sequence[float], epsg: int) -> Bounds:
    """Return the bounds in ``epsg`` of a longitude-latitude box; see `checked_bbox`.

    Parameters
    ----------
    bbox : sequence of float, degree
        West, south, east, north.
    epsg : int
        Code of the CRS to project to.

    Returns
    -------
    (float, float, float, float)
        Left, bottom, right, top in that CRS.

    Raises
    ------
    InputError
        The box is not (west, south, east, north) in degrees.
    """
    return reproject_bounds(checked_bbox(bbox), 4326, epsg)


def reproject_bounds(bounds: Bounds, source: int, target: int) -> Bounds:
    """Return the bounds that enclose ``bounds`` in another CRS.

    Parameters
    ----------
    bounds : (float, float, float, float)
        Left, bottom, right, top in the CRS ``source``.
    source, target : int
        EPSG codes.

    Returns
    -------
    (float, float, float, float)
        Left, bottom, right, top in the CRS ``target``.
    """
    if source == target:
        return bounds
    left, bottom, right, top = transform_bounds(
        f"EPSG:{source}", f"EPSG:{target}", *bounds, densify_pts=21
    )
    return float(left), float(bottom), float(right), float(top)


def overlap(one: Bounds, other: Bounds) -> bool:
    """Return whether two boxes share an area.

    Parameters
    ----------
    one, other : (float, float, float, float)
        Left, bottom, right, top, both in one CRS.

    Returns
    -------
    bool
        False where they touch at an edge alone.
    """
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
