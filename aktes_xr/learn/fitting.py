"""Calibration of the fusion on landscapes that neither network was trained on."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise, product
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy.optimize import minimize_scalar

from aktes_xr.models.features import N_OUTPUTS
from aktes_xr.models.fusion import Fusion
from aktes_xr.models.reading import LOG_VARIANCE_RANGE
from aktes_xr.models.strata import TABLE_SHAPE, neutral, strata_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from aktes_xr.compilation import Float32Array

    Estimate = tuple[Float32Array, Float32Array]
    from collections.abc import Sequence

    from aktes_xr.learn.pixels import Sample
    from aktes_xr.models.network import Network
    from aktes_xr.models.pixel_model import PixelModel, Scaling

START_K: Final = (0.0, 0.05, 0.1, 0.2, 0.4, 0.8, 1.5)
WIDTH_K: Final = (0.8, 3.0)
"""Of the ramps. Wide only: one of tenths of a kelvin is a cliff. It rests on how the networks
differ in this world, and leaves nothing to what they say of themselves in another."""
SHARPNESS: Final = (0.5, 1.0)
FLOOR: Final = (0.0, 0.1, 0.2, 0.35, 0.5, 0.65, 0.8, 0.9, 1.0)
CLASS_EDGES_K: Final = (0.0, 0.05, 0.15, 0.4, 1.0, np.inf)
FEWEST: Final = 300
UPPER: Final = 0.95
"""Share of the classes below the ratio that stands for the bad ones: a worst one of few is chance.
"""
EQUAL: Final = 0.005
"""Candidates with a mean ratio this near to the best count as equal. Their bad classes decide."""
TRUSTED: Final = 3000
"""Pixels of a stratum that count as much as what its neighbours say."""


@dataclass(frozen=True)
class _Candidate:
    fusion: Fusion
    upper: float
    mean: float
    cost: float


def calibrate_fusion(
    complexity_k: Float32Array,
    teacher: Estimate,
    student: Estimate,
    truth: Float32Array,
    *,
    group: NDArray[np.int_] | None = None,
    cost: tuple[float, float] = (1.0, 1.0),
) -> Fusion:
    """Choose the ramp and the sharpness that serve every terrain class best.

    Parameters
    ----------
    complexity_k : ndarray (sample,), K
    teacher, student : tuple of ndarray (sample, 6)
        Estimates (K and 1) and standard uncertainties.
    truth : ndarray (sample, 6), K and 1
    group : ndarray (sample,), int, optional
        Samples of different kinds, judged apart.
    cost : tuple of float
        What the two networks take per pixel.

    Returns
    -------
    Fusion
        Of the grid `START_K` x `WIDTH_K` x `SHARPNESS` x `FLOOR`. In each class of complexity and
        each group, however rare, the fusion's mean absolute errors of temperature and of emissivity
        are divided by the better network's. Of the candidates whose mean ratio is within `EQUAL` of
        the least, the one is chosen whose bad classes (the quantile `UPPER` of the ratios) are
        best; among those within `EQUAL` of it the one that runs the networks least, all classes
        alike.
    """
    kinds = np.zeros(len(truth), int) if group is None else group
    classes = [
        np.flatnonzero((complexity_k >= low) & (complexity_k < high) & (kinds == kind))
        for low, high in pairwise(CLASS_EDGES_K)
        for kind in np.unique(kinds)
    ]
    classes = [members for members in classes if members.size >= FEWEST]
    best = [
        [
            min(errors)
            for errors in zip(*(_errors(e[0], truth, m) for e in (teacher, student)), strict=True)
        ]
        for m in classes
    ]
    candidates = []
    for start, width, sharpness, floor in product(START_K, WIDTH_K, SHARPNESS, FLOOR):
        if floor == 1.0 and (start, width, sharpness) != (START_K[0], WIDTH_K[0], SHARPNESS[0]):
            continue
        fusion = Fusion(start, start + width, sharpness, floor)
        weight = fusion.weight(complexity_k, teacher[1][:, 0], student[1][:, 0])
        fused = teacher[0] + weight[:, np.newaxis] * (student[0] - teacher[0])
        ratios = [
            error / reference
            for members, references in zip(classes, best, strict=True)
            for error, reference in zip(_errors(fused, truth, members), references, strict=True)
        ]
        work = np.mean([_work(weight[members], cost) for members in classes])
        mean = float(np.mean(ratios))
        upper = float(np.quantile(ratios, UPPER))
        candidates.append(_Candidate(fusion, upper, mean, float(work)))
    return _chosen(candidates).fusion


def _errors(estimate: Float32Array, truth: Float32Array, members: NDArray[np.intp]) -> list[float]:
    """Mean absolute errors of temperature and of emissivity over some pixels."""
    absolute = np.abs(estimate[members] - truth[members])
    return [float(absolute[:, 0].mean()), float(absolute[:, 1:].mean())]


def _work(weight: Float32Array, cost: tuple[float, float]) -> float:
    """Multiplications per pixel: a network without weight is not run."""
    return float((weight < 1.0).mean() * cost[0] + (weight > 0.0).mean() * cost[1])


def _chosen(candidates: Sequence[_Candidate]) -> _Candidate:
    mean = min(entry.mean for entry in candidates)
    good = [entry for entry in candidates if entry.mean <= mean + EQUAL]
    upper = min(entry.upper for entry in good)
    good = [entry for entry in good if entry.upper <= upper + EQUAL]
    return min(good, key=lambda entry: (entry.cost, entry.mean))


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


def fit_strata(model: PixelModel, held: Sample) -> PixelModel:
    """Calibrate a network's stated uncertainty stratum by stratum.

    Parameters
    ----------
    model : PixelModel
        Calibrated as a whole; what its table of strata holds is replaced.
    held : Sample
        Pixels it was not trained on, with the ancillaries that are to be judged.

    Returns
    -------
    PixelModel
        With a table (`aktes_xr.models.strata`) whose entries bring the 68 and 95 % quantiles of
        error over sigma near those of a normal distribution. Strata of few pixels follow the sum of
        what water, sky and spread say alone.
    """
    plain = replace(model, scaling=replace(model.scaling, sigma_strata=neutral()))
    estimate, sigma = plain.predict(held.quantities)
    ratio = (np.abs(estimate - held.truth) / sigma).astype(np.float64)
    places = strata_of(held.quantities)
    table = np.zeros(TABLE_SHAPE)
    for axis in range(places.shape[1]):
        for node in range(TABLE_SHAPE[axis]):
            members = places[:, axis] == node
            if np.count_nonzero(members) >= FEWEST:
                rest = ratio[members] / np.exp(table[tuple(places[members].T)])
                at = (slice(None),) * axis + (node,)
                table[at] += _log_factors(rest)
    for cell in np.unique(places, axis=0):
        members = (places == cell).all(axis=1)
        count = int(np.count_nonzero(members))
        if count >= FEWEST:
            at = tuple(cell)
            rest = _log_factors(ratio[members] / np.exp(table[at]))
            table[at] += count / (count + TRUSTED) * rest
    scaling = replace(model.scaling, sigma_strata=np.clip(table, -1.5, 1.5).astype(np.float32))
    return replace(model, scaling=scaling)


def _log_factors(ratio: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return what sigma lacks (6,), as a logarithm, given errors over it (sample, 6)."""
    logs = [np.log(np.quantile(ratio, share, axis=0) / factor) for share, factor in _LEVELS]
    return np.asarray(np.mean(logs, axis=0))


def _likelihood(slope: float, error: NDArray[np.float64], log_sigma: NDArray[np.float64]) -> float:
    """Mean negative log-likelihood at a slope, with the best offset for it."""
    ratio = error / np.exp(slope * log_sigma)
    offset = 0.5 * np.log(np.mean(ratio**2))
    return float(offset + slope * log_sigma.mean())
