"""The physics baselines on a chunk: atmosphere from the ancillaries, then TES or split window.

The stated uncertainty is an estimate by propagation: the retrieval is repeated with water vapour
and air temperature off by their stated errors, and the instrument's noise and the method's own
scatter are added in quadrature,

    sigma^2 = (x(w + dw) - x)^2 + (x(Ta + dTa) - x)^2 + noise^2 + model^2.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from aktes_xr import sensor
from aktes_xr.baselines import tes_block, tes_parameters
from aktes_xr.baselines.split_window import EMISSIVITY_ASSUMED, split_window_block
from aktes_xr.baselines.tes_kernel import EMISSIVITY_MAX_REFINED
from aktes_xr.cube.quality import QualityFlag
from aktes_xr.errors import InputError
from aktes_xr.radiative import surface_leaving_radiance
from aktes_xr.radiative.emulator import band_atmosphere
from aktes_xr.radiative.water import WATER_EMISSIVITY_UNCERTAINTY, water_emissivity
from aktes_xr.retrieval.tiles import QUALITY, SCALARS, WEIGHT, Chunk

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from aktes_xr.compilation import Float32Array


SEA_LEVEL_HPA: Final = np.float32(1013.25)
# Gillespie et al. 1998: the scatter of emin about its regression on MMD is 0.015, which is 0.8 K
# at 300 K and 9 um; the noise is the sensor's specification.
MODEL_EMISSIVITY: Final = 0.015
MODEL_TEMPERATURE_K: Final = 0.8
SPLIT_WINDOW_MODEL_K: Final = 0.5
"""Rest of the split window's fit on simulations of clear columns."""
_STRIP: Final = 16384
_ATMOSPHERE: Final = (
    "water_vapor",
    "water_vapor_error",
    "air_temperature",
    "air_temperature_error",
)


@dataclass(frozen=True, eq=False)
class _Strip:
    """Some rows of one date, pixels on the first axis; errors are one standard deviation."""

    radiance: Float32Array
    water_vapor: Float32Array
    water_vapor_error: Float32Array
    air_temperature: Float32Array
    air_temperature_error: Float32Array
    surface_pressure: Float32Array
    emissivity_prior: Float32Array
    emissivity_error: Float32Array
    view_zenith: float


Estimate = tuple["Float32Array", "NDArray[np.bool_]"]


