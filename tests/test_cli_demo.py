"""The demo end to end on a small granule, in an environment where TensorFlow cannot be imported."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from rich.console import Console

import aktes_xr
from aktes_xr.cli.demo import SceneOutcome, print_demo
from aktes_xr.retrieval.block import METHODS
from aktes_xr.validation.comparison import ValidationScore

WITHOUT_TRAINING = """
import sys
for name in ("tensorflow", "keras", "autokeras", "keras_tuner", "tensorboard"):
    sys.modules[name] = None  # importing it now raises ImportError
from aktes_xr.cli import app
app()
"""


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    output = tmp_path_factory.mktemp("demo")
    arguments = ["demo", "--output", str(output), "--terrain", "alpine", "--shape", "160x180"]
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_TRAINING, *arguments, "--json"],
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert done.returncode == 0, done.stderr
    assert "alpine: retrieve (fusion) and store: done in" in done.stderr
    (scene,) = json.loads(done.stdout)
    return dict(scene)


@pytest.mark.slow
def test_every_method_is_compared_with_the_truth(demo: dict[str, Any]) -> None:
    assert [score["name"] for score in demo["scores"]] == [*METHODS]
    for score in demo["scores"]:
        assert score["pixels"] > 0.3 * 160 * 180
        assert score["mae_k"] <= score["rmse_k"]
        assert abs(score["bias_k"]) <= score["mae_k"]
        assert score["pcc"] > 0.9
    assert set(demo["mae_by_class"]) == set(METHODS)


@pytest.mark.slow
def test_the_store_the_map_and_the_page_are_there(demo: dict[str, Any]) -> None:
    result = aktes_xr.open_result(demo["store"])
    truth = xr.open_zarr(Path(demo["store"]).parent / "truth.zarr", consolidated=False)
    error = result["surface_temperature"].values - truth["surface_temperature"].values
    fusion = next(score for score in demo["scores"] if score["name"] == "fusion")
    error = np.where(truth["cloud"].values, np.nan, error)
    assert truth["cloud"].values.any()
    assert np.isfinite(error).sum() == fusion["pixels"]
    assert np.nanmean(np.abs(error)) == pytest.approx(fusion["mae_k"], rel=1e-4)
    assert Path(demo["overview"]).read_bytes().startswith(b"\x89PNG")
    assert Path(demo["picture"]).read_bytes().startswith(b"\x89PNG")
    page = Path(demo["page"]).read_text(encoding="utf-8")
    assert "alpine" in page
    assert str(Path.home()) not in page


def test_the_table_is_legible(capsys: pytest.CaptureFixture[str]) -> None:
    score = ValidationScore("tes", 67_200, 1.234, -0.5, 2.0, 0.98765, None, None, 0.0123)
    outcome = SceneOutcome(
        terrain="alpine",
        scores=(score,),
        mae_by_class={"tes": {"flat": 1.0, "extreme": 2.346}},
        store="a/result.zarr",
        picture="a/quicklook.png",
        page="a/report.html",
    )
    print_demo([outcome], Console(width=120))
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert [
        "tes",
        "67,200",
        "1.23",
        "-0.50",
        "2.00",
        "0.9877",
        *["not", "stated"] * 2,
        "0.0123",
    ] in lines
    assert ["flat", "extreme"] in lines
    assert ["tes", "1.00", "2.35"] in lines
    assert ["store", "a/result.zarr"] in lines
