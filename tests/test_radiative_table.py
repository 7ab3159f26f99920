from __future__ import annotations

import dask
import numpy as np
import pytest
import xarray as xr

from aktes_xr import radiative, sensor
from aktes_xr.errors import InputError
from aktes_xr.radiative import emulator, table
from aktes_xr.tables import emulator as fitted
from aktes_xr.tables.profile_sets import perturbed


def test_the_table_is_what_it_says() -> None:
    found = radiative.atmosphere_table()
    assert found.sizes == {"profile": 234, "surface_pressure": 8, "view_zenith": 3, "band": 5}
    assert list(found.band.values) == list(sensor.BANDS)
    assert found.transmittance.dims == ("profile", "surface_pressure", "view_zenith", "band")
    assert "view_zenith" not in found.sky_radiance.dims
    valid = found.valid
    assert bool(valid.sel(surface_pressure=500).all())
    for name in ("transmittance", "path_radiance", "sky_radiance", "precipitable_water"):
        known = found[name].notnull()
        assert bool((known == valid).all())
    solved = found.where(valid, drop=False)
    assert 0.02 < float(solved.transmittance.min()) < float(solved.transmittance.max()) < 1
    # Thinner air above, and longer paths to the side.
    assert float(solved.transmittance.diff("surface_pressure").max()) < 0
    assert float(solved.transmittance.diff("view_zenith").max()) < 0
    assert float(solved.precipitable_water.diff("surface_pressure").min()) > 0
    # The sky is seen along longer paths than the nadir.
    assert float((solved.sky_radiance / solved.path_radiance.isel(view_zenith=0)).min()) > 1


def test_splits_are_fixed_disjoint_and_alike() -> None:
    found = radiative.atmosphere_table()
    parts = [radiative.profiles_of(split) for split in table.SPLITS]
    assert sorted(np.concatenate(parts)) == list(range(found.sizes["profile"]))
    assert [part.size for part in parts] == [181, 27, 26]
    water = found.precipitable_water.max("surface_pressure").to_numpy()
    for part in parts:
        assert (water[part] < 5).any()
        assert (water[part] > 30).any()
    with pytest.raises(InputError, match="'dev'"):
        radiative.profiles_of("dev")


def test_no_near_duplicate_crosses_a_split() -> None:
    """No two profiles of different splits agree in water, temperature and transmittance."""
    found = radiative.atmosphere_table().sel(surface_pressure=[700, 850], view_zenith=0)
    features = [
        found.air_temperature.sel(surface_pressure=700).to_numpy(),
        np.log(found.precipitable_water.sel(surface_pressure=700).to_numpy()) / 0.1,
        *(found.transmittance.sel(surface_pressure=700).to_numpy().T / 0.005),
        *(found.sky_radiance.sel(surface_pressure=700).to_numpy().T / 0.05),
    ]
    points = np.stack(features, axis=1)
    known = np.isfinite(points).all(axis=1)
    points, split = points[known], found.split.to_numpy()[known]
    distance = np.abs(points[:, None] - points[None]).max(axis=2)
    across = distance[split[:, None] != split[None]]
    assert across.min() > 0.3


def test_envelopes_are_left_out() -> None:
    found = radiative.atmosphere_table()
    source = found.profile_source.to_series().value_counts().to_dict()
    assert source == {"rfmip100": 100, "ecmwf83": 80, "umbc48": 48, "afgl6": 6}


def test_samples_at_the_nodes_are_the_table() -> None:
    whole = radiative.atmosphere_table(perturbed=True)
    node = whole.isel(profile=100, surface_pressure=3, water_scale=2, temperature_shift=0)
    found = radiative.sample_atmospheres(
        [100],
        surface_pressure_hpa=775.0,
        view_zenith_deg=10.0,
        water_scale=2.0,
        temperature_shift_k=-6.0,
    )
    view = node.sel(view_zenith=10.0)
    np.testing.assert_allclose(found.transmittance[0], view.transmittance, rtol=1e-5)
    np.testing.assert_allclose(found.path_radiance[0], view.path_radiance, rtol=1e-4)
    np.testing.assert_allclose(found.sky_radiance[0], node.sky_radiance, rtol=1e-5)
    np.testing.assert_allclose(found.precipitable_water[0], node.precipitable_water, rtol=1e-5)
    np.testing.assert_allclose(found.air_temperature[0], node.air_temperature, rtol=1e-6)


