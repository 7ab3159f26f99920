from __future__ import annotations

import functools
from dataclasses import replace

import numpy as np
import pytest

from aktes_xr.learn.drawing import Ahead, World, draw, field_quantities
from aktes_xr.learn.pixels import GROUPS, Sample, drop_ancillaries
from aktes_xr.learn.recipe import AncillaryErrors
from aktes_xr.models.context import CONTEXT, describe_image
from aktes_xr.models.features import QUANTITIES
from aktes_xr.simulate.structures import STRUCTURES

WORLD = World("validation", 3, (0.1, 0.2), per_field=40, errors=AncillaryErrors())


def column(sample: Sample, name: str) -> np.ndarray:
    return sample.quantities[:, QUANTITIES.index(name)]


def test_a_sample_takes_turns_among_the_structures() -> None:
    sample, simulated = draw(600, WORLD)
    assert len(sample.truth) == 600
    count = np.bincount(simulated["structure"].to_numpy(), minlength=len(STRUCTURES))
    assert count.max() <= 80
    assert (count > 0).sum() >= len(STRUCTURES) - 1
    assert np.isfinite(sample.quantities).all()
    again, _ = draw(600, WORLD)
    np.testing.assert_array_equal(sample.quantities, again.quantities)


def test_a_pixel_is_described_by_its_fields_surroundings() -> None:
    field = next(iter(WORLD.fields(40)))
    chosen = np.flatnonzero(field.valid)[1000:1010]
    found = field_quantities(field, chosen, np.random.default_rng(0))
    context = describe_image(field.brightness_temperature, field.valid)
    first = QUANTITIES.index(CONTEXT[0])
    expected = context.reshape(len(CONTEXT), -1)[:, chosen].T
    np.testing.assert_array_equal(found[:, first : first + len(CONTEXT)], expected)


def test_level_ground_is_level_and_relief_is_not() -> None:
    level, _ = draw(80, WORLD)
    assert (column(level, "sky_view_factor") == 1.0).all()
    assert (column(level, "sine_of_slope") == 0.0).all()
    steep, _ = draw(80, replace(WORLD, terrain=True))
    assert (column(steep, "sky_view_factor") < 1.0).any()
    assert np.isfinite(column(steep, "relief")).all()


def test_stated_errors_are_those_that_were_drawn() -> None:
    told = AncillaryErrors(water_vapor=(0.1, 0.1), air_temperature_k=(2.0, 2.0)).as_stated()
    sample, simulated = draw(4_000, replace(WORLD, errors=told, per_field=20))
    off = column(sample, "air_temperature") - simulated["true_air_temperature"].to_numpy()
    assert np.std(off) == pytest.approx(2.0, rel=0.2)
    assert (column(sample, "air_temperature_error") == 2.0).all()
    ratio = column(sample, "water_vapor") / simulated["precipitable_water"].to_numpy()
    assert np.std(np.log(ratio)) == pytest.approx(0.1, rel=0.2)


def test_surroundings_are_dropped_as_one() -> None:
    sample, _ = draw(400, WORLD)
    reduced = drop_ancillaries(np.repeat(sample.quantities, 10, axis=0), np.random.default_rng(1))
    missing = np.isnan(reduced[:, list(GROUPS["surroundings"])])
    assert (missing.all(axis=1) == missing.any(axis=1)).all()
    assert 0.03 < missing.any(axis=1).mean() < 0.1


def epoch(number: int) -> Sample:
    return Sample(np.full((1, 2), number, np.float32), np.zeros((1, 6), np.float32))


def test_what_is_drawn_ahead_is_what_would_be_drawn() -> None:
    with Ahead(functools.partial(epoch), 3, workers=2) as ahead:
        assert [int(ahead(number).quantities[0, 0]) for number in (0, 1, 2)] == [0, 1, 2]
