"""The cube as the block function takes it: five arrays whose chunks correspond.

Whatever a cube lacks becomes one NaN per chunk instead of an array of NaN: the graph and the
memory do not pay for what is not there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import dask.array as da
import numpy as np
import pyproj
import xarray as xr
from dask.array.overlap import ensure_minimum_chunksize
from dask.base import tokenize

from aktes_xr import sensor
from aktes_xr.cube import check_grid
from aktes_xr.errors import MissingVariableError
from aktes_xr.radiative import surface_pressure_from_elevation
from aktes_xr.retrieval.tiles import DATED
from aktes_xr.terrain import grid_convergence, terrain_complexity, terrain_indices

if TYPE_CHECKING:
    from numpy.typing import NDArray

RELATIVE_WATER_VAPOR_ERROR: Final = 0.10
AIR_TEMPERATURE_ERROR_K: Final = 2.0
PRIOR_UNCERTAINTY: Final = 0.015
"""What is assumed where an ancillary comes without its error; the result's attributes say so."""

TERRAIN_VARIABLES: Final = (
    "terrain_complexity_k",
    "sky_view_factor",
    "slope",
    "aspect",
    "relief",
)
_CHUNK_PIXELS: Final = 1024
_DRIFT_CORRECTED_FROM: Final = np.datetime64("2006-02-08")

Chunks = tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Fields:
    """Arrays of corresponding chunks; a few numbers per date are in memory, the others lazy.

    Attributes
    ----------
    tir : (time, band, y, x)
    scalars : (time, 4)
    dated : (time, 4, y or 1, x or 1)
    static : (13, y or 1, x or 1)
    masks : (time, 2, y or 1, x or 1)
    chunks : chunk sizes along time, y, x
    """

    tir: da.Array
    scalars: da.Array | NDArray[np.float32]
    dated: da.Array | NDArray[np.float32]
    static: da.Array
    masks: da.Array | NDArray[np.bool_]
    chunks: tuple[Chunks, Chunks, Chunks]

    @property
    def token(self) -> str:
        """What identifies the inputs."""
        return str(tokenize(self.tir, self.scalars, self.dated, self.static, self.masks))


def terrain_of(ds: xr.Dataset) -> xr.Dataset:
    """Compute terrain indices and complexity of a cube's elevation, lazily."""
    indices = terrain_indices(ds["elevation"], rechunk="auto")
    return indices.assign(terrain_complexity(indices).data_vars)


def assemble(ds: xr.Dataset, terrain: xr.Dataset | None, *, halo: int) -> Fields:
    """Arrange a checked cube for the block function.

    Parameters
    ----------
    ds : Dataset
        A cube that `aktes_xr.cube.check` accepted.
    terrain : Dataset or None
        With the variables `TERRAIN_VARIABLES` (y, x) on the cube's grid.
    halo : int
        Pixels that each chunk must have to give to its neighbours.

    Returns
    -------
    Fields

    Raises
    ------
    MissingVariableError, GridError
        The terrain lacks a variable or lies on another grid.
    """
    tir = _measurement(ds, halo)
    time, _, y, x = tir.chunks
    return Fields(
        tir=tir,
        scalars=_scalars(ds, time),
        dated=_dated(ds, (time, y, x)),
        static=_static(ds, terrain, (y, x)),
        masks=_masks(ds, (time, y, x)),
        chunks=(time, y, x),
    )


def centre(ds: xr.Dataset) -> tuple[float, float]:
    """Longitude and latitude of a cube's centre, degrees; NaN for a cube without pixels."""
    if ds.sizes["x"] == 0 or ds.sizes["y"] == 0:
        return float("nan"), float("nan")
    transformer = pyproj.Transformer.from_crs(ds.rio.crs, "EPSG:4326", always_xy=True)
    x, y = (float(np.mean(ds.indexes[axis][[0, -1]])) for axis in ("x", "y"))
    longitude, latitude = transformer.transform(x, y)
    return float(longitude), float(latitude)


def _measurement(ds: xr.Dataset, halo: int) -> da.Array:
    tir = ds["tir"]
    if tir.chunks is None:
        # A NumPy or not yet loaded cube: lazy all the same.
        sizes = {axis: min(_CHUNK_PIXELS, max(ds.sizes[axis], 1)) for axis in ("y", "x")}
        tir = tir.chunk({"time": 1, "band": -1, **sizes})
    array = tir.data
    if array.dtype != np.uint16:
        array = array.astype(np.float32)
    chunks = [array.chunks[0], (array.shape[1],), array.chunks[2], array.chunks[3]]
    if halo:
        chunks[2] = ensure_minimum_chunksize(halo, chunks[2])
        chunks[3] = ensure_minimum_chunksize(halo, chunks[3])
    return array.rechunk(tuple(chunks))


def _scalars(ds: xr.Dataset, time: Chunks) -> da.Array | NDArray[np.float32]:
    count = ds.sizes["time"]
    missing = np.full(count, np.nan, np.float32)
    columns = []
    for name in ("view_zenith", "sun_zenith", "sun_azimuth"):
        column = ds[name].data if name in ds.coords else missing
        if name == "sun_azimuth" and "elevation" in ds and ds["elevation"].size:
            # The aspect is counted from the grid's north.
            column = column - grid_convergence(ds["elevation"])
        columns.append(column)
    columns.append(_drift_uncorrected(ds))
    if any(isinstance(column, da.Array) for column in columns):
        stacked = da.stack([da.asarray(column, np.float32) for column in columns], axis=1)
        return stacked.rechunk((time, -1))
    return np.stack([np.asarray(column, np.float32) for column in columns], axis=1)


