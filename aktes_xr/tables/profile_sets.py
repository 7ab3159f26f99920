"""Collect the real profiles and solve them for the shipped table.

Sources: 80 diverse profiles of the ECMWF 83 set (its three envelope members left out; Matricardi,
ECMWF Tech. Memo 564), 48 UMBC regression profiles and the six AFGL standard atmospheres (Anderson
1986), 100 columns of RFMIP. Profiles that resemble each other (UMBC's first six are AFGL's) form a
group, and groups, in the order of their water, are dealt to train, validation and test, so that no
near-duplicate crosses a split. Columns whose ozone is artificial get the standard atmosphere's.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from aktes_xr.radiative.atmosphere import solve_batch
from aktes_xr.radiative.gases import gas_absorption
from aktes_xr.radiative.profiles import saturation_vapor_pressure
from aktes_xr.radiative.table import (
    AXES,
    OZONE_STEP,
    SURFACE_PRESSURES_HPA,
    TEMPERATURE_SHIFTS_K,
    VIEW_ZENITHS_DEG,
    WATER_SCALES,
)
from aktes_xr.radiative.transfer import GRAVITY

SOURCES: Final = {
    "ecmwf83": "ECMWF 83 diverse profiles without 81-83 (Matricardi 2008, ECMWF Tech. Memo 564)",
    "rfmip100": "RFMIP 100 present-day columns (Pincus et al. 2016; CC BY-SA 4.0)",
    "umbc48": "UMBC/AIRS 48 regression profiles (CRTM repository, CC0)",
    "afgl6": "AFGL standard atmospheres (Anderson et al. 1986, AFGL-TR-86-0110)",
}
_ENVELOPES: Final = 80
_STANDARD_PROFILE: Final = 5
_OZONE_LIMITS_DU: Final = (150.0, 550.0)
# Alike: within this rms distance in temperature (K) and in ln(water) below 200 hPa.
_ALIKE_TEMPERATURE: Final = 2.5
_ALIKE_WATER: Final = 0.35
# Groups in the order of their water: two of seven are kept back.
_DEAL: Final = (0, 0, 1, 0, 0, 2, 0)
_SURFACE_TOLERANCE_HPA: Final = 18.5
_SHIFT_TOP_PA: Final = 20000.0


@dataclass(frozen=True, eq=False)
class Profile:
    """One real column; pressure in Pa falls from level to level."""

    source: str
    name: str
    levels: NDArray[np.float64]
    surface_pressure: float
    artificial_ozone: bool


def _read_set(path: Path, source: str, standard: NDArray[np.float64] | None) -> list[Profile]:
    out = []
    with xr.open_dataset(path) as data:
        count = data.sizes["profile"] if source != "ecmwf83" else _ENVELOPES
        for i in range(count):
            one = data.isel(profile=i)
            rows = np.stack([one[name].to_numpy().astype(float) for name in ("p", "T", "q", "o3")])
            rows = rows[:, np.isfinite(rows).all(axis=0)]
            rows[0] *= 100.0
            label = str(one["name"].to_numpy()) if "name" in one else ""
            column = float(one["o3_du"])
            low, high = _OZONE_LIMITS_DU
            artificial = "fake" in label or not low <= column <= high
            if artificial and standard is not None:
                rows[3] = np.exp(
                    np.interp(-np.log(rows[0]), -np.log(standard[0]), np.log(standard[3]))
                )
            surface = 100.0 * float(one["psurf"])
            out.append(Profile(source, label or f"{source}-{i + 1}", rows, surface, artificial))
    return out


def read_profiles(directory: Path) -> list[Profile]:
    """Read the four sets.

    Parameters
    ----------
    directory : Path
        Holds ``profiles_<set>.nc``.

    Returns
    -------
    list of Profile
    """
    standard = _read_set(directory / "profiles_afgl6.nc", "afgl6", None)[_STANDARD_PROFILE].levels
    return [
        profile
        for source in SOURCES
        for profile in _read_set(directory / f"profiles_{source}.nc", source, standard)
    ]


def _signature(profile: Profile) -> NDArray[np.float64]:
    """Temperature and ln(water) at common pressures, each over its distance of likeness."""
    pressure = np.linspace(1000e2, 200e2, 17)
    p, t, q, _ = profile.levels
    at = -np.log(pressure)
    temperature = np.interp(at, -np.log(p), t) / _ALIKE_TEMPERATURE
    water = np.interp(at, -np.log(p), np.log(q)) / _ALIKE_WATER
    return np.asarray(np.concatenate([temperature, water]) / np.sqrt(2 * pressure.size))


def _water(profile: Profile) -> float:
    p, _, q, _ = profile.levels
    p = np.minimum(p, profile.surface_pressure)
    return float(np.sum(0.5 * (q[1:] + q[:-1]) * -np.diff(p)) * 0.622 / GRAVITY)


def deal(profiles: list[Profile]) -> NDArray[np.int64]:
    """Deal profiles to the splits by groups of likeness.

    Parameters
    ----------
    profiles : list of Profile

    Returns
    -------
    ndarray (profile,), int64
        Index into ``SPLITS``.
    """
    from scipy.cluster.hierarchy import fcluster, linkage

    features = np.stack([_signature(profile) for profile in profiles])
    group = fcluster(linkage(features, method="single"), 1.0, criterion="distance")
    water = np.array([_water(profile) for profile in profiles])
    names = np.unique(group)
    names = names[np.argsort([water[group == name].mean() for name in names], kind="stable")]
    split = {name: _DEAL[rank % len(_DEAL)] for rank, name in enumerate(names)}
    # The largest group is the cold, dry one. It always goes to train.
    largest = max(names, key=lambda name: int((group == name).sum()))
    split[largest] = 0
    return np.array([split[name] for name in group])


def perturbed(levels: NDArray[np.float64], scale: float, shift: float) -> NDArray[np.float64]:
    """Moisten and warm a column smoothly, never beyond saturation.

    The odds of the relative humidity, h / (1 - h), are multiplied by ``scale``: dry air's water
    scales in proportion, saturated air's not at all. Temperature shifts at constant relative
    humidity. Both fade out from 400 to 200 hPa.

    Parameters
    ----------
    levels : ndarray (4, level)
        Pressure (Pa), temperature (K), water and ozone.
    scale : float, 1
    shift : float, K

    Returns
    -------
    ndarray (4, level)
    """
    out = levels.copy()
    pressure, temperature, water, _ = levels
    fade = np.clip((pressure - _SHIFT_TOP_PA) / _SHIFT_TOP_PA, 0.0, 1.0)
    out[1] = temperature + shift * fade
    before = np.array([saturation_vapor_pressure(t) for t in temperature])
    after = np.array([saturation_vapor_pressure(t) for t in out[1]])
    humidity = np.minimum(pressure * water / (1 + water) / before, 1.0)
    moister = scale * humidity / (1 + (scale - 1) * humidity)
    with np.errstate(divide="ignore"):
        growth = np.where(humidity > 0, moister * after / (humidity * before), 1.0)
    out[2] = water * growth**fade
    return out


def _tabulated(profile: Profile, pressure_hpa: float) -> float | None:
    """Pressure (Pa) at which a node is solved; None: the node lies below this profile's ground."""
    wanted = 100.0 * pressure_hpa
    if profile.surface_pressure >= wanted:
        return wanted
    if profile.surface_pressure >= wanted - 100.0 * _SURFACE_TOLERANCE_HPA:
        return profile.surface_pressure
    return None


