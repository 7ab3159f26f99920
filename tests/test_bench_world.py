"""The world that judges: its physics by analytic cases, its independence, and that it repeats."""

from __future__ import annotations

import ast
from pathlib import Path

import numpy as np
import pytest

import aktes_xr
from aktes_xr import sensor
from aktes_xr.bench.world import KINDS, RELIEFS, STRUCTURES, scene
from aktes_xr.bench.world.air import air_over, draw_profile, water_column
from aktes_xr.bench.world.horizon import horizon_tangent, sky_view, terrain_radiance
from aktes_xr.bench.world.measurement import resampled_noise, toa_radiance
from aktes_xr.bench.world.patterns import fields, patches, rectangles, spectral_field
from aktes_xr.bench.world.relief import draw_relief
from aktes_xr.bench.world.spectra import METAL, band_emissivity, draw_palette, water_spectrum
from aktes_xr.cube import check
from aktes_xr.errors import InputError
from aktes_xr.radiative import simulate_atmosphere

WORLD = Path(aktes_xr.__file__).parent / "bench" / "world"
SHARED = {
    "aktes_xr.bench.world",
    "aktes_xr.cube",
    "aktes_xr.errors",
    "aktes_xr.radiative.atmosphere.simulate_atmosphere",
    "aktes_xr.radiative.planck",
    "aktes_xr.sensor",
}
"""All that this world may have in common with what is judged in it."""


@pytest.mark.parametrize("path", sorted(WORLD.glob("*.py")), ids=lambda path: path.stem)
def test_it_shares_the_sensor_and_the_radiative_transfer_alone(path: Path) -> None:
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    own = {name for name in found if name.startswith("aktes_xr")}
    assert not {n for n in own if not any(n == s or n.startswith(s + ".") for s in SHARED)}


@pytest.mark.parametrize("number", [3, 7, 10])
def test_a_scene_follows_from_its_number(number: int) -> None:
    first, second = scene(number, size=32), scene(number, size=32)
    assert first.identical(second)
    assert first.attrs["structure"] == STRUCTURES[number % len(STRUCTURES)]
    assert not np.array_equal(
        first["tir"].to_numpy(), scene(number + len(STRUCTURES), size=32)["tir"].to_numpy()
    )


@pytest.mark.parametrize("number", range(len(STRUCTURES)))
def test_every_structure_keeps_the_cubes_contract_and_its_own_bounds(number: int) -> None:
    ds = scene(number, size=32)
    info = check(ds, require={"elevation", "emissivity_prior", "water_vapor", "sun_zenith"})
    assert info.tir_units == "DN"
    assert bool((ds["tir"] > 1).all())
    emissivity = ds["emissivity"].where(ds["in_domain"])
    assert float(emissivity.min()) > 0.5
    assert 220 < float(ds["surface_temperature"].min()) < 350
    assert float(ds["sky_view_factor"].max()) <= 1
    frozen = ds["kind"].isin([KINDS.index("snow"), KINDS.index("ice")])
    assert float(ds["surface_temperature"].where(frozen).fillna(0).max()) <= 273.16


def test_reliefs_reach_from_open_sky_to_gorges() -> None:
    least = {}
    for relief in RELIEFS:
        height = draw_relief(relief, (64, 64), np.random.default_rng(5))
        least[relief] = float(sky_view(height, 90.0, azimuths=16).min())
    assert least["flat"] > 0.99
    assert least["gorges"] < 0.7
    with pytest.raises(InputError, match="expected one of"):
        draw_relief("dunes", (8, 8), np.random.default_rng(0))  # type: ignore[arg-type]


