"""Search a STAC API through pystac-client, or a static catalogue through pystac."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

import pandas as pd
import pystac

from aktes_xr.catalog import sources
from aktes_xr.errors import InputError, SearchError, StacError
from aktes_xr.stac.signing import Modifier, redact

logger = logging.getLogger(__name__)

Interval = tuple[datetime | None, datetime | None]


def search(
    where: str | Path = "planetary_computer",
    *,
    bbox: Sequence[float] | None = None,
    datetime: str | None = None,
    collections: Sequence[str] | None = None,
    modifier: Modifier | None = None,
    max_items: int | None = None,
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

    Returns
    -------
    pystac.ItemCollection, in time's order

    Raises
    ------
    SearchError
        The service or the catalogue cannot be read.
    StacError
        The source cannot be searched, or is none.
    CatalogError, InputError
        The source is not known; an argument cannot be understood.
    """
    # Here, because every worker that reads imports this package: it spares each 20 MB.
    from pystac_client import Client
    from pystac_client.exceptions import APIError

    href, kind = str(where), "static" if str(where).endswith(".json") else "api"
    if "://" not in href and kind == "api" and not Path(href).exists():
        from_name = sources().get(href)
        if from_name is None:
            raise StacError(
                f"found no source or catalogue {href!r}; expected one of "
                f"{', '.join(sorted(sources()))}, a STAC API's address or a catalogue's path"
            )
        if from_name.kind not in {"api", "static"} or from_name.url is None:
            raise StacError(f"{href!r} cannot be searched: {from_name.access}")
        href, kind = from_name.url, from_name.kind
        if collections is None and from_name.collection is not None:
            collections = [from_name.collection]
    elif Path(href).is_dir():
        href, kind = str(Path(href) / "catalog.json"), "static"
    try:
        if kind == "static":
            found = _walk(href, bbox=bbox, interval=_interval(datetime), collections=collections)
        else:
            found = (
                Client.open(href)
                .search(
                    bbox=None if bbox is None else list(bbox),
                    datetime=datetime,
                    collections=None if collections is None else list(collections),
                    max_items=max_items,
                )
                .items()
            )
        items = [_modified(item, modifier) for item in islice(found, max_items)]
    except FileNotFoundError:
        raise StacError(f"found no file {redact(href)}; expected a catalogue or an item") from None
    except (APIError, OSError, pystac.STACError) as error:
        failure = redact(str(error)) or type(error).__name__
    else:
        logger.info("found %d item(s)", len(items))
        items.sort(key=_time)
        return pystac.ItemCollection(items, clone_items=False)
    raise SearchError(
        f"could not search {redact(href)}: {failure}; check the address and the network"
    )


def _modified(item: pystac.Item, modifier: Modifier | None) -> pystac.Item:
    if modifier is None:
        return item
    changed: Any = modifier(item)
    # Modifiers may work in place and return nothing, as pystac-client allows.
    return changed if isinstance(changed, pystac.Item) else item


def _walk(
    href: str,
    *,
    bbox: Sequence[float] | None,
    interval: Interval,
    collections: Sequence[str] | None,
) -> Iterator[pystac.Item]:
    plain = pystac.StacIO.default().read_json(href)
    items: Iterable[pystac.Item]
    if plain.get("type") == "FeatureCollection":
        items = pystac.ItemCollection.from_file(href).items
    else:
        stac_object = pystac.read_file(href)
        if isinstance(stac_object, pystac.Item):
            items = [stac_object]
        elif isinstance(stac_object, pystac.Catalog):
            items = stac_object.get_items(recursive=True)
        else:
            raise StacError(f"{redact(href)} is no catalogue; give a catalogue's or item's file")
    for item in items:
        if collections is not None and item.collection_id not in collections:
            continue
        if _in_time(item, interval) and _in_box(item, bbox):
            yield item


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


def _interval(text: str | None) -> Interval:
    """Return the first and last instant of an interval such as ``2001``, ``2001-01/2001-03``."""
    if text is None:
        return None, None
    parts = text.split("/")
    if len(parts) > 2:
        raise InputError(f"datetime is {text!r}, expected one instant or 'start/end'")
    start, end = parts[0], parts[-1]
    try:
        first = None if start in ("", "..") else _period(start)[0]
        last = None if end in ("", "..") else _period(end)[1]
    except ValueError as error:
        raise InputError(
            f"datetime is {text!r} ({error}), expected e.g. '2001-01' or '2001-01-01/2001-03-31'"
        ) from None
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
