"""Scoring a result against a truth, and bringing a raster such as AST_08 onto its grid."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rioxarray  # noqa: F401
import xarray as xr
from typer.testing import CliRunner

from aktes_xr.cli import app
from aktes_xr.errors import GridError, InputError, MissingVariableError
from aktes_xr.sensor import BANDS
from aktes_xr.store import write_result
from aktes_xr.validation.comparison import COLUMNS, cells, open_truth, validate

# rioxarray multiplies affine transforms in the way affine 3 means to drop.
pytestmark = pytest.mark.filterwarnings("ignore:Use `@` matmul:PendingDeprecationWarning")

NY, NX = 20, 24
CUBE = ("time", "y", "x")


def scene(dates: int = 2) -> tuple[xr.Dataset, xr.Dataset]:
    """A result 0.5 K too warm with sigma 0.4 K in its left half and 0.6 K in its right, truth."""
    rng = np.random.default_rng(0)
    times = np.datetime64("2020-06-01", "ns") + np.arange(dates) * np.timedelta64(16, "D")
    coords = {
        "time": times,
        "band": list(BANDS),
        "y": 4_000_000.0 - 90.0 * np.arange(NY),
        "x": 500_000.0 + 90.0 * np.arange(NX),
    }
    true = rng.uniform(280, 320, (dates, NY, NX)).astype("float32")
    sigma = np.where(np.arange(NX) < NX // 2, 0.4, 0.6) * np.ones(true.shape)
    emissivity = rng.uniform(0.8, 1.0, (dates, 5, NY, NX)).astype("float32")
    result = xr.Dataset(
        {
            "surface_temperature": (CUBE, true + np.float32(0.5), {"units": "K"}),
            "surface_temperature_uncertainty": (CUBE, sigma.astype("float32"), {"units": "K"}),
            "emissivity": (("time", "band", "y", "x"), emissivity - np.float32(0.01)),
        },
        coords=coords,
    ).rio.write_crs("EPSG:32633")
    truth = result[["surface_temperature"]].copy(data={"surface_temperature": true})
    truth["emissivity"] = (("time", "band", "y", "x"), emissivity)
    return result, truth


def test_scores_are_the_known_ones() -> None:
    score = validate(*scene(), name="fusion")
    assert score.name == "fusion"
    assert score.pixels == 2 * NY * NX
    assert score.mae_k == pytest.approx(0.5, abs=1e-5)
    assert score.bias_k == pytest.approx(0.5, abs=1e-5)
    assert score.pcc == pytest.approx(1.0, abs=1e-6)
    assert score.inside_68 == 0.5
    assert score.inside_95 == 1.0
    assert score.emissivity_mae == pytest.approx(0.01, abs=1e-6)


def test_lazy_is_the_same() -> None:
    result, truth = scene()
    assert validate(result.chunk(y=7), truth.chunk(x=5)) == validate(result, truth)


def test_only_pixels_that_count_and_are_known() -> None:
    result, truth = scene()
    left = xr.DataArray(np.arange(NX) < NX // 2, dims="x") & xr.ones_like(result["y"], dtype=bool)
    result["surface_temperature"][0, 0] = np.nan
    score = validate(result, truth, where=left)
    assert score.pixels == (2 * NY - 1) * (NX // 2)
    assert score.inside_68 == 0.0


def test_no_stated_uncertainty_is_said() -> None:
    result, truth = scene()
    silent = result.assign(
        surface_temperature_uncertainty=result["surface_temperature_uncertainty"] * np.nan
    )
    for without in (silent, result.drop_vars("surface_temperature_uncertainty")):
        score = validate(without.drop_vars("emissivity"), truth)
        assert (score.inside_68, score.inside_95, score.emissivity_mae) == (None, None, None)
        assert cells(score)[-3:] == ("not stated", "not stated", "unknown")
        assert len(cells(score)) == len(COLUMNS)


def test_a_truth_without_time_serves_every_date() -> None:
    result, truth = scene()
    still = result.isel(time=[0, 0])
    score = validate(still, truth.isel(time=0, drop=True))
    assert score.pixels == 2 * NY * NX
    assert score.mae_k == pytest.approx(0.5, abs=1e-5)


def test_what_does_not_fit_is_refused() -> None:
    result, truth = scene()
    with pytest.raises(MissingVariableError, match="the truth has no 'surface_temperature'"):
        validate(result, truth[["emissivity"]])
    with pytest.raises(GridError, match="the truth"):
        validate(result, truth.assign_coords(x=truth["x"] + 45.0))
    with pytest.raises(GridError, match="the same dates"):
        validate(result, truth.isel(time=[0, 1, 1]))


def raster(path: Path, truth: xr.Dataset, *, scale: float = 0.1, crs: str = "EPSG:32633") -> Path:
    """Write the first date as AST_08 does: uint16, tenths of a kelvin, zero where unknown."""
    kelvin = truth["surface_temperature"].isel(time=0, drop=True)
    encoded = (kelvin / scale).round().fillna(0).astype("uint16").rio.write_crs("EPSG:32633")
    if crs != "EPSG:32633":
        encoded = encoded.rio.reproject(crs, nodata=0)
    encoded.rio.to_raster(path)
    return path


def test_a_standard_product_is_read_in_its_scale(tmp_path: Path) -> None:
    result, truth = scene(1)
    truth["surface_temperature"][0, 2, 3] = np.nan
    opened = open_truth(raster(tmp_path / "AST_08.tif", truth), result, scale=0.1)
    difference = opened["surface_temperature"] - truth["surface_temperature"][0].drop_vars("time")
    assert float(np.abs(difference).max()) < 0.0501
    assert np.isnan(opened["surface_temperature"][2, 3])
    assert validate(result, opened).pixels == NY * NX - 1


def test_a_raster_of_another_grid_is_brought_to_the_results(tmp_path: Path) -> None:
    result, truth = scene(1)
    truth["surface_temperature"][:] = 300.0
    path = raster(tmp_path / "AST_08.tif", truth, crs="EPSG:4326")
    score = validate(result, open_truth(path, result, scale=0.1))
    assert score.pixels > 0.9 * NY * NX
    expected = float((result["surface_temperature"] - 300.0).mean())
    assert score.bias_k == pytest.approx(expected, abs=1.0)


def test_a_forgotten_scale_is_noticed(tmp_path: Path) -> None:
    result, truth = scene(1)
    with pytest.raises(InputError, match=r"median of .*0\.1 for AST_08"):
        open_truth(raster(tmp_path / "AST_08.tif", truth), result)


def run(*arguments: str) -> Any:
    return CliRunner().invoke(app, list(arguments))


def test_commands_validate_and_report(tmp_path: Path) -> None:
    result, truth = scene()
    write_result(result, tmp_path / "r.zarr")
    write_result(truth, tmp_path / "t.zarr")
    done = run("validate", str(tmp_path / "r.zarr"), str(tmp_path / "t.zarr"), "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["mae_k"] == pytest.approx(0.5, abs=1e-5)
    text = run("validate", str(tmp_path / "r.zarr"), str(tmp_path / "t.zarr")).stdout
    assert "MAE (K)         0.50" in text
    page = tmp_path / "report.html"
    arguments = ("--out", str(page), "--truth", str(tmp_path / "t.zarr"))
    done = run("report", str(tmp_path / "r.zarr"), *arguments)
    assert done.exit_code == 0, done.output
    assert done.stdout == f"page: {page}\n"
    assert page.read_text().count("data:image/png") == 2


def test_a_store_that_is_not_there_is_usage() -> None:
    done = run("report", "nowhere.zarr")
    assert done.exit_code == 2
    assert "does not exist" in done.stderr
