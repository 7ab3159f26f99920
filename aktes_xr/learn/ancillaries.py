"""Random drop-out of ancillaries, so that one network serves all their combinations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from aktes_xr.models.features import QUANTITIES

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Float32Array = NDArray[np.float32]

GROUPS: Final[dict[str, tuple[int, ...]]] = {
    "surface_pressure": (QUANTITIES.index("surface_pressure"),),
    "water_vapor": tuple(QUANTITIES.index(name) for name in ("water_vapor", "water_vapor_error")),
    "air_temperature": tuple(
        QUANTITIES.index(name) for name in ("air_temperature", "air_temperature_error")
    ),
    "emissivity_prior": tuple(
        index for index, name in enumerate(QUANTITIES) if name.startswith("emissivity_prior")
    ),
}
"""Columns of the quantities that come and go together."""

ALL: Final = frozenset(GROUPS)
COMPLETE_SHARE: Final = 0.3
BARE_SHARE: Final = 0.15
"""Shares of the training sample with every ancillary, and with pressure alone; the rest mixes."""


def keep_only(quantities: Float32Array, kept: frozenset[str]) -> Float32Array:
    """Copy the quantities with only the named ancillaries; the others become NaN.

    Parameters
    ----------
    quantities : ndarray (sample, 27), float32
    kept : frozenset of str
        Keys of `GROUPS`.
    """
    reduced = quantities.copy()
    for name in ALL - kept:
        reduced[:, GROUPS[name]] = np.nan
    return reduced


def drop_ancillaries(quantities: Float32Array, rng: np.random.Generator) -> Float32Array:
    """Copy the quantities with ancillaries removed at random, sample by sample.

    Parameters
    ----------
    quantities : ndarray (sample, 27), float32
    rng : numpy.random.Generator

    Returns
    -------
    ndarray (sample, 27), float32
        Some samples complete, some with surface pressure alone, in the others each ancillary with
        probability one half. Surface pressure, which an elevation model gives, is missing in one
        of twenty.
    """
    reduced = quantities.copy()
    count = quantities.shape[0]
    kind = rng.random(count)
    for name, columns in GROUPS.items():
        if name == "surface_pressure":
            absent = rng.random(count) < 0.05
        else:
            absent = rng.random(count) < 0.5
            absent &= kind >= COMPLETE_SHARE
            absent |= kind >= 1.0 - BARE_SHARE
        for column in columns:
            reduced[absent, column] = np.nan
    return reduced
