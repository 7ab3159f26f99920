"""Search a STAC API through pystac-client, or a static catalogue by walking it."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pandas as pd
import pystac

from aktes_xr.catalog import sources
from aktes_xr.errors import AssetError, InputError, NetworkError, SearchError, StacError
from aktes_xr.stac.grid import checked_bbox
from aktes_xr.stac.item import item_of
from aktes_xr.stac.items import LIMIT_BYTES, SKIPPED, Found, Skipped, from_place
from aktes_xr.stac.links import followed, is_remote, redact
from aktes_xr.stac.network import NetworkSettings
from aktes_xr.stac.request import Rules, fetch
from aktes_xr.stac.signing import Modifier

if TYPE_CHECKING:
    from pystac_client import Client

logger = logging.getLogger(__name__)

Interval = tuple[datetime | None, datetime | None]

CLOUD_COVER: Final = "eo:cloud_cover"
# pystac's errors share no root.
_NO_STAC: Final = (pystac.STACError, pystac.STACTypeError, pystac.STACValidationError)
# What foreign code raises that takes an answer apart without checking its shape first.
_MISSHAPEN: Final = (AttributeError, IndexError, KeyError, TypeError, ValueError)


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What an item must fulfil. It is checked here too, since a service may ignore a condition."""

    bbox: tuple[float, float, float, float] | None
    interval: Interval
    collections: Sequence[str] | None
    max_cloud_cover: float | None

    def has(self, item: pystac.Item) -> bool:
        return (
            (self.collections is None or item.collection_id in self.collections)
            and _in_time(item, self.interval)
            and _in_box(item, self.bbox)
            and self.is_clear(item)
        )

    def is_clear(self, item: pystac.Item) -> bool:
        cover = item.properties.get(CLOUD_COVER)
        if self.max_cloud_cover is None:
            return True
        return isinstance(cover, int | float) and cover <= self.max_cloud_cover


def search(
    where: str | Path = "planetary_computer",
    *,
    bbox: Sequence[float] | None = None,
    datetime: str | None = None,
    collections: Sequence[str] | None = None,
    modifier: Modifier | None = None,
    max_items: int | None = None,
    max_cloud_cover: float | None = None,
    query: Any = None,
    filter: Any = None,
    allowed_hosts: Sequence[str] | None = None,
    network: NetworkSettings | None = None,
) -> pystac.ItemCollection:
    """Find items.

    Parameters
    ----------
    where : name of a shipped source (see `sources`), address of a STAC API, or path or address of
        a static catalogue (``.json``)
    bbox : (west, south, east, north), degrees
    datetime : an instant, day, month or year, or two of them as ``"start/end"``; ``".."`` is open
    collections : collection ids; a shipped source brings its own
    modifier : function applied to each item found, such as ``planetary_computer.sign``. Pass it to
        `open_stac` too: what is signed here has expired by the time a long run reads it.
    max_items : stop after as many
    max_cloud_cover : percent, of the property ``eo:cloud_cover``; items that do not state it are
        left out
    query, filter : further conditions, as `pystac_client.Client.search` takes them (the query
        extension; CQL2 as text or JSON); for STAC APIs only
    allowed_hosts : the only hosts to ask; None allows all
    network : how long hosts are waited for, and how many pages are read at most

    Returns
    -------
    pystac.ItemCollection, in time's order
        Its ``extra_fields["aktes:skipped_items"]`` names what was found but cannot be used;
        `open_stac` reports it with its own.

    Raises
    ------
    SearchError
        The service or the catalogue cannot be read, or what it answers is no STAC.
    StacError
        The source cannot be searched, or is none.
    CatalogError, InputError
        The source is not known; an argument cannot be understood.
    """
    href, kind, collections = _address(str(where), collections)
    if max_cloud_cover is not None and not 0 <= max_cloud_cover <= 100:
        raise InputError(f"max_cloud_cover is {max_cloud_cover!r}, expected percent from 0 to 100")
    if kind == "static" and (query is not None or filter is not None):
        raise InputError("query= and filter= need a STAC API; a catalogue file answers neither")
    wanted = _Wanted(
        bbox=None if bbox is None else checked_bbox(bbox),
        interval=interval_of(datetime),
        collections=collections,
        max_cloud_cover=max_cloud_cover,
    )
    rules = Rules(
        settings=network or NetworkSettings.from_environment(),
        allowed_hosts=None if allowed_hosts is None else tuple(allowed_hosts),
    )
    skipped: Skipped = []
    found: Iterator[pystac.Item]
    try:
        if kind == "static":
            found = (item for item in _walk(href, skipped, rules) if wanted.has(item))
        else:
            conditions = {"datetime": datetime, "query": query, "filter": filter}
            found = _ask(href, conditions, wanted, skipped=skipped, rules=rules)
        items = [_modified(item, modifier) for item in islice(found, max_items)]
    except (NetworkError, SearchError) as error:
        raise SearchError(
            f"could not search {redact(href)}: {error}; check the address and the network"
        ) from None
    if not items and skipped:
        raise SearchError(
            f"could not search {redact(href)}: all it found is misshapen "
            f"({skipped[0]['reason']}); report it to whoever runs it"
        )
    logger.info("found %d item(s)", len(items))
    items.sort(key=_time)
    return pystac.ItemCollection(items, clone_items=False, extra_fields={SKIPPED: skipped})


