"""The compiled core of temperature-emissivity separation, one pixel at a time.

Planck's function is the response-weighted table of `aktes_xr.sensor`, or the monochromatic law at
five wavelengths. A pixel costs a few table look-ups per iteration and no memory: an index by
radiance (`PlanckIndex`) gives the node a search would find.
"""

from __future__ import annotations

import functools
from typing import Final, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from aktes_xr.sensor import planck_table

NOT_CONVERGED: Final = 1
"""The last iteration still changed a radiance by more than the tolerance, or diverged."""
BETA_OUT_OF_RANGE: Final = 2
"""A relative emissivity lies outside 0.75..1.32."""
EMISSIVITY_OUT_OF_RANGE: Final = 4
"""An emissivity lies outside 0.5..1."""
INVALID: Final = 8
"""An input is missing, or the sky correction leaves no radiance: the outputs are NaN."""
EMISSIVITY_MAX_REFINED: Final = 16
"""The variance test replaced the first guess of the maximum emissivity."""

BETA_RANGE: Final = (0.75, 1.32)
EMISSIVITY_RANGE: Final = (0.5, 1.0)
# Gillespie et al. 1998, section III-B and the ATBD of 1999: the NEM module's variance test.
VARIANCE_ROCK: Final = 1.7e-4
VARIANCE_GRAYBODY: Final = 1.0e-4
EMISSIVITY_MAX_ROCK: Final = 0.96
EMISSIVITY_MAX_DEFAULT: Final = 0.983
_TRIALS: Final = (0.92, 0.95, 0.97, 0.99)
# The graybody rule that the standard product dropped in 2007.
GRAYBODY_MMD: Final = 0.03
GRAYBODY_EMISSIVITY_MIN: Final = 0.983

MAX_EMISSIVITY: Final = -1
MIN_EMISSIVITY: Final = -2
_BINS: Final = 4096
_BIN_ROW, _WAVELENGTH_ROW, _TOLERANCE_ROW, _FIRST_K_ROW, _NODES_PER_K_ROW = range(5)
# Natural surfaces emit best in B13 and B14: beginning there saves look-ups.
_FIRST_BAND: Final = 3
# Above rounding, far below anything seen: 1e-10 K.
_ONE_AND_ROUNDING: Final = 1.0 + 1e-12


class TesParameters(NamedTuple):
    """What one run of the kernel needs besides its arrays; plain numbers, so that it tokenises.

    ``band`` is a band's number or one of ``MAX_EMISSIVITY`` and ``MIN_EMISSIVITY``;
    ``tolerance`` (W m-2 sr-1 um-1, per band) of zero means that all iterations are run;
    ``wavelength_um`` of zeros selects the response-weighted table.
    """

    emissivity_max: float
    mmd_offset: float
    mmd_factor: float
    mmd_exponent: float
    band: int
    iterations: int
    tolerance: tuple[float, float, float, float, float]
    wavelength_um: tuple[float, float, float, float, float]
    first_constant: float
    second_constant: float
    run_all: bool
    monochromatic: bool
    refine: bool
    nem_maximum: bool
    final_correction: bool
    graybody_rule: bool
    emissivity_from_temperature: bool


class PlanckIndex(NamedTuple):
    """The Planck table by node, with the node at the start of evenly spaced radiance bins.

    Attributes
    ----------
    table : (n, 10)
        Per node the five bands' radiance and, from column 5, the inverse slope above the node.
    node : (m, 5)
        The node at which to begin looking for a radiance of bin m.
    constants : (5, 5)
        Per row and band: bins per radiance; wavelength (um; zero selects the table); tolerance of
        the iteration; and, in the first places of the last two rows, the table's first temperature
        (K) and its nodes per kelvin.
    """

    table: NDArray[np.float64]
    node: NDArray[np.int16]
    constants: NDArray[np.float64]


