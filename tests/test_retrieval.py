from __future__ import annotations

import dataclasses
import pickle
import subprocess
import sys
from pathlib import Path

import dask
import numpy as np
import pytest
import xarray as xr
from random_bundle import random_bundle

from aktes_xr import sensor
from aktes_xr.cube import new_cube
from aktes_xr.cube.quality import decode
from aktes_xr.errors import InputError, MissingVariableError
from aktes_xr.models import Bundle
from aktes_xr.models.features import QUANTITIES
from aktes_xr.radiative import surface_pressure_from_elevation
from aktes_xr.retrieval import retrieve
from aktes_xr.retrieval.mapping import NEIGHBOURHOOD_PIXELS
from aktes_xr.terrain import (
    grid_convergence,
    local_incidence,
    terrain_complexity,
    terrain_indices,
)

SHAPE = (2, 5, 150, 170)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return random_bundle(tmp_path_factory.mktemp("bundle") / "random")


def cube(*, units: str = "DN", seed: int = 0) -> xr.Dataset:
    rng = np.random.default_rng(seed)
    base = np.array([1362, 1423, 1496, 1709, 1802], float)[:, None, None]
    dn = base * rng.uniform(0.8, 1.2, SHAPE)
    tir = dn.astype(np.uint16)
    tir[0, :, :20, :30] = 0
    tir[1, 2, 5, 5] = 4095
    tir[1, 3, 100, 100] = 0
    if units != "DN":
        gain = np.array([6.882e-3, 6.780e-3, 6.590e-3, 5.693e-3, 5.225e-3])[:, None, None]
        tir = np.where(tir == 0, np.nan, (tir - 1.0) * gain).astype(np.float32)
    ds = new_cube(
        tir,
        time=["2004-07-01T18:00", "2005-01-02T06:00"],
        y=4_000_000.0 - 90.0 * np.arange(SHAPE[2]),
        x=300_000.0 + 90.0 * np.arange(SHAPE[3]),
        crs="EPSG:32617",
        units=units,
        coordinates={
            "view_zenith": [3.0, 5.0],
            "sun_zenith": [60.0, 120.0],
            "sun_azimuth": [140.0, 20.0],
            "item_id": ["a", "b"],
            "processing_time": np.array(["2005-12-01", "2015-04-09"], "datetime64[ns]"),
        },
    )
    y, x = np.mgrid[: SHAPE[2], : SHAPE[3]]
    elevation = 500.0 + 400.0 * np.sin(x / 12.0) * np.sin(y / 15.0)
    ds["elevation"] = (("y", "x"), elevation.astype(np.float32), {"units": "m"})
    ds["water_vapor"] = ("time", np.array([20.0, 8.0]), {"units": "kg m-2"})
    ds["ancillary_elevation"] = ((), np.float32(620.0), {"units": "m"})
    return ds


def terrain(ds: xr.Dataset) -> xr.Dataset:
    rng = np.random.default_rng(5)
    shape = (ds.sizes["y"], ds.sizes["x"])
    complexity = np.clip(rng.normal(0.3, 0.3, shape), 0, None)
    complexity[:64] = 0.0
    fields = {
        "terrain_complexity_k": complexity,
        "sky_view_factor": rng.uniform(0.5, 1.0, shape),
        "slope": rng.uniform(0.0, 50.0, shape),
        "aspect": rng.uniform(0.0, 360.0, shape),
        "relief": rng.uniform(0.0, 800.0, shape),
    }
    return xr.Dataset(
        {name: (("y", "x"), field.astype(np.float32)) for name, field in fields.items()},
        coords={"y": ds.y, "x": ds.x, "spatial_ref": ds.spatial_ref},
    )


