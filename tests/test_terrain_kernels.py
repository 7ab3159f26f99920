from __future__ import annotations

import math

import numpy as np
import pytest

from aktes_xr.errors import InputError, TerrainError
from aktes_xr.terrain import indices_array
from aktes_xr.terrain.block import (
    FLAGS,
    INDICES,
    TerrainSettings,
    block_flags,
    local_indices_array,
    slope_aspect_array,
)
from aktes_xr.terrain.plane import HALF_PI, arctangent, arctangent_unit, bearing

CELL = (90.0, 90.0)


def plane(
    slope: float, aspect: float, cell: tuple[float, float], shape: tuple[int, int]
) -> np.ndarray:
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    x, y = columns * cell[1], -rows * cell[0]
    tilt, azimuth = math.tan(math.radians(slope)), math.radians(aspect)
    return -tilt * (x * math.sin(azimuth) + y * math.cos(azimuth))


def random_dem(seed: int, shape: tuple[int, int], holes: float = 0.02) -> np.ndarray:
    rng = np.random.default_rng(seed)
    dem = np.cumsum(np.cumsum(rng.normal(size=shape), 0), 1) + 40.0 * rng.normal(size=shape)
    dem[rng.random(shape) < holes] = np.nan
    return dem.astype(np.float32)


def twin(dem: np.ndarray, cell: tuple[float, float]) -> dict[str, np.ndarray]:
    """The formulas as they are printed, on whole shifted arrays; inner pixels only."""
    z = dem.astype(np.float64)
    dy, dx = cell

    def at(field: np.ndarray, row: int, column: int) -> np.ndarray:
        out = np.full_like(field, np.nan)
        rows, columns = field.shape
        target = np.s_[
            max(0, -row) : rows - max(0, row), max(0, -column) : columns - max(0, column)
        ]
        source = np.s_[max(0, row) : rows + min(0, row), max(0, column) : columns + min(0, column)]
        out[target] = field[source]
        return out

    ring = [(-1, -1), (-1, 0), (-1, 1), (0, -1), (0, 1), (1, -1), (1, 0), (1, 1)]
    a, b, c, d, f, g, h, i = (at(z, *place) for place in ring)
    hole = 0.0 * z
    east = ((c - a) + 2.0 * (f - d) + (i - g)) * (0.125 / dx) + hole
    north = ((a - g) + 2.0 * (b - h) + (c - i)) * (0.125 / dy) + hole
    steps = [at(z, *place) - z for place in ring]
    length = 1.0 / np.sqrt(1.0 + east * east + north * north)
    normals = [-east * length, -north * length, length]
    nine = [*ring[:4], (0, 0), *ring[4:]]
    sums = [pairwise([at(n, *place) for place in nine]) for n in normals]
    resultant = np.sqrt(sums[0] * sums[0] + sums[1] * sums[1] + sums[2] * sums[2]) / 9.0
    east, north = (v.astype(np.float32).astype(np.float64) for v in (east, north))
    top, bottom = np.max([*steps, 0.0 * z], axis=0), np.min([*steps, 0.0 * z], axis=0)
    return {
        "slope": np.rad2deg(arc(np.sqrt(east * east + north * north))),
        "aspect": clockwise(-east, -north),
        "tri_riley": np.sqrt(pairwise([step * step for step in steps])),
        "tri_wilson": pairwise([np.abs(step) for step in steps]) * 0.125,
        "tpi": -pairwise(steps) * 0.125,
        "roughness": top - bottom,
        "vrm": 1.0 - np.minimum(resultant, 1.0),
    }


def pairwise(terms: list[np.ndarray]) -> np.ndarray:
    """Sum neighbours two by two, then the sums: the order of additions is part of the result."""
    a, b, c, d, e, f, g, h = terms[:8]
    total = ((a + b) + (c + d)) + ((e + f) + (g + h))
    return total + terms[8] if len(terms) == 9 else total


def arc(tangent: np.ndarray) -> np.ndarray:
    """The kernels' polynomial, on arrays."""
    with np.errstate(divide="ignore"):
        angle = arctangent_unit.py_func(np.where(tangent > 1.0, 1.0 / tangent, tangent))
    return np.where(tangent > 1.0, HALF_PI - angle, angle)


