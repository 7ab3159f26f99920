"""A result against what is known of the same ground: scores, comparison, report."""

from __future__ import annotations

from aktes_xr.validation.comparison import ValidationScore, open_truth, validate
from aktes_xr.validation.metrics import Scores, scores

__all__ = ["Scores", "ValidationScore", "open_truth", "scores", "validate"]