def _address(
    where: str, collections: Sequence[str] | None
) -> tuple[str, str, Sequence[str] | None]:
    """Return address, kind (api or static) and collections of what is to be searched."""
    static = where.lower().partition("?")[0].endswith((".json", ".geojson"))
    if "://" in where or static:
        return where, "static" if static else "api", collections
    if Path(where).is_dir():
        return str(Path(where) / "catalog.json"), "static", collections
    known = sources().get(where)
    if known is None:
        raise StacError(
            f"found no source or catalogue {where!r}; expected one of "
            f"{', '.join(sorted(sources()))}, a STAC API's address or a catalogue's path"
        )
    if known.url is None or known.kind not in {"api", "static"}:
        raise StacError(f"{where!r} cannot be searched: {known.access}")
    if collections is None and known.collection is not None:
        collections = [known.collection]
    return known.url, known.kind, collections


def _ask(
    href: str,
    conditions: Mapping[str, Any],
    wanted: _Wanted,
    *,
    skipped: Skipped,
    rules: Rules,
) -> Iterator[pystac.Item]:
    """Search a STAC API, page by page, each feature for itself."""
    # Imported here, since every worker that reads imports this package. This saves each 20 MB.
    from pystac_client import Client
    from pystac_client.errors import ClientTypeError
    from pystac_client.exceptions import APIError, ParametersError
    from pystac_client.stac_api_io import StacApiIO

    class Io(StacApiIO):
        """pystac-client's own, but with our deadlines, and without reading local files."""

        def request(
            self,
            href: str,
            method: str | None = None,
            headers: dict[str, str] | None = None,
            parameters: dict[str, Any] | None = None,
        ) -> str:
            return _request(href, method or "GET", headers, parameters, rules=rules)

        def read_text(self, source: Any, *args: Any, **kwargs: Any) -> str:
            if isinstance(source, str):
                return self.request(followed(source, local=False), *args, **kwargs)
            return str(super().read_text(source, *args, **kwargs))

    try:
        client = Client.open(href, stac_io=Io())
        asked = client.search(
            bbox=None if wanted.bbox is None else list(wanted.bbox),
            collections=None if wanted.collections is None else list(wanted.collections),
            **_with_clouds(client, conditions, wanted),
        )
        for number, page in enumerate(asked.pages_as_dicts(), start=1):
            if number > rules.settings.pages:
                raise SearchError(
                    f"more than {rules.settings.pages} pages, without an end; narrow the search"
                )
            features = page.get("features")
            for feature in features if isinstance(features, list) else [features]:
                item = _item(Found(feature, href, local=False), skipped, root=client)
                if item is not None and wanted.is_clear(item):
                    yield item
    except ParametersError as error:
        raise InputError(f"the search is not understood: {redact(str(error))}") from None
    except (APIError, ClientTypeError, NotImplementedError, *_NO_STAC) as error:
        raise SearchError(redact(str(error)) or type(error).__name__) from None
    except (StacError, InputError):
        raise
    except _MISSHAPEN as error:
        raise SearchError(
            f"the answer is no STAC ({type(error).__name__}: {redact(str(error))[:120]})"
        ) from None


def _with_clouds(client: Client, conditions: Mapping[str, Any], wanted: _Wanted) -> dict[str, Any]:
    """Ask the service to leave out cloudy items, if it says that it can."""
    limit = wanted.max_cloud_cover
    found = {name: value for name, value in conditions.items() if value is not None}
    for name, needed in (("query", "QUERY"), ("filter", "FILTER")):
        if name in found and not client.conforms_to(needed):
            raise InputError(
                f"{name}= is given, but the service does not say that it understands {needed}; "
                "leave it out"
            )
    if limit is None:
        return found
    if client.conforms_to("QUERY") and isinstance(found.get("query", {}), Mapping):
        found["query"] = {**found.get("query", {}), CLOUD_COVER: {"lte": limit}}
    elif client.conforms_to("FILTER") and "filter" not in found:
        found["filter"] = {"op": "<=", "args": [{"property": CLOUD_COVER}, limit]}
    return found


