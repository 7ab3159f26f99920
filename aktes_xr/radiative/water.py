"""Emissivity of smooth water and ice toward the sensor, from their optical constants.

A flat surface of complex refractive index m = n + ik reflects, at an angle of incidence a,

    R = (|rs|^2 + |rp|^2) / 2,    rs = (cos a - q) / (cos a + q),
    rp = (m^2 cos a - q) / (m^2 cos a + q),    q = sqrt(m^2 - sin^2 a),

and emits 1 - R (Kirchhoff); it is opaque within a millimetre. Waves tilt the surface, which near
the nadir changes little. A *hemispheric* emissivity, as some tables give it, is an average over all
directions and 0.011 to 0.016 lower: the sensor never sees it.

References
----------
.. [1] Hale, G. M. and Querry, M. R. (1973), Optical constants of water in the 200-nm to 200-um
   wavelength region, Applied Optics 12, 555-563, doi 10.1364/AO.12.000555 (table I, 25 deg C).
.. [2] Warren, S. G. and Brandt, R. E. (2008), Optical constants of ice from the ultraviolet to the
   microwave: a revised compilation, J. Geophys. Res. 113, D14220, doi 10.1029/2007JD009744
   (-7 deg C).
"""

from __future__ import annotations

import functools
from typing import Final

import numpy as np
from numpy.typing import NDArray

from aktes_xr.errors import InputError
from aktes_xr.sensor import BANDS, spectral_response

WATER_EMISSIVITY_UNCERTAINTY: Final = 0.005
"""How far real water may be off `water_emissivity`: waves, foam, salt, the constants' own error."""

# Wavelength (um), n, k.
_WATER: Final = (
    (8.0, 1.291, 0.0343),
    (8.2, 1.286, 0.0351),
    (8.4, 1.281, 0.0361),
    (8.6, 1.275, 0.0372),
    (8.8, 1.269, 0.0385),
    (9.0, 1.262, 0.0399),
    (9.2, 1.255, 0.0415),
    (9.4, 1.247, 0.0433),
    (9.6, 1.239, 0.0454),
    (9.8, 1.229, 0.0479),
    (10.0, 1.218, 0.0508),
    (10.5, 1.185, 0.0662),
    (11.0, 1.153, 0.0968),
    (11.5, 1.126, 0.142),
    (12.0, 1.111, 0.199),
    (12.5, 1.123, 0.259),
)
_ICE: Final = (
    (7.937, 1.3086, 0.03819),
    (8.197, 1.3007, 0.03724),
    (8.475, 1.2917, 0.03677),
    (8.696, 1.2835, 0.03654),
    (8.929, 1.2735, 0.03664),
    (9.091, 1.2655, 0.03706),
    (9.259, 1.2561, 0.03789),
    (9.524, 1.2387, 0.04026),
    (9.804, 1.2151, 0.04450),
    (10.00, 1.1926, 0.05008),
    (10.20, 1.1659, 0.06461),
    (10.42, 1.1323, 0.088),
    (10.64, 1.0971, 0.134),
    (10.87, 1.0833, 0.204),
    (11.11, 1.1023, 0.280),
    (11.36, 1.1439, 0.341),
    (11.63, 1.1983, 0.379),
    (11.90, 1.2546, 0.409),
    (12.20, 1.3194, 0.422),
    (12.50, 1.3822, 0.422),
)


def water_emissivity(incidence_deg: float = 0.0) -> NDArray[np.float64]:
    """Return what smooth liquid water emits in the five bands [1]_.

    Parameters
    ----------
    incidence_deg : float, degree
        Angle between the surface's normal and the sensor, 0 to 80.

    Returns
    -------
    ndarray (5,), float64, 1
        In the order of `aktes_xr.sensor.BANDS`; .984 .985 .986 .993 .992 at the nadir.

    Raises
    ------
    InputError
        The angle is outside its range.

    References
    ----------
    .. [1] Hale and Querry (1973), see the module.
    """
    return _band_emissivity(_WATER, incidence_deg)


def ice_emissivity(incidence_deg: float = 0.0) -> NDArray[np.float64]:
    """Return what smooth, bare ice emits in the five bands [1]_.

    Parameters
    ----------
    incidence_deg : float, degree
        As in `water_emissivity`.

    Returns
    -------
    ndarray (5,), float64, 1

    Raises
    ------
    InputError
        The angle is outside its range.

    References
    ----------
    .. [1] Warren and Brandt (2008), see the module.
    """
    return _band_emissivity(_ICE, incidence_deg)


@functools.lru_cache(maxsize=64)
def _band_emissivity(
    constants: tuple[tuple[float, float, float], ...], incidence_deg: float
) -> NDArray[np.float64]:
    """Average 1 - R over each band's response."""
    if not 0 <= incidence_deg <= 80:
        raise InputError(f"found an incidence of {incidence_deg} degrees, expected 0 to 80")
    wavelength, n, k = np.array(constants).T
    out = np.empty(len(BANDS))
    for number, band in enumerate(BANDS):
        um, response = spectral_response(band)
        # A band's response trails off beyond the constants at hand; nothing is left of it there.
        index = np.interp(um, wavelength, n) + 1j * np.interp(um, wavelength, k)
        emitted = 1.0 - _reflectivity(index, np.deg2rad(incidence_deg))
        out[number] = (response * emitted).sum() / response.sum()
    out.flags.writeable = False
    return out


def _reflectivity(index: NDArray[np.complex128], angle_rad: float) -> NDArray[np.float64]:
    """Fresnel's reflectivity of unpolarised light (see the module)."""
    cosine = np.cos(angle_rad)
    refracted = np.sqrt(index**2 - np.sin(angle_rad) ** 2)
    across = (cosine - refracted) / (cosine + refracted)
    along = (index**2 * cosine - refracted) / (index**2 * cosine + refracted)
    return np.asarray((np.abs(across) ** 2 + np.abs(along) ** 2) / 2)


def absorption_efficiency(phase: str, radius_um: float) -> NDArray[np.float64]:
    """Return how well a cloud's drops or crystals absorb in the five bands [1]_.

    Anomalous diffraction of a sphere, with w = 8 pi r k / wavelength:

        Q = 1 + 2 exp(-w) / w + 2 (exp(-w) - 1) / w^2.

    Parameters
    ----------
    phase : {"liquid", "ice"}
    radius_um : float, um
        Effective radius, positive.

    Returns
    -------
    ndarray (5,), float64, 1
        In the order of `aktes_xr.sensor.BANDS`. A cloud's absorption optical depths in two bands
        are as these.

    Raises
    ------
    InputError
        There is no such phase, or the radius is not positive.

    References
    ----------
    .. [1] van de Hulst, H. C. (1957), Light Scattering by Small Particles, Wiley, section 11.23.
    """
    if phase not in ("liquid", "ice") or not radius_um > 0.0:
        raise InputError(
            f"found {phase!r} of {radius_um} um, expected 'liquid' or 'ice' of a positive radius"
        )
    wavelength, _, k = np.array(_WATER if phase == "liquid" else _ICE).T
    out = np.empty(len(BANDS))
    for number, band in enumerate(BANDS):
        um, response = spectral_response(band)
        w = 8.0 * np.pi * radius_um * np.interp(um, wavelength, k) / um
        absorbed = 1.0 + 2.0 * np.exp(-w) / w + 2.0 * np.expm1(-w) / w**2
        out[number] = (response * absorbed).sum() / response.sum()
    return out
