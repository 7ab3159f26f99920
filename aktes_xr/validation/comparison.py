"""Scores of a result: against a truth on the same pixels, and of any matched pairs, by stratum."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from aktes_xr.cube import check_grid
from aktes_xr.errors import GridError, MissingVariableError, OverlapError
from aktes_xr.validation.metrics import Scores, scores
from aktes_xr.validation.pairs import Pairs
from aktes_xr.validation.quantity import Quantity
from aktes_xr.validation.reliability import Reliability, reliability
from aktes_xr.validation.strata import strata

__all__ = [
    "COLUMNS",
    "Comparison",
    "ValidationScore",
    "as_json",
    "cells",
    "compare",
    "strata_columns",
    "strata_rows",
    "validate",
]

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
_FEWEST_PAIRS: Final = 3


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
    OverlapError
        They have no pixel in common that holds a temperature, where all pixels count.
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
        raise OverlapError(
            "result and truth have no pixel in common that holds a temperature: "
            f"{_known(truth)} in the truth, {_known(result)} in the result"
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


@dataclass(frozen=True)
class Comparison:
    """Scores of matched pairs, overall and by stratum.

    Attributes
    ----------
    name : str
        What was compared.
    overall : Scores
        Intervals count the clusters of the pairs.
    strata : mapping of str to Scores
        By circumstance; those of fewer than three pairs are left out.
    reliability : Reliability or None
        None where no uncertainty is stated.
    basis : str
        What the intervals count as independent.
    left_out : mapping of str to int
        Why pixels were not compared, and how many.
    notes : sequence of str
        What a reader of the scores has to know.
    pairs : Pairs
        What was scored.
    emissivity : Comparison or None
        Of the same reference's emissivity, where it has one beside the temperature.
    """

    name: str
    overall: Scores
    strata: Mapping[str, Scores]
    reliability: Reliability | None
    basis: str
    left_out: Mapping[str, int]
    notes: Sequence[str]
    pairs: Pairs
    emissivity: Comparison | None = None

    @property
    def quantity(self) -> Quantity:
        """What was compared."""
        return self.pairs.quantity

    def as_dict(self) -> dict[str, Any]:
        """Return plain types for JSON: the overall scores by name, and the rest beside them."""
        flat, unit = self.overall.as_dict(), self.quantity.suffix
        found = {
            "name": self.name,
            "quantity": self.quantity.name,
            "pixels": flat["n"],
            f"mae{unit}": flat["mae"],
            f"bias{unit}": flat["bias"],
            f"rmse{unit}": flat["rmse"],
            "pcc": flat["pcc"],
            "inside_68": flat["coverage68"],
            "inside_95": flat["coverage95"],
            f"median{unit}": flat["median"],
            f"robust_sd{unit}": flat["spread"],
            f"bias_95{unit}": [flat["bias_low"], flat["bias_high"]],
            f"mae_95{unit}": [flat["mae_low"], flat["mae_high"]],
            "intervals": self.basis,
            "left_out": dict(self.left_out),
            "notes": list(self.notes),
            "strata": {name: one.as_dict() for name, one in self.strata.items()},
            "reliability": None if self.reliability is None else self.reliability.as_dict(unit),
        }
        if self.emissivity is not None:
            found["emissivity"] = self.emissivity.as_dict()
        return found


def compare(pairs: Pairs) -> Comparison:
    """Score matched pairs.

    Parameters
    ----------
    pairs : Pairs
        Of `aktes_xr.validation.matching.pair_fields` or
        `aktes_xr.validation.sites.pair_stations`.

    Returns
    -------
    Comparison
    """

    def of(mask: NDArray[np.bool_] | slice) -> Scores:
        sigma = None if pairs.sigma is None else pairs.sigma[mask]
        return scores(
            pairs.estimate[mask], pairs.truth[mask], sigma=sigma, groups=pairs.clusters[mask]
        )

    error = pairs.estimate.astype(np.float64) - pairs.truth
    classes = strata(pairs.circumstances)
    return Comparison(
        name=pairs.name,
        overall=of(slice(None)),
        strata={name: of(mask) for name, mask in classes.items() if mask.sum() >= _FEWEST_PAIRS},
        reliability=reliability(error, pairs.sigma),
        basis=pairs.basis,
        left_out=pairs.left_out,
        notes=pairs.notes,
        pairs=pairs,
    )


def strata_columns(comparison: Comparison) -> tuple[str, ...]:
    """Return the headings of a table of all scores, with the unit of what was compared.

    Parameters
    ----------
    comparison : Comparison

    Returns
    -------
    tuple of str
    """
    unit = comparison.quantity.labelled
    scored = (unit("bias"), "95 % interval", *map(unit, ("median", "MAE", "RMSE", "robust sd")))
    return ("", "pairs", *scored, "PCC", "inside 68 %", "inside 95 %")


def strata_rows(comparison: Comparison) -> list[tuple[str, ...]]:
    """Return the rows of a table of all scores.

    Parameters
    ----------
    comparison : Comparison

    Returns
    -------
    list of tuple of str
        In the order of `strata_columns`, all pairs first.
    """
    digits = comparison.quantity.digits
    every = {"all": comparison.overall, **comparison.strata}
    return [
        (
            name,
            f"{one.n:,}",
            f"{one.bias:+.{digits}f}",
            _interval(one.bias_low, one.bias_high, digits),
            f"{one.median:+.{digits}f}",
            f"{one.mae:.{digits}f}",
            f"{one.rmse:.{digits}f}",
            f"{one.spread:.{digits}f}",
            "n/a" if np.isnan(one.pcc) else f"{one.pcc:.4f}",
            *(_share(share) for share in (one.coverage68, one.coverage95)),
        )
        for name, one in every.items()
    ]


def _interval(low: float, high: float, digits: int) -> str:
    return "unknown" if np.isnan(low) else f"{low:+.{digits}f} to {high:+.{digits}f}"


def _share(share: float | None) -> str:
    return "not stated" if share is None else f"{100 * share:.0f} %"


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
    inside = [_share(share) for share in (score.inside_68, score.inside_95)]
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


def _known(ds: xr.Dataset) -> str:
    """Say how many pixels have a temperature, and where."""
    known = ds["surface_temperature"].notnull()
    spans = []
    for axis in ("x", "y"):
        along = known.any([dim for dim in known.dims if dim != axis]).to_numpy()
        places = np.asarray(known[axis])[along]
        spans.append(f"{axis} {places.min():.0f} to {places.max():.0f}" if places.size else "")
    where = ", ".join(span for span in spans if span)
    return f"{int(known.sum()):,} pixels" + (f" ({where})" if where else "")


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
