"""A user's own file: its names, units, grids and times, and what is said of what cannot be used."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import dask
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from placed_cubes import DATES, PLACE, cube_at, degrees_of

from aktes_xr import add_ancillaries, cube, errors
from aktes_xr.ancillaries import height
from aktes_xr.ancillaries.moments import bracket
from aktes_xr.ancillaries.names import conversion

TIMES = pd.date_range("2004-07-01", "2004-07-31", freq="h")


def temperature(latitude: Any, longitude: Any, hours: Any = 0.0) -> Any:
    return 290.0 - 0.5 * (latitude - 43.0) + 0.2 * (longitude - 7.0) + 0.01 * hours


def hours_of(times: Any) -> np.ndarray:
    return np.asarray((np.asarray(times) - TIMES.to_numpy()[0]) / np.timedelta64(1, "h"))


def grid(
    *,
    step: float = 0.25,
    north_first: bool = True,
    from_zero: bool = False,
    whole: bool = False,
    times: pd.DatetimeIndex = TIMES,
) -> xr.Dataset:
    """Air temperature of a box, or all round the globe, as reanalyses lay it out."""
    latitude = np.arange(40.0, 47.0 + step / 2, step)
    west, east = (-180.0, 180.0) if whole else (-4.0, 12.0)
    longitude = np.arange(west, east, step)
    values = temperature(
        latitude[:, np.newaxis], longitude, hours_of(times)[:, np.newaxis, np.newaxis]
    )
    ds = xr.Dataset(
        {"t2m": (("time", "latitude", "longitude"), values.astype(np.float32), {"units": "K"})},
        coords={"time": times, "latitude": latitude, "longitude": longitude},
    )
    if from_zero:
        ds = ds.assign_coords(longitude=ds["longitude"] % 360.0).sortby("longitude")
    return ds.isel(latitude=slice(None, None, -1)) if north_first else ds


def expected(ds: xr.Dataset) -> np.ndarray:
    hours = hours_of(ds["time"])[:, np.newaxis, np.newaxis]
    return np.asarray(temperature(*degrees_of(ds), hours))


def check_temperature(found: xr.Dataset, ds: xr.Dataset) -> None:
    np.testing.assert_allclose(found["air_temperature"], expected(ds), atol=2e-4)
    cube.check(found.compute())


@pytest.mark.parametrize("north_first", [True, False])
@pytest.mark.parametrize("from_zero", [True, False])
@pytest.mark.parametrize("longitude", [7.4, -0.02])
def test_either_direction_of_latitude_and_longitude(
    north_first: bool, from_zero: bool, longitude: float
) -> None:
    ds = cube_at((43.6, longitude), epsg=32632 if longitude > 6 else 32630, elevation=False)
    source = grid(north_first=north_first, from_zero=from_zero, whole=True, times=TIMES[::6])
    check_temperature(add_ancillaries(ds, source), ds)


def test_a_grid_across_the_date_line() -> None:
    ds = cube_at((43.6, 180.0), epsg=32601, elevation=False)
    source = grid(whole=True, times=TIMES[::6])
    _, longitude = degrees_of(ds)
    assert longitude.max() > 179.9
    assert longitude.min() < -179.9
    found = add_ancillaries(ds, source)["air_temperature"].compute()
    assert found.notnull().all()
    # West of the last cell, and east of the first, the field is what it is anywhere.
    west = longitude > 0
    to_the_seam = np.clip((longitude - 179.75) / 0.25, 0.0, 1.0)
    hours = hours_of(ds["time"])[:, np.newaxis, np.newaxis]
    latitude = degrees_of(ds)[0]
    last, first = (temperature(latitude, edge, hours) for edge in (179.75, -180.0))
    seam = last + (first - last) * to_the_seam
    np.testing.assert_allclose(found.values[:, west], seam[:, west], atol=2e-4)


def write(source: xr.Dataset, path: Path) -> Path:
    if path.suffix == ".zarr":
        source.to_zarr(path, consolidated=False)
    elif path.suffix == ".nc3":
        source.to_netcdf(path, engine="scipy")
    else:
        source.to_netcdf(path, engine="h5netcdf")
    return path


@pytest.mark.parametrize("name", ["a.zarr", "a.nc", "a.nc3", "without_a_suffix"])
def test_formats_are_told_by_their_content(tmp_path: Path, name: str) -> None:
    ds = cube_at(elevation=False)
    path = write(grid(times=TIMES[::6]), tmp_path / name)
    found = add_ancillaries(ds, path)
    check_temperature(found, ds)
    assert name in found.attrs["ancillary_source"]
    assert str(tmp_path) not in str(found.attrs)


def test_grib(tmp_path: Path) -> None:
    eccodes = pytest.importorskip("eccodes")
    pytest.importorskip("cfgrib")
    path = tmp_path / "era5.grib"
    source = grid(times=TIMES[48:72])
    with path.open("wb") as stream:
        for time in source["time"].to_numpy():
            for short_name, level_type, lift in (("2t", "surface", 0.0), ("skt", "surface", 5.0)):
                message = eccodes.codes_grib_new_from_samples("regular_ll_sfc_grib1")
                field = source["t2m"].sel(time=time)
                stamp = pd.Timestamp(time)
                for key, value in {
                    "gridType": "regular_ll",
                    "Ni": field.sizes["longitude"],
                    "Nj": field.sizes["latitude"],
                    "latitudeOfFirstGridPointInDegrees": float(field["latitude"][0]),
                    "latitudeOfLastGridPointInDegrees": float(field["latitude"][-1]),
                    "longitudeOfFirstGridPointInDegrees": float(field["longitude"][0]) % 360.0,
                    "longitudeOfLastGridPointInDegrees": float(field["longitude"][-1]),
                    "iDirectionIncrementInDegrees": 0.25,
                    "jDirectionIncrementInDegrees": 0.25,
                    "typeOfLevel": level_type,
                    "shortName": short_name,
                    "dataDate": int(stamp.strftime("%Y%m%d")),
                    "dataTime": stamp.hour * 100,
                    "bitsPerValue": 24,
                }.items():
                    eccodes.codes_set(message, key, value)
                eccodes.codes_set_values(message, field.to_numpy().ravel().astype(float) + lift)
                eccodes.codes_write(message, stream)
                eccodes.codes_release(message)
    ds = cube_at(elevation=False, dates=DATES[:1])
    found = add_ancillaries(ds, path).compute()
    np.testing.assert_allclose(found["air_temperature"], expected(ds), atol=2e-3)
    np.testing.assert_allclose(found["skin_temperature"], expected(ds) + 5.0, atol=2e-3)


def test_grib_without_cfgrib_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.grib").write_bytes(b"GRIB" + bytes(20))
    monkeypatch.setattr("aktes_xr.ancillaries.opening.find_spec", lambda name: None)
    with pytest.raises(errors.DependencyError, match=r"pip install 'aktes-xr\[grib\]'"):
        add_ancillaries(cube_at(), tmp_path / "a.grib")


@pytest.mark.parametrize(
    ("name", "attrs", "quantity", "given", "wanted"),
    [
        ("tcwv", {"units": "kg m**-2"}, "water_vapor", 23.0, 23.0),
        ("TQV", {"units": "kg m-2"}, "water_vapor", 23.0, 23.0),
        ("total_column_water_vapour", {"units": "mm"}, "water_vapor", 23.0, 23.0),
        ("prw", {"units": "g cm-2"}, "water_vapor", 2.3, 23.0),
        (
            "column",
            {
                "units": "cm",
                "standard_name": "lwe_thickness_of_atmosphere_mass_content_of_water_vapor",
            },
            "water_vapor",
            2.3,
            23.0,
        ),
        ("t2m", {"units": "degC"}, "air_temperature", 17.0, 290.15),
        ("T2M", {"units": "K"}, "air_temperature", 290.0, 290.0),
        (
            "ta",
            {"units": "celsius", "standard_name": "air_temperature"},
            "air_temperature",
            17.0,
            290.15,
        ),
        ("sp", {"units": "Pa"}, "surface_pressure", 91_250.0, 912.5),
        ("PS", {"units": "hPa"}, "surface_pressure", 912.5, 912.5),
        ("skt", {"units": "K"}, "skin_temperature", 301.0, 301.0),
        ("TS", {"units": "degree_Celsius"}, "skin_temperature", 28.0, 301.15),
    ],
)
def test_names_and_units(
    name: str, attrs: dict[str, str], quantity: str, given: float, wanted: float
) -> None:
    ds = cube_at(dates=DATES[:1], shape=(4, 5))
    source = xr.Dataset(
        {name: ("time", [given], attrs)}, coords={"time": np.array(DATES[:1], "M8[ns]")}
    )
    found = add_ancillaries(ds, source)
    assert float(found[quantity][0]) == pytest.approx(wanted, rel=1e-6)
    cube.check(found)


def test_a_geopotential_is_a_height_over_gravity() -> None:
    assert conversion("orography", "m**2 s**-2")[0] == pytest.approx(1 / 9.80665)
    assert conversion("orography", "m") == (1.0, 0.0)


def test_what_looks_like_an_ancillary_and_is_of_no_use_is_named(
    caplog: pytest.LogCaptureFixture,
) -> None:
    source = grid(times=TIMES[::6])
    source["tcwv"] = source["t2m"].assign_attrs(units="K")
    source["sp"] = source["t2m"].drop_attrs()
    source["skt"] = source["t2m"].expand_dims(level=[1000, 850])
    source["air_temperature"] = source["t2m"]
    found = add_ancillaries(cube_at(), source)
    assert "water_vapor" not in found
    for words in (
        "'tcwv' is not used: its units are 'K', expected 'kg m-2'",
        "'sp' is not used: it has no units, expected 'hPa'",
        "'skt' is not used: it has the dimension level",
        "'t2m' is not used: air_temperature is taken as air_temperature",
    ):
        assert words in caplog.text


def test_a_file_without_ancillaries_is_refused(tmp_path: Path) -> None:
    xr.Dataset({"wind": ("time", [1.0])}).to_zarr(tmp_path / "a.zarr", consolidated=False)
    with pytest.raises(
        errors.MissingVariableError, match=r"no ancillary variable that can be used \(found: wind\)"
    ):
        add_ancillaries(cube_at(), tmp_path / "a.zarr")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"hello, here are no numbers", "neither a Zarr store nor a NetCDF or GRIB file"),
        (b"\x89HDF\r\n\x1a\n" + bytes(100), "could not be opened"),
        (b"", "neither a Zarr store"),
    ],
)
def test_files_of_no_use(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "a.h5"
    path.write_bytes(content)
    with pytest.raises(errors.AncillaryError, match=words):
        add_ancillaries(cube_at(), path)


def test_a_folder_that_is_no_store_and_a_path_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(errors.AncillaryError, match="could not be opened"):
        add_ancillaries(cube_at(), tmp_path)
    with pytest.raises(errors.AncillaryError, match="found no file 'era55' and no shipped source"):
        add_ancillaries(cube_at(), "era55")
    with pytest.raises(errors.AncillaryError, match="found a int as source"):
        add_ancillaries(cube_at(), [3])  # type: ignore[list-item]
    with pytest.raises(errors.InputError, match="found variables wind"):
        add_ancillaries(cube_at(), "era5", variables=["wind"])
    with pytest.raises(errors.InputError, match="errors is 'ignore'"):
        add_ancillaries(cube_at(), "era5", errors="ignore")  # type: ignore[arg-type]


def test_a_grid_elsewhere_is_refused() -> None:
    with pytest.raises(errors.GridError, match=r"but the cube lies at 9\.9"):
        add_ancillaries(cube_at((10.0, 7.4)), grid(times=TIMES[::6]))


# On the cube's own pixels, or nearly.


def told(ds: xr.Dataset) -> xr.Dataset:
    """What a simulation tells of a cube: on its pixels, with errors and their height."""
    shape = tuple(ds.sizes[dim] for dim in ("time", "y", "x"))
    values = 20.0 + np.arange(np.prod(shape)).reshape(shape) % 97 / 10.0
    source = xr.Dataset(coords={name: ds[name] for name in ("time", "y", "x", "spatial_ref")})
    for name, factor, units in (
        ("water_vapor", 1.0, "kg m-2"),
        ("water_vapor_error", 0.1, "kg m-2"),
        ("air_temperature", 11.0, "K"),
        ("air_temperature_error", 0.07, "K"),
    ):
        field = (values * factor).astype(np.float32)
        source[name] = (("time", "y", "x"), field, {"units": units, "grid_mapping": "spatial_ref"})
    source["ancillary_elevation"] = (("y", "x"), np.full(shape[1:], 640.0, np.float32))
    source["ancillary_elevation"].attrs = {"units": "m"}
    return source


def test_a_file_on_the_cubes_pixels_is_taken_as_it_is(tmp_path: Path) -> None:
    ds = cube_at()
    source = told(ds)
    found = add_ancillaries(ds, write(source, tmp_path / "ancillary.zarr"))
    assert found["water_vapor"].chunks == ds["tir"].isel(band=0).chunks
    for name in source.data_vars:
        np.testing.assert_array_equal(found[name], source[name])
    cube.check(found.compute())


@pytest.mark.parametrize(("pixel", "shift"), [(90.0, 45.0), (89.9034, 3.0), (450.0, 0.0)])
def test_a_grid_that_is_off_is_interpolated(tmp_path: Path, pixel: float, shift: float) -> None:
    """Half a pixel, the archive's own pixel beside 90 m, and another size altogether."""
    ds = cube_at()
    wide = cube_at(shape=(80, 100) if pixel < 100 else (20, 24), pixel=pixel, elevation=False)
    source = told(wide).assign_coords(x=wide["x"] + shift, y=wide["y"] - shift)
    plane = source["y"] * 1e-4 + source["x"] * 2e-4
    source["water_vapor"] = (plane - plane.mean() + 20.0).broadcast_like(source["water_vapor"])
    source["water_vapor"] = source["water_vapor"].transpose("time", "y", "x")
    source["water_vapor"].attrs = {"units": "kg m-2"}
    del source["ancillary_elevation"]
    found = add_ancillaries(ds, write(source, tmp_path / "a.zarr")).compute()
    value = ds["y"] * 1e-4 + ds["x"] * 2e-4 - float(plane.mean()) + 20.0
    np.testing.assert_allclose(found["water_vapor"][0], value, rtol=1e-5)
    # The error that the file states, grown by the distance in space.
    stated = float(source["water_vapor_error"].mean())
    assert 0.98 * stated < float(found["water_vapor_error"].mean()) < 1.5 * stated
    parts = add_ancillaries(cube_at(chunk=23), source).compute()
    np.testing.assert_array_equal(parts["water_vapor"], found["water_vapor"])


