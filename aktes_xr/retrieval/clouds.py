"""Where a cube is cloudy: by the mask that it came with, or by the bundle's own test.

Who says it is settled before the graph is built. The chunk's own task then finds the cloud, with
the edges of its neighbours, and everything behind treats a given mask and a found one alike.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

import numpy as np
from scipy import ndimage

from aktes_xr.errors import BundleError, InputError
from aktes_xr.models.context import REACH
from aktes_xr.retrieval.edges import fill_of
from aktes_xr.retrieval.sight import see
from aktes_xr.retrieval.tiles import SCALARS, Layout

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import NDArray

    from aktes_xr.compilation import Float32Array
    from aktes_xr.models.bundle import Bundle
    from aktes_xr.retrieval.cloud_finder import CloudFinder

Clouds = Literal["auto", "network", "rules", "none"]
CLOUDS: Final[tuple[Clouds, ...]] = ("auto", "network", "rules", "none")
CloudSource = Literal["mask", "network", "rules", "none"]
FOUND: Final = frozenset({"network", "rules"})
"""Sources that look at the measurement."""
_SUN_ZENITH: Final = SCALARS.index("sun_zenith")


def cloud_source(ds: xr.Dataset, bundle: Bundle, clouds: Clouds) -> CloudSource:
    """Settle who says where a cube is cloudy.

    Parameters
    ----------
    ds : Dataset
        A cube that `aktes_xr.cube.check` accepted.
    bundle : Bundle
    clouds : str
        ``"auto"`` takes the mask that the cube has, else the bundle's test, else neither;
        ``"network"`` takes the bundle's test whatever the cube has, ``"rules"`` two fixed rules;
        ``"none"`` takes the cube's mask or none.

    Returns
    -------
    str
        ``"mask"``, ``"network"``, ``"rules"`` or ``"none"``.

    Raises
    ------
    BundleError
        The bundle has no test and none but its own will do.
    InputError
        There is no such choice.
    """
    if clouds not in CLOUDS:
        raise InputError(f"found clouds={clouds!r}, expected one of {', '.join(CLOUDS)}")
    if clouds == "network" and bundle.cloud_test is None:
        raise BundleError(
            f"the bundle {bundle.name!r} has no cloud test; train one (aktes train clouds) or pass "
            "clouds='auto'"
        )
    if clouds == "rules":
        return "rules"
    if "cloud" in ds and clouds != "network":
        return "mask"
    return "none" if bundle.cloud_test is None or clouds == "none" else "network"


def edge_width(source: CloudSource, halo: int) -> int:
    """Return how far a chunk must see for its pixels, and for the cloud around them.

    Parameters
    ----------
    source : str
        Who says where cloud is.
    halo : int, pixels
        How far the retrieval itself looks.

    Returns
    -------
    int, pixels
    """
    # A pixel is near cloud if one within `REACH` is cloudy. The test looks as far around that one.
    return {"none": halo, "mask": REACH, "network": 2 * REACH, "rules": 2 * REACH}[source]


class BlockFields(NamedTuple):
    """What a block takes beside its measurement.

    Attributes
    ----------
    static : ndarray (plane, y, x), float32
    scalars : ndarray (time, 13), float32
    dated : ndarray (time, plane, y, x), float32
    masks : ndarray (time, plane, y, x), bool
    layout : Layout
    """

    static: Float32Array
    scalars: Float32Array
    dated: Float32Array
    masks: NDArray[np.bool_]
    layout: Layout


def find_clouds(
    finder: CloudFinder,
    tir: NDArray[Any],
    told: Float32Array,
    statistics: Float32Array,
    fields: BlockFields,
    *,
    halo: int,
) -> tuple[NDArray[Any], BlockFields]:
    """Give a block the clouds that somebody finds who looks at the measurement.

    Parameters
    ----------
    finder : CloudFinder
        The bundle's own test, or the fixed rules.
    tir : ndarray (time, 5, y + 4 `REACH`, x + 4 `REACH`)
        DN or radiance.
    told : ndarray (time, plane, y + 4 `REACH`, x + 4 `REACH`), float32
        Planes as `aktes_xr.retrieval.sight.told_names` names them.
    statistics : ndarray (time, 11), float32
        Of each date's scene.
    fields : BlockFields
    halo : int, pixels
        What the retrieval itself needs; at most `REACH`.

    Returns
    -------
    tir, fields
        As `take_clouds` returns them.
    """
    found = []
    for date, image in enumerate(tir):
        seen = see(image, told[date], fields.scalars[date], fields.layout)
        sun = float(fields.scalars[date, _SUN_ZENITH])
        found.append(finder.probability(seen, statistics[date], sun))
    probability = np.stack(found)
    cloudy = probability >= np.float32(finder.threshold)
    return take_clouds(tir, fields, probability, cloudy, halo=halo)


def take_clouds(
    tir: NDArray[Any],
    fields: BlockFields,
    probability: Float32Array,
    cloudy: NDArray[np.bool_],
    *,
    halo: int,
) -> tuple[NDArray[Any], BlockFields]:
    """Give a block its clouds: masks, probability, and a measurement without them around it.

    Parameters
    ----------
    tir : ndarray (time, 5, y + 2 edge, x + 2 edge)
        With an edge at least as wide as the halo.
    fields : BlockFields
    probability : ndarray (time, y + 2 `REACH`, x + 2 `REACH`), float32, 1
    cloudy : ndarray of that shape, bool
    halo : int, pixels
        What the retrieval itself needs; at most `REACH`.

    Returns
    -------
    tir : ndarray (time, 5, y + 2 halo, x + 2 halo)
        Cloud beyond the chunk is fill: as surroundings it counts no more.
    fields : BlockFields
        With ``cloud``, ``near_cloud`` and ``cloud_probability``.
    """
    core = (slice(None), slice(REACH, -REACH), slice(REACH, -REACH))
    inner = cloudy[core]
    near = _dilated(cloudy)[core] if cloudy.any() else inner
    layout = fields.layout
    kept = [place for place, name in enumerate(layout.masks) if name != "cloud"]
    dates, rows, columns = inner.shape
    shape = (dates, -1, rows, columns)
    planes = [fields.masks[:, kept].reshape(shape)] if kept else []
    masks = np.concatenate([inner[:, np.newaxis], near[:, np.newaxis], *planes], axis=1)
    told = [fields.dated] if layout.dated else []
    dated = np.concatenate([probability[core][:, np.newaxis], *told], axis=1)
    names = replace(
        layout,
        dated=("cloud_probability", *layout.dated),
        masks=("cloud", "near_cloud", *(layout.masks[place] for place in kept)),
    )
    return _without(tir, cloudy, halo), fields._replace(dated=dated, masks=masks, layout=names)


def _without(tir: NDArray[Any], cloudy: NDArray[np.bool_], halo: int) -> NDArray[Any]:
    """Cut a measurement to its halo, and cloud out of the halo."""
    rows, columns = (size - 2 * REACH for size in cloudy.shape[1:])
    edge = (tir.shape[2] - rows) // 2
    off = edge - halo
    cut = np.ascontiguousarray(tir[:, :, off : tir.shape[2] - off, off : tir.shape[3] - off])
    if halo and cloudy.any():
        around = REACH - halo
        hidden = cloudy[
            :, around : cloudy.shape[1] - around, around : cloudy.shape[2] - around
        ].copy()
        # In the chunk itself a mask hides cloud, for its pixels are retrieved, too.
        hidden[:, halo : halo + rows, halo : halo + columns] = False
        cut = np.where(hidden[:, np.newaxis], fill_of(tir.dtype), cut)
    return cut


def _dilated(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    side = 2 * REACH + 1
    return np.asarray(ndimage.maximum_filter(mask, size=(1, side, side), mode="constant", cval=0))
