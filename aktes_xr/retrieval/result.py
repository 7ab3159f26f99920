"""The result as a dataset: names, CF attributes, grid mapping and provenance."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

import dask.array as da
import numpy as np
import xarray as xr
from dask.base import tokenize

from aktes_xr.cube import (
    DEFAULT_AIR_TEMPERATURE_ERROR_K,
    DEFAULT_EMISSIVITY_ERROR,
    DEFAULT_SKIN_TEMPERATURE_ERROR_K,
    DEFAULT_WATER_VAPOR_ERROR,
    GRID_MAPPING,
    ITEM_SEPARATOR,
)
from aktes_xr.cube.conditions import condition_attributes
from aktes_xr.cube.quality import flag_attributes
from aktes_xr.models.bundle import Bundle
from aktes_xr.models.cloud_test import confidence_of
from aktes_xr.retrieval.block import PHYSICAL, BlockSettings
from aktes_xr.retrieval.tiles import CLOSURE, COMPONENT_PLANES, CONDITIONS, QUALITY
from aktes_xr.version import __version__

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

_IMAGE: Final = ("time", "y", "x")
_BANDS: Final = ("time", "band", "y", "x")

ORIGIN_ATTRIBUTES: Final = ("ancillary_", "cloud_mask_", "elevation_", "emissivity_prior_")
"""What a cube's attributes say of the origin of elevation, ancillaries and masks begins so."""
VARIABLES: Final[dict[str, tuple[tuple[str, ...], slice | int, dict[str, Any]]]] = {
    "surface_temperature": (
        _IMAGE,
        0,
        {
            "units": "K",
            "standard_name": "surface_temperature",
            "long_name": "land-surface temperature",
            "ancillary_variables": "surface_temperature_uncertainty quality",
        },
    ),
    "emissivity": (
        _BANDS,
        slice(1, 6),
        {
            "units": "1",
            "standard_name": "surface_longwave_emissivity",
            "long_name": "surface emissivity in the band",
            "ancillary_variables": "emissivity_uncertainty quality",
        },
    ),
    "surface_temperature_uncertainty": (
        _IMAGE,
        6,
        {
            "units": "K",
            "standard_name": "surface_temperature standard_error",
            "long_name": "standard uncertainty (1 sigma) of land-surface temperature",
        },
    ),
    "emissivity_uncertainty": (
        _BANDS,
        slice(7, 12),
        {
            "units": "1",
            "standard_name": "surface_longwave_emissivity standard_error",
            "long_name": "standard uncertainty (1 sigma) of surface emissivity",
        },
    ),
    "student_weight": (
        _IMAGE,
        12,
        {
            "units": "1",
            "long_name": "weight of the student in the fusion",
            "valid_range": [0.0, 1.0],
        },
    ),
}
CLOSURE_VARIABLES: Final[dict[str, tuple[tuple[str, ...], slice | int, dict[str, Any]]]] = {
    "closure_residual": (
        _IMAGE,
        CLOSURE,
        {
            "units": "K",
            "long_name": "what the retrieval does not explain of the five brightness temperatures",
            "cell_methods": "band: root_mean_square",
        },
    ),
    "closure_residual_by_band": (
        _BANDS,
        slice(CLOSURE + 1, CLOSURE + 6),
        {
            "units": "K",
            "long_name": "measured minus modelled brightness temperature",
        },
    ),
}
"""Of the closure: its sum, then its bands."""
_TERRAIN: Final[dict[str, tuple[str, dict[str, Any]]]] = {
    "terrain_complexity": (
        "terrain_complexity_k",
        {"units": "K", "long_name": "expected temperature error of a flat retrieval"},
    ),
    "sky_view_factor": (
        "sky_view_factor",
        {"units": "1", "long_name": "sky-view factor, Lambert-weighted, of the inclined surface"},
    ),
}
_PARTS: Final = {
    "noise": "the sensor's noise",
    "atmosphere": "stated errors of what is told of air and skin",
    "model": "emissivity and the networks, and what nobody told",
    "disagreement": "between teacher and student",
    "cloud": "the risk of cloud that was missed",
}