def test_a_fine_source_is_cut_to_each_block_and_gives_the_same() -> None:
    """More cells than a block takes whole: it takes its own part, to the same bits."""
    ds = cube_at(shape=(300, 320), chunk=320)
    source = told(cube_at(shape=(330, 350), elevation=False)).drop_vars("ancillary_elevation")
    source = source.assign_coords(x=source["x"] + 30.0)
    whole = add_ancillaries(ds, source).compute()
    parts = add_ancillaries(ds.chunk(y=70, x=64), source).compute()
    for name in ("water_vapor", "water_vapor_error", "air_temperature"):
        assert whole[name].notnull().all()
        np.testing.assert_array_equal(parts[name], whole[name])


def test_a_projected_grid_of_another_system() -> None:
    ds = cube_at(elevation=False)
    other = cube_at(epsg=32631, shape=(60, 60), pixel=500.0, elevation=False)
    latitude, longitude = degrees_of(other)
    field = temperature(latitude, longitude)[np.newaxis].repeat(2, axis=0)
    source = xr.Dataset(
        {"t2m": (("time", "y", "x"), field, {"units": "K"})},
        coords={name: other[name] for name in ("time", "y", "x", "spatial_ref")},
    )
    source["t2m"].encoding["grid_mapping"] = "spatial_ref"
    found = add_ancillaries(ds, source)["air_temperature"].compute()
    np.testing.assert_allclose(found[0], temperature(*degrees_of(ds)), atol=1e-3)


