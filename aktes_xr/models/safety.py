"""What a bundle may hold: plain arrays, text, Keras models of known layers; no code."""

from __future__ import annotations

import io
import json
import re
import zipfile
import zlib
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from aktes_xr.errors import (
    BundleError,
    BundleIntegrityError,
    BundleVersionError,
    UnsafeBundleError,
)

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
KERAS_NOTATION: Final = frozenset({"__keras_tensor__", "__tuple__"})
"""What Keras writes in the place of a class for values of its own."""
LIMIT_BYTES: Final = 256 * 2**20
"""What an archive inside a bundle may unpack to."""
_REQUIRED: Final[dict[str, type | tuple[type, ...]]] = {
    "schema": int,
    "name": str,
    "package_version": str,
    "networks": list,
    "fusion": (dict, type(None)),
    "files": dict,
}
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]{0,99}")
_DAMAGED: Final = (
    zipfile.BadZipFile,
    zlib.error,
    OSError,
    EOFError,
    AttributeError,
    KeyError,
    NotImplementedError,
    MemoryError,
    RuntimeError,
    TypeError,
)


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
    except (ValueError, RecursionError) as error:
        raise BundleIntegrityError(
            f"the bundle's manifest is not JSON ({error}): truncated or damaged; fetch it again"
        ) from error
    if not isinstance(manifest, dict) or type(manifest.get("schema")) is not int:
        raise BundleIntegrityError("the bundle's manifest has no schema number")
    if manifest["schema"] > schema:
        raise BundleVersionError(
            f"the bundle has schema {manifest['schema']}, this package reads up to {schema}; "
            "upgrade aktes-xr"
        )
    missing = [key for key in _REQUIRED if key not in manifest]
    if missing:
        raise BundleIntegrityError(f"the bundle's manifest lacks {', '.join(missing)}")
    wrong = [key for key, kind in _REQUIRED.items() if not isinstance(manifest[key], kind)]
    if wrong or manifest["schema"] < 1:
        raise BundleIntegrityError(
            f"the bundle's manifest has another kind of {', '.join(wrong) or 'schema'} than "
            "write_bundle writes; write it again"
        )
    for name, entry in manifest["files"].items():
        check_name(name)
        if not (
            isinstance(entry, dict)
            and isinstance(entry.get("sha256"), str)
            and type(entry.get("bytes")) is int
            and entry["bytes"] >= 0
        ):
            raise BundleIntegrityError(
                f"the bundle's manifest gives {name} no size and SHA-256; write it again"
            )
    return manifest


def check_name(name: str) -> None:
    """Refuse a file name that leaves the bundle or a kind of file that may hold code.

    Parameters
    ----------
    name : str
        As the manifest lists it.

    Raises
    ------
    UnsafeBundleError
    """
    if not _NAME.fullmatch(name):
        raise UnsafeBundleError(
            f"the bundle lists {name!r}; its files lie side by side, named in letters, digits, "
            "dots and dashes"
        )
    if PurePosixPath(name).suffix not in SUFFIXES:
        raise UnsafeBundleError(
            f"the bundle lists {name!r}, which may hold code; a bundle holds only "
            f"{', '.join(sorted(SUFFIXES))}"
        )


def check_npz(name: str, data: bytes) -> dict[str, NDArray[np.float32]]:
    """Read the arrays of a network without unpickling.

    Parameters
    ----------
    name : str
        The file's name in messages.
    data : bytes
        The file's content.

    Returns
    -------
    dict of str to ndarray, float32
        The arrays by name.

    Raises
    ------
    UnsafeBundleError
        An array of Python objects, which only pickle could read.
    BundleIntegrityError
        Not an archive of floating-point arrays that are finite in single precision.
    """
    try:
        _check_size(name, data)
        with np.load(io.BytesIO(data), allow_pickle=False) as archive:
            arrays = {key: archive[key] for key in archive.files}
    except BundleError:
        raise
    except ValueError as error:
        if "pickle" in str(error).lower():
            raise UnsafeBundleError(
                f"{name} holds pickled objects, which could run code; a network's file holds plain "
                "float32 arrays"
            ) from error
        raise BundleIntegrityError(f"{name} cannot be read ({error})") from error
    except _DAMAGED as error:
        raise BundleIntegrityError(f"{name} cannot be read ({error})") from error
    return {key: _single(f"{name}: {key}", array) for key, array in arrays.items()}


def _single(what: str, array: Any) -> NDArray[np.float32]:
    """Return an array in single precision, in which the networks run and must be finite."""
    if not isinstance(array, np.ndarray) or array.dtype.kind != "f":
        raise BundleIntegrityError(f"{what} is not an array of floating-point numbers")
    with np.errstate(over="ignore"):
        values = array.astype(np.float32)
    if not np.isfinite(values).all():
        raise BundleIntegrityError(
            f"{what} holds numbers that are not finite in single precision; expected float32 "
            "weights as write_bundle writes them"
        )
    return values


def check_keras(name: str, data: bytes) -> None:
    """Refuse a ``.keras`` file with anything but known layers of Keras itself.

    Parameters
    ----------
    name : str
        The file's name in messages.
    data : bytes
        The file's content.

    Raises
    ------
    UnsafeBundleError
        A Lambda, a custom or unknown layer, a pickle, or a surplus member.
    BundleIntegrityError
        Not a complete Keras archive.
    """
    try:
        _check_size(name, data)
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            surplus = sorted(set(archive.namelist()) - KERAS_MEMBERS)
            config = json.loads(archive.read("config.json"))
        _check_classes(name, config)
    except BundleError:
        raise
    except (ValueError, RecursionError, *_DAMAGED) as error:
        raise BundleIntegrityError(f"{name} is not a complete Keras model ({error})") from error
    if surplus:
        raise UnsafeBundleError(f"{name} holds {', '.join(surplus)} besides a Keras model's files")


def _check_size(name: str, data: bytes) -> None:
    """Refuse an archive that would unpack to more than any network needs."""
    if data[:4] != b"PK\x03\x04":
        raise BundleIntegrityError(f"{name} is not an archive: damaged, or another kind of file")
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        total = sum(info.file_size for info in archive.infolist())
    if total > LIMIT_BYTES:
        raise UnsafeBundleError(
            f"{name} would unpack to {total} bytes, expected at most {LIMIT_BYTES}"
        )


def _check_classes(name: str, node: Any) -> None:
    if isinstance(node, list):
        for child in node:
            _check_classes(name, child)
    elif isinstance(node, dict):
        kind = node.get("class_name")
        if isinstance(kind, str):
            module = str(node.get("module") or "keras")
            known = kind in KERAS_CLASSES and module.split(".")[0] == "keras"
            if not known and kind not in KERAS_NOTATION:
                raise UnsafeBundleError(
                    f"{name} holds a {module}.{kind}, which is not a plain layer: it could run "
                    "code when loaded"
                )
        for child in node.values():
            _check_classes(name, child)
