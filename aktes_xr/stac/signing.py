"""Signed links and logins: what opens an archive, kept out of graphs and brought in where it reads.

A short-lived signature must be renewed in the task that reads, and must not be stored where a graph
could be logged, cached or sent. So a graph holds what `links.kept` leaves of a link; the reading
task signs it with the caller's ``modifier``. What was left out is served from this process's
memory, which does not reach other processes: there the modifier is needed.

Some archives want a token in a header, or keys, rather than a signed link. A graph carries the
function that fetches them (`Login`), and the reading process calls it. What the caller set in an
enclosing ``rasterio.Env`` is in force in the caller's thread alone; it is kept in this process's
memory for the threads that read.
"""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

import rasterio.env
from dask.base import tokenize

from aktes_xr.errors import StacError
from aktes_xr.stac.links import host_of, is_remote, is_withheld, kept

Modifier = Callable[[Any], Any]
Fetch = Callable[[], Mapping[str, Any]]

RENEWED_AFTER_S: Final = 600.0
"""Credentials are fetched anew after this time, or at once when an archive refuses them."""

_LOCK: Final = threading.Lock()
_SALT: Final = secrets.token_bytes(16)
_links: dict[str, str] = {}
_fetched: dict[str, tuple[float, dict[str, Any]]] = {}
_environments: dict[str, dict[str, Any]] = {}


def bare_href(href: str, modifier: Modifier | None) -> str:
    """Return the link as a graph may hold it.

    Parameters
    ----------
    href : link or path, signed or not
    modifier : what the reading task will sign it with; None keeps what is left out in this
        process's memory
    """
    bare = kept(href)
    if _signer(modifier) is not None and is_remote(bare):
        bare = bare.partition("?")[0]
    if bare != href and (_signer(modifier) is None or is_withheld(bare)):
        with _LOCK:
            _links[bare] = href
    return bare


def signed_href(href: str, modifier: Modifier | None) -> str:
    """Sign a bare link, in the task that is about to read it.

    Parameters
    ----------
    href : str
        A bare link, as the graph holds it.
    modifier : callable or Login, optional
        Turns a bare link into one that can be opened.

    Returns
    -------
    str
        The link to open.

    Raises
    ------
    StacError
        The modifier does not turn a link (str) into a link, or the link was left out of the graph.
    """
    modifier = _signer(modifier)
    if not is_remote(href):
        return href
    known = _links.get(href)
    if known is None and is_withheld(href):
        raise StacError(
            "the path of a link looks like a secret, which no task carries to another process; "
            "compute in the process that opened the cube, or give plain links and modifier="
        )
    if modifier is None:
        return known or href
    signed = modifier(known.partition("?")[0] if known and is_withheld(href) else href)
    if not isinstance(signed, str):
        raise StacError(
            f"the modifier returned {type(signed).__name__} for a link, expected the signed link "
            "as str; pass a function such as planetary_computer.sign that takes both items and "
            "links"
        )
    return signed


def _signer(modifier: Modifier | None) -> Modifier | None:
    """Return the function that signs links; a login by itself signs none."""
    return modifier.modifier if isinstance(modifier, Login) else modifier


