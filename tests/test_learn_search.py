"""A search is a function of its seed, whatever kills it on the way."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from aktes_xr.errors import TrainingError
from aktes_xr.learn.recipe import SearchSpace, TeacherRecipe
from aktes_xr.learn.search import LEADERBOARD, RESULTS, leaderboard_table, search

pytestmark = [
    pytest.mark.filterwarnings("ignore:The structure of `inputs` doesn't match:UserWarning"),
    # TensorFlow and Keras-Tuner call what Python has deprecated.
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.slow,
]

SEED = 7
SPACE = SearchSpace(
    width=(8, 16), depth=(1, 2), activation=("relu", "tanh"), learning_rate=(1e-2, 3e-3, 1e-3)
)
RECIPES = {
    "random": TeacherRecipe(trials=3, search_epochs=2, batch_size=256, space=SPACE),
    "hyperband": TeacherRecipe(
        trials=4, search_epochs=3, batch_size=256, space=SPACE, tuner="hyperband"
    ),
}
CHILD = """
import sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from test_learn_search import RECIPES, SEED, samples
from aktes_xr.learn.search import search
search(*samples(), RECIPES[sys.argv[1]], seed=SEED, directory=Path(sys.argv[2]))
"""

Pair = tuple[np.ndarray, np.ndarray]


def samples() -> tuple[Pair, Pair]:
    """Two sets of pixels whose outputs are a smooth function of their features."""
    rng = np.random.default_rng(0)
    weights = rng.normal(size=(21, 6)) / 21**0.5
    pairs = []
    for count in (3_000, 500):
        features = rng.normal(size=(count, 21))
        targets = np.tanh(features @ weights) + 0.05 * rng.normal(size=(count, 6))
        pairs.append((features.astype(np.float32), targets.astype(np.float32)))
    return pairs[0], pairs[1]


def results(directory: Path) -> dict[str, dict[str, float]]:
    path = directory / RESULTS
    found: dict[str, dict[str, float]] = json.loads(path.read_text()) if path.exists() else {}
    return found


def kill_in_mid_trial(directory: Path, tuner: str, *, after: int) -> list[str]:
    """Start the search in a process of its own; SIGKILL it when trial number ``after`` has begun.

    Returns the keys of the trials that had finished.
    """
    code = CHILD.format(tests=str(Path(__file__).parent))
    child = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", code, tuner, str(directory)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
    )
    try:
        begun = directory / "search" / f"trial_{after}" / "trial.json"
        while not begun.exists():
            assert child.poll() is None, "the search ended before it could be killed"
            time.sleep(0.005)
        assert len(results(directory)) == after
    finally:
        child.send_signal(signal.SIGKILL)
        child.wait()
    assert child.returncode == -signal.SIGKILL
    assert not (directory / LEADERBOARD).exists()
    return list(results(directory))


def test_a_killed_search_finishes_as_if_it_had_not_been_killed(tmp_path: Path) -> None:
    recipe = RECIPES["random"]
    whole = search(*samples(), recipe, seed=SEED, directory=tmp_path / "whole")
    assert len(whole) == recipe.trials

    killed = tmp_path / "killed"
    finished = kill_in_mid_trial(killed, "random", after=1)
    before = results(killed)
    # The worst that a kill can do to the tuner's own state: torn files.
    (killed / "search" / "oracle.json").write_text('{"ongoing_trials": {')
    (killed / "search" / "tuner0.json").write_text("")
    weights = {key: _checkpoint(killed, key).stat().st_mtime_ns for key in finished}
    resumed = search(*samples(), recipe, seed=SEED, directory=killed)

    assert resumed == whole
    assert results(killed) == results(tmp_path / "whole")
    assert {key: results(killed)[key] for key in finished} == before  # nothing lost
    # Nothing repeated: the finished trials' weights were not written again.
    assert {key: _checkpoint(killed, key).stat().st_mtime_ns for key in finished} == weights
    assert search(*samples(), recipe, seed=SEED, directory=killed) == resumed


def test_hyperband_trains_its_best_on_and_remembers(tmp_path: Path) -> None:
    """As after a kill in the second round: its trial is trained again from the first's weights."""
    recipe = RECIPES["hyperband"]
    whole = search(*samples(), recipe, seed=SEED, directory=tmp_path)
    assert sorted(trial.epochs for trial in whole) == [1, 1, 1, 3]
    later = max(whole, key=lambda trial: trial.epochs)
    first = min((trial for trial in whole if trial.epochs == 1), key=lambda trial: trial.score)
    assert later.architecture == first.architecture
    assert later.score < first.score

    finished = dict(list(results(tmp_path).items())[:3])
    (tmp_path / RESULTS).write_text(json.dumps(finished))
    (tmp_path / LEADERBOARD).unlink()
    shutil.rmtree(tmp_path / "search" / "trial_3")
    weights = {key: _checkpoint(tmp_path, key).stat().st_mtime_ns for key in finished}
    assert search(*samples(), recipe, seed=SEED, directory=tmp_path) == whole
    assert {key: _checkpoint(tmp_path, key).stat().st_mtime_ns for key in finished} == weights


def _checkpoint(directory: Path, key: str) -> Path:
    (found,) = (directory / "search" / f"trial_{key.split()[0]}").glob("checkpoint*")
    return found


@pytest.fixture(scope="module")
def short(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("short")
    recipe = replace(RECIPES["random"], trials=2, search_epochs=1)
    search(*samples(), recipe, seed=SEED + 1, directory=directory)
    return directory


def test_another_seed_searches_elsewhere(short: Path, tmp_path: Path) -> None:
    recipe = replace(RECIPES["random"], trials=1, search_epochs=1)
    search(*samples(), recipe, seed=SEED, directory=tmp_path)
    assert not set(results(tmp_path)) & set(results(short))


def test_the_leaderboard_is_readable(short: Path) -> None:
    recipe = replace(RECIPES["random"], trials=2, search_epochs=1)
    trials = search(*samples(), recipe, seed=SEED + 1, directory=short)
    table = (short / "leaderboard.md").read_text()
    assert table == leaderboard_table(trials)
    lines = table.splitlines()
    assert len(lines) == 4
    assert lines[2].startswith(f"| 1 | {trials[0].score:.5f} |")
    assert trials[0].score <= trials[1].score
    assert not list(short.glob("*.partial"))
    kept = json.loads((short / LEADERBOARD).read_text())
    assert [entry["score"] for entry in kept] == [trial.score for trial in trials]


def test_an_unknown_tuner_is_refused(tmp_path: Path) -> None:
    recipe = replace(RECIPES["random"], tuner="exhaustive")
    with pytest.raises(TrainingError, match="expected one of random, greedy"):
        search(*samples(), recipe, seed=SEED, directory=tmp_path)
