from __future__ import annotations

import hashlib
import io
import json
import pickle
import shutil
import zipfile
from pathlib import Path

import fsspec
import numpy as np
import pytest
from random_bundle import add_file, edit_manifest, random_bundle, random_model

from aktes_xr.errors import (
    BundleIntegrityError,
    BundleNotFoundError,
    BundleVersionError,
    InputError,
    UnsafeBundleError,
)
from aktes_xr.models import BundleContents, Fusion, load_bundle, write_bundle
from aktes_xr.models.features import QUANTITIES


@pytest.fixture
def path(tmp_path: Path) -> Path:
    random_bundle(tmp_path / "random")
    return tmp_path / "random"


def test_round_trip_keeps_every_number(path: Path) -> None:
    bundle = load_bundle(path)
    original = random_model("teacher", (64, 64))
    rng = np.random.default_rng(1)
    quantities = rng.normal(280.0, 10.0, (100, len(QUANTITIES))).astype(np.float32)
    for found, expected in zip(
        bundle.teacher.predict(quantities), original.predict(quantities), strict=True
    ):
        np.testing.assert_array_equal(found, expected)
    assert bundle.fusion == Fusion(0.1, 0.5, 0.5)
    assert bundle.sha256 == hashlib.sha256((path / "bundle.json").read_bytes()).hexdigest()
    assert json.loads(json.dumps(bundle.summary()))["networks"][0]["units"] == [64, 64, 12]


def test_same_contents_give_the_same_hash(path: Path, tmp_path: Path) -> None:
    assert random_bundle(tmp_path / "again").sha256 == load_bundle(path).sha256


@pytest.mark.parametrize("where", ["zip", "memory", "memory zip"])
def test_loads_from_zip_and_url(path: Path, tmp_path: Path, where: str) -> None:
    expected = load_bundle(path).sha256
    archive = shutil.make_archive(str(tmp_path / "packed"), "zip", path)
    if where == "zip":
        assert load_bundle(archive).sha256 == expected
        return
    memory = fsspec.filesystem("memory")
    if where == "memory":
        memory.put(str(path) + "/", "/bundles/random/", recursive=True)
        assert load_bundle("memory://bundles/random").sha256 == expected
    else:
        memory.put(archive, "/bundles/random.zip")
        assert load_bundle("memory://bundles/random.zip").sha256 == expected


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(BundleNotFoundError, match="no bundle at"):
        load_bundle(tmp_path)
    with pytest.raises(BundleNotFoundError):
        load_bundle(tmp_path / "missing.zip")


@pytest.mark.parametrize("name", ["teacher.npz", "model_card.md"])
def test_truncated_and_changed_files_are_refused(path: Path, name: str) -> None:
    data = (path / name).read_bytes()
    (path / name).write_bytes(data[:-1])
    with pytest.raises(BundleIntegrityError, match="truncated"):
        load_bundle(path)
    (path / name).write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(BundleIntegrityError, match="SHA-256"):
        load_bundle(path)
    (path / name).unlink()
    with pytest.raises(BundleIntegrityError, match="is not in the bundle"):
        load_bundle(path)


def test_truncated_manifest_and_zip_are_refused(path: Path, tmp_path: Path) -> None:
    archive = Path(shutil.make_archive(str(tmp_path / "packed"), "zip", path))
    archive.write_bytes(archive.read_bytes()[:-40])
    with pytest.raises(BundleIntegrityError, match="zip"):
        load_bundle(archive)
    manifest = path / "bundle.json"
    manifest.write_bytes(manifest.read_bytes()[:-20])
    with pytest.raises(BundleIntegrityError, match="not JSON"):
        load_bundle(path)


def test_newer_schema_is_refused(path: Path) -> None:
    edit_manifest(path, schema=2)
    with pytest.raises(BundleVersionError, match="upgrade"):
        load_bundle(path)


