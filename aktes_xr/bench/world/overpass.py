"""What the instrument measures of a ground under an air and a sun, and what is told of it."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from aktes_xr.bench.world.air import Air
from aktes_xr.bench.world.cover import Ground
from aktes_xr.bench.world.heat import Sun, draw_surface_temperature, insolation
from aktes_xr.bench.world.measurement import digital_numbers, toa_radiance
from aktes_xr.bench.world.relief import CELL_M
from aktes_xr.bench.world.told import Told, tell


class Overpass(NamedTuple):
    """One measurement of a scene.

    Attributes
    ----------
    temperature : ndarray (y, x), K
        Of the surface.
    counts : ndarray (y, x, 5), uint16
        Digital numbers.
    nedt_k : float, K
        Noise.
    told : Told
        Ancillaries with their errors.
    """

    temperature: NDArray[np.float64]
    counts: NDArray[np.uint16]
    nedt_k: float
    told: Told


def observe(
    rng: np.random.Generator,
    ground: Ground,
    elevation: Any,
    seen: Any,
    *,
    air: Air,
    sun: Sun,
    nedt_k: tuple[float, float],
) -> Overpass:
    """Measure a ground once.

    Parameters
    ----------
    rng : numpy.random.Generator
        Advanced.
    ground : Ground
    elevation : ndarray (y, x), m
    seen : ndarray (y, x), 1
        Sky-view factor.
    air : Air
        Over this elevation.
    sun : Sun
    nedt_k : (float, float), K
        Least and most noise.

    Returns
    -------
    Overpass
    """
    temperature = draw_surface_temperature(
        ground,
        air_k=air.air_temperature,
        sun_power=insolation(elevation, CELL_M, sun, seen),
        sky_view=seen,
        rng=rng,
    )
    radiance = toa_radiance(
        temperature,
        ground.emissivity,
        air,
        sky_view=seen,
        elevation=elevation,
        cell_size_m=CELL_M,
    )
    nedt = float(rng.uniform(*nedt_k))
    counts = digital_numbers(radiance, rng, nedt_k=nedt)
    return Overpass(temperature, counts, nedt, tell(air, ground, rng))
