"""Temperature-emissivity separation (TES), with each choice implementations differ in as an option.

The algorithm [1]_ [2]_ has three steps. NEM: the sky is removed with a first emissivity, the
warmest band gives the temperature, and the emissivity is the radiance over Planck's; this is
repeated. RATIO: emissivities are divided by their mean. MMD: their range gives the minimum
emissivity by ``emin = a - b MMD^c`` ([1]_, equations 4-10).

The band that the temperature is read from tells whose implementation is meant, and every other
choice follows it unless `TesConventions` are given:

=================== ========= ================= ====================
``temperature_band`` who       iterations        last sky correction
=================== ========= ================= ====================
``max_emissivity``  Gillespie until < NEdT, 12  yes
``min_emissivity``  VICAR     5                 no
``B10``..``B14``    ECOSTRESS until < NEdT, 13  no
=================== ========= ================= ====================

VICAR's program also rounds the radiation constants (c1 = 3.74151e-16 W m2, c2 = 0.0143879 m K, pi =
3.1416), which moves a monochromatic temperature by 8 mK. Its conventions here do the same.

References
----------
.. [1] Gillespie et al. (1998), IEEE TGRS 36(4), 1113-1126.
.. [2] ASTER ATBD 2.4 (1999).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final, Literal, NamedTuple, cast, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from aktes_xr.baselines.tes_kernel import (
    MAX_EMISSIVITY,
    MIN_EMISSIVITY,
    TesParameters,
    planck_index,
    tes_kernel,
)
from aktes_xr.errors import BandError, InputError, ShapeError
from aktes_xr.radiative.planck import FIRST_CONSTANT_UM, SECOND_CONSTANT_UM
from aktes_xr.sensor import BANDS, noise_equivalent_radiance

MMD_GILLESPIE: Final = (0.994, 0.687, 0.737)
"""86 laboratory spectra, ASTER's five bands (Gillespie et al. 1998)."""
MMD_ECOSTRESS: Final = (0.9950, 0.7264, 0.8002)
MMD_SBG: Final = (0.9929, 0.7453, 0.8149)

_RADIATION_CONSTANTS: Final = {
    "codata": (FIRST_CONSTANT_UM, SECOND_CONSTANT_UM),
    "vicar": (3.74151e8 / 3.1416, 1.43879e4),
}


@dataclass(frozen=True)
class TesConventions:
    """The choices that TES implementations differ in besides the temperature's band.

    Attributes
    ----------
    iterations : int
        Most iterations of the NEM module.
    nedt_k : float, K at 300 K
        Iteration stops where no band's radiance changes by more than this; 0 runs all iterations.
    refine_emissivity_max : bool
        Replace the first guess by the variance test (V1 = 1.7e-4): 0.96 above it, the vertex of a
        parabola through 0.92, 0.95, 0.97, 0.99 below it, 0.983 where there is none.
    nem_emissivity : {"current", "maximum"}
        What the radiance is divided by to find the NEM temperature: the emissivities of the
        iteration, or the assumed maximum.
    final_sky_correction : bool
        Remove the reflected sky once more, with the final emissivities, before the temperature.
    emissivity_from : {"ratio", "temperature"}
        Final emissivity: the ratio scaled to the minimum emissivity, or radiance over Planck's.
    graybody_rule : bool
        Minimum emissivity 0.983 where MMD < 0.03 (in the standard product until 2007).
    radiation_constants : {"codata", "vicar"}
        For monochromatic work.
    """

    iterations: int = 12
    nedt_k: float = 0.05
    refine_emissivity_max: bool = False
    nem_emissivity: Literal["current", "maximum"] = "current"
    final_sky_correction: bool = True
    emissivity_from: Literal["ratio", "temperature"] = "ratio"
    graybody_rule: bool = False
    radiation_constants: Literal["codata", "vicar"] = "codata"


GILLESPIE: Final = TesConventions()
"""The standard product as it is made since 2007: no graybody rule, no refinement of emax."""
GILLESPIE_1998: Final = TesConventions(refine_emissivity_max=True, graybody_rule=True)
"""The algorithm as published."""
VICAR: Final = TesConventions(
    iterations=5,
    nedt_k=0.0,
    final_sky_correction=False,
    emissivity_from="temperature",
    radiation_constants="vicar",
)
"""The program ``tes`` of the VICAR image-processing system.

The spectrum it writes is radiance over Planck's at its temperature, which keeps the minimum but not
the ratios."""
ECOSTRESS: Final = TesConventions(iterations=13, final_sky_correction=False)
"""The collection-2 processor of ECOSTRESS."""


class TesResult(NamedTuple):
    """Temperature (...) K, emissivity (..., 5) and flags (...) uint8 (`tes_kernel`'s bits)."""

    temperature: NDArray[Any]
    emissivity: NDArray[Any]
    flags: NDArray[np.uint8]


