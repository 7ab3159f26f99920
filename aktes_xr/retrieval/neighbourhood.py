"""A pixel's measurement and the mean radiance around it, inside compiled kernels.

The neighbourhood is summed in integers (digital numbers, or radiance in 1/64 of a digital number):
sums in any order are exact, so a pixel's mean does not depend on how the scene is cut, bit for bit,
and running sums cost a few additions per pixel whatever the window.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from numba import njit

from aktes_xr import sensor
from aktes_xr.radiative.planck import band_temperature

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Float32Array = NDArray[np.float32]

_FIXED_POINT: Final = 64.0
_SATURATED: Final = int(sensor.SATURATION_DN)


class Calibration(NamedTuple):
    """The sensor's calibration for kernels.

    ``kelvin`` (5, 4096) is the brightness temperature by DN, ``radiance`` (5, n) the Planck table
    from ``first_k`` in steps of ``step_k``; ``digital`` tells DN from radiance.
    """

    kelvin: Float32Array
    first_k: float
    step_k: float
    radiance: NDArray[np.float64]
    radiance_per_dn: NDArray[np.float64]
    digital: bool


class Neighbourhood(NamedTuple):
    """Running sums: of columns and their counts (5, x + 2 halo), means (5, x), and the place."""

    sums: NDArray[np.int64]
    counts: NDArray[np.int64]
    kelvin: Float32Array
    place: NDArray[np.int64]


@functools.cache
def calibration(*, digital: bool) -> Calibration:
    """Tabulate the sensor's calibration, once per process."""
    numbers = np.arange(_SATURATED + 1, dtype=np.uint16)
    temperature = sensor.dn_to_brightness_temperature(np.repeat(numbers[:, np.newaxis], 5, axis=1))
    table = sensor.planck_table()
    return Calibration(
        np.ascontiguousarray(temperature.T, np.float32),
        float(table.temperature[0]),
        table.step,
        np.array(table.radiance),
        np.array(sensor.UNIT_CONVERSION),
        digital,
    )


def neighbourhood(columns: int, halo: int) -> Neighbourhood:
    """Allocate the running sums for rows of ``columns`` pixels."""
    wide = columns + 2 * halo
    return Neighbourhood(
        np.zeros((5, wide), np.int64),
        np.zeros((5, wide), np.int64),
        np.empty((5, columns), np.float32),
        np.full(2, -2, np.int64),
    )


@njit(nogil=True)
def kelvin(value, band, tables):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Brightness temperature (K) of a DN or a radiance; NaN where there is none."""
    if tables.digital:
        # A number above the scale is saturated: it reads as the scale's end.
        return tables.kelvin[band, min(np.int64(value), _SATURATED)]
    return np.float32(
        band_temperature(np.float64(value), tables.first_k, tables.step_k, tables.radiance[band])
    )


@njit(nogil=True)
def saturated(value, band, tables):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Tell whether a DN or a radiance stands at the end of the scale."""
    if tables.digital:
        return np.int64(value) >= _SATURATED
    return np.float64(value) > (_SATURATED - 1.5) * tables.radiance_per_dn[band]


@njit(nogil=True)
def _fixed(value, band, tables):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Radiance as an integer, -1 where there is none."""
    if tables.digital:
        return np.int64(value) - 1
    if not value >= 0.0:
        return np.int64(-1)
    return np.int64(np.rint(np.float64(value) * _FIXED_POINT / tables.radiance_per_dn[band]))


@njit(nogil=True)
def _add_row(tir, row, sign, around, tables):  # type: ignore[no-untyped-def]  # pragma: no cover
    for band in range(5):
        for column in range(tir.shape[2]):
            fixed = _fixed(tir[band, row, column], band, tables)
            if fixed >= 0:
                around.sums[band, column] += sign * fixed
                around.counts[band, column] += sign


@njit(nogil=True)
def read_row(tir, date, row, halo, around, tables):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Bring ``around.kelvin`` to a row: the temperature of the mean radiance in each window.

    ``tir`` (5, y + 2 halo, x + 2 halo) holds the date; the row counts without the halo. The window
    is (2 halo + 1) pixels square; pixels without measurement do not count.
    """
    if around.place[0] == date and around.place[1] == row:
        return
    if around.place[0] == date and around.place[1] == row - 1:
        _add_row(tir, row - 1, -1, around, tables)
        _add_row(tir, row + 2 * halo, 1, around, tables)
    else:
        around.sums[:] = 0
        around.counts[:] = 0
        for line in range(row, row + 2 * halo + 1):
            _add_row(tir, line, 1, around, tables)
    around.place[0] = date
    around.place[1] = row
    unit = 1.0 if tables.digital else 1.0 / _FIXED_POINT
    for band in range(5):
        total = np.int64(0)
        count = np.int64(0)
        for column in range(2 * halo):
            total += around.sums[band, column]
            count += around.counts[band, column]
        for column in range(around.kelvin.shape[1]):
            total += around.sums[band, column + 2 * halo]
            count += around.counts[band, column + 2 * halo]
            around.kelvin[band, column] = np.float32(np.nan)
            if count > 0:
                mean = total / count * unit * tables.radiance_per_dn[band]
                around.kelvin[band, column] = band_temperature(
                    mean, tables.first_k, tables.step_k, tables.radiance[band]
                )
            total -= around.sums[band, column]
            count -= around.counts[band, column]
