r"""The domain of a bundle's networks as a density: how far a pixel is from all that was trained on.

Ranges of single features let through what no ground ever sends: two bands exchanged, half the gain.
A mixture of normal distributions over the five brightness temperatures, as B13 and four
differences, does not. A pixel's distance is that to the nearest part,

.. math:: D = \min_k \left\{ (x - \mu_k)^T \Sigma_k^{-1} (x - \mu_k) + \ln|\Sigma_k|
   - 2 \ln w_k \right\},

and it is out of domain beyond a limit that 3 in 1000 pixels of unseen fields exceed.

A bundle holds the parts as a file of its own, ``domain.npz``. One without judges by ranges alone.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from aktes_xr.errors import BundleIntegrityError
from aktes_xr.models.safety import check_npz

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from aktes_xr.compilation import Float32Array

DOMAIN_FILE: Final = "domain.npz"
N_COORDINATES: Final = 5
_REFERENCE: Final = 3
_OTHERS: Final = [0, 1, 2, 4]


@dataclass(frozen=True, eq=False)
class Domain:
    """Parts of a mixture of normal distributions, and the limit of the distance.

    Attributes
    ----------
    mean : ndarray (part, 5), float32, K
        B13 and the differences of B10, B11, B12 and B14 from it.
    root : ndarray (part, 5, 5), float32, K-1
        The inverse covariance is root times its transpose.
    offset : ndarray (part,), float32
        Logarithm of the determinant less twice that of the weight.
    limit : float
        Distance beyond which a pixel is out of domain.
    """

    mean: Float32Array
    root: Float32Array
    offset: Float32Array
    limit: float

    def __post_init__(self) -> None:
        count = len(self.mean)
        shapes = (self.mean.shape, self.root.shape, self.offset.shape)
        if count == 0 or shapes != ((count, 5), (count, 5, 5), (count,)):
            raise BundleIntegrityError(f"the bundle's domain has arrays of shapes {shapes}")

    def distance(self, kelvin: Float32Array) -> Float32Array:
        """Measure how far pixels are from the training.

        Parameters
        ----------
        kelvin : ndarray (5, pixel), float32, K
            Brightness temperatures.

        Returns
        -------
        ndarray (pixel,), float32
            NaN where a temperature is.
        """
        place = coordinates(kelvin)
        nearest = np.full(place.shape[1], np.inf, np.float32)
        for mean, root, offset in zip(self.mean, self.root, self.offset, strict=True):
            turned = root.T @ (place - mean[:, np.newaxis])
            np.minimum(nearest, np.einsum("ij,ij->j", turned, turned) + offset, out=nearest)
        return nearest

    def outside(self, kelvin: Float32Array) -> NDArray[np.bool_]:
        """Return whether pixels are out of domain.

        Parameters
        ----------
        kelvin : ndarray (5, pixel), float32, K

        Returns
        -------
        ndarray (pixel,), bool
            False where a temperature is NaN.
        """
        return np.asarray(self.distance(kelvin) > np.float32(self.limit))

    def files(self) -> dict[str, bytes]:
        """Return the file that keeps the domain in a bundle, by its name."""
        buffer = io.BytesIO()
        limit = np.array([self.limit], np.float32)
        np.savez(buffer, mean=self.mean, root=self.root, offset=self.offset, limit=limit)
        return {DOMAIN_FILE: buffer.getvalue()}

    @classmethod
    def from_files(cls, files: Mapping[str, bytes]) -> Domain | None:
        """Rebuild the domain from a bundle's files; None where it has none.

        Parameters
        ----------
        files : mapping of str to bytes
            The bundle's further files, verified.

        Returns
        -------
        Domain or None

        Raises
        ------
        BundleIntegrityError
            The file is not what `files` returns.
        """
        if DOMAIN_FILE not in files:
            return None
        arrays = check_npz(DOMAIN_FILE, files[DOMAIN_FILE])
        try:
            mean, root, offset, limit = (
                arrays[name] for name in ("mean", "root", "offset", "limit")
            )
        except KeyError as error:
            raise BundleIntegrityError(
                f"the bundle's domain lacks {error}; train it again"
            ) from error
        if limit.shape != (1,):
            raise BundleIntegrityError("the bundle's domain has not one limit; train it again")
        return cls(mean, root, offset, float(limit[0]))


def coordinates(kelvin: Float32Array) -> Float32Array:
    """Turn five temperatures into B13 and four differences, which are less alike.

    Parameters
    ----------
    kelvin : ndarray (5, pixel), float32, K

    Returns
    -------
    ndarray (5, pixel), float32, K
    """
    reference = kelvin[_REFERENCE]
    return np.concatenate([reference[np.newaxis], kelvin[_OTHERS] - reference])
