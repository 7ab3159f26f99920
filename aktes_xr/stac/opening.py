"""Opening a raster, local or remote: what is allowed, logins, and errors that show no link.

Rasters are opened as GeoTIFF, whatever their name. Other formats, such as GDAL's VRT, can name
further files and addresses. GDAL would read these too, with the reader's own rights.
"""

from __future__ import annotations

import errno
import os
import random
import re
import stat
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeVar, cast

import rasterio
from rasterio.errors import RasterioError

from aktes_xr.errors import AccessError, AktesError, AssetError, NetworkError, ReadError
from aktes_xr.stac import network
from aktes_xr.stac.links import (
    HTTP,
    followed,
    gdal_path,
    granule_name,
    host_of,
    is_remote,
    matches,
    redact,
    redact_logs,
)
from aktes_xr.stac.network import NetworkSettings
from aktes_xr.stac.remote import RemoteRaster
from aktes_xr.stac.request import Rules
from aktes_xr.stac.signing import Login, Modifier, request_headers, signed_href

T = TypeVar("T")

# GDAL's settings, all in this one place. Over HTTP it reads nothing itself (aktes_xr.stac.remote);
# object stores it does. A login's options come on top.
GDAL_SETTINGS: Final[dict[str, Any]] = {
    # Do not list the bucket, nor ask for sidecar files that are not there.
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
    "GDAL_HTTP_MERGE_CONSECUTIVE_RANGES": "YES",
    "GDAL_HTTP_MULTIRANGE": "YES",
    "GDAL_HTTP_MAX_RETRY": 4,
    "GDAL_HTTP_RETRY_DELAY": 0.5,
    "VSI_CACHE": True,
}

# Only a number after "HTTP" is a refusal: a message about a torn file may name row 403.
_REFUSED: Final = r"\bHTTP\b.*\b(401|403)\b"
_UNANSWERED: Final = r"CURL error|resolve host|Failed to connect|timed out|too slow"
_WANTED: Final = (
    " (the archive wants a signed link or a login: pass modifier=, e.g. planetary_computer.sign or "
    "aktes_xr.stac.Login, so that this happens where it is read)"
)

redact_logs()


@dataclass(frozen=True)
class Access:
    """How files are reached; small, and without any secret.

    Attributes
    ----------
    modifier : signs links, or is a `Login`
    allowed_hosts : the only hosts to read from; None allows all
    settings : NetworkSettings
    items : (host, number of items there) of a whole cube; a host is empty for this machine
    """

    modifier: Modifier | None = None
    allowed_hosts: tuple[str, ...] | None = None
    settings: NetworkSettings = field(default_factory=NetworkSettings.from_environment)
    items: tuple[tuple[str, int], ...] = ()

    @property
    def login(self) -> Login | None:
        """The modifier, if it logs in."""
        return self.modifier if isinstance(self.modifier, Login) else None

    def hopeless(self) -> bool:
        """Return whether no host of the cube gives anything, so that going on makes no sense."""
        return bool(self.items) and all(
            host and network.nothing_comes(host, self.settings, items=number)
            for host, number in self.items
        )

    def options(self, host: str, *, anew: bool) -> dict[str, Any]:
        """Return the login's options for a host, or none where the login is not meant for it.

        Parameters
        ----------
        host : str
            ``host`` or ``host:port`` as `links.host_of` gives it; empty for a local path.
        anew : bool
            Fetch them again, also where some are still held.

        Returns
        -------
        dict
            Options of ``rasterio.Env``.
        """
        login = self.login
        if login is None or not (host == "" or matches(host, login.hosts or ())):
            return {}
        return login.options(anew=anew)


def with_raster(
    href: str,
    access: Access,
    work: Callable[[Any], T],
    *,
    remedy: str,
    driver: str = "GTiff",
) -> T:
    """Open a raster, hand it to ``work`` and close it.

    Parameters
    ----------
    href : bare link or path
    access : Access
    work : is given the open rasterio dataset
    remedy : what the message of a failure advises
    driver : the only format it may have

    Raises
    ------
    ReadError
        It cannot be opened or read. The message names the file, not where it lies, and nothing
        is chained to it: the messages of the libraries below hold the signed link.
    AccessError
        The archive refuses (401, 403), twice.
    """
    name = granule_name(href)
    failure: _Failure | None = None
    # Credentials may have expired, or kept bytes may be damaged. Fetch both anew, once.
    for anew in (False, True):
        if anew:
            time.sleep(access.settings.backoff_s * random.uniform(0.75, 1.25))
        try:
            return _read_once(href, access, work, driver=driver, anew=anew)
        except _Failure as error:
            failure = error
        if not failure.again:
            break
    if failure is not None and failure.refused:
        raise AccessError(f"could not read {name}: {failure}{_WANTED}") from None
    raise ReadError(f"could not read {name}: {failure}; {remedy}") from None


