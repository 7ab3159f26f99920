"""A world that judges: scenes by a simulator of its own, on which nothing is ever tuned.

It shares with the rest of the package the sensor (response, calibration), Planck's law and the
solution of an atmosphere's profile, and nothing else: relief, sky views, surfaces, atmospheres,
temperatures, noise and what is told are made here by other methods than those networks train on.
A test checks that by its imports. Every scene follows from its number alone.
"""

from __future__ import annotations

from aktes_xr.bench.world.cover import STRUCTURES, Structure
from aktes_xr.bench.world.relief import RELIEFS, Relief
from aktes_xr.bench.world.scene import scene, scenes
from aktes_xr.bench.world.spectra import KINDS

__all__ = ["KINDS", "RELIEFS", "STRUCTURES", "Relief", "Structure", "scene", "scenes"]
