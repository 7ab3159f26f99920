from __future__ import annotations

import dask
import dask.array as da
import numpy as np
import pytest
import xarray as xr

from aktes_xr import cube, errors


def make_cube(
    *, shape: tuple[int, int] = (6, 8), dates: int = 2, crs: str = "EPSG:32650"
) -> xr.Dataset:
    ny, nx = shape
    tir = da.full((dates, 5, ny, nx), 1400, dtype="uint16", chunks=(1, 5, ny, nx))
    ds = cube.new_cube(
        tir,
        time=np.array(["2001-01-06", "2001-01-22", "2001-02-07"][:dates], dtype="datetime64[ns]"),
        y=1_700_000.0 - 90.0 * np.arange(ny),
        x=270_000.0 + 90.0 * np.arange(nx),
        crs=crs,
        coordinates={
            "view_zenith": np.full(dates, 3.2),
            "sun_zenith": np.full(dates, 42.0),
            "sun_azimuth": np.full(dates, 154.0),
            "item_id": [f"item-{i}" for i in range(dates)],
        },
    )
    ds["elevation"] = (("y", "x"), np.full((ny, nx), 850.0, dtype="float32"), {"units": "m"})
    return ds


def refuse(*_: object, **__: object) -> None:
    raise AssertionError("the check computed something")


def test_a_good_cube_is_described() -> None:
    ds = make_cube()
    info = cube.check(ds, require={"elevation", "view_zenith"})
    assert info.tir_units == "DN"
    assert info.crs == "EPSG:32650"
    assert info.shape == (2, 6, 8)
    assert info.cell_size_m == (90.0, 90.0)
    assert info.has_elevation
    assert info.ancillaries == frozenset()
    assert info.coordinates == {"view_zenith", "sun_zenith", "sun_azimuth", "item_id"}


def test_check_leaves_its_input_alone_and_computes_nothing() -> None:
    ds = make_cube()
    lazy = ds.assign(
        elevation=ds["elevation"].chunk(),
        water_vapor=(("time", "y", "x"), da.full((2, 6, 8), 20.0), {"units": "kg m-2"}),
    )
    before = lazy.copy(deep=True)
    with dask.config.set(scheduler=refuse):
        info = cube.check(lazy)
    assert info.ancillaries == {"water_vapor"}
    xr.testing.assert_identical(lazy, before)


def test_radiance_and_every_ancillary_are_accepted() -> None:
    ds = make_cube()
    ds["tir"] = (ds["tir"].astype("float32") * 0.006).assign_attrs(units="W m-2 sr-1 um-1")
    image, scene = (6, 8), (2, 6, 8)
    ds["water_vapor"] = ("time", [21.0, 33.0], {"units": "kg m**-2"})
    ds["water_vapor_error"] = ((), 2.0, {"units": "kg m-2"})
    ds["air_temperature"] = (("time", "y", "x"), np.full(scene, 290.0), {"units": "K"})
    ds["air_temperature_error"] = ("time", [2.0, 2.0], {"units": "kelvin"})
    ds["surface_pressure"] = ("time", [950.0, 940.0], {"units": "mbar"})
    ds["surface_pressure_error"] = ((), 3.0, {"units": "hPa"})
    ds["skin_temperature"] = (("time", "y", "x"), np.full(scene, 301.0), {"units": "K"})
    ds["skin_temperature_error"] = ((), 3.0, {"units": "K"})
    ds["background"] = (("y", "x"), np.full(image, 295.0), {"units": "K"})
    ds["ancillary_elevation"] = ((), 640.0, {"units": "m"})
    ds["emissivity_prior"] = (("band", "y", "x"), np.full((5, *image), 0.96), {"units": "1"})
    ds["emissivity_prior_uncertainty"] = (
        ("band", "y", "x"),
        np.full((5, *image), 0.02),
        {"units": "1"},
    )
    ds["cloud"] = (("time", "y", "x"), np.zeros(scene, dtype=bool))
    ds["water"] = (("time", "y", "x"), np.zeros(scene, dtype=bool))
    ds["interpolated"] = (("time", "y", "x"), np.zeros(scene, dtype=bool))
    info = cube.check(ds)
    assert info.tir_units == "radiance"
    assert info.ancillaries == cube.ANCILLARIES


