"""Classes of circumstances that scores are told apart by."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from aktes_xr.validation.metrics import strata_by

if TYPE_CHECKING:
    from numpy.typing import NDArray

EDGES: Final[Mapping[str, tuple[str, str, tuple[float, ...]]]] = {
    "terrain_complexity": ("terrain error", "K", (0.0, 0.05, 0.15, 0.3, 0.6, np.inf)),
    "water_vapor": ("water column", "kg m-2", (0.0, 10.0, 20.0, 30.0, 40.0, np.inf)),
    "cloud_confidence": ("cloud confidence", "", (0.0, 1.0, 2.0, 3.0, np.inf)),
}
"""Name for people, unit and edges of the classes of each quantity."""
_MONTHS: Final = "January February March April May June July August September October November \
December".split()
_HORIZON_DEG: Final = 90.0


def strata(circumstances: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[np.bool_]]:
    """Divide pairs by terrain, water column, day and night, month and cloud confidence.

    Parameters
    ----------
    circumstances : mapping of str to ndarray (pair,)
        ``terrain_complexity`` (K), ``water_vapor`` (kg m-2), ``cloud_confidence`` (1),
        ``sun_zenith`` (degrees), ``month`` (1 to 12), ``place`` and ``band`` (text): whatever is
        known.

    Returns
    -------
    dict of str to ndarray (pair,), bool
        Classes that hold a pair. A quantity with one class only divides nothing and is left out.
    """
    found: dict[str, NDArray[np.bool_]] = {}
    for name, (words, unit, edges) in EDGES.items():
        if name in circumstances:
            found |= _dividing(strata_by(circumstances[name], edges, name=words, unit=unit))
    if "sun_zenith" in circumstances:
        day = np.asarray(circumstances["sun_zenith"]) < _HORIZON_DEG
        night = np.asarray(circumstances["sun_zenith"]) >= _HORIZON_DEG
        found |= _dividing({"day": day, "night": night})
    if "month" in circumstances:
        month = np.asarray(circumstances["month"])
        found |= _dividing({name: month == number for number, name in enumerate(_MONTHS, 1)})
    for name in ("place", "band"):
        if name in circumstances:
            labels = np.asarray(circumstances[name])
            found |= _dividing({str(one): labels == one for one in np.unique(labels)})
    return found


def _dividing(classes: dict[str, NDArray[np.bool_]]) -> dict[str, NDArray[np.bool_]]:
    held = {name: mask for name, mask in classes.items() if mask.any()}
    return held if len(held) > 1 else {}
