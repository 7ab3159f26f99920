from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from random_bundle import random_bundle, steep_domain

import aktes_xr
from aktes_xr import sensor
from aktes_xr.bench.domain_oddities import ODDITIES, Subject
from aktes_xr.cube import new_cube
from aktes_xr.cube.selection import flags
from aktes_xr.errors import BundleIntegrityError, InputError, TrainingError
from aktes_xr.learn.domain import with_domain
from aktes_xr.learn.domain_sample import draw_domain_pixels
from aktes_xr.models.bundle import load_bundle
from aktes_xr.models.domain import DOMAIN_FILES, DomainTest
from aktes_xr.models.features import N_QUANTITIES

SIDE = 40


def cube(*, dates: int = 1) -> xr.Dataset:
    """Random ground, of which in one corner B10 is 12 K warmer than the other bands."""
    rng = np.random.default_rng(3)
    kelvin = np.repeat(rng.uniform(285.0, 300.0, (dates, 1, SIDE, SIDE)), 5, axis=1)
    kelvin[:, 0, :10, :15] += 12.0
    radiance = sensor.brightness_temperature_to_radiance(np.moveaxis(kelvin, 1, -1))
    return new_cube(
        np.moveaxis(sensor.radiance_to_dn(radiance), -1, 1),
        time=np.datetime64("2004-07-01") + np.arange(dates),
        y=4_000_000.0 - 90.0 * np.arange(SIDE),
        x=300_000.0 + 90.0 * np.arange(SIDE),
        crs="EPSG:32617",
        coordinates={"view_zenith": np.full(dates, 3.0)},
    )


def test_a_domain_survives_its_files() -> None:
    domain = steep_domain()
    again = DomainTest.from_files(domain.files())
    assert again is not None
    quantities = np.random.default_rng(0).uniform(280, 300, (100, N_QUANTITIES)).astype(np.float32)
    quantities[:, 7] = np.nan
    score = domain.score(quantities)
    np.testing.assert_array_equal(again.score(quantities), score)
    difference = quantities[:, 0] - quantities[:, 3]
    np.testing.assert_allclose(score, -np.clip(difference, -8.0, 8.0), atol=1e-5)
    assert DomainTest.from_files({}) is None


@pytest.mark.parametrize(
    "change",
    [{"features": ["other"]}, {"threshold": "steep"}, {"threshold": 1e999}, {"layers": []}],
)
def test_files_that_do_not_fit_are_refused(change: dict[str, object]) -> None:
    files = steep_domain().files()
    described = json.loads(files[DOMAIN_FILES[0]]) | change
    with pytest.raises(BundleIntegrityError):
        DomainTest.from_files(files | {DOMAIN_FILES[0]: json.dumps(described).encode()})
    with pytest.raises(BundleIntegrityError, match="incomplete"):
        DomainTest.from_files({DOMAIN_FILES[0]: files[DOMAIN_FILES[0]]})


def test_what_does_not_fit_together_is_flagged_whatever_the_chunks(tmp_path: Path) -> None:
    bundle = random_bundle(tmp_path / "bundle", domain=True)
    whole = aktes_xr.retrieve(cube(dates=2), bundle=bundle).compute()
    found = flags(whole)["out_of_domain"]
    assert found[:, :10, :15].all()
    assert not found[:, 10:].any()
    assert not found[:, :, 15:].any()
    cut = aktes_xr.retrieve(cube(dates=2).chunk(time=1, y=13, x=17), bundle=bundle).compute()
    xr.testing.assert_identical(cut, whole)
    plain = random_bundle(tmp_path / "plain")
    assert plain.domain is None
    assert plain.summary()["domain"] == "ranges of the inputs"
    bare = aktes_xr.retrieve(cube(dates=2), bundle=plain).compute()
    xr.testing.assert_equal(bare["surface_temperature"], whole["surface_temperature"])
    assert not flags(bare)["out_of_domain"].any()


def test_one_bundle_takes_over_the_domain_of_another(tmp_path: Path) -> None:
    plain = random_bundle(tmp_path / "plain", clouds=True)
    other = random_bundle(tmp_path / "other", domain=True)
    out = with_domain(tmp_path / "new", bundle=plain.location, of=other.location)
    found = load_bundle(out)
    assert found.domain is not None
    assert found.cloud_test is not None
    assert found.teacher.network.sha256 == plain.teacher.network.sha256
    assert "## Domain" in found.model_card
    again = with_domain(out, bundle=str(out), of=str(out), overwrite=True)
    assert load_bundle(again).model_card == found.model_card
    with pytest.raises(TrainingError, match="no domain"):
        with_domain(tmp_path / "x", bundle=plain.location, of=plain.location)
    with pytest.raises(InputError, match="either"):
        with_domain(tmp_path / "x", bundle=plain.location)


def test_as_many_pixels_are_distorted_as_normal() -> None:
    drawn = draw_domain_pixels(12, split="train", seed=3, per_field=40, steep_share=0.0)
    assert abs(drawn.normal.mean() - 0.5) < 0.1
    kelvin = drawn.quantities[:, :5]
    assert np.isfinite(kelvin).all()
    # What is told stays as it was: the measurement alone is distorted.
    for number in range(12):
        own = drawn.field == number
        water = drawn.quantities[own, 7]
        assert np.unique(water).size == 1
        spread = [np.ptp(kelvin[own & (drawn.normal == part)].mean(0)) for part in (True, False)]
        assert spread[0] < 25.0
    again = draw_domain_pixels(12, split="train", seed=3, per_field=40, steep_share=0.0)
    np.testing.assert_array_equal(again.quantities, drawn.quantities)


@pytest.mark.parametrize("name", ODDITIES)
def test_oddities_are_odd_where_they_say(name: str) -> None:
    rng = np.random.default_rng(5)
    temperature = rng.uniform(290.0, 300.0, (32, 32))
    clear = sensor.brightness_temperature_to_radiance(np.repeat(temperature[..., None], 5, axis=-1))
    path, sky = np.full(5, 1.0), np.full(5, 1.6)
    numbers = sensor.radiance_to_dn(0.8 * clear + path)
    subject = Subject(numbers, temperature, (np.full(5, 0.8), path, sky))
    strange, where = ODDITIES[name](rng, subject)
    assert strange.shape == numbers.shape
    changed = (strange != numbers).any(axis=-1)
    assert changed[where].mean() > 0.99
    assert not changed[~where].any()
