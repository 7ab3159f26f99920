"""The methods of the accuracy benchmark on one test sample, and how two of them compare.

TES is told the water column, the air temperature and the surface pressure, from which the package's
emulator gives it its atmosphere; it has no use for an emissivity prior. The split window is told
the water column and the prior emissivity, or the water column alone. Both are told exactly what the
teacher is, with the same errors. TES runs with its standard product's choices, and beside it with
those of the ECOSTRESS product, the best of the variants on these samples.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from aktes_xr.baselines import split_window, tes
from aktes_xr.baselines.tes import MMD_ECOSTRESS
from aktes_xr.learn.ancillaries import keep_only
from aktes_xr.learn.evaluation import (
    ANCILLARY_SETS,
    OVERALL,
    common_prior_error,
    score_strata,
    strata,
)
from aktes_xr.learn.metrics import Ratio, Scores, ratio_of_means
from aktes_xr.models.features import QUANTITIES
from aktes_xr.radiative import surface_leaving_radiance
from aktes_xr.radiative.emulator import band_atmosphere

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from aktes_xr.learn.evaluation import UnseenPixels
    from aktes_xr.models import PixelModel

    Float32Array = NDArray[np.float32]
    # Temperature and emissivities (sample, 6), and their uncertainties where the method states any.
    Estimate = tuple[Float32Array, Float32Array | None]

TEACHER: Final = "teacher"
REFERENCE: Final = "8x network"
TES: Final = "TES"
TES_ECOSTRESS: Final = "TES (ECOSTRESS)"
SPLIT_WINDOW: Final = "split window"

ALL: Final = "all"
NO_PRIOR: Final = "no prior"
WATER_AND_PRIOR: Final = "water, prior"
HALF_COMMON: Final = "all, common error"
"""With a prior half of whose error is common to the bands."""
NOTHING: Final = "nothing"
PRESSURE: Final = "pressure only"
SETS: Final = {
    **ANCILLARY_SETS,
    WATER_AND_PRIOR: frozenset({"water_vapor", "emissivity_prior"}),
}
_REFERENCE_SETS: Final = (ALL, NO_PRIOR, PRESSURE, NOTHING)


@dataclass(frozen=True, eq=False)
class Comparison:
    """All methods on one sample.

    Attributes
    ----------
    pixels : UnseenPixels
    estimates : dict
        By method and by what it was told.
    """

    pixels: UnseenPixels
    estimates: dict[tuple[str, str], Estimate]

    @cached_property
    def masks(self) -> dict[str, NDArray[np.bool_]]:
        """The strata, see `aktes_xr.learn.evaluation.strata`."""
        return strata(self.pixels.simulated)

    @cached_property
    def scores(self) -> dict[tuple[str, str], dict[str, tuple[Scores, Scores]]]:
        """By method and ancillaries, then by stratum: temperature's and emissivity's."""
        return {
            key: score_strata(estimate, self.pixels, self.masks)
            for key, estimate in self.estimates.items()
        }

    def error(self, key: tuple[str, str], *, emissivity: bool = False) -> Float32Array:
        """Return absolute errors: of temperature (sample, 1) or of emissivity (sample, 5)."""
        columns = slice(1, 6) if emissivity else slice(0, 1)
        found = self.estimates[key][0][:, columns]
        return np.asarray(np.abs(found - self.pixels.truth[:, columns]), np.float32)

    def ratio(
        self,
        first: tuple[str, str],
        second: tuple[str, str],
        *,
        stratum: str = OVERALL,
        emissivity: bool = False,
    ) -> Ratio:
        """Divide one method's mean absolute error by another's over the pixels both retrieve."""
        chosen = self.masks[stratum]
        above, below = (self.error(key, emissivity=emissivity)[chosen] for key in (first, second))
        return ratio_of_means(above, below, groups=self.pixels.groups[chosen])


def compare(
    pixels: UnseenPixels, teacher: PixelModel, reference: PixelModel | None = None
) -> Comparison:
    """Run every method with every set of ancillaries it can use."""
    estimates = network_estimates(TEACHER, teacher, pixels, SETS)
    if reference is not None:
        estimates |= network_estimates(REFERENCE, reference, pixels, _REFERENCE_SETS)
    estimates[TEACHER, HALF_COMMON] = teacher.predict(common_prior_error(pixels, 0.5))
    estimates |= physical_estimates(pixels)
    return Comparison(pixels, estimates)


def network_estimates(
    name: str, model: PixelModel, pixels: UnseenPixels, sets: Iterable[str]
) -> dict[tuple[str, str], Estimate]:
    """Run a network with each of the named sets of ancillaries."""
    return {
        (name, given): model.predict(keep_only(pixels.quantities, SETS[given])) for given in sets
    }


def physical_estimates(pixels: UnseenPixels) -> dict[tuple[str, str], Estimate]:
    """Run TES and split window with what they can use of the ancillaries."""
    simulated = pixels.simulated
    water, air, view = (
        simulated[name].to_numpy() for name in ("water_vapor", "air_temperature", "view_zenith")
    )
    radiance, prior = (
        simulated[name].transpose("sample", "band").to_numpy()
        for name in ("radiance", "emissivity_prior")
    )
    pressure = pixels.quantities[:, QUANTITIES.index("surface_pressure")]
    transmittance, path, sky = band_atmosphere(water, air, pressure, view)
    leaving = surface_leaving_radiance(radiance, transmittance, path)
    standard = tes(leaving, sky)
    ecostress = tes(leaving, sky, temperature_band="B13", mmd=MMD_ECOSTRESS)
    told: dict[str, Any] = {"water_vapor": water, "view_zenith": view}
    brightness = pixels.quantities[:, :5].astype(np.float64)
    both = split_window(brightness, emissivity=prior.astype(np.float64), **told)
    alone = split_window(brightness, **told)
    missing = np.full(prior.shape, np.nan)
    columns = {
        (TES, NO_PRIOR): standard,
        (TES_ECOSTRESS, NO_PRIOR): ecostress,
        (SPLIT_WINDOW, WATER_AND_PRIOR): (both, missing),
        (SPLIT_WINDOW, "water only"): (alone, missing),
    }
    return {key: (np.column_stack(pair).astype(np.float32), None) for key, pair in columns.items()}
