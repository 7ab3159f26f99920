"""Teacher and student exchange more than once: what each further round brings, on validation.

Where the two disagree by more than their stated uncertainties together, the fusion, which knows the
terrain, becomes the soft target of both; elsewhere each keeps its own answer. The student sees the
terrain's pixels, the teacher these and as many on flat ground, so that it does not unlearn them. A
round is kept if the fusion gains at least `GAIN` by it on validation landscapes and the teacher
loses less than `LOSS` on flat ground; the first that is not ends the exchange.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from aktes_xr.bench.checks import Study
from aktes_xr.errors import TrainingError
from aktes_xr.learn.calibration import fit_fusion
from aktes_xr.learn.distillation import distiller, soft_model
from aktes_xr.learn.drawing import World, draw
from aktes_xr.learn.fitting import calibrated_scaling
from aktes_xr.learn.packages import check_training_packages
from aktes_xr.learn.pixels import Answers, Sample, SoftSample
from aktes_xr.learn.recipe import Recipe
from aktes_xr.learn.training import Progress, Schedule, cosine
from aktes_xr.models import Layer, Network, load_bundle
from aktes_xr.models.features import SKY_VIEW_FACTOR
from aktes_xr.models.fusion import fuse
from aktes_xr.terrain.complexity import complexity_k

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from aktes_xr.models import Fusion, PixelModel


_LOGGER = logging.getLogger(__name__)
GAIN: Final = 0.005
"""Relative gain of the fusion's temperature error that makes a round worth keeping."""
LOSS: Final = 0.005
"""Relative loss on flat ground that the teacher may suffer by it."""
COLUMNS: Final = (
    "round",
    "kept",
    "pixels in disagreement",
    "teacher, flat: T MAE (K)",
    "teacher, terrain: T MAE",
    "student, terrain: T MAE",
    "fusion, terrain: T MAE",
    "fusion, terrain: e MAE",
)


@dataclass(frozen=True)
class ExchangeSettings:
    """How large the exchange is.

    Attributes
    ----------
    pool, validation : int
        Pixels in terrain, and as many on flat ground.
    steps, batch_size : int
        Of each network in each round.
    learning_rate, alpha : float
        At a round's start; weight of the soft targets beside the labels'.
    """

    pool: int = 60_000
    validation: int = 15_000
    steps: int = 800
    batch_size: int = 1024
    learning_rate: float = 3e-4
    alpha: float = 0.5


@dataclass(frozen=True, eq=False)
class _Pair:
    teacher: PixelModel
    student: PixelModel
    fusion: Fusion

    def fused(self, sample: Sample) -> Answers:
        both = [model.predict(sample.quantities) for model in (self.teacher, self.student)]
        terrain_k = complexity_k(sample.quantities[:, SKY_VIEW_FACTOR])
        return Answers(*fuse(both[0], both[1], self.fusion, terrain_k))


def exchange(
    recipe: Recipe,
    directory: str | Path,
    *,
    bundle: str | Path,
    rounds: int = 2,
    settings: ExchangeSettings | None = None,
    progress: Progress | None = None,
) -> Study:
    """Let a bundle's teacher and general student teach each other, and report every round.

    Parameters
    ----------
    recipe : Recipe
        Seed, noise and ancillary errors.
    directory : str or Path
        For the table, ``rounds.json``.
    bundle : str or Path
        With teacher, student and fusion; it is not changed.
    rounds : int
        At most.
    settings : ExchangeSettings, optional
    progress : callable, optional
        Called with a line of text after each round.

    Returns
    -------
    Study
    """
    check_training_packages()
    chosen, say = settings or ExchangeSettings(), progress or _LOGGER.info
    source = load_bundle(bundle)
    student = source.student_at(float("nan"), float("nan"))
    if student is None or source.fusion is None:
        raise TrainingError("the bundle has no general student: run 'aktes distil' first")
    pair = _Pair(source.teacher, student, source.fusion)
    pool, flat = (_drawn(recipe, chosen.pool, "train", terrain) for terrain in (True, False))
    held = tuple(
        _drawn(recipe, chosen.validation, "validation", terrain) for terrain in (True, False)
    )
    figures = _figures(pair, held)
    rows: list[tuple[Any, ...]] = [(0, "", _disagreement(pair, pool).mean(), *figures)]
    for number in range(1, rounds + 1):
        candidate = _round(pair, (pool, flat), held, chosen, recipe.seed + number)
        found = _figures(candidate, held)
        gained = found[3] < (1.0 - GAIN) * figures[3] and found[0] < (1.0 + LOSS) * figures[0]
        share = _disagreement(candidate, pool).mean()
        rows.append((number, "yes" if gained else "no", share, *found))
        say(" ".join(str(cell) for cell in rows[-1]))
        if not gained:
            break
        pair, figures = candidate, found
    Path(directory).mkdir(parents=True, exist_ok=True)
    plain = [tuple(_plain(cell) for cell in row) for row in rows]
    title = "Rounds of exchange between teacher and student, validation landscapes"
    study = Study(title, COLUMNS, plain, Path(directory) / "rounds.json")
    study.write()
    return study


