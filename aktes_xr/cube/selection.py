"""Select a result's pixels by their flags and uncertainty, and count what flags it has.

``quality`` and ``conditions`` are read as one set of named flags, by their own CF attributes: a
store of an older version, which has the first alone, is read as well.
"""

from __future__ import annotations

from itertools import chain
from typing import Any, Final

import numpy as np
import xarray as xr

from aktes_xr.cube.conditions import DOUBTFUL_CONDITIONS, condition_attributes
from aktes_xr.cube.quality import DOUBTFUL, flag_attributes
from aktes_xr.errors import InputError, MissingVariableError

FLAG_VARIABLES: Final = {"quality": flag_attributes, "conditions": condition_attributes}
DOUBTFUL_FLAGS: Final = tuple(
    str(flag.name).lower() for flags_ in (DOUBTFUL, DOUBTFUL_CONDITIONS) for flag in flags_
)
"""Flags that make a value doubtful; `mask` takes ``"doubtful"`` for all of them."""
_ANY_DOUBT: Final = "doubtful"
_UNCERTAINTY: Final = "surface_temperature_uncertainty"
_KEPT: Final = frozenset({"terrain_complexity", "sky_view_factor", "cloud_probability"})
"""Of ground and cloud, and not retrieved: they are never taken away."""


def flags(result: xr.Dataset) -> dict[str, xr.DataArray]:
    """Expand a result's flags, lazily.

    Parameters
    ----------
    result : Dataset
        With ``quality`` and, where it has it, ``conditions``, uint16.

    Returns
    -------
    dict of str to DataArray (time, y, x), bool
        By the flag's name.

    Raises
    ------
    MissingVariableError
        There is no ``quality``, or its values are not uint16.
    """
    found: dict[str, xr.DataArray] = {}
    for variable, attributes in FLAG_VARIABLES.items():
        if variable not in result:
            if variable == "quality":
                raise MissingVariableError(
                    "found no variable 'quality': expected a result of aktes_xr.retrieve"
                )
            continue
        array = result[variable]
        if array.dtype != np.uint16:
            raise MissingVariableError(
                f"{variable!r} holds {array.dtype}, expected uint16 flags; open the store without "
                "masking them (aktes_xr.open_result)"
            )
        described = attributes()
        masks = described["flag_masks"]
        values = described.get("flag_values", masks)
        names = str(described["flag_meanings"]).split()
        for name, mask_, value in zip(names, masks, values, strict=True):
            found[name] = (array & mask_) == value
    return found


def mask(result: xr.Dataset, *names: str, max_uncertainty: float | None = None) -> xr.Dataset:
    """Take away the pixels of a result that have any of some flags, or are too uncertain.

    Parameters
    ----------
    result : Dataset
        Of `aktes_xr.retrieve` or `aktes_xr.open_result`.
    *names : str
        Flags of ``quality`` and ``conditions``, such as ``"cloud"``, ``"near_cloud"``,
        ``"out_of_domain"``; ``"doubtful"`` stands for all of `DOUBTFUL_FLAGS`.
    max_uncertainty : float, optional, K
        Largest uncertainty of the temperature that is kept; where it is unknown the pixel goes.

    Returns
    -------
    Dataset
        Lazy where the result is. What was retrieved (each floating-point variable along time, y
        and x) is NaN where a pixel is taken away; flags, terrain and attributes stay.

    Raises
    ------
    InputError
        There is no such flag, or the uncertainty is not positive.
    MissingVariableError
        The dataset is no result.
    """
    known = flags(result)
    unknown = sorted(set(names) - {*known, _ANY_DOUBT})
    if unknown:
        raise InputError(
            f"found the flag(s) {', '.join(unknown)}, expected some of {', '.join(known)}, or "
            f"{_ANY_DOUBT!r}"
        )
    if max_uncertainty is not None and not max_uncertainty > 0.0:
        raise InputError(f"found max_uncertainty={max_uncertainty}, expected more than 0 K")
    kept: Any = xr.ones_like(result["quality"], dtype=bool)
    # A store of version 0.1 has no conditions.
    doubtful = tuple(name for name in DOUBTFUL_FLAGS if name in known)
    for name in chain.from_iterable(doubtful if n == _ANY_DOUBT else (n,) for n in names):
        kept = kept & ~known[name]
    if max_uncertainty is not None:
        if _UNCERTAINTY not in result:
            raise MissingVariableError(f"the result has no {_UNCERTAINTY!r} to select by")
        kept = kept & (result[_UNCERTAINTY] <= max_uncertainty)
    selected = {}
    for variable_name, variable in result.data_vars.items():
        per_pixel = {"time", "y", "x"} <= set(variable.dims)
        if variable.dtype.kind == "f" and per_pixel and variable_name not in _KEPT:
            masked = variable.where(kept).transpose(*variable.dims)
            masked.encoding = dict(variable.encoding)
            selected[variable_name] = masked
    return result.assign(selected)


def count_flags(result: xr.Dataset) -> dict[str, int]:
    """Count a result's flags, one date after the other.

    Parameters
    ----------
    result : Dataset
        With flags, in a store or in memory.

    Returns
    -------
    dict of str to int
        Pixels by the flag's name, and ``pixels``, all of them.
    """
    totals = {"pixels": int(result["quality"].size)}
    named = flags(result)
    totals |= dict.fromkeys(named, 0)
    for date in range(result.sizes["time"]):
        # The two flag variables of a date are read once and counted in memory.
        variables = [name for name in FLAG_VARIABLES if name in result]
        loaded = result[variables].isel(time=[date]).load()
        for name, hit in flags(loaded).items():
            totals[name] += int(hit.sum())
    return totals