def _drift_uncorrected(ds: xr.Dataset) -> Any:
    """1 where the granule was processed before the drift correction came into use."""
    if "processing_time" not in ds.coords:
        return np.zeros(ds.sizes["time"], np.float32)
    return (ds["processing_time"].data < _DRIFT_CORRECTED_FROM).astype(np.float32)


def _spread(array: xr.DataArray, dims: tuple[str, ...], chunks: tuple[Chunks, ...]) -> da.Array:
    """Give a field all of ``dims`` and the given chunks; NumPy fields become lazy."""
    data = array.data
    lazy = data if isinstance(data, da.Array) else da.from_array(np.asarray(data))
    lazy = lazy[tuple(slice(None) if dim in array.dims else np.newaxis for dim in dims)]
    shape = tuple(sum(sizes) for sizes in chunks)
    return da.broadcast_to(lazy, shape).rechunk(chunks)


def _dated(ds: xr.Dataset, chunks: tuple[Chunks, Chunks, Chunks]) -> da.Array | NDArray[np.float32]:
    fields = {name: ds[name] for name in DATED if name in ds}
    for name, scale in (("water_vapor", RELATIVE_WATER_VAPOR_ERROR), ("air_temperature", None)):
        if name in fields and f"{name}_error" not in fields:
            value = fields[name]
            fields[f"{name}_error"] = (
                xr.full_like(value, AIR_TEMPERATURE_ERROR_K) if scale is None else value * scale
            )
    if not any("y" in field.dims or field.chunks is not None for field in fields.values()):
        values = np.full((ds.sizes["time"], len(DATED), 1, 1), np.nan, np.float32)
        for plane, name in enumerate(DATED):
            if name in fields:
                values[:, plane, 0, 0] = fields[name].to_numpy()
        return values
    target = (
        chunks if any("y" in field.dims for field in fields.values()) else (chunks[0], (1,), (1,))
    )
    shape = tuple(sum(sizes) for sizes in target)
    planes = [
        _spread(fields[name], ("time", "y", "x"), target).astype(np.float32)
        if name in fields
        else da.full(shape, np.nan, dtype=np.float32, chunks=target)
        for name in DATED
    ]
    return da.stack(planes, axis=1).rechunk({1: -1})


def _masks(ds: xr.Dataset, chunks: tuple[Chunks, Chunks, Chunks]) -> da.Array | NDArray[np.bool_]:
    names = [name for name in ("cloud", "water") if name in ds]
    if not names:
        return np.zeros((sum(chunks[0]), 2, 1, 1), np.bool_)
    shape = tuple(sum(sizes) for sizes in chunks)
    planes = [
        _spread(ds[name], ("time", "y", "x"), chunks)
        if name in names
        else da.zeros(shape, dtype=np.bool_, chunks=chunks)
        for name in ("cloud", "water")
    ]
    return da.stack(planes, axis=1).rechunk({1: -1})


def _static(ds: xr.Dataset, terrain: xr.Dataset | None, chunks: tuple[Chunks, Chunks]) -> da.Array:
    fields: dict[str, xr.DataArray] = {}
    if terrain is not None:
        missing = [name for name in TERRAIN_VARIABLES if name not in terrain]
        if missing:
            raise MissingVariableError(
                f"the terrain lacks {', '.join(missing)}; merge the results of "
                "aktes_xr.terrain.terrain_indices and terrain_complexity"
            )
        check_grid(terrain["slope"], ds, name="the terrain")
        fields |= {name: terrain[name] for name in TERRAIN_VARIABLES}
    if "elevation" in ds:
        fields["surface_pressure"] = surface_pressure_from_elevation(ds["elevation"])
    if "emissivity_prior" in ds:
        prior = ds["emissivity_prior"]
        fields |= {f"prior_{band}": prior.sel(band=band, drop=True) for band in sensor.BANDS}
        fields["prior_uncertainty"] = _prior_uncertainty(ds)
    if "elevation" in ds and "ancillary_elevation" in ds:
        fields["elevation_difference"] = ds["elevation"] - ds["ancillary_elevation"]
    priors = (*(f"prior_{band}" for band in sensor.BANDS), "prior_uncertainty")
    names = (*TERRAIN_VARIABLES, "surface_pressure", *priors, "elevation_difference")
    target = chunks if fields else ((1,), (1,))
    shape = tuple(sum(sizes) for sizes in target)
    planes = [
        _spread(fields[name], ("y", "x"), target).astype(np.float32)
        if name in fields
        else da.full(shape, np.nan, dtype=np.float32, chunks=target)
        for name in names
    ]
    return da.stack(planes, axis=0).rechunk({0: -1})


def _prior_uncertainty(ds: xr.Dataset) -> xr.DataArray:
    """Root mean square over the bands: the one number the networks take."""
    if "emissivity_prior_uncertainty" not in ds:
        return xr.full_like(ds["emissivity_prior"].isel(band=0, drop=True), PRIOR_UNCERTAINTY)
    squared = ds["emissivity_prior_uncertainty"].astype(np.float32) ** 2
    return squared.mean("band", skipna=False) ** 0.5
