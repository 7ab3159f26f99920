"""What every method makes of a scene with known truth, told nothing, water and air, or all.

A scene is a dataset: a cube, its truth under the names of `aktes_xr.simulate.simulate_scene`
(``surface_temperature``, ``emissivity``, ``sky_view_factor``), the attribute ``structure``, and
where it has them ``body`` and ``in_domain``. Any simulator can be judged that yields such scenes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from aktes_xr.cube.quality import QualityFlag
from aktes_xr.retrieval import retrieve
from aktes_xr.retrieval.inputs import terrain_of

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import NDArray

    from aktes_xr.models import Bundle

    Float32Array = NDArray[np.float32]

TEACHER: Final = "teacher"
STUDENT: Final = "student"
FUSION: Final = "fusion"
INVERSE_VARIANCE: Final = "inverse variance"
TES: Final = "TES"
METHODS: Final = (TEACHER, STUDENT, FUSION, INVERSE_VARIANCE, TES)

_ALWAYS: Final = ("tir", "elevation")
_WATER_AND_AIR: Final = (
    "water_vapor",
    "water_vapor_error",
    "air_temperature",
    "air_temperature_error",
    "ancillary_elevation",
)
_PRIOR: Final = ("emissivity_prior", "emissivity_prior_uncertainty")
NOTHING: Final = "none"
NO_PRIOR: Final = "water and air"
ALL: Final = "all"
GIVEN: Final[dict[str, tuple[str, ...]]] = {
    NOTHING: _ALWAYS,
    NO_PRIOR: (*_ALWAYS, *_WATER_AND_AIR),
    ALL: (*_ALWAYS, *_WATER_AND_AIR, *_PRIOR),
}
"""Variables of the cube by what is told."""


class Estimate(NamedTuple):
    """A method's result on one date, pixels flattened: (n,) and (5, n).

    ``flagged`` (n,) is True where the method itself says that it is out of its domain.
    """

    temperature: Float32Array
    emissivity: Float32Array
    sigma: Float32Array
    emissivity_sigma: Float32Array
    flagged: NDArray[np.bool_]


def estimates(scene: xr.Dataset, bundle: Bundle) -> dict[str, dict[str, Estimate]]:
    """Retrieve a scene by every method that can be run, by what is told and by method.

    Parameters
    ----------
    scene : Dataset
        Of one date, with the variables `GIVEN` names.
    bundle : Bundle
        With a student.

    Returns
    -------
    dict
        TES needs water and air and has no use for the prior: told ``all`` it is what it is without.
    """
    terrain = terrain_of(scene).compute(scheduler="synchronous")
    found: dict[str, dict[str, Estimate]] = {}
    for given, names in GIVEN.items():
        cube = scene[list(names)]
        by: dict[str, Estimate] = {}
        for method in (TEACHER, STUDENT, FUSION):
            by[method] = _run(cube, terrain, method, bundle)
        by[INVERSE_VARIANCE] = by_inverse_variance(by[TEACHER], by[STUDENT])
        if given == NO_PRIOR:
            by[TES] = _run(cube, terrain, "tes", bundle)
        elif given == ALL:
            by[TES] = found[NO_PRIOR][TES]
        found[given] = by
    return found


def by_inverse_variance(first: Estimate, second: Estimate) -> Estimate:
    """Average two estimates, each quantity weighed by its own stated variances.

    Parameters
    ----------
    first, second : Estimate
        Two methods' answers for the same pixels.

    Returns
    -------
    Estimate
    """

    def fused(x: Any, y: Any, sx: Any, sy: Any) -> tuple[Any, Any]:
        share = sx**2 / (sx**2 + sy**2)
        spread = share * (1 - share) * (x - y) ** 2
        return x + share * (y - x), np.sqrt((1 - share) * sx**2 + share * sy**2 + spread)

    temperature, sigma = fused(first.temperature, second.temperature, first.sigma, second.sigma)
    emissivity, own = fused(
        first.emissivity, second.emissivity, first.emissivity_sigma, second.emissivity_sigma
    )
    return Estimate(temperature, emissivity, sigma, own, first.flagged & second.flagged)


def _run(cube: xr.Dataset, terrain: xr.Dataset, method: Any, bundle: Bundle) -> Estimate:
    result = retrieve(
        cube, method=method, bundle=bundle, terrain=terrain, clouds="none", keep_cloudy=True
    )
    result = result.compute(scheduler="synchronous").isel(time=0)
    quality = result["quality"].to_numpy().ravel()
    return Estimate(
        result["surface_temperature"].to_numpy().ravel(),
        result["emissivity"].to_numpy().reshape(5, -1),
        result["surface_temperature_uncertainty"].to_numpy().ravel(),
        result["emissivity_uncertainty"].to_numpy().reshape(5, -1),
        (quality & int(QualityFlag.OUT_OF_DOMAIN)) != 0,
    )
