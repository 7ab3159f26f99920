"""The stackstac reader: one band of a link ``URL#band=N``, the file opened once per chunk.

stackstac makes one reader per band and asks them in turn, in one task. The first that is asked
opens the file and reads all its bands over the window; the others are served from what this thread
holds. ASTER COGs are pixel-interleaved, so this is also one decompression instead of five.

Pixels are picked, never mixed: digital numbers 0 (fill) and 4095 (saturated) are not averaged. In
the file's own CRS the pick is done here by index; GDAL from 3.11 on turns valid zeros into ones
when a warp's nodata value is zero, so a warp to another CRS uses a nodata value no 12-bit number
has. Level-1T COGs carry no nodata tag: zero is always fill.
"""

from __future__ import annotations

import logging
import math
import re
import threading
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from rasterio.enums import Resampling
from rasterio.vrt import WarpedVRT
from rasterio.windows import Window

from aktes_xr import sensor
from aktes_xr.cube.grid import Bounds
from aktes_xr.errors import AccessError, CalibrationError, ReadError
from aktes_xr.stac.opening import with_raster
from aktes_xr.stac.signing import Modifier, granule_name

logger = logging.getLogger(__name__)

OnError = Literal["raise", "nodata"]
Bands = dict[int, npt.NDArray[np.uint16]]

_WARP_NODATA = 65535
_SEPARATOR = "\n"
_BOX = "\t"
_NUMBERS = range(1, len(sensor.BANDS) + 1)


class _Held(threading.local):
    """What this thread's last read left to serve: bands not asked for yet, or a failure."""

    key: tuple[Any, ...] | None = None
    bands: Bands
    served: set[int]


_held = _Held()


def band_href(hrefs: Sequence[str], band: int, boxes: Sequence[Bounds]) -> str:
    """Return what stands for one band in stackstac's asset table.

    Parameters
    ----------
    hrefs : bare links; later ones fill where earlier ones have no data
    band : number in the file, from 1
    boxes : what each file covers at most, in the target's CRS
    """
    if len(hrefs) > 1:
        # Of a single file stackstac knows this itself.
        hrefs = [
            _BOX.join((href, *(f"{edge:.3f}" for edge in box)))
            for href, box in zip(hrefs, boxes, strict=True)
        ]
    return f"{_SEPARATOR.join(hrefs)}#band={band}"


def _part(text: str) -> tuple[str, Bounds | None]:
    href, *edges = text.split(_BOX)
    if not edges:
        return href, None
    left, bottom, right, top = (float(edge) for edge in edges)
    return href, (left, bottom, right, top)


