"""Carry ancillaries from a model's surface to the real one, and estimate their errors.

A reanalysis holds for the model's own, smooth orography. At a height ``d`` above it (m):

- temperatures follow the lapse rate of the standard atmosphere [1]_, ``T - G d``, ``G`` = 6.5 K/km;
- pressure follows the hypsometric equation, ``p exp(-g d / (R Tm))``, with the mean temperature
  ``Tm = T - G d / 2`` of the layer and the gas constant ``R`` of dry air;
- the water column follows ``w exp(-d / H)`` with ``H`` = 2300 m, the scale height that the
  radiative tables of this package assume for humidity.

The stated standard error is the root of a sum of squares, all of them round numbers of ours:

========================  =============  ===========  =============  ======================
quantity                  its own        per sqrt(h)  per sqrt(km)   per height ``d``
========================  =============  ===========  =============  ======================
water column ``w``        10 %, 0.5 mm   3 %          1 %            0.25 w d / H
air temperature           2 K            0.5 K        0.15 K         2 K/km
surface pressure          2 hPa          0.3 hPa      0.05 hPa       p g d / (R Tm) 3 K / Tm
skin temperature          3 K            1 K          0.3 K          3 K/km
========================  =============  ===========  =============  ======================

Between two samples the error of linear interpolation grows and shrinks as a Brownian bridge: at
the share ``u`` of a step of length ``L`` its variance is that of a distance ``u (1 - u) L``. Away
from a single sample it is that of the distance. Where a source states its own error, that takes the
place of the second column.

References
----------
.. [1] U.S. Standard Atmosphere, 1976. NOAA-S/T 76-1562.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

LAPSE_RATE: Final = 0.0065
"""K m-1."""
GRAVITY: Final = 9.80665
GAS_CONSTANT: Final = 287.05
"""J kg-1 K-1, of dry air."""
WATER_SCALE_HEIGHT_M: Final = 2300.0
_SEA_LEVEL_K: Final = 288.15
_LEAST_WATER: Final = 1e-3
"""kg m-2. Smaller columns are raised to it, so that their logarithm is finite."""
_LAYER_ERROR_K: Final = 3.0
_SCALE_ERROR: Final = 0.25


@dataclass(frozen=True, slots=True)
class ErrorModel:
    """Standard errors of one quantity, in its units; shares of the value where ``relative``.

    Attributes
    ----------
    own : of an hourly analysis at its own points
    floor : added to a relative one
    per_root_hour, per_root_km, per_km_height : growth with distance
    """

    own: float
    per_root_hour: float
    per_root_km: float
    per_km_height: float = 0.0
    relative: bool = False
    floor: float = 0.0


ERRORS: Final = {
    "water_vapor": ErrorModel(0.10, 0.03, 0.01, relative=True, floor=0.5),
    "air_temperature": ErrorModel(2.0, 0.5, 0.15, 2.0),
    "surface_pressure": ErrorModel(2.0, 0.3, 0.05),
    "skin_temperature": ErrorModel(3.0, 1.0, 0.3, 3.0),
}


def to_linear(quantity: str, values: Any) -> Any:
    """Turn values into what is interpolated: the logarithm of columns and pressures.

    That is nearly linear in height, as temperatures are by themselves: between a valley's cell and
    a mountain's the mean of two pressures would be two hectopascals too high.

    Parameters
    ----------
    quantity : str
    values : array
    """
    if quantity == "water_vapor":
        return np.log(np.maximum(values, _LEAST_WATER))
    if quantity == "surface_pressure":
        return np.log(values)
    return values


def carry(
    quantity: str,
    linear: NDArray[np.float64],
    *,
    above_m: NDArray[np.float64] | float,
    layer_k: NDArray[np.float64] | float | None = None,
) -> NDArray[np.float64]:
    """Carry an interpolated value to another height.

    Parameters
    ----------
    quantity : {"water_vapor", "air_temperature", "surface_pressure", "skin_temperature"}
    linear : float64
        As `to_linear` returns it.
    above_m : float64, m
        Of the place above the surface that the value holds for.
    layer_k : float64, K, optional
        Mean temperature of the layer between, which pressure needs.

    Returns
    -------
    float64
        kg m-2, K, hPa or K.
    """
    if quantity == "water_vapor":
        return np.asarray(np.exp(linear - above_m / WATER_SCALE_HEIGHT_M))
    if quantity == "surface_pressure":
        layer = _SEA_LEVEL_K if layer_k is None else layer_k
        return np.asarray(np.exp(linear - GRAVITY * above_m / (GAS_CONSTANT * layer)))
    return np.asarray(linear - LAPSE_RATE * above_m)


def standard_error(
    quantity: str,
    value: NDArray[np.float64],
    *,
    stated: NDArray[np.float64] | float | None,
    hours: float,
    km: NDArray[np.float64] | float,
    above_m: NDArray[np.float64] | float,
) -> NDArray[np.float64]:
    """Return the standard error of a value that was carried to another height.

    Parameters
    ----------
    quantity : str
    value : float64
        Already carried.
    stated : float64, optional
        What the source says; None takes the package's own.
    hours, km : float64
        Distances in time and space, the bridge's where there are samples on both sides.
    above_m : float64, m

    Returns
    -------
    float64, in the quantity's units
    """
    model = ERRORS[quantity]
    scale = value if model.relative else 1.0
    own = np.hypot(model.own * scale, model.floor) if stated is None else stated
    grown = hours * (model.per_root_hour * scale) ** 2 + km * (model.per_root_km * scale) ** 2
    height = np.abs(above_m)
    if quantity == "water_vapor":
        lifted = _SCALE_ERROR * value * height / WATER_SCALE_HEIGHT_M
    elif quantity == "surface_pressure":
        lifted = value * GRAVITY * height / (GAS_CONSTANT * _SEA_LEVEL_K)
        lifted = lifted * _LAYER_ERROR_K / _SEA_LEVEL_K
    else:
        lifted = model.per_km_height * height / 1000.0
    return np.asarray(np.sqrt(own**2 + grown + lifted**2))
