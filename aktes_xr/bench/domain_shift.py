"""Whether a band that lies two pixels from the others is found, and none where all lie well.

Scenes of both worlds, each as it is and with one band moved, by `aktes_xr.cube.registration`. What
has structure is settled by the measurement and its true noise, not by what the registration says of
itself: in each band what is left without its running mean must vary by the noise and once more.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from scipy import ndimage

from aktes_xr import sensor
from aktes_xr.bench.both_worlds import FOREIGN, OWN
from aktes_xr.bench.checks import BenchResult, Check, Table
from aktes_xr.bench.world import scenes
from aktes_xr.cube import new_cube
from aktes_xr.cube.registration import SHIFTED_PIXELS, band_shift
from aktes_xr.simulate import FieldRecipe, draw_fields

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Scene = tuple[NDArray[np.uint16], NDArray[np.floating]]

_SIDE: Final = 104
_MARGIN: Final = 4
"""What a moved band brings in from the other side is cut off all around."""
_STEPS: Final = ((0, 2), (2, 0), (0, -2), (-2, 0))
_DISTANCE: Final = 2.0
_NEAR: Final = 0.5
_SMOOTH: Final = 9
_COUNTS: Final = (10, 50)
"""Scenes with structure of each world, of the quick run and of the full one."""
_MOST_DRAWN: Final = 4
_STEEP_EVERY: Final = 4
_LEAST_FOUND: Final = 0.95


@dataclass
class ShiftTally:
    """What was found in the scenes of one world.

    Attributes
    ----------
    scenes, found, untold : int
        Scenes with structure; those whose moved band was found within half a pixel; those of which
        nothing was said of that band.
    alarms, accused : int
        Scenes said to have a shifted band although none is; and although it is another one.
    plain, plain_found, plain_alarms : int
        Scenes without structure, those found, and those with an alarm of either kind.
    """

    scenes: int = 0
    found: int = 0
    untold: int = 0
    alarms: int = 0
    accused: int = 0
    plain: int = 0
    plain_found: int = 0
    plain_alarms: int = 0

    def add(self, scene: Scene, rng: np.random.Generator) -> None:
        """Judge a scene as it is and with one band moved.

        Parameters
        ----------
        scene : (ndarray (5, y, x), uint16; ndarray (5,), K)
            Digital numbers, 0 where nothing was measured, and the noise of each band at 300 K.
        rng : Generator
            Draws the band and where it is moved.
        """
        numbers, noise = scene
        band, step = int(rng.integers(len(sensor.BANDS))), int(rng.integers(len(_STEPS)))
        moved = numbers.copy()
        moved[band] = np.roll(numbers[band], _STEPS[step], (0, 1))
        both = np.stack([numbers, moved])[..., _MARGIN:-_MARGIN, _MARGIN:-_MARGIN]
        still, distance = band_shift(_cube(both)).compute(scheduler="synchronous").to_numpy()
        found = bool(abs(distance[band] - _DISTANCE) <= _NEAR)
        alarm = bool((still >= SHIFTED_PIXELS).any())
        accused = bool((np.delete(distance, band) >= SHIFTED_PIXELS).any())
        if has_structure(numbers, noise):
            self.scenes += 1
            self.found += found
            self.untold += bool(np.isnan(distance[band]))
            self.alarms += alarm
            self.accused += accused
        else:
            self.plain += 1
            self.plain_found += found
            self.plain_alarms += alarm or accused


def run_shift(*, quick: bool) -> BenchResult:
    """Judge the registration of bands in both worlds.

    Parameters
    ----------
    quick : bool
        A fifth of the scenes.

    Returns
    -------
    BenchResult
    """
    wanted = _COUNTS[0 if quick else 1]
    tallies = {OWN: _judge(_own(), wanted), FOREIGN: _judge(_foreign(), wanted)}
    every = list(tallies.values())
    number = sum(tally.scenes for tally in every)
    alarms = sum(tally.alarms + tally.plain_alarms + tally.accused for tally in every)
    found = sum(tally.found for tally in every) / max(number, 1)
    checks = [
        Check.at_least("scenes with structure", number, 2 * wanted, "1"),
        Check.at_least("a band shifted by two pixels found", found, _LEAST_FOUND, "1"),
        Check.at_most("alarms where no band is shifted, or of another one", alarms, 0, "1"),
    ]
    columns = (
        *("world", "with structure", "found", "nothing said", "false alarms", "others accused"),
        *("without structure", "found", "false alarms or others accused"),
    )
    rows = [
        (
            *(world, tally.scenes, tally.found, tally.untold, tally.alarms, tally.accused),
            *(tally.plain, tally.plain_found, tally.plain_alarms),
        )
        for world, tally in tallies.items()
    ]
    return BenchResult(checks, [Table("one band shifted by two pixels", columns, rows)])


def has_structure(numbers: NDArray[np.uint16], noise: NDArray[np.floating]) -> bool:
    """Say whether what is fine in a scene varies as much as its noise does, and more, in each band.

    Parameters
    ----------
    numbers : ndarray (5, y, x), uint16
    noise : ndarray (5,) or (), K at 300 K

    Returns
    -------
    bool
    """
    known = ((numbers != sensor.FILL_DN) & (numbers <= sensor.SATURATION_DN)).all(axis=0)
    if not known.any():
        return False
    kelvin = np.asarray(sensor.dn_to_brightness_temperature(np.moveaxis(numbers, 0, -1)), float)
    filled = np.moveaxis(np.where(known[..., np.newaxis], kelvin, 0.0), -1, 0)
    share = ndimage.uniform_filter(known.astype(float), _SMOOTH, mode="constant")
    mean = ndimage.uniform_filter(filled, (0, _SMOOTH, _SMOOTH), mode="constant")
    fine = (filled - mean / np.maximum(share, 1e-6))[:, known]
    # Variances of structure and noise add up: twice the noise's says that both are equal.
    return bool(((fine**2).mean(axis=1) >= 2.0 * np.asarray(noise, float) ** 2).all())


def _judge(drawn: Iterator[Scene], wanted: int) -> ShiftTally:
    """Judge scenes until there are enough of them with structure."""
    tally = ShiftTally()
    for number, scene in enumerate(drawn):
        tally.add(scene, np.random.default_rng([67, number]))
        if tally.scenes == wanted or number + 1 == _MOST_DRAWN * wanted:
            break
    return tally


def _own() -> Iterator[Scene]:
    """Draw fields of the test split without end; every fourth over relief, some with gaps."""
    number = 0
    while True:
        recipe = FieldRecipe(
            count=1,
            first=number,
            seed=31,
            split="test",
            shape=(_SIDE, _SIDE),
            terrain=number % _STEEP_EVERY == _STEEP_EVERY - 1,
        )
        for field in draw_fields(recipe):
            yield np.moveaxis(field.dn, -1, 0), field.nedt
        number += 1


def _foreign() -> Iterator[Scene]:
    """Draw scenes of the foreign world without end."""
    number = 0
    while True:
        for scene in scenes(1, first=number, size=_SIDE):
            yield scene["tir"].to_numpy()[0], np.asarray(scene.attrs["nedt_k"])
        number += 1


def _cube(numbers: NDArray[np.uint16]) -> Any:
    dates, _, rows, columns = numbers.shape
    return new_cube(
        numbers,
        time=np.datetime64("2005-01-01", "ns") + np.arange(dates) * np.timedelta64(1, "D"),
        y=5e6 - 90.0 * np.arange(rows, dtype=np.float64),
        x=5e5 + 90.0 * np.arange(columns, dtype=np.float64),
        crs="EPSG:32633",
        coordinates={"view_zenith": np.full(dates, 3.0)},
    )
