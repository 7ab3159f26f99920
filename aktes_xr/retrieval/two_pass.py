"""The second pass over a series: each date again, with what the other dates say of its emissivity.

Emissivity is steady while temperature is not. The first pass retrieves every date by itself. Of it
the surest clear observations of each season are kept for each pixel, and each date is retrieved
once more with their mean as its prior.

All of it is lazy, and the memory does not grow with the number of dates: a date's own first pass is
not kept until its second, but made once more (`dask.graph_manipulation.clone`), unless the first
pass lies in a store.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal

import dask.array as da
import numpy as np
import pandas as pd
import xarray as xr
from dask.base import is_dask_collection
from dask.graph_manipulation import clone

from aktes_xr.cube import DEFAULT_EMISSIVITY_ERROR, check_grid, describe
from aktes_xr.cube.calibration import brightness_temperature
from aktes_xr.errors import InputError, MissingVariableError
from aktes_xr.retrieval.inputs import measurement, spread
from aktes_xr.retrieval.series_prior import (
    BACKGROUND,
    OFFERED,
    UNCERTAINTY,
    USED,
    series_prior,
)
from aktes_xr.retrieval.witnesses import Seasons, observations, witnesses
from aktes_xr.sensor import BANDS

if TYPE_CHECKING:
    from collections.abc import Callable

Passes = Literal[1, 2]
BRIGHTNESS: Final = "brightness_temperature"
"""What a first pass in a store keeps besides, so that the second one has a clear background."""
_SEED: Final = "aktes second pass"
_IMAGE: Final = ("time", "y", "x")
_BANDS: Final = ("time", "band", "y", "x")
_COMMON: Final = {"surface_temperature_uncertainty": 0.8, "emissivity_uncertainty": 0.75}
"""Share of a single date's variance that no other date takes away; fitted on simulated series."""
_NEEDED: Final = ("emissivity", *_COMMON, "quality", "conditions")
_TOLERANCE: Final = pd.Timedelta(seconds=1)
_COUNTS: Final = {
    "prior_dates": (USED, "other dates that the prior emissivity is made of"),
    "other_dates": (OFFERED, "other clear dates of the season"),
}


def retrieve_twice(
    ds: xr.Dataset,
    retrieve: Callable[[xr.Dataset], xr.Dataset],
    *,
    first: xr.Dataset | None = None,
    halo: int = 0,
) -> xr.Dataset:
    """Retrieve a series with the priors that its dates give each other, lazily.

    Parameters
    ----------
    ds : Dataset
        A checked cube.
    retrieve : callable
        Makes a result of a cube.
    first : Dataset, optional
        The first pass of all dates of ``ds`` and, if it has them, of more; from a store.
    halo : int
        Pixels that each chunk must have to give to its neighbours.

    Returns
    -------
    Dataset
        What ``retrieve`` makes, and ``prior_dates``, ``other_dates`` (uint8); also ``background``
        (K), unless ``first`` has no ``brightness_temperature`` (`with_brightness`).

    Raises
    ------
    InputError
        ``first`` lacks a date of the cube, or has one twice.
    MissingVariableError
        It is no result.
    GridError
        It lies on another grid.
    """
    ds = ds.assign(tir=ds["tir"].copy(data=measurement(ds, halo).rechunk({0: 1})))
    kept_first, own_first = _passes(ds, retrieve, first)
    brightness = kept_first.get(BRIGHTNESS) if first is not None else _brightness(ds)
    known = brightness is not None
    seasons = Seasons.of(kept_first["time"].dt.month.to_numpy().tolist())
    kept = witnesses(observations(kept_first, brightness), seasons)
    if first is not None:
        numbers = _numbers(first, ds)
        own = observations(own_first)[numbers]
        own_first = own_first.isel(time=numbers)
    else:
        own = observations(own_first)
    months = ds["time"].dt.month.to_numpy().tolist()
    recalled = series_prior(own, kept, seasons, months)
    again = ds if first is not None else _again(ds)
    out = retrieve(_with_prior(again, recalled, background=known))
    sizes = out["quality"].chunks
    added: dict[str, Any] = {
        name: (_IMAGE, _image(recalled, plane, sizes, np.uint8), {"long_name": text, "units": "1"})
        for name, (plane, text) in _COUNTS.items()
    }
    if known:
        attrs = {"units": "K", "long_name": "usual clear-sky brightness temperature in B13"}
        added["background"] = (_IMAGE, _image(recalled, BACKGROUND, sizes, np.float32), attrs)
    honest = {
        name: _no_surer(out[name], own_first[name], recalled[:, USED], common)
        for name, common in _COMMON.items()
    }
    result = out.assign(honest | added).assign_attrs(out.attrs, passes=2)
    for name in added:
        result[name].encoding = dict(out["quality"].encoding)
    return result