def describe_result(
    ds: xr.Dataset,
    stacked: da.Array,
    terrain: xr.Dataset | None,
    *,
    settings: BlockSettings,
    bundle: Bundle,
) -> xr.Dataset:
    """Turn the stacked planes into the result.

    Parameters
    ----------
    ds : Dataset
        The cube, for coordinates and grid mapping.
    stacked : dask array (time, plane, y, x), float32
    terrain : Dataset or None
    settings : BlockSettings
    bundle : Bundle

    Returns
    -------
    Dataset
    """
    variables: dict[str, Any] = {
        name: (dims, _planes(stacked, plane, name), attrs)
        for name, (dims, plane, attrs) in _variables(settings).items()
    }
    quality = _planes(stacked, QUALITY, "quality", np.uint16)
    variables["quality"] = (_IMAGE, quality, flag_attributes())
    conditions = _planes(stacked, CONDITIONS, "conditions", np.uint16)
    variables["conditions"] = (_IMAGE, conditions, condition_attributes())
    if settings.cloud_plane is not None:
        variables |= _cloud_variables(stacked, settings.cloud_plane)
    result = xr.Dataset(variables, coords=ds.coords)
    if terrain is not None:
        for name, (source, attrs) in _TERRAIN.items():
            field = terrain[source].astype(np.float32).variable
            attributes = {**terrain[source].attrs, **attrs}
            result[name] = (("y", "x"), _apart(field.data, name), attributes)
    mapping = ds["tir"].encoding.get("grid_mapping", GRID_MAPPING)
    _set_encoding(result, mapping)
    result.attrs = _provenance(ds, settings, bundle)
    return result


def _cloud_variables(stacked: da.Array, plane: int) -> dict[str, Any]:
    """Return the probability of cloud and its grades."""
    grades = {
        "long_name": "confidence of cloud",
        "standard_name": "status_flag",
        "flag_values": np.array([0, 1, 2, 3, 255], np.uint8),
        "flag_meanings": "clear probably_clear probably_cloudy cloudy fill",
    }
    chance = {"units": "1", "long_name": "probability of cloud", "valid_range": [0.0, 1.0]}
    return {
        "cloud_probability": (_IMAGE, _planes(stacked, plane, "cloud_probability"), chance),
        "cloud_confidence": (
            _IMAGE,
            _planes(stacked, plane, "cloud_confidence", np.uint8, read=confidence_of),
            grades,
        ),
    }


def _variables(
    settings: BlockSettings,
) -> dict[str, tuple[tuple[str, ...], slice | int, dict[str, Any]]]:
    kept = {"none": (), "sum": ("closure_residual",), "bands": tuple(CLOSURE_VARIABLES)}
    found = VARIABLES | {name: CLOSURE_VARIABLES[name] for name in kept[settings.closure]}
    if not settings.components:
        return found
    parts: dict[str, tuple[tuple[str, ...], slice | int, dict[str, Any]]] = {
        f"surface_temperature_uncertainty_{name}": (
            _IMAGE,
            settings.first_component + number,
            {
                "units": "K",
                "long_name": f"part of the temperature's standard uncertainty: {_PARTS[name]}",
            },
        )
        for number, name in enumerate(COMPONENT_PLANES)
    }
    return found | parts


def _set_encoding(result: xr.Dataset, mapping: str) -> None:
    """Have xarray's own writers keep the CRS, and text that every reader of Zarr knows.

    xarray takes a ``grid_mapping`` variable for data when it reads, unless ``coordinates`` names
    it; and NumPy's text of fixed length has no specification in Zarr v3.
    """
    aside = {str(name): set(result[name].dims) for name in result.coords if name not in result.dims}
    for variable in result.data_vars.values():
        named = [name for name, dims in aside.items() if dims <= set(variable.dims)]
        variable.encoding |= {"grid_mapping": mapping, "coordinates": " ".join(named)}
    for coordinate in result.coords.values():
        if coordinate.dtype.kind == "U":
            coordinate.encoding["dtype"] = "O"


def _apart(field: Any, name: str) -> Any:
    """Give a field that the retrieval also takes a layer of its own.

    ``dask.compute(result)`` loses a layer that is both a result and another layer's only input:
    Dask fuses it with that one.
    """
    if not isinstance(field, da.Array):
        return field
    label = f"aktes-{name.replace('_', '-')}-{tokenize(field.name)}"
    return da.map_blocks(_same, field, dtype=field.dtype, meta=field._meta, name=label)


def _same(block: NDArray[Any]) -> NDArray[Any]:
    return block


