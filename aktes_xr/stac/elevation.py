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
from aktes_xr.errors import (
    AssetError,
    ElevationError,
    GridError,
    NodataError,
    ReadError,
    printable,
)
from aktes_xr.stac.grid import overlap
from aktes_xr.stac.item import item_of, link_of
from aktes_xr.stac.items import Found, ItemsLike, plain_items
from aktes_xr.stac.links import followed, granule_name, is_remote
from aktes_xr.stac.opening import Access, with_raster
from aktes_xr.stac.request import Rules
from aktes_xr.stac.signing import bare_href

logger = logging.getLogger(__name__)

ElevationSource: TypeAlias = str | Path | xr.DataArray | xr.Dataset | ItemsLike

# Names of the asset with the height, in the DEM collections that `catalogs/dem.yaml` lists.
_ASSET_NAMES = ("data", "elevation", "dem", "DEM")
_DRIVERS = {
    ".asc": "AAIGrid",
    ".bil": "EHdr",
    ".dem": "USGSDEM",
    ".hgt": "SRTMHGT",
    ".img": "HFA",
    ".jp2": "JP2OpenJPEG",
    ".nc": "netCDF",
    ".vrt": "VRT",
}
SOURCE = "source"
"""Attribute that says which rasters the heights are from: names, never paths or links."""
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
    access: Access | None = None,
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
    access : how files are reached

    Returns
    -------
    DataArray (y, x) float32, m
        Lazy; NaN where the model has no data. The attribute `SOURCE` names the rasters.

    Raises
    ------
    NodataError
        The model does not overlap the grid, or has nothing but nodata there.
    ElevationError
        What is named on this machine is no raster.
    ReadError
        A raster could not be opened; its header and a coarse sample are read at once, its pixels
        later.
    """
    if isinstance(source, xr.Dataset) and "elevation" in source:
        source = source["elevation"]
    if isinstance(source, xr.DataArray):
        return _from_array(source, like, chunks)
    access = access or Access()
    bare = [bare_href(href, access.modifier) for href in _hrefs(source, access)]
    used = tuple(href for href in bare if overlap(_bounds_of(href, grid.epsg, access), grid.bounds))
    if not used:
        raise NodataError(
            f"the elevation model ({', '.join(granule_name(href) for href in bare) or 'no items'}) "
            "does not overlap the cube; give one that covers it"
        )
    if not any(_has_heights(href, grid, access) for href in used):
        raise NodataError(
            f"the elevation model ({', '.join(granule_name(href) for href in used)}) has no valid "
            "height on the cube's grid, only nodata; give one that covers it"
        )
    values = da.map_blocks(
        _average_block,
        chunks=chunks,
        dtype=np.float32,
        meta=np.empty((0, 0), np.float32),
        name=f"aktes-elevation-{dask.base.tokenize(used, grid, access)}",
        hrefs=used,
        grid=grid,
        access=access,
    )
    origin = ", ".join(dict.fromkeys(granule_name(href) for href in used))
    return xr.DataArray(
        values, dims=("y", "x"), coords={"y": like["y"], "x": like["x"]}, attrs={SOURCE: origin}
    )


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
    origin = elevation.attrs.get(SOURCE) or elevation.encoding.get("source") or "given as an array"
    elevation = elevation.reset_coords(drop=True).transpose("y", "x").astype(np.float32)
    elevation.attrs[SOURCE] = granule_name(str(origin))
    if elevation.chunks is None:
        return elevation
    return elevation.chunk({"y": chunks[0], "x": chunks[1]})


def _hrefs(source: Any, access: Access) -> list[str]:
    """Return the rasters of an elevation model: the one named, or those of its items."""
    if isinstance(source, str | Path) and not str(source).lower().endswith((".json", ".geojson")):
        return [followed(str(source), local=True, allowed_hosts=access.allowed_hosts)]
    rules = Rules(settings=access.settings, allowed_hosts=access.allowed_hosts)
    return [_asset_href(found, access) for found in plain_items(source, [], rules)]


def _asset_href(found: Found, access: Access) -> str:
    item = item_of(found)
    assets = {key: asset for key, asset in (item.assets or {}).items() if asset.link}
    rasters = [asset for asset in assets.values() if "tiff" in (asset.media or "")]
    named = [assets[name] for name in _ASSET_NAMES if name in assets]
    if not named and len(rasters) != 1:
        raise AssetError(
            f"DEM item {item.name} has no asset that is known to hold heights: found "
            f"{printable(', '.join(sorted(assets))[:200])}, expected one of "
            f"{', '.join(_ASSET_NAMES)}"
        )
    return link_of(
        item, (named or rasters)[0], local=found.local, allowed_hosts=access.allowed_hosts
    )


def _driver(href: str) -> str:
    """Return the only format an elevation model may have: GeoTIFF, or what a local name says."""
    return "GTiff" if is_remote(href) else _DRIVERS.get(Path(href).suffix.lower(), "GTiff")


def _bounds_of(href: str, epsg: int, access: Access) -> Bounds:
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

    try:
        return with_raster(href, access, work, remedy=_REMEDY, driver=_driver(href))
    except ReadError as error:
        if is_remote(href):
            raise
        raise ElevationError(str(error)) from None


def _has_heights(href: str, grid: Grid, access: Access) -> bool:
    """Look for a valid height on the grid: in a coarse sample, then in all pixels."""

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

    if with_raster(href, access, work, remedy=_REMEDY, driver=_driver(href)):
        return True
    height, width = grid.shape
    return bool(np.isfinite(_average(href, grid, Window(0, 0, width, height), access)).any())


def _average_block(
    *,
    hrefs: Sequence[str],
    grid: Grid,
    access: Access,
    block_info: Any = None,
) -> npt.NDArray[np.float32]:
    (top, bottom), (left, right) = block_info[None]["array-location"]
    window = Window(left, top, right - left, bottom - top)
    total = np.zeros((bottom - top, right - left), np.float32)
    count = np.zeros(total.shape, np.uint8)
    for href in hrefs:
        heights = _average(href, grid, window, access)
        valid = np.isfinite(heights)
        total[valid] += heights[valid]
        count[valid] += 1
    with np.errstate(invalid="ignore"):
        return np.where(count > 0, total / count, np.float32(np.nan)).astype(np.float32)


def _average(href: str, grid: Grid, window: Window, access: Access) -> npt.NDArray[np.float32]:
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

    heights = with_raster(href, access, work, remedy=_REMEDY, driver=_driver(href))
    low, high = _PLAUSIBLE_M
    heights[~((heights > low) & (heights < high))] = np.nan
    return heights
