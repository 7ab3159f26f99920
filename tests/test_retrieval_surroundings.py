from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from random_bundle import random_bundle
from test_retrieval import cube, terrain

from aktes_xr import sensor
from aktes_xr.cube.quality import decode
from aktes_xr.models import Bundle
from aktes_xr.models.context import CONTEXT, REACH, describe_image
from aktes_xr.radiative import surface_pressure_from_elevation
from aktes_xr.radiative.water import WATER_EMISSIVITY_UNCERTAINTY, water_emissivity
from aktes_xr.retrieval import retrieve
from aktes_xr.retrieval.edges import NEIGHBOURS, fill_of, pack_edges, surround
from aktes_xr.retrieval.surroundings import calibration, describe_surroundings, neighbourhood
from aktes_xr.retrieval.tiles import SCALARS, Layout, new_chunk

RADIANCE = "W m-2 sr-1 um-1"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return random_bundle(tmp_path_factory.mktemp("bundle") / "random")


def clouded(ds: xr.Dataset) -> xr.Dataset:
    """Cloud and fill that end at, cross and touch the borders of chunks of 64 pixels."""
    cloud = np.zeros((2, 150, 170), bool)
    cloud[0, 40:64, 30:64] = True
    cloud[0, 62:66, 100:140] = True
    cloud[1, 64:90, 64:70] = True
    cloud[1] |= np.random.default_rng(8).random((150, 170)) < 0.05
    tir = ds["tir"].copy(deep=True)
    tir[:, :, 126:129, 60:70] = 0 if tir.dtype == np.uint16 else np.nan
    return ds.assign(tir=tir, cloud=(("time", "y", "x"), cloud))


