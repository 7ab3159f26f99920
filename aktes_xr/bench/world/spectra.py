"""Surfaces by parametrised spectra: reststrahlen bands as Gaussians, water by Fresnel's equation.

A spectrum is a level and a tilt, less Gaussian bands of a mineral's (or cellulose's) kind whose
place, width and depth are drawn. Band emissivities weight it with the sensor's response and
Planck's function at 290 K. Cavities between grains lift a soil's emissivity to
``e / (1 - c (1 - e))``.

References
----------
.. [1] Salisbury, J. W. and D'Aria, D. M. (1992), Remote Sens. Environ. 42, 83-106: where the
   minerals' bands lie.
.. [2] Hale, G. M. and Querry, M. R. (1973), Appl. Opt. 12, 555-563: water's optical constants.
"""

from __future__ import annotations

import functools
from typing import Final, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from aktes_xr.bench.world.patterns import chosen
from aktes_xr.errors import InputError
from aktes_xr.radiative.planck import planck_wavelength
from aktes_xr.sensor import BANDS, spectral_response

FloatArray = NDArray[np.float64]

Kind = Literal[
    "soil",
    "rock",
    "green",
    "senescent",
    "water",
    "snow",
    "ice",
    "man-made",
    "lava",
    "metal",
]
KINDS: Final[tuple[Kind, ...]] = (
    "soil",
    "rock",
    "green",
    "senescent",
    "water",
    "snow",
    "ice",
    "man-made",
    "lava",
    "metal",
)
METAL: Final = KINDS.index("metal")
"""The kind that is out of domain, and labelled so. No other kind has a band below 0.5."""

# Place (um), width (um) and greatest depth of each band.
_MINERALS: Final[dict[str, tuple[tuple[float, float, float], ...]]] = {
    "quartz": ((8.40, 0.28, 0.42), (9.05, 0.26, 0.45), (8.65, 0.15, 0.10)),
    "feldspar": ((8.75, 0.30, 0.12), (9.65, 0.45, 0.26)),
    "anorthite": ((9.10, 0.40, 0.12), (10.25, 0.50, 0.22)),
    "carbonate": ((11.30, 0.14, 0.16), (9.60, 0.80, 0.02)),
    "kaolinite": ((8.90, 0.25, 0.10), (9.65, 0.30, 0.20), (10.90, 0.15, 0.06)),
    "montmorillonite": ((9.50, 0.45, 0.20),),
    "gypsum": ((8.65, 0.16, 0.32), (9.90, 0.20, 0.02)),
    "mafic": ((9.40, 0.60, 0.08), (10.40, 0.70, 0.14)),
    "olivine": ((10.45, 0.40, 0.18), (11.35, 0.25, 0.12)),
}
_ROCKS: Final = {
    "quartz": 0.20,
    "feldspar": 0.20,
    "anorthite": 0.12,
    "carbonate": 0.16,
    "montmorillonite": 0.06,
    "kaolinite": 0.05,
    "gypsum": 0.03,
    "mafic": 0.14,
    "olivine": 0.04,
}
_WATER: Final = np.array(
    [
        (7.6, 1.304, 0.0324),
        (8.0, 1.291, 0.0343),
        (8.4, 1.281, 0.0361),
        (8.8, 1.269, 0.0385),
        (9.2, 1.255, 0.0415),
        (9.6, 1.239, 0.0454),
        (10.0, 1.218, 0.0508),
        (10.5, 1.185, 0.0662),
        (11.0, 1.153, 0.0968),
        (11.5, 1.126, 0.142),
        (12.0, 1.111, 0.199),
        (12.5, 1.123, 0.259),
    ]
)
"""Wavelength (um), n and k."""
_REFERENCE_K: Final = 290.0


class Palette(NamedTuple):
    """Surfaces of a scene, one per row.

    Attributes
    ----------
    emissivity : ndarray (n, 5)
    albedo : ndarray (n,), solar
    damping : ndarray (n,), W m-2 K-1
        How strongly the ground holds the surface's temperature: thermal inertia.
    evaporation : ndarray (n,), W m-2 K-1
    kind : ndarray (n,), int
        Index into `KINDS`.
    """

    emissivity: FloatArray
    albedo: FloatArray
    damping: FloatArray
    evaporation: FloatArray
    kind: NDArray[np.intp]

    def __len__(self) -> int:
        """Count the surfaces."""
        return len(self.kind)