def _request(
    href: str,
    method: str,
    headers: Mapping[str, str] | None,
    parameters: Mapping[str, Any] | None,
    *,
    rules: Rules,
) -> str:
    import requests

    try:
        link = followed(href, local=False, allowed_hosts=rules.allowed_hosts)
    except AssetError as error:
        raise SearchError(f"the service leads elsewhere: {error}") from None
    if method.upper() == "GET" and parameters:
        link = str(requests.Request("GET", link, params=dict(parameters)).prepare().url)
    body = None if method.upper() == "GET" else dict(parameters or {})
    reply = fetch(
        link, rules, limit_bytes=LIMIT_BYTES, method=method.upper(), headers=headers, json=body
    )
    return reply.body.decode("utf-8")


def _walk(href: str, skipped: Skipped, rules: Rules) -> Iterator[pystac.Item]:
    if not is_remote(href) and not Path(href).exists():
        raise StacError(f"found no file {redact(href)}; expected a catalogue or an item")
    for found in from_place(href, skipped, rules):
        item = _item(found, skipped)
        if item is not None:
            yield item


def _item(
    found: Found, skipped: Skipped, *, root: pystac.Catalog | None = None
) -> pystac.Item | None:
    """Make a pystac item of what was found; None, and a note, where it is none."""
    try:
        for asset in (item_of(found).assets or {}).values():
            if asset.link and not found.local:
                followed(asset.link, local=False)
        item = pystac.Item.from_dict(found.plain, href=found.base, root=root)
        _time(item)
    except StacError as error:
        reason = str(error)
    except (*_NO_STAC, *_MISSHAPEN) as error:
        reason = f"item {found.name} is no STAC item ({type(error).__name__}: {error})"[:300]
    else:
        return item
    logger.warning("skipped: %s", redact(reason))
    skipped.append({"id": found.name, "reason": redact(reason)})
    return None


def _modified(item: pystac.Item, modifier: Modifier | None) -> pystac.Item:
    if modifier is None:
        return item
    changed: Any = modifier(item)
    # As in pystac-client, a modifier may change its argument in place and return nothing.
    return changed if isinstance(changed, pystac.Item) else item


def _in_box(item: pystac.Item, bbox: Sequence[float] | None) -> bool:
    if bbox is None:
        return True
    if item.bbox is None:
        return False
    # A box may have heights in it: west, south, [low,] east, north [, high].
    half = len(item.bbox) // 2
    west, south, east, north = *item.bbox[:2], *item.bbox[half : half + 2]
    return west <= bbox[2] and bbox[0] <= east and south <= bbox[3] and bbox[1] <= north


def _in_time(item: pystac.Item, interval: Interval) -> bool:
    start, end = interval
    time = _time(item)
    return (start is None or time >= start) and (end is None or time <= end)


def _time(item: pystac.Item) -> datetime:
    time = item.datetime or item.common_metadata.start_datetime
    if time is None:
        raise StacError(f"item {item.id} has no datetime; correct the catalogue")
    return time if time.tzinfo is not None else time.replace(tzinfo=UTC)


def interval_of(text: str | None) -> Interval:
    """Return the first and last instant of an interval such as ``2001``, ``2001-01/2001-03``.

    Parameters
    ----------
    text : str, optional
        An instant, day, month or year, or two of them as ``"start/end"``; ``".."`` is open.

    Returns
    -------
    (datetime or None, datetime or None)

    Raises
    ------
    InputError
        It is none, or ends before it starts.
    """
    if text is None:
        return None, None
    parts = text.split("/")
    if len(parts) > 2:
        raise InputError(f"datetime is {text!r}, expected one instant or 'start/end'")
    start, end = parts[0], parts[-1]
    try:
        first = None if start in ("", "..") else _period(start)[0]
        last = None if end in ("", "..") else _period(end)[1]
    except (ValueError, OverflowError) as error:
        raise InputError(
            f"datetime is {text!r} ({error}), expected e.g. '2001-01' or '2001-01-01/2001-03-31'"
        ) from None
    if first is not None and last is not None and first > last:
        raise InputError(f"datetime is {text!r}, which ends before it starts; exchange the two")
    return first, last


def _period(text: str) -> tuple[datetime, datetime]:
    if len(text) <= 10:
        period = pd.Period(text)
        start, end = period.start_time, period.end_time
    else:
        start = end = pd.Timestamp(text)
    if start.tzinfo is None:
        start, end = start.tz_localize("UTC"), end.tz_localize("UTC")
    return start.to_pydatetime(warn=False), end.to_pydatetime(warn=False)
