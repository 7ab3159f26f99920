"""Scoring a result against a truth, and bringing a raster such as AST_08 onto its grid."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rioxarray
import xarray as xr
from real_data import real_files
from typer.testing import CliRunner

from aktes_xr.cli import app
from aktes_xr.errors import GridError, InputError, MissingVariableError, OverlapError
from aktes_xr.sensor import BANDS
from aktes_xr.store import write_result
from aktes_xr.validation import (
    EMISSIVITY,
    Selection,
    compare,
    open_reference,
    open_truth,
    pair_fields,
)
from aktes_xr.validation.comparison import COLUMNS, cells, validate
from aktes_xr.validation.reference import measured_at, product_of

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
        open_truth(raster(tmp_path / "map.tif", truth), result)


@pytest.mark.parametrize(
    ("name", "product", "time"),
    [
        ("AST_08_00310252015145234_kt.tif", "AST_08", "2015-10-25T14:52:34"),
        (
            "ECOv002_L2T_LSTE_26223_012_10SGD_20230219T202943_0710_01_LST.tif",
            "ECOSTRESS L2T LSTE",
            "2023-02-19T20:29:43",
        ),
        ("MOD21.A2020123.1035.061.LST_1KM.tif", "MOD21", "2020-05-02T10:35:00"),
        (
            "LC08_L2SP_001070_20190114_20200830_02_T2_ST_B10.TIF",
            "Landsat Collection 2 ST",
            None,
        ),
        ("mine.tif", None, None),
    ],
)
def test_a_products_name_tells_scale_and_time(
    name: str, product: str | None, time: str | None
) -> None:
    found = product_of(Path(name))
    assert (None if found is None else found.name) == product
    measured = measured_at(Path(name))
    assert (None if measured is None else str(measured)[:19]) == time


def test_no_common_ground_is_an_error_with_both_extents(tmp_path: Path) -> None:
    result, truth = scene(1)
    path = raster(tmp_path / "AST_08.tif", truth)
    away = result.assign_coords(y=result["y"] - 50_000.0)
    with pytest.raises(OverlapError, match=r"covers 14\.\d+ to .* result 15\.\d+ to"):
        open_truth(path, away, scale=0.1)
    nowhere = truth.assign(surface_temperature=truth["surface_temperature"] * np.nan)
    with pytest.raises(OverlapError, match="have no pixel in common"):
        validate(result, nowhere)


def test_a_file_that_is_no_raster_is_named(tmp_path: Path) -> None:
    path = tmp_path / "map.tif"
    path.write_text("not a raster")
    with pytest.raises(InputError, match=r"map\.tif cannot be read"):
        open_truth(path, scene(1)[0])


def test_the_real_ast08_is_read_askew_as_it_lies() -> None:
    """Kinetic temperature of a night over Bali and Lombok, whose rows do not run west to east."""
    (path,) = real_files("granules").glob("AST_08_*.tif")
    ny, nx = 300, 320
    result = xr.Dataset(
        {"surface_temperature": (("y", "x"), np.full((ny, nx), 297.0, "float32"))},
        coords={"y": 9_070_000 - 90.0 * np.arange(ny), "x": 300_000 + 90.0 * np.arange(nx)},
    ).rio.write_crs("EPSG:32750")
    found = open_truth(path, result)["surface_temperature"]
    assert float(found.median()) == pytest.approx(296.8, abs=0.05)
    # Its floor of 200 K is no measurement.
    assert float(found.min()) > 200.0
    score = compare(pair_fields(result, open_reference(path, result))).overall
    assert score.n == int(found.notnull().sum())


def test_landsats_coarser_pixels_take_the_results_mean() -> None:
    folder = real_files("landsat8")
    (path,) = folder.glob("LC08_L2SP_005009_*_ST_B10.TIF")
    with rioxarray.open_rasterio(path) as stored:
        kelvin = stored.squeeze("band", drop=True).isel(y=slice(365, 393), x=slice(135, 163))
    kelvin = kelvin.where(kelvin > 0) * 0.00341802 + 149.0
    fine = kelvin.astype("float32").rio.reproject(kelvin.rio.crs, resolution=90.0)
    result = xr.Dataset({"surface_temperature": fine.where(fine > 0) + 0.3}).rio.write_crs(
        kelvin.rio.crs
    )
    reference = open_reference(path, result)
    assert reference.coarse
    score = compare(pair_fields(result, reference)).overall
    assert score.n > 100
    assert score.median == pytest.approx(0.3, abs=0.05)


def test_ecostress_is_matched_on_the_results_grid() -> None:
    path = min(real_files("ecostress_lst").glob("*.tif"))
    raster = rioxarray.open_rasterio(path, masked=True).squeeze("band", drop=True)
    utm = raster.rio.reproject("EPSG:32610", resolution=90.0)
    result = xr.Dataset(
        {
            "surface_temperature": (utm + 1.0).expand_dims(
                time=[np.datetime64("2023-02-20T18:30", "ns")]
            )
        }
    ).rio.write_crs("EPSG:32610")
    found = compare(pair_fields(result, open_reference(path, result)))
    assert found.overall.n > 10_000
    assert found.overall.median == pytest.approx(1.0, abs=0.05)
    assert found.notes == ("measured 22.0 hours apart: differences are of the ground, too",)


def test_dates_are_matched_by_time_and_flags_left_out(tmp_path: Path) -> None:
    result, truth = scene(3)
    result["quality"] = (CUBE, np.zeros((3, NY, NX), "uint16"))
    result["quality"][:, :2] = 4  # cloud
    shifted = truth.isel(time=[2, 0]).assign_coords(
        time=truth["time"].to_numpy()[[2, 0]] + np.timedelta64(10, "m")
    )
    shifted.to_zarr(tmp_path / "t.zarr", consolidated=False)
    reference = open_reference(tmp_path / "t.zarr", result)
    pairs = pair_fields(result, reference)
    assert pairs.estimate.size == 2 * (NY - 2) * NX
    assert pairs.left_out == {"cloud": 2 * 2 * NX}
    np.testing.assert_allclose(pairs.estimate - pairs.truth, 0.5, atol=1e-4)
    every = pair_fields(result, reference, Selection(exclude=()))
    assert every.estimate.size == 2 * NY * NX
    with pytest.raises(OverlapError, match="within 5 minutes of one of the result's"):
        pair_fields(result, reference, Selection(within_s=300.0))
    with pytest.raises(InputError, match="among the flags"):
        Selection(exclude=("clouds",))


def correlated(shape: tuple[int, int], width: float, seed: int) -> np.ndarray:
    """Noise of unit variance that is alike over some pixels."""
    from scipy.ndimage import gaussian_filter

    smooth = gaussian_filter(np.random.default_rng(seed).normal(size=shape), width, mode="wrap")
    return np.asarray(smooth / smooth.std())


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    """Where errors are alike over some pixels, naive intervals miss the bias and ours do not."""
    held = naive = 0
    for seed in range(40):
        coords = {"y": 4e6 - 90.0 * np.arange(150), "x": 5e5 + 90.0 * np.arange(160)}
        error = 0.3 + 0.5 * correlated((150, 160), 3.0, seed)
        result = xr.Dataset({"surface_temperature": (("y", "x"), 300 + error)}, coords)
        reference = open_reference_of(300 + 0 * result["surface_temperature"])
        found = compare(pair_fields(result, reference)).overall
        held += found.bias_low < 0.3 < found.bias_high
        naive += abs(found.bias - 0.3) < 1.96 * error.std() / error.size**0.5
    assert held >= 35
    assert naive < 20


def open_reference_of(field: xr.DataArray) -> Any:
    from aktes_xr.validation import Reference

    return Reference("truth", field, xr.Dataset())


def run(*arguments: str) -> Any:
    return CliRunner().invoke(app, list(arguments))


def write_emissivity(path: Path, bands: list[int], error: float, *, scale: float = 0.001) -> None:
    """Write emissivities of the scene's first date, off by an error, as AST_05 stores them."""
    true = scene()[1]["emissivity"].isel(time=0, band=bands)
    stored = ((true + error) / scale).round().astype("uint16")
    stored.rio.write_nodata(0).rio.write_crs("EPSG:32633").rio.to_raster(path)


