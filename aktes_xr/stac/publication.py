"""A result published: a static STAC catalogue that machines read and a page that people open.

The catalogue lies in one folder and refers to itself by relative links only, so the folder may be
moved or served from anywhere. The store itself is not copied.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import shutil
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pystac
import xarray as xr
from pystac.layout import TemplateLayoutStrategy

from aktes_xr.documents import write_text
from aktes_xr.errors import AktesError, InputError, StoreError, StoreExistsError
from aktes_xr.report.catalogue_page import CatalogueEntry, catalogue_page
from aktes_xr.report.summary import DateSummary, summarise
from aktes_xr.stac.footprint import Footprint
from aktes_xr.stac.result_assets import THUMBNAILS, add_cogs, add_model, add_store, add_thumbnails
from aktes_xr.stac.result_items import date_item, result_collection, series_item
from aktes_xr.store.address import ObjectAddress, parse_address
from aktes_xr.store.exchange import exchange, place
from aktes_xr.store.objects import current_version
from aktes_xr.store.reading import open_result
from aktes_xr.store.series import read_journal

logger = logging.getLogger(__name__)

COLLECTION: Final = "collection.json"
INDEX: Final = "index.html"
_ITEMS: Final = "items"


@dataclass(frozen=True)
class Publication:
    """How a result is published.

    Attributes
    ----------
    name : id of the collection; the store's name unless given
    title : for people; the result's own unless given
    licence : an SPDX identifier, or ``"other"``
    href : where the store will be found, if not where it is now
    cogs : write COGs, too, one for each variable and date
    bundle : whose networks made the result; they are copied beside it, where their hash says so
    """

    name: str | None = None
    title: str | None = None
    licence: str = "other"
    href: str | None = None
    cogs: bool = False
    bundle: str = "default"


def publish(
    store: str | os.PathLike[str],
    out: str | os.PathLike[str],
    settings: Publication | None = None,
    *,
    overwrite: bool = False,
) -> Path:
    """Write a result's STAC catalogue: collection, an item for each date, one for the whole cube.

    Parameters
    ----------
    store : str or path
        What `aktes_xr.write_result` or a job wrote: a path or an object store's address.
    out : path
        Folder to write; in place whole or not at all.
    settings : Publication, optional
    overwrite : bool
        Replace a catalogue that is there. Anything else is never replaced.

    Returns
    -------
    Path
        The collection's file. Beside it lies ``index.html``.

    Raises
    ------
    StoreExistsError
        The folder exists and is not to be replaced.
    StoreNotFoundError
        There is no result.
    InputError
        It has no dates, or the name is none for a collection.
    StoreError
        It cannot be read, or the catalogue cannot be written.
    """
    chosen = settings or Publication()
    target = Path(out)
    if os.path.lexists(target) and not (overwrite and _is_catalogue(target)):
        raise StoreExistsError(
            f"{target.name} exists: choose another folder, or replace a catalogue that was "
            "written here with overwrite=True"
        )
    result = open_result(store)
    with _put_in_place(target) as folder:
        collection, entries = _write(store, result, folder, target, chosen)
        page = catalogue_page(
            str(collection.title), collection.description, entries, _facts(collection)
        )
        write_text(folder / INDEX, page)
    return target / COLLECTION


def _write(
    store: str | os.PathLike[str],
    result: xr.Dataset,
    folder: Path,
    target: Path,
    settings: Publication,
) -> tuple[pystac.Collection, list[CatalogueEntry]]:
    """Write everything but the page."""
    name = _name(settings.name or parse_address(store).name)
    footprint, dates = Footprint.of(result), summarise(result)
    title = settings.title or str(result.attrs.get("title", name))
    collection = result_collection(name, result, footprint, title=title, licence=settings.licence)
    items = [date_item(name, result, footprint, date) for date in dates]
    whole = series_item(name, result, footprint)
    _add_times(items, store)
    for item in (*items, whole):
        add_store(item, settings.href or _href(store, target), store)
    add_thumbnails(items, dates, folder)
    if settings.cogs:
        add_cogs(items, whole, result, folder)
    add_model((*items, whole), result, folder, settings.bundle)
    collection.add_items([whole, *items])
    collection.normalize_hrefs(
        str(folder), strategy=TemplateLayoutStrategy(item_template=_ITEMS), skip_unresolved=True
    )
    collection.save(catalog_type=pystac.CatalogType.SELF_CONTAINED)
    return collection, [_entry(item, date) for item, date in zip(items, dates, strict=True)]


def _add_times(items: list[pystac.Item], store: str | os.PathLike[str]) -> None:
    """Say when each date was made, where the store has a journal."""
    journal = read_journal(store)
    if journal is None:
        return
    made = {entry.key: entry.made for entry in journal.entries.values() if entry.made}
    for item in items:
        key = f"{item.datetime:%Y-%m-%dT%H:%M:%SZ}"
        if key in made:
            item.properties["processing:datetime"] = made[key].replace("+00:00", "Z")


def _entry(item: pystac.Item, date: DateSummary) -> CatalogueEntry:
    """Return what the page shows of a date."""
    files = {
        key: asset.href.removeprefix("../")
        for key, asset in item.assets.items()
        if asset.media_type == pystac.MediaType.COG
    }
    return CatalogueEntry(
        date,
        item=f"{_ITEMS}/{item.id}.json",
        picture=f"{THUMBNAILS}/{item.id}.png",
        files=files,
    )


def _facts(collection: pystac.Collection) -> dict[str, str]:
    west, south, east, north = collection.extent.spatial.bboxes[0]
    return {
        "Collection": collection.id,
        "Box": f"{west:.3f}, {south:.3f} to {east:.3f}, {north:.3f} degrees",
        "Licence": collection.license,
        "Machines read": COLLECTION,
    }


def _name(text: str) -> str:
    """Return a collection's id: letters, digits, points, dashes and underscores."""
    found = re.sub(r"[^A-Za-z0-9._-]+", "-", text.removesuffix(".zarr")).strip("-._")
    if not found:
        raise InputError(f"found {text!r} as the collection's name; give letters and digits")
    return found


def _href(store: str | os.PathLike[str], target: Path) -> str:
    """Return a store's address as an item says it; a local one relative to the item."""
    found = parse_address(store)
    if isinstance(found, ObjectAddress):
        # A result that was put in place at once lies below its address.
        return current_version(found) or found.url
    return os.path.relpath(found.absolute(), (target / _ITEMS).absolute())


def _is_catalogue(path: Path) -> bool:
    return (path / COLLECTION).is_file() and (path / INDEX).is_file()


@contextlib.contextmanager
def _put_in_place(target: Path) -> Iterator[Path]:
    """Yield a folder beside the target, which takes its place when the block is done."""
    scratch = target.with_name(f".{target.name}.{uuid.uuid4().hex}.partial")
    # PySTAC takes a folder whose name has a point for a file.
    partial = scratch / "catalogue"
    try:
        partial.mkdir(parents=True)
        yield partial
        if os.path.lexists(target):
            exchange(partial, target, expected=_is_catalogue)
        else:
            place(partial, target)
    except OSError as error:
        if isinstance(error, AktesError):
            raise
        reason = error.strerror or type(error).__name__
        raise StoreError(
            f"could not write {target.name}: {reason}; check the place's rights and free space"
        ) from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
