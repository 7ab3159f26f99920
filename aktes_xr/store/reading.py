"""Results back from Zarr, as they were handed over."""

from __future__ import annotations

import os

import numpy as np
import rioxarray  # noqa: F401  registers `.rio`
import xarray as xr

from aktes_xr.errors import StoreNotFoundError
from aktes_xr.store.address import ObjectAddress, parse_address, zarr_store
from aktes_xr.store.local import is_store


def open_result(path: str | os.PathLike[str]) -> xr.Dataset:
    """Open a store that `write_result` wrote.

    ``xr.open_zarr(path)`` does as well; here the per-date coordinates are in memory, text is text,
    and what describes the store rather than the result is taken off the attributes.

    Parameters
    ----------
    path : local path of the store, or an address in an object store

    Returns
    -------
    Dataset, lazy, in the store's chunks

    Raises
    ------
    StoreNotFoundError
        There is no Zarr store at ``path``.
    StoreError
        The object store does not answer.
    """
    ds: xr.Dataset = xr.open_zarr(zarr_store(_found(path)), decode_coords="all")
    small = {
        name: _as_text(coordinate.load())
        for name, coordinate in ds.coords.items()
        if name not in ds.indexes and coordinate.ndim <= 1
    }
    ds = ds.assign_coords(small)
    if "band" in ds.indexes:
        labels = np.array(ds["band"].to_numpy().tolist(), dtype=str)
        ds = ds.assign_coords(band=("band", labels, ds["band"].attrs))
    ds.attrs = {
        key: value
        for key, value in ds.attrs.items()
        if key != "zarr_conventions" and not key.startswith(("proj:", "spatial:"))
    }
    return ds


def _found(path: str | os.PathLike[str]) -> str:
    """Return where the store at a place really lies."""
    target = parse_address(path)
    if isinstance(target, ObjectAddress):
        # Imported where it is needed: most stores are local.
        from aktes_xr.store.objects import current_version

        found = current_version(target)
    else:
        found = str(target) if is_store(target) else None
    if found is None:
        raise StoreNotFoundError(
            f"there is no Zarr store at {target.name} (no zarr.json); write one with "
            "aktes_xr.write_result"
        )
    return found


def _as_text(coordinate: xr.DataArray) -> xr.DataArray:
    if coordinate.dtype.kind in ("O", "T"):
        # NumPy cannot cast the variable-length strings that Zarr returns.
        return coordinate.copy(data=np.array(coordinate.to_numpy().tolist(), dtype=str))
    return coordinate
