"""What a bundle may hold: plain arrays, text, Keras models of known layers; no code."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from aktes_xr.errors import BundleIntegrityError, BundleVersionError, UnsafeBundleError

if TYPE_CHECKING:
    from numpy.typing import NDArray

SUFFIXES: Final = frozenset({".npz", ".keras", ".json", ".md", ".csv", ".toml"})
KERAS_MEMBERS: Final = frozenset({"metadata.json", "config.json", "model.weights.h5"})
KERAS_CLASSES: Final = frozenset(
    {
        "Functional",
        "Sequential",
        "InputLayer",
        "Dense",
        "Activation",
        "ReLU",
        "Add",
        "Concatenate",
        "BatchNormalization",
        "LayerNormalization",
        "Normalization",
        "DTypePolicy",
        "GlorotUniform",
        "HeNormal",
        "Zeros",
        "Ones",
    }
)
_REQUIRED: Final = ("schema", "name", "package_version", "networks", "fusion", "files")


def check_manifest(raw: bytes, *, schema: int) -> dict[str, Any]:
    """Parse a manifest and refuse what cannot be loaded safely.

    Parameters
    ----------
    raw : bytes
        The file's contents.
    schema : int
        The newest schema this package reads.

    Returns
    -------
    dict

    Raises
    ------
    BundleIntegrityError
        It is not a manifest.
    BundleVersionError
        It was written by a newer schema.
    UnsafeBundleError
        It lists a file that may hold code or lies outside the bundle.
    """
    try:
        manifest = json.loads(raw)
    except (ValueError, UnicodeDecodeError) as error:
        raise BundleIntegrityError(
            f"the bundle's manifest is not JSON ({error}): truncated or damaged; fetch it again"
        ) from error
    if not isinstance(manifest, dict) or not isinstance(manifest.get("schema"), int):
        raise BundleIntegrityError("the bundle's manifest has no schema number")
    if manifest["schema"] > schema:
        raise BundleVersionError(
            f"the bundle has schema {manifest['schema']}, this package reads up to {schema}; "
            "upgrade aktes-xr"
        )
    missing = [key for key in _REQUIRED if key not in manifest]
    if missing:
        raise BundleIntegrityError(f"the bundle's manifest lacks {', '.join(missing)}")
    for name in manifest["files"]:
        check_name(name)
    return manifest


def check_name(name: str) -> None:
    """Refuse a file name that leaves the bundle or a kind of file that may hold code.

    Raises
    ------
    UnsafeBundleError
    """
    if PurePosixPath(name).name != name or "\\" in name or name.startswith("."):
        raise UnsafeBundleError(f"the bundle lists {name!r}; its files lie side by side")
    if PurePosixPath(name).suffix not in SUFFIXES:
        raise UnsafeBundleError(
            f"the bundle lists {name!r}, which may hold code; a bundle holds only "
            f"{', '.join(sorted(SUFFIXES))}"
        )


def check_npz(name: str, data: bytes) -> dict[str, NDArray[np.float32]]:
    """Read the arrays of a network without unpickling.

    Raises
    ------
    UnsafeBundleError
        An array of Python objects, which only pickle could read.
    BundleIntegrityError
        Not an archive of finite floating-point arrays.
    """
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as archive:
            arrays = {key: archive[key] for key in archive.files}
    except ValueError as error:
        if "pickle" in str(error).lower():
            raise UnsafeBundleError(
                f"{name} holds pickled objects, which could run code; a network's file holds plain "
                "float32 arrays"
            ) from error
        raise BundleIntegrityError(f"{name} cannot be read ({error})") from error
    except (OSError, EOFError, zipfile.BadZipFile, AttributeError) as error:
        raise BundleIntegrityError(f"{name} cannot be read ({error})") from error
    for key, array in arrays.items():
        if array.dtype.kind != "f" or not np.isfinite(array).all():
            raise BundleIntegrityError(f"{name}: {key} is not an array of finite numbers")
    return arrays


def check_keras(name: str, data: bytes) -> None:
    """Refuse a ``.keras`` file with anything but known layers of Keras itself.

    Raises
    ------
    UnsafeBundleError
        A Lambda, a custom or unknown layer, a pickle, or a surplus member.
    BundleIntegrityError
        Not a complete Keras archive.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            surplus = sorted(set(archive.namelist()) - KERAS_MEMBERS)
            config = json.loads(archive.read("config.json"))
    except (zipfile.BadZipFile, KeyError, ValueError) as error:
        raise BundleIntegrityError(f"{name} is not a complete Keras model ({error})") from error
    if surplus:
        raise UnsafeBundleError(f"{name} holds {', '.join(surplus)} besides a Keras model's files")
    _check_classes(name, config)


def _check_classes(name: str, node: Any) -> None:
    if isinstance(node, list):
        for child in node:
            _check_classes(name, child)
    elif isinstance(node, dict):
        kind = node.get("class_name")
        if isinstance(kind, str):
            module = str(node.get("module") or "keras")
            known = kind in KERAS_CLASSES and module.split(".")[0] == "keras"
            # `__keras_tensor__`, `__tuple__` and the like are Keras' notation, not classes.
            if not known and not (kind.startswith("__") and kind not in _CODE):
                raise UnsafeBundleError(
                    f"{name} holds a {module}.{kind}, which is not a plain layer: it could run "
                    "code when loaded"
                )
        for child in node.values():
            _check_classes(name, child)


_CODE: Final = frozenset({"__lambda__", "function", "__function__"})
