r"""How a network's outputs become temperature, emissivity and their uncertainties.

The retrieval, the training and the model cards read them here: a card scores what users get.

.. math:: x = c + s\,y, \qquad \log\sigma = (o + \log s) + \tfrac{1}{2} a \log v

with a mean y and a logarithm of variance log v as the network gives them, the output's centre c and
scale s, and the offset o and slope a of the calibrated uncertainty, and what its stratum adds
(`aktes_xr.models.strata`). Emissivity is clipped to
`EMISSIVITY_RANGE`, log v to `LOG_VARIANCE_RANGE`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from aktes_xr.compilation import kernel
from aktes_xr.models.features import N_OUTPUTS, REFERENCE
from aktes_xr.models.strata import add_factors

if TYPE_CHECKING:
    from aktes_xr.compilation import Float32Array

EMISSIVITY_RANGE: Final = (0.2, 1.0)
LOG_VARIANCE_RANGE: Final = (-14.0, 6.0)
"""Standardised logarithms of variances are taken to lie in it, in training and in retrieval."""

_DARKEST: Final = np.float32(EMISSIVITY_RANGE[0])
_BRIGHTEST: Final = np.float32(EMISSIVITY_RANGE[1])
_LOG_VARIANCE_LOW: Final = np.float32(LOG_VARIANCE_RANGE[0])
_LOG_VARIANCE_HIGH: Final = np.float32(LOG_VARIANCE_RANGE[1])


class Reading(NamedTuple):
    """The numbers that a model's outputs are read by, float32: (6,) each, and a table.

    The logarithm of sigma, in physical units, is ``log_sigma`` plus ``slope`` times the network's
    logarithm of the variance plus what the table ``strata`` adds.
    """

    center: Float32Array
    scale: Float32Array
    log_sigma: Float32Array
    slope: Float32Array
    strata: Float32Array


def read_outputs(
    raw: Float32Array, reading: Reading, quantities: Float32Array, estimate: Float32Array
) -> None:
    """Read a network's outputs.

    Parameters
    ----------
    raw : ndarray (call, 12, row), float32
        Six means and six logarithms of variances, standardised, in a network's calls
        (`aktes_xr.models.engine.Pass`).
    reading : Reading
    quantities : ndarray (quantity, pixel), float32
        As `aktes_xr.models.features.QUANTITIES`: the network's temperature is an excess above
        B13's brightness temperature, and the stratum follows from some of the others.
    estimate : ndarray (12, pixel), float32
        Filled with temperature (K), five emissivities, and their standard uncertainties.
    """
    numbers = (reading.center, reading.scale, reading.log_sigma, reading.slope)
    _read(raw, numbers, quantities[REFERENCE], estimate)
    sigma = estimate[N_OUTPUTS:]
    add_factors(quantities, reading.strata, sigma)
    np.exp(sigma, out=sigma)


@kernel()
def _read(raw, numbers, reference, estimate):
    """Write estimates and, in place of sigma, its logarithm."""
    centers, scales, offsets, slopes = numbers
    rows = raw.shape[2]
    for call in range(raw.shape[0]):
        part = estimate[:, call * rows : (call + 1) * rows]
        for output in range(N_OUTPUTS):
            source, target = raw[call, output], part[output]
            scale, center = scales[output], centers[output]
            for place in range(rows):
                target[place] = source[place] * scale + center
            source, target = raw[call, N_OUTPUTS + output], part[N_OUTPUTS + output]
            offset, slope = offsets[output], slopes[output]
            for place in range(rows):
                value = source[place]
                value = _LOG_VARIANCE_LOW if value < _LOG_VARIANCE_LOW else value
                value = _LOG_VARIANCE_HIGH if value > _LOG_VARIANCE_HIGH else value
                target[place] = offset + slope * value
    for place in range(reference.size):
        estimate[0, place] += reference[place]
    for output in range(1, N_OUTPUTS):
        target = estimate[output]
        for place in range(target.size):
            value = target[place]
            value = _DARKEST if value < _DARKEST else value
            target[place] = _BRIGHTEST if value > _BRIGHTEST else value
