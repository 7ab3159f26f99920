"""Terrain to simulate over: measured, and synthetic relief of several kinds.

``jacksboro`` is a real fault (`aktes_xr.simulate.measured`). ``alpine`` is ridged multifractal
noise [1]_ into which a network of U-shaped valleys is cut; ``canyon`` a plateau into which a river
system has cut gorges with benches; ``ridge_valley`` the parallel, wavering crests of folded strata;
``volcano`` cones with barrancos and a caldera; ``fluvial`` what rivers leave
(`aktes_xr.simulate.erosion`). Training and test differ in kind. Steep flanks of all but the last
follow from height and width alone; what matters here is which part of the sky they hide and what
they show of one another.

References
----------
.. [1] Musgrave, in Ebert et al. (2003), Texturing and Modeling, 3rd edition, chapter 16.
"""

from __future__ import annotations

from typing import Final, Literal

import numpy as np
import rioxarray  # noqa: F401  (registers .rio)
import xarray as xr
from numpy.typing import NDArray

from aktes_xr.errors import InputError
from aktes_xr.simulate.erosion import eroded_relief
from aktes_xr.simulate.measured import JACKSBORO_EPSG, jacksboro, jacksboro_centre
from aktes_xr.simulate.texture import fractal_noise, value_noise

Terrain = Literal["jacksboro", "alpine"]
TERRAINS: Final = ("jacksboro", "alpine")
Landform = Literal["alpine", "canyon", "ridge_valley", "volcano", "fluvial"]
LANDFORMS: Final[tuple[Landform, ...]] = ("alpine", "canyon", "ridge_valley", "volcano", "fluvial")
CELL_SIZE_M: Final = (89.89077669903477, 89.90343349026969)
"""(y, x) of a Level-1T thermal granule: not exactly 90 m."""
_ALPINE_EPSG: Final = 32632
_ALPINE_CENTRE: Final = (5_150_000.0, 480_000.0)
_BASE_M: Final = 500.0
_ALPINE_BASE_M: Final = 450.0
_ALPINE_RELIEF_M: Final = 2900.0
_RIDGE_WAVELENGTH_M: Final = 6_500.0
_REGIONAL_WAVELENGTH_M: Final = 60_000.0
# Wavelength (m), width (standard deviations of the field) and relative depth of valleys.
_VALLEYS: Final = ((22_000.0, 0.40, 0.50), (10_000.0, 0.35, 0.25))
_MEAN_CREST: Final = 1.5


def demo_elevation(
    terrain: Terrain = "jacksboro",
    shape: tuple[int, int] = (700, 830),
    *,
    seed: int = 0,
    cell_size_m: tuple[float, float] = CELL_SIZE_M,
) -> xr.DataArray:
    """Return elevation on a granule's grid.

    Parameters
    ----------
    terrain : {"jacksboro", "alpine"}
        Real or synthetic (see the module).
    shape : (int, int)
        Rows and columns.
    seed : int
        Of the synthetic relief; of the real one, where the granule lies: 0 is centred on it.
    cell_size_m : (float, float), m
        Height and width of a pixel.

    Returns
    -------
    DataArray (y, x), float32, m
        North up, with pixel-centre coordinates and a UTM CRS.

    Raises
    ------
    InputError
        If there is no such terrain.
    """
    if min(shape) < 2:
        raise InputError(f"found shape {shape}, expected at least 2 rows and columns")
    if terrain == "jacksboro":
        centre = jacksboro_centre(seed)
        y, x = _axes(shape, cell_size_m, centre)
        values = jacksboro(y, x, seed=seed)
        epsg = JACKSBORO_EPSG
    elif terrain == "alpine":
        centre, epsg = _ALPINE_CENTRE, _ALPINE_EPSG
        values = alpine_relief(shape, cell_size_m, seed=seed)
    else:
        raise InputError(f"found terrain {terrain!r}, expected one of {', '.join(TERRAINS)}")
    return _placed(values, cell_size_m, centre, epsg)


def on_alpine_grid(
    values: NDArray[np.float64], cell_size_m: tuple[float, float] = CELL_SIZE_M
) -> xr.DataArray:
    """Place heights where the synthetic alpine relief lies.

    Parameters
    ----------
    values : ndarray (y, x), float64, m
        Heights.
    cell_size_m : tuple of float, m
        Size of a pixel along y and x.

    Returns
    -------
    DataArray (y, x), m
        With coordinates and coordinate reference system.
    """
    return _placed(values, cell_size_m, _ALPINE_CENTRE, _ALPINE_EPSG)


