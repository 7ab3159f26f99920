"""Matched pairs of a retrieved and a known value, with what is known of each pair."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import xarray as xr
from scipy.ndimage import uniform_filter

from aktes_xr.cube.quality import METHOD_MASK, QualityFlag
from aktes_xr.errors import InputError, MissingVariableError
from aktes_xr.validation.quantity import TEMPERATURE, Quantity

if TYPE_CHECKING:
    from numpy.typing import NDArray

EXCLUDED: Final = ("cloud", "saturated")
"""Flags whose pixels are not compared unless asked for."""
SELECTABLE: Final = tuple(str(flag.name).lower() for flag in QualityFlag if not flag & METHOD_MASK)


@dataclass(frozen=True)
class Selection:
    """Which pixels are compared.

    Attributes
    ----------
    exclude : sequence of str
        Names of quality flags; pixels with one of them are left out.
    max_uncertainty_k : float, K, optional
        Pixels that state more are left out.
    max_spread_k : float, K, optional
        Pixels whose surroundings' temperatures have a larger standard deviation are left out: what
        is compared there is not the same ground.
    window : int, pixel
        Side of these surroundings; odd.
    within_s : float, s
        How far apart in time two measurements may be.
    """

    exclude: Sequence[str] = EXCLUDED
    max_uncertainty_k: float | None = None
    max_spread_k: float | None = None
    window: int = 3
    within_s: float = 1800.0

    def __post_init__(self) -> None:
        unknown = sorted(set(self.exclude) - set(SELECTABLE))
        if unknown:
            raise InputError(
                f"found {', '.join(unknown)} among the flags to exclude; expected some of "
                f"{', '.join(SELECTABLE)}"
            )
        if self.window < 1 or self.window % 2 == 0:
            raise InputError(f"found a window of {self.window} pixels: expected an odd number")
        for name in ("max_uncertainty_k", "max_spread_k", "within_s"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise InputError(f"found {name} = {value}: expected a positive number")


@dataclass(frozen=True)
class Pairs:
    """Temperatures, or emissivities, of one result beside those of one reference.

    Attributes
    ----------
    name : str
        What was compared.
    estimate, truth : ndarray (pair,), float32, K or 1
    sigma : ndarray (pair,), float32, K or 1, or None
        Stated standard uncertainty.
    clusters : ndarray (pair,), int64
        Which pairs err alike.
    basis : str
        What a cluster is.
    circumstances : mapping of str to ndarray (pair,)
        What pairs are divided by, such as ``"terrain_complexity"``.
    left_out : mapping of str to int
        Why pixels that both measured were not compared, and how many.
    notes : sequence of str
        What a reader of the scores has to know.
    quantity : Quantity
        What was compared.
    """

    name: str
    estimate: NDArray[np.float32]
    truth: NDArray[np.float32]
    sigma: NDArray[np.float32] | None
    clusters: NDArray[np.int64]
    basis: str
    circumstances: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    left_out: Mapping[str, int] = field(default_factory=dict)
    notes: Sequence[str] = ()
    quantity: Quantity = TEMPERATURE


def surroundings(values: NDArray[np.floating], window: int) -> NDArray[np.float64]:
    """Return the standard deviation of an image around each pixel.

    Parameters
    ----------
    values : ndarray (y, x), float
        NaN where unknown.
    window : int, pixel
        Side of the surroundings.

    Returns
    -------
    ndarray (y, x), float64
        Of what is known; NaN where the pixel itself is not.
    """
    known = np.isfinite(values)
    if not known.any():
        return np.full(values.shape, np.nan)
    # About a middle value: squares of 300 K would leave few digits for tenths of a kelvin.
    centred = np.where(known, values - np.nanmedian(values), 0.0).astype(np.float64)
    share = uniform_filter(known.astype(np.float64), window, mode="constant")
    share = np.where(known, share, 1.0)
    mean = uniform_filter(centred, window, mode="constant") / share
    square = uniform_filter(centred**2, window, mode="constant") / share
    spread = np.sqrt(np.maximum(square - mean**2, 0.0))
    return np.asarray(np.where(known, spread, np.nan))


def selected(
    date: xr.Dataset, compared: NDArray[np.bool_], selection: Selection
) -> tuple[NDArray[np.bool_], dict[str, int]]:
    """Choose the pixels of one date that are compared, and count why others are not.

    Parameters
    ----------
    date : Dataset (y, x)
        A result's date, in memory.
    compared : ndarray (y, x), bool
        Where both temperatures are known.
    selection : Selection

    Returns
    -------
    chosen : ndarray (y, x), bool
    left_out : dict of str to int
        A pixel counts under the first reason that holds.

    Raises
    ------
    MissingVariableError
        A limit of uncertainty is asked of a result that states none.
    """
    chosen, left_out = compared.copy(), {}

    def leave(reason: str, where: NDArray[np.bool_]) -> None:
        count = int((chosen & where).sum())
        if count:
            left_out[reason] = count
        chosen[where] = False

    if "quality" in date and selection.exclude:
        quality = date["quality"].to_numpy().astype(np.uint16)
        for name in selection.exclude:
            leave(name.replace("_", " "), (quality & QualityFlag[name.upper()].value) != 0)
    if selection.max_uncertainty_k is not None:
        if "surface_temperature_uncertainty" not in date:
            raise MissingVariableError(
                "a limit of the stated uncertainty was asked for, but the result holds no "
                "'surface_temperature_uncertainty'; leave the limit out"
            )
        sigma = date["surface_temperature_uncertainty"].to_numpy()
        limit = selection.max_uncertainty_k
        leave(f"stated uncertainty above {limit:g} K", ~(sigma <= limit))
    if selection.max_spread_k is not None:
        spread = surroundings(date["surface_temperature"].to_numpy(), selection.window)
        leave(
            f"surroundings vary by over {selection.max_spread_k:g} K",
            ~(spread <= selection.max_spread_k),
        )
    return chosen, left_out
