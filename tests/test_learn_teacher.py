"""The whole chain on a toy world in seconds: search, training, distillation, fusion, bundle."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from aktes_xr import learn, sensor
from aktes_xr.errors import TrainingError
from aktes_xr.learn import evaluation, evidence, student, student_sample, teacher
from aktes_xr.learn.drawing import World
from aktes_xr.learn.history import FILE as HISTORY
from aktes_xr.learn.history import read_histories
from aktes_xr.learn.pixels import Sample
from aktes_xr.learn.recipe import Recipe
from aktes_xr.learn.student import distil
from aktes_xr.learn.teacher import train_teacher
from aktes_xr.models import load_bundle
from aktes_xr.models.context import CONTEXT
from aktes_xr.models.features import QUANTITIES

pytestmark = [
    pytest.mark.filterwarnings("ignore:The structure of `inputs` doesn't match:UserWarning"),
    # TensorFlow and Keras-Tuner call what Python has deprecated.
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.slow,
]


def toy_draw(size: int, world: World) -> tuple[Sample, xr.Dataset]:
    """Pixels whose physics is two lines: an atmosphere that absorbs, a terrain that reflects."""
    rng = np.random.default_rng([world.seed, len(world.split), world.terrain])
    temperature = rng.normal(295.0, 12.0, size)
    emissivity = np.clip(rng.normal(0.95, 0.02, (size, 5)), 0.8, 1.0)
    water, air = rng.uniform(1.0, 50.0, size), temperature - rng.normal(3.0, 4.0, size)
    sky = np.clip(1.0 - np.abs(rng.normal(0.0, 0.2, size)), 0.3, 1.0)
    sky = sky if world.terrain else np.ones(size)
    absorbed = water[:, None] * np.array([0.08, 0.06, 0.04, 0.03, 0.05])
    seen = temperature[:, None] - 60.0 * (1.0 - emissivity) * sky[:, None] - absorbed
    seen += rng.normal(0.0, 0.15, (size, 5))
    told = emissivity + 0.015 * rng.normal(size=(size, 5))
    columns = {
        **{f"brightness_temperature_{b}": seen[:, n] for n, b in enumerate(sensor.BANDS)},
        **{f"emissivity_prior_{b}": told[:, n] for n, b in enumerate(sensor.BANDS)},
        **{name: rng.normal(0.0, 0.1, size) ** 2 for name in CONTEXT},
        "view_zenith": rng.uniform(0.0, 8.0, size),
        "surface_pressure": rng.uniform(700.0, 1013.0, size),
        "water_vapor": water * np.exp(0.1 * rng.normal(size=size)),
        "water_vapor_error": 0.1 * water,
        "air_temperature": air + 2.0 * rng.normal(size=size),
        "air_temperature_error": np.full(size, 2.0),
        "skin_temperature": temperature + 3.0 * rng.normal(size=size),
        "skin_temperature_error": np.full(size, 3.0),
        "emissivity_prior_uncertainty": np.full(size, 0.015),
        "sky_view_factor": sky,
        "sine_of_slope": np.sin(0.7 * (1.0 - sky)),
        "solar_incidence": rng.uniform(0.0, 1.0, size),
        "relief": 800.0 * (1.0 - sky),
        "elevation_difference": rng.normal(0.0, 200.0, size),
    }
    assert set(columns) == set(QUANTITIES)
    table = np.column_stack([columns[name] for name in QUANTITIES]).astype(np.float32)
    truth = np.column_stack([temperature, emissivity]).astype(np.float32)
    besides = {
        "structure": rng.integers(0, 2, size).astype(np.int8),
        "surface_class": rng.integers(0, 2, size),
        "profile": rng.integers(0, 20, size),
        "field": np.arange(size),
        "precipitable_water": water,
    }
    simulated = xr.Dataset(
        {name: ("sample", values) for name, values in besides.items()},
        attrs={"classes": "soil rock", "structures": "patches mosaic"},
    )
    return Sample(table, truth), simulated


class Here:
    """Draws each epoch in this process: another one would not know the toy world."""

    def __init__(self, make: Callable[[int], Sample], epochs: int, *, workers: int = 1) -> None:
        self._make = make

    def __enter__(self) -> Callable[[int], Sample]:
        return self._make

    def __exit__(self, *_: object) -> None:
        pass


def toy(patch: pytest.MonkeyPatch) -> None:
    """Let training and its evidence draw from the toy world."""
    for module in (teacher, student_sample, evaluation, evidence):
        patch.setattr(module, "draw", toy_draw)
    for module in (teacher, student):
        patch.setattr(module, "Ahead", Here)
    patch.setattr(evidence, "TEST_SAMPLES", 4_000)


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
        toy(patch)
        bundle = train_teacher(recipe, work / "teacher", name="toy")
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
        *("`toy`", str(recipe.seed), "| relief, unseen air", "## Limits", "mlm.json"),
        *("| level ground, the six model atmospheres", "| the same with nothing told |"),
    ):
        assert words in bundle.model_card
    histories = {one.network: one for one in read_histories(bundle.extras[HISTORY])}
    assert histories["teacher"].epochs == recipe.teacher.epochs
    assert histories["student"].epochs == recipe.student.epochs
    assert histories["teacher"].validation_mae_k[-1] < histories["teacher"].validation_mae_k[0]
    figures = sorted(path.name for path in (trained / "teacher" / "figures").glob("*.png"))
    assert figures == ["leaderboard.png", "loss.png"]
    assert (trained / "student" / "figures" / "loss.svg").stat().st_size > 2000
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
        found = model.network.predict(features)
        kelvin = np.abs(found - expected)[:, 0].max() * model.scaling.output_scale[0]
        assert kelvin < 1e-4
        np.testing.assert_allclose(found, expected, atol=2e-5, rtol=2e-5)
        assert type(plain).__module__.startswith("keras.")


def test_same_call_goes_on_instead_of_starting_anew(
    trained: Path, recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    toy(monkeypatch)
    before = load_bundle(trained / "teacher" / "bundle").sha256
    lines: list[str] = []
    train_teacher(recipe, trained / "teacher", name="toy", progress=lines.append)
    assert not [line for line in lines if "epoch 1 of" in line]
    assert load_bundle(trained / "teacher" / "bundle").sha256 == before


def test_a_directory_belongs_to_one_recipe(trained: Path, recipe: Recipe) -> None:
    with pytest.raises(TrainingError, match="another recipe"):
        train_teacher(replace(recipe, seed=9), trained / "teacher")
