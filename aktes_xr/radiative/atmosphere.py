"""From a profile to transmittance, path radiance and sky radiance of the five bands."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from aktes_xr.compilation import kernel
from aktes_xr.errors import InputError, ShapeError
from aktes_xr.radiative.gases import GasAbsorption, TraceGases, gas_absorption
from aktes_xr.radiative.profiles import check_profile, condense, humidity_note
from aktes_xr.radiative.transfer import layer_amounts, refine_column, solve_column
from aktes_xr.sensor import BANDS, RADIANCE_UNITS, planck_table

MAX_VIEW_ZENITH_DEG = 60.0
_STANDARD_GASES = TraceGases()


class AtmosphereBatch(NamedTuple):
    """What many columns do to thermal radiation.

    Attributes
    ----------
    transmittance : ndarray (n, view, 5), 1
    path_radiance : ndarray (n, view, 5), W m-2 sr-1 um-1
    sky_radiance : ndarray (n, 5), W m-2 sr-1 um-1
        Hemispheric mean at the surface.
    precipitable_water : ndarray (n,), kg m-2
    air_temperature : ndarray (n,), K
        At the surface pressure.
    """

    transmittance: NDArray[Any]
    path_radiance: NDArray[Any]
    sky_radiance: NDArray[Any]
    precipitable_water: NDArray[Any]
    air_temperature: NDArray[Any]


@kernel()
def solve_columns(
    profiles: NDArray[np.float64],
    surface_pressure: NDArray[np.float64],
    slants: NDArray[np.float64],
    mole_fraction: NDArray[np.float64],
    planck_grid: tuple[float, float],
    gas: GasAbsorption,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Solve many profiles.

    Parameters
    ----------
    profiles : ndarray (n, 4, level), float64
        Pressure (Pa, falling), temperature (K), water and ozone (per dry air).
    surface_pressure : ndarray (n,), Pa
    slants : ndarray (view,), 1
        Secants of the view zenith angles.
    mole_fraction : ndarray (gas,), 1
        Of the well-mixed gases.
    planck_grid : (float, float), K
        First node and spacing of the Planck table.
    gas : GasAbsorption

    Returns
    -------
    solution : ndarray (n, 2 * view + 1, 5)
        As `aktes_xr.radiative.transfer.solve_column` returns it.
    surface : ndarray (n, 2)
        Water column (kg m-2) and air temperature at the surface (K).
    """
    solution = np.empty((profiles.shape[0], 2 * slants.size + 1, gas.planck.shape[0]))
    surface = np.empty((profiles.shape[0], 2))
    for i in range(profiles.shape[0]):
        pressure, temperature, water, ozone = profiles[i]
        water = condense(pressure, temperature, water)
        column = refine_column(pressure, temperature, water, ozone, surface_pressure[i])
        layers = layer_amounts(column, mole_fraction)
        solution[i] = solve_column(column, layers, slants, planck_grid, gas)
        surface[i, 0] = layers[0].sum()
        surface[i, 1] = column[1, 0]
    return solution, surface


def slants_of(view_zenith_deg: ArrayLike) -> NDArray[np.float64]:
    """Return the secants of view zenith angles.

    Parameters
    ----------
    view_zenith_deg : array_like () or (view,), degrees
        From 0 to 60.

    Returns
    -------
    ndarray (view,), float64, 1

    Raises
    ------
    InputError
        If an angle lies outside 0 to 60 degrees.
    """
    angles = np.atleast_1d(np.asarray(view_zenith_deg, dtype=np.float64))
    if not ((angles >= 0) & (angles <= MAX_VIEW_ZENITH_DEG)).all():
        raise InputError(
            f"found view zenith angles from {angles.min():g} to {angles.max():g} deg, expected 0 "
            f"to {MAX_VIEW_ZENITH_DEG:g}; is the sign or the unit wrong?"
        )
    return np.asarray(1.0 / np.cos(np.deg2rad(angles)))


def surface_pressure_from_elevation(elevation_m: Any) -> Any:
    """Evaluate the standard atmosphere's pressure.

    Parameters
    ----------
    elevation_m : float, ndarray or DataArray, m
        Above mean sea level, -1000 to 11000.

    Returns
    -------
    like ``elevation_m``, hPa
        ``1013.25 (1 - 2.25577e-5 z)^5.25588`` (ISO 2533). NaN in, NaN out.
    """
    if isinstance(elevation_m, xr.DataArray):
        out = 1013.25 * (1 - 2.25577e-5 * elevation_m) ** 5.25588
        out = out.astype(elevation_m.dtype, copy=False) if elevation_m.dtype.kind == "f" else out
        return out.assign_attrs(units="hPa", long_name="surface air pressure")
    return 1013.25 * (1 - 2.25577e-5 * np.asarray(elevation_m)) ** 5.25588


