"""Both worlds judged: the one that networks train in, and one that nothing was ever tuned on.

Teacher, student, fusion, the plain average by inverse variance, and TES, by structure and sky view,
told nothing, water and air, or all. What a constant weight per cell, fitted on the truth, would
bring is what the fusion is measured by.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Final

from aktes_xr.bench.checks import BenchResult, Check, Table
from aktes_xr.bench.world import STRUCTURES, scenes
from aktes_xr.bench.worlds_baseline import steep_errors
from aktes_xr.bench.worlds_checks import Domain, checks
from aktes_xr.bench.worlds_edges import DISTANCES, Profile, profile, ratios
from aktes_xr.bench.worlds_first import first_world
from aktes_xr.bench.worlds_methods import FUSION, GIVEN, METHODS, TEACHER, estimates
from aktes_xr.bench.worlds_tally import (
    EMISSIVITY_ONE,
    EMISSIVITY_TWO,
    FEWEST_PIXELS,
    ONE,
    SKY_CLASSES,
    TWO,
    Cell,
    Cells,
    gains,
    pooled,
    tally,
)
from aktes_xr.errors import InputError
from aktes_xr.models.bundle import load_bundle

if TYPE_CHECKING:
    import xarray as xr

    from aktes_xr.models import Bundle

    Row = tuple[Any, ...]

FIRST: Final = "first world"
SECOND: Final = "second world"
_FULL: Final = {FIRST: 72, SECOND: 24 * len(STRUCTURES)}
_QUICK: Final = {FIRST: 18, SECOND: 2 * len(STRUCTURES)}
_QUICK_PIXELS: Final = 96
_ALL_STRUCTURES: Final = "all structures"
_ALL_SKIES: Final = "all"
_LOGGER = logging.getLogger(__name__)


def run(*, quick: bool, bundle: str | None = None, part: str | None = None) -> BenchResult:
    """Judge a bundle in both worlds.

    Parameters
    ----------
    quick : bool
        Fewer and smaller scenes.
    bundle : str, optional
        Name, path or URL; None: the default one.
    part : str, optional
        ``first`` or ``second``: that world alone.

    Returns
    -------
    BenchResult

    Raises
    ------
    InputError
        If there is no such world.
    """
    worlds = {"first": (FIRST,), "second": (SECOND,), None: (FIRST, SECOND)}
    if part not in worlds:
        raise InputError(f"found part {part!r}, expected 'first' or 'second'")
    loaded = load_bundle("default" if bundle is None else bundle)
    found: list[Check] = []
    tables: list[Table] = []
    for world in worlds[part]:
        steep = steep_errors(world, quick=quick)
        made, shown = judge(world, _scenes(world, quick=quick), loaded, steep=steep)
        found += made
        tables += shown
    return BenchResult(found, tables)


def _scenes(world: str, *, quick: bool) -> Iterator[xr.Dataset]:
    count = (_QUICK if quick else _FULL)[world]
    if world == FIRST:
        return first_world(count, size=_QUICK_PIXELS if quick else 128)
    return scenes(count, size=_QUICK_PIXELS if quick else None)


def judge(
    world: str, given_scenes: Iterable[xr.Dataset], bundle: Bundle, *, steep: dict[str, float]
) -> tuple[list[Check], list[Table]]:
    """Run every method over a world's scenes.

    Parameters
    ----------
    world : str
        Its name in tables and checks.
    given_scenes : iterable of Dataset
        See `aktes_xr.bench.worlds_methods`.
    bundle : Bundle
    steep : dict
        See `aktes_xr.bench.worlds_checks.checks`.
    """
    cells: Cells = {}
    profiles: Profile = {}
    domain = Domain()
    for number, scene in enumerate(given_scenes):
        _LOGGER.info("%s: scene %d, %s", world, number, scene.attrs["structure"])
        found = estimates(scene, bundle)
        tally(scene, found, cells)
        profile(scene, found, profiles)
        domain.add(scene, found)
    tables = [
        _methods_table(
            f"{world}, by sky view", cells, lambda key: (key[0], _ALL_STRUCTURES, key[2])
        ),
        _methods_table(f"{world}, by structure", cells, lambda key: (key[0], key[1], _ALL_SKIES)),
        _weights_table(world, cells),
        _cells_table(world, cells),
    ]
    if profiles:
        tables.append(_edges_table(world, profiles))
    return checks(world, cells, profiles, domain, steep), tables


def _methods_table(title: str, cells: Cells, key: Callable[[Any], Any]) -> Table:
    """Errors of all methods, pooled; the last rows of each part pool everything."""
    whole = pooled(cells, lambda name: (name[0], _ALL_STRUCTURES, _ALL_SKIES))
    parts = pooled(cells, key) | whole
    rows = [
        (
            given,
            structure,
            sky,
            cell.n,
            *(cell.mae(method) for method in METHODS),
            *(cell.emissivity_mae(method) for method in METHODS),
        )
        for (given, structure, sky), cell in _ordered(parts)
    ]
    columns = (
        *("told", "structure", "sky view", "N"),
        *(f"T {method}" for method in METHODS),
        *(f"e {method}" for method in METHODS),
    )
    return Table(f"{title}: mean absolute errors (K, 1)", columns, rows, headings=1)


def _weights_table(world: str, cells: Cells) -> Table:
    rows = []
    for given in GIVEN:
        members = [c for key, c in cells.items() if key[0] == given and c.n >= FEWEST_PIXELS]
        if not members:
            continue
        better, best, fused = gains(members)
        teacher = sum(c.n * c.mae(TEACHER) for c in members) / sum(c.n for c in members)
        shares = [(start - fused) / (start - best) for start in (better, teacher) if start > best]
        shares += [float("nan")] * (2 - len(shares))
        rows.append((given, len(members), teacher, better, best, fused, *shares))
    columns = (
        "told",
        "cells",
        "teacher (K)",
        "better network per cell",
        "best weight per cell",
        "fusion",
        "share of gain over the better",
        "over the teacher",
    )
    return Table(f"{world}: what a constant weight per cell would bring", columns, rows)


def _cells_table(world: str, cells: Cells) -> Table:
    rows = [_cell_row(key, cell) for key, cell in _ordered(cells) if cell.n >= FEWEST_PIXELS]
    columns = (
        *("told", "structure", "sky view", "N", "scenes"),
        *(f"T {method}" for method in METHODS),
        *("best w", "T best w", "T fusion / better", "e fusion / better"),
        *("T 68 %", "+-", "T 95 %", "+-", "e 68 %", "+-", "e 95 %", "+-"),
    )
    return Table(
        f"{world}: cells of at least {FEWEST_PIXELS} pixels, stated sigma of the fusion",
        columns,
        rows,
        headings=1,
    )


def _cell_row(key: tuple[str, str, str], cell: Cell) -> Row:
    weight, best = cell.best_weight
    covered = (ONE, TWO, EMISSIVITY_ONE, EMISSIVITY_TWO)
    return (
        *key,
        cell.n,
        cell.scenes,
        *(cell.mae(method) for method in METHODS),
        weight,
        best,
        cell.mae(FUSION) / cell.better,
        cell.emissivity_mae(FUSION) / cell.better_emissivity,
        *(figure for column in covered for figure in cell.coverage(column)),
    )


def _ordered(cells: Cells) -> list[tuple[tuple[str, str, str], Cell]]:
    """Sort by what is told, structure and sky view, in their own orders; pooled ones come last."""
    given, skies = list(GIVEN), [*SKY_CLASSES, _ALL_SKIES]

    def place(entry: tuple[tuple[str, str, str], Cell]) -> tuple[int, int, str, int]:
        told, structure, sky = entry[0]
        own = structure in STRUCTURES
        number = STRUCTURES.index(structure) if own else len(STRUCTURES)
        number += structure == _ALL_STRUCTURES
        return given.index(told), number, structure, skies.index(sky)

    return sorted(cells.items(), key=place)


def _edges_table(world: str, profiles: Profile) -> Table:
    rows = [(*key, *values) for key, values in ratios(profiles).items()]
    rows.sort(key=lambda row: (list(GIVEN).index(row[0]), row[1:3]))
    columns = ("told", "structure", "side", "method", *DISTANCES)
    title = f"{world}: error by pixels from the border over that of the inside"
    return Table(title, columns, rows, headings=1)
