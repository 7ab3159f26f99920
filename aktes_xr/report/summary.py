"""A series in one pass: what each date holds, in numbers and in a thumbnail, one date at a time."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from aktes_xr.cube.quality import MEANINGS, METHOD_MASK, QualityFlag
from aktes_xr.report.panels import LONGEST_SIDE, STYLES, thinned

THUMBNAIL_SIDE: Final = 200
CLOUDY: Final = 0.5
"""A date of which less is clear is called cloudy, in words and on figures."""
_SHADES: Final = 48
_FILL: Final = (217, 217, 217)
_CLOUD: Final = (142, 202, 230)
_READ: Final = ("surface_temperature", "surface_temperature_uncertainty", "quality")


@dataclass(frozen=True)
class DateSummary:
    """What a date of a result holds.

    Attributes
    ----------
    number : int
        Of the date in the series.
    time : str
        UTC, to the minute; empty without times.
    item : str
        Items it was made of.
    day : bool or None
        Whether the sun was up; None where the result does not say.
    valid, cloud, clear : float
        Shares of pixels with a temperature, with the flag of cloud, and with a temperature and
        without that flag.
    percentiles : tuple of float, K
        5, 50 and 95 per cent of the temperatures that are not in cloud; NaN without any.
    sigma : float, K
        Median stated uncertainty there.
    range_k : (float, float), K
        2 and 98 per cent: what a colour scale has to hold.
    flags : dict of str to float
        Share of pixels of each flag that occurs.
    small : ndarray (y, x), float32, K
        The temperatures of the thumbnail; with -1 where there is cloud, NaN where nothing is known.
    """

    number: int
    time: str
    item: str
    day: bool | None
    valid: float
    cloud: float
    clear: float
    percentiles: tuple[float, float, float]
    sigma: float
    range_k: tuple[float, float]
    flags: dict[str, float]
    small: NDArray[np.float32]


def summarise(result: xr.Dataset, numbers: Sequence[int] | None = None) -> list[DateSummary]:
    """Read a result date by date, at no more pixels than a map shows.

    Parameters
    ----------
    result : Dataset
        With ``surface_temperature`` (time, y, x).
    numbers : sequence of int, optional
        Which dates; all unless given.

    Returns
    -------
    list of DateSummary
        One for each date.
    """
    if numbers is None:
        numbers = range(result.sizes.get("time", 1))
    held = [name for name in _READ if name in result]
    return [_one(result, held, number) for number in numbers]


def _one(result: xr.Dataset, held: Sequence[str], number: int) -> DateSummary:
    date = thinned(result[list(held)], number, LONGEST_SIDE).compute()
    kelvin = date["surface_temperature"].transpose("y", "x").to_numpy()
    cloud = np.zeros(kelvin.shape, bool)
    flags: dict[str, float] = {}
    if "quality" in date:
        bits = date["quality"].transpose("y", "x").to_numpy().astype(np.uint16)
        cloud = (bits & QualityFlag.CLOUD.value) != 0
        flags = _shares(bits)
    known = np.isfinite(kelvin)
    clear = kelvin[known & ~cloud]
    if clear.size:
        low, first, middle, last, high = (
            float(v) for v in np.percentile(clear, (2, 5, 50, 95, 98))
        )
    else:
        low = first = middle = last = high = float("nan")
    sigma = float("nan")
    if "surface_temperature_uncertainty" in date:
        stated = date["surface_temperature_uncertainty"].transpose("y", "x").to_numpy()
        stated = stated[known & ~cloud & np.isfinite(stated)]
        sigma = float(np.median(stated)) if stated.size else sigma
    step = -(-max(kelvin.shape) // THUMBNAIL_SIDE)
    small = np.where(cloud & known, np.float32(-1.0), kelvin).astype(np.float32)
    return DateSummary(
        number=number,
        time=_time(date),
        item=_text(date, "item_id"),
        day=_day(date),
        valid=float(known.mean()),
        cloud=float(cloud.mean()),
        clear=float((known & ~cloud).mean()),
        percentiles=(first, middle, last),
        sigma=sigma,
        range_k=(low, high),
        flags=flags,
        # A copy: a view would keep the whole date in memory.
        small=small[::step, ::step].copy(),
    )


def _shares(bits: NDArray[np.uint16]) -> dict[str, float]:
    found = {}
    for flag in MEANINGS:
        # The names of methods are values under one mask, the others single bits.
        if flag & METHOD_MASK:
            share = float(((bits & METHOD_MASK) == flag.value).mean())
        else:
            share = float(((bits & flag.value) != 0).mean())
        if share > 0.0:
            found[str(flag.name).lower()] = share
    return found


def _time(date: xr.Dataset) -> str:
    if "time" not in date.coords or not np.issubdtype(date["time"].dtype, np.datetime64):
        return ""
    return str(np.datetime_as_string(date["time"].to_numpy(), unit="m")).replace("T", " ")


def _text(date: xr.Dataset, name: str) -> str:
    return str(date[name].to_numpy()[()]) if name in date.coords and date[name].ndim == 0 else ""


def _day(date: xr.Dataset) -> bool | None:
    if "sun_zenith" not in date.coords or date["sun_zenith"].ndim:
        return None
    zenith = float(date["sun_zenith"])
    return None if np.isnan(zenith) else zenith < 90.0


def common_range(dates: Sequence[DateSummary]) -> tuple[float, float]:
    """Return one temperature scale for all dates.

    Parameters
    ----------
    dates : sequence of DateSummary

    Returns
    -------
    low, high : float, K
        From the coldest date's second to the warmest date's 98th percentile.
    """
    lows = [date.range_k[0] for date in dates if np.isfinite(date.range_k[0])]
    highs = [date.range_k[1] for date in dates if np.isfinite(date.range_k[1])]
    if not lows:
        return 250.0, 330.0
    low, high = min(lows), max(highs)
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def clearest(dates: Sequence[DateSummary], count: int) -> list[DateSummary]:
    """Choose dates to be shown in full: spread over the series, of each part the clearest.

    Parameters
    ----------
    dates : sequence of DateSummary
    count : int
        At most so many.

    Returns
    -------
    list of DateSummary
        In order of time.
    """
    parts = np.array_split(np.arange(len(dates)), min(count, len(dates))) if count > 0 else []
    return [dates[max(part.tolist(), key=lambda n: dates[n].clear)] for part in parts]


def thumbnail(date: DateSummary, limits: tuple[float, float]) -> bytes:
    """Draw a date's temperatures as a small PNG of few colours.

    Parameters
    ----------
    date : DateSummary
    limits : (float, float), K
        Of the common scale.

    Returns
    -------
    bytes
        A palette image: grey where nothing is known, light blue where there is cloud.
    """
    from matplotlib import colormaps
    from PIL import Image

    shades = colormaps[STYLES["surface_temperature"].colours].resampled(_SHADES)
    palette: list[Any] = [
        *(tuple(round(255 * v) for v in shades(number)[:3]) for number in range(_SHADES)),
        _FILL,
        _CLOUD,
    ]
    low, high = limits
    scaled = (date.small - low) / (high - low) * _SHADES
    index = np.clip(np.nan_to_num(scaled), 0, _SHADES - 1).astype(np.uint8)
    index[np.isnan(date.small)] = _SHADES
    index[date.small < 0] = _SHADES + 1
    image = Image.fromarray(index, mode="P")
    image.putpalette([channel for colour in palette for channel in colour])
    buffer = io.BytesIO()
    image.save(buffer, format="PNG", optimize=True, bits=6)
    return buffer.getvalue()
