"""Training pixels out of simulated fields: quantities, truth, and what strata are made of.

Pixels of one field share its air, its noise and what is told of them, as those of a granule do. So
a sample takes a share of each field's pixels only, and many fields.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import xarray as xr

from aktes_xr import sensor
from aktes_xr.learn.pixels import Sample
from aktes_xr.models.context import N_CONTEXT, REACH, describe_image
from aktes_xr.models.features import N_QUANTITIES, PRIOR, QUANTITIES, SURROUNDINGS
from aktes_xr.simulate.emissivity import CLASS_NAMES, Split
from aktes_xr.simulate.fields import Field, FieldRecipe
from aktes_xr.simulate.structures import STRUCTURES
from aktes_xr.simulate.worlds import draw_fields

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from aktes_xr.compilation import Float32Array
    from aktes_xr.learn.recipe import AncillaryErrors, Recipe
    from aktes_xr.simulate.atmospheres import Protocol
    from aktes_xr.simulate.domains import Locality

PIXELS_PER_FIELD: Final = 400
"""Pixels taken of a field, of some four thousand. A field has one air, so more tell little new."""
STEEP_PIXELS_PER_FIELD: Final = 2000
"""Over relief every pixel has its own view of the sky, and a field takes ten times as long."""
FIELD_SHAPE: Final = (64, 64)
_EDGE_KEPT: Final = 0.2
"""Share of the pixels beside a field's edge that are taken: a granule has few such."""
_TOLD: Final = (
    *("water_vapor", "water_vapor_error", "air_temperature", "air_temperature_error"),
    *("skin_temperature", "skin_temperature_error", "surface_pressure", "elevation_difference"),
)
_TERRAIN: Final = ("sky_view_factor", "relief", "solar_incidence")
_AIR: Final = ("transmittance", "path_radiance", "sky_radiance")
_LEVEL_RELIEF_M: Final = 15.0
_COLUMN: Final = {name: number for number, name in enumerate(QUANTITIES)}


@dataclass(frozen=True)
class World:
    """Whose pixels to draw.

    Attributes
    ----------
    split : "train", "validation" or "test"
        Atmospheres, surfaces and relief of the three have nothing in common.
    seed : int
    nedt_k : tuple of float, K
    terrain : bool
        Over relief, or on flat ground.
    protocol : "G" or "P"
        Real atmospheres, or the six model atmospheres with their water scaled.
    errors : AncillaryErrors, optional
        Those of `aktes_xr.simulate.fields.FieldRecipe` if not given.
    even_water : bool
        Wet columns more often than there are profiles of them.
    varied : float
        Share of fields with air or surfaces of their own; see
        `aktes_xr.simulate.fields.FieldRecipe`.
    locality : Locality, optional
        One region instead of everywhere; over relief.
    per_field : int, optional
        Pixels taken of each field; None: `PIXELS_PER_FIELD` or `STEEP_PIXELS_PER_FIELD`.
    """

    split: Split
    seed: int
    nedt_k: tuple[float, float]
    terrain: bool = False
    protocol: Protocol = "G"
    errors: AncillaryErrors | None = None
    even_water: bool = True
    varied: float = 0.0
    locality: Locality | None = None
    per_field: int | None = None

    @classmethod
    def of(cls, recipe: Recipe, split: Split, seed: int, **choices: Any) -> World:
        """Take a recipe's noise, stated errors and share of varied fields.

        Parameters
        ----------
        recipe : Recipe
        split : "train", "validation" or "test"
        seed : int
        **choices
            What else there is to choose, by name.

        Returns
        -------
        World
        """
        known: dict[str, Any] = {"errors": recipe.errors, "varied": recipe.varied}
        return cls(split, seed, recipe.nedt_k, **(known | choices))

    @property
    def taken(self) -> int:
        """Pixels taken of each field."""
        usual = STEEP_PIXELS_PER_FIELD if self.terrain else PIXELS_PER_FIELD
        return usual if self.per_field is None else self.per_field

    def fields(self, size: int) -> Iterator[Field]:
        """Draw as many fields as are needed for a number of pixels.

        Parameters
        ----------
        size : int
            Number of pixels wanted.

        Yields
        ------
        Field
        """
        recipe = FieldRecipe(
            # Draw some more: clouds cover some fields nearly whole.
            count=math.ceil(1.1 * size / self.taken) + 12,
            shape=FIELD_SHAPE,
            seed=self.seed,
            split=self.split,
            protocol=self.protocol,
            terrain=self.terrain,
            nedt_range_k=self.nedt_k,
            even_water=self.even_water,
            varied=self.varied,
            locality=self.locality,
        )
        if self.errors is not None:
            recipe = replace(recipe, **self.errors.of_fields())
        return draw_fields(recipe)


