"""The benchmark of series plays its parts on processes of its own."""

from __future__ import annotations

import pytest

from aktes_xr.bench.checks import available, run_benchmark
from aktes_xr.errors import InputError


def test_it_is_known_by_its_name() -> None:
    assert "series" in available()


def test_an_unknown_part_is_refused() -> None:
    with pytest.raises(InputError, match="expected one of kills, races, second, soak, two-pass"):
        run_benchmark("series", quick=True, part="third")


@pytest.mark.slow
def test_two_runs_at_once_make_each_date_once() -> None:
    found = run_benchmark("series", quick=True, part="races")
    assert [check.holds for check in found.checks] == [True], found.tables
