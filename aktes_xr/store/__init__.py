"""Results as Zarr v3: whole or not at all, with the CRS where xarray, rioxarray and GDAL look."""

from __future__ import annotations

from aktes_xr.store.reading import open_result
from aktes_xr.store.writing import write_result

__all__ = ["open_result", "write_result"]