def test_masks_and_a_prior_under_the_cubes_own_names(caplog: pytest.LogCaptureFixture) -> None:
    ds = cube_at()
    source = told(ds)
    source["cloud"] = source["water_vapor"] > 25.0
    bands = xr.DataArray(ds["band"].to_numpy(), dims="band")
    prior = xr.full_like(source["water_vapor"].isel(time=0, drop=True), 0.96)
    source["emissivity_prior"] = prior.expand_dims(band=bands)
    found = add_ancillaries(ds, source)
    np.testing.assert_array_equal(found["cloud"], source["cloud"])
    cube.check(found.compute())
    shifted = add_ancillaries(ds, source.assign_coords(x=source["x"] + 30.0)).compute()
    assert "cloud" not in shifted
    assert (
        "'cloud' is not used: a mask must be bool and lie on the cube's own pixels" in caplog.text
    )
    np.testing.assert_allclose(shifted["emissivity_prior"], 0.96, rtol=1e-6)


# In time.


@pytest.mark.parametrize("suffix", [".nc", ".zarr"])
def test_numbers_per_time(tmp_path: Path, suffix: str) -> None:
    ds = cube_at(dates=["2004-07-06T03:00", "2004-07-06T04:30", "2004-07-22T04:12"])
    source = xr.Dataset(
        {
            "water_vapor": ("time", [9.0, 21.0, 27.0, 30.0], {"units": "kg m-2"}),
            "water_vapor_error": ((), 2.0, {"units": "kg m-2"}),
        },
        coords={
            "time": np.array(
                ["2004-07-06T00", "2004-07-06T03", "2004-07-06T06", "2004-07-22T04"], "M8[ns]"
            )
        },
    )
    found = add_ancillaries(ds, write(source, tmp_path / f"a{suffix}"))
    # At a sample, half way between two, and near the only one of its day.
    assert found["water_vapor"].values.tolist() == [21.0, 24.0, 30.0]
    assert float(found["water_vapor_error"]) == 2.0
    assert "water_vapor" not in ds
    cube.check(found)


