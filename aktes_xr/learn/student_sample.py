"""A student's pixels: most over relief, a share on flat ground; to train, and held to calibrate."""

from __future__ import annotations

import functools
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from aktes_xr.learn.drawing import World, draw
from aktes_xr.learn.pixels import Sample

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from aktes_xr.learn.recipe import Recipe
    from aktes_xr.learn.region import Region
    from aktes_xr.simulate.emissivity import Split

    Held = tuple[Sample, NDArray[np.int8]]
    """Pixels, and the number of each one's structure."""

HELD_PER_FIELD: Final = 150
STEEP_PER_FIELD: Final = 600
LEVEL_PER_FIELD: Final = 200
"""Pixels taken of a field, held back or to train on. A student learns fast, so that drawing takes
most of the time: many fields of few pixels teach it more than few fields of many."""


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
    locality = None if region is None else region.locality
    seed = recipe.seed + 1 + 100 * epoch
    taken = (HELD_PER_FIELD,) * 2 if split == "validation" else (STEEP_PER_FIELD, LEVEL_PER_FIELD)
    steep, flat = (
        World.of(recipe, split, seed, terrain=terrain, locality=locality, per_field=count)
        for terrain, count in zip((True, False), taken, strict=True)
    )
    kinds = [(size - level, steep), (level, flat)]
    drawn = [draw(count, kind) for count, kind in kinds if count]
    return [(sample, simulated["structure"].to_numpy()) for sample, simulated in drawn]
