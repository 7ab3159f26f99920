"""What a result is compared with: stores and rasters of temperature or emissivity, on its grid."""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyproj
import rasterio.errors
import rioxarray
import xarray as xr
from rasterio.enums import Resampling

from aktes_xr.errors import GridError, InputError, OverlapError, StoreNotFoundError
from aktes_xr.sensor import BANDS
from aktes_xr.validation.quantity import EMISSIVITY, TEMPERATURE, Quantity

COARSER: Final = 2.0
"""From this ratio of pixel sizes on, a reference is compared on its own pixels."""
_METRES_PER_DEGREE: Final = 111_320.0
_KELVIN: Final = (150.0, 400.0)
_EMISSIVITY: Final = (0.3, 1.0)
_BAND: Final = re.compile(r"(?:B|Band)_?(1[0-4])(?!\d)", re.IGNORECASE)


@dataclass(frozen=True)
class Product:
    """How a known product stores surface temperature or emissivity.

    Attributes
    ----------
    name : str
    pattern : str
        Regular expression of its files' names; the group ``time`` is when it was measured.
    time_format : str
        Of that group.
    scale, offset : float
        Kelvin, or emissivities, are the stored number times ``scale`` plus ``offset``.
    floor : float
        Stored numbers up to this one are no measurement.
    mask : (str, str, int) or None
        Suffix of a file's name, what takes its place in the name of the file with the mask, and the
        bits there of which one marks a clear pixel; 0: a pixel is clear where the mask is 0.
    quantity : Quantity
        What it stores.
    """

    name: str
    pattern: str
    time_format: str
    scale: float
    offset: float = 0.0
    floor: float = 0.0
    mask: tuple[str, str, int] | None = None
    quantity: Quantity = TEMPERATURE


PRODUCTS: Final = (
    Product("AST_08", r"AST_08_\d{3}(?P<time>\d{14})", "%m%d%Y%H%M%S", 0.1, floor=2000.0),
    Product("AST_05", r"AST_05_\d{3}(?P<time>\d{14})", "%m%d%Y%H%M%S", 0.001, quantity=EMISSIVITY),
    Product(
        "ECOSTRESS L2T LSTE",
        r"ECOv\d+_L2[TG]_LSTE_.*?(?P<time>\d{8}T\d{6}).*LST",
        "%Y%m%dT%H%M%S",
        1.0,
        mask=("_LST.tif", "_cloud.tif", 0),
    ),
    Product("MOD21", r"M[OY]D21\w*\.A(?P<time>\d{7}\.\d{4})", "%Y%j.%H%M", 0.02),
    # Of Landsat the name says the day alone; bit 6 of QA_PIXEL is "clear", bit 7 "water".
    Product(
        "Landsat Collection 2 ST",
        r"L[CTE]0\d_L2SP_\d{6}_(?P<time>\d{8})_.*_ST_B\d+",
        "%Y%m%d",
        0.00341802,
        149.0,
        mask=("_ST_B10.TIF", "_QA_PIXEL.TIF", (1 << 6) | (1 << 7)),
    ),
)


@dataclass(frozen=True)
class Reference:
    """What to compare with, on the result's grid or the result on its own.

    Attributes
    ----------
    name : str
    field : DataArray (y, x) or (time, y, x), float32, K
        Temperatures, NaN where nothing is known; or emissivities, with a ``band``.
    fields : Dataset
        What else a store holds: ``emissivity``, ``precipitable_water``.
    time : datetime64 or None
        When a raster was measured, if its name says so.
    coarse : bool
        Its pixels are so much larger than the result's that the result is averaged over them.
    quantity : Quantity
        What ``field`` holds.
    """

    name: str
    field: xr.DataArray
    fields: xr.Dataset
    time: np.datetime64 | None = None
    coarse: bool = False
    quantity: Quantity = TEMPERATURE

    def emissivity(self) -> Reference | None:
        """Return what a store of temperatures holds of emissivity; None where it has none.

        Returns
        -------
        Reference or None

        Raises
        ------
        GridError
            Its bands have no names and are not five.
        """
        held = self.fields.get("emissivity")
        if held is None or "band" not in held.dims or self.quantity is EMISSIVITY:
            return None
        if "band" not in held.coords:
            if held.sizes["band"] != len(BANDS):
                raise GridError(
                    f"the emissivity of {self.name} has {held.sizes['band']} bands without names: "
                    f"name them, such as {BANDS[0]!r}"
                )
            held = held.assign_coords(band=list(BANDS))
        return replace(self, field=held, quantity=EMISSIVITY)


