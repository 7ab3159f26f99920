"""Distillation of students that see the terrain, and the fusion with their teacher."""

from __future__ import annotations

import functools
import logging
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from aktes_xr.learn.architecture import Architecture, fold, keras_model, multiplications
from aktes_xr.learn.calibration import documented, fit_fusion, told_variously
from aktes_xr.learn.distillation import distiller, soft_model
from aktes_xr.learn.drawing import Ahead
from aktes_xr.learn.figure import write_training_figures
from aktes_xr.learn.fitting import calibrated_scaling, fit_strata
from aktes_xr.learn.history import FILE as HISTORY
from aktes_xr.learn.history import histories_bytes, read_histories
from aktes_xr.learn.packages import check_training_packages
from aktes_xr.learn.pixels import Sample, SoftSample
from aktes_xr.learn.recipe import Recipe, StudentRecipe
from aktes_xr.learn.student_sample import draw_held, draw_pixels
from aktes_xr.learn.training import Progress, Schedule, keras_bytes, scaling_of, train
from aktes_xr.models import BundleContents, PixelModel, load_bundle
from aktes_xr.models.features import STUDENT_FEATURES

if TYPE_CHECKING:
    from collections.abc import Callable

    from aktes_xr.learn.labels import LocalPixels
    from aktes_xr.learn.region import Region


_LOGGER = logging.getLogger(__name__)
STUDENT_SHARE: Final = 0.1
"""Largest share of the teacher's multiplications that a student may have."""
LOCAL_SHARE: Final = 0.2
"""Share of the training pixels that are a user's own, repeated if need be."""
_WIDTH_STEP: Final = 4
_DRAWN_AT_ONCE: Final = 2


def distil(
    recipe: Recipe,
    directory: str | Path,
    *,
    bundle: str | Path,
    region: Region | None = None,
    labels: LocalPixels | None = None,
    progress: Progress | None = None,
) -> Path:
    """Train a student beside a bundle's teacher and calibrate their fusion.

    Parameters
    ----------
    recipe : Recipe
    directory : str or Path
        Working directory; finished epochs in it are kept.
    bundle : str or Path
        With the teacher; it is not changed.
    region : Region, optional
        For a student of its own there; the general student unless given.
    labels : LocalPixels, optional
        A user's pixels, labelled or not, besides the simulated ones.
    progress : callable, optional
        Called with a line of text now and then.

    Returns
    -------
    Path
        The new bundle's directory, ``directory/bundle``: all that the bundle held, this student,
        and for the general student the fusion, too.
    """
    from aktes_xr.learn.teacher import claim

    check_training_packages()
    work = Path(directory)
    claim(work, recipe)
    source = load_bundle(bundle)
    say = progress or _LOGGER.info
    say("simulating the student's sample in terrain")
    if labels is not None:
        say(f"{labels.n_labelled} labelled and {labels.n_unlabelled} further pixels of the user")
    held = draw_held(recipe, region)
    validation = functools.reduce(Sample.joined, (sample for sample, _ in held))
    drawing = functools.partial(draw_pixels, recipe, region=region)
    with Ahead(drawing, recipe.student.epochs, workers=_DRAWN_AT_ONCE) as ahead:

        def training(epoch: int) -> SoftSample:
            drawn = ahead(epoch)
            sample = SoftSample(drawn.quantities, drawn.truth, source.teacher)
            return sample if labels is None else with_local(sample, labels, source.teacher)

        student, model = fit_student(
            recipe.student,
            (training, validation),
            source.teacher,
            seed=recipe.seed + 1,
            directory=work,
            progress=progress,
        )
    if region is not None:
        student = replace(student, name=region.name, footprint=region.footprint)
    both, _ = told_variously(held)
    student, teacher, fusion = fit_strata(student, both), source.teacher, source.fusion
    if region is None or fusion is None:
        teacher = fit_strata(teacher, both)
        fusion = fit_fusion(teacher, student, held)
    say(f"calibrated {fusion}")
    models = {**source.models, "teacher": teacher}
    # The new student goes last.
    models.pop(student.name, None)
    own = [replace(one, network=student.name) for one in read_histories(work / HISTORY)]
    write_training_figures(work / "figures", (), own)
    histories = histories_bytes(read_histories(source.extras.get(HISTORY, b"[]")), own)
    extras = {
        **source.extras,
        f"{student.name}.keras": keras_bytes(model, work),
        HISTORY: histories,
    }
    contents = BundleContents(
        source.name, (*models.values(), student), source.model_card, fusion, extras
    )
    return documented(contents, recipe, work, region=region)


