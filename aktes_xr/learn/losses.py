"""Losses of networks that state their own uncertainty, in standardised outputs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from aktes_xr.learn.pixels import N_SOFT
from aktes_xr.models.features import N_OUTPUTS
from aktes_xr.models.pixel_model import LOG_VARIANCE_RANGE


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


BETA: Final = 0.5
"""Exponent of the scale that weighs each sample's likelihood (after Seitzer et al. 2022)."""


def laplace_likelihood() -> Callable[[Any, Any], Any]:
    """Return the Laplace negative log-likelihood, each term weighed by its scale to `BETA`.

    ``L = b^beta [ |y - m| / b + log b ]`` with ``log b`` half the second six outputs and the weight
    held constant. The plain likelihood (beta = 0) neglects what is hard to predict, the absolute
    error (beta = 1) teaches no uncertainty. Retrieval errors have heavier tails than a Gaussian's:
    the median this loss finds has the smaller mean absolute error.
    """
    import keras
    from keras import ops

    @keras.saving.register_keras_serializable("aktes_xr")
    def negative_log_likelihood(truth: Any, outputs: Any) -> Any:
        centre, log_variance = outputs[:, :N_OUTPUTS], outputs[:, N_OUTPUTS:]
        log_scale = 0.5 * ops.clip(log_variance, *LOG_VARIANCE_RANGE)
        scale = ops.exp(log_scale)
        term = ops.abs(truth - centre) / scale + log_scale
        return ops.mean(ops.stop_gradient(scale**BETA) * term, axis=-1)

    return negative_log_likelihood  # type: ignore[no-any-return]
