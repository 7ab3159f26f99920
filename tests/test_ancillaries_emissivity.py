"""Emissivity priors, from files laid out as ASTER GED and CAMEL are."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import dask
import h5py
import numpy as np
import pytest
import xarray as xr
from fake_earthdata import Archive, granule, install
from placed_cubes import cube_at, degrees_of

from aktes_xr import add_ancillaries, add_emissivity_prior, cube, errors
from aktes_xr.sensor import BANDS, WAVELENGTH_UM

# In the middle of the tile with the upper left corner 44 N, 7 E; and at a corner of four.
INSIDE, CORNER = (43.6, 7.4), (44.0, 8.0)


def emissivity(latitude: Any, longitude: Any) -> np.ndarray:
    plane = 0.90 + 0.02 * (latitude - 44.0) + 0.03 * (longitude - 8.0)
    return np.stack([plane + 0.01 * band for band in range(5)])


def write_tile(
    folder: Path, latitude: int, longitude: int, *, holes: Any = None, water: Any = None
) -> Path:
    """Write AG100.v003: named after the upper left corner, 1000 x 1000 pixels of 0.001 degree."""
    folder.mkdir(exist_ok=True)
    name = f"AG100.v003.{latitude:02d}.{longitude:03d}.0001.h5"
    rows = latitude - 0.001 * (np.arange(1000) + 0.5)
    columns = longitude + 0.001 * (np.arange(1000) + 0.5)
    lat, lon = np.meshgrid(rows, columns, indexing="ij")
    mean = np.rint(emissivity(lat, lon) * 1000).astype(np.int16)
    deviation = np.full((5, 1000, 1000), 120, np.int16)
    wet = np.zeros((1000, 1000), np.int8)
    if holes is not None:
        mean[:, *holes] = -9999
    if water is not None:
        wet[water] = 1
        mean[:, *water] = 985
    with h5py.File(folder / name, "w") as file:
        for place, values in (
            ("Emissivity/Mean", mean),
            ("Emissivity/SDev", deviation),
            ("Geolocation/Latitude", lat.astype(np.float32)),
            ("Geolocation/Longitude", lon.astype(np.float32)),
            ("NDVI/Mean", np.zeros((1000, 1000), np.int16)),
            ("Land Water Map/LWmap", wet),
        ):
            chunks = (*(1,) * (values.ndim - 2), 250, 250)
            file.create_dataset(place, data=values, chunks=chunks, compression="lzf")
    return folder / name


@pytest.fixture(scope="module")
def tiles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The four tiles around 44 N, 8 E, without the north-eastern one."""
    folder = tmp_path_factory.mktemp("ged")
    for latitude, longitude in ((44, 7), (45, 7), (44, 8)):
        write_tile(folder, latitude, longitude)
    return folder


def test_a_tile_lies_south_and_east_of_the_corner_it_is_named_after(tiles: Path) -> None:
    ds = cube_at(INSIDE)
    found = add_emissivity_prior(ds, tiles).compute()
    expected = emissivity(*degrees_of(ds))
    # Stored in thousandths.
    np.testing.assert_allclose(found["emissivity_prior"], expected, atol=6e-4)
    assert found["emissivity_prior"].dims == ("band", "y", "x")
    assert list(found["band"].values) == list(BANDS)
    np.testing.assert_allclose(
        found["emissivity_prior_uncertainty"], np.hypot(0.012, 0.010), rtol=1e-5
    )
    assert not found["water"].any()
    assert "emissivity_prior_missing_tiles" not in found.attrs
    assert "Hulley" in found.attrs["ancillary_citation"]
    assert str(tiles) not in str(found.attrs)
    cube.check(found)


