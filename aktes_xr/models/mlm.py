"""A bundle's networks as a STAC item of the Machine Learning Model extension [1]_.

Each network has two or three inputs that are concatenated in their order: what is made of the five
bands, the view and the ancillaries, and a student's terrain. Each feature has the mean and the
standard deviation it is scaled by. Each file is an asset with its checksum. All addresses are
relative, and none leaves the bundle.

References
----------
.. [1] https://github.com/stac-extensions/mlm, version 1.5.0.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, Final

from aktes_xr import sensor
from aktes_xr.models.engine import rows_per_call
from aktes_xr.models.features import N_OUTPUTS, STUDENT_FEATURES, TEACHER_FEATURES

if TYPE_CHECKING:
    from aktes_xr.models.pixel_model import PixelModel

MLM: Final = "mlm.json"
EXTENSIONS: Final = (
    "https://stac-extensions.github.io/mlm/v1.5.0/schema.json",
    "https://stac-extensions.github.io/eo/v2.0.0/schema.json",
    "https://stac-extensions.github.io/datacube/v2.2.0/schema.json",
    "https://stac-extensions.github.io/file/v2.1.0/schema.json",
)
RECORD: Final = ("2000-03-04T00:00:00Z", "2026-01-31T23:59:59Z")
"""ASTER's thermal record, first scene in the archive to the switching off of the thermal bands."""

_WORLD: Final = (-180.0, -90.0, 180.0, 90.0)
_TERRAIN_FROM: Final = "sky_view_factor"
_MEDIA: Final = {
    ".npz": "application/zip",
    ".keras": "application/zip",
    ".json": "application/json",
    ".md": "text/markdown",
    ".csv": "text/csv",
    ".toml": "application/toml",
}
_ARTIFACTS: Final = {".npz": "numpy.savez", ".keras": "keras.Model.save"}
_SHA256_MULTIHASH: Final = "1220"
"""Prefix of a SHA-256 as the file extension writes it: code 0x12, 0x20 bytes."""


def mlm_item(name: str, models: Sequence[PixelModel], files: Mapping[str, bytes]) -> dict[str, Any]:
    """Describe a bundle as a STAC item.

    Parameters
    ----------
    name : str
        Of the bundle.
    models : sequence of PixelModel
        The teacher among them.
    files : mapping of str to bytes
        The bundle's files by name.

    Returns
    -------
    dict
        The item; the same contents give the same item.
    """
    west, south, east, north = _WORLD
    ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
    return {
        "type": "Feature",
        "stac_version": "1.1.0",
        "stac_extensions": list(EXTENSIONS),
        "id": f"aktes-xr-{_slug(name)}",
        "geometry": {"type": "Polygon", "coordinates": [ring]},
        "bbox": [west, south, east, north],
        "properties": _properties(name, models, files),
        "links": [],
        "assets": {
            file: _asset(file, data, {model.name: model for model in models})
            for file, data in sorted(files.items())
        },
    }


def _properties(
    name: str, models: Sequence[PixelModel], files: Mapping[str, bytes]
) -> dict[str, Any]:
    sizes = [layer.weight.size + layer.bias.size for m in models for layer in m.network.layers]
    framework, version = _framework(files)
    return {
        "title": f"aktes_xr bundle {name}",
        "description": (
            "Surface temperature and emissivity of ASTER's five thermal bands, each with a "
            "standard uncertainty, pixel by pixel, from brightness temperatures and whatever "
            "ancillaries there are. "
            + " ".join(f"{model.name} is a {model.role}." for model in models)
        ),
        "license": "Apache-2.0",
        "datetime": None,
        "start_datetime": RECORD[0],
        "end_datetime": RECORD[1],
        "platform": "terra",
        "instruments": ["aster"],
        "bands": [
            {"name": band, "eo:center_wavelength": round(float(wavelength), 4)}
            for band, wavelength in zip(sensor.BANDS, sensor.WAVELENGTH_UM, strict=True)
        ],
        "cube:dimensions": {"pixel": {"type": "pixel", "extent": [0, None]}},
        "cube:variables": {
            feature: {"dimensions": ["pixel"], "type": "auxiliary"}
            for model in models
            for feature in _features(model)[len(sensor.BANDS) :]
        },
        "mlm:name": f"aktes_xr {_slug(name)} bundle",
        "mlm:architecture": "Multilayer perceptron",
        "mlm:tasks": ["regression"],
        "mlm:framework": framework,
        **({} if version is None else {"mlm:framework_version": version}),
        "mlm:memory_size": 4 * sum(sizes),
        "mlm:total_parameters": sum(sizes),
        "mlm:pretrained": False,
        "mlm:pretrained_source": None,
        "mlm:batch_size_suggestion": min(rows_per_call(m.network.layers) for m in models),
        "mlm:accelerator": "amd64",
        "mlm:accelerator_constrained": False,
        "mlm:accelerator_summary": "Any processor that ONNX Runtime runs on; no accelerator",
        "mlm:accelerator_count": 1,
        "mlm:input": [entry for model in models for entry in _inputs(model)],
        "mlm:output": [entry for model in models for entry in _outputs(model)],
        "mlm:hyperparameters": _hyperparameters(models, files),
    }


