"""What the cloud test looks at: a pixel, its surroundings, and the rest of its scene.

Cloud is colder than the clear ground should be, and more uneven or more even than it. What the
clear ground should be is, from best to worst: the pixel's own clear-sky history (`background`), the
air's or the skin's temperature of a reanalysis, the warm part of the scene, carried to the pixel's
height at 6.5 K/km. So temperatures are counted from the background, or from sea level, before their
surroundings are described (`aktes_xr.models.context`).

Statistics of a scene come from a fixed sample of its pixels, so that no bit depends on its chunks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from aktes_xr.models.context import CONTEXT, describe_image

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from aktes_xr.compilation import Float32Array

SEEN: Final = (
    "brightness_temperature_B10",
    "brightness_temperature_B11",
    "brightness_temperature_B12",
    "brightness_temperature_B13",
    "brightness_temperature_B14",
    "elevation",
    "background",
    "air_temperature",
    "skin_temperature",
)
"""Planes that a pixel is described from: K, m, K, K, K; NaN where not known."""
STATISTICS: Final = (
    "sea_level_p05",
    "sea_level_p25",
    "sea_level_p50",
    "sea_level_p75",
    "sea_level_p90",
    "sea_level_p97",
    "sea_level_spread",
    "median_B10_B13",
    "median_B11_B13",
    "median_B12_B13",
    "median_B14_B13",
)
"""Of a scene: B13 counted from background or sea level (K), and the bands' differences."""
CLOUD_FEATURES: Final = (
    "brightness_temperature_B13",
    "difference_B10_B13",
    "difference_B11_B13",
    "difference_B12_B13",
    "difference_B14_B13",
    *CONTEXT,
    *(f"below_scene_{name}" for name in ("p25", "p50", "p90", "p97")),
    "scene_spread",
    "scene_interquartile",
    "scene_upper",
    *(f"beyond_median_{name}" for name in ("B10_B13", "B11_B13", "B12_B13", "B14_B13")),
    *(f"scene_median_{name}" for name in ("B10_B13", "B11_B13", "B12_B13", "B14_B13")),
    "below_air",
    "air_known",
    "below_skin",
    "skin_known",
    "below_background",
    "background_known",
    "scene_below_air",
    "elevation",
    "elevation_known",
    "sun_height",
    "sun_known",
)
"""Raw features, by row."""
_LAPSE_K_PER_M: Final = 0.0065
_BACKGROUND_K: Final = 290.0
_PERCENTILES: Final = (5.0, 25.0, 50.0, 75.0, 90.0, 97.0)
_FEWEST: Final = 20
_REFERENCE: Final = 3
_OTHERS: Final = (0, 1, 2, 4)
_N_BANDS: Final = 5
_ELEVATION: Final = SEEN.index("elevation")
_BACKGROUND: Final = SEEN.index("background")
_AIR: Final = SEEN.index("air_temperature")
_SKIN: Final = SEEN.index("skin_temperature")
_PLACE: Final = {name: place for place, name in enumerate(STATISTICS)}
_SPREADS: Final = np.array([name.startswith("spread") for name in CONTEXT])


def from_sea_level(seen: Float32Array) -> Float32Array:
    """Count temperatures from the pixel's background or, without one, from sea level.

    Parameters
    ----------
    seen : ndarray (9, ...), float32
        In the order of `SEEN`.

    Returns
    -------
    ndarray (5, ...), float32, K
        Around 290 K where a background is known and right.
    """
    height = np.nan_to_num(seen[_ELEVATION]) * np.float32(_LAPSE_K_PER_M)
    background = seen[_BACKGROUND]
    added = np.where(np.isnan(background), height, np.float32(_BACKGROUND_K) - background)
    return np.asarray(seen[:_N_BANDS] + added, np.float32)


def scene_statistics(sample: Float32Array) -> Float32Array:
    """Describe a scene by a sample of its pixels.

    Parameters
    ----------
    sample : ndarray (9, pixel), float32
        In the order of `SEEN`.

    Returns
    -------
    ndarray (11,), float32, K
        In the order of `STATISTICS`; NaN where there are next to no pixels.
    """
    found = np.full(len(STATISTICS), np.nan, np.float32)
    counted = from_sea_level(sample)
    known = np.isfinite(counted).all(axis=0)
    if int(known.sum()) < _FEWEST:
        return found
    values = counted[:, known].astype(np.float64)
    found[: len(_PERCENTILES)] = np.percentile(values[_REFERENCE], _PERCENTILES)
    found[_PLACE["sea_level_spread"]] = values[_REFERENCE].std()
    for place, band in enumerate(_OTHERS, start=_PLACE["median_B10_B13"]):
        found[place] = np.median(values[band] - values[_REFERENCE])
    return found


def cloud_features(
    seen: Float32Array, statistics: Float32Array, sun_zenith_deg: float
) -> Float32Array:
    """Describe the pixels of an image.

    Parameters
    ----------
    seen : ndarray (9, y, x), float32
        In the order of `SEEN`. Pixels whose surroundings reach beyond the image are described by
        what is in it.
    statistics : ndarray (11,), float32
        Of the whole scene, from `scene_statistics`.
    sun_zenith_deg : float, degree
        NaN where unknown.

    Returns
    -------
    ndarray (feature, y, x), float32
        In the order of `CLOUD_FEATURES`; NaN where a feature is not known.
    """
    counted = from_sea_level(seen)
    own = seen[_REFERENCE]
    rows: list[Any] = [own, *(seen[band] - own for band in _OTHERS)]
    context = describe_image(np.ascontiguousarray(np.moveaxis(counted, 0, -1)))
    # Spreads reach from .05 K to tens: by their logarithm small ones count as much as large ones.
    context[_SPREADS] = np.log(context[_SPREADS] + np.float32(0.05))
    rows += list(context)
    rows += _beside_scene(counted, statistics)
    air, skin, background = seen[_AIR], seen[_SKIN], seen[_BACKGROUND]
    for other in (air, skin, background):
        rows += [own - other, np.isfinite(other)]
    height = seen[_ELEVATION]
    lifted = np.nan_to_num(height) * np.float32(_LAPSE_K_PER_M)
    rows.append(statistics[_PLACE["sea_level_p90"]] - (air + lifted))
    rows += [height, np.isfinite(height)]
    up = np.float32(np.cos(np.deg2rad(sun_zenith_deg)))
    rows += [np.maximum(up, np.float32(0.0)), np.float32(np.isfinite(up))]
    features = np.empty((len(CLOUD_FEATURES), *own.shape), np.float32)
    for place, row in enumerate(rows):
        features[place] = row
    return features


def _beside_scene(counted: Float32Array, statistics: Float32Array) -> list[Any]:
    """Compare pixels with the rest of their scene."""
    own = counted[_REFERENCE]
    by = {name: statistics[place] for name, place in _PLACE.items()}
    rows: list[Any] = [own - by[f"sea_level_{name}"] for name in ("p25", "p50", "p90", "p97")]
    rows.append(np.log(by["sea_level_spread"] + np.float32(0.05)))
    rows.append(by["sea_level_p75"] - by["sea_level_p25"])
    rows.append(by["sea_level_p97"] - by["sea_level_p50"])
    medians = [statistics[_PLACE["median_B10_B13"] + number] for number in range(len(_OTHERS))]
    rows += [counted[band] - own - median for band, median in zip(_OTHERS, medians, strict=True)]
    return rows + medians


def describable(seen: Float32Array) -> NDArray[np.bool_]:
    """Return where (y, x) all bands were measured."""
    return np.asarray(np.isfinite(seen[:_N_BANDS]).all(axis=0))
