"""The input cube: names, dimensions and units, and `check`, which refuses what breaks them.

The contract is data (`VARIABLES`, `COORDINATES`); `check` reads it before any graph is built and
looks at metadata only. Values are looked at where they are in memory already (an elevation that is
nodata everywhere, angles in radians, a temperature in degrees Celsius); what is lazy stays lazy.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import rioxarray  # noqa: F401  registers `.rio`
import xarray as xr

from aktes_xr.errors import (
    BandError,
    CRSError,
    DimensionError,
    DTypeError,
    GridError,
    MissingVariableError,
    NodataError,
    UnitsError,
)
from aktes_xr.sensor import BANDS

DIMS = ("time", "band", "y", "x")
DN_UNITS = "DN"
RADIANCE_UNITS = "W m-2 sr-1 um-1"
GRID_MAPPING = "spatial_ref"

_SPELLINGS = {
    "DN": ("DN", "dn", "digital_number", "count", "counts"),
    RADIANCE_UNITS: (
        RADIANCE_UNITS,
        "W/m2/sr/um",
        "W/(m2 sr um)",
        "W m**-2 sr**-1 um**-1",
        "W m^-2 sr^-1 um^-1",
        "W m-2 sr-1 micron-1",
        "W m-2 sr-1 \N{MICRO SIGN}m-1",
    ),
    "m": ("m", "metre", "metres", "meter", "meters"),
    "kg m-2": ("kg m-2", "kg m**-2", "kg m^-2", "kg/m2", "kg/m^2", "kg/m**2"),
    "K": ("K", "kelvin", "Kelvin", "degK"),
    "degree": ("degree", "degrees", "deg", "degree_angle", "arc_degree"),
    "1": ("1", "", "dimensionless"),
}
_REMEDIES = {
    ("kg m-2", "mm"): "a millimetre of liquid water is 1 kg m-2: set attrs['units'] = 'kg m-2'",
    ("kg m-2", "cm"): "multiply by 10 and set attrs['units'] = 'kg m-2'",
    ("kg m-2", "g cm-2"): "multiply by 10 and set attrs['units'] = 'kg m-2'",
    ("kg m-2", "g/cm2"): "multiply by 10 and set attrs['units'] = 'kg m-2'",
    ("kg m-2", "g cm**-2"): "multiply by 10 and set attrs['units'] = 'kg m-2'",
    ("K", "degC"): "add 273.15 and set attrs['units'] = 'K'",
    ("K", "celsius"): "add 273.15 and set attrs['units'] = 'K'",
    ("K", "Celsius"): "add 273.15 and set attrs['units'] = 'K'",
    ("K", "C"): "add 273.15 and set attrs['units'] = 'K'",
    ("degree", "rad"): "convert with numpy.degrees and set attrs['units'] = 'degree'",
    ("degree", "radian"): "convert with numpy.degrees and set attrs['units'] = 'degree'",
    ("degree", "radians"): "convert with numpy.degrees and set attrs['units'] = 'degree'",
    ("m", "ft"): "multiply by 0.3048 and set attrs['units'] = 'm'",
    ("m", "feet"): "multiply by 0.3048 and set attrs['units'] = 'm'",
    ("m", "km"): "multiply by 1000 and set attrs['units'] = 'm'",
}


@dataclass(frozen=True, slots=True)
class Field:
    """What the contract says of one variable or coordinate.

    ``low`` and ``high`` bound what is plausible: outside them the values are in other units than
    the attribute says.
    """

    dims: tuple[tuple[str, ...], ...]
    units: str | None
    long_name: str
    standard_name: str | None = None
    kind: Literal["float", "bool", "time", "text"] = "float"
    low: float = -math.inf
    high: float = math.inf


_TIME, _IMAGE, _SCENE = ("time",), ("y", "x"), ("time", "y", "x")

VARIABLES: dict[str, Field] = {
    "elevation": Field(
        (_IMAGE,), "m", "surface elevation", "surface_altitude", low=-1000.0, high=10_000.0
    ),
    "water_vapor": Field(
        (_TIME, _SCENE),
        "kg m-2",
        "column water vapour",
        "atmosphere_mass_content_of_water_vapor",
        low=0.0,
        high=150.0,
    ),
    "water_vapor_error": Field(
        ((), _TIME, _SCENE), "kg m-2", "standard error of column water vapour", low=0.0, high=100.0
    ),
    "air_temperature": Field(
        (_TIME, _SCENE), "K", "near-surface air temperature", "air_temperature", low=150.0, high=350
    ),
    "air_temperature_error": Field(
        ((), _TIME, _SCENE), "K", "standard error of air temperature", low=0.0, high=50.0
    ),
    "emissivity_prior": Field(
        (("band", "y", "x"),), "1", "prior surface emissivity", low=0.0, high=1.0
    ),
    "emissivity_prior_uncertainty": Field(
        (("band", "y", "x"),), "1", "standard uncertainty of the prior emissivity", low=0.0, high=1
    ),
    "cloud": Field((_SCENE,), None, "cloud mask", kind="bool"),
    "water": Field((_SCENE,), None, "water mask", kind="bool"),
}
ANCILLARIES = frozenset(VARIABLES) - {"elevation"}

COORDINATES: dict[str, Field] = {
    "view_zenith": Field(
        (_TIME,),
        "degree",
        "view zenith angle at the surface",
        "sensor_zenith_angle",
        low=0,
        high=20,
    ),
    "sun_zenith": Field(
        (_TIME,), "degree", "solar zenith angle", "solar_zenith_angle", low=0.0, high=180.0
    ),
    "sun_azimuth": Field(
        (_TIME,),
        "degree",
        "solar azimuth angle, clockwise from north",
        "solar_azimuth_angle",
        low=-180.0,
        high=360.0,
    ),
    "platform_time": Field((_TIME,), None, "acquisition time (UTC)", kind="time"),
    "processing_time": Field((_TIME,), None, "when the granule was processed (UTC)", kind="time"),
    "item_id": Field((_TIME,), None, "identifier of the STAC item", kind="text"),
    "processing_version": Field((_TIME,), None, "processing version of the granule", kind="text"),
}


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
    if "tir" not in ds.data_vars:
        raise MissingVariableError(
            f"the dataset has no variable 'tir' (found: {_names(ds.data_vars)}); "
            "name the thermal bands 'tir' with dimensions (time, band, y, x)"
        )
    _check_dims("tir", ds["tir"], (DIMS,))
    _check_bands(ds)
    tir_units = _check_tir_units(ds["tir"])
    crs = _check_crs(ds)
    cell_size = (_check_axis(ds, "y"), _check_axis(ds, "x"))
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


def check_grid(field: xr.DataArray, like: xr.Dataset | xr.DataArray, *, name: str) -> None:
    """Refuse a field that does not lie on the same pixels as ``like``.

    Parameters
    ----------
    field : DataArray with y, x
    like : Dataset or DataArray whose grid is expected
    name : what the message calls the field

    Raises
    ------
    GridError
        Its shape, coordinates (beyond a thousandth of a pixel) or CRS differ.
    """
    for axis in ("y", "x"):
        if axis not in field.indexes or axis not in like.indexes:
            raise GridError(
                f"{name} has dimensions {tuple(field.sizes)}: expected the coordinates y and x of "
                "the cube; put it on the cube's grid first (terrain.aggregate_elevation for a DEM)"
            )
        found, expected = field.indexes[axis], like.indexes[axis]
        if len(found) != len(expected):
            raise GridError(
                f"{name} has {len(found)} pixels along {axis}, the cube {len(expected)}; "
                "put it on the cube's grid first (terrain.aggregate_elevation for a DEM)"
            )
        if len(found) == 0:
            continue
        step = abs(float(expected[1] - expected[0])) if len(expected) > 1 else 1.0
        offset = float(np.abs(np.asarray(found) - np.asarray(expected)).max())
        if offset > 1e-3 * step:
            raise GridError(
                f"{name} is off the cube's {axis} coordinates by up to {offset:.6g} "
                f"({offset / step:.3g} pixels); put it on the cube's grid first"
            )
    crs, expected_crs = field.rio.crs, like.rio.crs
    if crs is not None and expected_crs is not None and crs != expected_crs:
        raise GridError(
            f"{name} is in {crs.to_string()}, the cube in {expected_crs.to_string()}; "
            "reproject it to the cube's grid first"
        )


def new_cube(
    tir: Any,
    *,
    time: Sequence[Any] | npt.NDArray[Any],
    y: npt.NDArray[np.float64],
    x: npt.NDArray[np.float64],
    crs: Any,
    units: str = DN_UNITS,
    coordinates: Mapping[str, Any] | None = None,
) -> xr.Dataset:
    """Build a cube with the contract's names, coordinates and attributes.

    Parameters
    ----------
    tir : array (time, band, y, x), NumPy or Dask; uint16 DN or float radiance
    time : datetime64 (time,), UTC
    y, x : float64, m, pixel centres
    crs : anything rioxarray takes for a projected CRS
    units : ``"DN"`` or ``"W m-2 sr-1 um-1"``
    coordinates : per-time values by name (see `COORDINATES`)

    Returns
    -------
    Dataset
    """
    coords: dict[str, Any] = {
        "time": np.asarray(time, dtype="datetime64[ns]"),
        "band": list(BANDS),
        "y": ("y", y, {"units": "m", "standard_name": "projection_y_coordinate", "axis": "Y"}),
        "x": ("x", x, {"units": "m", "standard_name": "projection_x_coordinate", "axis": "X"}),
    }
    for name, values in (coordinates or {}).items():
        coords[name] = ("time", np.asarray(values))
    ds = xr.Dataset({"tir": (DIMS, tir)}, coords=coords)
    ds["tir"].attrs = {"long_name": "ASTER thermal infrared bands", "units": units}
    return describe(ds.rio.write_crs(crs, grid_mapping_name=GRID_MAPPING))


def describe(ds: xr.Dataset) -> xr.Dataset:
    """Return a copy whose known variables carry the contract's attributes and grid mapping."""
    ds = ds.copy()
    for name, field in (VARIABLES | COORDINATES).items():
        if name not in ds.variables:
            continue
        attrs = {"long_name": field.long_name}
        if field.standard_name is not None:
            attrs["standard_name"] = field.standard_name
        if field.units is not None:
            attrs["units"] = field.units
        ds[name].attrs = attrs
    for variable in ds.data_vars.values():
        if {"y", "x"} <= set(variable.dims):
            variable.encoding["grid_mapping"] = GRID_MAPPING
    return ds


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
    return str(units).strip() in _SPELLINGS[canonical]


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