@functools.lru_cache(maxsize=16)
def planck_index(parameters: TesParameters) -> PlanckIndex:
    """Arrange `aktes_xr.sensor.planck_table` for the kernel, once per process and variant."""
    planck = planck_table()
    radiance = planck.radiance.T
    slope = np.diff(radiance, axis=0, append=np.nan) / planck.step
    bins_per_radiance = (_BINS - 1) / radiance[-1]
    node = np.empty((_BINS, radiance.shape[1]), dtype=np.int16)
    for band, column in enumerate(radiance.T):
        edges = np.arange(_BINS) / bins_per_radiance[band]
        found = np.searchsorted(column, edges, side="right") - 1
        node[:, band] = np.clip(found, 0, column.size - 2)
    constants = np.zeros((5, 5))
    constants[_BIN_ROW] = bins_per_radiance
    constants[_WAVELENGTH_ROW] = parameters.wavelength_um
    constants[_TOLERANCE_ROW] = parameters.tolerance
    constants[_FIRST_K_ROW, 0] = planck.temperature[0]
    constants[_NODES_PER_K_ROW, 0] = 1.0 / planck.step
    return PlanckIndex(np.hstack([radiance, 1.0 / slope]), node, constants)


@njit(nogil=True, error_model="numpy", forceinline=True)
def _planck(temperature, parameters, table, node_of_bin, constants, out):  # type: ignore[no-untyped-def]
    """Fill ``out`` with the five radiances at ``temperature``; NaN outside the table."""
    if parameters.monochromatic:
        for band in range(5):
            wavelength = constants[_WAVELENGTH_ROW, band]
            exponent = parameters.second_constant / (wavelength * temperature)
            out[band] = parameters.first_constant / (wavelength**5 * (np.exp(exponent) - 1.0))
        return
    position = (temperature - constants[_FIRST_K_ROW, 0]) * constants[_NODES_PER_K_ROW, 0]
    last = table.shape[0] - 1
    if not (0.0 <= position <= last):
        for band in range(5):
            out[band] = np.nan
        return
    node = min(int(position), last - 1)
    fraction = position - node
    for band in range(5):
        low = table[node, band]
        out[band] = low + fraction * (table[node + 1, band] - low)


@njit(nogil=True, error_model="numpy", forceinline=True)
def _temperature(radiance, band, parameters, table, node_of_bin, constants):  # type: ignore[no-untyped-def]
    """Invert one band's radiance; NaN outside the table."""
    if parameters.monochromatic:
        if not radiance > 0.0:
            return np.nan
        wavelength = constants[_WAVELENGTH_ROW, band]
        inner = np.log(parameters.first_constant / (wavelength**5 * radiance) + 1.0)
        return parameters.second_constant / (wavelength * inner)
    last = table.shape[0] - 1
    if not (table[0, band] <= radiance <= table[last, band]):
        return np.nan
    node = node_of_bin[int(radiance * constants[_BIN_ROW, band]), band]
    while node < last - 1 and table[node + 1, band] <= radiance:
        node += 1
    excess = (radiance - table[node, band]) * table[node, 5 + band]
    return constants[_FIRST_K_ROW, 0] + node / constants[_NODES_PER_K_ROW, 0] + excess


@njit(nogil=True, error_model="numpy", forceinline=True)
def _normalise(  # type: ignore[no-untyped-def]
    leaving,
    sky,
    emissivity_max,
    parameters,
    table,
    node_of_bin,
    constants,
    corrected,
    inverse_planck,
    emissivity,
):
    """Run the NEM module; fill ``corrected`` and ``emissivity``; return variance and convergence.

    The variance is NaN where no temperature fits.
    """
    for band in range(5):
        emissivity[band] = emissivity_max
        corrected[band] = np.inf
        inverse_planck[band] = np.inf
    converged = False
    for _ in range(parameters.iterations):
        settled = True
        for step in range(5):
            band = (step + _FIRST_BAND) % 5
            radiance = leaving[band] - (1.0 - emissivity[band]) * sky[band]
            settled &= abs(radiance - corrected[band]) < constants[_TOLERANCE_ROW, band]
            corrected[band] = radiance
            if not radiance > 0.0:
                return np.nan, False
            divisor = emissivity_max if parameters.nem_maximum else emissivity[band]
            # The band that gave the temperature has the emissivity it was assumed to have, so its
            # radiance stays: the temperature never falls, and only what is brighter than Planck's
            # radiance at it can raise it.
            if radiance * inverse_planck[band] > divisor * _ONE_AND_ROUNDING:
                warmest = _temperature(
                    radiance / divisor, band, parameters, table, node_of_bin, constants
                )
                if not warmest > 0.0:
                    return np.nan, False
                _planck(warmest, parameters, table, node_of_bin, constants, inverse_planck)
                for other in range(5):
                    inverse_planck[other] = 1.0 / inverse_planck[other]
        for band in range(5):
            emissivity[band] = corrected[band] * inverse_planck[band]
        if settled:
            converged = True
            break
    mean = 0.0
    square = 0.0
    for band in range(5):
        mean += emissivity[band] / 5.0
    for band in range(5):
        square += (emissivity[band] - mean) ** 2 / 5.0
    return square, converged or parameters.run_all