def clockwise(east: np.ndarray, north: np.ndarray) -> np.ndarray:
    across, along = np.abs(east), np.abs(north)
    larger, smaller = np.maximum(across, along), np.minimum(across, along)
    angle = arctangent_unit.py_func(smaller / np.where(larger > 0.0, larger, 1.0))
    angle = np.where(across > along, HALF_PI - angle, angle)
    angle = np.where(north < 0.0, np.pi - angle, angle)
    angle = np.rad2deg(np.where(east < 0.0, 2.0 * np.pi - angle, angle))
    return np.where(angle >= 359.99999, 0.0, angle)


def test_published_five_by_five() -> None:
    rows = "10 12 15 11 9/14 20 22 18 10/13 25 30 24 12/11 19 23 21 14/8 10 13 12 11"
    dem = np.array([row.split() for row in rows.split("/")], float)
    got = {name: float(v[2, 2]) for name, v in indices_array(dem, CELL).items()}
    assert got["tri_riley"] == pytest.approx(24.899799, abs=5e-6)
    assert got["tri_wilson"] == 8.5
    assert got["tpi"] == 8.5
    assert got["roughness"] == 12.0
    assert got["slope"] == pytest.approx(0.355877, abs=1e-6)
    assert got["aspect"] == pytest.approx(26.56505, abs=1e-5)


@pytest.mark.parametrize("slope", [0.0, 2.0, 30.0, 60.0])
@pytest.mark.parametrize("aspect", [0.0, 90.0, 213.0])
@pytest.mark.parametrize("cell", [(90.0, 90.0), (89.89, 89.90), (60.0, 100.0), (-30.0, 30.0)])
def test_plane_is_exact_up_to_its_last_pixel(
    slope: float, aspect: float, cell: tuple[float, float]
) -> None:
    got = indices_array(plane(slope, aspect, cell, (25, 31)), cell, radius_m=1500.0, azimuths=32)
    np.testing.assert_allclose(got["slope"], slope, atol=1e-5)
    if slope:
        off = (got["aspect"] - aspect + 180.0) % 360.0 - 180.0
        np.testing.assert_allclose(off, 0.0, atol=1e-4)
    np.testing.assert_allclose(got["vrm"], 0.0, atol=1e-7)
    np.testing.assert_allclose(got["tpi"], 0.0, atol=1e-6)
    sky_view = (1.0 + math.cos(math.radians(slope))) / 2.0
    np.testing.assert_allclose(got["sky_view_factor"], sky_view, atol=1e-6)


def test_plane_along_x_has_the_textbook_ruggedness() -> None:
    tilt, size = 0.3, 90.0
    dem = plane(math.degrees(math.atan(tilt)), 270.0, CELL, (9, 9))
    got = {name: float(v[4, 4]) for name, v in indices_array(dem, CELL, window_m=450.0).items()}
    assert got["tri_riley"] == pytest.approx(math.sqrt(6.0) * tilt * size, rel=1e-6)
    assert got["tri_wilson"] == pytest.approx(0.75 * tilt * size, rel=1e-6)
    assert got["roughness"] == pytest.approx(2.0 * tilt * size, rel=1e-6)
    assert got["relief"] == pytest.approx(4.0 * tilt * size, rel=1e-6)
    assert got["surface_incision"] == pytest.approx(2.0 * tilt * size, rel=1e-6)
    assert got["aspect"] == pytest.approx(270.0)


def test_spike() -> None:
    dem = np.zeros((9, 9))
    dem[4, 4] = 7.0
    got = {name: float(v[4, 4]) for name, v in indices_array(dem, CELL).items()}
    assert got["tri_riley"] == pytest.approx(math.sqrt(8.0) * 7.0, rel=1e-6)
    assert got["tpi"] == 7.0
    assert got["slope"] == 0.0


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("cell", [(90.0, 90.0), (89.89, 89.90)])
def test_twin_agrees(seed: int, cell: tuple[float, float]) -> None:
    dem = random_dem(seed, (40, 37))
    got, want = local_indices_array(dem, cell), twin(dem, cell)
    inner = np.s_[2:-2, 2:-2]
    for name, field in want.items():
        np.testing.assert_array_equal(
            got[name][inner], field[inner].astype(np.float32), err_msg=name
        )


