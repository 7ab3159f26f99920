"""The terrain benchmark's sums, checks and counting, on numbers made by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from random_bundle import random_bundle

from aktes_xr.bench.terrain import BOTH, CLASSES, Counting, Tally, checks, counting, jumps, score
from aktes_xr.bench.terrain_granules import SITES, Estimate, Granule
from aktes_xr.models.forward import TILE
from aktes_xr.simulate.terrain_samples import RELIEFS
from aktes_xr.validation.metrics import scores


def granule(errors: dict[str, float], *, seed: int = 0) -> Granule:
    """A granule of all classes; all methods err by one noise, each by its own constant."""
    rng = np.random.default_rng(seed)
    shape = (60, 80)
    truth = rng.normal(290.0, 8.0, shape).astype(np.float32)
    emissivity = np.full((5, *shape), 0.95, np.float32)
    view = np.linspace(0.5, 1.0, 80, dtype=np.float32) * np.ones(shape, np.float32)
    noise = rng.normal(0.0, 0.3, shape).astype(np.float32)
    found = {
        method: Estimate(
            truth + noise + error,
            emissivity + np.float32(0.01 * abs(error)),
            np.full(shape, 0.3, np.float32),
        )
        for method, error in errors.items()
    }
    return Granule(SITES[0], True, True, truth, emissivity, view, found)


def test_sums_are_the_scores_of_the_pooled_pixels() -> None:
    tallies: dict[tuple[str, str], Tally] = {}
    parts = [granule({"fusion": shift}, seed=seed) for seed, shift in enumerate((0.1, -0.3))]
    for part in parts:
        score(part, tallies)
    low, high = CLASSES["steep"]
    found, truth, sigma = (
        np.concatenate(
            [values[(p.sky_view_factor >= low) & (p.sky_view_factor < high)] for p, values in pairs]
        )
        for pairs in (
            [(p, p.estimates["fusion"].temperature) for p in parts],
            [(p, p.truth) for p in parts],
            [(p, p.estimates["fusion"].sigma) for p in parts],
        )
    )
    expected = scores(found, truth, sigma=sigma)
    tally = tallies["steep", "fusion"]
    n, count, mae, bias, _, rmse, pcc, one, two, emissivity = tally.cells()
    assert (n, count) == (expected.n, 2)
    np.testing.assert_allclose(
        (mae, bias, rmse, pcc, one, two),
        (
            expected.mae,
            expected.bias,
            expected.rmse,
            expected.pcc,
            expected.coverage68,
            expected.coverage95,
        ),
        rtol=1e-5,
    )
    assert emissivity == pytest.approx(0.01 * 0.2, rel=1e-3)


@pytest.mark.parametrize(
    ("fusion", "failing"),
    [
        (0.02, set()),
        (0.25, {"|bias|", "better network, T", "better network, e"}),
    ],
)
def test_checks_notice_a_fusion_that_is_worse_than_its_parts(
    fusion: float, failing: set[str]
) -> None:
    tallies: dict[tuple[str, str], Tally] = {}
    score(granule({"teacher": 1.0, "student": 0.02, "fusion": fusion}), tallies)
    found = checks(tallies)
    assert len(found) == 4 * 3 + 2
    failed = {check.name for check in found if not check.holds}
    assert {text for text in failing if any(text in name for name in failed)} == failing
    assert bool(failed) == bool(failing)


def test_steep_ground_must_gain_over_the_teacher() -> None:
    tallies: dict[tuple[str, str], Tally] = {}
    score(granule({"teacher": 0.05, "student": 0.05, "fusion": 0.05}), tallies)
    failed = {check.name for check in checks(tallies) if not check.holds}
    assert {
        "extreme: fusion's MAE below the teacher's",
        "steep: fusion's MAE below the teacher's",
    } <= (failed)


def test_jumps_are_found_across_and_inside_chunks() -> None:
    weight = np.zeros((8, 8), np.float32)
    weight[:, 4:] = 0.5
    weight[6:] += 0.2
    across, inside = jumps(weight, 4)
    assert across == pytest.approx(0.5)
    assert inside == pytest.approx(0.2)


def test_networks_count_the_pixels_they_are_run_on(tmp_path: Path) -> None:
    bundle = random_bundle(tmp_path / "b")
    counts: dict[str, list[int]] = {}
    counted = counting(bundle, BOTH, counts)
    network = counted.teacher.network
    assert isinstance(network, Counting)
    features = np.zeros((network.n_features, TILE + 1), np.float32)
    np.testing.assert_array_equal(
        network.predict(features), bundle.teacher.network.predict(features)
    )
    assert counts["teacher"] == [TILE, TILE]
    assert counted.sha256 != bundle.sha256


def test_sites_have_relief_that_training_lacks() -> None:
    trained = {*RELIEFS["train"], *RELIEFS["validation"]}
    assert not {(site.kind, site.relief_m) for site in SITES} & trained
    assert {site.kind for site in SITES} - {kind for kind, _ in trained}
