"""What a student learns from: labels with their errors, and the teacher's answers beside them.

Each training row holds the student's features, and behind them the teacher's answer in the
student's standardised units. So one `keras.distillation.Distiller` serves labelled and unlabelled
pixels alike. The teacher, however large, runs once per row and epoch in compiled NumPy. Targets
carry each label's own error. The larger it is, the less the label counts; a missing label does not
count at all.
"""

from __future__ import annotations

from typing import Any

from aktes_xr.learn.losses import BETA, label_likelihood
from aktes_xr.learn.pixels import N_SOFT
from aktes_xr.models.features import N_OUTPUTS
from aktes_xr.models.reading import LOG_VARIANCE_RANGE


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
    # The answers are already in the input. The teacher in Keras only hands them over.
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
        """Uses the likelihood of labels that have errors, whatever loss the training brings."""

        def compile(self, optimizer: Any, loss: Any = None, **options: Any) -> None:
            super().compile(optimizer=optimizer, loss=label_likelihood(labelled), **options)

    return LabelDistiller(
        teacher=teacher,
        student=wide,
        distillation_losses=losses,
        distillation_loss_weights=[1.0, 0.1][: len(losses)],
        student_loss_weight=1.0 - alpha,
    )
