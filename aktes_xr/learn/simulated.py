"""Simulated pixels as networks learn from them: quantities and truth."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final, Literal

import numpy as np

from aktes_xr import sensor
from aktes_xr.learn.training import Sample
from aktes_xr.models.features import N_QUANTITIES, QUANTITIES
from aktes_xr.simulate.observation import SampleRecipe, to_dataset
from aktes_xr.simulate.samples import simulate_samples
from aktes_xr.simulate.terrain_samples import terrain_fields

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import NDArray

    from aktes_xr.learn.recipe import AncillaryErrors
    from aktes_xr.simulate.domains import Locality

    Float32Array = NDArray[np.float32]

_PER_BAND: Final = ("brightness_temperature", "emissivity_prior", "adjacent_brightness_temperature")
Split = Literal["train", "validation", "test"]


def draw(
    size: int,
    *,
    split: Split,
    seed: int,
    nedt_k: tuple[float, float],
    terrain: bool = False,
    protocol: Literal["G", "P"] = "G",
    errors: AncillaryErrors | None = None,
    even_water: bool = False,
    locality: Locality | None = None,
) -> tuple[Sample, xr.Dataset]:
    """Simulate pixels of one split.

    Parameters
    ----------
    size : int
    split : "train", "validation" or "test"
        Atmospheres and surfaces of the three have nothing in common.
    seed : int
    nedt_k : tuple of float, K
    terrain : bool
        In terrain, with its quantities.
    protocol : "G" or "P"
        Global, or like the paper's.
    errors : AncillaryErrors, optional
        Those of `aktes_xr.simulate.samples.SampleRecipe` if not given.
    even_water : bool
        Wet columns more often than there are profiles of them; on flat ground.
    locality : Locality, optional
        One region instead of everywhere; in terrain.

    Returns
    -------
    Sample, Dataset
        For the networks, and all that was simulated.
    """
    recipe = SampleRecipe(
        size=size,
        seed=seed,
        split=split,
        protocol=protocol,
        terrain=terrain,
        nedt_range_k=nedt_k,
        even_water=even_water,
    )
    if errors is not None:
        recipe = replace(
            recipe,
            water_vapor_error=errors.water_vapor,
            air_temperature_error_k=errors.air_temperature_k,
            emissivity_error=errors.emissivity,
            emissivity_error_common=errors.emissivity_common,
            wrong_ancillaries=errors.wrong,
        )
    if locality is None:
        simulated = simulate_samples(recipe)
    else:
        simulated = to_dataset(terrain_fields(recipe, locality), recipe)
    return Sample(quantities(simulated), truth(simulated)), simulated


def quantities(simulated: xr.Dataset) -> Float32Array:
    """Arrange simulated pixels as `aktes_xr.models.features.QUANTITIES`; NaN where absent."""
    table = np.full((simulated.sizes["sample"], N_QUANTITIES), np.nan, np.float32)
    for name in _PER_BAND:
        if name in simulated:
            first = QUANTITIES.index(f"{name}_{sensor.BANDS[0]}")
            table[:, first : first + 5] = simulated[name].transpose("sample", "band").to_numpy()
    uncertainty = simulated["emissivity_prior_uncertainty"]
    if "band" in uncertainty.dims:
        uncertainty = (uncertainty**2).mean("band") ** 0.5
    table[:, QUANTITIES.index("emissivity_prior_uncertainty")] = uncertainty.to_numpy()
    if "slope" in simulated:
        sine = np.sin(np.deg2rad(simulated["slope"].to_numpy()))
        table[:, QUANTITIES.index("sine_of_slope")] = sine
    for index, name in enumerate(QUANTITIES):
        if name in simulated and simulated[name].dims == ("sample",):
            table[:, index] = simulated[name].to_numpy()
    return table


def truth(simulated: xr.Dataset) -> Float32Array:
    """Surface temperature (K) and five emissivities, (sample, 6)."""
    emissivity = simulated["emissivity"].transpose("sample", "band").to_numpy()
    temperature = simulated["surface_temperature"].to_numpy()
    return np.column_stack([temperature, emissivity]).astype(np.float32)
