r"""Surface temperature by a linearised energy balance of each pixel.

.. math:: T = T_a + \frac{(1 - a) S - R}{h + 4 \sigma T_a^3 + d + v}

with the sun S on the slope (in cast shadow only what the sky scatters), the albedo a, the net
thermal loss R to the sky that is seen, the wind's exchange h, the ground's damping d and
evaporation v (W m-2 K-1). A structure's own anomalies and a texture are added.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from aktes_xr.bench.world.cover import Ground
from aktes_xr.bench.world.horizon import horizon_tangent, normals_of
from aktes_xr.bench.world.patterns import log_uniform, spectral_field
from aktes_xr.bench.world.spectra import KINDS

FloatArray = NDArray[np.float64]

SOLAR_CONSTANT: Final = 1361.0
_STEFAN_BOLTZMANN: Final = 5.670374e-8
_SCATTERED: Final = 0.12
_RANGE_K: Final = (225.0, 345.0)
_MELTING_K: Final = 273.15
_FROZEN: Final = (KINDS.index("snow"), KINDS.index("ice"))
_WATER: Final = KINDS.index("water")


class Sun(NamedTuple):
    """Zenith angle and azimuth clockwise from north, degrees."""

    zenith: float
    azimuth: float

    @property
    def up(self) -> bool:
        """Whether it is day."""
        return self.zenith < 90.0


def insolation(
    elevation: FloatArray, cell_size_m: float, sun: Sun, sky_view: NDArray[np.floating]
) -> FloatArray:
    """Return the sun's power on the sloping surface, W m-2.

    Parameters
    ----------
    elevation : float64 (y, x), m
        Height of the surface.
    cell_size_m : float
        Side of a pixel, m.
    sun : Sun
        Where it stands.
    sky_view : floating (y, x), 1
        Sky view factor.

    Returns
    -------
    float64 (y, x), W m-2
        Zero at night.
    """
    if not sun.up:
        return np.zeros(elevation.shape)
    zenith, azimuth = np.deg2rad(sun.zenith), np.deg2rad(sun.azimuth)
    normals = normals_of(elevation, cell_size_m)
    cosine = normals.up * np.cos(zenith) + normals.towards(azimuth) * np.sin(zenith)
    horizon = horizon_tangent(elevation, cell_size_m, sun.azimuth)
    lit = (horizon < 1.0 / np.tan(zenith)) & (cosine > 0)
    clear = SOLAR_CONSTANT * 0.75 ** (1.0 / max(np.cos(zenith), 0.1))
    direct = np.where(lit, clear * cosine, 0.0)
    return np.asarray(direct + _SCATTERED * clear * np.cos(zenith) * sky_view)


def draw_surface_temperature(
    ground: Ground,
    *,
    air_k: FloatArray,
    sun_power: FloatArray,
    sky_view: NDArray[np.floating],
    rng: np.random.Generator,
) -> FloatArray:
    """Draw the temperature of a scene's surface.

    Parameters
    ----------
    ground : Ground
    air_k, sun_power, sky_view : ndarray (y, x), K, W m-2 and 1
    rng : Generator

    Returns
    -------
    ndarray (y, x), float64, K
        Snow and ice at most at melting.
    """
    shape = air_k.shape
    wind = log_uniform(rng, 6.0, 30.0)
    radiative = 4 * _STEFAN_BOLTZMANN * air_k**3
    loss = rng.uniform(50.0, 130.0) * sky_view * (air_k / 290.0) ** 4
    conductance = wind + radiative + ground.damping + ground.evaporation
    balance = ((1 - ground.albedo) * sun_power - loss) / conductance
    # The ground keeps heat, or cold, from the other half of the day.
    kept = rng.uniform(-0.12, 0.12) * ground.damping
    texture = log_uniform(rng, 0.05, 3.0) * spectral_field(
        shape, rng, exponent=rng.uniform(0.0, 3.0), longest=log_uniform(rng, 2.0, 30.0)
    )
    land = air_k + balance + np.clip(kept, -4, 4) + ground.anomaly_k + texture
    water = (
        air_k
        + rng.normal(0, 4.0)
        + rng.uniform(0.02, 0.5) * spectral_field(shape, rng, exponent=3.0, longest=60)
        + ground.anomaly_k
    )
    temperature = np.where(ground.kind == _WATER, np.maximum(water, _MELTING_K - 1.8), land)
    frozen = np.isin(ground.kind, _FROZEN)
    ceiling = _MELTING_K - np.abs(0.3 * texture)
    temperature = np.where(frozen, np.minimum(temperature, ceiling), temperature)
    return np.asarray(np.clip(temperature, *_RANGE_K))
