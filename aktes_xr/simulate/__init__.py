"""Simulated ASTER data: the emissivity prior, fields and samples to train on, whole granules."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aktes_xr.simulate.emissivity import EmissivityPrior, draw_emissivity, load_prior
    from aktes_xr.simulate.fields import Field, FieldRecipe
    from aktes_xr.simulate.granule import write_scene
    from aktes_xr.simulate.observation import SampleRecipe
    from aktes_xr.simulate.relief import demo_elevation
    from aktes_xr.simulate.samples import simulate_samples
    from aktes_xr.simulate.scene import simulate_scene
    from aktes_xr.simulate.settings import SceneSettings
    from aktes_xr.simulate.structures import STRUCTURES, TERRAIN_STRUCTURES
    from aktes_xr.simulate.worlds import draw_fields

_HOME = {
    "STRUCTURES": "structures",
    "TERRAIN_STRUCTURES": "structures",
    "Field": "fields",
    "FieldRecipe": "fields",
    "draw_fields": "worlds",
    "SampleRecipe": "observation",
    "SceneSettings": "settings",
    "demo_elevation": "relief",
    "simulate_samples": "samples",
    "simulate_scene": "scene",
    "write_scene": "granule",
    "EmissivityPrior": "emissivity",
    "draw_emissivity": "emissivity",
    "load_prior": "emissivity",
}
__all__ = [
    "STRUCTURES",
    "TERRAIN_STRUCTURES",
    "EmissivityPrior",
    "Field",
    "FieldRecipe",
    "SampleRecipe",
    "SceneSettings",
    "demo_elevation",
    "draw_emissivity",
    "draw_fields",
    "load_prior",
    "simulate_samples",
    "simulate_scene",
    "write_scene",
]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(importlib.import_module(f"aktes_xr.simulate.{_HOME[name]}"), name)
    raise AttributeError(f"module 'aktes_xr.simulate' has no attribute {name!r}")
