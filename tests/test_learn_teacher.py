"""The whole chain on a toy world in seconds: search, training, distillation, fusion, bundle."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from aktes_xr import learn
from aktes_xr.errors import TrainingError
from aktes_xr.learn import card, evaluation, student
from aktes_xr.learn import pixels as simulated
from aktes_xr.learn.recipe import Recipe
from aktes_xr.learn.student import distil
from aktes_xr.learn.teacher import train_teacher
from aktes_xr.models import load_bundle

pytestmark = [
    pytest.mark.filterwarnings("ignore:The structure of `inputs` doesn't match:UserWarning"),
    # TensorFlow and Keras-Tuner call what Python has deprecated.
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.slow,
]


def toy_world(recipe: Any) -> xr.Dataset:
    """Pixels whose physics is two lines: an atmosphere that absorbs, a terrain that reflects."""
    rng = np.random.default_rng([recipe.seed, len(recipe.split), recipe.terrain])
    count = recipe.size
    temperature = rng.normal(295.0, 12.0, count)
    emissivity = np.clip(rng.normal(0.95, 0.02, (count, 5)), 0.8, 1.0)
    water, air = rng.uniform(1.0, 50.0, count), temperature - rng.normal(3.0, 4.0, count)
    sky = np.clip(1.0 - np.abs(rng.normal(0.0, 0.2, count)), 0.3, 1.0)
    sky = sky if recipe.terrain else np.ones(count)
    absorbed = water[:, None] * np.array([0.08, 0.06, 0.04, 0.03, 0.05])
    seen = temperature[:, None] - 60.0 * (1.0 - emissivity) * sky[:, None] - absorbed
    seen += rng.normal(0.0, 0.15, (count, 5))
    pixel, both = ("sample",), ("sample", "band")
    fields = {
        "brightness_temperature": (both, seen),
        "view_zenith": (pixel, rng.uniform(0.0, 8.0, count)),
        "surface_pressure": (pixel, rng.uniform(700.0, 1013.0, count)),
        "water_vapor": (pixel, water * np.exp(0.1 * rng.normal(size=count))),
        "water_vapor_error": (pixel, 0.1 * water),
        "air_temperature": (pixel, air + 2.0 * rng.normal(size=count)),
        "air_temperature_error": (pixel, np.full(count, 2.0)),
        "emissivity_prior": (both, emissivity + 0.015 * rng.normal(size=(count, 5))),
        "emissivity_prior_uncertainty": (both, np.full((count, 5), 0.015)),
        "surface_temperature": (pixel, temperature),
        "emissivity": (both, emissivity),
        "precipitable_water": (pixel, water),
        "surface_class": (pixel, rng.integers(0, 2, count)),
        "profile": (pixel, rng.integers(0, 20, count)),
        "sky_view_factor": (pixel, sky),
        "slope": (pixel, 40.0 * (1.0 - sky)),
        "solar_incidence": (pixel, rng.uniform(0.0, 1.0, count)),
        "relief": (pixel, 800.0 * (1.0 - sky)),
        "elevation_difference": (pixel, rng.normal(0.0, 200.0, count)),
        "adjacent_brightness_temperature": (both, seen + rng.normal(0.0, 1.0, (count, 5))),
    }
    return xr.Dataset(fields, attrs={"classes": "soil rock"})


@pytest.fixture(scope="module")
def recipe() -> Recipe:
    quick = learn.load_recipe("quick")
    space = replace(quick.teacher.space, width=(24, 32), normalisation=(False, True))
    teacher = replace(
        quick.teacher,
        samples=12_000,
        validation_samples=4_000,
        search_samples=4_000,
        trials=3,
        search_epochs=1,
        finalists=2,
        final_epochs=1,
        epochs=5,
        batch_size=256,
        learning_rate=4e-3,
        space=space,
    )
    student = replace(
        quick.student,
        samples=12_000,
        validation_samples=4_000,
        units=(16, 16),
        epochs=5,
        batch_size=256,
        learning_rate=6e-3,
    )
    return replace(quick, name="toy", teacher=teacher, student=student)


@pytest.fixture(scope="module")
def trained(recipe: Recipe, tmp_path_factory: pytest.TempPathFactory) -> Path:
    work = tmp_path_factory.mktemp("training")
    with pytest.MonkeyPatch.context() as patch:
        for module in (simulated, evaluation):
            patch.setattr(module, "simulate_samples", toy_world)
        patch.setattr(card, "TEST_SAMPLES", 4_000)
        bundle = train_teacher(recipe, work / "teacher", name="toy")
        # The toy has no radiative transfer to draw level ground with.
        patch.setattr(student, "draw_level", lambda recipe: None)
        distil(recipe, work / "student", bundle=bundle)
    return work


def test_networks_learn(trained: Path) -> None:
    bundle = load_bundle(trained / "student" / "bundle")
    rows = {
        (row["sample"], row["method"], row["ancillaries"], row["stratum"]): row
        for row in json.loads(bundle.extras["metrics.json"])
    }
    complete = rows["flat, G", "teacher", "all ancillaries", "all"]["temperature"]
    bare = rows["flat, G", "teacher", "pressure only", "all"]["temperature"]
    assert complete["mae"] < 0.9
    assert complete["mae"] < bare["mae"]
    steep = [
        rows["terrain", method, "all ancillaries", "sky view 0-0.7"]["temperature"]
        for method in ("teacher", "student", "fusion")
    ]
    assert steep[1]["mae"] < steep[0]["mae"]
    assert steep[2]["mae"] < 1.05 * steep[1]["mae"]


def test_bundle_tells_its_story(trained: Path, recipe: Recipe) -> None:
    bundle = load_bundle(trained / "student" / "bundle")
    assert [model.name for model in bundle.models.values()] == ["teacher", "student"]
    assert bundle.fusion is not None
    assert json.loads(bundle.extras["recipe.json"])["name"] == "toy"
    assert len(json.loads(bundle.extras["leaderboard.json"])) == 3
    for words in (
        *("`toy`", str(recipe.seed), "| terrain | fusion |", "## Limits", "mlm.json"),
        *(
            "| flat, P | teacher | all ancillaries | rock |",
            "| flat, G | teacher | nothing | all |",
        ),
    ):
        assert words in bundle.model_card
    assert bundle.students[0].network.multiplications < 2000


def test_plain_keras_model_loads_safely_and_agrees(trained: Path) -> None:
    import keras

    bundle = load_bundle(trained / "student" / "bundle")
    rng = np.random.default_rng(0)
    for model in (bundle.teacher, bundle.students[0]):
        path = trained / f"{model.name}-from-the-bundle.keras"
        path.write_bytes(bundle.extras[f"{model.name}.keras"])
        plain = keras.saving.load_model(path, safe_mode=True, compile=False)
        features = rng.normal(size=(5_000, model.network.n_features)).astype(np.float32)
        expected = np.asarray(plain.predict(features, batch_size=4096, verbose=0))
        found = model.network.predict(np.ascontiguousarray(features.T)).T
        kelvin = np.abs(found - expected)[:, 0].max() * model.scaling.output_scale[0]
        assert kelvin < 1e-4
        np.testing.assert_allclose(found, expected, atol=2e-5, rtol=2e-5)
        assert type(plain).__module__.startswith("keras.")


def test_same_call_goes_on_instead_of_starting_anew(
    trained: Path, recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (simulated, evaluation):
        monkeypatch.setattr(module, "simulate_samples", toy_world)
    monkeypatch.setattr(card, "TEST_SAMPLES", 4_000)
    before = load_bundle(trained / "teacher" / "bundle").sha256
    lines: list[str] = []
    train_teacher(recipe, trained / "teacher", name="toy", progress=lines.append)
    assert not [line for line in lines if "epoch 1 of" in line]
    assert load_bundle(trained / "teacher" / "bundle").sha256 == before


def test_a_directory_belongs_to_one_recipe(trained: Path, recipe: Recipe) -> None:
    with pytest.raises(TrainingError, match="another recipe"):
        train_teacher(replace(recipe, seed=9), trained / "teacher")
