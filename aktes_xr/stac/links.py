"""Links: which ones may be followed, what of one may be kept, and what messages show of it.

All three are lists of what is allowed. A link that an item names is followed by its scheme, and on
request by its host; a local path is followed only where the item itself is local. A graph, which is
logged, cached and sent, keeps scheme, host, path and the few query fields that name a version.
"""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Sequence
from typing import Final
from urllib.parse import parse_qs, parse_qsl, unquote, urlencode, urlsplit, urlunsplit

from aktes_xr.errors import AssetError, printable

HTTP: Final = ("https", "http")
_GDAL_PREFIX: Final = {"s3": "/vsis3/", "gs": "/vsigs/", "az": "/vsiaz/"}
SCHEMES: Final = (*HTTP, *_GDAL_PREFIX)
_ARCHIVES: Final = ("/vsizip/", "/vsitar/", "/vsigzip/")
_KEPT_FIELDS: Final = frozenset({"versionid", "generation"})
_FIELD_VALUE: Final = re.compile(r"[\w.-]{1,64}")
_SEGMENT: Final = re.compile(r"(?:[a-z_]{1,20}=[\w.-]{1,16}|[\w.+@ ,()!-]{0,160})")
_LONG_RUN: Final = re.compile(r"[A-Za-z0-9]{41,}")
"""A name with more letters and digits in a row than this looks like a token, not like a file."""
_WITHHELD: Final = "withheld-"
_NAME_LENGTH: Final = 100

_QUERY = re.compile(r"\?[^\s'\"<>`|?]*=[^\s'\"<>`|)\]},]*")
_URL = re.compile(r"(?:[a-z][a-z0-9+.-]*://|/vsi[a-z0-9_]+[/?])[^\s'\"<>`|]*", re.IGNORECASE)
_REQUEST_LINE = re.compile(r"(?:(?<=GET )|(?<=HEAD )|(?<=POST ))/\S*")
_BEARER = re.compile(r"(?i)\b(bearer|basic)\s+[\w.~+/=-]+")
_HEADER = re.compile(
    r"(?i)\b(authorization|(?:set-)?cookie|x-[\w-]*(?:token|key|secret|auth)[\w-]*)"
    r"(['\"]?\s*[:=]\s*['\"]?)(?!\s*['\"]?\s*\[redacted)[^\n'\"]+"
)
_LOGGERS = ("rasterio", "urllib3", "requests", "pystac", "pystac_client")


def followed(href: str, *, local: bool, allowed_hosts: Sequence[str] | None = None) -> str:
    """Return a link in the one form this package opens, or refuse it.

    Parameters
    ----------
    href : absolute link or path, as an item names it
    local : whether the item itself came from this machine
    allowed_hosts : the only hosts to follow links to; None allows all

    Raises
    ------
    AssetError
        The scheme or the host is not allowed, or a remote item names a local file.
    """
    href = _without_gdal_prefix(href)
    scheme = urlsplit(href).scheme.lower() if "://" in href else ""
    if printable(href) != href or "\n" in href:
        raise AssetError("a link holds control characters; correct the item")
    if scheme in SCHEMES:
        host = host_of(href)
        if not host:
            raise AssetError(f"the link to {granule_name(href)} names no host; correct the item")
        if allowed_hosts is not None and not matches(host, allowed_hosts):
            raise AssetError(
                f"{granule_name(href)} lies at {host}, which allowed_hosts= does not list"
            )
        return href
    if scheme not in ("", "file"):
        raise AssetError(
            f"the link to {granule_name(href)} is of the scheme {scheme!r}; expected "
            f"{', '.join(SCHEMES)}, or a path in an item on this machine"
        )
    if not local:
        raise AssetError(
            f"a remote item names the local file {granule_name(href)}; only items on this machine "
            "may (save the item here if it is right)"
        )
    path = unquote(urlsplit(href).path) if scheme == "file" else href
    if path.startswith("/vsi") and (
        not path.startswith(_ARCHIVES) or "/vsi" in path[1:] or set("{}?") & set(path)
    ):
        raise AssetError(
            f"{granule_name(path)} is in a virtual file system that is not read; expected a plain "
            f"path or one of {', '.join(_ARCHIVES)}"
        )
    return path


def _without_gdal_prefix(href: str) -> str:
    """Turn paths with GDAL's prefixes into plain links, so that one set of rules serves both."""
    if href.startswith("/vsicurl?"):
        found = parse_qs(href.partition("?")[2]).get("url")
        return found[0] if found else href
    if href.startswith("/vsicurl/"):
        return href.removeprefix("/vsicurl/")
    for scheme, prefix in _GDAL_PREFIX.items():
        if href.startswith(prefix):
            return f"{scheme}://{href.removeprefix(prefix)}"
    return href


def gdal_path(href: str) -> str:
    """Return what GDAL opens for a link to an object store, or for a local path.

    Parameters
    ----------
    href : str
        A link such as ``s3://bucket/key``, or a local path.

    Returns
    -------
    str
        A path such as ``/vsis3/bucket/key``.
    """
    scheme, mark, rest = href.partition("://")
    return f"{_GDAL_PREFIX[scheme.lower()]}{rest}" if mark else href


