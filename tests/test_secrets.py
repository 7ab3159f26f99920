"""What a run leaves behind holds nothing of the secrets in the links it was given.

Searched are the store, the log at debug level, the plan, pickled graphs and their texts, the report
and the errors: all that commands write and say, and not a list of places that are known to leak.
"""

from __future__ import annotations

import json

import pytest

from aktes_xr.bench.fault_stage import Ended, Stage
from aktes_xr.bench.faults_security import FORMS, SECRET, leave_traces, traces
from aktes_xr.bench.scale_cubes import small_bundle, write_granules

# Half a dozen processes, one after the other.
pytestmark = pytest.mark.timeout(900)
Left = tuple[Stage, dict[str, Ended]]


@pytest.fixture(scope="module")
def left(tmp_path_factory: pytest.TempPathFactory) -> Left:
    folder = tmp_path_factory.mktemp("secrets")
    (folder / "granules").mkdir()
    paths = []
    for number, item in enumerate(write_granules(folder / "granules", 3, (24, 24))):
        path = folder / "granules" / f"item_{number}.json"
        path.write_text(json.dumps(item), encoding="utf-8")
        paths.append(str(path))
    small_bundle(folder / "bundle")
    (folder / "own").mkdir()
    stage = Stage(folder / "own", tuple(paths), (), str(folder / "bundle"), quick=True)
    return stage, leave_traces(stage)


def test_there_are_fifteen_forms_and_each_holds_a_secret() -> None:
    assert len(set(FORMS)) == 15
    assert all(SECRET in form for form in FORMS)


def test_no_secret_is_left_behind(left: Left) -> None:
    assert traces(*left, SECRET) == set()


def test_what_is_left_behind_on_purpose_is_found(left: Left) -> None:
    """Ids are shown and kept: were a secret in their places, the search would find it."""
    found = traces(*left, "planted-0")
    assert {"retrieve", "graph", "report.html"} <= found
    # These name no item, but what they say is searched as well.
    assert traces(*left, "tasks") >= {"plan"}
    assert traces(*left, "could not read") >= {"retrieve", "strict"}
    assert traces(*left, "aktes_xr") >= {"zarr.json"}
