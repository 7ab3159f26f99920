"""The networks' input, assembled in one place for training and for retrieval.

A pixel is described by *quantities* in physical units (`QUANTITIES`). A missing one is NaN. They
become *features* by the few fixed rules of `feature_rows`. Brightness-temperature differences stand
in for five correlated temperatures. Air and skin temperature are taken relative to the scene. Each
optional ancillary gives its value, its stated error and an availability mask. What lies around the
pixel comes from `aktes_xr.models.context`.

Features are standardised with the centre and scale of the training sample. A missing value takes
the centre (zero), and its mask says so. The retrieval and the training code call the same compiled
functions, so they cannot disagree. Pixels lie along the last axis until all is done: each rule is a
loop over a row, which the compiler turns into vector instructions.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np

from aktes_xr.compilation import kernel
from aktes_xr.errors import ShapeError
from aktes_xr.models.context import CONTEXT, N_CONTEXT

if TYPE_CHECKING:
    from aktes_xr.compilation import Float32Array


_BANDS: Final = ("B10", "B11", "B12", "B13", "B14")

QUANTITIES: Final = (
    *(f"brightness_temperature_{band}" for band in _BANDS),  # K, at the sensor
    "view_zenith",  # degrees
    "surface_pressure",  # hPa
    "water_vapor",  # kg m-2
    "water_vapor_error",  # kg m-2, 1 sigma
    "air_temperature",  # K
    "air_temperature_error",  # K, 1 sigma
    "skin_temperature",  # K, of a weather model's coarse cell
    "skin_temperature_error",  # K, 1 sigma
    *(f"emissivity_prior_{band}" for band in _BANDS),
    "emissivity_prior_uncertainty",  # 1 sigma, root mean square over the bands
    *CONTEXT,  # K, K and 1: see aktes_xr.models.context; NaN where surroundings are unknown
    "sky_view_factor",
    "sine_of_slope",
    "solar_incidence",  # cosine of the local angle; 0 at night
    "relief",  # m
    "elevation_difference",  # m, above the height the water vapour and air temperature hold for
)
"""Names of the quantities, in the order of the arrays below."""

N_QUANTITIES: Final = len(QUANTITIES)
BRIGHTNESS: Final = QUANTITIES.index("brightness_temperature_B10")
REFERENCE: Final = QUANTITIES.index("brightness_temperature_B13")
VIEW_ZENITH: Final = QUANTITIES.index("view_zenith")
SURFACE_PRESSURE: Final = QUANTITIES.index("surface_pressure")
WATER_VAPOR: Final = QUANTITIES.index("water_vapor")
AIR_TEMPERATURE: Final = QUANTITIES.index("air_temperature")
SKIN_TEMPERATURE: Final = QUANTITIES.index("skin_temperature")
PRIOR: Final = QUANTITIES.index("emissivity_prior_B10")
SURROUNDINGS: Final = QUANTITIES.index(CONTEXT[0])
SKY_VIEW_FACTOR: Final = QUANTITIES.index("sky_view_factor")
SINE_OF_SLOPE: Final = QUANTITIES.index("sine_of_slope")
SOLAR_INCIDENCE: Final = QUANTITIES.index("solar_incidence")
RELIEF: Final = QUANTITIES.index("relief")
ELEVATION_DIFFERENCE: Final = QUANTITIES.index("elevation_difference")
"""Places in `QUANTITIES`: of several the first; an ancillary's error follows its value."""

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
    "skin_temperature_excess",
    "skin_temperature_error",
    "skin_temperature_mask",
    *(f"emissivity_prior_{band}" for band in _BANDS),
    "emissivity_prior_uncertainty",
    "emissivity_prior_mask",
    *CONTEXT,
)
STUDENT_FEATURES: Final = (
    *TEACHER_FEATURES,
    "sky_view_factor",
    "sine_of_slope",
    "solar_incidence",
    "relief",
    "elevation_difference",
)