def test_ast05_is_compared_band_by_band(tmp_path: Path) -> None:
    result = scene()[0].isel(time=[0])
    result["emissivity_uncertainty"] = 0.0 * result["emissivity"] + 0.01
    path = tmp_path / "AST_05_00310252015145234_20151026.tif"
    write_emissivity(path, [0, 1, 2, 3, 4], 0.0)
    reference = open_reference(path, result)
    assert reference.quantity is EMISSIVITY
    found = compare(pair_fields(result, reference))
    assert found.overall.n == 5 * NY * NX
    assert found.overall.bias == pytest.approx(-0.01, abs=2e-5)
    assert [name for name in found.strata if name in BANDS] == list(BANDS)
    assert found.strata["B12"].n == NY * NX
    written = found.as_dict()
    assert written["mae"] == pytest.approx(0.01, abs=2e-5)
    assert "mae_k" not in written
    assert found.reliability is not None
    assert found.reliability.stated == pytest.approx([0.01] * 10)
    # Errors of the bands of one place count as one.
    clusters = pair_fields(result, reference).clusters.reshape(5, -1)
    assert (clusters == clusters[0]).all()


def test_a_single_bands_file_says_which_it_is(tmp_path: Path) -> None:
    result = scene()[0].isel(time=[0])
    path = tmp_path / "AST_05_00310252015145234_SurfaceEmissivity_B12.tif"
    write_emissivity(path, [2], 0.0)
    found = compare(pair_fields(result, open_reference(path, result)))
    assert found.overall.n == NY * NX
    assert found.overall.bias == pytest.approx(-0.01, abs=2e-4)
    unnamed = tmp_path / "AST_05_00310252015145234.tif"
    write_emissivity(unnamed, [2], 0.0)
    with pytest.raises(InputError, match="expected the five of B10 to B14"):
        open_reference(unnamed, result)
    with pytest.raises(InputError, match="no emissivity; give the raster's scale"):
        open_reference(path, result, scale=1.0)
    with pytest.raises(MissingVariableError, match="no 'emissivity'"):
        pair_fields(result.drop_vars("emissivity"), open_reference(path, result))


