"""Dates as a series stores them, and whether they fit to those that are there."""

from __future__ import annotations

from collections.abc import Mapping, Set
from typing import Any, Final

import xarray as xr

from aktes_xr.errors import StoreError, StoreExistsError
from aktes_xr.store.counts import MEASURE
from aktes_xr.store.encoding import encode
from aktes_xr.store.history import with_history
from aktes_xr.store.root import has_slots

TIMES_PER_CHUNK: Final = 1024
"""Dates in one chunk of what is one number for each date."""
_OF_A_BATCH: Final = ("item_ids", "history")
_OF_THE_GRID: Final = ("proj:code", "proj:wkt2", "spatial:shape", "spatial:transform")


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