class BandReader:
    """A `stackstac.reader_protocol.Reader` of one band; it pickles as its few settings.

    Parameters
    ----------
    url : as `band_href` makes it
    spec : stackstac.RasterSpec, the grid to land on
    modifier : signs a bare link; called in the task that reads
    errors : ``"raise"`` a `ReadError`, or log it and give `sensor.UNREADABLE_DN` (``"nodata"``)
    """

    def __init__(
        self,
        *,
        url: str,
        spec: Any,
        dtype: Any,
        fill_value: Any,
        modifier: Modifier | None = None,
        errors: OnError = "nodata",
        **unused: Any,
    ) -> None:
        links, number = url.rsplit("#band=", 1)
        self.parts = tuple(_part(text) for text in links.split(_SEPARATOR))
        self.band = int(number)
        self.spec = spec
        self.dtype = np.dtype(dtype)
        self.fill_value = fill_value
        self.modifier = modifier
        self.errors = errors

    def read(self, window: Window, **unused: Any) -> npt.NDArray[Any]:
        """Read the band over ``window`` of the target grid; thread-safe."""
        height, width = int(window.height), int(window.width)
        place = (int(window.row_off), int(window.col_off), height, width)
        key = (self.parts, self.spec.epsg, self.spec.bounds, self.spec.resolutions_xy, place)
        known = _held.key == key and self.band not in _held.served
        if not (known and self.band in _held.bands):
            _held.key, _held.bands, _held.served = None, {}, set()
            _held.bands = self._read_all(place)
            _held.key = key
        band = _held.bands.pop(self.band)
        _held.served.add(self.band)
        return band.astype(self.dtype, copy=False)

    def close(self) -> None:
        """Do nothing: no file stays open between reads."""

    def _read_all(self, place: tuple[int, int, int, int]) -> Bands:
        """Read all files; pixels that an unreadable one may have held are marked as that."""
        merged: Bands = {}
        unreadable = np.zeros(place[2:], np.bool_)
        for href, box in self.parts:
            inside = self._covered(box, place)
            if inside is None:
                continue
            bands = self._read_file(href, place)
            if not bands:
                unreadable[inside] = True
            for band, values in bands.items():
                if band in merged:
                    np.copyto(merged[band], values, where=merged[band] == sensor.FILL_DN)
                else:
                    merged[band] = values
        for band in () if merged else (self.band, *_NUMBERS):
            merged[band] = np.zeros(place[2:], np.uint16)
        if unreadable.any():
            for values in merged.values():
                values[unreadable & (values == sensor.FILL_DN)] = sensor.UNREADABLE_DN
        return merged

    def _covered(
        self, box: Bounds | None, place: tuple[int, int, int, int]
    ) -> tuple[slice, slice] | None:
        """Return which rows and columns of a window a file may reach; None where it reaches none.

        A pixel more is taken on every side.
        """
        row, column, height, width = place
        if box is None:
            return slice(0, height), slice(0, width)
        target = self.spec.transform
        left, right = ((edge - target.c) / target.a - column for edge in (box[0], box[2]))
        top, bottom = ((edge - target.f) / target.e - row for edge in (box[3], box[1]))
        rows = slice(max(math.floor(top) - 1, 0), min(math.ceil(bottom) + 1, height))
        columns = slice(max(math.floor(left) - 1, 0), min(math.ceil(right) + 1, width))
        return (rows, columns) if rows.start < rows.stop and columns.start < columns.stop else None

    def _read_file(self, href: str, place: tuple[int, int, int, int]) -> Bands:
        def work(source: Any) -> Bands:
            check_header(source, granule_name(href), wanted=self.band)
            return _pick(source, self.spec, place)

        try:
            return with_raster(
                href,
                self.modifier,
                work,
                remedy="try again, or open the cube with errors='nodata' to go on without it",
            )
        except ReadError as error:
            # A refusal is not one file's fault: all others would be refused, too.
            if self.errors == "raise" or isinstance(error, AccessError):
                raise
            logger.warning("%s; its pixels are marked unreadable", error)
            return {}


def check_header(source: Any, name: str, *, wanted: int = 1) -> None:
    """Refuse a raster that is not Level-1T thermal imagery as the sensor's constants have it.

    Parameters
    ----------
    source : open rasterio dataset
    name : what messages call it
    wanted : highest band number that will be read

    Raises
    ------
    ReadError
        It has too few bands, another data type or no CRS.
    CalibrationError
        Its gain, bias or saturation tags contradict the sensor's constants.
    """
    if source.count < wanted:
        raise ReadError(f"{name} has {source.count} band(s), expected at least {wanted}")
    if source.dtypes[0] != "uint16":
        raise ReadError(f"{name} holds {source.dtypes[0]}, expected uint16 digital numbers")
    if source.crs is None:
        raise ReadError(f"{name} has no coordinate reference system; it cannot be placed")
    gains, biases = _tagged(source, "GAIN"), _tagged(source, "BIAS")
    try:
        sensor.check_radiance_gain(gains)
    except CalibrationError as error:
        raise CalibrationError(f"{name}: {error}") from None
    for band, bias in biases.items():
        # Radiance is (DN - 1) gain: the bias is minus the gain. Some writers leave it at zero.
        gain = float(sensor.UNIT_CONVERSION[sensor.BANDS.index(band)])
        if bias != 0.0 and abs(bias + gain) > 0.5e-6:
            raise CalibrationError(
                f"{name}: found the radiance bias {bias:g} for {band}, expected {-gain:g} "
                "(digital number 1 is zero radiance); the file is scaled otherwise or its tag is "
                "wrong"
            )


