"""Compiled kernels between a chunk and the networks' tiles: classify, gather, scatter, fuse.

A chunk is never expanded into arrays of features. Each pass walks the pixels once, collects those
that need its network into one tile of fixed width (`aktes_xr.models.network.TILE`), and writes the
network's answers into the output planes. Terrain that leaves a network without weight leaves the
pixel out of the tile: the network does not run for it.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
from numba import njit

from aktes_xr import sensor
from aktes_xr.models.features import N_QUANTITIES, feature_vector, standardise_column
from aktes_xr.models.fusion import student_weight, terrain_share
from aktes_xr.models.pixel_model import LOG_VARIANCE_RANGE
from aktes_xr.quality import QualityFlag
from aktes_xr.retrieval.neighbourhood import kelvin, read_row, saturated

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Float32Array = NDArray[np.float32]

PLANES: Final = (
    "surface_temperature",
    *(f"emissivity_{band}" for band in sensor.BANDS),
    "surface_temperature_uncertainty",
    *(f"emissivity_uncertainty_{band}" for band in sensor.BANDS),
    "student_weight",
    "quality",
)
"""What the output holds, plane by plane."""
N_PLANES: Final = len(PLANES)
WEIGHT: Final = PLANES.index("student_weight")
QUALITY: Final = PLANES.index("quality")

SCALARS: Final = ("view_zenith", "sun_zenith", "sun_azimuth", "drift_uncorrected")
"""Per date; degrees, azimuth from the grid's north; the last is 0 or 1."""
DATED: Final = ("water_vapor", "water_vapor_error", "air_temperature", "air_temperature_error")
"""Per date, and per pixel or one for the chunk."""
STATIC: Final = (
    "terrain_complexity",
    "sky_view_factor",
    "slope",
    "aspect",
    "relief",
    "surface_pressure",
    *(f"emissivity_prior_{band}" for band in sensor.BANDS),
    "emissivity_prior_uncertainty",
    "elevation_difference",
)
"""Per pixel, or one for the chunk (NaN where the cube has none)."""

EMISSIVITY_RANGE: Final = (0.2, 1.0)
_LOG_VARIANCE_LOW: Final = np.float32(LOG_VARIANCE_RANGE[0])
_LOG_VARIANCE_HIGH: Final = np.float32(LOG_VARIANCE_RANGE[1])
_FILL: Final = int(QualityFlag.FILL)
_SATURATED: Final = int(QualityFlag.SATURATED)
_CLOUD: Final = int(QualityFlag.CLOUD)
_WATER: Final = int(QualityFlag.WATER)
_STEEP: Final = int(QualityFlag.STEEP)
_SHADOWED: Final = int(QualityFlag.SHADOWED)
_TEACHER: Final = int(QualityFlag.RETRIEVED_BY_TEACHER)
_STUDENT: Final = int(QualityFlag.RETRIEVED_BY_STUDENT)
_FUSION: Final = int(QualityFlag.RETRIEVED_BY_FUSION)
_OUT_OF_DOMAIN: Final = int(QualityFlag.OUT_OF_DOMAIN)
_NO_ELEVATION: Final = int(QualityFlag.NO_ELEVATION)
_ANCILLARY_MISSING: Final = int(QualityFlag.ANCILLARY_MISSING)
_DRIFT: Final = int(QualityFlag.DRIFT_UNCORRECTED)


class Chunk(NamedTuple):
    """The inputs of one chunk, C-contiguous and read-only so that kernels compile once.

    ``tir`` (time, 5, y + 2 halo, x + 2 halo) is uint16 DN or float32 radiance. ``scalars`` is
    (time, 4), ``dated`` (time, 4, y or 1, x or 1), ``static`` (13, y or 1, x or 1), float32;
    ``masks`` (time, 2, y or 1, x or 1) bool: cloud, water.
    """

    tir: NDArray[Any]
    scalars: Float32Array
    dated: Float32Array
    static: Float32Array
    masks: NDArray[np.bool_]


class Tile(NamedTuple):
    """Pixels on their way through a network.

    ``features`` (feature, TILE), ``pixel`` (TILE,) flat pixel numbers, ``reference`` (TILE,) the
    B13 brightness temperature (K), ``outside`` (TILE,) whether a feature leaves the domain.
    """

    features: Float32Array
    pixel: NDArray[np.int64]
    reference: Float32Array
    outside: NDArray[np.bool_]


class Standard(NamedTuple):
    """A model's input scaling and domain: each (feature,), float32."""

    center: Float32Array
    inverse_scale: Float32Array
    low: Float32Array
    high: Float32Array


class Reading(NamedTuple):
    """How a model's outputs are read: each (6,), float32."""

    center: Float32Array
    scale: Float32Array
    log_sigma_offset: Float32Array
    log_sigma_slope: Float32Array


