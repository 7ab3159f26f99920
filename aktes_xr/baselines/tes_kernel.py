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
# Rows of the kernel's table of numbers, five columns each: per band (bins per radiance, wavelength,
# tolerance), then scalars (first temperature, nodes per kelvin, radiation constants, whether
# monochromatic; iterations, whether all are run, whether NEM divides by the maximum).
_BIN_ROW, _WAVELENGTH_ROW, _TOLERANCE_ROW, _LAW_ROW, _LOOP_ROW = range(5)

# Above rounding, far below anything seen: 1e-10 K.
_ONE_AND_ROUNDING: Final = 1.0 + 1e-12
# Rows of the scratch array.
_LEAVING, _SKY, _CORRECTED, _INVERSE, _EMISSIVITY = range(5)


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
    table : ndarray (n, 10), float64
        Per node the five bands' radiance and, from column 5, the inverse slope above the node.
    node : ndarray (m, 5), int16
        The node at which to begin looking for a radiance of bin m.
    numbers : ndarray (5, 5), float64
        What the innermost loops need of the parameters, by row (see the module's source): arrays
        are cheap to pass on, records of thirty fields are not.
    """

    table: NDArray[np.float64]
    node: NDArray[np.int16]
    numbers: NDArray[np.float64]


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
    numbers = np.zeros((5, 5))
    numbers[_BIN_ROW] = bins_per_radiance
    numbers[_WAVELENGTH_ROW] = parameters.wavelength_um
    numbers[_TOLERANCE_ROW] = parameters.tolerance
    numbers[_LAW_ROW] = (
        planck.temperature[0],
        1.0 / planck.step,
        parameters.first_constant,
        parameters.second_constant,
        parameters.monochromatic,
    )
    numbers[_LOOP_ROW, :3] = (parameters.iterations, parameters.run_all, parameters.nem_maximum)
    return PlanckIndex(np.hstack([radiance, 1.0 / slope]), node, numbers)


@njit(nogil=True, error_model="numpy", inline="always")
def _planck(temperature, table, numbers, work, row):  # type: ignore[no-untyped-def]
    """Fill a row of ``work`` with the five radiances at a temperature; NaN outside the table."""
    if numbers[_LAW_ROW, 4] > 0.0:
        for band in range(5):
            wavelength = numbers[_WAVELENGTH_ROW, band]
            exponent = numbers[_LAW_ROW, 3] / (wavelength * temperature)
            work[row, band] = numbers[_LAW_ROW, 2] / (wavelength**5 * (np.exp(exponent) - 1.0))
        return
    position = (temperature - numbers[_LAW_ROW, 0]) * numbers[_LAW_ROW, 1]
    last = table.shape[0] - 1
    if not (0.0 <= position <= last):
        for band in range(5):
            work[row, band] = np.nan
        return
    node = min(int(position), last - 1)
    fraction = position - node
    for band in range(5):
        low = table[node, band]
        work[row, band] = low + fraction * (table[node + 1, band] - low)


@njit(nogil=True, error_model="numpy", inline="always")
def _temperature(radiance, band, table, node_of_bin, numbers):  # type: ignore[no-untyped-def]
    """Invert one band's radiance; NaN outside the table."""
    if numbers[_LAW_ROW, 4] > 0.0:
        if not radiance > 0.0:
            return np.nan
        wavelength = numbers[_WAVELENGTH_ROW, band]
        inner = np.log(numbers[_LAW_ROW, 2] / (wavelength**5 * radiance) + 1.0)
        return numbers[_LAW_ROW, 3] / (wavelength * inner)
    last = table.shape[0] - 1
    if not (table[0, band] <= radiance <= table[last, band]):
        return np.nan
    node = node_of_bin[int(radiance * numbers[_BIN_ROW, band]), band]
    while node < last - 1 and table[node + 1, band] <= radiance:
        node += 1
    excess = (radiance - table[node, band]) * table[node, 5 + band]
    return numbers[_LAW_ROW, 0] + node / numbers[_LAW_ROW, 1] + excess


@njit(nogil=True, error_model="numpy")
def _normalise(emissivity_max, table, node_of_bin, numbers, work):  # type: ignore[no-untyped-def]
    """Run the NEM module on the rows of ``work``; return variance and convergence.

    The variance is NaN where no temperature fits.
    """
    for band in range(5):
        work[_EMISSIVITY, band] = emissivity_max
        work[_CORRECTED, band] = np.inf
        work[_INVERSE, band] = np.inf
    nem_maximum = numbers[_LOOP_ROW, 2] > 0.0
    converged = numbers[_LOOP_ROW, 1] > 0.0
    for _ in range(int(numbers[_LOOP_ROW, 0])):
        settled = True
        for step in range(5):
            # B13 and B14 first: natural surfaces emit best there, which saves look-ups.
            band = step + 3 if step < 2 else step - 2
            emissivity = work[_EMISSIVITY, band]
            radiance = work[_LEAVING, band] - (1.0 - emissivity) * work[_SKY, band]
            settled &= abs(radiance - work[_CORRECTED, band]) < numbers[_TOLERANCE_ROW, band]
            work[_CORRECTED, band] = radiance
            if not radiance > 0.0:
                return np.nan, False
            divisor = emissivity_max if nem_maximum else emissivity
            # The band that gave the temperature has the emissivity it was assumed to have, so its
            # radiance stays: the temperature never falls, and only what is brighter than Planck's
            # radiance at it can raise it.
            if radiance * work[_INVERSE, band] > divisor * _ONE_AND_ROUNDING:
                warmest = _temperature(radiance / divisor, band, table, node_of_bin, numbers)
                if not warmest > 0.0:
                    return np.nan, False
                _planck(warmest, table, numbers, work, _INVERSE)
                for other in range(5):
                    work[_INVERSE, other] = 1.0 / work[_INVERSE, other]
        for band in range(5):
            work[_EMISSIVITY, band] = work[_CORRECTED, band] * work[_INVERSE, band]
        if settled:
            converged = True
            break
    mean = 0.0
    square = 0.0
    for band in range(5):
        mean += 0.2 * work[_EMISSIVITY, band]
    for band in range(5):
        square += 0.2 * (work[_EMISSIVITY, band] - mean) ** 2
    return square, converged


@njit(nogil=True, error_model="numpy")
def _refined_maximum(table, node_of_bin, numbers, work):  # type: ignore[no-untyped-def]
    """Return the maximum emissivity at which a parabola through four variances is least."""
    s0 = s1 = s2 = s3 = s4 = t0 = t1 = t2 = 0.0
    for trial in _TRIALS:
        variance, _ = _normalise(trial, table, node_of_bin, numbers, work)
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


@njit(nogil=True, error_model="numpy", inline="always")
def _scale_by_contrast(work, parameters):  # type: ignore[no-untyped-def]
    """Turn relative into absolute emissivities in place (RATIO, MMD); return flags."""
    flags = 0
    mean = 0.0
    for band in range(5):
        mean += work[_EMISSIVITY, band] / 5.0
    least = np.inf
    most = -np.inf
    for band in range(5):
        work[_EMISSIVITY, band] *= 1.0 / mean
        least = min(least, work[_EMISSIVITY, band])
        most = max(most, work[_EMISSIVITY, band])
    if least < BETA_RANGE[0] or most > BETA_RANGE[1]:
        flags |= BETA_OUT_OF_RANGE
    contrast = most - least
    minimum = parameters.mmd_offset - parameters.mmd_factor * contrast**parameters.mmd_exponent
    if parameters.graybody_rule and contrast < GRAYBODY_MMD:
        minimum = GRAYBODY_EMISSIVITY_MIN
    for band in range(5):
        work[_EMISSIVITY, band] *= minimum / least
    return flags


@njit(nogil=True, error_model="numpy", inline="always")
def _temperature_band(work, wanted):  # type: ignore[no-untyped-def]
    if wanted >= 0:
        return wanted
    chosen = 0
    for band in range(1, 5):
        if wanted == MAX_EMISSIVITY:
            better = work[_EMISSIVITY, band] > work[_EMISSIVITY, chosen]
        else:
            better = work[_EMISSIVITY, band] < work[_EMISSIVITY, chosen]
        if better:
            chosen = band
    return chosen


@njit(nogil=True, error_model="numpy", inline="always")
def _without_sky(parameters, table, node_of_bin, numbers, work):  # type: ignore[no-untyped-def]
    """Normalise with the first, then the refined maximum emissivity; return flags."""
    for band in range(5):
        if not (work[_LEAVING, band] > 0.0 and work[_SKY, band] >= 0.0):
            return INVALID
    flags = 0
    variance, converged = _normalise(parameters.emissivity_max, table, node_of_bin, numbers, work)
    if parameters.refine and not np.isnan(variance):
        maximum = EMISSIVITY_MAX_ROCK
        if variance <= VARIANCE_ROCK:
            maximum = _refined_maximum(table, node_of_bin, numbers, work)
        variance, converged = _normalise(maximum, table, node_of_bin, numbers, work)
        flags |= EMISSIVITY_MAX_REFINED
    if np.isnan(variance):
        return INVALID
    return flags if converged else flags | NOT_CONVERGED


@njit(nogil=True, error_model="numpy", inline="always")
def _separate(parameters, table, node_of_bin, numbers, work):  # type: ignore[no-untyped-def]
    """Separate one pixel; leave its emissivities in ``work``; return temperature and flags."""
    flags = _without_sky(parameters, table, node_of_bin, numbers, work)
    if flags & INVALID:
        return np.nan, flags
    flags |= _scale_by_contrast(work, parameters)
    if parameters.final_correction:
        for band in range(5):
            reflected = (1.0 - work[_EMISSIVITY, band]) * work[_SKY, band]
            work[_CORRECTED, band] = work[_LEAVING, band] - reflected
    chosen = _temperature_band(work, parameters.band)
    radiance = work[_CORRECTED, chosen] / work[_EMISSIVITY, chosen]
    temperature = _temperature(radiance, chosen, table, node_of_bin, numbers)
    if not temperature > 0.0:
        return np.nan, INVALID
    if parameters.emissivity_from_temperature:
        _planck(temperature, table, numbers, work, _EMISSIVITY)
        for band in range(5):
            work[_EMISSIVITY, band] = work[_CORRECTED, band] / work[_EMISSIVITY, band]
    for band in range(5):
        if not (EMISSIVITY_RANGE[0] <= work[_EMISSIVITY, band] <= EMISSIVITY_RANGE[1]):
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
    numbers = index.numbers
    work = np.empty((5, 5))
    for pixel in range(surface_leaving.shape[0]):
        row = pixel if sky_radiance.shape[0] > 1 else 0
        for band in range(5):
            work[_LEAVING, band] = surface_leaving[pixel, band]
            work[_SKY, band] = sky_radiance[row, band]
        value, bits = _separate(parameters, table, node_of_bin, numbers, work)
        temperature[pixel] = value
        flags[pixel] = bits
        for band in range(5):
            emissivity[pixel, band] = np.nan if bits & INVALID else work[_EMISSIVITY, band]
