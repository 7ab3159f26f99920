"""The networks' input, assembled in one place for training and for retrieval.

A pixel is described by *quantities* in physical units (`QUANTITIES`; a missing one is NaN). They
become *features* by the few fixed rules of `feature_vector`: brightness-temperature differences
instead of five correlated temperatures, air temperature relative to the scene, and for each
optional ancillary its value, its stated error and an availability mask. Features are standardised
with the centre and scale of the training sample; a missing value takes the centre (zero), and its
mask says so. The retrieval's kernels and the training code call the same compiled function, so they
cannot disagree.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np
from numba import njit

from aktes_xr.errors import ShapeError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Float32Array = NDArray[np.float32]

_BANDS: Final = ("B10", "B11", "B12", "B13", "B14")

QUANTITIES: Final = (
    *(f"brightness_temperature_{band}" for band in _BANDS),  # K, at the sensor
    "view_zenith",  # degrees
    "surface_pressure",  # hPa
    "water_vapor",  # kg m-2
    "water_vapor_error",  # kg m-2, 1 sigma
    "air_temperature",  # K
    "air_temperature_error",  # K, 1 sigma
    *(f"emissivity_prior_{band}" for band in _BANDS),
    "emissivity_prior_uncertainty",  # 1 sigma, root mean square over the bands
    "sky_view_factor",
    "slope",  # degrees
    "solar_incidence",  # cosine of the local angle; 0 at night
    "relief",  # m
    *(f"adjacent_brightness_temperature_{band}" for band in _BANDS),  # K, of the mean radiance
    "elevation_difference",  # m, above the height the water vapour and air temperature hold for
)
"""Names of the quantities, in the order of the arrays below."""

N_QUANTITIES: Final = len(QUANTITIES)

TEACHER_FEATURES: Final = (
    "brightness_temperature_B13",
    "difference_B10_B13",
    "difference_B11_B13",
    "difference_B12_B13",
    "difference_B14_B13",
    "air_mass_excess",
    "surface_pressure",
    "surface_pressure_mask",
    "water_vapor",
    "water_vapor_error",
    "water_vapor_mask",
    "air_temperature_excess",
    "air_temperature_error",
    "air_temperature_mask",
    *(f"emissivity_prior_{band}" for band in _BANDS),
    "emissivity_prior_uncertainty",
    "emissivity_prior_mask",
)
STUDENT_FEATURES: Final = (
    *TEACHER_FEATURES,
    "sky_view_factor",
    "sine_of_slope",
    "solar_incidence",
    "relief",
    *(f"adjacent_excess_{band}" for band in _BANDS),
    "elevation_difference",
)

OUTPUTS: Final = ("temperature_excess", *(f"emissivity_{band}" for band in _BANDS))
"""What a network predicts: temperature minus the B13 brightness temperature (K), emissivities."""

N_OUTPUTS: Final = len(OUTPUTS)


@njit(nogil=True)
def feature_vector(quantities: Float32Array, features: Float32Array) -> None:  # pragma: no cover
    """Write one pixel's raw features; NaN where the quantity is missing.

    Parameters
    ----------
    quantities : ndarray (27,), float32
        In the order and units of `QUANTITIES`.
    features : ndarray (21,) or (31,), float32
        Filled in the order of `TEACHER_FEATURES` or `STUDENT_FEATURES`.
    """
    reference = quantities[3]
    features[0] = reference
    features[1] = quantities[0] - reference
    features[2] = quantities[1] - reference
    features[3] = quantities[2] - reference
    features[4] = quantities[4] - reference
    features[5] = np.float32(1.0 / math.cos(math.radians(quantities[5])) - 1.0)
    features[6] = quantities[6]
    features[7] = np.float32(0.0) if math.isnan(quantities[6]) else np.float32(1.0)
    water = quantities[7]
    has_water = not (math.isnan(water) or math.isnan(quantities[8]))
    # The square root makes the logarithm-like response to a few kg m-2 and to sixty alike.
    features[8] = math.sqrt(max(water, np.float32(0.0))) if has_water else np.float32(np.nan)
    features[9] = quantities[8] if has_water else np.float32(np.nan)
    features[10] = np.float32(1.0) if has_water else np.float32(0.0)
    has_air = not (math.isnan(quantities[9]) or math.isnan(quantities[10]))
    features[11] = quantities[9] - reference if has_air else np.float32(np.nan)
    features[12] = quantities[10] if has_air else np.float32(np.nan)
    features[13] = np.float32(1.0) if has_air else np.float32(0.0)
    has_prior = not math.isnan(quantities[16])
    for band in range(5):
        has_prior = has_prior and not math.isnan(quantities[11 + band])
    for band in range(5):
        features[14 + band] = quantities[11 + band] if has_prior else np.float32(np.nan)
    features[19] = quantities[16] if has_prior else np.float32(np.nan)
    features[20] = np.float32(1.0) if has_prior else np.float32(0.0)
    if features.shape[0] > 21:
        features[21] = quantities[17]
        features[22] = math.sin(math.radians(quantities[18]))
        features[23] = quantities[19]
        features[24] = quantities[20]
        for band in range(5):
            features[25 + band] = quantities[21 + band] - quantities[band]
        features[30] = quantities[26]


@njit(nogil=True)
def standardise_column(
    features: Float32Array,
    center: Float32Array,
    inverse_scale: Float32Array,
    tile: Float32Array,
    column: int,
) -> None:  # pragma: no cover
    """Write standardised features into one column of a feature-major tile; missing becomes 0."""
    for row in range(features.shape[0]):
        value = (features[row] - center[row]) * inverse_scale[row]
        tile[row, column] = np.float32(0.0) if math.isnan(value) else value


@njit(nogil=True)
def _raw_features(quantities: Float32Array, features: Float32Array) -> None:  # pragma: no cover
    for sample in range(quantities.shape[0]):
        feature_vector(quantities[sample], features[sample])


@njit(nogil=True)
def _standardised(
    quantities: Float32Array, center: Float32Array, inverse_scale: Float32Array, tile: Float32Array
) -> None:  # pragma: no cover
    features = np.empty(center.shape[0], np.float32)
    for sample in range(quantities.shape[0]):
        feature_vector(quantities[sample], features)
        standardise_column(features, center, inverse_scale, tile, sample)


def raw_features(quantities: Float32Array, *, terrain: bool) -> Float32Array:
    """Features in physical units, from which centre, scale and domain are taken.

    Parameters
    ----------
    quantities : ndarray (sample, 27), float32
        In the order of `QUANTITIES`; NaN where missing.
    terrain : bool
        With the student's terrain features.

    Returns
    -------
    ndarray (sample, feature), float32
        NaN where missing.
    """
    _check(quantities)
    count = len(STUDENT_FEATURES) if terrain else len(TEACHER_FEATURES)
    features = np.empty((quantities.shape[0], count), np.float32)
    _raw_features(np.ascontiguousarray(quantities, np.float32), features)
    return features


def standardised_features(
    quantities: Float32Array, center: Float32Array, scale: Float32Array
) -> Float32Array:
    """Network input, feature-major as the forward pass takes it.

    Parameters
    ----------
    quantities : ndarray (sample, 27), float32
    center, scale : ndarray (feature,), float32

    Returns
    -------
    ndarray (feature, sample), float32
        Zero where missing.
    """
    _check(quantities)
    tile = np.empty((center.shape[0], quantities.shape[0]), np.float32)
    _standardised(
        np.ascontiguousarray(quantities, np.float32),
        np.asarray(center, np.float32),
        (1.0 / np.asarray(scale, np.float32)).astype(np.float32),
        tile,
    )
    return tile


def _check(quantities: Float32Array) -> None:
    if quantities.ndim != 2 or quantities.shape[1] != N_QUANTITIES:
        raise ShapeError(
            f"quantities have shape {quantities.shape}; expected (sample, {N_QUANTITIES}) in the "
            "order of aktes_xr.models.features.QUANTITIES"
        )
