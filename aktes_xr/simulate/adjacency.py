"""What the terrain around a pixel sends it: a walk to the horizon in every direction.

Along each azimuth the visible ground is what raises the horizon. A stretch that raises it from h1
to h2 fills the part ``G(h1) - G(h2)`` of the pixel's Lambert-weighted hemisphere, with

    G(h) = cosS sin^2 H + sinS cos(phi - A)(H - sinH cosH),   H = 90 deg - h

([1]_, equation 7b). The mean over all stretches of what leaves them, weighted by that part, is the
adjacent radiance of the terrain's radiance equation.

References
----------
.. [1] Dozier and Frew (1990).
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter

from aktes_xr.compilation import kernel

AZIMUTHS: Final = 12
REACH_PIXELS: Final = (1, 2, 3, 5, 8, 12, 18, 27, 40)
_LEAST_PART: Final = 1e-6
_SQUARE_PIXELS: Final = 11


@kernel(error_model="numpy")
def _walk(leaving, elevation, normals, azimuths, paths, chosen, out):
    """Walk from each chosen pixel; ``paths`` (azimuth, step) holds rows, columns and 1 / metres."""
    rows, columns = elevation.shape
    total = np.empty(5)
    for row in range(rows):
        for column in range(columns):
            if not chosen[row, column]:
                continue
            total[:] = 0.0
            parts = 0.0
            level_cosine = normals[row, column, 2]
            own = elevation[row, column]
            for number in range(azimuths.shape[0]):
                # sinS cos(phi - A)
                across = (
                    normals[row, column, 0] * azimuths[number, 0]
                    + normals[row, column, 1] * azimuths[number, 1]
                )
                highest = 0.0
                hidden = 0.0
                for step in range(paths.shape[1]):
                    r = row + int(paths[number, step, 0])
                    c = column + int(paths[number, step, 1])
                    if r < 0 or r >= rows or c < 0 or c >= columns:
                        break
                    tangent = (elevation[r, c] - own) * paths[number, step, 2]
                    # Only ground above all nearer ground is seen.
                    if tangent <= highest:
                        continue
                    highest = tangent
                    # G(0) - G(h), with tan h = tangent
                    sine_squared = tangent * tangent / (1.0 + tangent * tangent)
                    risen = np.arctan(tangent) + tangent / (1.0 + tangent * tangent)
                    level = level_cosine * sine_squared + across * risen
                    if level <= hidden:
                        continue
                    for band in range(5):
                        total[band] += (level - hidden) * leaving[r, c, band]
                    parts += level - hidden
                    hidden = level
            for band in range(5):
                if parts > _LEAST_PART:
                    out[row, column, band] = total[band] / parts
                else:
                    out[row, column, band] = leaving[row, column, band]


def _paths(
    cell_size_m: tuple[float, float],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Lay out the walks: directions (north, east), and per step rows, columns and 1 / metres."""
    angle = 2.0 * np.pi * np.arange(AZIMUTHS) / AZIMUTHS
    azimuths = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    reach = np.array(REACH_PIXELS)
    down = -np.rint(azimuths[:, :1] * reach)
    right = np.rint(azimuths[:, 1:] * reach)
    run = np.hypot(down * cell_size_m[0], right * cell_size_m[1])
    return azimuths, np.stack([down, right, 1.0 / run], axis=-1)


def adjacent_radiance(
    leaving: NDArray[np.float32],
    elevation: NDArray[np.float32],
    slope_deg: NDArray[np.float32],
    aspect_deg: NDArray[np.float32],
    *,
    cell_size_m: tuple[float, float],
    chosen: NDArray[np.bool_] | None = None,
) -> NDArray[np.float32]:
    """Average what leaves the visible terrain around each pixel.

    Parameters
    ----------
    leaving : ndarray (y, x, 5), float32, W m-2 sr-1 um-1
        Radiance leaving the surface.
    elevation : ndarray (y, x), float32, m
        North up.
    slope_deg, aspect_deg : ndarray (y, x), float32, deg
        Aspect is downslope, clockwise from grid north.
    cell_size_m : (float, float), m
        Height and width of a pixel.
    chosen : ndarray (y, x), bool, optional
        Where to walk; elsewhere the mean of a square of a kilometre stands for it.

    Returns
    -------
    ndarray (y, x, 5), float32, W m-2 sr-1 um-1
        The pixel's own radiance where no terrain is visible.
    """
    slope = np.deg2rad(slope_deg, dtype=np.float64)
    aspect = np.deg2rad(np.nan_to_num(aspect_deg), dtype=np.float64)
    normals = np.stack(
        [np.sin(slope) * np.cos(aspect), np.sin(slope) * np.sin(aspect), np.cos(slope)], axis=-1
    )
    if chosen is None:
        out = np.empty_like(leaving)
        chosen = np.ones(elevation.shape, bool)
    else:
        out = uniform_filter(leaving, size=(_SQUARE_PIXELS, _SQUARE_PIXELS, 1), mode="nearest")
    _walk(
        leaving,
        elevation.astype(np.float64),
        normals,
        *_paths(cell_size_m),
        chosen,
        out,
    )
    return out
