"""From a chunk to tiles of quantities: pixels that need the same networks, described together.

A date is read once, row by row. Each pixel joins the tile of the networks it needs. The description
of its surroundings is copied at once, while the sums stand at its row. A tile that is full is
described, estimated and emptied. The rows of a tile are those of
`aktes_xr.models.features.QUANTITIES`. Nearly all pixels lie side by side; those are copied as one
run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from aktes_xr.compilation import kernel
from aktes_xr.cube.quality import QualityFlag
from aktes_xr.models.context import N_CONTEXT
from aktes_xr.models.features import (
    BRIGHTNESS,
    ELEVATION_DIFFERENCE,
    N_QUANTITIES,
    PRIOR,
    RELIEF,
    SINE_OF_SLOPE,
    SKY_VIEW_FACTOR,
    SOLAR_INCIDENCE,
    STUDENT_FEATURES,
    SURFACE_PRESSURE,
    SURROUNDINGS,
    VIEW_ZENITH,
    WATER_VAPOR,
)
from aktes_xr.models.fusion import terrain_share
from aktes_xr.retrieval.flags import solar_incidence
from aktes_xr.retrieval.surroundings import describe_surroundings, read_kelvin
from aktes_xr.retrieval.tiles import DATED, MASKS, SCALARS, STATIC, TILE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from aktes_xr.compilation import Float32Array


TEACHER_ALONE: Final = 0
BOTH: Final = 1
STUDENT_ALONE: Final = 2
"""Which networks a pixel needs."""
_NONE: Final = -1
_FILL: Final = int(QualityFlag.FILL)
_COMPLEXITY: Final = STATIC.index("terrain_complexity")
_FIRST_PRIOR: Final = STATIC.index("emissivity_prior_B10")
_N_PRIORS: Final = STATIC.index("emissivity_prior_uncertainty") + 1 - _FIRST_PRIOR
# The sky is a feature of the student's alone, but every network's uncertainty depends on it.
_STATIC_ROWS: Final = (
    (SURFACE_PRESSURE, STATIC.index("surface_pressure")),
    (SKY_VIEW_FACTOR, STATIC.index("sky_view_factor")),
    *((PRIOR + part, _FIRST_PRIOR + part) for part in range(_N_PRIORS)),
)
_TERRAIN_ROWS: Final = (
    (RELIEF, STATIC.index("relief")),
    (ELEVATION_DIFFERENCE, STATIC.index("elevation_difference")),
)
_NORTH: Final = STATIC.index("normal_north")
_EAST: Final = STATIC.index("normal_east")
_WATER_MASK: Final = MASKS.index("water")
_FIRST_DATED: Final = SCALARS.index(DATED[0])
# The first of `DATED` are quantities in the same order.
_DATED_PRESSURE: Final = DATED.index("surface_pressure")
_VIEW: Final = SCALARS.index("view_zenith")
_SUN_ZENITH: Final = SCALARS.index("sun_zenith")
_HORIZON_DEG: Final = 90.0


class Tile(NamedTuple):
    """Pixels on their way through the networks. Values behind the last pixel are old ones.

    Attributes
    ----------
    pixels : ndarray (TILE,), int64
        Numbers of the pixels within the date, ascending.
    quantities : ndarray (57, TILE), float32
        In the order and units of `aktes_xr.models.features.QUANTITIES`.
    features : ndarray (62, TILE), float32
        Raw features.
    excess : ndarray (TILE,), float32
        How far a standardised feature lies outside a network's domain; 0 for inside.
    share : ndarray (TILE,), float32
        Share of the student by terrain.
    weight : ndarray (TILE,), float32
        Weight of the student.
    """

    pixels: NDArray[np.int64]
    quantities: Float32Array
    features: Float32Array
    excess: Float32Array
    share: Float32Array
    weight: Float32Array


class Gathering(NamedTuple):
    """The beginning of one tile for each kind of networks, and the row that is being handed out.

    It must not be shared between threads.

    Attributes
    ----------
    pixels, share : ndarray (kind, TILE), int64 and float32
        Those of the tiles.
    quantities : ndarray (kind, 56, TILE), float32
        Those of the tiles.
    held : ndarray (kind,), int64
        How many pixels each tile holds.
    row : ndarray (1,), int64
        The row; -1 for none.
    needed : ndarray (x,), int64
        Kind of networks that each pixel of the row needs; -1 for fill.
    row_share : ndarray (x,), float32
        Share of the student by terrain at each pixel of the row.
    start : ndarray (kind,), int64
        Column from which each kind goes on.
    """

    pixels: NDArray[np.int64]
    share: Float32Array
    quantities: Float32Array
    held: NDArray[np.int64]
    row: NDArray[np.int64]
    needed: NDArray[np.int64]
    row_share: Float32Array
    start: NDArray[np.int64]


def new_gathering(columns: int, kinds: int) -> tuple[Gathering, list[Tile]]:
    """Allocate one tile for each kind of networks.

    The tiles have in common what only a full tile needs.

    Parameters
    ----------
    columns : int
        Pixels of a row.
    kinds : int
        Number of kinds.

    Returns
    -------
    gathering : Gathering
        The beginnings of the tiles.
    tiles : list of Tile
        One for each kind. They share their memory with ``gathering``.
    """
    gathering = Gathering(
        np.zeros((kinds, TILE), np.int64),
        np.full((kinds, TILE), 0.5, np.float32),
        np.zeros((kinds, N_QUANTITIES, TILE), np.float32),
        np.zeros(kinds, np.int64),
        np.full(1, -1, np.int64),
        np.zeros(columns, np.int64),
        np.zeros(columns, np.float32),
        np.zeros(kinds, np.int64),
    )
    features = np.zeros((len(STUDENT_FEATURES), TILE), np.float32)
    excess, weight = np.zeros(TILE, np.float32), np.full(TILE, 0.5, np.float32)
    parts = zip(gathering.pixels, gathering.quantities, gathering.share, strict=True)
    return gathering, [
        Tile(pixels, quantities, features, excess, share, weight)
        for pixels, quantities, share in parts
    ]


class Limits(NamedTuple):
    """What decides between teacher and student.

    Attributes
    ----------
    start_k, full_k : float32, K
        Terrain complexity at which the student's share starts to rise, and at which it is 1.
    floor : float32, 1
        Least share of the student on known terrain.
    student : int
        0 without a student, 1 where terrain decides, 2 where the student runs alone wherever there
        is terrain.
    """

    start_k: np.float32
    full_k: np.float32
    floor: np.float32
    student: int


@kernel()
def gather(chunk, tables, date, row, quality, limits, around, gathering):
    """Go on gathering a date's pixels until a tile is full.

    Fill needs no network. Where the share by terrain is 0, the teacher runs alone. Where it is 1,
    the student does.

    Parameters
    ----------
    chunk : Chunk
        The chunk's arrays.
    tables : Calibration
        The sensor's calibration.
    date : int
        Number of the date.
    row : int
        The row to go on from.
    quality : ndarray (pixel,), float32
        The date's quality plane.
    limits : Limits
        What separates teacher from student.
    around : Neighbourhood
        Sums of the surroundings, changed in place.
    gathering : Gathering
        The tiles, filled in place.

    Returns
    -------
    row : int
        The row to go on from.
    kind : int
        Which kind's tile is full. It is -1 at the end of the date, where each kind may have some
        pixels left.
    """
    while row < chunk.rows:
        # A row may fill several tiles. It is divided and described when it is first met, and the
        # calls after that go on where its kinds stopped.
        if gathering.row[0] != row:
            gathering.row[0] = row
            gathering.start[:] = 0
            if _divide(chunk, row, quality, limits, gathering):
                describe_surroundings(chunk, tables, date, row, around)
        for kind in range(gathering.held.size):
            if _hand_out(chunk, row, kind, around, gathering):
                return row, kind
        row += 1
    gathering.row[0] = -1
    return row, _NONE


@kernel()
def _divide(chunk, row, quality, limits, gathering):
    """Write which networks each pixel of a row needs; return whether any needs one."""
    place = chunk.static_place[_COMPLEXITY]
    flat = limits.student == 0 or place < 0
    first, some = row * chunk.columns, False
    for column in range(chunk.columns):
        share = np.float32(0.0) if flat else _share(chunk.static[place, first + column], limits)
        needed = BOTH
        if share == 0.0:
            needed = TEACHER_ALONE
        elif share == 1.0:
            needed = STUDENT_ALONE
        # Fill is the only flag of its pixel.
        measured = quality[first + column] != _FILL
        some |= measured
        gathering.needed[column] = needed if measured else _NONE
        gathering.row_share[column] = share
    return some


@kernel()
def _hand_out(chunk, row, kind, around, gathering):
    """Put a row's pixels of one kind into its tile; return whether that is full."""
    pixels, share = gathering.pixels[kind], gathering.share[kind]
    before = gathering.held[kind]
    count, column = before, gathering.start[kind]
    first = row * chunk.columns
    while column < chunk.columns and count < pixels.size:
        # Written at every pixel, kept only where `count` goes on: no branch that is hard to
        # predict.
        pixels[count] = first + column
        share[count] = gathering.row_share[column]
        count += gathering.needed[column] == kind
        column += 1
    gathering.start[kind] = column
    gathering.held[kind] = count
    if count > before:
        described = around.sums.described
        for number in range(N_CONTEXT):
            target = gathering.quantities[kind, SURROUNDINGS + number, before:count]
            take(described[number], pixels[before:count], first, target)
    return count == pixels.size


