"""Fields: small images of many worlds, measured as ASTER measures, to train and judge networks on.

A pixel alone says little; its surroundings say more, and they are no copies of it. So training
pixels come from fields of one air mass (`aktes_xr.simulate.structures` says of which kinds, in
equal shares): flat ones, and ones over relief. Their noise is correlated as the product's
resampling leaves it, clouds and the swath's edge leave gaps, and what is told of air and surface is
wrong by drawn, stated errors, some beyond what is stated.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from aktes_xr.errors import InputError
from aktes_xr.radiative.atmosphere import AtmosphereBatch
from aktes_xr.simulate.domains import Locality
from aktes_xr.simulate.emissivity import SPLITS, Split
from aktes_xr.simulate.resampling import RESAMPLINGS, Resampling
from aktes_xr.simulate.structures import STRUCTURES, TERRAIN_STRUCTURES

FIELD_PIXELS: Final = 96


@dataclass(frozen=True)
class FieldRecipe:
    """What fields to draw; equal recipes give equal fields.

    Attributes
    ----------
    count : int
        Number of fields.
    first : int
        Number of the first: fields 0 to 99 are those of two recipes of 50 with ``first`` 0 and 50.
    seed : int
    split : {"train", "validation", "test"}
        Atmospheres, surfaces and relief of the three have nothing in common.
    protocol : {"G", "P"}
        Real atmospheres, perturbed; or the six model atmospheres with their water scaled.
    terrain : bool
        Over relief, or flat.
    structures : tuple of str, optional
        In equal shares; None: all that there are (`STRUCTURES`, over relief `TERRAIN_STRUCTURES`).
    shape : (int, int)
        Rows and columns.
    nedt_range_k : (float, float), K at 300 K
        Noise of the product's pixels, drawn per field and band.
    resampling : {"cubic", "nearest", "none"}, optional
        How the product came to its grid; None: drawn, mostly cubic.
    view_zenith_max_deg : float, degree
    day_share, gap_share : float, 1
        Shares of fields by day, and with clouds, an edge of the swath or missing pixels.
    water_vapor_error : (float, float), 1
        Range of the relative standard error, drawn per field log-uniformly; so the next three.
    air_temperature_error_k, emissivity_error, skin_temperature_error_k : (float, float)
        K, 1, K.
    surface_pressure_error_hpa : (float, float), hPa
    error_of_surface, error_of_bands : (float, float), 1
        Ranges of the shares of the prior emissivity's error that are common to all pixels of one
        surface, and to the bands.
    wrong_share : float, 1
        Share of fields in which an ancillary is three times as wrong as stated, each by itself.
    even_water : bool
        Draw wet columns more often than there are profiles of them.
    varied : float, 1
        Share of fields under air that no profile of the table has
        (`aktes_xr.simulate.varied_air`), and of fields with surfaces that no library has, on land
        of any class alike; by protocol G.
    locality : Locality, optional
        One region instead of everywhere; over relief.
    """

    count: int = 100
    first: int = 0
    seed: int = 0
    split: Split = "train"
    protocol: Literal["G", "P"] = "G"
    terrain: bool = False
    structures: tuple[str, ...] | None = None
    shape: tuple[int, int] = (FIELD_PIXELS, FIELD_PIXELS)
    nedt_range_k: tuple[float, float] = (0.05, 0.3)
    resampling: Resampling | None = None
    view_zenith_max_deg: float = 15.0
    day_share: float = 0.6
    gap_share: float = 0.3
    water_vapor_error: tuple[float, float] = (0.03, 0.5)
    air_temperature_error_k: tuple[float, float] = (0.5, 8.0)
    skin_temperature_error_k: tuple[float, float] = (1.0, 8.0)
    surface_pressure_error_hpa: tuple[float, float] = (1.0, 12.0)
    emissivity_error: tuple[float, float] = (0.003, 0.05)
    error_of_surface: tuple[float, float] = (0.3, 1.0)
    error_of_bands: tuple[float, float] = (0.0, 0.6)
    wrong_share: float = 0.05
    even_water: bool = True
    varied: float = 0.0
    locality: Locality | None = None

    def __post_init__(self) -> None:
        if self.count < 0 or self.first < 0:
            raise InputError(
                f"found {self.count} fields from number {self.first}, expected none below 0"
            )
        if self.split not in SPLITS:
            raise InputError(f"found split {self.split!r}, expected one of {', '.join(SPLITS)}")
        if self.protocol not in ("G", "P"):
            raise InputError(f"found protocol {self.protocol!r}, expected 'G' or 'P'")
        if min(self.shape) < 16:
            raise InputError(f"found fields of shape {self.shape}, expected at least 16 x 16")
        if self.resampling is not None and self.resampling not in RESAMPLINGS:
            raise InputError(
                f"found resampling {self.resampling!r}, expected one of {', '.join(RESAMPLINGS)}"
            )
        unknown = sorted(set(self.structures or ()) - set(self.possible))
        if unknown or self.structures == ():
            raise InputError(
                f"found the structures {', '.join(unknown) or '(none)'}; expected some of "
                f"{', '.join(self.possible)}"
            )

    @property
    def possible(self) -> tuple[str, ...]:
        """The structures that there are on such ground."""
        return TERRAIN_STRUCTURES if self.terrain else STRUCTURES

    @property
    def numbers(self) -> range:
        """Numbers of the fields."""
        return range(self.first, self.first + self.count)

    def generator(self, number: int) -> np.random.Generator:
        """Return the random numbers of one field.

        No two recipes of different splits share a generator.

        Parameters
        ----------
        number : int
            Number of the field.

        Returns
        -------
        numpy.random.Generator
        """
        kind = [SPLITS.index(self.split), ord(self.protocol), int(self.terrain), 29]
        return np.random.default_rng([self.seed, number, *kind])

    def surface_split(self, rng: np.random.Generator) -> Split:
        """Return the split whose endmembers a field has.

        By protocol G it is the recipe's own. By protocol P it may be any.

        Parameters
        ----------
        rng : numpy.random.Generator
            Source of the numbers.

        Returns
        -------
        str
        """
        if self.protocol == "G":
            return self.split
        return SPLITS[int(rng.choice(len(SPLITS), p=(0.6, 0.2, 0.2)))]

    def varies(self, rng: np.random.Generator) -> bool:
        """Draw whether a field's air, or its surfaces, are its own.

        Parameters
        ----------
        rng : numpy.random.Generator
            Advanced only where the recipe has such fields.

        Returns
        -------
        bool
        """
        if self.varied == 0.0 or self.protocol == "P":
            return False
        return bool(rng.random() < self.varied)

    def structure(self, number: int) -> str:
        """Return the structure of a field.

        Structures take turns, so that their shares are equal.

        Parameters
        ----------
        number : int
            Number of the field.

        Returns
        -------
        str
        """
        names = self.structures or self.possible
        return names[number % len(names)]


@dataclass(frozen=True, eq=False)
class FieldTerrain:
    """Relief under a field, all (y, x) float32 but ``adjacent_radiance`` (y, x, 5).

    Attributes
    ----------
    elevation, relief : m
    sky_view_factor : 1
        Lambert-weighted.
    slope, aspect : degree
    solar_incidence : 1
        Cosine of the sun's local angle as a retrieval knows it: without cast shadows, 0 by night.
    adjacent_radiance : W m-2 sr-1 um-1
        Truth: what leaves the visible terrain around.
    region_elevation : float, m
        Mean height of the region, which coarse ancillaries hold for.
    """

    elevation: NDArray[np.float32]
    relief: NDArray[np.float32]
    sky_view_factor: NDArray[np.float32]
    slope: NDArray[np.float32]
    aspect: NDArray[np.float32]
    solar_incidence: NDArray[np.float32]
    adjacent_radiance: NDArray[np.float32]
    region_elevation: float


@dataclass(frozen=True, eq=False)
class Field:
    """A simulated image with its truth, and what a retrieval is told of it.

    Attributes
    ----------
    number : int
    structure : str
        One of `aktes_xr.simulate.structures.STRUCTURES`.
    dn : ndarray (y, x, 5), uint16
        0 where nothing was measured.
    brightness_temperature : ndarray (y, x, 5), float32, K
        Of ``dn``; NaN where nothing was measured.
    cloud, water : ndarray (y, x), bool
        Under a cloud; mostly water.
    surface_temperature : ndarray (y, x), float32, K
    emissivity : ndarray (y, x, 5), float32, 1
    surface_class : ndarray (y, x), int8
        Of what covers most of the pixel: an index into
        `aktes_xr.simulate.emissivity.CLASS_NAMES`.
    told : dict of str to ndarray, float32
        What a retrieval may be told, with errors: ``water_vapor``, ``air_temperature``,
        ``surface_pressure``, ``skin_temperature`` and each with ``_error`` (kg m-2, K, hPa, K),
        ``elevation_difference`` (m; NaN: not said); (), over relief also (y, x).
        ``emissivity_prior`` (y, x, 5) and ``emissivity_prior_uncertainty`` (y, x).
    nedt : ndarray (5,), float32, K at 300 K
    view_zenith, sun_zenith, sun_azimuth : float, degree
        The azimuth is clockwise from grid north; by night the sun's zenith angle exceeds 90.
    air : AtmosphereBatch
        Truth: on flat ground (5,) and (), over relief (y, x, 5) and (y, x).
    surface_pressure : ndarray () or (y, x), float32, hPa
        Truth.
    profile : int
        Number of the air's profile in the shipped table.
    terrain : FieldTerrain, optional
        None on flat ground.
    """

    number: int
    structure: str
    dn: NDArray[np.uint16]
    brightness_temperature: NDArray[np.float32]
    cloud: NDArray[np.bool_]
    water: NDArray[np.bool_]
    surface_temperature: NDArray[np.float32]
    emissivity: NDArray[np.float32]
    surface_class: NDArray[np.int8]
    told: dict[str, NDArray[np.float32]]
    nedt: NDArray[np.float32]
    view_zenith: float
    sun_zenith: float
    sun_azimuth: float
    air: AtmosphereBatch
    surface_pressure: NDArray[np.float32]
    profile: int
    terrain: FieldTerrain | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.surface_temperature.shape[0], self.surface_temperature.shape[1]

    @property
    def valid(self) -> NDArray[np.bool_]:
        """Where (y, x) all bands were measured and no cloud lay."""
        return np.asarray((self.dn != 0).all(axis=-1) & ~self.cloud)

    @property
    def day(self) -> bool:
        """Whether the sun is up."""
        return self.sun_zenith < 90.0
