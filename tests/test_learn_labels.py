"""A user's labels and regions: what is read, what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from random_bundle import random_model

from aktes_xr import sensor
from aktes_xr.errors import AktesError, ConfigError, InputError, MissingVariableError
from aktes_xr.learn.labels import local_pixels, read_labels
from aktes_xr.learn.pixels import UNLABELLED
from aktes_xr.learn.region import domains_of, load_region
from aktes_xr.models import BundleContents, write_bundle
from aktes_xr.models.features import QUANTITIES
from aktes_xr.simulate import SceneSettings, demo_elevation, simulate_scene


def table(count: int = 6) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    columns = {f"brightness_temperature_{band}": 290.0 + rng.random(count) for band in sensor.BANDS}
    columns["sky_view_factor"] = rng.uniform(0.6, 1.0, count)
    columns["surface_temperature"] = [295.0, 296.0, np.nan, 297.0, 298.0, 299.0][:count]
    columns["surface_temperature_error"] = [0.5, np.nan, 1.0, 1.0, 2.0, 1.0][:count]
    columns |= {f"emissivity_{band}": np.linspace(0.9, 0.98, count) for band in sensor.BANDS}
    return pd.DataFrame(columns).assign(station="A")


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".zarr"])
def test_tables_of_three_kinds_say_the_same(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"labels{suffix}"
    if suffix == ".csv":
        table().to_csv(path, index=False)
    elif suffix == ".parquet":
        pytest.importorskip("pyarrow")
        table().to_parquet(path)
    else:
        xr.Dataset.from_dataframe(table().drop(columns="station")).to_zarr(path, consolidated=False)
    found = read_labels(path)
    assert (found.n_labelled, found.n_unlabelled) == (5, 1)
    assert found.quantities.shape == (6, len(QUANTITIES))
    assert np.isnan(found.quantities[:, QUANTITIES.index("water_vapor")]).all()
    assert found.error[0, 0] == np.float32(0.5)
    assert found.error[1, 0] == 1.0  # the standard product's, where none is stated
    assert found.error[2, 0] == UNLABELLED
    assert found.error[2, 1] == np.float32(0.01)


@pytest.mark.parametrize(
    ("change", "error", "text"),
    [
        (lambda t: t.drop(columns="brightness_temperature_B12"), MissingVariableError, "B12"),
        (lambda t: t.iloc[:0], InputError, "no rows"),
        (lambda t: t.assign(surface_temperature=2950.0), InputError, "AST_08"),
        (lambda t: t.assign(emissivity_B10=950.0), InputError, "AST_05"),
        (lambda t: t.assign(surface_temperature_error=-1.0), InputError, "not positive"),
        (lambda t: t.assign(brightness_temperature_B10=np.nan), InputError, "all five"),
    ],
)
def test_impossible_tables_are_refused(tmp_path: Path, change, error, text: str) -> None:
    path = tmp_path / "labels.csv"
    change(table()).to_csv(path, index=False)
    with pytest.raises(error, match=text):
        read_labels(path)


def test_missing_and_strange_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nowhere"):
        read_labels(tmp_path / "nowhere.csv")
    strange = tmp_path / "labels.xlsx"
    strange.write_bytes(b"")
    with pytest.raises(InputError, match="xlsx"):
        read_labels(strange)


def test_pixels_of_a_cube_are_what_the_retrieval_sees() -> None:
    scene = simulate_scene(demo_elevation("alpine", (30, 34), seed=2), SceneSettings(seed=2))
    truth = scene["surface_temperature"].isel(time=0)
    found = local_pixels(scene, surface_temperature=truth, emissivity=scene["emissivity"], most=400)
    assert len(found.truth) == 400
    columns = {name: found.quantities[:, index] for index, name in enumerate(QUANTITIES)}
    assert np.isfinite(columns["sky_view_factor"]).all()
    excess, spread = columns["mean_excess_B13_11"], columns["spread_B13_11"]
    assert np.isfinite(excess).all()
    assert np.abs(excess).mean() < 8.0
    assert (spread > 0).all()
    assert (np.abs(columns["elevation_difference"]) < 1e-3).all()
    assert found.n_labelled > 0.95 * 400
    bare = local_pixels(scene, most=50)
    assert bare.n_labelled == 0


def test_one_date_at_a_time() -> None:
    scene = simulate_scene(
        demo_elevation("alpine", (24, 24), seed=2), SceneSettings(seed=2, count=2)
    )
    with pytest.raises(InputError, match="2 dates"):
        local_pixels(scene)


REGION = """
name = "range"
footprint = [5.0, 43.0, 17.0, 48.5]
covers = ["alpine", "temperate"]
water_vapor = [2, 25]
air_temperature = [260.0, 298.0]
landforms = [["alpine", 3400.0], ["canyon", 1200]]
"""


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "region.toml"
    path.write_text(text)
    return path


def test_region_file_describes_a_locality(tmp_path: Path) -> None:
    region = load_region(write(tmp_path, REGION))
    assert region.name == "range"
    assert region.footprint == (5.0, 43.0, 17.0, 48.5)
    assert region.locality.covers == ("alpine", "temperate")
    assert region.locality.water_vapor_range == (2.0, 25.0)
    assert region.locality.landforms == (("alpine", 3400.0), ("canyon", 1200.0))


@pytest.mark.parametrize("name", ["alpine_range", "arid_range"])
def test_shipped_regions_load_by_name(name: str) -> None:
    region = load_region(name)
    assert region.name == name
    assert region.locality.landforms


def test_a_regions_own_elevation_is_cut_into_pieces(tmp_path: Path) -> None:
    elevation = demo_elevation("alpine", (120, 400), seed=4)
    elevation.rio.to_raster(tmp_path / "dem.tif")
    region = load_region(write(tmp_path, REGION + 'dem = "dem.tif"\n'))
    assert [part.shape for part in region.locality.elevation] == [(120, 360)]
    degrees = elevation.rio.reproject("EPSG:4326")
    degrees.rio.to_raster(tmp_path / "degrees.tif")
    with pytest.raises(ConfigError, match="projected"):
        domains_of(tmp_path / "degrees.tif")


@pytest.mark.parametrize(
    ("text", "error", "match"),
    [
        ("name = 'x'", ConfigError, "footprint"),
        (REGION.replace("17.0", "1.0"), ConfigError, "west < east"),
        (REGION.replace('"range"', '"teacher"'), ConfigError, "teacher"),
        (REGION + "colour = 'red'", ConfigError, "colour"),
        (REGION.replace('"canyon"', '"plain"'), ConfigError, "plain"),
        (REGION.replace("[2, 25]", "[2]"), ConfigError, "kind"),
        (REGION.replace('"temperate"]', '"lunar"]'), AktesError, "lunar"),
        ("name = ", ConfigError, "not TOML"),
    ],
)
def test_bad_region_files_are_refused(tmp_path: Path, text: str, error, match: str) -> None:
    with pytest.raises(error, match=match):
        load_region(write(tmp_path, text))
    with pytest.raises(ConfigError, match="no region file"):
        load_region(tmp_path / "nowhere.toml")


def test_the_smallest_footprint_that_holds_a_place_wins(tmp_path: Path) -> None:
    students = {
        "student": None,
        "continent": (-10.0, 35.0, 40.0, 70.0),
        "alps": (5.0, 43.0, 17.0, 48.5),
        "valley": (7.0, 46.0, 8.0, 46.5),
    }
    models = [
        random_model("teacher", (16,)),
        *(
            random_model("student", (8,), name=name, footprint=box)
            for name, box in students.items()
        ),
    ]
    bundle = write_bundle(tmp_path / "b", BundleContents("b", tuple(models), "# B\n", None))
    places = {(7.5, 46.2): "valley", (10.0, 47.0): "alps", (20.0, 50.0): "continent"}
    places |= {(-70.0, -20.0): "student", (float("nan"), float("nan")): "student"}
    for place, name in places.items():
        found = bundle.student_at(*place)
        assert found is not None
        assert found.name == name
