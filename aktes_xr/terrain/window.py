"""Indices of a window: relief, surface incision, and whether all of it is known.

Columns first, then rows, each pixel's parts in the same order wherever the block begins: a running
sum would depend on that in its last bits, and runs of powers of two are no faster at these sizes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from aktes_xr.compilation import kernel

Float = np.floating

RELIEF, INCISION = range(2)


@kernel(error_model="numpy")
def window_indices(
    elevation: NDArray[Float],
    core: tuple[int, int, int, int],
    half: tuple[int, int],
    out: NDArray[np.float32],
) -> None:
    """Fill relief (max - min) and surface incision (mean - min) over a window.

    The window holds the pixels within ``half`` rows and columns of the centre that exist and are
    not NaN. A centre that is NaN stays NaN.

    Parameters
    ----------
    elevation : ndarray (rows, columns), float32 or float64, m
        The block and its halo; NaN where there is no elevation.
    core : tuple of int
        First row, end row, first column, end column within ``elevation``.
    half : tuple of int
        Rows and columns that the window reaches to each side of its centre.
    out : ndarray (2, rows of the core, columns of the core), float32, m
        Written in place: relief, surface incision.
    """
    rows, columns = elevation.shape
    first_row, end_row, first_column, end_column = core
    start = max(0, first_column - half[1])
    stop = min(columns, end_column + half[1])
    # Buffers over the columns that any window of the row touches. First each column's part is taken
    # down the window's rows, then the parts are taken along the row.
    highest = np.empty(stop - start)
    lowest = np.empty(stop - start)
    total = np.empty(stop - start)
    count = np.empty(stop - start)
    width = end_column - first_column
    top, bottom, mass, number = np.empty(width), np.empty(width), np.empty(width), np.empty(width)
    for row in range(first_row, end_row):
        centre = elevation[row, first_column:end_column]
        highest[:] = -np.inf
        lowest[:] = np.inf
        total[:] = 0.0
        count[:] = 0.0
        for r in range(max(0, row - half[0]), min(rows, row + half[0] + 1)):
            line = elevation[r, start:stop]
            for i in range(line.size):
                # Comparisons with NaN are false, so a hole changes neither extreme. Only the sums
                # need to ask.
                z = np.float64(line[i])
                valid = z == z
                highest[i] = z if z > highest[i] else highest[i]
                lowest[i] = z if z < lowest[i] else lowest[i]
                total[i] += z if valid else 0.0
                count[i] += 1.0 if valid else 0.0
        top[:] = -np.inf
        bottom[:] = np.inf
        mass[:] = 0.0
        number[:] = 0.0
        # The offset is the outer loop: the inner one then runs along whole rows and is vectorised.
        # Every pixel still meets its columns from west to east, wherever the block begins.
        for offset in range(-half[1], half[1] + 1):
            begin = max(0, start - first_column - offset)
            end = min(width, stop - first_column - offset)
            if end <= begin:
                continue
            shift = first_column + offset - start
            h, lo = highest[begin + shift : end + shift], lowest[begin + shift : end + shift]
            s, n = total[begin + shift : end + shift], count[begin + shift : end + shift]
            t_h, t_l = top[begin:end], bottom[begin:end]
            t_s, t_n = mass[begin:end], number[begin:end]
            for i in range(h.size):
                t_h[i] = h[i] if h[i] > t_h[i] else t_h[i]
                t_l[i] = lo[i] if lo[i] < t_l[i] else t_l[i]
                t_s[i] += s[i]
                t_n[i] += n[i]
        relief, incision = out[RELIEF, row - first_row], out[INCISION, row - first_row]
        for i in range(width):
            # A centre that is NaN makes its results NaN without a branch.
            hole = 0.0 * np.float64(centre[i])
            relief[i] = (top[i] - bottom[i]) + hole
            incision[i] = (mass[i] / number[i] - bottom[i]) + hole


@kernel(error_model="numpy")
def flag_incomplete(
    elevation: NDArray[Float],
    core: tuple[int, int, int, int],
    half: tuple[int, int],
    flag: int,
    out: NDArray[np.uint8],
) -> None:
    """Set a flag where a box around the pixel is not known completely.

    Pixels beyond the array count as unknown. The counts are integers, so their order is free.

    Parameters
    ----------
    elevation : ndarray (rows, columns), float32 or float64, m
        The block and its halo; NaN where there is no elevation.
    core : tuple of int
        First row, end row, first column, end column within ``elevation``.
    half : tuple of int
        Rows and columns that the box reaches to each side of its centre.
    flag : int
        The bit to set.
    out : ndarray (rows of the core, columns of the core), uint8
        Changed in place: other bits stay as they are.
    """
    rows, columns = elevation.shape
    first_row, end_row, first_column, end_column = core
    full = (2 * half[0] + 1) * (2 * half[1] + 1)
    # `count` is the number of known pixels per column in the box's rows. A row enters below and
    # another leaves above, so the cost does not grow with the box.
    count = np.zeros(columns, np.int64)
    low, high = max(0, first_row - half[0]), max(0, first_row - half[0])
    for row in range(first_row, end_row):
        while high < min(rows, row + half[0] + 1):
            for i in range(columns):
                count[i] += elevation[high, i] == elevation[high, i]
            high += 1
        while low < row - half[0]:
            for i in range(columns):
                count[i] -= elevation[low, i] == elevation[low, i]
            low += 1
        # Along the row the same again: a column enters on the right, another leaves on the left.
        # What lies outside the array is never counted, so a box that reaches there stays below
        # `full`.
        total = 0
        for i in range(max(0, first_column - half[1]), min(columns, first_column + half[1])):
            total += count[i]
        for column in range(first_column, end_column):
            if column + half[1] < columns:
                total += count[column + half[1]]
            if total < full:
                out[row - first_row, column - first_column] |= flag
            if column - half[1] >= 0:
                total -= count[column - half[1]]
