"""Training: search, distillation, calibration, scores. TensorFlow is imported on first use."""

from __future__ import annotations

from aktes_xr.learn.metrics import Scores, scores
from aktes_xr.learn.recipe import Recipe, load_recipe

__all__ = ["Recipe", "Scores", "load_recipe", "scores"]
