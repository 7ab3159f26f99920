"""What the items of a result refer to: its store, pictures, COGs, and the networks that made it."""

from __future__ import annotations

import logging
import os
import re
from pathlib import Path
from typing import Final

import pystac
import xarray as xr

from aktes_xr.errors import AktesError, InputError
from aktes_xr.models import load_bundle
from aktes_xr.models.bundle import copy_bundle
from aktes_xr.models.mlm import MLM
from aktes_xr.report.summary import DateSummary, common_range, thumbnail
from aktes_xr.stac.result_items import ICECHUNK_TYPE, ZARR, ZARR_TYPE
from aktes_xr.store.address import ObjectAddress, parse_address
from aktes_xr.store.export import write_cogs
from aktes_xr.store.objects import current_version
from aktes_xr.store.root import ROOT

logger = logging.getLogger(__name__)

THUMBNAILS: Final = "thumbnails"
COGS: Final = "cogs"
MODEL: Final = "model"
"""Folders of a catalogue."""
_COG_STAMP: Final = re.compile(r"_(\d{8}T\d{6}Z)\.tif$")


def add_store(item: pystac.Item, href: str, store: str | os.PathLike[str]) -> None:
    """Refer to the store.

    Parameters
    ----------
    item : pystac.Item
        Changed in place.
    href : str
        Where the store will be found.
    store : str or path
        Where it is now.
    """
    plain = _is_plain(store)
    fields = {"zarr:node_type": "group", "zarr:zarr_format": 3, "zarr:consolidated": True}
    item.add_asset(
        "zarr",
        pystac.Asset(
            href,
            title="All dates, Zarr" if plain else "All dates, Icechunk",
            media_type=ZARR_TYPE if plain else ICECHUNK_TYPE,
            roles=["data"],
            extra_fields=fields if plain else {"zarr:node_type": "group", "zarr:zarr_format": 3},
        ),
    )
    item.stac_extensions.append(ZARR)


def add_thumbnails(items: list[pystac.Item], dates: list[DateSummary], folder: Path) -> None:
    """Draw each date, all with one scale of temperature.

    Parameters
    ----------
    items : list of pystac.Item
        Of the dates; changed in place.
    dates : list of DateSummary
        In the same order.
    folder : Path
        Of the catalogue.
    """
    scale = common_range(dates)
    (folder / THUMBNAILS).mkdir()
    for item, date in zip(items, dates, strict=True):
        file = f"{THUMBNAILS}/{item.id}.png"
        (folder / file).write_bytes(thumbnail(date, scale))
        item.add_asset(
            "thumbnail",
            pystac.Asset(
                f"../{file}",
                title=f"Surface temperature, {scale[0]:.0f} to {scale[1]:.0f} K",
                media_type=pystac.MediaType.PNG,
                roles=["thumbnail"],
            ),
        )


def add_cogs(
    items: list[pystac.Item], whole: pystac.Item, result: xr.Dataset, folder: Path
) -> None:
    """Write COGs; what has no date goes to the item of the whole.

    Parameters
    ----------
    items : list of pystac.Item
        Of the dates; changed in place.
    whole : pystac.Item
        Of the series; changed in place.
    result : Dataset
    folder : Path
        Of the catalogue.
    """
    by_stamp = {f"{item.datetime:%Y%m%dT%H%M%SZ}": item for item in items}
    for path in write_cogs(result, folder / COGS):
        found = _COG_STAMP.search(path.name)
        variable = path.name.removesuffix(found.group(0) if found else path.suffix)
        item = by_stamp[found.group(1)] if found else whole
        array = result[variable]
        texts = {"unit": array.attrs.get("units"), "description": array.attrs.get("long_name")}
        item.add_asset(
            variable,
            pystac.Asset(
                f"../{COGS}/{path.name}",
                title=variable.replace("_", " "),
                description=texts["description"],
                media_type=pystac.MediaType.COG,
                roles=["data"],
                extra_fields={} if texts["unit"] is None else {"unit": str(texts["unit"])},
            ),
        )


def add_model(
    items: tuple[pystac.Item, ...], result: xr.Dataset, folder: Path, location: str
) -> None:
    """Copy the networks, and have each item say that they made it.

    Where they are not at hand, that is logged and nothing is linked.

    Parameters
    ----------
    items : tuple of pystac.Item
        Changed in place.
    result : Dataset
        Its attributes name the networks by their hash.
    folder : Path
        Of the catalogue.
    location : str
        Of the bundle, as `aktes_xr.load_bundle` takes it.
    """
    wanted = result.attrs.get("bundle_sha256")
    if wanted is None:
        return
    try:
        bundle = load_bundle(location)
        if bundle.sha256 != wanted or MLM not in bundle.extras:
            raise InputError(f"the bundle {bundle.name} is not the one that made this result")
        copy_bundle(bundle, folder / MODEL)
    except AktesError as error:
        logger.warning("the catalogue does not link to the networks: %s", error)
        return
    model = pystac.Item.from_file(str(folder / MODEL / MLM))
    for item in items:
        item.add_link(
            pystac.Link(
                pystac.RelType.DERIVED_FROM,
                f"../{MODEL}/{MLM}",
                media_type=pystac.MediaType.GEOJSON,
                title=f"Networks: {bundle.name}",
                extra_fields={"mlm:name": model.properties["mlm:name"]},
            )
        )


def _is_plain(store: str | os.PathLike[str]) -> bool:
    """Return whether a store is plain Zarr, which has a root of its own; Icechunk has none."""
    target = parse_address(store)
    if isinstance(target, ObjectAddress):
        return current_version(target) is not None
    return (target / ROOT).exists()
