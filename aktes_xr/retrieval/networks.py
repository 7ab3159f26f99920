"""From a tile of features to estimates in the output planes: networks, readings, fusion."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from aktes_xr.compilation import kernel
from aktes_xr.cube.quality import QualityFlag
from aktes_xr.models.features import N_OUTPUTS, standardise_rows
from aktes_xr.models.fusion import student_weight
from aktes_xr.models.reading import read_outputs
from aktes_xr.retrieval.gathering import put
from aktes_xr.retrieval.tiles import QUALITY, TILE, WEIGHT

if TYPE_CHECKING:
    from aktes_xr.compilation import Float32Array
    from aktes_xr.models.pixel_model import PixelModel


_OUT_OF_DOMAIN: Final = np.int32(QualityFlag.OUT_OF_DOMAIN)
_NOTHING: Final = np.int32(0)


class Estimator:
    """One network with its scalings and its arrays for one tile.

    It must not be shared by threads.
    """

    def __init__(self, model: PixelModel) -> None:
        scaling = model.scaling
        self._center = scaling.center
        self._inverse_scale = (np.float32(1.0) / scaling.scale).astype(np.float32)
        self._domain = scaling.low, scaling.high
        self._reading = model.reading
        self._pass = model.network.new_pass(TILE)
        self._estimate = np.zeros((2 * N_OUTPUTS, TILE), np.float32)

    def estimate(
        self, features: Float32Array, quantities: Float32Array, excess: Float32Array, count: int
    ) -> Float32Array:
        """Estimate a tile.

        Parameters
        ----------
        features : ndarray (feature, TILE), float32
            Raw; its first rows are this network's.
        quantities : ndarray (quantity, TILE), float32
            What the features were made of.
        excess : ndarray (TILE,), float32
            Raised to the largest amount by which a standardised feature leaves the training domain.
        count : int
            Pixels that matter.

        Returns
        -------
        ndarray (12, TILE), float32
            Temperature (K) and five emissivities, then their standard uncertainties; overwritten
            by the next call.
        """
        standardise_rows(features, self._center, self._inverse_scale, self._pass.features)
        _exceed(self._pass.features, *self._domain, excess)
        self._pass.run(count)
        read_outputs(self._pass.outputs, self._reading, quantities, self._estimate)
        return self._estimate


@kernel()
def _exceed(standard, low, high, excess):
    """Raise the excess of each pixel to its worst feature's."""
    rows = standard.shape[2]
    for call in range(standard.shape[0]):
        part = excess[call * rows : (call + 1) * rows]
        for feature in range(standard.shape[1]):
            values, least, most = standard[call, feature], low[feature], high[feature]
            for place in range(rows):
                above, below = values[place] - most, least - values[place]
                worst = above if above > below else below
                part[place] = worst if worst > part[place] else part[place]


@kernel()
def fuse(teacher, student, sharpness, share, weights):
    """Fuse the estimates of teacher and student.

    Parameters
    ----------
    teacher : ndarray (12, pixel), float32
        Six estimates, then their six uncertainties (K, then 1).
    student : ndarray (12, pixel), float32
        The same of the student; the fused estimates are written over it.
    sharpness : float32, 1
        How strongly the ratio of the uncertainties counts.
    share : ndarray (pixel,), float32, 1
        Share of the student by terrain.
    weights : ndarray (pixel,), float32, 1
        The student's weights, written in place.
    """
    one = np.float32(1.0)
    for place in range(share.size):
        weights[place] = student_weight(
            share[place], teacher[N_OUTPUTS, place], student[N_OUTPUTS, place], sharpness
        )
    for output in range(N_OUTPUTS):
        other, value = teacher[output], student[output]
        other_sigma, sigma = teacher[N_OUTPUTS + output], student[N_OUTPUTS + output]
        for place in range(share.size):
            weight = weights[place]
            gap = value[place] - other[place]
            # The variance of a mixture: that of its parts, and that between their means.
            variance = (
                weight * (sigma[place] * sigma[place])
                + (one - weight) * (other_sigma[place] * other_sigma[place])
                + weight * (one - weight) * (gap * gap)
            )
            value[place] = other[place] + weight * gap
            sigma[place] = np.sqrt(variance)


@kernel()
def write(estimate, bit, tile, count, out):
    """Write a tile's estimates, weights and quality bits into the planes of a date.

    Parameters
    ----------
    estimate : ndarray (12, pixel), float32
        Six estimates, then their six uncertainties.
    bit : int
        Quality bit of the networks that made them.
    tile : Tile
        Its pixels, weights and domain excess.
    count : int
        Number of its pixels that are in use.
    out : ndarray (plane, pixel), float32
        The planes of the date, written in place.
    """
    pixels = tile.pixels[:count]
    for plane in range(2 * N_OUTPUTS):
        put(estimate[plane], pixels, out[plane])
    put(tile.weight, pixels, out[WEIGHT])
    quality = out[QUALITY]
    for place in range(count):
        flags = np.int32(quality[pixels[place]]) | np.int32(bit)
        flags |= _OUT_OF_DOMAIN if tile.excess[place] > 0.0 else _NOTHING
        quality[pixels[place]] = np.float32(flags)
