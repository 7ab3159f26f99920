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
from aktes_xr.bench.checks import Check, Table
from aktes_xr.learn.evaluation import (
    ANCILLARY_SETS,
    NAMES,
    OVERALL,
    Wrong,
    common_prior_error,
    score_strata,
    strata,
    wrong_ancillary,
)
from aktes_xr.learn.pixels import keep_only
from aktes_xr.models.features import PRIOR, QUANTITIES
from aktes_xr.radiative import surface_leaving_radiance
from aktes_xr.radiative.emulator import band_atmosphere
from aktes_xr.validation.metrics import Ratio, Scores, ratio_of_means

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from aktes_xr.compilation import Float32Array
    from aktes_xr.learn.evaluation import UnseenPixels

    Estimate = tuple[Float32Array, Float32Array | None]
    from collections.abc import Iterable

    from aktes_xr.models import PixelModel
    from aktes_xr.validation.metrics import Ratio

TEACHER: Final = "teacher"
REFERENCE: Final = "8x network"
TES: Final = "TES"
TES_ECOSTRESS: Final = "TES (ECOSTRESS)"
SPLIT_WINDOW: Final = "split window"
ALL: Final = "all"
NO_PRIOR: Final = "no prior"
WATER_AND_AIR: Final = "water and air"
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
        """Return absolute errors of temperature or of emissivity.

        Parameters
        ----------
        key : (str, str)
            Method and ancillaries.
        emissivity : bool
            Those of emissivity.

        Returns
        -------
        float32 (sample, 1), K, or (sample, 5), 1
        """
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
        """Divide one method's mean absolute error by another's.

        Only pixels that both retrieve count.

        Parameters
        ----------
        first, second : (str, str)
            Method and ancillaries.
        stratum : str
            The pixels that count.
        emissivity : bool
            Errors of emissivity; otherwise of temperature.

        Returns
        -------
        Ratio
        """
        chosen = self.masks[stratum]
        above, below = (self.error(key, emissivity=emissivity)[chosen] for key in (first, second))
        return ratio_of_means(above, below, groups=self.pixels.groups[chosen])


def compare(
    pixels: UnseenPixels, teacher: PixelModel, reference: PixelModel | None = None
) -> Comparison:
    """Run every method with every set of ancillaries it can use.

    Parameters
    ----------
    pixels : UnseenPixels
        The pixels.
    teacher : PixelModel
        The bundle's teacher.
    reference : PixelModel, optional
        The larger network.

    Returns
    -------
    Comparison
    """
    estimates = network_estimates(TEACHER, teacher, pixels, SETS)
    if reference is not None:
        estimates |= network_estimates(REFERENCE, reference, pixels, _REFERENCE_SETS)
    estimates[TEACHER, HALF_COMMON] = teacher.predict(common_prior_error(pixels, 0.5))
    estimates |= physical_estimates(pixels)
    return Comparison(pixels, estimates)


def network_estimates(
    name: str, model: PixelModel, pixels: UnseenPixels, sets: Iterable[str]
) -> dict[tuple[str, str], Estimate]:
    """Run a network with each of the named sets of ancillaries.

    Parameters
    ----------
    name : str
        What the network is called in the tables.
    model : PixelModel
        The network.
    pixels : UnseenPixels
        The pixels.
    sets : iterable of str
        Names of sets of ancillaries.

    Returns
    -------
    dict of (str, str) to Estimate
        By name and ancillaries.
    """
    return {
        (name, given): model.predict(keep_only(pixels.quantities, SETS[given])) for given in sets
    }


def physical_estimates(pixels: UnseenPixels) -> dict[tuple[str, str], Estimate]:
    """Run TES and split window with what they can use of the ancillaries.

    Parameters
    ----------
    pixels : UnseenPixels
        The pixels.

    Returns
    -------
    dict of (str, str) to Estimate
        By method and ancillaries.
    """
    water, air, view = (
        pixels.quantities[:, QUANTITIES.index(name)].astype(np.float64)
        for name in ("water_vapor", "air_temperature", "view_zenith")
    )
    radiance = pixels.simulated["radiance"].transpose("sample", "band").to_numpy()
    prior = pixels.quantities[:, PRIOR : PRIOR + 5]
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


WORSE_BY: Final = 1.10
"""Largest factor by which a wrong ancillary may increase the error."""
_COLUMNS: Final = (
    "protocol",
    "ancillary",
    "beside",
    "stratum",
    "T with/without",
    "95 %",
    "e",
    "95 %",
)