def is_remote(href: str) -> bool:
    """Return whether a link leads off this machine.

    Parameters
    ----------
    href : str
        A link or a local path.

    Returns
    -------
    bool
    """
    return "://" in href and not href.lower().startswith("file://")


def host_of(href: str) -> str:
    """Return ``host`` or ``host:port`` (a bucket for object stores); empty for a local path.

    Parameters
    ----------
    href : str
        A link or a local path.

    Returns
    -------
    str
        In small letters, without user name and password.
    """
    if not is_remote(href):
        return ""
    return urlsplit(href).netloc.rpartition("@")[2].lower()


def matches(host: str, allowed: Sequence[str]) -> bool:
    """Return whether a host is listed, by its name, or by a listed domain such as ``.nasa.gov``.

    Parameters
    ----------
    host : str
        ``host`` or ``host:port``.
    allowed : sequence of str
        Hosts and domains; a domain starts with a dot.

    Returns
    -------
    bool
    """
    name = host.partition(":")[0]
    return any(
        host == one or name == one or (one.startswith(".") and name.endswith(one))
        for one in (entry.lower() for entry in allowed)
    )


def kept(href: str) -> str:
    """Return the part of a link that a graph may hold.

    This may be less than is needed to open it. User names, fragments, parameters, and query fields
    other than versions are left out. A path with a part that looks like a token is replaced by a
    hash.

    Parameters
    ----------
    href : str
        A link or a local path; a local path is kept whole.

    Returns
    -------
    str
    """
    if not is_remote(href):
        return href
    parts = urlsplit(href)
    fields = [
        (name, value)
        for name, value in parse_qsl(parts.query)
        if name.lower() in _KEPT_FIELDS and _FIELD_VALUE.fullmatch(value)
    ]
    path = "/".join(part.partition(";")[0] for part in parts.path.split("/"))
    if not all(_plain(segment) for segment in path.split("/")):
        digest = hashlib.sha256(href.encode()).hexdigest()[:16]
        path = f"/{_WITHHELD}{digest}/{granule_name(href)}"
    return urlunsplit((parts.scheme, host_of(href), path, urlencode(fields), ""))


def is_withheld(href: str) -> bool:
    """Return whether a link that `kept` returned holds a hash in place of its path.

    Parameters
    ----------
    href : str
        What `kept` returned.

    Returns
    -------
    bool
    """
    return f"/{_WITHHELD}" in href


def _plain(segment: str) -> bool:
    text = unquote(segment)
    return _SEGMENT.fullmatch(text) is not None and _LONG_RUN.search(text) is None


def granule_name(href: str) -> str:
    """Return the file name of a link.

    Messages say no more than this of where a file lies.

    Parameters
    ----------
    href : str
        A link or a local path.

    Returns
    -------
    str
        ``[redacted]`` where the name looks like a secret, ``unnamed`` where there is none.
    """
    last = urlsplit(href).path.rstrip("/").rsplit("/", 1)[-1].partition(";")[0]
    if not last:
        return "unnamed"
    return printable(last[:_NAME_LENGTH]) if _plain(last) or not is_remote(href) else "[redacted]"


def redact(text: str) -> str:
    """Return ``text`` without what may be secret in it, safe to show.

    This covers links, queries and headers.

    Parameters
    ----------
    text : str
        A message, such as that of GDAL or of a server.

    Returns
    -------
    str
    """
    text = _REQUEST_LINE.sub(_shorn, _URL.sub(_shorn, text))
    text = _QUERY.sub("?[redacted]", text)
    return printable(_BEARER.sub(r"\1 [redacted]", _HEADER.sub(r"\1\2[redacted]", text)))


def _shorn(found: re.Match[str]) -> str:
    link = found.group()
    head = re.match(r"(?i)/vsi[a-z0-9_]+(?:/|(?=\?))", link)
    prefix = head.group() if head else ""
    scheme, mark, rest = link[len(prefix) :].rpartition("://")
    rest, cut = _until(rest, "?;#")
    host, slash, path = rest.partition("/")
    _, at, name = host.rpartition("@")
    if at:
        host = f"[redacted]@{name}"
    path = "/".join(
        part if _plain(part) or part == "[redacted]" else "[redacted]" for part in path.split("/")
    )
    return f"{prefix}{scheme}{mark}{host}{slash}{path}{'?[redacted]' if cut else ''}"


def _until(text: str, marks: str) -> tuple[str, bool]:
    """Return what comes before the first of some marks, and whether there is one."""
    places = [place for place in map(text.find, marks) if place >= 0]
    return (text[: min(places)], True) if places else (text, False)


class _Redaction(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = redact(record.getMessage()), None
        return True


def redact_logs() -> None:
    """Keep secrets out of what the libraries below log of the links they open."""
    known = [name for name in logging.root.manager.loggerDict if name.startswith(_LOGGERS)]
    for name in (*_LOGGERS, "urllib3.connectionpool", "rasterio._env", *known):
        logger = logging.getLogger(name)
        if not any(isinstance(present, _Redaction) for present in logger.filters):
            logger.addFilter(_Redaction())
