"""A network with what turns quantities into estimates: scalings, domain, variances."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np

from aktes_xr.errors import BundleIntegrityError
from aktes_xr.models.features import (
    N_OUTPUTS,
    STUDENT_FEATURES,
    TEACHER_FEATURES,
    standardised_features,
)
from aktes_xr.models.reading import Reading, read_outputs
from aktes_xr.models.strata import TABLE_SHAPE, neutral

if TYPE_CHECKING:
    from aktes_xr.compilation import Float32Array
    from aktes_xr.models.network import Network


Role = Literal["teacher", "student"]
_FEATURES: Final[dict[str, tuple[str, ...]]] = {
    "teacher": TEACHER_FEATURES,
    "student": STUDENT_FEATURES,
}


@dataclass(frozen=True, eq=False)
class Scaling:
    """How features are standardised and estimates are read from the network's outputs.

    Attributes
    ----------
    center, scale : ndarray (feature,), float32
        Mean and standard deviation of the training sample.
    low, high : ndarray (feature,), float32
        Bounds of the training domain, standardised.
    output_center, output_scale : ndarray (6,), float32
        Of temperature excess (K) and five emissivities.
    log_sigma_offset, log_sigma_slope : ndarray (6,), float32
        Calibration of the stated uncertainty: log sigma <- offset + slope log sigma, standardised.
    sigma_strata : ndarray `aktes_xr.models.strata.TABLE_SHAPE`, float32
        What log sigma gains by stratum; nothing, where a bundle says nothing.
    """

    center: Float32Array
    scale: Float32Array
    low: Float32Array
    high: Float32Array
    output_center: Float32Array
    output_scale: Float32Array
    log_sigma_offset: Float32Array
    log_sigma_slope: Float32Array
    sigma_strata: Float32Array = field(default_factory=neutral)


_STRATA: Final = "sigma_strata"
_VECTORS: Final = tuple(name for name in Scaling.__dataclass_fields__ if name != _STRATA)


@dataclass(frozen=True, eq=False)
class PixelModel:
    """A teacher or a student.

    Attributes
    ----------
    name : str
    role : "teacher" or "student"
    network : Network
        Twelve outputs: six means, then six logarithms of variances, standardised.
    scaling : Scaling
    footprint : tuple of float or None
        West, south, east, north in degrees where a regional student holds; None anywhere.
    """

    name: str
    role: Role
    network: Network
    scaling: Scaling
    footprint: tuple[float, float, float, float] | None = None

    def __post_init__(self) -> None:
        if self.role not in _FEATURES:
            raise BundleIntegrityError(f"network {self.name!r} has the unknown role {self.role!r}")
        expected = len(_FEATURES[self.role])
        if self.network.n_features != expected or self.network.n_outputs != 2 * N_OUTPUTS:
            raise BundleIntegrityError(
                f"network {self.name!r} has {self.network.n_features} inputs and "
                f"{self.network.n_outputs} outputs; a {self.role} has {expected} and "
                f"{2 * N_OUTPUTS}"
            )
        shapes = dict.fromkeys(_VECTORS, (N_OUTPUTS,))
        shapes |= dict.fromkeys(("center", "scale", "low", "high"), (expected,))
        for name, shape in {**shapes, _STRATA: TABLE_SHAPE}.items():
            found = getattr(self.scaling, name)
            if found.shape != shape:
                raise BundleIntegrityError(
                    f"network {self.name!r}: {name} has shape {found.shape}, expected {shape}"
                )
            if not np.isfinite(found).all():
                raise BundleIntegrityError(
                    f"network {self.name!r}: {name} holds numbers that are not finite in single "
                    "precision"
                )
        if not (self.scaling.scale > 0).all() or not (self.scaling.output_scale > 0).all():
            raise BundleIntegrityError(f"network {self.name!r} has a scale that is not positive")

    @property
    def reading(self) -> Reading:
        """How the network's outputs become estimates and calibrated uncertainties."""
        scaling = self.scaling
        return Reading(
            scaling.output_center,
            scaling.output_scale,
            (scaling.log_sigma_offset + np.log(scaling.output_scale)).astype(np.float32),
            (np.float32(0.5) * scaling.log_sigma_slope).astype(np.float32),
            scaling.sigma_strata,
        )

    def predict(self, quantities: Float32Array) -> tuple[Float32Array, Float32Array]:
        """Estimate temperature and emissivities of a sample, as the retrieval does.

        Parameters
        ----------
        quantities : ndarray (sample, 27), float32
            See `aktes_xr.models.features.QUANTITIES`.

        Returns
        -------
        estimate, sigma : ndarray (sample, 6), float32
            Temperature (K) and five emissivities, and their standard uncertainties.
        """
        scaling = self.scaling
        raw = self.network.predict(standardised_features(quantities, scaling.center, scaling.scale))
        return self.read(raw, quantities)

    def read(
        self, raw: Float32Array, quantities: Float32Array
    ) -> tuple[Float32Array, Float32Array]:
        """Read the network's outputs.

        Parameters
        ----------
        raw : ndarray (sample, 12), float32
            Six means and six logarithms of variances, standardised.
        quantities : ndarray (sample, quantity), float32
            See `aktes_xr.models.features.QUANTITIES`.

        Returns
        -------
        estimate, sigma : ndarray (sample, 6), float32
            Temperature (K) and five emissivities, and their standard uncertainties.
        """
        found = np.empty((2 * N_OUTPUTS, len(raw)), np.float32)
        turned = np.ascontiguousarray(quantities.T, np.float32)
        read_outputs(np.ascontiguousarray(raw.T)[np.newaxis], self.reading, turned, found)
        estimate, sigma = found[:N_OUTPUTS].T, found[N_OUTPUTS:].T
        return np.ascontiguousarray(estimate), np.ascontiguousarray(sigma)

    def to_json(self, *, file: str) -> dict[str, Any]:
        """Describe the model for a manifest.

        Parameters
        ----------
        file : str
            Name of the file that holds the weights.

        Returns
        -------
        dict
            The manifest's entry.
        """
        return {
            "name": self.name,
            "role": self.role,
            "file": file,
            "layers": self.network.description(),
            "features": list(_FEATURES[self.role]),
            "footprint": None if self.footprint is None else list(self.footprint),
            "scaling": {
                # float32 as the shortest decimal that reads back to the same number
                name: [float(str(value)) for value in getattr(self.scaling, name)]
                for name in _VECTORS
            }
            | {_STRATA: np.round(self.scaling.sigma_strata.ravel().astype(float), 4).tolist()},
        }

    @classmethod
    def from_json(cls, entry: Mapping[str, Any], network: Network) -> PixelModel:
        """Rebuild a model from its manifest entry and its network.

        Parameters
        ----------
        entry : mapping
            The manifest's entry, as `to_json` returns it.
        network : Network
            The model's layers.

        Returns
        -------
        PixelModel

        Raises
        ------
        BundleIntegrityError
            It was trained on other features than this package assembles.
        """
        role = entry["role"]
        if role in _FEATURES and tuple(entry["features"]) != _FEATURES[role]:
            raise BundleIntegrityError(
                f"network {entry['name']!r} was trained on other features than this package "
                "assembles; retrain it or use the package version of its manifest"
            )
        with np.errstate(over="ignore"):
            vectors = {name: np.array(entry["scaling"][name]) for name in _VECTORS}
            if _STRATA in entry["scaling"]:
                vectors[_STRATA] = np.array(entry["scaling"][_STRATA]).reshape(TABLE_SHAPE)
            scaling = Scaling(**{name: v.astype(np.float32) for name, v in vectors.items()})
        footprint = entry["footprint"]
        if footprint is not None:
            west, south, east, north = (float(value) for value in footprint)
            return cls(str(entry["name"]), role, network, scaling, (west, south, east, north))
        return cls(str(entry["name"]), role, network, scaling)