def product_of(path: Path) -> Product | None:
    """Recognise a product by its file's name.

    Parameters
    ----------
    path : Path

    Returns
    -------
    Product or None
    """
    return next((one for one in PRODUCTS if re.search(one.pattern, path.name)), None)


def open_truth(
    path: Path, like: xr.Dataset, *, scale: float | None = None, offset: float | None = None
) -> xr.Dataset:
    """Open a Zarr store, or a raster of surface temperature, on a result's grid.

    Parameters
    ----------
    path : Path
        A Zarr store with ``surface_temperature``; or a raster, whose nodata and zeros are no
        measurement. A raster is brought to the grid by nearest neighbour.
    like : Dataset
        Whose grid it is brought to.
    scale, offset : float, optional
        Kelvin are a raster's values times ``scale`` plus ``offset``. By default those of the
        product that the file's name is of (AST_08, ECOSTRESS, MOD21, Landsat), else 1 and 0.

    Returns
    -------
    Dataset
        ``surface_temperature``, K, and what else a store holds.

    Raises
    ------
    StoreNotFoundError
        There is nothing at ``path``, or a folder that is no Zarr store.
    InputError
        It is no raster, has several bands, or its values are no temperatures in kelvin.
    OverlapError
        The raster and the result have no ground in common.
    """
    if not path.exists():
        raise StoreNotFoundError(f"found no truth {path.name}; give a Zarr store or a raster")
    if path.is_dir():
        try:
            ds: xr.Dataset = xr.open_zarr(path, consolidated=False, decode_coords="all")
        except FileNotFoundError:
            raise StoreNotFoundError(
                f"the folder {path.name} is no Zarr store (it has no zarr.json); give one with "
                "surface_temperature, or a raster"
            ) from None
        return ds
    kelvin = _read_kelvin(path, scale, offset)
    check_overlap(kelvin, like, path.name)
    return xr.Dataset({"surface_temperature": _on_grid(kelvin, like, Resampling.nearest)})


def open_reference(
    path: Path, like: xr.Dataset, *, scale: float | None = None, offset: float | None = None
) -> Reference:
    """Open what a result is compared with, at the coarser of both resolutions.

    Parameters
    ----------
    path, like, scale, offset
        As for `open_truth`.

    Returns
    -------
    Reference

    Raises
    ------
    InputError, OverlapError
        As `open_truth` raises them; also a store without ``surface_temperature``.
    """
    if path.is_dir():
        ds = open_truth(path, like)
        if "surface_temperature" not in ds:
            raise InputError(
                f"{path.name} holds {', '.join(map(str, ds.data_vars))}; expected a store with "
                "surface_temperature"
            )
        check_overlap(ds, like, path.name)
        return Reference(path.name, ds["surface_temperature"], ds)
    product = product_of(path)
    quantity = TEMPERATURE if product is None else product.quantity
    if quantity is EMISSIVITY:
        field = read_emissivity(path, scale)
    else:
        field = _read_kelvin(path, scale, offset)
    check_overlap(field, like, path.name)
    coarse = _pixel_m(field) > COARSER * abs(float(like["x"][1] - like["x"][0]))
    placed = _cropped(field, like) if coarse else _on_grid(field, like, Resampling.nearest)
    return Reference(path.name, placed, xr.Dataset(), measured_at(path), coarse, quantity)


def measured_at(path: Path) -> np.datetime64 | None:
    """Return when a product's file was measured, by its name.

    Parameters
    ----------
    path : Path

    Returns
    -------
    datetime64 or None
        None where the name tells no time, or the day alone.
    """
    product = product_of(path)
    if product is None or "%H" not in product.time_format:
        return None
    match = re.search(product.pattern, path.name)
    if match is None:
        return None
    try:
        return np.datetime64(datetime.strptime(match["time"], product.time_format), "ns")
    except ValueError:
        return None


