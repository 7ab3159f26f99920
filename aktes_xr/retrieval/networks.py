"""From a tile of features to estimates in the output planes: networks, readings, fusion."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from aktes_xr.compilation import kernel
from aktes_xr.cube.quality import QualityFlag
from aktes_xr.models.features import N_OUTPUTS, standardise_rows
from aktes_xr.models.forward import TILE
from aktes_xr.models.fusion import student_weight
from aktes_xr.models.pixel_model import LOG_VARIANCE_RANGE, PixelModel
from aktes_xr.retrieval.gathering import put
from aktes_xr.retrieval.tiles import QUALITY, WEIGHT

if TYPE_CHECKING:
    from aktes_xr.compilation import Float32Array


EMISSIVITY_RANGE: Final = (0.2, 1.0)
_DARKEST: Final = np.float32(EMISSIVITY_RANGE[0])
_BRIGHTEST: Final = np.float32(EMISSIVITY_RANGE[1])
_LOG_VARIANCE_LOW: Final = np.float32(LOG_VARIANCE_RANGE[0])
_LOG_VARIANCE_HIGH: Final = np.float32(LOG_VARIANCE_RANGE[1])
_OUT_OF_DOMAIN: Final = np.int32(QualityFlag.OUT_OF_DOMAIN)
_NOTHING: Final = np.int32(0)


class Reading(NamedTuple):
    """How a model's outputs are read: each (6,), float32.

    The logarithm of sigma, in physical units, is ``log_sigma`` plus ``slope`` times the network's
    logarithm of the variance.
    """

    center: Float32Array
    scale: Float32Array
    log_sigma: Float32Array
    slope: Float32Array


class Estimator:
    """One network with its scalings and its arrays for one tile; not to be shared by threads."""

    def __init__(self, model: PixelModel) -> None:
        scaling = model.scaling
        self._network = model.network
        self._center = scaling.center
        self._inverse_scale = (np.float32(1.0) / scaling.scale).astype(np.float32)
        self._domain = scaling.low, scaling.high
        self._reading = Reading(
            scaling.output_center,
            scaling.output_scale,
            (scaling.log_sigma_offset + np.log(scaling.output_scale)).astype(np.float32),
            (np.float32(0.5) * scaling.log_sigma_slope).astype(np.float32),
        )
        self._standard = np.zeros((model.network.n_features, TILE), np.float32)
        self._buffers = model.network.buffers()
        self._estimate = np.zeros((2 * N_OUTPUTS, TILE), np.float32)

    def estimate(
        self, features: Float32Array, reference: Float32Array, excess: Float32Array, count: int
    ) -> Float32Array:
        """Estimate a tile.

        Parameters
        ----------
        features : ndarray (feature, TILE), float32
            Raw; its first rows are this network's.
        reference : ndarray (TILE,), float32, K
            B13 brightness temperature.
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
        standardise_rows(features, self._center, self._inverse_scale, self._standard)
        _exceed(self._standard, *self._domain, excess)
        raw = self._network.forward(self._standard, self._buffers, count)
        _read(raw, self._reading, reference, self._estimate)
        sigma = self._estimate[N_OUTPUTS:]
        np.exp(sigma, out=sigma)
        return self._estimate


@kernel()
def _exceed(standard, low, high, excess):  # type: ignore[no-untyped-def]  # pragma: no cover
    for feature in range(standard.shape[0]):
        values, least, most = standard[feature], low[feature], high[feature]
        for place in range(excess.size):
            above, below = values[place] - most, least - values[place]
            worst = above if above > below else below
            excess[place] = worst if worst > excess[place] else excess[place]


@kernel()
def _read(raw, reading, reference, estimate):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Write estimates and, in place of sigma, its logarithm."""
    for output in range(N_OUTPUTS):
        source, target = raw[output], estimate[output]
        scale, center = reading.scale[output], reading.center[output]
        for place in range(source.size):
            target[place] = source[place] * scale + center
        source, target = raw[N_OUTPUTS + output], estimate[N_OUTPUTS + output]
        offset, slope = reading.log_sigma[output], reading.slope[output]
        for place in range(source.size):
            value = source[place]
            value = _LOG_VARIANCE_LOW if value < _LOG_VARIANCE_LOW else value
            value = _LOG_VARIANCE_HIGH if value > _LOG_VARIANCE_HIGH else value
            target[place] = offset + slope * value
    for place in range(reference.size):
        estimate[0, place] += reference[place]
    for output in range(1, N_OUTPUTS):
        target = estimate[output]
        for place in range(target.size):
            value = target[place]
            value = _DARKEST if value < _DARKEST else value
            target[place] = _BRIGHTEST if value > _BRIGHTEST else value


@kernel()
def fuse(teacher, student, sharpness, share):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Fuse two tiles of estimates into the second; the student's share becomes its weight."""
    one = np.float32(1.0)
    for place in range(share.size):
        share[place] = student_weight(
            share[place], teacher[N_OUTPUTS, place], student[N_OUTPUTS, place], sharpness
        )
    for output in range(N_OUTPUTS):
        other, value = teacher[output], student[output]
        other_sigma, sigma = teacher[N_OUTPUTS + output], student[N_OUTPUTS + output]
        for place in range(share.size):
            weight = share[place]
            gap = value[place] - other[place]
            variance = (
                weight * (sigma[place] * sigma[place])
                + (one - weight) * (other_sigma[place] * other_sigma[place])
                + weight * (one - weight) * (gap * gap)
            )
            value[place] = other[place] + weight * gap
            sigma[place] = np.sqrt(variance)


@kernel()
def write(estimate, bit, tile, count, out):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Write a tile's estimates, weights and quality bits into a date's planes (14, pixel)."""
    pixels = tile.pixels[:count]
    for plane in range(2 * N_OUTPUTS):
        put(estimate[plane], pixels, out[plane])
    put(tile.share, pixels, out[WEIGHT])
    quality = out[QUALITY]
    for place in range(count):
        flags = np.int32(quality[pixels[place]]) | np.int32(bit)
        flags |= _OUT_OF_DOMAIN if tile.excess[place] > 0.0 else _NOTHING
        quality[pixels[place]] = np.float32(flags)
