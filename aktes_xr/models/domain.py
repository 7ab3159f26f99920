r"""The domain of a bundle: a small network that tells what a measurement can look like.

Ranges of single inputs do not see that bands were exchanged or a gain was halved: each number by
itself is a usual one. What is unusual is five temperatures beside each other, beside what lies
around them and what is told of air and surface. So a network compares the density p of normal
pixels' features with a density q of pixels whose measurement was distorted at random, widely and in
many ways (noise-contrastive estimation [1]_): its output is :math:`\log p/q` but for a constant. A
pixel whose output lies below a threshold is out of the domain. What is not told is as good as
unknown, so the network says less where less is told.

A bundle holds it as two files of its own, ``domain.npz`` and ``domain.json``. One without them has
the ranges of its networks' inputs alone.

References
----------
.. [1] Gutmann, M. and Hyvarinen, A. (2010). Noise-contrastive estimation: a new estimation
   principle for unnormalized statistical models. Proc. AISTATS, 9, 297-304.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from aktes_xr.errors import BundleIntegrityError
from aktes_xr.models.features import TEACHER_FEATURES, raw_features, standardise_rows
from aktes_xr.models.network import Network
from aktes_xr.models.small_network import Scaled, check_scaled, file_names, files_of, read_files

if TYPE_CHECKING:
    from aktes_xr.compilation import Float32Array

_NAME: Final = "domain"
DOMAIN_FILES: Final = file_names(_NAME)
_CLIPPED: Final = np.float32(8.0)
"""Standardised features lie within so many standard deviations."""


@dataclass(frozen=True, eq=False)
class DomainTest:
    """A trained domain.

    Attributes
    ----------
    network : Network
        One output: the larger, the more usual the pixel.
    center, scale : ndarray (feature,), float32
        Of the training sample, in the order of `aktes_xr.models.features.TEACHER_FEATURES`.
    threshold : float
        A pixel is out of the domain below it.
    """

    network: Network
    center: Float32Array
    scale: Float32Array
    threshold: float

    def __post_init__(self) -> None:
        check_scaled("domain", self._scaled, len(TEACHER_FEATURES))
        finite = np.isfinite(self.center).all() and np.isfinite(self.threshold)
        if not (finite and np.isfinite(self.scale).all() and (self.scale > 0).all()):
            raise BundleIntegrityError("the domain holds numbers that cannot be used")

    @property
    def _scaled(self) -> Scaled:
        return Scaled(self.network, self.center, self.scale)

    def score(self, quantities: Float32Array) -> Float32Array:
        """Score pixels.

        Parameters
        ----------
        quantities : ndarray (pixel, quantity), float32
            In the order of `aktes_xr.models.features.QUANTITIES`; NaN where missing.

        Returns
        -------
        ndarray (pixel,), float32
            Below the threshold out of the domain.
        """
        return self.score_features(raw_features(quantities, terrain=False))

    def score_features(self, features: Float32Array) -> Float32Array:
        """Score pixels by their features.

        Parameters
        ----------
        features : ndarray (pixel, feature), float32
            Raw, in the order of `aktes_xr.models.features.TEACHER_FEATURES`.

        Returns
        -------
        ndarray (pixel,), float32
        """
        return self.network.predict(self.standardised(features))[:, 0]

    def standardised(self, features: Float32Array) -> Float32Array:
        """Standardise features for the network; what is missing is 0.

        Parameters
        ----------
        features : ndarray (pixel, feature), float32
            Raw.

        Returns
        -------
        ndarray (pixel, feature), float32
        """
        rows = np.ascontiguousarray(features.T, np.float32)
        standard = np.empty((1, *rows.shape), np.float32)
        self.standardise(rows, standard)
        return np.ascontiguousarray(standard[0].T)

    def standardise(self, features: Float32Array, standard: Float32Array) -> None:
        """Standardise rows of features for the network, in place; what is missing is 0.

        Parameters
        ----------
        features : ndarray (feature, pixel), float32
            Raw.
        standard : ndarray (call, feature, row), float32
            The same pixels in the network's calls, written.
        """
        inverse = (np.float32(1.0) / self.scale).astype(np.float32)
        standardise_rows(features, self.center, inverse, standard)
        np.clip(standard, -_CLIPPED, _CLIPPED, out=standard)

    def files(self) -> dict[str, bytes]:
        """Return the files that keep the domain in a bundle, by name."""
        return files_of(_NAME, self._scaled, TEACHER_FEATURES, {"threshold": self.threshold})

    @classmethod
    def from_files(cls, files: Mapping[str, bytes]) -> DomainTest | None:
        """Rebuild the domain from a bundle's files; None where it has none.

        Parameters
        ----------
        files : mapping of str to bytes
            The bundle's further files, verified.

        Returns
        -------
        DomainTest or None

        Raises
        ------
        BundleIntegrityError
            One of its files is missing or not what `files` returns, or it was trained on other
            features than this package assembles.
        """
        found = read_files(
            files, _NAME, what="domain", features=TEACHER_FEATURES, numbers=("threshold",)
        )
        return None if found is None else cls(*found[0], *found[1])
