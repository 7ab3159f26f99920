"""What an atmospheric profile must satisfy before it is solved.

Water above saturation over liquid water is condensed away below `SATURATION_TOP_HPA`, as the clear
column of a radiative-transfer code has it, up to a relative humidity of `MAX_HUMIDITY`; beyond that
the profile is refused. Saturation vapour pressure over liquid: [1]_, eq. 10.

Below `FREEZING_LIMIT_K` there is no liquid to condense to: clear air there holds up to some six
tenths more than saturates it over ice [2]_, which the formula for liquid, made for warmer air, may
take for supersaturation. So such water is kept up to `MAX_HUMIDITY_OVER_ICE` and refused beyond.
Saturation vapour pressure over ice: [3]_, eq. 7. What was condensed or kept is said
(`humidity_note`).

References
----------
.. [1] D. Bolton, Mon. Weather Rev. 108, 1046 (1980).
.. [2] T. Koop, B. Luo, A. Tsias, T. Peter, Nature 406, 611 (2000): homogeneous freezing.
.. [3] D. M. Murphy, T. Koop, Q. J. R. Meteorol. Soc. 131, 1539 (2005).
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from aktes_xr.compilation import kernel
from aktes_xr.errors import ProfileError

MAX_HUMIDITY: Final = 1.25
"""Relative humidity up to which a profile is believed; analyses and retrievals reach 1.15."""
SATURATION_TOP_HPA: Final = 300.0
"""Above, the air is so cold that saturation over liquid water says nothing."""
FREEZING_LIMIT_K: Final = 235.15
"""Colder droplets freeze at once."""
MAX_HUMIDITY_OVER_ICE: Final = 2.5
"""Relative humidity over ice up to which such cold air is believed: drops freeze at 1.7, retrieved
profiles reach 2.3."""
TEMPERATURE_LIMITS_K: Final = (120.0, 400.0)
_LEAST_FRACTION: Final = 1e-16


@kernel()
def saturation_vapor_pressure(temperature: float) -> float:
    """Saturation vapour pressure over liquid water [1]_, eq. 10.

    Parameters
    ----------
    temperature : float, K
        Of the air.

    Returns
    -------
    float, Pa

    References
    ----------
    .. [1] Bolton (1980), see the module.
    """
    celsius = temperature - 273.15
    return float(611.2 * np.exp(17.67 * celsius / (celsius + 243.5)))


def ice_saturation_vapor_pressure(temperature: NDArray[np.float64]) -> NDArray[np.float64]:
    """Saturation vapour pressure over ice [1]_, eq. 7.

    Parameters
    ----------
    temperature : ndarray, float64, K
        Of the air.

    Returns
    -------
    ndarray, float64, Pa
        In the shape of ``temperature``.

    References
    ----------
    .. [1] Murphy and Koop, see the module.
    """
    logarithm = 9.550426 - 5723.265 / temperature + 3.53068 * np.log(temperature)
    return np.asarray(np.exp(logarithm - 0.00728332 * temperature))


@kernel()
def relative_humidity(
    pressure: NDArray[np.float64], temperature: NDArray[np.float64], water: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Relative humidity over liquid water.

    Parameters
    ----------
    pressure : ndarray (level,), float64, Pa
        Of the air.
    temperature : ndarray (level,), float64, K
        Of the air.
    water : ndarray (level,), float64, mol per mol of dry air
        Water vapour.

    Returns
    -------
    ndarray (level,), float64, 1
        1 at saturation.
    """
    out = np.empty(pressure.size)
    for level in range(pressure.size):
        vapor = pressure[level] * water[level] / (1.0 + water[level])
        out[level] = vapor / saturation_vapor_pressure(temperature[level])
    return out


