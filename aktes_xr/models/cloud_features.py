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

from aktes_xr.compilation import kernel
from aktes_xr.models.context import (
    FIXED_POINT,
    MISSING,
    REACH,
    Surroundings,
    advance,
    begin,
    describe_row,
    described_by,
    enter_row,
    new_surroundings,
)

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
WINDOWS: Final = (5, 11)
"""Sides of the windows around a pixel. A third one, of 3 pixels, finds no more cloud."""
CONTEXT: Final = described_by(WINDOWS)
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
LAPSE_K_PER_M: Final = 0.0065
"""How temperatures are carried to sea level: the standard atmosphere's (ISO 2533)."""
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
_FIRST_MEDIAN: Final = _PLACE["median_B10_B13"]
_FIRST_CONTEXT: Final = CLOUD_FEATURES.index(CONTEXT[0])
_SPREADS: Final = tuple(
    _FIRST_CONTEXT + place for place, name in enumerate(CONTEXT) if name.startswith("spread")
)
_BESIDE: Final = CLOUD_FEATURES.index("below_scene_p25")
_BEYOND: Final = CLOUD_FEATURES.index("beyond_median_B10_B13")
_BELOW_AIR: Final = CLOUD_FEATURES.index("below_air")
_SCENE_BELOW_AIR: Final = CLOUD_FEATURES.index("scene_below_air")
_HEIGHT: Final = CLOUD_FEATURES.index("elevation")
_PARTS: Final = np.float32(FIXED_POINT)
_MISSING: Final = np.int32(MISSING)
_LAPSE: Final = np.float32(LAPSE_K_PER_M)
_AT_BACKGROUND: Final = np.float32(_BACKGROUND_K)
_ZERO: Final = np.float32(0.0)
_ONE: Final = np.float32(1.0)


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
    height = np.nan_to_num(seen[_ELEVATION]) * np.float32(LAPSE_K_PER_M)
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
    rows, columns = seen.shape[1:]
    edged = np.pad(
        seen, ((0, 0), (REACH, REACH), (REACH, REACH)), constant_values=np.float32(np.nan)
    )
    description = CloudDescription(edged, statistics, sun_zenith_deg, rows=rows)
    return description.rows_from(0, rows).reshape(len(CLOUD_FEATURES), rows, columns)


class CloudDescription:
    """The description of an image on its way down it; not to be shared by threads.

    Parameters
    ----------
    seen : ndarray (9, y + 2 `REACH`, x + 2 `REACH`), float32
        In the order of `SEEN`; NaN where nothing is known.
    statistics : ndarray (11,), float32
        Of the whole scene, from `scene_statistics`.
    sun_zenith_deg : float, degree
        NaN where unknown.
    rows : int
        Room for so many rows at once.
    """

    def __init__(
        self, seen: Float32Array, statistics: Float32Array, sun_zenith_deg: float, *, rows: int
    ) -> None:
        self._seen = seen
        self._statistics = np.asarray(statistics, np.float32)
        wide = seen.shape[2]
        self._columns = wide - 2 * REACH
        self._around = new_surroundings(self._columns, WINDOWS)
        self._fixed = np.full((_N_BANDS, wide), MISSING, np.int32)
        self._features = np.empty((len(CLOUD_FEATURES), rows * self._columns), np.float32)
        for name, value in _of_scene(statistics, sun_zenith_deg).items():
            self._features[CLOUD_FEATURES.index(name)] = value

    def rows_from(self, first: int, count: int) -> Float32Array:
        """Describe rows; each call goes on where the last one ended.

        Parameters
        ----------
        first : int
            Counted without the halo.
        count : int
            At most as many as there is room for.

        Returns
        -------
        ndarray (feature, pixel), float32
            Overwritten by the next call.
        """
        features = self._features[:, : count * self._columns]
        _describe_rows(self._seen, self._statistics, first, self._fixed, self._around, features)
        for place in _SPREADS:
            # From .05 K to tens: by their logarithm small spreads count as much as large ones.
            np.log(features[place] + np.float32(0.05), out=features[place])
        return features