@functools.cache
def _grid() -> tuple[FloatArray, FloatArray]:
    """Wavelengths (n,), and weights (5, n) that average a spectrum to the bands."""
    wavelength = np.arange(7.6, 12.6, 0.01)
    planck = planck_wavelength(wavelength, _REFERENCE_K)
    rows = []
    for band in BANDS:
        response = np.interp(wavelength, *spectral_response(band), left=0.0, right=0.0)
        rows.append(response * planck / (response * planck).sum())
    return wavelength, np.array(rows)


def band_emissivity(spectrum: FloatArray) -> FloatArray:
    """Average a spectrum on the module's wavelengths to the five bands.

    Parameters
    ----------
    spectrum : float64 (wavelength,), 1
        Emissivity on the module's wavelengths.

    Returns
    -------
    float64 (5,), 1
    """
    return np.asarray(_grid()[1] @ spectrum)


def water_spectrum() -> FloatArray:
    """Return water's emissivity toward nadir by Fresnel's equation; within 8.6 deg it is the same.

    ``1 - ((n - 1)^2 + k^2) / ((n + 1)^2 + k^2)``.
    """
    n, k = (np.interp(_grid()[0], _WATER[:, 0], _WATER[:, column]) for column in (1, 2))
    return np.asarray(1.0 - ((n - 1) ** 2 + k**2) / ((n + 1) ** 2 + k**2))


def _mineral(name: str, rng: np.random.Generator) -> FloatArray:
    wavelength, _ = _grid()
    strength = rng.uniform(0.35, 1.0)
    shift = rng.normal(0, 0.04)
    spectrum = np.full_like(wavelength, rng.uniform(0.955, 0.985))
    for place, width, depth in _MINERALS[name]:
        wide = width * rng.uniform(0.85, 1.2)
        deep = depth * strength * rng.uniform(0.8, 1.1)
        spectrum -= deep * np.exp(-(((wavelength - place - shift) / wide) ** 2))
    return spectrum


def _lifted(spectrum: FloatArray, cavity: float) -> FloatArray:
    return np.asarray(spectrum / (1.0 - cavity * (1.0 - spectrum)))


def _tilted(rng: np.random.Generator, level: tuple[float, float], tilt: float) -> FloatArray:
    wavelength, _ = _grid()
    slope = rng.uniform(-tilt, tilt)
    return np.asarray(rng.uniform(*level) + slope * (wavelength - 10.0) / 2.0)


def _dip(spectrum: FloatArray, place: float, width: float, depth: float) -> FloatArray:
    wavelength, _ = _grid()
    return np.asarray(spectrum - depth * np.exp(-(((wavelength - place) / width) ** 2)))


def _rock(rng: np.random.Generator) -> FloatArray:
    names = chosen(rng, _ROCKS, int(rng.integers(1, 4)))
    share = rng.dirichlet(np.ones(len(names)))
    return np.asarray(sum(s * _mineral(n, rng) for s, n in zip(share, names, strict=True)))


def _soil(rng: np.random.Generator) -> FloatArray:
    names = ["quartz", "montmorillonite", "kaolinite", "feldspar", "carbonate"]
    share = rng.dirichlet([1.6, 1.0, 0.5, 0.8, 0.5])
    mineral = sum(s * _mineral(n, rng) for s, n in zip(share, names, strict=True))
    organic = rng.uniform(0.05, 0.6)
    return _lifted(
        np.asarray((1 - organic) * mineral + organic * rng.uniform(0.965, 0.985)),
        rng.uniform(0.0, 0.5),
    )


