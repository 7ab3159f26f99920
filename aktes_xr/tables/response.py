"""From the published spectral response to the table `aktes_xr.sensor` ships."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aktes_xr.radiative.planck import planck_wavelength
from aktes_xr.sensor import BANDS, TEMPERATURE_RANGE_K

BIN_CM = 1.0
"""Width of the wavenumber bins the response is averaged over; ten fill one gas sub-band."""
NODE_SPACING_K = 0.1
"""Linear interpolation is then off by less than 2e-4 K over the table."""
SOURCE = (
    "Averages over 1 cm-1 of the USGS/NASA ASTER relative spectral response, as collected by "
    "pyrsr 0.8.0 (Apache-2.0)"
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


def average_response(
    wavelength_um: NDArray[np.float64], response: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Average a response over bins of ``BIN_CM``, whose limits are whole wavenumbers.

    Parameters
    ----------
    wavelength_um, response : ndarray (n,), um (increasing) and 1
        The spectral response, linear between its points.

    Returns
    -------
    wavelength : ndarray (m,), float64, um
        Increasing: the middle of each bin.
    response : ndarray (m,), float64, 1
        The integral by wavelength over each bin, divided by the bin's width.
    """
    first = np.floor(1e4 / wavelength_um[-1] / BIN_CM) * BIN_CM
    last = np.ceil(1e4 / wavelength_um[0] / BIN_CM) * BIN_CM
    limits = 1e4 / np.arange(last, first - BIN_CM / 2, -BIN_CM)
    points = np.union1d(wavelength_um, limits)
    values = np.interp(points, wavelength_um, response, left=0.0, right=0.0)
    steps = np.diff(points) * (values[1:] + values[:-1]) / 2
    integral = np.concatenate([[0.0], np.cumsum(steps)])
    mean = np.diff(np.interp(limits, points, integral)) / np.diff(limits)
    return (limits[1:] + limits[:-1]) / 2, mean


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
    for band, published in read_response(source).items():
        wavelength, response = average_response(*published)
        arrays[f"wavelength_{band}"] = wavelength
        arrays[f"response_{band}"] = response
        radiance.append(weighted_planck(wavelength, response, temperature))
    arrays["radiance"] = np.stack(radiance)
    arrays["source"] = np.array(SOURCE)
    np.savez_compressed(target, **arrays)
