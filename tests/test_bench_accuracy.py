from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from random_bundle import random_bundle

from aktes_xr.bench import accuracy
from aktes_xr.bench.accuracy import coverage_checks, physics_checks, reference_checks
from aktes_xr.bench.accuracy_gain import GAIN_TARGETS, gain
from aktes_xr.bench.accuracy_methods import (
    NO_PRIOR,
    NOTHING,
    SPLIT_WINDOW,
    TEACHER,
    TES,
    WATER_AND_PRIOR,
    Comparison,
    compare,
    harm,
    physical_estimates,
    worth,
)
from aktes_xr.bench.checks import run_benchmark
from aktes_xr.errors import InputError
from aktes_xr.learn import evaluation
from aktes_xr.learn.evaluation import (
    DRY,
    OVERALL,
    common_prior_error,
    strata,
    unseen_pixels,
    wrong_ancillary,
)
from aktes_xr.models.features import QUANTITIES

WATER = QUANTITIES.index("water_vapor")
AIR = QUANTITIES.index("air_temperature")
PRIOR = slice(
    QUANTITIES.index("emissivity_prior_B10"), QUANTITIES.index("emissivity_prior_B14") + 1
)
SIZE = 6_000


@pytest.fixture(scope="module")
def pixels() -> evaluation.UnseenPixels:
    with pytest.MonkeyPatch.context() as patch:
        # What is told of a field errs for all its pixels alike: many fields, few pixels of each.
        patch.setattr(evaluation, "PER_FIELD", 8)
        return unseen_pixels(SIZE, "G")


class Oracle:
    """A model that knows the truth up to a given error, larger for each ancillary it lacks."""

    def __init__(self, pixels: evaluation.UnseenPixels, *, error: float = 0.1) -> None:
        self.truth, self.error = pixels.truth, error
        self.noise = np.random.default_rng(0).standard_normal(pixels.truth.shape)

    def predict(self, quantities: Any) -> tuple[Any, Any]:
        missing = np.isnan(quantities[:, [WATER, AIR, PRIOR.start, 6]]).sum(axis=1)[:, np.newaxis]
        sigma = self.error * (1.0 + missing) * np.ones((1, 6))
        return (self.truth + sigma * self.noise).astype(np.float32), sigma.astype(np.float32)


def test_errors_are_of_the_stated_size(pixels: evaluation.UnseenPixels) -> None:
    simulated, quantities = pixels.simulated, pixels.quantities
    relative = quantities[:, WATER] / simulated["precipitable_water"].to_numpy()
    assert np.log(relative).std() == pytest.approx(0.10, rel=0.05)
    np.testing.assert_allclose(quantities[:, WATER + 1], 0.1 * quantities[:, WATER], rtol=1e-5)
    air = quantities[:, AIR] - simulated["true_air_temperature"].to_numpy()
    assert air.std() == pytest.approx(2.0, rel=0.05)
    dark = pixels.truth[:, 1:] < 0.93  # where no prior is cut off at 1
    stated = quantities[:, PRIOR.stop : PRIOR.stop + 1]
    assert np.median(stated) == pytest.approx(0.015, rel=0.05)
    # What is stated differs from surface to surface; errors are as large as it says.
    prior = ((quantities[:, PRIOR] - pixels.truth[:, 1:]) / stated)[dark]
    assert prior.std() == pytest.approx(1.0, rel=0.05)
    assert set(np.unique(simulated["nedt"])) == {np.float32(0.15)}
    common = (common_prior_error(pixels, 0.5)[:, PRIOR] - pixels.truth[:, 1:])[dark.all(axis=1)]
    assert np.corrcoef(common.T)[0, 4] == pytest.approx(0.5, abs=0.15)


