"""Simulated granules: relief, land cover, neighbours, sun, and what the files hold."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import numpy as np
import pytest
import rasterio
import xarray as xr

from aktes_xr import sensor
from aktes_xr.cube import check
from aktes_xr.errors import InputError
from aktes_xr.radiative.surface import top_of_atmosphere_radiance
from aktes_xr.simulate import SceneSettings, demo_elevation, simulate_scene, write_scene
from aktes_xr.simulate.adjacency import adjacent_radiance
from aktes_xr.simulate.relief import CELL_SIZE_M, alpine_relief
from aktes_xr.simulate.scene import swath_mask
from aktes_xr.simulate.stac_item import granule_id, off_nadir_of
from aktes_xr.simulate.texture import value_noise
from aktes_xr.stac import open_stac, view_zenith_of
from aktes_xr.terrain import indices_array
from aktes_xr.terrain.solar import solar_position

SHAPE = (120, 140)


@pytest.fixture(scope="module")
def elevation():
    return demo_elevation("alpine", SHAPE, seed=3)


@pytest.fixture(scope="module")
def series(elevation):
    return simulate_scene(elevation, SceneSettings(seed=3, cover="alpine", count=2, clouds=True))


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("granule")
    items = write_scene(folder, terrain="alpine", shape=SHAPE, seed=3, dates=2)
    return folder, items


def test_alpine_relief_is_steep_and_hides_the_sky():
    relief = alpine_relief((300, 300), seed=1)
    indices = indices_array(relief.astype(np.float32), CELL_SIZE_M, azimuths=16)
    assert np.percentile(indices["slope"], 99) > 45
    assert indices["sky_view_factor"].min() < 0.72
    np.testing.assert_array_equal(relief, alpine_relief((300, 300), seed=1))
    assert not np.array_equal(relief, alpine_relief((300, 300), seed=2))


def test_jacksboro_is_the_shipped_elevation_model_in_utm():
    elevation = demo_elevation("jacksboro", (400, 430))
    assert elevation.rio.crs.to_epsg() == 32616
    assert 200 < float(elevation.min()) < 300
    assert 1000 < float(elevation.max()) < 1120
    assert elevation["y"][0] > elevation["y"][-1]
    assert bool(np.isfinite(elevation).all())
    larger = demo_elevation("jacksboro", (700, 830))
    # Relief that is continued may leave the measured range by a twenty-fifth of it.
    assert float(larger.max()) < 1120


def test_noise_has_unit_deviation():
    fields = [value_noise((200, 200), 8.0, np.random.default_rng(seed)) for seed in range(5)]
    assert np.std(fields) == pytest.approx(1.0, abs=0.08)


def test_neighbours_on_a_plane_are_the_pixel_itself():
    leaving = np.random.default_rng(0).uniform(5, 9, size=(20, 20, 5)).astype(np.float32)
    flat = np.zeros((20, 20), dtype=np.float32)
    out = adjacent_radiance(leaving, flat, flat, flat, cell_size_m=(90.0, 90.0))
    np.testing.assert_array_equal(out, leaving)


def test_neighbours_of_a_valley_are_its_sides():
    """A valley floor sees the two slopes, a crest sees nothing above it."""
    x = np.arange(41, dtype=np.float32)
    profile = np.abs(x - 20) * 60
    elevation = np.tile(profile, (41, 1)).astype(np.float32)
    leaving = np.tile(np.where(x > 20, 9.0, 7.0)[:, np.newaxis], (41, 1, 5)).astype(np.float32)
    indices = indices_array(elevation, (90.0, 90.0), azimuths=16)
    out = adjacent_radiance(
        leaving, elevation, indices["slope"], indices["aspect"], cell_size_m=(90.0, 90.0)
    )
    # On the floor both sides count alike; on a side, only the opposite one is above the ground.
    assert out[20, 20, 0] == pytest.approx(8.0, abs=0.15)
    assert out[20, 10, 0] > 8.5
    assert out[20, 30, 0] < 7.5


@pytest.mark.parametrize(
    ("time", "longitude", "latitude", "zenith", "azimuth"),
    [
        # Equinox noon over the equator at Greenwich; summer solstice noon at the tropic.
        (datetime(2003, 3, 21, 12, 7, 30, tzinfo=UTC), 0.0, 0.0, 0.2, None),
        (datetime(2003, 6, 21, 12, 1, 50, tzinfo=UTC), 0.0, 23.44, 0.1, None),
        # The granule of 6 January 2001, 03:11:39 UTC over 115.22 E 15.47 N, as its item says.
        (datetime(2001, 1, 6, 3, 11, 39, tzinfo=UTC), 115.22, 15.47, 90 - 47.852381, 154.289792),
    ],
)
def test_the_sun_is_where_it_was(time, longitude, latitude, zenith, azimuth):
    found, direction = solar_position(time, longitude=longitude, latitude=latitude)
    assert found == pytest.approx(zenith, abs=0.4)
    if azimuth is not None:
        assert direction == pytest.approx(azimuth, abs=0.5)


def test_the_swath_touches_all_edges_and_leaves_the_corners():
    mask = swath_mask((700, 830))
    assert not mask[[0, 0, -1, -1], [0, -1, 0, -1]].any()
    assert mask[:2].any()
    assert mask[-2:].any()
    assert mask[:, :2].any()
    assert mask[:, -2:].any()
    assert 0.7 < mask.mean() < 0.85


def test_a_scene_is_a_cube(series, elevation):
    info = check(series, require=("elevation", "water_vapor", "air_temperature"))
    assert info.tir_units == "DN"
    assert info.shape == (2, *SHAPE)
    assert series.rio.crs == elevation.rio.crs
    fill = (series["tir"] == 0).all("band").to_numpy()
    np.testing.assert_array_equal(~fill[0], swath_mask(SHAPE))
    np.testing.assert_array_equal(np.isnan(series["surface_temperature"].to_numpy()), fill)
    assert int(series["tir"].max()) < sensor.SATURATION_DN


def test_dates_share_the_ground_and_differ_in_the_air(series):
    assert series["emissivity"].dims == ("band", "y", "x")
    assert series["tir"].sizes["time"] == 2
    assert not np.array_equal(series["tir"][0], series["tir"][1])
    step = np.diff(series["time"].to_numpy())[0]
    assert step == np.timedelta64(16, "D")


def test_a_scene_repeats_by_its_settings(elevation):
    settings = SceneSettings(seed=5, cover="alpine")
    first = simulate_scene(elevation, settings)
    assert first.identical(simulate_scene(elevation, settings))


def test_clear_pixels_obey_the_terrain_equation(series):
    date = series.isel(time=0)
    fields = {
        name: np.moveaxis(date[name].to_numpy(), 0, -1)
        for name in (
            "emissivity",
            "transmittance",
            "path_radiance",
            "sky_radiance",
            "adjacent_radiance",
            "tir",
        )
    }
    exact = top_of_atmosphere_radiance(
        date["surface_temperature"].to_numpy(),
        fields["emissivity"],
        fields["transmittance"],
        fields["path_radiance"],
        fields["sky_radiance"],
        sky_view_factor=date["sky_view_factor"].to_numpy(),
        adjacent_radiance=fields["adjacent_radiance"],
    )
    clear = swath_mask(SHAPE) & ~date["cloud"].to_numpy()
    noise = (sensor.dn_to_radiance(fields["tir"]) - exact)[clear]
    sigma = np.hypot(
        sensor.noise_equivalent_radiance(np.full(5, 0.15)), sensor.UNIT_CONVERSION / np.sqrt(12)
    )
    np.testing.assert_allclose(noise.std(axis=0), sigma, rtol=0.05)
    assert np.abs(noise.mean(axis=0) / sigma).max() < 0.05


def test_clouds_are_cold_and_marked(series):
    date = series.isel(time=0)
    inside = swath_mask(SHAPE)
    cloud = date["cloud"].to_numpy()
    assert 0.01 < cloud.mean() < 0.6
    warm = sensor.dn_to_brightness_temperature(date["tir"].sel(band="B13").to_numpy(), band="B13")
    assert np.nanmean(warm[cloud & inside]) < np.nanmean(warm[~cloud & inside]) - 3


def test_air_is_colder_and_drier_where_it_is_high(series):
    date = series.isel(time=0)
    height = date["elevation"].to_numpy().ravel()
    for name in ("true_air_temperature", "precipitable_water"):
        assert np.corrcoef(height, date[name].to_numpy().ravel())[0, 1] < -0.8


def test_sunlit_slopes_are_warmer(elevation):
    date = simulate_scene(
        elevation, SceneSettings(seed=4, cover="arid", dates=(datetime(2003, 10, 1, 9, 0),))
    ).isel(time=0)
    excess = (date["surface_temperature"] - date["true_air_temperature"]).to_numpy()
    light = date["solar_incidence"].to_numpy()
    soil = (date["surface_class"].to_numpy() == 1) & np.isfinite(excess)
    assert excess[soil & (light > 0.8)].mean() > excess[soil & (light < 0.3)].mean() + 4


def test_what_is_told_has_errors_of_the_stated_size(elevation):
    errors = []
    for seed in range(6):
        date = simulate_scene(elevation, SceneSettings(seed=seed, swath=False)).isel(time=0)
        errors.append(
            float(
                ((date["air_temperature"] - date["true_air_temperature"])
                 / date["air_temperature_error"]).mean()
            )
        )  # fmt: skip
    assert 0.2 < np.std(errors) < 2.0


def test_files_are_laid_out_as_in_the_archive(written):
    folder, items = written
    assert len(items) == 2
    document = json.loads(items[0].read_text())
    asset = document["assets"]["TIR"]
    assert [band["name"] for band in asset["eo:bands"]] == [f"TIR_Band{n}" for n in range(10, 15)]
    assert document["properties"]["proj:epsg"] == 32632
    assert asset["proj:shape"] == list(SHAPE)
    with rasterio.open(folder / asset["href"]) as cog:
        assert cog.count == 5
        assert cog.dtypes == ("uint16",) * 5
        assert cog.nodata is None
        assert cog.interleaving.value == "PIXEL"
        assert cog.compression.value == "DEFLATE"
        assert cog.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
        np.testing.assert_allclose(list(cog.transform)[:6], asset["proj:transform"][:6])
        np.testing.assert_allclose(list(cog.bounds), asset["proj:bbox"])
        assert (cog.read(1)[0, 0]) == 0
    catalog = json.loads((folder / "catalog.json").read_text())
    assert {"rel": "child", "href": "./collection.json", "type": "application/json"} in catalog[
        "links"
    ]
    collection = json.loads((folder / "collection.json").read_text())
    linked = [link["href"] for link in collection["links"] if link["rel"] == "item"]
    assert linked == [f"./{item.name}" for item in items]


def test_the_loader_reads_what_was_simulated(written):
    folder, items = written
    truth = xr.open_zarr(folder / "truth.zarr", consolidated=False, decode_coords="all")
    cube = open_stac(items, like=truth, dem=folder / "dem.tif").compute()
    elevation = demo_elevation("alpine", SHAPE, seed=3)
    direct = simulate_scene(elevation, SceneSettings(seed=3, cover="alpine", count=2))
    np.testing.assert_array_equal(cube["tir"], direct["tir"])
    np.testing.assert_array_equal(cube["elevation"], direct["elevation"])
    np.testing.assert_array_equal(cube["time"], truth["time"])
    np.testing.assert_allclose(cube["view_zenith"], truth["view_zenith"], rtol=1e-5)
    np.testing.assert_allclose(cube["sun_azimuth"], truth["sun_azimuth"], rtol=1e-6)
    np.testing.assert_array_equal(truth["surface_temperature"], direct["surface_temperature"])
    np.testing.assert_array_equal(truth["emissivity"], direct["emissivity"])
    told = xr.open_zarr(folder / "ancillary.zarr", consolidated=False, decode_coords="all")
    np.testing.assert_array_equal(told["water_vapor"], direct["water_vapor"])
    assert told["air_temperature"].attrs["units"] == "K"
    assert truth.rio.crs.to_epsg() == 32632


@pytest.mark.parametrize("layout", ["aws", "lpdaac"])
def test_the_other_layouts_give_the_same_cube(written, tmp_path, layout):
    folder, items = written
    others = write_scene(tmp_path, terrain="alpine", shape=SHAPE, seed=3, dates=2, layout=layout)
    truth = xr.open_zarr(folder / "truth.zarr", consolidated=False, decode_coords="all")
    first, second = (open_stac(each, like=truth).compute() for each in (items, others))
    xr.testing.assert_identical(first["tir"], second["tir"])
    if layout == "aws":
        tif = next(tmp_path.glob("*_TIR.tif"))
        with rasterio.open(tif) as cog:
            gains = [float(value) for value in cog.tags()["RADIANCE_GAIN"].split()]
        np.testing.assert_allclose(gains, sensor.UNIT_CONVERSION)
    else:
        assert len(list(tmp_path.glob("*_TIR_B1?.tif"))) == 10


def test_names_and_angles_follow_the_archive():
    date = datetime(2001, 1, 6, 3, 11, 39, tzinfo=UTC)
    assert granule_id(date).startswith("AST_L1T_00301062001031139_")
    for angle in (0.0, 3.0, 8.55):
        assert view_zenith_of(off_nadir_of(angle)) == pytest.approx(angle, abs=1e-9)


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: demo_elevation("moon"), "moon"),
        (lambda: demo_elevation("alpine", (1, 5)), "shape"),
        (lambda: SceneSettings(cover="lunar"), "lunar"),
        (lambda: SceneSettings(split="all"), "split"),
        (lambda: SceneSettings(count=0), "dates"),
        (lambda: write_scene("unused", layout="tape"), "tape"),
    ],
)
def test_bad_arguments_are_named(call, text):
    with pytest.raises(InputError, match=text):
        call()


def test_gaps_in_the_elevation_are_refused(elevation):
    holes = elevation.copy()
    holes[3, 3] = np.nan
    with pytest.raises(InputError, match="gaps"):
        simulate_scene(holes)


def test_a_scene_may_tell_an_emissivity_climatology_of_the_stated_error():
    elevation = demo_elevation("alpine", (60, 70), seed=3)
    told = simulate_scene(elevation, SceneSettings(seed=3, emissivity_error=0.015))
    error = (told["emissivity_prior"] - told["emissivity"]).to_numpy()
    assert error.std() == pytest.approx(0.015, rel=0.15)
    assert abs(error.mean()) < 0.002
    assert (told["emissivity_prior_uncertainty"] == np.float32(0.015)).all()
    bare = simulate_scene(elevation, SceneSettings(seed=3))
    assert "emissivity_prior" not in bare
    np.testing.assert_array_equal(bare["tir"], told["tir"])


@pytest.mark.parametrize("structure", ["water", "edges", "snow"])
def test_a_scene_may_show_a_structure(structure):
    elevation = demo_elevation("alpine", (60, 70), seed=3)
    settings = SceneSettings(
        seed=3,
        structure=structure,
        emissivity_error=0.02,
        air_temperature_range_k=(255.0, 280.0),
        swath=False,
    )
    scene = simulate_scene(elevation, settings)
    check(scene, require=("elevation", "water_vapor", "emissivity_prior"))
    assert scene.identical(simulate_scene(elevation, settings))
    error = (scene["emissivity_prior"] - scene["emissivity"]).to_numpy()
    assert 0.004 < error.std() < 0.05
    if structure == "water":
        assert (scene["surface_class"] == 4).mean() > 0.02
    if structure == "snow":
        snow = scene["surface_class"].to_numpy() == 5
        assert 0.01 < snow.mean()
        assert np.quantile(scene["surface_temperature"].to_numpy()[0][snow], 0.4) <= 273.16


def test_an_unknown_structure_is_named():
    with pytest.raises(InputError, match="lunar"):
        SceneSettings(structure="lunar")
