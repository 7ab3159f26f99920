"""Calibration of a bundle on worlds that neither network was trained on.

Uncertainties are fitted stratum by stratum, then the fusion. Nothing is retrained, so a bundle can
be calibrated anew when there is more to judge by.
"""

from __future__ import annotations

import functools
import json
import logging
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from aktes_xr.errors import InputError
from aktes_xr.learn.card import Networks, model_card, with_attached
from aktes_xr.learn.evidence import Evidence
from aktes_xr.learn.fitting import calibrate_fusion, fit_strata
from aktes_xr.learn.history import FILE as HISTORY
from aktes_xr.learn.history import read_histories
from aktes_xr.learn.pixels import ALL, Sample, keep_only
from aktes_xr.learn.student_sample import draw_held
from aktes_xr.models import BundleContents, load_bundle, write_bundle
from aktes_xr.models.features import SKY_VIEW_FACTOR
from aktes_xr.simulate.structures import STRUCTURES
from aktes_xr.terrain.complexity import complexity_k

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from aktes_xr.learn.recipe import Recipe
    from aktes_xr.learn.region import Region
    from aktes_xr.learn.student_sample import Held
    from aktes_xr.learn.training import Progress
    from aktes_xr.models import Fusion, PixelModel

_LOGGER = logging.getLogger(__name__)
FUSION_SETS: Final = (
    ALL - {"skin_temperature"},
    frozenset({"water_vapor", "air_temperature", "surface_pressure", "surroundings"}),
    frozenset({"surface_pressure", "surroundings"}),
)
"""Ancillaries that the fusion is calibrated for: all, water and air, none."""


def told_variously(held: Sequence[Held]) -> tuple[Sample, NDArray[np.int64]]:
    """Tell each of `FUSION_SETS` of ancillaries.

    Parameters
    ----------
    held : sequence of tuple
        Samples from `aktes_xr.learn.student_sample.draw_held`, each with its pixels' structures.

    Returns
    -------
    Sample
        All pixels, once for every set.
    ndarray (pixel,), int64
        Number of the group: structure, kind of ground and set of ancillaries.
    """
    samples: list[Sample] = []
    groups: list[NDArray[np.int64]] = []
    for kept in FUSION_SETS:
        for sample, structure in held:
            samples.append(Sample(keep_only(sample.quantities, kept), sample.truth))
            groups.append(structure.astype(np.int64) + len(STRUCTURES) * len(groups))
    return functools.reduce(Sample.joined, samples), np.concatenate(groups)


def fit_fusion(teacher: PixelModel, student: PixelModel, held: Sequence[Held]) -> Fusion:
    """Calibrate the fusion of two networks over many worlds of the validation split.

    Parameters
    ----------
    teacher, student : PixelModel
    held : sequence of tuple
        As for `told_variously`. Every structure is judged apart with each set of ancillaries, so
        that no world pays for another.
    """
    both, group = told_variously(held)
    return calibrate_fusion(
        complexity_k(both.quantities[:, SKY_VIEW_FACTOR]),
        teacher.predict(both.quantities),
        student.predict(both.quantities),
        both.truth,
        group=group,
        cost=(teacher.network.multiplications, student.network.multiplications),
    )


def recalibrate(
    recipe: Recipe, directory: str | Path, *, bundle: str | Path, progress: Progress | None = None
) -> Path:
    """Fit a bundle's uncertainties by stratum and its fusion anew; no network is trained.

    Parameters
    ----------
    recipe : Recipe
        Whose validation split to judge by.
    directory : str or Path
        The new bundle is written to ``directory/bundle``.
    bundle : str or Path
        With a teacher and a general student; it is not changed.
    progress : callable, optional
        Called with a line of text now and then.

    Returns
    -------
    Path
        The new bundle.

    Raises
    ------
    InputError
        The bundle has no general student.
    """
    source = load_bundle(bundle)
    if source.fusion is None or "student" not in source.models:
        raise InputError(
            f"bundle {source.name!r} has no general student; distil one first (aktes distil)"
        )
    say = progress or _LOGGER.info
    say("simulating what to judge by")
    held = draw_held(recipe)
    both, _ = told_variously(held)
    teacher, student = (fit_strata(source.models[name], both) for name in ("teacher", "student"))
    fusion = fit_fusion(teacher, student, held)
    say(f"calibrated {fusion}")
    models = {**source.models, "teacher": teacher, "student": student}
    contents = BundleContents(
        source.name,
        tuple(models.values()),
        source.model_card,
        fusion,
        source.extras,
    )
    return documented(contents, recipe, Path(directory))


def documented(
    contents: BundleContents, recipe: Recipe, directory: Path, *, region: Region | None = None
) -> Path:
    """Score a bundle's networks, write its card anew, and write it.

    Parameters
    ----------
    contents : BundleContents
        With a teacher and a student (that of the region, if there is one).
    recipe : Recipe
    directory : Path
        The bundle is written to ``directory/bundle``.
    region : Region, optional
        Where to score its student.

    Returns
    -------
    Path
        The bundle.
    """
    named = {model.name: model for model in contents.models}
    student = named["student" if region is None else region.name]
    if contents.fusion is None:
        raise InputError("found networks without a fusion, expected one to be scored")
    evidence = Evidence.of_bundle(named["teacher"], student, contents.fusion, recipe, region=region)
    extras = dict(contents.extras or {})
    if region is not None and "metrics.json" in extras:
        kept = [
            row
            for row in json.loads(extras["metrics.json"])
            if row["sample"] != f"terrain, {region.name}"
        ]
        evidence = Evidence((*kept, *evidence.rows))
    histories = read_histories(extras.get(HISTORY, b"[]"))
    networks = Networks(contents.models, contents.fusion, histories)
    card = with_attached(model_card(recipe, networks, evidence), contents.model_card)
    extras |= {
        "metrics.json": evidence.to_bytes(),
        "recipe.json": (json.dumps(recipe.to_json(), indent=1) + "\n").encode(),
    }
    written = replace(contents, model_card=card, extras=extras)
    write_bundle(directory / "bundle", written, overwrite=True)
    return directory / "bundle"