@pytest.mark.parametrize("name", ["weights.pkl", "model.h5", "../outside.json", "code.py"])
def test_files_that_may_hold_code_are_refused(path: Path, name: str) -> None:
    edit_manifest(path, files={name: {"sha256": "", "bytes": 0}})
    with pytest.raises(UnsafeBundleError):
        load_bundle(path)


def test_pickled_arrays_are_refused_without_running_them(path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (pytest.fail, ("the pickle ran",))

    buffer = io.BytesIO()
    np.savez(buffer, weight_0=np.array([Trap()], dtype=object))
    add_file(path, "teacher.npz", buffer.getvalue())
    with pytest.raises(UnsafeBundleError, match="pickled"):
        load_bundle(path)
    add_file(path, "teacher.npz", pickle.dumps([1.0]))
    with pytest.raises((UnsafeBundleError, BundleIntegrityError)):
        load_bundle(path)


def keras_file(config: object, surplus: str | None = None) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("config.json", json.dumps(config))
        archive.writestr("metadata.json", "{}")
        archive.writestr("model.weights.h5", b"")
        if surplus is not None:
            archive.writestr(surplus, b"")
    return buffer.getvalue()


@pytest.mark.parametrize(
    "layer",
    [
        {"class_name": "Lambda", "module": "keras.layers"},
        {"class_name": "Dense", "module": "my_package.layers"},
        {"class_name": "__lambda__", "config": {"value": "code"}},
        {"class_name": "function", "module": "builtins", "config": "eval"},
    ],
)
def test_unsafe_keras_layers_are_refused(path: Path, layer: dict[str, object]) -> None:
    model = {"class_name": "Functional", "module": "keras", "config": {"layers": [layer]}}
    add_file(path, "teacher.keras", keras_file(model))
    with pytest.raises(UnsafeBundleError, match="could run code"):
        load_bundle(path)


def test_surplus_in_a_keras_file_is_refused(path: Path) -> None:
    add_file(path, "teacher.keras", keras_file({"class_name": "Functional"}, "assets/payload.so"))
    with pytest.raises(UnsafeBundleError, match="payload"):
        load_bundle(path)


def test_network_must_fit_its_manifest(path: Path) -> None:
    networks = json.loads((path / "bundle.json").read_text())["networks"]
    networks[0]["layers"].append({"activation": "relu", "skip": False})
    edit_manifest(path, networks=networks)
    with pytest.raises(BundleIntegrityError, match="lacks layer 3"):
        load_bundle(path)
    networks[0]["layers"].pop()
    networks[0]["features"][0] = "another"
    edit_manifest(path, networks=networks)
    with pytest.raises(BundleIntegrityError, match="other features"):
        load_bundle(path)


def test_writing_refuses_to_replace_unasked(path: Path) -> None:
    contents = BundleContents("other", (random_model("teacher", (8,)),), "# Other\n")
    with pytest.raises(InputError, match="exists"):
        write_bundle(path, contents)
    assert write_bundle(path, contents, overwrite=True).name == "other"
    assert sorted(entry.name for entry in path.parent.iterdir()) == ["random"]


def test_a_bundle_needs_a_teacher(tmp_path: Path) -> None:
    contents = BundleContents("lonely", (random_model("student", (8,)),), "# Lonely\n")
    with pytest.raises(BundleIntegrityError, match="teacher"):
        write_bundle(tmp_path / "lonely", contents)
    assert not (tmp_path / "lonely").exists()


def test_regional_student_is_picked_by_place(tmp_path: Path) -> None:
    models = (
        random_model("teacher", (8,)),
        random_model("student", (8,), name="general"),
        random_model("student", (8,), name="alps", footprint=(5.0, 44.0, 16.0, 48.0)),
    )
    contents = BundleContents("regional", models, "# Regional\n", Fusion(0.1, 0.2, 1.0))
    bundle = write_bundle(tmp_path / "regional", contents)
    inside, outside = bundle.student_at(10.0, 46.0), bundle.student_at(float("nan"), 46.0)
    assert inside is not None
    assert inside.name == "alps"
    assert outside is not None
    assert outside.name == "general"