def with_brightness(result: xr.Dataset, ds: xr.Dataset) -> xr.Dataset:
    """Add to a first pass what a second one makes the clear background of, lazily.

    Parameters
    ----------
    result : Dataset
        What `aktes_xr.retrieve` makes of the cube.
    ds : Dataset
        The cube.

    Returns
    -------
    Dataset
        With ``brightness_temperature`` (time, y, x), K, of B13 at the sensor.
    """
    found = _brightness(ds)
    data = found.data if is_dask_collection(found.data) else found.chunk().data
    attrs = {
        "units": "K",
        "standard_name": "toa_brightness_temperature",
        "long_name": "brightness temperature in B13 at the sensor",
    }
    added = xr.Variable(_IMAGE, data.rechunk(result["quality"].chunks).astype(np.float32), attrs)
    added.encoding = dict(result["quality"].encoding)
    return result.assign({BRIGHTNESS: added})


def _brightness(ds: xr.Dataset) -> xr.DataArray:
    return brightness_temperature(ds).sel(band="B13", drop=True)


def _again(ds: xr.Dataset) -> xr.Dataset:
    """Return the cube by other tasks: what the first pass has read is not kept for the second."""
    # Each variable by itself: with `omit`, Dask loses what a kept and a copied one have in common.
    copied = {
        name: (array.dims, clone(array.data, seed=_SEED), array.attrs, array.encoding)
        for name, array in ds.data_vars.items()
        if "time" in array.dims and is_dask_collection(array.data)
    }
    return ds.assign(copied)


def _passes(
    ds: xr.Dataset, retrieve: Callable[[xr.Dataset], xr.Dataset], first: xr.Dataset | None
) -> tuple[xr.Dataset, xr.Dataset]:
    """Return the first pass twice: for the witnesses, and for each date's own."""
    if first is None:
        return retrieve(ds), retrieve(_again(ds))
    missing = [name for name in _NEEDED if name not in first]
    if missing:
        raise MissingVariableError(
            f"the first pass lacks {', '.join(missing)}: pass what aktes_xr.retrieve made of the "
            "same region, from its store"
        )
    check_grid(first["quality"], ds, name="the first pass")
    names = [*_NEEDED, *(name for name in ("closure_residual", BRIGHTNESS) if name in first)]
    chosen = first[names].chunk()
    return chosen, clone(chosen, seed=_SEED)


def _numbers(first: xr.Dataset, ds: xr.Dataset) -> list[int]:
    """Return which dates of the first pass those of the cube are."""
    index = pd.DatetimeIndex(first.indexes["time"])
    if not index.is_monotonic_increasing or not index.is_unique:
        raise InputError(
            "the dates of the first pass are not in order, or one comes twice: sort them with "
            "ds.sortby('time')"
        )
    wanted = pd.DatetimeIndex(ds.indexes["time"])
    found = index.get_indexer(wanted, method="nearest", tolerance=_TOLERANCE)
    if (found < 0).any():
        raise InputError(
            f"the first pass lacks {wanted[found < 0][0].isoformat()}: it must hold every date of "
            "the cube"
        )
    return [int(number) for number in found]


def _with_prior(ds: xr.Dataset, recalled: da.Array, *, background: bool) -> xr.Dataset:
    """Give the cube the series' prior; where there is none, that which it had stays."""
    time, _, y, x = recalled.chunks
    chunks = (time, (len(BANDS),), y, x)
    prior, sigma = recalled[:, :UNCERTAINTY], recalled[:, UNCERTAINTY:BACKGROUND]
    if "emissivity_prior" in ds:
        given = spread(ds["emissivity_prior"], _BANDS, chunks)
        known = ds.get("emissivity_prior_uncertainty")
        error: Any = DEFAULT_EMISSIVITY_ERROR
        if known is not None:
            error = spread(known, _BANDS, chunks)
        none = da.isnan(prior)
        prior, sigma = da.where(none, given, prior), da.where(none, error, sigma)
    added: dict[str, Any] = {
        "emissivity_prior": (_BANDS, prior.astype(np.float32)),
        "emissivity_prior_uncertainty": (_BANDS, sigma.astype(np.float32)),
    }
    if background and "background" not in ds:
        added["background"] = (_IMAGE, recalled[:, BACKGROUND])
    kept = ds.drop_vars([name for name in added if name in ds])
    return describe(kept.assign(added))


def _no_surer(
    second: xr.DataArray, first: xr.DataArray, dates: da.Array, common: float
) -> xr.DataArray:
    """Widen a second pass's sigma to what other dates can take away of the first one's.

    The networks take the prior's error for independent of their own, and state too small a sigma.
    """
    sizes = second.chunks or ()
    left = da.sqrt(np.float32(common) + np.float32(1.0 - common) / (dates + np.float32(1.0)))
    left = left.rechunk((sizes[0], *sizes[-2:]))
    floor = first.chunk().data.rechunk(sizes)
    floor = floor * (left[:, np.newaxis] if second.ndim == 4 else left)
    # Where the first pass has none, the second one's stays.
    wider = da.where(floor > second.data, floor, second.data).astype(np.float32)
    return second.copy(data=wider)


def _image(recalled: da.Array, plane: int, chunks: Any, dtype: type[np.generic]) -> da.Array:
    image: da.Array = recalled[:, plane].astype(dtype).rechunk(chunks)
    return image
