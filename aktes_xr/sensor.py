"""ASTER thermal-infrared facts: bands, spectral response, DN -> radiance -> brightness temperature.

Radiance is ``(DN - 1) * UNIT_CONVERSION`` (ASTER Level-1T product guide). Brightness temperature is
the inverse of the response-weighted Planck function

    B_i(T) = int R_i(l) B(l, T) dl / int R_i(l) dl          [W m-2 sr-1 um-1]

through one table, linear between nodes 0.1 K apart. The same nodes serve both ways, so a round
trip is exact to rounding; the interpolation itself is off by less than 2e-4 K. The table and the
response it comes from (USGS/NASA ASTER relative spectral response, averaged over 1 cm-1) are
shipped; the command
``python -m aktes_xr.tables.build`` rebuilds them.

Every converter takes an array with the five bands on its last axis (or any array of one band, named
by ``band=``) and returns an array, or a DataArray with a dimension ``band`` and returns a
DataArray, lazily where the input is lazy. float32 and float64 are kept; digital numbers become
float32.
"""

from __future__ import annotations

import functools
import importlib.resources
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol, cast, overload

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from aktes_xr.errors import BandError, CalibrationError, InputError, ShapeError

BANDS: Final = ("B10", "B11", "B12", "B13", "B14")
PIXEL_M: Final = 90.0
FILL_DN: Final = 0
ZERO_RADIANCE_DN: Final = 1
SATURATION_DN: Final = 4095
UNREADABLE_DN: Final = 65535
"""Digital number that a loader writes in place of the pixels of a file that it could not read."""
NEDT_SPECIFICATION_K: Final = 0.3
"""Noise-equivalent temperature difference at 300 K that the instrument was built to."""
TEMPERATURE_RANGE_K: Final = (120.0, 400.0)
"""Where the Planck table holds; DN 2 is 124-137 K and DN 4095 about 370 K."""

UNIT_CONVERSION: Final[NDArray[np.float64]] = np.array(
    [6.882e-3, 6.780e-3, 6.590e-3, 5.693e-3, 5.225e-3]
)
"""W m-2 sr-1 um-1 per DN. 4094 of them are the product guide's maximum radiances."""
WAVELENGTH_UM: Final[NDArray[np.float64]] = np.array([8.2815, 8.6330, 9.0792, 10.6621, 11.2929])
"""Centroids of the spectral response."""
UNIT_CONVERSION.flags.writeable = False
WAVELENGTH_UM.flags.writeable = False

RADIANCE_UNITS: Final = "W m-2 sr-1 um-1"
_MISPRINTED_B10: Final = 6.822e-3
# These attributes describe the stored numbers. They do not hold for what is computed from them.
_STORAGE_ATTRIBUTES: Final = frozenset(
    {"_FillValue", "missing_value", "scale_factor", "add_offset", "valid_range", "valid_min"}
    | {"valid_max", "standard_name", "nodata"}
)


class _Converter(Protocol):
    """What every converter is to a type checker: a DataArray gives a DataArray, else an ndarray."""

    @overload
    def __call__(self, values: xr.DataArray, /, *, band: str | None = None) -> xr.DataArray: ...
    @overload
    def __call__(self, values: ArrayLike, /, *, band: str | None = None) -> NDArray[Any]: ...


def _converter(function: Callable[..., Any]) -> _Converter:
    """Give a function the types of a converter; it stays what it is."""
    return cast("_Converter", function)


@dataclass(frozen=True, eq=False)
class PlanckTable:
    """Response-weighted Planck radiance at evenly spaced temperatures.

    Attributes
    ----------
    temperature : ndarray (n,), float64, K
        Increasing, ``step`` apart.
    radiance : ndarray (5, n), float64, W m-2 sr-1 um-1
        Rows in the order of ``BANDS``, each increasing.
    """

    temperature: NDArray[np.float64]
    radiance: NDArray[np.float64]

    @property
    def step(self) -> float:
        """Distance between two nodes, K."""
        return float(self.temperature[1] - self.temperature[0])


