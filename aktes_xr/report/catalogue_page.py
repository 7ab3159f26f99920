"""The page of a published catalogue: its dates with their pictures, and links to its files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

import numpy as np

from aktes_xr.report.document import environment
from aktes_xr.report.summary import DateSummary


@dataclass(frozen=True)
class CatalogueEntry:
    """A date of a catalogue.

    Attributes
    ----------
    date : what it holds
    item, picture : relative addresses
    files : relative addresses of its COGs, by variable
    """

    date: DateSummary
    item: str
    picture: str
    files: Mapping[str, str] = field(default_factory=dict)

    @property
    def words(self) -> str:
        """What the picture shows, for people."""
        found = f"{100.0 * self.date.valid:.0f} % of the pixels"
        if np.isfinite(self.date.percentiles[1]):
            found = f"{self.date.percentiles[1]:.1f} K, {found}"
        return found

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the picture, pixels."""
        height, width = self.date.small.shape
        return width, height


def catalogue_page(
    title: str, description: str, entries: Sequence[CatalogueEntry], facts: Mapping[str, Any]
) -> str:
    """Return the page of a catalogue.

    Parameters
    ----------
    title, description : str
        Of the collection.
    entries : sequence of CatalogueEntry
        In the order of time.
    facts : mapping
        Names and values at the page's head.

    Returns
    -------
    str
        HTML that loads nothing but the catalogue's own pictures.
    """
    years = [(year, list(found)) for year, found in groupby(entries, lambda e: e.date.time[:4])]
    template = environment().get_template("catalogue.html.j2")
    return template.render(title=title, description=description, years=years, facts=facts)
