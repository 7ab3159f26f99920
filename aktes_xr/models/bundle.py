"""A model bundle: a directory (or zip, local or at any fsspec URL) whose files are all hashed.

``bundle.json`` is the manifest: the networks with their layers, scalings, training domain and
variance calibration, the fusion, and the SHA-256 and size of every other file, among them
``mlm.json``, which describes the networks as a STAC item. The hash of a bundle is that of its
manifest, hence of everything in it. Loading reads the listed files only, verifies each, and builds
networks from plain float32 arrays: nothing in a bundle can run code.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import shutil
import tempfile
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from aktes_xr.documents import html_table
from aktes_xr.errors import BundleError, BundleIntegrityError, InputError
from aktes_xr.models.cloud_test import CloudTest
from aktes_xr.models.domain import DomainTest
from aktes_xr.models.files import read_files
from aktes_xr.models.fusion import Fusion
from aktes_xr.models.mlm import MLM, mlm_item
from aktes_xr.models.network import Network
from aktes_xr.models.pixel_model import PixelModel
from aktes_xr.models.safety import check_keras, check_manifest, check_npz
from aktes_xr.version import __version__

if TYPE_CHECKING:
    from numpy.typing import NDArray

MANIFEST: Final = "bundle.json"
SCHEMA: Final = 1
MODEL_CARD: Final = "model_card.md"

_SHIPPED: Final = Path(__file__).parent.parent / "data" / "bundles"


@dataclass(frozen=True, eq=False)
class Bundle:
    """Networks and calibration, verified and in memory.

    Attributes
    ----------
    name : str
    sha256 : str
        Hash of the manifest.
    location : str
        Where it was loaded from: a shipped bundle's name, a path or a URL.
    models : mapping of str to PixelModel
        By name; one of them is ``"teacher"``.
    fusion : Fusion or None
        None in a bundle without students.
    model_card : str
        Markdown.
    manifest : mapping
        The parsed ``bundle.json``.
    extras : mapping of str to bytes
        The further files by name: Keras exports, metrics, leaderboard.
    """

    name: str
    sha256: str
    location: str
    models: Mapping[str, PixelModel]
    fusion: Fusion | None
    model_card: str
    manifest: Mapping[str, Any]
    extras: Mapping[str, bytes]

    @property
    def teacher(self) -> PixelModel:
        """The network for flat terrain."""
        return self.models["teacher"]

    @cached_property
    def students(self) -> tuple[PixelModel, ...]:
        """Networks that see terrain: regional ones first, the smallest footprint leading."""
        students = [model for model in self.models.values() if model.role == "student"]
        return tuple(sorted(students, key=_precedence))

    @cached_property
    def cloud_test(self) -> CloudTest | None:
        """The bundle's cloud test, or None in one without."""
        return CloudTest.from_files(self.extras)

    @cached_property
    def domain(self) -> DomainTest | None:
        """The bundle's domain, or None in one that has ranges of inputs alone."""
        return DomainTest.from_files(self.extras)

    def student_at(self, longitude: float, latitude: float) -> PixelModel | None:
        """Choose the student with the smallest footprint that holds a place, or the general one.

        Parameters
        ----------
        longitude, latitude : float
            Degrees; NaN where unknown, which no footprint holds.
        """
        for student in self.students:
            if student.footprint is None:
                return student
            west, south, east, north = student.footprint
            if west <= longitude <= east and south <= latitude <= north:
                return student
        return None

    def summary(self) -> dict[str, Any]:
        """Describe the bundle for people and scripts: no paths, safe for JSON."""
        return {
            "name": self.name,
            "sha256": self.sha256,
            "schema": self.manifest["schema"],
            "package_version": self.manifest["package_version"],
            "networks": [
                {
                    "name": model.name,
                    "role": model.role,
                    "multiplications": model.network.multiplications,
                    "units": [int(layer.bias.shape[0]) for layer in model.network.layers],
                    "footprint": model.footprint,
                }
                for model in self.models.values()
            ],
            "fusion": None if self.fusion is None else self.fusion.to_json(),
            "cloud_test": self._cloud_test_described(),
            "domain": self._domain_described(),
            "stac_mlm": self._described(),
        }

    def _cloud_test_described(self) -> str:
        test = self.cloud_test
        if test is None:
            return "none"
        return (
            f"{test.network.multiplications} multiplications, cloud from a probability of "
            f"{test.threshold:.2f} on, a miss costs {test.missed_k:.1f} K"
        )

    def _domain_described(self) -> str:
        if self.domain is None:
            return "ranges of the inputs"
        return f"a network of {self.domain.network.multiplications} multiplications"

    def _repr_html_(self) -> str:
        return html_table(f"Model bundle {self.name}", self._shown())

    def _shown(self) -> dict[str, str]:
        """Say in a few lines what the bundle holds."""
        networks = {
            f"network {model.name}": f"{model.role}, "
            f"{' + '.join(str(layer.bias.shape[0]) for layer in model.network.layers)} units, "
            f"{model.network.multiplications:,} multiplications a pixel"
            for model in self.models.values()
        }
        return {
            "sha256": self.sha256,
            "written by": f"aktes_xr {self.manifest['package_version']}",
            **networks,
            "fusion": "none" if self.fusion is None else "by terrain and stated variances",
            "described by": self._described() or "no STAC item",
            "files": ", ".join(sorted(self.extras)),
        }

    def _described(self) -> str | None:
        """Name the bundle's STAC item, and how much it says the bundle holds."""
        if MLM not in self.extras:
            return None
        item = json.loads(self.extras[MLM])
        properties, models = item["properties"], item["assets"].values()
        count = sum("mlm:model" in asset["roles"] for asset in models)
        return (
            f"{item['id']} ({MLM}): {properties['mlm:total_parameters']} parameters in {count} "
            f"model files, {properties['mlm:framework']} "
            f"{properties.get('mlm:framework_version', '')}".rstrip()
        )


