"""The compiled core of temperature-emissivity separation, one pixel at a time.

Planck's function is the response-weighted table of `aktes_xr.sensor`, or the monochromatic law at
five wavelengths. An index by radiance (`PlanckIndex`) gives the node a search would find. Each
step of the algorithm is a loop over a block of rows that fits the cache: a compiled function called
for every pixel costs more than what it computes.
"""

from __future__ import annotations

import functools
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from aktes_xr.compilation import kernel
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
_BLOCK: Final = 1024


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
    """Arrange `aktes_xr.sensor.planck_table` for the kernel, once per process and variant.

    Parameters
    ----------
    parameters : TesParameters
        The variant.

    Returns
    -------
    PlanckIndex
        The table, its index and the numbers of the innermost loops.
    """
    planck = planck_table()
    radiance = planck.radiance.T
    # The last node has no slope; NaN marks it, and no look-up ends there.
    slope = np.diff(radiance, axis=0, append=np.nan) / planck.step
    bins_per_radiance = (_BINS - 1) / radiance[-1]
    node = np.empty((_BINS, radiance.shape[1]), dtype=np.int16)
    for band, column in enumerate(radiance.T):
        edges = np.arange(_BINS) / bins_per_radiance[band]
        # The node at the bin's lower edge. A bin may span several nodes, and the look-up steps on
        # from this one.
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


@kernel(error_model="numpy", inline="always")
def _planck(temperature, table, numbers, out):
    """Fill ``out`` with the five radiances at ``temperature``; NaN outside the table."""
    if numbers[_LAW_ROW, 4] > 0.0:
        for band in range(5):
            wavelength = numbers[_WAVELENGTH_ROW, band]
            exponent = numbers[_LAW_ROW, 3] / (wavelength * temperature)
            out[band] = numbers[_LAW_ROW, 2] / (wavelength**5 * (np.exp(exponent) - 1.0))
    else:
        position = (temperature - numbers[_LAW_ROW, 0]) * numbers[_LAW_ROW, 1]
        last = table.shape[0] - 1
        # The index stays inside the table for any temperature, NaN included. The fraction then says
        # NaN.
        node = max(0, min(int(position), last - 1))
        fraction = position - node if 0.0 <= position <= last else np.nan
        for band in range(5):
            low = table[node, band]
            out[band] = low + fraction * (table[node + 1, band] - low)


@kernel(error_model="numpy", inline="always")
def _temperature(radiance, band, table, node_of_bin, numbers):
    """Invert one band's radiance; NaN outside the table."""
    last = table.shape[0] - 1
    temperature = np.nan
    if numbers[_LAW_ROW, 4] > 0.0:
        if radiance > 0.0:
            wavelength = numbers[_WAVELENGTH_ROW, band]
            inner = np.log(numbers[_LAW_ROW, 2] / (wavelength**5 * radiance) + 1.0)
            temperature = numbers[_LAW_ROW, 3] / (wavelength * inner)
    elif table[0, band] <= radiance <= table[last, band]:
        node = node_of_bin[int(radiance * numbers[_BIN_ROW, band]), band]
        while node < last - 1 and table[node + 1, band] <= radiance:
            node += 1
        excess = (radiance - table[node, band]) * table[node, 5 + band]
        temperature = numbers[_LAW_ROW, 0] + node / numbers[_LAW_ROW, 1] + excess
    return temperature