def drop_band(ds: xr.Dataset) -> xr.Dataset:
    return ds.isel(band=[0, 1, 3, 4])


def set_units(name: str, units: str | None):  # type: ignore[no-untyped-def]
    def change(ds: xr.Dataset) -> xr.Dataset:
        ds = ds.copy()
        attrs = dict(ds[name].attrs)
        attrs.pop("units", None)
        if units is not None:
            attrs["units"] = units
        ds[name].attrs = attrs
        return ds

    return change


def water_vapor(value: float, units: str | None):  # type: ignore[no-untyped-def]
    attrs = {} if units is None else {"units": units}
    return lambda ds: ds.assign(water_vapor=("time", [value, value], attrs))


def air_temperature(value: float, units: str):  # type: ignore[no-untyped-def]
    return lambda ds: ds.assign(air_temperature=("time", [value, value], {"units": units}))


def coordinate(name: str, value: float, units: str):  # type: ignore[no-untyped-def]
    return lambda ds: ds.assign_coords({name: ("time", [value, value], {"units": units})})


def in_degrees(ds: xr.Dataset) -> xr.Dataset:
    return ds.assign_coords(
        y=15.8 - 8.3e-4 * np.arange(ds.sizes["y"]), x=114.8 + 8.3e-4 * np.arange(ds.sizes["x"])
    )


def no_crs(ds: xr.Dataset) -> xr.Dataset:
    ds = ds.drop_vars("spatial_ref")
    for variable in ds.variables.values():
        variable.encoding.pop("grid_mapping", None)
    return ds


def other_dem(ds: xr.Dataset) -> xr.Dataset:
    return ds.assign(elevation=(("y_dem", "x_dem"), np.zeros((3, 3)), {"units": "m"}))


def misaligned_dem(ds: xr.Dataset) -> xr.Dataset:
    # What xarray does silently: a DEM on shifted coordinates is NaN once it is assigned.
    dem = ds["elevation"].assign_coords(y=ds["y"] + 45.0, x=ds["x"] + 45.0)
    return ds.drop_vars("elevation").assign(elevation=dem.reindex(y=ds["y"], x=ds["x"]))


def dem_in_other_crs(ds: xr.Dataset) -> xr.Dataset:
    dem = ds["elevation"].rio.write_crs("EPSG:32651", grid_mapping_name="dem_crs")
    return ds.assign(elevation=dem)


def ragged(ds: xr.Dataset) -> xr.Dataset:
    x = ds["x"].to_numpy().copy()
    x[-1] += 30.0
    return ds.assign_coords(x=x)