def _solve_profile(profile: Profile) -> dict[str, NDArray[np.float32]]:
    """Solve a profile at every node of the table; NaN below its ground."""
    gas = gas_absorption()
    slants = 1.0 / np.cos(np.deg2rad(VIEW_ZENITHS_DEG))
    nodes = [_tabulated(profile, pressure) for pressure in SURFACE_PRESSURES_HPA]
    valid = [j for j, node in enumerate(nodes) if node is not None]
    surface = np.array([nodes[j] for j in valid], dtype=np.float64)
    shape = (len(SURFACE_PRESSURES_HPA), len(WATER_SCALES), len(TEMPERATURE_SHIFTS_K))
    views = len(VIEW_ZENITHS_DEG)
    out = {
        name: np.full((*shape, *[{"view_zenith": views, "band": 5}[axis] for axis in axes]), np.nan)
        for name, axes in AXES.items()
    }
    for w, scale in enumerate(WATER_SCALES):
        for k, shift in enumerate(TEMPERATURE_SHIFTS_K):
            levels = np.repeat(perturbed(profile.levels, scale, shift)[None], len(valid), axis=0)
            batch = solve_batch(levels, surface, slants=slants, gas=gas)
            for name in AXES:
                out[name][valid, w, k] = getattr(batch, name)
    levels = np.repeat(profile.levels[None], len(valid), axis=0)
    levels[:, 3] *= 1.0 + OZONE_STEP
    batch = solve_batch(levels, surface, slants=slants[:1], gas=gas)
    centre = (valid, WATER_SCALES.index(1.0), TEMPERATURE_SHIFTS_K.index(0.0))
    ozone = np.full((len(nodes), 3, 5), np.nan)
    ozone[valid, 0] = np.log(batch.transmittance[:, 0] / out["transmittance"][*centre, 0])
    ozone[valid, 1] = batch.path_radiance[:, 0] - out["path_radiance"][*centre, 0]
    ozone[valid, 2] = batch.sky_radiance - out["sky_radiance"][*centre]
    out["ozone_response"] = ozone / OZONE_STEP
    return {name: values.astype(np.float32) for name, values in out.items()}


