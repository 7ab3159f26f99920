"""The contract of the cube as data: what each variable and coordinate is called, has and means."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import rioxarray  # noqa: F401  registers `.rio`
import xarray as xr

from aktes_xr.sensor import BANDS
from aktes_xr.sensor import RADIANCE_UNITS as RADIANCE_UNITS

DIMS = ("time", "band", "y", "x")
DN_UNITS = "DN"
GRID_MAPPING = "spatial_ref"
ITEM_SEPARATOR = "+"
"""Between the identifiers in ``item_id`` where several items make one date."""
CHUNK_STEP = 256
"""Pixels: a side of the chunks that a shard of a result's store holds, and of which a cube's chunks
are best a multiple."""
NEIGHBOURHOOD_REACH = 5
NEIGHBOURHOOD_PIXELS = 2 * NEIGHBOURHOOD_REACH + 1
"""Side of the square around a pixel that is its neighbourhood, about a kilometre, and how far it
reaches: what a retrieval sees and what a simulation shows are the same."""

SPELLINGS = {
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
    "hPa": ("hPa", "mbar", "millibar", "mb"),
    "degree": ("degree", "degrees", "deg", "degree_angle", "arc_degree"),
    "1": ("1", "", "dimensionless"),
}
REMEDIES = {
    ("kg m-2", "mm"): "a millimetre of liquid water is 1 kg m-2: set attrs['units'] = 'kg m-2'",
    ("kg m-2", "cm"): "multiply by 10 and set attrs['units'] = 'kg m-2'",
    ("kg m-2", "g cm-2"): "multiply by 10 and set attrs['units'] = 'kg m-2'",
    ("kg m-2", "g/cm2"): "multiply by 10 and set attrs['units'] = 'kg m-2'",
    ("kg m-2", "g cm**-2"): "multiply by 10 and set attrs['units'] = 'kg m-2'",
    ("K", "degC"): "add 273.15 and set attrs['units'] = 'K'",
    ("K", "celsius"): "add 273.15 and set attrs['units'] = 'K'",
    ("K", "Celsius"): "add 273.15 and set attrs['units'] = 'K'",
    ("K", "C"): "add 273.15 and set attrs['units'] = 'K'",
    ("hPa", "Pa"): "divide by 100 and set attrs['units'] = 'hPa'",
    ("hPa", "kPa"): "multiply by 10 and set attrs['units'] = 'hPa'",
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
_SPECTRUM = ("band", "y", "x")
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
    "surface_pressure": Field(
        (_TIME, _SCENE), "hPa", "surface pressure", "surface_air_pressure", low=300.0, high=1100.0
    ),
    "surface_pressure_error": Field(
        ((), _TIME, _SCENE), "hPa", "standard error of surface pressure", low=0.0, high=100.0
    ),
    "skin_temperature": Field(
        (_TIME, _SCENE),
        "K",
        "skin temperature of a reanalysis",
        "surface_temperature",
        low=150.0,
        high=400.0,
    ),
    "skin_temperature_error": Field(
        ((), _TIME, _SCENE), "K", "standard error of skin temperature", low=0.0, high=50.0
    ),
    "background": Field(
        (_IMAGE, _SPECTRUM, _SCENE),
        "K",
        "usual clear-sky brightness temperature of the pixel",
        low=120.0,
        high=400.0,
    ),
    "ancillary_elevation": Field(
        ((), _IMAGE),
        "m",
        "elevation that water vapour and air temperature hold for",
        low=-1000.0,
        high=10_000.0,
    ),
    "emissivity_prior": Field(
        (_SPECTRUM, DIMS), "1", "prior surface emissivity", low=0.0, high=1.0
    ),
    "emissivity_prior_uncertainty": Field(
        (_SPECTRUM, DIMS), "1", "standard uncertainty of the prior emissivity", low=0.0, high=1
    ),
    "cloud": Field((_SCENE,), None, "cloud mask", kind="bool"),
    "interpolated": Field(
        (_SCENE,), None, "where the measurement was filled in from around it", kind="bool"
    ),
    "water": Field((_SCENE,), None, "water mask", kind="bool"),
}
DEFAULT_WATER_VAPOR_ERROR = 0.10
DEFAULT_AIR_TEMPERATURE_ERROR_K = 2.0
DEFAULT_SKIN_TEMPERATURE_ERROR_K = 3.0
DEFAULT_EMISSIVITY_ERROR = 0.015
"""What an ancillary is taken to err by where it comes without its error: relative, K, K, and 1."""

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
    """Return a copy whose known variables carry the contract's attributes and grid mapping.

    Parameters
    ----------
    ds : Dataset
        Variables of any names; unknown ones keep their attributes.

    Returns
    -------
    Dataset
        The arrays are shared with ``ds``.
    """
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
