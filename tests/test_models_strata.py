"""Factors of the stated uncertainty, by stratum."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from random_bundle import random_model

from aktes_xr.errors import BundleIntegrityError
from aktes_xr.learn.fitting import fit_strata
from aktes_xr.learn.pixels import Sample
from aktes_xr.models import BundleContents, PixelModel, load_bundle, write_bundle
from aktes_xr.models.features import (
    N_QUANTITIES,
    QUANTITIES,
    REFERENCE,
    SKY_VIEW_FACTOR,
    WATER_VAPOR,
)
from aktes_xr.models.strata import SKY_NODES, TABLE_SHAPE, WATER_NODES, neutral

SPREAD = QUANTITIES.index("spread_B13_5")


def pixels(count: int) -> np.ndarray:
    quantities = np.full((count, N_QUANTITIES), np.nan, np.float32)
    quantities[:, :5] = 295.0
    return quantities


def with_table(table: np.ndarray) -> PixelModel:
    model = random_model("teacher", (8,))
    scaling = replace(model.scaling, sigma_strata=table.astype(np.float32))
    return replace(model, scaling=scaling)


def factor(table: np.ndarray, quantities: np.ndarray) -> np.ndarray:
    """What the table multiplies the uncertainty of each pixel's temperature by."""
    raw = np.zeros((len(quantities), 12), np.float32)
    with_it = with_table(table).read(raw, quantities)[1]
    without = with_table(neutral()).read(raw, quantities)[1]
    return np.asarray(with_it[:, 0] / without[:, 0])


def test_a_factor_holds_at_its_node_and_beyond() -> None:
    table = neutral()
    table[-2] = np.log(2.0)
    quantities = pixels(3)
    quantities[:, WATER_VAPOR] = [WATER_NODES[-1], 80.0, WATER_NODES[-2]]
    np.testing.assert_allclose(factor(table, quantities), [2.0, 2.0, 1.0], rtol=1e-6)


def test_what_is_not_known_has_an_entry_of_its_own() -> None:
    table = neutral()
    table[-1] = np.log(3.0)
    known, unknown = pixels(1), pixels(1)
    known[:, WATER_VAPOR] = 80.0
    assert factor(table, known)[0] == pytest.approx(1.0)
    assert factor(table, unknown)[0] == pytest.approx(3.0, rel=1e-6)


def test_an_unknown_sky_is_open() -> None:
    table = neutral()
    table[:, -1] = np.log(1.5)
    closed = pixels(1)
    closed[:, SKY_VIEW_FACTOR] = SKY_NODES[0]
    assert factor(table, pixels(1))[0] == pytest.approx(1.5, rel=1e-6)
    assert factor(table, closed)[0] == pytest.approx(1.0)


@pytest.mark.parametrize("column", [WATER_VAPOR, SKY_VIEW_FACTOR, SPREAD])
def test_there_is_no_seam(column: int) -> None:
    table = np.random.default_rng(0).uniform(-1.0, 1.0, TABLE_SHAPE)
    quantities = pixels(20_001)
    quantities[:, [WATER_VAPOR, SKY_VIEW_FACTOR, SPREAD]] = [22.0, 0.9, 0.5]
    low, high = {WATER_VAPOR: (0.0, 70.0), SKY_VIEW_FACTOR: (0.4, 1.0)}.get(column, (0.01, 10.0))
    quantities[:, column] = np.linspace(low, high, len(quantities))
    step = np.abs(np.diff(np.log(factor(table, quantities))))
    assert step.max() < 0.02


def test_planted_factors_are_found() -> None:
    rng = np.random.default_rng(1)
    model = random_model("teacher", (8,))
    quantities = pixels(120_000)
    quantities[:, REFERENCE] = rng.uniform(280.0, 310.0, len(quantities))
    quantities[:, WATER_VAPOR] = rng.choice([3.0, 50.0], len(quantities))
    quantities[:, WATER_VAPOR + 1] = 0.1 * quantities[:, WATER_VAPOR]
    quantities[:, SPREAD] = rng.choice([0.1, 5.0], len(quantities))
    estimate, sigma = model.predict(quantities)
    moist, rough = quantities[:, WATER_VAPOR] > 10.0, quantities[:, SPREAD] > 1.0
    wider = np.where(moist, 2.0, 1.0) * np.where(rough, 1.5, 1.0) * np.where(moist & rough, 1.2, 1)
    truth = estimate + rng.standard_normal(estimate.shape) * sigma * wider[:, np.newaxis]
    fitted = fit_strata(model, Sample(quantities, truth.astype(np.float32)))
    found = fitted.predict(quantities)[1] / sigma
    for members in (moist & rough, moist & ~rough, ~moist & rough, ~moist & ~rough):
        np.testing.assert_allclose(found[members].mean(axis=0), wider[members].mean(), rtol=0.04)


def test_a_bundle_keeps_the_table(tmp_path: Path) -> None:
    table = np.random.default_rng(2).uniform(-1.0, 1.0, TABLE_SHAPE)
    contents = BundleContents("kept", (with_table(table),), "# Kept\n")
    write_bundle(tmp_path / "kept", contents)
    loaded = load_bundle(tmp_path / "kept").teacher.scaling.sigma_strata
    np.testing.assert_allclose(loaded, table, atol=1e-4)


def test_a_table_of_another_shape_is_refused() -> None:
    with pytest.raises(BundleIntegrityError, match="sigma_strata has shape"):
        with_table(np.zeros((2, 2, 2, 6)))
    with pytest.raises(BundleIntegrityError, match="not finite"):
        with_table(np.full(TABLE_SHAPE, np.nan))
