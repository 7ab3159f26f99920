"""Simulated pixels as networks learn from them: quantities and truth."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Literal

import numpy as np

from aktes_xr import sensor
from aktes_xr.models.features import N_OUTPUTS, N_QUANTITIES, QUANTITIES, standardised_features
from aktes_xr.models.pixel_model import Scaling
from aktes_xr.models.quantities import REFERENCE
from aktes_xr.simulate.samples import SampleRecipe, simulate_samples, to_dataset
from aktes_xr.simulate.terrain_samples import terrain_fields

if TYPE_CHECKING:
    import xarray as xr

    from aktes_xr.compilation import Float32Array
    from aktes_xr.learn.recipe import AncillaryErrors
    from aktes_xr.models import PixelModel, Scaling
    from aktes_xr.simulate.terrain_samples import Locality

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


N_SOFT: Final = 2 * N_OUTPUTS
UNLABELLED: Final = np.float32(np.inf)
"""Error of a label that is not there."""


@dataclass(frozen=True, eq=False)
class Sample:
    """Pixels to learn from.

    Attributes
    ----------
    quantities : ndarray (sample, 27), float32
    truth : ndarray (sample, 6), float32
        Surface temperature (K) and five emissivities.
    """

    quantities: Float32Array
    truth: Float32Array

    def targets(self, scaling: Scaling) -> Float32Array:
        """Return standardised outputs: temperature excess and emissivities."""
        raw = self.truth.copy()
        raw[:, 0] -= self.quantities[:, REFERENCE]
        return np.asarray((raw - scaling.output_center) / scaling.output_scale, np.float32)

    def inputs(self, scaling: Scaling) -> Float32Array:
        """Return standardised features (sample, feature)."""
        tile = standardised_features(self.quantities, scaling.center, scaling.scale)
        return np.ascontiguousarray(tile.T)

    def joined(self, other: Sample) -> Sample:
        """Return the pixels of both."""
        return Sample(
            np.concatenate([self.quantities, other.quantities]),
            np.concatenate([self.truth, other.truth]),
        )

    def dropped(self, rng: np.random.Generator) -> Sample:
        """Return the sample with ancillaries removed at random."""
        return Sample(drop_ancillaries(self.quantities, rng), self.truth)


@dataclass(frozen=True, eq=False)
class SoftSample(Sample):
    """Pixels with a teacher's answers, and labels with errors.

    Attributes
    ----------
    teacher : PixelModel, Answers or None
        Asked anew whenever ancillaries are dropped; or fixed answers. None: there is no teacher.
    label_error : ndarray (sample, 6), float32, or None
        Standard errors of the truth's columns, `UNLABELLED` where there is none; None: exact.
    hints : Hints or None
        What the teacher's last hidden layer says, for feature distillation.
    keep : bool
        Whether ancillaries stay as they are instead of being dropped at random.
    """

    teacher: PixelModel | Answers | None
    label_error: Float32Array | None = None
    hints: Hints | None = None
    keep: bool = False

    @property
    def labelled_share(self) -> float:
        """Share of the pixels with a temperature."""
        if self.label_error is None:
            return 1.0
        return max(float(np.isfinite(self.label_error[:, 0]).mean()), 1e-6)

    def known_truth(self) -> Float32Array:
        """Return the truth, with the teacher's answers where there is none."""
        if self.label_error is None:
            return self.truth
        known = np.isfinite(self.label_error)
        if known.all() or self.teacher is None:
            return self.truth
        estimate, _ = self.teacher.predict(self.quantities)
        return np.where(known, self.truth, estimate).astype(np.float32)

    def dropped(self, rng: np.random.Generator) -> SoftSample:
        """Return the sample with ancillaries removed at random, unless they are to be kept."""
        if self.keep:
            return self
        reduced = drop_ancillaries(self.quantities, rng)
        return SoftSample(reduced, self.truth, self.teacher, self.label_error, self.hints)

    def inputs(self, scaling: Scaling) -> Float32Array:
        """Return the student's features, then the teacher's answers, standardised for it."""
        parts = [super().inputs(scaling), self.soft(scaling)]
        if self.hints is not None:
            parts.append(self.hints.of(self.quantities))
        return np.ascontiguousarray(np.hstack(parts))

    def soft(self, scaling: Scaling) -> Float32Array:
        """Return the teacher's means and logarithms of variances (sample, 12) for the student."""
        if self.teacher is None:
            return np.zeros((len(self.truth), N_SOFT), np.float32)
        estimate, sigma = self.teacher.predict(self.quantities)
        raw = estimate.copy()
        raw[:, 0] -= self.quantities[:, REFERENCE]
        mean = (raw - scaling.output_center) / scaling.output_scale
        log_variance = 2.0 * np.log(sigma / scaling.output_scale)
        return np.hstack([mean, log_variance]).astype(np.float32)

    def targets(self, scaling: Scaling) -> Float32Array:
        """Return standardised labels and their errors, (sample, 12)."""
        labels = super().targets(scaling)
        if self.label_error is None:
            return np.hstack([labels, np.zeros_like(labels)])
        error = (self.label_error / scaling.output_scale).astype(np.float32)
        labels = np.where(np.isfinite(error), labels, np.float32(0.0))
        return np.hstack([labels, np.where(np.isfinite(error), error, np.float32(-1.0))])


