"""Terrain: morphometric indices, horizons and sky view, sun on slopes, complexity."""

from __future__ import annotations

from aktes_xr.cube.grid import grid_convergence
from aktes_xr.terrain.aggregate import aggregate_elevation
from aktes_xr.terrain.block import FLAGS, INDICES, TerrainSettings, indices_array
from aktes_xr.terrain.complexity import CLASSES, ThermalSetting, terrain_complexity
from aktes_xr.terrain.figure import plot_indices
from aktes_xr.terrain.indices import horizon_angle, terrain_indices
from aktes_xr.terrain.solar import cast_shadow, local_incidence

__all__ = [
    "CLASSES",
    "FLAGS",
    "INDICES",
    "TerrainSettings",
    "ThermalSetting",
    "aggregate_elevation",
    "cast_shadow",
    "grid_convergence",
    "horizon_angle",
    "indices_array",
    "local_incidence",
    "plot_indices",
    "terrain_complexity",
    "terrain_indices",
]
