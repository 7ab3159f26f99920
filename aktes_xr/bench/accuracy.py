"""Accuracy on simulated pixels never seen in training: teacher beside TES and split window.

Protocol G: unseen atmospheres and surfaces. Protocol P, like the published networks' own: the six
model atmospheres with scaled water, surfaces of the whole prior. NEdT 0.15 K. All methods are given
the same ancillaries with the same errors; TES and split window cannot do without theirs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np

from aktes_xr.baselines import split_window, tes
from aktes_xr.bench import BenchResult, Check, Table
from aktes_xr.learn.ancillaries import ALL, keep_only
from aktes_xr.learn.metrics import Scores, scores
from aktes_xr.learn.simulated import draw
from aktes_xr.models.bundle import load_bundle
from aktes_xr.models.features import QUANTITIES
from aktes_xr.radiative import surface_leaving_radiance
from aktes_xr.radiative.emulator import band_atmosphere

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import NDArray

    Float32Array = NDArray[np.float32]
    # Temperature and emissivities (sample, 6), and their uncertainties where the method states any.
    Estimate = tuple[Float32Array, Float32Array | None]

NEDT_K: Final = 0.15
SEED: Final = 77
_ANCILLARIES: Final[dict[str, frozenset[str]]] = {
    "all": ALL,
    "no emissivity prior": ALL - {"emissivity_prior"},
    "pressure only": frozenset({"surface_pressure"}),
}
_COLUMNS: Final = (
    "protocol",
    "method",
    "ancillaries",
    "stratum",
    "n",
    "T MAE (K)",
    "+-",
    "T bias",
    "T RMSE",
    "T PCC",
    "68 %",
    "95 %",
    "e MAE",
)


def run(*, quick: bool) -> BenchResult:
    """Score the shipped teacher and the physics baselines.

    Parameters
    ----------
    quick : bool
        Fewer samples.

    Returns
    -------
    BenchResult
    """
    size = 20_000 if quick else 200_000
    rows: list[tuple[Any, ...]] = []
    found: dict[tuple[str, str, str, str], tuple[Scores, Scores]] = {}
    protocols: tuple[Literal["G", "P"], ...] = ("G", "P")
    for protocol in protocols:
        sample, simulated = draw(
            size, split="test", seed=SEED, nedt_k=(NEDT_K, NEDT_K), protocol=protocol
        )
        strata = _strata(simulated)
        for (method, given), (estimate, sigma) in _estimates(sample.quantities, simulated).items():
            for stratum, members in strata.items():
                pair = _scored(estimate, sigma, sample.truth, members)
                if pair[0].n >= 200:
                    found[protocol, method, given, stratum] = pair
                    rows.append((protocol, method, given, stratum, *_cells(*pair)))
    return BenchResult(_checks(found), [Table("Unseen simulated pixels", _COLUMNS, rows)])


def _estimates(quantities: Float32Array, simulated: xr.Dataset) -> dict[tuple[str, str], Estimate]:
    teacher = load_bundle().teacher
    estimates: dict[tuple[str, str], Estimate] = {
        ("teacher", name): teacher.predict(keep_only(quantities, kept))
        for name, kept in _ANCILLARIES.items()
    }
    told = {name: simulated[name].to_numpy() for name in ("water_vapor", "air_temperature")}
    view = simulated["view_zenith"].to_numpy()
    pressure = quantities[:, QUANTITIES.index("surface_pressure")]
    transmittance, path, sky = band_atmosphere(
        told["water_vapor"], told["air_temperature"], pressure, view
    )
    radiance = simulated["radiance"].transpose("sample", "band").to_numpy()
    temperature, emissivity = tes(surface_leaving_radiance(radiance, transmittance, path), sky)
    estimates["tes", "no emissivity prior"] = (np.column_stack([temperature, emissivity]), None)
    prior = simulated["emissivity_prior"].transpose("sample", "band").to_numpy()
    split = split_window(
        quantities[:, :5].astype(np.float64),
        water_vapor=told["water_vapor"],
        emissivity=prior.astype(np.float64),
        view_zenith=view,
    )
    estimates["split window", "all"] = (np.column_stack([split, prior]), None)
    return estimates


def _strata(simulated: xr.Dataset) -> dict[str, NDArray[np.bool_]]:
    water = simulated["precipitable_water"].to_numpy()
    strata = {
        "all": np.ones(water.size, bool),
        "water < 25 kg m-2": water < 25.0,
        "water > 40 kg m-2": water > 40.0,
    }
    classes = simulated["surface_class"].to_numpy()
    for number, name in enumerate(str(simulated.attrs["classes"]).split()):
        strata[name] = classes == number
    return strata


def _scored(
    estimate: Float32Array,
    sigma: Float32Array | None,
    truth: Float32Array,
    members: NDArray[np.bool_],
) -> tuple[Scores, Scores]:
    pair = []
    for columns in (slice(0, 1), slice(1, 6)):
        stated = None if sigma is None else sigma[members, columns]
        pair.append(scores(estimate[members, columns], truth[members, columns], sigma=stated))
    return pair[0], pair[1]


def _cells(temperature: Scores, emissivity: Scores) -> tuple[Any, ...]:
    return (
        temperature.n,
        temperature.mae,
        temperature.mae_high - temperature.mae,
        temperature.bias,
        temperature.rmse,
        temperature.pcc,
        temperature.coverage68,
        temperature.coverage95,
        emissivity.mae,
    )


def _checks(found: dict[tuple[str, str, str, str], tuple[Scores, Scores]]) -> list[Check]:
    paper = found["P", "teacher", "all", "all"]
    whole = found["G", "teacher", "all", "all"]
    alone = found["G", "teacher", "pressure only", "all"][0]
    bare = found["G", "teacher", "no emissivity prior", "all"]
    physics = found["G", "tes", "no emissivity prior", "all"]
    return [
        Check.at_most("P, all ancillaries: temperature MAE", paper[0].mae, 0.30, "K"),
        Check.at_least("P, all ancillaries: temperature PCC", paper[0].pcc, 0.999, "1"),
        Check.at_most("P, all ancillaries: emissivity MAE", paper[1].mae, 0.0050, "1"),
        Check.at_most("G, teacher over TES, no prior: MAE", bare[0].mae / physics[0].mae, 0.6, "1"),
        Check.at_most("G, without atmosphere: temperature MAE", alone.mae, 0.75, "K"),
        Check.at_most("G, |coverage at 68 %|", abs((whole[0].coverage68 or 0) - 0.683), 0.04, "1"),
        Check.at_most("G, |coverage at 95 %|", abs((whole[0].coverage95 or 0) - 0.95), 0.02, "1"),
    ]
