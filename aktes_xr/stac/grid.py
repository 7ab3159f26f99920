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


def epsg_of(crs: object) -> int:
    """Return the EPSG code of a projected CRS in metres.

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
    """Return the smallest grid over ``bounds`` whose edges are multiples of ``resolution``."""
    if not (math.isfinite(resolution) and resolution > 0):
        raise InputError(f"resolution is {resolution!r}, expected a positive number of metres")
    left, bottom, right, top = bounds
    # A footprint that ends on an edge up to rounding must not gain a row of nothing.
    slack = 1e-6
    west = math.floor(left / resolution + slack)
    south = math.floor(bottom / resolution + slack)
    east = max(math.ceil(right / resolution - slack), west + 1)
    north = max(math.ceil(top / resolution - slack), south + 1)
    return Grid(
        epsg=epsg,
        origin=(west * resolution, north * resolution),
        pixel=(float(resolution), float(resolution)),
        shape=(north - south, east - west),
    )


def native_grid(native: Sequence[Grid], *, bounds: Bounds | None = None) -> Grid:
    """Return the items' own pixel grid, over their union or the pixels that touch ``bounds``.

    Raises
    ------
    GridError
        The items do not share CRS, pixel size and pixel edges: there is no one native grid.
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
                "resolution= (90.0 is the default) or like="
            )
    boxes = [grid.bounds for grid in native] if bounds is None else [bounds]
    left, bottom = min(box[0] for box in boxes), min(box[1] for box in boxes)
    right, top = max(box[2] for box in boxes), max(box[3] for box in boxes)
    slack = 1e-3
    west = math.floor((left - first.origin[0]) / width + slack)
    east = math.ceil((right - first.origin[0]) / width - slack)
    north = math.floor((first.origin[1] - top) / height + slack)
    south = math.ceil((first.origin[1] - bottom) / height - slack)
    return Grid(
        epsg=first.epsg,
        origin=(first.origin[0] + west * width, first.origin[1] - north * height),
        pixel=first.pixel,
        shape=(max(south - north, 1), max(east - west, 1)),
    )


def grid_like(like: xr.Dataset | xr.DataArray) -> Grid:
    """Return the grid of an array with regular, north-up x and y and a CRS.

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


def project_bbox(bbox: Sequence[float], epsg: int) -> Bounds:
    """Return the bounds in ``epsg`` of a longitude-latitude box.

    Raises
    ------
    InputError
        The box is not (west, south, east, north) in degrees.
    """
    box = tuple(float(value) for value in bbox)
    if len(box) != 4 or not (-180 <= box[0] < box[2] <= 180 and -90 <= box[1] < box[3] <= 90):
        raise InputError(
            f"bbox is {box}, expected (west, south, east, north) in degrees with west < east and "
            "south < north; split a box that crosses the antimeridian in two"
        )
    return reproject_bounds((box[0], box[1], box[2], box[3]), 4326, epsg)


def reproject_bounds(bounds: Bounds, source: int, target: int) -> Bounds:
    """Return the bounds that enclose ``bounds`` in another CRS."""
    if source == target:
        return bounds
    left, bottom, right, top = transform_bounds(
        f"EPSG:{source}", f"EPSG:{target}", *bounds, densify_pts=21
    )
    return float(left), float(bottom), float(right), float(top)


def overlap(one: Bounds, other: Bounds) -> bool:
    """Return whether two boxes share an area."""
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
