"""What is measured of a surface and told about it: noise, 12 bit, ancillaries with their errors."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Final, Literal

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from aktes_xr import sensor
from aktes_xr.cube.contract import DEFAULT_AIR_TEMPERATURE_ERROR_K, DEFAULT_WATER_VAPOR_ERROR
from aktes_xr.errors import InputError
from aktes_xr.simulate.emissivity import CLASS_NAMES, SPLITS, Split

WRONG_FACTOR: Final = 3.0


@dataclass(frozen=True)
class SampleRecipe:
    """What to draw; equal recipes give equal samples.

    Attributes
    ----------
    size : int
        Number of samples.
    seed : int
    split : {"train", "validation", "test"}
    protocol : {"G", "P"}
        Unseen atmospheres and surfaces, or the published protocol (see the module).
    terrain : bool
        Also draw terrain (`aktes_xr.simulate.terrain_samples`): sky view, illumination, neighbours.
    nedt_range_k : (float, float), K at 300 K
        Noise of each band, drawn per sample.
    water_vapor_error : (float, float), 1
        Range of the relative standard deviation of the ancillary water vapour, drawn per sample.
    air_temperature_error_k : (float, float), K
    emissivity_error : (float, float), 1
        Of the climatological emissivity.
    emissivity_error_common : (float, float), 1
        Range of the share of that error's variance that is common to the bands, drawn per sample.
    wrong_ancillaries : float, 1
        Share of samples in which an ancillary's error is drawn `WRONG_FACTOR` times as large as
        stated, each ancillary by itself.
    even_water : bool
        On flat ground, draw wet columns more often than there are profiles of them.
    view_zenith_max_deg : float, deg
    day_fraction : float
        Share of samples by day.
    """

    size: int = 100_000
    seed: int = 0
    split: Split = "train"
    protocol: Literal["G", "P"] = "G"
    terrain: bool = False
    nedt_range_k: tuple[float, float] = (0.05, 0.3)
    water_vapor_error: tuple[float, float] = (DEFAULT_WATER_VAPOR_ERROR, DEFAULT_WATER_VAPOR_ERROR)
    air_temperature_error_k: tuple[float, float] = (
        DEFAULT_AIR_TEMPERATURE_ERROR_K,
        DEFAULT_AIR_TEMPERATURE_ERROR_K,
    )
    emissivity_error: tuple[float, float] = (0.005, 0.03)
    emissivity_error_common: tuple[float, float] = (0.0, 0.0)
    wrong_ancillaries: float = 0.0
    even_water: bool = False
    view_zenith_max_deg: float = 15.0
    day_fraction: float = 0.6

    def __post_init__(self) -> None:
        if self.size < 1:
            raise InputError(f"found a size of {self.size} samples, expected at least 1")
        if self.split not in SPLITS:
            raise InputError(f"found split {self.split!r}, expected one of {', '.join(SPLITS)}")
        if self.protocol not in ("G", "P"):
            raise InputError(f"found protocol {self.protocol!r}, expected 'G' or 'P'")
        if not 0 <= self.view_zenith_max_deg <= 15:
            raise InputError(
                f"found view angles up to {self.view_zenith_max_deg} deg, expected 0 to 15"
            )

    def generator(self) -> np.random.Generator:
        """Return the generator of this recipe: splits never share a stream."""
        return np.random.default_rng([self.seed, SPLITS.index(self.split), ord(self.protocol)])


def observe(
    rng: np.random.Generator, radiance: NDArray[Any], nedt_range_k: tuple[float, float]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Measure radiances: noise per band, then 12 bit.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of the numbers.
    radiance : ndarray (n, 5), W m-2 sr-1 um-1
        At the sensor, without noise.
    nedt_range_k : tuple of float, K
        Least and greatest noise at 300 K.

    Returns
    -------
    radiance : ndarray (n, 5), float32, W m-2 sr-1 um-1
    nedt : ndarray (n, 5), float32, K at 300 K
    """
    nedt = rng.uniform(*nedt_range_k, size=radiance.shape).astype(np.float32)
    noise = sensor.noise_equivalent_radiance(nedt).astype(np.float32)
    noise *= rng.standard_normal(radiance.shape, dtype=np.float32)
    counts = sensor.radiance_to_dn(radiance + noise)
    return sensor.dn_to_radiance(counts), nedt


