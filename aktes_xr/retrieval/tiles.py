"""What the block function holds: names of the planes, a chunk's arrays, and a tile of pixels.

A chunk is never expanded into arrays of features. Pixels that need the same networks are collected
into one tile of `TILE` pixels, described, estimated and written to the output planes, tile after
tile. Inside kernels an image is one row of pixels, and what a cube lacks is a place of -1: absent
planes take no memory.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from aktes_xr import sensor

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from aktes_xr.compilation import Float32Array


PLANES: Final = (
    "surface_temperature",
    *(f"emissivity_{band}" for band in sensor.BANDS),
    "surface_temperature_uncertainty",
    *(f"emissivity_uncertainty_{band}" for band in sensor.BANDS),
    "student_weight",
    "quality",
    "conditions",
)
"""What the output holds, plane by plane."""
CLOSURE_PLANES: Final = (
    "closure_residual",
    *(f"closure_residual_{band}" for band in sensor.BANDS),
)
"""What it holds behind these where the closure is asked for."""
COMPONENT_PLANES: Final = ("noise", "atmosphere", "model", "disagreement", "cloud")
"""What it holds behind all others where the components of temperature's uncertainty are asked for,
K."""
N_PLANES: Final = len(PLANES)
WEIGHT: Final = PLANES.index("student_weight")
QUALITY: Final = PLANES.index("quality")
CONDITIONS: Final = PLANES.index("conditions")
CLOSURE: Final = N_PLANES
"""The first of `CLOSURE_PLANES`."""
TILE: Final = 4096
"""Pixels at once: few enough for the processor's cache, so many that Python's share is small."""
DATED: Final = (
    "water_vapor",
    "water_vapor_error",
    "air_temperature",
    "air_temperature_error",
    "skin_temperature",
    "skin_temperature_error",
    "surface_pressure",
    "cloud_probability",
    "background",
)
"""Per date: per pixel, or one number. Surface pressure, hPa, goes before that from elevation; the
background is for the cloud test."""
SCALARS: Final = ("view_zenith", "sun_zenith", "sun_azimuth", "drift_uncorrected", *DATED)
"""Per date; degrees, azimuth from the grid's north; the fourth is 0 or 1; NaN where unknown."""
STATIC: Final = (
    "terrain_complexity",
    "sky_view_factor",
    "normal_north",
    "normal_east",
    "relief",
    "surface_pressure",
    *(f"emissivity_prior_{band}" for band in sensor.BANDS),
    "emissivity_prior_uncertainty",
    "elevation_difference",
    "near_dem_edge",
    "elevation",
)
"""Per pixel; the surface's unit normal has its parts towards north and east of the grid, and the
elevation is for the cloud test."""
MASKS: Final = ("cloud", "water", "near_cloud", "cast_shadow", "interpolated")
"""Per date and pixel; the last three are conditions only."""


@dataclass(frozen=True)
class Layout:
    """Which planes a cube has: what the arrays of a chunk hold, in their order.

    Attributes
    ----------
    dated, static, masks : tuple of str
        Of `DATED`, `STATIC` and `MASKS`.
    """

    dated: tuple[str, ...]
    static: tuple[str, ...]
    masks: tuple[str, ...]