def _check_crs(ds: xr.Dataset) -> Any:
    crs = ds.rio.crs
    if crs is None:
        raise CRSError(
            "the cube has no coordinate reference system: expected a projected one in metres; "
            "set it with ds.rio.write_crs(...), and open Zarr stores with decode_coords='all'"
        )
    if crs.is_geographic:
        raise CRSError(
            f"the cube is in {crs.to_string()}, which is geographic: expected a projected system "
            "in metres; load with crs=<UTM zone> or ds.rio.reproject(ds.rio.estimate_utm_crs())"
        )
    unit, factor = crs.linear_units_factor
    if not crs.is_projected or not math.isclose(factor, 1.0):
        raise CRSError(
            f"the cube's coordinate reference system is in {unit!r}: expected metres; reproject "
            "it to a UTM zone"
        )
    return crs


def _check_axis(ds: xr.Dataset, axis: str) -> float:
    if axis not in ds.indexes:
        raise MissingVariableError(
            f"the dimension {axis!r} has no coordinate: expected pixel centres in metres; "
            f"set it with ds.assign_coords({axis}=...)"
        )
    values = np.asarray(ds.indexes[axis], dtype=np.float64)
    if not np.isfinite(values).all():
        raise GridError(f"the coordinate {axis!r} holds NaN or infinity; expected metres")
    units = str(ds[axis].attrs.get("units", "m"))
    if units.startswith("degree"):
        raise UnitsError(
            f"the coordinate {axis!r} is in {units!r}: expected metres in the cube's projected "
            "system; reproject the cube instead of renaming its CRS"
        )
    if values.size < 2:
        return math.nan
    steps = np.diff(values)
    step = float(steps.mean())
    if abs(step) < 1.0:
        hint = "these look like degrees" if np.abs(values).max() <= 360.0 else "another unit?"
        raise UnitsError(
            f"the coordinate {axis!r} runs from {values[0]:.6g} to {values[-1]:.6g} in steps of "
            f"{abs(step):.3g}: expected metres ({hint}); reproject the cube to its CRS"
        )
    if np.abs(steps - step).max() > 1e-3 * abs(step):
        raise GridError(
            f"the coordinate {axis!r} is not evenly spaced (steps {abs(steps).min():.6g} to "
            f"{abs(steps).max():.6g} m); resample the cube to a regular grid"
        )
    return abs(step)


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
        remedy = _REMEDIES.get((field.units, str(units).strip()), "convert it")
        raise UnitsError(f"{name!r} is in {units!r}: expected {field.units!r}; {remedy}")
    if array.size and _in_memory(array):
        _check_range(name, array.variable.data, field)


def _check_range(name: str, values: npt.NDArray[Any], field: Field) -> None:
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
