"""From a chunk to a tile of quantities: pixels that need the same networks, described once.

The rows of a tile are those of `aktes_xr.models.features.QUANTITIES`. Runs of pixels that lie side
by side, which is nearly all of them, are copied run by run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from aktes_xr.compilation import kernel
from aktes_xr.models.features import N_QUANTITIES, STUDENT_FEATURES
from aktes_xr.models.forward import TILE
from aktes_xr.models.quantities import (
    ADJACENT,
    BRIGHTNESS,
    ELEVATION_DIFFERENCE,
    PRIOR,
    RELIEF,
    SINE_OF_SLOPE,
    SKY_VIEW_FACTOR,
    SOLAR_INCIDENCE,
    SURFACE_PRESSURE,
    VIEW_ZENITH,
    WATER_VAPOR,
)
from aktes_xr.retrieval.flags import solar_incidence
from aktes_xr.retrieval.surroundings import read_kelvin, read_row
from aktes_xr.retrieval.tiles import DATED, SCALARS, STATIC

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from aktes_xr.compilation import Float32Array


TEACHER_ALONE: Final = 0
BOTH: Final = 1
STUDENT_ALONE: Final = 2
"""Which networks a pixel needs."""
_FIRST_PRIOR: Final = STATIC.index("emissivity_prior_B10")
_N_PRIORS: Final = STATIC.index("emissivity_prior_uncertainty") + 1 - _FIRST_PRIOR
_STATIC_ROWS: Final = (
    (SURFACE_PRESSURE, STATIC.index("surface_pressure")),
    *((PRIOR + part, _FIRST_PRIOR + part) for part in range(_N_PRIORS)),
)
_TERRAIN_ROWS: Final = (
    (SKY_VIEW_FACTOR, STATIC.index("sky_view_factor")),
    (RELIEF, STATIC.index("relief")),
    (ELEVATION_DIFFERENCE, STATIC.index("elevation_difference")),
)
_NORTH: Final = STATIC.index("normal_north")
_EAST: Final = STATIC.index("normal_east")
_FIRST_DATED: Final = SCALARS.index(DATED[0])
_VIEW: Final = SCALARS.index("view_zenith")
_SUN_ZENITH: Final = SCALARS.index("sun_zenith")
_HORIZON_DEG: Final = 90.0


@kernel()
def collect(share, networks, cursor, pixels):  # type: ignore[no-untyped-def]  # pragma: no cover
    """List the next pixels of a date that need these networks; return their number and the place.

    ``share`` (pixel,) is the student's by terrain: 0 leaves the teacher alone, 1 the student, NaN
    is a pixel without measurement.
    """
    count = 0
    while cursor < share.size and count < pixels.size:
        value = share[cursor]
        needed = BOTH
        if value == 0.0:
            needed = TEACHER_ALONE
        elif value == 1.0:
            needed = STUDENT_ALONE
        pixels[count] = cursor
        count += (needed == networks) & (value == value)
        cursor += 1
    return count, cursor


@kernel()
def describe(chunk, tables, date, count, around, terrain, tile):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Write a tile's quantities for its first ``count`` pixels, with ``terrain`` all of them."""
    pixels = tile.pixels[:count]
    quantities = tile.quantities
    tile.excess[:] = np.float32(0.0)
    _brightness(chunk, tables, date, pixels, quantities)
    quantities[VIEW_ZENITH, :] = chunk.scalars[date, _VIEW]
    for name in range(chunk.dated_place.size):
        place = chunk.dated_place[name]
        row = quantities[WATER_VAPOR + name]
        if place < 0:
            row[:] = chunk.scalars[date, _FIRST_DATED + name]
        else:
            take(chunk.dated[date, place], pixels, 0, row)
    for row, name in _STATIC_ROWS:
        _static(chunk, name, pixels, quantities[row])
    if terrain:
        for row, name in _TERRAIN_ROWS:
            _static(chunk, name, pixels, quantities[row])
        _sine_of_slope(chunk, pixels, quantities[SINE_OF_SLOPE])
        _insolation(chunk, date, pixels, quantities[SOLAR_INCIDENCE])
        _adjacent(chunk, tables, date, pixels, around, quantities)


@kernel()
def _static(chunk, name, pixels, row):  # type: ignore[no-untyped-def]  # pragma: no cover
    place = chunk.static_place[name]
    if place < 0:
        row[:] = np.float32(np.nan)
    else:
        take(chunk.static[place], pixels, 0, row)


