"""What a store says of bands that lie apart from the others; see `aktes_xr.cube.registration`."""

from __future__ import annotations

import json
import warnings
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from aktes_xr.cube.registration import SHIFTED_PIXELS

if TYPE_CHECKING:
    import xarray as xr
    import zarr

_VARIABLE: Final = "band_shift"
_MOST_NAMED: Final = 3


class BandShiftWarning(UserWarning):
    """A band lies apart from the others: what is retrieved at every edge is wrong."""


def shift_attributes(result: xr.Dataset, group: zarr.Group) -> dict[str, Any]:
    """Describe the shifted bands of a result that has been written, and warn of them.

    The distances are computed with the rest of the result and are known only when it is written:
    so it is the writer that warns, and the retrieval stays lazy.

    Parameters
    ----------
    result : Dataset
        Its ``time`` and ``band`` are in memory.
    group : zarr.Group
        The store, complete.

    Returns
    -------
    dict
        ``shifted_bands``: JSON text, pixels by date and band; nothing where the result was not
        asked about shifts.

    Warns
    -----
    BandShiftWarning
        A band lies at least `aktes_xr.cube.registration.SHIFTED_PIXELS` from the others.
    """
    if _VARIABLE not in result:
        return {}
    distances: Any = group[_VARIABLE]
    found: dict[str, dict[str, float]] = {}
    for time, row in zip(result["time"].to_numpy(), distances[:], strict=True):
        shifted = {
            str(band): round(float(distance), 1)
            for band, distance in zip(result["band"].to_numpy(), row, strict=True)
            if distance >= SHIFTED_PIXELS
        }
        if shifted:
            found[str(np.datetime_as_string(time, unit="s"))] = shifted
    if found:
        named = "; ".join(
            f"{date}: " + ", ".join(f"{band} by {far} pixels" for band, far in bands.items())
            for date, bands in list(found.items())[:_MOST_NAMED]
        )
        warnings.warn(
            f"bands lie apart from the others on {len(found)} date(s) ({named}): leave these dates "
            "out, or have the granule processed again",
            BandShiftWarning,
            stacklevel=2,
        )
    return {"shifted_bands": json.dumps(found)}
