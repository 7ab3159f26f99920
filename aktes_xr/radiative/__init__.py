"""Clear-sky radiative transfer for the five thermal bands."""

from __future__ import annotations

from aktes_xr.radiative.atmosphere import (
    AtmosphereBatch,
    simulate_atmosphere,
    simulate_atmospheres,
    surface_pressure_from_elevation,
)
from aktes_xr.radiative.gases import TraceGases
from aktes_xr.radiative.surface import (
    flat_retrieval_error_k,
    irradiance,
    surface_leaving_radiance,
    surface_temperature,
    top_of_atmosphere_radiance,
)

__all__ = [
    "AtmosphereBatch",
    "TraceGases",
    "flat_retrieval_error_k",
    "irradiance",
    "simulate_atmosphere",
    "simulate_atmospheres",
    "surface_leaving_radiance",
    "surface_pressure_from_elevation",
    "surface_temperature",
    "top_of_atmosphere_radiance",
]