def _planes(
    stacked: da.Array,
    plane: slice | int,
    name: str,
    dtype: type[np.generic] = np.float32,
    *,
    read: Callable[[NDArray[np.float32]], NDArray[Any]] | None = None,
) -> da.Array:
    """Take one variable out of the stack: one task per chunk, and a layer of a few bytes."""
    known: dict[str, Any] = {
        "stored": dtype,
        "dtype": dtype,
        "name": f"aktes-{name.replace('_', '-')}-{tokenize(stacked.name, name)}",
    }
    if isinstance(plane, slice):
        sizes = (stacked.chunks[0], (plane.stop - plane.start,), *stacked.chunks[2:])
        meta = np.empty((0, 0, 0, 0), dtype)
        return da.map_blocks(_take, stacked, plane=plane, chunks=sizes, meta=meta, **known)
    # Not map_blocks: where it drops an axis it asks for joined blocks, and Dask fuses only layers
    # that agree on that. A writer's one task for a block shall take all its variables.
    meta = np.empty((0, 0, 0), dtype)
    image: da.Array = da.blockwise(
        _take_one, "tyx", stacked, "tpyx", plane=plane, read=read, meta=meta, **known
    )
    return image


def _take(block: NDArray[np.float32], *, plane: slice | int, stored: Any) -> NDArray[Any]:
    return block[:, plane].astype(stored, copy=False)


def _take_one(
    blocks: list[NDArray[np.float32]],
    *,
    plane: int,
    stored: Any,
    read: Callable[[NDArray[np.float32]], NDArray[Any]] | None,
) -> NDArray[Any]:
    """Take a plane of the only block along the planes."""
    values = blocks[0][:, plane]
    return (values if read is None else read(values)).astype(stored, copy=False)


def _provenance(ds: xr.Dataset, settings: BlockSettings, bundle: Bundle) -> dict[str, Any]:
    used = settings.method
    if used == "fusion" and settings.student is None:
        used = "teacher"
    configuration = {
        **asdict(settings),
        "bundle": bundle.sha256,
        "package_version": __version__,
        "assumed_errors": [
            DEFAULT_WATER_VAPOR_ERROR,
            DEFAULT_AIR_TEMPERATURE_ERROR_K,
            DEFAULT_SKIN_TEMPERATURE_ERROR_K,
            DEFAULT_EMISSIVITY_ERROR,
        ],
    }
    text = json.dumps(configuration, sort_keys=True)
    attrs: dict[str, Any] = {
        "Conventions": "CF-1.11",
        "title": "Land-surface temperature and emissivity from ASTER thermal imagery",
        "source": f"aktes_xr {__version__}",
        "package_version": __version__,
        "method": settings.method,
        "method_used": used,
        "cloud_source": settings.cloud_source,
        "configuration_sha256": hashlib.sha256(text.encode()).hexdigest(),
    }
    if settings.method not in PHYSICAL:
        attrs |= {"bundle": bundle.name, "bundle_sha256": bundle.sha256}
    if settings.student is not None:
        attrs["student"] = settings.student
        if settings.method == "fusion" and bundle.fusion is not None:
            attrs |= {f"fusion_{key}": value for key, value in bundle.fusion.to_json().items()}
    attrs |= {key: ds.attrs[key] for key in sorted(ds.attrs) if key.startswith(ORIGIN_ATTRIBUTES)}
    assumed = {
        "water_vapor": f"{DEFAULT_WATER_VAPOR_ERROR:.0%} of the value",
        "air_temperature": f"{DEFAULT_AIR_TEMPERATURE_ERROR_K:g} K",
        "skin_temperature": f"{DEFAULT_SKIN_TEMPERATURE_ERROR_K:g} K",
        "emissivity_prior": f"{DEFAULT_EMISSIVITY_ERROR:g}",
    }
    for name, error in assumed.items():
        stated = {f"{name}_error", f"{name}_uncertainty"} & {str(key) for key in ds.variables}
        if name in ds and not stated:
            attrs[f"assumed_{name}_error"] = error
    if "item_id" in ds.coords and not isinstance(ds["item_id"].data, da.Array):
        dates = ds["item_id"].to_numpy().tolist()
        attrs["item_ids"] = [item for date in dates for item in str(date).split(ITEM_SEPARATOR)]
    return attrs
