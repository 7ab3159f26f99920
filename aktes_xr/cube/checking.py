"""`check` a cube before any graph is built, each violation by its own error.

Only metadata are looked at, and values that are in memory already (an elevation that is nodata
everywhere, angles in radians, a temperature in degrees Celsius); what is lazy stays lazy.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Hashable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import xarray as xr

from aktes_xr.cube.contract import (
    ANCILLARIES,
    COORDINATES,
    DIMS,
    DN_UNITS,
    RADIANCE_UNITS,
    REMEDIES,
    SPELLINGS,
    VARIABLES,
    Field,
)
from aktes_xr.cube.grid import check_axis, check_crs
from aktes_xr.errors import (
    BandError,
    DimensionError,
    DTypeError,
    GridError,
    InputError,
    MissingVariableError,
    NodataError,
    UnitsError,
)
from aktes_xr.sensor import BANDS


@dataclass(frozen=True, slots=True)
class CubeInfo:
    """What `check` found in a cube that keeps the contract.

    Attributes
    ----------
    tir_units : "DN" or "radiance"
    crs : str, ``EPSG:n`` or WKT
    shape : (time, y, x)
    cell_size_m : (y, x), positive; NaN along an axis of fewer than two pixels
    has_elevation : bool
    ancillaries : names of the optional variables that are there
    coordinates : names of the per-time coordinates that are there
    """

    tir_units: Literal["DN", "radiance"]
    crs: str
    shape: tuple[int, int, int]
    cell_size_m: tuple[float, float]
    has_elevation: bool
    ancillaries: frozenset[str]
    coordinates: frozenset[str]


def check(ds: xr.Dataset, *, require: Collection[str] = ()) -> CubeInfo:
    """Check a cube against the contract, without computing anything.

    Parameters
    ----------
    ds : Dataset with ``tir`` (time, band, y, x)
    require : names of variables or coordinates that must be there, e.g. ``{"elevation"}``

    Returns
    -------
    CubeInfo

    Raises
    ------
    InputError
        It is no Dataset.
    MissingVariableError
        ``tir``, a coordinate or a required name is absent.
    DimensionError
        A variable's dimensions are others than the contract's.
    BandError
        Bands are missing, surplus or out of order.
    UnitsError
        Units are absent or wrong, or values contradict them (degrees for metres, radians for
        degrees, Celsius for kelvin).
    DTypeError
        Digital numbers are not uint16, radiances not floating, masks not bool.
    CRSError
        The CRS is missing, geographic or not in metres.
    GridError
        x, y are not regular, or the elevation lies on another grid.
    NodataError
        An elevation that is in memory has no valid value. A lazy one is not looked at: `open_stac`
        refuses an elevation model that does not cover the grid, and the retrieval flags pixels
        without elevation.
    """
    if not isinstance(ds, xr.Dataset):
        raise InputError(
            f"found a {type(ds).__name__}, expected the cube, an xarray.Dataset with the variable "
            "'tir'; make one with aktes_xr.open_stac, or with array.to_dataset(name='tir')"
        )
    if "tir" not in ds.data_vars:
        raise MissingVariableError(
            f"the dataset has no variable 'tir' (found: {_names(ds.data_vars)}); "
            "name the thermal bands 'tir' with dimensions (time, band, y, x)"
        )
    _check_dims("tir", ds["tir"], (DIMS,))
    _check_bands(ds)
    tir_units = _check_tir_units(ds["tir"])
    crs = check_crs(ds)
    cell_size = (check_axis(ds, "y"), check_axis(ds, "x"))
    _check_time(ds)
    if "elevation" in ds.data_vars:
        _check_elevation(ds["elevation"], crs)
    for name, field in (VARIABLES | COORDINATES).items():
        if name in ds.variables:
            _check_field(name, ds[name], field)
    _check_sun(ds)
    missing = sorted(set(require) - {str(name) for name in ds.variables})
    if missing:
        raise MissingVariableError(
            f"the cube lacks {', '.join(missing)}, which this work needs "
            f"(found: {_names(ds.variables)}); add it as the contract in aktes_xr.cube describes"
        )
    present = {str(name) for name in ds.variables}
    return CubeInfo(
        tir_units=tir_units,
        crs=crs.to_string(),
        shape=(ds.sizes["time"], ds.sizes["y"], ds.sizes["x"]),
        cell_size_m=cell_size,
        has_elevation="elevation" in ds.data_vars,
        ancillaries=frozenset(ANCILLARIES & present),
        coordinates=frozenset(COORDINATES.keys() & present),
    )


def elevation_of(ds: xr.Dataset) -> xr.DataArray:
    """Return a cube's elevation.

    Parameters
    ----------
    ds : Dataset
        A cube.

    Returns
    -------
    DataArray (y, x), m

    Raises
    ------
    MissingVariableError
        It has none.
    """
    if "elevation" not in ds:
        raise MissingVariableError(
            f"the dataset has no 'elevation' (found: {_names(ds.data_vars)}); open the cube with "
            "dem=, or assign one with dimensions (y, x), m"
        )
    return ds["elevation"]


def _names(names: Collection[Hashable]) -> str:
    return ", ".join(sorted(str(name) for name in names)) or "none"


def _in_memory(array: xr.DataArray) -> bool:
    # `Variable.data` would load an array that is lazily indexed from a file.
    return isinstance(array.variable._data, np.ndarray)


def _check_dims(name: str, array: xr.DataArray, allowed: tuple[tuple[str, ...], ...]) -> None:
    if array.dims not in allowed:
        expected = " or ".join(f"({', '.join(dims)})" for dims in allowed)
        raise DimensionError(
            f"{name!r} has dimensions ({', '.join(map(str, array.dims))}), expected {expected}; "
            "rename or transpose it"
        )


def _check_bands(ds: xr.Dataset) -> None:
    if "band" not in ds.indexes:
        raise BandError(
            f"the dimension 'band' ({ds.sizes['band']} long) has no coordinate: expected "
            f"{', '.join(BANDS)}; say which band is which with ds.assign_coords(band=[...])"
        )
    found = [str(label) for label in ds.indexes["band"]]
    expected = list(BANDS)
    missing = [band for band in expected if band not in found]
    if missing:
        raise BandError(
            f"band(s) {', '.join(missing)} missing: found {', '.join(found)}; all five thermal "
            "bands are needed"
        )
    if len(found) != len(expected):
        raise BandError(
            f"found bands {', '.join(found)}: expected exactly {', '.join(expected)}; "
            "select them with ds.sel(band=[...])"
        )
    if found != expected:
        raise BandError(
            f"bands are in the order {', '.join(found)}: expected {', '.join(expected)}; "
            "reorder with ds.sel(band=[...])"
        )


def _spelled(units: Any, canonical: str) -> bool:
    return str(units).strip() in SPELLINGS[canonical]


def _check_tir_units(tir: xr.DataArray) -> Literal["DN", "radiance"]:
    units = tir.attrs.get("units")
    if units is None:
        raise UnitsError(
            f"'tir' ({tir.dtype}) has no units: expected {DN_UNITS!r} or {RADIANCE_UNITS!r}; "
            "set ds['tir'].attrs['units']"
        )
    if _spelled(units, DN_UNITS):
        if tir.dtype != np.uint16:
            raise DTypeError(
                f"'tir' holds digital numbers as {tir.dtype}, expected uint16; load them without "
                "scaling or masking (mask_and_scale=False)"
            )
        return "DN"
    if _spelled(units, RADIANCE_UNITS):
        if tir.dtype.kind != "f":
            raise DTypeError(
                f"'tir' in {RADIANCE_UNITS} is {tir.dtype}, expected float32 or float64; if these "
                "are digital numbers set units = 'DN'"
            )
        return "radiance"
    raise UnitsError(
        f"'tir' is in {units!r}: expected {DN_UNITS!r} or {RADIANCE_UNITS!r}; convert it "
        "(brightness temperatures: aktes_xr.sensor.brightness_temperature_to_radiance)"
    )


def _check_time(ds: xr.Dataset) -> None:
    if "time" not in ds.indexes:
        raise MissingVariableError(
            "the dimension 'time' has no coordinate: expected acquisition times; set it with "
            "ds.assign_coords(time=...)"
        )
    if ds["time"].dtype.kind != "M":
        raise DTypeError(f"'time' is {ds['time'].dtype}, expected datetime64 (UTC); decode it")


def _check_elevation(elevation: xr.DataArray, crs: Any) -> None:
    if elevation.ndim == 2 and elevation.dims != ("y", "x"):
        sizes = " x ".join(f"{dim}: {size}" for dim, size in elevation.sizes.items())
        raise GridError(
            f"'elevation' lies on another grid ({sizes}): expected the cube's (y, x); average it "
            "to the cube with aktes_xr.terrain.aggregate_elevation"
        )
    own = elevation.rio.crs
    if own is not None and own != crs:
        raise GridError(
            f"'elevation' is in {own.to_string()}, the cube in {crs.to_string()}; average it to "
            "the cube with aktes_xr.terrain.aggregate_elevation"
        )
    if elevation.size and _in_memory(elevation) and elevation.dtype.kind == "f":
        if not np.isfinite(elevation.variable.data).any():
            raise NodataError(
                "'elevation' is nodata everywhere: expected metres; a model on other coordinates "
                "becomes NaN when it is assigned to a dataset, so average it to the cube with "
                "aktes_xr.terrain.aggregate_elevation first"
            )


def _check_field(name: str, array: xr.DataArray, field: Field) -> None:
    _check_dims(name, array, field.dims)
    kinds = {"float": "f", "bool": "b", "time": "M", "text": "UOT"}
    if array.dtype.kind not in kinds[field.kind]:
        raise DTypeError(
            f"{name!r} is {array.dtype}, expected {field.kind}; convert it (integers that carry a "
            "scale factor: decode them first)"
        )
    if field.units is None:
        return
    units = array.attrs.get("units")
    if units is None:
        raise UnitsError(
            f"{name!r} has no units: expected {field.units!r}; set ds[{name!r}].attrs['units']"
        )
    if not _spelled(units, field.units):
        remedy = REMEDIES.get((field.units, str(units).strip()), "convert it")
        raise UnitsError(f"{name!r} is in {units!r}: expected {field.units!r}; {remedy}")
    if array.size and _in_memory(array):
        _check_range(name, array.variable.data, field)


def _check_range(name: str, values: npt.NDArray[Any], field: Field) -> None:
    if values.dtype.kind == "f" and np.isinf(values).any():
        raise InputError(
            f"{name!r} holds infinite values: expected {field.units}, and NaN where nothing is "
            "known; check how it was computed"
        )
    finite = values[np.isfinite(values)]
    if finite.size == 0:
        return
    low, high = float(finite.min()), float(finite.max())
    if low < field.low or high > field.high:
        raise UnitsError(
            f"{name!r} runs from {low:.6g} to {high:.6g} although its units say {field.units!r}: "
            f"expected {field.low:g} to {field.high:g}; check its units, scale factor and nodata"
        )


def _check_sun(ds: xr.Dataset) -> None:
    """Refuse radians: from its 10:30 orbit the sensor never sees the sun within pi degrees."""
    if "sun_zenith" not in ds.variables or not _in_memory(ds["sun_zenith"]):
        return
    values = ds["sun_zenith"].variable.data
    finite = values[np.isfinite(values)]
    if finite.size and finite.max() <= math.pi:
        raise UnitsError(
            f"'sun_zenith' is at most {finite.max():.4g}: these look like radians, expected "
            "degrees; convert all three angles with numpy.degrees"
        )
