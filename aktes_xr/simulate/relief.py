"""Terrain to simulate over: a real fault that a dependency ships, and synthetic alpine relief.

``jacksboro`` is the 3 arc-second elevation model of the Jacksboro fault, Tennessee (SRTM, public
domain), from matplotlib's sample data, warped to UTM and mirrored beyond its edges. ``alpine`` is
ridged multifractal noise [Musgrave, in Ebert et al., Texturing and Modeling, 2003, chapter 16] into
which a network of U-shaped valleys is cut.
"""

from __future__ import annotations

from typing import Final, Literal

import numpy as np
import rioxarray  # noqa: F401  (registers .rio)
import xarray as xr
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from aktes_xr.errors import InputError

Terrain = Literal["jacksboro", "alpine"]
TERRAINS: Final = ("jacksboro", "alpine")
CELL_SIZE_M: Final = (89.89077669903477, 89.90343349026969)
"""(y, x) of a Level-1T thermal granule: not exactly 90 m."""
_JACKSBORO_EPSG: Final = 32616
_ALPINE_EPSG: Final = 32632
_ALPINE_CENTRE: Final = (5_150_000.0, 480_000.0)
_ALPINE_BASE_M: Final = 450.0
_ALPINE_RELIEF_M: Final = 2900.0
_RIDGE_WAVELENGTH_M: Final = 6_500.0
_REGIONAL_WAVELENGTH_M: Final = 60_000.0
# Wavelength (m), width (standard deviations of the field) and relative depth of valleys.
_VALLEYS: Final = ((22_000.0, 0.40, 0.50), (10_000.0, 0.35, 0.25))
_MEAN_CREST: Final = 1.5
# Of a field of cubic B-splines with unit normal coefficients: the mean sum of squared weights,
# 151/315 per axis.
_SPLINE_DEVIATION: Final = 151 / 315


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
        centre, values = _jacksboro(shape, cell_size_m, seed)
        epsg = _JACKSBORO_EPSG
    elif terrain == "alpine":
        centre, epsg = _ALPINE_CENTRE, _ALPINE_EPSG
        values = alpine_relief(shape, cell_size_m, seed=seed)
    else:
        raise InputError(f"found terrain {terrain!r}, expected one of {', '.join(TERRAINS)}")
    return _placed(values, cell_size_m, centre, epsg)


def on_alpine_grid(
    values: NDArray[np.float64], cell_size_m: tuple[float, float] = CELL_SIZE_M
) -> xr.DataArray:
    """Place heights (y, x), m, where the synthetic alpine relief lies."""
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


def _jacksboro(
    shape: tuple[int, int], cell_size_m: tuple[float, float], seed: int
) -> tuple[tuple[float, float], NDArray[np.float64]]:
    from matplotlib import cbook
    from pyproj import Transformer

    path = cbook.get_sample_data("jacksboro_fault_dem.npz", asfileobj=False)
    with np.load(str(path)) as archive:
        source = archive["elevation"].astype(np.float64)
        west, east = float(archive["xmin"]), float(archive["xmax"])
        south, north = float(archive["ymin"]), float(archive["ymax"])
    to_utm = Transformer.from_crs(4326, _JACKSBORO_EPSG, always_xy=True)
    x, y = to_utm.transform((west + east) / 2, (south + north) / 2)
    if seed:
        offset = np.random.default_rng([seed, 7]).uniform(-12_000, 12_000, size=2)
        x, y = x + offset[0], y + offset[1]
    rows, columns = _axes(shape, cell_size_m, (y, x))
    grid_x, grid_y = np.meshgrid(columns, rows)
    longitude, latitude = to_utm.transform(grid_x, grid_y, direction="INVERSE")
    row = (north - latitude) / (north - south) * (source.shape[0] - 1)
    column = (longitude - west) / (east - west) * (source.shape[1] - 1)
    return (y, x), map_coordinates(source, [row, column], order=3, mode="mirror")


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
    """Smooth random field of about unit standard deviation; ``wavelength`` in pixels.

    Cubic splines through normal numbers on a lattice: two small matrix products.
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
    """Sum octaves of `value_noise`, each of half the wavelength and half the height."""
    total = np.zeros(shape)
    for octave in range(octaves):
        if wavelength / 2**octave < 1.5:
            break
        total += value_noise(shape, wavelength / 2**octave, rng) / 2**octave
    return total


def alpine_relief(
    shape: tuple[int, int],
    cell_size_m: tuple[float, float] = CELL_SIZE_M,
    *,
    seed: int = 0,
    relief_m: float = _ALPINE_RELIEF_M,
) -> NDArray[np.float64]:
    """Make alpine relief (m): ridges by multifractal noise, valleys cut into them."""
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
