"""Pixels to learn from: quantities, truth or labels, and a teacher's answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from aktes_xr.models.context import N_CONTEXT
from aktes_xr.models.features import (
    N_OUTPUTS,
    QUANTITIES,
    REFERENCE,
    SURROUNDINGS,
    standardised_features,
)
from aktes_xr.models.pixel_model import Scaling

if TYPE_CHECKING:
    from aktes_xr.compilation import Float32Array
    from aktes_xr.models import PixelModel, Scaling

N_SOFT: Final = 2 * N_OUTPUTS
UNLABELLED: Final = np.float32(np.inf)
"""Error of a label that is not there."""


@dataclass(frozen=True, eq=False)
class Sample:
    """Pixels to learn from.

    Attributes
    ----------
    quantities : ndarray (sample, quantity), float32
    truth : ndarray (sample, 6), float32
        Surface temperature (K) and five emissivities.
    """

    quantities: Float32Array
    truth: Float32Array

    def targets(self, scaling: Scaling) -> Float32Array:
        """Return standardised outputs: temperature excess and emissivities.

        Parameters
        ----------
        scaling : Scaling
            Centre and scale of every output.

        Returns
        -------
        float32 (pixel, 6), 1
        """
        raw = self.truth.copy()
        raw[:, 0] -= self.quantities[:, REFERENCE]
        return np.asarray((raw - scaling.output_center) / scaling.output_scale, np.float32)

    def inputs(self, scaling: Scaling) -> Float32Array:
        """Return the standardised features.

        Parameters
        ----------
        scaling : Scaling
            Centre and scale of every feature.

        Returns
        -------
        float32 (pixel, feature), 1
        """
        return standardised_features(self.quantities, scaling.center, scaling.scale)

    def joined(self, other: Sample) -> Sample:
        """Return the pixels of both.

        Parameters
        ----------
        other : Sample
            More pixels.

        Returns
        -------
        Sample
        """
        return Sample(
            np.concatenate([self.quantities, other.quantities]),
            np.concatenate([self.truth, other.truth]),
        )

    def dropped(self, rng: np.random.Generator) -> Sample:
        """Return the sample with ancillaries removed at random.

        Parameters
        ----------
        rng : numpy.random.Generator
            Chooses the pixels and the ancillaries.

        Returns
        -------
        Sample
        """
        return Sample(drop_ancillaries(self.quantities, rng), self.truth)


@dataclass(frozen=True, eq=False)
class SoftSample(Sample):
    """Pixels with a teacher's answers, and labels with errors.

    Attributes
    ----------
    teacher : PixelModel, Answers or None
        Asked anew whenever ancillaries are dropped; or fixed answers. None: there is no teacher.
    label_error : ndarray (sample, 6), float32, or None
        Standard errors of the truth's columns, `UNLABELLED` where there is none; None: exact.
    hints : Hints or None
        What the teacher's last hidden layer says, for feature distillation.
    keep : bool
        Whether ancillaries stay as they are instead of being dropped at random.
    """

    teacher: PixelModel | Answers | None
    label_error: Float32Array | None = None
    hints: Hints | None = None
    keep: bool = False

    @property
    def labelled_share(self) -> float:
        """Share of the pixels with a temperature."""
        if self.label_error is None:
            return 1.0
        return max(float(np.isfinite(self.label_error[:, 0]).mean()), 1e-6)

    def known_truth(self) -> Float32Array:
        """Return the truth, with the teacher's answers where there is none."""
        if self.label_error is None:
            return self.truth
        known = np.isfinite(self.label_error)
        if known.all() or self.teacher is None:
            return self.truth
        estimate, _ = self.teacher.predict(self.quantities)
        return np.where(known, self.truth, estimate).astype(np.float32)

    def dropped(self, rng: np.random.Generator) -> SoftSample:
        """Return the sample with ancillaries removed at random.

        Where ``keep`` is set, nothing is removed.

        Parameters
        ----------
        rng : numpy.random.Generator
            Chooses the pixels and the ancillaries.

        Returns
        -------
        SoftSample
        """
        if self.keep:
            return self
        reduced = drop_ancillaries(self.quantities, rng)
        return SoftSample(reduced, self.truth, self.teacher, self.label_error, self.hints)

    def inputs(self, scaling: Scaling) -> Float32Array:
        """Return the student's features, then the teacher's answers, standardised for it.

        Parameters
        ----------
        scaling : Scaling
            The student's centres and scales.

        Returns
        -------
        float32 (pixel, feature), 1
        """
        parts = [super().inputs(scaling), self.soft(scaling)]
        if self.hints is not None:
            parts.append(self.hints.of(self.quantities))
        return np.ascontiguousarray(np.hstack(parts))

    def soft(self, scaling: Scaling) -> Float32Array:
        """Return the teacher's answers as the student hears them.

        Parameters
        ----------
        scaling : Scaling
            The student's centres and scales.

        Returns
        -------
        float32 (pixel, 12), 1
            Means, then logarithms of variances; zeros where there is no teacher.
        """
        if self.teacher is None:
            return np.zeros((len(self.truth), N_SOFT), np.float32)
        estimate, sigma = self.teacher.predict(self.quantities)
        raw = estimate.copy()
        raw[:, 0] -= self.quantities[:, REFERENCE]
        mean = (raw - scaling.output_center) / scaling.output_scale
        log_variance = 2.0 * np.log(sigma / scaling.output_scale)
        return np.hstack([mean, log_variance]).astype(np.float32)

    def targets(self, scaling: Scaling) -> Float32Array:
        """Return the standardised labels and their errors.

        Parameters
        ----------
        scaling : Scaling
            The student's centres and scales.

        Returns
        -------
        float32 (pixel, 12), 1
            Six labels, then their six errors. An error of -1 stands for a label that is not known.
        """
        labels = super().targets(scaling)
        if self.label_error is None:
            return np.hstack([labels, np.zeros_like(labels)])
        error = (self.label_error / scaling.output_scale).astype(np.float32)
        labels = np.where(np.isfinite(error), labels, np.float32(0.0))
        return np.hstack([labels, np.where(np.isfinite(error), error, np.float32(-1.0))])


