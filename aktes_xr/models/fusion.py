r"""How much the student counts: a monotone function of terrain complexity and both variances.

With the complexity :math:`c` (expected error of a flat retrieval, K), the share
:math:`d = f + (1 - f)\, s(\frac{c - c_0}{c_1 - c_0})`, :math:`s(u) = 3u^2 - 2u^3` on [0, 1], is
exactly the floor f below :math:`c_0` and exactly 1 above :math:`c_1`. Taken as the prior
probability that the student is right, it combines with both variances to the weight

.. math:: w = \frac{d p_S}{d p_S + (1 - d) p_T}, \qquad p = \sigma^{-2 k}

which increases with d and with the teacher's variance, decreases with the student's, is bounded by
0 and 1 and continuous, and reaches 0 and 1 exactly with d: there the other network need not be run.
Fused variance includes the disagreement: :math:`w\sigma_S^2 + (1-w)\sigma_T^2 + w(1-w)(x_S-x_T)^2`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from aktes_xr.compilation import kernel
from aktes_xr.errors import InputError

if TYPE_CHECKING:
    from aktes_xr.compilation import Float32Array

    Estimate = tuple[Float32Array, Float32Array]


@dataclass(frozen=True)
class Fusion:
    """A calibrated fusion.

    Attributes
    ----------
    start_k, full_k : float
        Complexity (K) up to which only the teacher, from which only the student counts.
    sharpness : float
        The exponent k: 0 ignores the variances, 1 weighs by inverse variance.
    floor : float
        The student's share on flat ground; at 1 the teacher runs where terrain is unknown only.
    """

    start_k: float
    full_k: float
    sharpness: float
    floor: float = 0.0

    def __post_init__(self) -> None:
        ordered = 0.0 <= self.start_k < self.full_k
        if not (ordered and 0.0 <= self.sharpness <= 2.0 and 0.0 <= self.floor <= 1.0):
            raise InputError(
                f"found {self}; expected 0 <= start_k < full_k, a sharpness of 0 to 2 and a floor "
                "of 0 to 1"
            )

    def share(self, complexity_k: Float32Array) -> Float32Array:
        """Share d of the student by terrain alone.

        Parameters
        ----------
        complexity_k : ndarray, float32, K
            Terrain complexity.

        Returns
        -------
        ndarray, float32, 1
            In the shape of ``complexity_k``; 0 where the complexity is unknown.
        """
        complexity = np.asarray(complexity_k, np.float32)
        width = np.float32(self.full_k - self.start_k)
        ramp = np.clip((complexity - np.float32(self.start_k)) / width, 0.0, 1.0)
        share = self.floor + (1.0 - self.floor) * ramp * ramp * (3.0 - 2.0 * ramp)
        return np.asarray(np.where(np.isnan(complexity), 0.0, share), np.float32)

    def weight(
        self, complexity_k: Float32Array, teacher_sigma: Float32Array, student_sigma: Float32Array
    ) -> Float32Array:
        """Weight of the student.

        Parameters
        ----------
        complexity_k : ndarray, float32, K
        teacher_sigma, student_sigma : ndarray, float32
            Standard uncertainties of the temperature, K.
        """
        share = self.share(complexity_k)
        ratio = (np.asarray(student_sigma) / np.asarray(teacher_sigma)) ** np.float32(
            2.0 * self.sharpness
        )
        return np.asarray(share / (share + (1.0 - share) * ratio), np.float32)

    def to_json(self) -> dict[str, Any]:
        """Return the numbers for a manifest."""
        return asdict(self)

    @classmethod
    def from_json(cls, entry: Mapping[str, Any]) -> Fusion:
        """Rebuild from a manifest entry.

        Parameters
        ----------
        entry : mapping of str to number
            One number per field.

        Returns
        -------
        Fusion
        """
        return cls(**{field.name: float(entry[field.name]) for field in fields(cls)})


def fuse(
    teacher: Estimate, student: Estimate, fusion: Fusion, complexity_k: Float32Array
) -> Estimate:
    """Fuse two estimates as the retrieval does.

    Parameters
    ----------
    teacher, student : tuple of ndarray (sample, 6), float32
        Temperature (K) and emissivities, and their standard uncertainties.
    fusion : Fusion
    complexity_k : ndarray (sample,), float32, K
        Terrain complexity.

    Returns
    -------
    tuple of ndarray (sample, 6), float32
        The same of the fusion.
    """
    weight = fusion.weight(complexity_k, teacher[1][:, 0], student[1][:, 0])[:, np.newaxis]
    gap = student[0] - teacher[0]
    variance = (
        weight * student[1] ** 2 + (1 - weight) * teacher[1] ** 2 + weight * (1 - weight) * gap**2
    )
    return teacher[0] + weight * gap, np.sqrt(variance)


@kernel()
def terrain_share(
    complexity_k: np.float32, start_k: np.float32, full_k: np.float32, floor: np.float32
) -> np.float32:
    """Share d for one pixel: `Fusion.share` inside a kernel.

    Parameters
    ----------
    complexity_k : float32, K
        Terrain complexity; NaN where it is unknown.
    start_k, full_k : float32, K
        Where the share starts to rise and where it is 1.
    floor : float32, 1
        Least share on known terrain.

    Returns
    -------
    float32, 1
        0 where the complexity is NaN.
    """
    one = np.float32(1.0)
    if math.isnan(complexity_k):
        return np.float32(0.0)
    ramp = (complexity_k - start_k) / (full_k - start_k)
    if ramp <= np.float32(0.0):
        return floor
    if ramp >= one:
        return one
    smooth = ramp * ramp * (np.float32(3.0) - np.float32(2.0) * ramp)
    return np.float32(floor + (one - floor) * smooth)


@kernel()
def student_weight(
    share: np.float32,
    teacher_sigma: np.float32,
    student_sigma: np.float32,
    sharpness: np.float32,
) -> np.float32:
    """Weight w for one pixel: `Fusion.weight` inside a kernel.

    Parameters
    ----------
    share : float32, 1
        Share d of the student by terrain.
    teacher_sigma, student_sigma : float32, K
        Uncertainties of the two temperatures.
    sharpness : float32, 1
        How strongly the ratio of the uncertainties counts.

    Returns
    -------
    float32, 1
        From 0 (the teacher alone) to 1 (the student alone).
    """
    ratio = (student_sigma / teacher_sigma) ** (np.float32(2.0) * sharpness)
    return np.float32(share / (share + (np.float32(1.0) - share) * ratio))