@kernel(error_model="numpy")
def _normalise(leaving, sky, emissivity_max, index, corrected, emissivity, flags):
    """Run the NEM module on rows; write ``corrected``, ``emissivity`` and ``flags``.

    A row that is flagged ``INVALID`` is left as it is.
    """
    table, node_of_bin, numbers = index.table, index.node, index.numbers
    iterations = int(numbers[_LOOP_ROW, 0])
    run_all, nem_maximum = numbers[_LOOP_ROW, 1] > 0.0, numbers[_LOOP_ROW, 2] > 0.0
    inverse = np.empty(5)
    for row in range(leaving.shape[0]):
        if flags[row] & INVALID:
            continue
        above = row if sky.shape[0] > 1 else 0
        greatest = emissivity_max[row]
        for band in range(5):
            emissivity[row, band] = greatest
            corrected[row, band] = np.inf
            inverse[band] = np.inf
        # Infinite `inverse` makes the first band's test true, so it sets the first temperature.
        # Infinite `corrected` makes the first pass count as a change.
        valid, settled = True, False
        for _ in range(iterations):
            settled = True
            for step in range(5):
                # B13 and B14 first: natural surfaces emit best there, which saves look-ups.
                band = step + 3 if step < 2 else step - 2
                radiance = leaving[row, band] - (1.0 - emissivity[row, band]) * sky[above, band]
                change = abs(radiance - corrected[row, band])
                settled &= change < numbers[_TOLERANCE_ROW, band]
                corrected[row, band] = radiance
                valid &= radiance > 0.0
                divisor = greatest if nem_maximum else emissivity[row, band]
                # The band that gave the temperature has the emissivity it was assumed to have, so
                # its radiance stays: the temperature never falls, and only what is brighter than
                # Planck's radiance at it can raise it.
                if radiance * inverse[band] > divisor * _ONE_AND_ROUNDING:
                    warmest = _temperature(radiance / divisor, band, table, node_of_bin, numbers)
                    valid &= warmest > 0.0
                    _planck(warmest, table, numbers, inverse)
                    for other in range(5):
                        inverse[other] = 1.0 / inverse[other]
            for band in range(5):
                emissivity[row, band] = corrected[row, band] * inverse[band]
            if settled or not valid:
                break
        if not valid:
            flags[row] = INVALID
        elif not (settled or run_all):
            flags[row] |= NOT_CONVERGED


@kernel(error_model="numpy")
def _variance(emissivity, out):
    for row in range(emissivity.shape[0]):
        mean = 0.0
        out[row] = 0.0
        for band in range(5):
            mean += 0.2 * emissivity[row, band]
        for band in range(5):
            out[row] += 0.2 * (emissivity[row, band] - mean) ** 2


@kernel(error_model="numpy")
def _vertex(variances):
    """Return the maximum emissivity at which a parabola through four variances is least."""
    s0 = s1 = s2 = s3 = s4 = t0 = t1 = t2 = 0.0
    for number, trial in enumerate(_TRIALS):
        # Centred, or the normal equations would be nearly singular in trials between 0.92 and 0.99.
        x = trial - 0.95
        s0 += 1.0
        s1 += x
        s2 += x**2
        s3 += x**3
        s4 += x**4
        t0 += variances[number]
        t1 += variances[number] * x
        t2 += variances[number] * x**2
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


@kernel(error_model="numpy")
def _refine(leaving, sky, emissivity_max, index, corrected, emissivity, flags):
    """Repeat the NEM module with the maximum that the variance test chooses for each row."""
    rows = leaving.shape[0]
    variances = np.empty((rows, len(_TRIALS)))
    first = np.empty(rows)
    column = np.empty(rows)
    _variance(emissivity, first)
    # Trials may fail to converge without any meaning for the result: their flags are thrown away.
    unused = flags.copy()
    for number, trial in enumerate(_TRIALS):
        emissivity_max[:] = trial
        _normalise(leaving, sky, emissivity_max, index, corrected, emissivity, unused)
        _variance(emissivity, column)
        variances[:, number] = column
    for row in range(rows):
        if first[row] > VARIANCE_ROCK:
            emissivity_max[row] = EMISSIVITY_MAX_ROCK
        else:
            emissivity_max[row] = _vertex(variances[row])
        if not flags[row] & INVALID:
            flags[row] = EMISSIVITY_MAX_REFINED
    _normalise(leaving, sky, emissivity_max, index, corrected, emissivity, flags)


@kernel(error_model="numpy")
def _scale_by_contrast(emissivity, parameters, flags):
    """Turn relative into absolute emissivities in place (RATIO, MMD)."""
    for row in range(emissivity.shape[0]):
        mean = 0.0
        least = np.inf
        most = -np.inf
        for band in range(5):
            mean += 0.2 * emissivity[row, band]
            least = min(least, emissivity[row, band])
            most = max(most, emissivity[row, band])
        # The ratios to the mean are formed here for the extremes only. The last line divides all
        # bands.
        least /= mean
        most /= mean
        if least < BETA_RANGE[0] or most > BETA_RANGE[1]:
            flags[row] |= BETA_OUT_OF_RANGE
        contrast = most - least
        minimum = parameters.mmd_offset - parameters.mmd_factor * contrast**parameters.mmd_exponent
        if parameters.graybody_rule and contrast < GRAYBODY_MMD:
            minimum = GRAYBODY_EMISSIVITY_MIN
        for band in range(5):
            emissivity[row, band] *= minimum / (least * mean)


