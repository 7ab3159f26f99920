from __future__ import annotations

from pathlib import Path

import dask
import numpy as np
import pytest
import xarray as xr

import aktes_xr
from aktes_xr.bench.checks import BenchResult, Check, Table
from aktes_xr.bench.scale import FULL, QUICK, draw
from aktes_xr.bench.scale_cubes import cube, small_bundle, write_granules
from aktes_xr.bench.scale_graph import graph_checks
from aktes_xr.bench.scale_report import report_checks
from aktes_xr.bench.scale_workers import SCALING, Nowhere, discard, peak_bytes


def test_the_graph_claims_hold() -> None:
    failed = [check for check in graph_checks(dates=20).checks if not check.holds]
    assert not failed


def test_granules_hold_the_numbers_the_cube_draws(tmp_path: Path) -> None:
    items = write_granules(tmp_path, 2, (60, 70))
    ds = aktes_xr.open_stac(items)
    assert ds.sizes == {"time": 2, "band": 5, "y": 60, "x": 70}
    whole = cube(1, (60, 70), 70, memory=True)
    np.testing.assert_array_equal(ds["tir"][0].values, whole["tir"][0].values)


def test_a_result_written_nowhere_is_computed_all_the_same(tmp_path: Path) -> None:
    written: list[tuple[set[str], dict[str, slice]]] = []

    def see(_: Nowhere, block: xr.Dataset, region: dict[str, slice]) -> None:
        written.append((set(map(str, block.data_vars)), region))

    ds = cube(2, (40, 40), 20)
    result = aktes_xr.retrieve(ds, bundle=small_bundle(tmp_path / "b"), method="teacher")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Nowhere, "__call__", see)
        dask.compute(discard(result), scheduler="synchronous")
    dated = [names for names, region in written if "time" in region]
    assert len(dated) == 2 * 4
    assert all("surface_temperature" in names and "quality" in names for names in dated)
    assert peak_bytes() > 50_000_000


def test_the_figure_shows_each_check(tmp_path: Path) -> None:
    checks = [Check.at_most("first", 1.0, 2.0, "s"), Check.at_least("second", 3.0, 6.0, "1")]
    columns = ("scaling", "workers", "dates", "s", "Mpixel/s", "efficiency")
    rows = [
        (kind, workers, 8, 1.0, rate, 1.0)
        for kind in ("strong", "weak")
        for workers, rate in ((1, 1.0), (2, 1.5))
    ]
    without, both = tmp_path / "checks.png", tmp_path / "scale.png"
    draw(BenchResult(checks), without)
    draw(BenchResult(checks, [Table(SCALING, columns, rows)]), both)
    assert 5_000 < without.stat().st_size < both.stat().st_size


def test_quick_is_smaller() -> None:
    assert QUICK.side < FULL.side
    assert isinstance(cube(1, (10, 10), 5), xr.Dataset)


@pytest.mark.slow
def test_the_page_of_a_series_is_measured_beside_its_retrieval(tmp_path: Path) -> None:
    found = report_checks(tmp_path, (2,), (64, 72))
    assert {row[:2] for row in found.tables[0].rows} == {
        (command, 2) for command in ("retrieve", "report")
    }
    assert aktes_xr.open_result(tmp_path / "2.zarr").sizes["time"] == 2
    ratio, size = found.checks
    assert (ratio.target, size.target) == (0.25, 15.0)
    assert size.value == (tmp_path / "2.html").stat().st_size / 1e6
