"""Terrain indices of an elevation model, lazily: one pass with a halo over its chunks."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate
from typing import Any, Literal

import dask.array as da
import numpy as np
import xarray as xr
from dask.base import tokenize
from numpy.typing import NDArray

from aktes_xr.cube import elevation_of
from aktes_xr.errors import ChunkError, InputError
from aktes_xr.terrain.block import (
    FLAGS,
    INDICES,
    TerrainSettings,
    block_flags,
    block_horizon,
    block_indices,
)
from aktes_xr.terrain.grid import check_elevation

Rechunk = Literal["auto"] | None

ATTRIBUTES: dict[str, dict[str, str]] = {
    "slope": {"units": "degree", "long_name": "slope (Horn)"},
    "aspect": {
        "units": "degree",
        "long_name": "downslope direction clockwise from grid north (Horn); 0 where flat",
    },
    "tri_riley": {"units": "m", "long_name": "terrain ruggedness index (Riley et al. 1999)"},
    "tri_wilson": {"units": "m", "long_name": "terrain ruggedness index (Wilson et al. 2007)"},
    "tpi": {"units": "m", "long_name": "topographic position index"},
    "roughness": {"units": "m", "long_name": "roughness: range of nine elevations"},
    "vrm": {"units": "1", "long_name": "vector ruggedness measure (Sappington et al. 2007)"},
    "relief": {"units": "m", "long_name": "range of elevation in a window"},
    "surface_incision": {"units": "m", "long_name": "mean minus lowest elevation in a window"},
    "sky_view_factor": {
        "units": "1",
        "long_name": "sky-view factor, Lambert-weighted, of the sloping surface",
        "comment": "Dozier & Frew 1990 eq. 7b; the one radiative transfer needs",
    },
    "sky_view_factor_uniform": {
        "units": "1",
        "long_name": "sky-view factor, uniform: mean of 1 - sin(horizon)",
        "comment": "a share of solid angle for display and comparison, not for radiation",
    },
}


@dataclass(frozen=True)
class _Layout:
    """Where the blocks of a padded array lie in the grid; small, hashable, sent with each task."""

    rows: tuple[int, ...]
    columns: tuple[int, ...]
    depth: tuple[int, int]

    def place(self, block: tuple[int, ...]) -> tuple[tuple[int, int, int, int], tuple[int, int]]:
        """Core of a padded block, and the grid's row and column number of its first pixel."""
        starts: list[int] = []
        spans: list[int] = []
        for number, sizes, depth in zip(block, (self.rows, self.columns), self.depth, strict=True):
            start = (0, *accumulate(sizes))[number]
            halo = min(depth, start)
            starts.append(start - halo)
            spans.extend((halo, halo + sizes[number]))
        return (spans[0], spans[1], spans[2], spans[3]), (starts[0], starts[1])


def terrain_indices(
    elevation: xr.DataArray | xr.Dataset,
    *,
    azimuths: int = 32,
    radius_m: float = 10_000.0,
    window_m: float = 1_000.0,
    rechunk: Rechunk = None,
) -> xr.Dataset:
    """Every terrain index of an elevation model, in one lazy pass.

    The result does not depend on the chunks, bit for bit. At the model's edge its surface is
    continued linearly by a pixel for the 3 x 3 indices, the window shrinks, and nothing beyond
    hides the sky; a pixel for which any of this happened says so in ``terrain_flags``. Where the
    elevation is NaN (or the file's nodata) so is every index; the 3 x 3 indices and the sky view
    are also NaN next to it, while windows and horizons do without what is not known.

    Parameters
    ----------
    elevation : DataArray (y, x), m, or Dataset
        With a projected CRS in metres, or no CRS and coordinates in metres. Of a Dataset, such as a
        cube, its ``elevation``.
    azimuths : int
        Directions of the sky view, evenly spaced; even, at least 8.
    radius_m : float
        How far a horizon is searched, m.
    window_m : float
        Side of the window of relief and surface incision, m; rounded to an odd number of pixels.
    rechunk : "auto", optional
        Join chunks that are smaller than the halo instead of raising `ChunkError`.

    Returns
    -------
    Dataset (y, x) float32, lazy
        slope, aspect (degree, downslope from grid north), tri_riley, tri_wilson, tpi, roughness,
        relief, surface_incision (m), vrm, sky_view_factor, sky_view_factor_uniform (1), and
        terrain_flags (uint8, CF flag masks).

    Raises
    ------
    MissingVariableError
        If a Dataset has no ``elevation``.
    TerrainError, CRSError
        If the elevation is not a regular grid in metres.
    ChunkError
        If a chunk is smaller than the halo and ``rechunk`` is not "auto".
    """
    if isinstance(elevation, xr.Dataset):
        elevation = elevation_of(elevation)
    settings = TerrainSettings(check_elevation(elevation), azimuths, radius_m, window_m)
    padded, layout = _padded(elevation, settings.depth, rechunk)
    stack = da.map_blocks(
        _stack_block,
        padded,
        settings=settings,
        layout=layout,
        new_axis=0,
        chunks=((len(INDICES) + 1,), layout.rows, layout.columns),
        dtype=np.float32,
        meta=np.empty((0, 0, 0), np.float32),
        name=f"aktes-terrain-{tokenize(padded.name, settings, layout)}",
    )
    coords = {name: c for name, c in elevation.coords.items() if set(c.dims) <= {"y", "x"}}
    fields = {
        name: xr.DataArray(stack[number], coords, ("y", "x"), attrs=ATTRIBUTES[name])
        for number, name in enumerate(INDICES)
    }
    flags = xr.DataArray(stack[len(INDICES)].astype(np.uint8), coords, ("y", "x"))
    flags.attrs = {
        "long_name": "what a terrain index had to do without",
        "flag_masks": np.array(list(FLAGS.values()), np.uint8),
        "flag_meanings": " ".join(FLAGS),
    }
    for name in ("sky_view_factor", "sky_view_factor_uniform"):
        fields[name].attrs |= {"azimuths": azimuths, "radius_m": float(radius_m)}
    for name in ("relief", "surface_incision"):
        fields[name].attrs |= {"window_m": float(window_m)}
    return xr.Dataset({**fields, "terrain_flags": flags})


