"""A small network that a bundle holds beside its own: with its scaling, in two files.

The cloud test and the domain are such. ``<name>.npz`` has the weights and the scaling, and
``<name>.json`` the features, the layers and whatever numbers the network is read by.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from aktes_xr.errors import BundleIntegrityError
from aktes_xr.models.network import Network
from aktes_xr.models.safety import check_npz

if TYPE_CHECKING:
    from aktes_xr.compilation import Float32Array


class Scaled(NamedTuple):
    """A network of one output, and the centre and scale (feature,), float32, of its features."""

    network: Network
    center: Float32Array
    scale: Float32Array


def check_scaled(what: str, scaled: Scaled, count: int) -> None:
    """Refuse a network that does not fit the features.

    Parameters
    ----------
    what : str
        What it is called, such as ``"domain"``.
    scaled : Scaled
    count : int
        Number of features.

    Raises
    ------
    BundleIntegrityError
    """
    network, center, scale = scaled
    if network.n_features != count or network.n_outputs != 1:
        raise BundleIntegrityError(
            f"the {what} has {network.n_features} inputs and {network.n_outputs} outputs; expected "
            f"{count} and 1"
        )
    if center.shape != (count,) or scale.shape != (count,):
        raise BundleIntegrityError(f"the {what}'s scaling has not {count} features")


def file_names(name: str) -> tuple[str, str]:
    """Return the names of the files that keep a network in a bundle: description and numbers."""
    return f"{name}.json", f"{name}.npz"


def files_of(
    name: str, scaled: Scaled, features: Sequence[str], numbers: Mapping[str, float]
) -> dict[str, bytes]:
    """Return the files that keep a network in a bundle.

    Parameters
    ----------
    name : str
        Of the files, without their endings.
    scaled : Scaled
    features : sequence of str
        What it was trained on, in order.
    numbers : mapping of str to float
        What else it is read by.

    Returns
    -------
    dict of str to bytes
        By name.
    """
    arrays = scaled.network.arrays() | {"center": scaled.center, "scale": scaled.scale}
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)  # type: ignore[arg-type]
    text = {"features": list(features), "layers": scaled.network.description(), **numbers}
    encoded = (json.dumps(text, indent=1, sort_keys=True) + "\n").encode()
    described_in, held_in = file_names(name)
    return {held_in: buffer.getvalue(), described_in: encoded}


def read_files(
    files: Mapping[str, bytes],
    name: str,
    *,
    what: str,
    features: Sequence[str],
    numbers: Sequence[str],
) -> tuple[Scaled, list[float]] | None:
    """Read a network from a bundle's files; None where it has none.

    Parameters
    ----------
    files : mapping of str to bytes
        The bundle's further files, verified.
    name : str
        Of the two files, without their endings.
    what : str
        What it is called, for errors.
    features : sequence of str
        What this package describes pixels by.
    numbers : sequence of str
        Names of what else is wanted.

    Returns
    -------
    (Scaled, list of float) or None
        The numbers in the order of their names.

    Raises
    ------
    BundleIntegrityError
        One of its files is missing or not what `files_of` returns, or it was trained on other
        features than this package describes.
    """
    described_in, held_in = file_names(name)
    if described_in not in files and held_in not in files:
        return None
    try:
        described: dict[str, Any] = json.loads(files[described_in])
        arrays = check_npz(held_in, files[held_in])
        known = tuple(described["features"]) == tuple(features)
        found = [float(described[number]) for number in numbers]
        network = Network.from_arrays(arrays, list(described["layers"]))
        center, scale = (np.asarray(arrays[part], np.float32) for part in ("center", "scale"))
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        if isinstance(error, BundleIntegrityError):
            raise
        raise BundleIntegrityError(
            f"the bundle's {what} is incomplete ({error}); train it again"
        ) from error
    if not known:
        raise BundleIntegrityError(
            f"the bundle's {what} was trained on other features than this package describes; "
            "train it again"
        )
    return Scaled(network, center, scale), found
