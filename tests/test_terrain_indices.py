from __future__ import annotations

import dask
import numpy as np
import pytest
import xarray as xr

from aktes_xr.errors import ChunkError, CRSError, InputError, TerrainError
from aktes_xr.terrain import (
    INDICES,
    cast_shadow,
    grid_convergence,
    horizon_angle,
    indices_array,
    local_incidence,
    plot_indices,
    terrain_complexity,
    terrain_indices,
)


def elevation(shape: tuple[int, int] = (300, 270), seed: int = 0) -> xr.DataArray:
    rng = np.random.default_rng(seed)
    dem = np.cumsum(np.cumsum(rng.normal(size=shape), 0), 1) + 30.0 * rng.normal(size=shape)
    dem[rng.random(shape) < 0.002] = np.nan
    dem[100:107, 60:75] = np.nan
    coords = {"y": 4e6 - 89.89 * np.arange(shape[0]), "x": 6.6e5 + 89.90 * np.arange(shape[1])}
    field = xr.DataArray(dem.astype(np.float32), coords, ("y", "x"), attrs={"units": "m"})
    return field.rio.write_crs(32611)


def refuse(*args: object, **kwargs: object) -> None:
    raise AssertionError("a library function computed")


@pytest.fixture(scope="module")
def whole() -> dict[str, np.ndarray]:
    return indices_array(
        elevation().values, (89.89, 89.90), azimuths=8, radius_m=1800.0, window_m=630.0
    )


@pytest.mark.parametrize("chunk", [64, 97, 256, None])
def test_chunks_do_not_show(chunk: int | None, whole: dict[str, np.ndarray]) -> None:
    field = elevation() if chunk is None else elevation().chunk(y=chunk, x=chunk)
    settings = {"azimuths": 8, "radius_m": 1800.0, "window_m": 630.0, "rechunk": "auto"}
    with dask.config.set(scheduler=refuse):
        lazy = terrain_indices(field, **settings)
    assert all(variable.chunks is not None for variable in lazy.data_vars.values())
    got = lazy.compute(scheduler="threads")
    for name in INDICES:
        assert np.array_equal(got[name].values, whole[name], equal_nan=True), name
    assert got.rio.crs.to_epsg() == 32611
    assert got["slope"].attrs["units"] == "degree"
    assert got["terrain_flags"].dtype == np.uint8
    assert np.array_equal(np.isnan(field.values), (got["terrain_flags"].values & 1) == 1)


@pytest.mark.parametrize("azimuth", [0.0, 100.0, 225.0, 321.5])
def test_horizons_do_not_show_chunks(azimuth: float) -> None:
    field = elevation((200, 190), seed=4)
    one = horizon_angle(field, azimuth, radius_m=2500.0).compute()
    many = horizon_angle(field.chunk(y=50, x=95), azimuth, radius_m=2500.0).compute()
    assert np.array_equal(one.values, many.values, equal_nan=True)
    assert (one.values[~np.isnan(one.values)] >= 0.0).all()


def test_small_chunks_are_refused_with_a_remedy() -> None:
    field = elevation().chunk(y=64, x=270)
    with pytest.raises(ChunkError, match=r"smallest chunk along y has 44 .* halo of 113"):
        terrain_indices(field)
    with pytest.raises(ChunkError) as caught:
        terrain_indices(field)
    size = int(str(caught.value).split("chunk(y=")[1].split(")")[0])
    terrain_indices(field.chunk(y=size))
    terrain_indices(field, rechunk="auto")


def test_graph_is_small_and_named() -> None:
    lazy = terrain_indices(elevation().chunk(y=150, x=135), radius_m=1000.0)
    graph = lazy["slope"].__dask_graph__()
    assert any(str(key).startswith("('aktes-terrain-") for key in graph)
    again = terrain_indices(elevation().chunk(y=150, x=135), radius_m=1000.0)
    assert lazy["slope"].data.name == again["slope"].data.name