def horizon_angle(
    elevation: xr.DataArray,
    azimuth: float,
    *,
    radius_m: float = 10_000.0,
    rechunk: Rechunk = None,
) -> xr.DataArray:
    """Angle of the horizon above the horizontal in one direction, lazily.

    Parameters
    ----------
    elevation : DataArray (y, x), m
        As for `terrain_indices`.
    azimuth : float
        Direction of the view, degrees clockwise from grid north.
    radius_m : float
        How far the horizon is searched, m.
    rechunk : "auto", optional
        Join chunks that are smaller than the halo instead of raising `ChunkError`.

    Returns
    -------
    DataArray (y, x) float32, degree
        At least 0, and at least the rise of the pixel's own plane.
    """
    settings = TerrainSettings(check_elevation(elevation), radius_m=radius_m, window_m=1.0)
    padded, layout = _padded(elevation, settings.depth, rechunk)
    tangent = da.map_blocks(
        _horizon_block,
        padded,
        azimuth_rad=float(np.deg2rad(azimuth)),
        settings=settings,
        layout=layout,
        chunks=(layout.rows, layout.columns),
        dtype=np.float32,
        meta=np.empty((0, 0), np.float32),
        name=f"aktes-horizon-{tokenize(padded.name, azimuth, settings, layout)}",
    )
    coords = {name: c for name, c in elevation.coords.items() if set(c.dims) <= {"y", "x"}}
    attrs = {"units": "degree", "long_name": "horizon angle", "azimuth": float(azimuth)}
    return xr.DataArray(da.rad2deg(da.arctan(tangent)), coords, ("y", "x"), attrs=attrs)


def _padded(
    elevation: xr.DataArray, depth: tuple[int, int], rechunk: Rechunk
) -> tuple[da.Array, _Layout]:
    """Elevation as a dask array with a halo of its neighbours' pixels, none at its own edge."""
    if rechunk not in (None, "auto"):
        raise InputError(f"rechunk={rechunk!r}: expected 'auto' or None")
    nodata = elevation.rio.nodata
    values = elevation if elevation.dtype == np.float64 else elevation.astype(np.float32)
    if nodata is not None and np.isfinite(nodata):
        values = values.where(elevation != nodata)
    array = values.data if values.chunks is not None else values.chunk().data
    if rechunk == "auto":
        wanted = {axis: _joined(array.chunks[axis], depth[axis]) for axis in (0, 1)}
        array = array.rechunk(wanted)
    _check_chunks(array.chunks, depth)
    halo = {axis: 0 if len(array.chunks[axis]) == 1 else depth[axis] for axis in (0, 1)}
    layout = _Layout(array.chunks[0], array.chunks[1], (halo[0], halo[1]))
    padded = da.overlap.overlap(array, depth=halo, boundary="none")
    return padded, layout


def _joined(sizes: tuple[int, ...], depth: int) -> tuple[int, ...]:
    """Neighbouring chunks joined until none is smaller than the halo."""
    joined: list[int] = []
    for size in sizes:
        if joined and joined[-1] < depth:
            joined[-1] += size
        else:
            joined.append(size)
    if len(joined) > 1 and joined[-1] < depth:
        joined[-2:] = [joined[-2] + joined[-1]]
    return tuple(joined)


def _check_chunks(chunks: tuple[tuple[int, ...], ...], depth: tuple[int, int]) -> None:
    for axis, sizes, halo in zip(("y", "x"), chunks, depth, strict=True):
        if len(sizes) > 1 and min(sizes) < halo:
            whole = sum(sizes)
            # Equal chunks leave no small one at the end.
            parts = max(1, whole // max(halo, max(sizes)))
            raise ChunkError(
                f"the smallest chunk along {axis} has {min(sizes)} pixels: the horizons' radius "
                f"and the window need a halo of {halo}; use elevation.chunk({axis}="
                f"{-(-whole // parts)}), a smaller radius_m, or rechunk='auto'"
            )


def _stack_block(
    block: NDArray[np.floating],
    settings: TerrainSettings,
    layout: _Layout,
    block_id: tuple[int, ...] | None = None,
) -> NDArray[np.float32]:
    core, anchor = layout.place((block_id or (0, 0, 0))[-2:])
    flags = block_flags(block, settings, core=core)
    out = np.empty((len(INDICES) + 1, *flags.shape), np.float32)
    block_indices(block, settings, core=core, anchor=anchor, out=out[:-1])
    out[-1] = flags
    return out


def _horizon_block(
    block: NDArray[np.floating],
    azimuth_rad: float,
    settings: TerrainSettings,
    layout: _Layout,
    block_id: tuple[int, ...] | None = None,
) -> Any:
    core, anchor = layout.place(block_id or (0, 0))
    return block_horizon(block, azimuth_rad, settings, core=core, anchor=anchor)
