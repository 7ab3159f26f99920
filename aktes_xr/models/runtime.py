"""One copy of each bundle per process, whatever the number of threads and tasks."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Final

from aktes_xr.errors import BundleIntegrityError
from aktes_xr.models.bundle import Bundle, load_bundle

_LOCK: Final = threading.Lock()
_LOADED: Final[dict[str, Bundle]] = {}


@dataclass(frozen=True)
class BundleReference:
    """What a graph carries instead of a bundle: its hash and where to find it.

    Attributes
    ----------
    sha256 : str
    location : str
        A shipped bundle's name, or a path or URL that every worker reaches.
    """

    sha256: str
    location: str


def register(bundle: Bundle) -> BundleReference:
    """Keep a bundle for this process and return the reference tasks use."""
    with _LOCK:
        _LOADED.setdefault(bundle.sha256, bundle)
    return BundleReference(bundle.sha256, bundle.location)


def resolve(reference: BundleReference) -> Bundle:
    """Return the bundle a reference stands for, loading it once per process.

    Raises
    ------
    BundleIntegrityError
        Another bundle lies at that place now.
    """
    with _LOCK:
        bundle = _LOADED.get(reference.sha256)
        if bundle is None:
            bundle = load_bundle(reference.location)
            if bundle.sha256 != reference.sha256:
                raise BundleIntegrityError(
                    f"the bundle {bundle.name!r} has hash {bundle.sha256[:12]} on this worker, but "
                    f"{reference.sha256[:12]} where the work was planned; give every worker the "
                    "same bundle"
                )
            _LOADED[reference.sha256] = bundle
        return bundle
