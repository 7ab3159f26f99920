r"""What a pixel sees: horizons by marching rays, the sky that is left, and the terrain.

A ray leaves each pixel along each azimuth and meets the surface between pixels by bilinear
interpolation; all pixels march together, as shifted arrays. With the unit normal :math:`n`, the
part of a pixel's Lambert-weighted hemisphere between the elevation angles :math:`h_1` and
:math:`h_2` along an azimuth whose unit vector is :math:`d` is :math:`F(h_2) - F(h_1)`,

.. math:: F(h) = n_z \sin^2 h + (n \cdot d)(h + \sin h \cos h),

and the sky view is the mean over azimuths of :math:`F(90°) - F(h)` for the horizon :math:`h`, which
is at least level and at least the pixel's own tilted plane.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]

REACH_PIXELS: Final = 64
_NEAR: Final = 14
_LOWEST_TANGENT: Final = 2e-3
"""What rises less above a pixel covers less than 5e-6 of its hemisphere."""
_OUTSIDE_M: Final = np.float32(-1e6)


class Normals(NamedTuple):
    """Unit normals of the surface (y, x): towards east, north and up."""

    east: FloatArray
    north: FloatArray
    up: FloatArray

    def towards(self, azimuth: float) -> FloatArray:
        """Return the normals' horizontal part along an azimuth.

        Parameters
        ----------
        azimuth : float, radian
            Clockwise from north.

        Returns
        -------
        float (y, x), 1
        """
        sine, cosine = np.float32(np.sin(azimuth)), np.float32(np.cos(azimuth))
        return self.east * sine + self.north * cosine


def normals_of(elevation: NDArray[np.floating], cell_size_m: float) -> Normals:
    """Return the normals by central differences; rows run from north to south.

    Parameters
    ----------
    elevation : floating (y, x), m
        Height of the surface.
    cell_size_m : float
        Side of a pixel, m.

    Returns
    -------
    Normals
    """
    down, right = np.gradient(elevation.astype(np.float64), cell_size_m)
    up = 1.0 / np.sqrt(1.0 + down**2 + right**2)
    parts = (-right * up, down * up, up)
    return Normals._make([part.astype(np.float32) for part in parts])


def distances(reach: float = REACH_PIXELS) -> list[float]:
    """Return where rays stop to look.

    These are the pixels nearby one by one, then ever wider apart.

    Parameters
    ----------
    reach : float, pixel
        How far the rays go.

    Returns
    -------
    list of float, pixel
    """
    stops = [float(step) for step in range(1, _NEAR + 1)]
    while stops[-1] * 1.1 <= reach:
        stops.append(stops[-1] * 1.1)
    return stops


def _shifts(
    padded: FloatArray, shape: tuple[int, int], azimuth: float, distance: float
) -> FloatArray:
    """Bilinear value at ``distance`` pixels along an azimuth, for every pixel of the core."""
    margin = (padded.shape[0] - shape[0]) // 2
    row, column = margin - np.cos(azimuth) * distance, margin + np.sin(azimuth) * distance
    # Cosines and sines of quarter turns are off by rounding, which would reach outside the margin.
    row, column = round(float(row), 9), round(float(column), 9)
    r, c = int(np.floor(row)), int(np.floor(column))
    v, u = np.float32(row - r), np.float32(column - c)

    def part(i: int, j: int) -> FloatArray:
        return padded[r + i : r + i + shape[0], c + j : c + j + shape[1]]

    upper = part(0, 0) if u == 0 else part(0, 0) * (1 - u) + part(0, 1) * u
    if v == 0:
        return upper
    lower = part(1, 0) if u == 0 else part(1, 0) * (1 - u) + part(1, 1) * u
    return upper * (1 - v) + lower * v


def _tangents(
    elevation: NDArray[np.floating], cell_size_m: float, azimuth: float, reach: float
) -> Iterator[tuple[float, FloatArray]]:
    """Yield distance and tangent of the elevation angle at each stop of the rays."""
    core = (elevation - elevation.min()).astype(np.float32)
    padded = np.pad(core, REACH_PIXELS + 2, constant_values=_OUTSIDE_M)
    highest = float(core.max())
    for distance in distances(reach):
        run = np.float32(distance * cell_size_m)
        if highest / run < _LOWEST_TANGENT:
            return
        yield distance, (_shifts(padded, core.shape, azimuth, distance) - core) / run


def horizon_tangent(
    elevation: NDArray[np.floating], cell_size_m: float, azimuth_deg: float
) -> FloatArray:
    """Return the tangent of the horizon's angle along an azimuth, at least 0.

    Parameters
    ----------
    elevation : ndarray (y, x), m
        North up.
    cell_size_m : float
    azimuth_deg : float
        Clockwise from north.
    """
    highest = np.zeros(elevation.shape, np.float32)
    for _, tangent in _tangents(elevation, cell_size_m, np.deg2rad(azimuth_deg), REACH_PIXELS):
        np.maximum(highest, tangent, out=highest)
    return highest


def sky_view(
    elevation: NDArray[np.floating], cell_size_m: float, *, azimuths: int = 48
) -> FloatArray:
    """Return the Lambert-weighted sky-view factor of the sloping surface.

    Parameters
    ----------
    elevation : ndarray (y, x), m
        North up; nothing beyond its edge hides the sky.
    cell_size_m : float
    azimuths : int

    Returns
    -------
    ndarray (y, x), float32, 1
    """
    normals = normals_of(elevation, cell_size_m)
    total = np.zeros(elevation.shape, np.float64)
    for number in range(azimuths):
        azimuth = 2 * np.pi * (number + 0.5) / azimuths
        across = normals.towards(azimuth)
        tangent = horizon_tangent(elevation, cell_size_m, float(np.rad2deg(azimuth)))
        np.maximum(tangent, -across / normals.up, out=tangent)
        total += normals.up + across * np.float32(np.pi / 2) - _filled(tangent, across, normals.up)
    return np.asarray(np.clip(total / azimuths, 0.0, 1.0), np.float32)


def terrain_radiance(
    leaving: NDArray[np.floating],
    elevation: NDArray[np.floating],
    cell_size_m: float,
    *,
    azimuths: int = 16,
) -> FloatArray:
    """Average what leaves the terrain a pixel sees, weighted by the part each stretch fills.

    Parameters
    ----------
    leaving : ndarray (y, x, 5), W m-2 sr-1 um-1
    elevation : ndarray (y, x), m
    cell_size_m : float
    azimuths : int

    Returns
    -------
    ndarray (y, x, 5), float32, W m-2 sr-1 um-1
        The scene's mean where a pixel sees no terrain.
    """
    normals = normals_of(elevation, cell_size_m)
    bands = np.moveaxis(np.asarray(leaving, np.float32), -1, 0)
    margin = REACH_PIXELS + 2
    padded = np.pad(bands, ((0, 0), (margin, margin), (margin, margin)), mode="edge")
    rows, columns = elevation.shape
    total, weight = np.zeros_like(bands), np.full((rows, columns), 1e-6, np.float32)
    total += 1e-6 * bands.mean(axis=(1, 2), keepdims=True)
    for number in range(azimuths):
        azimuth = 2 * np.pi * (number + 0.5) / azimuths
        across = normals.towards(azimuth)
        # A tilted pixel sees ground below the level too, from its own plane upwards.
        highest = -across / normals.up
        hidden = _filled(highest, across, normals.up)
        for distance, tangent in _tangents(elevation, cell_size_m, azimuth, REACH_PIXELS / 1.5):
            np.maximum(highest, tangent, out=highest)
            filled = _filled(highest, across, normals.up)
            gained = np.maximum(filled - hidden, 0)
            r = margin - round(np.cos(azimuth) * distance)
            c = margin + round(np.sin(azimuth) * distance)
            total += gained * padded[:, r : r + rows, c : c + columns]
            weight += gained
            hidden = filled
    return np.asarray(np.moveaxis(total / weight, 0, -1), np.float32)


def _filled(tangent: FloatArray, across: FloatArray, up: FloatArray) -> FloatArray:
    """F of the module's equation, from the angle's tangent."""
    square = 1.0 / (1.0 + tangent * tangent)
    return np.asarray(
        up * tangent * tangent * square + across * (np.arctan(tangent) + tangent * square),
        np.float32,
    )
