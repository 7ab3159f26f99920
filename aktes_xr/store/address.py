"""Where a store lies: a path of this machine, or an address in an object store."""

from __future__ import annotations

import functools
import os
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from aktes_xr.errors import InputError

SCHEMES: Final = ("s3", "gs", "az", "abfs", "abfss")
"""Object stores that are written to. Credentials and endpoints come from the environment."""
_ENDPOINTS: Final = ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT", "AZURE_ENDPOINT")
_TIMEOUT_S: Final = 60
_RETRIES: Final = 5


@dataclass(frozen=True)
class ObjectAddress:
    """A place in an object store.

    Attributes
    ----------
    url : scheme, bucket and prefix; never a credential or a query
    """

    url: str

    @property
    def name(self) -> str:
        """Return the last part of the address, which messages show."""
        return self.url.rsplit("/", 1)[-1]

    def __str__(self) -> str:
        return self.url


def parse_address(path: str | os.PathLike[str]) -> Path | ObjectAddress:
    """Return a store's place.

    Parameters
    ----------
    path : str or path
        A local path, ``file:///...``, or an address of one of `SCHEMES`.

    Returns
    -------
    Path or ObjectAddress

    Raises
    ------
    InputError
        It is an address of another kind, names no prefix in its bucket, or holds a credential.
    """
    text = os.fspath(path)
    if "://" not in text:
        return Path(text)
    parts = urlsplit(text)
    if parts.scheme == "file" and parts.netloc in ("", "localhost"):
        return Path(unquote(parts.path))
    if parts.scheme not in SCHEMES:
        raise InputError(
            f"the store's place begins with {parts.scheme}://: expected a local path, or an "
            f"address that begins with {', '.join(f'{scheme}://' for scheme in SCHEMES)}"
        )
    container = parts.username if parts.scheme.startswith("abfs") else None
    if parts.query or parts.fragment or parts.password or parts.username not in (None, container):
        raise InputError(
            f"the store's address in {parts.hostname} holds more than bucket and prefix: give "
            "credentials by the environment, such as AWS_ACCESS_KEY_ID, and leave them out here"
        )
    prefix = parts.path.strip("/")
    if not parts.netloc or not prefix or {".", "..", ""} & set(prefix.split("/")):
        raise InputError(
            f"the store's address is {parts.scheme}://{parts.netloc}{parts.path}: expected bucket "
            "and prefix, such as s3://bucket/results/r.zarr"
        )
    return ObjectAddress(f"{parts.scheme}://{parts.netloc}/{prefix}")


def zarr_store(address: str) -> Any:
    """Return what Zarr opens: the path itself, or an object store of this process.

    Parameters
    ----------
    address : str
        Local path, or an `ObjectAddress.url` and what lies below it.
    """
    return _zarr_object_store(address) if "://" in address else address


def object_store(address: str) -> Any:
    """Open an object store at a prefix, with the settings of the environment.

    Nothing of the environment is kept in the address, so none of it travels in a task graph.

    Parameters
    ----------
    address : str
        An `ObjectAddress.url`, and what lies below it.

    Returns
    -------
    obstore store
    """
    from obstore.store import from_url

    options: Any = {"timeout": f"{_TIMEOUT_S}s", "connect_timeout": "10s"}
    if any(os.environ.get(name, "").startswith("http://") for name in _ENDPOINTS):
        options["allow_http"] = True
    retry: Any = {"max_retries": _RETRIES, "retry_timeout": timedelta(seconds=_TIMEOUT_S)}
    return from_url(address, client_options=options, retry_config=retry)


@functools.lru_cache(maxsize=8)
def _zarr_object_store(address: str) -> Any:
    from zarr.storage import ObjectStore

    return ObjectStore(object_store(address))