@njit(nogil=True)
def classify(chunk, tables, halo, limits, out):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Write quality bits, and the student's share by terrain in place of its weight.

    ``limits`` (6,) float32: fusion start and full (K), steep (K), 1 if there is a student, 1 if it
    runs alone wherever there is terrain, the share's floor.
    """
    for date in range(out.shape[0]):
        for row in range(out.shape[2]):
            for column in range(out.shape[3]):
                flags = _measurement(chunk.tir, date, row + halo, column + halo, tables)
                if flags & _FILL:
                    for plane in range(13):
                        out[date, plane, row, column] = np.float32(np.nan)
                    out[date, 13, row, column] = np.float32(_FILL)
                    continue
                flags |= _surroundings(chunk, date, row, column, limits[2])
                complexity = static_value(chunk.static, 0, row, column)
                share = np.float32(0.0)
                if limits[3] > 0.0 and not math.isnan(complexity):
                    share = terrain_share(complexity, limits[0], limits[1], limits[5])
                    if limits[4] > 0.0:
                        share = np.float32(1.0)
                out[date, 12, row, column] = share
                out[date, 13, row, column] = np.float32(flags)


@njit(nogil=True)
def _measurement(tir, date, row, column, tables):  # type: ignore[no-untyped-def]  # pragma: no cover
    flags = 0
    for band in range(5):
        value = tir[date, band, row, column]
        if math.isnan(kelvin(value, band, tables)):
            flags |= _FILL
        elif saturated(value, band, tables):
            flags |= _SATURATED
    return flags


@njit(nogil=True)
def gather(chunk, tables, halo, standard, around, out, cursor, tile):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Fill a tile with the next pixels that need this model; return their number and the place."""
    terrain = standard.center.shape[0] > 21
    quantities = np.empty(N_QUANTITIES, np.float32)
    features = np.empty(standard.center.shape[0], np.float32)
    rows, columns = out.shape[2], out.shape[3]
    total = out.shape[0] * rows * columns
    # Where this share is reached, the other network alone counts.
    without = np.float32(0.0) if terrain else np.float32(1.0)
    count = 0
    while cursor < total and count < tile.pixel.shape[0]:
        date, row, column = cursor // (rows * columns), cursor // columns % rows, cursor % columns
        cursor += 1
        share = out[date, 12, row, column]
        if math.isnan(share) or share == without:
            continue
        for band in range(5):
            value = chunk.tir[date, band, row + halo, column + halo]
            quantities[band] = kelvin(value, band, tables)
        _describe(chunk, date, row, column, quantities)
        if terrain:
            read_row(chunk.tir[date], date, row, halo, around, tables)
            for band in range(5):
                quantities[21 + band] = around.kelvin[band, column]
        feature_vector(quantities, features)
        standardise_column(features, standard.center, standard.inverse_scale, tile.features, count)
        tile.reference[count] = quantities[3]
        tile.pixel[count] = cursor - 1
        tile.outside[count] = _outside(tile.features, count, standard.low, standard.high)
        count += 1
    return count, cursor


@njit(nogil=True)
def _outside(features, place, low, high):  # type: ignore[no-untyped-def]  # pragma: no cover
    for feature in range(features.shape[0]):
        value = features[feature, place]
        if value < low[feature] or value > high[feature]:
            return True
    return False


@njit(nogil=True)
def static_value(static, plane, row, column):  # type: ignore[no-untyped-def]  # pragma: no cover
    """One static quantity of a pixel, or the chunk's one value."""
    return static[plane, row if static.shape[1] > 1 else 0, column if static.shape[2] > 1 else 0]


@njit(nogil=True)
def dated_value(dated, date, plane, row, column):  # type: ignore[no-untyped-def]  # pragma: no cover
    """One dated quantity of a pixel, or the chunk's one value."""
    return dated[date, plane, row if dated.shape[2] > 1 else 0, column if dated.shape[3] > 1 else 0]


