"""Whatever holds STAC items, as plain dicts with absolute links.

stackstac 0.5 knows ``proj:epsg`` only, while pystac from 1.12 on rewrites it to ``proj:code`` on
every read; nothing here migrates anything, and `aktes_xr.stac.assets` reads both.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import pystac
from pystac.utils import make_absolute_href

from aktes_xr.errors import StacError
from aktes_xr.stac.signing import redact

ItemsLike: TypeAlias = (
    pystac.Item
    | pystac.ItemCollection
    | pystac.Catalog
    | Mapping[str, Any]
    | str
    | Path
    | Iterable[Any]
)


def plain_items(items: ItemsLike) -> list[dict[str, Any]]:
    """Return STAC items as dicts whose asset links are absolute; the input is not changed.

    Parameters
    ----------
    items : pystac.Item, ItemCollection, Catalog or Collection (walked), a dict of any of the
        first two, the path or address of a JSON file of any of these, or an iterable of such

    Raises
    ------
    StacError
        Something in it is no STAC item.
    """
    return list(_plain(items))


def _plain(items: ItemsLike) -> Iterator[dict[str, Any]]:
    if isinstance(items, pystac.Item):
        yield _from_pystac(items)
    elif isinstance(items, pystac.Catalog):
        for member in items.get_items(recursive=True):
            yield _from_pystac(member)
    elif isinstance(items, str | Path):
        yield from _from_file(str(items))
    elif isinstance(items, Mapping):
        yield from _from_mapping(items, None)
    elif isinstance(items, Iterable):
        for item in items:
            yield from _plain(item)
    else:
        raise StacError(
            f"found {type(items).__name__} where STAC items were expected; give pystac items, "
            "dicts, paths of item files, or an iterable of them"
        )


def _from_pystac(item: pystac.Item) -> dict[str, Any]:
    plain = item.to_dict(include_self_link=False, transform_hrefs=False)
    return _absolute(plain, item.get_self_href())


def _from_mapping(plain: Mapping[str, Any], base: str | None) -> Iterator[dict[str, Any]]:
    kind = plain.get("type")
    if kind == "FeatureCollection":
        for feature in plain.get("features") or ():
            yield from _from_mapping(feature, base)
    elif kind == "Feature":
        links = plain.get("links") or ()
        itself = next((link["href"] for link in links if link.get("rel") == "self"), None)
        yield _absolute(dict(plain), base or itself)
    else:
        raise StacError(
            f"found a JSON object of type {kind!r} where a STAC item (type 'Feature') was "
            "expected; give the item itself or a FeatureCollection of items"
        )


def _from_file(href: str) -> Iterator[dict[str, Any]]:
    try:
        text = pystac.StacIO.default().read_text(href)
    except OSError as error:
        reason = error.strerror or redact(str(error).replace(href, "it"))
        raise StacError(
            f"could not read the STAC file {redact(href.rsplit('/', 1)[-1])}: {reason}; "
            "give the path or address of an item's JSON"
        ) from None
    try:
        plain = json.loads(text)
    except json.JSONDecodeError as error:
        raise StacError(
            f"{redact(href.rsplit('/', 1)[-1])} is no JSON ({error}); give a STAC item's file"
        ) from None
    if isinstance(plain, dict) and plain.get("type") in ("Catalog", "Collection"):
        catalog = pystac.Catalog if plain["type"] == "Catalog" else pystac.Collection
        yield from _plain(catalog.from_file(href))
    elif isinstance(plain, dict):
        yield from _from_mapping(plain, make_absolute_href(href, None))
    else:
        raise StacError(
            f"{redact(href.rsplit('/', 1)[-1])} holds no STAC item; give an item's file"
        )


def _absolute(plain: dict[str, Any], base: str | None) -> dict[str, Any]:
    assets = {}
    for key, asset in (plain.get("assets") or {}).items():
        asset = dict(asset)
        if asset.get("href"):
            href = str(asset["href"])
            # An absolute local path stays one, wherever the item itself came from.
            if not Path(href).is_absolute():
                href = make_absolute_href(href, base, start_is_dir=False)
            asset["href"] = href
        assets[key] = asset
    return {**plain, "assets": assets}
