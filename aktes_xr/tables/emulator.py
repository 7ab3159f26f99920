"""Fit the emulator of the shipped atmospheres."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aktes_xr.radiative.emulator import (
    _BY_WATER,
    _TERMS,
    POWERS,
    Emulator,
    _evaluate,
    _scaled,
    _with_planck,
)
from aktes_xr.radiative.table import SPLITS, SURFACE_PRESSURES_HPA, VIEW_ZENITHS_DEG
from aktes_xr.sensor import BANDS, brightness_temperature_to_radiance


def table_rows(
    arrays: dict[str, NDArray[Any]], chosen: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return inputs (n, 4: water, temperature, pressure, secant) and outputs (n, 15).

    Parameters
    ----------
    arrays : dict of str to ndarray
        The table: its water, temperature, transmittance and radiances by name.
    chosen : bool (profile,)
        The profiles to take.
    """
    secants = 1.0 / np.cos(np.deg2rad(VIEW_ZENITHS_DEG))
    pressure = np.array(SURFACE_PRESSURES_HPA)[None, :, None, None]
    shape = (*arrays["air_temperature"][chosen].shape, secants.size)
    fields = [
        arrays["precipitable_water"][chosen][..., None],
        arrays["air_temperature"][chosen][..., None],
        pressure[..., None],
        secants,
    ]
    inputs = np.stack([np.broadcast_to(f, shape).ravel() for f in fields], axis=1)
    outputs = np.concatenate(
        [
            arrays["transmittance"][chosen],
            arrays["path_radiance"][chosen],
            np.broadcast_to(arrays["sky_radiance"][chosen][..., None, :], (*shape, len(BANDS))),
        ],
        axis=-1,
    ).reshape(-1, 3 * len(BANDS))
    known = np.isfinite(inputs).all(axis=1)
    return inputs[known].astype(np.float64), outputs[known].astype(np.float64)


def fit_emulator(arrays: dict[str, NDArray[Any]], chosen: NDArray[np.bool_]) -> Emulator:
    """Fit the polynomials to profiles of the table.

    Parameters
    ----------
    arrays : dict
        As `aktes_xr.radiative.table.shipped_atmospheres` returns them.
    chosen : ndarray (profile,), bool
        The profiles to fit.

    Returns
    -------
    Emulator
    """
    inputs, outputs = table_rows(arrays, chosen)
    scaled = np.array([_scaled(w, p, t) for w, t, p, _ in inputs])
    terms = np.prod(scaled[:, None, :] ** POWERS, axis=2)
    source = brightness_temperature_to_radiance(np.repeat(inputs[:, 1:2], len(BANDS), axis=1))
    depth = -np.log(outputs[:, :5])
    coefficients = np.empty((3, len(BANDS), len(POWERS)))
    exponent = np.empty(len(BANDS))
    nadir = np.isclose(inputs[:, 3], 1.0)
    steep = np.isclose(inputs[:, 3], inputs[:, 3].max())
    for band in range(len(BANDS)):
        ratio = depth[steep, band] / depth[nadir, band]
        exponent[band] = np.median(np.log(ratio)) / np.log(inputs[:, 3].max())
        opacity = 1 - outputs[:, band]
        emitted = outputs[:, 5 + band] / source[:, band]
        targets = (
            (terms, depth[:, band] / inputs[:, 3] ** exponent[band], _BY_WATER),
            (terms * opacity[:, None], emitted, np.ones(_TERMS, dtype=bool)),
            (terms, outputs[:, 10 + band] / source[:, band], _BY_WATER),
        )
        coefficients[:, band] = 0.0
        for kind, (design, target, used) in enumerate(targets):
            solution = np.linalg.lstsq(design[:, used], target, rcond=None)[0]
            coefficients[kind, band, used] = solution
    return _with_planck(coefficients, exponent, depth[nadir].min(axis=0))


def residuals(
    arrays: dict[str, NDArray[Any]], chosen: NDArray[np.bool_], emulator: Emulator
) -> NDArray[np.float64]:
    """Return the emulator's errors on profiles of the table.

    Parameters
    ----------
    arrays : dict
        As `aktes_xr.radiative.table.shipped_atmospheres` returns them.
    chosen : ndarray (profile,), bool
        The profiles to compare.
    emulator : Emulator

    Returns
    -------
    ndarray (n, 15), float64
        Of t, Lp and Ls.
    """
    inputs, outputs = table_rows(arrays, chosen)
    return np.asarray(_evaluate(inputs, emulator) - outputs)


def write_emulator(directory: Path) -> None:
    """Fit the profiles outside the test split and write the coefficients.

    Parameters
    ----------
    directory : Path
        Holds ``atmospheres.npz``, and gets ``atmosphere_emulator.npz``.
    """
    with np.load(directory / "atmospheres.npz") as archive:
        arrays = {name: archive[name] for name in archive.files}
    fitted = fit_emulator(arrays, arrays["split"] != SPLITS.index("test"))
    np.savez_compressed(
        directory / "atmosphere_emulator.npz",
        coefficients=fitted.coefficients,
        exponent=fitted.exponent,
        least=fitted.least,
    )
