"""STAC: search, the layouts of the archives, signing, and loading into the cube."""

from __future__ import annotations

from aktes_xr.catalog import Source, source, sources
from aktes_xr.stac.assets import Granule, granule_of, view_zenith_of
from aktes_xr.stac.load import open_stac
from aktes_xr.stac.network import NetworkSettings
from aktes_xr.stac.search import search
from aktes_xr.stac.signing import Login

__all__ = [
    "Granule",
    "Login",
    "NetworkSettings",
    "Source",
    "granule_of",
    "open_stac",
    "search",
    "source",
    "sources",
    "view_zenith_of",
]
