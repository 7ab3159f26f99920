from __future__ import annotations

import numpy as np
import pytest
from random_bundle import random_scaling

from aktes_xr.learn.fitting import calibrate_fusion, calibrate_uncertainty
from aktes_xr.learn.pixels import ALL, GROUPS, drop_ancillaries, keep_only
from aktes_xr.models import Layer, Network, PixelModel
from aktes_xr.models.context import CONTEXT
from aktes_xr.models.features import QUANTITIES, TEACHER_FEATURES
from aktes_xr.validation.metrics import scores


def test_calibrated_sigma_covers_heavy_tailed_errors() -> None:
    rng = np.random.default_rng(0)
    count = 40_000
    log_sigma = rng.normal(-1.0, 0.5, (count, 6))
    stated = 0.4 + 1.6 * log_sigma  # wrong in offset and slope
    targets = rng.normal(size=(count, 6))
    errors = rng.standard_t(6, (count, 6)) * (4 / 6) ** 0.5 * np.exp(log_sigma)
    outputs = np.hstack([targets + errors, 2.0 * stated]).astype(np.float32)
    scaling = calibrate_uncertainty(
        outputs[::2], targets[::2].astype(np.float32), random_scaling(len(TEACHER_FEATURES))
    )
    np.testing.assert_allclose(scaling.log_sigma_slope, 1 / 1.6, atol=0.03)
    weights = np.zeros((12, len(TEACHER_FEATURES)), np.float32)
    network = Network((Layer(weights, np.zeros((12, 1), np.float32)),))
    model = PixelModel("teacher", "teacher", network, scaling)
    _, sigma = model.read(outputs[1::2], np.zeros((count // 2, len(QUANTITIES)), np.float32))
    for output in range(6):
        found = scores(
            outputs[1::2, output],
            targets[1::2, output],
            sigma=sigma[:, output] / scaling.output_scale[output],
        )
        assert found.coverage68 == pytest.approx(0.683, abs=0.04)
        assert found.coverage95 == pytest.approx(0.95, abs=0.02)


def _networks(
    teacher_noise: float, student_noise: float, terrain_error: float
) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray], np.ndarray]:
    """Make a teacher that errs with the terrain, a student that does not, and the truth."""
    rng = np.random.default_rng(1)
    count = 40_000
    complexity = rng.uniform(0.0, 1.5, count).astype(np.float32)
    truth = rng.normal(300.0, 10.0, (count, 6)).astype(np.float32)
    teacher = truth + rng.normal(0.0, teacher_noise, truth.shape).astype(np.float32)
    teacher += terrain_error * complexity[:, np.newaxis]
    student = truth + rng.normal(0.0, student_noise, truth.shape).astype(np.float32)
    sigmas = [np.full(truth.shape, noise, np.float32) for noise in (teacher_noise, student_noise)]
    return complexity, (teacher, sigmas[0]), (student, sigmas[1]), truth


@pytest.mark.parametrize(("noise", "terrain_error"), [((0.3, 0.45), 1.0), ((0.3, 0.31), 0.4)])
def test_fusion_is_fitted_to_where_the_student_is_better(noise, terrain_error) -> None:
    complexity, teacher, student, truth = _networks(*noise, terrain_error)
    fusion = calibrate_fusion(complexity, teacher, student, truth)
    weight = fusion.weight(complexity, teacher[1][:, 0], student[1][:, 0])[:, np.newaxis]
    fused = np.abs(teacher[0] + weight * (student[0] - teacher[0]) - truth)
    for low, high in ((0.0, 0.05), (0.05, 0.15), (0.15, 0.4), (0.4, 1.5)):
        members = (complexity >= low) & (complexity < high)
        better = min(np.abs(pair[0] - truth)[members].mean() for pair in (teacher, student))
        assert fused[members].mean() <= 1.02 * better
    if noise[1] > 0.4:
        assert weight[complexity > 1.0].mean() > weight[complexity < 0.05].mean() + 0.3


def test_fusion_does_not_run_what_it_does_not_need() -> None:
    complexity, teacher, _, truth = _networks(0.3, 0.2, 1.0)
    # A student that shares the teacher's noise: their mean gains nothing over it alone.
    noise = teacher[0] - truth - complexity[:, np.newaxis]
    student = (truth + 0.6 * noise).astype(np.float32), teacher[1]
    fusion = calibrate_fusion(complexity, teacher, student, truth, cost=(20.0, 1.0))
    weight = fusion.weight(complexity, teacher[1][:, 0], student[1][:, 0])
    assert (weight == 1.0).mean() > 0.9


def test_groups_are_judged_apart() -> None:
    complexity, teacher, student, truth = _networks(0.2, 0.6, 2.0)
    level = np.zeros(4_000, np.float32)
    few = slice(0, 4_000)
    joined = [np.concatenate([part, part[few]]) for part in (*teacher, *student, truth)]
    # A few level pixels of another kind, on which the student errs.
    joined[2][len(truth) :] += 1.0
    kinds = np.repeat([0, 1], [len(truth), 4_000])
    apart, together = (
        calibrate_fusion(
            np.concatenate([complexity, level]),
            (joined[0], joined[1]),
            (joined[2], joined[3]),
            joined[4],
            group=group,
        )
        for group in (kinds, None)
    )
    # All the others would have the student count more on level ground.
    assert apart.floor < together.floor


def test_drop_out_serves_every_combination() -> None:
    rng = np.random.default_rng(2)
    quantities = np.ones((150_000, len(QUANTITIES)), np.float32)
    reduced = drop_ancillaries(quantities, rng)
    assert np.isfinite(quantities).all()
    present = {}
    for name, columns in GROUPS.items():
        there = np.isfinite(reduced[:, columns])
        assert (there.all(axis=1) == there.any(axis=1)).all()  # a group goes as a whole
        present[name] = there[:, 0]
    combinations = np.stack([present[name] for name in sorted(ALL)], axis=1)
    kinds, counts = np.unique(combinations, axis=0, return_counts=True)
    assert len(kinds) == 2 ** len(ALL)
    assert counts[kinds.all(axis=1)][0] > 0.25 * 150_000
    others = [index for index in range(len(QUANTITIES)) if index not in sum(GROUPS.values(), ())]
    assert np.isfinite(reduced[:, others]).all()
    assert np.isnan(keep_only(quantities, frozenset())[:, GROUPS["water_vapor"]]).all()
    assert len(TEACHER_FEATURES) == 24 + len(CONTEXT)