VIOLATIONS = {
    "no tir": (lambda ds: ds.drop_vars("tir"), errors.MissingVariableError, "no variable 'tir'"),
    "dims": (
        lambda ds: ds.transpose("band", "time", "y", "x"),
        errors.DimensionError,
        r"'tir' has dimensions \(band, time, y, x\), expected \(time, band, y, x\)",
    ),
    "missing band": (drop_band, errors.BandError, r"band\(s\) B12 missing: found B10, B11, B13"),
    "band order": (
        lambda ds: ds.isel(band=[4, 3, 2, 1, 0]),
        errors.BandError,
        "in the order B14, B13, B12, B11, B10",
    ),
    "surplus band": (
        lambda ds: xr.concat([ds, ds.isel(band=[0])], "band", data_vars="minimal"),
        errors.BandError,
        "expected exactly B10",
    ),
    "unnamed bands": (lambda ds: ds.drop_vars("band"), errors.BandError, "no coordinate"),
    "no units": (set_units("tir", None), errors.UnitsError, "'tir' .uint16. has no units"),
    "tir in kelvin": (set_units("tir", "K"), errors.UnitsError, "'tir' is in 'K'"),
    "float DN": (
        lambda ds: ds.assign(tir=ds["tir"].astype("float32").assign_attrs(units="DN")),
        errors.DTypeError,
        "digital numbers as float32, expected uint16",
    ),
    "integer radiance": (
        set_units("tir", "W m-2 sr-1 um-1"),
        errors.DTypeError,
        "uint16, expected float32",
    ),
    "no crs": (no_crs, errors.CRSError, "no coordinate reference system"),
    "geographic": (
        lambda ds: ds.rio.write_crs("EPSG:4326"),
        errors.CRSError,
        "EPSG:4326, which is geographic",
    ),
    "feet": (
        lambda ds: ds.rio.write_crs("EPSG:2263"),
        errors.CRSError,
        "US survey foot.*expected metres",
    ),
    "degrees for metres": (in_degrees, errors.UnitsError, "these look like degrees"),
    "degree attribute": (
        lambda ds: ds.assign_coords(y=ds["y"].assign_attrs(units="degrees_north")),
        errors.UnitsError,
        "'y' is in 'degrees_north': expected metres",
    ),
    "no x": (lambda ds: ds.drop_vars("x"), errors.MissingVariableError, "'x' has no coordinate"),
    "ragged x": (ragged, errors.GridError, "not evenly spaced"),
    "no time": (lambda ds: ds.drop_vars("time"), errors.MissingVariableError, "'time' has no"),
    "undecoded time": (
        lambda ds: ds.assign_coords(time=[0, 1]),
        errors.DTypeError,
        "'time' is int64, expected datetime64",
    ),
    "dem on other dims": (other_dem, errors.GridError, "another grid .y_dem: 3 x x_dem: 3"),
    "dem in other crs": (dem_in_other_crs, errors.GridError, "EPSG:32651, the cube in EPSG:32650"),
    "dem misaligned": (misaligned_dem, errors.NodataError, "nodata everywhere"),
    "dem in km": (set_units("elevation", "km"), errors.UnitsError, "multiply by 1000"),
    "dem without units": (set_units("elevation", None), errors.UnitsError, "has no units"),
    "dem of integers": (
        lambda ds: ds.assign(elevation=ds["elevation"].astype("int16").assign_attrs(units="m")),
        errors.DTypeError,
        "'elevation' is int16",
    ),
    "dem with a fill value": (
        lambda ds: ds.assign(elevation=(ds["elevation"] * 0 - 9999.0).assign_attrs(units="m")),
        errors.UnitsError,
        "-9999.*check its units, scale factor and nodata",
    ),
    "vapour in mm": (water_vapor(20.0, "mm"), errors.UnitsError, "millimetre of liquid water is 1"),
    "vapour in cm": (water_vapor(2.0, "cm"), errors.UnitsError, "multiply by 10"),
    "vapour in g cm-2": (water_vapor(2.0, "g cm-2"), errors.UnitsError, "multiply by 10"),
    "vapour without units": (water_vapor(20.0, None), errors.UnitsError, "has no units"),
    "infinite vapour": (
        water_vapor(float("inf"), "kg m-2"),
        errors.InputError,
        "'water_vapor' holds infinite values",
    ),
    "infinite view": (
        coordinate("view_zenith", float("inf"), "degree"),
        errors.InputError,
        "'view_zenith' holds infinite values",
    ),
    "vapour in Pa": (water_vapor(2000.0, "kg m-2"), errors.UnitsError, "runs from 2000 to 2000"),
    "air in Celsius": (air_temperature(18.0, "degC"), errors.UnitsError, "add 273.15"),
    "Celsius called kelvin": (air_temperature(18.0, "K"), errors.UnitsError, "expected 150 to 350"),
    "air on image dims": (
        lambda ds: ds.assign(air_temperature=(("y", "x"), np.full((6, 8), 290.0))),
        errors.DimensionError,
        r"expected \(time\) or \(time, y, x\)",
    ),
    "scaled emissivity": (
        lambda ds: ds.assign(
            emissivity_prior=(("band", "y", "x"), np.full((5, 6, 8), 960.0), {"units": "1"})
        ),
        errors.UnitsError,
        "expected 0 to 1",
    ),
    "integer cloud": (
        lambda ds: ds.assign(cloud=(("time", "y", "x"), np.zeros((2, 6, 8), dtype="uint8"))),
        errors.DTypeError,
        "'cloud' is uint8, expected bool",
    ),
    "sun in radians": (
        coordinate("sun_zenith", 0.74, "degree"),
        errors.UnitsError,
        "look like radians",
    ),
    "angles in rad": (
        coordinate("view_zenith", 0.05, "rad"),
        errors.UnitsError,
        "numpy.degrees",
    ),
    "impossible view": (
        coordinate("view_zenith", 47.0, "degree"),
        errors.UnitsError,
        "'view_zenith' runs from 47 to 47",
    ),
    "negative view": (coordinate("view_zenith", -5.7, "degree"), errors.UnitsError, "from -5.7"),
}