def tes_parameters(
    *,
    emissivity_max: float = 0.99,
    mmd: tuple[float, float, float] = MMD_GILLESPIE,
    temperature_band: str | int = "max_emissivity",
    wavelength_um: ArrayLike | None = None,
    iterations: int | None = None,
    conventions: TesConventions | None = None,
) -> TesParameters:
    """Check the options of `tes` and turn them into the kernel's numbers.

    Parameters
    ----------
    emissivity_max : float, 1
        First guess of the greatest emissivity, from 0.5 to 1.
    mmd : tuple of three float
        Coefficients (a, b, c) of ``emin = a - b MMD^c``.
    temperature_band : str or int
        The band the temperature is read from, as in `tes`.
    wavelength_um : array_like (5,), um, optional
        Wavelengths of the monochromatic Planck function; by default the response-weighted one.
    iterations : int, optional
        Most NEM iterations; overrides the conventions.
    conventions : TesConventions, optional
        All other choices; by default those of the temperature band.

    Returns
    -------
    TesParameters
        Plain numbers.

    Raises
    ------
    InputError, BandError, ShapeError
        If an option is out of range or unknown.
    """
    if not 0.5 <= emissivity_max <= 1.0:
        raise InputError(f"found emissivity_max {emissivity_max}, expected a number from 0.5 to 1")
    if np.shape(mmd) != (3,) or not all(np.isfinite(mmd)):
        raise InputError(
            f"found mmd {mmd!r}, expected the three coefficients of emin = a - b MMD^c"
        )
    band, conventions_of_band = _temperature_band(temperature_band)
    chosen = conventions_of_band if conventions is None else conventions
    if iterations is not None:
        chosen = replace(chosen, iterations=iterations)
    if chosen.iterations < 1 or not chosen.nedt_k >= 0:
        raise InputError(
            f"found {chosen.iterations} iterations to {chosen.nedt_k} K, expected at least one "
            "iteration and a tolerance of zero or more"
        )
    first, second = _RADIATION_CONSTANTS[chosen.radiation_constants]
    return TesParameters(
        emissivity_max=float(emissivity_max),
        mmd_offset=float(mmd[0]),
        mmd_factor=float(mmd[1]),
        mmd_exponent=float(mmd[2]),
        band=band,
        iterations=int(chosen.iterations),
        tolerance=_five(noise_equivalent_radiance(np.full(5, chosen.nedt_k))),
        wavelength_um=_wavelengths(wavelength_um),
        first_constant=first,
        second_constant=second,
        run_all=chosen.nedt_k == 0,
        monochromatic=wavelength_um is not None,
        refine=chosen.refine_emissivity_max,
        nem_maximum=chosen.nem_emissivity == "maximum",
        final_correction=chosen.final_sky_correction,
        graybody_rule=chosen.graybody_rule,
        emissivity_from_temperature=chosen.emissivity_from == "temperature",
    )


def _temperature_band(name: str | int) -> tuple[int, TesConventions]:
    if name == "max_emissivity":
        return MAX_EMISSIVITY, GILLESPIE
    if name == "min_emissivity":
        return MIN_EMISSIVITY, VICAR
    if name in BANDS:
        return BANDS.index(name), ECOSTRESS
    if isinstance(name, int) and 0 <= name < len(BANDS):
        return name, ECOSTRESS
    raise BandError(
        f"found temperature_band {name!r}, expected 'max_emissivity', 'min_emissivity', one of "
        f"{', '.join(BANDS)} or a number from 0 to 4"
    )


def _five(values: ArrayLike) -> tuple[float, float, float, float, float]:
    return cast(
        tuple[float, float, float, float, float], tuple(float(v) for v in np.asarray(values))
    )


def _wavelengths(wavelength_um: ArrayLike | None) -> tuple[float, float, float, float, float]:
    if wavelength_um is None:
        return (0.0, 0.0, 0.0, 0.0, 0.0)
    values = np.asarray(wavelength_um, dtype=np.float64)
    if values.shape != (5,):
        raise ShapeError(f"found wavelengths of shape {values.shape}, expected five")
    if not np.all((values > 7.0) & (values < 14.0)):
        raise InputError(f"found wavelengths {values.tolist()} um, expected 7 to 14 um")
    return _five(values)


def tes_block(
    surface_leaving: NDArray[Any],
    sky_radiance: NDArray[Any],
    parameters: TesParameters,
    *,
    band_axis: int = -1,
) -> TesResult:
    """Separate a block whose options are already checked: for use inside Dask tasks.

    Parameters
    ----------
    surface_leaving : ndarray with five bands on ``band_axis``, float32 or float64
        W m-2 sr-1 um-1.
    sky_radiance : ndarray (5,) or of the shape of ``surface_leaving``
        W m-2 sr-1 um-1.
    parameters : TesParameters
        Of `tes_parameters`.
    band_axis : int
        Of ``surface_leaving`` and of the result's emissivity.

    Returns
    -------
    TesResult
        In the dtype of ``surface_leaving``.
    """
    dtype = np.dtype(np.float32 if surface_leaving.dtype == np.float32 else np.float64)
    last = np.moveaxis(surface_leaving, band_axis, -1)
    rows = np.ascontiguousarray(last, dtype=dtype).reshape(-1, 5)
    sky = sky_radiance if sky_radiance.ndim == 1 else np.moveaxis(sky_radiance, band_axis, -1)
    if sky.ndim > 1:
        sky = np.broadcast_to(sky, last.shape)
    sky_rows = np.ascontiguousarray(sky, dtype=dtype).reshape(-1, 5)
    temperature = np.empty(rows.shape[0], dtype)
    emissivity = np.empty(rows.shape, dtype)
    flags = np.empty(rows.shape[0], np.uint8)
    tes_kernel(rows, sky_rows, parameters, planck_index(parameters), temperature, emissivity, flags)
    shape = last.shape[:-1]
    return TesResult(
        temperature.reshape(shape),
        np.moveaxis(emissivity.reshape(last.shape), -1, band_axis),
        flags.reshape(shape),
    )


