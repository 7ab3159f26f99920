"""All indices of one block: from elevation with its halo to an array of results.

This is the one place where kernels meet: the eager function, the lazy layer and the benchmark all
call `block_indices`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aktes_xr.errors import InputError, TerrainError
from aktes_xr.terrain import kernels
from aktes_xr.terrain.direction import Direction, direction
from aktes_xr.terrain.far import far_horizons
from aktes_xr.terrain.sky_view import add_sky_view, finish_sky_view, horizon_tangent
from aktes_xr.terrain.window import flag_incomplete, window_indices

INDICES = (
    "slope",
    "aspect",
    "tri_riley",
    "tri_wilson",
    "tpi",
    "roughness",
    "vrm",
    "relief",
    "surface_incision",
    "sky_view_factor",
    "sky_view_factor_uniform",
)

# Bits of `terrain_flags`, and what they mean.
FLAGS = {
    "no_elevation": 1,
    "neighbourhood_incomplete": 2,
    "window_incomplete": 4,
    "horizon_incomplete": 8,
}

_LOCAL = slice(0, 7)
_WINDOW = slice(7, 9)
_SKY = slice(9, 11)
# VRM needs the normals of the neighbours, which need their neighbours.
LOCAL_HALO = 2


@dataclass(frozen=True)
class TerrainSettings:
    """What the indices depend on besides the elevation.

    Attributes
    ----------
    cell_size_m : tuple of float
        Southward metres per row, eastward metres per column; negative where an axis runs the
        other way.
    azimuths : int
        Directions of the sky view, evenly spaced from grid north; even, at least 8.
    radius_m : float
        How far a horizon is searched, m.
    window_m : float
        Side of the window of relief and surface incision, m; rounded to an odd number of pixels.
    """

    cell_size_m: tuple[float, float]
    azimuths: int = 32
    radius_m: float = 10_000.0
    window_m: float = 1_000.0

    def __post_init__(self) -> None:
        dy, dx = self.cell_size_m
        if not (math.isfinite(dy) and math.isfinite(dx) and dy != 0.0 and dx != 0.0):
            raise TerrainError(f"cell size {self.cell_size_m} m: expected two finite lengths")
        if not 0.5 <= abs(dy / dx) <= 2.0:
            raise TerrainError(
                f"cells of {abs(dy):g} x {abs(dx):g} m: sides may differ by a factor of two; "
                "reproject the elevation first"
            )
        if self.azimuths < 8 or self.azimuths % 2:
            raise InputError(
                f"azimuths={self.azimuths}: expected an even number of at least 8, so that every "
                "direction has its opposite and a plane's sky view is exact"
            )
        if not (math.isfinite(self.radius_m) and self.radius_m > 0.0):
            raise InputError(f"radius_m={self.radius_m}: expected a positive length in metres")
        if not (math.isfinite(self.window_m) and self.window_m > 0.0):
            raise InputError(f"window_m={self.window_m}: expected a positive length in metres")

    @property
    def window_half(self) -> tuple[int, int]:
        """Rows and columns of the window on each side of its centre, at least one."""
        dy, dx = self.cell_size_m
        rows, columns = (round((self.window_m / abs(size) - 1.0) / 2.0) for size in (dy, dx))
        return max(1, rows), max(1, columns)

    @property
    def search(self) -> tuple[int, int]:
        """Rows and columns a horizon is searched on each side."""
        rows, columns = (int(self.radius_m / abs(size) + 1e-6) for size in self.cell_size_m)
        return rows, columns

    @property
    def depth(self) -> tuple[int, int]:
        """Rows and columns of halo a block needs on each side."""
        # Interpolation and the slopes at a window's last pixels reach two pixels further.
        rows, columns = (max(pair) for pair in zip(self.search, self.window_half, strict=True))
        return rows + LOCAL_HALO, columns + LOCAL_HALO


def block_indices(
    elevation: NDArray[np.floating],
    settings: TerrainSettings,
    *,
    core: tuple[int, int, int, int] | None = None,
    anchor: tuple[int, int] = (0, 0),
    out: NDArray[np.float32] | None = None,
) -> NDArray[np.float32]:
    """Compute every index of the core of one block.

    Parameters
    ----------
    elevation : ndarray (rows, columns) float32 or float64, m
        Elevation of the block and its halo; the array ends where the whole grid does, or at least
        ``settings.depth`` pixels beyond the core. NaN where there is none.
    settings : TerrainSettings
        Cell size and parameters.
    core : tuple of int, optional
        First row, end row, first column, end column to compute; by default everything.
    anchor : tuple of int
        Row and column number of the array's first pixel in the whole grid.
    out : ndarray (11, rows, columns of the core) float32, optional
        Where to write.

    Returns
    -------
    ndarray (11, rows, columns of the core) float32
        In the order of `INDICES`.
    """
    rows, columns = elevation.shape
    if core is None:
        core = (0, rows, 0, columns)
    if elevation.dtype not in (np.float32, np.float64):
        elevation = elevation.astype(np.float64)
    if out is None:
        out = np.empty((len(INDICES), core[1] - core[0], core[3] - core[2]), np.float32)
    out[_SKY] = 0.0
    kernels.local_indices(elevation, core, settings.cell_size_m, out[_LOCAL])
    # The sky view borrows the window indices' memory for its far horizons.
    _sky_view(elevation, settings, (core, anchor), out)
    window_indices(elevation, core, settings.window_half, out[_WINDOW])
    kernels.finish_gradient(out[0], out[1])
    return out


def block_flags(
    elevation: NDArray[np.floating],
    settings: TerrainSettings,
    *,
    core: tuple[int, int, int, int] | None = None,
) -> NDArray[np.uint8]:
    """Flag the core of one block.

    Parameters
    ----------
    elevation : ndarray (rows, columns), any float dtype, m
        The block and its halo, as in `block_indices`.
    settings : TerrainSettings
        Cell size, window and radius.
    core : tuple of int, optional
        First row, end row, first column, end column to flag; by default everything.

    Returns
    -------
    ndarray (rows, columns of the core), uint8
        Sum of the bits in `FLAGS`.
    """
    rows, columns = elevation.shape
    if core is None:
        core = (0, rows, 0, columns)
    out = np.zeros((core[1] - core[0], core[3] - core[2]), np.uint8)
    boxes = {
        "no_elevation": (0, 0),
        "neighbourhood_incomplete": (1, 1),
        "window_incomplete": settings.window_half,
        "horizon_incomplete": settings.search,
    }
    for name, half in boxes.items():
        flag_incomplete(elevation, core, half, FLAGS[name], out)
    return out


def _sky_view(
    elevation: NDArray[np.floating],
    settings: TerrainSettings,
    place: tuple[tuple[int, int, int, int], tuple[int, int]],
    out: NDArray[np.float32],
) -> None:
    core, anchor = place
    transposed = np.ascontiguousarray(elevation.T)
    carry = np.zeros(out.shape[1:], np.float32)
    for number in range(settings.azimuths // 2):
        azimuth = 2.0 * math.pi * number / settings.azimuths
        looks = [
            direction(angle, settings.cell_size_m, settings.radius_m)
            for angle in (azimuth, azimuth + math.pi)
        ]
        pair = _far_horizons((elevation, transposed), looks[0], (core, anchor), out[_WINDOW])
        for look, tangents in zip(looks, pair, strict=True):
            add_sky_view(
                elevation,
                core,
                (tangents, looks[0].transposed),
                ((look.taps, look.reach), look.east, look.north, *settings.cell_size_m),
                1.0 / settings.azimuths,
                out[_SKY],
                carry,
            )
    finish_sky_view(elevation, core, settings.cell_size_m, out[:2], out[_SKY], carry)


def _far_horizons(
    elevation: tuple[NDArray[np.floating], NDArray[np.floating]],
    look: Direction,
    place: tuple[tuple[int, int, int, int], tuple[int, int]],
    memory: NDArray[np.float32],
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Far horizons of a direction and its opposite, in the layout of their main axis."""
    core, anchor = place
    line = (look.shear, look.step_m, look.steps)
    if look.transposed:
        turned = memory.reshape(2, memory.shape[2], memory.shape[1])
        lower, higher = turned[0], turned[1]
        main = (core[2], core[3], core[0], core[1])
        far_horizons(elevation[1], main, anchor[0], line, (lower, higher))
    else:
        lower, higher = memory[0], memory[1]
        far_horizons(elevation[0], core, anchor[1], line, (lower, higher))
    return (higher, lower) if look.forward else (lower, higher)


