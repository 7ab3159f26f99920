from __future__ import annotations

import numpy as np
import pytest

from aktes_xr.errors import ShapeError
from aktes_xr.learn.metrics import scores


def test_by_hand() -> None:
    found = scores([1.0, 3.0, 5.0, np.nan], [2.0, 2.0, 2.0, 7.0], sigma=[1.0, 0.6, 1.0, 1.0])
    assert found.n == 3
    assert found.mae == pytest.approx(5 / 3)
    assert found.bias == pytest.approx(1.0)
    assert found.rmse == pytest.approx((11 / 3) ** 0.5)
    assert np.isnan(found.pcc)  # the truth is constant
    assert found.coverage68 == pytest.approx(1 / 3)
    assert found.coverage95 == pytest.approx(2 / 3)
    half = 1.959964 * np.std([1.0, 1.0, 3.0]) / 3**0.5
    assert found.mae_high - found.mae == pytest.approx(half)
    assert found.mae - found.mae_low == pytest.approx(half)


def test_correlation_and_gaussian_coverage() -> None:
    rng = np.random.default_rng(0)
    truth = rng.normal(300.0, 10.0, 200_000)
    found = scores(truth + rng.normal(0.0, 0.5, truth.size), truth, sigma=np.full(truth.size, 0.5))
    assert found.pcc == pytest.approx(10.0 / 100.25**0.5, abs=1e-4)
    assert found.coverage68 == pytest.approx(0.6827, abs=0.005)
    assert found.coverage95 == pytest.approx(0.95, abs=0.003)
    assert found.mae_low < 0.5 * (2 / np.pi) ** 0.5 < found.mae_high
    assert scores(-truth, truth).pcc == pytest.approx(-1.0)


def test_nothing_to_score() -> None:
    found = scores([np.nan], [1.0])
    assert found.n == 0
    assert np.isnan(found.mae)
    with pytest.raises(ShapeError, match="expected one shape"):
        scores([1.0, 2.0], [1.0])
