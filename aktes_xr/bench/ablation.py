"""What distillation is worth: one table over ways to distil, label budgets and seeds.

A local user has a region, few labels of the quality of the standard products, many pixels without
any, and the teacher. *Before* is the student trained on the labels alone, *after* the same student
with the teacher's answers on all local pixels besides. Variants: response-based with three weights,
feature-based (the teacher's last hidden layer on its principal axes as hints), and residual (the
student corrects the teacher's answer, which it needs as an input). Upper anchors: a network of the
teacher's size that sees the terrain, trained on every pixel's exact truth, and the teacher itself.
All pixels have all ancillaries. Training, validation and test pixels have atmospheres, surfaces and
terrain of their own; the variant is chosen on validation, the scores are those of the test pixels.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np

from aktes_xr.bench.checks import Study
from aktes_xr.learn.architecture import Architecture, keras_model
from aktes_xr.learn.distillation import distiller, soft_model
from aktes_xr.learn.drawing import World, draw
from aktes_xr.learn.packages import check_training_packages
from aktes_xr.learn.pixels import N_SOFT, UNLABELLED, Answers, Hints, Sample, SoftSample
from aktes_xr.learn.recipe import Recipe, StudentRecipe
from aktes_xr.learn.student import student_units
from aktes_xr.learn.training import Progress, Schedule, cosine, scaling_of
from aktes_xr.models import load_bundle
from aktes_xr.models.features import N_OUTPUTS, REFERENCE, STUDENT_FEATURES
from aktes_xr.simulate.emissivity import Split
from aktes_xr.validation.metrics import scores

if TYPE_CHECKING:
    from aktes_xr.compilation import Float32Array
    from aktes_xr.learn.region import Region
    from aktes_xr.models import PixelModel, Scaling


_LOGGER = logging.getLogger(__name__)
Way = Literal["none", "response", "feature", "residual"]

LABEL_ERRORS: Final = (1.0, 0.01)
"""Errors of the standard product, K and 1."""
PAPER: Final = (
    ("Dai et al. 2025: before", 1.065, 0.978, 0.0076, 0.827),
    ("Dai et al. 2025: after", 0.724, 0.979, 0.0054, 0.898),
)
COLUMNS: Final = (
    "variant",
    "labels",
    "seeds",
    "T MAE (K)",
    "+-",
    "T PCC",
    "e MAE",
    "e PCC",
    "validation T MAE (K)",
    "validation e MAE",
)
_HINTS: Final = 16


@dataclass(frozen=True)
class Variant:
    """A way to distil: its kind, and the weight of the teacher's answers."""

    way: Way
    alpha: float

    @property
    def name(self) -> str:
        """For the table."""
        if self.way == "none":
            return "labels alone (before)"
        if self.way == "residual":
            return f"residual on the teacher, weight {self.alpha:g}"
        return f"{self.way}-based, weight {self.alpha:g}"


VARIANTS: Final = (
    Variant("none", 0.0),
    Variant("response", 0.3),
    Variant("response", 0.6),
    Variant("response", 0.9),
    Variant("feature", 0.6),
    Variant("residual", 0.6),
)


@dataclass(frozen=True)
class AblationSettings:
    """How large the study is.

    Attributes
    ----------
    pool, validation, test : int
        Local pixels for training (labelled or not), validation and test.
    budgets : tuple of int
        Numbers of labels; 0: every pixel of the pool.
    seeds : int
        Repetitions; each has its labels, its noise and its first weights.
    variants : tuple of Variant
    steps, batch_size : int
        Of each training.
    anchor_steps : int
        Of the network of the teacher's size.
    per_field : int
        Pixels of one field, which share its air: a region's pixels are of many dates.
    """

    pool: int = 20_000
    validation: int = 10_000
    test: int = 20_000
    budgets: tuple[int, ...] = (1_000, 300, 10_000, 0)
    seeds: int = 3
    variants: tuple[Variant, ...] = VARIANTS
    steps: int = 600
    batch_size: int = 512
    anchor_steps: int = 1_200
    per_field: int = 200


@dataclass(frozen=True, eq=False)
class _World:
    """Pixels, scalings and the teacher's answers that all trainings share."""

    pool: Sample
    validation: Sample
    test: Sample
    teacher: PixelModel
    answers: dict[str, Answers]
    hints: Hints


