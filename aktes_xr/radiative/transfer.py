"""Compiled clear-sky transfer through one column: transmittance, path and sky radiance.

With the transmittance T_s(l) of a sub-band s from level l to the sensor and the share B_bs of a
band's Planck function,

    t_b = sum_s B_bs(T_0) T_s(0) / B_b(T_0)             T_0 air temperature at the surface
    Lp_b = sum_s sum_l (B_bs(l) + B_bs(l+1)) / 2 (T_s(l+1) - T_s(l))
    Ls_b = 2 int_0^1 L_b(-mu) mu dmu                    (four Gauss-Jacobi points)

Weighting t by the Planck function and not by the response alone makes the radiance equation exact
for surfaces near the air's temperature, and an isothermal column emit exactly (1 - t) B. Per gas,
the exponential-sum terms are followed along the whole path and averaged; then gases multiply.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from aktes_xr.compilation import kernel
from aktes_xr.radiative.gases import MOLAR_MASS, GasAbsorption

GRAVITY: Final = 9.80665
"""m s-2."""
GAS_CONSTANT: Final = 8.314462618
"""J mol-1 K-1."""
DRY_AIR_MOLAR_MASS: Final = 28.9647e-3
"""kg mol-1."""
WATER_MOLAR_MASS: Final = 18.01528e-3
"""kg mol-1."""
STANDARD_PRESSURE: Final = 101325.0
"""Pa."""
HIGH_BASE: Final = 12000.0
"""Pa; with HIGH_TOP the stratospheric layer of the calibration's last column."""
HIGH_TOP: Final = 2000.0
MAX_LAYER_PA: Final = 2500.0
"""Layers thicker than this are divided."""

_MASSES: Final = MOLAR_MASS
_WATER: Final = 0
_OZONE: Final = 2
# Columns of the calibration.
_LINES, _SELF, _FOREIGN, _O3, _OTHER, _GREY, _HIGH = range(7)


def _hemisphere() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Nodes and weights that integrate 2 mu f(mu) over 0..1: Gauss-Jacobi, four points."""
    from scipy.special import roots_jacobi

    nodes, weights = roots_jacobi(4, 0.0, 1.0)
    return (nodes + 1.0) / 2.0, weights / weights.sum()


SKY_COSINE, SKY_WEIGHT = _hemisphere()


@kernel()
def refine_column(
    pressure: NDArray[np.float64],
    temperature: NDArray[np.float64],
    water: NDArray[np.float64],
    ozone: NDArray[np.float64],
    surface_pressure: float,
) -> NDArray[np.float64]:
    """Cut a column at the surface and divide its thick layers.

    Temperature is linear and the gases are exponential in the logarithm of pressure.

    Parameters
    ----------
    pressure, temperature, water, ozone : ndarray (level,), Pa, K, 1, 1
        Pressure falls from level to level; its first is at or below the surface.
    surface_pressure : float, Pa
        Where the column begins.

    Returns
    -------
    ndarray (4, n), float64
        Pressure, temperature, water and ozone at the levels of the refined column, surface first.
    """
    # The layer that the surface cuts is the first. Levels below it are left out.
    base = 0
    while base < pressure.size - 2 and pressure[base + 1] >= surface_pressure:
        base += 1
    # Count first, so that the result is allocated once.
    total = 1
    for level in range(base, pressure.size - 1):
        high = min(pressure[level], surface_pressure)
        total += max(1, int(np.ceil((high - pressure[level + 1]) / MAX_LAYER_PA)))
    out = np.empty((4, total))
    position = 0
    for level in range(base, pressure.size - 1):
        high = min(pressure[level], surface_pressure)
        low = pressure[level + 1]
        parts = max(1, int(np.ceil((high - low) / MAX_LAYER_PA)))
        span = np.log(pressure[level] / low)
        # Each layer writes its lower level and those inside it. Only the last one writes its upper
        # end.
        last = 1 if level == pressure.size - 2 else 0
        for part in range(parts + last):
            here = high + (low - high) * part / parts
            # The fraction counts from the profile's own level, which may lie below the surface.
            f = np.log(pressure[level] / here) / span
            out[0, position] = here
            out[1, position] = temperature[level] + f * (
                temperature[level + 1] - temperature[level]
            )
            out[2, position] = water[level] * (water[level + 1] / water[level]) ** f
            out[3, position] = ozone[level] * (ozone[level + 1] / ozone[level]) ** f
            position += 1
    return out


@kernel()
def layer_amounts(
    column: NDArray[np.float64], mole_fraction: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Absorber amounts of the layers between the levels of `refine_column`.

    Parameters
    ----------
    column : ndarray (4, level)
        As `refine_column` returns it.
    mole_fraction : ndarray (gas,), 1
        Of the well-mixed gases, per dry air.

    Returns
    -------
    ndarray (gas + 4, layer), float64
        Amounts in kg m-2 in the order of ``GASES``; then pressure (Pa), temperature (K) and the
        molar densities (mol m-3) of water vapour and of dry air.
    """
    gases = mole_fraction.size
    layers = column.shape[1] - 1
    out = np.empty((gases + 4, layers))
    for j in range(layers):
        water = 0.5 * (column[2, j] + column[2, j + 1])
        ozone = 0.5 * (column[3, j] + column[3, j + 1])
        mass = (column[0, j] - column[0, j + 1]) / GRAVITY
        dry = mass / (DRY_AIR_MOLAR_MASS + water * WATER_MOLAR_MASS)
        for gas in range(gases):
            out[gas, j] = dry * mole_fraction[gas] * _MASSES[gas]
        # Water and ozone vary with height: they replace what the mean mole fractions gave.
        out[_WATER, j] = dry * water * _MASSES[_WATER]
        out[_OZONE, j] = dry * ozone * _MASSES[_OZONE]
        p = 0.5 * (column[0, j] + column[0, j + 1])
        t = 0.5 * (column[1, j] + column[1, j + 1])
        # The ideal gas law; the continua need densities, not amounts.
        density = p / (GAS_CONSTANT * t)
        out[gases, j] = p
        out[gases + 1, j] = t
        out[gases + 2, j] = density * water / (1.0 + water)
        out[gases + 3, j] = density / (1.0 + water)
    return out


