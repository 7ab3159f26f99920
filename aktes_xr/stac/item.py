"""A STAC item as this package understands it: each field checked once, all others ignored.

The model lists what is read and of what kind it must be. A value of another kind, anywhere in an
item, is one error of one type: nothing behind this file meets a text where it expects a number, an
angle that is none, or a raster that claims a million rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from aktes_xr.errors import AssetError, printable
from aktes_xr.stac.items import Found, absolute
from aktes_xr.stac.links import followed, redact

LIMIT_SIDE_PIXELS: Final = 5_000
"""Rows and columns of a file of thermal bands at most; a granule has about 800."""

Finite = Annotated[float, Field(allow_inf_nan=False)]
Side = Annotated[int, Field(ge=1, le=2**31)]
Text = Annotated[str, Field(max_length=2000)]
Time = datetime | Text


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Band(_Model):
    """One band of an asset."""

    name: Text | None = None


class Placed(_Model):
    """What an asset or an item says of its grid."""

    epsg: int | None = Field(default=None, alias="proj:epsg")
    code: Text | None = Field(default=None, alias="proj:code")
    shape: tuple[Side, Side] | None = Field(default=None, alias="proj:shape")
    transform: Annotated[list[Finite], Field(min_length=6, max_length=9)] | None = Field(
        default=None, alias="proj:transform"
    )


class Asset(Placed):
    """One file of an item; after `item_of` its ``href`` is absolute."""

    href: Text | None = None
    media: Text | None = Field(default=None, alias="type")
    roles: list[Text] | None = None
    eo_bands: list[Band] | None = Field(default=None, alias="eo:bands")
    bands: list[Band] | None = None
    raster_bands: list[Band] | None = Field(default=None, alias="raster:bands")

    @property
    def link(self) -> str:
        """The link, or nothing."""
        return self.href or ""

    @property
    def band_names(self) -> list[str]:
        """Names of the bands, as the first list that says them has them."""
        entries = self.eo_bands or self.bands or self.raster_bands or ()
        return [entry.name or "" for entry in entries]


class Properties(Placed):
    """Times, angles and versions; angles are in degrees."""

    time: Time | None = Field(default=None, alias="datetime")
    start: Time | None = Field(default=None, alias="start_datetime")
    created: Time | None = None
    off_nadir: Annotated[Finite, Field(ge=-60, le=60)] | None = Field(
        default=None, alias="view:off_nadir"
    )
    incidence: Annotated[Finite, Field(gt=-90, lt=90)] | None = Field(
        default=None, alias="view:incidence_angle"
    )
    sun_elevation: Annotated[Finite, Field(ge=-90, le=90)] | None = Field(
        default=None, alias="view:sun_elevation"
    )
    sun_azimuth: Annotated[Finite, Field(ge=-360, le=360)] | None = Field(
        default=None, alias="view:sun_azimuth"
    )
    orbit_state: Text | None = Field(default=None, alias="sat:orbit_state")
    version: Text | int | float | None = None
    processing_version: Text | int | float | None = Field(default=None, alias="processing:version")
    processing_number: Text | int | None = Field(default=None, alias="aster:processing_number")


class Link(_Model):
    """A link of the item itself."""

    rel: Text
    href: Text


class Item(_Model):
    """One STAC item."""

    id: Annotated[str, Field(max_length=500)] = "unnamed"
    properties: Properties | None = None
    assets: dict[str, Asset] | None = None
    links: list[Link] | None = None

    @property
    def name(self) -> str:
        """The id, safe to show."""
        return printable(self.id).replace("\n", "\\n")


def item_of(found: Found) -> Item:
    """Read an item; its assets' links are made absolute.

    Parameters
    ----------
    found : Found
        An item as it was found.

    Returns
    -------
    Item

    Raises
    ------
    AssetError
        Something in it is not of the kind it should be.
    """
    try:
        item = Item.model_validate(found.plain)
    except ValidationError as error:
        raise AssetError(f"item {found.name} {_first(error)}; correct the item") from None
    itself = next((link.href for link in item.links or () if link.rel == "self"), None)
    base = found.base or itself
    assets = {}
    for key, asset in (item.assets or {}).items():
        link = asset.link
        if link:
            link = absolute(link, base)
        assets[key] = asset.model_copy(update={"href": link})
    return item.model_copy(update={"assets": assets})


def link_of(
    item: Item, asset: Asset, *, local: bool, allowed_hosts: Sequence[str] | None = None
) -> str:
    """Return the link of an asset that is to be read, if it may be followed.

    Parameters
    ----------
    item, asset : Item, Asset
    local : whether the item came from this machine
    allowed_hosts : the only hosts to follow links to; None allows all

    Raises
    ------
    AssetError
        It may not.
    """
    try:
        return followed(asset.link, local=local, allowed_hosts=allowed_hosts)
    except AssetError as error:
        raise AssetError(f"item {item.name}: {error}") from None


def _first(error: ValidationError) -> str:
    """Say where the first misshapen value is and what is wrong with it."""
    details = error.errors(include_url=False, include_context=False)[0]
    place = ".".join(str(part) for part in details["loc"] if not str(part).startswith("function-"))
    value = redact(repr(details["input"]))[:60]
    return f"has {place or 'a value'} = {value} ({details['msg'].lower()})"
