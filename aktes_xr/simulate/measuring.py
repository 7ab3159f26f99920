"""What becomes of a field's radiance on its way into a product, and what is told besides."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from aktes_xr import sensor
from aktes_xr.simulate.cover import Cover, tell_emissivity
from aktes_xr.simulate.observation import WRONG_FACTOR
from aktes_xr.simulate.resampling import RESAMPLINGS, Resampling, resampled_noise
from aktes_xr.simulate.texture import fractal_noise

if TYPE_CHECKING:
    from aktes_xr.simulate.fields import FieldRecipe

_RESAMPLING_SHARES: Final = (0.7, 0.15, 0.15)
_CLOUD_BELOW_AIR_K: Final = (5.0, 45.0)
_SKIN_NIGHT: Final = 0.6
"""By night a reanalysis knows the skin's temperature better than by day."""


@functools.cache
def kelvin_by_dn() -> NDArray[np.float32]:
    """Tabulate brightness temperature (4096, 5), K, by digital number; NaN for fill."""
    numbers = np.arange(sensor.SATURATION_DN + 1, dtype=np.uint16)
    planes = np.repeat(numbers[:, np.newaxis], len(sensor.BANDS), axis=1)
    return np.asarray(sensor.dn_to_brightness_temperature(planes), np.float32)


def measure(
    rng: np.random.Generator, radiance: NDArray[np.float32], recipe: FieldRecipe
) -> tuple[NDArray[np.uint16], NDArray[np.float32]]:
    """Add a product's noise to radiance (y, x, 5) and count it.

    Parameters
    ----------
    rng : numpy.random.Generator
        Advanced.
    radiance : ndarray (y, x, 5), float32, W m-2 sr-1 um-1
    recipe : FieldRecipe

    Returns
    -------
    dn : ndarray (y, x, 5), uint16
    nedt : ndarray (5,), float32, K at 300 K
    """
    quietest, noisiest = recipe.nedt_range_k
    nedt = np.asarray(rng.uniform(quietest, noisiest, size=radiance.shape[-1]), np.float32)
    number = int(rng.choice(len(RESAMPLINGS), p=_RESAMPLING_SHARES))
    chosen: Resampling = recipe.resampling or RESAMPLINGS[number]
    size = (radiance.shape[0], radiance.shape[1], radiance.shape[2])
    noise = resampled_noise(rng, size, chosen)
    sigma: NDArray[np.float64] = np.asarray(sensor.noise_equivalent_radiance(nedt))
    noise *= sigma.astype(np.float32)
    noise += radiance
    noise *= (1.0 / sensor.UNIT_CONVERSION).astype(np.float32)
    np.rint(noise, out=noise)
    noise += sensor.ZERO_RADIANCE_DN
    return np.clip(noise, sensor.ZERO_RADIANCE_DN, sensor.SATURATION_DN).astype(np.uint16), nedt


def leave_gaps(
    rng: np.random.Generator, dn: NDArray[np.uint16], air_temperature_k: float, share: float
) -> NDArray[np.bool_]:
    """Lay clouds over digital numbers, or take some of the numbers away, in a share of fields.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of the numbers.
    dn : ndarray (y, x, 5), uint16
        Changed in place.
    air_temperature_k : float, K
        Clouds are colder than this.
    share : float, 1
        Share of the fields that get gaps.

    Returns
    -------
    ndarray (y, x), bool
        Where a cloud lies.
    """
    shape = (dn.shape[0], dn.shape[1])
    cloud = np.zeros(shape, bool)
    if rng.random() >= share:
        return cloud
    which = rng.integers(3)
    if which == 0:
        field = fractal_noise(shape, rng.uniform(6.0, 60.0), rng, octaves=5)
        edge = np.quantile(field, rng.uniform(0.4, 0.97))
        cloud = field > edge
        opacity = np.clip((field - edge) / 0.5 + 0.1, 0.0, 1.0)[cloud]
        top = air_temperature_k - rng.uniform(*_CLOUD_BELOW_AIR_K) * opacity
        cold = sensor.brightness_temperature_to_radiance(
            np.repeat(np.maximum(top, 200.0)[:, np.newaxis], 5, axis=1)
        )
        cold_dn = sensor.radiance_to_dn(cold)
        clear = dn[cloud] * (1 - opacity)[:, np.newaxis]
        dn[cloud] = (clear + opacity[:, np.newaxis] * cold_dn).astype(np.uint16)
    elif which == 1:
        angle = rng.uniform(0.0, 2 * np.pi)
        along = np.arange(shape[1]) * np.cos(angle) + np.arange(shape[0])[:, None] * np.sin(angle)
        depth = np.quantile(along, rng.uniform(0.4, 0.95))
        dn[along > depth] = sensor.FILL_DN
    else:
        dn[rng.random(shape) < np.exp(rng.uniform(np.log(0.005), np.log(0.5)))] = sensor.FILL_DN
    return cloud


def tell(
    rng: np.random.Generator,
    recipe: FieldRecipe,
    cover: Cover,
    *,
    day: bool,
    water_vapor: Any,
    air_temperature: Any,
    surface_pressure: Any,
    skin_temperature: float,
) -> dict[str, NDArray[np.float32]]:
    """Draw what a retrieval is told: ancillaries with errors of the stated size, some beyond it.

    Parameters
    ----------
    rng : numpy.random.Generator
        Advanced.
    recipe : FieldRecipe
    cover : Cover
    day : bool
    water_vapor, air_temperature, surface_pressure : ndarray () or (y, x)
        Truth, kg m-2, K and hPa, where it is told for.
    skin_temperature : float, K
        The coarse cell's truth: the mean of the field.

    Returns
    -------
    dict of str to ndarray, float32
        As `aktes_xr.simulate.fields.Field.told` says, but for ``elevation_difference``.
    """
    told: dict[str, NDArray[np.float32]] = {}

    def errors(limits: tuple[float, float], narrowed: float = 1.0) -> tuple[float, float]:
        low, high = limits
        stated = narrowed * float(np.exp(rng.uniform(np.log(low), np.log(high))))
        factor = WRONG_FACTOR if rng.random() < recipe.wrong_share else 1.0
        return stated, factor * stated

    def add(name: str, value: Any, stated: Any) -> None:
        told[name] = np.asarray(value, np.float32)
        told[f"{name}_error"] = np.asarray(stated, np.float32)

    relative, actual = errors(recipe.water_vapor_error)
    water = water_vapor * np.exp(actual * rng.standard_normal() - 0.5 * actual**2)
    add("water_vapor", water, relative * water)
    stated, actual = errors(recipe.air_temperature_error_k)
    add("air_temperature", air_temperature + actual * rng.standard_normal(), stated)
    stated, actual = errors(recipe.surface_pressure_error_hpa)
    add("surface_pressure", surface_pressure + actual * rng.standard_normal(), stated)
    stated, actual = errors(recipe.skin_temperature_error_k, 1.0 if day else _SKIN_NIGHT)
    add("skin_temperature", skin_temperature + actual * rng.standard_normal(), stated)
    stated, actual = errors(recipe.emissivity_error)
    prior, uncertainty = tell_emissivity(
        rng,
        cover,
        stated=stated,
        actual=actual,
        of_surface=rng.uniform(*recipe.error_of_surface),
        of_bands=rng.uniform(*recipe.error_of_bands),
    )
    told["emissivity_prior"] = prior
    told["emissivity_prior_uncertainty"] = uncertainty
    return told
