"""Where a cube is cloudy: by the mask that it came with, or by the bundle's own test; lazily.

The test is one task per chunk that also sees its neighbours' edges, and one per date for the
statistics of the scene. What it finds becomes the cube's cloud mask, so that everything behind it
treats both alike.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final, Literal

import dask.array as da
import numpy as np
import xarray as xr
from dask.base import tokenize
from scipy import ndimage

from aktes_xr import sensor
from aktes_xr.errors import BundleError, InputError
from aktes_xr.models.cloud_features import (
    CLOUD_FEATURES,
    SEEN,
    STATISTICS,
    cloud_features,
    describable,
    scene_statistics,
)
from aktes_xr.models.context import REACH
from aktes_xr.models.runtime import BundleReference, register, resolve
from aktes_xr.retrieval.graph import Edged, map_with_edges, surround
from aktes_xr.retrieval.inputs import measurement, spread
from aktes_xr.retrieval.surroundings import calibration

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from aktes_xr.compilation import Float32Array
    from aktes_xr.models.bundle import Bundle

Clouds = Literal["auto", "network", "none"]
CLOUDS: Final[tuple[Clouds, ...]] = ("auto", "network", "none")
HALO: Final = 2 * REACH
"""A pixel is near cloud if one within `REACH` is cloudy, which depends on what is around that."""
_IMAGE: Final = ("time", "y", "x")
_SAMPLED: Final = 48
"""The shorter side of a scene is sampled at about so many pixels."""
_STRIP_ROWS: Final = 128
_TOLD: Final = SEEN[5:]


def add_clouds(ds: xr.Dataset, bundle: Bundle, clouds: Clouds) -> tuple[xr.Dataset, str]:
    """Give a cube its cloud mask, probabilities and what is near cloud.

    Parameters
    ----------
    ds : Dataset
        A cube that `aktes_xr.cube.check` accepted.
    bundle : Bundle
    clouds : str
        ``"auto"`` takes the mask that the cube has, else the bundle's test, else neither;
        ``"network"`` takes the bundle's test whatever the cube has; ``"none"`` takes the cube's
        mask or none.

    Returns
    -------
    ds : Dataset
        With ``cloud`` and ``near_cloud`` (bool) and ``cloud_probability``, lazy; as it was where
        nothing says where cloud is.
    source : str
        ``"mask"``, ``"network"`` or ``"none"``.

    Raises
    ------
    BundleError
        The bundle has no test and none but its own will do.
    InputError
        There is no such choice.
    """
    if clouds not in CLOUDS:
        raise InputError(f"found clouds={clouds!r}, expected one of {', '.join(CLOUDS)}")
    test = bundle.cloud_test
    if clouds == "network" and test is None:
        raise BundleError(
            f"the bundle {bundle.name!r} has no cloud test; train one (aktes train clouds) or pass "
            "clouds='auto'"
        )
    if "cloud" in ds and clouds != "network":
        mask = spread(ds["cloud"], _IMAGE, _image_chunks(ds, REACH))
        near = da.map_overlap(
            _dilated, mask, depth={1: REACH, 2: REACH}, boundary=False, dtype=bool,
            meta=np.empty((0, 0, 0), bool),
        )  # fmt: skip
        found = {"near_cloud": near, "cloud_probability": mask.astype(np.float32)}
        return ds.assign({name: (_IMAGE, array) for name, array in found.items()}), "mask"
    if test is None or clouds == "none":
        return ds, "none"
    planes = cloud_planes(ds, bundle)
    probability = planes[:, 0]
    found = {
        "cloud": probability >= np.float32(test.threshold),
        "near_cloud": planes[:, 1] > 0.0,
        "cloud_probability": probability,
    }
    return ds.assign({name: (_IMAGE, array) for name, array in found.items()}), "network"


def cloud_planes(ds: xr.Dataset, bundle: Bundle) -> da.Array:
    """Run a bundle's cloud test over a cube.

    Parameters
    ----------
    ds : Dataset
        A checked cube; of its optional variables elevation, air and skin temperature and
        ``background`` are used.
    bundle : Bundle
        With a cloud test.

    Returns
    -------
    dask array (time, 2, y, x), float32
        Probability of cloud, NaN where nothing was measured; and 1 near cloud.
    """
    seen = _seen(ds)
    statistics = _statistics(seen)
    sun = ds["sun_zenith"].data if "sun_zenith" in ds.coords else np.nan
    times = seen.chunks[0]
    zenith = da.broadcast_to(da.asarray(sun, dtype=np.float32), (seen.shape[0],)).rechunk((times,))
    reference = register(bundle)
    return map_with_edges(
        Edged(seen, HALO),
        partial(_find, reference=reference),
        name=f"aktes-clouds-{tokenize(seen.name, statistics.name, zenith.name, reference)}",
        planes=2,
        others=lambda time, row, column: ((statistics.name, time, 0), (zenith.name, time)),
        inputs=(statistics, zenith),
    )


def _image_chunks(ds: xr.Dataset, halo: int) -> tuple[tuple[int, ...], ...]:
    time, _, y, x = measurement(ds, halo).chunks
    return time, y, x


def _dilated(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    side = 2 * REACH + 1
    return np.asarray(ndimage.maximum_filter(mask, size=(1, side, side), mode="constant", cval=0))


def _seen(ds: xr.Dataset) -> da.Array:
    """Stack what the test looks at, one task per chunk."""
    tir = measurement(ds, HALO)
    time, _, y, x = tir.chunks
    names, planes = [], []
    for name in _TOLD:
        if name in ds:
            array = ds[name]
            if "band" in array.dims:
                array = array.sel(band="B13", drop=True)
            names.append(name)
            planes.append(spread(array, _IMAGE, (time, y, x))[:, np.newaxis])
    return da.map_blocks(
        _see,
        tir,
        *planes,
        names=tuple(names),
        chunks=(time, (len(SEEN),), y, x),
        dtype=np.float32,
        meta=np.empty((0, 0, 0, 0), np.float32),
        name=f"aktes-seen-{tokenize(tir.name, [plane.name for plane in planes], names)}",
    )


def _see(tir: NDArray[Any], *planes: NDArray[Any], names: tuple[str, ...]) -> Float32Array:
    dates, bands, rows, columns = tir.shape
    out = np.full((dates, len(SEEN), rows, columns), np.nan, np.float32)
    if tir.dtype == np.uint16:
        table = calibration(digital=True).kelvin
        for band in range(bands):
            numbers = tir[:, band]
            kelvin = table[band][np.minimum(numbers, sensor.SATURATION_DN)]
            kelvin[numbers == sensor.UNREADABLE_DN] = np.nan
            out[:, band] = kelvin
    else:
        radiance = np.moveaxis(tir, 1, -1)
        kelvin = sensor.radiance_to_brightness_temperature(radiance)
        out[:, :bands] = np.moveaxis(kelvin, -1, 1)
    for name, plane in zip(names, planes, strict=True):
        out[:, SEEN.index(name)] = plane[:, 0]
    return out


def _statistics(seen: da.Array) -> da.Array:
    """Describe each scene by pixels at fixed places, one task per date."""
    step = max(1, min(seen.shape[2:]) // _SAMPLED)
    sample = seen[:, :, ::step, ::step].rechunk((seen.chunks[0], -1, -1, -1))
    return da.map_blocks(
        _describe,
        sample,
        drop_axis=[2, 3],
        chunks=(seen.chunks[0], (len(STATISTICS),)),
        dtype=np.float32,
        meta=np.empty((0, 0), np.float32),
        name=f"aktes-scene-{tokenize(sample.name)}",
    )


def _describe(sample: Float32Array) -> Float32Array:
    return np.stack([scene_statistics(date.reshape(len(SEEN), -1)) for date in sample])


def _find(
    around: list[NDArray[Any] | None],
    seen: Float32Array,
    statistics: Float32Array,
    sun_zenith: Float32Array,
    *,
    reference: BundleReference,
) -> Float32Array:
    """Test a chunk strip by strip, so that its features never take more memory than it does."""
    test = resolve(reference).cloud_test
    padded = surround(seen, around, halo=HALO)
    dates, _, rows, columns = seen.shape
    out = np.full((dates, 2, rows, columns), np.nan, np.float32)
    if test is None:
        return out
    for date in range(dates):
        # Probabilities of the chunk and of what is near to it.
        found = np.empty((rows + 2 * REACH, columns + 2 * REACH), np.float32)
        for top in range(0, found.shape[0], _STRIP_ROWS):
            bottom = min(top + _STRIP_ROWS, found.shape[0])
            strip = np.ascontiguousarray(padded[date, :, top : bottom + 2 * REACH])
            features = cloud_features(strip, statistics[date], float(sun_zenith[date]))
            inner = features[:, REACH:-REACH, REACH:-REACH]
            rows_of_features = np.ascontiguousarray(inner).reshape(len(CLOUD_FEATURES), -1)
            known = describable(strip)[REACH:-REACH, REACH:-REACH]
            probability = test.probability_of_rows(rows_of_features).reshape(known.shape)
            found[top:bottom] = np.where(known, probability, np.float32(np.nan))
        core = (slice(REACH, -REACH), slice(REACH, -REACH))
        cloudy = found >= np.float32(test.threshold)
        out[date, 0] = found[core]
        out[date, 1] = _dilated(cloudy[np.newaxis])[0][core]
    return out
