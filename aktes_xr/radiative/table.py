"""The shipped atmospheres: real profiles, solved over surface pressure, view and perturbation.

The table holds each profile with its humidity scaled and its troposphere shifted in temperature
(`aktes_xr.tables.profile_sets.perturbed`), so that a million varied atmospheres are an
interpolation, not a million solutions. Interpolation is linear in surface pressure and in the
secant of the view angle, and quadratic (three nodes) in the logarithm of the water scale and in
the temperature shift; of transmittance, its logarithm;
of path radiance, its share of (1 - transmittance).
"""

from __future__ import annotations

import functools
import importlib.resources
from typing import Any, Final

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from aktes_xr.compilation import kernel
from aktes_xr.errors import InputError
from aktes_xr.radiative.atmosphere import AtmosphereBatch, slants_of
from aktes_xr.sensor import BANDS, RADIANCE_UNITS

SPLITS: Final = ("train", "validation", "test")
SURFACE_PRESSURES_HPA: Final = (500.0, 600.0, 700.0, 775.0, 850.0, 900.0, 950.0, 1013.25)
WATER_SCALES: Final = (0.5, 1.0, 2.0)
TEMPERATURE_SHIFTS_K: Final = (-6.0, 0.0, 6.0)
VIEW_ZENITHS_DEG: Final = (0.0, 10.0, 15.0)
OZONE_STEP: Final = 0.2
AXES: Final[dict[str, tuple[str, ...]]] = {
    "transmittance": ("view_zenith", "band"),
    "path_radiance": ("view_zenith", "band"),
    "sky_radiance": ("band",),
    "precipitable_water": (),
    "air_temperature": (),
}
"""Variables of the table and their last dimensions, after the common first ones."""
_COMMON: Final = ("profile", "surface_pressure", "water_scale", "temperature_shift")
_UNITS: Final = {
    "transmittance": "1",
    "path_radiance": RADIANCE_UNITS,
    "sky_radiance": RADIANCE_UNITS,
    "precipitable_water": "kg m-2",
    "air_temperature": "K",
}


@functools.cache
def shipped_atmospheres() -> dict[str, NDArray[Any]]:
    """Return the arrays of the shipped table; read-only and shared."""
    resource = importlib.resources.files("aktes_xr") / "data" / "atmospheres.npz"
    with importlib.resources.as_file(resource) as path, np.load(path) as archive:
        arrays = {name: archive[name] for name in archive.files}
    for array in arrays.values():
        array.flags.writeable = False
    return arrays


def atmosphere_table(*, perturbed: bool = False) -> xr.Dataset:
    """Return the shipped table.

    Parameters
    ----------
    perturbed : bool
        True: with dimensions ``water_scale`` and ``temperature_shift``; False: the profiles as they
        are.

    Returns
    -------
    Dataset (profile, surface_pressure, view_zenith, band), float32
        ``transmittance``, ``path_radiance``; without view ``sky_radiance``; per profile and surface
        pressure ``precipitable_water`` (kg m-2), ``air_temperature`` (K, at the surface) and
        ``valid`` (bool: the node is not below the profile's ground; NaN elsewhere); per profile
        ``profile_source``, ``profile_name``, ``split`` (train, validation, test) and
        ``artificial_ozone`` (replaced by the standard atmosphere's).
    """
    arrays = shipped_atmospheres()
    out = xr.Dataset(
        {
            name: ((*_COMMON, *axes), arrays[name], {"units": _UNITS[name]})
            for name, axes in AXES.items()
        },
        coords={
            "surface_pressure": ("surface_pressure", list(SURFACE_PRESSURES_HPA), {"units": "hPa"}),
            "water_scale": list(WATER_SCALES),
            "temperature_shift": ("temperature_shift", list(TEMPERATURE_SHIFTS_K), {"units": "K"}),
            "view_zenith": ("view_zenith", list(VIEW_ZENITHS_DEG), {"units": "degree"}),
            "band": list(BANDS),
        },
        attrs={"sources": "; ".join(str(text) for text in arrays["sources"])},
    )
    out["profile_source"] = ("profile", arrays["profile_source"])
    out["profile_name"] = ("profile", arrays["profile_name"])
    out["split"] = ("profile", np.array(SPLITS)[arrays["split"]])
    out["artificial_ozone"] = ("profile", arrays["artificial_ozone"])
    if not perturbed:
        out = out.sel(water_scale=1.0, temperature_shift=0.0, drop=True)
        out["valid"] = out["air_temperature"].notnull()
    return out


