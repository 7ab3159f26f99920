"""The one file that decides what readers of a series see: ``zarr.json`` at its root.

It holds the group's attributes, the metadata of all arrays with the length along time that counts
(Zarr calls that consolidated metadata [1]_), and the journal, as attributes of the group `JOURNAL`.

References
----------
.. [1] https://zarr.readthedocs.io/en/stable/user-guide/consolidated_metadata.html
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

from aktes_xr.errors import StoreError
from aktes_xr.store.journal import Journal

ROOT: Final = "zarr.json"
JOURNAL: Final = "journal"
_BLOCK: Final = "block"
"""Attribute of the journal: rows and columns that are written at once."""


class Root:
    """Content of the file.

    Parameters
    ----------
    content : dict, optional
        As JSON has it; unless given that of a series without any date.
    """

    def __init__(self, content: dict[str, Any] | None = None) -> None:
        self._content = content or {
            "zarr_format": 3,
            "node_type": "group",
            "attributes": {},
            "consolidated_metadata": {
                "kind": "inline",
                "must_understand": False,
                "metadata": {JOURNAL: _group(Journal().to_json())},
            },
        }
        self._members: dict[str, Any] = self._content["consolidated_metadata"]["metadata"]

    @classmethod
    def parse(cls, content: bytes | None, name: str) -> Root | None:
        """Read the root of a series.

        Parameters
        ----------
        content : bytes or None
            Of the file.
        name : str
            Of the store, for the message.

        Returns
        -------
        Root or None
            None where there is none, or where it is the root of another kind of store.

        Raises
        ------
        StoreError
            It is no JSON.
        """
        if content is None:
            return None
        try:
            found = json.loads(content)
        except ValueError:
            raise StoreError(f"{name}/{ROOT} is no JSON: restore it, or remove the store") from None
        members = (found.get("consolidated_metadata") or {}).get("metadata", {})
        return cls(found) if JOURNAL in members else None

    @property
    def journal(self) -> Journal:
        """What the series holds."""
        return Journal.from_json(self._members[JOURNAL]["attributes"])

    @property
    def attributes(self) -> Mapping[str, Any]:
        """Attributes of the whole series."""
        found: dict[str, Any] = self._content["attributes"]
        return found

    @property
    def block(self) -> tuple[int, int] | None:
        """Rows and columns that are written at once; None where nothing is."""
        found = self._members[JOURNAL]["attributes"].get(_BLOCK)
        return None if found is None else (int(found[0]), int(found[1]))

    @property
    def arrays(self) -> set[str]:
        """Names of all arrays."""
        return set(self._members) - {JOURNAL}

    def dated(self, *, slots: bool | None = None) -> list[str]:
        """Return names of arrays along time.

        Parameters
        ----------
        slots : bool, optional
            Only those with a folder for each date, or only those without.

        Returns
        -------
        list of str
        """
        dims = {name: dims_of(meta) for name, meta in self._members.items()}
        return [
            name
            for name, known in dims.items()
            if "time" in known and slots in (None, has_slots(known))
        ]

    def own_metadata(self, name: str, length: int) -> bytes:
        """Return the file of an array's own metadata.

        Parameters
        ----------
        name : str
            Of the array.
        length : int
            Along time.

        Returns
        -------
        bytes
        """
        own = copy.deepcopy(self._members[name])
        own["shape"][0] = length
        return json.dumps(own).encode()

    def describe(
        self, attributes: Mapping[str, Any], arrays: Mapping[str, Any], block: tuple[int, int]
    ) -> None:
        """Take over what a series consists of, before its first date.

        Parameters
        ----------
        attributes : mapping
            Of the whole series.
        arrays : mapping
            Metadata of each array, by its name.
        block : (int, int), pixel
            Rows and columns that are written at once.
        """
        journal = self._members[JOURNAL]
        journal["attributes"][_BLOCK] = list(block)
        self._members.clear()
        self._members.update({**arrays, JOURNAL: journal})
        self._content["attributes"] = dict(attributes)

    def with_journal(self, journal: Journal) -> bytes:
        """Return the file's content with another journal, and arrays of its length.

        Parameters
        ----------
        journal : Journal

        Returns
        -------
        bytes
        """
        for name in self.dated():
            self._members[name]["shape"][0] = journal.length
        journal.name_dates(self._content["attributes"])
        block = self._members[JOURNAL]["attributes"].get(_BLOCK)
        kept = {} if block is None else {_BLOCK: block}
        self._members[JOURNAL] = _group({**journal.to_json(), **kept})
        return json.dumps(self._content).encode()


def dims_of(metadata: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the names of an array's dimensions; none for a group."""
    return tuple(metadata.get("dimension_names") or ())


def has_slots(dims: Iterable[Any]) -> bool:
    """Return whether an array of these dimensions has a folder of its own for each date."""
    return {"time", "y", "x"} <= set(dims)


def _group(attributes: Mapping[str, Any]) -> dict[str, Any]:
    return {"zarr_format": 3, "node_type": "group", "attributes": dict(attributes)}
