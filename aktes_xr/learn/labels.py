"""A user's own pixels to distil with: quantities, and labels with their errors where there are any.

A table (CSV, Parquet, or a Zarr store of one-dimensional variables) has one row per pixel. Its
columns are the names of `aktes_xr.models.features.QUANTITIES`, those of the five brightness
temperatures at least, and ``slope`` (degrees) is taken for ``sine_of_slope``; labels are
``surface_temperature`` (K) with ``surface_temperature_error`` and ``emissivity_B10`` ...
``emissivity_B14`` with ``emissivity_error``. Pixels without a label learn from the teacher.
`local_pixels` makes such a table from a cube and a standard product on its grid (AST_08
temperature, AST_05 emissivity) or any other map.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import xarray as xr

from aktes_xr import sensor
from aktes_xr.errors import InputError, MissingVariableError
from aktes_xr.learn.pixels import UNLABELLED
from aktes_xr.models.features import N_OUTPUTS, QUANTITIES

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from aktes_xr.compilation import Float32Array


STANDARD_ERRORS: Final = (1.0, 0.01)
"""Assumed of labels that come without: K and 1, about the standard product's."""
_EMISSIVITY: Final = tuple(f"emissivity_{band}" for band in sensor.BANDS)
_NEEDED: Final = tuple(f"brightness_temperature_{band}" for band in sensor.BANDS)


@dataclass(frozen=True, eq=False)
class LocalPixels:
    """Pixels of a region.

    Attributes
    ----------
    quantities : ndarray (pixel, quantity), float32
        In the order of `QUANTITIES`; NaN where missing.
    truth : ndarray (pixel, 6), float32
        Labels of temperature (K) and emissivities; NaN where there is none.
    error : ndarray (pixel, 6), float32
        Their standard errors; `UNLABELLED` where there is no label.
    """

    quantities: Float32Array
    truth: Float32Array
    error: Float32Array

    @property
    def n_labelled(self) -> int:
        """Number of pixels with a temperature."""
        return int(np.isfinite(self.error[:, 0]).sum())

    @property
    def n_unlabelled(self) -> int:
        """Number of pixels without."""
        return len(self.error) - self.n_labelled


def read_labels(path: str | Path) -> LocalPixels:
    """Read a table of pixels (see the module).

    Parameters
    ----------
    path : str or Path
        ``.csv``, ``.parquet`` or ``.zarr``.

    Returns
    -------
    LocalPixels

    Raises
    ------
    InputError
        It is no such table, is empty, or a number is not possible.
    MissingVariableError
        A brightness temperature is missing.
    """
    return from_table(_read(Path(path)), name=Path(path).name)


def _read(path: Path) -> pd.DataFrame:
    import pandas as pd

    if not path.exists():
        raise InputError(f"found no labels at {path.name!r}: expected a CSV, Parquet or Zarr table")
    if path.suffix == ".csv":
        return pd.read_csv(path)
    if path.suffix == ".parquet":
        try:
            return pd.read_parquet(path)
        except ImportError as error:
            raise InputError(
                f"{path.name}: reading Parquet needs pyarrow, which is not installed here; install "
                "it, or write the table as CSV or Zarr"
            ) from error
    if path.suffix == ".zarr":
        return xr.open_zarr(path, consolidated=False).to_dataframe()
    raise InputError(
        f"found labels in a {path.suffix or 'nameless'} file; expected .csv, .parquet or .zarr"
    )


def from_table(table: pd.DataFrame, *, name: str = "the table") -> LocalPixels:
    """Turn a table with one row per pixel into `LocalPixels`; unknown columns are left out.

    Parameters
    ----------
    table : DataFrame
    name : str
        For messages.
    """
    if missing := [column for column in _NEEDED if column not in table]:
        raise MissingVariableError(
            f"{name} lacks {', '.join(missing)}: expected columns named as the quantities, K"
        )
    if len(table) == 0:
        raise InputError(f"{name} has no rows")
    if "slope" in table:
        table = table.assign(sine_of_slope=np.sin(np.deg2rad(table["slope"])))
    quantities = _columns(table, QUANTITIES)
    if not np.isfinite(quantities[:, : len(_NEEDED)]).all():
        raise InputError(f"{name} has rows without all five brightness temperatures: remove them")
    truth = _columns(table, ("surface_temperature", *_EMISSIVITY))
    given = _columns(table, ("surface_temperature_error", "emissivity_error"))
    error = np.where(np.isfinite(given), given, np.array(STANDARD_ERRORS, np.float32))
    error = np.repeat(error, (1, N_OUTPUTS - 1), axis=1)
    known = np.isfinite(truth)
    low, high = sensor.TEMPERATURE_RANGE_K
    possible = (truth[:, 0] > low) & (truth[:, 0] < high)
    dark = (truth[:, 1:] > 0.2) & (truth[:, 1:] <= 1.05)
    if not (possible | ~known[:, 0]).all() or not (dark | ~known[:, 1:]).all():
        raise InputError(
            f"{name} has labels outside {low:g}..{high:g} K or emissivities outside 0.2..1.05: "
            "scale them (AST_08 is 0.1 K, AST_05 is 0.001 per count) and leave fill values empty"
        )
    if not (error > 0).all():
        raise InputError(f"{name} states errors of labels that are not positive")
    return LocalPixels(quantities, truth, np.where(known, error, UNLABELLED).astype(np.float32))


def _columns(table: pd.DataFrame, names: tuple[str, ...]) -> Float32Array:
    columns = [
        table[name].to_numpy(np.float32, na_value=np.nan)
        if name in table
        else np.full(len(table), np.nan, np.float32)
        for name in names
    ]
    return np.stack(columns, axis=1)


