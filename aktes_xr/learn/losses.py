"""Losses of networks that state their own uncertainty, in standardised outputs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from aktes_xr.models.features import N_OUTPUTS
from aktes_xr.models.reading import LOG_VARIANCE_RANGE

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
