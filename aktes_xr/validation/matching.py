"""Pairs of a result and what was measured elsewhere: matched in time and space, date by date."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd
import xarray as xr

from aktes_xr.cube import check_grid
from aktes_xr.errors import GridError, MissingVariableError, OverlapError
from aktes_xr.validation.correlation import (
    ENOUGH_DATES,
    Clusters,
    block_labels,
    block_side,
    correlation_length,
)
from aktes_xr.validation.pairs import Pairs, Selection, selected
from aktes_xr.validation.reference import Reference, average_onto

if TYPE_CHECKING:
    from numpy.typing import NDArray

_MOST_PIXELS: Final = 4_000_000
"""Of a whole comparison; of more every n-th row and column is taken."""
_NEEDED: Final = (
    *("surface_temperature", "surface_temperature_uncertainty", "quality"),
    *("terrain_complexity", "water_vapor", "cloud_confidence"),
)
_MINUTE_S: Final = 60.0
_HOUR_S: Final = 3600.0


@dataclass(frozen=True)
class _Date:
    """Pixels of one date that are compared."""

    number: int
    row: NDArray[np.int64]
    column: NDArray[np.int64]
    estimate: NDArray[np.float32]
    truth: NDArray[np.float32]
    sigma: NDArray[np.float32] | None
    circumstances: dict[str, NDArray[Any]]
    length: float


def pair_fields(
    result: xr.Dataset, reference: Reference, selection: Selection | None = None
) -> Pairs:
    """Match a result with a map, or a series of maps, of the same ground.

    Dates of a series are matched with the nearest in time; a map without time serves every date. A
    reference of much larger pixels is compared on its own, with the result's mean over each.

    Parameters
    ----------
    result : Dataset
        What `aktes_xr.retrieve` returns, computed or not. Dates are computed one after the other.
    reference : Reference
        Of `aktes_xr.validation.reference.open_reference`.
    selection : Selection, optional
        Which pixels are compared.

    Returns
    -------
    Pairs

    Raises
    ------
    MissingVariableError
        The result has no ``surface_temperature``, or no ``emissivity`` where that is compared.
    GridError
        The reference lies on other pixels.
    OverlapError
        They have no date, or no pixel, in common. The message names both extents.
    """
    chosen = Selection() if selection is None else selection
    for name in ("surface_temperature", reference.quantity.name):
        if name not in result:
            raise MissingVariableError(
                f"the result has no {name!r} (found: {sorted(map(str, result.data_vars))})"
            )
    series = result if "time" in result.dims else result.expand_dims("time")
    if not reference.coarse:
        check_grid(reference.field, series, name=reference.name)
    if "band" in reference.field.dims:
        _refuse_other_bands(reference, series)
    matches = _matched_dates(series, reference, chosen)
    size = series.sizes["y"] * series.sizes["x"] * reference.field.sizes.get("band", 1)
    step = int(np.ceil(np.sqrt(len(matches) * size / _MOST_PIXELS)))
    left_out: Counter[str] = Counter()
    dates = [
        date
        for number, other in matches
        for date in _pixels(series, reference, (number, other), chosen, left_out, max(step, 1))
    ]
    if not dates:
        raise OverlapError(
            f"{reference.name} and the result have no pixel in common on any of {len(matches)} "
            f"dates{_reasons(left_out)}: give a reference that measured where the result did"
        )
    notes = list(_time_notes(series, reference))
    if step > 1:
        notes.append(f"of {_ordinal(step)} rows and columns only")
    if reference.coarse:
        notes.append("the result averaged over the reference's larger pixels")
    return _collected(reference, dates, left_out, notes)


def _refuse_other_bands(reference: Reference, series: xr.Dataset) -> None:
    ours, theirs = (
        [str(band) for band in one["band"].to_numpy()] for one in (series, reference.field)
    )
    if not set(theirs) <= set(ours):
        raise GridError(
            f"{reference.name} has the bands {', '.join(theirs)}, the result {', '.join(ours)}: "
            "give the reference of the same bands"
        )


def _reasons(left_out: Counter[str]) -> str:
    said = ", ".join(f"{count:,} pixels {reason}" for reason, count in left_out.items())
    return f" (left out: {said})" if said else ""


def _ordinal(step: int) -> str:
    return "every second" if step == 2 else f"every {step}th"


def _matched_dates(
    series: xr.Dataset, reference: Reference, selection: Selection
) -> list[tuple[int, int | None]]:
    """Pair the number of each date with that of the reference's nearest one."""
    known = reference.field
    count = series.sizes["time"]
    if "time" not in known.dims:
        if reference.time is not None and "time" in series.indexes and count > 1:
            distance = np.abs(_seconds(series["time"].to_numpy() - reference.time))
            return [(int(distance.argmin()), None)]
        return [(number, None) for number in range(count)]
    if "time" not in series.indexes or "time" not in known.indexes:
        if count != known.sizes["time"]:
            raise GridError(
                f"{reference.name} has {known.sizes['time']} dates, the result {count}, and one of "
                "them does not say when: give the reference of the same dates"
            )
        return [(number, number) for number in range(count)]
    ours, theirs = series["time"].to_numpy(), known["time"].to_numpy()
    apart = np.abs(_seconds(ours[:, np.newaxis] - theirs[np.newaxis]))
    nearest = apart.argmin(axis=1)
    found: list[tuple[int, int | None]] = [
        (number, int(other))
        for number, other in enumerate(nearest)
        if apart[number, other] <= selection.within_s
    ]
    if not found:
        raise OverlapError(
            f"no date of {reference.name} ({_period(theirs)}) is within "
            f"{selection.within_s / _MINUTE_S:g} minutes of one of the result's ({_period(ours)})"
        )
    return found


