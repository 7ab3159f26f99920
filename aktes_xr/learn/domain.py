"""Training of a bundle's domain: what a measurement can look like, by a small network.

It depends on no other network: a bundle that is trained anew takes over the domain of an old one,
or gets its own, in some minutes.
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
from aktes_xr.learn.domain_sample import DomainPixels, draw_domain_pixels
from aktes_xr.learn.pixels import ALL, drop_ancillaries, keep_only
from aktes_xr.models.domain import DOMAIN_FILES, DomainTest
from aktes_xr.models.features import TEACHER_FEATURES, raw_features

if TYPE_CHECKING:
    from aktes_xr.compilation import Float32Array
    from aktes_xr.models.network import Network

_, CARD_HEADING = ATTACHED
TOLD: Final = {
    "none": frozenset({"surface_pressure", "surroundings"}),
    "water and air": ALL - {"skin_temperature", "emissivity_prior"},
    "all": ALL - {"skin_temperature"},
}
"""What is told in the cases that the threshold is judged by."""


@dataclass(frozen=True)
class DomainRecipe:
    """Everything that the training of a domain depends on.

    Attributes
    ----------
    fields, validation_fields : int
    per_field : int
        Normal pixels taken of each look at a flat field, and as many distorted ones.
    looks : int
        How often each field is looked at, distorted in another way.
    varied : float, 1
        Share of fields under air, and with surfaces, that no table has
        (`aktes_xr.simulate.fields.FieldRecipe`).
    steep_share : float, 1
        Share of the fields over relief.
    drift_k : float, K
        In half the normal fields each band is off by so much (1 sigma).
    units : tuple of int
    epochs, batch_size : int
        What is told is dropped anew in each epoch.
    learning_rate : float
        At the start; it falls to zero along a cosine.
    flagged : float, 1
        Largest share of the normal validation pixels, whose bands are off as those of the training
        are, that lies below the threshold, whatever is told.
    seed : int
    """

    fields: int = 6000
    validation_fields: int = 1500
    per_field: int = 100
    looks: int = 2
    varied: float = 0.5
    steep_share: float = 0.04
    drift_k: float = 0.5
    units: tuple[int, ...] = (48, 48)
    epochs: int = 10
    batch_size: int = 4096
    learning_rate: float = 3e-3
    flagged: float = 0.02
    seed: int = 16


DOMAIN_RECIPES: Final = {
    "quick": DomainRecipe(fields=240, validation_fields=120, epochs=14),
    "release": DomainRecipe(),
}


def train_domain(
    recipe: DomainRecipe, *, progress: Callable[[str], None] | None = None
) -> DomainTest:
    """Train a domain on simulated fields; its threshold comes from others of their world.

    Parameters
    ----------
    recipe : DomainRecipe
    progress : callable, optional
        Called with a line at each step.

    Returns
    -------
    DomainTest
    """
    say = progress or silent
    drawn: dict[str, Any] = {
        "per_field": recipe.per_field,
        "looks": recipe.looks,
        "varied": recipe.varied,
        "steep_share": recipe.steep_share,
        "drift_k": recipe.drift_k,
        "seed": recipe.seed,
        "progress": say,
    }
    training = draw_domain_pixels(recipe.fields, split="train", **drawn)
    held = draw_domain_pixels(recipe.validation_fields, split="validation", **drawn)
    features = raw_features(training.quantities, terrain=False)
    usual = features[training.normal]
    center = np.asarray(np.nanmean(usual, axis=0, dtype=np.float64), np.float32)
    scale = np.array(np.nanstd(usual, axis=0, dtype=np.float64), np.float32)
    scale[~(scale > 1e-3)] = 1.0
    blank = DomainTest(fold(_model(recipe), _architecture(recipe)), center, scale, 0.0)
    network = _fit(recipe, blank, training, say)
    domain = DomainTest(network, center, scale, 0.0)
    return DomainTest(network, center, scale, _threshold(domain, held, recipe.flagged, say))


def with_domain(
    out: Path,
    *,
    bundle: str,
    recipe: DomainRecipe | None = None,
    of: str | None = None,
    overwrite: bool = False,
    progress: Callable[[str], None] | None = None,
) -> Path:
    """Write a bundle again with a domain: newly trained, or that of another bundle.

    Parameters
    ----------
    out : Path
        Directory to write.
    bundle : str
        Name, path or URL of the bundle whose networks are kept.
    recipe : DomainRecipe, optional
        How to train.
    of : str, optional
        A bundle whose domain is taken over instead.
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
        The other bundle has no domain.
    """
    return attach_part(
        _DOMAIN,
        out,
        bundle=bundle,
        recipe=recipe,
        of=of,
        train=partial(train_domain, progress=progress),
        overwrite=overwrite,
    )


def card_lines(domain: DomainTest) -> str:
    """Describe a domain for a bundle's model card.

    Parameters
    ----------
    domain : DomainTest

    Returns
    -------
    str
        Markdown.
    """
    text = (
        f"A network of {domain.network.multiplications} multiplications per pixel says whether the "
        "five temperatures fit each other, what lies around them and what is told of air and "
        "surface; what does not is flagged `out_of_domain`. `aktes bench domain` has the tables, "
        "and what it does not find."
    )
    return wrapped(text) + "\n"


_DOMAIN: Final[Kind[DomainTest]] = Kind(
    "domain",
    DOMAIN_FILES,
    "domain_recipe.json",
    CARD_HEADING,
    lambda bundle: bundle.domain,
    card_lines,
)


def _architecture(recipe: DomainRecipe) -> Architecture:
    return Architecture(units=recipe.units, activation="relu")


def _model(recipe: DomainRecipe) -> Any:
    import keras

    keras.utils.set_random_seed(recipe.seed)
    inputs = keras.Input((len(TEACHER_FEATURES),), name="features")
    node = hidden_layers(inputs, _architecture(recipe))
    outputs = keras.layers.Dense(1, name="outputs")(node)
    return keras.Model(inputs, outputs, name="domain")


def _fit(
    recipe: DomainRecipe, scaling: DomainTest, training: DomainPixels, say: Callable[[str], None]
) -> Network:
    import keras

    model = _model(recipe)
    steps = recipe.epochs * -(-len(training.normal) // recipe.batch_size)
    rate = keras.optimizers.schedules.CosineDecay(recipe.learning_rate, steps, alpha=1e-3)
    model.compile(
        optimizer=keras.optimizers.AdamW(rate, weight_decay=1e-4),
        loss=keras.losses.BinaryCrossentropy(from_logits=True),
    )
    targets = training.normal.astype(np.float32)[:, None]
    for epoch in range(recipe.epochs):
        rng = np.random.default_rng([recipe.seed, epoch, 89])
        told = drop_ancillaries(training.quantities, rng)
        inputs = _standardised(scaling, told)
        history = model.fit(inputs, targets, batch_size=recipe.batch_size, verbose=0).history
        say(f"epoch {epoch + 1} of {recipe.epochs}: loss {history['loss'][-1]:.4f}")
    return fold(model, _architecture(recipe))


def _standardised(scaling: DomainTest, quantities: Float32Array) -> Float32Array:
    return scaling.standardised(raw_features(quantities, terrain=False))


def _threshold(
    domain: DomainTest, held: DomainPixels, flagged: float, say: Callable[[str], None]
) -> float:
    """Return the score below which no case has more normal pixels than asked for."""
    usual, other = held.quantities[held.normal], held.quantities[~held.normal]
    scores = {told: domain.score(keep_only(usual, kept)) for told, kept in TOLD.items()}
    threshold = min(float(np.quantile(score, flagged)) for score in scores.values())
    for told, kept in TOLD.items():
        found = float((domain.score(keep_only(other, kept)) < threshold).mean())
        wrong = float((scores[told] < threshold).mean())
        say(f"told {told}: {found:.3f} of the distorted flagged, {wrong:.5f} of the normal")
    return threshold
