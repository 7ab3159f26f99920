"""Training data by recipe and seed: what ASTER would have measured over drawn surfaces.

A recipe draws clear-sky columns (`aktes_xr.simulate.atmospheres`) and surfaces of the emissivity
prior, and measures them: radiance at the top of the atmosphere, noise per band,
quantisation to 12 bit. What a retrieval may be told besides (water vapour, air temperature, a
climatological emissivity) carries an error drawn with the stated standard deviation.

Protocol ``G`` divides by atmosphere and by surface: validation and test see profiles and endmembers
that training never saw. Protocol ``P`` is that of the published networks: the six model
atmospheres with nothing but their water scaled, surfaces of all endmembers, divided at random by
seed alone.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Final, Literal

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from aktes_xr import sensor
from aktes_xr.errors import InputError
from aktes_xr.radiative.surface import top_of_atmosphere_radiance
from aktes_xr.simulate.atmospheres import colder_than, draw_columns
from aktes_xr.simulate.emissivity import CLASS_NAMES, SPLITS, Split, draw_emissivity

SNOW: Final = CLASS_NAMES.index("snow_ice")
WATER: Final = CLASS_NAMES.index("water")
FREEZING_K: Final = 273.15
SNOW_AIR_LIMIT_K: Final = 282.0
"""Snow is only put under air colder than this."""

# Surface minus near-surface air temperature, K: (mean, standard deviation) by day and by night, in
# the order of CLASS_NAMES. Dry bare ground heats most; open water hardly follows the day.
CONTRAST_DAY: Final = np.array(
    [(3.0, 4.0), (11.0, 8.0), (14.0, 8.0), (9.0, 8.0), (0.0, 3.0), (0.0, 4.0), (11.0, 7.0)]
)
CONTRAST_NIGHT: Final = np.array(
    [(-2.0, 2.5), (-3.0, 3.0), (-4.0, 3.0), (-1.5, 3.0), (1.5, 3.0), (-4.0, 4.0), (0.5, 3.0)]
)
SURFACE_TEMPERATURE_RANGE_K: Final = (220.0, 355.0)
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
    water_vapor_error: tuple[float, float] = (0.10, 0.10)
    air_temperature_error_k: tuple[float, float] = (2.0, 2.0)
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


def draw_surface_temperature(
    rng: np.random.Generator,
    air_temperature: NDArray[Any],
    surface_class: NDArray[np.int8],
    day: NDArray[np.bool_],
) -> NDArray[np.float32]:
    """Draw surface temperatures about the air's, by class and by day or night.

    Snow and ice stay at or below freezing.
    """
    table = np.where(day[:, np.newaxis], CONTRAST_DAY[surface_class], CONTRAST_NIGHT[surface_class])
    contrast = table[:, 0] + table[:, 1] * rng.standard_normal(day.size)
    temperature = air_temperature + contrast
    temperature = np.where(surface_class == SNOW, np.minimum(temperature, FREEZING_K), temperature)
    return np.clip(temperature, *SURFACE_TEMPERATURE_RANGE_K).astype(np.float32)


def observe(
    rng: np.random.Generator, radiance: NDArray[Any], nedt_range_k: tuple[float, float]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Measure radiances (n, 5): noise per band, then 12 bit.

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
    """Draw what a retrieval is told, with errors of the stated size."""
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
    """Name the dimensions: (sample,) or (sample, band)."""
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


def simulate_samples(recipe: SampleRecipe) -> xr.Dataset:
    """Draw training data.

    Parameters
    ----------
    recipe : SampleRecipe
        What to draw.

    Returns
    -------
    Dataset (sample, band), float32
        Measured: radiance, brightness_temperature, nedt. Known: view_zenith, surface_pressure
        (hPa). Told, with their stated errors: water_vapor, water_vapor_error, air_temperature,
        air_temperature_error, emissivity_prior, emissivity_prior_uncertainty. Truth:
        surface_temperature, emissivity, precipitable_water, true_air_temperature, transmittance,
        path_radiance, sky_radiance. Of the draw: surface_class (int8, ``attrs["classes"]``), day,
        profile (its number in the shipped table). With
        ``terrain``: sky_view_factor, slope, solar_incidence, relief, elevation_difference and
        adjacent_brightness_temperature.
    """
    if recipe.terrain:
        from aktes_xr.simulate.terrain_samples import terrain_fields

        return to_dataset(terrain_fields(recipe), recipe)
    rng = recipe.generator()
    columns = draw_columns(
        rng,
        recipe.size,
        split=recipe.split,
        protocol=recipe.protocol,
        view_zenith_max_deg=recipe.view_zenith_max_deg,
        even_water=recipe.even_water,
    )
    emissivity, surface_class = _draw_surfaces(rng, recipe)
    columns = columns.take(colder_than(rng, columns, surface_class == SNOW, SNOW_AIR_LIMIT_K))
    day = rng.random(recipe.size) < recipe.day_fraction
    temperature = draw_surface_temperature(rng, columns.air_temperature, surface_class, day)
    toa = top_of_atmosphere_radiance(
        temperature,
        emissivity,
        columns.transmittance,
        columns.path_radiance,
        columns.sky_radiance,
    )
    radiance, nedt = observe(rng, toa, recipe.nedt_range_k)
    told = draw_ancillaries(
        rng,
        recipe,
        water_vapor=columns.precipitable_water,
        air_temperature=columns.air_temperature,
        emissivity=emissivity,
    )
    fields = {
        "radiance": radiance,
        "brightness_temperature": sensor.radiance_to_brightness_temperature(radiance),
        "nedt": nedt,
        "view_zenith": columns.view_zenith,
        "surface_pressure": columns.surface_pressure,
        **told,
        "surface_temperature": temperature,
        "emissivity": emissivity,
        "precipitable_water": columns.precipitable_water,
        "true_air_temperature": columns.air_temperature,
        "transmittance": columns.transmittance,
        "path_radiance": columns.path_radiance,
        "sky_radiance": columns.sky_radiance,
        "surface_class": surface_class,
        "day": day,
        "profile": columns.profile,
    }
    return to_dataset(fields, recipe)


def _draw_surfaces(
    rng: np.random.Generator, recipe: SampleRecipe
) -> tuple[NDArray[np.float32], NDArray[np.int8]]:
    if recipe.protocol == "G":
        return draw_emissivity(rng, recipe.size, split=recipe.split)
    parts = [draw_emissivity(rng, recipe.size, split=split) for split in SPLITS]
    which = rng.choice(3, size=recipe.size, p=(0.6, 0.2, 0.2))
    rows = np.arange(recipe.size)
    return (
        np.stack([part[0] for part in parts])[which, rows],
        np.stack([part[1] for part in parts])[which, rows],
    )