def _seconds(difference: NDArray[Any]) -> NDArray[np.float64]:
    return np.asarray(difference / np.timedelta64(1, "s"), np.float64)


def _period(times: NDArray[Any]) -> str:
    first, last = (
        str(np.datetime64(time, "m")).replace("T", " ") for time in (times.min(), times.max())
    )
    return first if first == last else f"{first} to {last}"


def _time_notes(series: xr.Dataset, reference: Reference) -> Iterator[str]:
    """Say how far apart in time a raster was measured, where its name tells."""
    if reference.time is None or "time" not in series.indexes:
        return
    seconds = float(np.abs(_seconds(series["time"].to_numpy() - reference.time)).min())
    if seconds > _HOUR_S:
        apart = f"{seconds / 86400:.0f} days" if seconds > 172800 else f"{seconds / 3600:.1f} hours"
        yield f"measured {apart} apart: differences are of the ground, too"


def _pixels(
    series: xr.Dataset,
    reference: Reference,
    match: tuple[int, int | None],
    selection: Selection,
    left_out: Counter[str],
    step: int,
) -> Iterator[_Date]:
    """Yield the compared pixels of a date, band by band, unless there are none."""
    number, other = match
    name = reference.quantity.name
    needed = dict.fromkeys((*_NEEDED, name, f"{name}_uncertainty"))
    date = series[[one for one in needed if one in series]].isel(time=number).compute()
    known = reference.field if other is None else reference.field.isel(time=other)
    if "band" not in known.dims:
        planes = [(date, known)]
    else:
        planes = [
            (date.sel(band=band).assign_coords(band=band), known.sel(band=band, drop=True))
            for band in map(str, known["band"].to_numpy())
        ]
    for place, (plane, there) in enumerate(planes):
        # Why a pixel is left out is the same in all bands, and is counted once.
        reasons = left_out if place == 0 else Counter[str]()
        yield from _plane(
            *(plane, reference, there),
            match=match,
            selection=selection,
            left_out=reasons,
            step=step,
        )


