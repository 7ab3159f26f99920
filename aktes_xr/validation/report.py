"""The old name of `aktes_xr.report`, for two minor versions."""

from __future__ import annotations

import warnings

from aktes_xr.report import page, provenance, quicklook, store_page, write_page

__all__ = ["page", "provenance", "quicklook", "store_page", "write_page"]

warnings.warn(
    "aktes_xr.validation.report is now aktes_xr.report; the old name goes with version 0.4",
    DeprecationWarning,
    stacklevel=2,
)
