r"""What a network's stated uncertainty is multiplied by, by stratum.

One factor for all pixels cannot mend what is too narrow in moist air and at edges and too wide on
plain ground. So the logarithm of sigma gains a number from a table over three coordinates of a
pixel: the water column it is told, the sky it sees, and how much temperature varies around it.
Between the table's nodes it is linear in each coordinate, so that no seam is seen in a map; beyond
them it is constant. A column and surroundings that are not known have entries of their own, and an
unknown sky counts as open.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from aktes_xr.compilation import kernel
from aktes_xr.models.features import N_OUTPUTS, QUANTITIES, SKY_VIEW_FACTOR, WATER_VAPOR

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from aktes_xr.compilation import Float32Array

WATER_NODES: Final = (5.0, 15.0, 30.0, 45.0)
"""kg m-2, as told."""
SKY_NODES: Final = (0.70, 0.86, 0.95, 0.995)
"""Sky-view factor."""
SPREAD_NODES: Final = (0.2, 0.8, 3.2)
"""K: standard deviation of B13 over 5 x 5 pixels; linear in its logarithm."""
TABLE_SHAPE: Final = (len(WATER_NODES) + 1, len(SKY_NODES), len(SPREAD_NODES) + 1, N_OUTPUTS)
"""The last entry of water and of spread is for those that are not known."""
_SPREAD: Final = QUANTITIES.index("spread_B13_5")
_WATER: Final = tuple(np.float32(node) for node in WATER_NODES)
_SKY: Final = tuple(np.float32(node) for node in SKY_NODES)
_LOG_SPREAD: Final = tuple(np.float32(np.log(node)) for node in SPREAD_NODES)
_LEAST_SPREAD: Final = np.float32(1e-3)
_ONE: Final = np.float32(1.0)


def neutral() -> Float32Array:
    """Return a table that changes nothing.

    Returns
    -------
    ndarray `TABLE_SHAPE`, float32
    """
    return np.zeros(TABLE_SHAPE, np.float32)


@kernel()
def _between(value, nodes):
    """Return the node at or below a value and how far it is to the next one, from 0 to 1."""
    last = len(nodes) - 1
    if not value > nodes[0]:
        return 0, np.float32(0.0)
    for place in range(last):
        if value < nodes[place + 1]:
            return place, (value - nodes[place]) / (nodes[place + 1] - nodes[place])
    return last, np.float32(0.0)


@kernel()
def _coordinates(water, sky, spread):
    """Return place and fraction in the table along its three axes."""
    if np.isnan(water):
        w, fw = len(_WATER), np.float32(0.0)
    else:
        w, fw = _between(water, _WATER)
    if np.isnan(sky):
        s, fs = len(_SKY) - 1, np.float32(0.0)
    else:
        s, fs = _between(sky, _SKY)
    if np.isnan(spread):
        h, fh = len(_LOG_SPREAD), np.float32(0.0)
    else:
        h, fh = _between(np.log(max(spread, _LEAST_SPREAD)), _LOG_SPREAD)
    return w, fw, s, fs, h, fh


@kernel()
def add_factors(quantities: Float32Array, table: Float32Array, log_sigma: Float32Array) -> None:
    """Add the logarithms of the factors to those of the uncertainties.

    Parameters
    ----------
    quantities : ndarray (quantity, pixel), float32
        In the order and units of `aktes_xr.models.features.QUANTITIES`.
    table : ndarray `TABLE_SHAPE`, float32
        Natural logarithms of factors.
    log_sigma : ndarray (6, pixel), float32
        Changed in place.
    """
    water, sky = quantities[WATER_VAPOR], quantities[SKY_VIEW_FACTOR]
    spread = quantities[_SPREAD]
    for pixel in range(log_sigma.shape[1]):
        w, fw, s, fs, h, fh = _coordinates(water[pixel], sky[pixel], spread[pixel])
        # Eight corners; a fraction of 0 stays at its node, which may be the axis' last one.
        for i in range(2 if fw > 0 else 1):
            by_water = fw if i else _ONE - fw
            for j in range(2 if fs > 0 else 1):
                by_sky = by_water * (fs if j else _ONE - fs)
                for k in range(2 if fh > 0 else 1):
                    weight = by_sky * (fh if k else _ONE - fh)
                    row = table[w + i, s + j, h + k]
                    for output in range(N_OUTPUTS):
                        log_sigma[output, pixel] += weight * row[output]


def strata_of(quantities: Float32Array) -> NDArray[np.int64]:
    """Return the nearest node of each pixel, to fit and to judge a table by.

    Parameters
    ----------
    quantities : ndarray (pixel, quantity), float32
        As `aktes_xr.models.features.QUANTITIES`.

    Returns
    -------
    ndarray (pixel, 3), int64
        Places along the table's first three axes.
    """
    out = np.empty((len(quantities), 3), np.int64)
    _nearest(np.ascontiguousarray(quantities, np.float32), out)
    return out


@kernel()
def _nearest(quantities, out):
    for pixel in range(out.shape[0]):
        row = quantities[pixel]
        w, fw, s, fs, h, fh = _coordinates(row[WATER_VAPOR], row[SKY_VIEW_FACTOR], row[_SPREAD])
        half = np.float32(0.5)
        out[pixel, 0] = w + (1 if fw > half else 0)
        out[pixel, 1] = s + (1 if fs > half else 0)
        out[pixel, 2] = h + (1 if fh > half else 0)
