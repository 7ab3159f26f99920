"""A pixel's measurement and what lies around it, inside compiled kernels.

A chunk's rows become temperatures in parts of a kelvin. They enter the sums of
`aktes_xr.models.context` row by row, from the top down. The sums are of integers, so a pixel's
description does not depend on how the scene is cut, bit for bit. Fill and cloud do not count. No
sums are made for a row without a pixel to describe.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from aktes_xr import sensor
from aktes_xr.compilation import kernel
from aktes_xr.models.context import (
    FIXED_POINT,
    MISSING,
    REACH,
    Surroundings,
    advance,
    begin,
    describe_row,
    enter_row,
    new_surroundings,
)
from aktes_xr.radiative.planck import band_temperature
from aktes_xr.radiative.water import WATER_EMISSIVITY_UNCERTAINTY, water_emissivity
from aktes_xr.retrieval.tiles import MASKS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from aktes_xr.compilation import Float32Array


_SATURATED: Final = int(sensor.SATURATION_DN)
_CLOUD_MASK: Final = MASKS.index("cloud")
_MISSING: Final = np.int32(MISSING)
_PARTS: Final = np.float32(FIXED_POINT)


class Calibration(NamedTuple):
    """The sensor's calibration for kernels, and water's emissivity.

    Attributes
    ----------
    kelvin : ndarray (5, 4096), float32, K
        Brightness temperature by DN.
    fixed : ndarray (5, 4096), int32, parts of a kelvin
        The same; `MISSING` where there is no radiance.
    first_k, step_k : float, K
        First node and spacing of the Planck table.
    radiance : ndarray (5, n), float64, W m-2 sr-1 um-1
        The Planck table.
    lowest, highest : ndarray (5,), float32
        Range of the measurements (DN or radiance) that have a temperature.
    saturation : ndarray (5,), float32
        A measurement above this is saturated.
    water : ndarray (6,), float32, 1
        Water's emissivity in the bands, and its uncertainty.
    digital : bool
        Whether measurements are DN; otherwise they are radiances.
    """

    kelvin: Float32Array
    fixed: NDArray[np.int32]
    first_k: float
    step_k: float
    radiance: NDArray[np.float64]
    lowest: Float32Array
    highest: Float32Array
    saturation: Float32Array
    water: Float32Array
    digital: bool


class Neighbourhood(NamedTuple):
    """Sums around one row of a chunk, and a row of temperatures on its way into them.

    It must not be shared by threads.

    Attributes
    ----------
    sums : Surroundings
        The sums.
    fixed : ndarray (5, x + 2 halo), int32
        Scratch memory for one row.
    """

    sums: Surroundings
    fixed: NDArray[np.int32]


@functools.cache
def calibration(*, digital: bool) -> Calibration:
    """Tabulate the sensor's calibration, once per process.

    Parameters
    ----------
    digital : bool
        Whether measurements are digital numbers; otherwise they are radiances.

    Returns
    -------
    Calibration
    """
    numbers = np.arange(_SATURATED + 1, dtype=np.uint16)
    kelvin = sensor.dn_to_brightness_temperature(np.repeat(numbers[:, np.newaxis], 5, axis=1)).T
    kelvin = np.ascontiguousarray(kelvin, np.float32)
    fixed = np.where(np.isfinite(kelvin), np.rint(kelvin * _PARTS), MISSING).astype(np.int32)
    table = sensor.planck_table()
    if digital:
        # The first DN with a radiance. Nothing is too high for a DN: what is above the scale is
        # saturated.
        lowest = np.isfinite(kelvin).argmax(axis=1).astype(np.float32)
        highest = np.full(5, np.iinfo(np.uint16).max, np.float32)
        # Half a number below the scale's end, so that rounding decides no comparison.
        saturation = np.full(5, _SATURATED - 0.5, np.float32)
    else:
        # Limits are rounded inwards: kernels compare in float32, and what passes must lie in the
        # float64 table.
        lowest = -_at_most(-table.radiance[:, 0])
        highest = _at_most(table.radiance[:, -1])
        saturation = _at_most((_SATURATED - 1.5) * sensor.UNIT_CONVERSION)
    return Calibration(
        kelvin,
        fixed,
        float(table.temperature[0]),
        table.step,
        np.array(table.radiance),
        lowest,
        highest,
        saturation,
        np.append(water_emissivity(), WATER_EMISSIVITY_UNCERTAINTY).astype(np.float32),
        digital,
    )


def _at_most(limit: NDArray[np.float64]) -> Float32Array:
    """Largest float32 numbers that are not above some float64 ones."""
    nearest = np.asarray(limit).astype(np.float32)
    below = np.nextafter(nearest, np.float32(-np.inf))
    return np.asarray(np.where(nearest > limit, below, nearest), np.float32)


def neighbourhood(columns: int) -> Neighbourhood:
    """Allocate the sums for the rows of a chunk.

    Parameters
    ----------
    columns : int
        Pixels of a row without the halo.

    Returns
    -------
    Neighbourhood
    """
    return Neighbourhood(
        new_surroundings(columns), np.full((5, columns + 2 * REACH), MISSING, np.int32)
    )


@kernel()
def read_kelvin(measured, band, tables, pixels, shift, out):
    """Write brightness temperatures of digital numbers or radiances.

    Parameters
    ----------
    measured : ndarray (pixel with the halo,), uint16 or float32
        One band of one date: DN or W m-2 sr-1 um-1.
    band : int
        Number of the band, 0 to 4.
    tables : Calibration
        The sensor's calibration.
    pixels : ndarray (n,), int64
        Numbers of the pixels in the image without the halo.
    shift : int
        What to add for the number in the image with its halo.
    out : ndarray (n,), float32, K
        Written in place; NaN where there is no temperature.
    """
    if tables.digital:
        by_number = tables.kelvin[band]
        for place in range(out.size):
            # A number above the scale is saturated: it reads as the scale's end.
            number = min(np.int64(measured[pixels[place] + shift]), _SATURATED)
            out[place] = by_number[number]
    else:
        first_k, step_k, radiance = tables.first_k, tables.step_k, tables.radiance[band]
        for place in range(out.size):
            value = np.float64(measured[pixels[place] + shift])
            out[place] = band_temperature(value, first_k, step_k, radiance)


@kernel()
def describe_surroundings(chunk, tables, date, row, around):
    """Describe what lies around the pixels of a row.

    From the row above, one row enters the sums and one leaves. From anywhere else all rows are
    summed anew.

    Parameters
    ----------
    chunk : Chunk
        The chunk's arrays.
    tables : Calibration
        The sensor's calibration.
    date : int
        Number of the date.
    row : int
        Number of the row, counted without the halo.
    around : Neighbourhood
        Changed in place; ``around.sums.described`` is the row's description.
    """
    # `place` says where the sums stand. Rows without a pixel to describe are skipped, so the last
    # row described need not be the one above.
    place = around.sums.place
    if place[0] == date and place[1] == row - 1:
        _enter(chunk, tables, date, row + 2 * REACH, around)
        advance(around.sums, row)
    else:
        for line in range(row, row + 2 * REACH + 1):
            _enter(chunk, tables, date, line, around)
        begin(around.sums, row)
    place[0] = date
    place[1] = row
    describe_row(around.sums, row)


@kernel()
def _enter(chunk, tables, date, line, around):
    """Put a row of the chunk with its halo into the ring."""
    fixed = around.fixed
    span = slice(line * chunk.wide, (line + 1) * chunk.wide)
    for band in range(5):
        _read_fixed(chunk.tir[date, band, span], band, tables, fixed[band])
    row, place = line - REACH, chunk.mask_place[_CLOUD_MASK]
    # In the halo cloud is fill already: see `aktes_xr.retrieval.clouds.take_clouds`.
    if place >= 0 and 0 <= row < chunk.rows:
        cloud = chunk.masks[date, place, row * chunk.columns : (row + 1) * chunk.columns]
        # One band's temperature that is missing is enough for a pixel not to count.
        inner = fixed[0, REACH : REACH + chunk.columns]
        for column in range(cloud.size):
            inner[column] = _MISSING if cloud[column] else inner[column]
    enter_row(fixed, line, around.sums)


@kernel()
def _read_fixed(measured, band, tables, out):
    """Write temperatures in parts of a kelvin, rounded from the float32 that a pixel's own is."""
    if tables.digital:
        by_number = tables.fixed[band]
        for column in range(out.size):
            out[column] = by_number[min(np.int64(measured[column]), _SATURATED)]
    else:
        first_k, step_k, radiance = tables.first_k, tables.step_k, tables.radiance[band]
        for column in range(out.size):
            value = np.float64(measured[column])
            kelvin = np.float32(band_temperature(value, first_k, step_k, radiance))
            # NaN has no integer: it is replaced before it is used, not converted.
            known = kelvin == kelvin
            out[column] = np.int32(np.rint(kelvin * _PARTS)) if known else _MISSING
