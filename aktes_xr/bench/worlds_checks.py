"""What must hold in every world: fusion, stated sigma, borders, and beyond the domain."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np

from aktes_xr.bench.checks import Check
from aktes_xr.bench.worlds_edges import nearest
from aktes_xr.bench.worlds_methods import FUSION, GIVEN, NO_PRIOR, TEACHER, TES
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
    in_domain,
    pooled,
)

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import NDArray

    from aktes_xr.bench.worlds_edges import Profile
    from aktes_xr.bench.worlds_methods import Estimate

RAW: Final = "raw rock"
_OVER_BETTER: Final = 1.02
_GAIN_SHARE: Final = 0.80
_STEEP_RATIO: Final = 0.60
_NORMAL: Final = (0.682689, 0.95)
_COVERAGE: Final = (0.05, 0.03)
_CELL_COVERAGE: Final = 0.10
_ERRORS: Final = 2.0
_EDGE_RATIO: Final = 1.25
_OVER_TES: Final = 1.10
_METAL_FLAGGED: Final = 0.90


@dataclass
class Domain:
    """Counts at and beyond the domain's border.

    ``metal`` holds pixels out of domain and those of them that the fusion flags; ``raw`` by what is
    told the pixels of raw rock that are not flagged, and the errors of fusion and TES on them.
    """

    metal: NDArray[np.float64] = field(default_factory=lambda: np.zeros(2))
    raw: dict[str, NDArray[np.float64]] = field(default_factory=dict)

    def add(self, scene: xr.Dataset, found: dict[str, dict[str, Estimate]]) -> None:
        """Count a scene.

        Parameters
        ----------
        scene : Dataset
            A simulated scene.
        found : dict of str to dict of str to Estimate
            By what is told, then by method.
        """
        outside = ~in_domain(scene)
        for given, by in found.items():
            flagged = by[FUSION].flagged
            self.metal += (outside.sum(), (outside & flagged).sum())
            if scene.attrs["structure"] == RAW and TES in by:
                truth = scene["surface_temperature"].to_numpy().ravel()
                errors = [np.abs(by[name].temperature - truth) for name in (FUSION, TES)]
                known = ~flagged & np.isfinite(errors[0]) & np.isfinite(errors[1])
                sums = self.raw.setdefault(given, np.zeros(3))
                sums += (known.sum(), errors[0][known].sum(), errors[1][known].sum())


def checks(
    world: str, cells: Cells, profiles: Profile, domain: Domain, steep: dict[str, float]
) -> list[Check]:
    """Compare a world's figures with what they must reach.

    Parameters
    ----------
    world : str
        Its name, in every check's.
    cells : Cells
    profiles : Profile
    domain : Domain
    steep : dict
        Error (K) of version 0.1.0's teacher below the lowest limit of sky view, by what is told;
        may be empty.
    """
    found: list[Check] = []
    for given in GIVEN:
        name = f"{world}, {given}: "
        members = [c for key, c in cells.items() if key[0] == given and c.n >= FEWEST_PIXELS]
        if not members:
            continue
        found += _fusion_checks(name, members)
        found += _sigma_checks(name, members)
        by_sky = pooled(cells, lambda key: (key[0], "", key[2]))
        hidden = by_sky.get((given, "", SKY_CLASSES[0]))
        if given in steep and hidden is not None:
            ratio = hidden.mae(FUSION) / steep[given]
            text = f"{name}sky view {SKY_CLASSES[0]}, fusion over version 0.1.0's teacher"
            found.append(Check.at_most(text, ratio, _STEEP_RATIO, "1"))
        for (structure, side), ratio in nearest(profiles, given=given, method=FUSION).items():
            text = f"{name}{structure}, first two pixels {side} over the rest"
            found.append(Check.at_most(text, ratio, _EDGE_RATIO, "1"))
    return [*found, *_domain_checks(world, domain)]


def _fusion_checks(name: str, members: list[Cell]) -> Iterable[Check]:
    temperature = [cell.mae(FUSION) / cell.better for cell in members]
    emissivity = [cell.emissivity_mae(FUSION) / cell.better_emissivity for cell in members]
    for what, values in (("T", temperature), ("e", emissivity)):
        text = f"{name}fusion over the better network, {what}, worst of {len(values)} cells"
        yield Check.at_most(text, max(values), _OVER_BETTER, "1")
    better, best, fused = gains(members)
    teacher = sum(c.n * c.mae(TEACHER) for c in members) / sum(c.n for c in members)
    for what, start in (("the better network", better), ("the teacher", teacher)):
        share = (start - fused) / (start - best) if start > best else float("nan")
        text = f"{name}share of the best weights' gain over {what}"
        yield Check.at_least(text, share, _GAIN_SHARE, "1")


def _sigma_checks(name: str, members: list[Cell]) -> Iterable[Check]:
    total = np.sum([cell.sums[FUSION] for cell in members], axis=0)
    for what, columns in (("T", (ONE, TWO)), ("e", (EMISSIVITY_ONE, EMISSIVITY_TWO))):
        for column, normal, within in zip(columns, _NORMAL, _COVERAGE, strict=True):
            miss = abs(total[column] / total[0] - normal)
            text = f"{name}coverage of {normal:.0%} of {what}, miss"
            yield Check.at_most(text, miss, within, "1")
            worst = max(_certain_miss(cell, column, normal) for cell in members)
            text = f"{name}coverage of {normal:.0%} of {what}, worst cell's certain miss"
            yield Check.at_most(text, worst, _CELL_COVERAGE, "1")


def _certain_miss(cell: Cell, column: int, normal: float) -> float:
    """Return by how much a cell's coverage misses, beyond two standard errors; 0 for one scene."""
    share, error = cell.coverage(column)
    return 0.0 if np.isnan(error) else max(abs(share - normal) - _ERRORS * error, 0.0)


def _domain_checks(world: str, domain: Domain) -> Iterable[Check]:
    if NO_PRIOR in domain.raw and domain.raw[NO_PRIOR][0] > 0:
        _, fusion, tes = domain.raw[NO_PRIOR]
        text = f"{world}, {NO_PRIOR}: {RAW} not flagged, fusion over TES"
        yield Check.at_most(text, fusion / tes, _OVER_TES, "1")
    if domain.metal[0] > 0:
        text = f"{world}: metal flagged as out of domain"
        yield Check.at_least(text, domain.metal[1] / domain.metal[0], _METAL_FLAGGED, "1")