def with_local(sample: SoftSample, labels: LocalPixels, teacher: PixelModel) -> SoftSample:
    """Add a user's own pixels to a sample.

    They are repeated until they make up about `LOCAL_SHARE` of it.

    Parameters
    ----------
    sample : SoftSample
        Simulated pixels.
    labels : LocalPixels
        The user's pixels with their temperatures and emissivities.
    teacher : PixelModel
        Whose answers the student hears.

    Returns
    -------
    SoftSample
    """
    count = len(labels.quantities)
    wanted = LOCAL_SHARE / (1.0 - LOCAL_SHARE) * len(sample.truth)
    times = max(1, round(wanted / count))
    error = np.zeros_like(sample.truth) if sample.label_error is None else sample.label_error
    return SoftSample(
        np.concatenate([sample.quantities, *[labels.quantities] * times]),
        np.concatenate([sample.truth, *[labels.truth] * times]),
        teacher,
        np.concatenate([error, *[labels.error] * times]),
    )


def student_units(settings: StudentRecipe, teacher: PixelModel) -> tuple[int, ...]:
    """Return the widths of a student's hidden layers.

    A width of 0 in the settings stands for as many units as the teacher's size allows.

    Parameters
    ----------
    settings : StudentRecipe
        The widths that were asked for.
    teacher : PixelModel
        The network that bounds the student's size.

    Returns
    -------
    tuple of int
    """
    allowed = STUDENT_SHARE * teacher.network.multiplications
    width = _WIDTH_STEP
    while _multiplied(settings, width + _WIDTH_STEP) <= allowed:
        width += _WIDTH_STEP
        if 0 not in settings.units:
            break
    return _filled(settings.units, width)


def _multiplied(settings: StudentRecipe, width: int) -> int:
    return multiplications(Architecture(_filled(settings.units, width)), len(STUDENT_FEATURES))


def _filled(units: tuple[int, ...], width: int) -> tuple[int, ...]:
    return tuple(count or width for count in units)


def fit_student(
    settings: StudentRecipe,
    samples: tuple[SoftSample | Callable[[int], SoftSample], Sample],
    teacher: PixelModel,
    *,
    seed: int,
    directory: Path,
    progress: Progress | None = None,
) -> tuple[PixelModel, Any]:
    """Train a student on labels and a teacher's answers, and calibrate its variances.

    Parameters
    ----------
    settings : StudentRecipe
    samples : tuple
        Training and validation; for training a function of the epoch's number gives each epoch a
        sample of its own, all of one size.
    teacher : PixelModel
        Whose size bounds the student's.
    seed : int
    directory : Path
        Of the checkpoint.
    progress : callable, optional
        Called with one line per epoch.

    Returns
    -------
    PixelModel, keras.Model
        As retrieval runs it, and as it was trained.
    """
    source, validation = samples
    training = source(0) if callable(source) else source
    later = source
    if callable(source):
        following = source

        def later(epoch: int) -> SoftSample:
            return following(epoch) if epoch else training

    scaling = scaling_of(
        Sample(training.quantities, training.known_truth()),
        np.random.default_rng(seed),
        terrain=True,
    )
    architecture = Architecture(student_units(settings, teacher), settings.activation)
    features = len(STUDENT_FEATURES)
    model = train(
        keras_model(architecture, features, "student"),
        (later, validation),
        scaling,
        Schedule(settings.epochs, settings.batch_size, settings.learning_rate, seed=seed),
        directory=directory,
        wrap=lambda plain: distiller(
            soft_model(plain),
            alpha=settings.alpha,
            features=features,
            labelled=training.labelled_share,
        ),
        progress=progress,
    )
    network = fold(model, architecture)
    held = validation.dropped(np.random.default_rng(seed + 1))
    calibrated = calibrated_scaling(network, held, scaling)
    return PixelModel("student", "student", network, calibrated), model
