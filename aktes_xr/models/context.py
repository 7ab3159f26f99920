r"""What lies around a pixel: mean and spread of temperatures over three windows, bit for bit.

One pixel's five radiances do not say what part the atmosphere has in them. Its neighbours share
the atmosphere and, mostly, the kind of ground. Where they differ, they tell the two apart.

The networks' windows have sides of 3, 5 and 11 pixels. Over each, five numbers are described: the
B13 brightness temperature and the four differences of the other bands from it. Their means, less
the pixel's own, and their standard deviations are taken. Fill and cloud do not count. The share of
the window that counts is one more number.

Sums are of integers: temperatures are counted in `FIXED_POINT` parts of a kelvin. So sums are exact
in any order, and a pixel's description does not depend on how the scene is cut. With :math:`n`
pixels, sum :math:`S` and sum of squares :math:`Q`,

.. math:: \bar x - x = \frac{S - n x}{n}, \qquad s^2 = \frac{n Q - S^2}{n^2}.

All of these are integers below :math:`2^{53}`, which a float64 holds exactly. Sums and products run
in float64, for which processors have vector instructions, and lose nothing.

The sums of the columns move down the rows: one row enters and another leaves. That takes two
additions per number and pixel, whatever the window. Windows are then summed along the row. The
retrieval feeds rows of a chunk, the training whole simulated fields. Both use the kernels here, so
they cannot disagree.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from aktes_xr.compilation import kernel
from aktes_xr.cube.contract import NEIGHBOURHOOD_PIXELS, NEIGHBOURHOOD_REACH
from aktes_xr.errors import ShapeError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from aktes_xr.compilation import Float32Array

WINDOWS: Final = (3, 5, NEIGHBOURHOOD_PIXELS)
"""Sides of the windows, pixels, growing."""
REACH: Final = NEIGHBOURHOOD_REACH
"""How far the largest window reaches: the halo that a chunk needs."""
FIXED_POINT: Final = 256.0
"""Parts of a kelvin that temperatures are counted in: finer than a digital number."""
MISSING: Final = -1
"""In the place of a temperature where there is none, or a cloud."""
_NAMES: Final = ("B13", "B10_B13", "B11_B13", "B12_B13", "B14_B13")
_PER_WINDOW: Final = 2 * len(_NAMES) + 1


def described_by(windows: tuple[int, ...]) -> tuple[str, ...]:
    """Name the rows of a pixel's description.

    Parameters
    ----------
    windows : tuple of int, pixels
        Sides, odd.

    Returns
    -------
    tuple of str
        Of each window five means less the pixel's own (K), five standard deviations (K), and the
        share of its pixels that count (1).
    """
    return tuple(
        name
        for side in windows
        for name in (
            *(f"mean_excess_{part}_{side}" for part in _NAMES),
            *(f"spread_{part}_{side}" for part in _NAMES),
            f"surroundings_known_{side}",
        )
    )


CONTEXT: Final = described_by(WINDOWS)
"""Rows of the description that the networks see."""
N_CONTEXT: Final = len(CONTEXT)

_REFERENCE: Final = 3
_N: Final = len(_NAMES)
# All rows that any window still has to let go of or has yet to meet lie within this many.
_RING: Final = 2 * REACH + 2
_NAN: Final = np.float32(np.nan)


class Surroundings(NamedTuple):
    """Sums around one row of an image, on their way down it.

    They must not be shared by threads.

    Attributes
    ----------
    ring : ndarray (12, 5, wide), int32
        The last rows, as temperature and differences; 0 where nothing counts.
    known : ndarray (12, wide), int32
        1 where a pixel counts.
    sides : ndarray (window,), int64, pixels
        Of the windows.
    sums : ndarray (window, 11, wide), float64
        The columns' sums in each window: of five numbers, of their squares, and the count. All of
        them are integers.
    doubled, total : ndarray (wide,), (11, columns), float64
        Scratch memory.
    place : ndarray (2,), int64
        Which date and row the sums stand at.
    described : ndarray (11 times window, columns), float32
        That row's description, in the order of `described_by`.
    """

    ring: NDArray[np.int32]
    known: NDArray[np.int32]
    sides: NDArray[np.int64]
    sums: NDArray[np.float64]
    doubled: NDArray[np.float64]
    total: NDArray[np.float64]
    place: NDArray[np.int64]
    described: Float32Array


def new_surroundings(columns: int, windows: tuple[int, ...] = WINDOWS) -> Surroundings:
    """Allocate sums for an image whose rows have ``columns`` pixels and `REACH` more on each side.

    Parameters
    ----------
    columns : int
    windows : tuple of int, pixels
        Sides, odd; none that reaches farther than `REACH`.

    Returns
    -------
    Surroundings
    """
    wide = columns + 2 * REACH
    return Surroundings(
        np.zeros((_RING, _N, wide), np.int32),
        np.zeros((_RING, wide), np.int32),
        np.array(windows, np.int64),
        np.zeros((len(windows), _PER_WINDOW, wide), np.float64),
        np.zeros(wide, np.float64),
        np.zeros((_PER_WINDOW, columns), np.float64),
        np.full(2, -2, np.int64),
        np.full((len(windows) * _PER_WINDOW, columns), np.nan, np.float32),
    )


@kernel()
def enter_row(fixed, row, around):
    """Put a row into the ring.

    A pixel counts where all five bands are known.

    Parameters
    ----------
    fixed : ndarray (5, wide), int32, parts of a kelvin
        Temperatures of the row and its halo, `FIXED_POINT` parts to a kelvin; `MISSING` where there
        is none.
    row : int
        Counted from the image's first row with its halo.
    around : Surroundings
        ``ring`` and ``known`` are written in place.
    """
    slot = row % _RING
    known, reference = around.known[slot], around.ring[slot, 0]
    for column in range(known.size):
        whole = True
        for band in range(5):
            whole &= fixed[band, column] != MISSING
        known[column] = np.int32(1 if whole else 0)
        reference[column] = fixed[_REFERENCE, column] if whole else np.int32(0)
    part = 1
    for band in range(5):
        if band != _REFERENCE:
            difference = around.ring[slot, part]
            for column in range(known.size):
                # 0 or 1 instead of a branch, which would keep the loop from being vectorised.
                gap = fixed[band, column] - fixed[_REFERENCE, column]
                difference[column] = gap * known[column]
            part += 1


@kernel()
def _count_row(around, window, row, sign):
    """Add a row of the ring to a window's sums (``sign`` 1), or take it out again (-1)."""
    slot = row % _RING
    sums = around.sums[window]
    # Where a pixel does not count, the ring holds zeros, so it adds nothing to any sum.
    for part in range(_N):
        values, plain, squared = around.ring[slot, part], sums[part], sums[_N + part]
        for column in range(values.size):
            value = np.float64(values[column])
            plain[column] += sign * value
            squared[column] += sign * (value * value)
    known, count = around.known[slot], sums[2 * _N]
    for column in range(known.size):
        count[column] += sign * np.float64(known[column])


