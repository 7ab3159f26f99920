"""Gas absorption in 10 cm-1 sub-bands: exponential-sum fits and the water continuum.

A gas with absorber amount u (kg m-2) in a layer at pressure p and temperature T has the optical
depths ``k_i f u`` with weights ``w_i``, where

    f = (p / p_ref)^a (1 + b (T / T_ref - 1) + c (T / T_ref - 1)^2),

and the water continuum has ``k f u n`` with n the molar density (mol m-3) of water vapour (self) or
of dry air (foreign) [1]_. Different gases overlap at random within a sub-band, so their
transmittances multiply.

The calibration works in each sub-band. It multiplies the optical depths of water lines, self and
foreign continuum, ozone and the other gases. It adds two grey optical depths for absorbers that the
file does not hold (nitric acid, carbon tetrachloride, background aerosol). One is well mixed, the
other lies in the stratosphere; see `CALIBRATED`.

References
----------
.. [1] J. M. Edwards and A. Slingo, Q. J. R. Meteorol. Soc. 122, 689 (1996).
"""

from __future__ import annotations

import functools
import importlib.resources
from dataclasses import dataclass, fields
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from aktes_xr.errors import InputError
from aktes_xr.radiative.planck import planck_wavelength
from aktes_xr.sensor import BANDS, planck_table, spectral_response

GASES: Final = ("h2o", "co2", "o3", "n2o", "ch4", "cfc11", "cfc12")
"""In the order of the spectral file."""
MOLAR_MASS: Final[NDArray[np.float64]] = 1e-3 * np.array(
    [18.01528, 44.0095, 47.9982, 44.0128, 16.0425, 137.368, 120.914]
)
"""kg mol-1."""
CALIBRATED: Final = (
    "h2o_lines",
    "self_continuum",
    "foreign_continuum",
    "o3",
    "other",
    "grey",
    "high",
)
"""Columns of the calibration: five factors, an optical depth per 1013.25 hPa of air, and one of
the stratosphere between 120 and 20 hPa."""
FACTORS: Final = 5


@dataclass(frozen=True)
class TraceGases:
    """Well-mixed gases, mol per mol of dry air.

    The defaults are NOAA's global means of 2012, the middle of the instrument's archive.
    """

    co2: float = 393e-6
    n2o: float = 0.325e-6
    ch4: float = 1.81e-6
    cfc11: float = 0.236e-9
    cfc12: float = 0.525e-9

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not 0.0 <= value < 0.01:
                raise InputError(
                    f"found {field.name} = {value}, expected a mole fraction between 0 and 0.01"
                )

    def mole_fractions(self) -> NDArray[np.float64]:
        """Return the fractions in the order of ``GASES``; zero for water and ozone."""
        return np.array([0.0, self.co2, 0.0, self.n2o, self.ch4, self.cfc11, self.cfc12])


class GasAbsorption(NamedTuple):
    """What a compiled kernel needs of a spectral file; sub-bands on the first axis.

    Attributes
    ----------
    first, terms : ndarray (sub, gas), int64
        Where a gas's terms begin, and how many they are, in ``coefficient`` and ``weight``.
    coefficient : ndarray (term,), float64, m2 kg-1
    weight : ndarray (term,), float64, 1
        Sums to one over the terms of a gas.
    scaling : ndarray (sub, gas, 5), float64
        p_ref (Pa), T_ref (K), a, b, c.
    continuum : ndarray (sub, 2), float64, m5 kg-1 mol-1
        Self and foreign.
    continuum_scaling : ndarray (sub, 2, 5), float64
    calibration : ndarray (sub, 7), float64
        Columns as in ``CALIBRATED``.
    planck : ndarray (band, sub, node), float64, W m-2 sr-1 um-1
        Each sub-band's share of the response-weighted Planck function, at the nodes of
        `aktes_xr.sensor.planck_table`; sums over the sub-bands to that table.
    band_first, band_stop : ndarray (sub,), int64
        The bands whose response reaches a sub-band.
    """

    first: NDArray[np.int64]
    terms: NDArray[np.int64]
    coefficient: NDArray[np.float64]
    weight: NDArray[np.float64]
    scaling: NDArray[np.float64]
    continuum: NDArray[np.float64]
    continuum_scaling: NDArray[np.float64]
    calibration: NDArray[np.float64]
    planck: NDArray[np.float64]
    band_first: NDArray[np.int64]
    band_stop: NDArray[np.int64]


