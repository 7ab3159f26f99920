from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from aktes_xr.terrain import indices_array
from aktes_xr.terrain.block import TerrainSettings, block_horizon, sky_view_array
from aktes_xr.terrain.direction import NEAR_STEPS, Direction, direction
from aktes_xr.terrain.plane import arctangent

CELL = (90.0, 90.0)
SIZE = 141
MIDDLE = SIZE // 2

Surface = Callable[[np.ndarray, np.ndarray], np.ndarray]


def exact(surface: Surface, x: float, y: float, radius_m: float) -> float:
    """Dozier & Frew's eq. 7b by dense sampling of the surface itself: no grid, no shortcut."""
    distance = np.concatenate([np.linspace(0.5, 1500.0, 6000), np.linspace(1501.0, radius_m, 6000)])
    step = 1e-3
    here = float(surface(np.array(x), np.array(y)))
    east = float(
        surface(np.array(x + step), np.array(y)) - surface(np.array(x - step), np.array(y))
    )
    up = float(surface(np.array(x), np.array(y + step)) - surface(np.array(x), np.array(y - step)))
    gradient = np.array([east, up]) / (2.0 * step)
    total = 0.0
    azimuths = 2.0 * math.pi * np.arange(360) / 360.0
    for azimuth in azimuths:
        look = np.array([math.sin(azimuth), math.cos(azimuth)])
        rise = surface(x + distance * look[0], y + distance * look[1]) - here
        q = float(gradient @ look)
        m = max(0.0, q, float((rise / distance).max()))
        zenith = math.pi / 2.0 - math.atan(m)
        total += math.sin(zenith) ** 2 - q * (zenith - math.sin(zenith) * math.cos(zenith))
    return total / len(azimuths) / math.sqrt(1.0 + float(gradient @ gradient))


def grid(cell: tuple[float, float] = CELL) -> tuple[np.ndarray, np.ndarray]:
    rows, columns = np.mgrid[:SIZE, :SIZE]
    return (columns - MIDDLE) * cell[1], -(rows - MIDDLE) * cell[0]


def check(surface: Surface, places: list[tuple[int, int]], within: float) -> None:
    x, y = grid()
    radius_m = 5_000.0
    got, _ = sky_view_array(surface(x, y), CELL, radius_m=radius_m)
    for down, right in places:
        place = (MIDDLE + down, MIDDLE + right)
        want = exact(surface, float(x[place]), float(y[place]), radius_m)
        assert abs(got[place] - want) < within, (place, got[place], want)


def test_flat() -> None:
    got = indices_array(np.full((30, 30), 812.25, np.float32), CELL)
    assert (got["sky_view_factor"] == 1.0).all()
    assert (got["sky_view_factor_uniform"] == 1.0).all()


@pytest.mark.parametrize("slope", [15.0, 30.0, 45.0, 60.0])
@pytest.mark.parametrize("turn", [0.0, 0.3, math.pi / 4.0, 1.1])
def test_floor_of_a_long_valley(slope: float, turn: float) -> None:
    x, y = grid()
    tilt = math.tan(math.radians(slope))
    got, uniform = sky_view_array(tilt * np.abs(x * math.cos(turn) + y * math.sin(turn)), CELL)
    assert got[MIDDLE, MIDDLE] == pytest.approx(math.cos(math.radians(slope)), abs=1e-3)
    if slope == 30.0:
        assert uniform[MIDDLE, MIDDLE] == pytest.approx(0.667, abs=5e-3)


@pytest.mark.parametrize("slope", [15.0, 30.0, 45.0, 60.0])
@pytest.mark.parametrize("rim", [3, 5, 10, 20])
def test_apex_of_a_cone_pit(slope: float, rim: int) -> None:
    x, y = grid()
    depth = np.tan(np.radians(slope)) * np.minimum(np.hypot(x, y), rim * 90.0)
    got, _ = sky_view_array(depth, CELL, radius_m=5_000.0)
    assert got[MIDDLE, MIDDLE] == pytest.approx(math.cos(math.radians(slope)) ** 2, abs=0.01)


