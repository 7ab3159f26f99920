"""Training of the cloud test: a small network, its probabilities and its threshold.

It depends on no other network: a bundle that is trained anew takes over the test of an old one, or
gets its own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from aktes_xr.learn.architecture import Architecture, fold, hidden_layers
from aktes_xr.learn.attachment import Kind, attach_part, silent
from aktes_xr.learn.card import ATTACHED, wrapped
from aktes_xr.learn.cloud_reliability import RELIABILITY_FILE
from aktes_xr.learn.cloud_sample import SURFACES, CloudPixels, draw_cloud_pixels
from aktes_xr.models.cloud_features import CLOUD_FEATURES
from aktes_xr.models.cloud_test import CLOUD_FILES, CloudTest

if TYPE_CHECKING:
    from aktes_xr.compilation import Float32Array
    from aktes_xr.models.network import Network

CARD_HEADING, _ = ATTACHED
_LOWEST: Final = 0.05
_BLUR: Final = 0.2
_HIGHEST: Final = 0.99


@dataclass(frozen=True)
class CloudRecipe:
    """Everything that the training of a cloud test depends on.

    Attributes
    ----------
    fields, validation_fields : int
    per_field : int
        Pixels taken of each; a field has one air and one cloud, so many fields tell more.
    shape : (int, int), pixel
    steep_share : float, 1
        Share of the fields over relief.
    units : tuple of int
    epochs, batch_size : int
        Of the epochs the one that is best on the validation fields counts.
    learning_rate : float
        At the start; it falls to zero along a cosine.
    commission : float, 1
        Share of the clear pixels of each of land, water and snow that may be called cloud.
    seed : int
    """

    fields: int = 27000
    validation_fields: int = 1500
    per_field: int = 40
    shape: tuple[int, int] = (96, 96)
    steep_share: float = 0.1
    units: tuple[int, ...] = (48, 32)
    epochs: int = 12
    batch_size: int = 2048
    learning_rate: float = 2e-3
    commission: float = 0.02
    seed: int = 16


CLOUD_RECIPES: Final = {
    "quick": CloudRecipe(fields=300, validation_fields=120, epochs=6),
    "release": CloudRecipe(),
}


def train_cloud_test(
    recipe: CloudRecipe, *, progress: Callable[[str], None] | None = None
) -> CloudTest:
    """Train a cloud test on simulated fields, and calibrate it on fields of other air and ground.

    Parameters
    ----------
    recipe : CloudRecipe
    progress : callable, optional
        Called with a line at each step.

    Returns
    -------
    CloudTest
    """
    say = progress or silent
    drawn = {
        "per_field": recipe.per_field,
        "shape": recipe.shape,
        "steep_share": recipe.steep_share,
        "seed": recipe.seed,
    }
    training = draw_cloud_pixels(recipe.fields, split="train", progress=say, **drawn)  # type: ignore[arg-type]
    held = draw_cloud_pixels(recipe.validation_fields, split="validation", progress=say, **drawn)  # type: ignore[arg-type]
    center = np.asarray(np.nanmean(training.features, axis=0, dtype=np.float64), np.float32)
    scale = np.array(np.nanstd(training.features, axis=0, dtype=np.float64), np.float32)
    scale[~(scale > 1e-6)] = 1.0
    raw = CloudTest(_untrained(recipe), center, scale, 1.0, 0.0, 0.5, 0.0)
    network = _fit(recipe, raw, (training, held), say)
    test = CloudTest(network, center, scale, 1.0, 0.0, 0.5, 0.0)
    slope, offset = _calibrate(network.predict(test.standardised(held.features))[:, 0], held.cloudy)
    test = CloudTest(network, center, scale, slope, offset, 0.5, 0.0)
    probability = test.probability(held.features)
    threshold = _threshold(probability, held, recipe.commission)
    missed = held.cloudy & (probability < threshold)
    missed_k = float(np.mean(np.abs(held.change[missed]))) if missed.any() else 0.0
    say(f"cloud from a probability of {threshold:.3f} on; a miss costs {missed_k:.2f} K")
    return CloudTest(network, center, scale, slope, offset, threshold, missed_k)


def with_cloud_test(
    out: Path,
    *,
    bundle: str,
    recipe: CloudRecipe | None = None,
    of: str | None = None,
    overwrite: bool = False,
    progress: Callable[[str], None] | None = None,
) -> Path:
    """Write a bundle again with a cloud test: newly trained, or that of another bundle.

    Parameters
    ----------
    out : Path
        Directory to write.
    bundle : str
        Name, path or URL of the bundle whose networks are kept.
    recipe : CloudRecipe, optional
        How to train.
    of : str, optional
        A bundle whose test is taken over instead.
    overwrite : bool
        Replace what is at ``out``, which may be the bundle itself.
    progress : callable, optional
        Called with a line at each step.

    Returns
    -------
    Path
        ``out``.

    Raises
    ------
    InputError
        Neither or both of recipe and bundle are given, or ``out`` exists.
    TrainingError
        The other bundle has no cloud test.
    """
    return attach_part(
        _CLOUD_TEST,
        out,
        bundle=bundle,
        recipe=recipe,
        of=of,
        train=partial(train_cloud_test, progress=progress),
        overwrite=overwrite,
    )


def card_lines(test: CloudTest) -> str:
    """Describe a cloud test for a bundle's model card.

    Parameters
    ----------
    test : CloudTest

    Returns
    -------
    str
        Markdown.
    """
    text = (
        f"A network of {test.network.multiplications} multiplications per pixel finds cloud in the "
        f"five thermal bands. A pixel is cloud from a probability of {test.threshold:.3f} on; what "
        f"is missed costs {test.missed_k:.1f} K on average. Fog, stratus and low cumulus that are "
        "as warm as the ground, as most are by night, cannot be found. `aktes bench clouds` has "
        "the tables."
    )
    return wrapped(text) + "\n"


_CLOUD_TEST: Final[Kind[CloudTest]] = Kind(
    "cloud test",
    CLOUD_FILES,
    "clouds_recipe.json",
    CARD_HEADING,
    lambda bundle: bundle.cloud_test,
    card_lines,
    (RELIABILITY_FILE,),
)


def _untrained(recipe: CloudRecipe) -> Network:
    return fold(_model(recipe), _architecture(recipe))


def _architecture(recipe: CloudRecipe) -> Architecture:
    return Architecture(units=recipe.units, activation="relu")


def _model(recipe: CloudRecipe) -> Any:
    import keras

    keras.utils.set_random_seed(recipe.seed)
    inputs = keras.Input((len(CLOUD_FEATURES),), name="features")
    # What is the same all over a field would be learned by heart.
    blurred = keras.layers.GaussianNoise(_BLUR, name="blur")(inputs)
    node = hidden_layers(blurred, _architecture(recipe))
    outputs = keras.layers.Dense(1, name="outputs")(node)
    return keras.Model(inputs, outputs, name="clouds")


def _fit(
    recipe: CloudRecipe,
    scaling: CloudTest,
    samples: tuple[CloudPixels, CloudPixels],
    say: Callable[[str], None],
) -> Network:
    import keras

    training, held = samples
    model = _model(recipe)
    steps = recipe.epochs * -(-len(training.cloudy) // recipe.batch_size)
    rate = keras.optimizers.schedules.CosineDecay(recipe.learning_rate, steps, alpha=1e-3)
    model.compile(
        optimizer=keras.optimizers.AdamW(rate, weight_decay=1e-3),
        loss=keras.losses.BinaryCrossentropy(from_logits=True),
    )
    inputs = scaling.standardised(training.features)
    other = scaling.standardised(held.features)
    targets = training.cloudy.astype(np.float32)[:, None]
    wanted = held.cloudy.astype(np.float32)[:, None]
    least, best = np.inf, model.get_weights()
    for epoch in range(recipe.epochs):
        history = model.fit(inputs, targets, batch_size=recipe.batch_size, verbose=0).history
        loss = float(model.evaluate(other, wanted, batch_size=8192, verbose=0))
        if loss < least:
            least, best = loss, model.get_weights()
        say(
            f"epoch {epoch + 1} of {recipe.epochs}: loss {history['loss'][-1]:.4f}, "
            f"validation {loss:.4f}"
        )
    model.set_weights(best)
    return fold(model, _architecture(recipe))


def _calibrate(raw: Float32Array, cloudy: Any) -> tuple[float, float]:
    """Fit slope and offset of the logit by Newton's method (Platt scaling)."""
    design = np.stack([raw.astype(np.float64), np.ones(raw.size)])
    found = np.array([1.0, 0.0])
    for _ in range(30):
        p = 1.0 / (1.0 + np.exp(-np.clip(found @ design, -30.0, 30.0)))
        slope = design @ (p - cloudy) / raw.size
        curvature = (design * (p * (1.0 - p))) @ design.T / raw.size + 1e-9 * np.eye(2)
        step = np.linalg.solve(curvature, slope)
        found -= step
        if np.abs(step).max() < 1e-8:
            break
    return float(found[0]), float(found[1])


def _threshold(probability: Float32Array, held: CloudPixels, commission: float) -> float:
    """Return the probability above which no surface has more false cloud than asked for."""
    highest = _LOWEST
    for number in range(len(SURFACES)):
        clear = ~held.cloudy & (held.surface == number)
        if clear.sum() >= 100:
            highest = max(highest, float(np.quantile(probability[clear], 1.0 - commission)))
    return float(min(highest, _HIGHEST))