def common_levels() -> NDArray[np.float64]:
    """Return the pressures (hPa, falling) at which `build_profile_levels` keeps profiles."""
    low, high = np.arange(1050.0, 700.0, -12.5), np.arange(700.0, 200.0, -25.0)
    return np.concatenate([low, high, np.geomspace(200.0, 0.1, 20)])


def build_profile_levels(source: Path, target: Path) -> None:
    """Write the profiles themselves on common levels, as `aktes_xr.simulate.varied_air` reads them.

    Temperature is linear and the gases are exponential in the logarithm of pressure; below a
    profile's ground and above its top its last values hold.

    Parameters
    ----------
    source : Path
        The directory of reference data.
    target : Path
        The ``.npz`` that is written; its profiles stand in the order of the shipped table.
    """
    pressure = common_levels()
    at = -np.log(100.0 * pressure)
    rows = []
    for profile in read_profiles(source):
        own = -np.log(profile.levels[0])
        temperature, water, ozone = profile.levels[1:]
        gases = (np.log(np.maximum(values, 1e-12)) for values in (water, ozone))
        rows.append([np.interp(at, own, values) for values in (temperature, *gases)])
    np.savez_compressed(
        target,
        pressure=pressure.astype(np.float32),
        # Half precision for the gases' logarithms is a hundredth; temperature keeps a thousandth.
        temperature=np.round(np.array([row[0] for row in rows]), 2).astype(np.float32),
        log_gases=np.array([row[1:] for row in rows]).astype(np.float16),
        sources=np.array([f"{name}: {text}" for name, text in SOURCES.items()]),
    )


def build_atmosphere_table(source: Path, target: Path) -> None:
    """Solve all profiles and write the table of `aktes_xr.radiative.table`.

    Parameters
    ----------
    source : Path
        The directory of reference data.
    target : Path
        The ``.npz`` that is written.
    """
    profiles = read_profiles(source)
    solved = [_solve_profile(profile) for profile in profiles]
    arrays: dict[str, Any] = {
        name: np.stack([one[name] for one in solved]) for name in (*AXES, "ozone_response")
    }
    arrays["split"] = deal(profiles)
    arrays["profile_source"] = np.array([profile.source for profile in profiles])
    arrays["profile_name"] = np.array([profile.name[:40] for profile in profiles])
    arrays["artificial_ozone"] = np.array([profile.artificial_ozone for profile in profiles])
    arrays["sources"] = np.array([f"{name}: {text}" for name, text in SOURCES.items()])
    np.savez_compressed(target, **arrays)