@kernel()
def begin(around, row):
    """Sum all windows anew around a row whose surroundings are in the ring.

    Parameters
    ----------
    around : Surroundings
        ``sums`` is written in place.
    row : int
        Counted from the first row without the halo. With the halo it is ``row + REACH``.
    """
    # Exact integers: sums made anew equal those that were moved here row by row.
    around.sums[:] = 0
    middle = row + REACH
    for window in range(around.sides.size):
        half = around.sides[window] // 2
        for line in range(middle - half, middle + half + 1):
            _count_row(around, window, line, 1.0)


@kernel()
def advance(around, row):
    """Move all windows down by one row.

    Parameters
    ----------
    around : Surroundings
        ``sums`` stands at the row above and is moved in place. The new rows are in the ring.
    row : int
        The row to move to, counted without the halo.
    """
    middle = row + REACH
    for window in range(around.sides.size):
        half = around.sides[window] // 2
        # The row that leaves is still in the ring: it holds one row more than the largest window.
        _count_row(around, window, middle - 1 - half, -1.0)
        _count_row(around, window, middle + half, 1.0)


@kernel()
def describe_row(around, row):
    """Write the description of the row that the sums stand at.

    Parameters
    ----------
    around : Surroundings
        ``described`` (11 times window, columns), float32, is written in place. NaN for a pixel that
        does not count itself.
    row : int
        The row that the sums stand at, counted without the halo.
    """
    own = around.ring[(row + REACH) % _RING]
    counts = around.known[(row + REACH) % _RING, REACH:]
    columns = around.described.shape[1]
    for window in range(around.sides.size):
        side = around.sides[window]
        for number in range(_PER_WINDOW):
            _sum_along(around.sums[window, number], side, around.doubled, around.total[number])
        first = window * _PER_WINDOW
        _describe(own[:, REACH : REACH + columns], around.total, side, around.described[first:])
    # A pixel that does not count has no temperature that others could be compared with.
    whole = np.int32(1)
    for column in range(columns):
        whole &= counts[column]
    if whole == 0:
        for number in range(around.described.shape[0]):
            described = around.described[number]
            for column in range(columns):
                described[column] = described[column] if counts[column] else _NAN


