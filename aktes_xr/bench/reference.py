"""A network several times as large as the teacher, trained on the same data: how much is left.

If a network of eight times as many multiplications is no better, the teacher's errors are the
data's own, not its size's. The weights are too large to ship; what ships is their scores, in
``reference.json``, with all that is needed to make them again.
"""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from aktes_xr.cube import (
    DEFAULT_AIR_TEMPERATURE_ERROR_K,
    DEFAULT_EMISSIVITY_ERROR,
    DEFAULT_WATER_VAPOR_ERROR,
)
from aktes_xr.documents import write_json
from aktes_xr.errors import InputError, TrainingError
from aktes_xr.learn.architecture import Architecture, multiplications
from aktes_xr.learn.evaluation import (
    ANCILLARY_SETS,
    NEDT_K,
    SEED,
    score_strata,
    strata,
    unseen_pixels,
)
from aktes_xr.learn.packages import check_training_packages
from aktes_xr.learn.pixels import keep_only
from aktes_xr.learn.teacher import claim, draw_samples, fit
from aktes_xr.learn.training import Progress, keras_bytes, scaling_of
from aktes_xr.models import BundleContents, PixelModel, load_bundle, write_bundle
from aktes_xr.models.features import TEACHER_FEATURES
from aktes_xr.simulate.atmospheres import Protocol

if TYPE_CHECKING:
    from aktes_xr.learn.recipe import Recipe
    from aktes_xr.models import Bundle

_LOGGER = logging.getLogger(__name__)

TIMES: Final = 8.0
FILE: Final = "reference.json"
TEST_SAMPLES: Final = 200_000
_ROUNDED_TO: Final = 8


def train_reference(
    recipe: Recipe,
    directory: str | Path,
    *,
    bundle: str | Path = "default",
    times: float = TIMES,
    epochs: int | None = None,
    progress: Progress | None = None,
) -> Path:
    """Train a wider network as the teacher was trained, and score it on unseen pixels.

    Parameters
    ----------
    recipe : Recipe
        The teacher's.
    directory : str or Path
        Working directory; finished epochs in it are kept, so the same call goes on after a kill.
    bundle : str or Path
        With the teacher.
    times : float
        At least so many times the teacher's multiplications.
    epochs : int, optional
        Fewer than the recipe's, where the time does not suffice; `FILE` says how many.
    progress : callable, optional
        Called with a line of text now and then.

    Returns
    -------
    Path
        The bundle of the reference, ``directory/bundle``; its `FILE` holds the scores.

    Raises
    ------
    TrainingError
        The directory belongs to another recipe or to another teacher's reference.
    """
    if epochs is not None:
        recipe = replace(recipe, teacher=replace(recipe.teacher, epochs=epochs))
    check_training_packages()
    work = Path(directory)
    claim(work, recipe)
    say = progress or _LOGGER.info
    source = load_bundle(bundle)
    architecture = wider(architecture_of(source), times)
    _claim_architecture(work / "architecture.json", architecture)
    say(f"training {architecture} on the data of recipe {recipe.name}")
    samples = draw_samples(recipe)
    scaling = scaling_of(samples[0], np.random.default_rng(recipe.seed), terrain=False)
    model, trained = fit(recipe, architecture, samples, scaling, directory=work, progress=progress)
    found = {
        **provenance(recipe, source, model, architecture),
        "rows": [row for protocol in ("G", "P") for row in reference_rows(model, protocol)],
    }
    write_json(work / FILE, found)
    contents = BundleContents(
        "reference",
        (model,),
        "# Reference\n\nA wider network beside which a teacher is judged; not for retrieval.\n",
        None,
        {FILE: (work / FILE).read_bytes(), "teacher.keras": keras_bytes(trained, work)},
    )
    write_bundle(work / "bundle", contents, overwrite=True)
    return work / "bundle"


