"""How much terrain matters to a thermal retrieval: in kelvin, as an index, as a class, as a weight.

Four numbers of one surface, for four uses:

``terrain_complexity_k``
    What a retrieval that takes the ground for flat would get wrong, K. The only one with a physical
    unit, and the one that decides. *Misleads* where the surroundings are not at the pixel's
    temperature (sunlit and shaded slopes, snow below rock, a lake), where the emissivity given is
    not the pixel's, and at the edge of the elevation model, where horizons are too low; it holds no
    effect of one water column over kilometres of relief (0.2-0.5 K more).
``terrain_complexity_index``
    Mean standard score of seven morphometric indices against a reference landscape: shape alone,
    for comparing regions. *Misleads* as a threshold: it knows neither emissivity nor sky, a smooth
    steep slope scores high on slope and low on ruggedness, and scores fall as cells grow.
``terrain_class``
    flat, rolling, steep, extreme: for stratifying tables. *Misleads* near its limits, which are
    conventions, and outside cells of 30-100 m.
``fusion_driver``
    0 where a flat retrieval is good, 1 where it is hopeless, 1/2 where its error equals the noise
    of the instrument: what the student's weight starts from. *Misleads* where
    ``terrain_complexity_k`` does.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from aktes_xr import sensor
from aktes_xr.errors import InputError, MissingVariableError
from aktes_xr.radiative.surface import flat_retrieval_error_k
from aktes_xr.terrain.grid import check_elevation

CLASSES = ("flat", "rolling", "steep", "extreme")
UNKNOWN_CLASS = 255

# A pixel belongs to the highest class that either quantity reaches. Unlike ruggedness in metres
# (Riley's limits were made for 1 km cells) neither depends on the cell's size as such, but larger
# cells smooth slopes: of two mountain scenes a quarter of the pixels change class between 30 and
# 90 m, nearly all by one. At the last limit of the sky-view factor the flat error of natural ground
# reaches the noise.
SLOPE_LIMITS_DEG = (5.0, 15.0, 30.0)
SKY_VIEW_LIMITS = (0.99, 0.96, 0.88)

# Mean and standard deviation of the square roots of the dimensionless indices over the reference:
# the San Gabriel Mountains around Big Tujunga, SRTM 30 m (public domain), averaged to 90 m; window
# 1 km, 32 azimuths, 10 km. The square root makes their distributions nearly symmetric.
REFERENCE = MappingProxyType(
    {
        "slope": (0.56589, 0.14626),
        "tri_riley": (0.95111, 0.20005),
        "roughness": (0.93972, 0.21200),
        "vrm": (0.10257, 0.04974),
        "relief": (0.54540, 0.09688),
        "surface_incision": (0.37446, 0.07553),
        "sky_view_factor": (0.24176, 0.07785),
    }
)
_REFERENCE_WINDOW_M = 1_000.0


@dataclass(frozen=True)
class ThermalSetting:
    """What the terrain's effect in kelvin depends on besides its shape.

    Attributes
    ----------
    emissivity : float
        Of the pixel in ``band``, in (0, 1].
    surface_temperature : float
        Of the pixel and of the terrain around it, K.
    sky_contrast_k : float
        How much colder than the ground the sky looks in ``band``, K. 84 K under 300 K is a clear
        mid-latitude summer sky: a radiance deficit of 55 K in B13. Moist tropics 50 K and less,
        dry highland above 100 K.
    adjacent_emissivity : float
        Of the terrain around; what it does not emit it reflects from the sky.
    band : str
        Band whose error is meant.
    """

    emissivity: float = 0.96
    surface_temperature: float = 300.0
    sky_contrast_k: float = 84.0
    adjacent_emissivity: float = 1.0
    band: str = "B13"

    def __post_init__(self) -> None:
        for name in ("emissivity", "adjacent_emissivity"):
            if not 0.0 < getattr(self, name) <= 1.0:
                raise InputError(f"{name}={getattr(self, name)}: expected a number in (0, 1]")
        low, high = sensor.TEMPERATURE_RANGE_K
        sky = self.surface_temperature - self.sky_contrast_k
        if not (low <= self.surface_temperature <= high and low <= sky <= high):
            raise InputError(
                f"surface at {self.surface_temperature} K under a sky at {sky} K: expected both in "
                f"{low:g}..{high:g} K"
            )
        if self.band not in sensor.BANDS:
            raise InputError(f"band={self.band!r}: expected one of {', '.join(sensor.BANDS)}")


def terrain_complexity(
    indices: xr.Dataset,
    *,
    setting: ThermalSetting | None = None,
    emissivity: float | xr.DataArray | None = None,
    surface_temperature: float | xr.DataArray | None = None,
    nedt_k: float = sensor.NEDT_SPECIFICATION_K,
) -> xr.Dataset:
    """Complexity of terrain, from its indices, lazily.

    Parameters
    ----------
    indices : Dataset (y, x)
        Of `terrain_indices`.
    setting : ThermalSetting, optional
        Emissivity, temperatures and band the error in kelvin is for.
    emissivity : float or DataArray (y, x), 1, optional
        Instead of the setting's, for instance a prior's map in the setting's band.
    surface_temperature : float or DataArray (y, x), K, optional
        Instead of the setting's.
    nedt_k : float
        Noise the error is compared with, K.

    Returns
    -------
    Dataset (y, x), lazy where ``indices`` are
        terrain_complexity_k : float32, K. ``(1-V)(1-e)(La-Ls) / (e dB/dT)``, positive where a flat
        retrieval is too warm.
        terrain_complexity_index : float32, 1. Mean standard score; 0 is the reference's mean.
        terrain_class : uint8, flag values of `CLASSES`; 255 where unknown.
        fusion_driver : float32, in [0, 1]. ``k^2 / (k^2 + nedt^2)``.

    Raises
    ------
    MissingVariableError
        If an index is missing.
    InputError
        If a setting is out of range.
    """
    needed = set(REFERENCE)
    if missing := sorted(needed - set(indices.data_vars)):
        raise MissingVariableError(
            f"indices lack {', '.join(missing)}: expected the Dataset of terrain_indices"
        )
    if not nedt_k > 0.0:
        raise InputError(f"nedt_k={nedt_k}: expected a positive number of kelvin")
    setting = setting or ThermalSetting()
    kelvin: xr.DataArray = complexity_k(
        indices["sky_view_factor"].drop_attrs(),
        setting,
        emissivity=emissivity,
        surface_temperature=surface_temperature,
    )
    driver = kelvin * kelvin / (kelvin * kelvin + nedt_k * nedt_k)
    fields = {
        "terrain_complexity_k": kelvin.assign_attrs(
            units="K",
            long_name="expected error of a retrieval that takes the terrain for flat",
            band=setting.band,
        ),
        "terrain_complexity_index": _index(indices).assign_attrs(
            units="1",
            long_name="mean standard score of morphometric indices",
            reference="San Gabriel Mountains, SRTM averaged to 90 m",
        ),
        "terrain_class": _classes(indices),
        "fusion_driver": driver.assign_attrs(
            units="1", long_name="weight of terrain in the fusion", nedt_k=float(nedt_k)
        ),
    }
    # Arithmetic strips coordinates of their attributes, and the CRS is one of them.
    return xr.Dataset(fields).assign_coords(indices.coords)


def complexity_k(
    sky_view_factor: Any,
    setting: ThermalSetting | None = None,
    *,
    emissivity: float | xr.DataArray | None = None,
    surface_temperature: float | xr.DataArray | None = None,
) -> Any:
    """Terrain complexity of pixels by their sky view.

    Parameters
    ----------
    sky_view_factor : ndarray or DataArray, 1
        Lambert-weighted.
    setting : ThermalSetting, optional
    emissivity, surface_temperature : float or DataArray, 1 and K, optional
        Instead of the setting's.

    Returns
    -------
    ndarray or DataArray, float32, K
        ``(1-V)(1-e)(La-Ls) / (e dB/dT)``; lazy where the sky view is.
    """
    chosen = setting or ThermalSetting()
    surface = chosen.surface_temperature if surface_temperature is None else surface_temperature
    sky = sensor.brightness_temperature_to_radiance(
        surface - chosen.sky_contrast_k, band=chosen.band
    )
    error = flat_retrieval_error_k(
        sky_view_factor,
        chosen.emissivity if emissivity is None else emissivity,
        surface,
        sky,
        adjacent_emissivity=chosen.adjacent_emissivity,
        band=chosen.band,
    )
    return error.astype(np.float32)


def _index(indices: xr.Dataset) -> xr.DataArray:
    """Mean standard score of the square roots of the dimensionless indices."""
    # Cells of 90 x 89.9 m: their mean side serves.
    dy, dx = check_elevation(indices["slope"])
    cell_m = 0.5 * (abs(dy) + abs(dx))
    window_m = float(indices["relief"].attrs.get("window_m", _REFERENCE_WINDOW_M))
    window_m = cell_m * (2 * max(1, round((window_m / cell_m - 1.0) / 2.0)) + 1)
    dimensionless: dict[str, xr.DataArray] = {
        "slope": xr.apply_ufunc(
            _tangent, indices["slope"], dask="parallelized", output_dtypes=[np.float32]
        ),
        "tri_riley": indices["tri_riley"] / np.float32(cell_m),
        "roughness": indices["roughness"] / np.float32(cell_m),
        "vrm": indices["vrm"],
        "relief": indices["relief"] / np.float32(window_m),
        "surface_incision": indices["surface_incision"] / np.float32(window_m),
        "sky_view_factor": 1.0 - indices["sky_view_factor"],
    }
    total: Any = 0.0
    for name, (mean, deviation) in REFERENCE.items():
        root = np.sqrt(np.maximum(dimensionless[name].drop_attrs(), 0.0))
        total = total + (root - mean) / deviation
    index: xr.DataArray = (total / len(REFERENCE)).astype(np.float32)
    return index


def _tangent(degrees: NDArray[np.float32]) -> NDArray[np.float32]:
    tangent: NDArray[np.float32] = np.tan(np.deg2rad(degrees))
    return tangent


def _classes(indices: xr.Dataset) -> xr.DataArray:
    slope = indices["slope"].drop_attrs()
    sky_view = indices["sky_view_factor"].drop_attrs()
    grade: xr.DataArray = xr.zeros_like(slope, dtype=np.uint8)
    for steepest, lowest in zip(SLOPE_LIMITS_DEG, SKY_VIEW_LIMITS, strict=True):
        grade = grade + ((slope >= steepest) | (sky_view <= lowest)).astype(np.uint8)
    known = slope.notnull() & sky_view.notnull()
    grade = grade.where(known, np.uint8(UNKNOWN_CLASS)).astype(np.uint8)
    grade.attrs = {
        "long_name": "terrain class",
        "flag_values": np.arange(len(CLASSES), dtype=np.uint8),
        "flag_meanings": " ".join(CLASSES),
    }
    grade.encoding = {"_FillValue": UNKNOWN_CLASS}
    return grade
