"""Calibration of the fusion on terrain samples that neither network was trained on."""

from __future__ import annotations

from itertools import pairwise, product
from typing import TYPE_CHECKING, Final

import numpy as np

from aktes_xr.models.fusion import Fusion

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Float32Array = NDArray[np.float32]

START_K: Final = (0.0, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5)
WIDTH_K: Final = (0.05, 0.1, 0.2, 0.4, 0.8, 1.6)
SHARPNESS: Final = (0.0, 0.5, 1.0)
FLOOR: Final = (0.0, 0.3, 0.6, 0.9, 0.97)
_CLASS_EDGES_K: Final = (0.0, 0.05, 0.15, 0.4, 1.0, np.inf)


def calibrate_fusion(
    complexity_k: Float32Array,
    teacher: tuple[Float32Array, Float32Array],
    student: tuple[Float32Array, Float32Array],
    truth: Float32Array,
) -> Fusion:
    """Choose the ramp and the sharpness that serve every terrain class best.

    Parameters
    ----------
    complexity_k : ndarray (sample,), K
    teacher, student : tuple of ndarray (sample,)
        Temperatures (K) and standard uncertainties (K).
    truth : ndarray (sample,), K

    Returns
    -------
    Fusion
        Of the grid `START_K` x `WIDTH_K` x `SHARPNESS` x `FLOOR`. In each class of complexity,
        however rare, the fusion's mean absolute error is divided by the better network's; the
        worst class decides as long as it is above 1, then the mean over classes. At equal score
        (0.1 %) the lower floor and the later start: they run the student less.
    """
    classes = [
        (complexity_k >= low) & (complexity_k < high) for low, high in pairwise(_CLASS_EDGES_K)
    ]
    classes = [members for members in classes if members.sum() >= 100]
    errors = [np.abs(estimate[0] - truth) for estimate in (teacher, student)]
    best = [min(float(error[members].mean()) for error in errors) for members in classes]
    ranked: list[tuple[float, float, float, float, Fusion]] = []
    for start, width, sharpness, floor in product(START_K, WIDTH_K, SHARPNESS, FLOOR):
        fusion = Fusion(start, start + width, sharpness, floor)
        weight = fusion.weight(complexity_k, teacher[1], student[1])
        error = np.abs(teacher[0] + weight * (student[0] - teacher[0]) - truth)
        ratios = [
            float(error[members].mean()) / reference
            for members, reference in zip(classes, best, strict=True)
        ]
        worst = max(round(max(ratios), 3), 1.0)
        ranked.append((worst, round(float(np.mean(ratios)), 3), floor, -start, fusion))
    return min(ranked, key=lambda entry: entry[:4])[4]
