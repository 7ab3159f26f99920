"""Open what a user names: a shipped source, a file or an address."""

from __future__ import annotations

import functools
import logging
import sys
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final, TypeAlias
from urllib.parse import urlsplit

import numpy as np
import xarray as xr
from dask.base import tokenize

from aktes_xr.ancillaries.names import recognise
from aktes_xr.catalog import Source, read_sources, sources
from aktes_xr.errors import AncillaryError, DependencyError, MissingVariableError, ReadError

logger = logging.getLogger(__name__)

SourceLike: TypeAlias = "str | Path | Source | xr.Dataset"

EXTRA: Final = "pip install 'aktes-xr[era5]'"
_FAILURES: Final = (OSError, ValueError, KeyError, TypeError)
_LAST_HOUR: Final = np.timedelta64(23, "h")


@dataclass(frozen=True, eq=False)
class Opened:
    """An open source.

    Attributes
    ----------
    datasets : alternatives that hold the same variables in other chunks, at least one
    label : what provenance calls it; never a path or a credential
    token : what identifies its content as far as that is known
    variables : its name of each quantity; None: to be recognised
    snapshot : of a versioned store
    period : first and last time that is filled, where the time axis says more than it holds
    shipped : the definition it was opened by
    """

    datasets: tuple[xr.Dataset, ...]
    label: str
    token: str
    variables: Mapping[str, str] | None = None
    snapshot: str | None = None
    period: tuple[np.datetime64, np.datetime64] | None = None
    shipped: Source | None = None
    passed_over: Mapping[str, str] = field(default_factory=dict)


def find_definition(source: SourceLike) -> Source | None:
    """Return the definition that a name, a definition or a YAML file stands for, or None.

    Parameters
    ----------
    source : str, Path, Source or Dataset
        What a user gave as a source.

    Returns
    -------
    Source or None

    Raises
    ------
    AncillaryError
        A YAML file defines several.
    CatalogError
        It breaks the schema.
    """
    if isinstance(source, Source):
        return source
    if not isinstance(source, str | Path):
        return None
    if str(source) in sources():
        return sources()[str(source)]
    if Path(source).suffix in {".yaml", ".yml"} and Path(source).is_file():
        defined = list(read_sources(Path(source)).values())
        if len(defined) != 1:
            raise AncillaryError(
                f"{Path(source).name} defines {len(defined)} sources, expected one; split it"
            )
        return defined[0]
    return None


def open_source(source: SourceLike) -> Opened:
    """Open a source without reading more than coordinates and attributes.

    Parameters
    ----------
    source : str, Path, Source or Dataset
        Name of a shipped source, a definition of one, a YAML file with one; path of a Zarr store,
        a NetCDF or a GRIB file; ``s3://``, ``gs://`` or ``http(s)://`` address of a Zarr store
        that anybody may read; or an open dataset.

    Returns
    -------
    Opened

    Raises
    ------
    AncillaryError
        There is no such source, or it is none of these.
    MissingVariableError
        It holds no ancillary variable.
    ReadError
        A remote store does not answer.
    DependencyError
        A package is missing; the message names the extra.
    """
    definition = find_definition(source)
    if definition is not None:
        return _open_definition(definition)
    if isinstance(source, xr.Dataset):
        opened = source
        label = str(source.attrs.get("title") or source.attrs.get("source") or "dataset")
        return _recognised(opened, label, tokenize(source))
    if not isinstance(source, str | Path):
        raise AncillaryError(
            f"found a {type(source).__name__} as source of ancillaries, expected a name, a path, "
            "an address or an xarray.Dataset"
        )
    if "://" in str(source):
        label = urlsplit(str(source)).path.rstrip("/").rsplit("/", 1)[-1] or "remote store"
        return _recognised(_open_zarr(str(source)), label, tokenize(str(source)))
    path = Path(source)
    if not path.exists():
        known = ", ".join(name for name, one in sources().items() if one.content == "atmosphere")
        raise AncillaryError(
            f"found no file {path.name!r} and no shipped source of that name; expected one of "
            f"{known}, or the path of a Zarr store, a NetCDF or a GRIB file"
        )
    changed = path.stat().st_mtime_ns
    return _recognised(_open_file(path), path.name, tokenize(str(path.resolve()), changed))