def local_pixels(
    cube: xr.Dataset,
    *,
    surface_temperature: xr.DataArray | None = None,
    emissivity: xr.DataArray | None = None,
    errors: tuple[float, float] = STANDARD_ERRORS,
    most: int = 100_000,
    seed: int = 0,
) -> LocalPixels:
    """Take pixels of one date of a cube, with labels from maps on its grid.

    Parameters
    ----------
    cube : Dataset
        One date, with elevation; computed here.
    surface_temperature : DataArray (y, x), K, optional
        NaN where there is no label.
    emissivity : DataArray (band, y, x), 1, optional
    errors : (float, float), K and 1
        Standard errors of the labels.
    most : int
        More pixels than this are thinned at random.
    seed : int

    Returns
    -------
    LocalPixels

    Raises
    ------
    InputError
        The cube has several dates, or no pixel with a measurement.
    """
    from aktes_xr.retrieval.inputs import terrain_of

    if cube.sizes.get("time", 1) != 1:
        raise InputError(f"found {cube.sizes['time']} dates; expected one: use isel(time=[0])")
    fields = _fields(cube.isel(time=0) if "time" in cube.dims else cube, terrain_of(cube))
    shape = (cube.sizes["y"], cube.sizes["x"])
    quantities = np.full((shape[0] * shape[1], len(QUANTITIES)), np.nan, np.float32)
    for index, name in enumerate(QUANTITIES):
        if name in fields:
            quantities[:, index] = np.broadcast_to(fields[name], shape).ravel()
    truth = np.full((len(quantities), N_OUTPUTS), np.nan, np.float32)
    if surface_temperature is not None:
        truth[:, 0] = surface_temperature.transpose("y", "x").to_numpy().ravel()
    if emissivity is not None:
        planes = emissivity.transpose("y", "x", "band").to_numpy()
        truth[:, 1:] = planes.reshape(-1, N_OUTPUTS - 1)
    usable = np.flatnonzero(np.isfinite(quantities[:, : len(_NEEDED)]).all(axis=1))
    if usable.size == 0:
        raise InputError("the cube has no pixel with a measurement in all five bands")
    if usable.size > most:
        usable = np.sort(np.random.default_rng(seed).choice(usable, most, replace=False))
    known = np.isfinite(truth[usable])
    stated = np.array([errors[0], *[errors[1]] * (N_OUTPUTS - 1)], np.float32)
    error = np.where(known, stated, UNLABELLED)
    return LocalPixels(quantities[usable], truth[usable], error.astype(np.float32))


def _fields(date: xr.Dataset, terrain: xr.Dataset) -> dict[str, NDArray[np.float32]]:
    """Quantities of one date by name, (y, x) or one number."""
    from aktes_xr.radiative import surface_pressure_from_elevation
    from aktes_xr.simulate.landscape import NEIGHBOURHOOD_PIXELS, neighbourhood_radiance
    from aktes_xr.terrain import grid_convergence, local_incidence

    radiance = sensor.dn_to_radiance(date["tir"].transpose("y", "x", "band").to_numpy())
    kelvin = sensor.radiance_to_brightness_temperature(radiance)
    valid = np.isfinite(radiance).all(axis=-1, keepdims=True)
    share = neighbourhood_radiance(np.repeat(valid, 5, axis=-1).astype(np.float32))
    total = neighbourhood_radiance(np.where(valid, radiance, 0.0).astype(np.float32))
    # A window without any measurement has no pixel to describe.
    around = total / np.maximum(share, 0.5 / NEIGHBOURHOOD_PIXELS**2)
    adjacent = sensor.radiance_to_brightness_temperature(around.astype(np.float32))
    found: dict[str, NDArray[np.float32]] = {}
    for number, band in enumerate(sensor.BANDS):
        found[f"brightness_temperature_{band}"] = kelvin[..., number]
        found[f"adjacent_brightness_temperature_{band}"] = adjacent[..., number]
        if "emissivity_prior" in date:
            found[f"emissivity_prior_{band}"] = date["emissivity_prior"].sel(band=band).to_numpy()
    for name in (
        "view_zenith",
        "water_vapor",
        "water_vapor_error",
        "air_temperature",
        "air_temperature_error",
    ):
        if name in date.variables:
            found[name] = date[name].to_numpy()
    if "emissivity_prior_uncertainty" in date:
        squared = date["emissivity_prior_uncertainty"] ** 2
        found["emissivity_prior_uncertainty"] = (squared.mean("band") ** 0.5).to_numpy()
    for name in ("sky_view_factor", "relief"):
        found[name] = terrain[name].to_numpy()
    slope = terrain["slope"].to_numpy()
    found["sine_of_slope"] = np.sin(np.deg2rad(slope))
    elevation = date["elevation"]
    found["surface_pressure"] = surface_pressure_from_elevation(elevation.to_numpy())
    if "ancillary_elevation" in date:
        found["elevation_difference"] = (elevation - date["ancillary_elevation"]).to_numpy()
    if "sun_zenith" in date.coords:
        azimuth = float(date["sun_azimuth"]) - grid_convergence(elevation)
        zenith = float(date["sun_zenith"])
        aspect = np.nan_to_num(terrain["aspect"].to_numpy())
        cosine = local_incidence(slope, aspect, zenith, azimuth)
        found["solar_incidence"] = np.clip(cosine, 0.0, 1.0) * np.float32(zenith < 90.0)
    return found
