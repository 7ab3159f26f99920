r"""Whether the five bands of a date lie on one another: registration between bands, lazily.

Each pair of bands is compared, in nine windows at fixed places of the scene, after what is smooth
has been taken away. The correlation r is a function of the displacement d. Where its size is
largest the one band lies on the other [1]_, to a fraction of a pixel by a parabola through the
neighbours. A displacement counts only if it explains the bands better than none does,

.. math:: \frac{1 - r(0)^2}{1 - r(d)^2} > 1 + g,

so that a scene without structure, whose correlations are noise, gives no verdict and no alarm.

The windows are whole pixels at places that depend on the scene's size alone. So neither chunks nor
other dates change a bit; a clip is another scene.

References
----------
.. [1] Anuta, P. E. (1970). Spatial registration of multispectral and multitemporal digital imagery
   using fast Fourier transform techniques. IEEE Trans. Geosci. Electron. 8(4), 353-368.
"""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING, Any, Final

import dask.array as da
import numpy as np
import xarray as xr
from dask.base import tokenize
from numpy.lib.stride_tricks import sliding_window_view
from scipy import ndimage

from aktes_xr import sensor
from aktes_xr.cube.checking import check

if TYPE_CHECKING:
    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]

SHIFTED_PIXELS: Final = 1.0
"""A band that lies this far from the others, or farther, is said to be shifted."""
_WINDOW: Final = 72
_WINDOWS: Final = 3
_REACH: Final = 5
"""Displacements are searched up to so many pixels along both axes."""
_SMOOTH: Final = 9
"""Side of the running mean that is taken away, pixels."""
_CLIPPED: Final = 4.0
_FEWEST: Final = 400
_LEAST_CORRELATION: Final = 0.25
_GAIN: Final = 0.06
_LEAST_K: Final = 1e-3


def band_shift(ds: xr.Dataset) -> xr.DataArray:
    """Find how far each band lies from the others, lazily: one small task per date.

    Parameters
    ----------
    ds : Dataset
        A cube with ``tir`` (time, band, y, x), uint16 DN or float32 radiance.

    Returns
    -------
    DataArray (time, band), float32, pixel
        0 where a band lies where the others do; NaN where the scene has too little structure to
        tell, or too few pixels. `SHIFTED_PIXELS` and more is a fault of the product.

    Raises
    ------
    CubeError
        The cube breaks its contract; see `aktes_xr.cube.check`.
    """
    check(ds)
    tir = ds["tir"]
    array = tir.data if tir.chunks is not None else da.from_array(tir.to_numpy())
    for axis in (2, 3):
        parts = [array[(slice(None),) * axis + (window,)] for window in _windows(array.shape[axis])]
        array = da.concatenate(parts, axis=axis)
    sample = array.rechunk((1, -1, -1, -1))
    found = da.map_blocks(
        _displacements,
        sample,
        sizes=tuple(
            tuple(part.stop - part.start for part in _windows(tir.shape[axis])) for axis in (2, 3)
        ),
        drop_axis=[2, 3],
        chunks=((1,) * array.shape[0], (array.shape[1],)),
        dtype=np.float32,
        meta=np.empty((0, 0), np.float32),
        name=f"aktes-band-shift-{tokenize(sample.name)}",
    )
    attributes = {
        "units": "1",
        "long_name": "distance of the band from the others, in pixels; NaN where it cannot be told",
    }
    coords = {name: tir[name] for name in ("time", "band") if name in tir.coords}
    return xr.DataArray(
        found, dims=("time", "band"), coords=coords, attrs=attributes, name="band_shift"
    )


def _windows(size: int) -> list[slice]:
    """Cut windows out of an axis: all of it where it is short."""
    if size <= _WINDOWS * _WINDOW:
        return [slice(0, size)]
    first = [round((size - _WINDOW) * number / (_WINDOWS - 1)) for number in range(_WINDOWS)]
    return [slice(start, start + _WINDOW) for start in first]


def _displacements(
    sample: NDArray[Any], *, sizes: tuple[tuple[int, ...], tuple[int, ...]]
) -> NDArray[np.float32]:
    """Return the bands' displacements on each date of a sample whose windows lie side by side."""
    rows, columns = (np.split(np.arange(sum(part)), np.cumsum(part)[:-1]) for part in sizes)
    out = np.full(sample.shape[:2], np.nan, np.float32)
    for date, image in enumerate(sample):
        windows = [
            _structure(image[:, row[0] : row[-1] + 1, column[0] : column[-1] + 1])
            for row in rows
            for column in columns
            if min(row.size, column.size) > 2 * _REACH + _SMOOTH
        ]
        out[date] = _register(windows)
    return out


