"""Smooth random fields, from one wavelength or from octaves of it."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

# Of a field of cubic B-splines with unit normal coefficients: the mean sum of squared weights,
# 151/315 per axis.
_SPLINE_DEVIATION: Final = 151 / 315


def _spline_weights(places: NDArray[np.float64], nodes: int) -> NDArray[np.float64]:
    """Weights (place, node) of uniform cubic B-splines."""
    base = places.astype(np.intp)
    f = places - base
    four = np.stack(
        [
            (1 - f) ** 3,
            3 * f**3 - 6 * f**2 + 4,
            -3 * f**3 + 3 * f**2 + 3 * f + 1,
            f**3,
        ],
        axis=1,
    )
    weights = np.zeros((places.size, nodes))
    np.put_along_axis(weights, base[:, np.newaxis] + np.arange(-1, 3), four / 6, axis=1)
    return weights


def value_noise(
    shape: tuple[int, int], wavelength: float, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Make a smooth random field of about unit standard deviation.

    Cubic splines run through normal numbers on a lattice. That takes two small matrix products.

    Parameters
    ----------
    shape : tuple of int
        Rows and columns.
    wavelength : float, pixels
        Spacing of the lattice.
    rng : numpy.random.Generator
        Source of the numbers.

    Returns
    -------
    ndarray (y, x), float64, 1
    """
    nodes = [int(np.ceil(extent / wavelength)) + 4 for extent in shape]
    lattice = rng.standard_normal(nodes)
    shift = rng.uniform(1.0, 2.0, size=2)
    rows, columns = (
        _spline_weights(shift[axis] + np.arange(shape[axis]) / wavelength, nodes[axis])
        for axis in range(2)
    )
    return rows @ lattice @ columns.T / _SPLINE_DEVIATION


def fractal_noise(
    shape: tuple[int, int], wavelength: float, rng: np.random.Generator, *, octaves: int = 4
) -> NDArray[np.float64]:
    """Sum octaves of `value_noise`, each of half the wavelength and half the height.

    Parameters
    ----------
    shape : tuple of int
        Rows and columns.
    wavelength : float, pixels
        Of the first octave.
    rng : numpy.random.Generator
        Source of the numbers.
    octaves : int
        Most octaves; those shorter than 1.5 pixels are left out.

    Returns
    -------
    ndarray (y, x), float64, 1
    """
    total = np.zeros(shape)
    for octave in range(octaves):
        if wavelength / 2**octave < 1.5:
            break
        total += value_noise(shape, wavelength / 2**octave, rng) / 2**octave
    return total