def _checked(name: str, values: ArrayLike) -> NDArray[Any]:
    array = np.asarray(values)
    if array.dtype not in (np.float32, np.float64):
        if array.dtype.kind not in "iu":
            raise InputError(f"found {name} of dtype {array.dtype}, expected float32 or float64")
        array = array.astype(np.float64)
    if array.ndim == 0 or array.shape[-1] != len(BANDS):
        raise ShapeError(
            f"found {name} of shape {array.shape}, expected the five bands on the last axis"
        )
    return array


# The first four options are public by name since the first release; the others are one value.
@overload
def tes(
    surface_leaving: ArrayLike,
    sky_radiance: ArrayLike,
    *,
    emissivity_max: float = ...,
    mmd: tuple[float, float, float] = ...,
    temperature_band: str | int = ...,
    wavelength_um: ArrayLike | None = ...,
    iterations: int | None = ...,
    conventions: TesConventions | None = ...,
    full_output: Literal[False] = ...,
) -> tuple[NDArray[Any], NDArray[Any]]: ...
@overload
def tes(
    surface_leaving: ArrayLike,
    sky_radiance: ArrayLike,
    *,
    emissivity_max: float = ...,
    mmd: tuple[float, float, float] = ...,
    temperature_band: str | int = ...,
    wavelength_um: ArrayLike | None = ...,
    iterations: int | None = ...,
    conventions: TesConventions | None = ...,
    full_output: Literal[True],
) -> TesResult: ...
def tes(
    surface_leaving: ArrayLike,
    sky_radiance: ArrayLike,
    *,
    emissivity_max: float = 0.99,
    mmd: tuple[float, float, float] = MMD_GILLESPIE,
    temperature_band: str | int = "max_emissivity",
    wavelength_um: ArrayLike | None = None,
    iterations: int | None = None,
    conventions: TesConventions | None = None,
    full_output: bool = False,
) -> TesResult | tuple[NDArray[Any], NDArray[Any]]:
    """Separate temperature and emissivity [1]_.

    Parameters
    ----------
    surface_leaving : ndarray (..., 5), float32 or float64, W m-2 sr-1 um-1
        Radiance leaving the surface, reflected sky included: ``(L_toa - Lp) / t``.
    sky_radiance : ndarray (5,) or broadcastable to (..., 5), W m-2 sr-1 um-1
        Hemispheric mean radiance of the sky.
    emissivity_max : float, 1
        First guess of the greatest emissivity (VICAR's ``aemis``).
    mmd : (a, b, c)
        Of ``emin = a - b MMD^c``; `MMD_GILLESPIE`, `MMD_ECOSTRESS` and `MMD_SBG` are published.
    temperature_band : {"max_emissivity", "min_emissivity", "B10".."B14"} or int 0..4
        The band the temperature is read from; it also selects the conventions (see the module).
    wavelength_um : (5,), um, optional
        Work with the monochromatic Planck function there instead of the response-weighted one.
    iterations : int, optional
        Most NEM iterations; overrides the conventions.
    conventions : TesConventions, optional
        All other choices.
    full_output : bool
        Also return flags.

    Returns
    -------
    temperature : ndarray (...), dtype of the input, K
        NaN where an input is missing or no radiance is left.
    emissivity : ndarray (..., 5), dtype of the input, 1
        The same.
    flags : ndarray (...), uint8
        With ``full_output``: sum of the bits of `aktes_xr.baselines.tes_kernel`.

    Raises
    ------
    ShapeError, InputError, BandError
        If an array or an option is not as described.

    References
    ----------
    .. [1] Gillespie et al. (1998), see the module.
    """
    leaving = _checked("surface_leaving", surface_leaving)
    sky = _checked("sky_radiance", sky_radiance)
    try:
        np.broadcast_to(sky, leaving.shape)
    except ValueError as error:
        raise ShapeError(
            f"found sky_radiance of shape {sky.shape}, expected (5,) or one that broadcasts to "
            f"{leaving.shape}"
        ) from error
    parameters = tes_parameters(
        emissivity_max=emissivity_max,
        mmd=mmd,
        temperature_band=temperature_band,
        wavelength_um=wavelength_um,
        iterations=iterations,
        conventions=conventions,
    )
    result = tes_block(leaving, sky, parameters)
    return result if full_output else (result.temperature, result.emissivity)
