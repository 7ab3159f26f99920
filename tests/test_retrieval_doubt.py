from __future__ import annotations

import dask
import numpy as np
import pytest
import xarray as xr
from random_bundle import random_bundle

import aktes_xr
from aktes_xr import sensor
from aktes_xr.cube import new_cube
from aktes_xr.cube.selection import flags
from aktes_xr.errors import BundleError, InputError
from aktes_xr.models import Bundle
from aktes_xr.models.bundle import load_bundle
from aktes_xr.radiative import band_atmosphere
from aktes_xr.radiative.surface import top_of_atmosphere_radiance

SIDE = 70


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return random_bundle(tmp_path_factory.mktemp("bundle") / "random", clouds=True)


def cube(*, dates: int = 1) -> xr.Dataset:
    """Level ground of 290 to 310 K under a known atmosphere, with a cold spot; no elevation."""
    rng = np.random.default_rng(2)
    temperature = rng.uniform(290.0, 310.0, (dates, SIDE, SIDE))
    temperature[:, 20:30, 25:40] -= 40.0
    air = band_atmosphere(12.0, 290.0, 1013.25, 3.0)
    emissivity = np.full((dates, SIDE, SIDE, 5), 0.96)
    radiance = top_of_atmosphere_radiance(temperature, emissivity, *air)
    ds = new_cube(
        np.moveaxis(sensor.radiance_to_dn(radiance), -1, 1),
        time=np.datetime64("2004-07-01") + np.arange(dates),
        y=4_000_000.0 - 90.0 * np.arange(SIDE),
        x=300_000.0 + 90.0 * np.arange(SIDE),
        crs="EPSG:32617",
        coordinates={"view_zenith": np.full(dates, 3.0), "sun_zenith": np.full(dates, 40.0)},
    )
    ds["water_vapor"] = ("time", np.full(dates, 12.0), {"units": "kg m-2"})
    ds["air_temperature"] = ("time", np.full(dates, 290.0), {"units": "K"})
    return ds


def test_the_test_finds_the_cold_spot_whatever_the_chunks(bundle: Bundle) -> None:
    ds = cube(dates=2)
    ds["tir"][1, :, 40:, :20] = 0
    whole = aktes_xr.retrieve(ds.chunk(time=-1, y=-1, x=-1), bundle=bundle).compute()
    assert whole.attrs["cloud_source"] == "network"
    for chunks in ({"time": 1, "y": 33, "x": 25}, {"time": 2, "y": 70, "x": 20}):
        cut = aktes_xr.retrieve(ds.chunk(chunks), bundle=bundle).compute()
        xr.testing.assert_identical(cut, whole)
    found = flags(whole)
    probability = whole["cloud_probability"].to_numpy()
    np.testing.assert_array_equal(found["cloud"], probability >= 0.5)
    assert found["cloud"][0, 20:30, 25:40].all()
    assert np.isnan(probability[1, 40:, :20]).all()
    np.testing.assert_array_equal(whole["cloud_confidence"][1, 40:, :20], 255)
    assert int(whole["cloud_confidence"].where(found["cloud"]).min()) >= 2
    # A cloudy pixel has no temperature, and its neighbours say that they are near.
    assert whole["surface_temperature"].where(found["cloud"]).isnull().all()
    near = found["near_cloud"].to_numpy()
    assert near[0, 16:34, 21:44].all()


def test_dates_do_not_depend_on_one_another(bundle: Bundle) -> None:
    ds = cube(dates=2)
    ds["tir"][1] = (ds["tir"][1] * 0.9).astype(np.uint16)
    both = aktes_xr.retrieve(ds.chunk(time=1), bundle=bundle).isel(time=[1]).compute()
    alone = aktes_xr.retrieve(ds.isel(time=[1]).chunk(time=1), bundle=bundle).compute()
    xr.testing.assert_identical(both, alone)


def test_a_given_mask_wins(bundle: Bundle) -> None:
    ds = cube()
    ds["cloud"] = (("time", "y", "x"), np.zeros((1, SIDE, SIDE), bool))
    ds["cloud"][0, 50, 50] = True
    result = aktes_xr.retrieve(ds.chunk(y=30, x=30), bundle=bundle).compute()
    assert result.attrs["cloud_source"] == "mask"
    found = flags(result)
    assert int(found["cloud"].sum()) == 1
    assert int(found["near_cloud"].sum()) == 11 * 11
    np.testing.assert_array_equal(result["cloud_probability"], found["cloud"].astype(np.float32))
    assert np.isnan(result["surface_temperature"][0, 50, 50])
    kept = aktes_xr.retrieve(ds, bundle=bundle, keep_cloudy=True).compute()
    assert np.isfinite(kept["surface_temperature"]).all()
    own = aktes_xr.retrieve(ds, bundle=bundle, clouds="network").compute()
    assert own.attrs["cloud_source"] == "network"