def test_a_wrong_ancillary_is_wrong_by_three_stated_errors(
    pixels: evaluation.UnseenPixels,
) -> None:
    water = wrong_ancillary(pixels, "water_vapor", how="exactly")
    off = water[:, WATER] - pixels.simulated["precipitable_water"].to_numpy()
    np.testing.assert_allclose(np.abs(off), 3.0 * water[:, WATER + 1], rtol=1e-4)
    air = wrong_ancillary(pixels, "air_temperature", how="exactly")
    off = air[:, AIR] - pixels.simulated["true_air_temperature"].to_numpy()
    np.testing.assert_allclose(np.abs(off), 6.0, atol=1e-3)
    assert abs((off > 0).mean() - 0.5) < 0.05
    prior = wrong_ancillary(pixels, "emissivity_prior", how="exactly")[:, PRIOR]
    dark = pixels.truth[:, 1:] < 0.95
    np.testing.assert_allclose(np.abs(prior - pixels.truth[:, 1:])[dark], 0.045, atol=1e-5)
    assert prior.max() <= 1.0
    drawn = wrong_ancillary(pixels, "air_temperature", how="drawn")[:, AIR]
    spread = (drawn - pixels.simulated["true_air_temperature"].to_numpy()).std()
    assert spread == pytest.approx(6.0, rel=0.05)
    for column in set(range(len(QUANTITIES))) - {AIR}:
        np.testing.assert_array_equal(air[:, column], pixels.quantities[:, column])
    with pytest.raises(InputError, match="stated error"):
        wrong_ancillary(pixels, "surface_pressure", how="drawn")
    with pytest.raises(InputError, match="'exactly' or 'drawn'"):
        wrong_ancillary(pixels, "water_vapor", how="doubled")  # type: ignore[arg-type]


def test_strata_cover_the_sample(pixels: evaluation.UnseenPixels) -> None:
    masks = strata(pixels.simulated)
    water = [mask for name, mask in masks.items() if name.startswith("water ") and name != DRY]
    assert (np.stack(water).sum(axis=0) == 1).all()
    np.testing.assert_array_equal(
        masks[DRY], pixels.simulated["precipitable_water"].to_numpy() < 25.0
    )
    assert masks[OVERALL].all()
    assert len(set(pixels.groups)) < 40
    assert len(set(unseen_pixels(1_000, "P").groups)) == 20


def test_physics_is_told_what_the_teacher_is_told(pixels: evaluation.UnseenPixels) -> None:
    """Another water column changes what TES and split window find; a true one helps."""
    estimates = physical_estimates(pixels)
    quantities = pixels.quantities.copy()
    quantities[:, WATER] = pixels.simulated["precipitable_water"]
    quantities[:, AIR] = pixels.simulated["true_air_temperature"]
    quantities[:, PRIOR] = pixels.truth[:, 1:]
    told = evaluation.UnseenPixels("G", quantities, pixels.truth, pixels.simulated)
    right = physical_estimates(told)
    for key in ((TES, NO_PRIOR), (SPLIT_WINDOW, WATER_AND_PRIOR)):
        error, least = (
            np.nanmean(np.abs(found[key][0][:, 0] - pixels.truth[:, 0]))
            for found in (estimates, right)
        )
        assert least < 0.9 * error < 1.5


def test_checks_tell_a_good_teacher_from_a_bad_one(pixels: evaluation.UnseenPixels) -> None:
    good: Any = Oracle(pixels, error=0.002)
    comparison = compare(pixels, good, good)
    assert all(check.holds for check in physics_checks(comparison))
    assert [check.value for check in reference_checks(comparison)] == [1.0] * 4
    covered, rows = coverage_checks("G", comparison)
    assert all(check.holds for check in covered)
    assert len(rows) == 8
    helps, table = worth({"G": comparison})
    assert all(check.holds for check in helps)
    assert {row[3] for row in table.rows} == set(comparison.scores[TEACHER, "all"])
    # This teacher does not mind a wrong value, only a missing one.
    assert all(check.value < 1.0 and check.holds for check in harm({"G": comparison}, good)[0])

    bad: Any = Oracle(pixels, error=5.0)
    comparison = compare(pixels, bad, good)
    assert not any(check.holds for check in physics_checks(comparison))
    assert not any(check.holds for check in reference_checks(comparison))
    overconfident = Comparison(
        pixels,
        {
            key: (found[0], 0.5 * found[1])
            for key, found in comparison.estimates.items()
            if found[1] is not None
        },
    )
    assert not any(check.holds for check in coverage_checks("G", overconfident)[0])