@pytest.mark.parametrize("seed", range(4))
def test_windows_agree_with_slices(seed: int) -> None:
    dem = random_dem(seed, (31, 26), holes=0.1)
    got = indices_array(dem, CELL, window_m=630.0, radius_m=500.0)
    for row, column in np.ndindex(dem.shape):
        part = dem[max(0, row - 3) : row + 4, max(0, column - 3) : column + 4].astype(float)
        relief, incision = got["relief"][row, column], got["surface_incision"][row, column]
        if np.isnan(dem[row, column]):
            assert np.isnan(relief)
            assert np.isnan(incision)
        else:
            assert relief == np.float32(np.nanmax(part) - np.nanmin(part))
            assert incision == pytest.approx(np.nanmean(part) - np.nanmin(part), rel=1e-6)


def test_holes_spread_to_their_neighbours_and_no_further() -> None:
    dem = random_dem(1, (20, 20), holes=0.0)
    whole = indices_array(dem, CELL, radius_m=400.0)
    dem[10, 9] = np.nan
    got = indices_array(dem, CELL, radius_m=400.0)
    near = np.zeros(dem.shape, bool)
    near[9:12, 8:11] = True
    for name in INDICES:
        unknown = np.isnan(got[name])
        if name in ("relief", "surface_incision"):
            assert np.argwhere(unknown).tolist() == [[10, 9]]
        elif name == "vrm":
            assert unknown[near].all()
            assert unknown.sum() == 25
        else:
            np.testing.assert_array_equal(unknown, near, err_msg=name)
    assert np.array_equal(whole["slope"][~near], got["slope"][~near])


def test_flags() -> None:
    dem = np.zeros((40, 40), np.float32)
    dem[20, 20] = np.nan
    settings = TerrainSettings(CELL, radius_m=450.0, window_m=270.0)
    flags = block_flags(dem, settings)
    assert flags[20, 20] == sum(FLAGS.values())
    assert flags[0, 0] == sum(FLAGS.values()) - FLAGS["no_elevation"]
    assert flags[20, 21] == flags[0, 0]
    assert flags[20, 25] == FLAGS["horizon_incomplete"]
    assert flags[20, 26] == 0
    assert flags[4, 10] == FLAGS["horizon_incomplete"]
    assert flags[5, 10] == 0


def test_slope_and_aspect_alone_have_the_same_bits() -> None:
    dem = random_dem(3, (30, 33))
    together, alone = indices_array(dem, CELL, radius_m=300.0), slope_aspect_array(dem, CELL)
    assert np.array_equal(together["slope"], alone[0], equal_nan=True)
    assert np.array_equal(together["aspect"], alone[1], equal_nan=True)


def test_arctangent_against_the_library() -> None:
    x = np.concatenate([np.linspace(0.0, 3.0, 2001), np.geomspace(3.0, 1e9, 200)])
    got = np.array([arctangent(float(v)) for v in x])
    np.testing.assert_allclose(got, np.arctan(x), atol=1e-10)
    assert arctangent(math.inf) == math.pi / 2.0
    for angle in np.deg2rad(np.arange(0.5, 360.0, 7.0)):
        assert bearing(math.sin(angle), math.cos(angle)) == pytest.approx(angle, abs=1e-9)


def test_input_is_not_changed() -> None:
    dem = random_dem(2, (20, 20))
    before = dem.copy()
    indices_array(dem, CELL)
    assert np.array_equal(before, dem, equal_nan=True)


@pytest.mark.parametrize(
    ("change", "error", "text"),
    [
        ({"azimuths": 7}, InputError, "even number"),
        ({"azimuths": 4}, InputError, "at least 8"),
        ({"radius_m": 0.0}, InputError, "radius_m"),
        ({"window_m": -1.0}, InputError, "window_m"),
        ({"cell_size_m": (90.0, 0.0)}, TerrainError, "cell size"),
        ({"cell_size_m": (90.0, 30.0)}, TerrainError, "factor of two"),
    ],
)
def test_settings_out_of_range(change: dict, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        TerrainSettings(**({"cell_size_m": CELL} | change))


def test_too_small() -> None:
    with pytest.raises(TerrainError, match="at least 3"):
        indices_array(np.zeros((2, 9)), CELL)