def block_horizon(
    elevation: NDArray[np.floating],
    azimuth_rad: float,
    settings: TerrainSettings,
    *,
    core: tuple[int, int, int, int] | None = None,
    anchor: tuple[int, int] = (0, 0),
) -> NDArray[np.float32]:
    """Compute the horizon of one azimuth for the core of one block.

    Parameters
    ----------
    elevation : ndarray (rows, columns), any float dtype, m
        The block and its halo, as in `block_indices`.
    azimuth_rad : float, rad
        Direction of the view, clockwise from grid north.
    settings : TerrainSettings
        Cell size and radius.
    core : tuple of int, optional
        First row, end row, first column, end column to compute; by default everything.
    anchor : tuple of int
        Row and column number of the array's first pixel in the whole grid.

    Returns
    -------
    ndarray (rows, columns of the core), float32, 1
        Tangent of the horizon's angle, at least 0; NaN where the pixel has no tangent plane.
    """
    rows, columns = elevation.shape
    if core is None:
        core = (0, rows, 0, columns)
    if elevation.dtype not in (np.float32, np.float64):
        elevation = elevation.astype(np.float64)
    look = direction(azimuth_rad, settings.cell_size_m, settings.radius_m)
    transposed = np.ascontiguousarray(elevation.T) if look.transposed else elevation
    out = np.empty((core[1] - core[0], core[3] - core[2]), np.float32)
    memory = np.empty((2, *out.shape), np.float32)
    tangents, _ = _far_horizons((elevation, transposed), look, (core, anchor), memory)
    view = ((look.taps, look.reach), look.east, look.north, *settings.cell_size_m)
    horizon_tangent(elevation, core, (tangents, look.transposed), view, out)
    return out