@kernel()
def _scaling(parameters: NDArray[np.float64], pressure: float, temperature: float) -> float:
    x = temperature / parameters[1] - 1.0
    quadratic = 1.0 + x * (parameters[3] + x * parameters[4])
    # A power costs as much as all the rest: left out where the pressure does not matter.
    if parameters[2] != 0.0:
        quadratic *= (pressure / parameters[0]) ** parameters[2]
    # The fitted parabola may fall below 0 far from its reference. There is no negative absorption.
    return float(max(quadratic, 0.0))


@kernel()
def grey_depths(
    sub: int, layers: NDArray[np.float64], column: NDArray[np.float64], gas: GasAbsorption
) -> NDArray[np.float64]:
    """Optical depths of a sub-band's layers from what has no line structure.

    These are the two water continua and the calibration's grey terms.

    Parameters
    ----------
    sub : int
        The sub-band.
    layers : ndarray (gas + 4, layer), float64
        Of `layer_amounts`.
    column : ndarray (4, level), float64
        Of `refine_column`; its first row is pressure, Pa.
    gas : GasAbsorption
        The absorption.

    Returns
    -------
    ndarray (layer,), float64, 1
        Vertical optical depth, surface first.
    """
    gases = gas.first.shape[1]
    out = np.empty(layers.shape[1])
    factors = gas.calibration[sub]
    for j in range(layers.shape[1]):
        p, t = layers[gases, j], layers[gases + 1, j]
        own = gas.continuum[sub, 0] * layers[gases + 2, j]
        own *= _scaling(gas.continuum_scaling[sub, 0], p, t) * factors[_SELF]
        foreign = gas.continuum[sub, 1] * layers[gases + 3, j]
        foreign *= _scaling(gas.continuum_scaling[sub, 1], p, t) * factors[_FOREIGN]
        out[j] = layers[_WATER, j] * (own + foreign)
        out[j] += factors[_GREY] * (column[0, j] - column[0, j + 1]) / STANDARD_PRESSURE
        # The part of the layer that lies within the stratospheric one.
        high, low = min(column[0, j], HIGH_BASE), max(column[0, j + 1], HIGH_TOP)
        if high > low:
            out[j] += factors[_HIGH] * (high - low) / (HIGH_BASE - HIGH_TOP)
    return out


@kernel()
def scaled_amounts(
    sub: int, layers: NDArray[np.float64], gas: GasAbsorption
) -> NDArray[np.float64]:
    """Absorber amounts of a sub-band's layers, scaled to reference conditions and calibrated.

    Parameters
    ----------
    sub : int
        The sub-band.
    layers : ndarray (gas + 4, layer), float64
        Of `layer_amounts`.
    gas : GasAbsorption
        The absorption.

    Returns
    -------
    ndarray (gas, layer), float64, kg m-2
        0 for a gas that does not absorb in the sub-band.
    """
    gases = gas.first.shape[1]
    out = np.zeros((gases, layers.shape[1]))
    for g in range(gases):
        if gas.terms[sub, g] == 0:
            continue
        column = _LINES if g == _WATER else (_O3 if g == _OZONE else _OTHER)
        factor = gas.calibration[sub, column]
        for j in range(layers.shape[1]):
            f = _scaling(gas.scaling[sub, g], layers[gases, j], layers[gases + 1, j])
            out[g, j] = factor * f * layers[g, j]
    return out


@kernel()
def _exponential(depth: float) -> float:
    """exp(-depth) for depth >= 0, off by less than 2e-9.

    The diagonal Pade approximant of order two at depth / 64, squared six times: plain arithmetic,
    so the compiler puts several layers through at once, which it cannot do with the library's.
    """
    y = depth * 0.015625
    even, odd = 1.0 + y * y / 12.0, 0.5 * y
    r = (even - odd) / (even + odd)
    r *= r
    r *= r
    r *= r
    r *= r
    r *= r
    return r * r


