"""What is known of the atmosphere and the ground beside the measurement, brought to a cube."""

from __future__ import annotations

from aktes_xr.ancillaries.addition import add_ancillaries
from aktes_xr.ancillaries.cloud_mask import add_cloud_mask
from aktes_xr.ancillaries.opening import SourceLike
from aktes_xr.ancillaries.prior import add_emissivity_prior

__all__ = ["SourceLike", "add_ancillaries", "add_cloud_mask", "add_emissivity_prior"]
