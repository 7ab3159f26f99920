"""Land-surface temperature and emissivity from ASTER thermal imagery.

Importing the package costs a few milliseconds: every public name below is loaded when it is first
used, and ``Dataset.aktes`` is registered as soon as both this package and xarray are imported, in
either order.
"""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import TYPE_CHECKING, Any

from aktes_xr.version import __version__ as __version__

if TYPE_CHECKING:
    from aktes_xr import (
        ancillaries,
        baselines,
        cube,
        jobs,
        learn,
        models,
        radiative,
        report,
        sensor,
        simulate,
        stac,
        store,
        terrain,
        validation,
    )
    from aktes_xr.ancillaries import add_ancillaries, add_cloud_mask, add_emissivity_prior
    from aktes_xr.cli.progress import progress
    from aktes_xr.cube import calibration, quality
    from aktes_xr.cube.selection import mask
    from aktes_xr.errors import AktesError
    from aktes_xr.jobs.plan import plan
    from aktes_xr.models import load_bundle
    from aktes_xr.retrieval import retrieve
    from aktes_xr.stac import open_stac
    from aktes_xr.stac.search import search
    from aktes_xr.store import open_result, write_result
    from aktes_xr.validation import validate

_ROOMS = frozenset(
    (
        *("ancillaries", "baselines", "cube", "jobs", "learn", "models", "radiative"),
        *("report", "sensor", "simulate", "stac", "store", "terrain", "validation"),
    )
)
_HOME = {
    "AktesError": "errors",
    "add_ancillaries": "ancillaries",
    "add_cloud_mask": "ancillaries",
    "add_emissivity_prior": "ancillaries",
    "load_bundle": "models",
    "mask": "cube.selection",
    "open_result": "store",
    "open_stac": "stac",
    "plan": "jobs.plan",
    "progress": "cli.progress",
    "retrieve": "retrieval",
    "search": "stac",
    "validate": "validation",
    "write_result": "store",
}
# Rooms that were modules of the package itself once.
_MOVED = {
    "calibration": "cube.calibration",
    "quality": "cube.quality",
}

__all__ = [
    "AktesError",
    "add_ancillaries",
    "add_cloud_mask",
    "add_emissivity_prior",
    "ancillaries",
    "baselines",
    "calibration",
    "cube",
    "jobs",
    "learn",
    "load_bundle",
    "mask",
    "models",
    "open_result",
    "open_stac",
    "plan",
    "progress",
    "quality",
    "radiative",
    "report",
    "retrieve",
    "search",
    "sensor",
    "simulate",
    "stac",
    "store",
    "terrain",
    "validate",
    "validation",
    "write_result",
]


def __getattr__(name: str) -> Any:
    if name in _ROOMS:
        return importlib.import_module(f"aktes_xr.{name}")
    if name in _MOVED:
        return importlib.import_module(f"aktes_xr.{_MOVED[name]}")
    if name in _HOME:
        return getattr(importlib.import_module(f"aktes_xr.{_HOME[name]}"), name)
    raise AttributeError(f"module 'aktes_xr' has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*__all__, "__version__"]


class _AccessorLoader(importlib.abc.Loader):
    """Loads xarray as it would have been, then registers ``Dataset.aktes``."""

    def __init__(self, loader: importlib.abc.Loader) -> None:
        self._loader = loader

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        module.__loader__ = self._loader
        self._loader.exec_module(module)
        importlib.import_module("aktes_xr.accessor")


class _AccessorFinder(importlib.abc.MetaPathFinder):
    """Waits for the import of xarray, which alone takes longer than we allow ourselves."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != "xarray":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(fullname)
        if spec is not None and spec.loader is not None:
            spec.loader = _AccessorLoader(spec.loader)
        return spec


if "xarray" in sys.modules:
    importlib.import_module("aktes_xr.accessor")
else:
    sys.meta_path.insert(0, _AccessorFinder())
