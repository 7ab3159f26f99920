"""The item against what version 1.5.0 of the extension's schema requires, written out by hand."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

import pystac
import pytest
from random_bundle import random_bundle, random_model

from aktes_xr.models import BundleContents, load_bundle, write_bundle
from aktes_xr.models.features import STUDENT_FEATURES, TEACHER_FEATURES

REQUIRED = ("mlm:name", "mlm:architecture", "mlm:tasks", "mlm:input", "mlm:output")
ALLOWED = {
    *REQUIRED,
    *("mlm:framework", "mlm:framework_version", "mlm:memory_size", "mlm:total_parameters"),
    *("mlm:pretrained", "mlm:pretrained_source", "mlm:batch_size_suggestion", "mlm:accelerator"),
    *("mlm:accelerator_constrained", "mlm:accelerator_summary", "mlm:accelerator_count"),
    "mlm:hyperparameters",
}
SEMANTIC_VERSION = r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    random_bundle(tmp_path / "random")
    return tmp_path / "random"


@pytest.fixture
def item(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((path / "mlm.json").read_text())
    return found


def test_it_is_a_stac_item(item: dict[str, Any]) -> None:
    read = pystac.Item.from_dict(item)
    assert read.id == "aktes-xr-random"
    assert read.properties["start_datetime"] < read.properties["end_datetime"]
    assert item["properties"]["datetime"] is None
    assert item["geometry"]["coordinates"][0][0] == item["geometry"]["coordinates"][0][-1]
    assert any(re.fullmatch(r".*/mlm/v1\.\d+\.\d+/schema\.json", e) for e in read.stac_extensions)


def test_the_extension_s_fields(item: dict[str, Any]) -> None:
    properties = item["properties"]
    assert set(REQUIRED) <= set(properties)
    assert {key for key in properties if key.startswith("mlm:")} <= ALLOWED
    assert re.fullmatch(r"[a-zA-Z][a-zA-Z0-9_.\-\s]+[a-zA-Z0-9]", properties["mlm:name"])
    assert properties["mlm:tasks"] == ["regression"]
    assert properties["mlm:pretrained"] is False
    assert properties["mlm:pretrained_source"] is None
    assert properties["mlm:accelerator"] == "amd64"
    assert all(re.fullmatch(r"[0-9a-zA-Z_.-]+", key) for key in properties["mlm:hyperparameters"])
    teacher = (len(TEACHER_FEATURES) + 1) * 64 + (64 + 1) * 64 + (64 + 1) * 12
    student = (len(STUDENT_FEATURES) + 1) * 16 + (16 + 1) * 16 + (16 + 1) * 12
    assert properties["mlm:total_parameters"] == teacher + student


def test_inputs_are_the_networks_own(path: Path, item: dict[str, Any]) -> None:
    bundle = load_bundle(path)
    for model, features in (
        (bundle.teacher, TEACHER_FEATURES),
        (bundle.students[0], STUDENT_FEATURES),
    ):
        names: list[str] = []
        scaled: list[tuple[float, float]] = []
        for entry in item["properties"]["mlm:input"]:
            if not entry["name"].startswith(model.name):
                continue
            structure = entry["input"]
            assert set(structure) >= {"shape", "dim_order", "data_type"}
            (kind,) = {"bands", "variables"} & set(entry)
            assert kind in structure["dim_order"]
            members = [part if isinstance(part, str) else part["name"] for part in entry[kind]]
            assert structure["shape"] == [-1, len(members)] == [-1, len(entry["value_scaling"])]
            names += members
            scaled += [(scale["mean"], scale["stddev"]) for scale in entry["value_scaling"]]
            assert {scale["type"] for scale in entry["value_scaling"]} == {"z-score"}
        assert tuple(names) == features
        centers = zip(model.scaling.center.tolist(), model.scaling.scale.tolist(), strict=True)
        assert scaled == [pytest.approx(pair, rel=1e-6) for pair in centers]


def test_bands_and_variables_are_described(item: dict[str, Any]) -> None:
    properties = item["properties"]
    bands = {band["name"] for band in properties["bands"]}
    variables = set(properties["cube:variables"])
    for entry in properties["mlm:input"]:
        for part in entry.get("bands", ()):
            assert set(re.findall(r"\w+", part["expression"])) <= bands
        assert set(entry.get("variables", ())) <= variables
    for variable in properties["cube:variables"].values():
        assert set(variable["dimensions"]) <= set(properties["cube:dimensions"])


def test_outputs(item: dict[str, Any]) -> None:
    outputs = item["properties"]["mlm:output"]
    assert len({entry["name"] for entry in outputs}) == len(outputs) == 8
    for entry in outputs:
        assert set(entry) >= {"name", "tasks", "result"}
        assert set(entry["result"]) >= {"shape", "dim_order", "data_type"}
        assert ("bands" in entry) == ("bands" in entry["result"]["dim_order"])


def test_assets_are_the_bundle_s_files_with_their_checksums(
    path: Path, item: dict[str, Any]
) -> None:
    assert set(item["assets"]) == {"teacher.npz", "student.npz", "model_card.md"}
    for name, asset in item["assets"].items():
        data = (path / name).read_bytes()
        assert asset["href"] == f"./{name}"
        assert asset["file:checksum"] == "1220" + hashlib.sha256(data).hexdigest()
        assert asset["file:size"] == len(data)
        assert ("mlm:model" in asset["roles"]) == ("mlm:artifact_type" in asset)
        assert not {"mlm:name", "mlm:input", "mlm:output", "mlm:hyperparameters"} & set(asset)
    assert "mlm:model" in item["assets"]["teacher.npz"]["roles"]


def test_it_is_hashed_and_carries_no_place(path: Path) -> None:
    text = (path / "mlm.json").read_text()
    assert str(path.parent) not in text
    assert not re.search(r"file://|/home/|/tmp/|[?&](sig|token)=", text)
    assert "mlm.json" in json.loads((path / "bundle.json").read_text())["files"]


def test_a_copied_bundle_describes_itself_anew(path: Path, tmp_path: Path) -> None:
    source = load_bundle(path)
    models = (source.teacher, random_model("student", (8,), name="alps", footprint=(5, 44, 16, 48)))
    extras = {**source.extras, "recipe.json": b'{"name": "toy", "seed": 3}'}
    contents = BundleContents("alps 2", models, source.model_card, source.fusion, extras)
    bundle = write_bundle(tmp_path / "alps", contents)
    item = json.loads(bundle.extras["mlm.json"])
    assert set(item["assets"]) == {"teacher.npz", "alps.npz", "model_card.md", "recipe.json"}
    chosen = item["properties"]["mlm:hyperparameters"]
    assert chosen["recipe"] == {"name": "toy", "seed": 3}
    assert chosen["alps.footprint"] == [5, 44, 16, 48]
    described = bundle.summary()["stac_mlm"]
    assert described.startswith("aktes-xr-alps-2 (mlm.json)")
    assert "2 model files" in described


def test_the_shipped_bundle_names_its_framework() -> None:
    properties = json.loads(load_bundle("default").extras["mlm.json"])["properties"]
    assert properties["mlm:framework"] == "Keras"
    assert re.fullmatch(SEMANTIC_VERSION, properties["mlm:framework_version"])
