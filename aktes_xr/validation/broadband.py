"""Surface temperature from a station's two longwave fluxes.

A pyrgeometer that looks down sees what the ground emits and what it reflects of the sky,

    F_up = e s T^4 + (1 - e) F_down,   so that   T = ((F_up - (1 - e) F_down) / (e s))^(1/4),

with the broadband emissivity e and the Stefan-Boltzmann constant s. A change of e by .01 moves T by
some .1 to .3 K, less than the bands' own emissivities would, for the sky is warm in most of the
spectrum. An error of the upward flux of 5 W m-2 moves T by 1 K.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from aktes_xr.errors import InputError, ShapeError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

STEFAN_BOLTZMANN: Final = 5.670374419e-8
"""W m-2 K-4; CODATA 2018, exact."""
# Cheng and Liang (2014), equation of section 2.2: 8 to 13.5 um from ASTER's five bands.
_OFFSET: Final = 0.197
_WEIGHTS: Final = (0.025, 0.057, 0.237, 0.333, 0.146)


def broadband_emissivity(emissivity: ArrayLike) -> NDArray[np.float64]:
    """Return the emissivity of the whole thermal window from that of the five bands.

    ``e = 0.197 + 0.025 e10 + 0.057 e11 + 0.237 e12 + 0.333 e13 + 0.146 e14``, fitted by [1]_ to 424
    spectra of the ASTER and UCSB libraries for 8 to 13.5 um, with a residual of .005.

    Parameters
    ----------
    emissivity : array (..., 5), 1
        B10 to B14.

    Returns
    -------
    ndarray (...), float64, 1

    Raises
    ------
    ShapeError
        The last axis has not five bands.

    References
    ----------
    .. [1] Cheng, J. and Liang, S. (2014), Estimating the broadband longwave emissivity of global
       bare soil from the MODIS shortwave albedo product, J. Geophys. Res. Atmos. 119, 614-634,
       doi 10.1002/2013JD020689.
    """
    bands = np.asarray(emissivity, np.float64)
    if bands.ndim == 0 or bands.shape[-1] != len(_WEIGHTS):
        raise ShapeError(f"found emissivity of shape {bands.shape}; expected five bands, last")
    return np.asarray(_OFFSET + bands @ np.array(_WEIGHTS))


def temperature_from_fluxes(
    upward: ArrayLike, downward: ArrayLike, emissivity: ArrayLike
) -> NDArray[np.float64]:
    """Return the ground's temperature from its longwave fluxes.

    See the module for the equation, and [1]_ for its use at stations.

    Parameters
    ----------
    upward, downward : array, W m-2
        Broadband longwave fluxes, 4 to 50 um.
    emissivity : array, 1
        Broadband; broadcasts.

    Returns
    -------
    ndarray, float64, K
        NaN where the ground would emit nothing.

    Raises
    ------
    InputError
        An emissivity lies outside (0, 1].

    References
    ----------
    .. [1] Heidinger et al. (2013), Using SURFRAD to verify the NOAA single-channel land surface
       temperature algorithm, J. Atmos. Ocean. Technol. 30, 2868-2884.
    """
    e = np.asarray(emissivity, np.float64)
    known = e[np.isfinite(e)]
    if known.size and not (known.min() > 0.0 and known.max() <= 1.0):
        raise InputError(
            f"found broadband emissivities from {known.min():g} to {known.max():g}; expected "
            "values above 0 and up to 1"
        )
    emitted = np.asarray(upward, np.float64) - (1.0 - e) * np.asarray(downward, np.float64)
    return np.asarray((np.where(emitted > 0.0, emitted, np.nan) / (e * STEFAN_BOLTZMANN)) ** 0.25)
