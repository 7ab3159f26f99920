from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from random_bundle import random_bundle, random_cloud_test

from aktes_xr.bench.clouds_tally import CloudTally, ScenePixels
from aktes_xr.errors import BundleIntegrityError, InputError, TrainingError
from aktes_xr.learn.clouds import with_cloud_test
from aktes_xr.models.bundle import load_bundle
from aktes_xr.models.cloud_features import (
    CLOUD_FEATURES,
    SEEN,
    cloud_features,
    describable,
    scene_statistics,
)
from aktes_xr.models.cloud_image import probability_of_image
from aktes_xr.models.cloud_test import CLOUD_FILES, CloudTest, confidence_of
from aktes_xr.models.context import REACH


def test_a_test_survives_its_files() -> None:
    test = random_cloud_test()
    again = CloudTest.from_files(test.files())
    assert again is not None
    features = np.random.default_rng(0).normal(size=(100, len(CLOUD_FEATURES))).astype(np.float32)
    features[:, 3] = np.nan
    np.testing.assert_array_equal(again.probability(features), test.probability(features))
    assert CloudTest.from_files({}) is None


@pytest.mark.parametrize("shape", [(1, 1), (7, 40), (20, 3000)])
def test_an_image_is_tested_as_its_pixels_are(shape: tuple[int, int]) -> None:
    """Rows at a time, calls that are not full, and images wider than a call."""
    test = random_cloud_test()
    rng = np.random.default_rng(1)
    seen = rng.normal(290.0, 5.0, (len(SEEN), *(size + 2 * REACH for size in shape)))
    seen[5] = 100.0
    seen[:, rng.random(seen.shape[1:]) < 0.1] = np.nan
    seen = seen.astype(np.float32)
    statistics = scene_statistics(seen.reshape(len(SEEN), -1))
    inner = (slice(None), slice(REACH, -REACH), slice(REACH, -REACH))
    features = cloud_features(seen, statistics, 40.0)[inner].reshape(len(CLOUD_FEATURES), -1)
    known = describable(seen)[inner[1:]]
    expected = np.where(known, test.probability(features.T).reshape(shape), np.nan)
    found = probability_of_image(test, seen, statistics, 40.0)
    np.testing.assert_array_equal(found, expected.astype(np.float32))
    assert np.ptp(found[known]) > 0.01 or known.sum() < 2


def test_an_infinite_height_is_nobody_s_surroundings() -> None:
    rng = np.random.default_rng(2)
    seen = np.full((len(SEEN), 20, 20), np.nan, np.float32)
    seen[:5] = rng.normal(290.0, 2.0, (5, 20, 20))
    seen[5] = 100.0
    statistics = scene_statistics(seen.reshape(len(SEEN), -1))
    absurd, absent = seen.copy(), seen.copy()
    absurd[5, 10, 10] = np.inf
    absent[:, 10, 10] = np.nan
    found, expected = (cloud_features(one, statistics, 40.0) for one in (absurd, absent))
    others = np.ones((20, 20), bool)
    others[10, 10] = False
    np.testing.assert_array_equal(found[:, others], expected[:, others])
    assert found[CLOUD_FEATURES.index("elevation_known"), 10, 10] == 0.0


@pytest.mark.parametrize(
    "change",
    [{"features": ["other"]}, {"threshold": 2.0}, {"slope": "steep"}, {"layers": []}],
)
def test_files_that_do_not_fit_are_refused(change: dict[str, object]) -> None:
    files = random_cloud_test().files()
    described = json.loads(files[CLOUD_FILES[0]]) | change
    with pytest.raises(BundleIntegrityError):
        CloudTest.from_files(files | {CLOUD_FILES[0]: json.dumps(described).encode()})
    with pytest.raises(BundleIntegrityError, match="incomplete"):
        CloudTest.from_files({CLOUD_FILES[0]: files[CLOUD_FILES[0]]})


def test_one_bundle_takes_over_the_test_of_another(tmp_path: Path) -> None:
    plain = random_bundle(tmp_path / "plain")
    tested = random_bundle(tmp_path / "tested", clouds=True)
    out = with_cloud_test(tmp_path / "new", bundle=plain.location, of=tested.location)
    found = load_bundle(out)
    assert found.cloud_test is not None
    assert found.cloud_test.threshold == 0.5
    assert found.teacher.network.sha256 == plain.teacher.network.sha256
    assert "## Cloud test" in found.model_card
    again = with_cloud_test(out, bundle=str(out), of=str(out), overwrite=True)
    assert load_bundle(again).model_card == found.model_card
    with pytest.raises(TrainingError, match="no cloud test"):
        with_cloud_test(tmp_path / "x", bundle=plain.location, of=plain.location)
    with pytest.raises(InputError, match="either"):
        with_cloud_test(tmp_path / "x", bundle=plain.location)


def test_a_test_that_cannot_be_read_any_more_is_replaced(tmp_path: Path) -> None:
    tested = random_bundle(tmp_path / "tested", clouds=True)
    other = json.loads(tested.extras[CLOUD_FILES[0]]) | {"features": ["those of another version"]}
    old = tmp_path / "old"
    shutil.copytree(tested.location, old)
    manifest = json.loads((old / "bundle.json").read_text())
    text = json.dumps(other).encode()
    entry = {"sha256": hashlib.sha256(text).hexdigest(), "bytes": len(text)}
    manifest["files"][CLOUD_FILES[0]] = entry
    (old / CLOUD_FILES[0]).write_bytes(text)
    (old / "bundle.json").write_text(json.dumps(manifest))
    with pytest.raises(BundleIntegrityError, match="other features"):
        load_bundle(old)
    with_cloud_test(old, bundle=str(old), of=tested.location, overwrite=True)
    assert load_bundle(old).cloud_test is not None


def test_confidence_grades_probability() -> None:
    found = confidence_of(np.array([0.05, 0.3, 0.7, 0.95, np.nan], np.float32))
    np.testing.assert_array_equal(found, [0, 1, 2, 3, 255])


def test_the_tally_counts_misses_by_height_and_false_alarms_by_surface() -> None:
    probability = np.array([[0.9, 0.1], [0.6, 0.2]], np.float32)
    depth = np.array([[5.0, 5.0], [0.0, 0.0]])
    height = np.array([[4000.0, 2000.0], [np.nan, np.nan]])
    change = np.array([[20.0, 3.0], [0.0, 0.0]])
    surface = np.array([[0, 0], [0, 1]])
    tally = CloudTally()
    tally.add(ScenePixels(probability, depth, height, change, surface, "front", True, False), 0.5)
    assert tally.missed("at least 3 km") == 0.0
    assert tally.missed("1.5 to 3 km", "day") == 1.0
    assert np.isnan(tally.missed("1.5 to 3 km", "night"))
    assert tally.missed("2 to 5 K") == 1.0
    assert (tally.commission["land"].value, tally.commission["water"].value) == (1.0, 0.0)
    assert tally.counted.sum() == 4