def simulate_atmospheres(
    pressure_hpa: ArrayLike,
    temperature_k: ArrayLike,
    h2o_vmr: ArrayLike,
    o3_vmr: ArrayLike,
    *,
    surface_pressure_hpa: ArrayLike | None = None,
    view_zenith_deg: ArrayLike = 0.0,
    trace_gases: TraceGases = _STANDARD_GASES,
) -> AtmosphereBatch:
    """Solve many profiles at several view angles, a few milliseconds each.

    Parameters
    ----------
    pressure_hpa : array (level,) or (n, level), hPa
        Levels in either order.
    temperature_k, h2o_vmr, o3_vmr : array (n, level), K, mol mol-1, mol mol-1
        The gases per dry air.
    surface_pressure_hpa : array () or (n,), hPa, optional
        None: each profile's greatest pressure.
    view_zenith_deg : array () or (view,), deg
        0 to 60; the absorption was calibrated at nadir.
    trace_gases : TraceGases
        Well-mixed gases.

    Returns
    -------
    AtmosphereBatch
        float64.

    Raises
    ------
    ProfileError, ShapeError, InputError
        If a profile, the shapes or an angle cannot be used.
    """
    fields = [np.atleast_2d(np.asarray(v, dtype=np.float64)) for v in
              (pressure_hpa, temperature_k, h2o_vmr, o3_vmr)]  # fmt: skip
    try:
        pressure, temperature, water, ozone = np.broadcast_arrays(*fields)
    except ValueError as error:
        raise ShapeError(
            f"found profiles of shapes {[field.shape for field in fields]}, expected (n, level)"
        ) from error
    count = len(pressure)
    wanted: list[float | None] = [None] * count
    if surface_pressure_hpa is not None:
        wanted = list(np.broadcast_to(np.asarray(surface_pressure_hpa, np.float64), (count,)))
    profiles = np.empty((count, 4, pressure.shape[1]))
    surface = np.empty(count)
    for i in range(count):
        profiles[i], surface[i] = check_profile(
            pressure[i], temperature[i], water[i], ozone[i], surface_pressure_hpa=wanted[i]
        )
    return solve_batch(
        profiles,
        surface,
        slants=slants_of(view_zenith_deg),
        gas=gas_absorption(),
        trace_gases=trace_gases,
    )


def solve_batch(
    profiles: NDArray[np.float64],
    surface_pressure: NDArray[np.float64],
    *,
    slants: NDArray[np.float64],
    gas: GasAbsorption,
    trace_gases: TraceGases = _STANDARD_GASES,
) -> AtmosphereBatch:
    """Solve profiles that were checked before.

    Parameters
    ----------
    profiles : ndarray, float64
        As `solve_columns` takes them.
    surface_pressure : ndarray (profile,), float64
        As `solve_columns` takes it.
    slants : ndarray (view,), float64, 1
        Secants of the view zenith angles.
    gas : GasAbsorption
        The absorption.
    trace_gases : TraceGases
        Amounts of the well-mixed gases.

    Returns
    -------
    AtmosphereBatch
        One row per profile.
    """
    table = planck_table()
    grid = (float(table.temperature[0]), table.step)
    solution, bottom = solve_columns(
        profiles, surface_pressure, slants, trace_gases.mole_fractions(), grid, gas
    )
    views = slants.size
    return AtmosphereBatch(
        solution[:, :views],
        solution[:, views : 2 * views],
        solution[:, -1],
        bottom[:, 0],
        bottom[:, 1],
    )


def simulate_atmosphere(
    pressure_hpa: ArrayLike,
    temperature_k: ArrayLike,
    h2o_vmr: ArrayLike,
    o3_vmr: ArrayLike,
    *,
    surface_pressure_hpa: float | None = None,
    view_zenith_deg: float = 0.0,
    trace_gases: TraceGases = _STANDARD_GASES,
    calibrated: bool = True,
) -> xr.Dataset:
    """Solve one profile: clear sky, plane parallel, no scattering.

    Parameters
    ----------
    pressure_hpa, temperature_k, h2o_vmr, o3_vmr : array (level,), hPa, K, mol mol-1, mol mol-1
        Levels in either order; the gases per dry air. Levels below the surface are ignored.
    surface_pressure_hpa : float, hPa, optional
        Where the column begins (`surface_pressure_from_elevation` where only the elevation is
        known); None: the greatest pressure.
    view_zenith_deg : float, deg
        0 to 60.
    trace_gases : TraceGases
        Well-mixed gases.
    calibrated : bool
        False: the spectral file as published.

    Returns
    -------
    Dataset (band)
        ``transmittance`` (1, weighted by response and the air's Planck function),
        ``path_radiance`` and ``sky_radiance`` (W m-2 sr-1 um-1), and without dimension
        ``precipitable_water`` (kg m-2) and ``air_temperature`` (K), all float64. Where levels are
        supersaturated, the attribute ``humidity`` says what became of their water.

    Raises
    ------
    ProfileError
        If the profile is not physical; the message names the level.
    InputError
        If the angle is out of range.
    """
    profile, surface = check_profile(
        pressure_hpa, temperature_k, h2o_vmr, o3_vmr, surface_pressure_hpa=surface_pressure_hpa
    )
    batch = solve_batch(
        profile[None],
        np.array([surface]),
        slants=slants_of(view_zenith_deg)[:1],
        gas=gas_absorption(calibrated=calibrated),
        trace_gases=trace_gases,
    )
    radiance = {"units": RADIANCE_UNITS}
    note = humidity_note(pressure_hpa, temperature_k, h2o_vmr)
    return xr.Dataset(
        {
            "transmittance": ("band", batch.transmittance[0, 0], {"units": "1"}),
            "path_radiance": ("band", batch.path_radiance[0, 0], radiance),
            "sky_radiance": ("band", batch.sky_radiance[0], radiance),
            "precipitable_water": ((), batch.precipitable_water[0], {"units": "kg m-2"}),
            "air_temperature": ((), batch.air_temperature[0], {"units": "K"}),
        },
        coords={"band": list(BANDS)},
        attrs={
            "surface_pressure_hpa": surface / 100.0,
            "view_zenith_deg": float(view_zenith_deg),
            "absorption": "calibrated" if calibrated else "as published",
            **({} if note is None else {"humidity": note}),
        },
    )
