"""What a cloud test finds and what it calls cloud wrongly, in the strata that matter."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from aktes_xr.compilation import Float32Array

HEIGHTS: Final = ("below 1.5 km", "1.5 to 3 km", "at least 3 km")
CHANGES: Final = ("below 2 K", "2 to 5 K", "5 to 10 K", "at least 10 K")
SURFACES: Final = ("land", "water", "snow")
OVERCAST: Final = "overcast"
_HEIGHT_LIMITS_M: Final = (1500.0, 3000.0)
_CHANGE_LIMITS_K: Final = (2.0, 5.0, 10.0)
_OPAQUE: Final = 1.0
_CIRRUS: Final = (0.3, 1.0)
_N_BINS: Final = 10


class ScenePixels(NamedTuple):
    """A scene's pixels with probabilities and truth, all (y, x) but the last three."""

    probability: Float32Array
    depth: NDArray[np.floating]
    height: NDArray[np.floating]
    change: NDArray[np.floating]
    surface: NDArray[np.integer]
    kind: str
    day: bool
    high: bool


@dataclass
class Share:
    """Pixels that were hit, of all."""

    hit: int = 0
    all: int = 0

    def add(self, found: NDArray[np.bool_], of: NDArray[np.bool_]) -> None:
        """Count the pixels ``of`` and those of them that were ``found``."""
        self.hit += int((found & of).sum())
        self.all += int(of.sum())

    @property
    def value(self) -> float:
        """The share; NaN of nothing."""
        return self.hit / self.all if self.all else float("nan")


@dataclass
class CloudTally:
    """Sums over many scenes.

    Attributes
    ----------
    omission : dict
        Missed pixels of an absorption optical depth above 1, by stratum and half of the day.
    commission : dict
        Clear pixels that are called cloud, by surface.
    predicted, happened, counted : ndarray (10,)
        Sums for the reliability: of probabilities, cloudy pixels, all pixels.
    """

    omission: dict[tuple[str, str], Share] = field(default_factory=dict)
    commission: dict[str, Share] = field(default_factory=dict)
    predicted: NDArray[np.float64] = field(default_factory=lambda: np.zeros(_N_BINS))
    happened: NDArray[np.float64] = field(default_factory=lambda: np.zeros(_N_BINS))
    counted: NDArray[np.float64] = field(default_factory=lambda: np.zeros(_N_BINS))

    def add(self, scene: ScenePixels, threshold: float) -> None:
        """Add a scene.

        Parameters
        ----------
        scene : ScenePixels
        threshold : float, 1
            A pixel is called cloud from this probability on.
        """
        known = np.isfinite(scene.probability)
        called = known & (scene.probability >= threshold)
        half = "day" if scene.day else "night"
        opaque = known & (scene.depth > _OPAQUE)
        heights = np.digitize(np.nan_to_num(scene.height), _HEIGHT_LIMITS_M)
        for number, name in enumerate(HEIGHTS):
            self._missed(name, half, called, opaque & (heights == number))
        changes = np.digitize(scene.change, _CHANGE_LIMITS_K)
        for number, name in enumerate(CHANGES):
            self._missed(name, half, called, opaque & (changes == number))
        if scene.kind == OVERCAST:
            self._missed(OVERCAST, half, called, opaque)
        if scene.high:
            thin = known & (scene.depth >= _CIRRUS[0]) & (scene.depth < _CIRRUS[1])
            self._missed("cirrus of .3 to 1", half, called, thin)
        clear = known & (scene.depth == 0.0)
        for number, name in enumerate(SURFACES):
            self.commission.setdefault(name, Share()).add(called, clear & (scene.surface == number))
        self._reliability(scene, known & ((scene.depth == 0.0) | (scene.depth >= _CIRRUS[0])))

    def _missed(
        self, name: str, half: str, called: NDArray[np.bool_], of: NDArray[np.bool_]
    ) -> None:
        self.omission.setdefault((name, half), Share()).add(~called, of)

    def _reliability(self, scene: ScenePixels, used: NDArray[np.bool_]) -> None:
        probability = scene.probability[used].astype(np.float64)
        bins = np.minimum((probability * _N_BINS).astype(np.intp), _N_BINS - 1)
        cloudy = (scene.depth[used] >= _CIRRUS[0]).astype(np.float64)
        self.predicted += np.bincount(bins, probability, _N_BINS)
        self.happened += np.bincount(bins, cloudy, _N_BINS)
        self.counted += np.bincount(bins, minlength=_N_BINS)

    def missed(self, name: str, half: str | None = None) -> float:
        """Return the omission of a stratum, by day, by night or (None) of both.

        Parameters
        ----------
        name : str
        half : {"day", "night"}, optional

        Returns
        -------
        float, 1
        """
        halves = ("day", "night") if half is None else (half,)
        parts = [self.omission.get((name, part), Share()) for part in halves]
        return Share(sum(p.hit for p in parts), sum(p.all for p in parts)).value
