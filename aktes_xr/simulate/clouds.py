r"""Clouds over simulated fields, as a cloud test is trained on them.

A cloud of absorption optical depth :math:`\tau_b` whose top has the temperature :math:`T_c` lets
:math:`c_b = e^{-\tau_b}` of what comes from below pass. With transmittance and path radiance of the
air above its top, :math:`t_a` and :math:`L_a`,

.. math:: L = c\,(L_{clear} - L_a) + (1 - c)\, t_a B(T_c) + L_a.

Depths of the bands are as the absorption of drops or crystals of one size
(`aktes_xr.radiative.water.absorption_efficiency`). Scattering is left out, and what a cloud sends
down to the ground.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from aktes_xr import sensor
from aktes_xr.radiative.table import sample_atmospheres
from aktes_xr.radiative.water import absorption_efficiency
from aktes_xr.simulate.level_fields import kelvin, planck_radiance
from aktes_xr.simulate.resampling import resampled_noise
from aktes_xr.simulate.texture import fractal_noise

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from aktes_xr.simulate.fields import Field


@dataclass(frozen=True)
class _Kind:
    """Ranges that a kind of clouds is drawn from; m above the ground, and depth in B13."""

    top_m: tuple[float, float]
    depth: tuple[float, float]
    ice: float


KINDS: Final[dict[str, _Kind]] = {
    "cumulus": _Kind((800.0, 4000.0), (0.5, 30.0), 0.05),
    "cellular": _Kind((600.0, 3000.0), (0.3, 20.0), 0.0),
    "stratus": _Kind((500.0, 2500.0), (0.3, 30.0), 0.0),
    "overcast": _Kind((500.0, 10_000.0), (0.5, 30.0), 0.4),
    "front": _Kind((2000.0, 11_000.0), (0.5, 30.0), 0.6),
    "cirrus": _Kind((6000.0, 12_000.0), (0.1, 3.0), 1.0),
}
"""Kinds of clouds, in equal shares."""
_SCALE_HEIGHT_M: Final = 7800.0
_TABLE_TOP_HPA: Final = 500.0
_LAPSE_K_PER_M: Final = 0.0065
_COLDEST_K: Final = 200.0
_LIQUID_UM: Final = (4.0, 14.0)
_ICE_UM: Final = (10.0, 60.0)
_THINNEST: Final = 0.02


@dataclass(frozen=True, eq=False)
class CloudyField:
    """A field under clouds.

    Attributes
    ----------
    kind : str
        One of `KINDS`.
    brightness_temperature : ndarray (y, x, 5), float32, K
        Of digital numbers, clouds included; NaN where nothing was measured.
    depth : ndarray (y, x), float32
        Absorption optical depth in B13; 0 without cloud.
    height : ndarray (y, x), float32, m
        Of the cloud's top above the ground; NaN without cloud.
    change : ndarray (y, x), float32, K
        What the cloud takes from B13's brightness temperature.
    """

    kind: str
    brightness_temperature: NDArray[np.float32]
    depth: NDArray[np.float32]
    height: NDArray[np.float32]
    change: NDArray[np.float32]


def lay_clouds(rng: np.random.Generator, field: Field, kind: str) -> CloudyField:
    """Lay clouds of one kind over a field.

    Parameters
    ----------
    rng : numpy.random.Generator
        Advanced.
    field : Field
        Drawn without clouds of its own.
    kind : str
        One of `KINDS`.

    Returns
    -------
    CloudyField
    """
    what = KINDS[kind]
    cover = _cover(rng, kind, field.shape)
    thickest = float(np.exp(rng.uniform(*np.log(what.depth))))
    depth = thickest * cover
    depth[depth < _THINNEST] = 0.0
    elevation = np.zeros(field.shape) if field.terrain is None else field.terrain.elevation
    above_sea = elevation - float(np.mean(elevation))
    top = float(rng.uniform(*what.top_m))
    # Thick parts reach higher: by some hundred metres, or a kilometre where clouds tower.
    tops = top + rng.uniform(0.02, 0.12) * top * (cover - 0.5)
    height = tops - above_sea
    depth[height < 150.0] = 0.0
    ice = bool(rng.random() < what.ice)
    efficiency = absorption_efficiency(
        "ice" if ice else "liquid", float(rng.uniform(*(_ICE_UM if ice else _LIQUID_UM)))
    )
    passed = np.exp(-depth[..., np.newaxis] * efficiency / efficiency[3])
    dn = _measured(rng, field, passed, tops, top)
    cloudy = kelvin(dn)
    under = depth > 0.0
    change = field.brightness_temperature[..., 3] - cloudy[..., 3]
    return CloudyField(
        kind=kind,
        brightness_temperature=cloudy,
        depth=depth.astype(np.float32),
        height=np.where(under, height, np.nan).astype(np.float32),
        change=np.where(under, change, 0.0).astype(np.float32),
    )


def _measured(
    rng: np.random.Generator, field: Field, passed: Any, tops: Any, top: float
) -> NDArray[np.uint16]:
    """Count what the sensor sees of ground and cloud, with the noise that the cloud hides."""
    air_k = float(np.mean(field.air.air_temperature))
    ground_hpa = float(np.mean(field.surface_pressure))
    held = max(ground_hpa * np.exp(-top / _SCALE_HEIGHT_M), _TABLE_TOP_HPA)
    profile = np.array([field.profile])
    view = min(field.view_zenith, 15.0)
    usual = sample_atmospheres(profile, surface_pressure_hpa=ground_hpa, view_zenith_deg=view)
    shift = float(np.clip(air_k - float(usual.air_temperature[0]), -6.0, 6.0))
    over = sample_atmospheres(
        profile, surface_pressure_hpa=held, view_zenith_deg=view, temperature_shift_k=shift
    )
    # Above the table's highest level the air goes on cooling.
    reached = -_SCALE_HEIGHT_M * np.log(held / ground_hpa)
    warmth = float(over.air_temperature[0]) - _LAPSE_K_PER_M * (tops - reached)
    warmth = np.maximum(warmth, _COLDEST_K).astype(np.float32)
    clear = sensor.dn_to_radiance(field.dn)
    path = over.path_radiance[0]
    emitted = over.transmittance[0] * planck_radiance(warmth)
    seen = passed * (clear - path) + (1.0 - passed) * emitted + path
    sigma = np.asarray(sensor.noise_equivalent_radiance(field.nedt))
    size = (seen.shape[0], seen.shape[1], seen.shape[2])
    seen = seen + sigma * np.sqrt(1.0 - passed**2) * resampled_noise(rng, size)
    dn: NDArray[np.uint16] = sensor.radiance_to_dn(seen)
    dn[(field.dn == sensor.FILL_DN) | ~np.isfinite(seen)] = sensor.FILL_DN
    return dn


def _cover(rng: np.random.Generator, kind: str, shape: tuple[int, int]) -> NDArray[np.float64]:
    """Draw where a kind's clouds are and how thick: 0 without, about 1 at the thickest."""
    if kind == "cumulus":
        return _cumulus(rng, shape)
    if kind == "overcast":
        noise = _unit(fractal_noise(shape, rng.uniform(20.0, 90.0), rng, octaves=5))
        return np.asarray(1.0 - rng.uniform(0.05, 0.8) * noise)
    if kind == "front":
        angle = rng.uniform(0.0, 2.0 * np.pi)
        rows, columns = np.mgrid[: shape[0], : shape[1]]
        along = rows * np.sin(angle) + columns * np.cos(angle)
        along = _unit(along) + 0.25 * _unit(fractal_noise(shape, 30.0, rng, octaves=5))
        edge = np.quantile(along, rng.uniform(0.2, 0.8))
        return np.clip((along - edge) / rng.uniform(0.05, 0.5), 0.0, 1.0)
    if kind == "cirrus":
        return _cirrus(rng, shape)
    wavelength = rng.uniform(6.0, 20.0) if kind == "cellular" else rng.uniform(40.0, 120.0)
    noise = fractal_noise(shape, wavelength, rng, octaves=5)
    edge = np.quantile(noise, 1.0 - rng.uniform(0.15, 0.95))
    return np.clip((noise - edge) / (rng.uniform(0.1, 0.6) * float(np.ptp(noise))), 0.0, 1.0)


