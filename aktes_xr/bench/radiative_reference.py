"""Transmittance, path radiance and top of the atmosphere against reference spectra."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from aktes_xr import sensor
from aktes_xr.radiative.calibrate import Reference
from aktes_xr.radiative.planck import planck_wavenumber

EMISSIVITY = 0.97
CONTRAST_K = 3.0
"""Surface over air at the lowest level."""


def reference_directory() -> Path | None:
    """Find the reference data; None where there are none.

    The environment variable ``AKTES_REFERENCE_DATA`` names the directory; without it,
    ``shared/data`` beside the project's root.
    """
    default = Path(__file__).resolve().parents[3] / "shared" / "data"
    directory = Path(os.environ.get("AKTES_REFERENCE_DATA", default))
    return directory if (directory / "reference_rt.nc").is_file() else None


@dataclass(frozen=True)
class Errors:
    """Root-mean-square errors per band, (5,)."""

    transmittance: NDArray[np.float64]
    path_radiance: NDArray[np.float64]
    brightness_temperature: NDArray[np.float64]


def _band_weights(wavenumber: NDArray[np.float64], band: str) -> NDArray[np.float64]:
    """Response by wavelength on an even wavenumber grid: dl = dn 1e4 / n^2."""
    wavelength, response = sensor.spectral_response(band)
    weight = np.interp(1e4 / wavenumber, wavelength, response, left=0.0, right=0.0)
    weight /= wavenumber**2
    return np.asarray(weight / weight.sum())


def compare(reference: Reference, found: NDArray[np.float64]) -> Errors:
    """Compare solutions with spectra.

    The reference's top-of-atmosphere radiance is summed over its spectrum; ours is the radiance
    equation in band quantities. Reflected sky radiance, which the reference does not hold, is left
    out of both.

    Parameters
    ----------
    reference : Reference
    found : ndarray (profile, 2, 5)
        Transmittance and path radiance.

    Returns
    -------
    Errors
    """
    wavenumber = reference.wavenumber
    per_um = wavenumber**2 / 1e4
    ground = np.array([column[1, 0] for column in reference.columns]) + CONTRAST_K
    surface = EMISSIVITY * planck_wavenumber(wavenumber, ground[:, None])
    at_sensor = reference.transmittance * surface + reference.path_radiance
    errors = np.empty((3, len(ground), len(sensor.BANDS)))
    for number, band in enumerate(sensor.BANDS):
        weight = _band_weights(wavenumber, band)
        passed, emitted = found[:, 0, number], found[:, 1, number]
        black = sensor.brightness_temperature_to_radiance(ground, band=band)
        ours = passed * EMISSIVITY * black + emitted
        errors[0, :, number] = passed - reference.transmittance @ weight
        errors[1, :, number] = emitted - (reference.path_radiance * per_um) @ weight
        errors[2, :, number] = sensor.radiance_to_brightness_temperature(
            ours, band=band
        ) - sensor.radiance_to_brightness_temperature((at_sensor * per_um) @ weight, band=band)
    return Errors(*np.sqrt(np.mean(errors**2, axis=1)))
