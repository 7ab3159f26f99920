"""Radiative transfer, simulation and TES: accuracy, exact limits and speed.

The comparison with reference spectra needs data that are not shipped; where they are missing, its
claims are left out and a table says so.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aktes_xr import radiative, sensor
from aktes_xr.baselines import tes
from aktes_xr.bench.checks import BenchResult, Check, Table
from aktes_xr.bench.tes_throughput import tes_throughput
from aktes_xr.errors import ProfileError
from aktes_xr.radiative.gases import absorption_arrays, gas_absorption
from aktes_xr.radiative.planck import planck_wavenumber
from aktes_xr.simulate import (
    SampleRecipe,
    SceneSettings,
    demo_elevation,
    simulate_samples,
    simulate_scene,
)
from aktes_xr.tables.gas_fit import Reference, cross_validate, read_reference, solve_reference

_TRANSMITTANCE = (0.005, 0.005, 0.009, 0.009, 0.010)
_PATH_RADIANCE = (0.04, 0.03, 0.05, 0.06, 0.06)
_TOP_OF_ATMOSPHERE_K = 0.20
_LEVELS = 50
_PRESSURE_HPA = 1013.0 * np.exp(-np.linspace(0, 11, _LEVELS))
_SCENE = (700, 830)
_SAMPLES = 1_000_000
# Published worked pixels (VICAR): radiance, temperature, MMD, least emissivity.
_TES_WAVELENGTH_UM = (8.2873, 8.6349, 9.0793, 10.6592, 11.2893)
_TES_SKY = np.array([2.8, 2.0, 1.8, 1.4, 1.7])
_TES_PIXELS = (
    ("water", (7.590664, 7.867354, 8.133145, 8.263146, 8.046414), 291.1613, 0.94146),
    ("conifer", (9.196004, 9.444104, 9.657266, 9.547033, 9.254090), 300.2620, 0.95947),
)
# Published errors (K) of a flat retrieval in B13 at 300 K; their decimals imply this sky.
_FLAT_SKY = 1.7
_FLAT_ERRORS_K = (
    (0.97, 0.9, 0.17),
    (0.97, 0.7, 0.50),
    (0.97, 0.5, 0.84),
    (0.95, 0.9, 0.29),
    (0.95, 0.7, 0.86),
    (0.95, 0.5, 1.43),
)


def run(*, quick: bool) -> BenchResult:
    """Measure all of it.

    Parameters
    ----------
    quick : bool
        A tenth of the samples; no cross-validation.
    """
    checks, tables = _against_reference(quick=quick)
    checks += _limits() + _terrain() + _refusals() + _separation()
    checks += _speed(quick=quick)
    return BenchResult(checks=checks, tables=tables)


def _against_reference(*, quick: bool) -> tuple[list[Check], list[Table]]:
    directory = reference_directory()
    title = "Against reference spectra, rms per band"
    if directory is None:
        note = "no reference data; set AKTES_REFERENCE_DATA to compare"
        return [], [Table(title, ("absorption",), ((note,),))]
    reference = read_reference(directory / "reference_rt.nc")
    results = {
        "as published": compare(
            reference, solve_reference(reference, gas_absorption(calibrated=False))
        ),
        "calibrated": compare(reference, solve_reference(reference, gas_absorption())),
    }
    judged = "calibrated"
    if not quick:
        judged = "calibrated, unseen profiles"
        results[judged] = compare(reference, cross_validate(absorption_arrays(), reference))
    rows = [(name, *row) for name, errors in results.items() for row in _error_rows(errors)]
    return _error_checks(judged, results[judged]), [
        Table(title, ("absorption", "quantity", *sensor.BANDS), rows)
    ]


def _error_rows(errors: Errors) -> list[tuple[Any, ...]]:
    return [
        ("transmittance", *errors.transmittance),
        ("path radiance", *errors.path_radiance),
        ("top of atmosphere, K", *errors.brightness_temperature),
    ]


def _error_checks(name: str, errors: Errors) -> list[Check]:
    out = []
    for number, band in enumerate(sensor.BANDS):
        out += [
            Check.at_most(
                f"{band} transmittance rms, {name}",
                errors.transmittance[number],
                _TRANSMITTANCE[number],
                "1",
            ),
            Check.at_most(
                f"{band} path radiance rms, {name}",
                errors.path_radiance[number],
                _PATH_RADIANCE[number],
                sensor.RADIANCE_UNITS,
            ),
            Check.at_most(
                f"{band} top-of-atmosphere rms, {name}",
                errors.brightness_temperature[number],
                _TOP_OF_ATMOSPHERE_K,
                "K",
            ),
        ]
    return out


def _column(temperature: NDArray[np.float64], water: float) -> dict[str, Any]:
    fall = np.linspace(0, 11, _LEVELS)
    return {
        "pressure_hpa": _PRESSURE_HPA,
        "temperature_k": temperature,
        "h2o_vmr": np.maximum(water * np.exp(-3.5 * fall), 3e-6),
        "o3_vmr": np.full(_LEVELS, 1e-6),
    }


def _limits() -> list[Check]:
    """Isothermal and transparent columns, and there and back again."""
    worst = 0.0
    for temperature, water in ((250.0, 4e-4), (280.0, 6e-3), (305.0, 3e-2)):
        black = sensor.brightness_temperature_to_radiance(np.full(5, temperature))
        for angle in (0.0, 8.55, 15.0):
            out = radiative.simulate_atmosphere(
                **_column(np.full(_LEVELS, temperature), water), view_zenith_deg=angle
            )
            left = out["path_radiance"] - (1 - out["transmittance"]) * black
            worst = max(worst, float(np.abs(left).max()))
    rng = np.random.default_rng(0)
    ground = rng.uniform(250, 330, 1000)
    one, zero = np.ones((1000, 5)), np.zeros((1000, 5))
    seen = sensor.radiance_to_brightness_temperature(
        radiative.top_of_atmosphere_radiance(ground, one, one, zero, zero)
    )
    emissivity, passed = rng.uniform(0.7, 1, (1000, 5)), rng.uniform(0.2, 1, (1000, 5))
    emitted, sky = rng.uniform(0, 5, (1000, 5)), rng.uniform(0, 7, (1000, 5))
    terrain: dict[str, Any] = {
        "sky_view_factor": rng.uniform(0.3, 1, 1000),
        "adjacent_radiance": rng.uniform(5, 12, (1000, 5)),
    }
    toa = radiative.top_of_atmosphere_radiance(ground, emissivity, passed, emitted, sky, **terrain)
    leaving = radiative.surface_leaving_radiance(toa, passed, emitted)
    back = radiative.surface_temperature(leaving, emissivity, sky, **terrain)
    return [
        Check.at_most("isothermal: |Lp - (1 - t) B|", worst, 1e-6, sensor.RADIANCE_UNITS),
        Check.at_most(
            "transparent: error of temperature",
            np.abs(seen - ground[:, None]).max(),
            1e-6,
            "K",
        ),
        Check.at_most("forward and inverse close", np.abs(back - ground[:, None]).max(), 1e-6, "K"),
    ]


def _terrain() -> list[Check]:
    adjacent = sensor.brightness_temperature_to_radiance(np.full(1, 300.0), band="B13")
    predicted, corrected = 0.0, 0.0
    for emissivity, view, published in _FLAT_ERRORS_K:
        seen: dict[str, Any] = {
            "sky_view_factor": view,
            "adjacent_radiance": adjacent,
            "band": "B13",
        }
        leaving = radiative.top_of_atmosphere_radiance(
            300.0, emissivity, 1.0, 0.0, _FLAT_SKY, **seen
        )
        closed = radiative.flat_retrieval_error_k(view, emissivity, 300.0, _FLAT_SKY, band="B13")
        terrain = radiative.surface_temperature(leaving, emissivity, _FLAT_SKY, **seen)
        predicted = max(predicted, abs(float(closed) - published))
        corrected = max(corrected, abs(float(terrain[0]) - 300.0))
    fields = np.full((1, 5), 0.95), np.full((1, 5), 0.8), np.ones((1, 5)), np.ones((1, 5))
    flat = radiative.top_of_atmosphere_radiance(np.full(1, 300.0), *fields)
    open_sky = radiative.top_of_atmosphere_radiance(
        np.full(1, 300.0), *fields, sky_view_factor=np.ones(1), adjacent_radiance=np.ones((1, 5))
    )
    identity = np.abs(open_sky - flat).max()
    return [
        Check.at_most("terrain at V = 1 is flat", identity, 0.0, sensor.RADIANCE_UNITS),
        Check.at_most("closed-form errors against published", predicted, 0.01, "K"),
        Check.at_most("left after the terrain correction", corrected, 0.01, "K"),
    ]


def _refusals() -> list[Check]:
    """Break a profile in five ways; each must be refused with its level named."""
    good = _column(np.full(_LEVELS, 285.0), 5e-3)
    broken: list[tuple[str, int, float]] = [
        ("pressure_hpa", 7, 950.0),
        ("temperature_k", 3, np.nan),
        ("h2o_vmr", 5, -1e-4),
        ("h2o_vmr", 2, 0.2),
    ]
    named = 0
    for name, level, value in broken:
        column = {key: values.copy() for key, values in good.items()}
        column[name][level] = value
        named += _names_level(column, level, None)
    named += _names_level(good, 0, 1050.0)
    return [Check.at_least("bad profiles refused by level", named, len(broken) + 1, "1")]


def _names_level(column: dict[str, Any], level: int, surface_pressure_hpa: float | None) -> bool:
    try:
        radiative.simulate_atmosphere(**column, surface_pressure_hpa=surface_pressure_hpa)
    except ProfileError as error:
        return f"level {level} " in str(error)
    return False


def _separation() -> list[Check]:
    out = []
    for name, leaving, temperature, least in _TES_PIXELS:
        found, emissivity = tes(
            np.array([leaving]),
            _TES_SKY,
            emissivity_max=0.96,
            temperature_band="min_emissivity",
            wavelength_um=_TES_WAVELENGTH_UM,
            iterations=5,
        )
        out += [
            Check.at_most(f"TES, {name}: temperature", abs(found[0] - temperature), 1e-3, "K"),
            Check.at_most(f"TES, {name}: emissivity", abs(emissivity.min() - least), 1e-4, "1"),
        ]
    ratio = tes_throughput().ratio
    return [*out, Check.at_least("TES over vectorised NumPy", ratio, 15.0, "1")]


def _seconds(work: Callable[[], object], *, repeats: int = 1) -> float:
    spent = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        spent.append(time.perf_counter() - start)
    return min(spent)


def _speed(*, quick: bool) -> list[Check]:
    column = _column(215.0 + 73.0 * np.exp(-np.linspace(0, 3, _LEVELS)), 5e-3)
    radiative.simulate_atmosphere(**column)
    profile = _seconds(lambda: radiative.simulate_atmosphere(**column), repeats=20)
    size = _SAMPLES // 10 if quick else _SAMPLES
    simulate_samples(SampleRecipe(size=1000))
    samples = _seconds(lambda: simulate_samples(SampleRecipe(size=size))) * _SAMPLES / size
    simulate_scene(demo_elevation("jacksboro", (60, 60)), SceneSettings())
    elevation = demo_elevation("jacksboro", _SCENE)
    scene = _seconds(lambda: simulate_scene(elevation, SceneSettings()).load())
    return [
        Check.at_most("one profile", 1e3 * profile, 5.0, "ms"),
        Check.at_most("a million training samples", samples, 60.0, "s"),
        Check.at_most("a scene of 700 x 830 pixels", scene, 30.0, "s"),
    ]


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