@kernel()
def _sum_along(columns, side, doubled, total):
    """Sum columns' sums over each window: of 11 columns as 1 + 2 + 8, so in six passes."""
    skipped = REACH - side // 2
    doubled[:] = columns
    total[:] = 0
    # The bits of the window's side, lowest first. `doubled` holds sums over `length` columns, and
    # `start` is where the next part of the window begins.
    rest, length, start = side, 1, skipped
    while rest > 0:
        if rest % 2 == 1:
            # Slices, for an index that might be negative keeps a loop from being vectorised.
            part = doubled[start : start + total.size]
            for column in range(total.size):
                total[column] += part[column]
            start += length
        rest //= 2
        if rest > 0:
            # From west to east, in place: the sum ahead is still the old one when it is added. The
            # last columns are left incomplete, and no window reaches them.
            ahead = doubled[length:]
            for column in range(ahead.size):
                doubled[column] += ahead[column]
            length *= 2


@kernel(error_model="numpy")
def _describe(own, total, side, out):
    """Turn sums into means less the pixel's own, standard deviations and the share that counts."""
    count = total[2 * _N]
    size = np.float64(side * side)
    unit = np.empty(count.size, np.float64)
    for column in range(count.size):
        # One division per pixel instead of ten. Where nothing counts it is infinite, and infinity
        # times 0 gives the NaN that such a pixel must have.
        unit[column] = 1.0 / (count[column] * FIXED_POINT)
    for part in range(_N):
        plain, squared = total[part], total[_N + part]
        mean, spread = out[part], out[_N + part]
        for column in range(count.size):
            number = count[column]
            deviation = plain[column] - number * np.float64(own[part, column])
            # Never negative: it is the sum of squares of differences, in exact arithmetic.
            scatter = number * squared[column] - plain[column] * plain[column]
            mean[column] = np.float32(deviation * unit[column])
            # Single precision from here on: half the time, and far finer than it need be.
            spread[column] = np.sqrt(np.float32(scatter)) * np.float32(unit[column])
    share = out[2 * _N]
    for column in range(count.size):
        share[column] = np.float32(count[column] / size)


def fixed_temperatures(
    brightness_temperature: Float32Array, counted: NDArray[np.bool_]
) -> NDArray[np.int32]:
    """Count temperatures in parts of a kelvin.

    Parameters
    ----------
    brightness_temperature : ndarray (y, x, 5), float32, K
    counted : ndarray (y, x), bool
        False for what does not count as surroundings: fill, cloud.

    Returns
    -------
    ndarray (5, y, x), int32
        `MISSING` where a temperature is not finite or does not count.
    """
    kelvin = np.moveaxis(brightness_temperature, -1, 0)
    usable = counted & np.isfinite(kelvin)
    parts = np.rint(np.where(usable, kelvin, 0.0) * np.float32(FIXED_POINT))
    return np.where(usable, parts, MISSING).astype(np.int32)


def describe_image(
    brightness_temperature: Float32Array, counted: NDArray[np.bool_] | None = None
) -> Float32Array:
    """Describe the surroundings of all pixels of an image; beyond its edge nothing counts.

    Parameters
    ----------
    brightness_temperature : ndarray (y, x, 5), float32, K
        NaN where there is no measurement.
    counted : ndarray (y, x), bool, optional
        False for what does not count as surroundings, such as cloud.

    Returns
    -------
    ndarray (33, y, x), float32
        In the order of `CONTEXT`: K, K and 1. NaN for a pixel that does not count itself.

    Raises
    ------
    ShapeError
        The image has not five bands on its last axis.
    """
    if brightness_temperature.ndim != 3 or brightness_temperature.shape[-1] != 5:
        raise ShapeError(
            f"brightness temperatures have shape {brightness_temperature.shape}; expected "
            "(y, x, 5): five bands on the last axis"
        )
    rows, columns = brightness_temperature.shape[:2]
    everywhere = np.ones((rows, columns), bool) if counted is None else counted
    fixed = fixed_temperatures(np.asarray(brightness_temperature, np.float32), everywhere)
    edged = np.pad(fixed, ((0, 0), (REACH, REACH), (REACH, REACH)), constant_values=MISSING)
    out = np.empty((N_CONTEXT, rows, columns), np.float32)
    _describe_image(edged, new_surroundings(columns), out)
    return out


@kernel()
def _describe_image(fixed, around, out):
    for line in range(2 * REACH):
        enter_row(fixed[:, line], line, around)
    for row in range(out.shape[1]):
        enter_row(fixed[:, row + 2 * REACH], row + 2 * REACH, around)
        if row == 0:
            begin(around, row)
        else:
            advance(around, row)
        describe_row(around, row)
        out[:, row] = around.described
