"""Atmosphere from ancillary data alone: a smooth fit to the shipped table.

With water column w, air temperature T_a, surface pressure p and secant s of the view angle,

    -ln t = P(w, p, T_a) s^a,   Lp = (1 - t) R(w, p, T_a) B(T_a),   Ls = D(w, p, T_a) B(T_a),

per band, P, R and D polynomials of degree three (P and D without terms of T_a alone) fitted by
least squares to the profiles of the training and validation splits with all their perturbations.
What the polynomials cannot know is how water and temperature are spread along the vertical;
`residuals` says what that costs.

The kernel, for use inside other numba kernels, is

    band_atmosphere_kernel(water, temperature, pressure_hpa, secant, emulator, out)

with ``emulator = load_emulator()`` and ``out`` (15,) float64: t, Lp and Ls of the five bands. NaN
in any argument gives NaN.
"""

from __future__ import annotations

import functools
import importlib.resources
import itertools
from typing import Any, Final, NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from aktes_xr.compilation import kernel
from aktes_xr.errors import InputError
from aktes_xr.radiative.atmosphere import slants_of
from aktes_xr.radiative.planck import band_radiance
from aktes_xr.radiative.profiles import saturation_vapor_pressure
from aktes_xr.sensor import BANDS, RADIANCE_UNITS, planck_table

DEGREE: Final = 3
POWERS: Final[NDArray[np.int64]] = np.array(
    [p for p in itertools.product(range(DEGREE + 1), repeat=3) if sum(p) <= DEGREE]
)
"""Exponents of the scaled water, pressure and temperature in each term."""
_TERMS: Final = len(POWERS)
# Without water, opacity and sky depend on pressure alone: hot and dry air, which no profile shows,
# then is not extrapolated to.
_BY_WATER: Final = (POWERS[:, 0] > 0) | (POWERS[:, 2] == 0)
# A column cannot hold much more water than its surface's saturation over a scale height; beyond,
# the polynomials would extrapolate.
SCALE_HEIGHT_M: Final = 2300.0
"""Of water vapour, m."""
VAPOR_GAS_CONSTANT: Final = 461.5
"""Of water vapour, J kg-1 K-1."""
SOFTNESS: Final = 0.01
"""Over how much optical depth the polynomial bends into that of a dry column."""
WATER_LIMITS: Final = (0.0, 85.0)
"""Water columns, kg m-2, that the polynomials are asked for; others are held to these."""
TEMPERATURE_LIMITS: Final = (215.0, 320.0)
"""Air temperatures, K, likewise."""
PRESSURE_LIMITS: Final = (450.0, 1060.0)
"""Surface pressures, hPa, likewise."""


class Emulator(NamedTuple):
    """Coefficients of the fit, and the Planck table it refers to.

    Attributes
    ----------
    coefficients : ndarray (3, 5, term), float64
        Of P, R and D; terms as in ``POWERS``.
    exponent : ndarray (5,), float64
        Of the secant.
    least : ndarray (5,), float64
        The least optical depth of any profile that was fitted: a dry column's.
    planck : ndarray (5, node), float64, W m-2 sr-1 um-1
    first_k, step_k : float, K
        Of the Planck table.
    """

    coefficients: NDArray[np.float64]
    exponent: NDArray[np.float64]
    least: NDArray[np.float64]
    planck: NDArray[np.float64]
    first_k: float
    step_k: float


@functools.cache
def load_emulator() -> Emulator:
    """Return the shipped fit; its arrays are shared."""
    resource = importlib.resources.files("aktes_xr") / "data" / "atmosphere_emulator.npz"
    with importlib.resources.as_file(resource) as path, np.load(path) as archive:
        parts = [archive[name] for name in ("coefficients", "exponent", "least")]
    return _with_planck(*parts)


def _with_planck(
    coefficients: NDArray[np.float64], exponent: NDArray[np.float64], least: NDArray[np.float64]
) -> Emulator:
    table = planck_table()
    first = float(table.temperature[0])
    return Emulator(coefficients, exponent, least, table.radiance, first, table.step)


@kernel()
def _scaled(water: float, pressure: float, temperature: float) -> tuple[float, float, float]:
    held = min(max(temperature, TEMPERATURE_LIMITS[0]), TEMPERATURE_LIMITS[1])
    density = saturation_vapor_pressure(held) / (VAPOR_GAS_CONSTANT * held)
    most = min(WATER_LIMITS[1], 4.0 + 2.0 * density * SCALE_HEIGHT_M)
    column = min(max(water, WATER_LIMITS[0]), most)
    level = min(max(pressure, PRESSURE_LIMITS[0]), PRESSURE_LIMITS[1])
    return column / 30.0, (level - 850.0) / 250.0, (held - 280.0) / 30.0


@kernel()
def _terms(x: float, y: float, z: float) -> NDArray[np.float64]:
    """Monomials of degree up to three, in the order of ``POWERS``."""
    out = np.empty(_TERMS)
    term = 0
    a = 1.0
    for i in range(4):
        b = a
        for j in range(4 - i):
            c = b
            for _ in range(4 - i - j):
                out[term] = c
                term += 1
                c *= z
            b *= y
        a *= x
    return out


