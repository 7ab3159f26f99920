"""Fit the split window's coefficients: ``python -m aktes_xr.tables.split_window``.

In each class of water vapour, least squares on simulated samples with the sensor's noise and the
true emissivity, over training atmospheres and surfaces; the residuals that are shipped with the
coefficients are those of the validation split. Classes overlap, because they are interpolated.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from aktes_xr.baselines.split_window import predictors
from aktes_xr.sensor import BANDS
from aktes_xr.simulate.observation import SampleRecipe
from aktes_xr.simulate.samples import simulate_samples

TARGET: Final = Path(__file__).parents[1] / "data" / "split_window.json"
EDGES: Final = (0.0, 5.0, 10.0, 17.0, 25.0, 35.0, 47.0, 62.0)
"""Water vapour (kg m-2) at which classes meet; each reaches a third of its width into the next."""
_OVERLAP: Final = 1 / 3
_SPLIT_WINDOW: Final = [BANDS.index("B13"), BANDS.index("B14")]


def _terms(samples: xr.Dataset) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    brightness = samples["brightness_temperature"].to_numpy()[:, _SPLIT_WINDOW]
    emissivity = samples["emissivity"].to_numpy()[:, _SPLIT_WINDOW]
    secant = 1.0 / np.cos(np.deg2rad(samples["view_zenith"].to_numpy().astype(np.float64)))
    terms = predictors(brightness[:, 0], brightness[:, 1], emissivity, secant)
    return terms, samples["surface_temperature"].to_numpy().astype(np.float64)


def _members(water: NDArray[Any], low: float, high: float) -> NDArray[np.bool_]:
    margin = _OVERLAP * (high - low)
    return np.asarray((water >= low - margin) & (water < high + margin))


def fit_split_window(size: int = 600_000, seed: int = 0) -> dict[str, Any]:
    """Fit the coefficients.

    Parameters
    ----------
    size : int
        Number of training samples; a quarter as many validate.
    seed : int

    Returns
    -------
    dict
        What is shipped: classes with coefficients and residuals, assumed emissivity, provenance.
    """
    recipe = SampleRecipe(size=size, seed=seed)
    train = simulate_samples(recipe)
    check = simulate_samples(SampleRecipe(size=size // 4, seed=seed, split="validation"))
    terms, truth = _terms(train)
    check_terms, check_truth = _terms(check)
    water = train["precipitable_water"].to_numpy()
    check_water = check["precipitable_water"].to_numpy()
    classes = []
    for low, high in itertools.pairwise(EDGES):
        chosen = _members(water, low, high)
        scale = np.abs(terms[chosen]).max(axis=0)
        solution = np.linalg.lstsq(terms[chosen] / scale, truth[chosen], rcond=None)[0] / scale
        seen = (check_water >= low) & (check_water < high)
        residual = check_terms[seen] @ solution - check_truth[seen]
        classes.append(
            {
                "water_vapor": (low + high) / 2,
                "coefficients": [float(f"{value:.9g}") for value in solution],
                "samples": int(chosen.sum()),
                "validation_rmse_k": round(float(np.sqrt(np.mean(residual**2))), 3),
                "validation_bias_k": round(float(residual.mean()), 3),
            }
        )
    mean = train["emissivity"].to_numpy().mean(axis=0)[_SPLIT_WINDOW]
    return {
        "equation": "Wan and Dozier 1996 (11), with (T13-T14)^2 and (sec-1)(T13-T14)",
        "water_vapor_max": EDGES[-1],
        "emissivity": [round(float(value), 4) for value in mean],
        "provenance": {
            "command": "python -m aktes_xr.tables.split_window",
            "samples": size,
            "seed": seed,
            "nedt_k": list(recipe.nedt_range_k),
            "emissivity": "true",
            "water_vapor": "true",
        },
        "classes": classes,
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Fit and write.

    Parameters
    ----------
    arguments : sequence of str, optional
        Arguments of the command; by default those of the process.

    Returns
    -------
    int
        Exit code, 0.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=600_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=TARGET)
    options = parser.parse_args(arguments)
    document = fit_split_window(options.size, options.seed)
    options.out.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    for entry in document["classes"]:
        sys.stdout.write(
            f"{entry['water_vapor']:6.1f} kg m-2: rmse {entry['validation_rmse_k']:.3f} K, bias "
            f"{entry['validation_bias_k']:+.3f} K\n"
        )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