@kernel()
def _share(complexity_k, limits):
    if limits.student > 1 and complexity_k == complexity_k:
        return np.float32(1.0)
    return terrain_share(complexity_k, limits.start_k, limits.full_k, limits.floor)


@kernel()
def describe(chunk, tables, date, count, terrain, tile):
    """Write the quantities of a tile's pixels that are not written yet.

    Parameters
    ----------
    chunk : Chunk
        The chunk's arrays.
    tables : Calibration
        The sensor's calibration.
    date : int
        Number of the date.
    count : int
        Number of the tile's pixels that are in use.
    terrain : bool
        Write the student's terrain quantities too.
    tile : Tile
        ``quantities`` and ``excess`` are written in place.
    """
    pixels = tile.pixels[:count]
    quantities = tile.quantities
    tile.excess[:] = np.float32(0.0)
    _brightness(chunk, tables, date, pixels, quantities)
    quantities[VIEW_ZENITH, :] = chunk.scalars[date, _VIEW]
    for name in range(_DATED_PRESSURE):
        place = chunk.dated_place[name]
        row = quantities[WATER_VAPOR + name]
        if place < 0:
            row[:] = chunk.scalars[date, _FIRST_DATED + name]
        else:
            take(chunk.dated[date, place], pixels, 0, row)
    for row, name in _STATIC_ROWS:
        _static(chunk, name, pixels, quantities[row])
    _given_pressure(chunk, date, pixels, quantities[SURFACE_PRESSURE])
    _water_prior(chunk, tables, date, pixels, quantities[PRIOR : PRIOR + _N_PRIORS])
    if terrain:
        for row, name in _TERRAIN_ROWS:
            _static(chunk, name, pixels, quantities[row])
        _sine_of_slope(chunk, pixels, quantities[SINE_OF_SLOPE])
        _insolation(chunk, date, pixels, quantities[SOLAR_INCIDENCE])


