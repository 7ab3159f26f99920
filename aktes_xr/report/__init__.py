"""What people look at: maps of a result, the page of a store, the page of a validation."""

from __future__ import annotations

from aktes_xr.report.document import page, provenance, write_page
from aktes_xr.report.quicklook import map_figure, overview, quicklook
from aktes_xr.report.store_page import store_page
from aktes_xr.report.validation_page import validation_page

__all__ = [
    "map_figure",
    "overview",
    "page",
    "provenance",
    "quicklook",
    "store_page",
    "validation_page",
    "write_page",
]
