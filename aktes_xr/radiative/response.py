"""From the published spectral response to the table `aktes_xr.sensor` ships."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aktes_xr.radiative.planck import planck_wavelength
from aktes_xr.sensor import BANDS, TEMPERATURE_RANGE_K

NODE_SPACING_K = 0.1
"""Linear interpolation is then off by less than 2e-4 K over the table."""
SOURCE = (
    "USGS/NASA ASTER relative spectral response at 1 nm, as collected by pyrsr 0.8.0 (Apache-2.0)"
)


def read_response(path: Path) -> dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Read the response of the five bands.

    Parameters
    ----------
    path : Path
        CSV with columns ``band`` (10..14), ``wavelength_um`` and ``relative_response``.

    Returns
    -------
    dict of band name to (wavelength (n,) um, response (n,) 1), float64
    """
    rows: dict[str, list[tuple[float, float]]] = {band: [] for band in BANDS}
    with path.open(newline="") as handle:
        for row in csv.DictReader(handle):
            rows[f"B{row['band']}"].append(
                (float(row["wavelength_um"]), float(row["relative_response"]))
            )
    columns = {band: np.array(sorted(values)) for band, values in rows.items()}
    return {band: (table[:, 0].copy(), table[:, 1].copy()) for band, table in columns.items()}


def weighted_planck(
    wavelength_um: NDArray[np.float64],
    response: NDArray[np.float64],
    temperature: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Average Planck's law over a response by the trapezoidal rule.

    Parameters
    ----------
    wavelength_um, response : ndarray (n,), um and 1
        The spectral response.
    temperature : ndarray (m,), K
        Of the black body.

    Returns
    -------
    ndarray (m,), float64, W m-2 sr-1 um-1
    """
    weight = np.trapezoid(response, wavelength_um)
    spectrum = planck_wavelength(wavelength_um[None, :], temperature[:, None])
    return np.asarray(np.trapezoid(spectrum * response, wavelength_um, axis=1) / weight)


def build_sensor_table(source: Path, target: Path) -> None:
    """Write the response and the Planck table.

    Parameters
    ----------
    source : Path
        The CSV of `read_response`.
    target : Path
        The ``.npz`` that is written.
    """
    first, last = TEMPERATURE_RANGE_K
    nodes = round((last - first) / NODE_SPACING_K) + 1
    temperature = np.linspace(first, last, nodes)
    arrays: dict[str, Any] = {"temperature": temperature}
    radiance = []
    for band, (wavelength, response) in read_response(source).items():
        arrays[f"wavelength_{band}"] = wavelength
        arrays[f"response_{band}"] = response
        radiance.append(weighted_planck(wavelength, response, temperature))
    arrays["radiance"] = np.stack(radiance)
    arrays["source"] = np.array(SOURCE)
    np.savez_compressed(target, **arrays)
