"""The benchmark of shifted bands: what counts as structure, and what is counted."""

from __future__ import annotations

import numpy as np
import pytest

from aktes_xr import sensor
from aktes_xr.bench import domain
from aktes_xr.bench.domain_shift import ShiftTally, has_structure
from aktes_xr.errors import InputError

NOISE_K = np.full(5, 0.3)


def measured(spread_k: float, *, side: int = 104, own: float = 0.3) -> np.ndarray:
    """Digital numbers of what varies alike in all bands, under noise that does not."""
    rng = np.random.default_rng(5)
    kelvin = 295.0 + spread_k * rng.normal(size=(side, side, 1))
    kelvin = kelvin + own * rng.normal(size=(side, side, 5))
    numbers = sensor.radiance_to_dn(sensor.brightness_temperature_to_radiance(kelvin))
    return np.moveaxis(numbers, -1, 0)


def test_structure_is_what_exceeds_the_noise() -> None:
    assert has_structure(measured(1.0), NOISE_K)
    assert not has_structure(measured(0.1), NOISE_K)
    assert not has_structure(np.zeros((5, 104, 104), np.uint16), NOISE_K)
    one_smooth = measured(1.0)
    one_smooth[2] = 1500
    assert not has_structure(one_smooth, NOISE_K)


def test_what_is_found_and_what_is_no_structure_are_counted_apart() -> None:
    tally = ShiftTally()
    for _ in range(3):
        tally.add((measured(1.0), NOISE_K), np.random.default_rng(1))
    tally.add((measured(0.0), NOISE_K), np.random.default_rng(1))
    assert (tally.scenes, tally.found, tally.alarms, tally.accused) == (3, 3, 0, 0)
    assert (tally.plain, tally.plain_found, tally.plain_alarms, tally.untold) == (1, 0, 0, 0)


def test_a_band_that_lies_apart_before_is_a_false_alarm() -> None:
    apart = measured(1.0)
    apart[4] = np.roll(apart[4], 3, axis=0)
    tally = ShiftTally()
    tally.add((apart, NOISE_K), np.random.default_rng(1))
    assert tally.alarms == 1


def test_a_part_that_is_none_is_refused() -> None:
    with pytest.raises(InputError, match="expected own, foreign or shift"):
        domain.run(quick=True, part="abroad")