@dataclass(frozen=True)
class Login:
    """A ``modifier=`` for archives that want credentials beside, or instead of, signed links.

    Attributes
    ----------
    fetch : callable
        Without arguments; returns options of ``rasterio.Env``, such as ``{"GDAL_HTTP_HEADERS":
        f"Authorization: Bearer {token}"}`` or ``{"session": AWSSession(...)}``. It is called where
        files are read, so it must be importable there and find the secret there (an environment
        variable, a mounted file, a login service): it carries none. Over HTTP, GDAL_HTTP_HEADERS,
        GDAL_HTTP_BEARER, GDAL_HTTP_USERPWD, GDAL_HTTP_COOKIE and GDAL_HTTP_USERAGENT are used;
        without the first four, the account in ``.netrc``.
    modifier : callable, optional
        Signs items and links, as everywhere.
    hosts : tuple of str, optional
        The hosts that the credentials are for, and that alone are sent them: names such as
        ``"data.lpdaac.earthdatacloud.nasa.gov"``, buckets for object stores, or domains with a
        leading dot. None is the one host on which all files of the cube lie; where they lie on
        several, the hosts must be named.

    Examples
    --------
    >>> def earthdata():
    ...     return {"GDAL_HTTP_HEADERS": f"Authorization: Bearer {os.environ['EARTHDATA_TOKEN']}"}
    >>> open_stac(items, modifier=Login(earthdata, hosts=(".earthdatacloud.nasa.gov",)))
    """

    fetch: Fetch
    modifier: Callable[[Any], Any] | None = None
    hosts: tuple[str, ...] | None = None
    # A function that is pickled by value is another object in every task. Dask's token of it is the
    # same in all, and so it identifies the login.
    _key: str = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if isinstance(self.hosts, str):
            raise StacError(f"hosts is {self.hosts!r}, expected a tuple of host names")
        object.__setattr__(self, "_key", tokenize(self.fetch))

    def __call__(self, thing: Any) -> Any:
        """Sign an item or a link, where there is something to sign it with."""
        return thing if self.modifier is None else self.modifier(thing)

    def options(self, *, anew: bool = False) -> dict[str, Any]:
        """Return the options that are now in force.

        They are fetched at most once in ten minutes, unless ``anew``.

        Parameters
        ----------
        anew : bool
            Fetch them again, also where some are still held.

        Returns
        -------
        dict
            Options of ``rasterio.Env``.

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


def request_headers(options: Mapping[str, Any]) -> dict[str, str]:
    """Return the HTTP headers that options of ``rasterio.Env`` stand for.

    Parameters
    ----------
    options : mapping
        Options of ``rasterio.Env``; headers, token, user and password, cookie, user agent.

    Returns
    -------
    dict of str to str
        The headers by name.
    """
    headers: dict[str, str] = {}
    lines = re.split(r"[\r\n]+|,(?=\s*[\w-]+\s*:)", str(options.get("GDAL_HTTP_HEADERS") or ""))
    for line in lines:
        name, mark, value = line.partition(":")
        if mark:
            headers[name.strip()] = value.strip()
    if options.get("GDAL_HTTP_BEARER"):
        headers.setdefault("Authorization", f"Bearer {options['GDAL_HTTP_BEARER']}")
    if options.get("GDAL_HTTP_USERPWD"):
        pair = base64.b64encode(str(options["GDAL_HTTP_USERPWD"]).encode()).decode()
        headers.setdefault("Authorization", f"Basic {pair}")
    for option, name in (("GDAL_HTTP_COOKIE", "Cookie"), ("GDAL_HTTP_USERAGENT", "User-Agent")):
        if options.get(option):
            headers[name] = str(options[option])
    return headers


def for_hosts(modifier: Modifier | None, hrefs: Iterable[str]) -> Modifier | None:
    """Name the hosts that a login is for, where the caller has not: the cube's only host.

    Parameters
    ----------
    modifier : as the caller gave it, or as `with_environment` made it
    hrefs : links of all files of a cube

    Raises
    ------
    StacError
        The files lie on several hosts.
    """
    if not isinstance(modifier, Login) or modifier.hosts is not None:
        return modifier
    hosts = sorted({host_of(href) for href in hrefs if is_remote(href)})
    ambient = isinstance(modifier.fetch, _Environment)
    if len(hosts) > 1 and not (ambient and not request_headers(modifier.options())):
        raise StacError(
            f"the items name files on several hosts ({', '.join(hosts)}), and the login does not "
            "say which of them it is for: pass modifier=aktes_xr.stac.Login(function, hosts=(...))"
        )
    return replace(modifier, hosts=tuple(hosts))


def with_environment(modifier: Modifier | None) -> Modifier | None:
    """Add the options of an enclosing ``rasterio.Env`` to a modifier.

    Other threads do not see that environment. With the modifier they can read by its options.

    Parameters
    ----------
    modifier : callable or Login, optional
        What the user gave.

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
    """Stands in a graph for an environment, which stays in this process."""

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
