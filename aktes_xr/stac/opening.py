"""Opening a raster, local or remote: GDAL's settings, signing, and errors that show no link."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from typing import Any, TypeVar

import rasterio
from rasterio.errors import RasterioError

from aktes_xr.errors import AccessError, AktesError, ReadError
from aktes_xr.stac.login import Login
from aktes_xr.stac.signing import Modifier, granule_name, redact, redact_logs, signed_href

T = TypeVar("T")

# GDAL's settings for reading over the network, all in this one place. A login's options (see
# aktes_xr.stac.login) and what the caller sets in an enclosing rasterio.Env come on top.
GDAL_SETTINGS: dict[str, Any] = {
    # Do not list the bucket, nor ask for sidecar files that are not there.
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
    "GDAL_HTTP_MERGE_CONSECUTIVE_RANGES": "YES",
    "GDAL_HTTP_MULTIRANGE": "YES",
    # 429 and 5xx are asked again, after 0.5 s and then ever later.
    "GDAL_HTTP_MAX_RETRY": 4,
    "GDAL_HTTP_RETRY_DELAY": 0.5,
    "GDAL_HTTP_CONNECTTIMEOUT": 20,
    "GDAL_HTTP_TIMEOUT": 120,
    "VSI_CACHE": True,
}

# A torn file may be torn at row 403, too.
_REFUSED = r"\bHTTP\b.*\b(401|403)\b"

_failures: Counter[str] = Counter()

redact_logs()


def with_raster(
    href: str, modifier: Modifier | None, work: Callable[[Any], T], *, remedy: str
) -> T:
    """Open a raster, hand it to ``work`` and close it.

    Parameters
    ----------
    href : bare link or path
    modifier : signs the link, now; a `Login` also brings credentials, renewed if they are refused
    work : is given the open rasterio dataset
    remedy : what the message of a failure advises

    Raises
    ------
    ReadError
        It cannot be opened or read. The message names the file, not where it lies, and nothing
        is chained to it: GDAL's own messages hold the signed link.
    AccessError
        The archive refuses (401, 403).
    """
    login = modifier if isinstance(modifier, Login) else None
    failure = ""
    # Credentials may have expired since they were fetched: a second try fetches them anew.
    for anew in (False,) if login is None else (False, True):
        signed = signed_href(href, modifier)
        path = _gdal_path(href, signed)
        options = {} if login is None else login.options(anew=anew)
        try:
            with (
                rasterio.Env(**{**GDAL_SETTINGS, **options}),
                rasterio.open(path, sharing=False) as source,
            ):
                return work(source)
        except AktesError:
            raise
        except (RasterioError, OSError) as error:
            failure = _describe(error, href, path, signed)
        _failures[href] += 1
        if not re.search(_REFUSED, failure):
            break
    if re.search(_REFUSED, failure):
        raise AccessError(f"could not read {failure}")
    raise ReadError(f"could not read {failure}; {remedy}")


def _gdal_path(href: str, signed: str) -> str:
    """Return what GDAL is to open.

    GDAL remembers that a link failed, for as long as the process lives: a second try would not even
    ask. A fragment, which never leaves this machine, makes it another link.
    """
    if _failures[href] and signed.startswith(("http://", "https://")):
        return f"/vsicurl/{signed}#{_failures[href]}"
    return signed


def _describe(error: Exception, href: str, *links: str) -> str:
    name = granule_name(href)
    reason = str(error)
    for link in (*links, href):
        reason = reason.replace(link, name)
    reason = redact(reason)
    if re.search(_REFUSED, reason):
        reason += (
            " (the archive wants a signed link or a login: pass modifier=, e.g. "
            "planetary_computer.sign or aktes_xr.stac.Login, so that this happens where it is read)"
        )
    return f"{name}: {reason}"