@pytest.mark.parametrize("method", ["teacher", "student", "fusion"])
@pytest.mark.parametrize("units", ["DN", "W m-2 sr-1 um-1"])
def test_chunking_changes_no_bit(bundle: Bundle, method: str, units: str) -> None:
    ds = cube(units=units)
    whole = retrieve(
        ds.chunk(time=-1, band=-1, y=-1, x=-1), method=method, bundle=bundle, terrain=terrain(ds)
    ).compute()
    for time, y, x in ((1, 64, 64), (2, (33, 90, 27), (101, 69)), (1, 150, 7)):
        cut = retrieve(
            ds.chunk(time=time, band=1, y=y, x=x),
            method=method,
            bundle=bundle,
            terrain=terrain(ds).chunk(y=40, x=170),
        )
        xr.testing.assert_identical(cut.compute(), whole)


def by_hand(ds: xr.Dataset, ground: xr.Dataset, bundle: Bundle, date: int) -> dict[str, np.ndarray]:
    """The same retrieval in plain NumPy over whole images, pixel lists and float64 sums."""
    shape = (ds.sizes["y"], ds.sizes["x"])
    dn = ds["tir"].isel(time=date).to_numpy()
    kelvin = sensor.dn_to_brightness_temperature(dn.transpose(1, 2, 0)).transpose(2, 0, 1)
    quantities = np.full((len(QUANTITIES), *shape), np.nan, np.float32)
    place = {name: index for index, name in enumerate(QUANTITIES)}
    quantities[:5] = kelvin
    quantities[place["view_zenith"]] = float(ds["view_zenith"][date])
    quantities[place["surface_pressure"]] = surface_pressure_from_elevation(ds["elevation"])
    quantities[place["water_vapor"]] = water = float(ds["water_vapor"][date])
    quantities[place["water_vapor_error"]] = 0.1 * water
    for name in ("sky_view_factor", "relief"):
        quantities[place[name]] = ground[name]
    quantities[place["sine_of_slope"]] = np.sin(np.deg2rad(ground["slope"]))
    quantities[place["elevation_difference"]] = ds["elevation"] - ds["ancillary_elevation"]
    if ds["sun_zenith"][date] < 90:
        incidence = local_incidence(
            ground["slope"],
            ground["aspect"],
            float(ds["sun_zenith"][date]),
            float(ds["sun_azimuth"][date]),
            convergence=grid_convergence(ds["elevation"]),
        )
        quantities[place["solar_incidence"]] = np.maximum(incidence, 0.0)
    else:
        quantities[place["solar_incidence"]] = 0.0
    reach = NEIGHBOURHOOD_PIXELS
    for band in range(5):
        counts = np.where(dn[band] == 0, np.nan, dn[band] - 1.0)
        padded = np.pad(counts, reach, constant_values=np.nan)
        windows = np.lib.stride_tricks.sliding_window_view(padded, (2 * reach + 1,) * 2)
        number = np.maximum(np.isfinite(windows).sum(axis=(2, 3)), 1)
        mean = np.nansum(windows, axis=(2, 3)) / number * sensor.UNIT_CONVERSION[band]
        name = f"adjacent_brightness_temperature_{sensor.BANDS[band]}"
        quantities[place[name]] = sensor.radiance_to_brightness_temperature(
            mean, band=sensor.BANDS[band]
        )
    table = quantities.reshape(len(QUANTITIES), -1).T
    teacher, student = (model.predict(table) for model in (bundle.teacher, bundle.students[0]))
    complexity = ground["terrain_complexity_k"].to_numpy().ravel()
    assert bundle.fusion is not None
    weight = bundle.fusion.weight(complexity, teacher[1][:, 0], student[1][:, 0])
    wide = weight[:, np.newaxis]
    limits = np.array([[-np.inf] + [0.2] * 5, [np.inf] + [1.0] * 5])
    estimates = [np.clip(network[0], *limits) for network in (teacher, student)]
    gap = estimates[1] - estimates[0]
    variance = wide * student[1] ** 2 + (1 - wide) * teacher[1] ** 2 + wide * (1 - wide) * gap**2
    valid = np.isfinite(kelvin).all(axis=0).ravel()[:, np.newaxis]
    estimate = np.where(valid, estimates[0] + wide * gap, np.nan)
    sigma = np.where(valid, np.sqrt(variance), np.nan)
    return {
        "surface_temperature": estimate[:, 0].reshape(shape),
        "emissivity": estimate[:, 1:].T.reshape(5, *shape),
        "surface_temperature_uncertainty": sigma[:, 0].reshape(shape),
        "emissivity_uncertainty": sigma[:, 1:].T.reshape(5, *shape),
        "student_weight": np.where(valid[:, 0], weight, np.nan).reshape(shape),
    }