def test_sky_view_of_a_plane_a_valley_and_a_crater() -> None:
    rows, columns = np.mgrid[:129, :129] - 64.0
    middle = (64, 64)
    slope = np.deg2rad(30.0)
    plane = columns * 90.0 * np.tan(slope)
    assert sky_view(plane, 90.0)[middle] == pytest.approx((1 + np.cos(slope)) / 2, abs=2e-3)
    # An infinite V: cos S at its floor, where the central difference is level.
    valley = np.abs(columns) * 90.0 * np.tan(slope)
    assert sky_view(valley, 90.0, azimuths=96)[middle] == pytest.approx(np.cos(slope), abs=0.01)
    crater = np.where(np.hypot(rows, columns) > 20, 20.5 * 90.0 * np.tan(slope), 0.0)
    assert sky_view(crater, 90.0)[middle] == pytest.approx(np.cos(slope) ** 2, abs=0.03)
    assert sky_view(np.zeros((9, 9)), 90.0)[4, 4] == pytest.approx(1.0, abs=1e-6)


def test_horizons_lie_where_the_wall_is() -> None:
    wall = np.zeros((40, 40))
    wall[:, 30:] = 900.0
    tangent = horizon_tangent(wall, 90.0, 90.0)
    assert tangent[20, 20] == pytest.approx(1.0, rel=1e-5)
    assert horizon_tangent(wall, 90.0, 270.0)[20, 20] == 0
    north = np.zeros((40, 40))
    north[:10] = 900.0
    assert horizon_tangent(north, 90.0, 0.0)[19, 20] == pytest.approx(1.0, rel=1e-5)


def test_terrain_sends_what_the_visible_side_sends() -> None:
    wall = np.zeros((40, 40))
    wall[:, 30:] = 3000.0
    leaving = np.full((40, 40, 5), 8.0)
    leaving[:, 30:] = 11.0
    around = terrain_radiance(leaving, wall, 90.0)
    # Half of the ramp between the last level pixel and the first of the wall belongs to the former.
    assert (around[20, 20] > 10.0).all()
    assert (around[20, 20] <= 11.0).all()
    even = terrain_radiance(np.full((40, 40, 5), 9.0), wall, 90.0)
    np.testing.assert_allclose(even, 9.0, rtol=1e-5)


def test_water_is_fresnels() -> None:
    expected = (0.984, 0.985, 0.986, 0.993, 0.993)
    np.testing.assert_allclose(band_emissivity(water_spectrum()), expected, atol=0.0015)


def test_only_metal_is_dark() -> None:
    rng = np.random.default_rng(11)
    palette = draw_palette([kind for kind in KINDS for _ in range(60)], rng)
    lowest = palette.emissivity.min(axis=1)
    assert lowest[palette.kind != METAL].min() > 0.5
    assert lowest[palette.kind == METAL].max() < 0.6
    assert palette.emissivity.max() < 1


def test_a_flat_scene_closes_radiatively() -> None:
    """The radiances of a level scene follow from its own truth to noise and rounding."""
    ds = next(
        found
        for found in (scene(number, size=48) for number in range(10, 200, 12))
        if found.attrs["structure"] == "open sea"
    )
    planes = {
        name: np.moveaxis(ds[name].isel(time=0).to_numpy().astype(np.float64), 0, -1)
        for name in ("transmittance", "path_radiance", "sky_radiance")
    }
    emissivity = np.moveaxis(ds["emissivity"].to_numpy().astype(np.float64), 0, -1)
    measured = sensor.dn_to_radiance(np.moveaxis(ds["tir"].to_numpy()[0], 0, -1).astype(np.float64))
    leaving = (measured - planes["path_radiance"]) / planes["transmittance"]
    black = (leaving - (1 - emissivity) * planes["sky_radiance"]) / emissivity
    found = sensor.radiance_to_brightness_temperature(black)
    miss = found - ds["surface_temperature"].to_numpy()[0][..., np.newaxis]
    assert np.abs(miss.mean(axis=(0, 1))).max() < 0.03
    assert miss.std() < 1.2 * ds.attrs["nedt_k"] / float(planes["transmittance"].min())


def test_walls_of_one_temperature_make_a_valley_black() -> None:
    """With equal ground all round, hidden sky raises what a grey surface sends."""
    height = draw_relief("gorges", (48, 48), np.random.default_rng(2))
    profile = draw_profile(np.random.default_rng(3), lowest_m=0, air_k=(285, 286), night=False)
    air = air_over(profile, height, view_zenith_deg=0.0)
    seen = sky_view(height, 90.0, azimuths=16)
    ground, grey = np.full((48, 48), 300.0), np.full((48, 48, 5), 0.9)
    radiance = [
        toa_radiance(ground, grey, air, sky_view=view, elevation=height, cell_size_m=90.0)
        for view in (seen, np.ones_like(seen))
    ]
    assert (radiance[0] >= radiance[1] - 1e-9).all()
    assert (radiance[0] - radiance[1])[seen < 0.7].min() > 0