class _Failure(Exception):  # noqa: N818  it is turned into an error above
    """Why one try failed, safe to show; ``again`` where another may help."""

    def __init__(self, reason: str, *, refused: bool = False, again: bool = False) -> None:
        super().__init__(redact(reason))
        self.refused = refused
        self.again = again or refused


def _read_once(
    href: str, access: Access, work: Callable[[Any], T], *, driver: str, anew: bool
) -> T:
    signed = signed_href(href, access.modifier)
    try:
        link = followed(signed, local=not is_remote(href), allowed_hosts=access.allowed_hosts)
    except AssetError as error:
        raise _Failure(str(error)) from None
    if not is_remote(link):
        return _read_local(link, work, driver)
    options = access.options(host_of(link), anew=anew)
    if link.lower().startswith(HTTP):
        return _read_http(link, access, options, work, driver)
    return _read_stored(link, access, options, work, driver)


def _read_local(path: str, work: Callable[[Any], T], driver: str) -> T:
    if not path.startswith("/vsi"):
        try:
            check_regular(path)
        except OSError as error:
            raise _Failure(error.strerror or "it is no file") from None
    try:
        with (
            rasterio.Env(**GDAL_SETTINGS),
            rasterio.open(path, sharing=False, driver=driver) as one,
        ):
            return work(one)
    except AktesError:
        raise
    except (RasterioError, OSError) as error:
        raise _Failure(_reason(error, path)) from None


def _read_http(
    link: str, access: Access, options: dict[str, Any], work: Callable[[Any], T], driver: str
) -> T:
    """Read through our own requests; GDAL sees bytes only."""
    login = access.login
    rules = Rules(
        settings=access.settings,
        allowed_hosts=access.allowed_hosts,
        headers=request_headers(options),
        login_hosts=() if login is None else login.hosts or (),
    )
    try:
        remote = RemoteRaster(link, rules)
    except NetworkError as error:
        raise _Failure(str(error), refused=error.status in (401, 403)) from None
    except ReadError as error:
        raise _Failure(str(error), again=True) from None
    found, trouble = None, None
    try:
        with (
            rasterio.Env(**GDAL_SETTINGS),
            rasterio.open(granule_name(link), opener=remote, sharing=False, driver=driver) as one,
        ):
            found = work(one)
    except AktesError:
        raise
    except (RasterioError, OSError) as error:
        trouble = _reason(error, link)
    if remote.failure is not None:
        # GDAL only says that bytes were missing; the raster knows why.
        status = remote.failure.status
        raise _Failure(str(remote.failure), refused=status in (401, 403)) from None
    if trouble is not None:
        remote.forget()
        raise _Failure(trouble, again=True) from None
    return cast(T, found)


def _read_stored(
    link: str, access: Access, options: dict[str, Any], work: Callable[[Any], T], driver: str
) -> T:
    """Read from an object store, which GDAL signs for; it repeats by itself."""
    host, settings = host_of(link), access.settings
    patience = {
        "GDAL_HTTP_CONNECTTIMEOUT": settings.connect_s,
        "GDAL_HTTP_LOW_SPEED_TIME": settings.silence_s,
        "GDAL_HTTP_LOW_SPEED_LIMIT": settings.slowest_bytes_per_s,
        "GDAL_HTTP_TIMEOUT": 2 * settings.deadline_s,
    }
    try:
        network.admitted(host)
    except NetworkError as error:
        raise _Failure(str(error)) from None
    try:
        with (
            rasterio.Env(**{**GDAL_SETTINGS, **patience, **options}),
            rasterio.open(gdal_path(link), sharing=False, driver=driver) as one,
        ):
            found = work(one)
    except AktesError:
        raise
    except (RasterioError, OSError) as error:
        reason = _reason(error, link, gdal_path(link))
        silent = re.search(_UNANSWERED, reason) is not None
        if silent:
            network.has_failed(host, f"{host}: no answer", settings, dead=True)
        else:
            network.has_answered(host)
        raise _Failure(reason, refused=re.search(_REFUSED, reason) is not None) from None
    network.has_served(host)
    return found


def check_regular(path: str | Path) -> None:
    """Refuse what is no plain file.

    A pipe, a device or a folder could make a reader wait for ever.

    Parameters
    ----------
    path : str or Path
        A local path.

    Raises
    ------
    OSError
        It is none, or there is nothing.
    """
    mode = os.stat(path).st_mode
    if not stat.S_ISREG(mode):
        kind = "a folder" if stat.S_ISDIR(mode) else "a pipe or device"
        raise OSError(errno.EINVAL, f"it is {kind}, no file")


def _reason(error: BaseException, *links: str) -> str:
    """Return what went wrong, down to the cause, without links."""
    texts: list[str] = []
    below: BaseException | None = error
    while below is not None:
        text = str(getattr(below, "errmsg", None) or below).strip()
        if text and "See previous exception" not in text and text not in " ".join(texts):
            texts.append(text)
        below = below.__cause__ or below.__context__
    reason = "; ".join(texts[:2]) or type(error).__name__
    for link in links:
        reason = reason.replace(link, granule_name(link))
    return reason