def ablate(
    recipe: Recipe,
    directory: str | Path,
    *,
    bundle: str | Path,
    region: Region | None = None,
    settings: AblationSettings | None = None,
    progress: Progress | None = None,
) -> Study:
    """Train every variant with every budget and seed, and tabulate their scores.

    Parameters
    ----------
    recipe : Recipe
        Its student's layers, learning rate and noise.
    directory : str or Path
        For the table, ``ablation.json``.
    bundle : str or Path
        With the teacher.
    region : Region, optional
        Whose pixels are local; everywhere unless given.
    settings : AblationSettings, optional
    progress : callable, optional
        Called with a line of text now and then.

    Returns
    -------
    Study
    """
    check_training_packages()
    chosen = settings or AblationSettings()
    say = progress or _LOGGER.info
    world = _world(recipe, chosen, load_bundle(bundle).teacher, region)
    units = student_units(recipe.student, world.teacher)
    where = "everywhere" if region is None else region.name
    title = (
        f"Distillation onto {' x '.join(str(count) for count in units)} units; {where}, "
        f"{chosen.pool} local pixels, labels with errors of {LABEL_ERRORS[0]:g} K and "
        f"{LABEL_ERRORS[1]:g}"
    )
    Path(directory).mkdir(parents=True, exist_ok=True)
    rows = [
        *((name, 1_000, None, t, None, tp, e, ep, None, None) for name, t, tp, e, ep in PAPER),
        *_anchors(recipe, world, chosen),
    ]
    study = Study(title, COLUMNS, rows, Path(directory) / "ablation.json")
    for budget, variant in product(chosen.budgets, chosen.variants):
        found = []
        for seed in range(chosen.seeds):
            sample = _labelled(world, budget, seed)
            predict = _trained(variant, units, sample, world, recipe.student, chosen, seed)
            found.append(_scored(predict, world))
        rows.append((variant.name, budget or len(world.pool.truth), *_summary(found)))
        say(" ".join(str(cell) for cell in rows[-1]))
        study.write()
    return study


def _world(
    recipe: Recipe, settings: AblationSettings, teacher: PixelModel, region: Region | None
) -> _World:
    sizes: dict[Split, int] = {
        "train": settings.pool,
        "validation": settings.validation,
        "test": settings.test,
    }
    parts: dict[str, Sample] = {}
    locality = None if region is None else region.locality
    for split, size in sizes.items():
        world = World.of(
            recipe,
            split,
            recipe.seed + 41,
            terrain=True,
            varied=0.0,
            locality=locality,
            per_field=settings.per_field,
        )
        parts[split], _ = draw(size, world)
    answers = {name: Answers(*teacher.predict(part.quantities)) for name, part in parts.items()}
    hints = Hints.fitted(teacher, parts["train"].quantities[:10_000], _HINTS)
    return _World(parts["train"], parts["validation"], parts["test"], teacher, answers, hints)


def _labelled(world: _World, budget: int, seed: int) -> SoftSample:
    """Give ``budget`` pixels of the pool a label with the standard product's error."""
    rng = np.random.default_rng([seed, budget, 5])
    count = len(world.pool.truth)
    chosen = rng.choice(count, size=budget or count, replace=False)
    stated = np.array([LABEL_ERRORS[0], *[LABEL_ERRORS[1]] * (N_OUTPUTS - 1)], np.float32)
    error = np.full(world.pool.truth.shape, UNLABELLED)
    error[chosen] = stated
    noise = stated * rng.standard_normal(world.pool.truth.shape).astype(np.float32)
    return SoftSample(
        world.pool.quantities,
        world.pool.truth + noise,
        world.answers["train"],
        error,
        keep=True,
    )


def _trained(
    variant: Variant,
    units: tuple[int, ...],
    sample: SoftSample,
    world: _World,
    recipe: StudentRecipe,
    settings: AblationSettings,
    seed: int,
) -> Any:
    """Train one student; return what predicts (validation or test) from a sample and answers."""
    import keras

    keras.utils.set_random_seed(1 + seed)
    if variant.way == "none":
        sample = _only_labelled(sample)
    scaling = scaling_of(
        Sample(sample.quantities, sample.known_truth()), np.random.default_rng(seed), terrain=True
    )
    hints = _HINTS if variant.way == "feature" else 0
    if hints:
        sample = replace(sample, hints=world.hints)
    residual = variant.way == "residual"
    features = len(STUDENT_FEATURES)
    plain = keras_model(
        Architecture(units), features + (N_SOFT if residual else 0), f"student_{variant.way}"
    )
    wide = soft_model(plain, hints=hints, residual=residual)
    fitted = distiller(
        wide, alpha=variant.alpha, features=features, hints=hints, labelled=sample.labelled_share
    )
    _fit(
        fitted,
        sample,
        scaling,
        recipe.learning_rate,
        steps=settings.steps,
        batch_size=settings.batch_size,
        seed=seed,
    )
    return _Predictor(wide, scaling, hints)


