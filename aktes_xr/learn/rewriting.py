"""A bundle's model card, and figures of its training, made anew from what it holds."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from aktes_xr.errors import InputError
from aktes_xr.learn import clouds, domain
from aktes_xr.learn.attachment import check_place
from aktes_xr.learn.card import Networks, model_card, with_section
from aktes_xr.learn.cloud_reliability import (
    RELIABILITY_FILE,
    CloudReliability,
    reliability_figure,
    reliability_lines,
)
from aktes_xr.learn.evidence import Evidence
from aktes_xr.learn.figure import write_training_figures
from aktes_xr.learn.history import FILE as HISTORY
from aktes_xr.learn.history import read_histories
from aktes_xr.learn.recipe import Recipe
from aktes_xr.learn.search import LEADERBOARD, read_leaderboard
from aktes_xr.models.bundle import BundleContents, load_bundle, write_bundle

if TYPE_CHECKING:
    from aktes_xr.learn.architecture import Architecture
    from aktes_xr.learn.history import History
    from aktes_xr.learn.search import Trial
    from aktes_xr.models import Bundle

_METRICS, _RECIPE = "metrics.json", "recipe.json"


def rewrite_card(
    bundle: str | Path,
    out: Path,
    *,
    reliability: CloudReliability | None = None,
    overwrite: bool = False,
) -> Path:
    """Write a bundle again with a card made anew of its scores; networks stay as they are.

    Parameters
    ----------
    bundle : str or Path
        Name, path or URL.
    out : Path
        Directory to write, which may be the bundle itself.
    reliability : CloudReliability, optional
        Of its cloud test, to be kept in the bundle; unless given the bundle's own stays.
    overwrite : bool
        Replace what is at ``out``.

    Returns
    -------
    Path
        ``out``.

    Raises
    ------
    InputError
        ``out`` exists, the bundle holds no scores or no recipe, or it has no cloud test whose
        reliability is given.
    """
    check_place(out, overwrite=overwrite)
    source = load_bundle(bundle)
    missing = [name for name in (_METRICS, _RECIPE) if name not in source.extras]
    if missing:
        raise InputError(
            f"bundle {source.name!r} lacks {' and '.join(missing)}, which its card is made of; "
            "'aktes train calibration' writes them"
        )
    recipe = Recipe.from_json(json.loads(source.extras[_RECIPE]))
    networks = Networks(tuple(source.models.values()), source.fusion, _histories(source))
    card = model_card(recipe, networks, Evidence.from_bytes(source.extras[_METRICS]))
    extras = dict(source.extras)
    if reliability is not None:
        if source.cloud_test is None:
            raise InputError(f"bundle {source.name!r} has no cloud test whose reliability to keep")
        extras[RELIABILITY_FILE] = reliability.to_bytes()
    for heading, text in _attached(source, extras):
        card = with_section(card, heading, text)
    models = tuple(networks.models)
    contents = BundleContents(source.name, models, card, source.fusion, extras)
    write_bundle(out, contents, overwrite=overwrite)
    return out


def _attached(bundle: Bundle, extras: Mapping[str, bytes]) -> Iterator[tuple[str, str]]:
    """Describe what lies beside a bundle's networks: headings and texts."""
    if bundle.cloud_test is not None:
        text = clouds.card_lines(bundle.cloud_test)
        if RELIABILITY_FILE in extras:
            found = CloudReliability.from_bytes(extras[RELIABILITY_FILE])
            text += "\n" + reliability_lines(found)
        yield clouds.CARD_HEADING, text
    if bundle.domain is not None:
        yield domain.CARD_HEADING, domain.card_lines(bundle.domain)


def draw_training(bundle: str | Path, folder: Path) -> list[Path]:
    """Draw a bundle's search and losses, and how reliable its probability of cloud is.

    Parameters
    ----------
    bundle : str or Path
        Name, path or URL.
    folder : Path
        Where the figures go, as PNG and as SVG; made where it is missing.

    Returns
    -------
    list of Path
        The figures.

    Raises
    ------
    InputError
        The bundle holds neither a leaderboard nor a history.
    """
    source = load_bundle(bundle)
    trials = read_leaderboard(source.extras.get(LEADERBOARD, b"[]"))
    histories = _histories(source)
    if not trials and not histories:
        raise InputError(
            f"bundle {source.name!r} holds neither {LEADERBOARD} nor {HISTORY}: nothing of its "
            "training was kept"
        )
    clouded = None
    if RELIABILITY_FILE in source.extras:
        found = CloudReliability.from_bytes(source.extras[RELIABILITY_FILE])
        clouded = reliability_figure(found)
    return write_training_figures(
        folder, trials, histories, chosen=_chosen(source, trials), clouds=clouded
    )


def _histories(bundle: Bundle) -> list[History]:
    return read_histories(bundle.extras.get(HISTORY, b"[]"))


def _chosen(bundle: Bundle, trials: list[Trial]) -> Architecture | None:
    """Find the candidate that became the teacher: a bundle has normalisation folded away."""
    layers = bundle.teacher.network.layers[:-1]
    units = tuple(int(layer.bias.shape[0]) for layer in layers)
    skip = any(layer.skip for layer in layers)
    for trial in trials:
        found = trial.architecture
        if (found.units, found.activation, found.skip) == (units, layers[0].activation, skip):
            return found
    return None