@dataclass(frozen=True, eq=False)
class Answers:
    """Estimates and uncertainties (sample, 6), K and 1, known beforehand for some pixels."""

    estimate: Float32Array
    sigma: Float32Array

    def predict(self, quantities: Float32Array) -> tuple[Float32Array, Float32Array]:
        """Return the answers that are held, whatever is asked.

        Parameters
        ----------
        quantities : float32 (pixel, quantity)
            Ignored.

        Returns
        -------
        estimate, sigma : float32 (pixel, 6)
            Temperature (K), then five emissivities (1).
        """
        return self.estimate, self.sigma


@dataclass(frozen=True, eq=False)
class Hints:
    """The teacher's last hidden layer, turned to its principal axes, standardised.

    Attributes
    ----------
    teacher : PixelModel
    axes : ndarray (hidden, k), float32
    center : ndarray (hidden,), float32
    """

    teacher: PixelModel
    axes: Float32Array
    center: Float32Array

    @classmethod
    def fitted(cls, teacher: PixelModel, quantities: Float32Array, count: int) -> Hints:
        """Take the first principal axes of a teacher's last hidden layer.

        Each is scaled to unit variance over the sample.

        Parameters
        ----------
        teacher : PixelModel
            The network to take hints from.
        quantities : float32 (pixel, quantity)
            The sample.
        count : int
            Number of axes.

        Returns
        -------
        Hints
        """
        hidden = _last_hidden(teacher, quantities)
        center = hidden.mean(axis=0)
        values, vectors = np.linalg.eigh(np.cov((hidden - center).T.astype(np.float64)))
        first = np.argsort(values)[::-1][:count]
        axes = vectors[:, first] / np.sqrt(np.maximum(values[first], 1e-12))
        return cls(teacher, axes.astype(np.float32), center.astype(np.float32))

    def of(self, quantities: Float32Array) -> Float32Array:
        """Return the hints of pixels.

        Parameters
        ----------
        quantities : float32 (pixel, quantity)
            The pixels.

        Returns
        -------
        float32 (pixel, axis), 1
        """
        hidden = _last_hidden(self.teacher, quantities)
        return np.asarray((hidden - self.center) @ self.axes, np.float32)


def _last_hidden(teacher: PixelModel, quantities: Float32Array) -> Float32Array:
    from aktes_xr.models import Network

    scaling = teacher.scaling
    inputs = standardised_features(quantities, scaling.center, scaling.scale)
    return Network(teacher.network.layers[:-1]).predict(inputs)


Draw = Callable[[int], Sample]
"""Gives the training sample of an epoch."""
GROUPS: Final[dict[str, tuple[int, ...]]] = {
    "surface_pressure": (QUANTITIES.index("surface_pressure"),),
    "water_vapor": tuple(QUANTITIES.index(name) for name in ("water_vapor", "water_vapor_error")),
    "air_temperature": tuple(
        QUANTITIES.index(name) for name in ("air_temperature", "air_temperature_error")
    ),
    "skin_temperature": tuple(
        QUANTITIES.index(name) for name in ("skin_temperature", "skin_temperature_error")
    ),
    "emissivity_prior": tuple(
        index for index, name in enumerate(QUANTITIES) if name.startswith("emissivity_prior")
    ),
    "surroundings": tuple(range(SURROUNDINGS, SURROUNDINGS + N_CONTEXT)),
}
"""Columns of the quantities that come and go together."""
ALL: Final = frozenset(GROUPS)
COMPLETE_SHARE: Final = 0.3
BARE_SHARE: Final = 0.15
"""Shares of the training sample with every ancillary, and with pressure alone; the rest mixes."""
_RARELY_MISSING: Final = {"surface_pressure": 0.05, "surroundings": 0.06}
"""What an elevation model gives, and what every image gives but a table of pixels does not."""


def keep_only(quantities: Float32Array, kept: frozenset[str]) -> Float32Array:
    """Copy the quantities with only the named ancillaries; the others become NaN.

    Parameters
    ----------
    quantities : ndarray (sample, quantity), float32
    kept : frozenset of str
        Keys of `GROUPS`.
    """
    reduced = quantities.copy()
    for name in ALL - kept:
        reduced[:, GROUPS[name]] = np.nan
    return reduced


def drop_ancillaries(quantities: Float32Array, rng: np.random.Generator) -> Float32Array:
    """Copy the quantities with ancillaries removed at random, sample by sample.

    Parameters
    ----------
    quantities : ndarray (sample, quantity), float32
    rng : numpy.random.Generator

    Returns
    -------
    ndarray (sample, quantity), float32
        Some samples complete, some with surface pressure alone, in the others each ancillary with
        probability one half. Surface pressure, which an elevation model gives, and surroundings,
        which only a table of pixels lacks, are missing in one of twenty or so.
    """
    reduced = quantities.copy()
    count = quantities.shape[0]
    kind = rng.random(count)
    for name, columns in GROUPS.items():
        if name in _RARELY_MISSING:
            absent = rng.random(count) < _RARELY_MISSING[name]
        else:
            absent = rng.random(count) < 0.5
            absent &= kind >= COMPLETE_SHARE
            absent |= kind >= 1.0 - BARE_SHARE
        for column in columns:
            reduced[absent, column] = np.nan
    return reduced
