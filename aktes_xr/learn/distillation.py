"""What a student learns from: labels with their errors, and the teacher's answers beside them.

A training row carries the teacher's answer to it (in the student's standardised units) behind the
student's features, so that one `keras.distillation.Distiller` serves labelled and unlabelled pixels
alike and the teacher, however large, runs once per row and epoch in compiled NumPy. Targets carry
each label's own error: a label with an error, or none at all, pulls as much as it knows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from aktes_xr.learn.ancillaries import drop_ancillaries
from aktes_xr.learn.losses import BETA
from aktes_xr.learn.training import Sample
from aktes_xr.models.features import N_OUTPUTS, REFERENCE, standardised_features
from aktes_xr.models.reading import LOG_VARIANCE_RANGE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from aktes_xr.models import PixelModel, Scaling

    Float32Array = NDArray[np.float32]

N_SOFT: Final = 2 * N_OUTPUTS
UNLABELLED: Final = np.float32(np.inf)
"""Error of a label that is not there."""


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
        """Return the sample with ancillaries removed at random, unless they are to be kept."""
        if self.keep:
            return self
        reduced = drop_ancillaries(self.quantities, rng)
        return SoftSample(reduced, self.truth, self.teacher, self.label_error, self.hints)

    def inputs(self, scaling: Scaling) -> Float32Array:
        """Return the student's features, then the teacher's answers, standardised for it."""
        parts = [super().inputs(scaling), self.soft(scaling)]
        if self.hints is not None:
            parts.append(self.hints.of(self.quantities))
        return np.ascontiguousarray(np.hstack(parts))

    def soft(self, scaling: Scaling) -> Float32Array:
        """Return the teacher's means and logarithms of variances (sample, 12) for the student."""
        if self.teacher is None:
            return np.zeros((len(self.truth), N_SOFT), np.float32)
        estimate, sigma = self.teacher.predict(self.quantities)
        raw = estimate.copy()
        raw[:, 0] -= self.quantities[:, REFERENCE]
        mean = (raw - scaling.output_center) / scaling.output_scale
        log_variance = 2.0 * np.log(sigma / scaling.output_scale)
        return np.hstack([mean, log_variance]).astype(np.float32)

    def targets(self, scaling: Scaling) -> Float32Array:
        """Return standardised labels and their errors, (sample, 12)."""
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
        """Return them, whatever is asked."""
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
        """Take the first ``count`` principal axes over a sample, each scaled to unit variance."""
        hidden = _last_hidden(teacher, quantities)
        center = hidden.mean(axis=0)
        values, vectors = np.linalg.eigh(np.cov((hidden - center).T.astype(np.float64)))
        first = np.argsort(values)[::-1][:count]
        axes = vectors[:, first] / np.sqrt(np.maximum(values[first], 1e-12))
        return cls(teacher, axes.astype(np.float32), center.astype(np.float32))

    def of(self, quantities: Float32Array) -> Float32Array:
        """Return the hints of pixels, (sample, k)."""
        hidden = _last_hidden(self.teacher, quantities)
        return np.asarray((hidden - self.center) @ self.axes, np.float32)


def _last_hidden(teacher: PixelModel, quantities: Float32Array) -> Float32Array:
    from aktes_xr.models import Network

    scaling = teacher.scaling
    inputs = standardised_features(quantities, scaling.center, scaling.scale)
    return Network(teacher.network.layers[:-1]).predict(inputs)