def test_what_ancillaries_bring_is_told_by_water_column(pixels: evaluation.UnseenPixels) -> None:
    truth, wet = pixels.truth, pixels.simulated["precipitable_water"].to_numpy() >= 25.0
    off = np.ones_like(truth)

    def comparison(dry_gain: float, wet_gain: float) -> Comparison:
        told = np.where(wet, wet_gain, dry_gain)[:, np.newaxis].astype(np.float32)
        names = {NOTHING: off, **dict.fromkeys(GAIN_TARGETS, told * off)}
        return Comparison(
            pixels, {(TEACHER, name): (truth + error, None) for name, error in names.items()}
        )

    checks, table = gain(comparison(0.5, 0.5))
    assert len(checks) == 2 * len(GAIN_TARGETS)
    assert all(check.holds and check.value == pytest.approx(0.5, abs=1e-3) for check in checks)
    assert table.rows[0][:2] == (OVERALL, SIZE)
    assert sum(row[1] for row in table.rows[1:]) <= SIZE
    # Each water column has its own figure; one that gains nothing is found behind a good mean.
    checks, table = gain(comparison(0.1, 1.0))
    for row in table.rows[1:]:
        dry = row[0] in ("water 0-10 mm", "water 10-25 mm")
        assert row[2] == pytest.approx(0.1 if dry else 1.0, abs=1e-3)
    worst = [check for check in checks if "worst water column" in check.name]
    assert [check.value for check in worst] == [pytest.approx(1.0, abs=1e-3)] * 2
    assert not any(check.holds for check in worst)


def test_the_benchmark_runs_on_any_bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accuracy, "QUICK_SAMPLES", 2_000)
    random_bundle(tmp_path / "random", students=False)
    result = run_benchmark("accuracy", quick=True, bundle=str(tmp_path / "random"))
    assert not result.holds
    names = [check.name for check in result.checks]
    assert len(set(names)) == len(names)
    assert not any("8x" in name for name in names)
    table = next(table for table in result.tables if table.title == "Unseen simulated pixels")
    found = {(row[0], row[1]) for row in table.rows}
    assert {("G", "teacher"), ("P", "TES"), ("P", "split window")} <= found
    assert "G, all over nothing: temperature MAE, all" in names
    gains = next(table for table in result.tables if "with ancillaries over" in table.title)
    assert [row[0] for row in gains.rows][:2] == [OVERALL, "water 0-10 mm"]
    assert {row[2] for row in table.rows if row[1] == "teacher"} >= set(evaluation.ANCILLARY_SETS)
    with pytest.raises(InputError, match="takes no reference"):
        run_benchmark("radiative", quick=True, reference="x")


def test_kept_figures_of_the_reference_are_shown_with_their_provenance(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = random_bundle(tmp_path / "random", students=False)
    score = {"mae": 0.4, "n": 10}
    row = {"protocol": "G", "ancillaries": "all", "temperature": score, "emissivity": score}
    kept = {
        "teacher_sha256": bundle.teacher.network.sha256,
        "multiplications": 800,
        "teacher_multiplications": 100,
        "recipe": {"name": "toy", "teacher": {"epochs": 3}},
        "test": {"samples": 10, "seed": 77},
        "rows": [row | {"stratum": "all"}, row | {"stratum": "rock"}],
    }
    (tmp_path / "data").mkdir()
    monkeypatch.setattr(accuracy.importlib.resources, "files", lambda name: tmp_path)
    assert accuracy.stored_reference(bundle) == []
    (tmp_path / "data" / accuracy.REFERENCE_FIGURES).write_text(json.dumps(kept))
    (table,) = accuracy.stored_reference(bundle)
    assert "not in this run" in table.title
    assert "8.0 times" in table.title
    assert "this teacher" in table.title
    assert len(table.rows) == 1
