"""What benchmarks share that judge in two worlds: the one of the training, and a foreign one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from aktes_xr import sensor
from aktes_xr.bench.checks import BenchResult, Check, Table
from aktes_xr.cube import describe, new_cube
from aktes_xr.errors import InputError

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import NDArray

    from aktes_xr.simulate import Field

OWN: Final = "own world"
FOREIGN: Final = "foreign world"
_TOLD_DATED: Final = ("water_vapor", "air_temperature")


@dataclass(frozen=True)
class Judged:
    """A world to judge in.

    Attributes
    ----------
    name : str
        `OWN` or `FOREIGN`.
    counts : (int, int)
        Scenes of the quick run and of the full one.
    draw : callable
        Draws so many of them.
    """

    name: str
    counts: tuple[int, int]
    draw: Callable[[int], Iterator[Any]]


def judge_worlds(
    worlds: Sequence[Judged],
    judge: Callable[[str, Iterator[Any]], tuple[list[Check], list[Table]]],
    *,
    quick: bool,
    part: str | None,
) -> BenchResult:
    """Judge in each world that is asked for.

    Parameters
    ----------
    worlds : sequence of Judged
    judge : callable
        Takes a world's name and scenes, and returns checks and tables.
    quick : bool
        Fewer scenes.
    part : str, optional
        ``own`` or ``foreign``: that world alone.

    Returns
    -------
    BenchResult

    Raises
    ------
    InputError
        There is no such world.
    """
    chosen = [world for world in worlds if part is None or world.name.split()[0] == part]
    if not chosen:
        raise InputError(f"found part {part!r}, expected 'own' or 'foreign'")
    checks: list[Check] = []
    tables: list[Table] = []
    for world in chosen:
        made, shown = judge(world.name, world.draw(world.counts[0 if quick else 1]))
        checks += made
        tables += shown
    return BenchResult(checks, tables)


def cube_of(field: Field, dn: NDArray[np.uint16] | None = None) -> xr.Dataset:
    """Make a cube of one date of a simulated field, with all that is told of it.

    Parameters
    ----------
    field : Field
    dn : ndarray (y, x, 5), uint16, optional
        What was measured instead, such as clouds over the field.

    Returns
    -------
    Dataset
        As `aktes_xr.cube.check` accepts it. Over level ground it has no elevation.
    """
    rows, columns = field.shape
    measured = field.dn if dn is None else dn
    cube = new_cube(
        np.moveaxis(measured, -1, 0)[np.newaxis],
        time=np.array(["2005-01-01"], "M8[ns]"),
        y=5e6 - 90.0 * np.arange(rows, dtype=np.float64),
        x=5e5 + 90.0 * np.arange(columns, dtype=np.float64),
        crs="EPSG:32633",
        coordinates={
            "view_zenith": [field.view_zenith],
            "sun_zenith": [field.sun_zenith],
            "sun_azimuth": [field.sun_azimuth],
        },
    )
    told = field.told
    names = [part for name in _TOLD_DATED for part in (name, f"{name}_error")]
    for name in (*names, "surface_pressure"):
        values = np.asarray(told[name], np.float32)
        dims = ("time", "y", "x") if values.ndim else ("time",)
        cube[name] = (dims, values[np.newaxis])
    cube["emissivity_prior"] = (("band", "y", "x"), np.moveaxis(told["emissivity_prior"], -1, 0))
    error = np.broadcast_to(told["emissivity_prior_uncertainty"], field.shape)
    cube["emissivity_prior_uncertainty"] = (
        ("band", "y", "x"),
        np.repeat(error[np.newaxis], len(sensor.BANDS), axis=0),
    )
    if field.terrain is not None:
        cube["elevation"] = (("y", "x"), field.terrain.elevation)
    return describe(cube)
