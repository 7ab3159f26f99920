"""Trained networks: bundles on disk and the forward pass that retrieval runs."""

from __future__ import annotations

from aktes_xr.models.bundle import (
    Bundle,
    BundleContents,
    load_bundle,
    shipped_bundles,
    write_bundle,
)
from aktes_xr.models.fusion import Fusion
from aktes_xr.models.layer import Layer
from aktes_xr.models.network import Network
from aktes_xr.models.pixel_model import PixelModel, Scaling

__all__ = [
    "Bundle",
    "BundleContents",
    "Fusion",
    "Layer",
    "Network",
    "PixelModel",
    "Scaling",
    "load_bundle",
    "shipped_bundles",
    "write_bundle",
]