def retrieve_physically(chunk: Chunk, method: str, out: Float32Array) -> None:
    """Fill the output planes of a classified chunk.

    Parameters
    ----------
    chunk : Chunk
    method : "tes" or "split_window"
        Without a halo.
    out : ndarray (time, plane, y, x), float32
        Classified; filled in place. NaN where an ancillary or the measurement is missing.

    Raises
    ------
    InputError
        For any other method.
    """
    if method == "tes":
        flag, retrieve = QualityFlag.RETRIEVED_BY_TES, _by_tes
    elif method == "split_window":
        flag, retrieve = QualityFlag.RETRIEVED_BY_SPLIT_WINDOW, _by_split_window
    else:
        raise InputError(f"found method {method!r}, expected 'tes' or 'split_window'")
    rows, columns = out.shape[2:]
    step = max(1, _STRIP // columns)
    for date in range(out.shape[0]):
        for top in range(0, rows, step):
            window = slice(top, min(top + step, rows))
            estimate, sigma, doubtful = retrieve(_strip(chunk, date, window))
            target = out[date, :, window].reshape(out.shape[1], -1)
            _write(estimate, sigma, doubtful, int(flag), target)
            out[date, :, window] = target.reshape(out.shape[1], -1, columns)


def _write(
    estimate: Float32Array,
    sigma: Float32Array,
    doubtful: NDArray[np.bool_],
    flag: int,
    target: Float32Array,
) -> None:
    quality = target[QUALITY].astype(np.uint16)
    measured = (quality & QualityFlag.FILL) == 0
    quality |= np.where(measured, flag, 0).astype(np.uint16)
    quality |= np.where(measured & doubtful, QualityFlag.NOT_CONVERGED, 0).astype(np.uint16)
    target[0:6] = np.where(measured, estimate.T, np.nan)
    target[6:12] = np.where(measured, sigma.T, np.nan)
    target[WEIGHT] = np.where(measured, np.float32(0.0), np.nan)
    target[QUALITY] = quality


def _strip(chunk: Chunk, date: int, window: slice) -> _Strip:
    rows, columns = window.stop - window.start, chunk.columns
    tir = chunk.tir[date, :, window.start * columns : window.stop * columns].T
    radiance = sensor.dn_to_radiance(tir) if tir.dtype == np.uint16 else np.array(tir)

    def spread(field: Float32Array) -> Float32Array:
        part = field[window] if field.shape[0] > 1 else field
        return np.array(np.broadcast_to(part, (rows, columns)), np.float32).reshape(-1)

    pressure = spread(chunk.dated_plane("surface_pressure", date))
    for other in (spread(chunk.static_plane("surface_pressure")), SEA_LEVEL_HPA):
        pressure = np.where(np.isnan(pressure), other, pressure)
    priors = (chunk.static_plane(f"emissivity_prior_{band}") for band in sensor.BANDS)
    prior = np.stack([spread(plane) for plane in priors], axis=-1)
    error = spread(chunk.static_plane("emissivity_prior_uncertainty"))
    water = np.array(np.broadcast_to(chunk.mask_plane("water", date), (chunk.rows, columns)))
    bare = water[window].reshape(-1) & (np.isnan(prior).any(axis=-1) | np.isnan(error))
    prior[bare], error[bare] = water_emissivity(), WATER_EMISSIVITY_UNCERTAINTY
    return _Strip(
        radiance=radiance,
        **{name: spread(chunk.dated_plane(name, date)) for name in _ATMOSPHERE},
        surface_pressure=pressure,
        emissivity_prior=prior,
        emissivity_error=np.where(np.isnan(error), np.float32(MODEL_EMISSIVITY), error),
        view_zenith=float(np.nan_to_num(chunk.scalars[date, SCALARS.index("view_zenith")])),
    )


def _by_tes(strip: _Strip) -> tuple[Float32Array, Float32Array, NDArray[np.bool_]]:
    estimate, doubtful = _tes(strip)
    variance = np.zeros_like(estimate)
    for other in (
        replace(strip, water_vapor=strip.water_vapor + strip.water_vapor_error),
        replace(strip, air_temperature=strip.air_temperature + strip.air_temperature_error),
    ):
        variance += (_tes(other)[0] - estimate) ** 2
    variance[:, 0] += sensor.NEDT_SPECIFICATION_K**2 + MODEL_TEMPERATURE_K**2
    variance[:, 1:] += MODEL_EMISSIVITY**2
    return estimate, np.sqrt(variance), doubtful


def _tes(strip: _Strip) -> Estimate:
    transmittance, path, sky = band_atmosphere(
        strip.water_vapor, strip.air_temperature, strip.surface_pressure, strip.view_zenith
    )
    leaving = surface_leaving_radiance(strip.radiance, transmittance, path)
    result = tes_block(np.asarray(leaving, np.float32), sky, tes_parameters())
    doubtful = (result.flags & ~np.uint8(EMISSIVITY_MAX_REFINED)) != 0
    estimate = np.column_stack([result.temperature, result.emissivity])
    return estimate.astype(np.float32), doubtful


def _by_split_window(strip: _Strip) -> tuple[Float32Array, Float32Array, NDArray[np.bool_]]:
    estimate, doubtful = _split_window(strip)
    others = [replace(strip, water_vapor=strip.water_vapor + strip.water_vapor_error)]
    told = estimate[:, 1:]
    for band in (3, 4):
        moved = told.copy()
        moved[:, band] += strip.emissivity_error
        others.append(replace(strip, emissivity_prior=moved))
    variance = np.zeros_like(estimate)
    for other in others:
        variance[:, 0] += (_split_window(other)[0][:, 0] - estimate[:, 0]) ** 2
    variance[:, 0] += sensor.NEDT_SPECIFICATION_K**2 + SPLIT_WINDOW_MODEL_K**2
    variance[:, 1:] = strip.emissivity_error[:, np.newaxis] ** 2
    return estimate, np.sqrt(variance), doubtful


def _split_window(strip: _Strip) -> Estimate:
    """Retrieve with the prior's emissivities, or where there are none with the mean assumed."""
    brightness = sensor.radiance_to_brightness_temperature(strip.radiance).astype(np.float64)
    result = split_window_block(
        brightness, strip.emissivity_prior, strip.water_vapor, strip.view_zenith
    )
    estimate = np.column_stack([result.temperature, strip.emissivity_prior]).astype(np.float32)
    estimate[:, 4:] = result.emissivity
    return estimate, (result.flags & ~np.uint8(EMISSIVITY_ASSUMED)) != 0