@njit(nogil=True)
def _incidence(chunk, date, row, column):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Cosine of the local solar incidence, not clipped; NaN where sun or slope is unknown."""
    zenith = math.radians(chunk.scalars[date, 1])
    slope = math.radians(static_value(chunk.static, 2, row, column))
    aspect = math.radians(static_value(chunk.static, 3, row, column))
    azimuth = math.radians(chunk.scalars[date, 2])
    level = math.cos(zenith) * math.cos(slope)
    if slope == 0.0:
        return np.float32(level)
    return np.float32(level + math.sin(zenith) * math.sin(slope) * math.cos(azimuth - aspect))


@njit(nogil=True)
def _surroundings(chunk, date, row, column, steep_k):  # type: ignore[no-untyped-def]  # pragma: no cover
    flags = 0
    if dated_value(chunk.masks, date, 0, row, column):
        flags |= _CLOUD
    if dated_value(chunk.masks, date, 1, row, column):
        flags |= _WATER
    complexity = static_value(chunk.static, 0, row, column)
    if complexity > steep_k:
        flags |= _STEEP
    if chunk.scalars[date, 1] < 90.0 and _incidence(chunk, date, row, column) <= 0.0:
        flags |= _SHADOWED
    if math.isnan(static_value(chunk.static, 5, row, column)):
        flags |= _NO_ELEVATION
    for plane in range(4):
        if math.isnan(dated_value(chunk.dated, date, plane, row, column)):
            flags |= _ANCILLARY_MISSING
    if chunk.scalars[date, 3] > 0.0:
        flags |= _DRIFT
    return flags


@njit(nogil=True)
def _describe(chunk, date, row, column, quantities):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Fill all quantities but the brightness temperatures of pixel and neighbourhood."""
    quantities[5] = chunk.scalars[date, 0]
    quantities[6] = static_value(chunk.static, 5, row, column)
    for plane in range(4):
        quantities[7 + plane] = dated_value(chunk.dated, date, plane, row, column)
    for plane in range(6):
        quantities[11 + plane] = static_value(chunk.static, 6 + plane, row, column)
    quantities[17] = static_value(chunk.static, 1, row, column)
    quantities[18] = static_value(chunk.static, 2, row, column)
    quantities[19] = max(_incidence(chunk, date, row, column), np.float32(0.0))
    if chunk.scalars[date, 1] >= 90.0:
        quantities[19] = np.float32(0.0)
    quantities[20] = static_value(chunk.static, 4, row, column)
    quantities[26] = static_value(chunk.static, 12, row, column)


@njit(nogil=True)
def _read(raw, place, reading, reference, estimate, sigma):  # type: ignore[no-untyped-def]  # pragma: no cover
    for output in range(6):
        estimate[output] = raw[output, place] * reading.scale[output] + reading.center[output]
        bounded = min(max(raw[6 + output, place], _LOG_VARIANCE_LOW), _LOG_VARIANCE_HIGH)
        logarithm = (
            reading.log_sigma_offset[output]
            + reading.log_sigma_slope[output] * np.float32(0.5) * bounded
        )
        sigma[output] = np.float32(math.exp(logarithm)) * reading.scale[output]
    estimate[0] += reference
    for output in range(1, 6):
        estimate[output] = min(
            max(estimate[output], np.float32(EMISSIVITY_RANGE[0])), np.float32(EMISSIVITY_RANGE[1])
        )


@njit(nogil=True)
def scatter_teacher(raw, count, tile, reading, out):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Write the teacher's estimates of a tile into the output planes."""
    rows, columns = out.shape[2], out.shape[3]
    estimate = np.empty(6, np.float32)
    sigma = np.empty(6, np.float32)
    for place in range(count):
        _read(raw, place, reading, tile.reference[place], estimate, sigma)
        pixel = tile.pixel[place]
        date, row, column = pixel // (rows * columns), pixel // columns % rows, pixel % columns
        for output in range(6):
            out[date, output, row, column] = estimate[output]
            out[date, 6 + output, row, column] = sigma[output]
        flags = np.int64(out[date, 13, row, column]) | _TEACHER
        if tile.outside[place]:
            flags |= _OUT_OF_DOMAIN
        out[date, 13, row, column] = np.float32(flags)


@njit(nogil=True)
def scatter_student(raw, count, tile, reading, sharpness, out):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Write the student's estimates, fused with the teacher's where both have weight."""
    rows, columns = out.shape[2], out.shape[3]
    estimate = np.empty(6, np.float32)
    sigma = np.empty(6, np.float32)
    one = np.float32(1.0)
    for place in range(count):
        _read(raw, place, reading, tile.reference[place], estimate, sigma)
        pixel = tile.pixel[place]
        date, row, column = pixel // (rows * columns), pixel // columns % rows, pixel % columns
        share = out[date, 12, row, column]
        flags = np.int64(out[date, 13, row, column])
        weight = one
        if share < one:
            weight = student_weight(share, out[date, 6, row, column], sigma[0], sharpness)
            flags = (flags & ~_TEACHER) | _FUSION
        else:
            flags |= _STUDENT
        for output in range(6):
            if share < one:
                other = out[date, output, row, column]
                gap = estimate[output] - other
                variance = (
                    weight * sigma[output] ** 2
                    + (one - weight) * out[date, 6 + output, row, column] ** 2
                    + weight * (one - weight) * gap**2
                )
                out[date, output, row, column] = other + weight * gap
                out[date, 6 + output, row, column] = math.sqrt(variance)
            else:
                out[date, output, row, column] = estimate[output]
                out[date, 6 + output, row, column] = sigma[output]
        if tile.outside[place]:
            flags |= _OUT_OF_DOMAIN
        out[date, 12, row, column] = weight
        out[date, 13, row, column] = np.float32(flags)