def test_nodata_value_and_integers() -> None:
    field = elevation((40, 40))
    stored = field.fillna(-9999.0).round().astype(np.int16).rio.write_nodata(-9999)
    got = terrain_indices(stored, azimuths=8, radius_m=500.0).compute()
    assert np.array_equal(np.isnan(got["relief"].values), np.isnan(field.values))


@pytest.mark.parametrize(
    ("change", "error", "text"),
    [
        (lambda f: f.rio.write_crs(4326), CRSError, "projected"),
        (lambda f: f.rio.write_crs(2225), CRSError, "foot"),
        (lambda f: f.expand_dims("time"), TerrainError, "dimensions"),
        (lambda f: f.drop_vars("y"), TerrainError, "no coordinate"),
        (lambda f: f.assign_coords(x=f.x**2), TerrainError, "regular grid"),
        (lambda f: f.isel(y=slice(2)), TerrainError, "at least 3"),
    ],
)
def test_unusable_elevation(change, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        terrain_indices(change(elevation((20, 20))))


def test_unknown_option() -> None:
    with pytest.raises(InputError, match="rechunk"):
        terrain_indices(elevation((20, 20)), rechunk="yes")


def test_y_upwards_is_the_same_ground() -> None:
    field = elevation((40, 44))
    down = terrain_indices(field, azimuths=8, radius_m=800.0).compute()
    up = terrain_indices(field.isel(y=slice(None, None, -1)), azimuths=8, radius_m=800.0)
    turned = up.compute().isel(y=slice(None, None, -1))
    for name in ("slope", "aspect", "tri_riley", "relief"):
        np.testing.assert_allclose(turned[name], down[name], rtol=1e-5, atol=1e-5, err_msg=name)


def test_convergence_against_the_series() -> None:
    # Snyder (1987, USGS Prof. Paper 1395): tan c = tan(dlon) sin(lat), on the sphere.
    field = elevation((20, 20))
    import pyproj

    x, y = float(field.x.mean()), float(field.y.mean())
    lon, lat = pyproj.Transformer.from_crs(32611, 4326, always_xy=True).transform(x, y)
    want = np.rad2deg(np.arctan(np.tan(np.deg2rad(lon + 117.0)) * np.sin(np.deg2rad(lat))))
    assert grid_convergence(field) == pytest.approx(want, abs=1e-3)
    assert grid_convergence(field.drop_vars("spatial_ref")) == 0.0


def test_incidence() -> None:
    assert local_incidence(np.array(0.0), np.array(0.0), 60.0, 123.0) == pytest.approx(0.5)
    facing = local_incidence(np.array(40.0), np.array(135.0), 40.0, 137.0, convergence=2.0)
    assert facing == pytest.approx(1.0)
    assert local_incidence(np.array(60.0), np.array(0.0), 60.0, 180.0) == pytest.approx(-0.5)


def test_shadow_of_a_wall_has_its_length() -> None:
    dem = np.zeros((9, 60))
    dem[:, 50:] = 900.0
    coords = {"y": -90.0 * np.arange(9), "x": 90.0 * np.arange(60)}
    field = xr.DataArray(dem, coords, ("y", "x"))
    # A sun at 45 degrees in the east: the shadow is as long as the wall is high.
    shadow = cast_shadow(field, 45.0001, 90.0).compute()
    assert shadow.dtype == bool
    lit = ~shadow.values[4]
    assert lit[:40].all()
    assert not lit[40:49].any()
    assert lit[52:].all()
    assert cast_shadow(field, 45.0, 270.0).compute().values[4, 1:49].sum() == 0


def test_figure_shows_every_index() -> None:
    indices = terrain_indices(elevation((60, 50)), azimuths=8, radius_m=500.0)
    complexity = terrain_complexity(indices)
    figure = plot_indices(indices.assign(complexity.data_vars), title="ground")
    titles = [axes.get_title() for axes in figure.axes if axes.get_title()]
    assert len(titles) == len(INDICES) + 1
    assert figure.get_suptitle() == "ground"
