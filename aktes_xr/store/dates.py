"""Dates as a series stores them, and whether they fit to those that are there."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Set
from typing import Any, Final

import xarray as xr

from aktes_xr.errors import StoreError, StoreExistsError
from aktes_xr.store.counts import MEASURE, Counts
from aktes_xr.store.encoding import encode
from aktes_xr.store.history import with_history
from aktes_xr.store.journal import Journal
from aktes_xr.store.root import has_slots
from aktes_xr.store.threads import own_threads

TIMES_PER_CHUNK: Final = 1024
"""Dates in one chunk of what is one number for each date."""
_OF_A_BATCH: Final = ("item_ids", "history")
_OF_THE_GRID: Final = ("proj:code", "proj:wkt2", "spatial:shape", "spatial:transform")


class DateStore(ABC):
    """What every store of a series does alike with the dates of a batch.

    Parameters
    ----------
    name : str
        Its name, for messages.
    sharded : bool
        One file for each variable and block.

    Attributes
    ----------
    journal : what is in it
    """

    def __init__(self, name: str, *, sharded: bool) -> None:
        self._name, self._sharded = name, sharded
        self.journal = Journal()
        self._block: tuple[int, int] | None = None
        self._batch = xr.Dataset()

    @property
    def block(self) -> tuple[int, int] | None:
        """Rows and columns that are written at once, which later batches must have too."""
        return self._block if self.journal.length else None

    def write(self, batch: xr.Dataset) -> Counts:
        """Work out the dates of a batch and keep them where no reader looks.

        Parameters
        ----------
        batch : Dataset
            The lazy result of some dates.

        Returns
        -------
        Counts
            Of its dates.

        Raises
        ------
        StoreError
            It is no result of a retrieval.
        StoreExistsError
            It has another grid or other variables than what is in the store.
        """
        prepared = prepare_dates(batch, sharded=self._sharded)
        if self.journal.length:
            refuse_unless_fits(prepared, *self._present(), name=self._name)
        else:
            self._block = block_of(prepared)
        with own_threads():
            return self._write(prepared)

    @abstractmethod
    def _present(self) -> tuple[Mapping[str, Any], Set[str]]:
        """Return attributes and variables of what is in it."""

    @abstractmethod
    def _write(self, prepared: xr.Dataset) -> Counts:
        """Work out dates that fit."""


def prepare_dates(batch: xr.Dataset, *, sharded: bool) -> xr.Dataset:
    """Return a batch with all that its storing needs, one date to a chunk.

    Parameters
    ----------
    batch : Dataset
        The result of some dates.
    sharded : bool
        One file for each variable and block.

    Returns
    -------
    Dataset

    Raises
    ------
    StoreError
        It is no result of a retrieval, or time is not the first dimension.
    CRSError, InputError
        It has no CRS or no regular grid.
    """
    dated = [n for n, v in batch.data_vars.items() if has_slots(v.dims)]
    wrong = [str(n) for n, v in batch.variables.items() if "time" in v.dims and v.dims[0] != "time"]
    if wrong or MEASURE not in dated:
        raise StoreError(
            f"a series needs {MEASURE} (time, y, x), and time first in every variable: found "
            f"{', '.join(wrong) or 'no ' + MEASURE}"
        )
    batch = batch.assign({name: batch[name].chunk(time=1) for name in dated})
    prepared = encode(batch, sharded=sharded)
    for name in _OF_A_BATCH:
        prepared.attrs.pop(name, None)
    for variable in prepared.variables.values():
        if "time" in variable.dims and not has_slots(variable.dims):
            lengths = (max(size, 1) for size in variable.shape[1:])
            variable.encoding["chunks"] = (TIMES_PER_CHUNK, *lengths)
    return prepared


def block_of(prepared: xr.Dataset) -> tuple[int, int]:
    """Return the rows and columns that are written at once.

    Parameters
    ----------
    prepared : Dataset
        What `prepare_dates` returned.

    Returns
    -------
    (int, int), pixel
    """
    lengths = prepared[MEASURE].chunksizes
    return lengths["y"][0], lengths["x"][0]


def refuse_unless_fits(
    prepared: xr.Dataset, attributes: Mapping[str, Any], arrays: Set[str], *, name: str
) -> None:
    """Refuse dates of another kind than those that are there.

    Parameters
    ----------
    prepared : Dataset
        What `prepare_dates` returned.
    attributes : mapping
        Of the series.
    arrays : set of str
        Its variables.
    name : str
        Its name, for the message.

    Raises
    ------
    StoreExistsError
        They have another grid or other variables.
    """
    for key in _OF_THE_GRID:
        old, new = attributes.get(key), prepared.attrs.get(key)
        if old != new:
            raise StoreExistsError(
                f"{name} has another grid ({key} {old}, now {new}): choose another place for it"
            )
    differing = arrays ^ {str(variable) for variable in prepared.variables}
    if differing:
        raise StoreExistsError(
            f"{name} holds other variables (differing: {', '.join(sorted(differing))}): choose "
            "another place for it"
        )


def begun(prepared: xr.Dataset) -> str:
    """Return the first line of a series' history.

    Parameters
    ----------
    prepared : Dataset
        What `prepare_dates` returned.

    Returns
    -------
    str
    """
    return str(with_history(prepared, "series begun in Zarr").attrs["history"])