@njit(nogil=True, error_model="numpy")
def _refined_maximum(
    leaving, sky, parameters, table, node_of_bin, constants, corrected, inverse_planck, emissivity
):  # type: ignore[no-untyped-def]
    """Return the maximum emissivity at which a parabola through four variances is least."""
    s0 = s1 = s2 = s3 = s4 = t0 = t1 = t2 = 0.0
    for trial in _TRIALS:
        variance, _ = _normalise(
            leaving,
            sky,
            trial,
            parameters,
            table,
            node_of_bin,
            constants,
            corrected,
            inverse_planck,
            emissivity,
        )
        x = trial - 0.95
        s0 += 1.0
        s1 += x
        s2 += x**2
        s3 += x**3
        s4 += x**4
        t0 += variance
        t1 += variance * x
        t2 += variance * x**2
    # The normal equations of v = a + b x + c x^2 by Cramer's rule.
    det = s0 * (s2 * s4 - s3 * s3) - s1 * (s1 * s4 - s2 * s3) + s2 * (s1 * s3 - s2 * s2)
    a = (t0 * (s2 * s4 - s3 * s3) - s1 * (t1 * s4 - s3 * t2) + s2 * (t1 * s3 - s2 * t2)) / det
    b = (s0 * (t1 * s4 - s3 * t2) - t0 * (s1 * s4 - s2 * s3) + s2 * (s1 * t2 - t1 * s2)) / det
    c = (s0 * (s2 * t2 - t1 * s3) - s1 * (s1 * t2 - t1 * s2) + t0 * (s1 * s3 - s2 * s2)) / det
    if not c > 0.0:
        return EMISSIVITY_MAX_DEFAULT
    vertex = 0.95 - b / (2.0 * c)
    least = a - b * b / (4.0 * c)
    if 0.9 < vertex < 1.0 and least < VARIANCE_GRAYBODY:
        return vertex
    return EMISSIVITY_MAX_DEFAULT


@njit(nogil=True, error_model="numpy", forceinline=True)
def _scale_by_contrast(emissivity, parameters):  # type: ignore[no-untyped-def]
    """Turn ``emissivity`` into absolute emissivities in place (RATIO, MMD); return flags."""
    flags = 0
    mean = 0.0
    for band in range(5):
        mean += emissivity[band] / 5.0
    least = np.inf
    most = -np.inf
    for band in range(5):
        emissivity[band] /= mean
        least = min(least, emissivity[band])
        most = max(most, emissivity[band])
    if least < BETA_RANGE[0] or most > BETA_RANGE[1]:
        flags |= BETA_OUT_OF_RANGE
    contrast = most - least
    minimum = parameters.mmd_offset - parameters.mmd_factor * contrast**parameters.mmd_exponent
    if parameters.graybody_rule and contrast < GRAYBODY_MMD:
        minimum = GRAYBODY_EMISSIVITY_MIN
    for band in range(5):
        emissivity[band] *= minimum / least
    return flags


@njit(nogil=True, error_model="numpy", forceinline=True)
def _temperature_band(emissivity, parameters):  # type: ignore[no-untyped-def]
    if parameters.band >= 0:
        return parameters.band
    chosen = 0
    for band in range(1, 5):
        if parameters.band == MAX_EMISSIVITY:
            better = emissivity[band] > emissivity[chosen]
        else:
            better = emissivity[band] < emissivity[chosen]
        if better:
            chosen = band
    return chosen


