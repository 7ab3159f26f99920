"""Clear-sky radiative transfer for the five thermal bands."""

from __future__ import annotations

from aktes_xr.radiative.atmosphere import (
    AtmosphereBatch,
    simulate_atmosphere,
    simulate_atmospheres,
    surface_pressure_from_elevation,
)
from aktes_xr.radiative.closure import closure_residual
from aktes_xr.radiative.emulator import (
    band_atmosphere,
    band_atmosphere_kernel,
    interpolate_atmosphere,
    load_emulator,
)
from aktes_xr.radiative.gases import TraceGases
from aktes_xr.radiative.surface import (
    flat_retrieval_error_k,
    irradiance,
    surface_leaving_radiance,
    surface_temperature,
    top_of_atmosphere_radiance,
)
from aktes_xr.radiative.table import atmosphere_table, profiles_of, sample_atmospheres

__all__ = [
    "AtmosphereBatch",
    "TraceGases",
    "atmosphere_table",
    "band_atmosphere",
    "band_atmosphere_kernel",
    "closure_residual",
    "flat_retrieval_error_k",
    "interpolate_atmosphere",
    "irradiance",
    "load_emulator",
    "profiles_of",
    "sample_atmospheres",
    "simulate_atmosphere",
    "simulate_atmospheres",
    "surface_leaving_radiance",
    "surface_pressure_from_elevation",
    "surface_temperature",
    "top_of_atmosphere_radiance",
]
