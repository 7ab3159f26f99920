"""What pixels err without and with a doubtful flag, of small arrays whose answers are known."""

from __future__ import annotations

import numpy as np
import pytest

from aktes_xr.bench.flags import flag_checks, flag_tables
from aktes_xr.bench.flags_tally import CLEAN, FLAGGED, KEPT, FlagTally
from aktes_xr.cube.conditions import ConditionFlag
from aktes_xr.cube.quality import QualityFlag

TEACHER = QualityFlag.RETRIEVED_BY_TEACHER
CLOUD, SATURATED, STEEP = QualityFlag.CLOUD, QualityFlag.SATURATED, QualityFlag.STEEP
NOT_CLOSED = QualityFlag.NOT_CLOSED


def counted(scale: float = 1.0) -> FlagTally:
    """Six pixels of one row: three clean, of which one is truly cloudy, then three with a doubt.

    The last pixel of the second row has no temperature and counts nowhere.
    """
    quality = np.array(
        [[TEACHER, TEACHER | STEEP, TEACHER], [CLOUD, SATURATED | NOT_CLOSED, QualityFlag.FILL]],
        np.uint16,
    )
    conditions = np.array([[0, 0, 0], [0, ConditionFlag.NEAR_CLOUD, 0]], np.uint16)
    error = scale * np.array([[0.2, 0.4, 0.6], [10.0, 2.0, np.nan]])
    emissivity = np.array([[0.01, 0.03, np.nan], [0.2, 0.1, np.nan]])
    depth = np.array([[0.0, 0.29, 0.3], [5.0, 0.0, 0.0]])
    tally = FlagTally()
    tally.add(quality, conditions, error, emissivity, depth)
    return tally


def test_a_tally_knows_errors_with_and_without_a_flag() -> None:
    tally = counted()
    assert (tally.count(CLEAN), tally.count(FLAGGED), tally.count(KEPT)) == (3, 2, 1)
    assert tally.error(CLEAN) == pytest.approx(0.4)
    assert tally.error(FLAGGED) == pytest.approx(6.0)
    # Where cloud is left out, what has another doubtful flag remains.
    assert tally.error(KEPT) == pytest.approx(2.0)
    assert tally.error("steep") == pytest.approx(0.4)
    for name in ("saturated", "not_closed", "near_cloud"):
        assert (tally.count(name), tally.error(name)) == (1, 2.0)
    # What has no temperature counts nowhere, and a flag that nothing has has no error.
    assert tally.count("fill") == 0
    assert np.isnan(tally.error("out_of_domain"))
    assert np.isnan(tally.emissivity_error("out_of_domain"))


def test_a_tally_takes_emissivity_where_there_is_one() -> None:
    tally = counted()
    assert tally.emissivity_error(CLEAN) == pytest.approx(0.02)
    assert tally.emissivity_error(FLAGGED) == pytest.approx(0.15)


def test_a_tally_knows_what_cloud_was_missed() -> None:
    tally = counted()
    assert tally.missed_share == pytest.approx(1 / 3)
    assert tally.clear_error == pytest.approx(0.3)
    assert np.isnan(FlagTally().missed_share)
    assert np.isnan(FlagTally().clear_error)


def test_scenes_add_up() -> None:
    tally = counted()
    tally.add(
        np.full((1, 3), TEACHER, np.uint16),
        np.zeros((1, 3), np.uint16),
        np.full((1, 3), 1.0),
        np.full((1, 3), 0.05),
        np.zeros((1, 3)),
    )
    assert tally.count(CLEAN) == 6
    assert tally.error(CLEAN) == pytest.approx((3 * 0.4 + 3 * 1.0) / 6)


def test_checks_hold_by_the_ratio_of_both() -> None:
    with_cloud, without = flag_checks("here", {("teacher", "all"): counted()})
    assert with_cloud.name == "here: teacher, told all, no doubtful flag over any"
    assert with_cloud.value == pytest.approx(0.4 / 6.0)
    assert without.name.endswith("over any, cloud left out")
    assert without.value == pytest.approx(0.4 / 2.0)
    assert with_cloud.holds
    assert without.holds
    alike = FlagTally()
    flags = np.array([[TEACHER, TEACHER | CLOUD, TEACHER | SATURATED]], np.uint16)
    alike.add(flags, np.zeros_like(flags), np.ones((1, 3)), np.ones((1, 3)), np.zeros((1, 3)))
    assert [check.holds for check in flag_checks("here", {("tes", "air"): alike})] == [False, False]


def test_tables_name_only_flags_that_pixels_have() -> None:
    whole, single = flag_tables("here", {("teacher", "all"): counted()})
    (row,) = whole.rows
    found = dict(zip(("method", "told", "N", "share flagged", "of it cloud"), row, strict=False))
    assert found["N"] == 5
    assert found["share flagged"] == pytest.approx(0.4)
    assert found["of it cloud"] == pytest.approx(0.2)
    assert len(row) == len(whole.columns)
    assert {name for _, _, name, *_ in single.rows} == {
        *("cloud", "saturated", "steep", "not_closed", "near_cloud", "retrieved_by_teacher"),
    }
    over = {name: ratio for _, _, name, _, _, ratio in single.rows}
    assert over["cloud"] == pytest.approx(10.0 / 0.4)
