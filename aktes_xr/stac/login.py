"""Credentials for reading, fetched in the task that reads and renewed when an archive refuses them.

Some archives want a token in a header, or keys, rather than a signed link. Neither may be in a
graph, which is logged, cached and sent. So a graph carries the function that fetches them, and the
reading process calls it. What the caller set in an enclosing ``rasterio.Env`` is in force in the
caller's thread alone; it is kept in this process's memory for the threads that read.
"""

from __future__ import annotations

import hashlib
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import rasterio.env
from dask.base import tokenize

from aktes_xr.errors import StacError

Fetch = Callable[[], Mapping[str, Any]]

RENEWED_AFTER_S: Final = 600.0
"""Credentials are fetched anew after so long, and at once when an archive refuses them."""

_LOCK: Final = threading.Lock()
_SALT: Final = secrets.token_bytes(16)
_fetched: dict[str, tuple[float, dict[str, Any]]] = {}
_environments: dict[str, dict[str, Any]] = {}


@dataclass(frozen=True)
class Login:
    """A ``modifier=`` for archives that want credentials beside, or instead of, signed links.

    Attributes
    ----------
    fetch : callable
        Without arguments; returns options of ``rasterio.Env``, such as ``{"GDAL_HTTP_HEADERS":
        f"Authorization: Bearer {token}"}`` or ``{"session": AWSSession(...)}``. It is called where
        files are read, so it must be importable there and find the secret there (an environment
        variable, a mounted file, a login service): it carries none.
    modifier : callable, optional
        Signs items and links, as everywhere.

    Examples
    --------
    >>> def earthdata():
    ...     return {"GDAL_HTTP_HEADERS": f"Authorization: Bearer {os.environ['EARTHDATA_TOKEN']}"}
    >>> open_stac(items, modifier=Login(earthdata))
    """

    fetch: Fetch
    modifier: Callable[[Any], Any] | None = None
    # A function that travels by value is another object in every task, and still the same login.
    _key: str = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_key", tokenize(self.fetch))

    def __call__(self, thing: Any) -> Any:
        """Sign an item or a link, where there is something to sign it with."""
        return thing if self.modifier is None else self.modifier(thing)

    def options(self, *, anew: bool = False) -> dict[str, Any]:
        """Return the options now in force, fetched at most once in ten minutes unless ``anew``.

        Raises
        ------
        StacError
            What was fetched are no options.
        """
        with _LOCK:
            until, options = _fetched.get(self._key, (0.0, {}))
            if anew or time.monotonic() >= until:
                found = self.fetch()
                if not isinstance(found, Mapping):
                    raise StacError(
                        f"the login's function returned {type(found).__name__}, expected options "
                        "of rasterio.Env as a dict"
                    )
                options = dict(found)
                _fetched[self._key] = (time.monotonic() + RENEWED_AFTER_S, options)
            return options


def with_environment(modifier: Callable[[Any], Any] | None) -> Callable[[Any], Any] | None:
    """Add what an enclosing ``rasterio.Env`` holds now to a modifier, for other threads to read by.

    Returns
    -------
    callable or None
        The modifier itself where there is no such environment, or it logs in by itself.
    """
    if isinstance(modifier, Login) or not rasterio.env.hasenv():
        return modifier
    options = dict(rasterio.env.getenv())
    if not options:
        return modifier
    text = repr(sorted((str(key), str(value)) for key, value in options.items()))
    key = hashlib.sha256(_SALT + text.encode()).hexdigest()
    _environments[key] = options
    return Login(_Environment(key), modifier)


@dataclass(frozen=True)
class _Environment:
    """Stands for an environment in a graph."""

    key: str

    def __call__(self) -> dict[str, Any]:
        try:
            return _environments[self.key]
        except KeyError:
            raise StacError(
                "the cube was opened inside a rasterio.Env, whose settings (they may be secret) no "
                "task carries to another process; set them there, or pass "
                "modifier=aktes_xr.stac.Login(function) with a function that fetches them there"
            ) from None