def test_samples_move_the_right_way() -> None:
    number = np.repeat(radiative.profiles_of("test"), 2)
    low_high = np.tile([0.7, 1.4], number.size // 2)
    wet = radiative.sample_atmospheres(number, water_scale=low_high)
    assert (np.diff(wet.precipitable_water.reshape(-1, 2)) > 0).all()
    assert (np.diff(wet.transmittance.reshape(-1, 2, 5), axis=1) < 0).all()
    ozone = radiative.sample_atmospheres(number, ozone_scale=low_high)
    assert (np.diff(ozone.transmittance.reshape(-1, 2, 5)[..., 2]) < 0).all()
    warm = radiative.sample_atmospheres(number, temperature_shift_k=low_high)
    shift = np.diff(warm.air_temperature.reshape(-1, 2))
    np.testing.assert_allclose(shift, 0.7, atol=0.01)


def test_a_sample_stays_above_its_profiles_ground() -> None:
    found = radiative.atmosphere_table()
    high = int(np.flatnonzero(~found.valid.sel(surface_pressure=700).to_numpy())[0])
    deep, ground = radiative.sample_atmospheres(
        [high, high], surface_pressure_hpa=[1013.0, 600.0]
    ).air_temperature
    assert np.isfinite(deep)
    assert deep == ground


def test_sampling_refuses_what_it_cannot_interpolate() -> None:
    with pytest.raises(InputError, match="water_scale"):
        radiative.sample_atmospheres([0], water_scale=3.0)
    with pytest.raises(InputError, match="temperature_shift_k"):
        radiative.sample_atmospheres([0], temperature_shift_k=-8.0)
    with pytest.raises(InputError, match="view_zenith"):
        radiative.sample_atmospheres([0], view_zenith_deg=20.0)
    with pytest.raises(InputError, match="profile"):
        radiative.sample_atmospheres([234])


def test_perturbation_never_saturates_and_keeps_humidity() -> None:
    pressure = np.array([1.0e5, 8.0e4, 6.0e4, 4.0e4, 2.0e4, 1.0e4])
    temperature = np.array([295.0, 284.0, 270.0, 250.0, 220.0, 210.0])
    levels = np.stack([pressure, temperature, np.full(6, 1e-5), np.full(6, 1e-7)])
    same = perturbed(levels, 1.0, 0.0)
    np.testing.assert_allclose(same, levels, rtol=1e-12)
    wet = perturbed(levels, 2.0, 6.0)
    np.testing.assert_allclose(wet[1] - temperature, [6, 6, 6, 6, 0, 0], atol=1e-9)
    assert (wet[2][:4] > 2 * levels[2][:4]).all()
    np.testing.assert_array_equal(wet[2][4:], levels[2][4:])


def test_the_emulator_on_profiles_it_has_not_seen() -> None:
    """Top of the atmosphere at e = 0.97 and 3 K over the air, unseen profiles with perturbations.

    What is left is the spread of profiles with the same water, temperature and pressure.
    """
    arrays = table.shipped_atmospheres()
    unseen = arrays["split"] == table.SPLITS.index("test")
    inputs, truth = fitted.table_rows(arrays, unseen)
    found = fitted.residuals(arrays, unseen, emulator.load_emulator()) + truth
    black = sensor.brightness_temperature_to_radiance(np.repeat(inputs[:, 1:2] + 3, 5, axis=1))

    def seen(row: np.ndarray) -> np.ndarray:
        surface = 0.97 * black + 0.03 * row[:, 10:]
        return sensor.radiance_to_brightness_temperature(row[:, :5] * surface + row[:, 5:10])

    error = np.sqrt(np.mean((seen(found) - seen(truth)) ** 2, axis=0))
    assert (error < 0.4).all()


def test_the_emulator_is_smooth_bounded_and_monotone() -> None:
    water = np.linspace(0, 70, 200)
    passed, rising, falling = radiative.band_atmosphere(water, 295.0, 1000.0, 5.0)
    assert passed.dtype == np.float32
    assert passed.shape == rising.shape == falling.shape == (200, 5)
    assert ((passed > 0) & (passed < 1)).all()
    assert (np.diff(passed, axis=0) < 1e-6).all()
    assert (rising >= 0).all()
    # No kink: the slope changes by less than a quarter of the steepest slope in 0.35 kg m-2.
    slope = np.diff(passed, axis=0)
    assert (np.abs(np.diff(slope, axis=0)).max(axis=0) < 0.25 * np.abs(slope).max(axis=0)).all()
    assert np.isnan(radiative.band_atmosphere(np.nan, 295.0, 1000.0)[0]).all()
    assert np.isnan(radiative.band_atmosphere(20.0, 295.0, 1000.0, np.nan)[2]).all()
    with pytest.raises(InputError, match="air temperature"):
        radiative.band_atmosphere(20.0, 22.0, 1000.0)
    with pytest.raises(InputError, match="surface pressure"):
        radiative.band_atmosphere(20.0, 295.0, 100000.0)


def test_lazy_interpolation_over_a_cube() -> None:
    rng = np.random.default_rng(0)
    elevation = xr.DataArray(rng.uniform(0, 3000, (6, 7)), dims=("y", "x"), attrs={"units": "m"})
    water = xr.DataArray(rng.uniform(3, 40, (2, 6, 7)), dims=("time", "y", "x"))
    air = xr.DataArray([280.0, 299.0], dims="time")

    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError("something computed")

    with dask.config.set(scheduler=refuse):
        pressure = radiative.surface_pressure_from_elevation(elevation.chunk(y=4, x=3))
        lazy = radiative.interpolate_atmosphere(water.chunk(time=1, y=4, x=3), air, pressure, 6.0)
    assert lazy.transmittance.sizes == {"time": 2, "y": 6, "x": 7, "band": 5}
    expected = radiative.band_atmosphere(
        water.to_numpy(),
        air.to_numpy()[:, None, None],
        radiative.surface_pressure_from_elevation(elevation.to_numpy()),
        6.0,
    )
    for name, values in zip(lazy.data_vars, expected, strict=True):
        np.testing.assert_array_equal(lazy[name].compute(), values)
    assert lazy.path_radiance.attrs["units"] == sensor.RADIANCE_UNITS