@kernel()
def _sine_of_slope(chunk, pixels, row):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Write the length of the unit normal's horizontal part."""
    if chunk.static_place[_NORTH] < 0:
        row[:] = np.float32(np.nan)
        return
    north, east = chunk.static[chunk.static_place[_NORTH]], chunk.static[chunk.static_place[_EAST]]
    for place in range(pixels.size):
        pixel = pixels[place]
        row[place] = np.sqrt(north[pixel] * north[pixel] + east[pixel] * east[pixel])


@kernel()
def _brightness(chunk, tables, date, pixels, quantities):  # type: ignore[no-untyped-def]  # pragma: no cover
    start = 0
    while start < pixels.size:
        row, stop = _rest_of_row(chunk, pixels, start)
        # From a number in the image to one in the image with its halo.
        shift = (row + chunk.halo) * chunk.wide + chunk.halo - row * chunk.columns
        for band in range(5):
            target = quantities[BRIGHTNESS + band, start:stop]
            read_kelvin(chunk.tir[date, band], band, tables, pixels[start:stop], shift, target)
        start = stop


@kernel()
def _insolation(chunk, date, pixels, row):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Write the cosine of the sun's local angle: 0 at night and in the hill's own shade."""
    if chunk.scalars[date, _SUN_ZENITH] >= _HORIZON_DEG:
        row[:] = np.float32(0.0)
        return
    if chunk.static_place[_NORTH] < 0:
        row[:] = np.float32(np.nan)
        return
    first, last = pixels[0], pixels[-1]
    incidence = np.empty(last + 1 - first, np.float32)
    solar_incidence(chunk, date, slice(first, last + 1), incidence)
    for place in range(incidence.size):
        incidence[place] = np.float32(0.0) if incidence[place] < 0.0 else incidence[place]
    take(incidence, pixels, first, row)


@kernel()
def _adjacent(chunk, tables, date, pixels, around, quantities):  # type: ignore[no-untyped-def]  # pragma: no cover
    start = 0
    while start < pixels.size:
        row, stop = _rest_of_row(chunk, pixels, start)
        read_row(chunk.tir[date], date, row, chunk.halo, around, tables)
        for band in range(5):
            target = quantities[ADJACENT + band, start:stop]
            take(around.kelvin[band], pixels[start:stop], row * chunk.columns, target)
        start = stop


@kernel()
def _rest_of_row(chunk, pixels, start):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Return the row of a listed pixel and where the list leaves it."""
    row = pixels[start] // chunk.columns
    end = (row + 1) * chunk.columns
    stop = start + np.searchsorted(pixels[start:], end)
    return row, stop


class Tile(NamedTuple):
    """Pixels on their way through the networks; stale behind the last one.

    ``pixels`` (TILE,) int64 numbers within the date, ascending; ``quantities`` (27, TILE) and raw
    ``features`` (31, TILE), float32; ``excess`` (TILE,) is how far a standardised feature lies
    outside a network's domain, 0 for inside; ``share`` (TILE,) is the student's share, and later
    its weight.
    """

    pixels: NDArray[np.int64]
    quantities: Float32Array
    features: Float32Array
    excess: Float32Array
    share: Float32Array


def new_tile() -> Tile:
    """Allocate a tile; not to be shared between threads."""
    return Tile(
        np.zeros(TILE, np.int64),
        np.zeros((N_QUANTITIES, TILE), np.float32),
        np.zeros((len(STUDENT_FEATURES), TILE), np.float32),
        np.zeros(TILE, np.float32),
        np.full(TILE, 0.5, np.float32),
    )


@kernel()
def take(source, pixels, base, target):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Copy the values of some pixels; ``base`` is the number of the source's first pixel."""
    if pixels[-1] - pixels[0] == pixels.size - 1:
        first = pixels[0] - base
        for place in range(pixels.size):
            target[place] = source[first + place]
    else:
        for place in range(pixels.size):
            target[place] = source[pixels[place] - base]


@kernel()
def put(source, pixels, target):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Copy values to where some pixels are."""
    if pixels[-1] - pixels[0] == pixels.size - 1:
        first = pixels[0]
        for place in range(pixels.size):
            target[first + place] = source[place]
    else:
        for place in range(pixels.size):
            target[pixels[place]] = source[place]
