"""NASA's archive through earthaccess: login, search and download.

What earthaccess says of a failure may hold an account's name or a signed address. So messages here
say what kind of failure it was and nothing of its text, and its own log is silent meanwhile.
"""

from __future__ import annotations

import logging
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn

from aktes_xr.errors import AccessError, DependencyError, ReadError

if TYPE_CHECKING:
    from aktes_xr.catalog import Source

_EXTRA: Final = "pip install 'aktes-xr[earthdata]'"
_LOGIN: Final = (
    "set EARTHDATA_TOKEN (or EARTHDATA_USERNAME and EARTHDATA_PASSWORD), or write the login of "
    "urs.earthdata.nasa.gov into ~/.netrc, or call earthaccess.login() before"
)


def require(collection: Source) -> None:
    """Refuse where earthaccess is not installed.

    Parameters
    ----------
    collection : Source
        Of kind ``"folder"``.

    Raises
    ------
    DependencyError
        It is not.
    """
    if find_spec("earthaccess") is None:
        raise DependencyError(
            f"downloading {collection.collection} needs earthaccess; run: {_EXTRA}, or give the "
            "folder that holds the files"
        )


def folder_of(collection: Source, folder: str | Path | None) -> Path:
    """Return where the files of a collection are kept.

    Parameters
    ----------
    collection : Source
        Of kind ``"folder"``.
    folder : str or Path, optional
        The user's choice; else it lies in the user's cache directory.

    Returns
    -------
    Path
    """
    if folder is not None:
        return Path(folder)
    base = os.environ.get("XDG_CACHE_HOME")
    cache = Path(base) if base else Path.home() / ".cache"
    return cache / "aktes_xr" / str(collection.collection)


def files_in(place: Path) -> list[Path]:
    """Return the files in a folder, none where there is no folder.

    Parameters
    ----------
    place : Path

    Returns
    -------
    list of Path
    """
    return [path for path in place.iterdir() if path.is_file()] if place.is_dir() else []


def login(collection: Source) -> None:
    """Log in as the environment or ``~/.netrc`` says, or by asking at a terminal.

    Parameters
    ----------
    collection : Source
        What for.

    Raises
    ------
    AccessError
        There is no login, or it is refused.
    ReadError
        The service does not answer.
    """
    import earthaccess
    from earthaccess.exceptions import LoginStrategyUnavailable

    # Nobody answers a question that a scheduled job asks.
    asks = sys.stdin is not None and sys.stdin.isatty()
    ways = ("environment", "netrc", *(("interactive",) if asks else ()))
    for way in ways:
        with _guarded(collection):
            try:
                if earthaccess.login(strategy=way).authenticated:
                    return
            except LoginStrategyUnavailable:
                continue
    raise AccessError(f"there is no Earthdata login to download {collection.collection}: {_LOGIN}")


def search(collection: Source, **query: Any) -> list[Any]:
    """Search the granules of a collection.

    Parameters
    ----------
    collection : Source
    **query : Any
        As ``earthaccess.search_data`` takes it.

    Returns
    -------
    list of earthaccess.DataGranule

    Raises
    ------
    ReadError
        The service does not answer, or answers with a failure.
    """
    import earthaccess

    with _guarded(collection):
        return list(
            earthaccess.search_data(
                short_name=collection.collection, version=collection.version, **query
            )
        )


def file_names(granule: Any) -> list[str]:
    """Return the names of a granule's files.

    Parameters
    ----------
    granule : earthaccess.DataGranule

    Returns
    -------
    list of str
    """
    return [str(link).rsplit("/", 1)[-1] for link in granule.data_links()]


def download(collection: Source, granules: Sequence[Any], place: Path) -> None:
    """Download granules into a folder, each of which is there whole or not at all.

    Parameters
    ----------
    collection : Source
    granules : sequence of earthaccess.DataGranule
    place : Path
        Made where it is not there.

    Raises
    ------
    ReadError
        The archive refuses, the download fails, or the folder cannot be written to.
    """
    import earthaccess

    with _guarded(collection):
        place.mkdir(parents=True, exist_ok=True)
        # A download that is cut off must not be taken for the file.
        with tempfile.TemporaryDirectory(prefix=".download-", dir=place) as unfinished:
            earthaccess.download(list(granules), unfinished, show_progress=False)
            for path in files_in(Path(unfinished)):
                os.replace(path, place / path.name)


@contextmanager
def _guarded(collection: Source) -> Iterator[None]:
    """Turn what earthaccess raises into errors without its texts; keep its log silent."""
    import earthaccess.exceptions as failures

    log = logging.getLogger("earthaccess")
    level = log.level
    log.setLevel(logging.CRITICAL + 1)
    try:
        yield
    except failures.LoginAttemptFailure:
        raise AccessError(
            f"the Earthdata login is refused, which downloading {collection.collection} needs: "
            f"check name and password, or take a new token; {_LOGIN}"
        ) from None
    except (failures.DownloadFailure, failures.ServiceOutage) as error:
        _fail(collection, error)
    except (OSError, EOFError, RuntimeError, ValueError) as error:
        _fail(collection, error)
    finally:
        log.setLevel(level)


def _fail(collection: Source, error: Exception) -> NoReturn:
    status = getattr(getattr(error, "response", None), "status_code", None)
    said = type(error).__name__ if status is None else f"{type(error).__name__}, status {status}"
    raise ReadError(
        f"{collection.collection} could not be downloaded ({said}); check that the Earthdata "
        "account may read it and that the network and the disk serve, or give the folder that "
        "holds the files"
    ) from None
