from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from aktes_xr.terrain import indices_array
from aktes_xr.terrain.arctangent import arctangent
from aktes_xr.terrain.block import sky_view_array
from aktes_xr.terrain.horizon import NEAR_STEPS, direction

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


def twin(dem: np.ndarray, cell: tuple[float, float], azimuths: int, radius_m: float) -> np.ndarray:
    """Every line of sight of every pixel, one after the other."""
    z = dem.astype(np.float64)
    rows, columns = z.shape
    total = np.zeros((2, *z.shape), np.float32)
    carry = np.zeros(z.shape, np.float32)

    def height(row: int, column: int) -> float:
        if 0 <= row < rows:
            return z[row, column]
        edge, inner = (0, 1) if row < 0 else (rows - 1, rows - 2)
        return 2.0 * z[edge, column] - z[inner, column]

    def gradient(row: int, column: int) -> tuple[float, float]:
        up, down = max(row - 1, 0), min(row + 1, rows - 1)
        left, right = max(column - 1, 0), min(column + 1, columns - 1)
        east = (z[row, right] - z[row, left]) * (0.5 / cell[1] if right - left == 2 else 1.0)
        east = east if right - left == 2 else east / cell[1]
        scale = (0.5 if down - up == 2 else 1.0) / cell[0]
        return east, (z[up, column] - z[down, column]) * scale

    for number in range(azimuths):
        # Each direction is followed by its opposite.
        azimuth = 2.0 * math.pi * (number // 2) / azimuths
        ahead = direction(azimuth, cell, radius_m)
        look = direction(azimuth + math.pi, cell, radius_m) if number % 2 else ahead
        look = look._replace(shear=ahead.shear, step_m=ahead.step_m, transposed=ahead.transposed)
        for row, column in np.ndindex(z.shape):
            here = z[row, column]
            slopes = gradient(row, column)
            q = slopes[0] * look.east + slopes[1] * look.north
            m = float(far(z, (row, column), look))
            for r, c, next_row, next_column, share, per_m, factor in look.taps:
                first = (row + int(r), column + int(c))
                step = (int(next_row), int(next_column)) if share > 0.0 else (0, 0)
                second = (first[0] + step[0], first[1] + step[1])
                if not all(0 <= p[0] < rows and 0 <= p[1] < columns for p in (first, second)):
                    continue
                before = (first[0] - step[0], first[1] - step[1])
                after = (second[0] + step[0], second[1] + step[1])
                if step[1] and not (0 <= before[1] and after[1] < columns):
                    before, after = first, second
                before, after = (max(before[0], 0), before[1]), (min(after[0], rows - 1), after[1])
                a, b = z[first] - here, z[second] - here
                chord = a + share * (b - a)
                left = a + share * (z[first] - z[before])
                right = b + (1.0 - share) * (z[second] - z[after])
                lower = left if left > right else right
                rise = lower if lower < chord else chord
                slope = q + factor * (rise * per_m - q)
                m = slope if slope > m else m
            m = q if q > m else m
            cosine = 1.0 / (1.0 + m * m)
            zenith = math.pi / 2.0 - arctangent(m)
            term = (1.0 / azimuths) * (cosine - q * (zenith - m * cosine))
            added = float(total[0, row, column]) + float(carry[row, column]) + term
            total[0, row, column] = added
            carry[row, column] = added - float(total[0, row, column])
            uniform = (1.0 / azimuths) * (1.0 - m * math.sqrt(cosine))
            total[1, row, column] = float(total[1, row, column]) + uniform
    for row, column in np.ndindex(z.shape):
        east, north = gradient(row, column)
        known = float(total[0, row, column]) + float(carry[row, column])
        total[0, row, column] = known / math.sqrt(1.0 + east * east + north * north)
        if np.isnan(z[max(row - 1, 0) : row + 2, max(column - 1, 0) : column + 2]).any():
            total[:, row, column] = np.nan
    return total


def far(z: np.ndarray, place: tuple[int, int], look: object) -> np.float32:
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
            slope = (point(number, c)[0] - origin) / k
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


def test_radius_is_a_limit() -> None:
    dem = np.zeros((5, 100))
    dem[:, 70] = 1000.0
    inside, _ = sky_view_array(dem, CELL, radius_m=90.0 * 30)
    assert inside[2, 40] < 1.0
    assert inside[2, 39] == 1.0