@kernel()
def band_atmosphere_kernel(
    water: float,
    temperature: float,
    pressure_hpa: float,
    secant: float,
    emulator: Emulator,
    out: NDArray[np.float64],
) -> None:
    """Write the atmosphere of one column in the five bands.

    Parameters
    ----------
    water : float, kg m-2
        Water vapour of the column above the surface.
    temperature : float, K
        Of the air at the surface.
    pressure_hpa : float, hPa
        At the surface.
    secant : float, 1
        Secant of the view zenith angle.
    emulator : Emulator
        The fitted coefficients.
    out : ndarray (15,), float64
        Written in place: five transmittances (1), five path radiances and five sky radiances
        (W m-2 sr-1 um-1). NaN where an input is not finite.
    """
    if not np.isfinite(water + temperature + pressure_hpa + secant):
        out[:] = np.nan
        return
    x, y, z = _scaled(water, pressure_hpa, temperature)
    terms = _terms(x, y, z)
    for band in range(emulator.exponent.size):
        depth, rising, falling = 0.0, 0.0, 0.0
        for term in range(terms.size):
            depth += emulator.coefficients[0, band, term] * terms[term]
            rising += emulator.coefficients[1, band, term] * terms[term]
            falling += emulator.coefficients[2, band, term] * terms[term]
        above = depth - emulator.least[band]
        depth = emulator.least[band] + 0.5 * (above + np.sqrt(above * above + SOFTNESS**2))
        passed = np.exp(-depth * secant ** emulator.exponent[band])
        source = band_radiance(
            temperature, emulator.first_k, emulator.step_k, emulator.planck[band]
        )
        out[band] = passed
        out[5 + band] = (1.0 - passed) * max(rising, 0.0) * source
        out[10 + band] = max(falling, 0.0) * source


@kernel()
def _evaluate(inputs: NDArray[np.float64], emulator: Emulator) -> NDArray[np.float32]:
    out = np.empty((inputs.shape[0], 15), np.float32)
    row = np.empty(15)
    for i in range(inputs.shape[0]):
        w, t, p, s = inputs[i]
        band_atmosphere_kernel(w, t, p, s, emulator, row)
        out[i] = row
    return out


def band_atmosphere(
    water_vapor: ArrayLike,
    air_temperature: ArrayLike,
    surface_pressure_hpa: ArrayLike,
    view_zenith_deg: ArrayLike = 0.0,
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Estimate the atmosphere from its water column, air temperature and surface pressure.

    Parameters
    ----------
    water_vapor : array, kg m-2
        Column above the surface. Held to what the air can carry.
    air_temperature : array, K
        Near the surface.
    surface_pressure_hpa : array, hPa
    view_zenith_deg : array, deg
        0 to 60; fitted up to 15. All four broadcast.

    Returns
    -------
    transmittance, path_radiance, sky_radiance : ndarray (..., 5), float32
        1 and W m-2 sr-1 um-1; NaN where an argument is NaN.

    Raises
    ------
    InputError
        If an angle is out of range, or temperature or pressure is clearly in other units.
    """
    _check_units(air_temperature, surface_pressure_hpa)
    angle = np.asarray(view_zenith_deg, dtype=np.float64)
    secant = np.where(np.isnan(angle), np.nan, slants_of(np.nan_to_num(angle)).reshape(angle.shape))
    return _broadcast(
        np.asarray(water_vapor),
        np.asarray(air_temperature),
        np.asarray(surface_pressure_hpa),
        secant,
    )


def _check_units(temperature: ArrayLike, pressure: ArrayLike) -> None:
    for name, values, low, high, unit in (
        ("air temperature", temperature, 150.0, 350.0, "K"),
        ("surface pressure", pressure, 300.0, 1100.0, "hPa"),
    ):
        found = np.asarray(values, dtype=np.float64)
        found = found[np.isfinite(found)]
        if found.size and not low <= found.min() <= found.max() <= high:
            raise InputError(
                f"found {name} from {found.min():g} to {found.max():g}, expected {low:g} to "
                f"{high:g} {unit}; convert it"
            )


def _broadcast(
    water: NDArray[Any], temperature: NDArray[Any], pressure: NDArray[Any], secant: NDArray[Any]
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    fields = np.broadcast_arrays(water, temperature, pressure, secant)
    inputs = np.stack([field.ravel() for field in fields], axis=1).astype(np.float64)
    out = _evaluate(inputs, load_emulator()).reshape(*fields[0].shape, 15)
    return out[..., :5], out[..., 5:10], out[..., 10:]


def interpolate_atmosphere(
    water_vapor: xr.DataArray,
    air_temperature: xr.DataArray,
    surface_pressure: xr.DataArray,
    view_zenith: xr.DataArray | float = 0.0,
) -> xr.Dataset:
    """Estimate the atmosphere of a cube lazily; see `band_atmosphere`.

    Parameters
    ----------
    water_vapor, air_temperature, surface_pressure : DataArray, kg m-2, K, hPa
        Fields or single values per date; they broadcast by name. See
        `aktes_xr.radiative.surface_pressure_from_elevation`.
    view_zenith : DataArray or float, deg

    Returns
    -------
    Dataset (..., band), float32
        ``transmittance``, ``path_radiance``, ``sky_radiance``; lazy where an argument is.
    """
    secant = 1.0 / np.cos(np.deg2rad(view_zenith))
    parts = xr.apply_ufunc(
        _broadcast,
        water_vapor,
        air_temperature,
        surface_pressure,
        secant,
        output_core_dims=[["band"]] * 3,
        dask="parallelized",
        output_dtypes=[np.float32] * 3,
        dask_gufunc_kwargs={"output_sizes": {"band": len(BANDS)}},
    )
    names = ("transmittance", "path_radiance", "sky_radiance")
    units = ("1", RADIANCE_UNITS, RADIANCE_UNITS)
    out = xr.Dataset(
        {
            name: part.assign_attrs(units=unit)
            for name, part, unit in zip(names, parts, units, strict=True)
        }
    )
    return out.assign_coords(band=list(BANDS))