def worth(comparisons: dict[str, Comparison]) -> tuple[list[Check], Table]:
    """Compare errors with and without each ancillary in every stratum.

    Parameters
    ----------
    comparisons : dict of str to Comparison
        By protocol.

    Returns
    -------
    list of Check, Table
        Per ancillary, the worst stratum of either protocol beside all the others, and alone.
    """
    rows: list[tuple[Any, ...]] = []
    checks = []
    for name, label in NAMES.items():
        found: dict[str, list[tuple[str, Ratio]]] = {"temperature": [], "emissivity": []}
        for protocol, comparison in comparisons.items():
            for beside, given, without in _pairs(label):
                for stratum in comparison.scores[TEACHER, ALL]:
                    pair = _ratios(comparison, given, without, stratum)
                    rows.append((protocol, label, beside, stratum, *_cells(pair)))
                    found["temperature"].append((stratum, pair[0]))
                    if name == "emissivity_prior":
                        found["emissivity"].append((stratum, pair[1]))
        for quantity, ratios in found.items():
            if ratios:
                checks += _helps(f"{label} lowers the {quantity} error", ratios)
    return checks, Table("With an ancillary over without it", _COLUMNS, rows)


def _pairs(label: str) -> tuple[tuple[str, str, str], ...]:
    """Beside what an ancillary is given, and the sets of ancillaries with and without it."""
    return (
        ("all others", ALL, f"no {label}"),
        ("nothing", f"{label} only", NOTHING),
    )


def _ratios(comparison: Comparison, given: str, without: str, stratum: str) -> list[Ratio]:
    first, second = (TEACHER, given), (TEACHER, without)
    return [
        comparison.ratio(first, second, stratum=stratum, emissivity=emissivity)
        for emissivity in (False, True)
    ]


def _helps(name: str, ratios: list[tuple[str, Ratio]]) -> list[Check]:
    overall = max(ratio.value for stratum, ratio in ratios if stratum == OVERALL)
    worst = max(ratio.low for _, ratio in ratios)
    return [
        Check.at_most(f"{name}: with/without, overall", overall, 1.0, "1"),
        Check.at_most(f"{name}: lower end of it, worst stratum", worst, 1.0, "1"),
    ]


def _cells(pair: list[Ratio]) -> list[Any]:
    return [cell for ratio in pair for cell in (ratio.value, f"{ratio.low:.3f}-{ratio.high:.3f}")]


def harm(comparisons: dict[str, Comparison], teacher: PixelModel) -> tuple[list[Check], Table]:
    """Give the teacher ancillaries that are wrong by three stated errors.

    Parameters
    ----------
    comparisons : dict of str to Comparison
        By protocol.
    teacher : PixelModel

    Returns
    -------
    list of Check, Table
        Per ancillary and quantity: the worse of the protocols and of given beside the others or
        alone, against none.
    """
    rows: list[tuple[Any, ...]] = []
    checks = []
    ways: tuple[Wrong, ...] = ("exactly", "drawn")
    for name, label in NAMES.items():
        if name == "surface_pressure":
            continue  # from an elevation model, without a stated error
        for how in ways:
            worst = [0.0, 0.0]
            for protocol, comparison in comparisons.items():
                changed = wrong_ancillary(comparison.pixels, name, how=how)
                for beside, given, without in _pairs(label):
                    mean, _ = teacher.predict(keep_only(changed, ANCILLARY_SETS[given]))
                    pair = _against(mean, comparison, without)
                    rows.append((protocol, f"{label}, {how}", beside, OVERALL, *_cells(pair)))
                    worst = [
                        max(most, found.value) for most, found in zip(worst, pair, strict=True)
                    ]
            checks += [
                Check.at_most(
                    f"{label} wrong by 3 stated errors ({how}) over without it: {quantity}",
                    most,
                    WORSE_BY,
                    "1",
                )
                for quantity, most in zip(("temperature", "emissivity"), worst, strict=True)
            ]
    return checks, Table("With a wrong ancillary over without it", _COLUMNS, rows)


def _against(mean: Float32Array, comparison: Comparison, without: str) -> list[Ratio]:
    """Divide an estimate's errors by those of the teacher without the ancillary."""
    error = np.abs(mean - comparison.pixels.truth)
    return [
        ratio_of_means(
            error[:, columns],
            comparison.error((TEACHER, without), emissivity=emissivity),
            groups=comparison.pixels.groups,
        )
        for emissivity, columns in ((False, slice(0, 1)), (True, slice(1, 6)))
    ]
