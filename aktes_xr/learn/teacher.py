"""The teacher: search, long training of the winner, calibration, and the bundle it ships in."""

from __future__ import annotations

import functools
import json
import logging
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np

from aktes_xr.documents import write_json
from aktes_xr.errors import TrainingError
from aktes_xr.learn.architecture import Architecture, fold, keras_model
from aktes_xr.learn.card import Networks, model_card
from aktes_xr.learn.drawing import Ahead, World, draw
from aktes_xr.learn.evidence import Evidence
from aktes_xr.learn.figure import write_training_figures
from aktes_xr.learn.finals import FILE as FINALS
from aktes_xr.learn.finals import final_round, finalists
from aktes_xr.learn.fitting import calibrated_scaling
from aktes_xr.learn.history import FILE as HISTORY
from aktes_xr.learn.history import histories_bytes, read_histories
from aktes_xr.learn.packages import check_training_packages
from aktes_xr.learn.pixels import Draw, Sample
from aktes_xr.learn.recipe import Recipe
from aktes_xr.learn.search import Trial, search
from aktes_xr.learn.training import Progress, Schedule, keras_bytes, scaling_of, train
from aktes_xr.models import BundleContents, PixelModel, Scaling, write_bundle
from aktes_xr.models.features import TEACHER_FEATURES
from aktes_xr.simulate.atmospheres import Protocol

if TYPE_CHECKING:
    pass


_LOGGER = logging.getLogger(__name__)
PIXELS_PER_FIELD: Final = 800
"""Taken of a field to train on: drawing a field costs as much as learning from so many pixels."""


def train_teacher(
    recipe: Recipe,
    directory: str | Path,
    *,
    name: str = "default",
    progress: Progress | None = None,
) -> Path:
    """Search, train, calibrate and bundle a teacher.

    Parameters
    ----------
    recipe : Recipe
    directory : str or Path
        Working directory. Finished trials and epochs in it are kept: after a kill, the same call
        goes on. It belongs to one recipe.
    name : str
        Of the bundle.
    progress : callable, optional
        Called with a line of text now and then.

    Returns
    -------
    Path
        The bundle's directory, ``directory/bundle``; figures of the search and of the losses lie in
        ``directory/figures``.

    Raises
    ------
    DependencyError
        A package that training needs is not installed.
    TrainingError
        The directory belongs to another recipe, or the search failed.
    """
    check_training_packages()
    work = Path(directory)
    claim(work, recipe)
    say = progress or _LOGGER.info
    say("simulating the training sample")
    samples = draw_samples(recipe)
    scaling = scaling_of(samples[0], np.random.default_rng(recipe.seed), terrain=False)
    trials = _search(recipe, samples, scaling, work, say)
    architecture = final_round(
        recipe,
        finalists(trials, recipe.teacher),
        (_stream(recipe, samples[0]), samples[1]),
        scaling,
        directory=work,
        progress=say,
    )
    say(f"training {architecture}")
    teacher, model = fit(recipe, architecture, samples, scaling, directory=work, progress=progress)
    histories = read_histories(work / HISTORY)
    write_training_figures(work / "figures", trials, histories, chosen=architecture)
    evidence = Evidence.of_teacher(teacher)
    extras = {
        "teacher.keras": keras_bytes(model, work),
        "metrics.json": evidence.to_bytes(),
        "leaderboard.json": (work / "leaderboard.json").read_bytes(),
        "recipe.json": (json.dumps(recipe.to_json(), indent=1) + "\n").encode(),
        HISTORY: histories_bytes(histories),
    }
    if (work / FINALS).exists():
        extras[FINALS] = (work / FINALS).read_bytes()
    card = model_card(recipe, Networks((teacher,), None, histories), evidence)
    contents = BundleContents(name, (teacher,), card, None, extras)
    write_bundle(work / "bundle", contents, overwrite=True)
    return work / "bundle"


def draw_epoch(recipe: Recipe, epoch: int) -> Sample:
    """Draw the training sample of an epoch on flat ground, by both protocols.

    Parameters
    ----------
    recipe : Recipe
        What is trained, and on what.
    epoch : int
        Number of the epoch; each has a seed of its own.

    Returns
    -------
    Sample
    """
    return _drawn(recipe, recipe.teacher.samples, split="train", seed=recipe.seed + 100 * epoch)