def _claim_architecture(file: Path, architecture: Architecture) -> None:
    mine = json.loads(json.dumps(architecture.to_json()))
    if file.exists() and json.loads(file.read_text()) != mine:
        raise TrainingError(
            f"{file.parent.name} holds the reference of a teacher of another size: choose another "
            "directory, or remove it to start anew"
        )
    write_json(file, mine)


def architecture_of(bundle: Bundle) -> Architecture:
    """Return the teacher's architecture as it was trained.

    A bundle has normalisation folded into its weights. So whether there was any is taken from the
    leaderboard.

    Parameters
    ----------
    bundle : Bundle
        A bundle with a teacher.

    Returns
    -------
    Architecture
    """
    layers = bundle.teacher.network.layers[:-1]
    found = Architecture(
        units=tuple(int(layer.bias.shape[0]) for layer in layers),
        activation=layers[0].activation,
        skip=any(layer.skip for layer in layers),
    )
    for entry in json.loads(bundle.extras.get("leaderboard.json", b"[]"))[:1]:
        settings = entry["architecture"]
        if tuple(settings["units"]) == found.units:
            return replace(found, normalisation=bool(settings["normalisation"]))
    return found


def wider(architecture: Architecture, times: float) -> Architecture:
    """Scale all widths alike until the network multiplies at least ``times`` as much.

    Parameters
    ----------
    architecture : Architecture
        The network to widen.
    times : float
        How many times as many multiplications are wanted.

    Returns
    -------
    Architecture

    Raises
    ------
    InputError
        ``times`` is not above 1.
    """
    if not times > 1.0:
        raise InputError(f"found a reference {times} times as large, expected more than 1")
    target = times * multiplications(architecture, len(TEACHER_FEATURES))
    factor = 1.0
    while True:
        units = tuple(
            _ROUNDED_TO * -int(-factor * width // _ROUNDED_TO) for width in architecture.units
        )
        grown = replace(architecture, units=units)
        if multiplications(grown, len(TEACHER_FEATURES)) >= target:
            return grown
        factor += 0.01


def provenance(
    recipe: Recipe, source: Bundle, model: PixelModel, architecture: Architecture
) -> dict[str, Any]:
    """Describe what was trained on what, and beside which teacher.

    Parameters
    ----------
    recipe : Recipe
        What the larger network was trained on.
    source : Bundle
        The bundle whose teacher stands beside it.
    model : PixelModel
        The larger network.
    architecture : Architecture
        The larger network's hidden layers.

    Returns
    -------
    dict
        Values of JSON's types.
    """
    return {
        "teacher_sha256": source.teacher.network.sha256,
        "teacher_multiplications": source.teacher.network.multiplications,
        "multiplications": model.network.multiplications,
        "architecture": architecture.to_json(),
        "recipe": recipe.to_json(),
        "test": {
            "samples": TEST_SAMPLES,
            "seed": SEED,
            "nedt_k": NEDT_K,
            "water_vapor_error": DEFAULT_WATER_VAPOR_ERROR,
            "air_temperature_error_k": DEFAULT_AIR_TEMPERATURE_ERROR_K,
            "emissivity_error": DEFAULT_EMISSIVITY_ERROR,
        },
    }


def reference_rows(model: PixelModel, protocol: Protocol) -> list[dict[str, Any]]:
    """Score a network by protocol, ancillaries and stratum.

    Parameters
    ----------
    model : PixelModel
        The network.
    protocol : str
        How the unseen pixels are drawn.

    Returns
    -------
    list of dict
        Values of JSON's types.
    """
    pixels = unseen_pixels(TEST_SAMPLES, protocol)
    masks = strata(pixels.simulated)
    rows = []
    for given, kept in ANCILLARY_SETS.items():
        estimate = model.predict(keep_only(pixels.quantities, kept))
        for stratum, (temperature, emissivity) in score_strata(estimate, pixels, masks).items():
            rows.append(
                {
                    "protocol": protocol,
                    "ancillaries": given,
                    "stratum": stratum,
                    "temperature": temperature.as_dict(),
                    "emissivity": emissivity.as_dict(),
                }
            )
    return rows
