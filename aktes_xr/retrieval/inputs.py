"""The cube as the block function takes it: five arrays whose chunks correspond.

Whatever a cube lacks has no plane, and what is one number per date is a number: the graph and the
memory do not pay for what is not there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import dask.array as da
import numpy as np
import xarray as xr
from dask.array.overlap import ensure_minimum_chunksize
from dask.base import tokenize

from aktes_xr import sensor
from aktes_xr.cube import (
    DEFAULT_AIR_TEMPERATURE_ERROR_K,
    DEFAULT_EMISSIVITY_ERROR,
    DEFAULT_SKIN_TEMPERATURE_ERROR_K,
    DEFAULT_WATER_VAPOR_ERROR,
    VARIABLES,
    check_grid,
)
from aktes_xr.errors import MissingVariableError
from aktes_xr.radiative import surface_pressure_from_elevation
from aktes_xr.retrieval.tiles import DATED, MASKS, SCALARS, Layout
from aktes_xr.terrain import grid_convergence, terrain_complexity, terrain_indices
from aktes_xr.terrain.block import FLAGS
from aktes_xr.terrain.shadow import cast_shadow

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

TERRAIN_VARIABLES: Final = (
    "terrain_complexity_k",
    "sky_view_factor",
    "slope",
    "aspect",
    "relief",
)
_CHUNK_PIXELS: Final = 1024
_CLOUD_BAND: Final = "B13"
"""The band of a background that the cloud test takes."""
_WINDOW_INCOMPLETE: Final = np.uint8(FLAGS["window_incomplete"])
_DRIFT_CORRECTED_FROM: Final = np.datetime64("2006-02-08")
Chunks = tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Fields:
    """Arrays of corresponding chunks; a few numbers per date are in memory, the others lazy.

    Attributes
    ----------
    tir : (time, band, y, x)
    scalars : (time, 13)
    dated : (time, plane, y, x); (time, 0, 1, 1) without a plane, as the next two
    static : (plane, y, x); (time, plane, y, x), one date to a chunk, where the emissivity prior
        differs from date to date
    masks : (time, plane, y, x)
    layout : which planes these three have
    chunks : chunk sizes along time, y, x
    """

    tir: da.Array
    scalars: da.Array | NDArray[np.float32]
    dated: da.Array | NDArray[np.float32]
    static: da.Array
    masks: da.Array | NDArray[np.bool_]
    layout: Layout
    chunks: tuple[Chunks, Chunks, Chunks]

    @property
    def token(self) -> str:
        """Return a text that is the same for the same inputs only."""
        arrays = (self.tir, self.scalars, self.dated, self.static, self.masks)
        return str(tokenize(*arrays, self.layout))


def terrain_of(ds: xr.Dataset) -> xr.Dataset:
    """Compute terrain indices and complexity of a cube's elevation, lazily.

    Parameters
    ----------
    ds : Dataset
        A cube with ``elevation`` (y, x), m.

    Returns
    -------
    Dataset (y, x), float32
        The terrain indices and the terrain complexity.
    """
    indices = terrain_indices(ds["elevation"], rechunk="auto")
    return indices.assign(terrain_complexity(indices).data_vars)


def with_shadows(ds: xr.Dataset) -> xr.Dataset:
    """Add to a cube the mask of the pixels from which terrain hides the sun, lazily.

    Parameters
    ----------
    ds : Dataset
        A checked cube.

    Returns
    -------
    Dataset
        With ``cast_shadow`` (time, y, x), bool.

    Raises
    ------
    MissingVariableError
        There is no elevation, or the sun's angles are not known.
    """
    missing = sorted({"elevation", "sun_zenith", "sun_azimuth"} - {str(n) for n in ds.variables})
    if missing:
        raise MissingVariableError(
            f"the cube lacks {', '.join(missing)}, without which no shadow is known"
        )
    found = cast_shadow(ds["elevation"], ds["sun_zenith"], ds["sun_azimuth"], rechunk="auto")
    return ds.assign(cast_shadow=(("time", "y", "x"), found.data))


def assemble(
    ds: xr.Dataset, terrain: xr.Dataset | None, *, halo: int, clouds: bool = False
) -> Fields:
    """Arrange a checked cube for the block function.

    Parameters
    ----------
    ds : Dataset
        A cube that `aktes_xr.cube.check` accepted.
    terrain : Dataset or None
        With the variables `TERRAIN_VARIABLES` (y, x) on the cube's grid.
    halo : int
        Pixels that each chunk must have to give to its neighbours.
    clouds : bool
        Add what the cloud test alone is told: elevation and background.

    Returns
    -------
    Fields

    Raises
    ------
    MissingVariableError, GridError
        The terrain lacks a variable or lies on another grid.
    """
    tir = measurement(ds, halo)
    by_date = "emissivity_prior" in ds and "time" in ds["emissivity_prior"].dims
    if by_date:
        tir = tir.rechunk({0: 1})
    time, _, y, x = tir.chunks
    dated = _dated(ds if clouds else ds.drop_vars("background", errors="ignore"))
    spatial = {name: field for name, field in dated.items() if "y" in field.dims}
    static = _static(ds, terrain)
    if clouds and "elevation" in ds:
        static["elevation"] = ds["elevation"]
    masks = {name: ds[name] for name in MASKS if name in ds}
    return Fields(
        tir=tir,
        scalars=_scalars(ds, dated, time),
        dated=_by_date(spatial, (time, y, x), np.float32),
        static=(
            da.asarray(_by_date(static, (time, y, x), np.float32))
            if by_date
            else _by_place(static, (y, x))
        ),
        masks=_by_date(masks, (time, y, x), np.bool_),
        layout=Layout(tuple(spatial), tuple(static), tuple(masks)),
        chunks=(time, y, x),
    )


def measurement(ds: xr.Dataset, halo: int) -> da.Array:
    """Return a cube's measurement, whole along the bands and with edges to give.

    Parameters
    ----------
    ds : Dataset
        A checked cube.
    halo : int
        Pixels that each chunk must have to give to its neighbours.

    Returns
    -------
    dask array (time, band, y, x), uint16 or float32
    """
    tir = ds["tir"]
    if tir.chunks is None:
        # A NumPy or not yet loaded cube: lazy all the same.
        sizes = {axis: min(_CHUNK_PIXELS, max(ds.sizes[axis], 1)) for axis in ("y", "x")}
        tir = tir.chunk({"time": 1, "band": -1, **sizes})
    array = tir.data
    if array.dtype != np.uint16:
        array = array.astype(np.float32)
    y, x = array.chunks[2:]
    if halo and min(array.shape[2:]) < halo:
        # A strip narrower than the halo has no edges to give: it is one chunk.
        y, x = array.shape[2:]
    elif halo:
        y, x = (ensure_minimum_chunksize(halo, sizes) for sizes in (y, x))
    return array.rechunk((array.chunks[0], -1, y, x))


def _scalars(
    ds: xr.Dataset, dated: dict[str, xr.DataArray], time: Chunks
) -> da.Array | NDArray[np.float32]:
    count = ds.sizes["time"]
    missing = np.full(count, np.nan, np.float32)
    columns: dict[str, Any] = dict.fromkeys(SCALARS, missing)
    for name in ("view_zenith", "sun_zenith", "sun_azimuth"):
        column = ds[name].data if name in ds.coords else missing
        if name == "sun_azimuth" and "elevation" in ds and ds["elevation"].size:
            # North is the grid's, from which the aspect is counted.
            column = column - grid_convergence(ds["elevation"])
        columns[name] = column
    columns["drift_uncorrected"] = _drift_uncorrected(ds)
    for name, field in dated.items():
        if "y" not in field.dims:
            columns[name] = field.data
    if any(isinstance(column, da.Array) for column in columns.values()):
        stacked = da.stack(
            [da.broadcast_to(da.asarray(x, np.float32), (count,)) for x in columns.values()], axis=1
        )
        return stacked.rechunk((time, -1))
    values = [np.broadcast_to(np.asarray(x, np.float32), (count,)) for x in columns.values()]
    return np.stack(values, axis=1)


def _drift_uncorrected(ds: xr.Dataset) -> Any:
    """1 where the granule was processed before the drift correction came into use."""
    if "processing_time" not in ds.coords:
        return np.zeros(ds.sizes["time"], np.float32)
    return (ds["processing_time"].data < _DRIFT_CORRECTED_FROM).astype(np.float32)


def spread(array: xr.DataArray, dims: tuple[str, ...], chunks: tuple[Chunks, ...]) -> da.Array:
    """Give a field all of ``dims`` and the given chunks; NumPy fields become lazy.

    Parameters
    ----------
    array : DataArray
        On some of ``dims``.
    dims : tuple of str
    chunks : tuple
        Chunk sizes along each of them.

    Returns
    -------
    dask array
    """
    data = array.data
    lazy = data if isinstance(data, da.Array) else da.from_array(np.asarray(data))
    lazy = lazy[tuple(slice(None) if dim in array.dims else np.newaxis for dim in dims)]
    shape = tuple(sum(sizes) for sizes in chunks)
    return da.broadcast_to(lazy, shape).rechunk(chunks)


def _by_date(
    fields: dict[str, xr.DataArray],
    chunks: tuple[Chunks, Chunks, Chunks],
    dtype: type[np.generic],
) -> da.Array | NDArray[Any]:
    """Stack fields that vary from date to date and pixel to pixel."""
    if not fields:
        return np.empty((sum(chunks[0]), 0, 1, 1), dtype)
    planes = [spread(field, ("time", "y", "x"), chunks) for field in fields.values()]
    return _stack(planes, axis=1, dtype=dtype)


def _by_place(fields: dict[str, xr.DataArray], chunks: tuple[Chunks, Chunks]) -> da.Array:
    """Stack fields that are the same on all dates."""
    if not fields:
        return da.empty((0, 1, 1), dtype=np.float32, chunks=-1)
    planes = [spread(field, ("y", "x"), chunks) for field in fields.values()]
    return _stack(planes, axis=0, dtype=np.float32)


def _stack(planes: list[da.Array], *, axis: int, dtype: type[np.generic]) -> da.Array:
    """Stack arrays of common chunks, one task per chunk."""
    chunks = [*planes[0].chunks]
    chunks.insert(axis, (len(planes),))
    stacked: da.Array = da.map_blocks(
        _stack_block,
        *planes,
        axis=axis,
        stored=dtype,
        new_axis=axis,
        chunks=tuple(chunks),
        dtype=dtype,
        meta=np.empty((0,) * len(chunks), dtype),
        name=f"aktes-fields-{tokenize(planes, axis)}",
    )
    return stacked


def _stack_block(*planes: NDArray[Any], axis: int, stored: type[np.generic]) -> NDArray[Any]:
    return np.stack(planes, axis=axis, dtype=stored, casting="unsafe")


def _dated(ds: xr.Dataset) -> dict[str, xr.DataArray]:
    """Ancillaries of `DATED` as far as there are any, each that needs one with an error."""
    fields = {name: _plausible(name, ds[name]) for name in DATED if name in ds}
    if "band" in fields.get("background", xr.DataArray()).dims:
        fields["background"] = fields["background"].sel(band=_CLOUD_BAND, drop=True)
    if "water_vapor" in fields:
        fields.setdefault("water_vapor_error", fields["water_vapor"] * DEFAULT_WATER_VAPOR_ERROR)
    for name, error_k in (
        ("air_temperature", DEFAULT_AIR_TEMPERATURE_ERROR_K),
        ("skin_temperature", DEFAULT_SKIN_TEMPERATURE_ERROR_K),
    ):
        if name in fields:
            fields.setdefault(f"{name}_error", xr.DataArray(error_k))
    return fields


def _plausible(name: str, array: xr.DataArray) -> xr.DataArray:
    """Let what a lazy ancillary has outside its plausible range be missing.

    Those in memory were checked before. A block cannot refuse its input, but absurd values must not
    pass for known ones: without them the pixel is flagged.
    """
    if name not in VARIABLES or array.chunks is None:
        return array
    field = VARIABLES[name]
    return array.where((array >= field.low) & (array <= field.high))


def _static(ds: xr.Dataset, terrain: xr.Dataset | None) -> dict[str, xr.DataArray]:
    fields: dict[str, xr.DataArray] = {}
    if terrain is not None:
        missing = [name for name in TERRAIN_VARIABLES if name not in terrain]
        if missing:
            raise MissingVariableError(
                f"the terrain lacks {', '.join(missing)}; merge the results of "
                "aktes_xr.terrain.terrain_indices and terrain_complexity"
            )
        check_grid(terrain["slope"], ds, name="the terrain")
        fields["terrain_complexity"] = terrain["terrain_complexity_k"]
        fields |= {name: terrain[name] for name in ("sky_view_factor", "relief")}
        # Two parts of the unit normal instead of the angles: no angle functions date by date.
        for name, part in (("normal_north", np.cos), ("normal_east", np.sin)):
            fields[name] = xr.apply_ufunc(
                _normal, terrain["slope"], terrain["aspect"], kwargs={"part": part}, dask="allowed"
            )
        if "terrain_flags" in terrain:
            incomplete = (terrain["terrain_flags"] & _WINDOW_INCOMPLETE) != 0
            fields["near_dem_edge"] = incomplete.astype(np.float32)
    if "elevation" in ds:
        fields["surface_pressure"] = surface_pressure_from_elevation(ds["elevation"])
        if "ancillary_elevation" in ds:
            fields["elevation_difference"] = ds["elevation"] - ds["ancillary_elevation"]
    if "emissivity_prior" in ds:
        prior = ds["emissivity_prior"]
        for band in sensor.BANDS:
            fields[f"emissivity_prior_{band}"] = prior.sel(band=band, drop=True)
        fields["emissivity_prior_uncertainty"] = _prior_uncertainty(ds)
    return fields


def _normal(slope: Any, aspect: Any, part: Callable[[Any], Any]) -> Any:
    """Part of the unit normal in one direction; 0 on level ground, which faces nowhere."""
    tilted = np.sin(np.deg2rad(slope)) * part(np.deg2rad(aspect))
    return np.where(slope == 0.0, np.float32(0.0), tilted)


def _prior_uncertainty(ds: xr.Dataset) -> xr.DataArray:
    """Root mean square over the bands: the one number the networks take."""
    if "emissivity_prior_uncertainty" not in ds:
        return xr.full_like(
            ds["emissivity_prior"].isel(band=0, drop=True), DEFAULT_EMISSIVITY_ERROR
        )
    squared = ds["emissivity_prior_uncertainty"].astype(np.float32) ** 2
    return squared.mean("band", skipna=False) ** 0.5
