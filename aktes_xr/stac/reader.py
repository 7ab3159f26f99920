"""The stackstac reader: one band of a granule's files, each file opened once per chunk.

stackstac makes one reader per band and asks them in turn, in one task and thread. The first that is
asked reads all bands over the window; the others are served from what this thread holds. ASTER COGs
are pixel-interleaved, so this is also one decompression instead of five.

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
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from rasterio.enums import Resampling
from rasterio.vrt import WarpedVRT
from rasterio.windows import Window

from aktes_xr import sensor
from aktes_xr.cube.grid import Bounds
from aktes_xr.errors import AccessError, CalibrationError, ReadError
from aktes_xr.stac import network
from aktes_xr.stac.item import LIMIT_SIDE_PIXELS
from aktes_xr.stac.links import granule_name, host_of
from aktes_xr.stac.opening import Access, with_raster

logger = logging.getLogger(__name__)

OnError = Literal["raise", "nodata"]
Bands = dict[int, npt.NDArray[np.uint16]]
Place = tuple[int, int, int, int]

LIMIT_BANDS = 15
"""More than any ASTER file has."""
_WARP_NODATA = 65535
_NUMBERS = range(1, len(sensor.BANDS) + 1)


@dataclass(frozen=True, slots=True)
class File:
    """One file of a date.

    Attributes
    ----------
    href : bare link or path
    item : id of its item
    box : bounds of the area that it can cover, in the target's CRS
    bands : how many bands it has to have
    """

    href: str
    item: str
    box: Bounds
    bands: int


@dataclass(frozen=True, slots=True)
class BandLink:
    """One band of a date, as it stands in stackstac's asset table.

    Attributes
    ----------
    files : later ones fill where earlier ones have no data
    band : number in the files, from 1
    """

    files: tuple[File, ...]
    band: int


@dataclass(frozen=True)
class _Asked:
    """A request for a window. Five readers, one per band, get the same request in turn."""

    files: tuple[File, ...]
    epsg: int
    bounds: Bounds
    resolution: tuple[float, float]
    place: Place


class _Held(threading.local):
    """The bands of this thread's last read that no reader has asked for yet."""

    asked: _Asked | None = None
    bands: Bands

    def take(self, asked: _Asked, band: int) -> npt.NDArray[np.uint16] | None:
        """Hand out a band once; a second request for it reads anew."""
        return self.bands.pop(band, None) if self.asked == asked else None

    def keep(self, asked: _Asked | None, bands: Bands) -> None:
        self.asked, self.bands = asked, bands


_held = _Held()


class BandReader:
    """A `stackstac.reader_protocol.Reader` of one band; it pickles as its few settings.

    Parameters
    ----------
    url : BandLink
    spec : stackstac.RasterSpec, the grid to land on
    access : how files are reached
    errors : ``"raise"`` a `ReadError`, or log it and give `sensor.UNREADABLE_DN` (``"nodata"``)
    """

    def __init__(
        self,
        *,
        url: BandLink,
        spec: Any,
        dtype: Any,
        fill_value: Any,
        access: Access,
        errors: OnError = "nodata",
        **unused: Any,
    ) -> None:
        self.link = url
        self.spec = spec
        self.dtype = np.dtype(dtype)
        self.fill_value = fill_value
        self.access = access
        self.errors = errors

    def read(self, window: Window, **unused: Any) -> npt.NDArray[Any]:
        """Read the band over ``window`` of the target grid; thread-safe.

        Parameters
        ----------
        window : Window
            Rows and columns of the target grid.
        **unused : Any
            Ignored; the caller may pass more.

        Returns
        -------
        ndarray (y, x)
        """
        place = (
            int(window.row_off),
            int(window.col_off),
            int(window.height),
            int(window.width),
        )
        spec = self.spec
        asked = _Asked(self.link.files, spec.epsg, spec.bounds, spec.resolutions_xy, place)
        band = _held.take(asked, self.link.band)
        if band is None:
            # Let go of the last window before the next one is read.
            _held.keep(None, {})
            bands = self._read_all(place)
            band = bands.pop(self.link.band)
            _held.keep(asked, bands)
        return band.astype(self.dtype, copy=False)

    def close(self) -> None:
        """Do nothing, since no file stays open between reads."""

    def _read_all(self, place: Place) -> Bands:
        """Read all files, and mark the pixels that an unreadable file may have held."""
        merged: Bands = {}
        unreadable = np.zeros(place[2:], np.bool_)
        # Later files only fill what earlier ones left empty.
        for file in self.link.files:
            inside = self._covered(file.box, place)
            if inside is None:
                continue
            bands = self._read_file(file, place)
            if not bands:
                unreadable[inside] = True
            for band, values in bands.items():
                if band in merged:
                    np.copyto(merged[band], values, where=merged[band] == sensor.FILL_DN)
                else:
                    merged[band] = values
        # No file could be read, or none reaches the window: fill for every band.
        for band in () if merged else (self.link.band, *_NUMBERS):
            merged[band] = np.zeros(place[2:], np.uint16)
        if unreadable.any():
            for values in merged.values():
                values[unreadable & (values == sensor.FILL_DN)] = sensor.UNREADABLE_DN
        return merged

    def _covered(self, box: Bounds, place: Place) -> tuple[slice, slice] | None:
        """Return the rows and columns of a window that a file may reach, or None.

        Where a date has one file, that is the whole window: stackstac has already asked whether the
        file reaches it. Otherwise one pixel more is taken on every side, for rounding.
        """
        row, column, height, width = place
        if len(self.link.files) == 1:
            return slice(0, height), slice(0, width)
        target = self.spec.transform
        left, right = ((edge - target.c) / target.a - column for edge in (box[0], box[2]))
        top, bottom = ((edge - target.f) / target.e - row for edge in (box[3], box[1]))
        rows = slice(max(math.floor(top) - 1, 0), min(math.ceil(bottom) + 1, height))
        columns = slice(max(math.floor(left) - 1, 0), min(math.ceil(right) + 1, width))
        return (rows, columns) if rows.start < rows.stop and columns.start < columns.stop else None

    def _read_file(self, file: File, place: Place) -> Bands:
        def work(source: Any) -> Bands:
            check_header(source, granule_name(file.href), wanted=file.bands)
            return _pick(source, self.spec, place)

        try:
            return with_raster(
                file.href,
                self.access,
                work,
                remedy="try again, or open the cube with errors='nodata' to go on without it",
            )
        except (ReadError, CalibrationError) as error:
            if isinstance(error, AccessError):
                network.has_refused(host_of(file.href), file.item)
            # One bad file must not stop the others. But where no file can be read at all, stop.
            if self.errors == "raise" or self.access.hopeless():
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
    if max(source.height, source.width) > LIMIT_SIDE_PIXELS or source.count > LIMIT_BANDS:
        raise ReadError(
            f"{name} claims {source.count} band(s) of {source.height} x {source.width} pixels, "
            f"expected at most {LIMIT_BANDS} of {LIMIT_SIDE_PIXELS} on a side"
        )
    if source.count < wanted:
        raise ReadError(f"{name} has {source.count} band(s), expected at least {wanted}")
    if set(source.dtypes) != {"uint16"}:
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


def _pick(source: Any, spec: Any, place: Place) -> Bands:
    """Read for every target pixel the file's pixel that its centre lies in, all bands at once."""
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


def _warp(source: Any, spec: Any, place: Place) -> Bands:
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
