"""Land cover with spatial structure, and the emissivity it has.

Each class has a smooth random field; where it prevails over the others, shifted by the region and
by terrain (rock where it is steep, snow where it is high, water and towns where it is flat), the
pixel is of that class. Inside a class the spectrum wanders between a dozen mixtures of the prior,
and neighbours mix at the borders.
"""

from __future__ import annotations

from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter

from aktes_xr.simulate.emissivity import CLASS_NAMES, Split, load_prior
from aktes_xr.simulate.texture import fractal_noise

Cover = Literal["temperate", "arid", "alpine"]

# How a region favours classes, in the order of CLASS_NAMES, in standard deviations of the fields.
REGIONS: Final[dict[Cover, tuple[float, ...]]] = {
    "temperate": (1.3, 0.3, -2.5, -1.6, -0.6, -9.0, -1.0),
    "arid": (-1.0, 1.1, 0.4, 0.5, -2.2, -9.0, -2.0),
    "alpine": (0.9, -0.3, -3.0, 0.0, -1.0, -1.0, -2.0),
}
PATCH_M: Final = 4_000.0
SNOW_LINE_M: Final = 2_900.0
TREE_LINE_M: Final = 2_000.0
MIXTURES: Final = 12
_PIXEL_SCATTER: Final = 0.03

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
SURFACE_TEMPERATURE_RANGE_K: Final = (220.0, 350.0)
"""Nothing hotter: fires and lava that flows are out of domain."""
# Kelvin per 1000 W m-2 of absorbed sun, and kelvin without it, in the order of CLASS_NAMES.
HEATING: Final = np.array([9.0, 20.0, 24.0, 19.0, 1.5, 3.0, 20.0])
SHADE: Final = np.array([-2.0, -2.0, -2.0, -2.0, 0.0, -3.0, -1.0])
TWILIGHT_DEG: Final = 88.0
_DIRECT_W_M2: Final = 1000.0
_OPTICAL_DEPTH: Final = 0.15
_DIFFUSE_W_M2: Final = 120.0


def land_cover(
    elevation: NDArray[np.float32],
    slope_deg: NDArray[np.float32],
    rng: np.random.Generator,
    *,
    cover: Cover,
    cell_size_m: float,
    patch_m: float = PATCH_M,
    snow_line_m: float = SNOW_LINE_M,
) -> NDArray[np.int8]:
    """Draw surface classes (y, x), int8: indices into ``CLASS_NAMES``.

    Parameters
    ----------
    elevation : ndarray (y, x), float32, m
    slope_deg : ndarray (y, x), float32, degree
    rng : numpy.random.Generator
        Advanced.
    cover : {"temperate", "arid", "alpine"}
    cell_size_m, patch_m, snow_line_m : float, m
        Size of a pixel and of a patch, and where snow begins.
    """
    steep = np.nan_to_num(slope_deg)
    terrain = {
        "vegetation": -np.clip((elevation - TREE_LINE_M) / 300.0, 0.0, 4.0),
        "sand": -0.08 * steep,
        "rock": np.clip(0.06 * (steep - 25.0), -1.0, 2.0),
        "water": 1.0 - 0.8 * steep,
        "snow_ice": np.clip((elevation - snow_line_m) / 200.0, -4.0, 4.0)
        - 0.1 * np.clip(steep - 45.0, 0.0, None),
        "manmade": -0.15 * steep,
    }
    best = np.full(elevation.shape, -np.inf)
    classes = np.zeros(elevation.shape, dtype=np.int8)
    for number, name in enumerate(CLASS_NAMES):
        score = REGIONS[cover][number] + fractal_noise(elevation.shape, patch_m / cell_size_m, rng)
        score = score + terrain.get(name, 0.0)
        classes[score > best] = number
        best = np.maximum(best, score)
    return classes


def emissivity_map(
    classes: NDArray[np.int8],
    rng: np.random.Generator,
    *,
    split: Split,
    cell_size_m: float,
) -> NDArray[np.float32]:
    """Give a map of classes its emissivity.

    Parameters
    ----------
    classes : ndarray (y, x), int8
        Number of each pixel's class.
    rng : numpy.random.Generator
        Source of the numbers.
    split : Split
        Whose endmembers to draw from.
    cell_size_m : float, m
        Size of a pixel.

    Returns
    -------
    ndarray (y, x, 5), float32, 1
    """
    prior = load_prior()
    emissivity = np.empty((*classes.shape, 5), dtype=np.float32)
    field = fractal_noise(classes.shape, PATCH_M / 2 / cell_size_m, rng)
    place = np.clip((field + 2.5) / 5.0, 0.0, 0.999) * (MIXTURES - 1)
    lower = place.astype(np.intp)
    share = (place - lower).astype(np.float32)[..., np.newaxis]
    for number, surface in enumerate(prior.classes):
        here = classes == number
        if not here.any():
            continue
        spectra = prior.draw(rng, surface, MIXTURES, split=split)
        below, above = spectra[lower[here]], spectra[lower[here] + 1]
        emissivity[here] = below + share[here] * (above - below)
    emissivity = uniform_filter(emissivity, size=(3, 3, 1), mode="nearest")
    scatter = np.exp(_PIXEL_SCATTER * rng.standard_normal(emissivity.shape, dtype=np.float32))
    return np.asarray(1 - (1 - emissivity) * scatter, dtype=np.float32)


def draw_surface_temperature(
    rng: np.random.Generator,
    air_temperature: NDArray[Any],
    surface_class: NDArray[np.int8],
    day: NDArray[np.bool_],
) -> NDArray[np.float32]:
    """Draw surface temperatures about the air's, by class and by day or night.

    Snow and ice stay at or below freezing.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of the numbers.
    air_temperature : ndarray (n,), K
        At the surface.
    surface_class : ndarray (n,), int8
        Number of each sample's class.
    day : ndarray (n,), bool
        False for a sample of the night.

    Returns
    -------
    ndarray (n,), float32, K
    """
    table = np.where(day[:, np.newaxis], CONTRAST_DAY[surface_class], CONTRAST_NIGHT[surface_class])
    contrast = table[:, 0] + table[:, 1] * rng.standard_normal(day.size)
    temperature = air_temperature + contrast
    temperature = np.where(surface_class == SNOW, np.minimum(temperature, FREEZING_K), temperature)
    return np.clip(temperature, *SURFACE_TEMPERATURE_RANGE_K).astype(np.float32)


def sunlight(sun_zenith_deg: float, incidence: Any, sky_view_factor: Any) -> Any:
    """Return what reaches the ground by day, W m-2: direct light and that of the open sky.

    Parameters
    ----------
    sun_zenith_deg : float, degree
    incidence : ndarray (y, x) or float, 1
        Cosine of the sun's local angle; 0 in shadow.
    sky_view_factor : ndarray (y, x) or float, 1
    """
    thinness = np.exp(-_OPTICAL_DEPTH / max(np.cos(np.deg2rad(sun_zenith_deg)), 0.1))
    return _DIRECT_W_M2 * thinness * incidence + _DIFFUSE_W_M2 * sky_view_factor
