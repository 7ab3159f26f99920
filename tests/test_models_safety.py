"""Bundles made to harm: each is refused by an error of the tree, before anything is run."""

from __future__ import annotations

import functools
import http.server
import io
import json
import shutil
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from random_bundle import add_file, edit_manifest, random_bundle

from aktes_xr.errors import (
    BundleError,
    BundleIntegrityError,
    BundleNotFoundError,
    BundleVersionError,
    UnsafeBundleError,
)
from aktes_xr.models import files, load_bundle, safety
from aktes_xr.models.safety import check_manifest


@pytest.fixture
def path(tmp_path: Path) -> Path:
    random_bundle(tmp_path / "random", students=False)
    return tmp_path / "random"


def archive(members: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as target:
        for name, data in members.items():
            target.writestr(name, data)
    return buffer.getvalue()


def packed(path: Path) -> Path:
    return Path(shutil.make_archive(str(path.parent / "packed"), "zip", path))


@pytest.mark.parametrize("length", [0, 3, 22, 100, 2_000, -1])
def test_a_truncated_network_with_a_matching_hash_is_refused(path: Path, length: int) -> None:
    add_file(path, "teacher.npz", (path / "teacher.npz").read_bytes()[:length])
    with pytest.raises(BundleIntegrityError, match=r"teacher\.npz"):
        load_bundle(path)


@pytest.mark.parametrize("length", [0, 3, 22, 100, 1_000, 5_000])
def test_a_truncated_zip_is_refused(path: Path, length: int) -> None:
    whole = packed(path)
    whole.write_bytes(whole.read_bytes()[:length])
    with pytest.raises(BundleIntegrityError, match="zip"):
        load_bundle(whole)


def test_a_damaged_member_of_a_zip_is_refused(path: Path) -> None:
    whole = packed(path)
    data = bytearray(whole.read_bytes())
    with zipfile.ZipFile(whole) as source:
        start = source.getinfo("teacher.npz").header_offset
    data[start + 60 : start + 80] = bytes(20)
    whole.write_bytes(bytes(data))
    with pytest.raises(BundleIntegrityError, match=r"teacher\.npz"):
        load_bundle(whole)


def test_an_encrypted_member_is_refused(path: Path) -> None:
    """Bit 0 of the flags, in the file's own header and in the directory, says encrypted."""
    whole = packed(path)
    data = bytearray(whole.read_bytes())
    with zipfile.ZipFile(whole) as source:
        data[source.getinfo("teacher.npz").header_offset + 6] |= 1
    directory = data.rfind(b"PK\x01\x02", 0, data.rfind(b"teacher.npz"))
    data[directory + 8] |= 1
    whole.write_bytes(bytes(data))
    with pytest.raises(BundleIntegrityError, match="damaged"):
        load_bundle(whole)


@pytest.mark.parametrize(
    "name",
    [
        "../outside.npz",
        "/etc/hostname.json",
        "a/b.npz",
        "..\\x.json",
        "c:x.json",
        ".npz",
        "a\0.json",
    ],
)
def test_a_manifest_that_points_outside_is_refused(path: Path, name: str) -> None:
    edit_manifest(path, files={name: {"sha256": "0" * 64, "bytes": 1}})
    with pytest.raises(UnsafeBundleError, match="side by side"):
        load_bundle(path)


def test_a_network_outside_the_list_is_refused(path: Path) -> None:
    networks = json.loads((path / "bundle.json").read_text())["networks"]
    networks[0]["file"] = "../elsewhere.npz"
    edit_manifest(path, networks=networks)
    with pytest.raises(BundleIntegrityError, match="does not list it"):
        load_bundle(path)


def test_a_zip_with_folders_or_links_upwards_is_refused(path: Path) -> None:
    whole = packed(path)
    with zipfile.ZipFile(whole, "a") as target:
        target.writestr("../../startup.json", b"{}")
    with pytest.raises(UnsafeBundleError, match=r"\.\./\.\./startup\.json"):
        load_bundle(whole)


def test_bombs_are_refused_before_they_unpack(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "LIMIT_BYTES", 2**20)
    monkeypatch.setattr(safety, "LIMIT_BYTES", 2**20)
    zeros = {f"{number}.json": bytes(300_000) for number in range(4)}
    whole = packed(path)
    with zipfile.ZipFile(whole, "a", zipfile.ZIP_DEFLATED) as target:
        for name, data in zeros.items():
            target.writestr(name, data)
    assert whole.stat().st_size < 2**18
    with pytest.raises(UnsafeBundleError, match="unpack to"):
        load_bundle(whole)

    buffer = io.BytesIO()
    np.savez_compressed(buffer, weight_0=np.zeros(2**19, np.float32))
    add_file(path, "teacher.npz", buffer.getvalue())
    with pytest.raises(UnsafeBundleError, match=r"teacher\.npz would unpack to"):
        load_bundle(path)


def test_a_keras_bomb_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(safety, "LIMIT_BYTES", 2**20)
    members = {"config.json": b"{}", "metadata.json": b"{}", "model.weights.h5": bytes(2**21)}
    add_file(path, "teacher.keras", archive(members, zipfile.ZIP_DEFLATED))
    with pytest.raises(UnsafeBundleError, match=r"teacher\.keras would unpack to"):
        load_bundle(path)


def test_an_array_larger_than_its_file_is_refused(path: Path) -> None:
    header = io.BytesIO()
    described = {"descr": "<f4", "fortran_order": False, "shape": (2**45,)}
    np.lib.format.write_array_header_1_0(header, described)
    add_file(path, "teacher.npz", archive({"weight_0.npy": header.getvalue() + bytes(64)}))
    with pytest.raises(BundleIntegrityError, match=r"teacher\.npz"):
        load_bundle(path)


def test_oversize_files_are_not_read(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listed = json.loads((path / "bundle.json").read_text())["files"]
    listed["teacher.npz"]["bytes"] = files.LIMIT_BYTES + 1
    edit_manifest(path, files=listed)
    with pytest.raises(UnsafeBundleError, match="at most"):
        load_bundle(path)
    monkeypatch.setattr(files, "MANIFEST_LIMIT_BYTES", 100)
    with pytest.raises(UnsafeBundleError, match=r"bundle\.json has more than 100 bytes"):
        load_bundle(path)
    with pytest.raises(UnsafeBundleError, match="more than 100 bytes"):
        load_bundle(packed(path))


def test_files_that_are_not_listed_are_not_read(path: Path) -> None:
    expected = load_bundle(path)
    (path / "payload.pkl").write_bytes(b"cos\nsystem\n(S'false'\ntR.")
    (path / "setup.py").write_text("raise SystemExit")
    for place in (path, packed(path)):
        found = load_bundle(place)
        assert found.sha256 == expected.sha256
        assert set(found.extras) == set(expected.extras)


@pytest.mark.parametrize(
    "changes",
    [
        {"schema": True},
        {"schema": "1"},
        {"schema": 0},
        {"files": []},
        {"files": {"a.json": None}},
        {"files": {"a.json": {"sha256": 3, "bytes": 1}}},
        {"files": {"a.json": {"sha256": "", "bytes": -1}}},
        {"files": {"a.json": {"sha256": "", "bytes": "9"}}},
        {"networks": {}},
        {"networks": ["teacher"]},
        {"networks": []},
        {"fusion": 3},
        {"fusion": {"start_k": 2.0, "full_k": 1.0, "sharpness": 0.0}},
        {"name": None},
    ],
)
def test_a_manifest_of_the_wrong_kind_is_refused(path: Path, changes: dict[str, object]) -> None:
    edit_manifest(path, **changes)
    with pytest.raises(BundleIntegrityError):
        load_bundle(path)


@pytest.mark.parametrize("field", ["center", "output_scale"])
@pytest.mark.parametrize("value", [["a", "b"], "text", None, [], [[1.0]]])
def test_a_scaling_of_the_wrong_kind_is_refused(path: Path, field: str, value: object) -> None:
    networks = json.loads((path / "bundle.json").read_text())["networks"]
    networks[0]["scaling"][field] = value
    edit_manifest(path, networks=networks)
    with pytest.raises(BundleIntegrityError):
        load_bundle(path)


def test_deep_nesting_is_refused() -> None:
    deep = b"[" * 200_000 + b"]" * 200_000
    with pytest.raises(BundleIntegrityError, match="not JSON"):
        check_manifest(deep, schema=1)


def test_a_newer_schema_is_refused_whatever_else_it_holds(path: Path) -> None:
    (path / "bundle.json").write_text('{"schema": 99, "layout": "another"}')
    with pytest.raises(BundleVersionError, match="schema 99, this package reads up to 1"):
        load_bundle(path)


@pytest.mark.parametrize(
    "layer",
    [
        {"class_name": "Lambda", "module": "keras.layers", "config": {"function": "code"}},
        {"class_name": "__typespec__", "module": "tensorflow", "spec_name": "x"},
        {"class_name": "__numpy__", "config": {"value": []}},
        {"class_name": "TorchModuleWrapper", "module": "keras.layers"},
        {"class_name": "Dense", "module": "os.path"},
        {"module": "keras", "class_name": "Dense", "config": {"activation": {
            "class_name": "function", "module": "subprocess", "config": "call"}}},
    ],
)  # fmt: skip
def test_layers_that_could_run_code_are_refused(path: Path, layer: dict[str, object]) -> None:
    config = {"class_name": "Functional", "module": "keras", "config": {"layers": [layer]}}
    members = {
        "config.json": json.dumps(config).encode(),
        "metadata.json": b"{}",
        "model.weights.h5": b"",
    }
    add_file(path, "teacher.keras", archive(members))
    with pytest.raises(UnsafeBundleError, match="could run code"):
        load_bundle(path)


def test_a_lambda_that_keras_itself_saved_is_refused(path: Path, tmp_path: Path) -> None:
    keras = pytest.importorskip("keras")
    inputs = keras.Input((3,))
    model = keras.Model(inputs, keras.layers.Lambda(lambda node: node + 1)(inputs))
    model.save(tmp_path / "lambda.keras")
    add_file(path, "teacher.keras", (tmp_path / "lambda.keras").read_bytes())
    with pytest.raises(UnsafeBundleError, match="Lambda"):
        load_bundle(path)


class _Refusing(http.server.BaseHTTPRequestHandler):
    """Answers 403 to all but what a test lets through."""

    def do_GET(self) -> None:
        self.send_error(404 if "missing" in self.path else 403)

    def do_HEAD(self) -> None:
        self.do_GET()

    def log_message(self, *arguments: object) -> None:
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[str]:
    service = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Refusing)
    thread = threading.Thread(target=service.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{service.server_port}"
    service.shutdown()
    service.server_close()
    thread.join()


@pytest.mark.parametrize("name", ["bundle", "bundle.zip"])
def test_a_refused_download_shows_no_signature(server: str, name: str) -> None:
    pytest.importorskip("aiohttp")
    with pytest.raises(BundleError) as caught:
        load_bundle(f"{server}/{name}?sig=SECRET")
    assert "SECRET" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


def test_a_missing_download_is_not_found(server: str) -> None:
    pytest.importorskip("aiohttp")
    with pytest.raises(BundleNotFoundError, match="no bundle at http://127"):
        load_bundle(f"{server}/missing")


def test_served_over_http(path: Path) -> None:
    pytest.importorskip("aiohttp")
    handler = functools.partial(_Quiet, directory=str(path.parent))
    packed(path)
    service = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=service.serve_forever, daemon=True)
    thread.start()
    try:
        root = f"http://127.0.0.1:{service.server_port}"
        expected = load_bundle(path).sha256
        assert load_bundle(f"{root}/random").sha256 == expected
        assert load_bundle(f"{root}/random/?sig=SECRET").sha256 == expected
        assert load_bundle(f"{root}/packed.zip").sha256 == expected
    finally:
        service.shutdown()
        service.server_close()
        thread.join()


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments: object) -> None:
        """Say nothing."""


@pytest.mark.parametrize("value", [1e300, -1e39, np.inf, np.nan])
def test_weights_that_single_precision_cannot_hold_are_refused(path: Path, value: float) -> None:
    with np.load(path / "teacher.npz") as archive:
        arrays = {name: archive[name].astype(np.float64) for name in archive.files}
    arrays["weight_1"][3, 2] = value
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    add_file(path, "teacher.npz", buffer.getvalue())
    with pytest.raises(BundleIntegrityError, match=r"weight_1 holds numbers that are not finite"):
        load_bundle(path)


@pytest.mark.parametrize("field", ["center", "scale", "high", "output_scale", "log_sigma_slope"])
def test_scalings_that_single_precision_cannot_hold_are_refused(path: Path, field: str) -> None:
    networks = json.loads((path / "bundle.json").read_text())["networks"]
    networks[0]["scaling"][field][0] = 1e300
    edit_manifest(path, networks=networks)
    with pytest.raises(BundleIntegrityError, match=f"{field} holds numbers that are not finite"):
        load_bundle(path)
