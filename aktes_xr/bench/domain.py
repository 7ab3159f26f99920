"""A bundle's domain judged: what share of strange inputs it flags, and of normal ones.

In the world of the training (atmospheres, surfaces and relief that training did not see) and in a
foreign one that no threshold was fitted on, told nothing, water and air, or the prior as well. And
whether a band that lies apart from the others is found (`aktes_xr.bench.domain_shift`).
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import xarray as xr

from aktes_xr.bench.both_worlds import (
    FOREIGN,
    OWN,
    Judged,
    cube_of,
    judge_worlds,
)
from aktes_xr.bench.checks import BenchResult, Check, Table
from aktes_xr.bench.domain_oddities import ODDITIES, Subject
from aktes_xr.bench.domain_shift import run_shift
from aktes_xr.bench.world import scenes
from aktes_xr.bench.worlds_methods import GIVEN
from aktes_xr.cube.quality import QualityFlag
from aktes_xr.errors import BundleError, InputError
from aktes_xr.models.bundle import load_bundle
from aktes_xr.retrieval import retrieve
from aktes_xr.retrieval.inputs import terrain_of
from aktes_xr.simulate import FieldRecipe, draw_fields

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from aktes_xr.models import Bundle
    from aktes_xr.simulate import Field

    _Scene = tuple[xr.Dataset, Subject, NDArray[np.bool_]]

NORMAL: Final = "normal"
SHIFT: Final = "shift"
_PARTS: Final = ("own", "foreign")
_STEEP_SHARE: Final = 0.1
_SIDE: Final = 64
_LEAST_FLAGGED: Final = 0.95
_MOST_NORMAL: Final = 0.01
_FLAGS: Final = int(QualityFlag.OUT_OF_DOMAIN | QualityFlag.FILL)
"""60,000 is no digital number: it is fill, which is as good as a flag."""
_LOGGER = logging.getLogger(__name__)


def run(*, quick: bool, bundle: str | None = None, part: str | None = None) -> BenchResult:
    """Judge a bundle's domain in both worlds.

    Parameters
    ----------
    quick : bool
        A fifth of the scenes.
    bundle : str, optional
        Name, path or URL; None: the default one.
    part : str, optional
        ``own`` or ``foreign``: that world alone. ``shift``: bands that lie apart, alone.

    Returns
    -------
    BenchResult

    Raises
    ------
    BundleError
        The bundle has no domain.
    InputError
        There is no such part.
    """
    if part == SHIFT:
        return run_shift(quick=quick)
    if part not in (None, *_PARTS):
        raise InputError(f"found part {part!r}, expected {', '.join(_PARTS)} or {SHIFT}")
    loaded = load_bundle("default" if bundle is None else bundle)
    if loaded.domain is None:
        raise BundleError(f"the bundle {loaded.name!r} has no domain: aktes train domain")

    def judge(world: str, given: Iterator[_Scene]) -> tuple[list[Check], list[Table]]:
        tally = _Tally()
        for number, scene in enumerate(given):
            _LOGGER.info("%s: scene %d", world, number)
            _judge(scene, loaded, np.random.default_rng([59, number]), tally)
        return _checks(world, tally), [_table(world, tally)]

    found = judge_worlds(_WORLDS, judge, quick=quick, part=part)
    if part is not None:
        return found
    apart = run_shift(quick=quick)
    return BenchResult([*found.checks, *apart.checks], [*found.tables, *apart.tables])


class _Tally:
    """Pixels flagged and counted, by what they are and by what is told; normal ones by scene."""

    def __init__(self) -> None:
        self.sums = {(name, told): np.zeros(2) for name in (NORMAL, *ODDITIES) for told in GIVEN}
        self.scenes: dict[str, list[float]] = {told: [] for told in GIVEN}

    def add(self, name: str, told: str, flagged: NDArray[np.bool_]) -> None:
        self.sums[name, told] += (flagged.sum(), flagged.size)
        if name == NORMAL and flagged.size:
            self.scenes[told].append(float(flagged.mean()))

    def share(self, name: str, told: str) -> float:
        flagged, count = self.sums[name, told]
        return float(flagged / count) if count else float("nan")


def _judge(judged: _Scene, bundle: Bundle, rng: np.random.Generator, tally: _Tally) -> None:
    """Retrieve a scene as it is and in every strange form, one date each."""
    cube, subject, normal = judged
    images, places = [subject.numbers], [normal]
    for oddity in ODDITIES.values():
        numbers, where = oddity(rng, subject)
        images.append(numbers)
        places.append(where & normal)
    terrain = terrain_of(cube).compute(scheduler="synchronous") if "elevation" in cube else None
    for told, names in GIVEN.items():
        kept = [str(name) for name in cube.data_vars if name in (*names, "surface_pressure")]
        whole = cube[kept].isel(time=np.zeros(len(images), int))
        numbers = np.stack([np.moveaxis(image, -1, 0) for image in images]).astype(np.uint16)
        whole["tir"] = (whole["tir"].dims, numbers, whole["tir"].attrs)
        days = np.datetime64("2005-01-01", "ns") + np.arange(len(images)) * np.timedelta64(1, "D")
        result = retrieve(
            whole.assign_coords(time=days), bundle=bundle, terrain=terrain, clouds="none"
        )
        quality = result["quality"].compute(scheduler="synchronous").to_numpy()
        for name, found, where in zip((NORMAL, *ODDITIES), quality, places, strict=True):
            tally.add(name, told, (found[where] & _FLAGS) != 0)


def _own(count: int) -> Iterator[_Scene]:
    """Draw fields of the test split."""
    steep = round(count * _STEEP_SHARE)
    for terrain, number in ((False, count - steep), (True, steep)):
        recipe = FieldRecipe(
            count=number,
            seed=11,
            split="test",
            shape=(_SIDE, _SIDE),
            terrain=terrain,
            gap_share=0.0,
        )
        for field in draw_fields(recipe):
            yield cube_of(field), _subject_of(field), field.valid


def _subject_of(field: Field) -> Subject:
    air = field.air
    parts = (air.transmittance, air.path_radiance, air.sky_radiance)
    return Subject(field.dn, np.asarray(field.surface_temperature, np.float64), parts)


def _foreign(count: int) -> Iterator[_Scene]:
    """Draw scenes of the foreign world; its metal is not normal."""
    for scene in scenes(count, size=96):
        parts: list[Any] = [
            np.moveaxis(scene[name].to_numpy()[0], 0, -1)
            for name in ("transmittance", "path_radiance", "sky_radiance")
        ]
        numbers = np.moveaxis(scene["tir"].to_numpy()[0], 0, -1)
        temperature = scene["surface_temperature"].to_numpy()[0].astype(np.float64)
        subject = Subject(numbers, temperature, (parts[0], parts[1], parts[2]))
        yield scene, subject, scene["in_domain"].to_numpy()


def _checks(world: str, tally: _Tally) -> list[Check]:
    checks = []
    for told in GIVEN:
        share = tally.share(NORMAL, told)
        checks.append(
            Check.at_most(f"{world}: normal flagged, told {told}", share, _MOST_NORMAL, "1")
        )
        for name in ODDITIES:
            share = tally.share(name, told)
            text = f"{world}: {name} flagged, told {told}"
            checks.append(Check.at_least(text, share, _LEAST_FLAGGED, "1"))
    return checks


def _table(world: str, tally: _Tally) -> Table:
    rows: list[tuple[Any, ...]] = [
        (name, *(tally.share(name, told) for told in GIVEN)) for name in (NORMAL, *ODDITIES)
    ]
    worst = [float((np.array(found) > _MOST_NORMAL).mean()) for found in tally.scenes.values()]
    rows.append(("scenes of which more than .01 is flagged", *worst))
    return Table(f"{world}: share flagged out of domain", ("input", *GIVEN), rows)


_WORLDS: Final = (Judged(OWN, (36, 180), _own), Judged(FOREIGN, (24, 120), _foreign))
