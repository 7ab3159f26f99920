"""MODIS' cloud mask from NASA's archive: what is asked for, what is taken, and what goes wrong."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

import dask
import numpy as np
import pytest
import xarray as xr
from fake_earthdata import TOKEN, Archive, earthaccess, granule, install
from mod35_granules import CRS, NAME, SOUTH, WEST, write_mask

import aktes_xr
from aktes_xr.cube import new_cube
from aktes_xr.errors import AccessError, DependencyError, GranuleError, InputError, ReadError

SIDE = 120
OLDER = NAME.replace("2017214155303", "2012014155303")
NEXT = NAME.replace(".1035.", ".1040.")


def cube(*times: str) -> xr.Dataset:
    count = len(times)
    return new_cube(
        np.full((count, 5, SIDE, SIDE), 1500, np.uint16),
        time=np.array(times, "M8[ns]"),
        y=SOUTH - 50_000.0 - 90.0 * np.arange(SIDE),
        x=WEST + 30_000.0 + 90.0 * np.arange(SIDE),
        crs=CRS,
        coordinates={"view_zenith": [3.0] * count},
    )


@pytest.fixture
def archive(monkeypatch: pytest.MonkeyPatch) -> Archive:
    found = Archive({"2004-07-01T10:37:30Z": [granule(OLDER), granule(f"{NAME}.xml", NAME)]})
    install(monkeypatch, found, lambda place, name: write_mask(place, name=name))
    return found


def test_the_granule_of_the_same_second_is_downloaded_once(
    tmp_path: Path, archive: Archive
) -> None:
    kept = tmp_path / "kept"

    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError("computed")

    for _ in range(2):
        with dask.config.set(scheduler=refuse):
            masked = aktes_xr.add_cloud_mask(cube("2004-07-01T10:37:20"), "mod35", folder=kept)
    assert len(archive.asked) == 1
    for part in ("short_name=MOD35_L2", "version=6.1"):
        assert part in archive.asked[0]
    assert "temporal[]=2004-07-01T10:37:30Z,2004-07-01T10:37:30Z" in archive.asked[0]
    # Processed twice: the newer one, with all that belongs to it.
    assert archive.downloaded == [f"{NAME}.xml", NAME]
    assert masked.attrs["cloud_mask_source"] == NAME
    path, _ = write_mask(tmp_path)
    expected = aktes_xr.add_cloud_mask(cube("2004-07-01T10:37:20"), path)
    np.testing.assert_array_equal(masked["cloud"], expected["cloud"])
    assert 0.0 < float(masked["cloud"].mean()) < 1.0


def test_the_cache_is_the_users_unless_a_folder_is_given(
    tmp_path: Path, archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    aktes_xr.add_cloud_mask(cube("2004-07-01T10:37:20"))
    assert (tmp_path / "aktes_xr" / "MOD35_L2" / NAME).is_file()


def test_a_pass_that_goes_on_takes_the_next_granule_where_there_is_one(
    tmp_path: Path, archive: Archive
) -> None:
    ds = cube("2004-07-01T10:39:55")
    alone = aktes_xr.add_cloud_mask(ds, folder=tmp_path)
    assert alone.attrs["cloud_mask_source"] == NAME
    archive.holds["2004-07-01T10:42:30Z"] = [granule(NEXT)]
    both = aktes_xr.add_cloud_mask(ds, folder=tmp_path)
    assert both.attrs["cloud_mask_source"] == f"{NAME} {NEXT}"
    assert len(archive.asked) == 3
    # Both say the same of the same ground here.
    np.testing.assert_array_equal(both["cloud"], alone["cloud"])


def test_a_date_without_a_granule_is_named(tmp_path: Path, archive: Archive) -> None:
    ds = cube("2004-07-01T10:37:20", "2004-07-17T10:37:20")
    with pytest.raises(GranuleError, match=r"no MOD35_L2 granule for 2004-07-17 10:37:20 UTC"):
        aktes_xr.add_cloud_mask(ds, folder=tmp_path)


def test_no_login_says_how_to_log_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("EARTHDATA_TOKEN", "EARTHDATA_USERNAME", "EARTHDATA_PASSWORD"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "none"))
    with pytest.raises(AccessError, match=r"no Earthdata login.*EARTHDATA_TOKEN.*~/\.netrc"):
        aktes_xr.add_cloud_mask(cube("2004-07-01T10:37:20"), folder=tmp_path)


def test_a_refused_login_keeps_its_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(**options: str) -> None:
        raise earthaccess.exceptions.LoginAttemptFailure(f"refused: {TOKEN}")

    monkeypatch.setattr(earthaccess, "login", refused)
    with pytest.raises(AccessError, match="login is refused") as caught:
        aktes_xr.add_cloud_mask(cube("2004-07-01T10:37:20"), folder=tmp_path)
    assert TOKEN not in str(caught.value)
    assert caught.value.__suppress_context__


@pytest.mark.parametrize(
    "failure",
    [
        earthaccess.exceptions.DownloadFailure(f"Download failed for {TOKEN}"),
        OSError(f"no host ?Signature={TOKEN}"),
    ],
)
def test_a_failed_download_leaves_nothing_and_no_secret(
    tmp_path: Path, archive: Archive, failure: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    archive.failure = failure
    with pytest.raises(ReadError, match="MOD35_L2 could not be downloaded") as caught:
        aktes_xr.add_cloud_mask(cube("2004-07-01T10:37:20"), folder=tmp_path)
    assert TOKEN not in str(caught.value) + caplog.text
    assert list(tmp_path.iterdir()) == []
    assert logging.getLogger("earthaccess").level == logging.NOTSET


def test_without_a_package_the_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aktes_xr.ancillaries.earthdata.find_spec", lambda name: None)
    with pytest.raises(DependencyError, match=r"pip install 'aktes-xr\[earthdata\]'"):
        aktes_xr.add_cloud_mask(cube("2004-07-01T10:37:20"), folder=tmp_path)
    monkeypatch.setitem(sys.modules, "pyhdf", None)
    with pytest.raises(DependencyError, match=r"pip install 'aktes-xr\[modis\]'"):
        aktes_xr.add_cloud_mask(cube("2004-07-01T10:37:20"), folder=tmp_path)


def test_paths_are_files_or_folders_and_not_mixed_with_the_archive(tmp_path: Path) -> None:
    path, _ = write_mask(tmp_path)
    (tmp_path / "notes.txt").write_text("no granule")
    ds = cube("2004-07-01T10:37:20")
    by_folder = aktes_xr.add_cloud_mask(ds, tmp_path)
    by_file = aktes_xr.add_cloud_mask(ds, [str(path)])
    xr.testing.assert_identical(by_folder.compute(), by_file.compute())
    with pytest.raises(InputError, match="beside 1 path"):
        aktes_xr.add_cloud_mask(ds, ["mod35", path])
    with pytest.raises(InputError, match="there is no file"):
        aktes_xr.add_cloud_mask(ds, [tmp_path / NEXT])
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="folder empty holds no granule"):
        aktes_xr.add_cloud_mask(ds, tmp_path / "empty")
    with pytest.raises(InputError, match="found no path of a cloud mask"):
        aktes_xr.add_cloud_mask(ds, [])
