"""What a retrieval is told besides the measurement, wrong by as much as it is said to be.

The errors' sizes are drawn per scene over what sources state, and the errors with these sizes:
of water and air in the main common to the scene, of the emissivity prior in part common to the
scene, in part to a surface and in part the pixel's own.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from aktes_xr.bench.world.air import Air
from aktes_xr.bench.world.cover import Ground
from aktes_xr.bench.world.patterns import log_uniform, spectral_field

FloatArray = NDArray[np.float64]

WATER_ERROR: Final = (0.03, 0.50)
AIR_ERROR_K: Final = (0.5, 8.0)
PRIOR_ERROR: Final = (0.003, 0.05)
_SCENE_SHARE: Final = 0.8
_LEAST_PRIOR, _LARGEST_PRIOR = 0.3, 0.999


class Told(NamedTuple):
    """Values and standard errors: (y, x), the prior (y, x, 5)."""

    water_vapor: FloatArray
    water_vapor_error: FloatArray
    air_temperature: FloatArray
    air_temperature_error: FloatArray
    emissivity_prior: FloatArray
    emissivity_prior_uncertainty: FloatArray


def tell(air: Air, ground: Ground, rng: np.random.Generator) -> Told:
    """Draw the errors to state, and values that err by them.

    Parameters
    ----------
    air : Air
        The true air.
    ground : Ground
        The true ground.
    rng : numpy.random.Generator
        Draws the errors.

    Returns
    -------
    Told
    """
    shape = air.air_temperature.shape
    relative = log_uniform(rng, *WATER_ERROR)
    kelvin = log_uniform(rng, *AIR_ERROR_K)
    sigma = log_uniform(rng, *PRIOR_ERROR)
    # Lognormal with the stated relative standard deviation: never negative.
    water = air.precipitable_water * np.exp(np.sqrt(np.log1p(relative**2)) * _error(shape, rng))
    prior = ground.emissivity + sigma * _prior_error(ground, rng)
    return Told(
        water,
        relative * water,
        air.air_temperature + kelvin * _error(shape, rng),
        np.full(shape, kelvin),
        np.clip(prior, _LEAST_PRIOR, _LARGEST_PRIOR),
        np.full((*shape, 5), sigma),
    )


def _error(shape: tuple[int, int], rng: np.random.Generator) -> FloatArray:
    """Draw unit variance: most of it one number for the scene, the rest smooth."""
    smooth = spectral_field(shape, rng, exponent=4.0)
    return np.asarray(_SCENE_SHARE * rng.standard_normal() + np.sqrt(1 - _SCENE_SHARE**2) * smooth)


def _prior_error(ground: Ground, rng: np.random.Generator) -> FloatArray:
    """Draw unit variance: of the scene, of each surface, and of patches of a few pixels."""
    shape = ground.surface.shape
    share = np.sqrt(rng.dirichlet([0.4, 1.2, 0.8]))
    together = np.sqrt(rng.uniform(0.0, 0.8))

    def bands(*size: int) -> FloatArray:
        grey, own = rng.standard_normal((*size, 1)), rng.standard_normal((*size, 5))
        return np.asarray(together * grey + np.sqrt(1 - together**2) * own)

    by_surface = bands(int(ground.surface.max()) + 1)[ground.surface]
    local = np.stack(
        [
            spectral_field(shape, rng, exponent=2.0, longest=log_uniform(rng, 2.0, 12.0))
            for _ in range(5)
        ],
        axis=-1,
    )
    return np.asarray(share[0] * bands(1)[0] + share[1] * by_surface + share[2] * local)