@kernel()
def condense(
    pressure: NDArray[np.float64], temperature: NDArray[np.float64], water: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Limit water vapour to saturation over liquid water.

    Levels above `SATURATION_TOP_HPA` or colder than `FREEZING_LIMIT_K` are left as they are.

    Parameters
    ----------
    pressure : ndarray (level,), float64, Pa
        Of the air.
    temperature : ndarray (level,), float64, K
        Of the air.
    water : ndarray (level,), float64, mol per mol of dry air
        Water vapour; not changed.

    Returns
    -------
    ndarray (level,), float64, mol per mol of dry air
        Never more than ``water``.
    """
    out = water.copy()
    for level in range(pressure.size):
        if pressure[level] < 100.0 * SATURATION_TOP_HPA or temperature[level] < FREEZING_LIMIT_K:
            continue
        vapor = saturation_vapor_pressure(temperature[level])
        if vapor < 0.5 * pressure[level]:
            out[level] = min(water[level], vapor / (pressure[level] - vapor))
    return out


def _complain(what: str, level: int, value: float, pressure: float, remedy: str) -> ProfileError:
    return ProfileError(
        f"found {what} {value:g} at level {level} ({pressure:g} hPa); {remedy}. Levels are counted "
        "from 0 in the order given"
    )


def _refuse_values(
    pressure: NDArray[np.float64],
    temperature: NDArray[np.float64],
    water: NDArray[np.float64],
    ozone: NDArray[np.float64],
) -> None:
    low, high = TEMPERATURE_LIMITS_K
    for name, values in (
        ("pressure", pressure),
        ("temperature", temperature),
        ("water vapour", water),
        ("ozone", ozone),
    ):
        bad = np.flatnonzero(~np.isfinite(values))
        if bad.size:
            level = int(bad[0])
            raise _complain(
                f"{name}", level, values[level], pressure[level], "expected a finite number"
            )
    for name, values, least, greatest, unit in (
        ("pressure", pressure, np.nextafter(0, 1), 1200.0, "hPa"),
        ("temperature", temperature, low, high, "K"),
        ("water vapour", water, 0.0, 0.5, "mol mol-1"),
        ("ozone", ozone, 0.0, 1e-3, "mol mol-1"),
    ):
        bad = np.flatnonzero((values < least) | (values > greatest))
        if bad.size:
            level = int(bad[0])
            expected = f"expected {least:g} to {greatest:g} {unit}; check sign and units"
            raise _complain(name, level, values[level], pressure[level], expected)


def check_profile(
    pressure_hpa: ArrayLike,
    temperature_k: ArrayLike,
    h2o_vmr: ArrayLike,
    o3_vmr: ArrayLike,
    *,
    surface_pressure_hpa: float | None = None,
) -> tuple[NDArray[np.float64], float]:
    """Check a profile and bring it into the order the solver wants.

    Parameters
    ----------
    pressure_hpa, temperature_k, h2o_vmr, o3_vmr : array (level,), hPa, K, mol mol-1, mol mol-1
        Levels in either order; the gases per dry air.
    surface_pressure_hpa : float, hPa, optional
        None: the greatest pressure.

    Returns
    -------
    profile : ndarray (4, level), float64
        Pressure (Pa, falling), temperature, water (at most saturated) and ozone.
    surface_pressure : float, Pa

    Raises
    ------
    ProfileError
        If levels are missing, unordered, negative, not finite, more than saturated, or all above
        the surface; the message names the level.
    """
    rows = [np.atleast_1d(np.asarray(values, dtype=np.float64)) for values in
            (pressure_hpa, temperature_k, h2o_vmr, o3_vmr)]  # fmt: skip
    shapes = {row.shape for row in rows}
    if len(shapes) != 1 or rows[0].ndim != 1 or rows[0].size < 2:
        raise ProfileError(
            f"found profiles of shapes {[row.shape for row in rows]}, expected four of one length, "
            "at least two levels"
        )
    pressure, temperature, water, ozone = rows
    _refuse_values(pressure, temperature, water, ozone)
    falling = pressure[0] > pressure[-1]
    steps = np.diff(pressure) if not falling else -np.diff(pressure)
    bad = np.flatnonzero(steps <= 0)
    if bad.size:
        level = int(bad[0]) + 1
        raise _complain(
            "pressure", level, pressure[level], pressure[level],
            "expected pressure to fall, or to rise, from level to level; sort the profile",
        )  # fmt: skip
    _refuse_supersaturation(pressure, temperature, water)
    surface = float(pressure.max()) if surface_pressure_hpa is None else float(surface_pressure_hpa)
    lowest = int(np.argmax(pressure))
    if not np.isfinite(surface) or surface > pressure[lowest] * (1 + 1e-9):
        raise _complain(
            f"a surface at {surface:g} hPa below the lowest level, with pressure", lowest,
            pressure[lowest], pressure[lowest], "extend the profile down to the surface",
        )  # fmt: skip
    if surface <= pressure.min():
        highest = int(np.argmin(pressure))
        raise _complain(
            f"a surface at {surface:g} hPa above the highest level, with pressure", highest,
            pressure[highest], pressure[highest], "check the surface pressure's unit",
        )  # fmt: skip
    profile = np.stack([100.0 * pressure, temperature, water, ozone])
    profile = profile if falling else profile[:, ::-1].copy()
    profile[2] = np.maximum(condense(profile[0], profile[1], profile[2]), _LEAST_FRACTION)
    profile[3] = np.maximum(profile[3], _LEAST_FRACTION)
    return profile, 100.0 * surface


def humidity_note(
    pressure_hpa: ArrayLike, temperature_k: ArrayLike, h2o_vmr: ArrayLike
) -> str | None:
    """Say what `check_profile` does about supersaturated levels; None where there are none.

    Parameters
    ----------
    pressure_hpa, temperature_k, h2o_vmr : array (level,), hPa, K, mol mol-1
        A profile that `check_profile` takes.
    """
    pressure, temperature, water = (
        np.asarray(values, np.float64) for values in (pressure_hpa, temperature_k, h2o_vmr)
    )
    liquid, ice = _humidities(pressure, temperature, water)
    notes = []
    for levels, humidity, what in (
        (_condenses(pressure, temperature) & (liquid > 1.0), liquid, "condensed to saturation"),
        ((temperature < FREEZING_LIMIT_K) & (ice > 1.0), ice, "kept: supersaturated over ice"),
    ):
        if levels.any():
            top, bottom = pressure[levels].min(), pressure[levels].max()
            notes.append(
                f"{int(levels.sum())} levels from {top:g} to {bottom:g} hPa {what}, relative "
                f"humidity up to {humidity[levels].max():.2f}"
            )
    return "; ".join(notes) or None


def _condenses(
    pressure_hpa: NDArray[np.float64], temperature: NDArray[np.float64]
) -> NDArray[np.bool_]:
    return (pressure_hpa >= SATURATION_TOP_HPA) & (temperature >= FREEZING_LIMIT_K)


def _humidities(
    pressure_hpa: NDArray[np.float64],
    temperature: NDArray[np.float64],
    water: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Relative humidity over liquid and over ice."""
    vapor = 100.0 * pressure_hpa * water / (1.0 + water)
    liquid = relative_humidity(100.0 * pressure_hpa, temperature, water)
    return liquid, vapor / ice_saturation_vapor_pressure(temperature)


def _refuse_supersaturation(
    pressure: NDArray[np.float64], temperature: NDArray[np.float64], water: NDArray[np.float64]
) -> None:
    liquid, ice = _humidities(pressure, temperature, water)
    cold = temperature < FREEZING_LIMIT_K
    # Higher up retrieved profiles hold whatever their climatology did, and none of it matters here.
    believed = pressure >= 100.0
    for levels, humidity, most, surface in (
        (_condenses(pressure, temperature), liquid, MAX_HUMIDITY, "liquid water"),
        (cold & believed, ice, MAX_HUMIDITY_OVER_ICE, "ice"),
    ):
        bad = np.flatnonzero(levels & (humidity > most))
        if bad.size:
            level = int(bad[0])
            raise _complain(
                f"a relative humidity of {humidity[level]:.2f} over {surface}, water vapour",
                level,
                water[level],
                pressure[level],
                f"expected at most {most}; check that water is mol per mol, not kg/kg or %",
            )
