"""The archives we know, as data: YAML files in ``catalogs/``, checked against their schema."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import jsonschema
import yaml

from aktes_xr.errors import CatalogError


@dataclass(frozen=True, slots=True)
class Source:
    """One archive.

    Attributes
    ----------
    name, title : str
    kind : ``"api"`` (STAC API), ``"static"`` (a catalogue file), ``"files"`` (items by path),
        ``"zarr"`` or ``"icechunk"`` (a store), or ``"folder"`` (files that are downloaded)
    content : ``"thermal"``, ``"elevation"``, ``"atmosphere"``, ``"emissivity"`` or ``"cloud"``
    holds, access, licence : str, for people
    layout : how the bands of items are stored; None where there are no items
    url, collection, path, version, start, end, modifier, verified, citation : str or None
    spacing_m : float or None
    region, endpoint : of an S3 store; an endpoint only where the store is not Amazon's
    groups : groups of a store that hold the same in other chunks; empty: its root
    variables : the store's name of each ancillary, and of the model's ``orography``
    """

    name: str
    title: str
    kind: Literal["api", "static", "files", "zarr", "icechunk", "folder"]
    content: Literal["thermal", "elevation", "atmosphere", "emissivity", "cloud"]
    holds: str
    access: str
    licence: str
    layout: Literal["five-band", "per-band", "single-band"] | None = None
    url: str | None = None
    collection: str | None = None
    path: str | None = None
    version: str | None = None
    start: str | None = None
    end: str | None = None
    modifier: str | None = None
    spacing_m: float | None = None
    verified: str | None = None
    citation: str | None = None
    region: str | None = None
    endpoint: str | None = None
    groups: tuple[str, ...] = ()
    variables: Mapping[str, str] | None = None


def sources() -> dict[str, Source]:
    """Return the shipped definitions by name."""
    return dict(_shipped())


def source(name: str) -> Source:
    """Return one shipped definition.

    Parameters
    ----------
    name : str
        Its name in the shipped catalogue, such as one of `sources`.

    Returns
    -------
    Source

    Raises
    ------
    CatalogError
        There is none of that name.
    """
    known = _shipped()
    if name not in known:
        raise CatalogError(
            f"found no source named {name!r}, expected one of {', '.join(sorted(known))}; or give "
            "the address of a STAC API or the path of a catalogue"
        )
    return known[name]


def read_sources(path: Path) -> dict[str, Source]:
    """Read one definition file.

    Parameters
    ----------
    path : Path
        A YAML file after ``catalogs/schema.json``.

    Returns
    -------
    dict of str to Source
        The definitions by name.

    Raises
    ------
    CatalogError
        It is no YAML, or breaks the schema; the message says where.
    """
    try:
        definitions: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise CatalogError(f"{path.name} is no YAML: {error}; correct it") from None
    validator = jsonschema.Draft202012Validator(_schema())
    failure = jsonschema.exceptions.best_match(validator.iter_errors(definitions))
    if failure is not None:
        place = "/".join(map(str, failure.absolute_path)) or "top level"
        raise CatalogError(
            f"{path.name} breaks the schema at {place}: {failure.message}; see catalogs/schema.json"
        )
    return {name: _from_fields(name, fields) for name, fields in definitions["sources"].items()}


def _from_fields(name: str, fields: dict[str, Any]) -> Source:
    return Source(name=name, **{**fields, "groups": tuple(fields.get("groups", ()))})


@functools.cache
def _shipped() -> dict[str, Source]:
    found: dict[str, Source] = {}
    for path in sorted(_directory().glob("*.yaml")):
        found.update(read_sources(path))
    return found


@functools.cache
def _schema() -> Any:
    return json.loads((_directory() / "schema.json").read_text(encoding="utf-8"))


def _directory() -> Path:
    """Return ``catalogs/``: inside the package in a wheel, beside it in a source tree."""
    package = Path(__file__).resolve().parent
    for candidate in (package / "catalogs", package.parent / "catalogs"):
        if (candidate / "schema.json").is_file():
            return candidate
    raise CatalogError(
        "the shipped source definitions (catalogs/schema.json) are missing; reinstall aktes-xr"
    )
