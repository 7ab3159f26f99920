"""Fit the calibration of the gas absorption to reference spectra, and test it on unseen profiles.

Seven figures per 10 cm-1 sub-band (`aktes_xr.radiative.gases.CALIBRATED`) are fitted to the
reference's nadir transmittance and path radiance averaged over that sub-band: least squares on
the logarithm of the five factors and on the two grey depths, drawn towards "no change" by
Gaussian priors. The prior widths say how far a twenty-year-old line list and continuum may be
off; where the data say nothing about a factor it stays at one. `cross_validate` repeats the fit
without each fifth of the profiles and solves those that were left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares

from aktes_xr.compilation import kernel
from aktes_xr.radiative.gases import CALIBRATED, FACTORS, GasAbsorption, TraceGases, assemble
from aktes_xr.radiative.planck import planck_wavenumber
from aktes_xr.radiative.profiles import check_profile
from aktes_xr.radiative.transfer import (
    grey_depths,
    layer_amounts,
    path_transmittance,
    refine_column,
    scaled_amounts,
    solve_column,
)
from aktes_xr.sensor import BANDS, planck_table

PRIOR_WIDTH: Final[NDArray[np.float64]] = np.array([0.3, 0.3, 0.3, 0.3, 0.3, 0.02, 0.02])
"""Prior standard deviations, in the order of ``CALIBRATED``: logarithms of factors, then depths."""
TRANSMITTANCE_WIDTH: Final = 0.005
"""Error that the calibrated model is expected to leave; its inverse weighs the data."""
TOTAL_SHARE: Final = 0.5
"""Expected error at the top of the atmosphere over that of path radiance: they compensate."""
REFERENCE_TEMPERATURE_K: Final = 285.0
FOLDS: Final = 5


@dataclass(frozen=True, eq=False)
class Reference:
    """Reference spectra and the columns they belong to.

    Attributes
    ----------
    wavenumber : ndarray (n,), cm-1
    transmittance : ndarray (profile, n), 1
    path_radiance : ndarray (profile, n), W m-2 sr-1 (cm-1)-1
    columns : sequence of ndarray (4, level)
        As `aktes_xr.radiative.transfer.refine_column` returns them.
    """

    wavenumber: NDArray[np.float64]
    transmittance: NDArray[np.float64]
    path_radiance: NDArray[np.float64]
    columns: Sequence[NDArray[np.float64]]

    def averaged(
        self, limits: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Average transmittance and path radiance between two wavenumbers, per profile.

        Parameters
        ----------
        limits : float64 (2,), cm-1
            Lower and upper wavenumber.

        Returns
        -------
        transmittance : float64 (profile,), 1
        path_radiance : float64 (profile,)
            In the unit of the reference's ``path_radiance``.
        """
        low, high = limits
        half = 0.5 * float(self.wavenumber[1] - self.wavenumber[0])
        corners = [low - half, low + half, high - half, high + half]
        weight = np.interp(self.wavenumber, corners, [0.0, 1.0, 1.0, 0.0])
        weight /= weight.sum()
        return self.transmittance @ weight, self.path_radiance @ weight


def read_reference(path: Any) -> Reference:
    """Read reference spectra and profiles from a netCDF file.

    Parameters
    ----------
    path : Path
        Variables ``transmittance``, ``path_radiance`` (uW cm-2 sr-1 (cm-1)-1), ``p`` (hPa), ``T``
        (K), ``q``, ``o3`` (mol mol-1) and ``psurf`` (hPa).

    Returns
    -------
    Reference
    """
    import xarray as xr

    with xr.open_dataset(path) as data:
        fields = [data[name].to_numpy().astype(np.float64) for name in ("p", "T", "q", "o3")]
        surface = data["psurf"].to_numpy()
        columns = []
        for p, t, q, o3, ps in zip(*fields, surface, strict=True):
            profile, ground = check_profile(p, t, q, o3, surface_pressure_hpa=float(ps))
            p, t, q, o3 = profile
            columns.append(refine_column(p, t, q, o3, ground))
        return Reference(
            data["wavenumber"].to_numpy().astype(np.float64),
            data["transmittance"].to_numpy().astype(np.float64),
            data["path_radiance"].to_numpy().astype(np.float64) * 1e-2,
            columns,
        )


@kernel()
def _sub_band(
    sub: int,
    layers: NDArray[np.float64],
    column: NDArray[np.float64],
    planck: NDArray[np.float64],
    gas: GasAbsorption,
) -> tuple[float, float]:
    amounts = scaled_amounts(sub, layers, gas)
    grey = grey_depths(sub, layers, column, gas)
    passed = path_transmittance(sub, amounts, grey, 1.0, True, gas)
    radiance = 0.0
    for j in range(planck.size - 1):
        radiance += 0.5 * (planck[j] + planck[j + 1]) * (passed[j + 1] - passed[j])
    return passed[0], radiance