@kernel()
def _given_pressure(chunk, date, pixels, row):
    """Write surface pressure where the date has its own, over that from elevation."""
    place = chunk.dated_place[_DATED_PRESSURE]
    if place < 0:
        given = chunk.scalars[date, _FIRST_DATED + _DATED_PRESSURE]
        if given == given:
            row[:] = given
        return
    field = chunk.dated[date, place]
    for number in range(pixels.size):
        # NaN does not equal itself: what the date does not know stays as elevation gave it.
        given = field[pixels[number]]
        row[number] = given if given == given else row[number]


@kernel()
def _water_prior(chunk, tables, date, pixels, rows):
    """Write water's emissivities and their uncertainty where the mask says so and none is given."""
    place = chunk.mask_place[_WATER_MASK]
    if place < 0:
        return
    mask = chunk.masks[date, place]
    for number in range(pixels.size):
        if mask[pixels[number]]:
            given = True
            for part in range(_N_PRIORS):
                given &= rows[part, number] == rows[part, number]
            if not given:
                rows[:, number] = tables.water


@kernel()
def _static(chunk, name, pixels, row):
    place = chunk.static_place[name]
    if place < 0:
        row[:] = np.float32(np.nan)
    else:
        take(chunk.static[place], pixels, 0, row)


@kernel()
def _sine_of_slope(chunk, pixels, row):
    """Write the length of the unit normal's horizontal part."""
    if chunk.static_place[_NORTH] < 0:
        row[:] = np.float32(np.nan)
        return
    north, east = chunk.static[chunk.static_place[_NORTH]], chunk.static[chunk.static_place[_EAST]]
    for place in range(pixels.size):
        pixel = pixels[place]
        row[place] = np.sqrt(north[pixel] * north[pixel] + east[pixel] * east[pixel])


