from __future__ import annotations

import numpy as np
import pytest

from aktes_xr.errors import ShapeError
from aktes_xr.models.context import (
    CONTEXT,
    FIXED_POINT,
    N_CONTEXT,
    REACH,
    WINDOWS,
    describe_image,
)


def row(name: str) -> int:
    return CONTEXT.index(name)


def slow(image: np.ndarray, counted: np.ndarray) -> np.ndarray:
    """Describe pixel by pixel, as the definition reads."""
    fixed = np.rint(image.astype(np.float64) * FIXED_POINT) / FIXED_POINT
    usable = counted & np.isfinite(image).all(axis=-1)
    numbers = [fixed[..., 3], *(fixed[..., band] - fixed[..., 3] for band in (0, 1, 2, 4))]
    out = np.full((N_CONTEXT, *usable.shape), np.nan)
    for y, x in np.ndindex(usable.shape):
        values = []
        for side in WINDOWS:
            half = side // 2
            window = np.s_[max(y - half, 0) : y + half + 1, max(x - half, 0) : x + half + 1]
            inside = usable[window]
            parts = [number[window][inside] for number in numbers]
            if inside.any():
                values += [
                    part.mean() - number[y, x] for part, number in zip(parts, numbers, strict=True)
                ]
                values += [part.std() for part in parts]
            else:
                values += [np.nan] * 10
            values.append(inside.sum() / side**2)
        out[:, y, x] = values
    return out


@pytest.fixture
def image() -> np.ndarray:
    rng = np.random.default_rng(5)
    level = 290 + 10 * rng.standard_normal((23, 31, 1))
    return (level + rng.standard_normal((23, 31, 5))).astype(np.float32)


def test_kernel_and_definition_agree(image: np.ndarray) -> None:
    counted = np.random.default_rng(6).random(image.shape[:2]) > 0.2
    image[3:6, 10:20] = np.nan
    found, expected = describe_image(image, counted), slow(image, counted)
    own = counted & np.isfinite(image).all(axis=-1)
    np.testing.assert_allclose(found[:, own], expected[:, own], rtol=0, atol=2e-5)


def test_a_cut_changes_no_bit(image: np.ndarray) -> None:
    whole = describe_image(image)
    piece = describe_image(image[4:20, 6:28])
    inner = np.s_[:, REACH:-REACH, REACH:-REACH]
    np.testing.assert_array_equal(whole[:, 4:20, 6:28][inner], piece[inner])


def test_even_ground_has_no_spread() -> None:
    found = describe_image(np.full((12, 12, 5), 300.0, np.float32))
    for side in WINDOWS:
        assert not found[row(f"mean_excess_B13_{side}")].any()
        assert not found[row(f"spread_B13_{side}")].any()
    assert found[row("surroundings_known_11"), 6, 6] == 1.0
    assert found[row("surroundings_known_11"), 0, 0] == pytest.approx(36 / 121)


def test_an_edge_shows_in_each_window() -> None:
    image = np.full((15, 16, 5), 300.0, np.float32)
    image[:, 8:] += 10.0
    found = describe_image(image)[:, 7]
    # In the column beside the edge a third, two fifths and five elevenths of the pixels are warm.
    for side, share in zip(WINDOWS, (1 / 3, 2 / 5, 5 / 11), strict=True):
        assert found[row(f"mean_excess_B13_{side}"), 7] == pytest.approx(10 * share, abs=1e-4)
        spread = 10 * np.sqrt(share * (1 - share))
        assert found[row(f"spread_B13_{side}"), 7] == pytest.approx(spread, abs=1e-4)
        assert abs(found[row(f"mean_excess_B10_B13_{side}"), 7]) < 1e-6


def test_cloud_beside_a_pixel_leaves_no_trace_but_the_share(image: np.ndarray) -> None:
    counted = np.ones(image.shape[:2], bool)
    counted[:, 15:] = False
    cold = image.copy()
    cold[:, 15:] -= 40.0
    first, second = describe_image(image, counted), describe_image(cold, counted)
    np.testing.assert_array_equal(first[:, :, :15], second[:, :, :15])
    assert (second[row("surroundings_known_11"), :, 10:15] < 1).all()


def test_hot_ground_does_not_overflow() -> None:
    image = np.full((13, 13, 5), 400.0, np.float32)
    image[::2] = 120.0
    found = describe_image(image)
    assert found[row("spread_B13_11"), 6, 6] == pytest.approx(140.0, rel=0.01)


def test_a_table_is_refused() -> None:
    with pytest.raises(ShapeError, match=r"expected \(y, x, 5\)"):
        describe_image(np.zeros((4, 5), np.float32))