@kernel()
def _accumulate(values: NDArray[np.float64], from_space: bool) -> NDArray[np.float64]:
    """Sum a layer quantity from an end of the column to every level."""
    layers = values.size
    out = np.zeros(layers + 1)
    if from_space:
        for j in range(layers - 1, -1, -1):
            out[j] = out[j + 1] + values[j]
    else:
        for j in range(layers):
            out[j + 1] = out[j] + values[j]
    return out


@kernel()
def path_transmittance(
    sub: int,
    amounts: NDArray[np.float64],
    grey: NDArray[np.float64],
    slant: float,
    from_space: bool,
    gas: GasAbsorption,
) -> NDArray[np.float64]:
    """Transmittance of a sub-band between an end of the column and every level.

    Parameters
    ----------
    sub : int
        The sub-band.
    amounts, grey : ndarray (gas, layer), (layer,)
        Of `scaled_amounts` and `grey_depths`.
    slant : float
        Length of the path per vertical length.
    from_space : bool
        True: between space and each level; False: between the surface and each level.
    gas : GasAbsorption
        The absorption.

    Returns
    -------
    ndarray (layer + 1,), float64
        Surface first.
    """
    layers = grey.size
    out = np.empty(layers + 1)
    part = np.empty(layers + 1)
    # What has no line structure attenuates at once. Gases with lines follow, as sums of
    # exponentials.
    passed = _accumulate(grey, from_space)
    for j in range(layers + 1):
        out[j] = _exponential(slant * passed[j])
    for g in range(amounts.shape[0]):
        if gas.terms[sub, g] == 0:
            continue
        passed = _accumulate(amounts[g], from_space)
        part[:] = 0.0
        for term in range(gas.first[sub, g], gas.first[sub, g] + gas.terms[sub, g]):
            # Terms outside, levels inside: the inner loop has one coefficient and is vectorised.
            k, weight = gas.coefficient[term] * slant, gas.weight[term]
            for j in range(layers + 1):
                part[j] += weight * _exponential(k * passed[j])
        for j in range(layers + 1):
            out[j] *= part[j]
    return out


@kernel()
def _emission(transmittance: NDArray[np.float64], planck: NDArray[np.float64]) -> float:
    """Integrate the Planck function over the change of transmittance along the path."""
    total = 0.0
    for j in range(planck.size - 1):
        total += 0.5 * (planck[j] + planck[j + 1]) * abs(transmittance[j + 1] - transmittance[j])
    return total


@kernel()
def _level_planck(
    temperature: NDArray[np.float64], row: NDArray[np.float64], first_k: float, step_k: float
) -> NDArray[np.float64]:
    out = np.empty(temperature.size)
    for j in range(temperature.size):
        position = min(max((temperature[j] - first_k) / step_k, 0.0), row.size - 1.0)
        node = min(int(position), row.size - 2)
        out[j] = row[node] + (position - node) * (row[node + 1] - row[node])
    return out


@kernel()
def solve_column(
    column: NDArray[np.float64],
    layers: NDArray[np.float64],
    slants: NDArray[np.float64],
    planck_grid: tuple[float, float],
    gas: GasAbsorption,
) -> NDArray[np.float64]:
    """Solve one column for all bands and several view angles.

    Parameters
    ----------
    column, layers : ndarray
        Of `refine_column` and `layer_amounts`.
    slants : ndarray (view,), 1
        Secants of the view zenith angles.
    planck_grid : (float, float), K
        First node and spacing of the Planck shares.
    gas : GasAbsorption
        The absorption.

    Returns
    -------
    ndarray (2 * view + 1, band), float64
        Transmittances of the views, path radiances of the views, sky radiance.
    """
    bands, views = gas.planck.shape[0], slants.size
    out = np.zeros((2 * views + 1, bands))
    # Several sub-bands make a band. Each adds its share of the Planck function, whose sum the
    # transmittance is divided by at the end.
    norm = np.zeros(bands)
    for sub in range(gas.first.shape[0]):
        grey = grey_depths(sub, layers, column, gas)
        amounts = scaled_amounts(sub, layers, gas)
        low, high = gas.band_first[sub], gas.band_stop[sub]
        planck = np.empty((bands, column.shape[1]))
        for b in range(low, high):
            planck[b] = _level_planck(column[1], gas.planck[b, sub], planck_grid[0], planck_grid[1])
            norm[b] += planck[b, 0]
        for view in range(views):
            passed = path_transmittance(sub, amounts, grey, slants[view], True, gas)
            for b in range(low, high):
                out[view, b] += planck[b, 0] * passed[0]
                out[views + view, b] += _emission(passed, planck[b])
        # The sky is seen from the surface, so its paths begin there.
        for angle in range(SKY_COSINE.size):
            passed = path_transmittance(sub, amounts, grey, 1.0 / SKY_COSINE[angle], False, gas)
            for b in range(low, high):
                out[2 * views, b] += SKY_WEIGHT[angle] * _emission(passed, planck[b])
    for view in range(views):
        for b in range(bands):
            out[view, b] /= norm[b]
    return out
