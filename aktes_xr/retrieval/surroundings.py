"""A pixel's measurement and the mean radiance around it, inside compiled kernels.

The neighbourhood is summed in integers (digital numbers, or radiance in 1/64 of a digital number):
sums in any order are exact, so a pixel's mean does not depend on how the scene is cut, bit for bit,
and columns' sums run down the rows at two additions per pixel whatever the window.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from aktes_xr import sensor
from aktes_xr.compilation import kernel
from aktes_xr.radiative.planck import band_temperature

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from aktes_xr.compilation import Float32Array


_FIXED_POINT: Final = 64.0
_LARGEST: Final = 16_000_000.0
"""What a window of 11 x 11 can hold in 32 bits: thousands of times what the sensor measures."""
_SATURATED: Final = int(sensor.SATURATION_DN)
_NOTHING: Final = np.int32(0)


class Calibration(NamedTuple):
    """The sensor's calibration for kernels.

    ``kelvin`` (5, 4096) is the brightness temperature by DN, ``radiance`` (5, n) the Planck table
    from ``first_k`` in steps of ``step_k``; ``digital`` tells DN from radiance. A measurement (DN
    or radiance) has a temperature from ``lowest`` to ``highest`` (5,) and is saturated above
    ``saturation`` (5,).
    """

    kelvin: Float32Array
    first_k: float
    step_k: float
    radiance: NDArray[np.float64]
    radiance_per_dn: NDArray[np.float64]
    lowest: Float32Array
    highest: Float32Array
    saturation: Float32Array
    digital: bool


class Neighbourhood(NamedTuple):
    """Sums and counts of columns (5, x + 2 halo), of windows (x,), means (5, x), and the place.

    ``doubled`` (x + 2 halo,) is scratch.
    """

    sums: NDArray[np.int32]
    counts: NDArray[np.int32]
    doubled: NDArray[np.int32]
    total: NDArray[np.int32]
    number: NDArray[np.int32]
    kelvin: Float32Array
    place: NDArray[np.int64]


@functools.cache
def calibration(*, digital: bool) -> Calibration:
    """Tabulate the sensor's calibration, once per process."""
    numbers = np.arange(_SATURATED + 1, dtype=np.uint16)
    temperature = sensor.dn_to_brightness_temperature(np.repeat(numbers[:, np.newaxis], 5, axis=1))
    table = sensor.planck_table()
    per_dn = np.array(sensor.UNIT_CONVERSION)
    if digital:
        lowest = np.isfinite(temperature).argmax(axis=0).astype(np.float32)
        highest = np.full(5, np.iinfo(np.uint16).max, np.float32)
        saturation = np.full(5, _SATURATED - 0.5, np.float32)
    else:
        lowest = -_at_most(-table.radiance[:, 0])
        highest = _at_most(table.radiance[:, -1])
        saturation = _at_most((_SATURATED - 1.5) * per_dn)
    return Calibration(
        np.ascontiguousarray(temperature.T, np.float32),
        float(table.temperature[0]),
        table.step,
        np.array(table.radiance),
        per_dn,
        lowest,
        highest,
        saturation,
        digital,
    )


def _at_most(limit: NDArray[np.float64]) -> Float32Array:
    """Largest float32 numbers that are not above some float64 ones."""
    nearest = np.asarray(limit).astype(np.float32)
    below = np.nextafter(nearest, np.float32(-np.inf))
    return np.asarray(np.where(nearest > limit, below, nearest), np.float32)


def neighbourhood(columns: int, halo: int) -> Neighbourhood:
    """Allocate the sums for rows of ``columns`` pixels."""
    wide = columns + 2 * halo
    return Neighbourhood(
        np.zeros((5, wide), np.int32),
        np.zeros((5, wide), np.int32),
        np.zeros(wide, np.int32),
        np.zeros(columns, np.int32),
        np.zeros(columns, np.int32),
        np.empty((5, columns), np.float32),
        np.full(2, -2, np.int64),
    )


@kernel()
def read_kelvin(measured, band, tables, pixels, shift, out):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Write brightness temperatures (K) of DN or radiances; NaN where there is none.

    ``measured`` is an image with its halo, where a pixel's number is greater by ``shift``.
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
def _fixed(value, band, tables):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Radiance as an integer, -1 where there is none."""
    if tables.digital:
        return np.int32(value) - np.int32(1)
    if not value >= 0.0:
        return np.int32(-1)
    fixed = np.rint(np.float64(value) * _FIXED_POINT / tables.radiance_per_dn[band])
    return np.int32(min(fixed, _LARGEST))


@kernel()
def _add_row(tir, row, sign, around, tables):  # type: ignore[no-untyped-def]  # pragma: no cover
    for band in range(5):
        sums, counts = around.sums[band], around.counts[band]
        line = tir[band, row * sums.size : (row + 1) * sums.size]
        for column in range(line.size):
            fixed = _fixed(line[column], band, tables)
            sums[column] += sign * fixed if fixed >= 0 else _NOTHING
            counts[column] += sign if fixed >= 0 else _NOTHING


@kernel()
def read_row(tir, date, row, halo, around, tables):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Bring ``around.kelvin`` to a row: the temperature of the mean radiance in each window.

    ``tir`` (5, pixel with the halo) holds the date; the row counts without the halo. The window
    is (2 halo + 1) pixels square; pixels without measurement do not count.
    """
    if around.place[0] == date and around.place[1] == row:
        return
    if around.place[0] == date and around.place[1] == row - 1:
        _add_row(tir, row - 1, np.int32(-1), around, tables)
        _add_row(tir, row + 2 * halo, np.int32(1), around, tables)
    else:
        around.sums[:] = 0
        around.counts[:] = 0
        for line in range(row, row + 2 * halo + 1):
            _add_row(tir, line, np.int32(1), around, tables)
    around.place[0] = date
    around.place[1] = row
    for band in range(5):
        _sum_windows(around.sums[band], around.doubled, around.total)
        _sum_windows(around.counts[band], around.doubled, around.number)
        _mean_kelvin(around.total, around.number, band, tables, around.kelvin[band])


@kernel()
def _sum_windows(columns, doubled, windows):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Sum columns over each window: of 11 columns as 1 + 2 + 8, in six passes."""
    doubled[:] = columns
    windows[:] = 0
    rest, length, start = columns.size - windows.size + 1, 1, 0
    while rest > 0:
        if rest % 2 == 1:
            for column in range(windows.size):
                windows[column] += doubled[column + start]
            start += length
        rest //= 2
        if rest > 0:
            for column in range(columns.size - length):
                doubled[column] += doubled[column + length]
            length *= 2


@kernel(error_model="numpy")
def _mean_kelvin(total, number, band, tables, out):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Interpolate the temperature by DN at the mean DN: within 1e-4 K from 240 K upwards."""
    unit = 1.0 if tables.digital else 1.0 / _FIXED_POINT
    by_number = tables.kelvin[band]
    for column in range(out.size):
        # A DN of 1 is no radiance.
        position = 1.0 + unit * total[column] / max(number[column], 1)
        node = int(min(position, _SATURATED - 1.0))
        fraction = np.float32(min(position - node, 1.0))
        below = by_number[node]
        value = below + fraction * (by_number[node + 1] - below)
        out[column] = value if number[column] > 0 else np.float32(np.nan)
