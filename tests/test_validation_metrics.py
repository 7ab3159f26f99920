from __future__ import annotations

import numpy as np
import pytest

from aktes_xr.errors import InputError, ShapeError
from aktes_xr.validation.metrics import ratio_of_means, scores, strata_by, strata_of


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


def test_robust_scores_do_not_follow_a_wild_pixel() -> None:
    truth = np.zeros(7)
    found = scores([0.1, 0.2, 0.3, 0.3, 0.4, 0.5, 90.0], truth)
    assert found.median == pytest.approx(0.3)
    assert found.spread == pytest.approx(1.4826 * 0.1)
    assert found.bias > 10.0
    assert found.bias_low < found.bias < found.bias_high


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
    found = scores([np.nan], [1.0], sigma=[1.0], groups=[0])
    assert found.n == 0
    assert np.isnan(found.mae)
    assert found.coverage68 is None
    with pytest.raises(ShapeError, match="expected one shape"):
        scores([1.0, 2.0], [1.0])
    with pytest.raises(ShapeError, match="one per sample"):
        scores([1.0, 2.0], [1.0, 2.0], groups=[1])


def test_missing_sigma_counts_in_the_error_only() -> None:
    found = scores([1.0, 9.0], [0.0, 0.0], sigma=[2.0, np.nan])
    assert (found.n, found.mae) == (2, 5.0)
    assert found.coverage68 == 1.0


def test_interval_counts_groups_not_samples() -> None:
    """Two thousand copies of twenty atmospheres know no more than the twenty."""
    rng = np.random.default_rng(1)
    group = np.repeat(np.arange(20), 2_000)
    error = rng.normal(size=20)[group]
    alone = scores(error, np.zeros(error.size))
    clustered = scores(error, np.zeros(error.size), groups=group)
    twenty = np.abs(error[::2_000])
    assert clustered.mae == alone.mae
    expected = 2.093024 * twenty.std(ddof=1) / 20**0.5  # Student's, 19 degrees of freedom
    assert clustered.mae_high - clustered.mae == pytest.approx(expected)
    assert alone.mae_high - alone.mae < expected / 40
    assert np.isnan(scores(error, np.zeros(error.size), groups=0 * group).mae_low)


def test_interval_agrees_with_a_bootstrap_over_groups() -> None:
    rng = np.random.default_rng(2)
    sizes = rng.integers(50, 150, 60)
    group = np.repeat(np.arange(60), sizes)
    scale = rng.uniform(0.5, 2.0, 60)[group]
    first = np.abs(scale[:, np.newaxis] * rng.normal(size=(group.size, 5)))
    second = np.abs(1.3 * scale[:, np.newaxis] * rng.normal(size=(group.size, 5)))
    totals = [np.bincount(group, values.sum(axis=1)) for values in (first, second)]
    picks = rng.integers(0, 60, (4_000, 60))
    means = totals[0][picks].sum(axis=1) / (5 * sizes[picks].sum(axis=1))
    found = scores(first, np.zeros(first.shape), groups=group)
    assert found.mae_high - found.mae_low == pytest.approx(2 * 1.96 * means.std(), rel=0.09)
    ratios = totals[0][picks].sum(axis=1) / totals[1][picks].sum(axis=1)
    ratio = ratio_of_means(first, second, groups=group)
    assert ratio.value == pytest.approx(first.mean() / second.mean())
    assert ratio.high - ratio.low == pytest.approx(2 * 1.96 * ratios.std(), rel=0.09)


def test_ratio_is_taken_over_the_same_pixels() -> None:
    ratio = ratio_of_means([1.0, 2.0, 50.0], [2.0, 4.0, np.nan])
    assert ratio.value == 0.5
    assert ratio.low <= 0.5 <= ratio.high
    assert np.isnan(ratio_of_means([np.nan], [1.0]).value)
    assert np.isnan(ratio_of_means([1.0], [0.0]).value)
    with pytest.raises(ShapeError, match="expected one shape"):
        ratio_of_means([1.0], [1.0, 2.0])


def test_strata_are_disjoint_and_named() -> None:
    values = np.array([0.0, 9.99, 10.0, 41.0, np.nan])
    found = strata_by(values, (0.0, 10.0, 40.0, np.inf), name="water", unit="kg m-2")
    assert list(found) == ["water 0-10 kg m-2", "water 10-40 kg m-2", "water over 40 kg m-2"]
    np.testing.assert_array_equal(np.stack(list(found.values())).sum(axis=0), [1, 1, 1, 1, 0])
    np.testing.assert_array_equal(found["water 0-10 kg m-2"], [1, 1, 0, 0, 0])
    with pytest.raises(InputError, match="ascend"):
        strata_by(values, (10.0, 0.0), name="water")
    classes = strata_of([1, 0, 1], ("soil", "rock"))
    np.testing.assert_array_equal(classes["rock"], [True, False, True])
