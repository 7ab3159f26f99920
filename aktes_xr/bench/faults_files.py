"""Bundles, ancillaries and reports that were made to harm."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
import xarray as xr

from aktes_xr.bench.fault_rows import Outcome, fault
from aktes_xr.bench.fault_stage import Stage

_PEAK_MB: Final = 500
_LOADS: Final = """
import sys
from pathlib import Path
from aktes_xr.errors import BundleError
from aktes_xr.models import load_bundle
for path in sys.argv[1:]:
    try:
        load_bundle(path)
        print(Path(path).stem, "accepted")
    except BundleError as error:
        print(Path(path).stem, error.code)
peak = Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0]
print("peak", int(peak) // 1024)
"""


@fault("bundles", expected="each refused, peak below 500 MB")
def hostile_bundles(stage: Stage) -> Outcome:
    """A changed byte, traversal, links, pickles, Lambda, claims, bombs, NaN, 1e300, nesting."""
    paths = []
    for spoil in _SPOILS:
        folder = stage.folder / spoil.__name__.strip("_")
        shutil.copytree(stage.bundle, folder)
        paths.append(str(spoil(folder) or folder))
    ended = stage.python(_LOADS, *paths)
    *lines, peak = ended.told.split("\n")[:-1] or [""]
    accepted = [line.split()[0] for line in lines if line.endswith(" accepted")]
    megabytes = int(peak.split()[-1]) if peak.startswith("peak") else 10**6
    holds = ended.code == 0 and len(lines) == len(_SPOILS) and not accepted
    said = f"{len(lines) - len(accepted)} of {len(_SPOILS)} refused, peak {megabytes} MB"
    more = f", ACCEPTED {', '.join(accepted)}" if accepted else f", {ended}" if ended.code else ""
    return Outcome(said + more, holds and megabytes < _PEAK_MB)


def _list(folder: Path, name: str, content: bytes, **claims: Any) -> None:
    """Write a file of a bundle, and say in its manifest what it is."""
    (folder / name).write_bytes(content)
    path = folder / "bundle.json"
    manifest = json.loads(path.read_text(encoding="utf-8"))
    entry = {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content), **claims}
    manifest["files"][name] = entry
    path.write_text(json.dumps(manifest), encoding="utf-8")


def _archive(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as target:
        for name, content in members.items():
            target.writestr(name, content)
    return buffer.getvalue()


def _zipped(folder: Path, **more: bytes) -> Path:
    path = Path(shutil.make_archive(str(folder) + "-zip", "zip", folder))
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as target:
        for name, content in more.items():
            target.writestr(name.replace("_up_", "../"), content)
    return path


def _changed_byte(folder: Path) -> None:
    path = folder / "teacher.npz"
    content = bytearray(path.read_bytes())
    content[-200] ^= 1
    path.write_bytes(content)


def _traversal(folder: Path) -> None:
    path = folder / "bundle.json"
    manifest = json.loads(path.read_text(encoding="utf-8"))
    manifest["files"]["../../outside.npz"] = {"sha256": "0" * 64, "bytes": 1}
    path.write_text(json.dumps(manifest), encoding="utf-8")


def _traversal_in_zip(folder: Path) -> Path:
    return _zipped(folder, _up__up_startup=b"{}")


def _link(folder: Path) -> None:
    (folder / "teacher.npz").unlink()
    (folder / "teacher.npz").symlink_to("/etc/passwd")


def _pickle(folder: Path) -> None:
    buffer = io.BytesIO()
    np.savez(buffer, weight_0=np.array([{"a": 1}], dtype=object))
    _list(folder, "teacher.npz", buffer.getvalue())


def _lambda(folder: Path) -> None:
    layer = {"class_name": "Lambda", "module": "keras.layers", "config": {"function": "code"}}
    config = {"class_name": "Functional", "module": "keras", "config": {"layers": [layer]}}
    members = {"config.json": json.dumps(config).encode(), "metadata.json": b"{}"}
    _list(folder, "teacher.keras", _archive({**members, "model.weights.h5": b""}))


def _claim(folder: Path) -> None:
    header = io.BytesIO()
    described = {"descr": "<f4", "fortran_order": False, "shape": (2**33,)}
    np.lib.format.write_array_header_1_0(header, described)
    _list(folder, "teacher.npz", _archive({"weight_0.npy": header.getvalue() + bytes(64)}))


def _bomb(folder: Path) -> None:
    _list(folder, "teacher.npz", _archive({"weight_0.npy": bytes(600 * 2**20)}))


def _lying_size(folder: Path) -> None:
    _list(folder, "teacher.npz", (folder / "teacher.npz").read_bytes(), bytes=10)


def _numbers(folder: Path, value: float) -> None:
    with np.load(folder / "teacher.npz") as archive:
        arrays = {name: archive[name].astype(np.float64) for name in archive.files}
    arrays["weight_0"][0, 0] = value
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    _list(folder, "teacher.npz", buffer.getvalue())


def _nan(folder: Path) -> None:
    _numbers(folder, float("nan"))


def _too_large_for_single(folder: Path) -> None:
    _numbers(folder, 1e300)


def _nesting(folder: Path) -> None:
    (folder / "bundle.json").write_text("[" * 100_000, encoding="utf-8")


_SPOILS: Final[tuple[Callable[[Path], Path | None], ...]] = (
    _changed_byte, _traversal, _traversal_in_zip, _link, _pickle, _lambda, _claim, _bomb,
    _lying_size, _nan, _too_large_for_single, _nesting,
)  # fmt: skip


@fault("files", expected="2, one line, no code run")
def pickle_codec(stage: Stage) -> Outcome:
    """An ancillary Zarr store whose codec is pickle."""
    store, marker = stage.folder / "a.zarr", stage.folder / "marker"
    times = np.array(["2003-01-01", "2003-02-01"], "datetime64[ns]")
    fields = {"t2m": (("time",), np.full(2, 290.0, np.float32), {"units": "K"})}
    xr.Dataset(fields, {"time": times}).to_zarr(store, zarr_format=2, consolidated=False)
    described = json.loads((store / "t2m" / ".zarray").read_text(encoding="utf-8"))
    described |= {"filters": [{"id": "pickle"}], "dtype": "|O", "fill_value": None}
    (store / "t2m" / ".zarray").write_text(json.dumps(described), encoding="utf-8")
    # What would be run is the making of a file.
    made = f"cposix\nmknod\n(V{marker}\ntR."
    (store / "t2m" / "0").write_bytes(made.encode())
    ended = stage.run("--ancillary", str(store), items=stage.items[:2])
    holds = ended.code == 2 and ended.plain and not marker.exists()
    return Outcome(f"{ended}, {'CODE RUN' if marker.exists() else 'no code run'}", holds)


@fault("files", expected="2 or 4, one line each", own=True)
def cut_files(stage: Stage) -> Outcome:
    """An elevation model and ancillaries that are cut off, empty or text."""
    cut = stage.folder / "cut.tif"
    content = Path(stage.item(0)["assets"]["TIR"]["href"]).read_bytes()
    cut.write_bytes(content[: len(content) // 4])
    (stage.folder / "empty.nc").touch()
    (stage.folder / "text.nc").write_text("CDF and no more", encoding="utf-8")
    options = (
        ("--dem", str(cut)),
        ("--ancillary", str(stage.folder / "empty.nc")),
        ("--ancillary", str(stage.folder / "text.nc")),
    )
    ended = [stage.run(*option, items=stage.items[:2]) for option in options]
    holds = all(one.code in (2, 4) and one.plain for one in ended)
    return Outcome("; ".join(map(str, ended)), holds)


@fault("report", expected="escaped")
def script_in_an_id(stage: Stage) -> Outcome:
    """A script in an item's id."""
    page = stage.folder / "report.html"
    ended = stage.run(items=stage.write([stage.item(5, id="<script>alert(1)</script>")]))
    report = stage.aktes("report", str(stage.out), "--out", str(page))
    raw = "<script>alert" in page.read_text(encoding="utf-8")
    holds = ended.code == 0 and report.code == 0 and not raw
    return Outcome(f"{report}, {'RAW' if raw else 'escaped'}", holds)