@dataclass(frozen=True, eq=False)
class Answers:
    """Estimates and uncertainties (sample, 6), K and 1, known beforehand for some pixels."""

    estimate: Float32Array
    sigma: Float32Array

    def predict(self, quantities: Float32Array) -> tuple[Float32Array, Float32Array]:
        """Return them, whatever is asked."""
        return self.estimate, self.sigma


@dataclass(frozen=True, eq=False)
class Hints:
    """The teacher's last hidden layer, turned to its principal axes, standardised.

    Attributes
    ----------
    teacher : PixelModel
    axes : ndarray (hidden, k), float32
    center : ndarray (hidden,), float32
    """

    teacher: PixelModel
    axes: Float32Array
    center: Float32Array

    @classmethod
    def fitted(cls, teacher: PixelModel, quantities: Float32Array, count: int) -> Hints:
        """Take the first ``count`` principal axes over a sample, each scaled to unit variance."""
        hidden = _last_hidden(teacher, quantities)
        center = hidden.mean(axis=0)
        values, vectors = np.linalg.eigh(np.cov((hidden - center).T.astype(np.float64)))
        first = np.argsort(values)[::-1][:count]
        axes = vectors[:, first] / np.sqrt(np.maximum(values[first], 1e-12))
        return cls(teacher, axes.astype(np.float32), center.astype(np.float32))

    def of(self, quantities: Float32Array) -> Float32Array:
        """Return the hints of pixels, (sample, k)."""
        hidden = _last_hidden(self.teacher, quantities)
        return np.asarray((hidden - self.center) @ self.axes, np.float32)


def _last_hidden(teacher: PixelModel, quantities: Float32Array) -> Float32Array:
    from aktes_xr.models import Network

    scaling = teacher.scaling
    tile = standardised_features(quantities, scaling.center, scaling.scale)
    return np.ascontiguousarray(Network(teacher.network.layers[:-1]).predict(tile).T)


Draw = Callable[[int], Sample]
"""Gives the training sample of an epoch."""
GROUPS: Final[dict[str, tuple[int, ...]]] = {
    "surface_pressure": (QUANTITIES.index("surface_pressure"),),
    "water_vapor": tuple(QUANTITIES.index(name) for name in ("water_vapor", "water_vapor_error")),
    "air_temperature": tuple(
        QUANTITIES.index(name) for name in ("air_temperature", "air_temperature_error")
    ),
    "emissivity_prior": tuple(
        index for index, name in enumerate(QUANTITIES) if name.startswith("emissivity_prior")
    ),
}
"""Columns of the quantities that come and go together."""
ALL: Final = frozenset(GROUPS)
COMPLETE_SHARE: Final = 0.3
BARE_SHARE: Final = 0.15
"""Shares of the training sample with every ancillary, and with pressure alone; the rest mixes."""


def keep_only(quantities: Float32Array, kept: frozenset[str]) -> Float32Array:
    """Copy the quantities with only the named ancillaries; the others become NaN.

    Parameters
    ----------
    quantities : ndarray (sample, 27), float32
    kept : frozenset of str
        Keys of `GROUPS`.
    """
    reduced = quantities.copy()
    for name in ALL - kept:
        reduced[:, GROUPS[name]] = np.nan
    return reduced


def drop_ancillaries(quantities: Float32Array, rng: np.random.Generator) -> Float32Array:
    """Copy the quantities with ancillaries removed at random, sample by sample.

    Parameters
    ----------
    quantities : ndarray (sample, 27), float32
    rng : numpy.random.Generator

    Returns
    -------
    ndarray (sample, 27), float32
        Some samples complete, some with surface pressure alone, in the others each ancillary with
        probability one half. Surface pressure, which an elevation model gives, is missing in one
        of twenty.
    """
    reduced = quantities.copy()
    count = quantities.shape[0]
    kind = rng.random(count)
    for name, columns in GROUPS.items():
        if name == "surface_pressure":
            absent = rng.random(count) < 0.05
        else:
            absent = rng.random(count) < 0.5
            absent &= kind >= COMPLETE_SHARE
            absent |= kind >= 1.0 - BARE_SHARE
        for column in columns:
            reduced[absent, column] = np.nan
    return reduced
