r"""The cloud test of a bundle: a small network, its calibration, and what a miss would cost.

The network's output z becomes a probability, :math:`p = 1 / (1 + e^{-(a z + b)})`, with a and b
fitted on fields that training did not see. It is the probability that a pixel lies under cloud in a
world where about a third of the pixels do.

A bundle holds it as two files of its own, ``clouds.npz`` and ``clouds.json``. One without them has
no cloud test.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from aktes_xr.compilation import kernel
from aktes_xr.errors import BundleIntegrityError
from aktes_xr.models.cloud_features import CLOUD_FEATURES
from aktes_xr.models.network import Network
from aktes_xr.models.small_network import Scaled, check_scaled, file_names, files_of, read_files

if TYPE_CHECKING:
    from aktes_xr.compilation import Float32Array

_NAME: Final = "clouds"
CLOUD_FILES: Final = file_names(_NAME)
_NUMBERS: Final = ("slope", "offset", "threshold", "missed_k")
CONFIDENCE: Final = (0.1, 0.5, 0.9)
"""Probabilities from which a pixel is probably clear, probably cloudy, and cloudy."""
_AT_ONCE: Final = 8192
"""Pixels that are passed through the network at once."""
_LOW: Final = np.float32(-5.0)
_HIGH: Final = np.float32(5.0)
"""Standardised features lie within so many standard deviations."""
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
        check_scaled("cloud test", self._scaled, len(CLOUD_FEATURES))
        numbers = (self.slope, self.offset, self.threshold, self.missed_k)
        finite = np.isfinite(self.center).all() and np.isfinite(numbers).all()
        if not (finite and (self.scale > 0).all() and 0.0 < self.threshold < 1.0):
            raise BundleIntegrityError("the cloud test holds numbers that cannot be used")

    @property
    def _scaled(self) -> Scaled:
        return Scaled(self.network, self.center, self.scale)

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
        rows = np.ascontiguousarray(features.T, np.float32)
        standard = np.empty((1, *rows.shape), np.float32)
        standardise(rows, self.center, self.scale, 0, standard)
        return np.ascontiguousarray(standard[0].T)

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
        out = np.empty(len(features), np.float32)
        work = self.network.new_pass(min(len(features), _AT_ONCE))
        for first in range(0, len(features), _AT_ONCE):
            part = np.ascontiguousarray(features[first : first + _AT_ONCE].T, np.float32)
            standardise(part, self.center, self.scale, 0, work.features)
            work.run(part.shape[1])
            self.read(work.outputs, out[first : first + part.shape[1]])
        return out

    def read(self, outputs: Float32Array, probability: Float32Array) -> None:
        """Turn what the network gave into probabilities.

        Parameters
        ----------
        outputs : ndarray (call, 1, row), float32
            Of a pass.
        probability : ndarray (pixel,), float32, 1
            Of the first pixels of these; written in place.
        """
        raw = outputs.reshape(-1)[: probability.size]
        score = np.float32(self.slope) * raw + np.float32(self.offset)
        probability[:] = 1.0 / (1.0 + np.exp(-np.clip(score, -30.0, 30.0)))

    def files(self) -> dict[str, bytes]:
        """Return the files that keep the test in a bundle, by name."""
        numbers = {name: getattr(self, name) for name in _NUMBERS}
        return files_of(_NAME, self._scaled, CLOUD_FEATURES, numbers)

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
        found = read_files(
            files, _NAME, what="cloud test", features=CLOUD_FEATURES, numbers=_NUMBERS
        )
        return None if found is None else cls(*found[0], *found[1])


@kernel()
def standardise(
    features: Float32Array,
    center: Float32Array,
    scale: Float32Array,
    start: int,
    calls: Float32Array,
) -> None:
    """Standardise features into a network's calls; what is not known is 0.

    Parameters
    ----------
    features : ndarray (feature, pixel), float32
        Raw.
    center, scale : ndarray (feature,), float32
    start : int
        The pixel of the calls that the first of these becomes.
    calls : ndarray (call, feature, row), float32
        Written in place.
    """
    rows, count = calls.shape[2], features.shape[1]
    done = 0
    while done < count:
        call, row = (start + done) // rows, (start + done) % rows
        size = min(rows - row, count - done)
        for feature in range(center.size):
            source = features[feature, done : done + size]
            target = calls[call, feature, row : row + size]
            middle, spread = center[feature], scale[feature]
            for pixel in range(size):
                value = (source[pixel] - middle) / spread
                value = _LOW if value < _LOW else value
                value = _HIGH if value > _HIGH else value
                # NaN alone differs from itself.
                target[pixel] = value if value == value else _ZERO
        done += size


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
