"""Choosing among a search's candidates."""

from __future__ import annotations

from dataclasses import replace

import pytest

from aktes_xr.errors import TrainingError
from aktes_xr.learn.architecture import Architecture, multiplications
from aktes_xr.learn.finals import choose, cost, finalists
from aktes_xr.learn.recipe import TeacherRecipe
from aktes_xr.learn.search import Trial
from aktes_xr.models.features import TEACHER_FEATURES

SMALL, MIDDLE, LARGE = (Architecture((width,) * 3) for width in (64, 128, 512))


def trial(score: float, architecture: Architecture) -> Trial:
    return Trial(score, architecture, "adam", 1e-3)


def test_cost_counts_weights_and_transcendentals() -> None:
    features = len(TEACHER_FEATURES)
    assert multiplications(SMALL, features) == features * 64 + 64 * 64 * 2 + 64 * 12
    assert cost(SMALL) == multiplications(SMALL, features) + 3 * 64
    assert cost(replace(SMALL, activation="silu")) > cost(SMALL) + 50 * 3 * 64


def test_finalists_are_the_best_that_are_small_enough_and_differ() -> None:
    trials = [trial(0.1, LARGE), trial(0.2, SMALL), trial(0.3, SMALL), trial(0.4, MIDDLE)]
    recipe = TeacherRecipe(max_cost=100_000, finalists=2)
    assert [(t.score, t.architecture) for t in finalists(trials, recipe)] == [
        (0.2, SMALL),
        (0.4, MIDDLE),
    ]


def test_all_too_large() -> None:
    with pytest.raises(TrainingError, match="raise max_cost"):
        finalists([trial(0.1, LARGE)], TeacherRecipe(max_cost=1_000))


def test_the_cheapest_of_about_equally_good_ones_wins() -> None:
    scored = [(0.1000, LARGE), (0.1004, MIDDLE), (0.1030, SMALL)]
    assert choose(scored, 0.005) == MIDDLE
    assert choose(scored, 0.0) == LARGE
    assert choose(scored, 0.05) == SMALL
