"""Results for other programs: a folder of COGs for a GIS, or one NetCDF file.

A COG holds one variable of one date; emissivity holds its five bands. Numbers are stored as uint16
with a scale, which GDAL hands on to every GIS, and 65535 where there is no value. So a file is half
as large, and a temperature is rounded to a hundredth of a kelvin, an eighth of what the sensor's
noise is. Overviews are means of what has a value; those of flags are the nearest pixel's.
"""

from __future__ import annotations

import contextlib
import os
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from rasterio.enums import Resampling
from rasterio.errors import RasterioError
from rasterio.io import MemoryFile
from rasterio.shutil import copy as copy_raster

from aktes_xr.errors import InputError, StoreError, StoreExistsError
from aktes_xr.store.encoding import encode
from aktes_xr.store.history import with_history

NODATA: Final = 65535


@dataclass(frozen=True)
class Packing:
    """How a variable becomes whole numbers: value = scale * number.

    Attributes
    ----------
    scale : float, in the variable's unit
    """

    scale: float

    @property
    def highest(self) -> float:
        """The largest value that can be stored."""
        return self.scale * (NODATA - 1)

    def pack(self, values: NDArray[Any], *, name: str) -> NDArray[np.uint16]:
        """Return the numbers of values, `NODATA` where a value is NaN.

        Parameters
        ----------
        values : ndarray, float
        name : str
            Of the variable, for the message.

        Raises
        ------
        InputError
            A value lies outside what can be stored.
        """
        valid = np.isfinite(values)
        held = values[valid]
        if held.size and not (held.min() >= 0.0 and held.max() <= self.highest):
            raise InputError(
                f"{name} reaches from {held.min():g} to {held.max():g}, more than a COG's 0 to "
                f"{self.highest:g}; write NetCDF, which holds every value"
            )
        packed = np.full(values.shape, NODATA, np.uint16)
        packed[valid] = np.rint(held / self.scale)
        return packed


PACKINGS: Final = {
    "surface_temperature": Packing(0.01),
    "surface_temperature_uncertainty": Packing(0.01),
    "emissivity": Packing(0.0001),
    "emissivity_uncertainty": Packing(0.0001),
    "student_weight": Packing(0.0001),
    "sky_view_factor": Packing(0.0001),
    "cloud_probability": Packing(0.0001),
    "cloud_confidence": Packing(0.0001),
    "terrain_complexity": Packing(0.001),
}
"""Variables that are packed. Other numbers stay float32, with NaN where there is no value."""


def write_cogs(
    result: xr.Dataset, directory: str | os.PathLike[str], *, overwrite: bool = False
) -> list[Path]:
    """Write a result as cloud-optimised GeoTIFFs, one for each variable and date.

    One variable of one date is in memory at a time. Store a lazy result first: it would be computed
    anew for each file.

    Parameters
    ----------
    result : Dataset
        What `aktes_xr.retrieve` or `aktes_xr.open_result` returns: variables (time, y, x),
        (time, band, y, x) or (y, x), with a CRS.
    directory : path
        Made where it does not exist.
    overwrite : bool
        Replace files of the same names.

    Returns
    -------
    list of Path
        ``VARIABLE_YYYYMMDDTHHMMSSZ.tif``, or ``VARIABLE.tif`` without a date.

    Raises
    ------
    StoreExistsError
        A file exists that is not to be replaced, or the directory is a file.
    InputError
        A value does not fit its variable's packing, or the result has no regular grid.
    CRSError
        It has no CRS.
    StoreError
        A file cannot be written.
    """
    prepared = encode(result, sharded=False)
    folder = Path(directory)
    if folder.exists() and not folder.is_dir():
        raise StoreExistsError(f"{folder.name} is a file, expected a folder for the COGs")
    images = dict(_images(prepared))
    taken = [name for name in images if (folder / name).exists()]
    if taken and not overwrite:
        raise StoreExistsError(
            f"{folder.name} holds {taken[0]} already ({len(taken)} such files); choose another "
            "folder, or replace them with overwrite=True"
        )
    folder.mkdir(parents=True, exist_ok=True)
    for name, image in images.items():
        with _beside(folder / name) as partial, _as_store_error(name):
            _write_cog(image, prepared, partial)
    return [folder / name for name in images]


def write_netcdf(
    result: xr.Dataset, path: str | os.PathLike[str], *, overwrite: bool = False
) -> Path:
    """Write a result as one compressed NetCDF file, with every value as it is.

    Parameters
    ----------
    result : Dataset
        As for `write_cogs`.
    path : path
        The file.
    overwrite : bool
        Replace a file that is there.

    Returns
    -------
    Path

    Raises
    ------
    StoreExistsError
        The file exists and is not to be replaced.
    CRSError, InputError
        The result has no CRS, or no regular grid.
    StoreError
        The file cannot be written.
    """
    target = Path(path)
    if target.is_dir() or (target.exists() and not overwrite):
        kind = "is a folder" if target.is_dir() else "exists"
        raise StoreExistsError(
            f"{target.name} {kind}; choose another name, or replace a file with overwrite=True"
        )
    ds = encode(result, sharded=False)
    ds.attrs = with_history(result, "written to NetCDF").attrs
    for variable in ds.variables.values():
        variable.encoding = _netcdf_encoding(variable)
    target.parent.mkdir(parents=True, exist_ok=True)
    with _beside(target) as partial, _as_store_error(target.name):
        ds.to_netcdf(partial, engine="h5netcdf")
    return target