def _fit_sub_band(
    sub: int, limits: NDArray[np.float64], reference: Reference, gas: GasAbsorption
) -> NDArray[np.float64]:
    """Fit one row of the calibration; ``gas.calibration`` is scratch space."""
    transmittance, radiance = reference.averaged(limits)
    middle = float(limits.mean())
    scale = TRANSMITTANCE_WIDTH * planck_wavenumber(middle, REFERENCE_TEMPERATURE_K)
    mole_fraction = TraceGases().mole_fractions()
    layers = [layer_amounts(column, mole_fraction) for column in reference.columns]
    planck = [planck_wavenumber(middle, column[1]) for column in reference.columns]
    ground = np.array([column[1, 0] for column in reference.columns])
    source_at_surface = planck_wavenumber(middle, ground + 3.0)

    def row(x: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.concatenate([np.exp(x[:FACTORS]), x[FACTORS:]])

    def residual(x: NDArray[np.float64]) -> NDArray[np.float64]:
        gas.calibration[sub] = row(x)
        found = np.array(
            [
                _sub_band(sub, layer, column, source, gas)
                for layer, column, source in zip(layers, reference.columns, planck, strict=True)
            ]
        )
        passed = found[:, 0] - transmittance
        emitted = found[:, 1] - radiance
        total = emitted + 0.97 * source_at_surface * passed
        return np.concatenate(
            [
                passed / TRANSMITTANCE_WIDTH,
                emitted / scale,
                total / (TOTAL_SHARE * scale),
                x / PRIOR_WIDTH,
            ]
        )

    lower = np.full(len(CALIBRATED), -3.0)
    lower[FACTORS:] = 0.0
    start = np.zeros(len(CALIBRATED))
    start[FACTORS:] = 1e-3
    solution = least_squares(residual, start, bounds=(lower, np.full(len(CALIBRATED), 3.0)))
    return row(solution.x)


def fit_calibration(
    arrays: dict[str, NDArray[np.float64]], reference: Reference
) -> NDArray[np.float64]:
    """Fit every sub-band.

    Parameters
    ----------
    arrays : dict
        As `aktes_xr.tables.socrates.read_absorption` returns them.
    reference : Reference
        Spectra that cover the sub-bands.

    Returns
    -------
    ndarray (sub, 7), float64
        Columns as in ``CALIBRATED``.
    """
    gas = assemble(arrays, None)
    return np.stack(
        [
            _fit_sub_band(sub, limits, reference, gas)
            for sub, limits in enumerate(arrays["wavenumber"])
        ]
    )


def subset(reference: Reference, chosen: NDArray[np.intp]) -> Reference:
    """Keep some profiles of a reference.

    Parameters
    ----------
    reference : Reference
        Spectra of many profiles.
    chosen : intp (n,)
        Numbers of the profiles to keep.

    Returns
    -------
    Reference
        Of the chosen profiles, in the given order.
    """
    return Reference(
        reference.wavenumber,
        reference.transmittance[chosen],
        reference.path_radiance[chosen],
        [reference.columns[i] for i in chosen],
    )


def solve_reference(reference: Reference, gas: GasAbsorption) -> NDArray[np.float64]:
    """Solve a reference's columns at nadir.

    Parameters
    ----------
    reference : Reference
    gas : GasAbsorption

    Returns
    -------
    ndarray (profile, 2, 5), float64
        Transmittance and path radiance.
    """
    table = planck_table()
    grid = (float(table.temperature[0]), table.step)
    mole_fraction = TraceGases().mole_fractions()
    return np.stack(
        [
            solve_column(column, layer_amounts(column, mole_fraction), np.ones(1), grid, gas)[:2]
            for column in reference.columns
        ]
    )


def cross_validate(
    arrays: dict[str, NDArray[np.float64]], reference: Reference
) -> NDArray[np.float64]:
    """Solve each fifth of the profiles with a calibration fitted to the others.

    Parameters
    ----------
    arrays : dict
        As `aktes_xr.tables.socrates.read_absorption` returns them.
    reference : Reference

    Returns
    -------
    ndarray (profile, 2, 5), float64
        Transmittance and path radiance, each of a profile its calibration has not seen.
    """
    fold = np.arange(len(reference.columns)) % FOLDS
    out = np.empty((fold.size, 2, len(BANDS)))
    for number in range(FOLDS):
        seen, unseen = np.flatnonzero(fold != number), np.flatnonzero(fold == number)
        calibration = fit_calibration(arrays, subset(reference, seen))
        out[unseen] = solve_reference(subset(reference, unseen), assemble(arrays, calibration))
    return out
