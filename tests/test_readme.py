"""What README and the documentation's pages show is run, and what they name exists."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer.main

from aktes_xr.cli import app
from aktes_xr.cube.conditions import CONDITION_MEANINGS
from aktes_xr.cube.quality import MEANINGS
from aktes_xr.jobs.config import load_job

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"
PAGES = sorted(path for path in (ROOT / "notebooks").rglob("*.md") if "build" not in path.parts)


FENCED = re.compile(r"^```([^\n`]*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def blocks(path: Path, *languages: str) -> list[str]:
    return [body for language, body in FENCED.findall(path.read_text()) if language in languages]


# README's snippets are independent of each other; a page's are one story.
STORIES = [(README, snippet) for snippet in blocks(README, "python")]
STORIES += [(page, "".join(found)) for page in PAGES if (found := blocks(page, "python"))]

# What a reader has before the first line: granules with an elevation model, and, in the place of a
# store that cannot be reached from here, a file of ancillaries.
BEFORE = """
import numpy as np
import xarray as xr
import aktes_xr

items = aktes_xr.simulate.write_scene("scene", terrain="alpine", shape=(48, 56), seed=2)
"""
CUBE = """
ds = aktes_xr.open_stac(items, dem="scene/dem.tif")
"""
RESULT = """
out = ds.aktes.retrieve().compute()
"""
PHYSICS = """
import numpy as np
import rioxarray
import aktes_xr

p = np.geomspace(1013.0, 0.1, 40)
t = np.maximum(288.0 - 6.5 * 7.4 * np.log(1013.0 / p), 217.0)
h2o, o3 = 0.01 * (p / 1013.0) ** 4, np.full(40, 3e-7)
surface_leaving = np.array([9.196004, 9.444104, 9.657266, 9.547033, 9.254090])
sky_radiance = np.array([2.8, 2.0, 1.8, 1.4, 1.7])
aktes_xr.simulate.write_scene("relief", terrain="alpine", shape=(40, 40))
elevation = rioxarray.open_rasterio("relief/dem.tif").squeeze("band", drop=True)
"""


def before(snippet: str) -> str:
    """What a snippet takes for granted."""
    if "surface_leaving" in snippet:
        return PHYSICS
    needs_cube = re.search(r"\bds\b", snippet) and not re.search(r"^ds = ", snippet, re.MULTILINE)
    needs_result = re.search(r"\bout\b", snippet) and not re.search(
        r"^out = ", snippet, re.MULTILINE
    )
    return BEFORE + CUBE * bool(needs_cube or needs_result) + RESULT * bool(needs_result)


@pytest.mark.slow
@pytest.mark.parametrize("number", range(len(STORIES)))
def test_snippet_runs(number: int, tmp_path: Path) -> None:
    snippet = STORIES[number][1]
    for shown, here in (
        ('"dem.tif"', '"scene/dem.tif"'),
        ('"catalog.json"', '"scene/catalog.json"'),
        ('"era5"', '"scene/ancillary.zarr"'),
        # A small granule says as much as a whole one.
        ('terrain="alpine")', 'terrain="alpine", shape=(40, 40))'),
    ):
        snippet = snippet.replace(shown, here)
    done = subprocess.run(
        # Not as a file: processes of a cluster would run it again.
        [sys.executable, "-W", "ignore", "-c", before(snippet) + snippet],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=280,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stderr[-2000:]


def test_readme_and_pages_have_snippets() -> None:
    assert len(blocks(README, "python")) >= 1
    assert len(STORIES) >= 5


def test_jobs_are_valid(tmp_path: Path) -> None:
    jobs = [body for page in (README, *PAGES) for body in blocks(page, "toml")]
    assert jobs
    for text in jobs:
        (tmp_path / "job.toml").write_text(text)
        assert load_job(tmp_path / "job.toml").store.address


def named_commands(path: Path) -> list[list[str]]:
    """Arguments of each ``aktes`` in blocks of shell lines and in the text."""
    lines = [
        line.partition(" #")[0] for block in blocks(path, "sh", "") for line in block.splitlines()
    ]
    prose = re.sub(r"\s+", " ", FENCED.sub("", path.read_text()))
    lines += re.findall(r"`(aktes [^`]*)`", prose)
    found = []
    for line in lines:
        words = shlex.split(line) if "aktes" in line else []
        place = next((n for n, word in enumerate(words) if Path(word).name == "aktes"), None)
        if place is not None:
            found.append(words[place + 1 :])
    return found


@pytest.mark.parametrize("page", [README, *PAGES], ids=lambda path: path.stem)
def test_commands_exist(page: Path) -> None:
    for words in named_commands(page):
        command: Any = typer.main.get_command(app)
        rest = list(words)
        while hasattr(command, "commands") and rest and not rest[0].startswith("-"):
            assert rest[0] in command.commands, f"aktes {' '.join(words)}"
            command = command.commands[rest.pop(0)]
        known = {"--help", *(name for one in command.params for name in one.opts)}
        options = [word.partition("=")[0] for word in rest if word.startswith("--")]
        assert set(options) <= known, f"aktes {' '.join(words)}"


@pytest.mark.parametrize("page", [README, *PAGES], ids=lambda path: path.stem)
def test_make_targets_exist(page: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = re.findall(r"(?:^|`)make ([a-z-]+)", page.read_text(), re.MULTILINE)
    assert set(named) <= targets


def test_page_of_flags_has_all_of_them() -> None:
    text = (ROOT / "notebooks" / "concepts" / "flags.md").read_text()
    names = [str(flag.name).lower() for flag in (*MEANINGS, *CONDITION_MEANINGS)]
    assert not [name for name in names if f"`{name}`" not in text]
