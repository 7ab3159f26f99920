"""Calibration of stated uncertainties on samples the network was not trained on.

A slope and an offset of log sigma per output: the slope by maximum likelihood, which says how far
the network's distinctions between easy and hard pixels are to be believed; the offset such that
68 % and 95 % of the errors lie within one and 1.96 sigma, as nearly as one factor can for both.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy.optimize import minimize_scalar

from aktes_xr.models.features import N_OUTPUTS
from aktes_xr.models.reading import LOG_VARIANCE_RANGE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from aktes_xr.learn.training import Sample
    from aktes_xr.models.network import Network
    from aktes_xr.models.pixel_model import Scaling

    Float32Array = NDArray[np.float32]

_LEVELS: Final = ((0.682689, 1.0), (0.95, 1.959964))
_SLOPES: Final = (0.3, 1.5)


def calibrated_scaling(network: Network, held: Sample, scaling: Scaling) -> Scaling:
    """Calibrate a network's stated uncertainty on pixels it was not trained on.

    Parameters
    ----------
    network : Network
    held : Sample
    scaling : Scaling
        Of the network's inputs and outputs.

    Returns
    -------
    Scaling
        With ``log_sigma_offset`` and ``log_sigma_slope``.
    """
    outputs = network.predict(held.inputs(scaling))
    return calibrate_uncertainty(outputs, held.targets(scaling), scaling)


def calibrate_uncertainty(
    outputs: Float32Array, targets: Float32Array, scaling: Scaling
) -> Scaling:
    """Fit the calibration of log sigma.

    Parameters
    ----------
    outputs : ndarray (sample, 12), float32
        Of the network: means and logarithms of variances, standardised.
    targets : ndarray (sample, 6), float32
        Standardised.
    scaling : Scaling

    Returns
    -------
    Scaling
        With ``log_sigma_offset`` and ``log_sigma_slope``.
    """
    offsets, slopes = [], []
    for output in range(N_OUTPUTS):
        error = np.abs(outputs[:, output] - targets[:, output]).astype(np.float64)
        bounded = np.clip(outputs[:, N_OUTPUTS + output], *LOG_VARIANCE_RANGE)
        log_sigma = 0.5 * bounded.astype(np.float64)
        slope = float(
            minimize_scalar(_likelihood, _SLOPES, args=(error, log_sigma), bounds=_SLOPES).x
        )
        ratio = error / np.exp(slope * log_sigma)
        logs = [np.log(np.quantile(ratio, share) / factor) for share, factor in _LEVELS]
        offsets.append(float(np.mean(logs)))
        slopes.append(slope)
    return replace(
        scaling,
        log_sigma_offset=np.asarray(offsets, np.float32),
        log_sigma_slope=np.asarray(slopes, np.float32),
    )


def _likelihood(slope: float, error: NDArray[np.float64], log_sigma: NDArray[np.float64]) -> float:
    """Mean negative log-likelihood at a slope, with the best offset for it."""
    ratio = error / np.exp(slope * log_sigma)
    offset = 0.5 * np.log(np.mean(ratio**2))
    return float(offset + slope * log_sigma.mean())