def test_fixed_rules_find_what_is_cold(tmp_path: object) -> None:
    plain = random_bundle(tmp_path / "plain")  # type: ignore[operator]
    ds = cube()
    whole = aktes_xr.retrieve(ds, bundle=plain, clouds="rules").compute()
    assert whole.attrs["cloud_source"] == "rules"
    found = whole["cloud_probability"][0].to_numpy()
    assert set(np.unique(found)) <= {0.0, 1.0}
    spot = np.zeros((SIDE, SIDE), bool)
    spot[20:30, 25:40] = True
    assert found[spot].all()
    assert found[~spot].mean() < 0.05
    assert np.isnan(whole["surface_temperature"].to_numpy()[0, spot]).all()
    cut = aktes_xr.retrieve(ds.chunk(y=25, x=33), bundle=plain, clouds="rules").compute()
    xr.testing.assert_equal(whole, cut)


def test_a_store_names_the_dates_that_have_nothing_clear(
    bundle: Bundle, tmp_path_factory: pytest.TempPathFactory
) -> None:
    ds = cube(dates=2)
    ds["cloud"] = (("time", "y", "x"), np.ones((2, SIDE, SIDE), bool))
    ds["cloud"][0, 0, 0] = False
    result = aktes_xr.retrieve(ds.chunk(y=30, x=30), bundle=bundle)
    path = tmp_path_factory.mktemp("overcast") / "result.zarr"
    aktes_xr.write_result(result, path)
    found = aktes_xr.open_result(path).attrs["dates_without_clear_reference"]
    assert list(found) == ["2004-07-02T00:00:00"]


def test_clouds_risk_is_part_of_the_uncertainty(bundle: Bundle) -> None:
    ds = cube()
    kept = aktes_xr.retrieve(ds, bundle=bundle, keep_cloudy=True).compute()
    # The same mask, given: certain of what is clear.
    ds["cloud"] = flags(kept)["cloud"]
    sure = aktes_xr.retrieve(ds, bundle=bundle, keep_cloudy=True).compute()
    xr.testing.assert_equal(kept["surface_temperature"], sure["surface_temperature"])
    found, certain = (one["surface_temperature_uncertainty"] for one in (kept, sure))
    cloudy = flags(kept)["cloud"]
    assert 0 < int(cloudy.sum()) < cloudy.size
    # What is certainly clear has no risk.
    risk = np.hypot(certain, 8.0 * kept["cloud_probability"]).where(~cloudy)
    np.testing.assert_allclose(found.where(~cloudy), risk.transpose(*found.dims), rtol=1e-5)
    # Nobody is confident of what lies under cloud.
    assert float(found.where(cloudy).min()) > 8.0
    assert float(certain.where(cloudy).min()) > 24.0
    bare = aktes_xr.retrieve(ds.drop_vars("cloud"), bundle=bundle, clouds="none").compute()
    assert "cloud_probability" not in bare
    assert bare.attrs["cloud_source"] == "none"


def test_lazy_and_refused_where_there_is_none(bundle: Bundle, tmp_path_factory: object) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError("computed")

    with dask.config.set(scheduler=refuse):
        aktes_xr.retrieve(cube().chunk(y=30, x=30), bundle=bundle, closure=True)
    with pytest.raises(InputError, match="expected one of auto"):
        aktes_xr.retrieve(cube(), bundle=bundle, clouds="guess")  # type: ignore[arg-type]


def test_a_bundle_without_a_test_says_so(tmp_path: object) -> None:
    plain = random_bundle(tmp_path / "plain")  # type: ignore[operator]
    assert plain.summary()["cloud_test"] == "none"
    assert aktes_xr.retrieve(cube(), bundle=plain).attrs["cloud_source"] == "none"
    with pytest.raises(BundleError, match="no cloud test"):
        aktes_xr.retrieve(cube(), bundle=plain, clouds="network")
    tested = random_bundle(tmp_path / "tested", clouds=True)  # type: ignore[operator]
    assert load_bundle(tested.location).summary()["cloud_test"].endswith("8.0 K")