def _netcdf_encoding(variable: xr.Variable) -> dict[str, Any]:
    """Turn what was meant for Zarr into what NetCDF knows."""
    kept = {
        name: value
        for name, value in variable.encoding.items()
        if name not in {"fill_value", "chunks", "shards"}
    }
    if variable.ndim >= 2:
        kept |= {"zlib": True, "complevel": 4, "shuffle": True}
        kept["chunksizes"] = variable.encoding.get("chunks", variable.shape)
    return kept


def _images(ds: xr.Dataset) -> Iterator[tuple[str, xr.DataArray]]:
    """Yield what a file holds, (y, x) or (band, y, x), by the file's name."""
    for name, array in ds.data_vars.items():
        if not {"y", "x"} <= set(array.dims):
            continue
        if "time" not in array.dims:
            yield f"{name}.tif", array
            continue
        for number, stamp in enumerate(ds["time"].to_numpy()):
            text = np.datetime_as_string(stamp, unit="s").replace("-", "").replace(":", "")
            yield f"{name}_{text}Z.tif", array.isel(time=number)


def _write_cog(image: xr.DataArray, ds: xr.Dataset, path: Path) -> None:
    """Write one image in memory, then as COG: the driver can only copy."""
    values = image.transpose(..., "y", "x").to_numpy()
    planes = values if values.ndim == 3 else values[np.newaxis]
    flags = "flag_meanings" in image.attrs or planes.dtype.kind in ("b", "u", "i")
    packing = None if flags else PACKINGS.get(str(image.name))
    if packing is not None:
        planes = packing.pack(planes, name=str(image.name))
    elif planes.dtype.kind == "b":
        planes = planes.astype(np.uint8)
    elif not flags:
        planes = planes.astype(np.float32)
    profile = {
        "driver": "GTiff",
        "width": planes.shape[2],
        "height": planes.shape[1],
        "count": planes.shape[0],
        "dtype": planes.dtype,
        "crs": ds.rio.crs,
        "transform": ds.rio.transform(recalc=True),
        "nodata": None if flags else np.nan if packing is None else NODATA,
    }
    with MemoryFile() as memory:
        with memory.open(**profile) as target:
            target.write(planes)
            _describe(target, image, ds, packing)
        with memory.open() as source:
            copy_raster(
                source,
                path,
                driver="COG",
                blocksize=512,
                compress="DEFLATE",
                predictor="YES",
                overview_resampling=(Resampling.nearest if flags else Resampling.average).name,
            )


def _describe(target: Any, image: xr.DataArray, ds: xr.Dataset, packing: Packing | None) -> None:
    """Say in the file's own words what it holds: unit, scale, bands, time and origin."""
    words = str(image.attrs.get("long_name", image.name))
    bands = [str(name) for name in ds["band"].to_numpy()] if "band" in image.dims else [words]
    unit = str(image.attrs.get("units", ""))
    target.descriptions = tuple(bands)
    target.units = tuple("" if unit == "1" else unit for _ in bands)
    if packing is not None:
        target.scales = tuple(packing.scale for _ in bands)
        target.offsets = tuple(0.0 for _ in bands)
    tags = {"long_name": words, "source": str(ds.attrs.get("source", "aktes_xr"))}
    if "time" in image.coords and image["time"].ndim == 0:
        stamp = str(np.datetime_as_string(image["time"].to_numpy(), unit="s"))
        tags["TIFFTAG_DATETIME"] = stamp.replace("-", ":").replace("T", " ")
        tags["time"] = f"{stamp}Z"
    if "item_id" in image.coords and image["item_id"].ndim == 0:
        tags["item_id"] = str(image["item_id"].to_numpy())
    for name in ("flag_masks", "flag_values", "flag_meanings"):
        if name in image.attrs:
            held = image.attrs[name]
            tags[name] = held if isinstance(held, str) else " ".join(map(str, np.ravel(held)))
    for name in ("bundle_sha256", "configuration_sha256", "history"):
        if name in ds.attrs:
            tags[name] = str(ds.attrs[name])
    target.update_tags(**tags)


@contextlib.contextmanager
def _beside(target: Path) -> Iterator[Path]:
    """Write beside a file and rename, so that nobody sees half of it."""
    partial = target.with_name(f".{target.stem}.{uuid.uuid4().hex}{target.suffix}")
    try:
        yield partial
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)


@contextlib.contextmanager
def _as_store_error(name: str) -> Iterator[None]:
    try:
        yield
    except (RasterioError, OSError) as error:
        if isinstance(error, StoreError):
            raise
        reason = getattr(error, "strerror", None) or str(error)
        raise StoreError(
            f"could not write {name}: {reason}; check the place's rights and free space"
        ) from error