@pytest.mark.parametrize("date", [0, 1])
def test_equals_the_retrieval_by_hand(bundle: Bundle, date: int) -> None:
    ds = cube()
    result = retrieve(ds, bundle=bundle, terrain=terrain(ds)).isel(time=date).compute()
    for name, expected in by_hand(ds, terrain(ds), bundle, date).items():
        np.testing.assert_allclose(result[name], expected, rtol=2e-4, atol=2e-4, err_msg=name)
        # float32 against float64 in places: almost everywhere the agreement is closer by far.
        difference = np.abs(result[name].to_numpy() - expected)
        assert np.nanquantile(difference, 0.99) < 5e-5 * max(1.0, np.nanmax(np.abs(expected)))


def test_flags(bundle: Bundle) -> None:
    ds = cube()
    ds["cloud"] = (("time", "y", "x"), np.zeros((2, 150, 170), bool))
    ds["cloud"][0, 80, 80] = True
    ground = terrain(ds)
    flags = decode(retrieve(ds, bundle=bundle, terrain=ground)["quality"].compute())
    fill = (ds["tir"] == 0).any("band").to_numpy()
    np.testing.assert_array_equal(flags["fill"], fill)
    assert flags["saturated"].sum() == 1
    assert bool(flags["saturated"][1, 5, 5])
    np.testing.assert_array_equal(np.argwhere(flags["cloud"].to_numpy()), [[0, 80, 80]])
    assert not flags["water"].any()
    measured = ~fill
    assert bundle.fusion is not None
    complexity = ground["terrain_complexity_k"].to_numpy()
    expected = {
        "retrieved_by_teacher": complexity <= bundle.fusion.start_k,
        "retrieved_by_student": complexity >= bundle.fusion.full_k,
        "steep": complexity > 0.3,
    }
    for name, members in expected.items():
        np.testing.assert_array_equal(flags[name], members & measured, err_msg=name)
    total = sum(flags[f"retrieved_by_{name}"] for name in ("teacher", "student", "fusion"))
    np.testing.assert_array_equal(total, measured)
    # Air temperature is not given; the second date is at night and reprocessed.
    np.testing.assert_array_equal(flags["ancillary_missing"], measured)
    assert flags["shadowed"][0].any()
    assert not flags["shadowed"][1].any()
    assert flags["drift_uncorrected"].any(("y", "x")).values.tolist() == [True, False]
    assert not flags["no_elevation"].any()


def test_out_of_domain_is_flagged(bundle: Bundle) -> None:
    ds = cube()
    ds["view_zenith"] = ("time", [3.0, 15.0], {"units": "degree"})
    ds["water_vapor"][1] = 1e2
    high = bundle.teacher.scaling.high.copy()
    high[8] = (9.0 - bundle.teacher.scaling.center[8]) / bundle.teacher.scaling.scale[8]
    teacher = dataclasses.replace(
        bundle.teacher, scaling=dataclasses.replace(bundle.teacher.scaling, high=high)
    )
    narrow = dataclasses.replace(bundle, models={"teacher": teacher}, fusion=None, sha256="narrow")
    flags = decode(retrieve(ds, method="teacher", bundle=narrow, terrain=terrain(ds))["quality"])
    outside = flags["out_of_domain"].compute()
    assert not outside[0].any()
    np.testing.assert_array_equal(outside[1], (ds["tir"][1] != 0).all("band"))


