"""The CF attribute ``history``: a line for each program that made or rewrote a result."""

from __future__ import annotations

from datetime import UTC, datetime

import xarray as xr


def with_history(ds: xr.Dataset, done: str) -> xr.Dataset:
    """Return a dataset whose history says what was done now, before what it said so far.

    Parameters
    ----------
    ds : Dataset
        Its ``source`` names the program. It is not changed.
    done : str
        Such as ``"computed and written to Zarr"``.

    Returns
    -------
    Dataset
    """
    now = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    made = f"{now} {ds.attrs.get('source', 'aktes_xr')}: {done}"
    lines = [line for line in (made, str(ds.attrs.get("history", ""))) if line]
    return ds.assign_attrs(history="\n".join(lines))
