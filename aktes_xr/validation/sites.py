"""Pairs of a result and what stations measured on its ground."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd
import pyproj
import xarray as xr

from aktes_xr.errors import InputError, MissingVariableError, OverlapError
from aktes_xr.validation.broadband import broadband_emissivity, temperature_from_fluxes
from aktes_xr.validation.pairs import Pairs, Selection, selected
from aktes_xr.validation.stations import FLUXES, Station

if TYPE_CHECKING:
    from numpy.typing import NDArray

_ENOUGH_STATIONS: Final = 10
_PERIOD_DAYS: Final = 30
_NEEDED: Final = (
    *("surface_temperature", "surface_temperature_uncertainty", "emissivity", "quality"),
    *("terrain_complexity", "water_vapor", "cloud_confidence"),
)


@dataclass(frozen=True)
class SiteMatch:
    """One overpass over one station.

    Attributes
    ----------
    station : str
    time : numpy.datetime64
        Of the overpass.
    retrieved_k, measured_k : float, K
    sigma_k : float, K
        Stated for the retrieved one; NaN without a statement.
    emissivity : float
        Broadband, that the station's temperature was made with; NaN where it measured one.
    spread_k : float, K
        Standard deviation of the retrieved temperatures in the window.
    pixels : int
        That the retrieved temperature is the mean of.
    """

    station: str
    time: Any
    retrieved_k: float
    measured_k: float
    sigma_k: float
    emissivity: float
    spread_k: float
    pixels: int


def pair_stations(
    result: xr.Dataset,
    stations: Sequence[Station],
    selection: Selection | None = None,
    *,
    emissivity: float | None = None,
) -> tuple[Pairs, tuple[SiteMatch, ...]]:
    """Match a result with stations on its ground.

    The retrieved temperature is the mean over the window of pixels around a station, where more
    than half of them may be compared. The measured one is made from the means of both longwave
    fluxes over the window of time around the overpass, or is the mean of measured temperatures.
    Fluxes need the broadband emissivity: that of the retrieved bands unless one is given.

    Parameters
    ----------
    result : Dataset
        With time; computed or not. Only the stations' windows are read.
    stations : sequence of Station
    selection : Selection, optional
        ``within_s`` is half the window of time.
    emissivity : float, optional
        Broadband, of the ground at all stations; a station's own goes before it.

    Returns
    -------
    Pairs
        In ``circumstances`` also ``place``, the station's name.
    tuple of SiteMatch
        The same pairs, one by one.

    Raises
    ------
    MissingVariableError
        The result has no temperature or no time; or no emissivity is known for a station's fluxes.
    OverlapError
        No station lies on the result's ground, or none measured when it was passed.
    """
    chosen = Selection(within_s=300.0) if selection is None else selection
    if "surface_temperature" not in result or "time" not in result.indexes:
        raise MissingVariableError(
            "expected a result with 'surface_temperature' and times; found "
            f"{', '.join(map(str, result.variables))}"
        )
    left_out: Counter[str] = Counter()
    rows: list[dict[str, Any]] = []
    inside = [(one, at) for one in stations if (at := _pixel_of(result, one)) is not None]
    if not inside:
        raise OverlapError(_nowhere(result, stations))
    for station, at in inside:
        rows += _overpasses(result, station, at, chosen, emissivity, left_out)
    if not rows:
        raise OverlapError(_never(result, [one for one, _ in inside], chosen, left_out))
    matches = tuple(row.pop("match") for row in rows)
    return _pairs(matches, rows, left_out), matches


def _pixel_of(result: xr.Dataset, station: Station) -> tuple[int, int] | None:
    """Return row and column of the pixel that a station stands on."""
    to_map = pyproj.Transformer.from_crs(4326, result.rio.crs, always_xy=True)
    x, y = to_map.transform(station.longitude, station.latitude)
    found = []
    for axis, place in (("y", y), ("x", x)):
        centres = np.asarray(result.indexes[axis], np.float64)
        nearest = int(np.abs(centres - place).argmin())
        step = abs(float(centres[1] - centres[0])) if centres.size > 1 else np.inf
        if not abs(centres[nearest] - place) <= step / 2:
            return None
        found.append(nearest)
    return found[0], found[1]


def _overpasses(
    result: xr.Dataset,
    station: Station,
    at: tuple[int, int],
    selection: Selection,
    emissivity: float | None,
    left_out: Counter[str],
) -> list[dict[str, Any]]:
    """Match each date that a station measured at."""
    measured = [
        _mean_around(station, time, selection.within_s) for time in result["time"].to_numpy()
    ]
    numbers = [number for number, record in enumerate(measured) if record is not None]
    if not numbers:
        return []
    half = selection.window // 2
    # One pixel more on each side: the spread of the window's edge pixels needs it.
    window = {
        axis: slice(max(place - 2 * half, 0), place + 2 * half + 1)
        for axis, place in zip(("y", "x"), at, strict=True)
    }
    names = [name for name in _NEEDED if name in result]
    near = result[names].isel({"time": numbers, **window}).compute()
    centre = (at[0] - window["y"].start, at[1] - window["x"].start)
    found = []
    for place, number in enumerate(numbers):
        record = measured[number]
        if record is None:
            continue
        row = _one(near.isel(time=place), station, record, centre, selection, emissivity)
        if isinstance(row, str):
            left_out[row] += 1
        else:
            found.append(row)
    return found


def _mean_around(station: Station, time: np.datetime64, within_s: float) -> pd.Series | None:
    """Return the mean of what a station measured around a time."""
    reach = pd.Timedelta(seconds=within_s)
    moment = pd.Timestamp(time)
    near = station.records.loc[moment - reach : moment + reach]
    needed = list(FLUXES) if station.has_fluxes else ["surface_temperature"]
    near = near.dropna(subset=needed)
    return None if near.empty else near.mean(numeric_only=True)


def _one(
    date: xr.Dataset,
    station: Station,
    record: pd.Series,
    centre: tuple[int, int],
    selection: Selection,
    emissivity: float | None,
) -> dict[str, Any] | str:
    """Match one overpass, or say why it is not compared."""
    temperature = date["surface_temperature"].transpose("y", "x").to_numpy()
    limit = selection.max_spread_k
    # The window is judged as a whole below, not pixel by pixel.
    by_pixel = Selection(selection.exclude, selection.max_uncertainty_k)
    mask, reasons = selected(date, np.isfinite(temperature), by_pixel)
    half = selection.window // 2
    spot = tuple(slice(max(c - half, 0), c + half + 1) for c in centre)
    inner = mask[spot]
    if 2 * inner.sum() <= inner.size:
        return next(iter(reasons), "no temperature retrieved")
    retrieved = float(temperature[spot][inner].mean(dtype=np.float64))
    spread = float(temperature[spot][inner].std(dtype=np.float64))
    if limit is not None and spread > limit:
        return f"surroundings vary by over {limit:g} K"
    broadband = _emissivity(date, record, spot, inner, emissivity, station)
    if station.has_fluxes:
        kelvin = float(
            temperature_from_fluxes(record["longwave_up"], record["longwave_down"], broadband)
        )
    else:
        kelvin, broadband = float(record["surface_temperature"]), float("nan")
    if not np.isfinite(kelvin):
        return "no temperature measured"
    sigma = date.get("surface_temperature_uncertainty")
    match = SiteMatch(
        station=station.name,
        time=date["time"].to_numpy()[()],
        retrieved_k=retrieved,
        measured_k=kelvin,
        sigma_k=float("nan") if sigma is None else float(sigma.to_numpy()[spot][inner].mean()),
        emissivity=broadband,
        spread_k=spread,
        pixels=int(inner.sum()),
    )
    return {"match": match, **_circumstances(date, centre)}


def _emissivity(
    date: xr.Dataset,
    record: pd.Series,
    spot: tuple[slice, ...],
    inner: NDArray[np.bool_],
    given: float | None,
    station: Station,
) -> float:
    """Return the broadband emissivity: the station's, the caller's, or that of the bands."""
    if not station.has_fluxes:
        return float("nan")
    own = float(record.get("emissivity", np.nan))
    if np.isfinite(own):
        return own
    if given is not None:
        if not 0.0 < given <= 1.0:
            raise InputError(f"found a broadband emissivity of {given:g}: expected 0 to 1")
        return given
    if "emissivity" not in date:
        raise MissingVariableError(
            f"{station.name} measured fluxes, but neither the result nor the station has an "
            "emissivity; give a broadband one"
        )
    bands = date["emissivity"].transpose("y", "x", "band").to_numpy()[spot][inner]
    return float(broadband_emissivity(bands.mean(axis=0, dtype=np.float64)))


def _circumstances(date: xr.Dataset, centre: tuple[int, int]) -> dict[str, float]:
    found = {}
    for name in ("terrain_complexity", "water_vapor", "cloud_confidence"):
        if name in date and set(date[name].dims) == {"y", "x"}:
            found[name] = float(date[name].transpose("y", "x").to_numpy()[centre])
    if "sun_zenith" in date.coords and date["sun_zenith"].ndim == 0:
        found["sun_zenith"] = float(date["sun_zenith"])
    return found


def _pairs(
    matches: Sequence[SiteMatch], rows: Sequence[dict[str, Any]], left_out: Counter[str]
) -> Pairs:
    times = pd.DatetimeIndex([match.time for match in matches])
    places = np.array([match.station for match in matches])
    labels, basis = _clusters(places, times)
    shared = set.intersection(*(set(row) for row in rows))
    sigma = np.array([match.sigma_k for match in matches], np.float32)
    return Pairs(
        name=", ".join(sorted(set(places.tolist()))),
        estimate=np.array([match.retrieved_k for match in matches], np.float32),
        truth=np.array([match.measured_k for match in matches], np.float32),
        sigma=sigma if np.isfinite(sigma).any() else None,
        clusters=labels,
        basis=basis,
        circumstances={
            **{name: np.array([row[name] for row in rows], np.float32) for name in sorted(shared)},
            "month": np.asarray(times.month, np.int8),
            "place": places,
        },
        left_out=dict(left_out),
        notes=("a station sees some tens of metres, a pixel ninety",),
    )


def _clusters(places: NDArray[np.str_], times: pd.DatetimeIndex) -> tuple[NDArray[np.int64], str]:
    """Give a number to what errs alike: stations if there are enough, else months at each."""
    station = np.unique(places, return_inverse=True)[1].astype(np.int64)
    count = int(station.max()) + 1
    if count >= _ENOUGH_STATIONS:
        return station, f"{count} stations count as independent"
    days = np.asarray((times - times.min()).days, np.int64)
    labels = np.unique(station * 100_000 + days // _PERIOD_DAYS, return_inverse=True)[1]
    return (
        labels.astype(np.int64),
        f"{int(labels.max()) + 1} periods of {_PERIOD_DAYS} days at {count} "
        f"station{'s' if count > 1 else ''} count as independent; what errs at a station for "
        "good is not in the intervals",
    )


def _nowhere(result: xr.Dataset, stations: Sequence[Station]) -> str:
    spots = ", ".join(f"{s.name} ({s.latitude:.3f}, {s.longitude:.3f})" for s in stations) or "none"
    to_degrees = pyproj.Transformer.from_crs(result.rio.crs, 4326, always_xy=True)
    west, south, east, north = to_degrees.transform_bounds(*result.rio.bounds())
    return (
        f"no station lies on the result's ground: stations (latitude, longitude) are {spots}; the "
        f"result covers latitudes {south:.3f} to {north:.3f}, longitudes {west:.3f} to {east:.3f}"
    )


def _never(
    result: xr.Dataset,
    stations: Sequence[Station],
    selection: Selection,
    left_out: Counter[str],
) -> str:
    times = result.indexes["time"]
    measured = ", ".join(
        f"{one.name} from {one.records.index.min():%Y-%m-%d %H:%M} to "
        f"{one.records.index.max():%Y-%m-%d %H:%M}"
        for one in stations
        if len(one.records)
    )
    said = ", ".join(f"{count} {reason}" for reason, count in left_out.items())
    return (
        f"no overpass from {times.min():%Y-%m-%d %H:%M} to {times.max():%Y-%m-%d %H:%M} can be "
        f"compared within {selection.within_s / 60:g} minutes of what stations measured "
        f"({measured or 'nothing'})" + (f"; left out: {said}" if said else "")
    )
