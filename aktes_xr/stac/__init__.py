"""STAC: search, the layouts of the archives, signing, loading into the cube, and publication."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aktes_xr.catalog import Source, source, sources
from aktes_xr.stac.assets import Granule, granule_of, view_zenith_of
from aktes_xr.stac.load import open_stac
from aktes_xr.stac.network import NetworkSettings
from aktes_xr.stac.search import search
from aktes_xr.stac.signing import Login

if TYPE_CHECKING:
    from aktes_xr.stac.publication import Publication, publish

__all__ = [
    "Granule",
    "Login",
    "NetworkSettings",
    "Publication",
    "Source",
    "granule_of",
    "open_stac",
    "publish",
    "search",
    "source",
    "sources",
    "view_zenith_of",
]


def __getattr__(name: str) -> Any:
    if name in ("Publication", "publish"):
        # It draws pictures, and workers that read granules need not load what draws.
        from aktes_xr.stac import publication

        return getattr(publication, name)
    raise AttributeError(f"module 'aktes_xr.stac' has no attribute {name!r}")
