"""Calibration of the fusion on landscapes that neither network was trained on."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise, product
from typing import TYPE_CHECKING, Final

import numpy as np

from aktes_xr.models.fusion import Fusion

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Float32Array = NDArray[np.float32]
    Estimate = tuple[Float32Array, Float32Array]

START_K: Final = (0.0, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5)
WIDTH_K: Final = (0.05, 0.1, 0.2, 0.4, 0.8, 1.6)
SHARPNESS: Final = (0.0, 0.5, 1.0)
FLOOR: Final = (0.0, 0.3, 0.6, 0.9, 1.0)
CLASS_EDGES_K: Final = (0.0, 0.05, 0.15, 0.4, 1.0, np.inf)
FEWEST: Final = 100
TOLERANCE: Final = 0.01
"""A fusion this near to the better network in every class is good enough: then less work counts."""


@dataclass(frozen=True)
class _Candidate:
    fusion: Fusion
    temperature: float
    emissivity: float
    mean: float
    cost: float


def calibrate_fusion(
    complexity_k: Float32Array,
    teacher: Estimate,
    student: Estimate,
    truth: Float32Array,
    *,
    cost: tuple[float, float] = (1.0, 1.0),
) -> Fusion:
    """Choose the ramp and the sharpness that serve every terrain class best.

    Parameters
    ----------
    complexity_k : ndarray (sample,), K
    teacher, student : tuple of ndarray (sample, 6)
        Estimates (K and 1) and standard uncertainties.
    truth : ndarray (sample, 6), K and 1
    cost : tuple of float
        What the two networks take per pixel.

    Returns
    -------
    Fusion
        Of the grid `START_K` x `WIDTH_K` x `SHARPNESS` x `FLOOR`. In each class of complexity,
        however rare, the fusion's mean absolute errors of temperature and of emissivity are divided
        by the better network's. Of the candidates whose worst ratios, of temperature first, are at
        most 1 + `TOLERANCE` (or, where there are none, about the least), those that run the
        networks least, all classes alike, are chosen; of them the one of the smallest mean ratio.
    """
    classes = [
        np.flatnonzero((complexity_k >= low) & (complexity_k < high))
        for low, high in pairwise(CLASS_EDGES_K)
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
        candidates.append(
            _Candidate(
                fusion, max(ratios[::2]), max(ratios[1::2]), float(np.mean(ratios)), float(work)
            )
        )
    return _chosen(candidates).fusion


def _errors(estimate: Float32Array, truth: Float32Array, members: NDArray[np.intp]) -> list[float]:
    """Mean absolute errors of temperature and of emissivity over some pixels."""
    absolute = np.abs(estimate[members] - truth[members])
    return [float(absolute[:, 0].mean()), float(absolute[:, 1:].mean())]


def _work(weight: Float32Array, cost: tuple[float, float]) -> float:
    """Multiplications per pixel: a network without weight is not run."""
    return float((weight < 1.0).mean() * cost[0] + (weight > 0.0).mean() * cost[1])


def _chosen(candidates: Sequence[_Candidate]) -> _Candidate:
    good = list(candidates)
    for quantity in ("temperature", "emissivity"):
        least = min(getattr(entry, quantity) for entry in good)
        limit = max(1.0 + TOLERANCE, least + 0.1 * TOLERANCE)
        good = [entry for entry in good if getattr(entry, quantity) <= limit]
    cheapest = min(entry.cost for entry in good)
    return min(
        (entry for entry in good if entry.cost <= 1.02 * cheapest), key=lambda entry: entry.mean
    )