def _inputs(model: PixelModel) -> list[dict[str, Any]]:
    """Describe what the network's features are made of, in the order they are concatenated in."""
    features = _features(model)
    bands = len(sensor.BANDS)
    end = features.index(_TERRAIN_FROM) if _TERRAIN_FROM in features else len(features)
    parts = [("bands", "brightness temperatures", 0, bands)]
    parts.append(("variables", "view and ancillaries", bands, end))
    if end < len(features):
        parts.append(("variables", "terrain", end, len(features)))
    return [
        {
            "name": f"{model.name}: {label}",
            "description": (
                f"Features {first + 1} to {last} of {len(features)}, the part of the network's one "
                "input vector that comes in this place. A missing value is 0 after scaling, and "
                "its mask says so. Bands are brightness temperatures at the sensor, K."
            ),
            kind: [
                _derived(feature) if kind == "bands" else feature
                for feature in features[first:last]
            ],
            "input": {
                "shape": [-1, last - first],
                "dim_order": ["batch", kind],
                "data_type": "float32",
            },
            "value_scaling": [
                {"type": "z-score", "mean": _number(mean), "stddev": _number(deviation)}
                for mean, deviation in zip(
                    model.scaling.center[first:last], model.scaling.scale[first:last], strict=True
                )
            ],
            "resize_type": None,
            "pre_processing_function": {
                "format": "python",
                "expression": "aktes_xr.models.features:standardised_features",
            },
        }
        for kind, label, first, last in parts
    ]


def _features(model: PixelModel) -> tuple[str, ...]:
    return TEACHER_FEATURES if model.role == "teacher" else STUDENT_FEATURES


def _derived(feature: str) -> dict[str, str]:
    """Say how a feature comes from the bands' brightness temperatures."""
    return {
        "name": feature,
        "format": "python",
        "expression": " - ".join(re.findall(r"B\d\d", feature)),
    }


def _outputs(model: PixelModel) -> list[dict[str, Any]]:
    kinds = (
        ("surface temperature", "temperature", 1, "K"),
        ("emissivity", "bands", N_OUTPUTS - 1, "1"),
        ("surface temperature uncertainty", "temperature", 1, "K, 1 sigma"),
        ("emissivity uncertainty", "bands", N_OUTPUTS - 1, "1, 1 sigma"),
    )
    return [
        {
            "name": f"{model.name}: {label}",
            "description": (
                f"Regression; {unit}. The network's own output is standardised: "
                f"{N_OUTPUTS} means (the first is the temperature's excess over the brightness "
                f"temperature of B13), then {N_OUTPUTS} logarithms of variances."
            ),
            "tasks": ["regression"],
            **({"bands": list(sensor.BANDS)} if dimension == "bands" else {}),
            "result": {
                "shape": [-1, length],
                "dim_order": ["batch", dimension],
                "data_type": "float32",
            },
            "post_processing_function": {
                "format": "python",
                "expression": "aktes_xr.models.pixel_model:PixelModel.predict",
            },
        }
        for label, dimension, length, unit in kinds
    ]


def _hyperparameters(models: Sequence[PixelModel], files: Mapping[str, bytes]) -> dict[str, Any]:
    """Collect the layers and, where the bundle holds it, the recipe they were trained by."""
    chosen: dict[str, Any] = {}
    for model in models:
        chosen[f"{_slug(model.name)}.layers"] = [
            {"units": int(layer.bias.shape[0]), "activation": layer.activation, "skip": layer.skip}
            for layer in model.network.layers
        ]
        if model.footprint is not None:
            chosen[f"{_slug(model.name)}.footprint"] = list(model.footprint)
    recipe = json.loads(files.get("recipe.json", b"{}"))
    return chosen | ({"recipe": recipe} if recipe else {})


def _asset(file: str, data: bytes, models: Mapping[str, PixelModel]) -> dict[str, Any]:
    path = PurePosixPath(file)
    asset: dict[str, Any] = {
        "href": f"./{file}",
        "type": _MEDIA[path.suffix],
        "file:size": len(data),
        "file:checksum": _SHA256_MULTIHASH + hashlib.sha256(data).hexdigest(),
    }
    model = models.get(path.stem)
    if model is None or path.suffix not in _ARTIFACTS:
        return asset | {"title": path.stem.replace("_", " "), "roles": ["metadata"]}
    form = "Keras model" if path.suffix == ".keras" else "weights as retrieval reads them"
    return asset | {
        "title": f"{model.name}: {form}",
        "roles": ["mlm:model", "mlm:weights"],
        "mlm:artifact_type": _ARTIFACTS[path.suffix],
    }


def _framework(files: Mapping[str, bytes]) -> tuple[str, str | None]:
    """Return Keras and the version that wrote the teacher, or NumPy for bare arrays."""
    if "teacher.keras" not in files:
        return "NumPy", None
    with zipfile.ZipFile(io.BytesIO(files["teacher.keras"])) as archive:
        version = json.loads(archive.read("metadata.json")).get("keras_version")
    return "Keras", version


def _slug(name: str) -> str:
    """Reduce a name to what the extension allows: letters, digits, dashes, underscores, dots."""
    return re.sub(r"[^a-zA-Z0-9_.-]+", "-", name).strip("-_.") or "bundle"


def _number(value: Any) -> float:
    # float32 as the shortest decimal that reads back to the same number
    return float(str(value))
