"""Measured relief, its continuation, and relief that rivers have cut."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from aktes_xr.errors import InputError
from aktes_xr.simulate import demo_elevation
from aktes_xr.simulate.erosion import eroded_relief
from aktes_xr.simulate.measured import jacksboro, san_gabriel
from aktes_xr.tables.relief import main as build

REFERENCE = Path(
    os.environ.get("AKTES_REFERENCE_DATA", Path(__file__).parents[2] / "shared" / "data")
)


def slopes(height: np.ndarray) -> np.ndarray:
    down, right = np.gradient(height, 90.0)
    return np.degrees(np.arctan(np.hypot(down, right)))


def test_the_measured_relief_is_divided_without_overlap():
    train, test = san_gabriel("train"), san_gabriel("test")
    assert san_gabriel("validation") is None
    for part in (train, test):
        assert min(part.shape) >= 120
        assert part.min() > 300
        assert part.max() < 2300
        # As published for these mountains, slopes are about 20 degrees in the middle.
        assert 15 < np.median(slopes(part)) < 25
    assert train.shape[1] + test.shape[1] < 399


def test_rivers_leave_slopes_like_the_measured_ones():
    made = eroded_relief(
        (200, 200), np.random.default_rng(4), cell_size_m=90.0, relief_m=1500.0, plains=False
    )
    measured = np.percentile(slopes(san_gabriel("train")), (50, 95))
    found = np.percentile(slopes(made), (50, 95))
    np.testing.assert_allclose(found, measured, rtol=0.5)
    again = eroded_relief(
        (200, 200), np.random.default_rng(4), cell_size_m=90.0, relief_m=1500.0, plains=False
    )
    np.testing.assert_array_equal(made, again)


def test_valleys_drain():
    """Hardly any node of the dissected land is lower than all its neighbours."""
    made = eroded_relief(
        (150, 150), np.random.default_rng(5), cell_size_m=90.0, relief_m=1500.0, plains=False
    )
    inner = made[1:-1, 1:-1]
    around = [
        made[1 + dy : 149 + dy, 1 + dx : 149 + dx]
        for dy in (-1, 0, 1)
        for dx in (-1, 0, 1)
        if dy or dx
    ]
    assert (inner < np.min(around, axis=0)).mean() < 0.01


def test_relief_beyond_the_jacksboro_fault_is_no_mirror_image():
    elevation = demo_elevation("jacksboro", (460, 520)).to_numpy()
    middle = (460 - 1) / 2
    # The known part is 344 rows of 92 m: an edge lies about 175 rows from the middle.
    for edge in range(168, 184):
        row = round(middle - edge)
        outside, inside = elevation[row - 40 : row][::-1], elevation[row + 1 : row + 41]
        assert np.abs(outside - inside).mean() > 5.0
    assert slopes(elevation[:40]).mean() > 1.0


def test_relief_goes_on_as_rugged_as_it_was_measured():
    steep = slopes(demo_elevation("jacksboro", (460, 520)).to_numpy())
    # The measured part ends 181 rows and 171 columns from the middle.
    top, bottom, left, right = 230 - 181, 230 + 181, 260 - 171, 260 + 171
    rows, columns = slice(top + 10, bottom - 10), slice(left + 10, right - 10)
    beside = {
        "north": (steep[top + 4 : top + 40, columns], steep[top - 40 : top - 4, columns]),
        "south": (
            steep[bottom - 40 : bottom - 4, columns],
            steep[bottom + 4 : bottom + 40, columns],
        ),
        "west": (steep[rows, left + 4 : left + 50], steep[rows, left - 50 : left - 4]),
        "east": (steep[rows, right - 50 : right - 4], steep[rows, right + 4 : right + 50]),
    }
    for side, (measured, continued) in beside.items():
        assert 0.75 < continued.mean() / measured.mean() < 1.33, side


def test_a_granule_must_touch_what_was_measured():
    with pytest.raises(InputError, match="does not touch"):
        jacksboro(np.linspace(1e6, 9e5, 10), np.linspace(1e5, 2e5, 10))


def test_the_build_command_reproduces_what_is_shipped(tmp_path):
    source = REFERENCE / "dem" / "srtm_bigtujunga30m_utm11.tif"
    if not source.exists():
        pytest.skip("the source is not at hand")
    assert build([str(source), "--out", str(tmp_path / "relief.npz")]) == 0
    shipped = Path(__file__).parents[1] / "aktes_xr" / "data" / "relief_san_gabriel.npz"
    with np.load(tmp_path / "relief.npz") as made, np.load(shipped) as kept:
        assert set(made.files) == set(kept.files)
        np.testing.assert_array_equal(made["elevation"], kept["elevation"])