def test_a_missing_tile_is_said_and_never_filled(
    tiles: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ds = cube_at(CORNER)
    found = add_emissivity_prior(ds, tiles).compute()
    latitude, longitude = degrees_of(ds)
    absent = (latitude > 44.0005) & (longitude > 8.0005)
    there = (latitude < 43.9995) | (longitude < 7.9995)
    assert absent.any()
    prior = found["emissivity_prior"].values
    assert np.isnan(prior[:, absent]).all()
    assert np.isnan(found["emissivity_prior_uncertainty"].values[:, absent]).all()
    assert not found["water"].values[:, absent].any()
    expected = emissivity(latitude, longitude)
    np.testing.assert_allclose(prior[:, there], expected[:, there], atol=1e-3)
    assert found.attrs["emissivity_prior_missing_tiles"] == "45.008"
    assert "no tile 45.008" in caplog.text


def test_holes_and_what_surrounds_them_are_masked(tmp_path: Path) -> None:
    path = write_tile(tmp_path, 44, 7, holes=(slice(390, 410), slice(390, 410)))
    with h5py.File(path, "r+") as file:
        file["Emissivity/Mean"][0, 380:390, 390:410] = 180
        file["Emissivity/Mean"][2, 410:420, 390:410] = 1001
    ds = cube_at((43.6, 7.4))
    prior = add_emissivity_prior(ds, path)["emissivity_prior"].compute()
    latitude, longitude = degrees_of(ds)
    column = (longitude > 7.3905) & (longitude < 7.4095)
    hole = column & (latitude < 43.6095) & (latitude > 43.5905)
    rim = column & (latitude < 43.6195) & (latitude > 43.6115)
    above = column & (latitude < 43.5885) & (latitude > 43.5815)
    for place in (hole, rim):
        assert place.any()
        assert np.isnan(prior.values[:, place]).all(), "one band's hole is all bands'"
    np.testing.assert_array_equal(prior.values[2, above], 1.0)
    assert float(prior.min()) > 0.8


def test_the_map_of_water_becomes_a_mask(tmp_path: Path) -> None:
    lake = (slice(395, 405), slice(395, 405))
    write_tile(tmp_path, 44, 7, water=lake)
    ds = cube_at(INSIDE)
    found = add_ancillaries(ds, tmp_path)
    latitude, longitude = degrees_of(ds)
    wet = (np.abs(latitude - 43.6) < 0.0045) & (np.abs(longitude - 7.4) < 0.0045)
    dry = (np.abs(latitude - 43.6) > 0.0055) | (np.abs(longitude - 7.4) > 0.0055)
    mask = found["water"].compute()
    assert mask.dtype == bool
    assert mask.dims == ("time", "y", "x")
    assert mask.values[:, wet].all()
    assert not mask.values[:, dry].any()
    cube.check(found.compute())
    own = ds.assign(water=xr.zeros_like(mask))
    assert not add_emissivity_prior(own, tmp_path)["water"].any()
    assert "water" not in add_emissivity_prior(ds, tmp_path, water=False)


def test_a_map_with_land_and_water_exchanged_makes_no_mask_of_land(tmp_path: Path) -> None:
    path = write_tile(tmp_path, 44, 7)
    with h5py.File(path, "r+") as file:
        file["Land Water Map/LWmap"][:] = 1
    assert not add_emissivity_prior(cube_at(INSIDE), path)["water"].any()


def test_chunks_do_not_matter_and_nothing_is_read_early(tiles: Path) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("computed")

    with dask.config.set(scheduler=refuse):
        lazy = add_emissivity_prior(cube_at(CORNER, chunk=90), tiles)
    whole = lazy.compute()
    parts = add_emissivity_prior(cube_at(CORNER, chunk=17), tiles).compute()
    for name in ("emissivity_prior", "emissivity_prior_uncertainty", "water"):
        np.testing.assert_array_equal(parts[name], whole[name])


def test_a_folder_without_what_the_cube_needs(tiles: Path, tmp_path: Path) -> None:
    with pytest.raises(errors.AncillaryError, match=r"needs the tile\(s\) 11.007 .* found 44.007"):
        add_emissivity_prior(cube_at((10.5, 7.4)), tiles)
    with pytest.raises(errors.AncillaryError, match="holds neither a tile"):
        add_emissivity_prior(cube_at(), tmp_path)
    west = write_tile(tmp_path, 44, 7).rename(tmp_path / "AG100.v003.-01.-067.0001.h5")
    with pytest.raises(errors.AncillaryError, match=r"found -1.-067"):
        add_emissivity_prior(cube_at(), west)


def test_a_damaged_tile_is_named_when_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "AG100.v003.44.007.0001.h5"
    path.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100))
    found = add_emissivity_prior(cube_at(INSIDE), path)
    with pytest.raises(errors.ReadError, match=r"AG100\.v003\.44\.007\.0001\.h5 could not be read"):
        found["emissivity_prior"].compute()


