"""Terrain: morphometric indices, horizons and sky view, sun on slopes, complexity."""

from __future__ import annotations

from aktes_xr.terrain.block import INDICES, TerrainSettings, indices_array
from aktes_xr.terrain.grid import grid_convergence
from aktes_xr.terrain.indices import horizon_angle, terrain_indices
from aktes_xr.terrain.solar import cast_shadow, local_incidence

__all__ = [
    "INDICES",
    "TerrainSettings",
    "cast_shadow",
    "grid_convergence",
    "horizon_angle",
    "indices_array",
    "local_incidence",
    "terrain_indices",
]
