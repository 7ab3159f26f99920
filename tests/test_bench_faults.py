"""The benchmark of faults: its rows are registered, and one of each kind can fail."""

from __future__ import annotations

import importlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from test_store import make_result

from aktes_xr.bench import faults
from aktes_xr.bench.fault_results import same_result
from aktes_xr.bench.fault_rows import FAULTS, Outcome, fault
from aktes_xr.bench.fault_stage import Ended, Stage
from aktes_xr.errors import InputError

AREAS = {"replace", "durability", "kill", "races", "disks", "objects", "cluster"}


def test_every_area_has_faults_and_each_says_how_it_should_end() -> None:
    for module in faults.MODULES:
        importlib.import_module(f"aktes_xr.bench.{module}")
    assert {known.area for known in FAULTS} >= AREAS
    assert all(known.what and known.expected for known in FAULTS)
    rows = [(known.area, known.what) for known in FAULTS]
    assert len(rows) == len(set(rows))


def test_an_unknown_part_is_refused() -> None:
    with pytest.raises(InputError, match="found part 'none', expected one of API, "):
        faults.run(quick=True, part="none")


def test_a_fault_is_registered_by_its_docstring() -> None:
    def play(stage: Stage) -> Outcome:
        """Something ``breaks``."""
        return Outcome("nothing", holds=True)

    try:
        fault("area", expected="nothing")(play)
        assert (FAULTS[-1].area, FAULTS[-1].what) == ("area", "Something breaks")
    finally:
        FAULTS.pop()


def test_results_are_the_same_but_for_when_they_were_written() -> None:
    one, other = make_result(), make_result().assign_attrs(title="a result")
    other.attrs["history"] = "later"
    assert same_result(one, other)
    changed = one["surface_temperature"].copy(deep=True)
    changed[0, 10, 10] = np.nextafter(changed[0, 10, 10], np.float32(0))
    assert not same_result(one, other.assign(surface_temperature=changed))
    assert not same_result(one, other.assign_attrs(title="another"))
    assert not same_result(one, other.drop_vars("item_id"))


def test_a_traceback_or_a_hang_is_no_plain_end() -> None:
    assert Ended(4, "error [store]: full").plain
    assert not Ended(4, "Traceback (most recent call last):\nerror [store]: full").plain
    assert not Ended(None, "").plain
    assert str(Ended(7, "error [store.busy]: held by process 3")) == "exit 7, error [store.busy]"


def test_what_is_left_is_what_is_not_known(tmp_path: Path) -> None:
    stage = Stage(tmp_path, (), (), "", quick=True)
    (tmp_path / "r.zarr").mkdir()
    (tmp_path / ".r.zarr.lock").touch()
    assert stage.left("r.zarr") == [".r.zarr.lock"]
    assert replace(stage, folder=tmp_path / "r.zarr").left() == []
