"""How reliable a probability of cloud is: out of a benchmark's file, into a bundle and its card."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from random_bundle import random_bundle
from typer.testing import CliRunner

from aktes_xr.cli import app
from aktes_xr.errors import InputError
from aktes_xr.learn.attachment import attach
from aktes_xr.learn.cloud_reliability import (
    RELIABILITY_FILE,
    CloudReliability,
    reliability_figure,
    reliability_lines,
)
from aktes_xr.learn.evidence import Evidence
from aktes_xr.learn.recipe import RECIPES
from aktes_xr.models import load_bundle

COLUMNS = ["told", "probability", "share cloudy", "N"]
DOCUMENT: dict[str, Any] = {
    "checks": [],
    "tables": [
        {"title": "own world: missed", "columns": ["told", "height"], "rows": [["air", 3.0]]},
        {
            "title": "own world: reliability",
            "columns": COLUMNS,
            "rows": [
                ["air", 0.05, 0.02, 300],
                ["air", 0.95, 1.0, 100],
                ["nothing", 0.5, 0.75, 50],
            ],
        },
        {
            "title": "foreign world: reliability",
            "columns": COLUMNS,
            "rows": [["air", 1.0, 0.9, 10]],
        },
    ],
}


@pytest.fixture
def found() -> CloudReliability:
    return CloudReliability.from_benchmark(DOCUMENT)


def test_classes_are_taken_from_the_tables_of_reliability_alone(found: CloudReliability) -> None:
    own, foreign = "own world", "foreign world"
    assert found.cases == ((own, "air"), (own, "nothing"), (foreign, "air"))
    assert [one.pixels for one in found.of(own, "air")] == [300, 100]
    assert found.of("own world", "all") == []
    assert CloudReliability.from_bytes(found.to_bytes()) == found


def test_the_mean_distance_is_weighed_by_pixels(found: CloudReliability) -> None:
    # (300 x 0.03 + 100 x 0.05) / 400
    assert found.calibration_error("own world", "air") == pytest.approx(0.035)
    assert found.calibration_error("own world", "nothing") == pytest.approx(0.25)


def test_the_table_has_a_line_for_each_tenth(found: CloudReliability) -> None:
    lines = found.table().splitlines()
    assert lines[0] == "| stated | own world, told air | own world, told nothing | " + (
        "foreign world, told air |"
    )
    assert len(lines) == 2 + 10 + 1
    assert lines[2] == "| 0.0 to 0.1 | 0.02 |  |  |"
    assert lines[7] == "| 0.5 to 0.6 |  | 0.75 |  |"
    # A probability of 1 belongs to the last class.
    assert lines[11] == "| 0.9 to 1.0 | 1.00 |  | 0.90 |"
    assert lines[12] == "| mean distance | 0.035 | 0.250 | 0.100 |"
    assert found.table() in reliability_lines(found)


def test_the_figure_draws_classes_of_enough_pixels(found: CloudReliability) -> None:
    own, foreign = reliability_figure(found).axes
    assert (own.get_title(), foreign.get_title()) == ("own world", "foreign world")
    diagonal, air, nothing = own.lines
    assert list(diagonal.get_xdata()) == list(diagonal.get_ydata()) == [0, 1]
    assert (list(air.get_xdata()), list(air.get_ydata())) == ([0.05, 0.95], [0.02, 1.0])
    assert list(nothing.get_xdata()) == []
    assert air.get_label() == "told air"


@pytest.mark.parametrize(
    "document",
    [
        {},
        [],
        {"tables": []},
        {"tables": [{"title": "own world: missed", "columns": COLUMNS, "rows": []}]},
        {"tables": [{"title": "own world: reliability", "columns": COLUMNS, "rows": [["air"]]}]},
        {"tables": [{"title": None, "columns": COLUMNS, "rows": []}]},
    ],
)
def test_what_is_no_such_document_is_refused(document: Any) -> None:
    with pytest.raises(InputError, match="aktes bench clouds --json FILE"):
        CloudReliability.from_benchmark(document)


def scored_bundle(place: Path, *, clouds: bool) -> Path:
    """A bundle with the scores and the recipe that a card is made of."""
    bundle = random_bundle(place, clouds=clouds)
    scores = {"mae": 0.4, "coverage68": 0.7, "coverage95": 0.94}
    row = {
        "sample": "flat, G",
        "method": "teacher",
        "ancillaries": "all ancillaries",
        "stratum": "all",
        "n": 1000,
        "temperature": scores,
        "emissivity": scores,
    }
    files = {
        "metrics.json": Evidence((row,)).to_bytes(),
        "recipe.json": json.dumps(RECIPES["quick"].to_json()).encode(),
    }
    attach(bundle, files, place, card=("## Notes", "None.\n"), overwrite=True)
    return place


def card(place: Path, *options: str) -> Any:
    return CliRunner().invoke(app, ["train", "card", "--bundle", str(place), *options])


def test_the_command_keeps_the_figures_in_bundle_and_card(
    tmp_path: Path, found: CloudReliability
) -> None:
    place, figures = scored_bundle(tmp_path / "bundle", clouds=True), tmp_path / "clouds.json"
    figures.write_text(json.dumps(DOCUMENT))
    before = load_bundle(place)
    out = tmp_path / "new"
    done = card(place, "--out", str(out), "--clouds", str(figures))
    assert done.exit_code == 0, done.output
    made = load_bundle(out)
    assert CloudReliability.from_bytes(made.extras[RELIABILITY_FILE]) == found
    assert "| mean distance | 0.035 | 0.250 | 0.100 |" in made.model_card
    assert RELIABILITY_FILE not in before.extras
    assert "mean distance" not in before.model_card
    assert made.teacher.network.sha256 == before.teacher.network.sha256
    # What the bundle holds stays where nothing else is given.
    again = card(out, "--out", str(tmp_path / "third"))
    assert again.exit_code == 0, again.output
    assert load_bundle(tmp_path / "third").sha256 == made.sha256


def test_the_command_says_what_it_cannot_take(tmp_path: Path) -> None:
    figures, other = tmp_path / "clouds.json", tmp_path / "other.json"
    figures.write_text(json.dumps(DOCUMENT))
    place = scored_bundle(tmp_path / "bundle", clouds=False)
    out = ("--out", str(tmp_path / "new"))
    for options, words in (
        (("--figures", str(tmp_path), "--clouds", str(figures)), "--clouds without --out"),
        ((*out, "--clouds", str(figures)), "has no cloud test"),
    ):
        done = card(place, *options)
        assert done.exit_code == 2, done.output
        assert words in done.output
    for text, words in (("no JSON", "other.json is no JSON"), ("{}", "no document of a benchmark")):
        other.write_text(text)
        done = card(place, *out, "--clouds", str(other))
        assert done.exit_code == 2, done.output
        assert words in done.output
    assert not (tmp_path / "new").exists()