@kernel(error_model="numpy", inline="always")
def _temperature_band(emissivity, wanted):
    chosen = max(wanted, 0)
    sign = 1.0 if wanted == MAX_EMISSIVITY else -1.0
    if wanted < 0:
        for band in range(1, 5):
            if sign * emissivity[band] > sign * emissivity[chosen]:
                chosen = band
    return chosen


@kernel(error_model="numpy")
def _finish(leaving, sky, parameters, index, corrected, emissivity, temperature, flags):
    """Read the temperature of rows whose emissivities are absolute; flag what is out of range."""
    table, node_of_bin, numbers = index.table, index.node, index.numbers
    spectrum = np.empty(5)
    for row in range(leaving.shape[0]):
        above = row if sky.shape[0] > 1 else 0
        for band in range(5):
            spectrum[band] = emissivity[row, band]
            if parameters.final_correction:
                reflected = (1.0 - spectrum[band]) * sky[above, band]
                corrected[row, band] = leaving[row, band] - reflected
        chosen = _temperature_band(spectrum, parameters.band)
        radiance = corrected[row, chosen] / spectrum[chosen]
        value = _temperature(radiance, chosen, table, node_of_bin, numbers)
        # Stated so that NaN counts as invalid. Other bits mean nothing for such a row and are
        # replaced.
        if flags[row] & INVALID or not value > 0.0:
            flags[row] = INVALID
            temperature[row] = np.nan
            emissivity[row] = np.nan
            continue
        temperature[row] = value
        if parameters.emissivity_from_temperature:
            _planck(value, table, numbers, spectrum)
            for band in range(5):
                emissivity[row, band] = corrected[row, band] / spectrum[band]
        for band in range(5):
            if not (EMISSIVITY_RANGE[0] <= emissivity[row, band] <= EMISSIVITY_RANGE[1]):
                flags[row] |= EMISSIVITY_OUT_OF_RANGE


@kernel(error_model="numpy")
def _copy(source, target):
    for row in range(target.shape[0]):
        for band in range(5):
            target[row, band] = source[row, band]


@kernel(error_model="numpy")
def _refuse(leaving, sky, flags):
    """Flag rows whose input is missing or negative, and no others."""
    for row in range(leaving.shape[0]):
        above = row if sky.shape[0] > 1 else 0
        valid = True
        for band in range(5):
            # NaN fails both comparisons.
            valid &= leaving[row, band] > 0.0 and sky[above, band] >= 0.0
        flags[row] = 0 if valid else INVALID


@kernel(error_model="numpy")
def tes_kernel(surface_leaving, sky_radiance, parameters, index, temperature, emissivity, flags):
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
    # Blocks are copied to float64, so that one compiled version of the steps serves both
    # precisions.
    shared = sky_radiance.shape[0] == 1
    block = np.zeros((4, _BLOCK, 5))
    numbers = np.empty((2, _BLOCK))
    for start in range(0, surface_leaving.shape[0], _BLOCK):
        stop = min(start + _BLOCK, surface_leaving.shape[0])
        count = stop - start
        leaving, sky = block[0, :count], block[1, : 1 if shared else count]
        corrected, spectra = block[2, :count], block[3, :count]
        found, greatest = numbers[0, :count], numbers[1, :count]
        bits = flags[start:stop]
        _copy(surface_leaving[start:stop], leaving)
        _copy(sky_radiance if shared else sky_radiance[start:stop], sky)
        _refuse(leaving, sky, bits)
        spectra[:] = 1.0
        greatest[:] = parameters.emissivity_max
        _normalise(leaving, sky, greatest, index, corrected, spectra, bits)
        if parameters.refine:
            _refine(leaving, sky, greatest, index, corrected, spectra, bits)
        _scale_by_contrast(spectra, parameters, bits)
        _finish(leaving, sky, parameters, index, corrected, spectra, found, bits)
        temperature[start:stop] = found
        _copy(spectra, emissivity[start:stop])
