"""What a run leaves behind holds nothing of the secrets in the links it was given.

Searched are the store, the log at debug level, the plan, pickled graphs and their texts, the report
and the errors: all that commands write and say, and not a list of places that are known to leak.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from aktes_xr.bench.fault_stage import Stage
from aktes_xr.bench.faults_security import FORMS, SECRET, traces
from aktes_xr.bench.scale_cubes import small_bundle, write_granules


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    folder = tmp_path / "granules"
    folder.mkdir()
    paths = []
    for number, item in enumerate(write_granules(folder, 3, (24, 24))):
        path = folder / f"item_{number}.json"
        path.write_text(json.dumps(item), encoding="utf-8")
        paths.append(str(path))
    small_bundle(tmp_path / "bundle")
    (tmp_path / "own").mkdir()
    return Stage(tmp_path / "own", tuple(paths), (), str(tmp_path / "bundle"), quick=True)


def test_there_are_fifteen_forms_and_each_holds_a_secret() -> None:
    assert len(set(FORMS)) == 15
    assert all(SECRET in form for form in FORMS)


def test_no_secret_is_left_behind(stage: Stage) -> None:
    assert traces(stage) == set()


def test_a_secret_that_is_kept_is_found(stage: Stage) -> None:
    """In an item's id it is shown and kept on purpose: the search has to find it everywhere."""
    found = traces(stage, name=SECRET)
    assert {"retrieve", "graph", "report.html"} <= found
    assert any(name.startswith("zarr.json") or name == "0" for name in found)