def _man_made(rng: np.random.Generator) -> FloatArray:
    which = int(rng.integers(0, 3))
    if which == 0:  # asphalt
        return _dip(_tilted(rng, (0.94, 0.97), 0.008), 9.1, 0.5, rng.uniform(0, 0.05))
    if which == 1:  # concrete
        body = _dip(_tilted(rng, (0.945, 0.97), 0.01), 8.7, 0.6, rng.uniform(0.02, 0.10))
        return _dip(body, 11.3, 0.15, rng.uniform(0, 0.05))
    return _dip(_tilted(rng, (0.93, 0.965), 0.01), 9.5, 0.7, rng.uniform(0.03, 0.13))  # tiles


def spectrum_of(kind: Kind, rng: np.random.Generator) -> FloatArray:
    """Draw a spectrum of a kind on the module's wavelengths.

    Parameters
    ----------
    kind : str
        Such as ``"soil"`` or ``"rock"``.
    rng : numpy.random.Generator
        Draws the spectrum.

    Returns
    -------
    float64 (wavelength,), 1

    Raises
    ------
    InputError
        If there is no such kind.
    """
    if kind == "soil":
        return _soil(rng)
    if kind == "rock":
        return _rock(rng)
    if kind == "green":
        return _tilted(rng, (0.974, 0.992), 0.005)
    if kind == "senescent":
        return _dip(_tilted(rng, (0.945, 0.975), 0.01), 9.0, 0.9, rng.uniform(-0.01, 0.035))
    if kind == "water":
        return water_spectrum() + rng.normal(0, 0.001)
    if kind == "snow":
        return _dip(_tilted(rng, (0.983, 0.997), 0.004), 12.0, 0.9, rng.uniform(0.0, 0.02))
    if kind == "ice":
        return _dip(_tilted(rng, (0.97, 0.987), 0.004), 12.2, 1.1, rng.uniform(0.01, 0.05))
    if kind == "man-made":
        return _man_made(rng)
    if kind == "lava":
        basalt = _mineral("mafic", rng)
        return _dip(_lifted(basalt, rng.uniform(0, 0.4)), 9.2, 0.5, rng.uniform(0, 0.05))
    if kind == "metal":
        return _tilted(rng, (0.08, 0.45), 0.03)
    raise InputError(f"found kind {kind!r}, expected one of {', '.join(KINDS)}")


# Solar albedo, damping and evaporation (W m-2 K-1): ranges.
_THERMAL: Final[
    dict[Kind, tuple[tuple[float, float], tuple[float, float], tuple[float, float]]]
] = {
    "soil": ((0.12, 0.35), (5.0, 14.0), (0.0, 12.0)),
    "rock": ((0.10, 0.40), (14.0, 26.0), (0.0, 2.0)),
    "green": ((0.12, 0.22), (4.0, 10.0), (15.0, 45.0)),
    "senescent": ((0.18, 0.30), (4.0, 8.0), (2.0, 12.0)),
    "water": ((0.04, 0.08), (200.0, 400.0), (10.0, 20.0)),
    "snow": ((0.60, 0.90), (4.0, 10.0), (2.0, 6.0)),
    "ice": ((0.30, 0.55), (20.0, 40.0), (2.0, 6.0)),
    "man-made": ((0.08, 0.35), (8.0, 24.0), (0.0, 2.0)),
    "lava": ((0.04, 0.12), (8.0, 20.0), (0.0, 1.0)),
    "metal": ((0.40, 0.70), (5.0, 10.0), (0.0, 1.0)),
}


def draw_palette(kinds: list[Kind], rng: np.random.Generator) -> Palette:
    """Draw one surface of each of the given kinds.

    Parameters
    ----------
    kinds : list of str
        The kinds; one may come again.
    rng : numpy.random.Generator
        Draws the surfaces.

    Returns
    -------
    Palette
    """
    spectra = [np.clip(band_emissivity(spectrum_of(kind, rng)), 0.05, 0.998) for kind in kinds]
    thermal = [[rng.uniform(*span) for span in _THERMAL[kind]] for kind in kinds]
    albedo, damping, evaporation = np.array(thermal).T
    index = np.array([KINDS.index(kind) for kind in kinds], np.intp)
    return Palette(np.array(spectra), albedo, damping, evaporation, index)
