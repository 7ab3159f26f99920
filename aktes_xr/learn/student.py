"""Distillation of students that see the terrain, and the fusion with their teacher."""

from __future__ import annotations

import functools
import json
import logging
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from aktes_xr import sensor
from aktes_xr.learn.architecture import Architecture, fold, keras_model, multiplications
from aktes_xr.learn.card import Evidence, model_card
from aktes_xr.learn.distillation import distiller, soft_model
from aktes_xr.learn.fitting import calibrate_fusion, calibrated_scaling
from aktes_xr.learn.pixels import ALL, Sample, SoftSample, draw, keep_only
from aktes_xr.learn.recipe import Recipe, StudentRecipe
from aktes_xr.learn.training import Progress, Schedule, keras_bytes, scaling_of, train
from aktes_xr.models import BundleContents, PixelModel, load_bundle, write_bundle
from aktes_xr.models.features import QUANTITIES, STUDENT_FEATURES
from aktes_xr.models.quantities import ADJACENT, SKY_VIEW_FACTOR
from aktes_xr.radiative.surface import top_of_atmosphere_radiance
from aktes_xr.terrain.complexity import complexity_k

if TYPE_CHECKING:
    from aktes_xr.learn.labels import LocalPixels
    from aktes_xr.learn.region import Region
    from aktes_xr.models import Bundle, Fusion


_LOGGER = logging.getLogger(__name__)
STUDENT_SHARE: Final = 0.05
"""Of the teacher's multiplications: a student's most."""
LOCAL_SHARE: Final = 0.2
"""Of the training pixels: a user's own, repeated if need be."""
_WIDTH_STEP: Final = 4
_NO_PRIOR: Final = ALL - {"emissivity_prior"}
_LEVEL_RELIEF_M: Final = 5.0


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

    work = Path(directory)
    claim(work, recipe)
    source = load_bundle(bundle)
    say = progress or _LOGGER.info
    say("simulating the student's sample in terrain")
    training, validation = draw_students(recipe, source.teacher, region)
    if labels is not None:
        training = with_local(training, labels, source.teacher)
        say(f"{labels.n_labelled} labelled and {labels.n_unlabelled} further pixels of the user's")
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
    held = validation.dropped(np.random.default_rng(recipe.seed + 3))
    fusion = source.fusion
    if region is None or fusion is None:
        fusion = fit_fusion(source.teacher, student, held, draw_level(recipe))
    say(f"calibrated {fusion}")
    return _bundle(recipe, work, source, (student, fusion), keras_bytes(model, work), region=region)


def draw_students(
    recipe: Recipe, teacher: PixelModel, region: Region | None = None
) -> tuple[SoftSample, Sample]:
    """Draw a student's pixels in terrain: for training with the teacher, and for validation."""
    settings = recipe.student
    parts = []
    # Uncertainties and the fusion are calibrated for ancillaries that err as they say.
    for split, size, errors in (
        ("train", settings.samples, recipe.errors),
        ("validation", settings.validation_samples, recipe.errors.as_stated()),
    ):
        sample, _ = draw(
            size,
            split=split,  # type: ignore[arg-type]
            seed=recipe.seed + 1,
            nedt_k=recipe.nedt_k,
            terrain=True,
            errors=errors,
            locality=None if region is None else region.locality,
        )
        parts.append(sample)
    training, validation = parts
    return SoftSample(training.quantities, training.truth, teacher), validation


def with_local(sample: SoftSample, labels: LocalPixels, teacher: PixelModel) -> SoftSample:
    """Add a user's pixels, repeated so that they make up `LOCAL_SHARE` of the sample."""
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
    """Return the hidden layers, where 0 stands for as many units as the teacher's size allows."""
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
    samples: tuple[SoftSample, Sample],
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
        Training and validation.
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
    training, validation = samples
    scaling = scaling_of(
        Sample(training.quantities, training.known_truth()),
        np.random.default_rng(seed),
        terrain=True,
    )
    architecture = Architecture(student_units(settings, teacher))
    features = len(STUDENT_FEATURES)
    model = train(
        keras_model(architecture, features, "student"),
        (training, validation),
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


def fit_fusion(
    teacher: PixelModel, student: PixelModel, held: Sample, level: Sample | None = None
) -> Fusion:
    """Calibrate the fusion of two networks on the validation split.

    Parameters
    ----------
    teacher, student : PixelModel
    held : Sample
        Pixels of landscapes.
    level : Sample, optional
        Pixels on level ground under any atmosphere, from `draw_level`; judged with all their
        ancillaries and without the emissivity's.
    """
    samples = [held]
    if level is not None:
        samples += [level, Sample(keep_only(level.quantities, _NO_PRIOR), level.truth)]
    both = functools.reduce(Sample.joined, samples)
    group = np.repeat(np.arange(len(samples)), [len(sample.truth) for sample in samples])
    return calibrate_fusion(
        complexity_k(both.quantities[:, SKY_VIEW_FACTOR]),
        teacher.predict(both.quantities),
        student.predict(both.quantities),
        both.truth,
        group=group,
        cost=(teacher.network.multiplications, student.network.multiplications),
    )


def draw_level(recipe: Recipe) -> Sample:
    """Draw validation pixels on level ground: the teacher's, with what a student sees there."""
    sample, simulated = draw(
        recipe.student.validation_samples // 2,
        split="validation",
        seed=recipe.seed + 5,
        nedt_k=recipe.nedt_k,
        errors=recipe.errors.as_stated(),
    )
    rng = np.random.default_rng([recipe.seed, 5])
    day = simulated["day"].to_numpy()
    height = np.cos(np.deg2rad(rng.uniform(20.0, 65.0, day.size)))
    # The mean of a neighbourhood of the pixel's kind has next to no noise.
    around = top_of_atmosphere_radiance(
        *(
            simulated[name].to_numpy()
            for name in (
                "surface_temperature",
                "emissivity",
                "transmittance",
                "path_radiance",
                "sky_radiance",
            )
        )
    )
    told: dict[str, Any] = {
        "sky_view_factor": 1.0,
        "sine_of_slope": 0.0,
        "relief": _LEVEL_RELIEF_M,
        "solar_incidence": np.where(day, height, 0.0),
        "elevation_difference": 0.0,
    }
    for name, values in told.items():
        sample.quantities[:, QUANTITIES.index(name)] = values
    temperature = sensor.radiance_to_brightness_temperature(around)
    sample.quantities[:, ADJACENT : ADJACENT + len(sensor.BANDS)] = temperature
    return sample


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
