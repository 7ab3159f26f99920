"""The first hour: each command takes what the one before it wrote, with default options."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import xarray as xr
from random_bundle import random_bundle
from typer.testing import CliRunner

import aktes_xr
from aktes_xr.cli import app

# rioxarray multiplies affine transforms in the way affine 3 means to drop.
pytestmark = pytest.mark.filterwarnings("ignore:Use `@` matmul:PendingDeprecationWarning")


def run(*arguments: str | Path) -> Any:
    done = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Run the chain once; what each command answered, by its name."""
    root = tmp_path_factory.mktemp("chain")
    random_bundle(root / "bundle")
    scene, result = root / "scene", root / "result.zarr"
    found: dict[str, Any] = {"root": root, "result": result}
    found["simulate"] = run("simulate", scene, "--shape", "60x70", "--dates", "2", "--json")
    items = found["simulate"]["items"]
    given = ("--dem", scene / "dem.tif", "--ancillary", scene / "ancillary.zarr")
    bundle = ("--bundle", root / "bundle", "--json")
    found["plan"] = run("plan", *items, *given, *bundle)
    found["retrieve"] = run("retrieve", *items, "--out", result, *given, *bundle)
    found["validate"] = run("validate", result, scene / "truth.zarr", "--json")
    page = ("--out", root / "page.html", "--json")
    found["report"] = run("report", result, "--truth", scene / "truth.zarr", *page)
    formats = ("--cog", root / "cogs", "--netcdf", root / "result.nc")
    found["export"] = run("export", result, *formats, "--json")
    return found


def test_the_result_lies_on_the_granules_own_pixels(chain: dict[str, Any]) -> None:
    with rasterio.open(next((chain["root"] / "scene").glob("*.TIR.tif"))) as granule:
        step, shape = granule.res[0], granule.shape
    result = aktes_xr.open_result(chain["result"])
    assert (result.sizes["y"], result.sizes["x"]) == shape
    assert float(result["x"].diff("x").mean()) == pytest.approx(step, rel=1e-6)
    assert step != 90.0
    assert chain["retrieve"]["complete"]
    assert chain["plan"]["dates"] == 2


def test_all_pixels_are_validated_and_drawn(chain: dict[str, Any]) -> None:
    result = aktes_xr.open_result(chain["result"])
    valid = int(result["surface_temperature"].notnull().sum())
    assert chain["validate"]["pixels"] == valid > 0
    page = Path(chain["report"]["page"]).read_text(encoding="utf-8")
    assert page.count("<figure>") == 2
    assert "<td>dem.tif</td>" in page
    assert "ancillary_water_vapor" in page
    assert str(chain["root"]) not in page


def test_a_cog_is_read_by_plain_rasterio(chain: dict[str, Any]) -> None:
    result = aktes_xr.open_result(chain["result"])
    files = {Path(name).name: name for name in chain["export"]["cogs"]}
    stamp = np.datetime_as_string(result["time"].values[1], unit="s")
    name = f"surface_temperature_{stamp.replace('-', '').replace(':', '')}Z.tif"
    with rasterio.open(files[name]) as cog:
        assert cog.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
        assert cog.nodata == 65535
        assert (cog.scales, cog.offsets, cog.units) == ((0.01,), (0.0,), ("K",))
        assert cog.crs == result.rio.crs
        assert cog.transform.almost_equals(result.rio.transform(), 1e-3)
        kelvin = cog.read(1, masked=True) * cog.scales[0] + cog.offsets[0]
    expected = result["surface_temperature"].isel(time=1).to_numpy()
    np.testing.assert_array_equal(kelvin.mask, np.isnan(expected))
    np.testing.assert_allclose(kelvin.filled(np.nan), expected, atol=0.0051)
    with rasterio.open(files[name.replace("surface_temperature", "emissivity")]) as cog:
        assert cog.descriptions == ("B10", "B11", "B12", "B13", "B14")
    with rasterio.open(files[name.replace("surface_temperature", "quality")]) as cog:
        np.testing.assert_array_equal(cog.read(1), result["quality"].isel(time=1))
        assert "cloud" in cog.tags()["flag_meanings"].split()
        assert cog.nodata is None


def test_a_netcdf_is_read_by_plain_xarray(chain: dict[str, Any]) -> None:
    result = aktes_xr.open_result(chain["result"])
    with xr.open_dataset(chain["export"]["netcdf"], decode_coords="all") as opened:
        assert set(opened.data_vars) == set(result.data_vars)
        for name in result.data_vars:
            np.testing.assert_array_equal(opened[name], result[name])
        assert opened.rio.crs == result.rio.crs
        assert opened["surface_temperature"].attrs["units"] == "K"
        np.testing.assert_array_equal(opened["time"], result["time"])
        np.testing.assert_array_equal(opened["item_id"], result["item_id"])
        first, second = opened.attrs["history"].splitlines()
        assert first.endswith("written to NetCDF")
        assert second.endswith("computed and written to Zarr")
