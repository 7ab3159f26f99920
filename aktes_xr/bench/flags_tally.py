"""Sums of errors by flag: of pixels without any doubtful flag, with one, and with each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import xarray as xr

from aktes_xr.cube.conditions import CONDITION_MEANINGS
from aktes_xr.cube.quality import MEANINGS
from aktes_xr.cube.selection import DOUBTFUL_FLAGS, flags

if TYPE_CHECKING:
    from numpy.typing import NDArray

CLEAN: Final = "no doubtful flag"
FLAGGED: Final = "any doubtful flag"
KEPT: Final = "any doubtful flag but cloud"
NAMES: Final = tuple(
    str(flag.name).lower() for known in (MEANINGS, CONDITION_MEANINGS) for flag in known
)
"""All flags that a pixel may have."""
_CLOUDY_DEPTH: Final = 0.3
_DIMS: Final = ("y", "x")


class FlagTally:
    """Errors of one method, told one set of ancillaries, over many scenes."""

    def __init__(self) -> None:
        self._sums = {name: np.zeros(5) for name in (CLEAN, FLAGGED, KEPT, *NAMES)}
        self._clear = np.zeros(2)

    def add(
        self,
        quality: NDArray[np.uint16],
        conditions: NDArray[np.uint16],
        error_k: NDArray[Any],
        error_emissivity: NDArray[Any],
        depth: NDArray[Any],
    ) -> None:
        """Add a scene, all (y, x); what has no temperature counts nowhere.

        Parameters
        ----------
        quality, conditions : ndarray, uint16
        error_k : ndarray, K
            Of the temperature, without its sign.
        error_emissivity : ndarray, 1
            Mean over the bands, without signs; NaN where there is none.
        depth : ndarray, 1
            Absorption optical depth of the clouds.
        """
        both = {"quality": (_DIMS, quality), "conditions": (_DIMS, conditions)}
        found = {name: hit.to_numpy() for name, hit in flags(xr.Dataset(both)).items()}
        known = np.isfinite(error_k)
        doubtful = np.any([found[name] for name in DOUBTFUL_FLAGS], axis=0)
        found[CLEAN], found[FLAGGED] = ~doubtful, doubtful
        found[KEPT] = doubtful & ~found["cloud"]
        cloudy = depth >= _CLOUDY_DEPTH
        for name, where in found.items():
            used = where & known
            stated = used & np.isfinite(error_emissivity)
            self._sums[name] += (
                *(used.sum(), error_k[used].sum(dtype=np.float64)),
                *(stated.sum(), error_emissivity[stated].sum(dtype=np.float64)),
                (used & cloudy).sum(),
            )
        clear = found[CLEAN] & known & ~cloudy
        self._clear += clear.sum(), error_k[clear].sum(dtype=np.float64)

    def count(self, name: str) -> int:
        """Return how many pixels have a flag.

        Parameters
        ----------
        name : str
            One of `NAMES`, or `CLEAN`, `FLAGGED`, `KEPT`.

        Returns
        -------
        int
        """
        return int(self._sums[name][0])

    def error(self, name: str) -> float:
        """Return their mean absolute error of the temperature; NaN of none.

        Parameters
        ----------
        name : str
            As in `count`.

        Returns
        -------
        float, K
        """
        count, total = self._sums[name][:2]
        return float(total / count) if count else float("nan")

    def emissivity_error(self, name: str) -> float:
        """Return their mean absolute error of the emissivity; NaN of none.

        Parameters
        ----------
        name : str
            As in `count`.

        Returns
        -------
        float, 1
        """
        count, total = self._sums[name][2:4]
        return float(total / count) if count else float("nan")

    @property
    def missed_share(self) -> float:
        """Share of the pixels without a doubtful flag that lie under cloud of depth .3 and more."""
        count = self._sums[CLEAN][0]
        return float(self._sums[CLEAN][4] / count) if count else float("nan")

    @property
    def clear_error(self) -> float:
        """Mean absolute error of the temperature of those that do not, K."""
        count, total = self._clear
        return float(total / count) if count else float("nan")
