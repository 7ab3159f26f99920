"""One copy of each bundle per process, whatever the number of threads and tasks."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from aktes_xr.errors import BundleError, BundleIntegrityError
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
        A shipped bundle's name, or a path or URL that every worker reaches, without any signature
        or password.
    private : bool
        Whether the URL the bundle was loaded from had one: then it serves this process only.
    """

    sha256: str
    location: str
    private: bool = False


def register(bundle: Bundle) -> BundleReference:
    """Keep a bundle for this process and return the reference tasks use.

    A signature or password in the bundle's address is left out of the reference.

    Parameters
    ----------
    bundle : Bundle
        A loaded bundle.

    Returns
    -------
    BundleReference
        Hash and place of the bundle.
    """
    with _LOCK:
        _LOADED.setdefault(bundle.sha256, bundle)
    parts = urlsplit(bundle.location)
    if parts.netloc and (parts.query or parts.username):
        host = parts.netloc.rpartition("@")[2]
        plain = f"{parts.scheme}://{host}{parts.path}"
        return BundleReference(bundle.sha256, plain, private=True)
    return BundleReference(bundle.sha256, bundle.location)


def resolve(reference: BundleReference) -> Bundle:
    """Return the bundle a reference stands for, loading it once per process.

    Parameters
    ----------
    reference : BundleReference
        Of `register`.

    Returns
    -------
    Bundle

    Raises
    ------
    BundleIntegrityError
        Another bundle lies at that place now.
    BundleError
        It was loaded from a signed URL, which tasks do not carry to other processes.
    """
    with _LOCK:
        bundle = _LOADED.get(reference.sha256)
        if bundle is None:
            if reference.private:
                raise BundleError(
                    f"the bundle was loaded from {reference.location} with a signature or "
                    "password, which no task carries to another process; put it where every "
                    "worker reads it without, and pass that place"
                )
            bundle = load_bundle(reference.location)
            if bundle.sha256 != reference.sha256:
                raise BundleIntegrityError(
                    f"the bundle {bundle.name!r} has hash {bundle.sha256[:12]} on this worker, but "
                    f"{reference.sha256[:12]} where the work was planned; give every worker the "
                    "same bundle"
                )
            _LOADED[reference.sha256] = bundle
        return bundle
