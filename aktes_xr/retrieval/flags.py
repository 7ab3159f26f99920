"""The quality bits that a pixel has before any network runs.

The kernels go row by row. Each rule is a loop over the row.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from aktes_xr.compilation import kernel
from aktes_xr.cube.quality import QualityFlag
from aktes_xr.retrieval.tiles import DATED, MASKS, QUALITY, SCALARS, STATIC

_FILL: Final = np.int32(QualityFlag.FILL)
_SATURATED: Final = np.int32(QualityFlag.SATURATED)
_CLOUD: Final = np.int32(QualityFlag.CLOUD)
_WATER: Final = np.int32(QualityFlag.WATER)
_STEEP: Final = np.int32(QualityFlag.STEEP)
_SHADOWED: Final = np.int32(QualityFlag.SHADOWED)
_NO_ELEVATION: Final = np.int32(QualityFlag.NO_ELEVATION)
_ANCILLARY_MISSING: Final = np.int32(QualityFlag.ANCILLARY_MISSING)
_DRIFT: Final = np.int32(QualityFlag.DRIFT_UNCORRECTED)
_NOTHING: Final = np.int32(0)

_SUN_ZENITH: Final = SCALARS.index("sun_zenith")
_SUN_AZIMUTH: Final = SCALARS.index("sun_azimuth")
_DRIFT_UNCORRECTED: Final = SCALARS.index("drift_uncorrected")
_FIRST_DATED: Final = SCALARS.index(DATED[0])
# Water vapour and air temperature: what every method gains by. The others may lack in silence.
_N_FLAGGED: Final = DATED.index("air_temperature_error") + 1
_COMPLEXITY: Final = STATIC.index("terrain_complexity")
_PRESSURE: Final = STATIC.index("surface_pressure")
_NORTH: Final = STATIC.index("normal_north")
_EAST: Final = STATIC.index("normal_east")
_CLOUD_MASK: Final = MASKS.index("cloud")
_WATER_MASK: Final = MASKS.index("water")
_HORIZON_DEG: Final = 90.0


@kernel()
def classify(chunk, tables, steep_k, out):
    """Write the quality bits; without a measurement all other planes become NaN.

    Parameters
    ----------
    chunk : Chunk
        The chunk's arrays.
    tables : Calibration
        The sensor's calibration.
    steep_k : float32, K
        A pixel is flagged as steep above this terrain complexity.
    out : ndarray (time, plane, pixel), float32
        The planes, written in place.
    """
    flags = np.empty(chunk.columns, np.int32)
    incidence = np.empty(chunk.columns, np.float32)
    for date in range(out.shape[0]):
        # Bits that the whole date shares are found once. Each rule then adds its bits to the row.
        common = _common(chunk, date)
        for row in range(chunk.rows):
            span = slice(row * chunk.columns, (row + 1) * chunk.columns)
            flags[:] = common
            _flag_surroundings(chunk, date, span, steep_k, flags)
            if chunk.scalars[date, _SUN_ZENITH] < _HORIZON_DEG and chunk.static_place[_NORTH] >= 0:
                solar_incidence(chunk, date, span, incidence)
                for column in range(flags.size):
                    flags[column] |= _SHADOWED if incidence[column] <= 0.0 else _NOTHING
            _flag_measurement(chunk, date, row, tables, flags)
            _write_flags(flags, out[date, :, span])


@kernel()
def solar_incidence(chunk, date, span, out):
    """Write the cosine of the local solar incidence, not clipped at 0.

    It is the scalar product of the directions of the sun and of the surface normal. The chunk must
    hold the planes of the normal.

    Parameters
    ----------
    chunk : Chunk
        The chunk's arrays.
    date : int
        Number of the date.
    span : slice
        Pixels of the date, one behind the other.
    out : ndarray (pixel,), float32, 1
        Written in place; NaN where the normal is unknown.
    """
    zenith = np.radians(np.float64(chunk.scalars[date, _SUN_ZENITH]))
    azimuth = np.radians(np.float64(chunk.scalars[date, _SUN_AZIMUTH]))
    up = np.float32(np.cos(zenith))
    north = np.float32(np.sin(zenith) * np.cos(azimuth))
    east = np.float32(np.sin(zenith) * np.sin(azimuth))
    norths = chunk.static[chunk.static_place[_NORTH], span]
    easts = chunk.static[chunk.static_place[_EAST], span]
    # The vertical part of a unit normal follows from the other two. Its square may be rounded to
    # below 0. The test keeps NaN as NaN, which max would not.
    for pixel in range(out.size):
        level = np.float32(1.0) - norths[pixel] * norths[pixel] - easts[pixel] * easts[pixel]
        upward = np.sqrt(np.float32(0.0) if level < np.float32(0.0) else level)
        out[pixel] = up * upward + (north * norths[pixel] + east * easts[pixel])


@kernel()
def _common(chunk, date):
    """Bits that all pixels of a date share."""
    flags = _DRIFT if chunk.scalars[date, _DRIFT_UNCORRECTED] > 0.0 else _NOTHING
    if chunk.static_place[_PRESSURE] < 0:
        flags |= _NO_ELEVATION
    for name in range(_N_FLAGGED):
        if chunk.dated_place[name] < 0 and np.isnan(chunk.scalars[date, _FIRST_DATED + name]):
            flags |= _ANCILLARY_MISSING
    return flags


@kernel()
def _flag_surroundings(chunk, date, span, steep_k, flags):
    place = chunk.mask_place[_CLOUD_MASK]
    if place >= 0:
        _flag_where(chunk.masks[date, place, span], _CLOUD, flags)
    place = chunk.mask_place[_WATER_MASK]
    if place >= 0:
        _flag_where(chunk.masks[date, place, span], _WATER, flags)
    place = chunk.static_place[_PRESSURE]
    if place >= 0:
        _flag_missing(chunk.static[place, span], _NO_ELEVATION, flags)
    for name in range(_N_FLAGGED):
        place = chunk.dated_place[name]
        if place >= 0:
            _flag_missing(chunk.dated[date, place, span], _ANCILLARY_MISSING, flags)
    place = chunk.static_place[_COMPLEXITY]
    if place >= 0:
        complexity = chunk.static[place, span]
        for column in range(flags.size):
            flags[column] |= _STEEP if complexity[column] > steep_k else _NOTHING


@kernel()
def _flag_where(mask, bit, flags):
    for column in range(flags.size):
        flags[column] |= bit if mask[column] else _NOTHING


@kernel()
def _flag_missing(values, bit, flags):
    # NaN alone differs from itself. In this form the loop is vectorised.
    for column in range(flags.size):
        flags[column] |= bit if values[column] != values[column] else _NOTHING


@kernel()
def _flag_measurement(chunk, date, row, tables, flags):
    first = (row + chunk.halo) * chunk.wide + chunk.halo
    for band in range(5):
        low, high, end = tables.lowest[band], tables.highest[band], tables.saturation[band]
        measured = chunk.tir[date, band, first : first + flags.size]
        for column in range(flags.size):
            value = np.float32(measured[column])
            bits = _SATURATED if value > end else _NOTHING
            # A plain `&` and not `and`: both sides are always evaluated, without a branch. NaN
            # fails both.
            flags[column] |= bits if (value >= low) & (value <= high) else _FILL


@kernel()
def _write_flags(flags, out):
    quality = out[QUALITY]
    holes = _NOTHING
    for column in range(flags.size):
        fill = flags[column] & _FILL
        holes |= fill
        quality[column] = np.float32(_FILL if fill else flags[column])
    # Most rows have no fill: their other planes need not be touched.
    if holes:
        for plane in range(QUALITY):
            estimate = out[plane]
            for column in range(flags.size):
                if flags[column] & _FILL:
                    estimate[column] = np.float32(np.nan)
