r"""What the uncertainty of the temperature consists of.

The networks state one sigma, learned from the errors they make. It is split into parts,

.. math:: \sigma^2 = \sigma_{noise}^2 + \sigma_{atmosphere}^2 + \sigma_{model}^2
          + \sigma_{disagreement}^2 + \sigma_{cloud}^2

whose sum is the whole by construction:

- noise: the networks' answer to one standard deviation of the sensor's noise in each band, by
  finite differences, added in quadrature [1]_;
- atmosphere: their answer to one stated error of the water column, of the air's and of the skin's
  temperature, as far as they are told;
- disagreement: between teacher and student where both were run, :math:`w (1 - w) (T_s - T_t)^2`;
- cloud: the risk of a cloud that was missed;
- model: what is left: emissivity and its prior, what the air does that nobody told, terrain, and
  what the networks have not learned.

Finite differences may exceed what the networks state. Noise and atmosphere are then scaled down
together, and the model's part is 0. Where nothing is told of the air its part is 0 too, and what it
does lies in the model's.

References
----------
.. [1] JCGM 100:2008, Guide to the expression of uncertainty in measurement, 5.1.2.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from aktes_xr import sensor
from aktes_xr.models.features import (
    AIR_TEMPERATURE,
    BRIGHTNESS,
    N_OUTPUTS,
    SKIN_TEMPERATURE,
    TEACHER_FEATURES,
    WATER_VAPOR,
    feature_rows,
)
from aktes_xr.retrieval.gathering import BOTH, STUDENT_ALONE, TEACHER_ALONE, put
from aktes_xr.retrieval.networks import Estimator
from aktes_xr.retrieval.tiles import COMPONENT_PLANES, TILE

if TYPE_CHECKING:
    from aktes_xr.compilation import Float32Array
    from aktes_xr.models.bundle import Bundle
    from aktes_xr.models.pixel_model import PixelModel
    from aktes_xr.retrieval.gathering import Tile

NOISE_K: Final = 0.18
"""Noise of a band at 300 K: the spread of a real scene of open sea, an upper bound. The
specification of 0.3 K is well above it."""
_NOISE, _ATMOSPHERE, _MODEL, _DISAGREEMENT, _CLOUD = range(len(COMPONENT_PLANES))
_TOLD: Final = (WATER_VAPOR, AIR_TEMPERATURE, SKIN_TEMPERATURE)
_SIGMA: Final = N_OUTPUTS
_N_BANDS: Final = len(sensor.BANDS)


class Components:
    """The networks of a place, run on shifted inputs; not to be shared by threads.

    Parameters
    ----------
    bundle : Bundle
    student : str or None
        Name of the student for the place.
    """

    def __init__(self, bundle: Bundle, student: str | None) -> None:
        self._teacher = _Answers(bundle.teacher)
        self._student = None if student is None else _Answers(bundle.models[student])

    def write(self, tile: Tile, kind: int, count: int, planes: Float32Array) -> None:
        """Write noise, atmosphere and disagreement of a tile, as variances; the rest is 0.

        Parameters
        ----------
        tile : Tile
            Described, with the student's weights.
        kind : int
            Which networks its pixels need.
        count : int
            Pixels that matter.
        planes : ndarray (component, pixel), float32
            Those of the date, in the order of `COMPONENT_PLANES`; written in place.
        """
        weight = tile.weight if kind == BOTH else np.float32(kind == STUDENT_ALONE)
        base = self._answers(tile.quantities, kind)
        gap = base[1] - base[0] if kind == BOTH else np.float32(0.0)
        found = np.zeros((len(COMPONENT_PLANES), TILE), np.float32)
        found[_DISAGREEMENT] = weight * (1 - weight) * gap**2
        before = (1 - weight) * base[0] + weight * base[1]
        for part, quantities in _shifted(tile.quantities):
            teacher, student = self._answers(quantities, kind)
            found[part] += np.nan_to_num((1 - weight) * teacher + weight * student - before) ** 2
        for row, plane in zip(found, planes, strict=True):
            put(row, tile.pixels[:count], plane)

    def _answers(self, quantities: Float32Array, kind: int) -> tuple[Float32Array, Float32Array]:
        """Return teacher's and student's temperature, K; 0 of one that is not needed."""
        nothing = np.zeros(TILE, np.float32)
        teacher = nothing if kind == STUDENT_ALONE else self._teacher.temperature(quantities)
        if kind == TEACHER_ALONE or self._student is None:
            return teacher, nothing
        return teacher, self._student.temperature(quantities)


class _Answers:
    """A network's temperature of a tile."""

    def __init__(self, model: PixelModel) -> None:
        self._estimator = Estimator(model)
        count = max(model.network.n_features, len(TEACHER_FEATURES))
        self._features = np.zeros((count, TILE), np.float32)
        self._excess = np.zeros(TILE, np.float32)

    def temperature(self, quantities: Float32Array) -> Float32Array:
        feature_rows(quantities, self._features)
        estimate = self._estimator.estimate(self._features, quantities, self._excess, TILE)
        return np.array(estimate[0], np.float32)


def _shifted(quantities: Float32Array) -> list[tuple[int, Float32Array]]:
    """Shift each band by its noise, and what is told by its error, one after the other."""
    found = []
    for band, name in enumerate(sensor.BANDS):
        shifted = quantities.copy()
        kelvin = quantities[BRIGHTNESS + band]
        slope = sensor.radiance_derivative(kelvin, band=name)
        # Noise is one radiance at all temperatures, and more kelvin where it is cold.
        noise = float(sensor.noise_equivalent_radiance(np.full(_N_BANDS, NOISE_K))[band])
        shifted[BRIGHTNESS + band] += (noise / slope).astype(np.float32)
        found.append((_NOISE, shifted))
    for row in _TOLD:
        shifted = quantities.copy()
        shifted[row] += np.nan_to_num(quantities[row + 1])
        found.append((_ATMOSPHERE, shifted))
    return found


def complete(out: Float32Array, before: Float32Array, first: int) -> None:
    """Turn variances into components whose sum in quadrature is the whole.

    Parameters
    ----------
    out : ndarray (time, plane, y, x), float32
        Retrieved; the components' planes hold variances and are changed in place. NaN where there
        is no uncertainty.
    before : ndarray (time, y, x), float32, K
        The uncertainty without cloud's risk.
    first : int
        The first of the components' planes.
    """
    for planes, own in zip(out, before, strict=True):
        whole = planes[_SIGMA].astype(np.float64)
        parts = planes[first : first + len(COMPONENT_PLANES)].astype(np.float64)
        stated = own.astype(np.float64) ** 2
        left = np.maximum(stated - parts[_DISAGREEMENT], 0.0)
        parts[_DISAGREEMENT] = np.minimum(parts[_DISAGREEMENT], stated)
        answered = parts[_NOISE] + parts[_ATMOSPHERE]
        factor = np.where(answered > left, left / np.maximum(answered, 1e-12), 1.0)
        parts[_NOISE] *= factor
        parts[_ATMOSPHERE] *= factor
        parts[_MODEL] = np.maximum(left - parts[_NOISE] - parts[_ATMOSPHERE], 0.0)
        parts[_CLOUD] = np.maximum(whole**2 - stated, 0.0)
        # Where nothing was retrieved the planes hold whatever was there.
        planes[first : first + len(COMPONENT_PLANES)] = np.where(
            np.isfinite(whole), np.sqrt(np.maximum(parts, 0.0)), np.nan
        )
