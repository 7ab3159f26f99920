"""Results as Zarr, COG or NetCDF: whole or not at all, with the CRS where readers look for it."""

from __future__ import annotations

from aktes_xr.store.export import write_cogs, write_netcdf
from aktes_xr.store.reading import open_result
from aktes_xr.store.writing import write_result

__all__ = ["open_result", "write_cogs", "write_netcdf", "write_result"]
