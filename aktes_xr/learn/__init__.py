"""Training: search, distillation, calibration. TensorFlow is imported on first use."""

from __future__ import annotations

from typing import Any

from aktes_xr.learn.recipe import Recipe, load_recipe
from aktes_xr.validation.metrics import Scores, scores

__all__ = ["Recipe", "Scores", "load_recipe", "scores"]


def __getattr__(name: str) -> Any:
    if name == "metrics":
        # Where scores were before they had a room of their own.
        from aktes_xr.validation import metrics

        return metrics
    raise AttributeError(f"module 'aktes_xr.learn' has no attribute {name!r}")