def test_times_far_from_any_sample_have_no_value(caplog: pytest.LogCaptureFixture) -> None:
    ds = cube_at(dates=["2004-07-06T03:00", "2004-07-12T03:00"])
    source = xr.Dataset(
        {"water_vapor": ("time", [9.0, 21.0], {"units": "kg m-2"})},
        coords={"time": np.array(["2004-07-06T00", "2004-07-22T04"], "M8[ns]")},
    )
    found = add_ancillaries(ds, source)["water_vapor"].values
    assert found[0] == 9.0
    assert np.isnan(found[1])
    assert "2004-07-12T03:00" in caplog.text


def test_a_field_without_a_time_serves_one_date_only() -> None:
    source = grid(times=TIMES[:1]).isel(time=0, drop=True)
    ds = cube_at(dates=DATES[:1], elevation=False)
    found = add_ancillaries(ds, source)["air_temperature"]
    np.testing.assert_allclose(found[0], temperature(*degrees_of(ds)), atol=2e-4)
    with pytest.raises(errors.MissingVariableError, match="no time, and the cube has several"):
        add_ancillaries(cube_at(), source)


def test_the_bridge_between_two_samples() -> None:
    times = np.array(["2004-07-01T00", "2004-07-01T01"], "M8[ns]")
    dates = np.array(["2004-07-01T00:00", "2004-07-01T00:15", "2004-07-01T03:00"], "M8[ns]")
    found = bracket(dates, times)
    np.testing.assert_allclose(found.hours, [0.0, 0.25 * 0.75, 2.0])
    np.testing.assert_allclose(found.weight, [0.0, 0.25, 0.0])
    assert found.samples.tolist() == [0, 1]
    assert not found.outside.any()
    assert bracket(dates + np.timedelta64(9, "h"), times).outside.all()


