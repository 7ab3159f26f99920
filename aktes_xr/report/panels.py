"""What a map shows: a field, its colours and its limits; which fields a result offers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from aktes_xr.cube.quality import METHOD_MASK, QualityFlag
from aktes_xr.errors import InputError, MissingVariableError

LONGEST_SIDE: Final = 900
"""More pixels than this along an axis a map cannot show."""
COMPOSITE_BANDS: Final = ("B14", "B12", "B10")
"""Red, green, blue: quartz, dark in B10 and B12, turns red; carbonate, dark in B14, cyan."""


@dataclass(frozen=True)
class Style:
    """How a quantity is drawn: its name, its colour map, and what bounds the colours."""

    words: str
    colours: str
    low: float | None = None
    high: float | None = None


STYLES: Final[Mapping[str, Style]] = {
    "surface_temperature": Style("surface temperature", "inferno"),
    "surface_temperature_uncertainty": Style("stated uncertainty (1 sigma)", "viridis", 0.0),
    "terrain_complexity": Style("terrain complexity", "YlOrBr", 0.0),
    "student_weight": Style("weight of the student", "BrBG", 0.0, 1.0),
    "emissivity": Style("emissivity", "cividis", None, None),
    "emissivity_uncertainty": Style("uncertainty of emissivity (1 sigma)", "viridis", 0.0),
    "sky_view_factor": Style("sky-view factor", "gray", None, 1.0),
    "cloud_probability": Style("cloud probability", "Blues", 0.0, 1.0),
    "closure_residual": Style("closure residual", "PuRd", 0.0),
}
"""Quantities whose maps lie side by side have colour maps that cannot be mistaken."""


@dataclass(frozen=True)
class Panel:
    """One map.

    Attributes
    ----------
    title : str
    field : DataArray (y, x) or (y, x, rgb)
        In memory. Classes are numbers of ``classes``; a composite has three colours from 0 to 1.
    colours : str
        Matplotlib's name of the colour map.
    limits : (float, float)
        What the ends of the colours stand for.
    unit : str
    classes : sequence of (str, str), optional
        Name and colour of each class, where the field holds classes.
    """

    title: str
    field: xr.DataArray
    colours: str
    limits: tuple[float, float]
    unit: str
    classes: Sequence[tuple[str, str]] = ()


# In the order of precedence: what makes a pixel's value doubtful goes before who made it.
_CLASSES: Final[tuple[tuple[str, QualityFlag, str], ...]] = (
    ("unreadable", QualityFlag.UNREADABLE, "#555555"),
    ("no data", QualityFlag.FILL, "#d9d9d9"),
    ("cloud", QualityFlag.CLOUD, "#8ecae6"),
    ("saturated", QualityFlag.SATURATED, "#d00000"),
    ("not converged", QualityFlag.NOT_CONVERGED, "#9d4edd"),
    ("out of the training's range", QualityFlag.OUT_OF_DOMAIN, "#ff9f1c"),
    ("water", QualityFlag.WATER, "#1d4ed8"),
    ("facing away from the sun", QualityFlag.SHADOWED, "#3d405b"),
)
_METHODS: Final[tuple[tuple[str, QualityFlag, str], ...]] = (
    ("teacher", QualityFlag.RETRIEVED_BY_TEACHER, "#e6d3a3"),
    ("student", QualityFlag.RETRIEVED_BY_STUDENT, "#3a9188"),
    ("both networks", QualityFlag.RETRIEVED_BY_FUSION, "#b5c99a"),
    ("TES", QualityFlag.RETRIEVED_BY_TES, "#cdb4db"),
    ("split window", QualityFlag.RETRIEVED_BY_SPLIT_WINDOW, "#ffc8dd"),
)


def thinned(ds: xr.Dataset, time: int | None, longest: int = LONGEST_SIDE) -> xr.Dataset:
    """Return one date of a dataset, of no more pixels than a map can show.

    Parameters
    ----------
    ds : Dataset
        With or without time.
    time : int or None
        Number of the date; None keeps what has no time.
    longest : int, pixel
        Of the longer side.

    Returns
    -------
    Dataset (y, x), lazy where the input is
    """
    if time is not None and "time" in ds.dims:
        ds = ds.isel(time=time)
    step = -(-max(ds.sizes["y"], ds.sizes["x"]) // longest)
    return ds.isel(y=slice(None, None, step), x=slice(None, None, step))


def limits(field: xr.DataArray | NDArray[Any]) -> tuple[float, float]:
    """Return the second and 98th percentile, so that few pixels do not take all the colours.

    Parameters
    ----------
    field : array
        NaN where unknown.

    Returns
    -------
    low, high : float
        0 and 1 where nothing is known.
    """
    values = np.asarray(field)
    values = values[np.isfinite(values)]
    if values.size == 0:
        return 0.0, 1.0
    low, high = (float(v) for v in np.percentile(values, (2, 98)))
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def panel_of(
    date: xr.Dataset,
    name: str,
    *,
    band: str | None = None,
    bounds: tuple[float, float] | None = None,
) -> Panel:
    """Make the map of one variable.

    Parameters
    ----------
    date : Dataset (y, x)
        Of `thinned`.
    name : str
        A variable, or ``"quality"`` (classes), or ``"emissivity_composite"``.
    band : str, optional
        Of a variable with bands.
    bounds : (float, float), optional
        What the ends of the colours stand for, to share a scale between maps.

    Returns
    -------
    Panel

    Raises
    ------
    MissingVariableError
        There is no such variable.
    InputError
        The variable is not an image, and no band was chosen.
    """
    if name == "emissivity_composite":
        return _composite(date)
    if name not in date:
        raise MissingVariableError(
            f"there is no {name!r} to draw; found {', '.join(sorted(map(str, date.data_vars)))}"
        )
    if name == "quality":
        return _classes(date["quality"].compute())
    field = (
        date[name] if band is None or "band" not in date[name].dims else date[name].sel(band=band)
    )
    if set(field.dims) != {"y", "x"}:
        raise InputError(
            f"{name} has dimensions {field.dims}: expected an image; choose a band, such as 'B12'"
        )
    field = field.transpose("y", "x").compute()
    style = STYLES.get(name, Style(name.replace("_", " "), "viridis"))
    low, high = limits(field)
    if bounds is None:
        bounds = (
            low if style.low is None else style.low,
            max(high, 1e-6) if style.high is None else style.high,
        )
    title = (
        style.words if band is None or "band" not in date[name].dims else f"{style.words} {band}"
    )
    return Panel(title, field, style.colours, bounds, str(date[name].attrs.get("units", "1")))


def comparison_panels(date: xr.Dataset, truth: xr.DataArray) -> list[Panel]:
    """Make maps of the true and the retrieved temperature, and of their difference.

    Parameters
    ----------
    date : Dataset (y, x)
        Of `thinned`.
    truth : DataArray (y, x), K
        On the same pixels.

    Returns
    -------
    list of Panel
    """
    found = date["surface_temperature"].transpose("y", "x").compute()
    true = truth.transpose("y", "x").compute()
    # Coordinates may differ in the last bit after a round trip; xarray would align such to nothing.
    error = found.copy(data=found.to_numpy() - true.to_numpy())
    valid = error.to_numpy()[np.isfinite(error)]
    spread, words = 1.0, "retrieved - true: no common pixel"
    if valid.size:
        spread = max(float(np.percentile(np.abs(valid), 98)), 0.01)
        words = f"retrieved - true: MAE {np.abs(valid).mean():.2f} K, bias {valid.mean():+.2f} K"
    shared = limits(true)
    colours = STYLES["surface_temperature"].colours
    return [
        Panel("true surface temperature", true, colours, shared, "K"),
        Panel("retrieved surface temperature", found, colours, shared, "K"),
        Panel(words, error, "RdBu_r", (-spread, spread), "K"),
    ]


def _composite(date: xr.Dataset) -> Panel:
    """Stretch three bands of emissivity to colours."""
    if "emissivity" not in date:
        raise MissingVariableError("there is no emissivity to make a composite of")
    bands = date["emissivity"].sel(band=list(COMPOSITE_BANDS)).transpose("y", "x", "band").compute()
    values = bands.to_numpy()
    colours = np.empty(values.shape, np.float32)
    for number in range(len(COMPOSITE_BANDS)):
        low, high = limits(values[..., number])
        colours[..., number] = np.clip((values[..., number] - low) / (high - low), 0.0, 1.0)
    field = xr.DataArray(colours, dims=("y", "x", "rgb"), coords={"y": bands["y"], "x": bands["x"]})
    title = (
        "emissivity, red " + ", green ".join(COMPOSITE_BANDS[:2]) + f", blue {COMPOSITE_BANDS[2]}"
    )
    return Panel(title, field, "", (0.0, 1.0), "1")


def _classes(quality: xr.DataArray) -> Panel:
    """Give each pixel one class: the first of the list that holds."""
    bits = quality.transpose("y", "x").to_numpy().astype(np.uint16)
    number = np.full(bits.shape, np.nan, np.float32)
    names: list[tuple[str, str]] = []
    for words, flag, colour in (*_CLASSES, *_METHODS):
        method = bool(flag & METHOD_MASK)
        held = (bits & METHOD_MASK) == flag if method else (bits & flag.value) != 0
        held &= np.isnan(number)
        if held.any():
            number[held] = len(names)
            names.append((words, colour))
    field = quality.transpose("y", "x").copy(data=number)
    return Panel("quality", field, "", (-0.5, len(names) - 0.5), "1", tuple(names))


def described(panel: Panel) -> str:
    """Say in words what a map shows, for those who do not see it.

    Parameters
    ----------
    panel : Panel

    Returns
    -------
    str
        Range, middle, where it is high, and how much is missing; or the shares of classes.
    """
    rows, columns = panel.field.shape[:2]
    size = f"Map of {rows} by {columns} pixels."
    if panel.classes:
        values = panel.field.to_numpy()
        shares = [
            (float((values == number).mean()), name)
            for number, (name, _) in enumerate(panel.classes)
        ]
        listed = ", ".join(f"{_percent(share)} {name}" for share, name in sorted(shares)[::-1])
        return f"{size} {listed}."
    if panel.field.ndim == 3:
        mean = np.nanmean(panel.field.to_numpy(), axis=(0, 1)) if panel.field.size else np.zeros(3)
        order = [("red", "green", "blue")[n] for n in np.argsort(mean)[::-1]]
        return f"{size} Colours are mostly {order[0]}, then {order[1]}, then {order[2]}."
    values = panel.field.to_numpy()
    known = values[np.isfinite(values)]
    if known.size == 0:
        return f"{size} Nothing is known anywhere."
    low, middle, high = np.percentile(known, (2, 50, 98))
    unit = "" if panel.unit == "1" else f" {panel.unit}"
    digits = 1 if high - low >= 2 else 3
    missing = 1.0 - known.size / values.size
    said = (
        f"{size} Values from {low:.{digits}f} to {high:.{digits}f}{unit}, middle "
        f"{middle:.{digits}f}{unit}, highest in the {_highest(values)}."
    )
    return said if missing < 0.0005 else f"{said} {_percent(missing)} missing, in grey."


def _highest(values: NDArray[Any]) -> str:
    """Name the ninth of a map whose mean is highest."""
    rows, columns = np.array_split(values, 3, axis=0), ("west", "middle", "east")
    best, where = -np.inf, "middle"
    for vertical, part in zip(("north", "middle", "south"), rows, strict=True):
        for horizontal, piece in zip(columns, np.array_split(part, 3, axis=1), strict=True):
            known = piece[np.isfinite(piece)]
            if known.size and known.mean() > best:
                best = float(known.mean())
                parts = [p for p in (vertical, horizontal) if p != "middle"]
                where = "-".join(parts) or "middle"
    return where


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %" if share >= 0.01 else "under 1 %"