def _placed(
    values: NDArray[np.float64],
    cell_size_m: tuple[float, float],
    centre: tuple[float, float],
    epsg: int,
) -> xr.DataArray:
    rows, columns = values.shape
    y, x = _axes((rows, columns), cell_size_m, centre)
    elevation = xr.DataArray(
        values.astype(np.float32),
        dims=("y", "x"),
        coords={"y": y, "x": x},
        name="elevation",
        attrs={"units": "m", "long_name": "elevation", "standard_name": "surface_altitude"},
    )
    projected: xr.DataArray = elevation.rio.write_crs(epsg)
    return projected


def _axes(
    shape: tuple[int, int], cell_size_m: tuple[float, float], centre: tuple[float, float]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Pixel centres; the outer corner lies on whole metres as in the archive's items."""
    height, width = cell_size_m
    top = np.round(centre[0] + height * shape[0] / 2)
    left = np.round(centre[1] - width * shape[1] / 2)
    return top - height * (np.arange(shape[0]) + 0.5), left + width * (np.arange(shape[1]) + 0.5)


def alpine_relief(
    shape: tuple[int, int],
    cell_size_m: tuple[float, float] = CELL_SIZE_M,
    *,
    seed: int = 0,
    relief_m: float = _ALPINE_RELIEF_M,
) -> NDArray[np.float64]:
    """Make alpine relief: ridges by multifractal noise, and valleys cut into them.

    Parameters
    ----------
    shape : tuple of int
        Rows and columns.
    cell_size_m : tuple of float, m
        Size of a pixel along y and x.
    seed : int
        Seed of the random numbers.
    relief_m : float, m
        Mean height of the crests above the base.

    Returns
    -------
    ndarray (y, x), float64, m
    """
    rng = np.random.default_rng([seed, 11])
    pixel = float(np.sqrt(cell_size_m[0] * cell_size_m[1]))
    height = np.zeros(shape)
    weight = np.ones(shape)
    amplitude = 1.0
    for octave in range(6):
        scale = _RIDGE_WAVELENGTH_M / pixel / 2.0**octave
        if scale < 3.0:
            break
        ridge = np.maximum(1.0 - 0.6 * np.abs(value_noise(shape, scale, rng)), 0.0) * weight
        weight = np.clip(1.3 * ridge, 0.2, 1.0)
        height += amplitude * ridge**1.3
        amplitude *= 0.52
    # Zero lines of a smooth field make a connected network; its branches carry U-shaped troughs.
    for scale, width, depth in _VALLEYS:
        axis = np.abs(fractal_noise(shape, scale / pixel, rng, octaves=3))
        height *= 1.0 - depth * np.exp(-((axis / width) ** 3))
    regional = value_noise(shape, _REGIONAL_WAVELENGTH_M / pixel, rng)
    height *= relief_m / _MEAN_CREST * np.clip(1.0 + 0.2 * regional, 0.5, 1.5)
    return np.asarray(_ALPINE_BASE_M + height)


def relief_of(
    kind: Landform,
    shape: tuple[int, int],
    *,
    seed: int = 0,
    relief_m: float = 1800.0,
    cell_size_m: tuple[float, float] = CELL_SIZE_M,
) -> NDArray[np.float64]:
    """Make relief of one kind (y, x), m.

    Parameters
    ----------
    kind : {"alpine", "canyon", "ridge_valley", "volcano", "fluvial"}
    shape : (int, int)
        Rows and columns.
    seed : int
    relief_m : float, m
        From the lowest ground to the crests, about.
    cell_size_m : (float, float), m

    Raises
    ------
    InputError
        There is no such kind.
    """
    rng = np.random.default_rng([seed, LANDFORMS.index(kind) if kind in LANDFORMS else 0, 23])
    pixel = float(np.sqrt(cell_size_m[0] * cell_size_m[1]))
    if kind == "alpine":
        return alpine_relief(shape, cell_size_m, seed=seed, relief_m=relief_m)
    if kind == "canyon":
        return _BASE_M + relief_m * _canyon(shape, pixel, rng)
    if kind == "ridge_valley":
        return _BASE_M + relief_m * _ridge_valley(shape, pixel, rng)
    if kind == "volcano":
        return _BASE_M + relief_m * _volcano(shape, pixel, rng)
    if kind == "fluvial":
        return _BASE_M + eroded_relief(shape, rng, cell_size_m=pixel, relief_m=relief_m)
    raise InputError(f"found landform {kind!r}, expected one of {', '.join(LANDFORMS)}")


def landform(
    kind: Landform, shape: tuple[int, int] = (700, 830), *, seed: int = 0, relief_m: float = 1800.0
) -> xr.DataArray:
    """Return `relief_of` a kind as elevation on a granule's grid.

    Parameters
    ----------
    kind : Landform
        Kind of the landform.
    shape : tuple of int
        Rows and columns.
    seed : int
        Seed of the random numbers.
    relief_m : float, m
        Height of the relief.

    Returns
    -------
    DataArray (y, x), float32, m
        With coordinate reference system.
    """
    return on_alpine_grid(relief_of(kind, shape, seed=seed, relief_m=relief_m))


def _canyon(
    shape: tuple[int, int], pixel_m: float, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Plateau of height 1 with gorges down to 0: walls between two distances from the river."""
    plateau = 1.0 + 0.04 * fractal_noise(shape, 9_000.0 / pixel_m, rng)
    cut = np.zeros(shape)
    for wavelength, depth in ((16_000.0, 0.95), (6_000.0, 0.55)):
        river = np.abs(fractal_noise(shape, wavelength / pixel_m, rng, octaves=4))
        # The field crosses zero at about one per quarter wavelength: distance in metres.
        distance = river * wavelength / 4.0
        wall = np.clip((distance - 250.0) / (700.0 + 500.0 * depth), 0.0, 1.0)
        benches = wall + 0.06 * np.sin(6.0 * np.pi * wall)
        cut = np.maximum(cut, depth * (1.0 - np.clip(benches, 0.0, 1.0)))
    return np.asarray(plateau - cut)


def _ridge_valley(
    shape: tuple[int, int], pixel_m: float, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Parallel crests some four kilometres apart, with one flank steeper, and wind gaps."""
    y, x = np.mgrid[: shape[0], : shape[1]] * pixel_m
    strike = rng.uniform(0.0, np.pi)
    across = x * np.cos(strike) + y * np.sin(strike)
    waver = 1_600.0 * fractal_noise(shape, 14_000.0 / pixel_m, rng, octaves=3)
    phase = ((across + waver) / rng.uniform(3_000.0, 4_500.0)) % 1.0
    crest = np.where(phase < 0.62, phase / 0.62, (1.0 - phase) / 0.38)
    height = crest**1.2 * np.clip(0.8 + 0.35 * value_noise(shape, 5_000.0 / pixel_m, rng), 0.1, 1.4)
    return np.asarray(height + 0.06 * fractal_noise(shape, 1_500.0 / pixel_m, rng))


def _volcano(
    shape: tuple[int, int], pixel_m: float, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Raise a few dissected cones of concave flanks; the largest holds a caldera."""
    y, x = np.mgrid[: shape[0], : shape[1]] * pixel_m
    height = 0.05 * fractal_noise(shape, 8_000.0 / pixel_m, rng)
    extent = min(shape) * pixel_m
    for number in range(3):
        size = (0.45, 0.28, 0.18)[number]
        middle = rng.uniform(0.25, 0.75, 2) * np.array(shape) * pixel_m
        radius = np.hypot(y - middle[0], x - middle[1]) / min(size * extent, 14_000.0 * size / 0.45)
        angle = np.arctan2(y - middle[0], x - middle[1])
        gullies = np.abs(np.sin(11.0 * angle + 1.5 * fractal_noise(shape, 4_000.0 / pixel_m, rng)))
        cone = np.exp(-2.6 * radius) * (
            1.0 - 0.30 * (1.0 - gullies) * np.clip(4 * radius, 0.0, 1.0)
        )
        if number == 0:
            rim = 0.16
            floor = np.exp(-2.6 * rim) - 0.55
            inside = np.clip((radius - 0.6 * rim) / (0.4 * rim), 0.0, 1.0)
            cone = np.where(radius < rim, floor + inside * (np.exp(-2.6 * rim) - floor), cone)
        height = np.maximum(height, cone * (1.0, 0.6, 0.45)[number])
    return np.asarray(height)
