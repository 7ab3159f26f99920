"""Distillation of a student that sees the terrain, and the fusion with its teacher."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from aktes_xr.learn.architecture import Architecture, fold, keras_model
from aktes_xr.learn.calibrate import calibrate_fusion
from aktes_xr.learn.card import Evidence, model_card
from aktes_xr.learn.recipe import Recipe
from aktes_xr.learn.simulated import complexity_k, draw
from aktes_xr.learn.training import (
    Progress,
    Sample,
    Schedule,
    keras_bytes,
    scaling_of,
    train,
)
from aktes_xr.learn.uncertainty import calibrate_uncertainty
from aktes_xr.models import BundleContents, PixelModel, Scaling, load_bundle, write_bundle
from aktes_xr.models.features import N_OUTPUTS, QUANTITIES, STUDENT_FEATURES, TEACHER_FEATURES

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from aktes_xr.models import Bundle, Fusion

    Float32Array = NDArray[np.float32]

_LOGGER = logging.getLogger(__name__)
_SKY_VIEW = QUANTITIES.index("sky_view_factor")


def distil(
    recipe: Recipe,
    directory: str | Path,
    *,
    bundle: str | Path,
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
    progress : callable, optional
        Called with a line of text now and then.

    Returns
    -------
    Path
        The new bundle's directory, ``directory/bundle``: teacher, student and fusion.
    """
    from aktes_xr.learn.teacher import claim

    work = Path(directory)
    claim(work, recipe)
    source = load_bundle(bundle)
    settings = recipe.student
    say = progress or _LOGGER.info
    say("simulating the student's sample in terrain")
    seed, nedt_k = recipe.seed + 1, recipe.nedt_k
    training, _ = draw(settings.samples, split="train", seed=seed, nedt_k=nedt_k, terrain=True)
    validation, _ = draw(
        settings.validation_samples, split="validation", seed=seed, nedt_k=nedt_k, terrain=True
    )
    scaling = scaling_of(training, np.random.default_rng(recipe.seed), terrain=True)
    architecture = Architecture(settings.units)
    schedule = Schedule(
        settings.epochs, settings.batch_size, settings.learning_rate, seed=recipe.seed + 1
    )
    model = train(
        keras_model(architecture, len(STUDENT_FEATURES), "student"),
        (training, validation),
        scaling,
        schedule,
        directory=work,
        wrap=lambda plain: distiller(plain, source.teacher, scaling, alpha=settings.alpha),
        progress=progress,
    )
    network = fold(model, architecture)
    held = validation.dropped(np.random.default_rng(recipe.seed + 2))
    outputs = network.predict(np.ascontiguousarray(held.inputs(scaling).T)).T
    calibrated = calibrate_uncertainty(outputs, held.targets(scaling), scaling)
    student = PixelModel("student", "student", network, calibrated)
    fusion = _fusion(source.teacher, student, held)
    say(f"calibrated {fusion}")
    return _bundle(recipe, work, source, (student, fusion), keras_bytes(model, work))


def distiller(student: Any, teacher: PixelModel, scaling: Scaling, *, alpha: float) -> Any:
    """Wrap a student in `keras.distillation.Distiller`: truth, and the teacher's means.

    Parameters
    ----------
    student : keras.Model
        On the student's standardised features.
    teacher : PixelModel
    scaling : Scaling
        Of the student.
    alpha : float
        Weight of the teacher.
    """
    import keras
    from keras import ops

    def squared_difference(soft: Any, outputs: Any) -> Any:
        return ops.mean((soft[:, :N_OUTPUTS] - outputs[:, :N_OUTPUTS]) ** 2, axis=-1)

    return keras.distillation.Distiller(
        teacher=_teacher_in_student_units(teacher, scaling),
        student=student,
        distillation_losses=keras.distillation.FeatureDistillation(loss=squared_difference),
        distillation_loss_weights=1.0,
        student_loss_weight=1.0 - alpha,
    )


def _teacher_in_student_units(teacher: PixelModel, scaling: Scaling) -> Any:
    """Rebuild the teacher in Keras, on the student's standardised inputs and outputs."""
    import keras

    count = len(TEACHER_FEATURES)
    mine = teacher.scaling
    gain = np.zeros((len(STUDENT_FEATURES), count), np.float32)
    gain[np.arange(count), np.arange(count)] = scaling.scale[:count] / mine.scale
    offset = (scaling.center[:count] - mine.center) / mine.scale
    inputs = keras.Input((len(STUDENT_FEATURES),))
    node = keras.layers.Dense(count, name="rescale")(inputs)
    weights = [(gain, offset)]
    for layer in teacher.network.layers:
        before = node
        node = keras.layers.Dense(layer.weight.shape[0], activation=layer.activation)(node)
        weights.append((layer.weight.T, layer.bias[:, 0]))
        if layer.skip:
            node = keras.layers.Add()([before, node])
    size = 2 * N_OUTPUTS
    rescale, shift = np.zeros((size, size), np.float32), np.zeros(size, np.float32)
    means = np.arange(N_OUTPUTS)
    rescale[means, means] = mine.output_scale / scaling.output_scale
    shift[means] = (mine.output_center - scaling.output_center) / scaling.output_scale
    outputs = keras.layers.Dense(size, name="soft")(node)
    weights.append((rescale, shift))
    model = keras.Model(inputs, outputs, name="soft_teacher")
    dense = [layer for layer in model.layers if isinstance(layer, keras.layers.Dense)]
    for layer, pair in zip(dense, weights, strict=True):
        layer.set_weights(list(pair))
    return model


def _fusion(teacher: PixelModel, student: PixelModel, held: Sample) -> Fusion:
    estimates = [model.predict(held.quantities) for model in (teacher, student)]
    first, second = ((mean[:, 0], sigma[:, 0]) for mean, sigma in estimates)
    sky_view = held.quantities[:, _SKY_VIEW]
    return calibrate_fusion(complexity_k(sky_view), first, second, held.truth[:, 0])


def _bundle(
    recipe: Recipe,
    work: Path,
    source: Bundle,
    trained: tuple[PixelModel, Fusion],
    exported: bytes,
) -> Path:
    student, fusion = trained
    others = (model for model in source.models.values() if model.name != student.name)
    models = (*others, student)
    evidence = Evidence.of_bundle(source.teacher, student, fusion, recipe)
    card = model_card(recipe, list(models), evidence, fusion)
    extras = {name: data for name, data in source.extras.items() if name != "metrics.json"}
    extras |= {
        "student.keras": exported,
        "metrics.json": evidence.to_bytes(),
        "recipe.json": (json.dumps(recipe.to_json(), indent=1) + "\n").encode(),
    }
    contents = BundleContents(source.name, models, card, fusion, extras)
    write_bundle(work / "bundle", contents, overwrite=True)
    return work / "bundle"