@dataclass(frozen=True, eq=False)
class BundleContents:
    """What `write_bundle` writes.

    Attributes
    ----------
    name : str
    models : tuple of PixelModel
    model_card : str
        Markdown.
    fusion : Fusion or None
    extras : mapping of str to bytes
        Further files by name: the Keras exports (``<network>.keras``), metrics, a leaderboard.
    """

    name: str
    models: tuple[PixelModel, ...]
    model_card: str
    fusion: Fusion | None = None
    extras: Mapping[str, bytes] | None = None


def load_bundle(
    location: str | Path = "default", *, without: Collection[str] = frozenset()
) -> Bundle:
    """Load and verify a bundle.

    Parameters
    ----------
    location : str or Path
        Name of a shipped bundle (``"default"``), a directory, a ``.zip``, or an fsspec URL of
        either.
    without : collection of str
        Files that are left where they are, for something else takes their place.

    Returns
    -------
    Bundle

    Raises
    ------
    BundleNotFoundError
        There is no manifest at that place.
    BundleIntegrityError
        A file is missing, truncated or not what its hash says.
    BundleVersionError
        A newer schema than this package reads.
    UnsafeBundleError
        A pickle, a layer that could run code, or a file name that leaves the bundle.
    """
    text = str(location)
    files = read_files(_root(text), MANIFEST)
    raw = files.manifest
    manifest = check_manifest(raw, schema=SCHEMA)
    wanted = {name: entry for name, entry in manifest["files"].items() if name not in without}
    contents = {name: files.read(name, entry) for name, entry in wanted.items()}
    for name, data in contents.items():
        if name.endswith(".keras"):
            check_keras(name, data)
    CloudTest.from_files(contents)
    DomainTest.from_files(contents)
    try:
        models = {
            entry["name"]: PixelModel.from_json(entry, _network(entry, contents))
            for entry in manifest["networks"]
        }
        fusion = None if manifest["fusion"] is None else Fusion.from_json(manifest["fusion"])
        card = contents[MODEL_CARD].decode()
    except BundleError:
        raise
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise BundleIntegrityError(
            f"the manifest of the bundle is incomplete ({error}); write it again with write_bundle"
        ) from error
    if "teacher" not in models:
        raise BundleIntegrityError(
            f"the bundle holds {', '.join(sorted(models)) or 'no network'}; expected a network "
            "named 'teacher'"
        )
    digest = hashlib.sha256(raw).hexdigest()
    networks = {entry["file"] for entry in manifest["networks"]}
    extras = {key: data for key, data in contents.items() if key not in {*networks, MODEL_CARD}}
    return Bundle(str(manifest["name"]), digest, text, models, fusion, card, manifest, extras)