@pytest.mark.parametrize("name", VIOLATIONS)
def test_each_violation_is_its_own_error(name: str) -> None:
    change, error, message = VIOLATIONS[name]
    ds = change(make_cube())
    with dask.config.set(scheduler=refuse), pytest.raises(error, match=message) as caught:
        cube.check(ds)
    assert type(caught.value) is error


def test_a_required_name_that_is_absent() -> None:
    ds = make_cube().drop_vars("elevation")
    assert not cube.check(ds).has_elevation
    with pytest.raises(errors.MissingVariableError, match="lacks elevation, water_vapor"):
        cube.check(ds, require={"elevation", "water_vapor", "view_zenith"})


def test_unknown_angles_are_allowed() -> None:
    ds = make_cube().assign_coords(sun_zenith=("time", [np.nan, np.nan], {"units": "degree"}))
    cube.check(ds)


def test_an_elevation_that_is_lazy_is_not_looked_at() -> None:
    ds = misaligned_dem(make_cube())
    ds["elevation"] = ds["elevation"].chunk()
    with dask.config.set(scheduler=refuse):
        assert cube.check(ds).has_elevation


@pytest.mark.parametrize("shape", [(0, 8), (1, 1), (1, 8)])
def test_tiny_cubes_pass(shape: tuple[int, int]) -> None:
    info = cube.check(make_cube(shape=shape))
    assert info.shape == (2, *shape)


def test_same_grid() -> None:
    ds = make_cube()
    field = ds["elevation"]
    cube.check_grid(field, ds, name="dem")
    with pytest.raises(errors.GridError, match=r"up to 9 \(0.1 pixels"):
        cube.check_grid(field.assign_coords(x=field["x"] + 9.0), ds, name="dem")
    with pytest.raises(errors.GridError, match="5 pixels along y, the cube 6"):
        cube.check_grid(field.isel(y=slice(5)), ds, name="dem")
    with pytest.raises(errors.GridError, match="expected the coordinates y and x"):
        cube.check_grid(field.rename(y="lat"), ds, name="dem")
    with pytest.raises(errors.GridError, match="EPSG:32651, the cube in EPSG:32650"):
        cube.check_grid(field.rio.write_crs(32651), ds, name="dem")


def test_new_cube_carries_attributes_and_crs_through_netcdf_encoding() -> None:
    ds = make_cube()
    assert ds["tir"].attrs == {"long_name": "ASTER thermal infrared bands", "units": "DN"}
    assert ds["tir"].encoding["grid_mapping"] == "spatial_ref"
    assert ds["sun_zenith"].attrs["standard_name"] == "solar_zenith_angle"
    assert ds.rio.crs.to_epsg() == 32650
    assert ds["x"].attrs["units"] == "m"
