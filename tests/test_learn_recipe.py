from __future__ import annotations

import json
from pathlib import Path

import pytest

from aktes_xr.errors import ConfigError
from aktes_xr.learn.recipe import RECIPES, load_recipe


def test_shipped_recipes() -> None:
    for name in ("quick", "release"):
        recipe = load_recipe(name)
        assert recipe.name == name
        assert recipe.teacher.trials >= 3
        assert recipe.seed != 0
        json.dumps(recipe.to_json())
    space = RECIPES["release"].teacher.space
    assert (max(space.width), max(space.depth)) == (320, 5)


def test_file_changes_what_it_names(tmp_path: Path) -> None:
    path = tmp_path / "alps.toml"
    path.write_text(
        'base = "quick"\nseed = 5\nnedt_k = [0.1, 1]\n[teacher]\ntrials = 9\n'
        "[teacher.space]\nwidth = [8, 16]\n[student]\nalpha = 0.25\n"
    )
    recipe, quick = load_recipe(path), load_recipe("quick")
    assert (recipe.name, recipe.seed, recipe.nedt_k) == ("alps", 5, (0.1, 1.0))
    assert (recipe.teacher.trials, recipe.teacher.space.width) == (9, (8, 16))
    assert recipe.teacher.epochs == quick.teacher.epochs
    assert recipe.student.alpha == 0.25


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[teacher]\ntrails = 3\n", "unknown keys trails"),
        ('[teacher]\ntrials = "3"\n', "expected a int"),
        ("[teacher.space]\nwidth = [1.5]\n", "expected a int"),
        ('base = "fast"\n', "expected one of quick"),
        ("[seed]\nvalue = 3\n", "is a table"),
        ("seed = \n", "not TOML"),
    ],
)
def test_mistakes_in_a_file(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "wrong.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message):
        load_recipe(path)


def test_no_such_recipe() -> None:
    with pytest.raises(ConfigError, match="quick, release or a TOML file"):
        load_recipe("slow")