def _plane(
    date: xr.Dataset,
    reference: Reference,
    known: xr.DataArray,
    *,
    match: tuple[int, int | None],
    selection: Selection,
    left_out: Counter[str],
    step: int,
) -> Iterator[_Date]:
    """Yield the compared pixels of one image."""
    number, other = match
    name = reference.quantity.name
    truth = known.transpose("y", "x").to_numpy().astype(np.float32)
    found = date[name].transpose("y", "x")
    compared = np.isfinite(found.to_numpy())
    if not reference.coarse:
        compared &= np.isfinite(truth)
    mask, reasons = selected(date, compared, selection)
    left_out.update(reasons)
    sigma = date.get(f"{name}_uncertainty")
    if reference.coarse:
        kept = found.where(xr.DataArray(mask, dims=("y", "x"))).rio.write_crs(date.rio.crs)
        values, sigma = average_onto(kept, known).to_numpy(), None
        mask = np.isfinite(values) & np.isfinite(truth)
    else:
        values = found.to_numpy()
    error = np.where(mask, values - truth, np.nan)
    thinned = np.zeros_like(mask)
    thinned[::step, ::step] = mask[::step, ::step]
    row, column = np.nonzero(thinned)
    if row.size == 0:
        return
    stated = None if sigma is None else sigma.to_numpy()[row, column]
    yield _Date(
        number=number,
        row=row,
        column=column,
        estimate=values[row, column].astype(np.float32),
        truth=truth[row, column],
        sigma=None if stated is None or not np.isfinite(stated).any() else stated,
        circumstances=_circumstances(date, reference, other, (row, column)),
        length=correlation_length(error),
    )


def _circumstances(
    date: xr.Dataset,
    reference: Reference,
    other: int | None,
    at: tuple[NDArray[np.int64], NDArray[np.int64]],
) -> dict[str, NDArray[Any]]:
    """Return what is known of each pixel beside its temperatures."""
    found: dict[str, NDArray[Any]] = {}
    if not reference.coarse:
        fields = {
            name: date[name]
            for name in ("terrain_complexity", "water_vapor", "cloud_confidence")
            if name in date
        }
        if "precipitable_water" in reference.fields:
            water = reference.fields["precipitable_water"]
            fields["water_vapor"] = (
                water if other is None or "time" not in water.dims else (water.isel(time=other))
            )
        for name, field in fields.items():
            if set(field.dims) == {"y", "x"}:
                found[name] = field.transpose("y", "x").to_numpy()[at].astype(np.float32)
    size = at[0].size
    if "band" in date.coords:
        found["band"] = np.full(size, str(date["band"].to_numpy()[()]))
    if "sun_zenith" in date.coords and date["sun_zenith"].ndim == 0:
        found["sun_zenith"] = np.full(size, float(date["sun_zenith"]), np.float32)
    if "time" in date.coords and np.issubdtype(date["time"].dtype, np.datetime64):
        found["month"] = np.full(size, pd.Timestamp(date["time"].to_numpy()[()]).month, np.int8)
    return found


def _collected(
    reference: Reference, dates: Sequence[_Date], left_out: Counter[str], notes: Sequence[str]
) -> Pairs:
    clusters = _clusters(dates)
    shared = set.intersection(*(set(date.circumstances) for date in dates))
    sigma = None
    if all(date.sigma is not None for date in dates):
        sigma = np.concatenate([date.sigma for date in dates if date.sigma is not None])
    return Pairs(
        name=reference.name,
        estimate=np.concatenate([date.estimate for date in dates]),
        truth=np.concatenate([date.truth for date in dates]),
        sigma=sigma,
        clusters=clusters.labels,
        basis=clusters.basis,
        circumstances={
            key: np.concatenate([date.circumstances[key] for date in dates])
            for key in sorted(shared)
        },
        left_out=dict(left_out),
        notes=tuple(notes),
        quantity=reference.quantity,
    )


def _clusters(dates: Sequence[_Date]) -> Clusters:
    """Give a number to what errs alike: dates where there are enough, else blocks within a date."""
    # Bands of one date and place err alike: they are of one cluster.
    numbers = list(dict.fromkeys(date.number for date in dates))
    if len(numbers) >= ENOUGH_DATES:
        apart = [np.full(date.row.size, date.number, np.int64) for date in dates]
        return Clusters(np.concatenate(apart), f"{len(numbers)} dates count as independent")
    length = max(date.length for date in dates)
    shape = (
        max(int(date.row.max()) for date in dates) + 1,
        max(int(date.column.max()) for date in dates) + 1,
    )
    side = block_side(length, shape)
    numbered = np.concatenate(
        [
            block_labels(date.row, date.column, side) * len(numbers) + numbers.index(date.number)
            for date in dates
        ]
    )
    labels = np.unique(numbered, return_inverse=True)[1].astype(np.int64)
    return Clusters(
        labels,
        f"{int(labels.max()) + 1} blocks of {side} pixels count as independent (errors are alike "
        f"over {length:.1f}); what errs over a whole date is not in the intervals",
    )