def _cumulus(rng: np.random.Generator, shape: tuple[int, int]) -> NDArray[np.float64]:
    """Scatter heaps of 2 to 10 pixels."""
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    cover = np.zeros(shape)
    count = max(1, int(rng.uniform(0.0004, 0.006) * shape[0] * shape[1]))
    for _ in range(count):
        y, x = rng.uniform(0, shape[0]), rng.uniform(0, shape[1])
        radius, stretch = rng.uniform(1.0, 5.0), rng.uniform(0.7, 1.4)
        near = ((rows - y) * stretch) ** 2 + ((columns - x) / stretch) ** 2
        cover = np.maximum(cover, rng.uniform(0.5, 1.0) * np.clip(1.2 - near / radius**2, 0.0, 1.0))
    return cover


def _cirrus(rng: np.random.Generator, shape: tuple[int, int]) -> NDArray[np.float64]:
    """Draw streaks: a fractal that is four to ten times longer than wide, turned."""
    side = 2 * max(shape)
    stretch = int(rng.integers(4, 11))
    narrow = fractal_noise((side, -(-side // stretch) + 2), rng.uniform(6.0, 25.0), rng, octaves=5)
    rows, columns = np.mgrid[: shape[0], : shape[1]].astype(np.float64)
    angle = rng.uniform(0.0, np.pi)
    across = rows * np.cos(angle) + columns * np.sin(angle)
    along = (columns * np.cos(angle) - rows * np.sin(angle)) / stretch
    i = np.mod(across, side - 1).astype(np.intp)
    j = np.mod(along, narrow.shape[1] - 1).astype(np.intp)
    noise = narrow[i, j]
    edge = np.quantile(noise, rng.uniform(0.0, 0.7))
    return np.asarray(np.clip((noise - edge) / (0.6 * float(np.ptp(noise))), 0.0, 1.0))


def _unit(values: NDArray[Any]) -> NDArray[np.float64]:
    low, high = float(values.min()), float(values.max())
    return np.asarray((values - low) / max(high - low, 1e-9))