_PLACE: Final = {name: place for place, name in enumerate(STUDENT_FEATURES)}
_DIFFERENCES: Final = tuple(
    (_PLACE[f"difference_{band}_B13"], QUANTITIES.index(f"brightness_temperature_{band}"))
    for band in ("B10", "B11", "B12", "B14")
)
_AIR_MASS: Final = _PLACE["air_mass_excess"]
_PRESSURE: Final = _PLACE["surface_pressure"]
_WATER: Final = _PLACE["water_vapor"]
_AIR: Final = _PLACE["air_temperature_excess"]
_SKIN: Final = _PLACE["skin_temperature_excess"]
_PRIOR_FEATURE: Final = _PLACE["emissivity_prior_B10"]
_PRIOR_MASK: Final = _PLACE["emissivity_prior_mask"]
_N_PRIORS: Final = _PRIOR_MASK - _PRIOR_FEATURE
_N_TEACHER: Final = len(TEACHER_FEATURES)
_TERRAIN: Final = tuple(
    (_PLACE[name], QUANTITIES.index(name))
    for name in (
        "sky_view_factor",
        "sine_of_slope",
        "solar_incidence",
        "relief",
        "elevation_difference",
    )
)
_AROUND: Final = _PLACE[CONTEXT[0]]
# What each row of the context becomes: taken as it is, its root, or 0 where it is not known.
_PLAIN, _ROOT, _SHARE = 0, 1, 2
_RULES: Final = tuple(
    _ROOT if name.startswith("spread") else _SHARE if name.startswith("surr") else _PLAIN
    for name in CONTEXT
)
_ONE: Final = np.float32(1.0)
_ZERO: Final = np.float32(0.0)
_NAN: Final = np.float32(np.nan)

OUTPUTS: Final = ("temperature_excess", *(f"emissivity_{band}" for band in _BANDS))
"""What a network predicts: temperature minus the B13 brightness temperature (K), emissivities."""

N_OUTPUTS: Final = len(OUTPUTS)


@kernel()
def feature_rows(quantities: Float32Array, features: Float32Array) -> None:
    """Write raw features; NaN where the quantity is missing.

    Parameters
    ----------
    quantities : ndarray (quantity, pixel), float32
        In the order and units of `QUANTITIES`.
    features : ndarray (feature, pixel), float32
        Filled in the order of `TEACHER_FEATURES` or `STUDENT_FEATURES`.
    """
    reference = quantities[REFERENCE]
    features[0, :] = reference
    for feature, quantity in _DIFFERENCES:
        _subtract(quantities[quantity], reference, features[feature])
    _air_mass_excess(quantities[VIEW_ZENITH], features[_AIR_MASS])
    pressure = quantities[SURFACE_PRESSURE]
    features[_PRESSURE, :] = pressure
    _mask(pressure, pressure, features[_PRESSURE + 1])
    _ancillary(quantities[WATER_VAPOR : WATER_VAPOR + 2], features[_WATER : _WATER + 3])
    # The square root makes the logarithm-like response to a few kg m-2 and to sixty alike.
    water = features[_WATER]
    for pixel in range(water.size):
        water[pixel] = np.sqrt(_ZERO if water[pixel] < _ZERO else water[pixel])
    # Air and skin temperature enter as differences from B13, in place: the network need not learn
    # that all temperatures rise together. NaN stays NaN.
    _ancillary(quantities[AIR_TEMPERATURE : AIR_TEMPERATURE + 2], features[_AIR : _AIR + 3])
    _subtract(features[_AIR], reference, features[_AIR])
    _ancillary(quantities[SKIN_TEMPERATURE : SKIN_TEMPERATURE + 2], features[_SKIN : _SKIN + 3])
    _subtract(features[_SKIN], reference, features[_SKIN])
    _priors(quantities[PRIOR : PRIOR + _N_PRIORS], features[_PRIOR_FEATURE : _PRIOR_MASK + 1])
    _surroundings(
        quantities[SURROUNDINGS : SURROUNDINGS + N_CONTEXT], features[_AROUND : _AROUND + N_CONTEXT]
    )
    # The teacher's features are the first of the student's: one order of rows serves both.
    if features.shape[0] > _N_TEACHER:
        for feature, quantity in _TERRAIN:
            features[feature, :] = quantities[quantity]


@kernel()
def _surroundings(quantities: Float32Array, features: Float32Array) -> None:
    """Write the context: spreads as their roots, for they reach from .1 to 10 K."""
    for part in range(quantities.shape[0]):
        source, target = quantities[part], features[part]
        if _RULES[part] == _ROOT:
            for pixel in range(source.size):
                target[pixel] = np.sqrt(source[pixel])
        elif _RULES[part] == _SHARE:
            # Unknown surroundings are a share of nothing: that is their mask.
            for pixel in range(source.size):
                known = source[pixel] == source[pixel]
                target[pixel] = source[pixel] if known else _ZERO
        else:
            target[:] = source


@kernel()
def _subtract(left: Float32Array, right: Float32Array, out: Float32Array) -> None:
    for pixel in range(out.size):
        out[pixel] = left[pixel] - right[pixel]


