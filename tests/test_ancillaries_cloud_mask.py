from __future__ import annotations

from pathlib import Path

import dask
import numpy as np
import pytest
import xarray as xr
from pyproj import Transformer
from random_bundle import random_bundle

import aktes_xr
from aktes_xr.ancillaries import add_cloud_mask
from aktes_xr.cube import new_cube
from aktes_xr.cube.selection import flags
from aktes_xr.errors import AncillaryError, InputError

pyhdf = pytest.importorskip("pyhdf.SD")

CRS = "EPSG:32632"
NAME = "MOD35_L2.A2004183.1035.061.2017214155303.hdf"
SCANS, COLUMNS = 12, 1354
WEST, SOUTH = 120_000.0, 5_000_000.0
SIDE = 120


def places() -> tuple[np.ndarray, np.ndarray]:
    """East and north (m) of pixels: an oblique track, each scan a little longer than the last."""
    line, column = np.mgrid[: 10 * SCANS, :COLUMNS].astype(np.float64)
    # Scans overlap: their lines lie 1,020 m apart, scans 10,000 m.
    along = 10_000.0 * (line // 10) + 1_020.0 * (line % 10)
    across = 1_000.0 * (column - 400) + 0.05 * (column - 677) ** 2
    turn = np.deg2rad(12.0)
    east = WEST + across * np.cos(turn) + along * np.sin(turn)
    return east, SOUTH - along * np.cos(turn) + across * np.sin(turn)


def write_granule(folder: Path, *, crs: str = CRS, name: str = NAME) -> tuple[Path, np.ndarray]:
    """Write a file laid out as the product, and return which pixels are clear."""
    east, north = places()
    longitude, latitude = Transformer.from_crs(crs, "EPSG:4326", always_xy=True).transform(
        east, north
    )
    rng = np.random.default_rng(7)
    confidence = rng.integers(0, 4, (2 * SCANS, 271)).repeat(5, 0).repeat(5, 1)[:, :COLUMNS]
    determined = rng.random((10 * SCANS, COLUMNS)) > 0.02
    mask = np.zeros((6, 10 * SCANS, COLUMNS), np.int8)
    mask[0] = (determined | confidence << 1 | 0b11001000).astype(np.uint8).view(np.int8)
    path = folder / name
    file = pyhdf.SD(str(path), pyhdf.SDC.WRITE | pyhdf.SDC.CREATE)
    for field, values in (("Latitude", latitude), ("Longitude", longitude)):
        sampled = values[2::5, 2:1350:5].astype(np.float32)
        data = file.create(field, pyhdf.SDC.FLOAT32, sampled.shape)
        data.dim(0).setname("Cell_Along_Swath_5km:mod35")
        data.dim(1).setname("Cell_Across_Swath_5km:mod35")
        data[:] = sampled
        data.endaccess()
    data = file.create("Cloud_Mask", pyhdf.SDC.INT8, mask.shape)
    data.dim(0).setname("Byte_Segment:mod35")
    data[:] = mask
    data.endaccess()
    file.end()
    return path, determined & (confidence >= 2)


def cube(time: str = "2004-07-01T10:37:20", *, crs: str = CRS, east: float = 0.0) -> xr.Dataset:
    """A cube within the granule; ``east`` moves it away."""
    return new_cube(
        np.full((1, 5, SIDE, SIDE), 1500, np.uint16),
        time=np.array([time], "M8[ns]"),
        y=SOUTH - 50_000.0 - 90.0 * np.arange(SIDE),
        x=WEST + east + 30_000.0 + 90.0 * np.arange(SIDE),
        crs=crs,
        coordinates={"view_zenith": [3.0]},
    )


def expected(ds: xr.Dataset, clear: np.ndarray) -> np.ndarray:
    """Cloud by the nearest true place; slow and obvious."""
    east, north = (values.ravel() for values in places())
    out = np.empty((SIDE, SIDE), bool)
    for row, y in enumerate(ds["y"].to_numpy()):
        for column, x in enumerate(ds["x"].to_numpy()):
            out[row, column] = ~clear.ravel()[np.argmin((east - x) ** 2 + (north - y) ** 2)]
    return out


def test_a_pixel_takes_the_nearest_of_the_granule(tmp_path: Path) -> None:
    path, clear = write_granule(tmp_path)
    ds = cube()

    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError("computed")

    with dask.config.set(scheduler=refuse):
        masked = add_cloud_mask(ds, [path])
    wanted = expected(ds, clear)
    assert 0.2 < wanted.mean() < 0.9
    found = masked["cloud"].to_numpy()[0]
    # Single precision of the places moves borders by less than a metre, interpolation by few.
    assert (found == wanted).mean() > 0.995
    assert masked.attrs["cloud_mask_source"] == NAME
    assert "cloud" not in ds


def test_the_antimeridian_is_no_border(tmp_path: Path) -> None:
    crs = "+proj=tmerc +lat_0=0 +lon_0=-178.5 +k=0.9996 +x_0=500000 +datum=WGS84"
    path, clear = write_granule(tmp_path, crs=crs)
    east = cube(crs=crs, east=230_000.0)
    found = add_cloud_mask(east, [path])["cloud"].to_numpy()[0]
    assert (found == expected(east, clear)).mean() > 0.995


def test_what_is_not_known_to_be_clear_is_cloud(tmp_path: Path) -> None:
    path, _ = write_granule(tmp_path)
    assert add_cloud_mask(cube(east=2_000_000.0), [path])["cloud"].all()


def test_a_retrieval_takes_the_mask_and_says_whose_it_is(tmp_path: Path) -> None:
    path, _ = write_granule(tmp_path)
    bundle = random_bundle(tmp_path / "bundle", clouds=True)
    masked = add_cloud_mask(cube(), [path])
    result = aktes_xr.retrieve(masked, bundle=bundle, method="teacher").compute()
    assert result.attrs["cloud_source"] == "mask"
    assert result.attrs["cloud_mask_source"] == NAME
    np.testing.assert_array_equal(flags(result)["cloud"], masked["cloud"])


def test_wrong_granules_are_refused_with_their_names(tmp_path: Path) -> None:
    path, _ = write_granule(tmp_path)
    with pytest.raises(InputError, match="no MOD35_L2 granule for 2004-07-01 10:40:00"):
        add_cloud_mask(cube("2004-07-01T10:40:00"), [path])
    with pytest.raises(InputError, match=r"MYD35_L2\.A2004183"):
        add_cloud_mask(cube(), [tmp_path / NAME.replace("MOD", "MYD")])
    broken = tmp_path / NAME.replace("A2004183", "A2004184")
    broken.write_bytes(b"not HDF4")
    with pytest.raises(AncillaryError, match="could not be read as MOD35_L2"):
        add_cloud_mask(cube("2004-07-02T10:37:20"), [broken])["cloud"].compute()
