"""The cloud test over an image, a few rows at a time: described, standardised, estimated.

Features never fill more memory than the network takes at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from aktes_xr.models.cloud_features import CloudDescription, describable
from aktes_xr.models.cloud_test import CloudTest, standardise
from aktes_xr.models.context import REACH

if TYPE_CHECKING:
    from aktes_xr.compilation import Float32Array

_ROWS: Final = 4
"""Rows that are described at once: their features lie in a core's own cache."""
_AT_ONCE: Final = 8192
"""Pixels that are passed through the network at once."""


def probability_of_image(
    test: CloudTest, seen: Float32Array, statistics: Float32Array, sun_zenith_deg: float
) -> Float32Array:
    """Estimate the probability of cloud within an image.

    Parameters
    ----------
    test : CloudTest
    seen : ndarray (9, y + 2 `REACH`, x + 2 `REACH`), float32
        In the order of `aktes_xr.models.cloud_features.SEEN`; NaN where nothing is known.
    statistics : ndarray (11,), float32
        Of the whole scene (`aktes_xr.models.cloud_features.scene_statistics`).
    sun_zenith_deg : float, degree
        NaN where unknown.

    Returns
    -------
    ndarray (y, x), float32, 1
        NaN where a band was not measured.
    """
    rows, columns = (size - 2 * REACH for size in seen.shape[1:])
    out = np.empty((rows, columns), np.float32)
    if out.size == 0:
        return out
    description = CloudDescription(seen, statistics, sun_zenith_deg, rows=_ROWS)
    work = test.network.new_pass(_AT_ONCE + _ROWS * columns)
    of_call = work.features.shape[2]
    flat = out.reshape(-1)
    done = waiting = 0
    for first in range(0, rows, _ROWS):
        features = description.rows_from(first, min(_ROWS, rows - first))
        standardise(features, test.center, test.scale, waiting, work.features)
        waiting += features.shape[1]
        last = first + _ROWS >= rows
        if last or waiting >= _AT_ONCE:
            # Whole calls only, but at the end; what is left of one comes to the front.
            ready = waiting if last else waiting // of_call * of_call
            work.run(ready)
            test.read(work.outputs, flat[done : done + ready])
            done, waiting = done + ready, waiting - ready
            if waiting:
                work.features[0] = work.features[ready // of_call]
    inner = (slice(None), slice(REACH, REACH + rows), slice(REACH, REACH + columns))
    out[~describable(seen[inner])] = np.nan
    return out