def indices_array(
    elevation: NDArray[np.floating],
    cell_size_m: tuple[float, float],
    *,
    azimuths: int = 32,
    radius_m: float = 10_000.0,
    window_m: float = 1_000.0,
) -> dict[str, NDArray[np.float32]]:
    """Every terrain index of an array in memory, at once.

    Parameters
    ----------
    elevation : ndarray (rows, columns), m
        NaN where there is none; at least 3 x 3.
    cell_size_m : tuple of float
        Southward metres per row, eastward metres per column (negative where an axis runs the
        other way).
    azimuths, radius_m, window_m
        As in `TerrainSettings`.

    Returns
    -------
    dict of ndarray (rows, columns) float32
        Keys are `INDICES`: slope and aspect in degrees, tri_riley, tri_wilson, tpi, roughness,
        relief and surface_incision in metres, the others without unit.

    Raises
    ------
    TerrainError
        If the array is not two-dimensional or smaller than 3 x 3.
    """
    check_shape(elevation.shape)
    settings = TerrainSettings(cell_size_m, azimuths, radius_m, window_m)
    return dict(zip(INDICES, block_indices(elevation, settings), strict=True))


def slope_aspect_array(
    elevation: NDArray[np.floating], cell_size_m: tuple[float, float]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Slope and aspect alone, of an array in memory; the same bits as `indices_array` gives.

    Parameters
    ----------
    elevation : ndarray (rows, columns) float32 or float64, m
        NaN where there is none; at least 3 x 3.
    cell_size_m : tuple of float
        As for `indices_array`.

    Returns
    -------
    tuple of ndarray (rows, columns) float32, degree
    """
    check_shape(elevation.shape)
    settings = TerrainSettings(cell_size_m)
    rows, columns = elevation.shape
    out = np.empty((2, rows, columns), np.float32)
    kernels.horn_gradient(elevation, (0, rows, 0, columns), settings.cell_size_m, out)
    kernels.finish_gradient(out[0], out[1])
    return out[0], out[1]


def local_indices_array(
    elevation: NDArray[np.floating], cell_size_m: tuple[float, float]
) -> dict[str, NDArray[np.float32]]:
    """Return the seven 3 x 3 indices alone, of an array in memory.

    They are the same numbers as those of `indices_array`.

    Parameters
    ----------
    elevation : ndarray (y, x), float32 or float64, m
        At least 3 x 3; NaN where there is no elevation.
    cell_size_m : tuple of float, m
        Southward metres per row and eastward metres per column.

    Returns
    -------
    dict of str to ndarray (y, x), float32
        The first seven names of `INDICES` and their planes.

    Raises
    ------
    TerrainError
        If the array has not two dimensions of at least 3 pixels.
    """
    check_shape(elevation.shape)
    settings = TerrainSettings(cell_size_m)
    rows, columns = elevation.shape
    out = np.empty((7, rows, columns), np.float32)
    kernels.local_indices(elevation, (0, rows, 0, columns), settings.cell_size_m, out)
    kernels.finish_gradient(out[0], out[1])
    return dict(zip(INDICES, out, strict=False))


def sky_view_array(
    elevation: NDArray[np.floating],
    cell_size_m: tuple[float, float],
    *,
    azimuths: int = 32,
    radius_m: float = 10_000.0,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the two sky-view factors alone, of an array in memory.

    They are the same numbers as those of `indices_array`.

    Parameters
    ----------
    elevation : ndarray (y, x), float32 or float64, m
        At least 3 x 3; NaN where there is no elevation.
    cell_size_m : tuple of float, m
        Southward metres per row and eastward metres per column.
    azimuths : int
        Number of directions.
    radius_m : float, m
        How far the horizon is sought.

    Returns
    -------
    lambert, uniform : ndarray (y, x), float32, 1
        The sky-view factor weighted by the cosine of incidence, and the unweighted one.

    Raises
    ------
    TerrainError
        If the array has not two dimensions of at least 3 pixels.
    """
    check_shape(elevation.shape)
    settings = TerrainSettings(cell_size_m, azimuths, radius_m)
    rows, columns = elevation.shape
    core = (0, rows, 0, columns)
    out = np.zeros((len(INDICES), rows, columns), np.float32)
    kernels.horn_gradient(elevation, core, settings.cell_size_m, out[:2])
    _sky_view(elevation, settings, (core, (0, 0)), out)
    return out[9], out[10]


def check_shape(shape: tuple[int, ...]) -> None:
    """Refuse an elevation from which no slope can be computed.

    Parameters
    ----------
    shape : tuple of int
        Shape of the elevation.

    Raises
    ------
    TerrainError
        If there are not two dimensions of at least 3 pixels.
    """
    if len(shape) != 2 or min(shape) < 3:
        raise TerrainError(
            f"elevation of shape {shape}: expected two dimensions (y, x) of at least 3 pixels"
        )
