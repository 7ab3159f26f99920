"""Write simulated granules as the archives lay them out, beside elevation, ancillaries and truth.

In a directory: ``catalog.json``, ``collection.json``, per date an item and its thermal COGs (pixel
interleaved, tiles of 512, deflate, no nodata tag, as in the archive), and, for the whole series,
``dem.tif``, ``ancillary.zarr`` (water vapour and air temperature with errors, on the granule's
grid) and ``truth.zarr``.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import numpy as np
import rasterio
import xarray as xr
from numpy.typing import NDArray
from rasterio.transform import from_origin

from aktes_xr.errors import InputError
from aktes_xr.sensor import BANDS, SATURATION_DN, UNIT_CONVERSION
from aktes_xr.simulate.ground import ground_dataset, make_ground
from aktes_xr.simulate.relief import Terrain, demo_elevation
from aktes_xr.simulate.scene import simulate_dates
from aktes_xr.simulate.settings import SceneSettings
from aktes_xr.simulate.stac_item import (
    LAYOUTS,
    GranuleGrid,
    Layout,
    assets,
    catalog,
    collection,
    granule_id,
    item,
)

_LOGGER = logging.getLogger(__name__)

TOLD: Final = (
    "water_vapor",
    "water_vapor_error",
    "air_temperature",
    "air_temperature_error",
    "ancillary_elevation",
)
_TRUTH_CHUNK: Final = 512
_OF_A_SCENE: Final = ("collection.json", "dem.tif", "truth.zarr", "ancillary.zarr")


def write_cog(path: Path, counts: NDArray[np.uint16], grid: GranuleGrid, *, tags: bool) -> None:
    """Write digital numbers as a cloud-optimised GeoTIFF without a nodata tag.

    Parameters
    ----------
    path : Path
        The file.
    counts : ndarray (band, y, x), uint16
        Digital numbers.
    grid : GranuleGrid
        Where they lie.
    tags : bool
        Write gains and saturation as tags.
    """
    left, _, _, top = grid.bbox
    profile: dict[str, Any] = {
        "driver": "COG",
        "width": grid.shape[1],
        "height": grid.shape[0],
        "count": counts.shape[0],
        "dtype": "uint16",
        "crs": rasterio.CRS.from_epsg(grid.epsg),
        "transform": from_origin(left, top, grid.transform[0], -grid.transform[4]),
        "blocksize": 512,
        "compress": "DEFLATE",
        "overview_resampling": "NEAREST",
    }
    with rasterio.open(path, "w", **profile) as target:
        target.write(counts)
        if tags:
            gains = " ".join(f"{gain:g}" for gain in UNIT_CONVERSION)
            target.update_tags(
                SATURATION_DN=str(SATURATION_DN), RADIANCE_GAIN=gains, RADIANCE_BIAS="1"
            )


def write_elevation(path: Path, elevation: xr.DataArray, grid: GranuleGrid) -> None:
    """Write the elevation on the granule's grid, with -9999 for what is missing.

    Parameters
    ----------
    path : Path
        The file.
    elevation : DataArray (y, x), m
        On ``grid``.
    grid : GranuleGrid
        Where it lies.
    """
    left, _, _, top = grid.bbox
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        width=grid.shape[1],
        height=grid.shape[0],
        count=1,
        dtype="float32",
        crs=rasterio.CRS.from_epsg(grid.epsg),
        transform=from_origin(left, top, grid.transform[0], -grid.transform[4]),
        nodata=-9999.0,
        compress="DEFLATE",
        tiled=True,
    ) as target:
        target.write(elevation.to_numpy().astype(np.float32), 1)


def grid_of(elevation: xr.DataArray) -> GranuleGrid:
    """Return the grid of an elevation model.

    Parameters
    ----------
    elevation : DataArray (y, x)
        Its coordinates are those of pixel centres.

    Returns
    -------
    GranuleGrid
    """
    rows, columns = elevation.shape
    y, x = elevation["y"].to_numpy(), elevation["x"].to_numpy()
    height, width = float(y[0] - y[-1]) / (rows - 1), float(x[-1] - x[0]) / (columns - 1)
    left, top = float(x[0]) - width / 2, float(y[0]) + height / 2
    return GranuleGrid(
        epsg=int(elevation.rio.crs.to_epsg()),
        transform=(width, 0.0, left, 0.0, -height, top, 0.0, 0.0, 1.0),
        shape=(rows, columns),
        bbox=(left, top - height * rows, left + width * columns, top),
    )


def _write_thermal(
    directory: Path, name: str, counts: NDArray[np.uint16], grid: GranuleGrid, layout: Layout
) -> dict[str, str]:
    """Write the COG(s) of a date; return relative links by asset key."""
    if layout == "planetary_computer":
        files = {"TIR": f"{name}_83940.TIR.tif"}
    elif layout == "aws":
        files = {"TIR": f"{name}_TIR.tif"}
    elif layout == "lpdaac":
        files = {f"TIR_{band}": f"{name}_TIR_{band}.tif" for band in BANDS}
    else:
        raise InputError(f"found layout {layout!r}, expected one of {', '.join(LAYOUTS)}")
    if layout == "lpdaac":
        for number, file in enumerate(files.values()):
            write_cog(directory / file, counts[number : number + 1], grid, tags=False)
    else:
        write_cog(directory / files["TIR"], counts, grid, tags=layout == "aws")
    return {key: f"./{file}" for key, file in files.items()}


def _write_date(
    directory: Path, ds: xr.Dataset, grid: GranuleGrid, layout: Layout
) -> dict[str, Any]:
    """Write the thermal file(s) of one date; return its item."""
    moment = np.datetime64(ds["time"].to_numpy()[0], "us").astype(datetime).replace(tzinfo=UTC)
    files = _write_thermal(
        directory, granule_id(moment), ds["tir"].isel(time=0).to_numpy(), grid, layout
    )
    return item(
        date=moment,
        grid=grid,
        angles={name: float(ds[name][0]) for name in ("view_zenith", "sun_zenith", "sun_azimuth")},
        cloud_cover=100.0 * float(ds["cloud"].mean()),
        item_assets=assets(files, grid, layout),
    )


def _append(path: Path, ds: xr.Dataset, *, first: bool) -> None:
    """Write a date to a Zarr store, or append it to one."""
    # Fixed-length strings have no Zarr v3 specification; objects are written as variable ones.
    plain = ds.assign_coords(band=np.array(BANDS, dtype=object)) if "band" in ds.dims else ds
    if first:
        encoding = {
            str(name): {
                "chunks": tuple(
                    min(size, _TRUTH_CHUNK) if dim in ("y", "x") else 1 if dim == "time" else size
                    for dim, size in variable.sizes.items()
                ),
                **({"grid_mapping": "spatial_ref"} if {"y", "x"} <= set(variable.dims) else {}),
            }
            for name, variable in ds.data_vars.items()
        }
        encoding["time"] = {"units": "microseconds since 2000-01-01", "dtype": "int64"}
        plain.to_zarr(path, mode="w", encoding=encoding, consolidated=False, zarr_format=3)
    else:
        moving = plain.drop_vars(
            [name for name, v in plain.variables.items() if "time" not in v.dims]
        )
        moving.to_zarr(path, append_dim="time", consolidated=False)


def _dump(path: Path, document: Any) -> None:
    path.write_text(json.dumps(document, indent=1), encoding="utf-8")


def _settings(
    terrain: Terrain,
    settings: SceneSettings | None,
    *,
    seed: int,
    date: datetime | str | None,
    dates: int,
    clouds: bool,
) -> SceneSettings:
    if settings is not None:
        return settings
    chosen = SceneSettings(
        seed=seed,
        count=dates,
        clouds=clouds,
        cover="alpine" if terrain == "alpine" else "temperate",
    )
    if date is None:
        return chosen
    given = datetime.fromisoformat(date) if isinstance(date, str) else date
    given = given.replace(tzinfo=UTC) if given.tzinfo is None else given
    return replace(
        chosen, dates=tuple(given + timedelta(days=16 * number) for number in range(dates))
    )


def write_scene(
    path: str | Path,
    *,
    terrain: Terrain = "jacksboro",
    shape: tuple[int, int] = (700, 830),
    seed: int = 0,
    datetime: datetime | str | None = None,
    dates: int = 1,
    clouds: bool = False,
    layout: Layout = "planetary_computer",
    elevation: xr.DataArray | None = None,
    settings: SceneSettings | None = None,
    overwrite: bool = False,
    progress: Callable[[str], None] | None = None,
) -> list[Path]:
    """Simulate granules and write them as an archive would, with their truth.

    Parameters
    ----------
    path : str or Path
        Directory; made where it does not exist.
    terrain : {"jacksboro", "alpine"}
        See `demo_elevation`.
    shape : (int, int)
        Rows and columns.
    seed : int
        Of the relief (alpine), the land cover, the atmosphere and the noise.
    datetime : datetime or ISO string, optional
        UTC of the first date; by default half past ten local time, 15 July 2003.
    dates : int
        Number of dates, 16 days apart, over one ground.
    clouds : bool
    layout : {"planetary_computer", "aws", "lpdaac"}
        One five-band COG (the first two), or one COG per band.
    elevation : DataArray (y, x), m, optional
        Instead of ``terrain`` and ``shape``; projected, north up, without gaps.
    settings : SceneSettings, optional
        Instead of ``seed``, ``datetime``, ``dates`` and ``clouds``.
    overwrite : bool
        Replace the scene that is in the directory, its granules included.
    progress : callable, optional
        Called with a line of text for each step: the ground, then each date.

    Returns
    -------
    list of Path
        The items, one per date.

    Raises
    ------
    InputError
        If an argument is not as described, or the directory holds a scene that is not to be
        replaced.
    """
    if layout not in LAYOUTS:
        raise InputError(f"found layout {layout!r}, expected one of {', '.join(LAYOUTS)}")
    chosen = _settings(terrain, settings, seed=seed, date=datetime, dates=dates, clouds=clouds)
    ground_elevation = (
        demo_elevation(terrain, shape, seed=chosen.seed) if elevation is None else elevation
    )
    directory = _made_ready(Path(path), overwrite=overwrite)
    say = progress or _LOGGER.debug
    ground = make_ground(ground_elevation, chosen)
    grid = grid_of(ground_elevation)
    write_elevation(directory / "dem.tif", ground_elevation, grid)
    say("made the ground")
    static = ground_dataset(ground_elevation, ground)
    items: list[dict[str, Any]] = []
    for ds in simulate_dates(ground_elevation, chosen, ground):
        first = not items
        say(f"simulated date {len(items) + 1} of {chosen.count}")
        items.append(_write_date(directory, ds, grid, layout))
        _append(directory / "ancillary.zarr", ds[list(TOLD)], first=first)
        truth = ds.drop_vars(["tir", *TOLD])
        _append(
            directory / "truth.zarr",
            truth.merge(static, compat="override", join="override") if first else truth,
            first=first,
        )
    return _write_catalog(directory, items)


def _made_ready(directory: Path, *, overwrite: bool) -> Path:
    """Make the directory; take out the granules of a scene that is replaced.

    They would lie over another elevation model and beside another truth than their own.
    """
    if directory.exists() and not directory.is_dir():
        raise InputError(f"{directory.name} is a file, expected a directory for the scene")
    found = [name for name in _OF_A_SCENE if (directory / name).exists()]
    if found and not overwrite:
        raise InputError(
            f"{directory.resolve().name} holds a scene already ({', '.join(found)}); choose "
            "another directory, or replace it with overwrite=True"
        )
    directory.mkdir(parents=True, exist_ok=True)
    for old in _files_of_scene(directory):
        old.unlink(missing_ok=True)
    return directory


def _files_of_scene(directory: Path) -> list[Path]:
    """List the items that a scene's collection names, and their rasters, in its own directory."""
    if not (directory / "collection.json").is_file():
        return []
    links = json.loads((directory / "collection.json").read_text(encoding="utf-8"))["links"]
    items = [directory / Path(link["href"]).name for link in links if link["rel"] == "item"]
    files = list(items)
    for one in items:
        if one.is_file():
            held = json.loads(one.read_text(encoding="utf-8"))["assets"].values()
            files += [directory / Path(asset["href"]).name for asset in held]
    return files


def _write_catalog(directory: Path, items: Sequence[dict[str, Any]]) -> list[Path]:
    _dump(directory / "catalog.json", catalog())
    _dump(directory / "collection.json", collection(items))
    paths = [directory / f"{one['id']}.json" for one in items]
    for target, one in zip(paths, items, strict=True):
        _dump(target, one)
    return paths
