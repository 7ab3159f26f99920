"""Take apart whatever holds STAC items into single items, each with the place it came from.

Nothing here looks into an item: `aktes_xr.stac.item` does, and refuses one that is misshapen
without taking others along. stackstac 0.5 knows ``proj:epsg`` only, while pystac from 1.12 on
rewrites it to ``proj:code`` on every read; nothing here migrates anything, and both are read.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias
from urllib.parse import urljoin

import pystac

from aktes_xr.errors import NetworkError, SearchError, StacError, printable
from aktes_xr.stac.links import HTTP, followed, granule_name, host_of, is_remote
from aktes_xr.stac.opening import check_regular
from aktes_xr.stac.request import Rules, fetch

logger = logging.getLogger(__name__)

ItemsLike: TypeAlias = (
    pystac.Item
    | pystac.ItemCollection
    | pystac.Catalog
    | Mapping[str, Any]
    | str
    | Path
    | Iterable[Any]
)
Skipped: TypeAlias = list[dict[str, str]]

SKIPPED: Final = "aktes:skipped_items"
"""Key of an item collection under which a search notes the items that it could not use."""
LIMIT_BYTES: Final = 2**26
"""No item, collection or catalogue file is larger."""
LIMIT_DOCUMENTS: Final = 100_000
"""No catalogue has more files."""


@dataclass(frozen=True, slots=True)
class Found:
    """Something that should be a STAC item.

    Attributes
    ----------
    plain : what was found, of any shape
    base : address or path it was read from; None where it was handed over
    local : whether it came from this machine, so that it may name local files
    """

    plain: Any
    base: str | None = None
    local: bool = True

    @property
    def name(self) -> str:
        """Its id, safe to show."""
        name = self.plain.get("id") if isinstance(self.plain, Mapping) else None
        return printable(str(name))[:200].replace("\n", " ") if name is not None else "unnamed"


def plain_items(items: ItemsLike, skipped: Skipped, rules: Rules | None = None) -> list[Found]:
    """Take apart what holds STAC items; the input is not changed.

    Parameters
    ----------
    items : pystac.Item, ItemCollection, Catalog or Collection (walked), a dict of any of the
        first two, the path or address of a JSON file of any of these, or an iterable of such
    skipped : what cannot be read, beside others that can, is added to it with its reason
    rules : for addresses; None takes the defaults

    Raises
    ------
    StacError
        Something in it is no STAC item.
    SearchError
        What one address names cannot be reached.
    """
    return list(_plain(items, skipped, rules or Rules()))


def _plain(items: ItemsLike, skipped: Skipped, rules: Rules) -> Iterator[Found]:
    if isinstance(items, pystac.Item):
        yield _from_pystac(items)
    elif isinstance(items, pystac.Catalog):
        yield from map(_from_pystac, items.get_items(recursive=True))
    elif isinstance(items, pystac.ItemCollection):
        skipped.extend(items.extra_fields.get(SKIPPED, ()))
        yield from map(_from_pystac, items)
    elif isinstance(items, str | Path):
        yield from from_place(str(items), skipped, rules)
    elif isinstance(items, Mapping):
        yield from _from_mapping(Found(items))
    elif isinstance(items, Iterable):
        yield from _several(items, skipped, rules)
    else:
        raise StacError(
            f"found {type(items).__name__} where STAC items were expected; give pystac items, "
            "dicts, paths of item files, or an iterable of them"
        )


def _several(items: Iterable[Any], skipped: Skipped, rules: Rules) -> Iterator[Found]:
    """Take several in turn. A place that cannot be read is left out, unless none can be read."""
    failures: list[StacError] = []
    read = 0
    for item in items:
        try:
            yield from _plain(item, skipped, rules)
            read += 1
        except StacError as error:
            if not isinstance(item, str | Path):
                raise
            failures.append(error)
            skipped.append({"id": granule_name(str(item)), "reason": str(error)})
            logger.warning("skipped: %s", error)
    if failures and not read:
        raise failures[0]


def _from_pystac(item: pystac.Item) -> Found:
    plain = item.to_dict(include_self_link=False, transform_hrefs=False)
    # An item whose root was read came from where that root is. Any other is the caller's own.
    root = item.get_root_link()
    source = root.target if root is not None else None
    origin = source.get_self_href() if isinstance(source, pystac.Catalog) else None
    return Found(plain, item.get_self_href(), local=not is_remote(origin or ""))


def _from_mapping(found: Found) -> Iterator[Found]:
    plain = found.plain
    kind = plain.get("type") if isinstance(plain, Mapping) else None
    if kind == "FeatureCollection":
        features = plain.get("features") or ()
        if not isinstance(features, list | tuple):
            raise StacError("the features of a FeatureCollection are no list; correct the file")
        for feature in features:
            yield Found(feature, found.base, found.local)
    elif kind == "Feature":
        yield found
    else:
        raise StacError(
            f"found a JSON object of type {kind!r} where a STAC item (type 'Feature') was "
            "expected; give the item itself or a FeatureCollection of items"
        )


def from_place(href: str, skipped: Skipped, rules: Rules) -> Iterator[Found]:
    """Read the items of a file at a path or an address; a catalogue's links are followed.

    Parameters
    ----------
    href : path or address of an item, an item collection, or a static catalogue
    skipped : files of a catalogue that cannot be read are added to it
    rules : for addresses

    Raises
    ------
    StacError
        The file itself is none of these.
    SearchError
        It cannot be reached.
    """
    local = not is_remote(href)
    waiting, seen = [absolute(href, None)], 0
    while waiting:
        place = waiting.pop()
        seen += 1
        if seen > LIMIT_DOCUMENTS:
            raise StacError(f"the catalogue has more than {LIMIT_DOCUMENTS} files; narrow it down")
        try:
            plain = read_json(place, rules, local=local)
            if isinstance(plain, Mapping) and plain.get("type") in ("Catalog", "Collection"):
                waiting.extend(reversed(_links(plain, place)))
            else:
                yield from _from_mapping(Found(plain, place, local))
        except StacError as error:
            if seen == 1:
                raise
            skipped.append({"id": granule_name(place), "reason": str(error)})
            logger.warning("skipped: %s", error)


def _links(catalogue: Mapping[str, Any], base: str) -> list[str]:
    """Return where a catalogue says that its children and items are."""
    links = catalogue.get("links")
    return [
        absolute(link["href"], base)
        for link in (links if isinstance(links, list) else ())
        if isinstance(link, Mapping)
        and link.get("rel") in ("child", "item")
        and isinstance(link.get("href"), str)
    ]


def absolute(href: str, base: str | None) -> str:
    """Resolve a link against the place of the file that holds it.

    Parameters
    ----------
    href : str
        A link or path, absolute or not.
    base : str, optional
        Link or path of the file that holds it. Without it, the current folder.

    Returns
    -------
    str
    """
    if "://" in href or href.startswith("/"):
        return href
    if base is not None and is_remote(base):
        return urljoin(base, href)
    folder = Path(base.removeprefix("file://")).parent if base is not None else Path()
    return str((Path.cwd() / folder / href).resolve())


def read_json(href: str, rules: Rules, *, local: bool) -> Any:
    """Read a JSON file of limited size.

    Parameters
    ----------
    href : path or address
    rules : for addresses
    local : whether a local path may be read

    Raises
    ------
    StacError
        It cannot be read, or is no JSON.
    SearchError
        The network fails.
    """
    name = granule_name(href)
    place = followed(href, local=local, allowed_hosts=rules.allowed_hosts)
    if is_remote(place) and not place.lower().startswith(HTTP):
        raise StacError(f"{name} lies at {place.partition(':')[0]}; expected a path or http(s)")
    try:
        if is_remote(place):
            content = fetch(place, rules, limit_bytes=LIMIT_BYTES).body
        else:
            check_regular(place)
            with open(place, "rb") as file:
                content = file.read(LIMIT_BYTES + 1)
    except NetworkError as error:
        raise SearchError(
            f"could not read the STAC file {name}: {error}; check the address and the network"
        ) from None
    except OSError as error:
        raise StacError(
            f"could not read the STAC file {name}: {error.strerror}; give the path or address of "
            "an item's JSON"
        ) from None
    if len(content) > LIMIT_BYTES:
        raise StacError(f"{name} has more than {LIMIT_BYTES} bytes; give a STAC item's file")
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        kind = "a TIFF raster" if content[:2] in (b"II", b"MM") else f"{content[:20]!r}..."
        where = f" from {host_of(place)}" if is_remote(place) else ""
        message = f"{name}{where} is no JSON (it is {kind}); give the STAC item that names the file"
        raise (SearchError if is_remote(place) else StacError)(message) from None
