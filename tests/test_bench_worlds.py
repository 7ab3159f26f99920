"""The judge of both worlds: its sums, classes, weights and checks, on numbers made by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from random_bundle import random_bundle

from aktes_xr.bench.world import scene
from aktes_xr.bench.worlds import judge, run
from aktes_xr.bench.worlds_baseline import steep_rows
from aktes_xr.bench.worlds_checks import Domain, checks
from aktes_xr.bench.worlds_edges import Profile, distances, nearest, profile, ratios
from aktes_xr.bench.worlds_first import first_world
from aktes_xr.bench.worlds_methods import (
    ALL,
    FUSION,
    GIVEN,
    INVERSE_VARIANCE,
    METHODS,
    NO_PRIOR,
    NOTHING,
    STUDENT,
    TEACHER,
    TES,
    Estimate,
    by_inverse_variance,
    estimates,
)
from aktes_xr.bench.worlds_tally import ONE, SKY_CLASSES, Cells, gains, pooled, sky_class, tally
from aktes_xr.cube import check
from aktes_xr.errors import InputError

SHAPE = (80, 100)
PIXELS = SHAPE[0] * SHAPE[1]


def made_scene(*, seed: int = 0, structure: str = "fields") -> xr.Dataset:
    """A truth of one class of sky view (0.9), with a lake and a strip out of domain."""
    rng = np.random.default_rng(seed)
    body = np.zeros(SHAPE, bool)
    body[30:60, 30:70] = True
    domain = np.ones(SHAPE, bool)
    domain[:, :4] = False
    return xr.Dataset(
        {
            "surface_temperature": (("time", "y", "x"), rng.normal(290, 5, (1, *SHAPE))),
            "emissivity": (("band", "y", "x"), np.full((5, *SHAPE), 0.95)),
            "sky_view_factor": (("y", "x"), np.full(SHAPE, 0.9)),
            "body": (("y", "x"), body),
            "in_domain": (("y", "x"), domain),
        },
        attrs={"structure": structure},
    )


def estimate(ds: xr.Dataset, error: np.ndarray | float, *, sigma: float = 0.3) -> Estimate:
    truth = ds["surface_temperature"].to_numpy().ravel()
    return Estimate(
        truth + error,
        ds["emissivity"].to_numpy().reshape(5, -1) + 0.01 * np.abs(error),
        np.full(PIXELS, sigma),
        np.full((5, PIXELS), 0.01),
        np.zeros(PIXELS, bool),
    )


def found_in(
    ds: xr.Dataset, fusion: float, *, seed: int = 0, sigma: float = 0.3
) -> dict[str, dict[str, Estimate]]:
    """Two networks that err independently, a fusion by a constant weight, and TES."""
    rng = np.random.default_rng(seed + 100)
    one, other = rng.normal(0, 0.4, PIXELS), rng.normal(0, 0.4, PIXELS)
    by = {
        TEACHER: estimate(ds, one),
        STUDENT: estimate(ds, other),
        FUSION: estimate(ds, (1 - fusion) * one + fusion * other, sigma=sigma),
        TES: estimate(ds, 3 * one),
    }
    by[INVERSE_VARIANCE] = by_inverse_variance(by[TEACHER], by[STUDENT])
    return {ALL: by}


def test_sky_views_fall_into_their_classes() -> None:
    number = sky_class(np.array([0.2, 0.7, 0.879, 0.9, 0.97, 0.995, 1.0]))
    assert [SKY_CLASSES[i] for i in number] == [
        *("<0.70", "0.70-0.88", "0.70-0.88", "0.88-0.96", "0.96-0.99", ">0.99", ">0.99")
    ]


def test_sums_are_those_of_the_pooled_pixels_in_domain() -> None:
    cells: Cells = {}
    errors = []
    for seed in (1, 2):
        ds = made_scene(seed=seed)
        found = found_in(ds, 0.3, seed=seed)
        tally(ds, found, cells)
        error = found[ALL][FUSION].temperature - ds["surface_temperature"].to_numpy().ravel()
        errors.append(error[ds["in_domain"].to_numpy().ravel()])
    pooled_errors = np.concatenate(errors)
    (key,) = cells
    cell = cells[key]
    assert key == (ALL, "fields", "0.88-0.96")
    assert (cell.n, cell.scenes) == (pooled_errors.size, 2)
    assert cell.mae(FUSION) == pytest.approx(np.abs(pooled_errors).mean(), rel=1e-6)
    assert cell.emissivity_mae(FUSION) == pytest.approx(
        0.01 * np.abs(pooled_errors).mean(), rel=1e-3
    )
    share, error = cell.coverage(ONE)
    parts = [np.mean(np.abs(part) <= 0.3) for part in errors]
    assert share == pytest.approx(np.mean(parts), rel=1e-6)
    assert error == pytest.approx(np.std(parts, ddof=1) / 2**0.5, rel=1e-4)
    both = pooled(cells, lambda name: (name[0], "", ""))
    assert both[ALL, "", ""].n == cell.n


def test_the_best_weight_of_equal_networks_is_one_half() -> None:
    cells: Cells = {}
    ds = made_scene()
    tally(ds, found_in(ds, 0.5), cells)
    (cell,) = cells.values()
    weight, best = cell.best_weight
    assert weight == pytest.approx(0.5, abs=0.06)
    assert best == pytest.approx(0.4 / 2**0.5 * (2 / np.pi) ** 0.5, rel=0.05)
    better, least, fused = gains([cell])
    assert least <= fused < better
    assert (better - fused) / (better - least) > 0.95


def test_inverse_variance_trusts_the_surer() -> None:
    ds = made_scene()
    sure, vague = estimate(ds, 0.0, sigma=0.1), estimate(ds, 1.0, sigma=0.3)
    mixed = by_inverse_variance(sure, vague)
    truth = ds["surface_temperature"].to_numpy().ravel()
    np.testing.assert_allclose(mixed.temperature - truth, 0.1, atol=1e-9)
    np.testing.assert_allclose(mixed.emissivity, 0.955, atol=1e-9)
    assert (mixed.sigma > 0.1).all()


@pytest.mark.parametrize(
    ("fusion", "sigma", "failing"),
    [
        (0.5, 0.2828, set()),
        (1.6, 0.2828, {"over the better network, T", "gain over", "coverage"}),
        (0.5, 0.6, {"coverage of 68%"}),
    ],
)
def test_checks_notice_bad_fusions_and_bad_sigmas(
    fusion: float, sigma: float, failing: set[str]
) -> None:
    cells: Cells = {}
    profiles: Profile = {}
    domain = Domain()
    for seed in range(3):
        ds = made_scene(seed=seed)
        found = found_in(ds, fusion, seed=seed, sigma=sigma)
        tally(ds, found, cells)
        profile(ds, found, profiles)
        domain.add(ds, found)
    failed = {
        c.name
        for c in checks("w", cells, profiles, domain, {})
        if not c.holds and " e," not in c.name
    }
    failed = {name for name in failed if "of e" not in name and "metal" not in name}
    assert {text for text in failing if any(text in name for name in failed)} == failing
    assert bool(failed) == bool(failing)


def test_metal_must_be_flagged_and_raw_rock_beside_tes() -> None:
    ds = made_scene(structure="raw rock")
    found = found_in(ds, 0.5)
    found = {NO_PRIOR: found[ALL]}
    domain = Domain()
    domain.add(ds, found)
    cells: Cells = {}
    tally(ds, found, cells)
    by_name = {c.name: c for c in checks("w", cells, {}, domain, {NO_PRIOR: 1.0})}
    assert by_name["w: metal flagged as out of domain"].value == 0
    ratio = by_name["w, water and air: raw rock not flagged, fusion over TES"]
    assert ratio.value == pytest.approx(0.707 / 3, rel=0.05)


def test_a_steep_class_is_compared_with_the_first_versions_teacher() -> None:
    ds = made_scene()
    ds["sky_view_factor"][:] = 0.5
    cells: Cells = {}
    tally(ds, found_in(ds, 0.5), cells)
    named = [c for c in checks("w", cells, {}, Domain(), {ALL: 0.5}) if "0.1.0" in c.name]
    assert [c.value for c in named] == [pytest.approx(0.2257 / 0.5, rel=0.05)]


def test_distances_are_counted_from_the_border_on_either_side() -> None:
    body = np.zeros((1, 20), bool)
    body[:, 10:] = True
    inside, outside = (distances(body, inside=side)[0] for side in (True, False))
    assert inside[10:].tolist() == [0, 1, 2, 2, 2, 3, 3, 3, 3, 3]
    assert (inside[:10] == -1).all()
    assert outside[:10].tolist() == [3, 3, 3, 3, 3, 2, 2, 2, 1, 0]


def test_profiles_find_bleeding_at_a_border() -> None:
    ds = made_scene()
    border = np.where(distances(ds["body"].to_numpy(), inside=True).ravel() == 0, 2.0, 1.0)
    found = found_in(ds, 0.5)[ALL] | {FUSION: estimate(ds, border)}
    profiles: Profile = {}
    profile(ds, {ALL: found}, profiles)
    edge = ratios(profiles)[ALL, "fields", "inside", FUSION]
    np.testing.assert_allclose(edge, [2, 1, 1, 1])
    near = nearest(profiles, given=ALL, method=FUSION)
    assert 1.4 < near["fields", "inside"] < 1.6
    assert near["fields", "outside"] == pytest.approx(1.0)
    profile(ds.drop_vars("body"), {ALL: found}, profiles)
    assert len(profiles) == 6


def test_a_scene_is_retrieved_by_every_method_with_what_is_told(tmp_path: Path) -> None:
    bundle = random_bundle(tmp_path / "b")
    found = estimates(scene(3, size=24), bundle)
    assert set(found) == set(GIVEN)
    for given, by in found.items():
        assert set(by) == set(METHODS) - ({TES} if given == NOTHING else set())
        assert by[FUSION].temperature.shape == (24 * 24,)
        assert np.isfinite(by[INVERSE_VARIANCE].emissivity).all()
    assert not np.array_equal(found[NOTHING][TEACHER].temperature, found[ALL][TEACHER].temperature)


def test_any_worlds_scenes_can_be_judged(tmp_path: Path) -> None:
    bundle = random_bundle(tmp_path / "b")
    made = list(first_world(1, size=72))
    check(made[0], require=set(GIVEN[ALL]))
    assert made[0].attrs["structure"].startswith("cover ")
    found, tables = judge("first", [*made, *made], bundle, steep={})
    assert any("by sky view" in table.title for table in tables)
    assert all(check.name.startswith("first") for check in found)
    rows = steep_rows({"tables": [vars(replace(table)) for table in tables]})
    assert set(rows) == {"first"}


def test_what_cannot_be_judged_is_refused() -> None:
    with pytest.raises(InputError, match="'first' or 'second'"):
        run(quick=True, part="third")
    with pytest.raises(InputError, match="by sky view"):
        steep_rows({"tables": []})