def check_overlap(reference: xr.Dataset | xr.DataArray, like: xr.Dataset, name: str) -> None:
    """Refuse a reference that has no ground in common with a result.

    Parameters
    ----------
    reference : Dataset or DataArray with y, x and a CRS
    like : Dataset
        The result.
    name : str
        What the message calls the reference.

    Raises
    ------
    OverlapError
        With both extents in degrees.
    """
    there, here = _degrees(reference), _degrees(like)
    if there is None or here is None:
        return
    apart = there[0] > here[2] or there[2] < here[0] or there[1] > here[3] or there[3] < here[1]
    if apart:
        raise OverlapError(
            f"{name} and the result have no ground in common: {name} covers {_words(there)}, the "
            f"result {_words(here)}"
        )


def average_onto(field: xr.DataArray, target: xr.DataArray) -> xr.DataArray:
    """Average a field over the pixels of a coarser grid.

    Parameters
    ----------
    field : DataArray (y, x), float
    target : DataArray (y, x)
        With a CRS; its pixels are the result's.

    Returns
    -------
    DataArray (y, x), float32
        NaN where less than nine tenths of a pixel are known.
    """
    with _quiet():
        mean = field.rio.reproject_match(target, resampling=Resampling.average, nodata=np.nan)
        known = field.notnull().astype("float32").rio.write_crs(field.rio.crs)
        share = known.rio.reproject_match(target, resampling=Resampling.average, nodata=np.nan)
    # Of the grid's own numbers: reprojecting gives them anew, off by the last bit.
    values = np.where(share.to_numpy() >= 0.9, mean.to_numpy(), np.nan)
    return target.copy(data=values.astype(np.float32))


def read_emissivity(path: Path, scale: float | None = None) -> xr.DataArray:
    """Read a raster of emissivity: all five bands, or the one that its name says.

    Parameters
    ----------
    path : Path
    scale : float, optional
        Emissivity per unit; that of AST_05 unless given.

    Returns
    -------
    DataArray (band, y, x), float32, 1
        NaN where it is no measurement.

    Raises
    ------
    InputError
        It is no raster, has another number of bands, or its values are no emissivities.
    """
    raster = _opened(path)
    named = _BAND.search(path.stem)
    bands = [f"B{named[1]}"] if raster.sizes["band"] == 1 and named else list(BANDS)
    if raster.sizes["band"] != len(bands):
        raise InputError(
            f"{path.name} holds {raster.sizes['band']} bands: expected the five of {BANDS[0]} to "
            f"{BANDS[-1]}, or one whose name says which, such as '..._B10.tif'"
        )
    product = product_of(path)
    factor = scale if scale is not None else 1.0 if product is None else product.scale
    value = raster.where(raster > 0) * factor
    median = float(value.median())
    if not _EMISSIVITY[0] < median <= _EMISSIVITY[1]:
        raise InputError(
            f"{path.name} times {factor:g} has a median of {median:.6g}, no emissivity; give the "
            "raster's scale (0.001 for AST_05)"
        )
    named_bands = value.assign_coords(band=bands).astype(np.float32)
    placed: xr.DataArray = named_bands.rio.write_crs(raster.rio.crs)
    return placed


def _opened(path: Path) -> xr.DataArray:
    """Open a raster of one grid."""
    try:
        with _quiet():
            raster = rioxarray.open_rasterio(path, masked=True)
    except rasterio.errors.RasterioIOError as error:
        raise InputError(
            f"{path.name} cannot be read as a raster ({error}); give a Zarr store or a GeoTIFF"
        ) from error
    if not isinstance(raster, xr.DataArray):
        raise InputError(f"{path.name} holds several grids: expected one")
    return raster


def _read_kelvin(path: Path, scale: float | None, offset: float | None) -> xr.DataArray:
    """Read a raster of one band as kelvin, NaN where it is no measurement."""
    product = product_of(path)
    factor = scale if scale is not None else 1.0 if product is None else product.scale
    shift = offset
    if shift is None:
        shift = 0.0 if product is None or scale is not None else product.offset
    raster = _opened(path)
    if raster.sizes["band"] != 1:
        raise InputError(f"{path.name} holds several bands: expected one, temperature")
    stored = raster.squeeze("band", drop=True)
    floor = 0.0 if product is None else product.floor
    kelvin = stored.where(stored > floor) * factor + shift
    median = float(kelvin.median())
    if not _KELVIN[0] < median < _KELVIN[1]:
        raise InputError(
            f"{path.name} times {factor:g} plus {shift:g} has a median of {median:.6g}, no surface "
            "temperature in kelvin; give the raster's scale (0.1 for AST_08)"
        )
    clear = _clear(path, product, stored.shape)
    if clear is not None:
        kelvin = kelvin.where(clear)
    placed: xr.DataArray = kelvin.astype(np.float32).rio.write_crs(raster.rio.crs)
    return placed


