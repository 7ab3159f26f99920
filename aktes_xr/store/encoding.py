"""How a result is stored: chunks, fill values, grid mapping, and what describes the grid.

Three things are easily lost on the way to Zarr, and are set here by hand. An ``encoding`` handed to
``to_zarr`` replaces a variable's own, and its ``grid_mapping`` with it. ``_FillValue`` is an
attribute for readers, ``fill_value`` what an unwritten chunk holds: both must be the same number.
And xarray takes a ``grid_mapping`` variable for data unless a ``coordinates`` attribute names it.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import rioxarray  # noqa: F401  registers `.rio`
import xarray as xr

from aktes_xr import sensor
from aktes_xr.cube import CHUNK_STEP, GRID_MAPPING
from aktes_xr.errors import CRSError, InputError
from aktes_xr.store.blocks import computed

_LONGEST_CHUNK = 1024
_TIME_UNITS = "microseconds since 1970-01-01"
_NOT_A_TIME = np.iinfo(np.int64).min
_KEPT_ENCODING = ("dtype", "scale_factor", "add_offset")
# https://github.com/zarr-conventions: proj and spatial, v0.1.
_CONVENTIONS = [
    {
        "uuid": uuid_,
        "name": name,
        "schema_url": f"https://raw.githubusercontent.com/zarr-conventions/{name}/refs/tags/v0.1/"
        "schema.json",
        "spec_url": f"https://github.com/zarr-conventions/{name}/blob/v0.1/README.md",
        "description": description,
    }
    for name, uuid_, description in (
        (
            "proj",
            "f17cb550-5864-4468-aeb7-f3180cfb622f",
            "Coordinate reference system information for geospatial data",
        ),
        ("spatial", "689b58e2-cf7b-45e0-9fff-9cfc0883d6b4", "Spatial coordinate information"),
    )
]


def encode(result: xr.Dataset, *, sharded: bool) -> xr.Dataset:
    """Return a copy whose variables carry all that the store needs in their own ``.encoding``.

    Parameters
    ----------
    result : Dataset
        A result with a coordinate reference system; not changed.
    sharded : bool
        Join chunks into shards.

    Returns
    -------
    Dataset

    Raises
    ------
    CRSError
        If there is no coordinate reference system.
    """
    crs = result.rio.crs
    if crs is None:
        raise CRSError(
            "the result has no coordinate reference system; set it with ds.rio.write_crs(...)"
        )
    ds = result.copy().rio.write_crs(crs, grid_mapping_name=GRID_MAPPING)
    ds.attrs = {**result.attrs, **_grid_attributes(ds, crs)}
    ds = _even_chunks(ds)
    text = [name for name, coordinate in ds.coords.items() if coordinate.dtype.kind == "U"]
    ds = ds.assign_coords(
        {name: variable.astype(object) for name, variable in computed(ds, text).items()}
    )
    aside = [str(name) for name in ds.coords if name not in ds.indexes]
    for name in ds.variables:
        encoding = _variable_encoding(ds[name], sharded=sharded)
        if name in ds.data_vars:
            named = [other for other in aside if set(ds[other].dims) <= set(ds[name].dims)]
            encoding["coordinates"] = " ".join(named)
            if {"y", "x"} <= set(ds[name].dims):
                encoding["grid_mapping"] = GRID_MAPPING
        # What an input file's encoding says of chunks and grid mapping does not hold here.
        ds[name].encoding = encoding
        ds[name].attrs.pop("grid_mapping", None)
        ds[name].attrs.pop("coordinates", None)
    return ds


def _variable_encoding(array: xr.DataArray, *, sharded: bool) -> dict[str, Any]:
    encoding = {key: array.encoding[key] for key in _KEPT_ENCODING if key in array.encoding}
    if array.dtype.kind == "M":
        encoding = {"units": _TIME_UNITS, "dtype": "int64", "calendar": "proleptic_gregorian"}
        if array.name not in array.indexes:
            encoding |= {"_FillValue": _NOT_A_TIME, "fill_value": _NOT_A_TIME}
    elif array.dtype.kind == "f" and array.name not in array.indexes:
        stored = np.dtype(encoding.get("dtype", array.dtype))
        fill = array.encoding.get("_FillValue", stored.type(np.nan) if stored.kind == "f" else None)
        if fill is None:
            raise InputError(
                f"{array.name!r} is to be stored as {stored} but has no _FillValue in its "
                "encoding: say which number stands for no data"
            )
        encoding |= {"dtype": stored, "_FillValue": stored.type(fill)}
        encoding["fill_value"] = encoding["_FillValue"]
    elif "flag_meanings" in array.attrs:
        encoding["fill_value"] = _fill_flag(array)
    if array.ndim and array.dtype.kind != "O":
        encoding |= _chunks(array, sharded=sharded)
    return encoding


def _fill_flag(array: xr.DataArray) -> Any:
    """Return the flag of a pixel without data, which is what a chunk never written should read."""
    meanings = str(array.attrs["flag_meanings"]).split()
    values = array.attrs.get("flag_values", array.attrs.get("flag_masks"))
    if "fill" not in meanings or values is None:
        return array.dtype.type(0)
    return array.dtype.type(np.ravel(values)[meanings.index("fill")])


def _even_chunks(ds: xr.Dataset) -> xr.Dataset:
    """Make the chunks of each dimension equal (the last may be shorter), as Zarr's are."""
    even = {}
    for name, lengths in ds.unify_chunks().chunksizes.items():
        longest = max(max(lengths), 1)
        if any(length != longest for length in lengths[:-1]) or lengths[-1] > longest:
            even[name] = longest
    return ds.unify_chunks().chunk(even) if even else ds.unify_chunks()


