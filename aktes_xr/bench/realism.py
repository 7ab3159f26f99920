"""Whether simulated fields look like land: their texture beside that of measured temperature.

Of each image the same is asked: how much temperature differs over 90 m to 3 km (the square root of
twice the semivariogram), how steep it is from pixel to pixel, and how much of it is edges. The
measured images are surface temperatures at about 70 m (such as ECOSTRESS L2T LST crops, GeoTIFF, K,
NaN where there is none); they are not part of the package and are given by ``--data``. Each figure
of a measured image should lie inside the central 95 per cent of those of simulated fields; and all
of them together should be no farther from those of some field than fields are from one another.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from aktes_xr import sensor
from aktes_xr.bench.checks import BenchResult, Check, Table
from aktes_xr.errors import InputError
from aktes_xr.simulate.fields import FieldRecipe
from aktes_xr.simulate.worlds import draw_fields

LAGS: Final = (1, 2, 4, 8, 16, 32)
"""Pixels."""
STATISTICS: Final = (
    *(f"difference over {lag * sensor.PIXEL_M:g} m, K" for lag in LAGS),
    "gradient, median, K per pixel",
    "gradient, 95 %, K per pixel",
    "edges, share of pixels",
)
EDGE: Final = 5.0
"""A step of so many median steps is an edge."""
_INSIDE: Final = (2.5, 97.5)
_LEAST_VALID: Final = 1000


def statistics(kelvin: NDArray[Any]) -> NDArray[np.float64]:
    """Describe the texture of an image.

    Parameters
    ----------
    kelvin : ndarray (y, x), float, K
        NaN where nothing is known.

    Returns
    -------
    ndarray (9,), float64
        In the order of `STATISTICS`.
    """
    image = np.asarray(kelvin, np.float64)
    differences = []
    for lag in LAGS:
        steps = [image[lag:] - image[:-lag], image[:, lag:] - image[:, :-lag]]
        both = np.concatenate([step.ravel() for step in steps])
        differences.append(np.sqrt(np.nanmean(both**2)))
    down = np.abs(np.diff(image, axis=0))[:, :-1]
    right = np.abs(np.diff(image, axis=1))[:-1]
    gradient = np.hypot(down, right)
    gradient = gradient[np.isfinite(gradient)]
    middle = float(np.median(gradient))
    edges = float((gradient > EDGE * middle).mean())
    return np.array([*differences, middle, np.percentile(gradient, 95), edges])


def measured_images(folder: str | Path) -> dict[str, NDArray[np.float32]]:
    """Read GeoTIFFs of surface temperature and average them to pixels of 90 m in UTM.

    Parameters
    ----------
    folder : path

    Returns
    -------
    dict of name to ndarray (y, x), float32, K

    Raises
    ------
    InputError
        There is no GeoTIFF with a thousand valid pixels.
    """
    import rioxarray
    from rasterio.enums import Resampling

    found: dict[str, NDArray[np.float32]] = {}
    for path in sorted(Path(folder).glob("*.tif")):
        raster: Any = rioxarray.open_rasterio(path, masked=True)
        raster = raster.squeeze("band", drop=True).astype(np.float32)
        placed = raster.rio.reproject(
            raster.rio.estimate_utm_crs(),
            resolution=sensor.PIXEL_M,
            resampling=Resampling.average,
            nodata=np.nan,
        )
        values = np.asarray(placed.to_numpy(), np.float32)
        if np.isfinite(values).sum() >= _LEAST_VALID:
            found[path.stem] = values
    if not found:
        raise InputError(
            f"found no surface temperature (GeoTIFF, K) in {folder}, expected at least one image "
            f"of {_LEAST_VALID} pixels of {sensor.PIXEL_M:g} m"
        )
    return found


def simulated_images(per_structure: int, *, seed: int = 3) -> list[tuple[str, NDArray[Any]]]:
    """Draw fields, flat and over relief.

    Parameters
    ----------
    per_structure : int
        Number of fields of each structure.
    seed : int
        Of the random numbers.

    Returns
    -------
    list of (str, ndarray (y, x), K)
        Structure and surface temperature of each.
    """
    images: list[tuple[str, NDArray[Any]]] = []
    for terrain in (False, True):
        recipe = FieldRecipe(seed=seed, split="test", terrain=terrain, gap_share=0.0)
        count = per_structure * len(recipe.possible)
        recipe = FieldRecipe(count=count, seed=seed, split="test", terrain=terrain, gap_share=0.0)
        ground = "relief" if terrain else "flat"
        images += [
            (f"{field.structure}, {ground}", field.surface_temperature)
            for field in draw_fields(recipe)
        ]
    return images


def run(*, quick: bool, data: str | None = None, figure: str | None = None) -> BenchResult:
    """Compare simulated fields with measured surface temperature.

    Parameters
    ----------
    quick : bool
        Fewer fields.
    data : str, optional
        Folder of measured images.
    figure : str, optional
        Where to draw the comparison.

    Raises
    ------
    InputError
        No measured images are given, or there are none.
    """
    if data is None:
        raise InputError(
            "found no measured images to compare with; give a folder of surface temperature at "
            "about 70 m (GeoTIFF, K) by --data"
        )
    measured = measured_images(data)
    simulated = simulated_images(6 if quick else 24)
    of_fields = np.array([statistics(image) for _, image in simulated])
    of_measured = {name: statistics(image) for name, image in measured.items()}
    low, middle, high = np.percentile(of_fields, (_INSIDE[0], 50, _INSIDE[1]), axis=0)
    checks = [
        Check.at_least(
            f"image {number}: figures inside those of simulated fields",
            float(((found >= low) & (found <= high)).mean()),
            1.0,
            "1",
        )
        for number, found in enumerate(of_measured.values(), 1)
    ]
    numbered = {f"image {number}": found for number, found in enumerate(of_measured.values(), 1)}
    texture = Table(
        f"Texture of {len(measured)} measured images and {len(simulated)} simulated fields",
        ("", *numbered, "simulated 2.5 %", "50 %", "97.5 %"),
        [
            (name, *(found[row] for found in numbered.values()), low[row], middle[row], high[row])
            for row, name in enumerate(STATISTICS)
        ],
    )
    apart = float(np.percentile(_apart(of_fields, of_fields), 95))
    checks += [
        Check.at_most(
            f"image {number}: how far from the most similar field, in what 95 % of fields are",
            float(_apart(found[np.newaxis], of_fields)[0]) / apart,
            1.0,
            "1",
        )
        for number, found in enumerate(of_measured.values(), 1)
    ]
    images = Table("Measured images", ("", "name"), list(zip(numbered, measured, strict=True)))
    if figure is not None:
        _draw(figure, measured, simulated)
    return BenchResult(checks, (images, texture, _by_structure(simulated, of_fields)))


def _apart(some: NDArray[Any], others: NDArray[Any]) -> NDArray[np.float64]:
    """Distance from each row to the most similar other one, in standard deviations of logarithms.

    A row that is itself among the others is not compared with itself.
    """
    small = np.append(np.full(len(STATISTICS) - 1, 1e-2), 1e-3)
    space = np.log(others + small)
    scale = space.std(axis=0)
    away = np.log(some + small)[:, np.newaxis] - space
    distance = np.sqrt(((away / scale) ** 2).mean(axis=-1))
    if some is others:
        np.fill_diagonal(distance, np.inf)
    return np.asarray(distance.min(axis=1))


def _by_structure(simulated: list[tuple[str, NDArray[Any]]], found: NDArray[Any]) -> Table:
    """Tabulate the median of each structure."""
    names = [name for name, _ in simulated]
    rows = [
        (name, *np.median(found[[other == name for other in names]], axis=0))
        for name in dict.fromkeys(names)
    ]
    columns = (
        "structure",
        *(f"{lag * sensor.PIXEL_M:g} m" for lag in LAGS),
        "median",
        "95 %",
        "edges",
    )
    return Table("Medians by structure", columns, rows)


def _draw(
    path: str, measured: dict[str, NDArray[Any]], simulated: list[tuple[str, NDArray[Any]]]
) -> None:
    """Draw variograms and gradients of both, and a few images of each."""
    from matplotlib.figure import Figure

    picture = Figure(figsize=(12, 9), layout="constrained")
    halves: Any = picture.subfigures(2, 1, height_ratios=(3, 4))
    upper, lower = halves
    variogram, gradient = upper.subplots(1, 2)
    metres = sensor.PIXEL_M * np.array(LAGS)
    count = len(LAGS)
    steps = np.geomspace(1e-3, 20.0, 60)
    for images, colour, width in (
        (simulated, "0.7", 0.3),
        (list(measured.items()), "tab:red", 1.6),
    ):
        for _, image in images:
            variogram.plot(metres, statistics(image)[:count], color=colour, linewidth=width)
            size = np.hypot(np.diff(image, axis=0)[:, :-1], np.diff(image, axis=1)[:-1])
            size = np.sort(size[np.isfinite(size)])
            share = 1.0 - np.searchsorted(size, steps) / size.size
            gradient.plot(steps, share, color=colour, linewidth=width)
    variogram.set(xscale="log", yscale="log", xlabel="distance, m", ylabel="difference, rms, K")
    gradient.set(xscale="log", yscale="log", xlabel="step between pixels, K", ylim=(1e-4, 1))
    gradient.set_ylabel("share of larger steps")
    variogram.set_title("red: measured; grey: simulated")
    shown = [*measured.items(), *simulated[:: max(len(simulated) // 9, 1)]][:12]
    for axes, (name, image) in zip(lower.subplots(2, 6).ravel(), shown, strict=False):
        axes.imshow(image[:96, :96] if name in dict(simulated) else image, cmap="inferno")
        axes.set_title(name[:22], fontsize=7)
        axes.set_axis_off()
    picture.savefig(path, dpi=110)
