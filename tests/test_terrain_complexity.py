from __future__ import annotations

import dask
import numpy as np
import pytest
import xarray as xr

from aktes_xr.errors import GridError, InputError, MissingVariableError
from aktes_xr.terrain import (
    CLASSES,
    ThermalSetting,
    aggregate_elevation,
    terrain_complexity,
    terrain_indices,
)


def refuse(*args: object, **kwargs: object) -> None:
    raise AssertionError("a library function computed")


def grid(shape: tuple[int, int], cell: float, corner: tuple[float, float] = (5e5, 4e6)):
    coords = {
        "y": corner[1] - cell * (np.arange(shape[0]) + 0.5),
        "x": corner[0] + cell * (np.arange(shape[1]) + 0.5),
    }
    return xr.DataArray(np.zeros(shape), coords, ("y", "x")).rio.write_crs(32611)


@pytest.fixture(scope="module")
def indices() -> xr.Dataset:
    field = grid((60, 64), 90.0)
    rng = np.random.default_rng(5)
    dem = np.cumsum(np.cumsum(rng.normal(size=field.shape), 0), 1) * np.linspace(0, 5, 64)
    dem[30, 30] = np.nan
    return terrain_indices(field.copy(data=dem), azimuths=8, radius_m=1500.0).chunk(y=30)


@pytest.mark.parametrize(
    ("emissivity", "sky_view", "kelvin"),
    [
        *((0.97, 0.9, 0.17), (0.97, 0.7, 0.50), (0.97, 0.5, 0.84)),
        *((0.95, 0.9, 0.29), (0.95, 0.7, 0.86), (0.95, 0.5, 1.43)),
    ],
)
def test_kelvin_of_the_worked_cases(
    indices: xr.Dataset, emissivity: float, sky_view: float, kelvin: float
) -> None:
    given = indices.assign(sky_view_factor=xr.full_like(indices["sky_view_factor"], sky_view))
    got = terrain_complexity(given, emissivity=emissivity)["terrain_complexity_k"]
    assert float(got[5, 5].compute()) == pytest.approx(kelvin, abs=0.01)


def test_lazy_and_whole(indices: xr.Dataset) -> None:
    with dask.config.set(scheduler=refuse):
        lazy = terrain_complexity(indices)
    assert all(variable.chunks is not None for variable in lazy.data_vars.values())
    got = lazy.compute()
    eager = terrain_complexity(indices.compute())
    for name in got.data_vars:
        assert np.array_equal(got[name].values, eager[name].values, equal_nan=True), name
    assert got.rio.crs.to_epsg() == 32611
    driver = got["fusion_driver"].values[np.isfinite(got["fusion_driver"].values)]
    assert driver.min() >= 0.0
    assert driver.max() < 1.0
    assert np.isnan(got["terrain_complexity_k"].values[30, 30])
    assert got["terrain_class"].values[30, 30] == 255
    assert set(np.unique(got["terrain_class"])) <= {0, 1, 2, 3, 255}
    # Rougher towards the right: both measures of shape must see it.
    index = got["terrain_complexity_index"]
    assert float(index[:, 50:].mean()) > float(index[:, :10].mean())


def test_driver_is_half_at_the_noise(indices: xr.Dataset) -> None:
    got = terrain_complexity(indices).compute()
    kelvin = float(got["terrain_complexity_k"][10, 50])
    again = terrain_complexity(indices, nedt_k=kelvin).compute()
    assert float(again["fusion_driver"][10, 50]) == pytest.approx(0.5, abs=1e-6)


@pytest.mark.parametrize(
    ("slope", "sky_view", "name"),
    [
        *((1.0, 1.0, "flat"), (8.0, 1.0, "rolling"), (8.0, 0.95, "steep")),
        *((35.0, 0.95, "extreme"), (1.0, 0.85, "extreme")),
    ],
)
def test_class_is_the_higher_of_two(
    indices: xr.Dataset, slope: float, sky_view: float, name: str
) -> None:
    given = indices.assign(
        slope=xr.full_like(indices["slope"], slope),
        sky_view_factor=xr.full_like(indices["sky_view_factor"], sky_view),
    )
    assert int(terrain_complexity(given)["terrain_class"][3, 3].compute()) == CLASSES.index(name)