def _tagged(source: Any, kind: str) -> dict[str, float]:
    """Return the ``RADIANCE_GAIN`` or ``RADIANCE_BIAS`` tags by band."""
    tags = {f"{key}": value for key, value in source.tags().items()}
    for number in range(1, source.count + 1):
        for key, value in source.tags(number).items():
            tags[f"{key} B{_band_number(source, number)}"] = value
    found: dict[str, float] = {}
    for key, value in tags.items():
        if f"RADIANCE_{kind}" not in key.upper():
            continue
        numbers = [float(text) for text in re.findall(r"[-+]?\d*\.?\d+(?:[eE][-+]?\d+)?", value)]
        named = re.search(r"(1[0-4])\D*$", key)
        if named is not None and len(numbers) == 1:
            found[f"B{named.group(1)}"] = numbers[0]
        elif len(numbers) == len(sensor.BANDS):
            found.update(zip(sensor.BANDS, numbers, strict=True))
        elif len(numbers) == 1 and source.count == 1:
            found[f"B{_band_number(source, 1)}"] = numbers[0]
    return {band: value for band, value in found.items() if band in sensor.BANDS}


def _band_number(source: Any, number: int) -> int:
    """Return the sensor's band number of a file's band: by description, file name or order."""
    texts = [source.descriptions[number - 1] or ""]
    if source.count == 1:
        texts.append(granule_name(source.name))
    for text in texts:
        named = re.search(r"B(?:and)?_?(1[0-4])(?!\d)", text, re.IGNORECASE)
        if named is not None:
            return int(named.group(1))
    return 9 + number


def _pick(source: Any, spec: Any, place: tuple[int, int, int, int]) -> Bands:
    """Read the pixels whose area holds the target's pixel centres, all bands at once."""
    row, column, height, width = place
    target, own = spec.transform, source.transform
    if source.crs.to_epsg() != spec.epsg or own.b or own.d or own.a <= 0 or own.e >= 0:
        return _warp(source, spec, place)
    x = target.c + target.a * (column + np.arange(width) + 0.5)
    y = target.f + target.e * (row + np.arange(height) + 0.5)
    columns = np.floor((x - own.c) / own.a).astype(np.int64)
    rows = np.floor((y - own.f) / own.e).astype(np.int64)
    inside_x = (columns >= 0) & (columns < source.width)
    inside_y = (rows >= 0) & (rows < source.height)
    result = np.zeros((source.count, height, width), np.uint16)
    if inside_x.any() and inside_y.any():
        columns, rows = columns[inside_x], rows[inside_y]
        left, top = int(columns[0]), int(rows[0])
        part = Window(left, top, int(columns[-1]) - left + 1, int(rows[-1]) - top + 1)
        values = source.read(window=part)
        # Both selections are runs, so slices do; the pick itself is one fancy index per axis.
        first_row, first_column = int(inside_y.argmax()), int(inside_x.argmax())
        result[:, first_row : first_row + rows.size, first_column : first_column + columns.size] = (
            values[:, (rows - top)[:, None], (columns - left)[None, :]]
        )
    return {number: result[number - 1] for number in source.indexes}


def _warp(source: Any, spec: Any, place: tuple[int, int, int, int]) -> Bands:
    row, column, height, width = place
    with WarpedVRT(
        source,
        resampling=Resampling.nearest,
        src_nodata=sensor.FILL_DN,
        nodata=_WARP_NODATA,
        **spec.vrt_params,
    ) as warped:
        values = warped.read(window=Window(column, row, width, height))
    values[values == _WARP_NODATA] = sensor.FILL_DN
    return {number: values[number - 1] for number in source.indexes}