def level_and_steep(recipe: FieldRecipe, steep_share: float) -> Iterator[Field]:
    """Draw fields on level ground, then over relief.

    Parameters
    ----------
    recipe : FieldRecipe
        Of both; its ``count`` is that of all.
    steep_share : float, 1
        Share of the fields over relief.

    Yields
    ------
    Field
    """
    steep = round(recipe.count * steep_share)
    for terrain, count in ((False, recipe.count - steep), (True, steep)):
        yield from draw_fields(replace(recipe, terrain=terrain, count=count))


class Ahead:
    """Draws an epoch's pixels while the one before is learnt from, in a process of its own.

    A context manager; what is drawn does not depend on it.

    Parameters
    ----------
    make : callable
        Gives the sample of an epoch; picklable, such as a partial of a function of this package.
    epochs : int
        How many there will be: nothing is drawn beyond the last.
    workers : int
        Processes that draw, each an epoch.
    """

    def __init__(self, make: Callable[[int], Sample], epochs: int, *, workers: int = 1) -> None:
        self._make, self._epochs, self._workers = make, epochs, workers
        self._pool = ProcessPoolExecutor(workers, mp_context=get_context("spawn"))
        self._waiting: dict[int, Future[Sample]] = {}

    def __enter__(self) -> Ahead:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)

    def __call__(self, epoch: int) -> Sample:
        """Return the sample of an epoch, and begin to draw the next."""
        wanted = range(epoch, min(epoch + self._workers + 1, self._epochs))
        for number in (epoch, *wanted):
            if number not in self._waiting:
                self._waiting[number] = self._pool.submit(self._make, number)
        return self._waiting.pop(epoch).result()


def draw(size: int, world: World) -> tuple[Sample, xr.Dataset]:
    """Draw pixels of many fields.

    Parameters
    ----------
    size : int
    world : World

    Returns
    -------
    Sample
        For the networks: quantities (sample, quantity) and truth (sample, 6), float32.
    Dataset (sample, band)
        What evaluation needs besides: ``structure`` (a number in
        `aktes_xr.simulate.structures.STRUCTURES`), ``surface_class``, ``field``, ``profile``, and
        of the truth ``nedt``, ``radiance``, ``transmittance``, ``path_radiance``, ``sky_radiance``,
        ``precipitable_water``, ``true_air_temperature``.
    """
    parts: list[tuple[Float32Array, Float32Array, dict[str, NDArray[Any]]]] = []
    missing = size
    for field in world.fields(size):
        rng = np.random.default_rng([world.seed, field.number, 31])
        chosen = _choose(field, rng)[: min(world.taken, missing)]
        missing -= chosen.size
        parts.append((field_quantities(field, chosen, rng), _truth(field, chosen), {}))
        parts[-1][2].update(_besides(field, chosen))
        if missing == 0:
            break
    table, truth = (np.concatenate([part[place] for part in parts]) for place in (0, 1))
    besides = {name: np.concatenate([part[2][name] for part in parts]) for name in parts[0][2]}
    simulated = xr.Dataset(
        {name: (("sample", "band")[: values.ndim], values) for name, values in besides.items()},
        coords={"band": list(sensor.BANDS)},
        attrs={"classes": " ".join(CLASS_NAMES), "structures": " ".join(STRUCTURES)},
    )
    return Sample(table, truth), simulated