def _clear(
    path: Path, product: Product | None, shape: Sequence[int]
) -> np.ndarray[Any, np.dtype[np.bool_]] | None:
    """Return where a product's own mask beside the file says that the sky was clear."""
    if product is None or product.mask is None:
        return None
    suffix, other, bits = product.mask
    beside = path.with_name(path.name.removesuffix(suffix) + other)
    if beside == path or not path.name.endswith(suffix) or not beside.is_file():
        return None
    with rasterio.open(beside) as source:
        flags = source.read(1)
    if flags.shape != tuple(shape):
        raise InputError(
            f"{beside.name} has {flags.shape} pixels, {path.name} {tuple(shape)}: expected the "
            "mask of the same product"
        )
    return np.asarray((flags.astype(np.int64) & bits) != 0 if bits else flags == 0)


def _on_grid(kelvin: xr.DataArray, like: xr.Dataset, how: Resampling) -> xr.DataArray:
    with _quiet():
        matched: xr.DataArray = kelvin.rio.reproject_match(
            like["surface_temperature"], resampling=how, nodata=np.nan
        )
    # The same numbers, so that both share their pixels exactly.
    return matched.assign_coords(x=like["x"], y=like["y"]).drop_attrs()


def _pixel_m(raster: xr.DataArray) -> float:
    """Return the longer side of a raster's pixels, m."""
    with _quiet():
        affine = raster.rio.transform()
    # Along the pixel's own sides: a scene as it was measured lies askew on the map.
    side = max(math.hypot(affine.a, affine.d), math.hypot(affine.b, affine.e))
    return side * _METRES_PER_DEGREE if raster.rio.crs.is_geographic else side


def _cropped(kelvin: xr.DataArray, like: xr.Dataset) -> xr.DataArray:
    """Cut a coarse raster to the result's ground."""
    with _quiet():
        affine = kelvin.rio.transform()
        if affine.b or affine.d:
            # Rows of a scene that lies askew are of no one northing: it stays whole.
            return kelvin
        box = pyproj.Transformer.from_crs(
            like.rio.crs, kelvin.rio.crs, always_xy=True
        ).transform_bounds(*like.rio.bounds())
        cut: xr.DataArray = kelvin.rio.clip_box(*box)
    return cut


def _degrees(field: xr.Dataset | xr.DataArray) -> tuple[float, float, float, float] | None:
    """Return west, south, east and north of a field's ground, degrees; None without a CRS."""
    if field.rio.crs is None:
        return None
    with _quiet():
        affine = field.rio.transform()
    column, row = np.meshgrid((0, field.sizes["x"]), (0, field.sizes["y"]))
    x = affine.a * column + affine.b * row + affine.c
    y = affine.d * column + affine.e * row + affine.f
    to_degrees = pyproj.Transformer.from_crs(field.rio.crs, 4326, always_xy=True)
    west, south, east, north = to_degrees.transform_bounds(x.min(), y.min(), x.max(), y.max())
    return float(west), float(south), float(east), float(north)


def _words(extent: tuple[float, float, float, float]) -> str:
    west, south, east, north = extent
    return f"{west:.3f} to {east:.3f} degrees east, {south:.3f} to {north:.3f} degrees north"


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the warnings of libraries about their own future, and about files, from the user."""
    with warnings.catch_warnings():
        # rioxarray multiplies affine transforms in the way affine 3 means to drop.
        warnings.filterwarnings("ignore", "Use `@` matmul", PendingDeprecationWarning)
        # A scene may lie askew on the map: its transform is used as it is.
        warnings.filterwarnings("ignore", "Transform that is non-rectilinear", UserWarning)
        yield