def _recognised(ds: xr.Dataset, label: str, token: str) -> Opened:
    found, passed_over = recognise(ds)
    return Opened((ds,), label, token, variables=found, passed_over=passed_over)


def _open_definition(definition: Source) -> Opened:
    if definition.content != "atmosphere" or definition.url is None:
        raise AncillaryError(
            f"{definition.name!r} holds {definition.content}, expected a source of the atmosphere "
            f"such as era5: {definition.access}"
        )
    snapshot = None
    if definition.kind == "icechunk":
        datasets, snapshot = _open_icechunk(definition)
    else:
        url, groups = definition.url, definition.groups or (None,)
        datasets = tuple(_open_zarr(url, definition=definition, group=group) for group in groups)
    wanted = definition.variables or {}
    names = {key: name for key, name in wanted.items() if name in datasets[0].data_vars}
    absent = dict.fromkeys(set(wanted.values()) - {*names.values()}, "the store does not hold it")
    if not names:
        raise MissingVariableError(
            f"{definition.name!r} holds none of {', '.join(sorted(wanted.values()))} (found: "
            f"{', '.join(sorted(map(str, datasets[0].data_vars)))[:300]}); its layout has changed"
        )
    _say_licence(definition.title, definition.licence, definition.citation)
    return Opened(
        datasets,
        f"{definition.name}: {definition.title} ({definition.url})",
        tokenize(definition.url, snapshot or datasets[0].attrs.get("last_updated")),
        variables=names,
        snapshot=snapshot,
        period=_period(datasets[0]),
        shipped=definition,
        passed_over=absent,
    )


@functools.cache
def _say_licence(title: str, licence: str, citation: str | None) -> None:
    logger.info("%s: %s. Cite: %s", title, licence, citation)


def _period(ds: xr.Dataset) -> tuple[np.datetime64, np.datetime64] | None:
    """Read from the attributes which days of a padded time axis are filled, the last one whole."""
    first = ds.attrs.get("valid_time_start")
    last = ds.attrs.get("valid_time_stop_era5t") or ds.attrs.get("valid_time_stop")
    if first is None or last is None:
        return None
    return np.datetime64(first, "ns"), np.datetime64(last, "ns") + _LAST_HOUR


def _open_icechunk(definition: Source) -> tuple[tuple[xr.Dataset, ...], str]:
    for package in ("icechunk", "pcodec"):
        if find_spec(package) is None:
            raise DependencyError(f"{definition.name!r} needs {package}; run: {EXTRA}")
    import icechunk

    parts = urlsplit(str(definition.url))
    if parts.scheme == "s3":
        plain = (definition.endpoint or "").startswith("http://")
        storage = icechunk.s3_storage(
            bucket=parts.netloc,
            prefix=parts.path.strip("/"),
            region=definition.region,
            endpoint_url=definition.endpoint,
            allow_http=plain,
            force_path_style=definition.endpoint is not None,
            anonymous=True,
        )
    elif not parts.scheme:
        storage = icechunk.local_filesystem_storage(str(definition.url))
    else:
        raise AncillaryError(
            f"{definition.name!r} is at a {parts.scheme} address, expected s3:// or a folder"
        )
    try:
        session = icechunk.Repository.open(storage).readonly_session("main")
        groups = definition.groups or (None,)
        with warnings.catch_warnings():
            # The store is written with Pcodec. A warning that others cannot read it helps nobody
            # here.
            warnings.filterwarnings("ignore", "Numcodecs codecs are not in the Zarr version 3")
            found = tuple(
                _decoded(session.store, group=group, consolidated=False) for group in groups
            )
    except icechunk.IcechunkError as error:
        if icechunk.__version__.startswith("1."):
            raise DependencyError(
                f"{definition.name!r} could not be opened by Icechunk {icechunk.__version__} "
                f"({_first_line(error)}): the live store is of Icechunk's second format, which "
                "needs Python 3.12 or later; take 'arco-era5' here, or check the network"
            ) from None
        raise ReadError(
            f"{definition.name!r} could not be opened ({_first_line(error)}); check the network"
        ) from None
    return found, str(session.snapshot_id)


