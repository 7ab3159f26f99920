"""A result against a truth on the same ground: the simulation's own, a standard product, a map."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from aktes_xr.cube import check_grid
from aktes_xr.cube.raster import open_band
from aktes_xr.errors import (
    GridError,
    InputError,
    MissingVariableError,
    NodataError,
    StoreNotFoundError,
)
from aktes_xr.validation.metrics import scores

__all__ = ["COLUMNS", "ValidationScore", "as_json", "cells", "open_truth", "validate"]

COLUMNS = (
    "",
    "pixels",
    "MAE (K)",
    "bias (K)",
    "RMSE (K)",
    "PCC",
    "inside 68 %",
    "inside 95 %",
    "emissivity MAE",
)


@dataclass(frozen=True)
class ValidationScore:
    """How far a result is from the truth over some pixels.

    Attributes
    ----------
    name : what was scored
    pixels : pixels with both a temperature and a true one
    mae_k, bias_k, rmse_k : of the surface temperature, K
    pcc : Pearson's correlation of the temperatures
    inside_68, inside_95 : share of errors within 1 and 1.96 stated uncertainties, or None
    emissivity_mae : over the five bands, or None without a true emissivity
    """

    name: str
    pixels: int
    mae_k: float
    bias_k: float
    rmse_k: float
    pcc: float
    inside_68: float | None
    inside_95: float | None
    emissivity_mae: float | None


def validate(
    result: xr.Dataset, truth: xr.Dataset, *, name: str = "all", where: xr.DataArray | None = None
) -> ValidationScore:
    """Score a result's temperature, uncertainty and emissivity.

    Parameters
    ----------
    result : Dataset
        What `aktes_xr.retrieve` returns, computed or not.
    truth : Dataset
        ``surface_temperature`` (K), with or without time, and ``emissivity`` if there is one, on
        the result's grid.
    name : str
        What the score is called.
    where : DataArray of bool (y, x), optional
        The pixels that count.

    Returns
    -------
    ValidationScore

    Raises
    ------
    MissingVariableError
        One of them has no ``surface_temperature``.
    GridError
        The truth lies on other pixels, or has other dates.
    NodataError
        Result and truth have no pixel in common, where all pixels count.
    """
    for what, ds in (("result", result), ("truth", truth)):
        if "surface_temperature" not in ds:
            raise MissingVariableError(
                f"the {what} has no 'surface_temperature' (found: {sorted(map(str, ds.data_vars))})"
            )
    check_grid(truth["surface_temperature"], result, name="the truth")
    temperature = scores(
        _values(result, "surface_temperature", where),
        _matching(truth, result, "surface_temperature"),
        sigma=_sigma(result),
    )
    if temperature.n == 0 and where is None:
        raise NodataError(
            "result and truth have no pixel in common that holds a temperature: give the truth of "
            "the same place and dates"
        )
    emissivity = None
    if "emissivity" in truth and "emissivity" in result:
        found = _values(result, "emissivity", where)
        emissivity = scores(found, _matching(truth, result, "emissivity")).mae
    return ValidationScore(
        name=name,
        pixels=temperature.n,
        mae_k=temperature.mae,
        bias_k=temperature.bias,
        rmse_k=temperature.rmse,
        pcc=temperature.pcc,
        inside_68=temperature.coverage68,
        inside_95=temperature.coverage95,
        emissivity_mae=emissivity,
    )


def open_truth(path: Path, like: xr.Dataset, *, scale: float = 1.0) -> xr.Dataset:
    """Open a Zarr store, or a raster of surface temperature, on a result's grid.

    Parameters
    ----------
    path : Path
        A Zarr store with ``surface_temperature``; or a raster, whose nodata and zeros are no
        measurement. A raster is brought to the grid by nearest neighbour.
    like : Dataset
        Whose grid it is brought to.
    scale : float
        What a raster's values are multiplied by to give kelvin: 0.1 for AST_08.

    Returns
    -------
    Dataset
        ``surface_temperature``, K, and what else a store holds.

    Raises
    ------
    StoreNotFoundError
        There is nothing at ``path``, or a folder that is no Zarr store.
    InputError
        The raster has several bands, or its values times the scale are no temperatures in kelvin.
    """
    if not path.exists():
        raise StoreNotFoundError(f"found no truth {path.name}; give a Zarr store or a raster")
    if path.is_dir():
        try:
            ds: xr.Dataset = xr.open_zarr(path, consolidated=False, decode_coords="all")
        except FileNotFoundError:
            raise StoreNotFoundError(
                f"the folder {path.name} is no Zarr store (it has no zarr.json); give one with "
                "surface_temperature, or a raster"
            ) from None
        return ds
    raster = open_band(path, holds="temperature")
    kelvin = raster.where(lambda value: value > 0) * scale
    median = float(kelvin.median())
    if not 150.0 < median < 400.0:
        raise InputError(
            f"{path.name} times {scale} has a median of {median:.6g}, no surface temperature in "
            "kelvin; give the raster's scale (0.1 for AST_08)"
        )
    matched: xr.DataArray = kelvin.rio.write_crs(raster.rio.crs).rio.reproject_match(
        like["surface_temperature"], nodata=np.nan
    )
    # The same numbers, so that both share their pixels exactly.
    matched = matched.assign_coords(x=like["x"], y=like["y"])
    return xr.Dataset({"surface_temperature": matched.drop_attrs()})


def as_json(score: ValidationScore) -> dict[str, Any]:
    """Return a score as plain types, None for what has no value, such as a constant's correlation.

    Parameters
    ----------
    score : ValidationScore
        The score.

    Returns
    -------
    dict
    """
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in asdict(score).items()
    }


def cells(score: ValidationScore) -> Sequence[str]:
    """Format a score as the row of a table.

    Parameters
    ----------
    score : ValidationScore
        The score.

    Returns
    -------
    sequence of str
        In the order of `COLUMNS`.
    """
    inside = [
        "not stated" if share is None else f"{100 * share:.0f} %"
        for share in (score.inside_68, score.inside_95)
    ]
    return (
        score.name,
        f"{score.pixels:,}",
        f"{score.mae_k:.2f}",
        f"{score.bias_k:+.2f}",
        f"{score.rmse_k:.2f}",
        f"{score.pcc:.4f}",
        *inside,
        "unknown" if score.emissivity_mae is None else f"{score.emissivity_mae:.4f}",
    )


def _values(ds: xr.Dataset, name: str, where: xr.DataArray | None) -> xr.DataArray:
    return ds[name] if where is None else ds[name].where(where)


def _matching(truth: xr.Dataset, result: xr.Dataset, name: str) -> NDArray[Any]:
    """Return a true field in the shape of the result's, by position."""
    true, found = truth[name], result[name]
    if "time" in found.dims and "time" not in true.dims:
        true = true.expand_dims(time=found.sizes["time"])
    true = true.transpose(*found.dims)
    if true.shape != found.shape:
        raise GridError(
            f"the truth's {name} has shape {true.shape}, the result's {found.shape}: give the "
            "truth of the same dates"
        )
    return np.asarray(true.values)


def _sigma(result: xr.Dataset) -> xr.DataArray | None:
    """Return the stated uncertainty, unless the method states none."""
    sigma = result.get("surface_temperature_uncertainty")
    return None if sigma is None or not bool(sigma.notnull().any()) else sigma
