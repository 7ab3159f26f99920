"""A bundle of small random networks: everything retrieval does, without any training."""

from __future__ import annotations

import hashlib
import json
from itertools import pairwise
from pathlib import Path

import numpy as np

from aktes_xr.models import (
    Bundle,
    BundleContents,
    Fusion,
    Layer,
    Network,
    PixelModel,
    Scaling,
    write_bundle,
)
from aktes_xr.models.cloud_features import CLOUD_FEATURES
from aktes_xr.models.cloud_test import CloudTest
from aktes_xr.models.domain import DomainTest
from aktes_xr.models.features import N_OUTPUTS, STUDENT_FEATURES, TEACHER_FEATURES


def edit_manifest(path: Path, **changes: object) -> None:
    manifest = json.loads((path / "bundle.json").read_text())
    (path / "bundle.json").write_text(json.dumps(manifest | changes))


def add_file(path: Path, name: str, data: bytes) -> None:
    (path / name).write_bytes(data)
    listed = json.loads((path / "bundle.json").read_text())["files"]
    listed[name] = {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
    edit_manifest(path, files=listed)


def random_network(inputs: int, units: tuple[int, ...], *, seed: int = 0) -> Network:
    rng = np.random.default_rng(seed)
    sizes = (inputs, *units, 2 * N_OUTPUTS)
    layers = []
    for index, (before, after) in enumerate(pairwise(sizes)):
        weight = rng.normal(scale=before**-0.5, size=(after, before)).astype(np.float32)
        bias = rng.normal(scale=0.1, size=(after, 1)).astype(np.float32)
        last = index == len(units)
        layers.append(
            Layer(weight, bias, "linear" if last else "relu", skip=not last and before == after)
        )
    return Network(tuple(layers))


def random_scaling(features: int) -> Scaling:
    rng = np.random.default_rng(features)
    center = rng.normal(size=features).astype(np.float32)
    scale = rng.uniform(0.5, 2.0, features).astype(np.float32)
    physical = {
        "brightness_temperature_B13": (290.0, 15.0),
        "surface_pressure": (950.0, 80.0),
        "relief": (300.0, 300.0),
        "elevation_difference": (0.0, 300.0),
        **{name: (0.0, 20.0) for name in STUDENT_FEATURES if "difference" in name},
        **{name: (0.0, 20.0) for name in STUDENT_FEATURES if "excess_B" in name},
    }
    for index, name in enumerate(STUDENT_FEATURES[:features]):
        center[index], scale[index] = physical.get(name, (center[index], scale[index]))
    bound = np.full(features, 50.0, np.float32)
    return Scaling(
        center,
        scale,
        -bound,
        bound,
        np.array([1.0, 0.9, 0.9, 0.9, 0.95, 0.95], np.float32),
        np.array([3.0, 0.02, 0.02, 0.02, 0.02, 0.02], np.float32),
        np.zeros(N_OUTPUTS, np.float32),
        np.ones(N_OUTPUTS, np.float32),
    )


def random_model(role: str, units: tuple[int, ...], **options: object) -> PixelModel:
    features = len(TEACHER_FEATURES if role == "teacher" else STUDENT_FEATURES)
    name = str(options.pop("name", role))
    network = random_network(features, units, seed=len(role))
    return PixelModel(name, role, network, random_scaling(features), **options)  # type: ignore[arg-type]


def random_cloud_test(threshold: float = 0.5) -> CloudTest:
    """A cloud test that calls cold pixels cloud, and does not care for much else."""
    count = len(CLOUD_FEATURES)
    weight = np.zeros((1, count), np.float32)
    weight[0, 0] = -1.0
    weight[0, CLOUD_FEATURES.index("mean_excess_B13_11")] = 0.2
    weight[0, CLOUD_FEATURES.index("below_scene_p90")] = -0.3
    layer = Layer(weight, np.zeros((1, 1), np.float32), "linear")
    center, scale = np.zeros(count, np.float32), np.ones(count, np.float32)
    center[0], scale[0] = 300.0, 5.0
    return CloudTest(Network((layer,)), center, scale, 1.0, 0.0, threshold, 8.0)


def steep_domain() -> DomainTest:
    """A domain that refuses pixels whose B10 is warmer than B13 by more than 3 K."""
    count = len(TEACHER_FEATURES)
    weight = np.zeros((1, count), np.float32)
    weight[0, TEACHER_FEATURES.index("difference_B10_B13")] = -1.0
    layer = Layer(weight, np.zeros((1, 1), np.float32), "linear")
    zeros, ones = np.zeros(count, np.float32), np.ones(count, np.float32)
    return DomainTest(Network((layer,)), zeros, ones, -3.0)


def random_bundle(
    path: Path, *, students: bool = True, clouds: bool = False, domain: bool = False
) -> Bundle:
    models = [random_model("teacher", (64, 64))]
    fusion = None
    if students:
        models.append(random_model("student", (16, 16)))
        fusion = Fusion(start_k=0.1, full_k=0.5, sharpness=0.5)
    extras = random_cloud_test().files() if clouds else {}
    extras |= steep_domain().files() if domain else {}
    contents = BundleContents("random", tuple(models), "# Random\n", fusion, extras)
    return write_bundle(path, contents)