def test_profiles_hold_the_water_they_are_solved_with() -> None:
    columns = []
    for seed in range(12):
        profile = draw_profile(
            np.random.default_rng(seed), lowest_m=100.0, air_k=(245, 312), night=seed % 2 == 0
        )
        assert (np.diff(profile.pressure_hpa) < 0).all()
        solved = simulate_atmosphere(*profile[1:])
        columns.append(float(solved["precipitable_water"]))
        assert columns[-1] == pytest.approx(water_column(profile), rel=0.03, abs=0.1)
    assert max(columns) > 4 * min(columns)


def test_air_over_relief_is_the_solution_at_its_height() -> None:
    profile = draw_profile(np.random.default_rng(9), lowest_m=0.0, air_k=(295, 300), night=False)
    elevation = np.linspace(0, 2500, 36).reshape(6, 6)
    air = air_over(profile, elevation, view_zenith_deg=6.0)
    for place in ((1, 3), (4, 4)):
        alone = simulate_atmosphere(
            *profile[1:], surface_pressure_hpa=air.surface_pressure[place], view_zenith_deg=6.0
        )
        np.testing.assert_allclose(air.transmittance[place], alone["transmittance"], atol=2e-3)
        np.testing.assert_allclose(air.path_radiance[place], alone["path_radiance"], atol=0.01)
        np.testing.assert_allclose(air.sky_radiance[place], alone["sky_radiance"], atol=0.02)


def test_noise_is_correlated_as_cubic_convolution_leaves_it() -> None:
    noise = resampled_noise((160, 160), np.random.default_rng(1), angle_deg=9.0, pitch=1.0)
    assert noise.shape == (160, 160, 5)
    # The mean over all phases of the kernel's squared weights, along both axes.
    assert noise.var() == pytest.approx(0.66, abs=0.06)
    beside = (noise[:, 1:] * noise[:, :-1]).mean() / noise.var()
    apart = (noise[:, 4:] * noise[:, :-4]).mean() / noise.var()
    bands = (noise[..., 0] * noise[..., 1]).mean() / noise.var()
    assert 0.1 < beside < 0.4
    assert abs(apart) < 0.03
    assert abs(bands) < 0.03


def test_patterns_have_the_sizes_asked_for() -> None:
    rng = np.random.default_rng(4)
    shape = (120, 120)
    small, large = (
        np.mean(patches(shape, rng, size=s)[:, 1:] == patches(shape, rng, size=s)[:, :-1])
        for s in (3.0, 40.0)
    )
    assert small < large
    field = spectral_field(shape, rng, exponent=3.0)
    assert field.std() == pytest.approx(1.0)
    assert len(np.unique(fields(shape, rng, size=10.0))) > 40
    blocks = rectangles(shape, rng, count=5, sides=(8.0, 20.0))
    assert set(np.unique(blocks)) <= set(range(6))
    assert (blocks > 0).any()


def test_told_values_are_wrong_by_what_is_stated() -> None:
    ratios = []
    for number in range(10, 300, 12):
        ds = scene(number, size=16)
        error = ds["air_temperature"] - ds["true_air_temperature"]
        ratios.append(float((error / ds["air_temperature_error"]).mean()))
        relative = float((ds["water_vapor_error"] / ds["water_vapor"]).mean())
        assert 0.029 < relative < 0.51
        assert 0.0029 < float(ds["emissivity_prior_uncertainty"].mean()) < 0.051
    assert np.std(ratios) == pytest.approx(0.8, abs=0.25)


def test_numbers_and_sizes_that_make_no_scene_are_refused() -> None:
    with pytest.raises(InputError, match="from 0 on"):
        scene(-1)
    with pytest.raises(InputError, match="at least 16"):
        scene(0, size=4)
