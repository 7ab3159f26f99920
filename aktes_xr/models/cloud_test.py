r"""The cloud test of a bundle: a small network, its calibration, and what a miss would cost.

The network's output z becomes a probability, :math:`p = 1 / (1 + e^{-(a z + b)})`, with a and b
fitted on fields that training did not see. It is the probability that a pixel lies under cloud in a
world where about a third of the pixels do.

A bundle holds it as two files of its own, ``clouds.npz`` and ``clouds.json``. One without them has
no cloud test.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from aktes_xr.compilation import kernel
from aktes_xr.errors import BundleIntegrityError
from aktes_xr.models.cloud_features import CLOUD_FEATURES
from aktes_xr.models.network import Network
from aktes_xr.models.safety import check_npz

if TYPE_CHECKING:
    from aktes_xr.compilation import Float32Array

CLOUD_ARRAYS: Final = "clouds.npz"
CLOUD_FILE: Final = "clouds.json"
CONFIDENCE: Final = (0.1, 0.5, 0.9)
"""Probabilities from which a pixel is probably clear, probably cloudy, and cloudy."""
_CLIPPED: Final = 5.0
"""Standardised features lie within so many standard deviations."""
_AT_ONCE: Final = 8192
"""Pixels that are passed through the network at once."""
_LOW: Final = np.float32(-_CLIPPED)
_HIGH: Final = np.float32(_CLIPPED)
_ZERO: Final = np.float32(0.0)


@dataclass(frozen=True, eq=False)
class CloudTest:
    """A trained cloud test.

    Attributes
    ----------
    network : Network
        One output.
    center, scale : ndarray (feature,), float32
        Of the training sample.
    slope, offset : float
        Calibration of the output.
    threshold : float, 1
        A pixel is cloud from this probability on.
    missed_k : float, K
        What a cloud that is missed takes from B13's temperature, on average.
    """

    network: Network
    center: Float32Array
    scale: Float32Array
    slope: float
    offset: float
    threshold: float
    missed_k: float

    def __post_init__(self) -> None:
        count = len(CLOUD_FEATURES)
        if self.network.n_features != count or self.network.n_outputs != 1:
            raise BundleIntegrityError(
                f"the cloud test has {self.network.n_features} inputs and "
                f"{self.network.n_outputs} outputs; expected {count} and 1"
            )
        if self.center.shape != (count,) or self.scale.shape != (count,):
            raise BundleIntegrityError(f"the cloud test's scaling has not {count} features")
        numbers = (self.slope, self.offset, self.threshold, self.missed_k)
        finite = np.isfinite(self.center).all() and np.isfinite(numbers).all()
        if not (finite and (self.scale > 0).all() and 0.0 < self.threshold < 1.0):
            raise BundleIntegrityError("the cloud test holds numbers that cannot be used")

    def standardised(self, features: Float32Array) -> Float32Array:
        """Standardise features; what is not known is 0.

        Parameters
        ----------
        features : ndarray (pixel, feature), float32
            Raw, in the order of `aktes_xr.models.cloud_features.CLOUD_FEATURES`.

        Returns
        -------
        ndarray (pixel, feature), float32
        """
        standard = (features - self.center) / self.scale
        np.clip(standard, -_CLIPPED, _CLIPPED, out=standard)
        return np.ascontiguousarray(np.nan_to_num(standard), np.float32)

    def probability(self, features: Float32Array) -> Float32Array:
        """Estimate the probability of cloud.

        Parameters
        ----------
        features : ndarray (pixel, feature), float32
            Raw.

        Returns
        -------
        ndarray (pixel,), float32, 1
        """
        return self.probability_of_rows(np.ascontiguousarray(features.T, np.float32))

    def probability_of_rows(self, features: Float32Array) -> Float32Array:
        """Estimate the probability of cloud, of features that lie row by row.

        Parameters
        ----------
        features : ndarray (feature, pixel), float32
            Raw.

        Returns
        -------
        ndarray (pixel,), float32, 1
        """
        count = features.shape[1]
        raw = np.empty(count, np.float32)
        work = self.network.new_pass(min(count, _AT_ONCE))
        for first in range(0, count, _AT_ONCE):
            part = features[:, first : first + _AT_ONCE]
            _standardise(part, self.center, self.scale, work.features)
            work.run(part.shape[1])
            raw[first : first + part.shape[1]] = work.outputs[:, 0].reshape(-1)[: part.shape[1]]
        score = np.float32(self.slope) * raw + np.float32(self.offset)
        return np.asarray(1.0 / (1.0 + np.exp(-np.clip(score, -30.0, 30.0))), np.float32)

    def files(self) -> dict[str, bytes]:
        """Return the files that keep the test in a bundle, by name."""
        arrays = self.network.arrays() | {"center": self.center, "scale": self.scale}
        buffer = io.BytesIO()
        np.savez(buffer, **arrays)  # type: ignore[arg-type]
        text = {
            "features": list(CLOUD_FEATURES),
            "layers": self.network.description(),
            "slope": self.slope,
            "offset": self.offset,
            "threshold": self.threshold,
            "missed_k": self.missed_k,
        }
        encoded = (json.dumps(text, indent=1, sort_keys=True) + "\n").encode()
        return {CLOUD_ARRAYS: buffer.getvalue(), CLOUD_FILE: encoded}

    @classmethod
    def from_files(cls, files: Mapping[str, bytes]) -> CloudTest | None:
        """Rebuild the test from a bundle's files; None where it has none.

        Parameters
        ----------
        files : mapping of str to bytes
            The bundle's further files, verified.

        Returns
        -------
        CloudTest or None

        Raises
        ------
        BundleIntegrityError
            One of its files is missing or not what `files` returns, or it was trained on other
            features than this package describes.
        """
        if CLOUD_FILE not in files and CLOUD_ARRAYS not in files:
            return None
        try:
            described: dict[str, Any] = json.loads(files[CLOUD_FILE])
            arrays = check_npz(CLOUD_ARRAYS, files[CLOUD_ARRAYS])
            known = tuple(described["features"]) == CLOUD_FEATURES
            numbers = [
                float(described[name]) for name in ("slope", "offset", "threshold", "missed_k")
            ]
            network = Network.from_arrays(arrays, list(described["layers"]))
            center, scale = (np.asarray(arrays[name], np.float32) for name in ("center", "scale"))
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            if isinstance(error, BundleIntegrityError):
                raise
            raise BundleIntegrityError(
                f"the bundle's cloud test is incomplete ({error}); train it again"
            ) from error
        if not known:
            raise BundleIntegrityError(
                "the bundle's cloud test was trained on other features than this package "
                "describes; train it again"
            )
        return cls(network, center, scale, *numbers)


@kernel()
def _standardise(
    features: Float32Array, center: Float32Array, scale: Float32Array, standard: Float32Array
) -> None:
    """Standardise rows of features into a network's calls, as `CloudTest.standardised` does."""
    rows, count = standard.shape[2], features.shape[1]
    for call in range(-(-count // rows)):
        first = call * rows
        size = min(rows, count - first)
        for feature in range(center.size):
            source = features[feature, first : first + size]
            target = standard[call, feature, :size]
            middle, spread = center[feature], scale[feature]
            for pixel in range(size):
                value = (source[pixel] - middle) / spread
                value = _LOW if value < _LOW else value
                value = _HIGH if value > _HIGH else value
                # NaN alone differs from itself.
                target[pixel] = value if value == value else _ZERO


def confidence_of(probability: Float32Array) -> Any:
    """Grade probabilities: 0 clear, 1 probably clear, 2 probably cloudy, 3 cloudy.

    Parameters
    ----------
    probability : ndarray, float32, 1

    Returns
    -------
    ndarray, uint8
        255 where the probability is NaN.
    """
    graded = np.digitize(probability, CONFIDENCE).astype(np.uint8)
    return np.where(np.isnan(probability), np.uint8(255), graded)
