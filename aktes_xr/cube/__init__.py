"""The input cube: names, dimensions and units, and `check`, which refuses what breaks them."""

from __future__ import annotations

from aktes_xr.cube.checking import CubeInfo, check, elevation_of
from aktes_xr.cube.contract import (
    ANCILLARIES,
    CHUNK_STEP,
    COORDINATES,
    DEFAULT_AIR_TEMPERATURE_ERROR_K,
    DEFAULT_EMISSIVITY_ERROR,
    DEFAULT_SKIN_TEMPERATURE_ERROR_K,
    DEFAULT_WATER_VAPOR_ERROR,
    DIMS,
    DN_UNITS,
    GRID_MAPPING,
    ITEM_SEPARATOR,
    RADIANCE_UNITS,
    VARIABLES,
    Field,
    describe,
    new_cube,
)
from aktes_xr.cube.grid import check_grid

__all__ = [
    "ANCILLARIES",
    "CHUNK_STEP",
    "COORDINATES",
    "DEFAULT_AIR_TEMPERATURE_ERROR_K",
    "DEFAULT_EMISSIVITY_ERROR",
    "DEFAULT_SKIN_TEMPERATURE_ERROR_K",
    "DEFAULT_WATER_VAPOR_ERROR",
    "DIMS",
    "DN_UNITS",
    "GRID_MAPPING",
    "ITEM_SEPARATOR",
    "RADIANCE_UNITS",
    "VARIABLES",
    "CubeInfo",
    "Field",
    "check",
    "check_grid",
    "describe",
    "elevation_of",
    "new_cube",
]
