"""What a training leaves to be looked at: its history, its figures and the bundle's card."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from random_bundle import random_bundle
from typer.testing import CliRunner

from aktes_xr.cli import app
from aktes_xr.errors import ConfigError, InputError
from aktes_xr.learn.architecture import Architecture
from aktes_xr.learn.attachment import attach
from aktes_xr.learn.card import short_table, with_attached, with_section
from aktes_xr.learn.evidence import Evidence
from aktes_xr.learn.figure import history_figure, leaderboard_figure, write_training_figures
from aktes_xr.learn.history import FILE, History, add_epoch, histories_bytes, read_histories
from aktes_xr.learn.recipe import RECIPES, Recipe
from aktes_xr.learn.rewriting import draw_training, rewrite_card
from aktes_xr.learn.search import Trial
from aktes_xr.models import load_bundle

TRIALS = (
    Trial(0.14, Architecture((192, 192), "silu"), "adam", 0.003, 3),
    Trial(0.21, Architecture((256, 256), "relu", skip=True), "adam", 0.001, 3),
)


def row(sample: str, method: str, mae: float, stratum: str = "all") -> dict[str, object]:
    scores = {"mae": mae, "coverage68": 0.7, "coverage95": 0.94}
    return {
        "sample": sample,
        "method": method,
        "ancillaries": "all ancillaries",
        "stratum": stratum,
        "n": 1000,
        "temperature": scores,
        "emissivity": {**scores, "mae": mae / 50},
    }


def test_a_history_goes_on_after_a_kill(tmp_path: Path) -> None:
    for epoch, loss in enumerate((0.5, 0.3, 0.2)):
        add_epoch(tmp_path, "teacher", epoch, loss=loss, validation_mae_k=1.0 + loss)
    # Killed before the third epoch was in the checkpoint: it is trained again.
    add_epoch(tmp_path, "teacher", 2, loss=0.25, validation_mae_k=1.25)
    add_epoch(tmp_path, "student", 0, loss=-1.0, validation_mae_k=2.0)
    teacher, student = read_histories(tmp_path / FILE)
    assert (teacher.network, student.network) == ("teacher", "student")
    assert teacher.loss == (0.5, 0.3, 0.25)
    assert teacher.validation_mae_k == (1.5, 1.3, 1.25)
    assert {"Python", "keras"} <= set(teacher.versions)
    assert read_histories(tmp_path / "none.json") == []


def test_of_two_histories_of_a_network_the_later_counts() -> None:
    old, new = (History("student", (loss,), (1.0,), {}) for loss in (0.5, 0.1))
    assert read_histories(histories_bytes([old], [new])) == [new]


def test_figures_say_what_they_show(tmp_path: Path) -> None:
    board = leaderboard_figure(TRIALS, chosen=TRIALS[0].architecture)
    (axis,) = board.axes
    assert [label.get_text() for label in axis.get_yticklabels()] == [
        "2 x 192 silu, rate 0.003",
        "2 x 256 relu, skip, rate 0.001",
    ]
    first, second = axis.patches
    assert first.get_facecolor() != second.get_facecolor()
    assert axis.texts[0].get_text() == " 0.140 (73)"
    histories = [History("teacher", (0.5, 0.1, 0.0), (1.0, 0.8, 0.7), {})]
    loss, error = history_figure(histories).axes
    assert list(loss.lines[0].get_ydata()) == [0.5, 0.1, 0.0]
    assert error.get_ylabel().endswith("(K)")
    written = write_training_figures(tmp_path / "figures", TRIALS, histories)
    assert sorted(path.name for path in written) == [
        *("leaderboard.png", "leaderboard.svg", "loss.png", "loss.svg"),
    ]
    assert all(path.stat().st_size > 2000 for path in written)
    assert write_training_figures(tmp_path / "nothing", (), ()) == []


def test_the_table_has_a_line_for_each_case_that_was_scored() -> None:
    rows = [
        row("flat, G", "teacher", 0.4),
        *(row("terrain", method, mae) for method, mae in (("teacher", 0.5), ("fusion", 0.31))),
        row("terrain, alps", "student", 0.33),
        row("flat, G", "teacher", 9.9, "water 0-10 mm"),
    ]
    _, _, flat, terrain, alps = short_table(rows).splitlines()
    assert flat.split(" | ")[1:4] == ["0.40", "", ""]
    assert terrain.split(" | ")[1:5] == ["0.50", "", "0.31", "0.0062"]
    assert alps.startswith("| relief of alps")


def test_sections_are_replaced_and_taken_over() -> None:
    card = "# Card\n\n## Limits\n\n- none\n"
    once = with_section(card, "## Cloud test", "Good.\n")
    assert once.endswith("- none\n\n## Cloud test\n\nGood.\n")
    assert with_section(once, "## Cloud test", "Good.\n") == once
    assert with_attached("# New\n\n## Limits\n\n- many\n", once).endswith(
        "- many\n\n## Cloud test\n\nGood.\n"
    )
    assert "Limits" not in with_attached("# New\n", once)


def test_a_card_is_made_anew_of_what_the_bundle_holds(tmp_path: Path) -> None:
    place = tmp_path / "bundle"
    bundle = random_bundle(place, clouds=True)
    with pytest.raises(InputError, match=r"metrics\.json and recipe\.json"):
        rewrite_card(place, tmp_path / "new")
    with pytest.raises(InputError, match="nothing of its training"):
        draw_training(place, tmp_path / "figures")
    files = {
        "metrics.json": Evidence((row("flat, G", "teacher", 0.4),)).to_bytes(),
        "recipe.json": json.dumps(RECIPES["quick"].to_json()).encode(),
        "leaderboard.json": json.dumps([trial.to_json() for trial in TRIALS]).encode(),
        FILE: histories_bytes([History("teacher", (0.5,), (0.75,), {"keras": "3.12.4"})]),
    }
    attach(bundle, files, place, card=("## Cloud test", "Finds it.\n"), overwrite=True)
    done = CliRunner().invoke(
        app,
        [
            *("train", "card", "--bundle", str(place), "--out", str(place), "--overwrite"),
            *("--figures", str(tmp_path / "figures")),
        ],
    )
    assert done.exit_code == 0, done.output
    found = load_bundle(place)
    headings = [line for line in found.model_card.splitlines() if line.startswith("## ")]
    assert headings[:2] == ["## Intended use", "## Limits"]
    assert headings[-1] == "## Cloud test"
    assert found.model_card.rstrip().endswith("tables.")
    for words in ("| 0.40 |", "keras 3.12.4", "0.750 K", "`quick`"):
        assert words in found.model_card
    assert len(found.model_card) < 6000
    assert found.teacher.network.sha256 == bundle.teacher.network.sha256
    assert found.extras[FILE] == files[FILE]
    assert len(list((tmp_path / "figures").glob("*.svg"))) == 2
    rewrite_card(place, place, overwrite=True)
    assert load_bundle(place).sha256 == found.sha256


def test_nothing_to_write_is_a_mistake() -> None:
    done = CliRunner().invoke(app, ["train", "card"])
    assert done.exit_code == 2
    assert "--figures" in done.output


def test_a_recipe_survives_json() -> None:
    for recipe in RECIPES.values():
        assert Recipe.from_json(json.loads(json.dumps(recipe.to_json()))) == recipe
    with pytest.raises(ConfigError, match="unknown keys depth"):
        Recipe.from_json({"name": "x", "depth": 3})


def test_the_shipped_card_is_what_its_files_say(tmp_path: Path) -> None:
    rewrite_card("default", tmp_path / "again")
    assert load_bundle(tmp_path / "again").model_card == load_bundle("default").model_card
