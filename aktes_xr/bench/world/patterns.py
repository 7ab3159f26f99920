"""Patterns on a grid: random fields of a power spectrum, and labels of patches, fields and lines.

Patches are cells of a Voronoi tessellation whose coordinates are warped, fields a rectangle that is
cut again and again by straight lines. All lengths are in pixels.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

Shape = tuple[int, int]


def spectral_field(
    shape: Shape, rng: np.random.Generator, *, exponent: float, longest: float | None = None
) -> NDArray[np.float64]:
    """Draw a Gaussian random field of zero mean and unit variance whose power falls as f^-exponent.

    Parameters
    ----------
    shape : (int, int)
    rng : Generator
    exponent : float
        0 is white; 3 to 4 looks like terrain.
    longest : float, optional
        Wavelength (pixels) above which the spectrum is flat; None: the grid's size.

    Returns
    -------
    ndarray (y, x), float64
    """
    # Twice the size, then cut: the field does not repeat itself from edge to edge.
    double = (2 * shape[0], 2 * shape[1])
    fy, fx = np.fft.fftfreq(double[0])[:, None], np.fft.rfftfreq(double[1])[None]
    frequency = np.hypot(fy, fx)
    lowest = 1.0 / (max(double) if longest is None else max(longest, 2.0))
    amplitude = np.maximum(frequency, lowest) ** (-exponent / 2.0)
    amplitude[0, 0] = 0.0
    spectrum = np.fft.rfft2(rng.standard_normal(double)) * amplitude
    field = np.fft.irfft2(spectrum, double)[: shape[0], : shape[1]]
    spread = float(field.std())
    return np.asarray((field - field.mean()) / (spread if spread > 0 else 1.0))


def places(shape: Shape) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return row and column number of every pixel.

    Parameters
    ----------
    shape : (int, int), pixel
        Rows and columns.

    Returns
    -------
    rows, columns : float64 (y, x), pixel
    """
    rows, columns = np.mgrid[: shape[0], : shape[1]].astype(np.float64)
    return rows, columns


def patches(
    shape: Shape, rng: np.random.Generator, *, size: float, warp: float = 0.3
) -> NDArray[np.intp]:
    """Label the cells of a warped Voronoi tessellation.

    Parameters
    ----------
    shape : (int, int)
    rng : Generator
    size : float, pixels
        Mean diameter of a patch.
    warp : float
        How far borders are bent, in units of ``size``.

    Returns
    -------
    ndarray (y, x), intp
        Numbers of the patches, not all of which need occur.
    """
    rows, columns = places(shape)
    margin = size
    count = max(2, round((shape[0] + 2 * margin) * (shape[1] + 2 * margin) / size**2))
    centres = rng.uniform(0, 1, (count, 2)) * (np.array(shape) + 2 * margin) - margin
    if warp > 0 and size > 3:
        rows = rows + warp * size * spectral_field(shape, rng, exponent=3.0, longest=2 * size)
        columns = columns + warp * size * spectral_field(shape, rng, exponent=3.0, longest=2 * size)
    _, nearest = cKDTree(centres).query(np.column_stack([rows.ravel(), columns.ravel()]))
    return np.asarray(nearest, np.intp).reshape(shape)


def fields(shape: Shape, rng: np.random.Generator, *, size: float) -> NDArray[np.intp]:
    """Label rectangles with straight borders, all turned by one angle.

    Parameters
    ----------
    shape : (int, int)
    rng : Generator
    size : float, pixels
        About the side of a field.
    """
    rows, columns = places(shape)
    angle = rng.uniform(0, np.pi / 2)
    u = columns * np.cos(angle) + rows * np.sin(angle)
    v = rows * np.cos(angle) - columns * np.sin(angle)
    u, v = u - u.min(), v - v.min()
    label = np.zeros(shape, np.intp)
    waiting = [(0.0, float(u.max()) + 1, 0.0, float(v.max()) + 1)]
    number = 0
    while waiting:
        left, right, low, high = waiting.pop()
        wide, tall = right - left, high - low
        if max(wide, tall) < 1.6 * size or min(wide, tall) < 2:
            inside = (u >= left) & (u < right) & (v >= low) & (v < high)
            label[inside] = number
            number += 1
            continue
        share = rng.uniform(0.3, 0.7)
        if wide > tall:
            cut = left + share * wide
            waiting += [(left, cut, low, high), (cut, right, low, high)]
        else:
            cut = low + share * tall
            waiting += [(left, right, low, cut), (left, right, cut, high)]
    return label