def _stated(
    rng: np.random.Generator, size: int, limits: tuple[float, float]
) -> NDArray[np.float32]:
    return rng.uniform(*limits, size=size).astype(np.float32)


def _actual(
    rng: np.random.Generator, stated: NDArray[np.float32], recipe: SampleRecipe
) -> NDArray[np.float32]:
    """Return the standard deviation that an error is drawn with: as stated, or wrong."""
    wrong = rng.random(stated.size) < recipe.wrong_ancillaries
    return np.where(wrong, np.float32(WRONG_FACTOR), np.float32(1.0)) * stated


def draw_ancillaries(
    rng: np.random.Generator,
    recipe: SampleRecipe,
    *,
    water_vapor: NDArray[Any],
    air_temperature: NDArray[Any],
    emissivity: NDArray[Any],
) -> dict[str, NDArray[np.float32]]:
    """Draw what a retrieval is told, with errors of the stated size.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of the numbers.
    recipe : SampleRecipe
        Sizes of the errors.
    water_vapor : ndarray (n,), kg m-2
        True column.
    air_temperature : ndarray (n,), K
        True temperature of the air at the surface.
    emissivity : ndarray (n, 5), 1
        True emissivity.

    Returns
    -------
    dict of str to ndarray (n,) or (n, 5), float32
        Water vapour, air temperature and emissivity prior, each with its stated error.
    """
    size = water_vapor.size
    relative = _stated(rng, size, recipe.water_vapor_error)
    kelvin = _stated(rng, size, recipe.air_temperature_error_k)
    told = _stated(rng, size, recipe.emissivity_error)
    drawn = [_actual(rng, stated, recipe) for stated in (relative, kelvin, told)]
    water = water_vapor * np.exp(drawn[0] * rng.standard_normal(size) - 0.5 * drawn[0] ** 2)
    common = rng.standard_normal((size, 1), dtype=np.float32)
    own = rng.standard_normal((size, 5), dtype=np.float32)
    shared = _stated(rng, size, recipe.emissivity_error_common)[:, np.newaxis]
    shape = np.sqrt(shared) * common + np.sqrt(1 - shared) * own
    prior = emissivity + drawn[2][:, np.newaxis] * shape
    return {
        "water_vapor": water.astype(np.float32),
        "water_vapor_error": (relative * water).astype(np.float32),
        "air_temperature": (air_temperature + drawn[1] * rng.standard_normal(size)).astype(
            np.float32
        ),
        "air_temperature_error": kelvin,
        "emissivity_prior": np.clip(prior, 0.3, 1.0).astype(np.float32),
        "emissivity_prior_uncertainty": np.repeat(told[:, np.newaxis], 5, axis=1),
    }


_UNITS: Final = {
    "radiance": sensor.RADIANCE_UNITS,
    "path_radiance": sensor.RADIANCE_UNITS,
    "sky_radiance": sensor.RADIANCE_UNITS,
    "brightness_temperature": "K",
    "surface_temperature": "K",
    "air_temperature": "K",
    "air_temperature_error": "K",
    "true_air_temperature": "K",
    "nedt": "K",
    "adjacent_brightness_temperature": "K",
    "water_vapor": "kg m-2",
    "water_vapor_error": "kg m-2",
    "precipitable_water": "kg m-2",
    "surface_pressure": "hPa",
    "view_zenith": "degree",
    "slope": "degree",
    "relief": "m",
    "elevation_difference": "m",
}


def to_dataset(fields: dict[str, NDArray[Any]], recipe: SampleRecipe) -> xr.Dataset:
    """Give the fields of samples names and units.

    Parameters
    ----------
    fields : dict of str to ndarray (sample,) or (sample, 5)
        The fields.
    recipe : SampleRecipe
        Kept in the attributes.

    Returns
    -------
    Dataset (sample,) or (sample, band)
    """
    variables = {
        name: (
            ("sample", "band")[: values.ndim],
            values,
            {"units": _UNITS.get(name, "1")},
        )
        for name, values in fields.items()
    }
    settings = {
        key: list(value) if isinstance(value, tuple) else value
        for key, value in asdict(recipe).items()
        if not isinstance(value, bool)
    }
    return xr.Dataset(
        variables,
        coords={"band": list(sensor.BANDS)},
        attrs={**settings, "classes": " ".join(CLASS_NAMES)},
    )