def draw_samples(recipe: Recipe) -> tuple[Sample, Sample]:
    """Draw a recipe's first training sample and its validation sample on flat ground.

    Parameters
    ----------
    recipe : Recipe
        What is trained, and on what.

    Returns
    -------
    training, validation : Sample
    """
    count = recipe.teacher.validation_samples
    return draw_epoch(recipe, 0), _drawn(recipe, count, split="validation", seed=recipe.seed)


def _stream(recipe: Recipe, first: Sample) -> Draw:
    """Give each epoch a sample of its own; that of the first is at hand."""
    return lambda epoch: draw_epoch(recipe, epoch) if epoch else first


def _drawn(
    recipe: Recipe, size: int, *, split: Literal["train", "validation"], seed: int
) -> Sample:
    model = round(recipe.teacher.model_atmospheres * size)
    counts: dict[Protocol, int] = {"G": size - model, "P": model}
    taken = PIXELS_PER_FIELD if split == "train" else None
    parts = [
        draw(
            count,
            World.of(recipe, split, seed, protocol=protocol, per_field=taken),
        )[0]
        for protocol, count in counts.items()
        if count
    ]
    return functools.reduce(Sample.joined, parts)


def fit(
    recipe: Recipe,
    architecture: Architecture,
    samples: tuple[Sample, Sample],
    scaling: Scaling,
    *,
    directory: Path,
    progress: Progress | None = None,
) -> tuple[PixelModel, Any]:
    """Train one architecture as long as the recipe says, and calibrate its variances.

    Parameters
    ----------
    recipe : Recipe
    architecture : Architecture
    samples : tuple of Sample
        Of the first epoch and validation, from `draw_samples`.
    scaling : Scaling
        Of the training sample.
    directory : Path
        Of the checkpoint; finished epochs in it are kept.
    progress : callable, optional
        Called with one line per epoch.

    Returns
    -------
    PixelModel, keras.Model
        As retrieval runs it, and as it was trained.
    """
    settings, (first, validation) = recipe.teacher, samples
    schedule = Schedule(
        settings.epochs, settings.batch_size, settings.learning_rate, seed=recipe.seed
    )
    with Ahead(functools.partial(draw_epoch, recipe), settings.epochs) as ahead:
        model = train(
            keras_model(architecture, len(TEACHER_FEATURES), "teacher"),
            (lambda epoch: ahead(epoch) if epoch else first, validation),
            scaling,
            schedule,
            directory=directory,
            progress=progress,
        )
    network = fold(model, architecture)
    # Uncertainties are calibrated on ancillaries whose errors are as large as they are stated.
    as_stated = replace(recipe, errors=recipe.errors.as_stated())
    count = settings.validation_samples
    told = _drawn(as_stated, count, split="validation", seed=recipe.seed + 1)
    held = told.dropped(np.random.default_rng(recipe.seed + 1))
    calibrated = calibrated_scaling(network, held, scaling)
    return PixelModel("teacher", "teacher", network, calibrated), model


def claim(work: Path, recipe: Recipe) -> None:
    """Make a working directory this recipe's own.

    A directory that holds another recipe's training is refused.

    Parameters
    ----------
    work : Path
        The directory; it is made where there is none.
    recipe : Recipe
        What is trained, and on what.

    Raises
    ------
    TrainingError
    """
    work.mkdir(parents=True, exist_ok=True)
    file, mine = work / "recipe.json", json.loads(json.dumps(recipe.to_json()))
    if file.exists() and json.loads(file.read_text()) != mine:
        raise TrainingError(
            f"{work.name} holds the training of another recipe: choose another directory, or "
            "remove it to start anew"
        )
    write_json(file, mine)


def _search(
    recipe: Recipe,
    samples: tuple[Sample, Sample],
    scaling: Scaling,
    work: Path,
    say: Progress,
) -> list[Trial]:
    settings = recipe.teacher
    rng = np.random.default_rng([recipe.seed, 1])
    pairs = []
    for sample, count in zip(samples, (settings.search_samples, 20_000), strict=True):
        rows = rng.permutation(len(sample.truth))[:count]
        part = Sample(sample.quantities[rows], sample.truth[rows]).dropped(rng)
        pairs.append((part.inputs(scaling), part.targets(scaling)))
    say(f"searching: {settings.trials} trials of {settings.search_epochs} epochs")
    trials = search(pairs[0], pairs[1], settings, seed=recipe.seed, directory=work, progress=say)
    for place, trial in enumerate(trials, 1):
        say(f"{place}. {trial.score:.4f} {trial.architecture} {trial.learning_rate:g}")
    return trials
