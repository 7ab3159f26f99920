"""The physics baselines on a chunk: atmosphere from the ancillaries, then TES or split window.

The stated uncertainty is an estimate by propagation: the retrieval is repeated with water vapour
and air temperature off by their stated errors, and the instrument's noise and the method's own
scatter are added in quadrature,

    sigma^2 = (x(w + dw) - x)^2 + (x(Ta + dTa) - x)^2 + noise^2 + model^2.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from aktes_xr import sensor
from aktes_xr.baselines import tes_block, tes_parameters
from aktes_xr.baselines.tes_kernel import EMISSIVITY_MAX_REFINED
from aktes_xr.errors import InputError
from aktes_xr.quality import QualityFlag
from aktes_xr.radiative import surface_leaving_radiance
from aktes_xr.radiative.emulator import band_atmosphere
from aktes_xr.retrieval_tiles import QUALITY, WEIGHT, Chunk

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Float32Array = NDArray[np.float32]

SEA_LEVEL_HPA: Final = np.float32(1013.25)
# Gillespie et al. 1998: the scatter of emin about its regression on MMD is 0.015, which is 0.8 K
# at 300 K and 9 um; the noise is the sensor's specification.
MODEL_EMISSIVITY: Final = 0.015
MODEL_TEMPERATURE_K: Final = 0.8
_STRIP: Final = 16384


@dataclass(frozen=True, eq=False)
class _Strip:
    """Some rows of one date, pixels on the first axis."""

    radiance: Float32Array
    water_vapor: Float32Array
    air_temperature: Float32Array
    surface_pressure: Float32Array
    emissivity_prior: Float32Array
    view_zenith: float


def retrieve_physically(chunk: Chunk, method: str, halo: int, out: Float32Array) -> None:
    """Fill the output planes of a classified chunk.

    Parameters
    ----------
    chunk : Chunk
    method : "tes" or "split_window"
    halo : int
        Pixels around the chunk in ``chunk.tir``.
    out : ndarray (time, 14, y, x), float32
        Classified; filled in place. NaN where an ancillary or the measurement is missing.

    Raises
    ------
    InputError
        For any other method.
    """
    if method == "tes":
        flag = QualityFlag.RETRIEVED_BY_TES
    elif method == "split_window":
        flag = QualityFlag.RETRIEVED_BY_SPLIT_WINDOW
    else:
        raise InputError(f"found method {method!r}, expected 'tes' or 'split_window'")
    rows, columns = out.shape[2:]
    step = max(1, _STRIP // columns)
    for date in range(out.shape[0]):
        for top in range(0, rows, step):
            window = slice(top, min(top + step, rows))
            _fill(chunk, method, int(flag), (date, window, halo), out)


def _fill(
    chunk: Chunk, method: str, flag: int, place: tuple[int, slice, int], out: Float32Array
) -> None:
    date, window, _ = place
    columns = out.shape[3]
    target = out[date, :, window].reshape(out.shape[1], -1)
    estimate, sigma, doubtful = _with_uncertainty(chunk, method, place, columns)
    quality = target[QUALITY].astype(np.uint16)
    measured = (quality & QualityFlag.FILL) == 0
    quality |= np.where(measured, flag, 0).astype(np.uint16)
    quality |= np.where(measured & doubtful, QualityFlag.NOT_CONVERGED, 0).astype(np.uint16)
    target[0:6] = np.where(measured, estimate.T, np.nan)
    target[6:12] = np.where(measured, sigma.T, np.nan)
    target[WEIGHT] = np.where(measured, np.float32(0.0), np.nan)
    target[QUALITY] = quality
    out[date, :, window] = target.reshape(out.shape[1], -1, columns)


def _with_uncertainty(
    chunk: Chunk, method: str, place: tuple[int, slice, int], columns: int
) -> tuple[Float32Array, Float32Array, NDArray[np.bool_]]:
    date, window, halo = place
    count = (window.stop - window.start) * columns
    lines = slice(window.start + halo, window.stop + halo)
    tir = chunk.tir[date, :, lines, halo : halo + columns].reshape(5, -1).T
    radiance = sensor.dn_to_radiance(tir) if tir.dtype == np.uint16 else np.array(tir)

    def spread(field: NDArray[Any]) -> Float32Array:
        part = field[window] if field.shape[0] > 1 else field
        wide = np.broadcast_to(part, (window.stop - window.start, columns))
        return np.array(wide, np.float32).reshape(count)

    water, water_error, air, air_error = (spread(chunk.dated[date, plane]) for plane in range(4))
    pressure = spread(chunk.static[5])
    pressure = np.where(np.isnan(pressure), SEA_LEVEL_HPA, pressure)
    prior = np.stack([spread(chunk.static[6 + band]) for band in range(5)], axis=-1)
    view_zenith = float(np.nan_to_num(chunk.scalars[date, 0]))
    strip = _Strip(radiance, water, air, pressure, prior, view_zenith)
    estimate, doubtful = _estimate(strip, method)
    moved, _ = _estimate(_replace(strip, water + water_error, air), method)
    variance = (moved - estimate) ** 2
    moved, _ = _estimate(_replace(strip, water, air + air_error), method)
    variance += (moved - estimate) ** 2
    noise = sensor.NEDT_SPECIFICATION_K
    variance[:, 0] += noise**2 + MODEL_TEMPERATURE_K**2
    variance[:, 1:] += MODEL_EMISSIVITY**2
    return estimate, np.sqrt(variance), doubtful


def _replace(strip: _Strip, water: Float32Array, air: Float32Array) -> _Strip:
    return _Strip(
        strip.radiance,
        water,
        air,
        strip.surface_pressure,
        strip.emissivity_prior,
        strip.view_zenith,
    )


def _estimate(strip: _Strip, method: str) -> tuple[Float32Array, NDArray[np.bool_]]:
    """Return temperature and emissivities (n, 6), and whether they are doubtful (n,)."""
    if method == "split_window":
        return _split_window(strip)
    transmittance, path, sky = band_atmosphere(
        strip.water_vapor, strip.air_temperature, strip.surface_pressure, strip.view_zenith
    )
    leaving = surface_leaving_radiance(strip.radiance, transmittance, path)
    result = tes_block(np.asarray(leaving, np.float32), sky, tes_parameters())
    doubtful = (result.flags & ~np.uint8(EMISSIVITY_MAX_REFINED)) != 0
    estimate = np.column_stack([result.temperature, result.emissivity])
    return estimate.astype(np.float32), doubtful


def _split_window(strip: _Strip) -> tuple[Float32Array, NDArray[np.bool_]]:
    raise NotImplementedError