@njit(nogil=True, error_model="numpy", forceinline=True)
def _separate(
    leaving, sky, parameters, table, node_of_bin, constants, corrected, inverse_planck, emissivity
):  # type: ignore[no-untyped-def]
    """Separate one pixel; fill ``emissivity``; return its temperature and flags."""
    flags = 0
    for band in range(5):
        if not (leaving[band] > 0.0 and sky[band] >= 0.0):
            return np.nan, INVALID
    variance, converged = _normalise(
        leaving,
        sky,
        parameters.emissivity_max,
        parameters,
        table,
        node_of_bin,
        constants,
        corrected,
        inverse_planck,
        emissivity,
    )
    if parameters.refine and variance == variance:
        if variance > VARIANCE_ROCK:
            maximum = EMISSIVITY_MAX_ROCK
        else:
            maximum = _refined_maximum(
                leaving,
                sky,
                parameters,
                table,
                node_of_bin,
                constants,
                corrected,
                inverse_planck,
                emissivity,
            )
        variance, converged = _normalise(
            leaving,
            sky,
            maximum,
            parameters,
            table,
            node_of_bin,
            constants,
            corrected,
            inverse_planck,
            emissivity,
        )
        flags |= EMISSIVITY_MAX_REFINED
    if not variance == variance:
        return np.nan, INVALID
    if not converged:
        flags |= NOT_CONVERGED
    flags |= _scale_by_contrast(emissivity, parameters)
    if parameters.final_correction:
        for band in range(5):
            corrected[band] = leaving[band] - (1.0 - emissivity[band]) * sky[band]
    chosen = _temperature_band(emissivity, parameters)
    temperature = _temperature(
        corrected[chosen] / emissivity[chosen], chosen, parameters, table, node_of_bin, constants
    )
    if not temperature > 0.0:
        return np.nan, INVALID
    if parameters.emissivity_from_temperature:
        _planck(temperature, parameters, table, node_of_bin, constants, emissivity)
        for band in range(5):
            emissivity[band] = corrected[band] / emissivity[band]
    for band in range(5):
        if not (EMISSIVITY_RANGE[0] <= emissivity[band] <= EMISSIVITY_RANGE[1]):
            flags |= EMISSIVITY_OUT_OF_RANGE
    return temperature, flags


@njit(nogil=True, error_model="numpy")
def tes_kernel(  # type: ignore[no-untyped-def]
    surface_leaving, sky_radiance, parameters, index, temperature, emissivity, flags
):
    """Separate rows of five radiances into ``temperature``, ``emissivity`` and ``flags``.

    Parameters
    ----------
    surface_leaving : (n, 5), float32 or float64, W m-2 sr-1 um-1
        Radiance leaving the surface, reflected sky included.
    sky_radiance : (n, 5) or (1, 5), same dtype, W m-2 sr-1 um-1
        Hemispheric mean of the sky; one row serves all pixels.
    parameters : TesParameters
        The variant.
    index : PlanckIndex
        Of `planck_index`.
    temperature, emissivity, flags : (n,), (n, 5), (n,) uint8
        Written; NaN where a pixel is invalid.
    """
    table = index.table
    node_of_bin = index.node
    constants = index.constants
    leaving = np.empty(5)
    sky = np.empty(5)
    corrected = np.empty(5)
    inverse_planck = np.empty(5)
    spectrum = np.empty(5)
    for pixel in range(surface_leaving.shape[0]):
        row = pixel if sky_radiance.shape[0] > 1 else 0
        for band in range(5):
            leaving[band] = surface_leaving[pixel, band]
            sky[band] = sky_radiance[row, band]
        value, bits = _separate(
            leaving,
            sky,
            parameters,
            table,
            node_of_bin,
            constants,
            corrected,
            inverse_planck,
            spectrum,
        )
        temperature[pixel] = value
        flags[pixel] = bits
        for band in range(5):
            emissivity[pixel, band] = np.nan if bits & INVALID else spectrum[band]
