"""Errors beside the borders of lakes and hot or cold blocks, against the inside of the same field.

Scenes differ far more than pixels of one scene, so each scene's error at a distance is compared
with the same scene's error far from the border, and scenes count by their pixels at the border.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy.ndimage import distance_transform_edt

from aktes_xr.bench.worlds_methods import FUSION, STUDENT, TEACHER
from aktes_xr.bench.worlds_tally import in_domain

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import NDArray

    from aktes_xr.bench.worlds_methods import Estimate

DISTANCES: Final = ("1", "2", "3-5", "6 and more")
"""Pixels from the border; the last is the field's inside."""
SIDES: Final = ("inside", "outside")
METHODS: Final = (TEACHER, STUDENT, FUSION)
_LIMITS: Final = (2.0, 3.0, 6.0)
_FEWEST: Final = 100

Profile = dict[tuple[str, str, str, str], "NDArray[np.float64]"]
"""By what is told, structure, side and method: errors (4,), and those of the inside (4,)."""


def distances(body: NDArray[np.bool_], *, inside: bool) -> NDArray[np.intp]:
    """Return the class of distance to the border, for the pixels on one side of it.

    Parameters
    ----------
    body : bool (y, x)
        True inside the body.
    inside : bool
        The side that counts.

    Returns
    -------
    intp (y, x)
        -1 on the other side.
    """
    side = body if inside else ~body
    number = np.digitize(distance_transform_edt(side), _LIMITS)
    return np.where(side, number, -1)


def profile(scene: xr.Dataset, found: dict[str, dict[str, Estimate]], profiles: Profile) -> None:
    """Add a scene that has bodies to the profiles.

    The sums are (3, 4): pixels, their errors, and the inside's mean error as often.

    Parameters
    ----------
    scene : Dataset
        A simulated scene with ``body`` (y, x), if it has bodies.
    found : dict of str to dict of str to Estimate
        By what is told, then by method.
    profiles : dict
        The sums to add to; changed in place.
    """
    if "body" not in scene or not scene["body"].any():
        return
    body = scene["body"].to_numpy()
    truth = scene["surface_temperature"].to_numpy().ravel()
    structure = str(scene.attrs["structure"])
    for side in SIDES:
        place = distances(body, inside=side == SIDES[0]).ravel()
        for given, by in found.items():
            for method in METHODS:
                error = np.abs(by[method].temperature - truth)
                known = (place >= 0) & np.isfinite(error) & in_domain(scene)
                count = np.bincount(place[known], minlength=4)
                if count[-1] < _FEWEST:
                    continue
                total = np.bincount(place[known], error[known], 4)
                within = total[-1] / count[-1]
                sums = profiles.setdefault((given, structure, side, method), np.zeros((3, 4)))
                sums += np.array([count, total, count * within])


def ratios(profiles: Profile) -> dict[tuple[str, str, str, str], NDArray[np.float64]]:
    """Divide the error at each distance by that of the inside of the same scenes.

    Parameters
    ----------
    profiles : dict
        Sums as `profile` makes them.

    Returns
    -------
    dict of tuple to float64 (4,), 1
        By what is told, structure, side and method.
    """
    return {key: sums[1] / np.maximum(sums[2], 1e-12) for key, sums in profiles.items()}


def nearest(profiles: Profile, *, given: str, method: str) -> dict[tuple[str, str], float]:
    """Return the ratio of the first two classes of distance together.

    Parameters
    ----------
    profiles : dict
        Sums as `profile` makes them.
    given : str
        What is told.
    method : str
        Name of the method.

    Returns
    -------
    dict of (str, str) to float, 1
        By structure and side.
    """
    found: dict[tuple[str, str], float] = defaultdict(float)
    for (told, structure, side, by), sums in profiles.items():
        if told == given and by == method and sums[0, :2].sum() > 0:
            found[structure, side] = float(sums[1, :2].sum() / sums[2, :2].sum())
    return dict(found)