def test_crater_of_constant_horizon() -> None:
    x, y = grid()
    distance = np.hypot(x, y)
    wall = math.tan(math.radians(25.0)) * 1800.0
    got, _ = sky_view_array(np.where(distance >= 1800.0, wall, 0.0), CELL, radius_m=5_000.0)
    assert got[MIDDLE, MIDDLE] == pytest.approx(math.cos(math.radians(25.0)) ** 2, abs=0.01)


@pytest.mark.parametrize("width", [3, 5, 10, 20])
@pytest.mark.parametrize("turn", [0.0, 0.4])
def test_valley_between_plateaus(width: int, turn: float) -> None:
    def surface(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        across = np.abs(x * math.cos(turn) + y * math.sin(turn))
        return math.tan(math.radians(30.0)) * np.minimum(across, width * 90.0)

    check(surface, [(0, 0), (0, 1), (0, width - 1)], 0.01)


@pytest.mark.parametrize("height", [300.0, 1000.0, -300.0, -1000.0])
def test_smooth_hills_and_hollows(height: float) -> None:
    def surface(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return height * np.exp(-(x * x + y * y) / (2.0 * 900.0**2))

    check(surface, [(0, 0), (0, 5), (3, 10), (-10, 20), (30, -4)], 0.002)


def excess(a: float, b: float, z: float, c: float, d: float) -> float:
    """A third of the smaller change of the second differences, if both have one sign."""
    before, here, after = (a - b) - (b - z), (b - z) - (z - c), (z - c) - (c - d)
    changes = here - before, after - here
    if not changes[0] * changes[1] > 0.0:
        return 0.0
    return min(changes, key=lambda v: (abs(v), v is changes[0])) * (1.0 / 3.0)


def edge(a: float, b: float, z: float, d: float, e: float) -> tuple[float, float]:
    """Rise and place of an edge beside the middle of five points."""
    bends = (a - b) - (b - z), (b - z) - (z - d), (z - d) - (d - e)
    if math.isnan(sum(bends)) or not bends[1] < min(bends[0], bends[2], 0.0):
        return 0.0, 0.0
    left, right = min(bends[0], 0.0), min(bends[2], 0.0)
    base, beside = max(left, right), min(left, right) - max(left, right)
    share = beside / ((bends[1] - base) + beside)
    wall, sign = (z - b, 1.0) if right < left else (z - d, -1.0)
    return share * (wall + 0.5 * base * (1.0 + share)), sign * share


def gradient(
    z: np.ndarray, cell: tuple[float, float], row: int, column: int
) -> tuple[float, float]:
    rows, columns = z.shape
    up, down = max(row - 1, 0), min(row + 1, rows - 1)
    left, right = max(column - 1, 0), min(column + 1, columns - 1)
    east = (z[row, right] - z[row, left]) * (0.5 / cell[1] if right - left == 2 else 1.0)
    east = east if right - left == 2 else east / cell[1]
    scale = (0.5 if down - up == 2 else 1.0) / cell[0]
    north = (z[up, column] - z[down, column]) * scale
    if 2 <= column < columns - 2:
        east -= excess(*z[row, column - 2 : column + 3]) * (0.5 / cell[1])
    if 2 <= row < rows - 2:
        north -= excess(*z[row - 2 : row + 3, column][::-1]) * scale
    return east, north


def slope_to(z: np.ndarray, place: tuple[int, int], q: float, tap: np.ndarray) -> float:
    """Tangent to one crossing; NaN outside."""
    rows, columns = z.shape
    row, column = place
    r, c, next_row, next_column, share, per_m, factor = tap
    here = z[row, column]
    first = (row + int(r), column + int(c))
    step = (int(next_row), int(next_column)) if share > 0.0 else (0, 0)
    second = (first[0] + step[0], first[1] + step[1])
    if not all(0 <= p[0] < rows and 0 <= p[1] < columns for p in (first, second)):
        return math.nan
    before = (first[0] - step[0], first[1] - step[1])
    after = (second[0] + step[0], second[1] + step[1])
    if step[1] and not (0 <= before[1] and after[1] < columns):
        before, after = first, second
    before, after = (max(before[0], 0), before[1]), (min(after[0], rows - 1), after[1])
    share, per_m, factor = (np.float32(v) for v in (share, per_m, factor))
    a, b = np.float32(z[first] - here), np.float32(z[second] - here)
    chord = a + share * (b - a)
    left = a + share * np.float32(z[first] - z[before])
    right = b + (1 - share) * np.float32(z[second] - z[after])
    lower = left if left > right else right
    rise = lower if lower < chord else chord
    return q + factor * (rise * per_m - q)


def tangent(z: np.ndarray, place: tuple[int, int], look: Direction, q: float) -> float:
    """Steepest of everything a pixel sees in one direction."""
    m = far(z, place, look)
    q = np.float32(q)
    slopes = [slope_to(z, place, q, tap) for tap in look.taps]
    seen = slopes[: look.reach] + slopes[look.reach + 2 :]
    heights = [0.0] + [slopes[k - 1] * k for k in range(1, look.reach + 3)]
    for k in range(2, look.reach + 1):
        rise, offset = edge(*heights[k - 2 : k + 3])
        seen.append((heights[k] + rise) / (k + offset))
    for slope in seen:
        m = slope if slope > m else m
    return float(q if q > m else m)


def twin(dem: np.ndarray, cell: tuple[float, float], azimuths: int, radius_m: float) -> np.ndarray:
    """Every line of sight of every pixel, one after the other."""
    z = dem.astype(np.float64)
    total = np.zeros((2, *z.shape), np.float32)
    carry = np.zeros(z.shape, np.float32)

    for number in range(azimuths):
        # Each direction is followed by its opposite.
        azimuth = 2.0 * math.pi * (number // 2) / azimuths
        ahead = direction(azimuth, cell, radius_m)
        look = direction(azimuth + math.pi, cell, radius_m) if number % 2 else ahead
        look = look._replace(shear=ahead.shear, step_m=ahead.step_m, transposed=ahead.transposed)
        for row, column in np.ndindex(z.shape):
            slopes = gradient(z, cell, row, column)
            q = slopes[0] * look.east + slopes[1] * look.north
            m = tangent(z, (row, column), look, q)
            q = float(np.float32(q))
            cosine = 1.0 / (1.0 + m * m)
            zenith = math.pi / 2.0 - arctangent(m)
            term = (1.0 / azimuths) * (cosine - q * (zenith - m * cosine))
            added = float(total[0, row, column]) + float(carry[row, column]) + term
            total[0, row, column] = added
            carry[row, column] = added - float(total[0, row, column])
            uniform = (1.0 / azimuths) * (1.0 - m * math.sqrt(cosine))
            total[1, row, column] = float(total[1, row, column]) + uniform
    for row, column in np.ndindex(z.shape):
        east, north = gradient(z, cell, row, column)
        known = float(total[0, row, column]) + float(carry[row, column])
        total[0, row, column] = known / math.sqrt(1.0 + east * east + north * north)
        if np.isnan(z[max(row - 1, 0) : row + 2, max(column - 1, 0) : column + 2]).any():
            total[:, row, column] = np.nan
    return total


def far(z: np.ndarray, place: tuple[int, int], look: Direction) -> np.float32:
    """Steepest of all points of the line beside a pixel, one by one."""
    grid_, (row, column) = (z.T, place[::-1]) if look.transposed else (z, place)
    rows, columns = grid_.shape

    def at(r: int, c: int) -> float:
        if 0 <= r < rows:
            return grid_[r, c]
        edge, inner = (0, 1) if r < 0 else (rows - 1, rows - 2)
        return 2.0 * grid_[edge, c] - grid_[inner, c]

    def point(number: int, c: int) -> tuple[float, float]:
        position = look.shear * c
        shift = math.floor(position + 0.5)
        offset = position - shift
        side = 0 if abs(offset) < 1e-9 else (1 if offset > 0.0 else -1)
        share = abs(offset) if side else 0.0
        r = number + shift
        if not 0 <= r < rows:
            return math.nan, math.nan
        first, second = at(r + side, c), at(r - side, c)
        along = grid_[r, c] + share * (first - grid_[r, c])
        plane = grid_[r, c] + 0.5 * share * (first - second)
        return along, along if along > plane else plane

    number = row - math.floor(look.shear * column + 0.5)
    origin = point(number, column)[1]
    best = 0.0
    for k in range(NEAR_STEPS + 1, look.steps + 1):
        c = column + k if look.forward else column - k
        if 0 <= c < columns:
            five = [
                point(number, p)[0] if 0 <= p < columns else math.nan for p in range(c - 2, c + 3)
            ]
            rise, offset = edge(*five)
            offset = round(offset * 2.0**20) / 2.0**20
            distance = k + (offset if look.forward else -offset)
            slope = (five[2] + rise - origin) / distance
            best = slope if slope > best else best
    return np.float32(best * (1.0 / look.step_m))


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("cell", [(90.0, 90.0), (89.89, 89.90)])
def test_twin_has_the_same_bits(seed: int, cell: tuple[float, float]) -> None:
    rng = np.random.default_rng(seed)
    dem = (120.0 * rng.standard_normal((26, 31))).astype(np.float32)
    dem[rng.random(dem.shape) < 0.01] = np.nan
    settings = {"azimuths": 8 + 4 * seed, "radius_m": 1750.0}
    want = twin(dem, cell, **settings)
    got = indices_array(dem, cell, **settings)
    assert np.array_equal(got["sky_view_factor"], want[0], equal_nan=True)
    assert np.array_equal(got["sky_view_factor_uniform"], want[1], equal_nan=True)


@pytest.mark.parametrize("slope", [30.0, 45.0, 60.0])
@pytest.mark.parametrize("rim", [3, 4, 5, 8])
def test_small_steep_pits_away_from_their_apex(slope: float, rim: int) -> None:
    def surface(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        distance = np.hypot(x - 31.0, y + 17.0)
        return math.tan(math.radians(slope)) * np.minimum(distance, rim * 90.0)

    # Pixels a pixel and a half and more from the edges, where the plane is the wall's.
    inner = [(-1, 2), (2, 1), (-2, -1), (1, -2)]
    places = [p for p in inner if math.hypot(*p) < rim - 1.7] + [(0, rim + 2), (-rim - 2, 3)]
    check(surface, places, 0.01)


@pytest.mark.parametrize("slope", [45.0, 60.0])
@pytest.mark.parametrize("turn", [0.0, 0.4, math.pi / 4.0])
def test_valley_between_sharp_ridges(slope: float, turn: float) -> None:
    def surface(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        across = np.abs(x * math.cos(turn) + y * math.sin(turn))
        return math.tan(math.radians(slope)) * (900.0 - np.abs(across - 900.0))

    check(surface, [(0, 0), (0, 3), (1, 6), (0, -5), (2, 5)], 0.01)


@pytest.mark.parametrize("height", [700.0, -700.0])
def test_steep_small_hills_and_hollows(height: float) -> None:
    # Slopes up to 53 degrees within seven pixels.
    def surface(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        scaled = (x * x + y * y) / (2.0 * 630.0**2)
        return 1.97 * height * np.exp(-scaled)

    check(surface, [(0, 0), (0, 4), (3, 5), (-7, 5), (10, -4)], 0.002)


def test_sharp_crest_between_pixels_keeps_its_height() -> None:
    # A roof whose ridge runs between two columns, seen from twelve pixels away.
    columns = np.arange(60.0)
    ridge = 30.37
    roof = np.broadcast_to(100.0 - 80.0 * np.abs(columns - ridge), (7, 60))
    ground = np.maximum(roof, -400.0)
    look = block_horizon(
        np.ascontiguousarray(ground), math.pi / 2.0, TerrainSettings(CELL, radius_m=5000.0)
    )
    for column in (18, 22, 24):
        want = 500.0 / ((ridge - column) * 90.0)
        assert look[3, column] == pytest.approx(want, rel=1e-5)


def test_radius_is_a_limit() -> None:
    dem = np.zeros((5, 100))
    dem[:, 70] = 1000.0
    inside, _ = sky_view_array(dem, CELL, radius_m=90.0 * 30)
    assert inside[2, 40] < 1.0
    assert inside[2, 39] == 1.0
