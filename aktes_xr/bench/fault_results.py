"""Results of runs beside that of an undisturbed one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import xarray as xr

from aktes_xr.bench.fault_stage import Stage
from aktes_xr.errors import TrainingError
from aktes_xr.store import open_result


def same_result(one: xr.Dataset, other: xr.Dataset) -> bool:
    """Return whether two results are the same.

    When they were written does not count.

    Parameters
    ----------
    one, other : Dataset
        Results of a retrieval.

    Returns
    -------
    bool
    """
    attributes = [{**ds.attrs, "history": ""} for ds in (one, other)]
    names = [set(ds.variables) for ds in (one, other)]
    return (
        _same_attributes(*attributes)
        and names[0] == names[1]
        and all(
            _same_attributes(one[name].attrs, other[name].attrs)
            and one[name].dtype == other[name].dtype
            and _same_numbers(one[name], other[name])
            for name in names[0]
        )
    )


def _same_attributes(one: Mapping[Any, Any], other: Mapping[Any, Any]) -> bool:
    return one.keys() == other.keys() and all(
        np.array_equal(np.asarray(one[key]), np.asarray(other[key])) for key in one
    )


def _same_numbers(one: xr.DataArray, other: xr.DataArray) -> bool:
    return np.array_equal(one.to_numpy(), other.to_numpy(), equal_nan=one.dtype.kind in "fM")


def undisturbed(stage: Stage) -> xr.Dataset:
    """Return the result of a run that nobody disturbs.

    It is made once, beside the folders of the faults.

    Parameters
    ----------
    stage : Stage
        Items and folder.

    Returns
    -------
    Dataset
    """
    calm = replace(stage, folder=stage.folder.parent / "calm")
    calm.folder.mkdir(exist_ok=True)
    if not calm.out.exists():
        ended = calm.run()
        if ended.code != 0:
            raise TrainingError(f"an undisturbed run ended with {ended}: {ended.said[-500:]}")
    return open_result(calm.out)


def dates_of(stage: Stage) -> tuple[set[str], set[str]]:
    """Return which dates of a result are as in an undisturbed run, and which are empty.

    Parameters
    ----------
    stage : Stage
        Where the result lies; there may be none.

    Returns
    -------
    (set of str, set of str)
        Ids of items.
    """
    if not stage.out.exists():
        return set(), set()
    found, calm = (
        ds["surface_temperature"].set_index(time="item_id").load()
        for ds in (open_result(stage.out), undisturbed(stage))
    )
    known = set(calm["time"].to_numpy())
    same, empty = set(), set()
    for name in map(str, found["time"].to_numpy()):
        one = found.sel(time=name)
        if not bool(one.notnull().any()):
            empty.add(name)
        elif name in known and _same_numbers(one, calm.sel(time=name)):
            same.add(name)
    return same, empty