HINGES = (3.6, 4.3, 5.0, 5.8, 7.6, 8.3, 8.6, 9.1, 10.6, 10.8, 11.3, 12.1, 14.3)


def write_month(folder: Path, month: int, *, shift: float = 0.0, layout: str = "plain") -> Path:
    """Write CAMEL's climatology of one month: 0.05 degree, linear in wavelength and place."""
    latitude = np.arange(46.975, 40.0, -0.05)
    longitude = np.arange(3.025, 12.0, 0.05)
    plane = 0.85 + 0.01 * (latitude[:, np.newaxis] - 44) + 0.01 * (longitude - 8) + shift
    values = plane[..., np.newaxis] + 0.01 * (np.array(HINGES) - 8.0)
    dims = ("latitude", "longitude") if layout == "plain" else ("Rows", "Columns")
    ds = xr.Dataset(
        {"camel_emis": ((*dims, "spectra"), values, {"units": "1"})},
        coords={"latitude": (dims[0], latitude), "longitude": (dims[1], longitude)},
    )
    if layout == "plain":
        ds["wavelength"] = ("spectra", np.array(HINGES))
    folder.mkdir(exist_ok=True)
    path = folder / f"CAM5K30EMCLIM_emis_climatology_{month:02d}Month_V003.nc"
    stored = {"dtype": "int16", "scale_factor": 0.001, "_FillValue": -999}
    ds.to_netcdf(path, engine="h5netcdf", encoding={"camel_emis": stored})
    return path


@pytest.mark.parametrize("layout", ["plain", "rows and columns"])
def test_camel_is_brought_to_the_bands_and_to_the_months_of_the_dates(
    tmp_path: Path, layout: str
) -> None:
    write_month(tmp_path, 7, layout=layout)
    write_month(tmp_path, 8, shift=0.03, layout=layout)
    ds = cube_at(dates=["2004-07-03T10:41", "2004-07-19T10:41", "2004-08-04T10:41"])
    found = add_ancillaries(ds, tmp_path).compute()
    latitude, longitude = degrees_of(ds)
    plane = 0.85 + 0.01 * (latitude - 44) + 0.01 * (longitude - 8) + 0.01
    expected = np.stack([plane + 0.01 * (wavelength - 8.0) for wavelength in WAVELENGTH_UM])
    np.testing.assert_allclose(found["emissivity_prior"], expected, atol=6e-4)
    np.testing.assert_allclose(found["emissivity_prior_uncertainty"], 0.02)
    assert "water" not in found
    assert "month 07, 08" in found.attrs["ancillary_source"]
    cube.check(found)


def test_camel_without_the_month(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_month(tmp_path, 7)
    add_emissivity_prior(cube_at(dates=["2004-07-03T10:41", "2004-08-04T10:41"]), tmp_path)
    assert "no file for month(s) [8]" in caplog.text
    with pytest.raises(errors.AncillaryError, match=r"needs the month\(s\) 01, but found 07"):
        add_emissivity_prior(cube_at(dates=["2004-01-03T10:41"]), tmp_path)


def test_what_is_not_there_is_downloaded_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = Archive({"": [granule("AG100.v003.44.007.0001.h5")]})
    install(monkeypatch, archive, lambda place, name: write_tile(place, 44, 7))
    ds = cube_at(INSIDE)
    for _ in range(2):
        found = add_emissivity_prior(ds, "ged", folder=tmp_path / "kept")
    (asked,) = archive.asked
    assert "short_name=AG100" in asked
    assert "version=003" in asked
    box = re.search(r"bounding_box=([^&]+)", asked)
    assert box is not None
    west, south, east, north = map(float, box[1].replace("%2C", ",").split(","))
    assert 7.3 < west < 7.4 < east < 7.5
    assert 43.5 < south < 43.6 < north < 43.7
    assert found["emissivity_prior"].notnull().all()


def test_a_download_without_its_package_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aktes_xr.ancillaries.earthdata.find_spec", lambda name: None)
    with pytest.raises(errors.DependencyError, match=r"pip install 'aktes-xr\[earthdata\]'"):
        add_emissivity_prior(cube_at(INSIDE), "ged", folder=tmp_path)