def described(tir: np.ndarray, cloud: np.ndarray) -> np.ndarray:
    """Describe a chunk (5, y + halo, x + halo) row by row, as the retrieval does."""
    rows, columns = cloud.shape
    chunk = new_chunk(
        tir[np.newaxis],
        np.zeros((1, len(SCALARS)), np.float32),
        dated=np.empty((1, 0, 1, 1), np.float32),
        static=np.empty((0, 1, 1), np.float32),
        masks=cloud[np.newaxis, np.newaxis],
        layout=Layout((), (), ("cloud",)),
        halo=REACH,
    )
    around = neighbourhood(columns)
    tables = calibration(digital=tir.dtype == np.uint16)
    out = np.full((len(CONTEXT), rows, columns), np.nan, np.float32)
    # Out of order, too: the sums are then made anew.
    for row in (*range(rows // 2, rows), *range(rows // 2)):
        describe_surroundings(chunk, tables, 0, row, around)
        out[:, row] = around.sums.described
    return out


@pytest.mark.parametrize("units", ["DN", RADIANCE])
def test_cut_into_chunks_it_is_the_description_of_the_whole_image(units: str) -> None:
    ds = clouded(cube(units=units)).isel(time=0)
    tir, cloud = ds["tir"].to_numpy(), ds["cloud"].to_numpy()
    if units == "DN":
        tir[2, 70, 20:23] = sensor.SATURATION_DN
        kelvin = sensor.dn_to_brightness_temperature(tir.transpose(1, 2, 0))
    else:
        tir[2, 70, 20:23] = (-1.0, 0.0, 1e4)
        kelvin = sensor.radiance_to_brightness_temperature(tir.transpose(1, 2, 0))
    expected = describe_image(kelvin, ~cloud)
    tops, lefts = (0, 64, 150), (0, 64, 170)
    spans = {
        (i, j): np.s_[tops[i] : tops[i + 1], lefts[j] : lefts[j + 1]]
        for i in range(2)
        for j in range(2)
    }
    # Beyond a chunk cloud is fill.
    hidden = np.where(cloud, fill_of(tir.dtype), tir)
    edges = {place: pack_edges(hidden[None, :, *span], halo=REACH) for place, span in spans.items()}
    for (i, j), span in spans.items():
        around = [edges.get((i + down, j + right)) for down, right in NEIGHBOURS]
        padded = surround(tir[None, :, *span], around, halo=REACH)[0]
        np.testing.assert_array_equal(described(padded, cloud[span]), expected[:, *span])


def test_a_cloudy_pixel_has_no_surroundings() -> None:
    ds = clouded(cube()).isel(time=0)
    tir = np.pad(ds["tir"].to_numpy(), ((0, 0), (REACH, REACH), (REACH, REACH)))
    found = described(tir, ds["cloud"].to_numpy())
    assert np.isnan(found[:, ds["cloud"].to_numpy()]).all()


@pytest.mark.parametrize("method", ["teacher", "student", "fusion"])
@pytest.mark.parametrize("units", ["DN", RADIANCE])
def test_chunking_changes_no_bit_under_cloud(bundle: Bundle, method: str, units: str) -> None:
    ds = clouded(cube(units=units))
    ground = terrain(ds)
    options = {"method": method, "bundle": bundle, "terrain": ground, "keep_cloudy": True}
    whole = retrieve(ds.chunk(), **options).compute()
    flags = decode(whole["quality"])
    np.testing.assert_array_equal(flags["cloud"], ds["cloud"] & ~flags["fill"])
    assert whole["surface_temperature"].notnull().equals(~flags["fill"].drop_attrs())
    for time, y, x in ((1, 64, 64), (2, (33, 90, 27), 101), (1, 150, 7)):
        cut = ds.chunk(time=time, band=1, y=y, x=x)
        found = retrieve(cut, **options).compute()
        xr.testing.assert_identical(found.drop_attrs(), whole.drop_attrs())


def test_what_lies_under_a_cloud_changes_no_clear_pixel(bundle: Bundle) -> None:
    ds = clouded(cube()).chunk(time=1, y=64, x=64)
    cold = ds["tir"].where(~ds["cloud"], ds["tir"] // 2).astype(np.uint16)
    other = ds.assign(tir=cold.assign_attrs(ds["tir"].attrs).transpose(*ds["tir"].dims))
    clear = (~ds["cloud"]).to_numpy()
    for name in ("surface_temperature", "student_weight", "quality"):
        first, second = (retrieve(x, bundle=bundle)[name].to_numpy() for x in (ds, other))
        np.testing.assert_array_equal(first[clear], second[clear])
    bare = retrieve(other.drop_vars("cloud"), bundle=bundle)["surface_temperature"].to_numpy()
    assert (bare != retrieve(ds, bundle=bundle)["surface_temperature"].to_numpy())[clear].any()


def test_the_teacher_alone_sees_the_surroundings_too(bundle: Bundle) -> None:
    ds = cube().drop_vars("elevation")
    spot = ds.isel(y=slice(99, 100), x=slice(99, 100))
    whole, single = (
        retrieve(x, bundle=bundle)["surface_temperature"].compute() for x in (ds, spot)
    )
    assert np.isfinite(single).all()
    assert (single.to_numpy() != whole.isel(y=[99], x=[99]).to_numpy()).all()


@pytest.mark.parametrize("shape", [(1, 1), (3, 40), (40, 3), (1, 12)])
def test_a_strip_narrower_than_the_halo(bundle: Bundle, shape: tuple[int, int]) -> None:
    ds = cube().isel(y=slice(30, 30 + shape[0]), x=slice(40, 40 + shape[1]))
    ground = terrain(ds)
    whole = retrieve(ds.chunk(), bundle=bundle, terrain=ground).compute()
    assert whole["surface_temperature"].notnull().all()
    cut = retrieve(ds.chunk(y=7, x=7), bundle=bundle, terrain=ground).compute()
    xr.testing.assert_identical(cut.drop_attrs(), whole.drop_attrs())
    kelvin = sensor.dn_to_brightness_temperature(ds["tir"][0].to_numpy().transpose(1, 2, 0))
    share = describe_image(kelvin)[CONTEXT.index("surroundings_known_3")]
    assert share[0, 0] == pytest.approx(min(shape[0], 2) * min(shape[1], 2) / 9)


@pytest.mark.parametrize("method", ["fusion", "split_window"])
def test_water_has_a_prior_of_its_own_where_none_is_given(bundle: Bundle, method: str) -> None:
    ds = cube()
    water = np.zeros((2, 150, 170), bool)
    water[0, 30:90, 50:120] = True
    ds["water"] = (("time", "y", "x"), water)
    ground = terrain(ds)
    given = np.full((5, 150, 170), 0.95, np.float32)
    given[:, 60:] = np.nan
    ds["emissivity_prior"] = (("band", "y", "x"), given, {"units": "1"})
    found = retrieve(ds, method=method, bundle=bundle, terrain=ground).compute()
    wet = given.copy()
    wet[:, 60:90, 50:120] = water_emissivity()[:, np.newaxis, np.newaxis]
    error = np.full(given.shape, 0.015, np.float32)
    error[:, 60:90, 50:120] = WATER_EMISSIVITY_UNCERTAINTY
    told = ds.assign(
        emissivity_prior=(("band", "y", "x"), wet, {"units": "1"}),
        emissivity_prior_uncertainty=(("band", "y", "x"), error, {"units": "1"}),
    )
    expected = retrieve(told, method=method, bundle=bundle, terrain=ground).compute()
    xr.testing.assert_identical(found[{"time": 0}].drop_attrs(), expected[{"time": 0}].drop_attrs())
    # Not masked as water on the second date, it has no prior then.
    dry = retrieve(ds.drop_vars("water"), method=method, bundle=bundle, terrain=ground).compute()
    xr.testing.assert_identical(found[{"time": 1}].drop_attrs(), dry[{"time": 1}].drop_attrs())
    changed = (found != dry)["surface_temperature"][0].to_numpy()
    assert changed[60:90, 50:120].mean() > 0.99
    changed[60:90, 50:120] = False
    fill = found["surface_temperature"][0].isnull().to_numpy()
    assert not changed[~fill].any()


def test_skin_temperature_counts_with_its_error_and_flags_nothing(bundle: Bundle) -> None:
    ds = cube()
    ds["air_temperature"] = ("time", [291.0, 285.0], {"units": "K"})
    ground = terrain(ds)
    bare = retrieve(ds, bundle=bundle, terrain=ground).compute()
    assert not decode(bare["quality"])["ancillary_missing"].any()
    ds["skin_temperature"] = ("time", [305.0, 280.0], {"units": "K"})
    result = retrieve(ds, bundle=bundle, terrain=ground)
    assert result.attrs["assumed_skin_temperature_error"] == "3 K"
    assumed = result.compute()
    stated = ds.assign(skin_temperature_error=((), 3.0, {"units": "K"}))
    found = retrieve(stated, bundle=bundle, terrain=ground).compute()
    xr.testing.assert_identical(found.drop_attrs(), assumed.drop_attrs())
    other = retrieve(
        stated.assign(skin_temperature_error=((), 1.0, {"units": "K"})),
        bundle=bundle,
        terrain=ground,
    ).compute()
    measured = bare["surface_temperature"].notnull().to_numpy()
    for different in (bare, other):
        changed = (different != assumed)["surface_temperature"].to_numpy()
        # One in thousands of float32 temperatures may be the same by chance.
        assert changed[measured].mean() > 0.99


def test_a_given_pressure_goes_before_that_from_elevation(bundle: Bundle) -> None:
    ds = cube()
    ground = terrain(ds)
    expected = retrieve(ds, bundle=bundle, terrain=ground).compute()
    standard = surface_pressure_from_elevation(ds["elevation"]).to_numpy()
    field = np.stack([standard, standard])
    field[0, 30:60] = np.nan
    field[1, 70:90] = 800.0
    ds["surface_pressure"] = (("time", "y", "x"), field, {"units": "hPa"})
    found = retrieve(ds, bundle=bundle, terrain=ground).compute()
    xr.testing.assert_identical(found[{"time": 0}].drop_attrs(), expected[{"time": 0}].drop_attrs())
    changed = (found != expected)["surface_temperature"][1].to_numpy()
    measured = expected["surface_temperature"][1].notnull().to_numpy()
    assert changed[70:90][measured[70:90]].mean() > 0.99
    changed[70:90] = False
    assert not changed[measured].any()
    ds["surface_pressure"] = ("time", [800.0, np.nan], {"units": "hPa"})
    number = retrieve(ds, bundle=bundle, terrain=ground).compute()
    np.testing.assert_array_equal(
        number["surface_temperature"][1], expected["surface_temperature"][1]
    )
    np.testing.assert_array_equal(
        retrieve(ds.drop_vars("elevation"), method="teacher", bundle=bundle)["surface_temperature"][
            0
        ],
        retrieve(ds, method="teacher", bundle=bundle)["surface_temperature"][0],
    )