def test_bad_settings(indices: xr.Dataset) -> None:
    with pytest.raises(InputError, match="emissivity"):
        ThermalSetting(emissivity=0.0)
    with pytest.raises(InputError, match="sky"):
        ThermalSetting(sky_contrast_k=250.0)
    with pytest.raises(InputError, match="B13"):
        ThermalSetting(band="B9")
    with pytest.raises(InputError, match="nedt_k"):
        terrain_complexity(indices, nedt_k=0.0)
    with pytest.raises(MissingVariableError, match="vrm"):
        terrain_complexity(indices.drop_vars("vrm"))


def test_aggregate_is_mean_and_spread() -> None:
    fine = grid((90, 120), 30.0)
    dem = np.random.default_rng(1).normal(1000.0, 20.0, fine.shape)
    dem[:3, :3] = np.nan
    dem[3, 3] = np.nan
    fine = fine.copy(data=dem)
    with dask.config.set(scheduler=refuse):
        lazy = aggregate_elevation(fine.chunk(y=40, x=50), grid((30, 40), 90.0), chunks=13)
    got = lazy.compute()
    assert got["elevation"].dtype == np.float32
    assert np.isnan(got["elevation"].values[0, 0])
    cells = dem.reshape(30, 3, 40, 3)[1:, :, 2:]
    np.testing.assert_allclose(got["elevation"][1:, 2:], cells.mean((1, 3)), rtol=1e-6)
    np.testing.assert_allclose(got["elevation_std"][1:, 2:], cells.std((1, 3)), rtol=1e-5)
    assert float(got["elevation"][1, 1]) == pytest.approx(np.nanmean(dem[3:6, 3:6]), rel=1e-6)
    whole = aggregate_elevation(fine, grid((30, 40), 90.0)).compute()
    assert whole.equals(got)


def test_aggregate_keeps_a_plane_on_a_shifted_grid() -> None:
    fine = grid((90, 90), 30.0)
    fine = fine + 0.3 * (fine["x"] - 5e5) - 0.2 * (fine["y"] - 4e6)
    target = grid((20, 20), 89.9, corner=(5e5 + 41.0, 4e6 - 77.0))
    got = aggregate_elevation(fine.rio.write_crs(32611), target).compute()["elevation"]
    want = 0.3 * (target["x"] - 5e5) - 0.2 * (target["y"] - 4e6)
    np.testing.assert_allclose(got, want.transpose("y", "x"), atol=2e-2)


def test_aggregate_from_another_crs() -> None:
    target = grid((20, 20), 90.0)
    lon, lat = -117.01 + np.arange(400) / 3600.0, 36.16 - np.arange(200) / 3600.0
    fine = xr.DataArray(np.full((200, 400), 250.0), {"y": lat, "x": lon}, ("y", "x"))
    got = aggregate_elevation(fine.rio.write_crs(4326), target).compute()
    np.testing.assert_array_equal(got["elevation"], 250.0)
    with pytest.raises(GridError, match="do not overlap"):
        aggregate_elevation(fine.assign_coords(x=lon + 10.0).rio.write_crs(4326), target)


def test_coarse_model_is_interpolated_without_spread() -> None:
    coarse = grid((20, 20), 90.0)
    coarse = (coarse + 0.1 * (coarse["x"] - 5e5)).rio.write_crs(32611)
    target = grid((20, 20), 45.0, corner=(5e5 + 450.0, 4e6 - 450.0))
    got = aggregate_elevation(coarse, target).compute()
    want = (0.1 * (target["x"] - 5e5)).broadcast_like(target).transpose("y", "x")
    np.testing.assert_allclose(got["elevation"], want, rtol=1e-6)
    assert np.isnan(got["elevation_std"]).all()
    assert got["elevation"].attrs["method"] == "bilinear"
