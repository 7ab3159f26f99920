from __future__ import annotations

from pathlib import Path

import dask
import numpy as np
import pytest
import xarray as xr
from mod35_granules import CRS, NAME, SOUTH, WEST, places, write_mask
from random_bundle import random_bundle

import aktes_xr
from aktes_xr.ancillaries import add_cloud_mask
from aktes_xr.cube import new_cube
from aktes_xr.cube.selection import flags
from aktes_xr.errors import AncillaryError, InputError

SIDE = 120


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
    path, clear = write_mask(tmp_path)
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
    path, clear = write_mask(tmp_path, crs=crs)
    east = cube(crs=crs, east=230_000.0)
    found = add_cloud_mask(east, [path])["cloud"].to_numpy()[0]
    assert (found == expected(east, clear)).mean() > 0.995


def test_what_is_not_known_to_be_clear_is_cloud(tmp_path: Path) -> None:
    path, _ = write_mask(tmp_path)
    assert add_cloud_mask(cube(east=2_000_000.0), [path])["cloud"].all()


def test_a_retrieval_takes_the_mask_and_says_whose_it_is(tmp_path: Path) -> None:
    path, _ = write_mask(tmp_path)
    bundle = random_bundle(tmp_path / "bundle", clouds=True)
    masked = add_cloud_mask(cube(), [path])
    result = aktes_xr.retrieve(masked, bundle=bundle, method="teacher").compute()
    assert result.attrs["cloud_source"] == "mask"
    assert result.attrs["cloud_mask_source"] == NAME
    np.testing.assert_array_equal(flags(result)["cloud"], masked["cloud"])


def test_wrong_granules_are_refused_with_their_names(tmp_path: Path) -> None:
    path, _ = write_mask(tmp_path)
    with pytest.raises(InputError, match="no MOD35_L2 granule for 2004-07-01 10:40:00"):
        add_cloud_mask(cube("2004-07-01T10:40:00"), [path])
    with pytest.raises(InputError, match=r"MYD35_L2\.A2004183"):
        add_cloud_mask(cube(), [tmp_path / NAME.replace("MOD", "MYD")])
    broken = tmp_path / NAME.replace("A2004183", "A2004184")
    broken.write_bytes(b"not HDF4")
    with pytest.raises(AncillaryError, match="could not be read as MOD35_L2"):
        add_cloud_mask(cube("2004-07-02T10:37:20"), [broken])["cloud"].compute()
