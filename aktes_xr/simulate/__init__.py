"""Simulated ASTER data: the emissivity prior, training samples and whole granules."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aktes_xr.simulate.emissivity import EmissivityPrior, draw_emissivity, load_prior

_HOME = {
    "EmissivityPrior": "emissivity",
    "draw_emissivity": "emissivity",
    "load_prior": "emissivity",
}
__all__ = ["EmissivityPrior", "draw_emissivity", "load_prior"]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(importlib.import_module(f"aktes_xr.simulate.{_HOME[name]}"), name)
    raise AttributeError(f"module 'aktes_xr.simulate' has no attribute {name!r}")