def label_likelihood(labelled: float = 1.0) -> Any:
    """Return the Laplace likelihood of labels that have errors of their own.

    The scale of a label's deviation is ``sqrt(b^2 + s^2)`` with the network's own scale b and the
    label's error s (`SoftSample.targets`); a label of negative error does not count, and the mean
    is that of the labels that do.

    Parameters
    ----------
    labelled : float
        Share of the pixels that have labels.
    """
    import keras
    from keras import ops

    @keras.saving.register_keras_serializable("aktes_xr")
    def noisy_likelihood(labels: Any, outputs: Any) -> Any:
        truth, error = labels[:, :N_OUTPUTS], labels[:, N_OUTPUTS:]
        centre = outputs[:, :N_OUTPUTS]
        log_variance = ops.clip(outputs[:, N_OUTPUTS:N_SOFT], *LOG_VARIANCE_RANGE)
        variance = ops.exp(log_variance)
        scale = ops.sqrt(variance + error**2)
        term = ops.abs(truth - centre) / scale + ops.log(scale)
        weight = ops.stop_gradient(variance ** (0.5 * BETA)) / labelled
        return ops.mean(ops.where(error < 0.0, 0.0, weight * term), axis=-1)

    return noisy_likelihood


def soft_model(student: Any, *, hints: int = 0, residual: bool = False) -> Any:
    """Wrap a student so that it takes the teacher's answers (and hints) behind its features.

    Parameters
    ----------
    student : keras.Model
        From `aktes_xr.learn.architecture.keras_model`; on features, or with ``residual`` on
        features and answers.
    hints : int
        Number of hints: a layer from the last hidden layer predicts them, and is thrown away.
    residual : bool
        Whether the student's means are corrections of the teacher's.
    """
    import keras

    own = int(student.input_shape[-1])
    features = own - N_SOFT if residual else own
    inputs = keras.Input((features + N_SOFT + hints,))
    outputs = student(inputs[:, :own])
    if residual:
        soft = inputs[:, features : features + N_OUTPUTS]
        corrected = keras.layers.Add()([outputs[:, :N_OUTPUTS], soft])
        outputs = keras.layers.Concatenate()([corrected, outputs[:, N_OUTPUTS:]])
    if hints:
        last = keras.Model(student.inputs, student.layers[-2].output)(inputs[:, :own])
        outputs = keras.layers.Concatenate()([outputs, keras.layers.Dense(hints)(last)])
    return keras.Model(inputs, outputs)


def distiller(
    wide: Any, *, alpha: float, features: int, hints: int = 0, labelled: float = 1.0
) -> Any:
    """Wrap `soft_model` in `keras.distillation.Distiller`.

    Parameters
    ----------
    wide : keras.Model
    alpha : float
        Weight of the teacher's answers beside the labels' 1 - alpha.
    features : int
        Number of the student's features.
    hints : int
        Compare hints, too.
    labelled : float
        Share of the pixels that have labels.
    """
    import keras
    from keras import ops

    inputs = keras.Input((features + N_SOFT + hints,))
    # The answers are already there: the teacher in Keras only hands them over.
    teacher = keras.Model(inputs, keras.layers.Activation("linear")(inputs[:, features:]))

    def soft_difference(soft: Any, outputs: Any) -> Any:
        scale = ops.exp(0.5 * ops.clip(soft[:, N_OUTPUTS:N_SOFT], *LOG_VARIANCE_RANGE))
        gap = ops.abs(soft[:, :N_OUTPUTS] - outputs[:, :N_OUTPUTS]) * scale ** (BETA - 1.0)
        return ops.mean(gap, axis=-1)

    def hint_difference(soft: Any, outputs: Any) -> Any:
        return ops.mean((soft[:, N_SOFT:] - outputs[:, N_SOFT:]) ** 2, axis=-1)

    losses = [keras.distillation.FeatureDistillation(loss=soft_difference)]
    if hints:
        losses.append(keras.distillation.FeatureDistillation(loss=hint_difference))

    class LabelDistiller(keras.distillation.Distiller):  # type: ignore[misc]
        """With the likelihood of labels that have errors, whatever loss the training brings."""

        def compile(self, optimizer: Any, loss: Any = None, **options: Any) -> None:
            super().compile(optimizer=optimizer, loss=label_likelihood(labelled), **options)

    return LabelDistiller(
        teacher=teacher,
        student=wide,
        distillation_losses=losses,
        distillation_loss_weights=[1.0, 0.1][: len(losses)],
        student_loss_weight=1.0 - alpha,
    )
