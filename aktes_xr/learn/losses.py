"""Losses of networks that state their own variance, in standardised outputs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from aktes_xr.models.features import N_OUTPUTS
from aktes_xr.models.pixel_model import LOG_VARIANCE_RANGE

BETA: Final = 0.5
"""Exponent of the variance that weighs each sample's likelihood (Seitzer et al. 2022, beta-NLL)."""


def beta_likelihood() -> Callable[[Any, Any], Any]:
    """Return the Gaussian negative log-likelihood, each term weighed by its variance to `BETA`.

    ``L = s^{2 beta} [ (y - m)^2 / (2 s^2) + log(s^2) / 2 ]`` with the weight held constant: the
    plain likelihood (beta = 0) neglects what is hard to predict, the squared error (beta = 1)
    teaches no variance.
    """
    import keras
    from keras import ops

    @keras.saving.register_keras_serializable("aktes_xr")
    def negative_log_likelihood(truth: Any, outputs: Any) -> Any:
        mean, log_variance = outputs[:, :N_OUTPUTS], outputs[:, N_OUTPUTS:]
        log_variance = ops.clip(log_variance, *LOG_VARIANCE_RANGE)
        variance = ops.exp(log_variance)
        term = 0.5 * ((truth - mean) ** 2 / variance + log_variance)
        return ops.mean(ops.stop_gradient(variance**BETA) * term, axis=-1)

    return negative_log_likelihood  # type: ignore[no-any-return]
