"""The cloud test judged: omission by height and by what a cloud changes, commission by surface.

In the world of the training (atmospheres, surfaces and relief that training did not see) and in a
foreign one, with clouds of its own. Told nothing but the elevation, the air's and the skin's
temperature, or the clear-sky background of five dates. Beside it the fixed rules by which
JPL's products find cloud.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from aktes_xr import sensor
from aktes_xr.bench.both_worlds import FOREIGN, OWN, Judged, judge_worlds
from aktes_xr.bench.checks import BenchResult, Check, Table
from aktes_xr.bench.clouds_tally import (
    CHANGES,
    HEIGHTS,
    OVERCAST,
    SURFACES,
    CloudTally,
    ScenePixels,
)
from aktes_xr.bench.world import scenes
from aktes_xr.bench.world.clouds import CLOUD_KINDS, cover_with_clouds
from aktes_xr.bench.world.patterns import spectral_field
from aktes_xr.bench.world.spectra import KINDS as FOREIGN_SURFACES
from aktes_xr.bench.world.spectra import METAL
from aktes_xr.errors import BundleError
from aktes_xr.learn.cloud_sample import elevation_of
from aktes_xr.models.bundle import load_bundle
from aktes_xr.models.cloud_features import SEEN, describable, scene_statistics
from aktes_xr.models.cloud_image import probability_of_image
from aktes_xr.models.context import REACH
from aktes_xr.retrieval.cloud_rules import cloud_by_rules
from aktes_xr.simulate import FieldRecipe, draw_fields
from aktes_xr.simulate.clouds import KINDS, lay_clouds
from aktes_xr.simulate.landcover import SNOW

if TYPE_CHECKING:
    import xarray as xr

    from aktes_xr.compilation import Float32Array
    from aktes_xr.models.cloud_test import CloudTest
    from aktes_xr.simulate import Field

TOLD: Final = {
    "none": ("elevation",),
    "ancillaries": ("elevation", "air_temperature", "skin_temperature"),
    "background": ("elevation", "air_temperature", "skin_temperature", "background"),
}
RULED: Final = ("none", "ancillaries")
"""What the fixed rules (`aktes_xr.retrieval.cloud_rules`), which know no background, are told."""
_SIDE: Final = 96
_STEP: Final = 2
_DATES: Final = 5
_DRIFT_K: Final = 4.0
_ASKED: Final = (
    (HEIGHTS[2], None, (0.12, 0.08, 0.03)),
    (CHANGES[3], None, (0.12, 0.08, 0.03)),
    (HEIGHTS[1], "day", (0.20, 0.15, 0.05)),
    (HEIGHTS[1], "night", (0.45, 0.40, 0.30)),
    ("cirrus of .3 to 1", None, (0.30, 0.20, 0.05)),
)
_ASKED_OVERCAST: Final = (0.25, 0.20, 0.10)
_COMMISSION: Final = {OWN: 0.03, FOREIGN: 0.06}
_LOGGER = logging.getLogger(__name__)
Scene = tuple["Float32Array", float, ScenePixels]


def run(*, quick: bool, bundle: str | None = None, part: str | None = None) -> BenchResult:
    """Judge a bundle's cloud test in both worlds.

    Parameters
    ----------
    quick : bool
        A third of the scenes.
    bundle : str, optional
        Name, path or URL; None: the default one.
    part : str, optional
        ``own`` or ``foreign``: that world alone.

    Returns
    -------
    BenchResult

    Raises
    ------
    BundleError
        The bundle has no cloud test.
    """
    loaded = load_bundle("default" if bundle is None else bundle)
    test = loaded.cloud_test
    if test is None:
        raise BundleError(f"the bundle {loaded.name!r} has no cloud test: aktes train clouds")

    def judge(world: str, given: Iterator[Scene]) -> tuple[list[Check], list[Table]]:
        tallies = {told: CloudTally() for told in TOLD}
        rules = {told: CloudTally() for told in RULED}
        for seen, zenith, truth in given:
            for told, names in TOLD.items():
                probability = _tested(test, seen, names, zenith)
                tallies[told].add(truth._replace(probability=probability), test.threshold)
            for told, tally in rules.items():
                tally.add(truth._replace(probability=_ruled(seen, TOLD[told])), 0.5)
        return _checks(world, tallies), _tables(world, tallies, rules)

    return judge_worlds(_WORLDS, judge, quick=quick, part=part)


def _known(seen: Float32Array, names: tuple[str, ...]) -> tuple[Float32Array, Float32Array]:
    """Return the planes of a scene of which only some are known, and its statistics."""
    known = seen.copy()
    for place, name in enumerate(SEEN[5:], start=5):
        if name not in names:
            known[place] = np.nan
    return known, scene_statistics(known[:, ::_STEP, ::_STEP].reshape(len(SEEN), -1))


def _ruled(seen: Float32Array, names: tuple[str, ...]) -> Float32Array:
    """Apply the fixed rules: 1 where they find cloud, NaN where nothing was measured."""
    known, statistics = _known(seen, names)
    cloudy = cloud_by_rules(known, statistics).astype(np.float32)
    return np.where(describable(known), cloudy, np.float32(np.nan))


def _tested(
    test: CloudTest, seen: Float32Array, names: tuple[str, ...], zenith: float
) -> Float32Array:
    """Run the test on a scene of which only some planes are known."""
    known, statistics = _known(seen, names)
    edged = np.pad(known, ((0, 0), (REACH, REACH), (REACH, REACH)), constant_values=np.nan)
    return probability_of_image(test, edged, statistics, zenith)


def _own(count: int) -> Iterator[Scene]:
    """Draw fields of the test split; half of them clear."""
    recipe = FieldRecipe(count=count, seed=4, split="test", shape=(_SIDE, _SIDE), gap_share=0.0)
    for number, field in enumerate(draw_fields(recipe)):
        rng = np.random.default_rng([47, number])
        # Structures take turns with the fields' numbers: kinds must not keep step with them.
        kind = list(KINDS)[int(rng.integers(len(KINDS)))] if rng.random() < 0.5 else "clear"
        _LOGGER.info("%s: field %d, %s, %s", OWN, number, field.structure, kind)
        yield _own_scene(rng, field, kind)


def _own_scene(rng: np.random.Generator, field: Field, kind: str) -> Scene:
    kelvin = field.brightness_temperature
    depth = np.zeros(field.shape, np.float32)
    height = np.full(field.shape, np.nan, np.float32)
    change = depth
    if kind != "clear":
        under = lay_clouds(rng, field, kind)
        kelvin = under.brightness_temperature
        depth, height, change = under.depth, under.height, under.change
    seen = np.full((len(SEEN), *field.shape), np.nan, np.float32)
    seen[:5] = np.moveaxis(kelvin, -1, 0)
    seen[5] = elevation_of(field)
    seen[6] = _background(rng, field.brightness_temperature[..., 3])
    seen[7] = field.told["air_temperature"]
    seen[8] = field.told["skin_temperature"]
    surface = np.where(field.water, 1, np.where(field.surface_class == SNOW, 2, 0))
    high = kind == "cirrus"
    truth = ScenePixels(depth, depth, height, change, surface, kind, field.day, high)
    return seen, field.sun_zenith, truth


def _foreign(count: int) -> Iterator[Scene]:
    """Draw scenes of the foreign world; every second one is clear."""
    for number, scene in enumerate(scenes(count, size=_SIDE)):
        kind = "clear"
        if number % 2 == 0:
            kind = CLOUD_KINDS[(number // 2) % len(CLOUD_KINDS)]
        _LOGGER.info("%s: scene %d, %s, %s", FOREIGN, number, scene.attrs["structure"], kind)
        yield _foreign_scene(scene, kind)


def _foreign_scene(scene: xr.Dataset, kind: str) -> Scene:
    rng = np.random.default_rng([53, scene.attrs["number"]])
    counts = np.moveaxis(scene["tir"].to_numpy()[0], 0, -1)
    clear = np.asarray(sensor.dn_to_brightness_temperature(counts), np.float32)
    shape = clear.shape[:2]
    depth: Any = np.zeros(shape)
    height: Any = np.full(shape, np.nan)
    change: Any = np.zeros(shape)
    kelvin = np.moveaxis(clear, -1, 0)
    if kind != "clear":
        kelvin, depth, height, change = cover_with_clouds(scene, kind)
    seen = np.full((len(SEEN), *shape), np.nan, np.float32)
    seen[:5] = kelvin
    seen[5] = scene["elevation"].to_numpy()
    seen[6] = _background(rng, clear[..., 3])
    seen[7] = scene["air_temperature"].to_numpy()[0]
    skin = float(scene["surface_temperature"].mean())
    seen[8] = skin + 3.0 * rng.standard_normal()
    ground = scene["kind"].to_numpy()
    snow = np.isin(ground, [FOREIGN_SURFACES.index(name) for name in ("snow", "ice")])
    surface = np.where(ground == FOREIGN_SURFACES.index("water"), 1, np.where(snow, 2, 0))
    # Metal is no ground that a cloud test is asked about.
    surface = np.where(ground == METAL, -1, surface)
    zenith = float(scene["sun_zenith"].to_numpy()[0])
    high = kind in ("streaks", "veil")
    truth = ScenePixels(
        seen[3], depth, height, change, surface, kind, not scene.attrs["night"], high
    )
    return seen, zenith, truth


def _background(rng: np.random.Generator, clear: Float32Array) -> Float32Array:
    """Return the median of five clear dates: other weather on each, and other noise."""
    dates = []
    for _ in range(_DATES):
        weather = 1.0 * spectral_field((clear.shape[0], clear.shape[1]), rng, exponent=3.0)
        noise = 0.3 * rng.standard_normal(clear.shape)
        dates.append(clear + _DRIFT_K * rng.standard_normal() + weather + noise)
    return np.asarray(np.median(dates, axis=0), np.float32)


def _checks(world: str, tallies: dict[str, CloudTally]) -> list[Check]:
    checks = []
    asked = list(_ASKED)
    if world == FOREIGN:
        asked.append((OVERCAST, None, _ASKED_OVERCAST))
    for stratum, half, targets in asked:
        when = "" if half is None else f", {half}"
        for (told, tally), target in zip(tallies.items(), targets, strict=True):
            name = f"{world}: missed, {stratum}{when}, told {told}"
            checks.append(Check.at_most(name, tally.missed(stratum, half), target, "1"))
    for surface in SURFACES:
        for told, tally in tallies.items():
            name = f"{world}: called cloud, clear {surface}, told {told}"
            value = tally.commission[surface].value
            checks.append(Check.at_most(name, value, _COMMISSION[world], "1"))
    return checks


def _tables(
    world: str, tallies: dict[str, CloudTally], rules: dict[str, CloudTally]
) -> list[Table]:
    strata = (*HEIGHTS, *CHANGES, OVERCAST, "cirrus of .3 to 1")
    both = (*tallies.values(), *rules.values())
    columns = (*TOLD, *(f"rules, {told}" for told in RULED))
    missed = [
        (stratum, half, *(tally.missed(stratum, half) for tally in both))
        for stratum in strata
        for half in ("day", "night")
    ]
    wrong = [
        (surface, *(tally.commission[surface].value for tally in both)) for surface in SURFACES
    ]
    reliability = []
    for told, tally in tallies.items():
        for number in np.flatnonzero(tally.counted):
            count = tally.counted[number]
            row = (tally.predicted[number] / count, tally.happened[number] / count, int(count))
            reliability.append((told, *row))
    return [
        Table(
            f"{world}: missed of depth above 1", ("stratum", "half", *columns), missed, headings=1
        ),
        Table(f"{world}: clear pixels called cloud", ("surface", *columns), wrong),
        Table(
            f"{world}: reliability",
            ("told", "probability", "share cloudy", "N"),
            reliability,
            headings=1,
        ),
    ]


_WORLDS: Final = (Judged(OWN, (72, 216), _own), Judged(FOREIGN, (48, 144), _foreign))