def profiles_of(split: str) -> NDArray[np.intp]:
    """Return the numbers of the profiles in a split.

    Parameters
    ----------
    split : str
        ``train``, ``validation`` or ``test``.

    Raises
    ------
    InputError
        If there is no such split.
    """
    if split not in SPLITS:
        raise InputError(f"found split {split!r}, expected one of {', '.join(SPLITS)}")
    return np.flatnonzero(shipped_atmospheres()["split"] == SPLITS.index(split))


@kernel()
def _quadratic(x: float, a: float, b: float, c: float) -> tuple[float, float, float]:
    """Weights of Lagrange's parabola through the nodes a, b and c."""
    return (
        (x - b) * (x - c) / ((a - b) * (a - c)),
        (x - a) * (x - c) / ((b - a) * (b - c)),
        (x - a) * (x - b) / ((c - a) * (c - b)),
    )


@kernel()
def _bracket(x: float, nodes: NDArray[np.float64], first: int) -> tuple[int, float]:
    """Return the interval and the fraction of ``x``, held between ``nodes[first]`` and the last."""
    low = first
    while low < nodes.size - 2 and x > nodes[low + 1]:
        low += 1
    fraction = (x - nodes[low]) / (nodes[low + 1] - nodes[low])
    return low, min(max(fraction, 0.0), 1.0)


@kernel()
def _interpolate(
    draws: NDArray[np.float64],
    nodes: tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]],
    values: NDArray[np.float32],
    ozone: NDArray[np.float32],
    out: NDArray[np.float32],
) -> None:
    """Interpolate; ``draws`` (n, 6): profile, pressure, secant, water, shift, ozone."""
    pressures, secants, scales = nodes
    views = secants.size
    log_scale = np.log(scales)
    for i in range(draws.shape[0]):
        profile = int(draws[i, 0])
        top = pressures.size - 1
        while np.isnan(values[profile, top, 0, 0, 0]):
            top -= 1
        p, fp = _bracket(min(draws[i, 1], pressures[top]), pressures[: top + 1], 0)
        v, fv = _bracket(draws[i, 2], secants, 0)
        water = _quadratic(np.log(draws[i, 3]), log_scale[0], log_scale[1], log_scale[2])
        shift = _quadratic(draws[i, 4], -6.0, 0.0, 6.0)
        out[i] = 0.0
        for dp in range(2):
            weight_p = fp if dp else 1.0 - fp
            for w in range(3):
                for k in range(3):
                    weight = weight_p * water[w] * shift[k]
                    row = values[profile, p + dp, w, k]
                    for b in range(5):
                        for kind in range(2):
                            at = 5 * (views * kind + v) + b
                            here = (1.0 - fv) * row[at] + fv * row[at + 5]
                            out[i, 5 * kind + b] += weight * here
                        out[i, 10 + b] += weight * row[10 * views + b]
                    out[i, 15] += weight * row[10 * views + 5]
                    out[i, 16] += weight * row[10 * views + 6]
        more = draws[i, 5] - 1.0
        for b in range(5):
            emission = out[i, 5 + b] * (1.0 - np.exp(out[i, b]))
            for dp in range(2):
                weight = more * (fp if dp else 1.0 - fp)
                out[i, b] += weight * ozone[profile, p + dp, 0, b]
                emission += weight * ozone[profile, p + dp, 1, b]
                out[i, 10 + b] += weight * ozone[profile, p + dp, 2, b]
            out[i, 5 + b] = emission
            out[i, b] = np.exp(min(out[i, b], np.float32(0.0)))