# Heights, against published figures.


def test_the_standard_atmosphere() -> None:
    """U.S. Standard Atmosphere 1976: 288.15 K and 1013.25 hPa at 0 m; at 3000 m 268.66, 701.21."""
    warm = height.carry("air_temperature", np.array(288.15), above_m=3000.0)
    assert float(warm) == pytest.approx(268.65, abs=0.02)
    layer = 288.15 - 0.0065 * 1500.0
    linear = height.to_linear("surface_pressure", np.array(1013.25))
    high = height.carry("surface_pressure", linear, above_m=3000.0, layer_k=layer)
    assert float(high) == pytest.approx(701.2, abs=0.5)


def test_lazy_and_the_cube_is_left_alone() -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("computed")

    ds = cube_at()
    before = ds.copy(deep=True)
    lazy = grid(times=TIMES[::6]).chunk(time=20, latitude=10)
    with dask.config.set(scheduler=refuse):
        found = add_ancillaries(ds, lazy)
    xr.testing.assert_identical(ds, before)
    assert found.rio.crs == ds.rio.crs
    assert found["air_temperature"].encoding["grid_mapping"] == "spatial_ref"
    eager = add_ancillaries(ds, grid(times=TIMES[::6]))
    np.testing.assert_array_equal(found["air_temperature"], eager["air_temperature"])


def test_gaps_of_a_source_and_of_the_elevation() -> None:
    source = grid(times=TIMES[::6])
    source["t2m"] = source["t2m"].where(source["longitude"] < 7.3)
    ds = cube_at((43.6, 7.25))
    ds["elevation"][:, :4] = np.nan
    found = add_ancillaries(ds, source)["air_temperature"].compute()
    _, longitude = degrees_of(ds)
    assert np.isfinite(found.values[:, longitude < 7.25]).all()
    assert np.isnan(found.values[:, longitude > 7.31]).all()


def test_no_height_of_the_model_is_said(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="aktes_xr"):
        found = add_ancillaries(cube_at(PLACE), grid(times=TIMES[::6]))
    assert "air_temperature is not carried to the cube's elevation" in caplog.text
    assert "ancillary_elevation" not in found