@functools.cache
def _shipped() -> dict[str, NDArray[np.float64]]:
    resource = importlib.resources.files("aktes_xr") / "data" / "aster_tir.npz"
    with importlib.resources.as_file(resource) as path, np.load(path) as archive:
        arrays = {name: archive[name] for name in archive.files if archive[name].dtype.kind == "f"}
    for array in arrays.values():
        array.flags.writeable = False
    return arrays


@functools.cache
def planck_table() -> PlanckTable:
    """Return the shipped table; its arrays are read-only and shared."""
    shipped = _shipped()
    return PlanckTable(shipped["temperature"], shipped["radiance"])


def spectral_response(band: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return a band's relative spectral response.

    Parameters
    ----------
    band : str
        One of ``BANDS``.

    Returns
    -------
    wavelength : ndarray (n,), float64, um
        Middles of bins of 1 cm-1, increasing.
    response : ndarray (n,), float64, 1
        Averaged over each bin; the published response peaks at one.

    Raises
    ------
    BandError
        If there is no such band.
    """
    _band_number(band)
    return _shipped()[f"wavelength_{band}"], _shipped()[f"response_{band}"]


def _band_number(band: str) -> int:
    if band in BANDS:
        return BANDS.index(band)
    raise BandError(f"found band {band!r}, expected one of {', '.join(BANDS)}")


def _as_float(values: NDArray[Any], *, integers: type[np.floating[Any]]) -> NDArray[Any]:
    if values.dtype in (np.float32, np.float64):
        return values
    if values.dtype.kind in "iub":
        return values.astype(integers)
    raise InputError(
        f"found an array of dtype {values.dtype}, expected float32, float64 or integers; convert it"
    )


def _per_band(
    values: NDArray[Any], index: NDArray[np.intp], kernel: Callable[..., NDArray[Any]]
) -> NDArray[Any]:
    """Apply ``kernel(values, band number)`` where ``index`` broadcasts against ``values``."""
    if index.size == 1:
        return kernel(values, int(index.flat[0]))
    axis = int(np.argmax(index.shape)) + values.ndim - index.ndim
    moved = np.moveaxis(values, axis, 0)
    parts = [kernel(part, int(number)) for part, number in zip(moved, index.flat, strict=True)]
    out = np.empty(values.shape, parts[0].dtype)
    np.stack(parts, out=np.moveaxis(out, axis, 0))
    return out


def _band_index(da: xr.DataArray, band: str | None) -> xr.DataArray:
    if band is not None:
        return xr.DataArray(_band_number(band))
    if "band" not in da.dims:
        raise BandError(
            f"found dimensions {tuple(da.dims)}, expected one named 'band'; pass band= for one band"
        )
    if "band" in da.coords:
        numbers = [_band_number(str(label)) for label in da["band"].to_numpy()]
    elif da.sizes["band"] == len(BANDS):
        numbers = list(range(len(BANDS)))
    else:
        raise BandError(
            f"found {da.sizes['band']} unlabelled bands, expected five or a coordinate 'band' with "
            f"labels of {', '.join(BANDS)}"
        )
    return xr.DataArray(np.array(numbers, dtype=np.intp), dims="band")


def _convert_lazy(
    da: xr.DataArray,
    kernel: Callable[..., NDArray[Any]],
    *,
    band: str | None,
    dtype: type[np.generic],
    attrs: Mapping[str, str],
) -> xr.DataArray:
    kept = {key: value for key, value in da.attrs.items() if key not in _STORAGE_ATTRIBUTES}
    out: xr.DataArray = xr.apply_ufunc(
        _per_band,
        da,
        _band_index(da, band),
        kwargs={"kernel": kernel},
        dask="parallelized",
        output_dtypes=[dtype],
        join="override",
        keep_attrs="override",
    )
    out = out.transpose(*da.dims)
    out.attrs = {**kept, **attrs}
    out.name = da.name
    if "grid_mapping" in da.encoding:
        out.encoding["grid_mapping"] = da.encoding["grid_mapping"]
    return out


def _convert(
    values: Any,
    kernel: Callable[..., NDArray[Any]],
    *,
    band: str | None,
    dtype: Callable[[np.dtype[Any]], type[np.generic]],
    attrs: Mapping[str, str],
) -> Any:
    if isinstance(values, xr.DataArray):
        return _convert_lazy(values, kernel, band=band, dtype=dtype(values.dtype), attrs=attrs)
    array = np.asarray(values)
    if band is not None:
        return kernel(array, _band_number(band))
    if array.ndim == 0 or array.shape[-1] != len(BANDS):
        raise ShapeError(
            f"found shape {array.shape}, expected the five bands on the last axis; "
            "pass band= for an array of one band"
        )
    return _per_band(array, np.arange(len(BANDS)), kernel)


def _float_dtype(dtype: np.dtype[Any], integers: type[np.generic]) -> type[np.generic]:
    return dtype.type if dtype in (np.float32, np.float64) else integers


def _radiance_kernel(dn: NDArray[Any], number: int) -> NDArray[Any]:
    values = _as_float(dn, integers=np.float32)
    scale = values.dtype.type(UNIT_CONVERSION[number])
    missing = (dn == FILL_DN) | (dn == UNREADABLE_DN)
    out: NDArray[Any] = np.where(missing, values.dtype.type(np.nan), (values - 1) * scale)
    return out


def _dn_kernel(radiance: NDArray[Any], number: int) -> NDArray[np.uint16]:
    values = np.asarray(radiance, dtype=np.float64)
    missing = np.isnan(values)
    dn = np.rint(np.where(missing, 0.0, values) / UNIT_CONVERSION[number]) + ZERO_RADIANCE_DN
    dn = np.clip(dn, ZERO_RADIANCE_DN, SATURATION_DN)
    out: NDArray[np.uint16] = np.where(missing, FILL_DN, dn).astype(np.uint16)
    return out


def _temperature_kernel(radiance: NDArray[Any], number: int) -> NDArray[Any]:
    values = _as_float(radiance, integers=np.float64)
    table = planck_table()
    out = np.interp(values, table.radiance[number], table.temperature, left=np.nan, right=np.nan)
    return np.asarray(out, dtype=values.dtype)


def _planck_kernel(temperature: NDArray[Any], number: int) -> NDArray[Any]:
    values = _as_float(temperature, integers=np.float64)
    table = planck_table()
    out = np.interp(values, table.temperature, table.radiance[number], left=np.nan, right=np.nan)
    return np.asarray(out, dtype=values.dtype)


def _derivative_kernel(temperature: NDArray[Any], number: int) -> NDArray[Any]:
    values = _as_float(temperature, integers=np.float64)
    table = planck_table()
    middle = table.temperature[:-1] + table.step / 2
    slope = np.diff(table.radiance[number]) / table.step
    out = np.interp(values, middle, slope)
    inside = (values >= table.temperature[0]) & (values <= table.temperature[-1])
    return np.asarray(np.where(inside, out, np.nan), dtype=values.dtype)


def _dn_temperature_kernel(dn: NDArray[Any], number: int) -> NDArray[Any]:
    return _temperature_kernel(_radiance_kernel(dn, number), number)


_RADIANCE_ATTRS: Final = {"units": RADIANCE_UNITS, "long_name": "spectral radiance"}
_TEMPERATURE_ATTRS: Final = {"units": "K", "long_name": "brightness temperature"}


@_converter
def dn_to_radiance(dn: Any, *, band: str | None = None) -> Any:
    """Convert digital numbers to spectral radiance, ``(DN - 1) * UNIT_CONVERSION``.

    Parameters
    ----------
    dn : ndarray (..., 5) or DataArray (..., band, ...), uint16 or float, 1
        0 is fill. 4095 is saturated and keeps its formula value: see `is_saturated`.
    band : str, optional
        The one band the whole array is of.

    Returns
    -------
    ndarray or DataArray, float32 (float input: its dtype), W m-2 sr-1 um-1
        NaN where ``dn`` is fill or NaN.

    Raises
    ------
    ShapeError, BandError
        If the bands are not where they should be, or unknown.
    """
    return _convert(
        dn,
        _radiance_kernel,
        band=band,
        dtype=lambda dtype: _float_dtype(dtype, np.float32),
        attrs=_RADIANCE_ATTRS,
    )


@_converter
def radiance_to_dn(radiance: Any, *, band: str | None = None) -> Any:
    """Quantise spectral radiance as the instrument does.

    Parameters
    ----------
    radiance : ndarray (..., 5) or DataArray (..., band, ...), W m-2 sr-1 um-1
        NaN becomes fill.
    band : str, optional
        The one band the whole array is of.

    Returns
    -------
    ndarray or DataArray, uint16, 1
        Rounded and clipped to 1..4095; 0 where ``radiance`` is NaN.

    Raises
    ------
    ShapeError, BandError
        If the bands are not where they should be, or unknown.
    """
    return _convert(
        radiance,
        _dn_kernel,
        band=band,
        dtype=lambda _: np.uint16,
        attrs={"units": "DN", "long_name": "digital number"},
    )


@_converter
def radiance_to_brightness_temperature(radiance: Any, *, band: str | None = None) -> Any:
    """Invert the response-weighted Planck function.

    Parameters
    ----------
    radiance : ndarray (..., 5) or DataArray (..., band, ...), W m-2 sr-1 um-1
        Spectral radiance.
    band : str, optional
        The one band the whole array is of.

    Returns
    -------
    ndarray or DataArray, dtype of the input, K
        NaN for radiance that is not positive or lies outside ``TEMPERATURE_RANGE_K``.

    Raises
    ------
    ShapeError, BandError
        If the bands are not where they should be, or unknown.
    """
    return _convert(
        radiance,
        _temperature_kernel,
        band=band,
        dtype=lambda dtype: _float_dtype(dtype, np.float64),
        attrs=_TEMPERATURE_ATTRS,
    )


@_converter
def brightness_temperature_to_radiance(temperature: Any, *, band: str | None = None) -> Any:
    """Evaluate the response-weighted Planck function.

    Parameters
    ----------
    temperature : ndarray (..., 5) or DataArray (..., band, ...), K
        Brightness temperature, or any temperature of a black body.
    band : str, optional
        The one band the whole array is of.

    Returns
    -------
    ndarray or DataArray, dtype of the input, W m-2 sr-1 um-1
        NaN outside ``TEMPERATURE_RANGE_K``.

    Raises
    ------
    ShapeError, BandError
        If the bands are not where they should be, or unknown.
    """
    return _convert(
        temperature,
        _planck_kernel,
        band=band,
        dtype=lambda dtype: _float_dtype(dtype, np.float64),
        attrs=_RADIANCE_ATTRS,
    )


@_converter
def dn_to_brightness_temperature(dn: Any, *, band: str | None = None) -> Any:
    """Convert digital numbers to brightness temperature: both steps in one pass.

    Parameters
    ----------
    dn : ndarray (..., 5) or DataArray (..., band, ...), uint16 or float, 1
        0 is fill.
    band : str, optional
        The one band the whole array is of.

    Returns
    -------
    ndarray or DataArray, float32 (float input: its dtype), K
        NaN where ``dn`` is fill or NaN, and for DN 1, which is no radiance at all.

    Raises
    ------
    ShapeError, BandError
        If the bands are not where they should be, or unknown.
    """
    return _convert(
        dn,
        _dn_temperature_kernel,
        band=band,
        dtype=lambda dtype: _float_dtype(dtype, np.float32),
        attrs=_TEMPERATURE_ATTRS,
    )


@_converter
def radiance_derivative(temperature: Any, *, band: str | None = None) -> Any:
    """Evaluate the derivative of the response-weighted Planck function by temperature.

    Parameters
    ----------
    temperature : ndarray (..., 5) or DataArray (..., band, ...), K
        Temperature of the black body.
    band : str, optional
        The one band the whole array is of.

    Returns
    -------
    ndarray or DataArray, dtype of the input, W m-2 sr-1 um-1 K-1
        NaN outside ``TEMPERATURE_RANGE_K``.

    Raises
    ------
    ShapeError, BandError
        If the bands are not where they should be, or unknown.
    """
    return _convert(
        temperature,
        _derivative_kernel,
        band=band,
        dtype=lambda dtype: _float_dtype(dtype, np.float64),
        attrs={
            "units": "W m-2 sr-1 um-1 K-1",
            "long_name": "derivative of spectral radiance by temperature",
        },
    )


def noise_equivalent_radiance(nedt_k: Any, *, temperature: float = 300.0) -> Any:
    """Convert a noise-equivalent temperature difference to radiance, ``NEdT dB/dT``.

    Parameters
    ----------
    nedt_k : float, ndarray (..., 5) or DataArray with a dimension band, K
        Noise-equivalent temperature difference at ``temperature``.
    temperature : float, K
        The temperature at which ``nedt_k`` is stated. Radiometer noise is nearly independent of the
        signal in radiance, not in temperature.

    Returns
    -------
    ndarray (..., 5) or DataArray, float64, W m-2 sr-1 um-1
        Standard deviation of the noise in each band.
    """
    slope = _convert(
        np.full(len(BANDS), temperature),
        _derivative_kernel,
        band=None,
        dtype=lambda _: np.float64,
        attrs={},
    )
    if isinstance(nedt_k, xr.DataArray):
        return nedt_k * xr.DataArray(slope, dims="band", coords={"band": list(BANDS)})
    nedt = np.asarray(nedt_k, dtype=np.float64)
    return slope * nedt


def is_saturated(dn: Any) -> Any:
    """Tell which digital numbers stand at the end of the scale.

    Parameters
    ----------
    dn : ndarray or DataArray, uint16, 1
        Digital numbers of any band.

    Returns
    -------
    ndarray or DataArray, bool
        True where ``dn`` is 4095 or more, but not where a file was unreadable.
    """
    numbers = dn if isinstance(dn, xr.DataArray) else np.asarray(dn)
    return (numbers >= SATURATION_DN) & (numbers != UNREADABLE_DN)


def check_radiance_gain(gain: Mapping[str, float]) -> None:
    """Refuse radiance gains that are not the sensor's own.

    Parameters
    ----------
    gain : mapping of band name to W m-2 sr-1 um-1 per DN
        As a file's tags carry them; any subset of ``BANDS``.

    Raises
    ------
    CalibrationError
        If a gain differs from ``UNIT_CONVERSION`` by more than its last printed digit; among them
        the widespread misprint 6.822e-3 of B10, which costs 0.4-0.5 K.
    BandError
        If a band is unknown.
    """
    for band, found in gain.items():
        expected = float(UNIT_CONVERSION[_band_number(band)])
        if abs(found - expected) <= 0.5e-6:
            continue
        if band == "B10" and abs(found - _MISPRINTED_B10) <= 0.5e-6:
            raise CalibrationError(
                f"found the radiance gain {found:g} for B10, expected {expected:g} "
                f"{RADIANCE_UNITS}: 6.822e-3 is a widespread misprint (the product guide's maximum "
                "radiance 28.17 is 4094 x 6.882e-3) and makes B10 0.4-0.5 K too cold; correct the "
                "file's tag"
            )
        raise CalibrationError(
            f"found the radiance gain {found:g} for {band}, expected {expected:g} {RADIANCE_UNITS}"
            "; the file is not ASTER Level-1T thermal imagery as we know it, or its tag is wrong"
        )
