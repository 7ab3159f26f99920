"""Who looks at a measurement to say where cloud is: the bundle's own test, or the fixed rules."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

import numpy as np

from aktes_xr.models.cloud_features import describable
from aktes_xr.models.cloud_image import probability_of_image
from aktes_xr.models.context import REACH
from aktes_xr.retrieval.cloud_rules import cloud_by_rules

if TYPE_CHECKING:
    from aktes_xr.compilation import Float32Array
    from aktes_xr.models.cloud_test import CloudTest


class CloudFinder(Protocol):
    """Finds cloud in what is seen of one date."""

    @property
    def threshold(self) -> float:
        """What is at least so probably cloud is cloud."""

    def probability(
        self, seen: Float32Array, statistics: Float32Array, sun_zenith: float
    ) -> Float32Array:
        """Return how probable cloud is.

        Parameters
        ----------
        seen : ndarray (9, y + 2 `REACH`, x + 2 `REACH`), float32
            In the order of `aktes_xr.models.cloud_features.SEEN`.
        statistics : ndarray (11,), float32
            Of the date's scene.
        sun_zenith : float, degree

        Returns
        -------
        ndarray (y, x), float32, 1
            NaN where a band was not measured.
        """


@dataclass(frozen=True)
class LearnedFinder:
    """The cloud test of a bundle.

    Attributes
    ----------
    test : CloudTest
    """

    test: CloudTest

    @property
    def threshold(self) -> float:
        """The test's own."""
        return self.test.threshold

    def probability(
        self, seen: Float32Array, statistics: Float32Array, sun_zenith: float
    ) -> Float32Array:
        """Return the test's calibrated probability."""
        return probability_of_image(self.test, seen, statistics, sun_zenith)


class RulesFinder:
    """Two fixed rules (`aktes_xr.retrieval.cloud_rules`), which know no degrees: 1 or 0."""

    threshold: Final = 0.5

    def probability(
        self, seen: Float32Array, statistics: Float32Array, sun_zenith: float
    ) -> Float32Array:
        """Return 1 where the rules find cloud, 0 where not; they do not ask for the sun."""
        del sun_zenith
        inner = (slice(REACH, -REACH), slice(REACH, -REACH))
        ruled = cloud_by_rules(seen, statistics)[inner].astype(np.float32)
        return np.where(describable(seen[:, *inner]), ruled, np.float32(np.nan))