def _choose(field: Field, rng: np.random.Generator) -> NDArray[np.intp]:
    """Shuffle the pixels that were measured; of those beside the edge few are kept."""
    inner = np.zeros(field.shape, bool)
    inner[REACH:-REACH, REACH:-REACH] = True
    kept = field.valid & (inner | (rng.random(field.shape) < _EDGE_KEPT))
    return rng.permutation(np.flatnonzero(kept))


def field_quantities(
    field: Field, chosen: NDArray[np.intp], rng: np.random.Generator
) -> Float32Array:
    """Describe pixels of a field as the retrieval would.

    Parameters
    ----------
    field : Field
    chosen : ndarray (pixel,), int
        Numbers of pixels, row by row.
    rng : numpy.random.Generator
        For the little relief that flat ground has.

    Returns
    -------
    ndarray (pixel, quantity), float32
        In the order of `aktes_xr.models.features.QUANTITIES`.
    """
    table = np.full((chosen.size, N_QUANTITIES), np.nan, np.float32)
    table[:, :5] = field.brightness_temperature.reshape(-1, 5)[chosen]
    table[:, _COLUMN["view_zenith"]] = field.view_zenith
    for name in _TOLD:
        table[:, _COLUMN[name]] = _at(field.told[name], chosen)
    table[:, PRIOR : PRIOR + 5] = field.told["emissivity_prior"].reshape(-1, 5)[chosen]
    table[:, PRIOR + 5] = _at(field.told["emissivity_prior_uncertainty"], chosen)
    context = describe_image(field.brightness_temperature, field.valid)
    table[:, SURROUNDINGS : SURROUNDINGS + N_CONTEXT] = context.reshape(N_CONTEXT, -1)[:, chosen].T
    if field.terrain is None:
        table[:, _COLUMN["sky_view_factor"]] = 1.0
        table[:, _COLUMN["sine_of_slope"]] = 0.0
        table[:, _COLUMN["relief"]] = rng.uniform(0.0, _LEVEL_RELIEF_M)
        height = math.cos(math.radians(field.sun_zenith))
        table[:, _COLUMN["solar_incidence"]] = max(height, 0.0)
    else:
        for name in _TERRAIN:
            table[:, _COLUMN[name]] = getattr(field.terrain, name).ravel()[chosen]
        slope = np.deg2rad(field.terrain.slope.ravel()[chosen])
        table[:, _COLUMN["sine_of_slope"]] = np.sin(slope)
    return table


def _at(values: NDArray[Any], chosen: NDArray[np.intp]) -> NDArray[Any]:
    """Return a field's values at pixels, or its one number."""
    return values.ravel()[chosen] if values.ndim else values


def _truth(field: Field, chosen: NDArray[np.intp]) -> Float32Array:
    temperature = field.surface_temperature.ravel()[chosen]
    emissivity = field.emissivity.reshape(-1, 5)[chosen]
    return np.column_stack([temperature, emissivity]).astype(np.float32)


def _besides(field: Field, chosen: NDArray[np.intp]) -> dict[str, NDArray[Any]]:
    count = chosen.size
    besides: dict[str, NDArray[Any]] = {
        "structure": np.full(count, STRUCTURES.index(field.structure), np.int8),
        "surface_class": field.surface_class.ravel()[chosen],
        "field": np.full(count, field.number, np.int64),
        "profile": np.full(count, field.profile, np.int64),
        "radiance": sensor.dn_to_radiance(field.dn.reshape(-1, 5)[chosen]),
        "nedt": np.repeat(field.nedt[np.newaxis], count, axis=0),
    }
    for name in _AIR:
        values = np.asarray(getattr(field.air, name), np.float32)
        flat = values.reshape(-1, 5)
        besides[name] = flat[chosen] if values.ndim == 3 else np.repeat(flat, count, axis=0)
    for name, source in (
        ("precipitable_water", field.air.precipitable_water),
        ("true_air_temperature", field.air.air_temperature),
    ):
        values = np.asarray(source, np.float32)
        besides[name] = np.broadcast_to(_at(values, chosen), (count,)).copy()
    return besides