def meander(shape: Shape, rng: np.random.Generator) -> NDArray[np.float64]:
    """Return the distance of every pixel to a winding line from edge to edge.

    Parameters
    ----------
    shape : (int, int), pixel
        Rows and columns.
    rng : numpy.random.Generator
        Draws the line.

    Returns
    -------
    float64 (y, x), pixel
    """
    rows, columns = places(shape)
    length = max(shape)
    step = np.linspace(-0.2 * length, 1.2 * length, 6 * length)
    wave = np.zeros_like(step)
    for part in range(1, 6):
        period = length / rng.uniform(0.5, 1.5) / part
        wave += length * 0.11 / part * np.sin(2 * np.pi * step / period + rng.uniform(0, 2 * np.pi))
    middle = rng.uniform(0.3, 0.7) * length
    angle = rng.uniform(0, 2 * np.pi)
    along, across = step - length / 2, wave + middle - length / 2
    line = np.column_stack(
        [
            shape[0] / 2 + along * np.sin(angle) + across * np.cos(angle),
            shape[1] / 2 + along * np.cos(angle) - across * np.sin(angle),
        ]
    )
    distance, _ = cKDTree(line).query(np.column_stack([rows.ravel(), columns.ravel()]))
    return np.asarray(distance, np.float64).reshape(shape)


def rectangles(
    shape: Shape, rng: np.random.Generator, *, count: int, sides: tuple[float, float]
) -> NDArray[np.intp]:
    """Label rectangles that are turned at random.

    Where two of them overlap, the later one lies on top.

    Parameters
    ----------
    shape : (int, int), pixel
        Rows and columns.
    rng : numpy.random.Generator
        Draws the rectangles.
    count : int
        Number of rectangles; fewer remain where some lie under others.
    sides : (float, float), pixel
        The shortest and the longest side.

    Returns
    -------
    intp (y, x)
        Number of the rectangle from 1 on, and 0 between them.
    """
    rows, columns = places(shape)
    label = np.zeros(shape, np.intp)
    for number in range(1, count + 1):
        centre = rng.uniform(0.05, 0.95, 2) * shape
        half = (log_uniform(rng, *sides) / 2, log_uniform(rng, *sides) / 2)
        angle = rng.uniform(0, np.pi / 2)
        dy, dx = rows - centre[0], columns - centre[1]
        along = dx * np.cos(angle) + dy * np.sin(angle)
        across = dy * np.cos(angle) - dx * np.sin(angle)
        label[(np.abs(along) <= half[0]) & (np.abs(across) <= half[1])] = number
    return label


def log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    """Draw a number whose logarithm is uniform.

    Parameters
    ----------
    rng : numpy.random.Generator
        Draws the number.
    low, high : float
        Limits, above 0.

    Returns
    -------
    float
    """
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def chosen(rng: np.random.Generator, weights: dict[str, float], count: int) -> list[Any]:
    """Draw names by weight.

    Parameters
    ----------
    rng : numpy.random.Generator
        Draws the names.
    weights : dict of str to float
        Weight of each name; they need not add up to 1.
    count : int
        Number of draws; a name may come again.

    Returns
    -------
    list of str
    """
    names, share = list(weights), np.array(list(weights.values()))
    return [names[int(i)] for i in rng.choice(len(names), count, p=share / share.sum())]
