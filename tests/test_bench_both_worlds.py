"""What benchmarks of two worlds share: which are judged, and how a field becomes a cube."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from aktes_xr import cube, sensor
from aktes_xr.bench.both_worlds import FOREIGN, OWN, Judged, cube_of, judge_worlds
from aktes_xr.bench.checks import Check, Table
from aktes_xr.errors import InputError
from aktes_xr.simulate import Field, FieldRecipe, draw_fields


def judged(**options: Any) -> tuple[list[str], list[str]]:
    """Judge two worlds whose scenes are numbers; return names of checks and titles of tables."""

    def draw(count: int) -> Iterator[int]:
        yield from range(count)

    def judge(world: str, given: Iterator[int]) -> tuple[list[Check], list[Table]]:
        count = len(list(given))
        return [Check.at_least(world, count, 1, "1")], [Table(f"{world} {count}", (), ())]

    worlds = (Judged(OWN, (2, 5), draw), Judged(FOREIGN, (3, 7), draw))
    found = judge_worlds(worlds, judge, **options)
    return [check.name for check in found.checks], [table.title for table in found.tables]


def test_both_worlds_are_judged_with_as_many_scenes_as_asked_for() -> None:
    names, titles = judged(quick=False, part=None)
    assert names == [OWN, FOREIGN]
    assert titles == ["own world 5", "foreign world 7"]
    assert judged(quick=True, part=None)[1] == ["own world 2", "foreign world 3"]


def test_a_part_is_one_world() -> None:
    assert judged(quick=True, part="foreign") == ([FOREIGN], ["foreign world 3"])
    assert judged(quick=False, part="own") == ([OWN], ["own world 5"])
    with pytest.raises(InputError, match="found part 'abroad', expected 'own' or 'foreign'"):
        judged(quick=True, part="abroad")


@pytest.fixture(scope="module", params=[False, True], ids=["level", "relief"])
def field(request: pytest.FixtureRequest) -> Field:
    recipe = FieldRecipe(count=1, seed=8, shape=(24, 24), terrain=request.param, gap_share=0.0)
    (drawn,) = draw_fields(recipe)
    return drawn


def test_a_field_becomes_a_cube_with_all_that_is_told(field: Field) -> None:
    ds = cube_of(field)
    info = cube.check(ds)
    assert info.has_elevation == (field.terrain is not None)
    measured = ds["tir"].to_numpy()
    assert measured.shape == (1, 5, 24, 24)
    for band in range(len(sensor.BANDS)):
        np.testing.assert_array_equal(measured[0, band], field.dn[..., band])
    for name in ("water_vapor", "air_temperature", "surface_pressure"):
        told = np.broadcast_to(np.asarray(field.told[name], np.float32), field.shape)
        found = np.broadcast_to(ds[name].isel(time=0).to_numpy(), field.shape)
        np.testing.assert_array_equal(found, told)
    prior = ds["emissivity_prior"].sel(band="B12").to_numpy()
    np.testing.assert_array_equal(prior, field.told["emissivity_prior"][..., 2])
    assert ds["emissivity_prior_uncertainty"].dims == ("band", "y", "x")
    assert ds["sun_zenith"].item() == pytest.approx(field.sun_zenith)
    if field.terrain is not None:
        np.testing.assert_array_equal(ds["elevation"], field.terrain.elevation)


def test_what_was_measured_instead_takes_the_place_of_the_fields_own(field: Field) -> None:
    clouded = np.where(np.arange(24)[:, np.newaxis, np.newaxis] < 12, 700, field.dn)
    ds = cube_of(field, clouded.astype(np.uint16))
    assert (ds["tir"].to_numpy()[0, :, :12] == 700).all()
    np.testing.assert_array_equal(ds["tir"].to_numpy()[0, 3, 12:], field.dn[12:, :, 3])