def _of_scene(statistics: Float32Array, sun_zenith_deg: float) -> dict[str, Any]:
    """Return the features that all pixels of a scene share."""
    by = {name: statistics[place] for name, place in _PLACE.items()}
    up = np.float32(np.cos(np.deg2rad(sun_zenith_deg)))
    return {
        "scene_spread": np.log(by["sea_level_spread"] + np.float32(0.05)),
        "scene_interquartile": by["sea_level_p75"] - by["sea_level_p25"],
        "scene_upper": by["sea_level_p97"] - by["sea_level_p50"],
        **{f"scene_{name}": by[name] for name in STATISTICS if name.startswith("median")},
        "sun_height": np.maximum(up, np.float32(0.0)),
        "sun_known": np.float32(np.isfinite(up)),
    }


def describable(seen: Float32Array) -> NDArray[np.bool_]:
    """Return where (y, x) all bands were measured."""
    return np.asarray(np.isfinite(seen[:_N_BANDS]).all(axis=0))


@kernel()
def _describe_rows(
    seen: Float32Array,
    statistics: Float32Array,
    first: int,
    fixed: NDArray[np.int32],
    around: Surroundings,
    raw: Float32Array,
) -> None:
    """Write the features of rows but those of the scene; spreads are not yet logarithms."""
    columns = around.described.shape[1]
    count = raw.shape[1] // columns
    if first == 0:
        for line in range(2 * REACH):
            _enter(seen, line, fixed, around)
    for number in range(count):
        row = first + number
        _enter(seen, row + 2 * REACH, fixed, around)
        if row == 0:
            begin(around, row)
        else:
            advance(around, row)
        describe_row(around, row)
        span = slice(number * columns, (number + 1) * columns)
        for feature in range(around.described.shape[0]):
            raw[_FIRST_CONTEXT + feature, span] = around.described[feature]
        own = seen[:, row + REACH, REACH : REACH + columns]
        _describe_own(own, statistics, raw[:, span])


@kernel()
def _enter(seen: Float32Array, line: int, fixed: NDArray[np.int32], around: Surroundings) -> None:
    """Put a row, counted from its background or from sea level, into the ring."""
    height, background = seen[_ELEVATION, line], seen[_BACKGROUND, line]
    for band in range(_N_BANDS):
        kelvin, out = seen[band, line], fixed[band]
        for column in range(out.size):
            counted = kelvin[column] + _added(height[column], background[column])
            # Neither NaN nor infinity has an integer.
            known = np.isfinite(counted)
            out[column] = np.int32(np.rint(counted * _PARTS)) if known else _MISSING
    enter_row(fixed, line, around)


@kernel()
def _added(height: np.float32, background: np.float32) -> np.float32:
    # NaN alone differs from itself.
    lifted = height * _LAPSE if height == height else _ZERO
    return _AT_BACKGROUND - background if background == background else lifted


@kernel()
def _describe_own(line: Float32Array, statistics: Float32Array, raw: Float32Array) -> None:
    """Write what a row's pixels are by themselves, and beside the scene."""
    columns = raw.shape[1]
    own = line[_REFERENCE]
    raw[0] = own
    part = 0
    for band in range(_N_BANDS):
        if band != _REFERENCE:
            kelvin, gap, beyond = line[band], raw[1 + part], raw[_BEYOND + part]
            median = statistics[_FIRST_MEDIAN + part]
            for column in range(columns):
                gap[column] = kelvin[column] - own[column]
                beyond[column] = gap[column] - median
            part += 1
    height, background = line[_ELEVATION], line[_BACKGROUND]
    # The 25th, 50th, 90th and 97th percentile of the scene.
    for part, place in enumerate((1, 2, 4, 5)):
        below, level = raw[_BESIDE + part], statistics[place]
        for column in range(columns):
            below[column] = own[column] + _added(height[column], background[column]) - level
    for part, plane in enumerate((_AIR, _SKIN, _BACKGROUND)):
        other = line[plane]
        below, known = raw[_BELOW_AIR + 2 * part], raw[_BELOW_AIR + 2 * part + 1]
        for column in range(columns):
            below[column] = own[column] - other[column]
            known[column] = _ONE if np.isfinite(other[column]) else _ZERO
    air, scene, upper = line[_AIR], raw[_SCENE_BELOW_AIR], statistics[4]
    plain, known = raw[_HEIGHT], raw[_HEIGHT + 1]
    for column in range(columns):
        given = np.isfinite(height[column])
        lifted = height[column] * _LAPSE if given else _ZERO
        scene[column] = upper - (air[column] + lifted)
        plain[column] = height[column]
        known[column] = _ONE if given else _ZERO
