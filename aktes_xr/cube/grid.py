"""Where a cube's pixels are: CRS, regular axes in metres, and fields on the same grid."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyproj
import rioxarray  # noqa: F401  registers `.rio`
import xarray as xr
from affine import Affine

from aktes_xr.errors import CRSError, GridError, MissingVariableError, UnitsError

Bounds = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Grid:
    """A north-up pixel grid.

    Attributes
    ----------
    epsg : int
    origin : (x, y) of the outer corner of the north-west pixel, m
    pixel : (width, height), positive, m
    shape : (ny, nx)
    """

    epsg: int
    origin: tuple[float, float]
    pixel: tuple[float, float]
    shape: tuple[int, int]

    @property
    def transform(self) -> Affine:
        """Affine from (column, row) to (x, y)."""
        return Affine(self.pixel[0], 0.0, self.origin[0], 0.0, -self.pixel[1], self.origin[1])

    @property
    def bounds(self) -> Bounds:
        """West, south, east, north, m."""
        (left, top), (width, height), (ny, nx) = self.origin, self.pixel, self.shape
        return left, top - ny * height, left + nx * width, top

    @property
    def x(self) -> npt.NDArray[np.float64]:
        """Pixel centres (nx,), m."""
        return self.origin[0] + self.pixel[0] * (np.arange(self.shape[1], dtype=np.float64) + 0.5)

    @property
    def y(self) -> npt.NDArray[np.float64]:
        """Pixel centres (ny,), m, northernmost first."""
        return self.origin[1] - self.pixel[1] * (np.arange(self.shape[0], dtype=np.float64) + 0.5)


def check_grid(field: xr.DataArray, like: xr.Dataset | xr.DataArray, *, name: str) -> None:
    """Refuse a field that does not lie on the same pixels as ``like``.

    Parameters
    ----------
    field : DataArray with y, x
    like : Dataset or DataArray whose grid is expected
    name : what the message calls the field

    Raises
    ------
    GridError
        Its shape, coordinates (beyond a thousandth of a pixel) or CRS differ.
    """
    for axis in ("y", "x"):
        if axis not in field.indexes or axis not in like.indexes:
            raise GridError(
                f"{name} has dimensions {tuple(field.sizes)}: expected the coordinates y and x of "
                "the cube; put it on the cube's grid first (terrain.aggregate_elevation for a DEM)"
            )
        found, expected = field.indexes[axis], like.indexes[axis]
        if len(found) != len(expected):
            raise GridError(
                f"{name} has {len(found)} pixels along {axis}, the cube {len(expected)}; "
                "put it on the cube's grid first (terrain.aggregate_elevation for a DEM)"
            )
        if len(found) == 0:
            continue
        step = abs(float(expected[1] - expected[0])) if len(expected) > 1 else 1.0
        offset = float(np.abs(np.asarray(found) - np.asarray(expected)).max())
        if offset > 1e-3 * step:
            raise GridError(
                f"{name} is off the cube's {axis} coordinates by up to {offset:.6g} "
                f"({offset / step:.3g} pixels); put it on the cube's grid first"
            )
    crs, expected_crs = field.rio.crs, like.rio.crs
    if crs is not None and expected_crs is not None and crs != expected_crs:
        raise GridError(
            f"{name} is in {crs.to_string()}, the cube in {expected_crs.to_string()}; "
            "reproject it to the cube's grid first"
        )


def check_crs(ds: xr.Dataset) -> Any:
    """Return the cube's coordinate reference system.

    Parameters
    ----------
    ds : Dataset
        A cube.

    Returns
    -------
    rasterio.crs.CRS
        Projected, in metres.

    Raises
    ------
    CRSError
        If it is missing, geographic or not in metres.
    """
    crs = ds.rio.crs
    if crs is None:
        raise CRSError(
            "the cube has no coordinate reference system: expected a projected one in metres; "
            "set it with ds.rio.write_crs(...), and open Zarr stores with decode_coords='all'"
        )
    if crs.is_geographic:
        raise CRSError(
            f"the cube is in {crs.to_string()}, which is geographic: expected a projected system "
            "in metres; load with crs=<UTM zone> or ds.rio.reproject(ds.rio.estimate_utm_crs())"
        )
    unit, factor = crs.linear_units_factor
    if not crs.is_projected or not math.isclose(factor, 1.0):
        raise CRSError(
            f"the cube's coordinate reference system is in {unit!r}: expected metres; reproject "
            "it to a UTM zone"
        )
    return crs


def check_axis(ds: xr.Dataset, axis: str) -> float:
    """Return the spacing of an axis.

    Parameters
    ----------
    ds : Dataset
        A cube.
    axis : str
        ``y`` or ``x``.

    Returns
    -------
    float, m
        NaN for an axis of fewer than two pixels.

    Raises
    ------
    MissingVariableError
        If the axis has no coordinate.
    UnitsError
        If the coordinate is in degrees.
    GridError
        If the coordinate is not finite or not evenly spaced.
    """
    if axis not in ds.indexes:
        raise MissingVariableError(
            f"the dimension {axis!r} has no coordinate: expected pixel centres in metres; "
            f"set it with ds.assign_coords({axis}=...)"
        )
    values = np.asarray(ds.indexes[axis], dtype=np.float64)
    if not np.isfinite(values).all():
        raise GridError(f"the coordinate {axis!r} holds NaN or infinity; expected metres")
    units = str(ds[axis].attrs.get("units", "m"))
    if units.startswith("degree"):
        raise UnitsError(
            f"the coordinate {axis!r} is in {units!r}: expected metres in the cube's projected "
            "system; reproject the cube instead of renaming its CRS"
        )
    if values.size < 2:
        return math.nan
    steps = np.diff(values)
    step = float(steps.mean())
    if abs(step) < 1.0:
        hint = "these look like degrees" if np.abs(values).max() <= 360.0 else "another unit?"
        raise UnitsError(
            f"the coordinate {axis!r} runs from {values[0]:.6g} to {values[-1]:.6g} in steps of "
            f"{abs(step):.3g}: expected metres ({hint}); reproject the cube to its CRS"
        )
    if np.abs(steps - step).max() > 1e-3 * abs(step):
        raise GridError(
            f"the coordinate {axis!r} is not evenly spaced (steps {abs(steps).min():.6g} to "
            f"{abs(steps).max():.6g} m); resample the cube to a regular grid"
        )
    return abs(step)


def centre(ds: xr.Dataset) -> tuple[float, float]:
    """Longitude and latitude of a cube's centre.

    Parameters
    ----------
    ds : Dataset
        A cube with a coordinate reference system.

    Returns
    -------
    longitude, latitude : float, degrees
        NaN for a cube without pixels.
    """
    if ds.sizes["x"] == 0 or ds.sizes["y"] == 0:
        return float("nan"), float("nan")
    transformer = pyproj.Transformer.from_crs(ds.rio.crs, "EPSG:4326", always_xy=True)
    x, y = (float(np.mean(ds.indexes[axis][[0, -1]])) for axis in ("x", "y"))
    longitude, latitude = transformer.transform(x, y)
    return float(longitude), float(latitude)


def grid_convergence(elevation: xr.DataArray) -> float:
    """Bearing of grid north, clockwise from true north, at the grid's centre.

    A sun azimuth counts from true north, an aspect from grid north (the y axis): on a UTM grid
    they differ by up to some three degrees at the zone's edge, more at high latitudes. Across one
    ASTER scene the convergence itself changes by some tenths of a degree, which is neglected.

    Parameters
    ----------
    elevation : DataArray (y, x)
        Only its coordinates and coordinate reference system are used.

    Returns
    -------
    float
        Degrees; 0 without a CRS.
    """
    crs = elevation.rio.crs
    if crs is None:
        return 0.0
    x = float(elevation["x"][[0, -1]].mean())
    y = float(elevation["y"][[0, -1]].mean())
    source = pyproj.CRS.from_user_input(crs)
    to_map = pyproj.Transformer.from_crs(source.geodetic_crs, source, always_xy=True)
    longitude, latitude = to_map.transform(x, y, direction="INVERSE")
    step = 1e-4
    east_0, north_0 = to_map.transform(longitude, latitude - step)
    east_1, north_1 = to_map.transform(longitude, latitude + step)
    return -math.degrees(math.atan2(east_1 - east_0, north_1 - north_0))
