"""Noise as a Level-1T product holds it: drawn on the instrument's grid, carried to the map's.

The instrument scans along a tilted swath; the product lies north up. In between, every number was
interpolated once, by cubic convolution [1]_, so that the noise of neighbouring pixels is correlated
and its size changes from place to place with the distance to the instrument's own pixels. Networks
that see a pixel's surroundings must learn from such noise: the mean of 121 pixels is not eleven
times as exact as one.

References
----------
.. [1] Keys, R. G. (1981), Cubic convolution interpolation for digital image processing, IEEE
   Trans. Acoust. Speech Signal Process. 29, 1153-1160 (a = -1/2).
"""

from __future__ import annotations

import functools
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from aktes_xr.compilation import kernel
from aktes_xr.errors import InputError

Resampling = Literal["cubic", "nearest", "none"]
RESAMPLINGS: Final[tuple[Resampling, ...]] = ("cubic", "nearest", "none")
TILT_DEG: Final = (5.0, 16.0)
"""Of the swath against the map, drawn: it depends on the latitude."""
_SCALE: Final = (0.985, 1.015)
_MARGIN: Final = 3


@kernel()
def cubic_weights(fraction, out):
    """Write the four weights of cubic convolution [1]_.

    They are for a place between the second and the third of four nodes.

    Parameters
    ----------
    fraction : float, 1
        Distance from the second node, from 0 to 1.
    out : ndarray (4,)
        Written in place.

    References
    ----------
    .. [1] Keys (1981), see the module.
    """
    f = fraction
    out[0] = ((-0.5 * f + 1.0) * f - 0.5) * f
    out[1] = (1.5 * f - 2.5) * f * f + 1.0
    out[2] = ((-1.5 * f + 2.0) * f + 0.5) * f
    out[3] = (0.5 * f - 0.5) * f * f


@kernel()
def _resample(source, origin, step, nearest, out):
    """Interpolate ``source`` (row, column, band) at ``origin + row * step[0] + column * step[1]``.

    Bands are innermost in all arrays, so that one set of sixteen weights serves five numbers that
    lie side by side.
    """
    rows, columns, bands = out.shape
    down = np.empty(4, np.float32)
    across = np.empty(4, np.float32)
    for row in range(rows):
        for column in range(columns):
            y = origin[0] + row * step[0, 0] + column * step[1, 0]
            x = origin[1] + row * step[0, 1] + column * step[1, 1]
            if nearest:
                i, j = int(np.rint(y)), int(np.rint(x))
                for band in range(bands):
                    out[row, column, band] = source[i, j, band]
                continue
            i, j = int(np.floor(y)), int(np.floor(x))
            cubic_weights(np.float32(y - i), down)
            cubic_weights(np.float32(x - j), across)
            for band in range(bands):
                out[row, column, band] = np.float32(0.0)
            for m in range(4):
                for n in range(4):
                    weight = down[m] * across[n]
                    for band in range(bands):
                        out[row, column, band] += weight * source[i - 1 + m, j - 1 + n, band]


@functools.cache
def cubic_gain() -> float:
    """Return by which factor cubic convolution lowers the noise of a pixel, rms over all places."""
    fractions = (np.arange(256) + 0.5) / 256
    weights = np.empty((fractions.size, 4))
    for fraction, row in zip(fractions, weights, strict=True):
        cubic_weights(fraction, row)
    # The mean squared weight per axis; two axes, and the root of it.
    return float((weights**2).sum(axis=1).mean())


def resampled_noise(
    rng: np.random.Generator, shape: tuple[int, ...], resampling: Resampling = "cubic"
) -> NDArray[np.float32]:
    """Draw noise of unit standard deviation as a product holds it.

    Parameters
    ----------
    rng : numpy.random.Generator
        Advanced.
    shape : (int, int, int)
        Rows, columns, bands; the bands are independent.
    resampling : {"cubic", "nearest", "none"}
        How the product was made; with ``"none"`` the pixels are the instrument's own.

    Returns
    -------
    ndarray (y, x, band), float32, 1
        Root mean square one over all places: what is called noise is that of the product's pixels.

    Raises
    ------
    InputError
        There is no such resampling.
    """
    if resampling not in RESAMPLINGS:
        raise InputError(
            f"found resampling {resampling!r}, expected one of {', '.join(RESAMPLINGS)}"
        )
    if resampling == "none":
        return rng.standard_normal(shape, dtype=np.float32)
    tilt = np.deg2rad(rng.uniform(*TILT_DEG)) * (1.0 if rng.random() < 0.5 else -1.0)
    scale = rng.uniform(*_SCALE, size=2)
    step = np.array([[np.cos(tilt), np.sin(tilt)], [-np.sin(tilt), np.cos(tilt)]]) * scale
    corners: NDArray[Any] = np.array([[0, 0], [0, 1], [1, 0], [1, 1]]) * (np.array(shape[:2]) - 1)
    places = corners @ step
    origin = _MARGIN - places.min(axis=0) + rng.random(2)
    extent = np.ceil((places + origin).max(axis=0)).astype(int) + _MARGIN
    source = rng.standard_normal((*extent, shape[2]), dtype=np.float32)
    out = np.empty(shape, np.float32)
    _resample(source, origin, step, resampling == "nearest", out)
    if resampling == "cubic":
        out /= np.float32(cubic_gain())
    return out