def test_commands_score_emissivity_beside_temperature(tmp_path: Path) -> None:
    result, truth = scene()
    write_result(result, tmp_path / "r.zarr")
    write_result(truth, tmp_path / "t.zarr")
    path = tmp_path / "AST_05_00310252015145234_20151026.tif"
    write_emissivity(path, [0, 1, 2, 3, 4], 0.005)
    page = tmp_path / "page.html"
    stores = (str(tmp_path / "r.zarr"), str(tmp_path / "t.zarr"))
    done = run("validate", *stores, str(path), "--report", str(page), "--json")
    assert done.exit_code == 0, done.output
    against_truth, against_product = json.loads(done.stdout)
    assert against_truth["mae_k"] == pytest.approx(0.5, abs=1e-5)
    assert against_truth["emissivity"]["bias"] == pytest.approx(-0.01, abs=1e-5)
    assert against_product["quantity"] == "emissivity"
    text = page.read_text()
    assert "Temperature against t.zarr" in text
    assert "Emissivity against t.zarr" in text
    assert "Emissivity against AST_05" in text
    assert "MAE             0.0100" in run("validate", *stores).stdout


def test_commands_validate_and_report(tmp_path: Path) -> None:
    result, truth = scene()
    write_result(result, tmp_path / "r.zarr")
    write_result(truth, tmp_path / "t.zarr")
    done = run("validate", str(tmp_path / "r.zarr"), str(tmp_path / "t.zarr"), "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["mae_k"] == pytest.approx(0.5, abs=1e-5)
    written = json.loads(done.stdout)
    assert written["bias_95_k"][0] <= written["bias_k"] <= written["bias_95_k"][1]
    assert written["reliability"]["levels"]
    text = run("validate", str(tmp_path / "r.zarr"), str(tmp_path / "t.zarr")).stdout
    assert "MAE (K)         0.50" in text
    page = tmp_path / "report.html"
    arguments = ("--out", str(page), "--truth", str(tmp_path / "t.zarr"))
    done = run("report", str(tmp_path / "r.zarr"), *arguments)
    assert done.exit_code == 0, done.output
    assert done.stdout == f"page: {page}\n"
    assert "retrieved - true" in page.read_text().lower()


def test_a_store_that_is_not_there_is_usage() -> None:
    done = run("report", "nowhere.zarr")
    assert done.exit_code == 2
    assert "there is no Zarr store at nowhere.zarr" in done.stderr
