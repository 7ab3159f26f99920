"""Soft targets, labels with errors, and what the student and its fusion are made from."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

pytest.importorskip("keras")

from random_bundle import random_bundle, random_model

from aktes_xr import learn
from aktes_xr.bench import ablation
from aktes_xr.bench.ablation import AblationSettings, Variant, ablate
from aktes_xr.bench.checks import Study
from aktes_xr.learn import distillation, student, student_sample
from aktes_xr.learn.architecture import Architecture, fold, keras_model
from aktes_xr.learn.distillation import soft_model
from aktes_xr.learn.labels import LocalPixels
from aktes_xr.learn.losses import label_likelihood
from aktes_xr.learn.pixels import N_SOFT, UNLABELLED, Answers, Hints, Sample, SoftSample
from aktes_xr.learn.recipe import StudentRecipe
from aktes_xr.learn.training import scaling_of
from aktes_xr.models import PixelModel
from aktes_xr.models.context import N_CONTEXT
from aktes_xr.models.features import N_QUANTITIES, PRIOR, QUANTITIES, STUDENT_FEATURES, SURROUNDINGS


def pixels(count: int, seed: int = 0) -> Sample:
    """Pixels whose truth follows from what is measured, in terrain."""
    rng = np.random.default_rng(seed)
    quantities = rng.normal(size=(count, N_QUANTITIES)).astype(np.float32)
    columns = {name: index for index, name in enumerate(QUANTITIES)}
    quantities[:, :5] = 290.0 + rng.normal(scale=8.0, size=(count, 1)) + quantities[:, :5]
    quantities[:, columns["view_zenith"]] = rng.uniform(0, 8, count)
    quantities[:, columns["surface_pressure"]] = rng.uniform(700, 1013, count)
    quantities[:, columns["water_vapor"]] = rng.uniform(2, 30, count)
    quantities[:, columns["water_vapor_error"]] = 1.5
    quantities[:, columns["air_temperature"]] = quantities[:, 3] + rng.normal(size=count)
    quantities[:, columns["air_temperature_error"]] = 2.0
    quantities[:, columns["skin_temperature"]] = quantities[:, 3] + 3.0 * rng.normal(size=count)
    quantities[:, columns["skin_temperature_error"]] = 3.0
    quantities[:, PRIOR : PRIOR + 5] = rng.uniform(0.9, 0.99, (count, 5))
    quantities[:, columns["emissivity_prior_uncertainty"]] = 0.015
    around = slice(SURROUNDINGS, SURROUNDINGS + N_CONTEXT)
    quantities[:, around] = np.abs(quantities[:, around])
    quantities[:, columns["sky_view_factor"]] = rng.uniform(0.5, 1.0, count)
    truth = np.empty((count, 6), np.float32)
    hidden = 1.0 - quantities[:, columns["sky_view_factor"]]
    truth[:, 0] = quantities[:, 3] + 0.2 * quantities[:, columns["water_vapor"]] - 3.0 * hidden
    truth[:, 1:] = quantities[:, PRIOR : PRIOR + 5]
    return Sample(quantities, truth)


@pytest.fixture(scope="module")
def teacher() -> PixelModel:
    return random_model("teacher", (48, 48))


def test_soft_targets_are_the_teachers_answers_in_the_students_units(teacher: PixelModel) -> None:
    sample = pixels(500)
    scaling = scaling_of(sample, np.random.default_rng(0), terrain=True)
    soft = SoftSample(sample.quantities, sample.truth, teacher)
    inputs = soft.inputs(scaling)
    assert inputs.shape == (500, len(STUDENT_FEATURES) + N_SOFT)
    np.testing.assert_array_equal(inputs[:, : len(STUDENT_FEATURES)], sample.inputs(scaling))
    mean = inputs[:, len(STUDENT_FEATURES) :][:, :6] * scaling.output_scale + scaling.output_center
    mean[:, 0] += sample.quantities[:, 3]
    estimate, sigma = teacher.predict(sample.quantities)
    np.testing.assert_allclose(mean, estimate, rtol=1e-4, atol=2e-3)
    stated = np.exp(0.5 * inputs[:, -6:]) * scaling.output_scale
    np.testing.assert_allclose(stated, sigma, rtol=1e-3)


def test_the_teacher_is_asked_about_what_drop_out_left(teacher: PixelModel) -> None:
    sample = pixels(300)
    scaling = scaling_of(sample, np.random.default_rng(0), terrain=True)
    soft = SoftSample(sample.quantities, sample.truth, teacher)
    whole, reduced = soft.soft(scaling), soft.dropped(np.random.default_rng(1)).soft(scaling)
    assert (np.abs(whole - reduced).max(axis=1) > 1e-3).mean() > 0.3
    assert replace(soft, keep=True).dropped(np.random.default_rng(1)).soft(scaling).tolist() == (
        whole.tolist()
    )


def test_labels_pull_as_much_as_they_know() -> None:
    loss = label_likelihood(labelled=0.5)
    outputs = np.zeros((3, 12), np.float32)
    labels = np.ones((3, 12), np.float32)
    labels[0, 6:], labels[1, 6:], labels[2, 6:] = 0.0, 2.0, -1.0
    exact, noisy, absent = np.asarray(loss(labels, outputs))
    assert absent == 0.0
    # |1 - 0| / sqrt(1 + s^2) + log sqrt(1 + s^2), twice as heavy because half the pixels count.
    assert exact == pytest.approx(2.0, rel=1e-5)
    assert noisy == pytest.approx(2.0 * (5**-0.5 + 0.5 * np.log(5.0)), rel=1e-5)


def test_targets_say_which_labels_there_are(teacher: PixelModel) -> None:
    sample = pixels(4)
    error = np.full((4, 6), UNLABELLED)
    error[0] = (1.0, *[0.01] * 5)
    error[1, 0] = 2.0
    soft = SoftSample(sample.quantities, sample.truth, teacher, error)
    scaling = scaling_of(pixels(200), np.random.default_rng(0), terrain=True)
    targets = soft.targets(scaling)
    assert soft.labelled_share == pytest.approx(0.5)
    assert (targets[2:, 6:] == -1.0).all()
    assert targets[1, 6] == pytest.approx(2.0 / scaling.output_scale[0])
    assert np.isfinite(targets).all()
    known = soft.known_truth()
    np.testing.assert_array_equal(known[0], sample.truth[0])
    assert (known[3] != sample.truth[3]).all()  # the teacher's word where there is no label


def test_a_residual_student_of_zero_weights_repeats_the_teacher() -> None:
    features = len(STUDENT_FEATURES)
    plain = keras_model(Architecture((4,)), features + N_SOFT, "residual")
    plain.set_weights([np.zeros_like(weight) for weight in plain.get_weights()])
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(5, features + N_SOFT)).astype(np.float32)
    outputs = np.asarray(soft_model(plain, residual=True)(inputs))
    np.testing.assert_allclose(outputs[:, :6], inputs[:, features : features + 6], atol=1e-6)


def test_hints_are_uncorrelated_and_of_unit_variance(teacher: PixelModel) -> None:
    sample = pixels(2_000)
    hints = Hints.fitted(teacher, sample.quantities, 5).of(sample.quantities)
    np.testing.assert_allclose(np.cov(hints.T), np.eye(5), atol=2e-2)


def test_student_is_as_wide_as_the_teacher_allows() -> None:
    teacher = random_model("teacher", (256, 256, 256, 256))
    units = student.student_units(StudentRecipe(), teacher)
    network = fold(
        keras_model(Architecture(units), len(STUDENT_FEATURES), "s"), Architecture(units)
    )
    most = student.STUDENT_SHARE * teacher.network.multiplications
    assert 0.85 * most < network.multiplications <= most
    assert student.student_units(StudentRecipe(units=(20, 12)), teacher) == (20, 12)


@pytest.fixture(scope="module")
def world() -> pytest.MonkeyPatch:
    """Terrain pixels without simulation: training, validation and test differ by seed."""

    def toy_draw(size, world):
        sample = pixels(size, seed=["train", "validation", "test"].index(world.split))
        return sample, xr.Dataset({"structure": ("sample", np.zeros(size, np.int8))})

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(student_sample, "draw", toy_draw)
        patch.setattr(ablation, "draw", toy_draw)
        yield patch


def _toy_recipe() -> learn.recipe.Recipe:
    quick = learn.load_recipe("quick")
    small = StudentRecipe(
        samples=6_000,
        validation_samples=1_500,
        units=(16, 16),
        alpha=0.1,
        epochs=12,
        batch_size=128,
        learning_rate=8e-3,
    )
    return replace(quick, name="toy", student=small)


def test_student_learns_terrain_that_its_teacher_cannot_see(
    world: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    bundle = random_bundle(tmp_path / "teacher", students=False)
    recipe = _toy_recipe()
    training = pixels(6_000, seed=3)
    training = SoftSample(training.quantities, training.truth, bundle.teacher)
    validation = pixels(1_500, seed=4)
    trained, _ = student.fit_student(
        recipe.student, (training, validation), bundle.teacher, seed=1, directory=tmp_path
    )
    estimate, sigma = trained.predict(validation.quantities)
    error = np.abs(estimate[:, 0] - validation.truth[:, 0])
    assert error.mean() < 0.45
    # Sigma is calibrated on pixels some of whose ancillaries are missing, and told so.
    held = validation.dropped(np.random.default_rng(5))
    estimate, sigma = trained.predict(held.quantities)
    inside = np.abs(estimate[:, 0] - held.truth[:, 0]) < sigma[:, 0]
    assert 0.5 < inside.mean() < 0.9


def test_local_labels_teach_the_student_their_region(
    world: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    bundle = random_bundle(tmp_path / "teacher", students=False)
    settings = replace(_toy_recipe().student, epochs=6)
    sample = pixels(6_000, seed=3)
    sample = SoftSample(sample.quantities, sample.truth, bundle.teacher)
    validation = pixels(1_500, seed=4)
    ours = pixels(800, seed=9)
    ours.quantities[:, QUANTITIES.index("relief")] += 8.0  # a place that can be told from others
    warm = ours.truth.copy()
    warm[:, 0] += 2.0
    error = np.tile(np.float32((0.2, *[0.01] * 5)), (800, 1))
    labels = LocalPixels(ours.quantities, warm, error)
    joined = student.with_local(sample, labels, bundle.teacher)
    assert len(joined.truth) - len(sample.truth) == pytest.approx(0.25 * 6_000, abs=800)
    biases = []
    for number, part in enumerate((sample, joined)):
        trained, _ = student.fit_student(
            settings,
            (part, validation),
            bundle.teacher,
            seed=1,
            directory=tmp_path / str(number),
        )
        estimate, _ = trained.predict(ours.quantities)
        biases.append(float((estimate[:, 0] - ours.truth[:, 0]).mean()))
    assert biases[1] > biases[0] + 0.1


def test_ablation_tabulates_every_variant_budget_and_anchor(
    world: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    bundle = random_bundle(tmp_path / "bundle", students=False)
    settings = AblationSettings(
        pool=600,
        validation=200,
        test=200,
        budgets=(50, 0),
        seeds=1,
        variants=(
            Variant("none", 0.0),
            Variant("response", 0.5),
            Variant("feature", 0.5),
            Variant("residual", 0.5),
        ),
        steps=6,
        batch_size=64,
        anchor_steps=6,
    )
    study = ablate(_toy_recipe(), tmp_path / "study", bundle=bundle.location, settings=settings)
    again = Study.read(study.path)
    assert len(again.rows) == 4 * 2 + 2 + 2
    assert [row[1] for row in again.rows[4:]] == [50] * 4 + [600] * 4
    assert all(np.isfinite(row[3]) for row in again.rows)
    assert "Dai et al. 2025" in study.text()
    assert json.loads(study.path.read_text())["columns"] == list(ablation.COLUMNS)


def test_answers_are_given_whatever_is_asked() -> None:
    answers = Answers(np.ones((2, 6), np.float32), np.full((2, 6), 0.5, np.float32))
    assert answers.predict(np.zeros((2, N_QUANTITIES), np.float32))[1].max() == 0.5
    assert distillation.N_SOFT == 12