def test_a_field_of_one_value_is_as_good_as_its_number(bundle: Bundle) -> None:
    numbers = cube().isel(y=slice(0, 70), x=slice(0, 60))
    numbers["water_vapor_error"] = ((), 1.5, {"units": "kg m-2"})
    numbers["air_temperature"] = ("time", [291.0, 285.0], {"units": "K"})
    ground = terrain(numbers)
    fields = numbers.copy()
    shape = xr.zeros_like(numbers["tir"].isel(band=0, drop=True), dtype=float)
    for name in ("water_vapor", "water_vapor_error", "air_temperature"):
        fields[name] = (numbers[name] + shape).transpose("time", "y", "x")
        fields[name].attrs = numbers[name].attrs
    prior = np.full((5, 70, 60), 0.96, np.float32)
    prior[:, 40:50] = np.nan
    for ds in (numbers, fields):
        ds["emissivity_prior"] = (("band", "y", "x"), prior, {"units": "1"})
        ds["cloud"] = (("time", "y", "x"), shape.to_numpy() > 0.0)
        ds["water"] = (("time", "y", "x"), np.random.default_rng(1).random(shape.shape) < 0.3)
    expected = retrieve(numbers, bundle=bundle, terrain=ground).compute()
    for chunks in ((2, 70, 60), (1, 31, 17)):
        cut = fields.chunk(dict(zip(("time", "y", "x"), chunks, strict=True)))
        found = retrieve(cut, bundle=bundle, terrain=ground).compute()
        xr.testing.assert_identical(found.drop_attrs(), expected.drop_attrs())
    flags = decode(expected["quality"])
    np.testing.assert_array_equal(flags["water"], fields["water"] & ~flags["fill"])
    assert not flags["ancillary_missing"].any()
    without = retrieve(numbers.drop_vars("emissivity_prior"), bundle=bundle, terrain=ground)
    same = (without.compute() == expected)["surface_temperature"]
    known = ~flags["fill"].to_numpy()
    assert same.to_numpy()[:, 40:50][known[:, 40:50]].all()
    assert not same.to_numpy()[:, :40][known[:, :40]].any()


def test_without_elevation_the_teacher_retrieves_and_says_so(bundle: Bundle) -> None:
    ds = cube().drop_vars("elevation")
    result = retrieve(ds, bundle=bundle)
    assert (result.attrs["method"], result.attrs["method_used"]) == ("fusion", "teacher")
    assert "sky_view_factor" not in result
    flags = decode(result["quality"]).compute()
    np.testing.assert_array_equal(flags["no_elevation"], ~flags["fill"])
    np.testing.assert_array_equal(flags["retrieved_by_teacher"], ~flags["fill"])


def test_pixels_without_elevation_fall_to_the_teacher(bundle: Bundle) -> None:
    ds = cube()
    ds["elevation"][70:80, 70:80] = np.nan
    ground = terrain(ds)
    for name in ground.data_vars:
        ground[name][70:80, 70:80] = np.nan
    result = retrieve(ds, method="student", bundle=bundle, terrain=ground).compute()
    flags = decode(result["quality"])
    np.testing.assert_array_equal(flags["no_elevation"], flags["retrieved_by_teacher"])
    assert int(flags["no_elevation"][0].sum()) == 100
    assert np.isfinite(result["surface_temperature"][0, 70:80, 70:80]).all()


def test_terrain_is_computed_from_the_elevation(bundle: Bundle) -> None:
    ds = cube()
    indices = terrain_indices(ds["elevation"])
    own = retrieve(ds, bundle=bundle, terrain=indices.assign(terrain_complexity(indices).data_vars))
    result = retrieve(ds, bundle=bundle)
    for name in ("terrain_complexity", "sky_view_factor"):
        assert result[name].dims == ("y", "x")
    xr.testing.assert_identical(result.compute(), own.compute())


def test_lazy_small_graph_and_input_unchanged(bundle: Bundle) -> None:
    ds = cube().chunk(time=1, y=75, x=85)
    before = ds.copy(deep=True)

    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError("computed")

    with dask.config.set(scheduler=refuse):
        result = retrieve(ds, bundle=bundle)
    xr.testing.assert_identical(ds, before)
    assert all(variable.chunks is not None for variable in result.data_vars.values())
    own = [
        value
        for key, value in dict(result["surface_temperature"].__dask_graph__()).items()
        if "aktes-retrieve" in str(key)
    ]
    assert len(own) == 8
    assert max(len(pickle.dumps(value)) for value in own) < 3000
    again = retrieve(ds, bundle=bundle)
    assert again["quality"].data.name == result["quality"].data.name


