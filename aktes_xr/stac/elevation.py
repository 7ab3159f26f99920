"""An elevation model averaged to the cube's grid, lazily: mean height per pixel, not a sample."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias

import dask
import dask.array as da
import numpy as np
import numpy.typing as npt
import xarray as xr
from rasterio.enums import Resampling
from rasterio.vrt import WarpedVRT
from rasterio.warp import transform_bounds
from rasterio.windows import Window, intersect

from aktes_xr import terrain
from aktes_xr.cube import check_grid
from aktes_xr.cube.grid import Bounds, Grid
from aktes_xr.errors import AssetError, GridError, NodataError, ReadError
from aktes_xr.stac.grid import overlap
from aktes_xr.stac.items import ItemsLike, plain_items
from aktes_xr.stac.opening import with_raster
from aktes_xr.stac.signing import Modifier, bare_href, granule_name

logger = logging.getLogger(__name__)

ElevationSource: TypeAlias = str | Path | xr.DataArray | xr.Dataset | ItemsLike

# Where the height is in the items of the DEM collections that `catalogs/dem.yaml` lists.
_ASSET_NAMES = ("data", "elevation", "dem", "DEM")
_NODATA = -32768.0
_REMEDY = (
    "give as dem= the path of a georeferenced raster, a DataArray, or items of a DEM collection"
)
_PLAUSIBLE_M = (-1000.0, 10_000.0)
_SAMPLE_PIXELS = 64


def open_elevation(
    source: ElevationSource,
    like: xr.Dataset,
    grid: Grid,
    *,
    chunks: tuple[tuple[int, ...], tuple[int, ...]],
    modifier: Modifier | None = None,
) -> xr.DataArray:
    """Average an elevation model to a cube's grid.

    Parameters
    ----------
    source : DataArray (y, x), m, or a Dataset with ``elevation``; path or address of a raster; or
        STAC items of a DEM collection (tiles side by side; a pixel that two tiles share gets the
        mean of both)
    like : Dataset on ``grid``
    grid : Grid of the cube
    chunks : of the result along y and x
    modifier : signs links, in the task that reads

    Returns
    -------
    DataArray (y, x) float32, m
        Lazy; NaN where the model has no data.

    Raises
    ------
    NodataError
        The model does not overlap the grid, or has nothing but nodata there.
    ReadError
        A raster could not be opened; its header and a coarse sample are read at once, its pixels
        later.
    """
    if isinstance(source, xr.Dataset) and "elevation" in source:
        source = source["elevation"]
    if isinstance(source, xr.DataArray):
        return _from_array(source, like, chunks)
    if isinstance(source, str | Path) and not str(source).lower().endswith((".json", ".geojson")):
        hrefs: list[str] = [str(source)]
    else:
        hrefs = [_asset_href(item) for item in plain_items(source)]
    bare = [bare_href(href, modifier) for href in hrefs]
    used = tuple(
        href for href in bare if overlap(_bounds_of(href, grid.epsg, modifier), grid.bounds)
    )
    if not used:
        raise NodataError(
            f"the elevation model ({', '.join(granule_name(href) for href in bare) or 'no items'}) "
            "does not overlap the cube; give one that covers it"
        )
    if not any(_has_heights(href, grid, modifier) for href in used):
        raise NodataError(
            f"the elevation model ({', '.join(granule_name(href) for href in used)}) has no valid "
            "height on the cube's grid, only nodata; give one that covers it"
        )
    values = da.map_blocks(
        _average_block,
        chunks=chunks,
        dtype=np.float32,
        meta=np.empty((0, 0), np.float32),
        name=f"aktes-elevation-{dask.base.tokenize(used, grid, modifier)}",
        hrefs=used,
        grid=grid,
        modifier=modifier,
    )
    return xr.DataArray(values, dims=("y", "x"), coords={"y": like["y"], "x": like["x"]})


def _from_array(
    elevation: xr.DataArray, like: xr.Dataset, chunks: tuple[tuple[int, ...], tuple[int, ...]]
) -> xr.DataArray:
    if elevation.ndim == 3 and elevation.shape[0] == 1:
        # As rioxarray.open_rasterio returns a raster of one band.
        elevation = elevation.isel({elevation.dims[0]: 0}, drop=True)
    try:
        check_grid(elevation, like, name="dem=")
    except GridError as error:
        logger.info("%s; averaging it to the cube", error)
        elevation = terrain.aggregate_elevation(elevation, like)["elevation"]
    else:
        elevation = elevation.assign_coords(y=like["y"], x=like["x"])
    nodata = elevation.rio.nodata
    if nodata is not None and np.isfinite(nodata):
        elevation = elevation.where(elevation != nodata)
    elevation = elevation.reset_coords(drop=True).transpose("y", "x").astype(np.float32)
    if elevation.chunks is None:
        return elevation
    return elevation.chunk({"y": chunks[0], "x": chunks[1]})


def _asset_href(item: dict[str, Any]) -> str:
    assets = item["assets"]
    for name in _ASSET_NAMES:
        if name in assets:
            return str(assets[name]["href"])
    rasters = [asset for asset in assets.values() if "tiff" in str(asset.get("type", ""))]
    if len(rasters) == 1:
        return str(rasters[0]["href"])
    raise AssetError(
        f"DEM item {item.get('id')} has no asset that is known to hold heights: found "
        f"{', '.join(sorted(assets))}, expected one of {', '.join(_ASSET_NAMES)}"
    )


def _bounds_of(href: str, epsg: int, modifier: Modifier | None) -> Bounds:
    def work(source: Any) -> Bounds:
        if source.crs is None:
            raise ReadError(
                f"the elevation model {granule_name(href)} has no coordinate reference system; "
                "write one to it"
            )
        left, bottom, right, top = transform_bounds(
            source.crs, f"EPSG:{epsg}", *source.bounds, densify_pts=21
        )
        return float(left), float(bottom), float(right), float(top)

    return with_raster(href, modifier, work, remedy=_REMEDY)


def _has_heights(href: str, grid: Grid, modifier: Modifier | None) -> bool:
    """Look for a valid height on the grid: in a coarse sample, and only if that fails in all."""

    def work(source: Any) -> bool:
        left, bottom, right, top = transform_bounds(
            f"EPSG:{grid.epsg}", source.crs, *grid.bounds, densify_pts=21
        )
        whole = Window(0, 0, source.width, source.height)
        window = source.window(left, bottom, right, top)
        if not intersect(window, whole):
            return False
        window = window.intersection(whole)
        shape = tuple(
            max(1, min(_SAMPLE_PIXELS, round(size))) for size in (window.height, window.width)
        )
        sample = source.read(1, window=window, out_shape=shape, masked=True)
        heights = np.ma.filled(sample.astype(np.float32), np.nan)
        return bool(((heights > _PLAUSIBLE_M[0]) & (heights < _PLAUSIBLE_M[1])).any())

    if with_raster(href, modifier, work, remedy=_REMEDY):
        return True
    height, width = grid.shape
    return bool(np.isfinite(_average(href, grid, Window(0, 0, width, height), modifier)).any())


def _average_block(
    *,
    hrefs: Sequence[str],
    grid: Grid,
    modifier: Modifier | None,
    block_info: Any = None,
) -> npt.NDArray[np.float32]:
    (top, bottom), (left, right) = block_info[None]["array-location"]
    window = Window(left, top, right - left, bottom - top)
    total = np.zeros((bottom - top, right - left), np.float32)
    count = np.zeros(total.shape, np.uint8)
    for href in hrefs:
        heights = _average(href, grid, window, modifier)
        valid = np.isfinite(heights)
        total[valid] += heights[valid]
        count[valid] += 1
    with np.errstate(invalid="ignore"):
        return np.where(count > 0, total / count, np.float32(np.nan)).astype(np.float32)


def _average(
    href: str, grid: Grid, window: Window, modifier: Modifier | None
) -> npt.NDArray[np.float32]:
    def work(source: Any) -> npt.NDArray[np.float32]:
        height, width = grid.shape
        with WarpedVRT(
            source,
            crs=f"EPSG:{grid.epsg}",
            transform=grid.transform,
            width=width,
            height=height,
            resampling=Resampling.average,
            src_nodata=_NODATA if source.nodata is None else source.nodata,
            nodata=_NODATA,
            dtype="float32",
        ) as warped:
            return np.asarray(warped.read(1, window=window), np.float32)

    heights = with_raster(href, modifier, work, remedy=_REMEDY)
    low, high = _PLAUSIBLE_M
    heights[~((heights > low) & (heights < high))] = np.nan
    return heights