def _open_zarr(
    url: str, *, definition: Source | None = None, group: str | None = None
) -> xr.Dataset:
    """Open a Zarr store at an address that anybody may read."""
    if find_spec("obstore") is None:
        raise DependencyError(f"reading {urlsplit(url).scheme}:// needs obstore; run: {EXTRA}")
    from obstore.exceptions import BaseError
    from obstore.store import from_url
    from zarr.storage import ObjectStore

    parts = urlsplit(url)
    if parts.username or parts.query:
        raise AncillaryError(
            "the address of the ancillaries holds a credential or a query: expected one that "
            "anybody may read; open what needs a login yourself and pass the Dataset"
        )
    endpoint = None if definition is None else definition.endpoint
    options: dict[str, Any] = {}
    if parts.scheme in {"s3", "gs"}:
        # Anonymous always: so no credential of this machine can get into a graph.
        options["skip_signature"] = True
    if parts.scheme == "s3":
        options |= {"region": (definition and definition.region) or "us-east-1"}
        if endpoint is not None:
            options |= {"endpoint": endpoint, "virtual_hosted_style_request": False}
    plain = url.startswith("http://") or (endpoint or "").startswith("http://")
    try:
        store = ObjectStore(
            from_url(url, client_options={"allow_http": plain}, **options), read_only=True
        )
        with warnings.catch_warnings():
            # Zarr warns that the store opens slowly without them. The user can do nothing about it.
            warnings.filterwarnings("ignore", "Failed to open Zarr store with consolidated")
            return _decoded(store, group=group, consolidated=None)
    except (BaseError, *_FAILURES) as error:
        raise ReadError(
            f"the Zarr store at {parts.scheme}://{parts.netloc}{parts.path} could not be opened "
            f"({_first_line(error)}); check the address and the network"
        ) from None


def _open_file(path: Path) -> xr.Dataset:
    """Open a file by what its first bytes say it is, a folder as Zarr."""
    try:
        if path.is_dir():
            return _decoded(str(path), group=None, consolidated=False)
        if not path.is_file():
            raise AncillaryError(f"{path.name} is neither a file nor a folder; give a store's path")
        with path.open("rb") as stream:
            start = stream.read(8)
        if start.startswith(b"\x89HDF"):
            return _plain(xr.open_dataset(path, engine="h5netcdf", cache=False, **_DECODING))
        if start.startswith(b"CDF"):
            return _plain(xr.open_dataset(path, engine="scipy", cache=False, **_DECODING))
        if start.startswith(b"GRIB"):
            return _open_grib(path)
    except _FAILURES as error:
        if isinstance(error, AncillaryError):
            raise
        raise AncillaryError(
            f"{path.name} could not be opened ({_first_line(error)}); expected a Zarr store, a "
            "NetCDF or a GRIB file with coordinates"
        ) from None
    raise AncillaryError(
        f"{path.name} is neither a Zarr store nor a NetCDF or GRIB file (it begins with "
        f"{start!r}); convert it"
    )


_DECODING: Final[dict[str, Any]] = {"decode_coords": "all", "decode_timedelta": False}


def _decoded(store: Any, *, group: str | None, consolidated: bool | None) -> xr.Dataset:
    # No dask here: an hourly store would have a million chunks per variable.
    return _plain(
        xr.open_dataset(
            store, engine="zarr", group=group, consolidated=consolidated, cache=False, **_DECODING
        )
    )


def _plain(ds: Any) -> xr.Dataset:
    opened: xr.Dataset = ds
    return opened


def _open_grib(path: Path) -> xr.Dataset:
    if find_spec("cfgrib") is None:
        raise DependencyError(
            f"{path.name} is GRIB, which needs cfgrib; run: pip install 'aktes-xr[grib]'"
        )
    import cfgrib

    # Fields of several level types make several datasets; the level's number is not needed.
    parts = [
        part.drop_vars([n for n in part.coords if n not in {*part.dims, "valid_time"}])
        for part in cfgrib.open_datasets(str(path), backend_kwargs={"indexpath": ""})
    ]
    return _plain(xr.merge(parts, compat="override", join="outer"))


def _first_line(error: BaseException) -> str:
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0][:200]


def reading_failures() -> tuple[type[Exception], ...]:
    """Exceptions with which a store's reading fails, of the packages that are in use."""
    found: list[type[Exception]] = [*_FAILURES]
    if "icechunk" in sys.modules:
        found.append(sys.modules["icechunk"].IcechunkError)
    if "obstore.exceptions" in sys.modules:
        found.append(sys.modules["obstore.exceptions"].BaseError)
    return tuple(found)