def _chunks(array: xr.DataArray, *, sharded: bool) -> dict[str, Any]:
    if array.chunks is None:
        lengths = [max(size, 1) for size in array.shape]
    else:
        lengths = [max(blocks[0], 1) for blocks in array.chunks]
    spatial = [dim in ("y", "x") for dim in array.dims]
    if not all(dim in array.dims for dim in ("y", "x")):
        return {"chunks": tuple(lengths)}
    longest = CHUNK_STEP if sharded else _LONGEST_CHUNK
    inner = tuple(
        _divisor(length, longest) if flat else 1
        for length, flat in zip(lengths, spatial, strict=True)
    )
    return {"chunks": inner, "shards": tuple(lengths)} if sharded else {"chunks": inner}


def _divisor(length: int, longest: int) -> int:
    """Return the largest divisor of ``length`` up to ``longest``, or ``length`` if all are tiny."""
    best = max(part for part in range(1, min(length, longest) + 1) if length % part == 0)
    return best if 4 * best >= min(length, longest) else length


def _grid_attributes(ds: xr.Dataset, crs: Any) -> dict[str, Any]:
    """Return the ``proj:`` and ``spatial:`` attributes of the group."""
    for axis in ("y", "x"):
        if axis not in ds.indexes or ds.sizes[axis] < 1:
            raise InputError(
                f"the result has no coordinate {axis!r} with a pixel: expected a grid of pixel "
                "centres in metres"
            )
    x, y = ds.indexes["x"], ds.indexes["y"]
    steps = [
        float(axis[-1] - axis[0]) / (len(axis) - 1) if len(axis) > 1 else math.nan
        for axis in (x, y)
    ]
    # A row or a column of pixels says nothing of their other side: they are square.
    side = next((abs(step) for step in steps if step == step), sensor.PIXEL_M)
    width, height = (
        step if step == step else usual for step, usual in zip(steps, (side, -side), strict=True)
    )
    left, top = float(x[0]) - width / 2, float(y[0]) - height / 2
    right, bottom = left + width * len(x), top + height * len(y)
    code = crs.to_epsg()
    reference = {"proj:code": f"EPSG:{code}"} if code is not None else {"proj:wkt2": crs.to_wkt()}
    return {
        "zarr_conventions": _CONVENTIONS,
        **reference,
        "spatial:dimensions": ["y", "x"],
        "spatial:shape": [len(y), len(x)],
        "spatial:transform": [width, 0.0, left, 0.0, height, top],
        "spatial:transform_type": "affine",
        "spatial:registration": "pixel",
        "spatial:bbox": [min(left, right), min(top, bottom), max(left, right), max(top, bottom)],
    }