def test_result_follows_cf_and_keeps_the_crs(bundle: Bundle) -> None:
    ds = cube()
    result = retrieve(ds, bundle=bundle)
    assert result.rio.crs == ds.rio.crs
    assert result["surface_temperature"].dims == ("time", "y", "x")
    assert result["emissivity"].dims == ("time", "band", "y", "x")
    assert result["quality"].dtype == np.uint16
    assert result["surface_temperature"].attrs["units"] == "K"
    assert result["surface_temperature"].attrs["standard_name"] == "surface_temperature"
    for name, variable in result.data_vars.items():
        assert variable.encoding["grid_mapping"] == "spatial_ref", name
        assert "long_name" in variable.attrs, name
    for name in ds.coords:
        assert name in result.coords
    assert result.attrs["bundle_sha256"] == bundle.sha256
    assert result.attrs["item_ids"] == ["a", "b"]
    assert result.attrs["assumed_water_vapor_error"] == "10% of the value"
    assert bundle.location not in str(result.attrs)


def test_empty_and_tiny_cubes(bundle: Bundle) -> None:
    ds = cube()
    tiny = retrieve(ds.isel(y=slice(30, 33), x=slice(40, 44)), bundle=bundle)
    assert tiny["surface_temperature"].compute().notnull().all()
    ground = terrain(ds)
    for cut in ({"y": slice(0, 0)}, {"time": slice(0, 0)}):
        part = {axis: where for axis, where in cut.items() if axis != "time"}
        empty = retrieve(ds.isel(cut), bundle=bundle, terrain=ground.isel(part)).compute()
        assert 0 in empty["surface_temperature"].shape


def test_errors_before_any_graph(bundle: Bundle, tmp_path: Path) -> None:
    ds = cube()
    with pytest.raises(InputError, match="expected one of fusion"):
        retrieve(ds, method="magic", bundle=bundle)  # type: ignore[arg-type]
    with pytest.raises(MissingVariableError, match="air_temperature"):
        retrieve(ds, method="tes", bundle=bundle)
    with pytest.raises(MissingVariableError, match="elevation"):
        retrieve(ds.drop_vars("elevation"), method="student", bundle=bundle)
    with pytest.raises(InputError, match="no student"):
        retrieve(ds, method="student", bundle=random_bundle(tmp_path / "t", students=False))
    with pytest.raises(MissingVariableError, match="terrain lacks relief"):
        retrieve(ds, bundle=bundle, terrain=terrain(ds).drop_vars("relief"))


def test_runs_where_tensorflow_cannot_be_imported(bundle: Bundle, tmp_path: Path) -> None:
    # Without elevation: compiling the terrain kernels once more would prove nothing.
    small = cube().isel(time=[0], y=slice(0, 40), x=slice(0, 40)).drop_vars("elevation")
    small.to_netcdf(tmp_path / "cube.nc")
    code = """
import sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"tensorflow", "keras", "autokeras", "keras_tuner"}:
            raise ImportError(f"{name} is not installed here")

sys.meta_path.insert(0, Blocker())
import xarray as xr
import aktes_xr
ds = xr.open_dataset(sys.argv[1], decode_coords="all")
result = aktes_xr.retrieve(ds, bundle=sys.argv[2]).compute()
assert int(result["surface_temperature"].notnull().sum()) == 40 * 40 - 20 * 30
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "cube.nc"), bundle.location],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_threads_and_processes_give_the_same_bits(bundle: Bundle) -> None:
    ds = cube().chunk(time=1, y=75, x=170)
    lazy = retrieve(ds, bundle=bundle, terrain=terrain(ds))
    single = lazy.compute(scheduler="synchronous")
    xr.testing.assert_identical(lazy.compute(scheduler="threads", num_workers=4), single)
    xr.testing.assert_identical(lazy.compute(scheduler="processes", num_workers=2), single)
