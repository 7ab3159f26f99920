"""The ground of a scene, shared by all its dates: terrain, land cover, and what is told of it."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter

from aktes_xr import sensor
from aktes_xr.cube import describe
from aktes_xr.errors import InputError
from aktes_xr.simulate.cover import draw_cover, tell_emissivity
from aktes_xr.simulate.emissivity import SPLITS
from aktes_xr.simulate.landcover import emissivity_map, land_cover
from aktes_xr.simulate.landscape import Ground
from aktes_xr.simulate.settings import LANDSCAPE, SceneSettings
from aktes_xr.simulate.structures import Site, draw_layout
from aktes_xr.terrain import indices_array

_PATCH_M: Final = (800.0, 8_000.0)
_LEVEL_M: Final = 30.0
_LAKE_SHARE: Final = 0.2
_LAKE_SLOPE_DEG: Final = 8.0


def make_ground(elevation: xr.DataArray, settings: SceneSettings) -> Ground:
    """Compute the terrain's indices and cover it; shared by all dates.

    Parameters
    ----------
    elevation : DataArray (y, x), m
        Projected, north up, without gaps.
    settings : SceneSettings

    Returns
    -------
    Ground
    """
    values = np.asarray(elevation.to_numpy(), dtype=np.float32)
    if values.ndim != 2 or not np.isfinite(values).all():
        raise InputError(
            f"found elevation of shape {values.shape} with {int((~np.isfinite(values)).sum())} "
            "gaps, expected (y, x) without gaps"
        )
    cell = (
        float(elevation["y"][0] - elevation["y"][1]),
        float(elevation["x"][1] - elevation["x"][0]),
    )
    rng = np.random.default_rng([settings.seed, SPLITS.index(settings.split), 1])
    indices = indices_array(values, cell, azimuths=32)
    fields: dict[str, Any] = {
        name: indices[name] for name in ("slope", "aspect", "sky_view_factor", "relief")
    }
    if settings.structure == LANDSCAPE:
        width = float(np.mean(cell))
        classes = land_cover(
            values,
            fields["slope"],
            rng,
            cover=settings.cover,
            cell_size_m=width,
            patch_m=float(np.exp(rng.uniform(*np.log(_PATCH_M)))),
        )
        emissivity = emissivity_map(classes, rng, split=settings.split, cell_size_m=width)
        return Ground(
            elevation=values, cell_size_m=cell, classes=classes, emissivity=emissivity, **fields
        )
    layout = draw_layout(rng, settings.structure, _site(values, fields, settings.structure))
    cover = draw_cover(rng, layout, split=settings.split)
    return Ground(
        elevation=values,
        cell_size_m=cell,
        classes=cover.classes,
        emissivity=cover.emissivity,
        cover=cover,
        **fields,
    )


def _site(
    elevation: NDArray[np.float32], fields: dict[str, NDArray[np.float32]], structure: str
) -> Site:
    """Say what relief imposes on a structure: lakes on low, level ground, snow on high ground."""
    shape = (elevation.shape[0], elevation.shape[1])
    if np.ptp(elevation) < _LEVEL_M:
        return Site(shape)
    slope, aspect = np.deg2rad(fields["slope"]), np.deg2rad(np.nan_to_num(fields["aspect"]))
    flooded = None
    if structure == "water":
        low = elevation <= np.quantile(elevation, _LAKE_SHARE)
        flooded = low & (fields["slope"] < _LAKE_SLOPE_DEG)
    northness = (np.sin(slope) * np.cos(aspect)).astype(np.float32)
    return Site(shape, elevation, northness, flooded)


def climatology(ground: Ground, settings: SceneSettings) -> dict[str, NDArray[np.float32]]:
    """Tell the retrieval an emissivity with the stated error.

    The error comes in patches of a few pixels and is the same on all dates.

    Parameters
    ----------
    ground : Ground
        The true emissivity.
    settings : SceneSettings
        Seed and stated error.

    Returns
    -------
    dict of str to ndarray (y, x, 5), float32, 1
        Prior and its uncertainty; empty where no error is stated.
    """
    if settings.emissivity_error is None:
        return {}
    rng = np.random.default_rng([settings.seed, SPLITS.index(settings.split), 3])
    shape = ground.emissivity.shape
    if ground.cover is not None:
        share = settings.emissivity_error
        prior, uncertainty = tell_emissivity(
            rng, ground.cover, stated=share, actual=share, of_surface=0.7, of_bands=0.3
        )
        spread = np.repeat(uncertainty[..., np.newaxis], 5, axis=-1)
        return {"emissivity_prior": prior, "emissivity_prior_uncertainty": spread}
    error = uniform_filter(rng.standard_normal(shape), size=(3, 3, 1), mode="wrap") * 3.0
    told = ground.emissivity + settings.emissivity_error * error
    return {
        "emissivity_prior": np.clip(told, 0.3, 1.0).astype(np.float32),
        "emissivity_prior_uncertainty": np.full(shape, settings.emissivity_error, np.float32),
    }


def ground_dataset(elevation: xr.DataArray, ground: Ground) -> xr.Dataset:
    """Collect what does not change from date to date.

    Parameters
    ----------
    elevation : DataArray (y, x), m
        Coordinates and coordinate reference system.
    ground : Ground
        The fields.

    Returns
    -------
    Dataset
        Elevation, relief (m), sky-view factor (1), slope (degrees), emissivity (1) and class.
    """
    fields = {
        "elevation": (ground.elevation, "m"),
        "sky_view_factor": (ground.sky_view_factor, "1"),
        "slope": (ground.slope, "degree"),
        "relief": (ground.relief, "m"),
    }
    ds = xr.Dataset(coords={"y": elevation["y"], "x": elevation["x"]})
    for name, (values, units) in fields.items():
        ds[name] = (("y", "x"), values.astype(np.float32), {"units": units})
    planes = np.moveaxis(ground.emissivity, -1, 0)
    ds["emissivity"] = (("band", "y", "x"), planes, {"units": "1"})
    ds["surface_class"] = (("y", "x"), ground.classes)
    ds = ds.assign_coords(band=np.array(sensor.BANDS, dtype=object))
    return describe(ds.rio.write_crs(elevation.rio.crs))