@functools.cache
def _packed() -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Lay the table out for the kernel: one row of numbers per node, transmittance as logarithm."""
    arrays = shipped_atmospheres()
    lead = arrays["air_temperature"].shape
    parts = [
        np.log(arrays["transmittance"]).reshape(*lead, -1),
        (arrays["path_radiance"] / (1 - arrays["transmittance"])).reshape(*lead, -1),
        arrays["sky_radiance"],
        arrays["precipitable_water"][..., None],
        arrays["air_temperature"][..., None],
    ]
    packed = np.ascontiguousarray(np.concatenate(parts, axis=-1), dtype=np.float32)
    return packed, np.ascontiguousarray(arrays["ozone_response"], dtype=np.float32)


def sample_atmospheres(
    profile: ArrayLike,
    *,
    surface_pressure_hpa: ArrayLike = 1013.25,
    view_zenith_deg: ArrayLike = 0.0,
    water_scale: ArrayLike = 1.0,
    temperature_shift_k: ArrayLike = 0.0,
    ozone_scale: ArrayLike = 1.0,
) -> AtmosphereBatch:
    """Draw varied atmospheres from the table, a million in about a second.

    Parameters
    ----------
    profile : array (n,), int
        Numbers of profiles; `profiles_of` lists those of a split.
    surface_pressure_hpa : array () or (n,), hPa
        500 to 1013.25; held there, and at the profile's own ground.
    view_zenith_deg : array () or (n,), deg
        0 to 15.
    water_scale : array () or (n,), 1
        0.5 to 2. Multiplies the odds h / (1 - h) of the relative humidity h: water scales in
        proportion where the air is dry and not at all where it is saturated.
    temperature_shift_k : array () or (n,), K
        -6 to 6, of the troposphere, at constant relative humidity.
    ozone_scale : array () or (n,), 1
        0.6 to 1.4; to first order.

    Returns
    -------
    AtmosphereBatch
        float32, without a view dimension: (n, 5) and (n,).

    Raises
    ------
    InputError
        If a number lies outside its range.
    """
    packed, ozone = _packed()
    numbers = np.atleast_1d(np.asarray(profile))
    slant = slants_of(view_zenith_deg)
    draws = np.empty((numbers.size, 6))
    for column, (name, values, low, high) in enumerate(
        (
            ("profile", numbers, 0, len(packed) - 1),
            ("surface_pressure_hpa", surface_pressure_hpa, 300.0, 1100.0),
            ("view_zenith_deg (as secant)", slant, 1.0, 1.0 / np.cos(np.deg2rad(15.001))),
            ("water_scale", water_scale, WATER_SCALES[0], WATER_SCALES[-1]),
            ("temperature_shift_k", temperature_shift_k, *TEMPERATURE_SHIFTS_K[::2]),
            ("ozone_scale", ozone_scale, 0.6, 1.4),
        )
    ):
        found = np.asarray(values, dtype=np.float64)
        if not ((found >= low) & (found <= high)).all():
            raise InputError(
                f"found {name} from {found.min():g} to {found.max():g}, expected {low:g} to "
                f"{high:g}"
            )
        draws[:, column] = found
    out = np.empty((numbers.size, 17), np.float32)
    secants = 1.0 / np.cos(np.deg2rad(VIEW_ZENITHS_DEG))
    nodes = (np.array(SURFACE_PRESSURES_HPA), secants, np.array(WATER_SCALES))
    _interpolate(draws, nodes, packed, ozone, out)
    return AtmosphereBatch(
        out[:, :5],
        np.maximum(out[:, 5:10], 0),
        np.maximum(out[:, 10:15], 0),
        out[:, 15],
        out[:, 16],
    )