def _structure(numbers: NDArray[Any]) -> FloatArray:
    """Return a window's fine structure by band, in units of its spread; 0 where nothing is."""
    if numbers.dtype == np.uint16:
        known = (numbers != sensor.FILL_DN) & (numbers <= sensor.SATURATION_DN)
        kelvin = sensor.dn_to_brightness_temperature(np.moveaxis(numbers, 0, -1))
    else:
        kelvin = sensor.radiance_to_brightness_temperature(np.moveaxis(numbers, 0, -1))
        known = np.isfinite(numbers)
    values = np.moveaxis(np.asarray(kelvin, np.float64), -1, 0)
    valid = (known & np.isfinite(values)).all(axis=0)
    filled = np.where(valid, values, 0.0)
    share = ndimage.uniform_filter(valid.astype(np.float64), _SMOOTH, mode="constant")
    mean = ndimage.uniform_filter(filled, (0, _SMOOTH, _SMOOTH), mode="constant")
    fine = np.where(valid, values - mean / np.maximum(share, 1e-6), 0.0)
    for band in fine:
        spread = float(np.sqrt((band**2).sum() / max(int(valid.sum()), 1)))
        np.clip(band, -_CLIPPED * spread, _CLIPPED * spread, out=band)
        band /= max(spread, _LEAST_K)
    return fine


def _register(windows: list[FloatArray]) -> FloatArray:
    """Return the displacement of each band from the others, pixels.

    A band that is shifted lies apart from all others, and these lie apart from it alone: what half
    of a band's neighbours agree on is its own.
    """
    bands = len(sensor.BANDS)
    apart = np.full((bands, bands), np.nan)
    for first, second in combinations(range(bands), 2):
        correlation = _correlation([(window[first], window[second]) for window in windows])
        if correlation is not None:
            apart[first, second] = apart[second, first] = _distance(correlation)
    found = np.full(bands, np.nan)
    for band, distances in enumerate(apart):
        known = np.sort(distances[~np.isnan(distances)])
        if known.size:
            found[band] = known[(known.size - 1) // 2]
    return found


def _correlation(pairs: list[tuple[FloatArray, FloatArray]]) -> FloatArray | None:
    """Correlate windows with others at all displacements (row, column); None without pixels."""
    side = 2 * _REACH + 1
    products, energies, energy, count = np.zeros((side, side)), np.zeros((side, side)), 0.0, 0
    inner = slice(_REACH, -_REACH)
    for own, others in pairs:
        middle = own[inner, inner]
        moved = sliding_window_view(others, middle.shape)
        products += np.einsum("ijhw,hw->ij", moved, middle)
        # Where nothing was measured neither counts.
        squares = sliding_window_view(others**2, middle.shape)
        energies += np.einsum("ijhw,hw->ij", squares, (middle != 0.0).astype(np.float64))
        energy += float((middle**2).sum())
        count += int((middle != 0.0).sum())
    if count < _FEWEST or energy == 0.0:
        return None
    return np.asarray(products / np.sqrt(np.maximum(energies * energy, 1e-12)))


def _distance(correlation: FloatArray) -> float:
    # Emissivity may rise in one band where it falls in another: either sign is structure.
    correlation = np.abs(correlation)
    best = np.unravel_index(int(np.argmax(correlation)), correlation.shape)
    highest, here = float(correlation[best]), float(correlation[_REACH, _REACH])
    if highest < _LEAST_CORRELATION:
        return float("nan")
    gain = (1.0 - here**2) / max(1.0 - highest**2, 1e-6)
    if gain <= 1.0 + _GAIN:
        return 0.0
    row = best[0] - _REACH + _vertex(correlation[:, best[1]], int(best[0]))
    column = best[1] - _REACH + _vertex(correlation[best[0]], int(best[1]))
    return float(np.hypot(row, column))


def _vertex(values: FloatArray, place: int) -> float:
    """Return how far the vertex of the parabola through three values lies from the middle one."""
    if place in (0, values.size - 1):
        return 0.0
    before, middle, after = values[place - 1 : place + 2]
    bend = before - 2.0 * middle + after
    return float(0.5 * (before - after) / bend) if bend < 0.0 else 0.0
