"""Pixels no network was trained on, with ancillary errors of stated size, and how they are divided.

Everything that quotes an accuracy draws its pixels here: the benchmark, the model card and the
larger reference network. Protocol G: atmospheres and surfaces of the test split, which training saw
none of. Protocol P, the published networks' own: the six model atmospheres with scaled water,
surfaces of the whole prior, divided from the training sample by the random stream alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

import numpy as np

from aktes_xr.cube import (
    DEFAULT_AIR_TEMPERATURE_ERROR_K,
    DEFAULT_EMISSIVITY_ERROR,
    DEFAULT_WATER_VAPOR_ERROR,
)
from aktes_xr.errors import InputError
from aktes_xr.learn.drawing import World, draw
from aktes_xr.learn.pixels import ALL
from aktes_xr.learn.recipe import AncillaryErrors
from aktes_xr.models.features import QUANTITIES
from aktes_xr.simulate.atmospheres import Protocol
from aktes_xr.validation.metrics import Scores, scores, strata_by, strata_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    import xarray as xr
    from numpy.typing import NDArray

    from aktes_xr.compilation import Float32Array


Wrong = Literal["exactly", "drawn"]

NEDT_K: Final = 0.15
"""Standard deviation of the noise, K at 300 K."""
SKIN_ERROR_K: Final = 3.0
PER_FIELD: Final = 50
"""Pixels taken of each field: of few fields many pixels would say less."""

SEED: Final = 77
_PRIOR: Final = slice(
    QUANTITIES.index("emissivity_prior_B10"), QUANTITIES.index("emissivity_prior_B14") + 1
)
WRONG_BY: Final = 3.0
"""How many stated standard deviations a wrong ancillary is off, in `wrong_ancillary`."""
WATER_EDGES: Final = (0.0, 10.0, 25.0, 40.0, float("inf"))
DRY: Final = "water 0-25 mm"
"""Water of 1 kg m-2 is 1 mm deep."""
OVERALL: Final = "all"
SMALLEST_STRATUM: Final = 200

TOLD: Final = ALL - {"surroundings", "skin_temperature"}
"""Prior, water, air and pressure: what "all ancillaries" means."""
ANCILLARY_SETS: Final[dict[str, frozenset[str]]] = {
    name: kept | {"surroundings"}
    for name, kept in {
        "all": TOLD,
        "all and skin": TOLD | {"skin_temperature"},
        "no prior": TOLD - {"emissivity_prior"},
        "no water": TOLD - {"water_vapor"},
        "no air": TOLD - {"air_temperature"},
        "no pressure": TOLD - {"surface_pressure"},
        "water and air": frozenset({"water_vapor", "air_temperature", "surface_pressure"}),
        "prior only": frozenset({"emissivity_prior"}),
        "water only": frozenset({"water_vapor"}),
        "air only": frozenset({"air_temperature"}),
        "pressure only": frozenset({"surface_pressure"}),
        "nothing": frozenset[str](),
    }.items()
}
"""Of emissivity prior, water vapour, air temperature and surface pressure, what is told; the
surroundings are there."""
ALONE: Final = ", alone"
ANCILLARY_SETS.update(
    {
        name + ALONE: ANCILLARY_SETS[name] - {"surroundings"}
        for name in ("all", "no prior", "pressure only")
    }
)

NAMES: Final[dict[str, str]] = {
    "emissivity_prior": "prior",
    "water_vapor": "water",
    "air_temperature": "air",
    "surface_pressure": "pressure",
}


@dataclass(frozen=True, eq=False)
class UnseenPixels:
    """A test sample.

    Attributes
    ----------
    protocol : "G" or "P"
    quantities : ndarray (sample, quantity), float32
        With every ancillary.
    truth : ndarray (sample, 6), float32
        Surface temperature (K) and five emissivities.
    simulated : Dataset (sample, band)
        All that was drawn.
    """

    protocol: Protocol
    quantities: Float32Array
    truth: Float32Array
    simulated: xr.Dataset

    @property
    def groups(self) -> NDArray[np.int64]:
        """Which samples count as one observation in a confidence interval.

        Protocol G: those of one profile, for its atmospheres stand for others unseen. Protocol P
        has only the six; there the samples of one field count as one.
        """
        name = "field" if self.protocol == "P" else "profile"
        return np.asarray(self.simulated[name].to_numpy(), np.int64)


def unseen_pixels(size: int, protocol: Protocol, *, seed: int = SEED) -> UnseenPixels:
    """Draw a test sample with noise of `NEDT_K` and the default errors of the ancillaries.

    Parameters
    ----------
    size : int
    protocol : "G" or "P"
    seed : int

    Returns
    -------
    UnseenPixels
    """
    errors = AncillaryErrors(
        water_vapor=(DEFAULT_WATER_VAPOR_ERROR,) * 2,
        air_temperature_k=(DEFAULT_AIR_TEMPERATURE_ERROR_K,) * 2,
        skin_temperature_k=(SKIN_ERROR_K,) * 2,
        emissivity=(DEFAULT_EMISSIVITY_ERROR,) * 2,
    ).as_stated()
    world = World(
        "test",
        seed,
        (NEDT_K, NEDT_K),
        protocol=protocol,
        errors=errors,
        even_water=False,
        per_field=PER_FIELD,
    )
    sample, simulated = draw(size, world)
    return UnseenPixels(protocol, sample.quantities, sample.truth, simulated)


def strata(simulated: xr.Dataset) -> dict[str, NDArray[np.bool_]]:
    """Divide a sample by true water column, by structure and by surface class.

    Parameters
    ----------
    simulated : Dataset (sample, band)

    Returns
    -------
    dict of str to ndarray (sample,), bool
        First all of it, then below 25 kg m-2, the classes of `WATER_EDGES`, the structures and the
        surface classes.
    """
    water = simulated["precipitable_water"].to_numpy()
    names = str(simulated.attrs["classes"]).split()
    structures = [f"structure {name}" for name in str(simulated.attrs["structures"]).split()]
    return {
        OVERALL: np.ones(water.size, bool),
        **strata_by(water, (0.0, 25.0), name="water", unit="mm"),
        **strata_by(water, WATER_EDGES, name="water", unit="mm"),
        **strata_of(simulated["structure"].to_numpy(), structures),
        **strata_of(simulated["surface_class"].to_numpy(), names),
    }


def wrong_ancillary(pixels: UnseenPixels, name: str, *, how: Wrong) -> Float32Array:
    """Return the quantities with one ancillary wrong by `WRONG_BY` times its stated error.

    Parameters
    ----------
    pixels : UnseenPixels
    name : str
        ``water_vapor``, ``air_temperature`` or ``emissivity_prior``.
    how : "exactly" or "drawn"
        Exactly: every pixel is off by just so much, up or down by chance, a prior emissivity in
        each band by itself. Drawn: from a distribution so many times as wide as stated. The stated
        error is the one that goes with the wrong value (for water, a tenth of what is told), and
        no prior emissivity exceeds 1.

    Returns
    -------
    ndarray (sample, quantity), float32

    Raises
    ------
    InputError
        No error is stated for that ancillary, or there is no such way to be wrong.
    """
    if how not in ("exactly", "drawn"):
        raise InputError(f"found how = {how!r}, expected 'exactly' or 'drawn'")
    rng = np.random.default_rng([SEED, 3])
    simulated, count = pixels.simulated, len(pixels.truth)

    def deviations(*size: int) -> NDArray[np.float64]:
        shape = (count, *size)
        drawn = rng.standard_normal(shape)
        return WRONG_BY * (drawn if how == "drawn" else np.sign(drawn))

    changed = pixels.quantities.copy()
    if name == "water_vapor":
        column, off = QUANTITIES.index("water_vapor"), DEFAULT_WATER_VAPOR_ERROR * deviations()
        true = simulated["precipitable_water"].to_numpy()
        told = true * np.exp(off - 0.5 * off.var()) if how == "drawn" else true / (1.0 - off)
        changed[:, column], changed[:, column + 1] = told, DEFAULT_WATER_VAPOR_ERROR * told
    elif name == "air_temperature":
        column = QUANTITIES.index("air_temperature")
        true = simulated["true_air_temperature"].to_numpy()
        changed[:, column] = true + DEFAULT_AIR_TEMPERATURE_ERROR_K * deviations()
    elif name == "emissivity_prior":
        prior = pixels.truth[:, 1:] + DEFAULT_EMISSIVITY_ERROR * deviations(5)
        changed[:, _PRIOR] = np.clip(prior, 0.3, 1.0)
    else:
        raise InputError(
            f"found ancillary {name!r}, expected one with a stated error: water_vapor, "
            "air_temperature or emissivity_prior"
        )
    return changed


def common_prior_error(pixels: UnseenPixels, share: float) -> Float32Array:
    """Return the quantities with a prior whose error is partly common to the bands.

    Parameters
    ----------
    pixels : UnseenPixels
    share : float
        Of the error's variance; the stated error remains true of each band.

    Returns
    -------
    ndarray (sample, quantity), float32
        What is common to the bands looks like another temperature: a harder case than the usual
        one, where each band's error is its own.
    """
    rng = np.random.default_rng([SEED, 5])
    count = len(pixels.truth)
    error = np.sqrt(share) * rng.standard_normal((count, 1))
    error = error + np.sqrt(1.0 - share) * rng.standard_normal((count, 5))
    changed = pixels.quantities.copy()
    changed[:, _PRIOR] = np.clip(pixels.truth[:, 1:] + DEFAULT_EMISSIVITY_ERROR * error, 0.3, 1.0)
    return changed


def score_strata(
    estimate: tuple[Float32Array, Float32Array | None],
    pixels: UnseenPixels,
    masks: Mapping[str, NDArray[np.bool_]],
) -> dict[str, tuple[Scores, Scores]]:
    """Score one method in each stratum.

    Parameters
    ----------
    estimate : tuple of ndarray (sample, 6)
        Temperature (K) and emissivities, and their uncertainties if the method states any.
    pixels : UnseenPixels
    masks : mapping of str to ndarray (sample,), bool
        Of `strata`; one of less than `SMALLEST_STRATUM` samples is left out.

    Returns
    -------
    dict of str to tuple of Scores
        Of temperature and of emissivity, with intervals that count atmospheres.
    """
    mean, sigma = estimate
    groups = pixels.groups
    found = {}
    for stratum, chosen in masks.items():
        if chosen.sum() < SMALLEST_STRATUM:
            continue
        temperature, emissivity = (
            scores(
                mean[chosen, columns],
                pixels.truth[chosen, columns],
                sigma=None if sigma is None else sigma[chosen, columns],
                groups=groups[chosen],
            )
            for columns in (slice(0, 1), slice(1, 6))
        )
        found[stratum] = temperature, emissivity
    return found