def uncalibrated(sub_bands: int) -> NDArray[np.float64]:
    """Return the calibration that changes nothing: factors one, depths zero.

    Parameters
    ----------
    sub_bands : int
        Number of sub-bands.

    Returns
    -------
    ndarray (sub_bands, column), float64
        One row per sub-band, in the order of ``CALIBRATED``.
    """
    out = np.ones((sub_bands, len(CALIBRATED)))
    out[:, FACTORS:] = 0.0
    return out


def planck_shares(wavenumber: NDArray[np.float64]) -> NDArray[np.float64]:
    """Split the Planck table over sub-bands by the response.

    Parameters
    ----------
    wavenumber : ndarray (sub, 2), float64, cm-1
        Limits of the sub-bands, together covering every response.

    Returns
    -------
    ndarray (band, sub, node), float64, W m-2 sr-1 um-1
        Sums over the sub-bands to `aktes_xr.sensor.planck_table`.
    """
    table = planck_table()
    out = np.zeros((len(BANDS), len(wavenumber), table.temperature.size))
    for number, band in enumerate(BANDS):
        wavelength, response = spectral_response(band)
        # Trapezoidal weights, as in the table: the sum over all sub-bands is then the same sum.
        edges = np.diff(wavelength, prepend=wavelength[0], append=wavelength[-1])
        weight = response * (edges[:-1] + edges[1:]) / 2
        weight /= weight.sum()
        reached = np.flatnonzero(weight)
        sub = np.searchsorted(wavenumber[:, 1], 1e4 / wavelength[reached], side="right")
        sub = np.clip(sub, 0, len(wavenumber) - 1)
        for row in np.unique(sub):
            chosen = reached[sub == row]
            spectrum = planck_wavelength(wavelength[chosen, None], table.temperature)
            out[number, row] = weight[chosen] @ spectrum
    return out


def gas_absorption(*, calibrated: bool = True) -> GasAbsorption:
    """Load the shipped absorption, with its calibration or as the spectral file has it.

    Parameters
    ----------
    calibrated : bool
        False: the plain spectral file.

    Returns
    -------
    GasAbsorption
        Shared; do not change its arrays.
    """
    return _load(calibrated)


@functools.cache
def _load(calibrated: bool) -> GasAbsorption:
    arrays = absorption_arrays()
    return assemble(arrays, None if not calibrated else arrays["calibration"])


@functools.cache
def absorption_arrays() -> dict[str, NDArray[np.float64]]:
    """Return the arrays of the shipped file, calibration included; shared."""
    resource = importlib.resources.files("aktes_xr") / "data" / "gas_absorption.npz"
    with importlib.resources.as_file(resource) as path, np.load(path) as archive:
        return {name: archive[name] for name in archive.files}


def assemble(
    arrays: dict[str, NDArray[np.float64]], calibration: NDArray[np.float64] | None
) -> GasAbsorption:
    """Make a `GasAbsorption` of the arrays of a spectral file.

    Parameters
    ----------
    arrays : dict
        As `aktes_xr.tables.socrates.read_absorption` returns them.
    calibration : ndarray (sub, 7) or None
        None: the plain spectral file.

    Returns
    -------
    GasAbsorption
    """
    planck = planck_shares(arrays["wavenumber"])
    reached = planck[..., -1] > 0
    bands = len(BANDS)
    return GasAbsorption(
        first=arrays["first"].astype(np.int64),
        terms=arrays["terms"].astype(np.int64),
        coefficient=arrays["coefficient"],
        weight=arrays["weight"],
        scaling=arrays["scaling"],
        continuum=arrays["continuum"],
        continuum_scaling=arrays["continuum_scaling"],
        calibration=uncalibrated(len(reached.T)) if calibration is None else calibration,
        planck=planck,
        band_first=np.argmax(reached, axis=0).astype(np.int64),
        band_stop=(bands - np.argmax(reached[::-1], axis=0)).astype(np.int64),
    )
