"""Pages: self-contained HTML from templates, images embedded, nothing fetched, written whole."""

from __future__ import annotations

import base64
import io
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import xarray as xr

from aktes_xr.documents import write_text
from aktes_xr.report.series import CalendarCell

if TYPE_CHECKING:
    import jinja2
    from matplotlib.figure import Figure

_DPI: Final = 110
_QUALITY: Final = 82
_LONG_TEXT: Final = 64
_WORDS: Final = {
    "title": "title",
    "source": "made by",
    "package_version": "version of the package",
    "history": "history",
    "method": "method asked for",
    "method_used": "method used",
    "bundle": "networks",
    "bundle_sha256": "hash of the networks",
    "configuration_sha256": "hash of the configuration",
    "item_ids": "items",
    "student": "student",
    "network_work_saved": "share of the networks' work that the fusion spared",
    "unreadable_items": "items that could not be read",
    "unreadable_share": "share of each that could not be read",
    "skipped_items": "items left out, and why",
}


@dataclass(frozen=True)
class Image:
    """An image on a page.

    Attributes
    ----------
    source : str
        Data URI.
    alt : str
        What is seen, for those who do not see it.
    caption : str
    width, height : int, pixel
        So that the page does not jump as images are decoded.
    """

    source: str
    alt: str
    caption: str
    width: int
    height: int


@dataclass(frozen=True)
class TableOf:
    """A table on a page: caption, names of the columns, rows of text or numbers."""

    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]


@dataclass(frozen=True)
class Calendar:
    """Dates by year and month."""

    years: Mapping[int, Sequence[CalendarCell]]


@dataclass(frozen=True)
class Section:
    """A part of a page.

    Attributes
    ----------
    key : str
        Anchor.
    heading : str
    words : sequence of str
        Paragraphs before anything else.
    images, thumbnails : sequence of Image
        Large ones side by side; small ones in a grid.
    tables : sequence of TableOf
    calendar : Calendar or None
    """

    key: str
    heading: str
    words: Sequence[str] = ()
    images: Sequence[Image] = ()
    tables: Sequence[TableOf] = ()
    thumbnails: Sequence[Image] = ()
    calendar: Calendar | None = None


def render(title: str, sections: Sequence[Section], *, facts: Mapping[str, str]) -> str:
    """Return a page.

    Parameters
    ----------
    title : str
    sections : sequence of Section
    facts : mapping of str to str
        Names and values at the page's head.

    Returns
    -------
    str
        HTML. A policy in its head forbids every request.
    """
    return (
        environment()
        .get_template("page.html.j2")
        .render(title=title, sections=sections, facts=facts)
    )


def page(
    title: str,
    *,
    tables: Mapping[str, tuple[Sequence[str], Sequence[Sequence[Any]]]],
    figures: Mapping[str, Figure],
    provenance: Mapping[str, Any],
    alts: Mapping[str, str] | None = None,
) -> str:
    """Return one self-contained HTML page: figures embedded, no script, nothing fetched.

    Parameters
    ----------
    title : str
        Heading of the page.
    tables : mapping of caption to (column names, rows)
        Cells may be text or numbers; all text is escaped.
    figures : mapping of caption to Figure
        Embedded as WebP.
    provenance : mapping
        Name and value, one line each: version, bundle, items.
    alts : mapping of caption to str, optional
        What is seen in a figure; the titles of its maps unless given.

    Returns
    -------
    str
        The page.

    Raises
    ------
    InputError
        There is no folder to write it into.
    """
    said = alts or {}
    images = [
        embedded(figure, caption=caption, alt=said.get(caption) or _axes_words(figure))
        for caption, figure in figures.items()
    ]
    sections = [
        Section("figures", "Figures", images=images),
        Section("tables", "Tables", tables=[TableOf(c, *table) for c, table in tables.items()]),
        provenance_section(provenance),
    ]
    return render(title, [one for one in sections if one.images or one.tables], facts={})


def provenance(result: xr.Dataset) -> dict[str, str]:
    """Return what a result's attributes say of its origin.

    Parameters
    ----------
    result : Dataset
        A result.

    Returns
    -------
    dict of str to str
        Name and text of each attribute; the parts of a list are joined by commas.
    """
    return {str(name): _text(value) for name, value in result.attrs.items()}


def provenance_section(found: Mapping[str, Any]) -> Section:
    """Return the part of a page that says where a result came from.

    Parameters
    ----------
    found : mapping of str to value
        Of `provenance`.

    Returns
    -------
    Section
    """
    known = [name for name in _WORDS if name in found]
    rows = [(_WORDS[name], _text(found[name])) for name in known]
    rows += [
        (str(name).replace("_", " "), _text(value))
        for name, value in sorted(found.items())
        if name not in _WORDS
    ]
    tables = [TableOf("Origin of the result", ("what", "value"), rows)] if rows else []
    return Section("provenance", "Provenance", tables=tables)


def write_page(path: str | os.PathLike[str], text: str) -> None:
    """Write a page: beside its place, then renamed, so that nobody sees half of it.

    Parameters
    ----------
    path : str or path-like
        The file; an older one is replaced.
    text : str
        The page.

    Raises
    ------
    InputError
        There is no folder to write it into.
    """
    write_text(path, text)


def embedded(figure: Figure, *, caption: str, alt: str) -> Image:
    """Return a figure as an image of a page.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
    caption, alt : str

    Returns
    -------
    Image
        WebP: maps are noisy, and a PNG of one takes four times as much.
    """
    buffer = io.BytesIO()
    figure.savefig(buffer, format="webp", dpi=_DPI, pil_kwargs={"quality": _QUALITY, "method": 4})
    width, height = (round(_DPI * float(inches)) for inches in figure.get_size_inches())
    return Image(data_uri(buffer.getvalue(), "webp"), alt, caption, width, height)


def data_uri(image: bytes, kind: str) -> str:
    """Return an image as a data URI.

    Parameters
    ----------
    image : bytes
    kind : str
        ``"png"`` or ``"webp"``.

    Returns
    -------
    str
    """
    return f"data:image/{kind};base64,{base64.b64encode(image).decode('ascii')}"


def _axes_words(figure: Figure) -> str:
    titles = [axis.get_title() for axis in figure.axes if axis.images and axis.get_title()]
    return f"{len(titles)} maps: {'; '.join(titles)}." if titles else "A figure."


def _text(value: Any) -> str:
    """Write an attribute's value for people: no Python, no JSON."""
    if isinstance(value, str) and value[:1] in "[{":
        try:
            value = json.loads(value)
        except ValueError:
            return str(value)
    if isinstance(value, Mapping):
        return "; ".join(f"{name}: {_text(one)}" for name, one in value.items()) or "none"
    if isinstance(value, list | tuple | np.ndarray):
        return ", ".join(_text(one) for one in value) or "none"
    if isinstance(value, float | np.floating):
        return f"{float(value):.6g}"
    return str(value)


def _cell(value: Any) -> str:
    if isinstance(value, float | np.floating):
        return f"{value:.3f}" if np.isfinite(value) else "n/a"
    return "n/a" if value is None else str(value)


def _is_long(value: Any) -> bool:
    return isinstance(value, str) and len(value) > _LONG_TEXT


@cache
def environment() -> jinja2.Environment:
    """Return what fills in the pages' templates: it escapes every text.

    Returns
    -------
    jinja2.Environment
    """
    import jinja2

    found = jinja2.Environment(
        loader=jinja2.PackageLoader("aktes_xr.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters["cell"] = _cell
    found.tests["long"] = _is_long
    return found