@kernel()
def _brightness(chunk, tables, date, pixels, quantities):
    # Row by row: between the numbers with and without the halo the difference is the same along a
    # row.
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
def _insolation(chunk, date, pixels, row):
    """Write the cosine of the sun's local angle: 0 at night and in the hill's own shade."""
    if chunk.scalars[date, _SUN_ZENITH] >= _HORIZON_DEG:
        row[:] = np.float32(0.0)
        return
    if chunk.static_place[_NORTH] < 0:
        row[:] = np.float32(np.nan)
        return
    # All pixels between the first and the last, needed or not: one run over slices is vectorised.
    first, last = pixels[0], pixels[-1]
    incidence = np.empty(last + 1 - first, np.float32)
    solar_incidence(chunk, date, slice(first, last + 1), incidence)
    for place in range(incidence.size):
        incidence[place] = np.float32(0.0) if incidence[place] < 0.0 else incidence[place]
    take(incidence, pixels, first, row)


@kernel()
def _rest_of_row(chunk, pixels, start):
    """Return the row of a listed pixel and where the list leaves it."""
    row = pixels[start] // chunk.columns
    end = (row + 1) * chunk.columns
    stop = start + np.searchsorted(pixels[start:], end)
    return row, stop


@kernel()
def take(source, pixels, base, target):
    """Copy the values of some pixels.

    Parameters
    ----------
    source : ndarray (m,)
        Values of pixels that lie one behind the other.
    pixels : ndarray (n,), int64
        Numbers of the pixels to copy, ascending; at least one.
    base : int
        Number of the source's first pixel.
    target : ndarray (n,)
        Written in place.
    """
    # Numbers ascend, so this holds only for pixels side by side. Their copy is one run of memory.
    if pixels[-1] - pixels[0] == pixels.size - 1:
        first = pixels[0] - base
        for place in range(pixels.size):
            target[place] = source[first + place]
    else:
        for place in range(pixels.size):
            target[place] = source[pixels[place] - base]


@kernel()
def put(source, pixels, target):
    """Copy values to where some pixels are.

    Parameters
    ----------
    source : ndarray (n,)
        One value for each pixel.
    pixels : ndarray (n,), int64
        Numbers of the pixels, ascending; at least one.
    target : ndarray (m,)
        Values of all pixels, written in place.
    """
    if pixels[-1] - pixels[0] == pixels.size - 1:
        first = pixels[0]
        for place in range(pixels.size):
            target[first + place] = source[place]
    else:
        for place in range(pixels.size):
            target[pixels[place]] = source[place]
