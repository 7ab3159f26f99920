"""Pieces of relief to simulate over, by split, with what is computed of each but once.

Splits differ in relief; the test split has kinds of relief (ridges and valleys, volcanoes) that the
others lack, and each its own part of the measured relief.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from aktes_xr.errors import InputError
from aktes_xr.simulate.emissivity import SPLITS, Split
from aktes_xr.simulate.landcover import REGIONS, Cover
from aktes_xr.simulate.measured import san_gabriel
from aktes_xr.simulate.relief import CELL_SIZE_M, Landform, demo_elevation, relief_of

DOMAIN_PIXELS: Final = 360
PATCH_PIXELS: Final = 72
BASE_SHIFT_M: Final = (-300.0, 1500.0)
_SHARED: Final[tuple[tuple[Landform, float], ...]] = (
    ("alpine", 900.0),
    ("alpine", 1800.0),
    ("alpine", 2600.0),
    ("alpine", 3400.0),
    ("alpine", 4500.0),
    ("canyon", 900.0),
    ("canyon", 1600.0),
    ("fluvial", 500.0),
    ("fluvial", 1200.0),
    ("fluvial", 2200.0),
    ("fluvial", 3400.0),
)
RELIEFS: Final[dict[Split, tuple[tuple[Landform, float], ...]]] = {
    "train": _SHARED,
    "validation": _SHARED,
    "test": (
        ("alpine", 1400.0),
        ("alpine", 3000.0),
        ("alpine", 4200.0),
        ("ridge_valley", 1300.0),
        ("ridge_valley", 2200.0),
        ("volcano", 2400.0),
        ("volcano", 3400.0),
        ("fluvial", 800.0),
        ("fluvial", 2600.0),
    ),
}
"""Kinds and heights (m) of relief; none has the seed of another split."""
FLOODED_SHARE: Final = (0.08, 0.35)
"""Of a flooded domain, what lies under water."""
AZIMUTHS: Final = 16
# Sun zenith and azimuth from grid north, deg, of the days.
SUNS: Final = (
    (25.0, 130.0),
    (35.0, 150.0),
    (45.0, 155.0),
    (55.0, 165.0),
    (65.0, 160.0),
    (30.0, 40.0),
)


@dataclass(frozen=True)
class Locality:
    """Which part of the world samples in terrain come from; by default all of it.

    Attributes
    ----------
    covers : tuple of {"temperate", "arid", "alpine"}
        Land covers, equally often; one may stand there twice.
    water_vapor_range : (float, float), kg m-2
        Of the column over the region's mean height.
    air_temperature_range_k : (float, float), K
        At that height.
    base_shift_m : (float, float), m
        By how much relief is lifted, drawn uniformly.
    landforms : tuple of (kind, height in m)
        Synthetic relief; empty: that of the split.
    elevation : tuple of ndarray (y, x), float32, m
        Real relief instead, 90 m pixels without gaps, at least `PATCH_PIXELS` wide; the splits
        share it.
    """

    covers: tuple[Cover, ...] = tuple(REGIONS)
    water_vapor_range: tuple[float, float] = (0.0, np.inf)
    air_temperature_range_k: tuple[float, float] = (0.0, np.inf)
    base_shift_m: tuple[float, float] = BASE_SHIFT_M
    landforms: tuple[tuple[Landform, float], ...] = ()
    elevation: tuple[NDArray[np.float32], ...] = ()

    def __post_init__(self) -> None:
        unknown = sorted(set(self.covers) - set(REGIONS))
        if unknown or not self.covers:
            raise InputError(
                f"found the land covers {', '.join(self.covers) or '(none)'}; expected some of "
                f"{', '.join(REGIONS)}"
            )
        for name in ("water_vapor_range", "air_temperature_range_k", "base_shift_m"):
            low, high = getattr(self, name)
            if not low <= high:
                raise InputError(f"found {name} = {(low, high)}, expected low <= high")
        small = [part.shape for part in self.elevation if min(part.shape) <= PATCH_PIXELS]
        if small:
            raise InputError(
                f"found elevation of shape {small[0]}, expected more than {PATCH_PIXELS} pixels "
                "each way"
            )


@dataclass(frozen=True, eq=False)
class Domain:
    """A piece of relief with what is computed once: indices, shadows of `SUNS`, still water."""

    elevation: NDArray[np.float32]
    indices: dict[str, NDArray[np.float32]]
    shadows: tuple[NDArray[np.bool_], ...]
    flooded: NDArray[np.bool_]


def _domain(elevation: NDArray[np.floating[Any]], flooded_share: float = 0.0) -> Domain:
    """Compute what is needed of a piece of relief; a share of it may lie under still water."""
    import xarray as xr

    from aktes_xr.terrain import cast_shadow, indices_array

    values = elevation.astype(np.float32)
    flooded = np.zeros(values.shape, bool)
    if flooded_share > 0.0:
        level = np.quantile(values, flooded_share).astype(np.float32)
        flooded = values <= level
        values = np.maximum(values, level)
    rows, columns = values.shape
    field = xr.DataArray(
        values,
        dims=("y", "x"),
        coords={
            "y": ("y", -CELL_SIZE_M[0] * np.arange(rows), {"units": "m"}),
            "x": ("x", CELL_SIZE_M[1] * np.arange(columns), {"units": "m"}),
        },
        attrs={"units": "m"},
    )
    shadows = tuple(
        cast_shadow(field, zenith, azimuth, convergence=0.0).to_numpy() for zenith, azimuth in SUNS
    )
    indices = indices_array(values, CELL_SIZE_M, azimuths=AZIMUTHS)
    return Domain(values, indices, shadows, flooded)


@functools.lru_cache(maxsize=32)
def _synthetic(
    split: Split, number: int, kind: Landform, relief_m: float, *, flooded: bool = False
) -> Domain:
    shape = (DOMAIN_PIXELS, DOMAIN_PIXELS)
    seed = 100 * (1 + SPLITS.index(split)) + number
    share = 0.0
    if flooded:
        share = float(np.random.default_rng([seed, 3]).uniform(*FLOODED_SHARE))
    return _domain(relief_of(kind, shape, seed=seed, relief_m=relief_m), share)


@functools.lru_cache(maxsize=1)
def _jacksboro() -> Domain:
    return _domain(demo_elevation("jacksboro", (DOMAIN_PIXELS, DOMAIN_PIXELS)).to_numpy())


@functools.lru_cache(maxsize=2)
def _san_gabriel(split: Split) -> Domain:
    measured = san_gabriel(split)
    if measured is None:
        raise InputError(f"found no measured relief for {split}, expected a split that has some")
    return _domain(measured)


def domain_makers(
    split: Split, locality: Locality | None = None, *, flooded: bool = False
) -> tuple[Callable[[], Domain], ...]:
    """Return what makes each piece of a split's relief when it is first asked for.

    Parameters
    ----------
    split : {"train", "validation", "test"}
    locality : Locality, optional
        With relief or landforms of its own.
    flooded : bool
        Lakes, fjords and coasts: every third landform, its lowest ground under water.

    Returns
    -------
    tuple of callable
        Measured relief is among the dry ones, where the split has some.
    """
    place = locality or Locality()
    if place.elevation:
        share = sum(FLOODED_SHARE) / 2 if flooded else 0.0
        return tuple(
            functools.cache(functools.partial(_domain, part, share)) for part in place.elevation
        )
    makers: list[Callable[[], Domain]] = [
        functools.partial(_synthetic, split, number, *kind, flooded=flooded)
        for number, kind in enumerate(place.landforms or RELIEFS[split])
        if not flooded or number % 3 == 0
    ]
    if not (place.landforms or flooded):
        if san_gabriel(split) is not None:
            makers.append(functools.partial(_san_gabriel, split))
        if split == "train":
            makers.append(_jacksboro)
    return tuple(makers)


def domains(split: Split, locality: Locality | None = None) -> tuple[Domain, ...]:
    """Make all of a split's relief, dry; see `domain_makers`.

    Parameters
    ----------
    split : Split
        The split.
    locality : Locality, optional
        With relief or landforms of its own.

    Returns
    -------
    tuple of Domain
    """
    return tuple(make() for make in domain_makers(split, locality))
