"""Distillation of students that see the terrain, and the fusion with their teacher."""

from __future__ import annotations

import functools
import json
import logging
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from aktes_xr.learn.architecture import Architecture, fold, keras_model, multiplications
from aktes_xr.learn.card import Evidence, model_card
from aktes_xr.learn.distillation import distiller, soft_model
from aktes_xr.learn.drawing import Ahead, World, draw
from aktes_xr.learn.fitting import calibrate_fusion, calibrated_scaling
from aktes_xr.learn.packages import check_training_packages
from aktes_xr.learn.pixels import ALL, Sample, SoftSample, keep_only
from aktes_xr.learn.recipe import Recipe, StudentRecipe
from aktes_xr.learn.training import Progress, Schedule, keras_bytes, scaling_of, train
from aktes_xr.models import BundleContents, PixelModel, load_bundle, write_bundle
from aktes_xr.models.features import SKY_VIEW_FACTOR, STUDENT_FEATURES
from aktes_xr.simulate.structures import STRUCTURES
from aktes_xr.terrain.complexity import complexity_k

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from aktes_xr.learn.labels import LocalPixels
    from aktes_xr.learn.region import Region
    from aktes_xr.models import Bundle, Fusion
    from aktes_xr.simulate.emissivity import Split


_LOGGER = logging.getLogger(__name__)
STUDENT_SHARE: Final = 0.1
"""Largest share of the teacher's multiplications that a student may have."""
LOCAL_SHARE: Final = 0.2
"""Share of the training pixels that are a user's own, repeated if need be."""
_WIDTH_STEP: Final = 4
FUSION_SETS: Final = (
    ALL - {"skin_temperature"},
    frozenset({"water_vapor", "air_temperature", "surface_pressure", "surroundings"}),
    frozenset({"surface_pressure", "surroundings"}),
)
"""Ancillaries that the fusion is calibrated for: all, water and air, none."""
HELD_PER_FIELD: Final = 400
_DRAWN_AT_ONCE: Final = 2
Held = tuple[Sample, "NDArray[np.int8]"]
"""Pixels, and the number of each one's structure."""


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
    fusion = source.fusion
    if region is None or fusion is None:
        fusion = fit_fusion(source.teacher, student, held)
    say(f"calibrated {fusion}")
    return _bundle(recipe, work, source, (student, fusion), keras_bytes(model, work), region=region)


def draw_pixels(recipe: Recipe, epoch: int, *, region: Region | None = None) -> Sample:
    """Draw a student's training pixels of one epoch.

    Most lie over relief, and a share lies on flat ground.

    Parameters
    ----------
    recipe : Recipe
        What is trained, and on what.
    epoch : int
        Number of the epoch; each has a seed of its own.
    region : Region, optional
        Terrain to draw from; without it, that of the recipe.

    Returns
    -------
    Sample
    """
    parts = _drawn(recipe, "train", recipe.student.samples, epoch=epoch, region=region)
    return functools.reduce(Sample.joined, (part for part, _ in parts))


def draw_held(recipe: Recipe, region: Region | None = None) -> list[Held]:
    """Draw validation pixels over relief and on flat ground.

    Uncertainties and the fusion are calibrated on them. So the errors of their ancillaries are as
    large as they are stated to be.

    Parameters
    ----------
    recipe : Recipe
        What is trained, and on what.
    region : Region, optional
        Terrain to draw from; without it, that of the recipe.

    Returns
    -------
    list of (Sample, int8 (pixel,))
        The pixels, and the structure that each of them lies in.
    """
    as_stated = replace(recipe, errors=recipe.errors.as_stated())
    return _drawn(as_stated, "validation", recipe.student.validation_samples, region=region)


def _drawn(
    recipe: Recipe,
    split: Split,
    size: int,
    *,
    epoch: int = 0,
    region: Region | None = None,
) -> list[Held]:
    level = 0 if region is not None else round(recipe.student.level_share * size)
    world = World(
        split,
        recipe.seed + 1 + 100 * epoch,
        recipe.nedt_k,
        terrain=True,
        errors=recipe.errors,
        locality=None if region is None else region.locality,
    )
    if split == "validation":
        world = replace(world, per_field=HELD_PER_FIELD)
    kinds = [(size - level, world), (level, replace(world, terrain=False))]
    drawn = [draw(count, kind) for count, kind in kinds if count]
    return [(sample, simulated["structure"].to_numpy()) for sample, simulated in drawn]


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
    architecture = Architecture(student_units(settings, teacher))
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


def fit_fusion(teacher: PixelModel, student: PixelModel, held: Sequence[Held]) -> Fusion:
    """Calibrate the fusion of two networks over many worlds of the validation split.

    Parameters
    ----------
    teacher, student : PixelModel
    held : sequence of tuple
        Samples from `draw_held`, each with its pixels' structures. Every structure is judged apart
        with each of `FUSION_SETS` of ancillaries, so that no world pays for another.
    """
    samples: list[Sample] = []
    groups: list[NDArray[np.int64]] = []
    for kept in FUSION_SETS:
        for sample, structure in held:
            samples.append(Sample(keep_only(sample.quantities, kept), sample.truth))
            groups.append(structure.astype(np.int64) + len(STRUCTURES) * len(groups))
    both = functools.reduce(Sample.joined, samples)
    return calibrate_fusion(
        complexity_k(both.quantities[:, SKY_VIEW_FACTOR]),
        teacher.predict(both.quantities),
        student.predict(both.quantities),
        both.truth,
        group=np.concatenate(groups),
        cost=(teacher.network.multiplications, student.network.multiplications),
    )


def _bundle(
    recipe: Recipe,
    work: Path,
    source: Bundle,
    trained: tuple[PixelModel, Fusion],
    exported: bytes,
    *,
    region: Region | None,
) -> Path:
    student, fusion = trained
    others = (model for model in source.models.values() if model.name != student.name)
    models = (*others, student)
    evidence = Evidence.of_bundle(source.teacher, student, fusion, recipe, region=region)
    extras = dict(source.extras)
    if region is not None and "metrics.json" in extras:
        kept = [
            row
            for row in json.loads(extras["metrics.json"])
            if row["sample"] != f"terrain, {region.name}"
        ]
        evidence = Evidence((*kept, *evidence.rows))
    card = model_card(recipe, list(models), evidence, fusion)
    extras |= {
        f"{student.name}.keras": exported,
        "metrics.json": evidence.to_bytes(),
        "recipe.json": (json.dumps(recipe.to_json(), indent=1) + "\n").encode(),
    }
    contents = BundleContents(source.name, models, card, fusion, extras)
    write_bundle(work / "bundle", contents, overwrite=True)
    return work / "bundle"
