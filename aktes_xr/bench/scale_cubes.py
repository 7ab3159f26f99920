"""Cubes, items and granules for the benchmark of scale, the same on every machine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import dask.array as da
import numpy as np
import xarray as xr
from affine import Affine

from aktes_xr import sensor
from aktes_xr.cube import describe, new_cube
from aktes_xr.jobs.kernels import LEVEL
from aktes_xr.models import Bundle, BundleContents, Fusion, write_bundle
from aktes_xr.models.features import N_OUTPUTS, STUDENT_FEATURES, TEACHER_FEATURES
from aktes_xr.models.layer import Layer
from aktes_xr.models.network import Network
from aktes_xr.models.pixel_model import PixelModel, Role, Scaling

if TYPE_CHECKING:
    from numpy.typing import NDArray

CRS: Final = "EPSG:32633"
_ORIGIN: Final = (300_000.0, 4_400_000.0)


def digital_numbers(seed: int, shape: tuple[int, int]) -> NDArray[np.uint16]:
    """Draw the digital numbers of one date.

    The surface has at least 300 K, and texture.

    Parameters
    ----------
    seed : int
        Of the random numbers.
    shape : (int, int), pixel
        Rows and columns.

    Returns
    -------
    uint16 (5, y, x)
    """
    rng = np.random.default_rng(seed)
    texture = rng.integers(0, 300, (1, *shape), dtype=np.uint16)
    noise = rng.integers(0, 8, (5, *shape), dtype=np.uint16)
    return np.asarray(LEVEL[:, np.newaxis, np.newaxis] + texture + noise, np.uint16)


def _block(block_info: Any = None, shape: tuple[int, int] = (0, 0)) -> NDArray[np.uint16]:
    place = block_info[None]["chunk-location"]
    location = block_info[None]["array-location"]
    rows, columns = (stop - start for start, stop in location[2:])
    seed = (place[0] * 1000 + place[2]) * 1000 + place[3]
    return digital_numbers(seed, (rows, columns))[np.newaxis]


def cube(dates: int, shape: tuple[int, int], chunk: int, *, memory: bool = False) -> xr.Dataset:
    """Make a cube of drawn digital numbers.

    Parameters
    ----------
    dates : int
        Number of dates.
    shape : (int, int), pixel
        Rows and columns.
    chunk : int, pixel
        Side of a chunk.
    memory : bool
        Hold the numbers in memory. Otherwise each task draws its own.

    Returns
    -------
    Dataset
        ``tir`` (time, band, y, x) and ancillaries.
    """
    sizes = [
        tuple(min(chunk, length - start) for start in range(0, length, chunk)) for length in shape
    ]
    lazy = da.map_blocks(
        _block,
        chunks=((1,) * dates, (5,), *sizes),
        dtype=np.uint16,
        meta=np.empty((0, 0, 0, 0), np.uint16),
        name=f"scale-{dates}-{shape}-{chunk}",
    )
    ds = new_cube(
        lazy.compute(scheduler="synchronous") if memory else lazy,
        time=np.datetime64("2003-01-01T10:00", "ns") + np.arange(dates) * np.timedelta64(1, "D"),
        y=_ORIGIN[1] - sensor.PIXEL_M * np.arange(0.5, shape[0], dtype=np.float64),
        x=_ORIGIN[0] + sensor.PIXEL_M * np.arange(0.5, shape[1], dtype=np.float64),
        crs=CRS,
        coordinates={
            "view_zenith": np.full(dates, 3.0),
            "sun_zenith": np.full(dates, 40.0),
            "sun_azimuth": np.full(dates, 150.0),
        },
    )
    if memory:
        ds = ds.chunk(time=1, band=-1, y=chunk, x=chunk)
    elevation = da.full(shape, 700.0, dtype=np.float32, chunks=chunk)
    ds["elevation"] = (("y", "x"), elevation.compute() if memory else elevation, {"units": "m"})
    ds["water_vapor"] = ("time", np.full(dates, 15.0), {"units": "kg m-2"})
    ds["air_temperature"] = ("time", np.full(dates, 288.0), {"units": "K"})
    return describe(ds)


def item(number: int, href: str, shape: tuple[int, int]) -> dict[str, Any]:
    """Make the STAC item of a granule of five bands.

    Parameters
    ----------
    number : int
        Of the granule; it sets the date.
    href : str
        Link to its file, which need not exist.
    shape : (int, int), pixel
        Rows and columns.

    Returns
    -------
    dict
    """
    time = np.datetime64("2003-01-01T10:00:00") + np.timedelta64(number, "D")
    affine = Affine(sensor.PIXEL_M, 0.0, _ORIGIN[0], 0.0, -sensor.PIXEL_M, _ORIGIN[1])
    return {
        "type": "Feature",
        "stac_version": "1.0.0",
        "id": f"AST_L1T_003{number:014d}_20150414031232",
        "geometry": None,
        "links": [],
        "properties": {
            "datetime": f"{time}Z",
            "proj:epsg": int(CRS.split(":")[1]),
            "view:off_nadir": 2.9,
            "view:sun_azimuth": 150.0,
            "view:sun_elevation": 50.0,
        },
        "assets": {
            "TIR": {
                "href": href,
                "type": "image/tiff; application=geotiff; profile=cloud-optimized",
                "roles": ["data"],
                "proj:shape": list(shape),
                "proj:transform": [*affine[:6], 0.0, 0.0, 1.0],
            }
        },
    }


def write_granules(folder: Path, count: int, shape: tuple[int, int]) -> list[dict[str, Any]]:
    """Write COGs of five bands, tiled and deflated as in the archive.

    Parameters
    ----------
    folder : Path
        Where to write.
    count : int
        Number of granules.
    shape : (int, int), pixel
        Rows and columns.

    Returns
    -------
    list of dict
        Their STAC items.
    """
    import rasterio

    items = []
    for number in range(count):
        path = folder / f"granule_{number:04d}.TIR.tif"
        made = item(number, str(path), shape)
        with rasterio.open(
            path,
            "w",
            driver="COG",
            count=5,
            height=shape[0],
            width=shape[1],
            dtype="uint16",
            crs=CRS,
            transform=Affine(*made["assets"]["TIR"]["proj:transform"][:6]),
            blocksize=256,
            compress="deflate",
        ) as file:
            file.write(digital_numbers(number, shape))
        items.append(made)
    return items


def small_bundle(folder: Path) -> Bundle:
    """Write a bundle of small random networks.

    It serves for what does not depend on the networks.

    Parameters
    ----------
    folder : Path
        Where to write.

    Returns
    -------
    Bundle
    """
    models = (_model("teacher", "teacher", 16), _model("student", "student", 8))
    fusion = Fusion(start_k=0.1, full_k=0.5, sharpness=0.5)
    return write_bundle(folder, BundleContents("small", models, "# Random\n", fusion))


def _model(name: str, role: Role, units: int) -> PixelModel:
    rng = np.random.default_rng(len(name))
    features = len(TEACHER_FEATURES if role == "teacher" else STUDENT_FEATURES)
    layers = tuple(
        Layer(
            rng.normal(scale=before**-0.5, size=(after, before)).astype(np.float32),
            np.zeros((after, 1), np.float32),
            activation,
        )
        for before, after, activation in (
            (features, units, "relu"),
            (units, 2 * N_OUTPUTS, "linear"),
        )
    )
    ones, outputs = np.ones(features, np.float32), np.ones(N_OUTPUTS, np.float32)
    scaling = Scaling(
        0 * ones, 300 * ones, -9 * ones, 9 * ones, outputs, outputs, 0 * outputs, outputs
    )
    return PixelModel(name, role, Network(layers), scaling)
