"""How a scene is made."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from aktes_xr.cube.contract import DEFAULT_AIR_TEMPERATURE_ERROR_K, DEFAULT_WATER_VAPOR_ERROR
from aktes_xr.errors import InputError
from aktes_xr.simulate.emissivity import SPLITS, Split
from aktes_xr.simulate.landcover import REGIONS, Cover
from aktes_xr.simulate.resampling import RESAMPLINGS, Resampling
from aktes_xr.simulate.structures import STRUCTURES

LANDSCAPE: Final = "landscape"


@dataclass(frozen=True)
class SceneSettings:
    """How a scene is made; equal settings over equal elevation give equal scenes.

    Attributes
    ----------
    seed : int
    dates : tuple of datetime
        UTC; empty: ``count`` dates from 15 July 2003, 16 days apart.
    count : int
        Number of dates where none are given.
    night : bool
        At half past ten in the evening; only where no dates are given.
    structure : str
        ``"landscape"``: land cover that follows region and relief. Or one of
        `aktes_xr.simulate.structures.STRUCTURES`: how kinds of surface lie beside one another.
    cover : {"temperate", "arid", "alpine"}
        The region's land cover, of a landscape.
    split : {"train", "validation", "test"}
        Which atmospheres and surfaces.
    nedt_k : float, K at 300 K
        Noise of the product's pixels.
    resampling : {"cubic", "nearest", "none"}
        How the product came to its grid: what its noise is correlated by.
    view_zenith : float, deg, optional
        None: drawn up to the sensor's largest.
    water_vapor_range : (float, float), kg m-2
        Of the column over the scene's median elevation.
    air_temperature_range_k : (float, float), K
        There. What comes nearest to both is taken.
    water_vapor_error, air_temperature_error_k : float
        Relative and absolute standard deviation of what is told.
    emissivity_error : float, optional
        Standard deviation, per band, of a climatological emissivity that is told; None: there is
        none.
    clouds : bool
    swath : bool
        Whether pixels outside the tilted swath are fill, as in the archive.
    """

    seed: int = 0
    dates: tuple[datetime, ...] = ()
    count: int = 1
    night: bool = False
    structure: str = LANDSCAPE
    cover: Cover = "temperate"
    split: Split = "test"
    nedt_k: float = 0.15
    resampling: Resampling = "cubic"
    view_zenith: float | None = None
    water_vapor_range: tuple[float, float] = (3.0, 30.0)
    air_temperature_range_k: tuple[float, float] = (268.0, 304.0)
    water_vapor_error: float = DEFAULT_WATER_VAPOR_ERROR
    air_temperature_error_k: float = DEFAULT_AIR_TEMPERATURE_ERROR_K
    emissivity_error: float | None = None
    clouds: bool = False
    swath: bool = True

    def __post_init__(self) -> None:
        if self.cover not in REGIONS:
            raise InputError(f"found cover {self.cover!r}, expected one of {', '.join(REGIONS)}")
        if self.structure not in (LANDSCAPE, *STRUCTURES):
            raise InputError(
                f"found structure {self.structure!r}, expected {LANDSCAPE!r} or one of "
                f"{', '.join(STRUCTURES)}"
            )
        if self.resampling not in RESAMPLINGS:
            raise InputError(
                f"found resampling {self.resampling!r}, expected one of {', '.join(RESAMPLINGS)}"
            )
        if self.split not in SPLITS:
            raise InputError(f"found split {self.split!r}, expected one of {', '.join(SPLITS)}")
        if self.count < 1 or not self.nedt_k >= 0:
            raise InputError(
                f"found {self.count} dates with noise of {self.nedt_k} K, expected at least one "
                "date and no negative noise"
            )
