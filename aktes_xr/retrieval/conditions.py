"""What gives reason for doubt in a chunk that was retrieved: its conditions, and cloud's risk."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from aktes_xr.cube.conditions import ConditionFlag
from aktes_xr.cube.quality import QualityFlag
from aktes_xr.models.features import N_OUTPUTS
from aktes_xr.retrieval.tiles import CLOSURE, CONDITIONS, QUALITY, Chunk

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from aktes_xr.compilation import Float32Array

# Snow and ice melt at 273.15 K; they are nearly black in all bands.
SNOW_BELOW_K: Final = 274.15
SNOW_EMISSIVITY: Final = 0.96
CLOUDY_FROM: Final = 0.5
"""A pixel is probably cloudy from this probability on."""
CLOUD_K: Final = 25.0
"""How much a cloud that is found shifts the temperature, on average over simulated kinds."""
CLOUD_EMISSIVITY: Final = 0.03
"""How much a cloud shifts the emissivities, likewise."""
_GIVEN: Final = (
    ("near_cloud", ConditionFlag.NEAR_CLOUD),
    ("cast_shadow", ConditionFlag.CAST_SHADOW),
    ("interpolated", ConditionFlag.INPUT_INTERPOLATED),
)


def mark_conditions(chunk: Chunk, out: Float32Array) -> None:
    """Write the conditions of a chunk that was retrieved.

    Parameters
    ----------
    chunk : Chunk
    out : ndarray (time, plane, y, x), float32
        The plane of conditions is written; 0 where nothing was measured.
    """
    edge = chunk.static_plane("near_dem_edge") > 0.0
    for date, planes in enumerate(out):
        found = np.zeros(planes.shape[1:], np.uint16)
        for name, flag in _GIVEN:
            _raise(found, chunk.mask_plane(name, date), flag)
        _raise(found, edge, ConditionFlag.NEAR_DEM_EDGE)
        _raise(found, _snow(planes), ConditionFlag.SNOW_HINT)
        probable = chunk.dated_plane("cloud_probability", date) >= CLOUDY_FROM
        _raise(found, probable, ConditionFlag.PROBABLY_CLOUDY)
        found[(planes[QUALITY].astype(np.uint16) & QualityFlag.FILL) != 0] = 0
        planes[CONDITIONS] = found


def _raise(found: NDArray[np.uint16], where: NDArray[np.bool_], flag: ConditionFlag) -> None:
    if where.any():
        found |= np.where(where, np.uint16(flag), np.uint16(0))


def _snow(planes: Float32Array) -> NDArray[np.bool_]:
    cold = planes[0] < SNOW_BELOW_K
    return np.asarray(cold & (planes[1:N_OUTPUTS] > SNOW_EMISSIVITY).all(axis=0))


def doubt_cloud(
    chunk: Chunk, missed_k: float, out: Float32Array, *, keep: bool, closure: int
) -> None:
    """Add cloud's risk to the uncertainties, and take away what lies under cloud.

    With the probability p of a cloud that shifts the temperature by s, the shift to be expected is
    p s. It is added in quadrature, as everything that makes up the uncertainty. (The variance of
    the mixture, sigma^2 + p s^2, would follow the rare large shifts: a clear pixel of p = .05 would
    state 2 K, and nearly all of them lie within .4 K.)

    Parameters
    ----------
    chunk : Chunk
    missed_k : float, K
        The shift of temperature by a cloud that is missed; one that is found shifts it by
        `CLOUD_K`.
    out : ndarray (time, plane, y, x), float32
        Changed in place.
    keep : bool
        Keep what was retrieved under cloud.
    closure : int
        How many planes of the closure there are, which are taken away as well.
    """
    for date, planes in enumerate(out):
        cloudy = chunk.mask_plane("cloud", date)
        probability = chunk.dated_plane("cloud_probability", date)
        if not np.isnan(probability).all():
            risk = np.nan_to_num(probability)
            shift = np.where(cloudy, np.float32(CLOUD_K), np.float32(missed_k))
            _add_in_quadrature(planes[N_OUTPUTS], risk * shift)
            by_emissivity = risk * np.float32(CLOUD_EMISSIVITY)
            for plane in range(N_OUTPUTS + 1, 2 * N_OUTPUTS):
                _add_in_quadrature(planes[plane], by_emissivity)
        if not keep and cloudy.any():
            planes[: 2 * N_OUTPUTS, cloudy] = np.nan
            planes[CLOSURE : CLOSURE + closure, cloudy] = np.nan


def _add_in_quadrature(sigma: Float32Array, other: Float32Array) -> None:
    # None is so large or small that its square needs the care of `hypot`, which takes longer.
    np.sqrt(sigma * sigma + other * other, out=sigma)