@kernel()
def _mask(value: Float32Array, error: Float32Array, mask: Float32Array) -> None:
    """Write 1 where both are numbers, else 0."""
    # NaN alone differs from itself. `&` evaluates both sides, so the loop has no branch.
    for pixel in range(mask.size):
        known = (value[pixel] == value[pixel]) & (error[pixel] == error[pixel])
        mask[pixel] = _ONE if known else _ZERO


@kernel()
def _ancillary(quantities: Float32Array, features: Float32Array) -> None:
    """Write value, error and mask of one ancillary: a value without its error is not there."""
    # The mask comes first: it then decides for value and error alike.
    _mask(quantities[0], quantities[1], features[2])
    mask = features[2]
    for part in range(2):
        source, target = quantities[part], features[part]
        for pixel in range(mask.size):
            target[pixel] = source[pixel] if mask[pixel] > _ZERO else _NAN


@kernel()
def _priors(quantities: Float32Array, features: Float32Array) -> None:
    """Write the prior's rows and, last, their mask: it counts where all of them are known."""
    mask = features[quantities.shape[0]]
    mask[:] = _ONE
    # Two passes over the bands: no row may be kept before all of them are known to be there.
    for part in range(quantities.shape[0]):
        source = quantities[part]
        for pixel in range(mask.size):
            mask[pixel] = mask[pixel] if source[pixel] == source[pixel] else _ZERO
    for part in range(quantities.shape[0]):
        source, target = quantities[part], features[part]
        for pixel in range(mask.size):
            target[pixel] = source[pixel] if mask[pixel] > _ZERO else _NAN


@kernel()
def _air_mass_excess(view_zenith: Float32Array, out: Float32Array) -> None:
    # One angle serves a whole granule: its cosine is taken where the angle changes.
    angle, excess = _NAN, _NAN
    for pixel in range(out.size):
        # A NaN never equals the last angle, and its result is NaN again.
        if view_zenith[pixel] != angle:
            angle = view_zenith[pixel]
            excess = np.float32(1.0 / math.cos(math.radians(np.float64(angle))) - 1.0)
        out[pixel] = excess


@kernel()
def standardise_rows(
    features: Float32Array,
    center: Float32Array,
    inverse_scale: Float32Array,
    standard: Float32Array,
) -> None:
    """Standardise the first rows of raw features, as many as there are centres; missing is 0.

    Parameters
    ----------
    features : ndarray (feature, pixel), float32
        At least as many pixels as there is room for.
    center, inverse_scale : ndarray (feature,), float32
    standard : ndarray (call, feature, row), float32
        The same pixels in a network's calls (`aktes_xr.models.engine.Pass`), written in place.
    """
    rows = standard.shape[2]
    for call in range(standard.shape[0]):
        first = call * rows
        for feature in range(center.size):
            source, target = features[feature, first : first + rows], standard[call, feature]
            middle, factor = center[feature], inverse_scale[feature]
            for pixel in range(rows):
                value = (source[pixel] - middle) * factor
                target[pixel] = value if value == value else _ZERO


def raw_features(quantities: Float32Array, *, terrain: bool) -> Float32Array:
    """Features in physical units, from which centre, scale and domain are taken.

    Parameters
    ----------
    quantities : ndarray (sample, quantity), float32
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
    features = np.empty((count, quantities.shape[0]), np.float32)
    feature_rows(np.ascontiguousarray(quantities.T, np.float32), features)
    return np.ascontiguousarray(features.T)


def standardised_features(
    quantities: Float32Array, center: Float32Array, scale: Float32Array
) -> Float32Array:
    """Network input.

    Parameters
    ----------
    quantities : ndarray (sample, quantity), float32
    center, scale : ndarray (feature,), float32

    Returns
    -------
    ndarray (sample, feature), float32
        Zero where missing.
    """
    _check(quantities)
    features = np.empty((center.shape[0], quantities.shape[0]), np.float32)
    feature_rows(np.ascontiguousarray(quantities.T, np.float32), features)
    inverse = (1.0 / np.asarray(scale, np.float32)).astype(np.float32)
    standardise_rows(features, np.asarray(center, np.float32), inverse, features[np.newaxis])
    return np.ascontiguousarray(features.T)


def _check(quantities: Float32Array) -> None:
    if quantities.ndim != 2 or quantities.shape[1] != N_QUANTITIES:
        raise ShapeError(
            f"quantities have shape {quantities.shape}; expected (sample, {N_QUANTITIES}) in the "
            "order of aktes_xr.models.features.QUANTITIES"
        )