def test_closure_flags_what_is_not_explained(bundle: Bundle) -> None:
    # Random networks explain nothing: their residuals are large, and are flagged.
    result = aktes_xr.retrieve(cube(), bundle=bundle, clouds="none", closure=True).compute()
    rms = result["closure_residual"]
    by_band = result["closure_residual_by_band"]
    np.testing.assert_allclose(rms, np.sqrt((by_band**2).mean("band")), rtol=1e-4)
    found = flags(result)
    assert found["not_closed"].where(rms > 10.0, True).all()
    assert not found["not_closed"].where(rms < 0.9, False).any()
    assert not found["atmosphere_fitted"].any()
    bare = cube().drop_vars(["water_vapor", "air_temperature"])
    fitted = aktes_xr.retrieve(bare, bundle=bundle, clouds="none", closure=True).compute()
    assert flags(fitted)["atmosphere_fitted"].all()


def test_closure_is_on_where_the_air_is_told(bundle: Bundle) -> None:
    told, bare = cube(), cube().drop_vars("water_vapor")
    once = aktes_xr.retrieve(told, bundle=bundle)
    assert "closure_residual" in once
    assert "closure_residual_by_band" not in once
    whole = aktes_xr.retrieve(told, bundle=bundle, closure=True)
    xr.testing.assert_equal(once["closure_residual"], whole["closure_residual"])
    # What is taken away under cloud has no residual either.
    cloud = xr.full_like(told["tir"].isel(band=0, drop=True), 1).astype(bool)
    hidden = aktes_xr.retrieve(told.assign(cloud=cloud), bundle=bundle)
    assert hidden["closure_residual"].isnull().all()
    others = (
        aktes_xr.retrieve(told, bundle=bundle, closure=False),
        aktes_xr.retrieve(bare, bundle=bundle),
        aktes_xr.retrieve(told, bundle=bundle, method="tes"),
        aktes_xr.retrieve(told, bundle=bundle, passes=2),
    )
    assert not any("closure_residual" in other for other in others)


@pytest.mark.parametrize("units", ["DN", "radiance"])
def test_closure_of_a_physical_retrieval_is_its_noise(bundle: Bundle, units: str) -> None:
    ds = cube()
    if units == "radiance":
        ds["tir"] = aktes_xr.calibration.radiance(ds)
    ds["emissivity_prior"] = (
        ("band", "y", "x"),
        np.full((5, SIDE, SIDE), 0.96, np.float32),
        {"units": "1"},
    )
    whole = aktes_xr.retrieve(ds, bundle=bundle, method="tes", clouds="none", closure=True)
    result = whole.compute()
    # No noise but the counting: TES with the true atmosphere explains what was measured.
    assert float(result["closure_residual"].quantile(0.9)) < 0.6
    cut = aktes_xr.retrieve(
        ds.chunk(y=31, x=26), bundle=bundle, method="tes", clouds="none", closure=True
    )
    xr.testing.assert_identical(cut.compute(), result)


def test_snow_and_interpolated_pixels_are_marked(bundle: Bundle) -> None:
    ds = cube()
    ds["interpolated"] = (("time", "y", "x"), np.zeros((1, SIDE, SIDE), bool))
    ds["interpolated"][0, :, 5] = True
    found = flags(aktes_xr.retrieve(ds, bundle=bundle, method="tes", clouds="none").compute())
    np.testing.assert_array_equal(found["input_interpolated"], ds["interpolated"])
    assert not found["snow_hint"].where(ds["tir"].isel(band=3) > 1500, False).any()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("water_vapor", np.inf),
        ("air_temperature", np.inf),
        ("air_temperature", 17.0),
        ("air_temperature", 62.0),
        ("view_zenith", np.inf),
        ("view_zenith", -np.inf),
    ],
)
def test_absurd_ancillaries_are_refused_by_name(bundle: Bundle, name: str, value: float) -> None:
    ds = cube()
    ds[name] = ("time", np.array([value]), ds[name].attrs or {"units": "degree"})
    with pytest.raises(InputError, match=name):
        aktes_xr.retrieve(ds, bundle=bundle)


def test_absurd_lazy_ancillaries_count_as_missing(bundle: Bundle) -> None:
    ds = cube().chunk(y=30, x=30)
    field = xr.full_like(ds["tir"].isel(band=0, drop=True), 12.0, dtype=np.float32)
    field = field.where(field["x"] > 302_000.0, np.float32(np.inf))
    ds["water_vapor"] = field.assign_attrs(units="kg m-2")
    found = flags(aktes_xr.retrieve(ds, bundle=bundle, clouds="none").compute())
    np.testing.assert_array_equal(
        found["ancillary_missing"].isel(time=0, y=0), ds["x"] <= 302_000.0
    )