def _plain(cell: Any) -> Any:
    return float(cell) if isinstance(cell, np.floating) else cell


def _drawn(recipe: Recipe, size: int, split: Any, terrain: bool) -> Sample:
    seed = recipe.seed + 61
    sample, _ = draw(size, World.of(recipe, split, seed, terrain=terrain))
    return sample.dropped(np.random.default_rng(seed))


def _disagreement(pair: _Pair, sample: Sample) -> NDArray[np.bool_]:
    """Mark where the temperatures differ by more than both stated uncertainties together."""
    first, second = (model.predict(sample.quantities) for model in (pair.teacher, pair.student))
    gap = np.abs(first[0][:, 0] - second[0][:, 0])
    return np.asarray(gap > np.hypot(first[1][:, 0], second[1][:, 0]))


def _figures(pair: _Pair, held: tuple[Sample, ...]) -> tuple[float, ...]:
    terrain, flat = held
    errors = [
        np.abs(pair.teacher.predict(flat.quantities)[0] - flat.truth)[:, 0].mean(),
        *(
            np.abs(model.predict(terrain.quantities)[0] - terrain.truth)[:, 0].mean()
            for model in (pair.teacher, pair.student)
        ),
    ]
    fused = np.abs(pair.fused(terrain).estimate - terrain.truth)
    return (
        *(float(error) for error in errors),
        float(fused[:, 0].mean()),
        float(fused[:, 1:].mean()),
    )


def _round(
    pair: _Pair,
    pools: tuple[Sample, Sample],
    held: tuple[Sample, ...],
    settings: ExchangeSettings,
    seed: int,
) -> _Pair:
    pool, flat = pools
    fused, differ = pair.fused(pool), _disagreement(pair, pool)
    soft = {}
    for name, model in (("teacher", pair.teacher), ("student", pair.student)):
        own = model.predict(pool.quantities)
        soft[name] = [
            np.where(differ[:, np.newaxis], new, old).astype(np.float32)
            for new, old in zip((fused.estimate, fused.sigma), own, strict=True)
        ]
    student = _tuned(
        pair.student,
        SoftSample(pool.quantities, pool.truth, Answers(*soft["student"]), keep=True),
        held[0],
        settings,
        seed,
    )
    level = pair.teacher.predict(flat.quantities)
    answers = Answers(
        *(np.concatenate([here, there]) for here, there in zip(soft["teacher"], level, strict=True))
    )
    both = pool.joined(flat)
    teacher = _tuned(
        pair.teacher,
        SoftSample(both.quantities, both.truth, answers, keep=True),
        held[1],
        settings,
        seed,
    )
    alike = np.zeros(len(held[0].truth), np.int8)
    return _Pair(teacher, student, fit_fusion(teacher, student, [(held[0], alike)]))


def _tuned(
    model: PixelModel, sample: SoftSample, held: Sample, settings: ExchangeSettings, seed: int
) -> PixelModel:
    """Train a network on, and calibrate its uncertainty anew."""
    import keras

    keras.utils.set_random_seed(seed)
    plain = _rebuilt(model.network)
    features = model.network.n_features
    fitted = distiller(soft_model(plain), alpha=settings.alpha, features=features)
    inputs, targets = sample.inputs(model.scaling), sample.targets(model.scaling)
    epochs = max(1, round(settings.steps * settings.batch_size / len(inputs)))
    schedule = Schedule(epochs, settings.batch_size, settings.learning_rate, seed=seed)
    fitted.compile(optimizer=keras.optimizers.Adam(cosine(schedule, len(inputs)), clipnorm=1.0))
    fitted.fit(inputs, targets, batch_size=settings.batch_size, epochs=epochs, verbose=0)
    network = _folded(plain, model.network)
    return replace(model, network=network, scaling=calibrated_scaling(network, held, model.scaling))


def _rebuilt(network: Network) -> Any:
    """Build the network in Keras, with its weights."""
    import keras

    inputs = keras.Input((network.n_features,))
    node = inputs
    for layer in network.layers:
        before = node
        node = keras.layers.Dense(layer.weight.shape[0], activation=layer.activation)(node)
        if layer.skip:
            node = keras.layers.Add()([before, node])
    model = keras.Model(inputs, node)
    for dense, layer in zip(_dense(model), network.layers, strict=True):
        dense.set_weights([layer.weight.T, layer.bias[:, 0]])
    return model


def _folded(model: Any, like: Network) -> Network:
    layers = []
    for dense, layer in zip(_dense(model), like.layers, strict=True):
        kernel, bias = (np.asarray(weight, np.float32) for weight in dense.get_weights())
        columns = np.ascontiguousarray(bias[:, np.newaxis])
        layers.append(Layer(np.ascontiguousarray(kernel.T), columns, layer.activation, layer.skip))
    return Network(tuple(layers))


def _dense(model: Any) -> list[Any]:
    import keras

    return [layer for layer in model.layers if isinstance(layer, keras.layers.Dense)]
