"""Which surroundings each network of the ablation sees."""

from __future__ import annotations

import numpy as np
import pytest

from aktes_xr.bench.context import hidden_features
from aktes_xr.models.context import N_CONTEXT
from aktes_xr.models.features import TEACHER_FEATURES


@pytest.mark.parametrize(
    ("windows", "seen"),
    [
        ("the pixel alone", 0),
        ("means over 11", 5),
        ("5", 11),
        ("3 and 11", 22),
        ("3, 5 and 11", 33),
    ],
)
def test_each_set_sees_its_windows(windows: str, seen: int) -> None:
    hidden = hidden_features(windows)
    assert len(hidden) == N_CONTEXT - seen
    assert len(set(hidden)) == len(hidden)


def test_one_window_of_three_is_that_of_its_side() -> None:
    hidden = np.zeros(len(TEACHER_FEATURES), bool)
    hidden[list(hidden_features("11"))] = True
    shown = [name for name, gone in zip(TEACHER_FEATURES, hidden, strict=True) if not gone]
    assert "mean_excess_B13_11" in shown
    assert not any(name.endswith(("_3", "_5")) for name in shown)
    assert "water_vapor" in shown
