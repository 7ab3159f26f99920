"""Whether flags are worth heeding: what pixels with a doubtful flag err, and what those without.

Scenes of both worlds, half of them under clouds of every kind, by every method, told nothing,
water and air, or the prior as well; closure included. Doubtful are the flags of
`aktes_xr.cube.quality.DOUBTFUL` and `aktes_xr.cube.conditions.DOUBTFUL_CONDITIONS`. Nothing is
left out: neither metal nor what lies under a cloud that was missed.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from aktes_xr import sensor
from aktes_xr.bench.both_worlds import FOREIGN, OWN, Judged, cube_of, judge_worlds
from aktes_xr.bench.checks import BenchResult, Check, Table
from aktes_xr.bench.flags_tally import CLEAN, FLAGGED, KEPT, NAMES, FlagTally
from aktes_xr.bench.world import scenes
from aktes_xr.bench.world.clouds import CLOUD_KINDS, cover_with_clouds
from aktes_xr.bench.worlds_methods import GIVEN, NO_PRIOR
from aktes_xr.cube import describe
from aktes_xr.learn.cloud_sample import elevation_of
from aktes_xr.models.bundle import load_bundle
from aktes_xr.retrieval import retrieve
from aktes_xr.retrieval.inputs import terrain_of
from aktes_xr.simulate import FieldRecipe, draw_fields
from aktes_xr.simulate.clouds import KINDS, lay_clouds

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import NDArray

    from aktes_xr.models import Bundle
    from aktes_xr.simulate import Field

    Tallies = dict[tuple[str, str], FlagTally]

_METHODS: Final = ("fusion", "teacher", "student", "tes", "split_window")
_PHYSICAL_TOLD: Final = {"tes": (NO_PRIOR,), "split_window": (NO_PRIOR,)}
"""The prior is nothing to them."""
_SIDE: Final = 96
_STEEP_SHARE: Final = 0.25
_MOST: Final = 0.75
_LOGGER = logging.getLogger(__name__)


class Scene(NamedTuple):
    """A cube of one date, with its truth.

    Attributes
    ----------
    cube : Dataset
    temperature : ndarray (y, x), K
    emissivity : ndarray (y, x, 5), 1
    depth : ndarray (y, x)
        Absorption optical depth of the clouds over it; 0 without cloud.
    """

    cube: xr.Dataset
    temperature: NDArray[Any]
    emissivity: NDArray[Any]
    depth: NDArray[Any]


def run(*, quick: bool, bundle: str | None = None, part: str | None = None) -> BenchResult:
    """Judge the flags of a bundle's retrievals in both worlds.

    Parameters
    ----------
    quick : bool
        A quarter of the scenes.
    bundle : str, optional
        Name, path or URL; None: the default one.
    part : str, optional
        ``own`` or ``foreign``: that world alone.

    Returns
    -------
    BenchResult
    """
    loaded = load_bundle("default" if bundle is None else bundle)

    def judge(world: str, given: Iterator[Scene]) -> tuple[list[Check], list[Table]]:
        tallies: Tallies = {}
        for number, scene in enumerate(given):
            _LOGGER.info("%s: scene %d", world, number)
            add_scene(scene, loaded, tallies)
        return flag_checks(world, tallies), flag_tables(world, tallies)

    return judge_worlds(_WORLDS, judge, quick=quick, part=part)


def add_scene(scene: Scene, bundle: Bundle, tallies: Tallies) -> None:
    """Retrieve a scene by every method and add its errors, by method and by what is told.

    Parameters
    ----------
    scene : Scene
    bundle : Bundle
    tallies : dict
        By method and what is told; changed.
    """
    terrain = terrain_of(scene.cube).compute(scheduler="synchronous")
    for method in _METHODS:
        for told in _PHYSICAL_TOLD.get(method, tuple(GIVEN)):
            known = (*GIVEN[told], "surface_pressure")
            result = retrieve(
                scene.cube[[name for name in known if name in scene.cube]],
                method=method,
                bundle=bundle,
                terrain=terrain,
                closure=True,
                keep_cloudy=True,
            )
            found = result.compute(scheduler="synchronous").isel(time=0)
            emissivity = np.moveaxis(found["emissivity"].to_numpy(), 0, -1)
            tallies.setdefault((method, told), FlagTally()).add(
                found["quality"].to_numpy(),
                found["conditions"].to_numpy(),
                np.abs(found["surface_temperature"].to_numpy() - scene.temperature),
                np.abs(emissivity - scene.emissivity).mean(axis=-1),
                scene.depth,
            )


def _own(count: int) -> Iterator[Scene]:
    """Draw fields of the test split, a quarter over relief; half of all lie under clouds."""
    steep = round(count * _STEEP_SHARE)
    for terrain, number in ((False, count - steep), (True, steep)):
        recipe = FieldRecipe(
            count=number,
            seed=13,
            split="test",
            shape=(_SIDE, _SIDE),
            terrain=terrain,
            gap_share=0.0,
        )
        for field in draw_fields(recipe):
            yield _own_scene(field)


def _own_scene(field: Field) -> Scene:
    rng = np.random.default_rng([61, field.number, int(field.terrain is not None)])
    dn, depth = field.dn, np.zeros(field.shape, np.float32)
    if rng.random() < 0.5:
        # Structures take turns with the fields' numbers: kinds must not keep step with them.
        under = lay_clouds(rng, field, list(KINDS)[int(rng.integers(len(KINDS)))])
        dn, depth = _counted(under.brightness_temperature), under.depth
    cube = cube_of(field, dn)
    height = np.broadcast_to(np.asarray(elevation_of(field), np.float32), field.shape)
    cube["elevation"] = (("y", "x"), height)
    apart = field.told["elevation_difference"]
    if np.isfinite(apart).all():
        cube["ancillary_elevation"] = (("y", "x"), height - np.broadcast_to(apart, field.shape))
    return Scene(describe(cube), field.surface_temperature, field.emissivity, depth)


def _foreign(count: int) -> Iterator[Scene]:
    """Draw scenes of the foreign world; every second one is clear."""
    for number, scene in enumerate(scenes(count, size=_SIDE)):
        depth: Any = np.zeros((_SIDE, _SIDE))
        if number % 2 == 0:
            kind = CLOUD_KINDS[(number // 2) % len(CLOUD_KINDS)]
            kelvin, depth, _, _ = cover_with_clouds(scene, kind)
            dn = _counted(np.moveaxis(kelvin, 0, -1))
            tir = scene["tir"]
            scene["tir"] = (tir.dims, np.moveaxis(dn, -1, 0)[np.newaxis], tir.attrs)
        yield Scene(
            scene,
            scene["surface_temperature"].to_numpy()[0],
            np.moveaxis(scene["emissivity"].to_numpy(), 0, -1),
            depth,
        )


def _counted(kelvin: NDArray[np.floating]) -> NDArray[np.uint16]:
    """Return the digital numbers (y, x, 5) of brightness temperatures, 0 where there is none."""
    radiance = sensor.brightness_temperature_to_radiance(np.asarray(kelvin, np.float64))
    known = np.isfinite(radiance)
    numbers = sensor.radiance_to_dn(np.where(known, radiance, 0.0))
    return np.where(known, numbers, np.uint16(sensor.FILL_DN)).astype(np.uint16)


def flag_checks(world: str, tallies: Tallies) -> list[Check]:
    """Hold what pixels without a doubtful flag err against what those with one do.

    Parameters
    ----------
    world : str
        For the checks' names.
    tallies : dict of FlagTally
        By method and what is told.

    Returns
    -------
    list of Check
        Two of each tally: with cloud and without it.
    """
    checks = []
    for (method, told), tally in tallies.items():
        for text, flagged in (("", FLAGGED), (", cloud left out", KEPT)):
            share = tally.error(CLEAN) / tally.error(flagged)
            name = f"{world}: {method}, told {told}, no doubtful flag over any{text}"
            checks.append(Check.at_most(name, share, _MOST, "1"))
    return checks


def flag_tables(world: str, tallies: Tallies) -> list[Table]:
    """Lay out all that was counted.

    Parameters
    ----------
    world : str
        For the tables' titles.
    tallies : dict of FlagTally
        By method and what is told.

    Returns
    -------
    list of Table
        Errors without and with any doubtful flag, and with each flag.
    """
    columns = (
        *("method", "told", "N", "share flagged", "of it cloud", "K without", "K with any"),
        *("ratio", "K with any, cloud left out", "ratio", "e without", "e with any", "ratio"),
        *("of those without: truly cloudy", "K of the others"),
    )
    rows, single = [], []
    for (method, told), tally in tallies.items():
        total = tally.count(CLEAN) + tally.count(FLAGGED)
        clean, flagged, kept = (tally.error(name) for name in (CLEAN, FLAGGED, KEPT))
        emissivity = tally.emissivity_error(CLEAN), tally.emissivity_error(FLAGGED)
        rows.append(
            (
                *(method, told, total),
                *(tally.count(FLAGGED) / total, tally.count("cloud") / total),
                *(clean, flagged, clean / flagged, kept, clean / kept),
                *(*emissivity, emissivity[0] / emissivity[1]),
                *(tally.missed_share, tally.clear_error),
            )
        )
        for name in NAMES:
            if tally.count(name):
                share = tally.count(name) / total
                single.append(
                    (method, told, name, share, tally.error(name), tally.error(name) / clean)
                )
    return [
        Table(f"{world}: errors without and with a doubtful flag", columns, rows),
        Table(
            f"{world}: each flag",
            ("method", "told", "flag", "share", "K with it", "over K without any"),
            single,
            headings=2,
        ),
    ]


_WORLDS: Final = (Judged(OWN, (24, 96), _own), Judged(FOREIGN, (24, 96), _foreign))