def write_bundle(path: str | Path, contents: BundleContents, *, overwrite: bool = False) -> Bundle:
    """Write a bundle as a directory, complete or not at all, and load it again.

    Parameters
    ----------
    path : str or Path
        Directory to create.
    contents : BundleContents
    overwrite : bool
        Replace an existing directory.

    Returns
    -------
    Bundle
        As loaded from ``path``.

    Raises
    ------
    InputError
        The directory exists and is not to be replaced.
    """
    target = Path(path)
    if target.exists() and not overwrite:
        raise InputError(f"{target.name} exists: choose another directory or pass overwrite=True")
    files = {name: data for name, data in (contents.extras or {}).items() if name != MLM}
    files[MODEL_CARD] = contents.model_card.encode()
    for model in contents.models:
        files[f"{model.name}.npz"] = _npz(model.network.arrays())
    item = mlm_item(contents.name, contents.models, files)
    files[MLM] = (json.dumps(item, indent=1, sort_keys=True) + "\n").encode()
    manifest = {
        "schema": SCHEMA,
        "name": contents.name,
        "package_version": __version__,
        "networks": [model.to_json(file=f"{model.name}.npz") for model in contents.models],
        "fusion": None if contents.fusion is None else contents.fusion.to_json(),
        "files": {
            name: {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
            for name, data in sorted(files.items())
        },
    }
    files[MANIFEST] = (json.dumps(manifest, indent=1, sort_keys=True) + "\n").encode()
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".bundle-") as scratch:
        staged = Path(scratch) / "bundle"
        staged.mkdir()
        for name, data in files.items():
            (staged / name).write_bytes(data)
        load_bundle(staged)
        if target.exists():
            shutil.move(str(target), Path(scratch) / "replaced")
        staged.rename(target)
    return load_bundle(target)


def copy_bundle(bundle: Bundle, path: Path) -> None:
    """Write a bundle's files, as they are, into a new folder.

    Parameters
    ----------
    bundle : Bundle
        As loaded: it is read again from where it was.
    path : Path
        The folder, which must not exist.

    Raises
    ------
    BundleError
        It cannot be read any more, or has changed since.
    """
    files = read_files(_root(bundle.location), MANIFEST)
    if hashlib.sha256(files.manifest).hexdigest() != bundle.sha256:
        raise BundleIntegrityError(
            f"the bundle {bundle.name} has changed since it was loaded; load it again"
        )
    path.mkdir(parents=True)
    (path / MANIFEST).write_bytes(files.manifest)
    for name, entry in bundle.manifest["files"].items():
        (path / name).write_bytes(files.read(name, entry))


def _root(location: str) -> str:
    """Return where a bundle lies: those that are shipped go by their names."""
    shipped = _SHIPPED / location
    return str(shipped) if location.isidentifier() and shipped.is_dir() else location


def _precedence(model: PixelModel) -> tuple[bool, float, str]:
    if model.footprint is None:
        return True, 0.0, model.name
    west, south, east, north = model.footprint
    # Equal degrees of longitude are fewer kilometres towards the poles.
    width = (east - west) * math.cos(math.radians(0.5 * (south + north)))
    return False, width * (north - south), model.name


def shipped_bundles() -> tuple[str, ...]:
    """Names of the bundles this installation ships."""
    return tuple(sorted(path.parent.name for path in _SHIPPED.glob(f"*/{MANIFEST}")))


def _npz(arrays: dict[str, NDArray[np.float32]]) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)  # type: ignore[arg-type]
    return buffer.getvalue()


def _network(entry: Mapping[str, Any], contents: Mapping[str, bytes]) -> Network:
    name = str(entry["file"])
    if name not in contents:
        raise BundleIntegrityError(f"the bundle's manifest names {name} but does not list it")
    return Network.from_arrays(check_npz(name, contents[name]), list(entry["layers"]))
