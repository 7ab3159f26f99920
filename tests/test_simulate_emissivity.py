"""The emissivity prior: what it is made of, its splits, and published relations."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from aktes_xr.baselines import MMD_GILLESPIE
from aktes_xr.errors import InputError
from aktes_xr.simulate.emissivity import (
    CLASS_NAMES,
    CLASSES,
    SPLITS,
    contrast,
    draw_emissivity,
    load_prior,
    prior_figure,
)
from aktes_xr.tables.emissivity import main as build

REFERENCE = Path(
    os.environ.get("AKTES_REFERENCE_DATA", Path(__file__).parents[2] / "shared" / "data")
)


def test_every_row_is_named_cited_and_licensed():
    prior = load_prior()
    assert len(prior.rows) > 150
    for row in prior.rows:
        library = prior.libraries[row["library"]]
        assert row["name"]
        assert library["citation"]
        assert library["licence"]
        assert len(row["emissivity"]) == 5
        assert all(0.3 < value <= 1.0 for value in row["emissivity"])


def test_splits_share_no_endmember_but_pure_water():
    names = {split: set() for split in SPLITS}
    for row in load_prior().rows:
        if row["split"] == "all":
            assert row["component"] == "water"
            continue
        names[row["split"]].add((row["component"], tuple(row["emissivity"])))
    assert not names["train"] & names["test"]
    assert not names["train"] & names["validation"]
    assert not names["validation"] & names["test"]


def test_every_class_can_be_drawn_in_every_split():
    prior = load_prior()
    for split in SPLITS:
        for surface in CLASSES:
            drawn = prior.draw(np.random.default_rng(0), surface, 20, split=split)
            assert drawn.shape == (20, 5)
            assert drawn.dtype == np.float32
            assert ((drawn >= 0.5) & (drawn < 1)).all()


def test_weights_are_those_of_the_classes():
    _, classes = draw_emissivity(np.random.default_rng(1), 50_000)
    shares = np.bincount(classes, minlength=len(CLASSES)) / classes.size
    np.testing.assert_allclose(shares, [surface.weight for surface in CLASSES], atol=0.01)


def test_draws_repeat_by_seed_and_differ_by_split():
    first = draw_emissivity(np.random.default_rng(2), 100)[0]
    np.testing.assert_array_equal(first, draw_emissivity(np.random.default_rng(2), 100)[0])
    assert not np.array_equal(
        first, draw_emissivity(np.random.default_rng(2), 100, split="test")[0]
    )


@pytest.mark.parametrize("split", SPLITS)
def test_minimum_emissivity_follows_the_published_relation(split):
    """Gillespie et al. 1998: emin = 0.994 - 0.687 MMD^0.737, good to 0.015."""
    emissivity, _ = draw_emissivity(np.random.default_rng(3), 20_000, split=split)
    mmd, minimum = contrast(emissivity)
    residual = minimum - (MMD_GILLESPIE[0] - MMD_GILLESPIE[1] * mmd ** MMD_GILLESPIE[2])
    assert abs(residual.mean()) < 0.007
    assert residual.std() < 0.015


def test_classes_look_like_what_they_are_called():
    emissivity, classes = draw_emissivity(np.random.default_rng(4), 40_000)
    mean = {
        name: emissivity[classes == number].mean(axis=0) for number, name in enumerate(CLASS_NAMES)
    }
    assert mean["vegetation"].min() > 0.965
    assert np.ptp(mean["vegetation"]) < 0.01
    # Quartz: the reststrahlen bands near 9 um.
    assert mean["sand"][:3].max() < 0.9 < mean["sand"][3:].min()
    assert mean["water"].min() > 0.96
    assert mean["snow_ice"].min() > 0.96
    assert mean["soil"][3:].min() > mean["soil"][:3].max()


def test_the_figure_shows_the_relation():
    figure = prior_figure(size=500)
    scatter, histogram = figure.axes
    assert "Gillespie et al. 1998" in [text.get_text() for text in scatter.get_legend().get_texts()]
    assert histogram.get_title().startswith("mean")


def test_an_unknown_split_is_named():
    with pytest.raises(InputError, match="holdout"):
        draw_emissivity(np.random.default_rng(0), 1, split="holdout")


def test_the_build_command_reproduces_what_is_shipped(tmp_path, capsys):
    source = REFERENCE / "emissivity_bands.csv"
    if not source.exists():
        pytest.skip("the source table is not at hand")
    assert build([str(source), "--out", str(tmp_path / "prior.json")]) == 0
    shipped = Path(__file__).parents[1] / "aktes_xr" / "data" / "emissivity_prior.json"
    assert (tmp_path / "prior.json").read_text() == shipped.read_text()
    assert "endmembers" in capsys.readouterr().out
