"""The last round of a search: its best candidates, trained longer, on pixels never seen twice.

A short trial favours networks that learn fast. They are seldom the best in the end: small networks
lead the leaderboard of a search and fall behind in a long training. So the first few that are not
too large are trained for some epochs as the winner will be. Of those that are about equally good,
the cheapest is taken.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from aktes_xr.documents import write_json
from aktes_xr.errors import TrainingError
from aktes_xr.learn.architecture import Architecture, keras_model, multiplications
from aktes_xr.learn.pixels import Sample
from aktes_xr.learn.training import Progress, Schedule, train
from aktes_xr.models.features import N_OUTPUTS, TEACHER_FEATURES

if TYPE_CHECKING:
    from aktes_xr.learn.pixels import Draw
    from aktes_xr.learn.recipe import Recipe, TeacherRecipe
    from aktes_xr.learn.search import Trial
    from aktes_xr.models import Scaling

FILE: Final = "finals.json"
_ACTIVATION_COST: Final = {"relu": 1, "silu": 60, "tanh": 60}
"""Cost of one unit, in multiplications that take as long; an exponential takes many."""


def cost(architecture: Architecture) -> int:
    """Estimate the work of one pixel at retrieval, in multiplications.

    Parameters
    ----------
    architecture : Architecture
        The hidden layers.

    Returns
    -------
    float
        Activations count as the multiplications that take as long.
    """
    products = multiplications(architecture, len(TEACHER_FEATURES))
    return products + _ACTIVATION_COST[architecture.activation] * sum(architecture.units)


def finalists(trials: Sequence[Trial], recipe: TeacherRecipe) -> list[Trial]:
    """Return the best trials that are not too large, no architecture twice.

    Parameters
    ----------
    trials : sequence of Trial
        The leaderboard, best first.
    recipe : TeacherRecipe
        Its ``max_cost`` and ``finalists``.

    Returns
    -------
    list of Trial

    Raises
    ------
    TrainingError
        All are larger than allowed.
    """
    allowed = {
        trial.architecture: trial
        for trial in reversed(trials)
        if cost(trial.architecture) <= recipe.max_cost
    }
    if not allowed:
        raise TrainingError(
            f"no trial costs at most {recipe.max_cost} multiplications per pixel; raise max_cost "
            "or narrow the search space"
        )
    return sorted(allowed.values(), key=lambda trial: trial.score)[: recipe.finalists]


def choose(scored: Sequence[tuple[float, Architecture]], tolerance: float) -> Architecture:
    """Return the cheapest of the architectures whose score is near the best (lowest) one.

    Parameters
    ----------
    scored : sequence of (float, Architecture)
    tolerance : float
        Share of the best score.
    """
    limit = (1.0 + tolerance) * min(score for score, _ in scored)
    near = [(cost(found), score, found) for score, found in scored if score <= limit]
    return min(near, key=lambda entry: entry[:2])[2]


def final_round(
    recipe: Recipe,
    candidates: Sequence[Trial],
    samples: tuple[Draw, Sample],
    scaling: Scaling,
    *,
    directory: Path,
    progress: Progress,
) -> Architecture:
    """Train the finalists and choose one.

    Parameters
    ----------
    recipe : Recipe
    candidates : sequence of Trial
        Of `finalists`; one alone has won.
    samples : tuple
        Training by epoch, and validation.
    scaling : Scaling
    directory : Path
        Finished finals in it are kept; what was found is in ``finals.json``.
    progress : callable

    Returns
    -------
    Architecture
    """
    if len(candidates) == 1:
        return candidates[0].architecture
    settings, file = recipe.teacher, directory / FILE
    done: list[dict[str, Any]] = json.loads(file.read_text()) if file.exists() else []
    schedule = Schedule(
        settings.final_epochs, settings.batch_size, settings.learning_rate, seed=recipe.seed
    )
    for number, trial in enumerate(candidates):
        if number < len(done):
            continue
        model = train(
            keras_model(trial.architecture, len(TEACHER_FEATURES), f"final_{number}"),
            samples,
            scaling,
            schedule,
            directory=directory,
            progress=progress,
        )
        score = _score(model, samples[1], scaling, recipe.seed)
        done.append({"score": score, "architecture": trial.architecture.to_json()})
        write_json(file, done)
        progress(f"final {number + 1} of {len(candidates)}: {score:.4f} {trial.architecture}")
    scores = [entry["score"] for entry in done]
    found = [trial.architecture for trial in candidates]
    return choose(list(zip(scores, found, strict=True)), settings.tolerance)


def _score(model: Any, validation: Sample, scaling: Scaling, seed: int) -> float:
    """Mean absolute error of the standardised outputs under random drop-out of ancillaries."""
    held = validation.dropped(np.random.default_rng(seed))
    predicted = np.asarray(model.predict(held.inputs(scaling), batch_size=8192, verbose=0))
    return float(np.abs(predicted[:, :N_OUTPUTS] - held.targets(scaling)).mean())