class Chunk(NamedTuple):
    """The inputs of one chunk, C-contiguous and read-only so that kernels compile once.

    Attributes
    ----------
    tir : ndarray (time, 5, pixel with the halo), uint16 or float32
        DN, or radiance in W m-2 sr-1 um-1.
    scalars : ndarray (time, 13), float32
        In the order of `SCALARS`.
    dated : ndarray (time, plane, pixel), float32
        Planes of `DATED`.
    static : ndarray (plane, pixel), float32
        Planes of `STATIC`.
    masks : ndarray (time, plane, pixel), bool
        Planes of `MASKS`.
    dated_place, static_place, mask_place : ndarray, int64
        Which plane holds each name of `DATED`, `STATIC` and `MASKS`; -1 for none.
    rows, columns : int
        Size of the chunk without the halo.
    halo : int
        Width of the edge around ``tir``.
    wide : int
        Length of a row with the halo.
    """

    tir: NDArray[Any]
    scalars: Float32Array
    dated: Float32Array
    static: Float32Array
    masks: NDArray[np.bool_]
    dated_place: NDArray[np.int64]
    static_place: NDArray[np.int64]
    mask_place: NDArray[np.int64]
    rows: int
    columns: int
    halo: int
    wide: int

    def static_plane(self, name: str) -> Float32Array:
        """Return a plane that all dates share.

        Parameters
        ----------
        name : str
            Of `STATIC`.

        Returns
        -------
        ndarray (y, x), float32
            NaN in the shape (1, 1) where there is none.
        """
        place = int(self.static_place[STATIC.index(name)])
        if place < 0:
            return np.full((1, 1), np.nan, np.float32)
        return np.reshape(self.static[place], (self.rows, self.columns))

    def dated_plane(self, name: str, date: int) -> Float32Array:
        """Return a plane of one date.

        Parameters
        ----------
        name : str
            Of `DATED`.
        date : int
            Number of the date.

        Returns
        -------
        ndarray (y, x), float32
            Where the date has one number only, that number in the shape (1, 1).
        """
        place = int(self.dated_place[DATED.index(name)])
        if place < 0:
            return np.full((1, 1), self.scalars[date, SCALARS.index(name)], np.float32)
        return np.reshape(self.dated[date, place], (self.rows, self.columns))

    def mask_plane(self, name: str, date: int) -> NDArray[np.bool_]:
        """Return a mask of one date.

        Parameters
        ----------
        name : str
            Of `MASKS`.
        date : int
            Number of the date.

        Returns
        -------
        ndarray (y, x), bool
            False in the shape (1, 1) where there is none.
        """
        place = int(self.mask_place[MASKS.index(name)])
        if place < 0:
            return np.zeros((1, 1), np.bool_)
        return np.reshape(self.masks[date, place], (self.rows, self.columns))


def new_chunk(
    tir: NDArray[Any],
    scalars: NDArray[Any],
    *,
    dated: NDArray[Any],
    static: NDArray[Any],
    masks: NDArray[Any],
    layout: Layout,
    halo: int,
) -> Chunk:
    """Arrange a chunk's arrays for the kernels; see `aktes_xr.retrieval.block.retrieve_block`.

    Parameters
    ----------
    tir : ndarray (time, 5, y + 2 halo, x + 2 halo), uint16 or floating
        DN, or radiance in W m-2 sr-1 um-1.
    scalars : ndarray (time, 13)
        In the order of `SCALARS`.
    dated : ndarray (time, plane, y, x)
        The planes that ``layout`` names.
    static : ndarray (plane, y, x)
        The planes that ``layout`` names.
    masks : ndarray (time, plane, y, x), bool
        The planes that ``layout`` names.
    layout : Layout
        Which planes there are.
    halo : int, pixels
        Width of the edge around ``tir``.

    Returns
    -------
    Chunk
    """
    digital = tir.dtype == np.uint16
    dates, _, high, wide = tir.shape
    rows, columns = high - 2 * halo, wide - 2 * halo
    return Chunk(
        _frozen(tir, np.uint16 if digital else np.float32).reshape(dates, 5, high * wide),
        _frozen(scalars, np.float32),
        _frozen(dated, np.float32).reshape(dates, len(layout.dated), -1 if layout.dated else 0),
        _frozen(static, np.float32).reshape(len(layout.static), -1 if layout.static else 0),
        _frozen(masks, np.bool_).reshape(dates, len(layout.masks), -1 if layout.masks else 0),
        _places(DATED, layout.dated),
        _places(STATIC, layout.static),
        _places(MASKS, layout.masks),
        rows,
        columns,
        halo,
        wide,
    )


def _places(names: tuple[str, ...], present: tuple[str, ...]) -> NDArray[np.int64]:
    return np.array([present.index(n) if n in present else -1 for n in names], np.int64)


def _frozen(array: NDArray[Any], dtype: type[np.generic]) -> NDArray[Any]:
    """Give kernels one kind of array to compile for, without a copy where it is that already."""
    view = np.ascontiguousarray(array, dtype).view()
    view.flags.writeable = False
    return view
