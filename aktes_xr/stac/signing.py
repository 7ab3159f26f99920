"""Signed links: where they may be, and what every message shows instead.

A short-lived signature must be renewed in the task that reads, and must not be stored where a graph
could be logged, cached or sent. So a graph holds the bare link; the reading task signs it with the
caller's ``modifier``. Items that were signed by the search alone are served from this process's
memory, which does not reach other processes: there the modifier is needed.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from aktes_xr.errors import StacError
from aktes_xr.stac.login import Login

Modifier = Callable[[Any], Any]

_QUERY = re.compile(r"\?[^\s'\"<>`|]*=[^\s'\"<>`|)\]},]*")
_USER = re.compile(r"(?<=://)[^/\s@'\"]+@")
_BEARER = re.compile(r"(?i)\b(bearer|basic)\s+[\w.~+/=-]+")
_SECRETS = frozenset(
    {
        "access_token",
        "apikey",
        "api_key",
        "awsaccesskeyid",
        "sig",
        "signature",
        "subscription-key",
        "token",
        "x-amz-credential",
        "x-amz-security-token",
        "x-amz-signature",
        "x-goog-signature",
    }
)
_RASTERIO_LOGGERS = (
    "_base",
    "_env",
    "_err",
    "_filepath",
    "_io",
    "_path",
    "_warp",
    "env",
    "session",
)

_signatures: dict[str, str] = {}


def redact(text: str) -> str:
    """Return ``text`` without query strings, user names and bearer tokens."""
    text = _QUERY.sub("?[redacted]", text)
    return _BEARER.sub(r"\1 [redacted]", _USER.sub("[redacted]@", text))


def granule_name(href: str) -> str:
    """Return the file name of a link, which is all that messages say of where it lies."""
    return urlsplit(href).path.rstrip("/").rsplit("/", 1)[-1] or "unnamed"


def bare_href(href: str, modifier: Modifier | None) -> str:
    """Return the link as a graph may hold it.

    Parameters
    ----------
    href : link or path, signed or not
    modifier : what the reading task will sign it with; None keeps a signature that is there in
        this process's memory
    """
    if "://" not in href or "?" not in href:
        return href
    modifier = _signer(modifier)
    bare, query = href.split("?", 1)
    if modifier is not None:
        return bare
    if not _SECRETS.isdisjoint(name.lower() for name, _ in parse_qsl(query)):
        _signatures[bare] = query
        return bare
    return href


def signed_href(href: str, modifier: Modifier | None) -> str:
    """Sign a bare link, in the task that is about to read it.

    Raises
    ------
    StacError
        The modifier does not turn a link (str) into a link.
    """
    modifier = _signer(modifier)
    if modifier is None:
        query = _signatures.get(href)
        return href if query is None else f"{href}?{query}"
    if "://" not in href:
        return href
    signed = modifier(href)
    if not isinstance(signed, str):
        raise StacError(
            f"the modifier returned {type(signed).__name__} for a link, expected the signed link "
            "as str; pass a function such as planetary_computer.sign that takes both items and "
            "links"
        )
    return signed


def _signer(modifier: Modifier | None) -> Modifier | None:
    """Return what signs links: a login signs none by itself."""
    return modifier.modifier if isinstance(modifier, Login) else modifier


class _Redaction(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = redact(record.getMessage()), None
        return True


def redact_logs() -> None:
    """Keep signatures out of what rasterio logs of GDAL's messages (which hold whole links)."""
    for name in _RASTERIO_LOGGERS:
        logger = logging.getLogger(f"rasterio.{name}")
        if not any(isinstance(present, _Redaction) for present in logger.filters):
            logger.addFilter(_Redaction())
