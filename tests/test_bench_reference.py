from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from random_bundle import random_model

from aktes_xr.bench import reference
from aktes_xr.bench.reference import architecture_of, train_reference, wider
from aktes_xr.errors import InputError, TrainingError
from aktes_xr.learn.architecture import Architecture, multiplications
from aktes_xr.learn.recipe import load_recipe
from aktes_xr.models import BundleContents, load_bundle, write_bundle
from aktes_xr.models.features import TEACHER_FEATURES


@pytest.mark.parametrize("units", [(16, 16), (192, 192, 192), (256, 128, 64, 64)])
def test_eight_times_the_work_and_hardly_more(units: tuple[int, ...]) -> None:
    teacher = Architecture(units, "silu", skip=True)
    grown = wider(teacher, 8.0)
    count = len(TEACHER_FEATURES)
    ratio = multiplications(grown, count) / multiplications(teacher, count)
    assert 8.0 <= ratio < 10.0
    assert (grown.activation, grown.skip, len(grown.units)) == ("silu", True, len(units))
    with pytest.raises(InputError, match="more than 1"):
        wider(teacher, 1.0)


def test_the_teacher_is_recognised_in_its_bundle(tmp_path: Path) -> None:
    entry = {"units": [64, 64], "activation": "relu", "normalisation": True, "skip": True}
    extras = {"leaderboard.json": json.dumps([{"architecture": entry}]).encode()}
    contents = BundleContents("toy", (random_model("teacher", (64, 64)),), "# Toy\n", None, extras)
    bundle = write_bundle(tmp_path / "toy", contents)
    assert architecture_of(bundle) == Architecture((64, 64), "relu", True, True)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_it_is_trained_scored_and_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reference, "TEST_SAMPLES", 1_500)
    contents = BundleContents("toy", (random_model("teacher", (16, 16)),), "# Toy\n")
    teacher = write_bundle(tmp_path / "toy", contents)
    quick = load_recipe("quick")
    settings = replace(
        quick.teacher, samples=2_000, validation_samples=1_000, epochs=5, batch_size=256
    )
    written = train_reference(
        replace(quick, teacher=settings), tmp_path / "run", bundle=tmp_path / "toy", epochs=1
    )
    contents = BundleContents("wider", (random_model("teacher", (24, 24)),), "# Wider\n")
    write_bundle(tmp_path / "wider", contents)
    with pytest.raises(TrainingError, match="another size"):
        train_reference(
            replace(quick, teacher=settings), tmp_path / "run", bundle=tmp_path / "wider", epochs=1
        )
    bundle = load_bundle(written)
    found = json.loads(bundle.extras[reference.FILE])
    assert found["teacher_sha256"] == teacher.teacher.network.sha256
    assert found["multiplications"] == bundle.teacher.network.multiplications
    assert found["multiplications"] >= 8 * found["teacher_multiplications"]
    assert found["recipe"]["teacher"]["epochs"] == 1
    keys = {(row["protocol"], row["ancillaries"]) for row in found["rows"]}
    assert {("G", "all"), ("P", "nothing")} <= keys
    assert all(row["temperature"]["mae"] > 0 for row in found["rows"])
    assert str(tmp_path) not in json.dumps(found)