def _fit(
    model: Any,
    sample: SoftSample,
    scaling: Scaling,
    rate: float,
    *,
    steps: int,
    batch_size: int,
    seed: int,
) -> None:
    """Take a number of steps, whatever the sample's size."""
    import keras

    inputs, targets = sample.inputs(scaling), sample.targets(scaling)
    batch = min(batch_size, len(inputs))
    rng = np.random.default_rng(seed)
    # Repeat the labels into one long epoch. Hundreds of short epochs would cost more than the
    # steps.
    times = -(-steps * batch // len(inputs))
    rows = np.concatenate([rng.permutation(len(inputs)) for _ in range(times)])[: steps * batch]
    optimizer = keras.optimizers.Adam(
        cosine(Schedule(1, batch, rate, seed=seed), len(rows)), clipnorm=1.0
    )
    model.compile(optimizer=optimizer)
    model.fit(inputs[rows], targets[rows], batch_size=batch, shuffle=False, verbose=0)


def _only_labelled(sample: SoftSample) -> SoftSample:
    """Leave out pixels without labels, and the teacher."""
    error = np.zeros_like(sample.truth) if sample.label_error is None else sample.label_error
    known = np.isfinite(error[:, 0])
    return SoftSample(sample.quantities[known], sample.truth[known], None, error[known], keep=True)


@dataclass(frozen=True, eq=False)
class _Predictor:
    model: Any
    scaling: Scaling
    hints: int

    def __call__(self, sample: Sample, answers: Answers) -> Float32Array:
        soft = SoftSample(sample.quantities, sample.truth, answers, keep=True)
        inputs = soft.inputs(self.scaling)
        if self.hints:
            inputs = np.hstack([inputs, np.zeros((len(inputs), self.hints), np.float32)])
        raw = np.asarray(self.model.predict(inputs, batch_size=8192, verbose=0))[:, :N_OUTPUTS]
        found = raw * self.scaling.output_scale + self.scaling.output_center
        found[:, 0] += sample.quantities[:, REFERENCE]
        return np.asarray(found, np.float32)


Figures = tuple[float, float, float, float, float, float]


def _figures(found: Float32Array, truth: Float32Array) -> tuple[float, float, float, float]:
    temperature = scores(found[:, 0], truth[:, 0])
    bands = [scores(found[:, band], truth[:, band]) for band in range(1, N_OUTPUTS)]
    return (
        temperature.mae,
        temperature.pcc,
        float(np.mean([band.mae for band in bands])),
        float(np.mean([band.pcc for band in bands])),
    )


def _scored(predict: Any, world: _World) -> Figures:
    test = _figures(predict(world.test, world.answers["test"]), world.test.truth)
    held = _figures(predict(world.validation, world.answers["validation"]), world.validation.truth)
    return (*test, held[0], held[2])


def _summary(found: list[Figures]) -> tuple[Any, ...]:
    mean, spread = np.mean(found, axis=0), np.std([row[0] for row in found])
    t, tp, e, ep, held_t, held_e = (float(value) for value in mean)
    return len(found), t, float(spread), tp, e, ep, held_t, held_e


def _anchors(recipe: Recipe, world: _World, settings: AblationSettings) -> list[tuple[Any, ...]]:
    """Score a terrain-aware network of the teacher's size on exact labels, and the teacher."""
    units = tuple(int(layer.bias.shape[0]) for layer in world.teacher.network.layers[:-1])
    exact = SoftSample(world.pool.quantities, world.pool.truth, None, keep=True)
    large = replace(settings, steps=settings.anchor_steps)
    variant = Variant("none", 0.0)
    predict = _trained(variant, units, exact, world, recipe.student, large, 0)
    name = f"exact labels, sees terrain, {' x '.join(str(count) for count in units)}"
    rows: list[tuple[Any, ...]] = [
        (name, len(exact.truth), *_summary([_scored(predict, world)])),
    ]
    teacher = _figures(world.answers["test"].estimate, world.test.truth)
    held = _figures(world.answers["validation"].estimate, world.validation.truth)
    rows.append(("the teacher itself", 0, *_summary([(*teacher, held[0], held[2])])))
    return rows
