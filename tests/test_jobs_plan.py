from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import dask
import dask.array as da
import numpy as np
import pytest
import xarray as xr
from granules import write_granule
from random_bundle import random_bundle
from typer.testing import CliRunner

from aktes_xr.cli import app
from aktes_xr.cube import new_cube
from aktes_xr.errors import InputError, ResourceError
from aktes_xr.jobs.graph_size import PROCESS_BYTES, graph_size
from aktes_xr.jobs.plan import plan
from aktes_xr.models import Bundle


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return random_bundle(tmp_path_factory.mktemp("bundle") / "random")


def refuse(*_: Any, **__: Any) -> Any:
    raise AssertionError("something was computed")


def cube(
    dates: int = 3, side: int = 400, chunk: int = 200, *, elevation: bool = True
) -> xr.Dataset:
    shape = (dates, 5, side, side)
    chunks = (1, 5, chunk, chunk)
    ds = new_cube(
        da.zeros(shape, dtype=np.uint16, chunks=chunks),
        time=np.datetime64("2004-07-01") + np.arange(dates),
        y=4_000_000.0 - 90.0 * np.arange(side),
        x=300_000.0 + 90.0 * np.arange(side),
        crs="EPSG:32617",
        coordinates={"view_zenith": np.zeros(dates)},
    )
    if elevation:
        field = da.zeros((side, side), dtype=np.float32, chunks=chunk)
        ds["elevation"] = (("y", "x"), field, {"units": "m"})
    return ds


def terrain(ds: xr.Dataset, complexity: np.ndarray) -> xr.Dataset:
    names = ("terrain_complexity_k", "sky_view_factor", "slope", "aspect", "relief")
    fields = {name: (("y", "x"), complexity.astype(np.float32)) for name in names}
    return xr.Dataset(fields, coords={"y": ds.y, "x": ds.x, "spatial_ref": ds.spatial_ref})


def test_numbers_are_those_of_the_graph_and_the_cube(bundle: Bundle) -> None:
    ds = cube()
    before = ds.copy(deep=True)
    with dask.config.set(scheduler=refuse):
        found = plan(ds, bundle=bundle, workers=2, memory="8 GB")
    pixels = 3 * 400 * 400
    assert (found.dates, found.chunks, found.chunk) == (3, 12, (1, 200, 200))
    assert found.read_bytes == pixels * 10 + 400 * 400 * 4
    assert found.halo_overhead == pytest.approx((410 / 400) ** 2 - 1)
    networks = {work.name: work for work in found.networks}
    for name, model in bundle.models.items():
        expected = 2e-9 * model.network.multiplications * pixels
        assert networks[name].gflop == pytest.approx(expected)
        assert networks[name].gflop_needed is None
    assert found.gflop_needed is None
    assert set(found.pixel_seconds) == {"teacher", "student", "both"}
    assert found.seconds == pytest.approx(max(found.pixel_seconds.values()) * pixels / 2)
    assert found.peak_bytes > PROCESS_BYTES
    assert found.memory_bytes == 8_000_000_000
    json.dumps(found.as_dict(), allow_nan=False)
    assert "not known" in found.lines()["  needed"]
    xr.testing.assert_identical(ds, before)


def test_terrain_in_memory_tells_which_networks_are_skipped(bundle: Bundle) -> None:
    ds = cube()
    complexity = np.zeros((400, 400))
    complexity[:100] = 0.3  # between the fusion's 0.1 and 0.5 K: both run
    complexity[100:140] = 2.0  # the student alone
    complexity[140] = np.nan  # unknown: the teacher alone
    ground = terrain(ds, complexity)
    with dask.config.set(scheduler=refuse):
        found = plan(ds, bundle=bundle, terrain=ground, workers=1)
    shares = {work.name: (work.gflop_needed or 0.0) / work.gflop for work in found.networks}
    assert shares == pytest.approx({"teacher": 1 - 40 / 400, "student": 140 / 400})
    assert found.gflop_needed is not None
    assert found.gflop_needed < found.gflop
    expected = {"teacher": 260 / 400, "student": 40 / 400, "both": 100 / 400}
    pixel = sum(share * found.pixel_seconds[by] for by, share in expected.items())
    assert found.seconds == pytest.approx(pixel * 3 * 400 * 400)
    lazy = plan(ds, bundle=bundle, terrain=ground.chunk(y=200, x=200), workers=1)
    assert lazy.gflop_needed is None


def test_without_elevation_the_teacher_is_planned(bundle: Bundle) -> None:
    found = plan(cube(elevation=False), bundle=bundle, workers=1)
    assert found.method_used == "teacher"
    assert [work.name for work in found.networks] == ["teacher"]
    assert found.gflop_needed == found.gflop
    assert found.halo_overhead == pytest.approx((410 / 400) ** 2 - 1)


def test_a_physical_method_has_no_matrix_work(bundle: Bundle) -> None:
    ds = cube()
    ds["water_vapor"] = ("time", np.full(3, 20.0), {"units": "kg m-2"})
    ds["air_temperature"] = ("time", np.full(3, 290.0), {"units": "K"})
    found = plan(ds, method="tes", bundle=bundle, workers=1)
    assert found.networks == ()
    assert found.halo_overhead == 0.0
    assert list(found.pixel_seconds) == ["tes"]
    assert found.seconds == found.pixel_seconds["tes"] * 3 * 400 * 400
    assert "us by tes" in found.lines()["a pixel"]


def test_what_cannot_fit_is_refused_with_a_remedy_that_fits(bundle: Bundle) -> None:
    ds = cube(dates=1, side=2048, chunk=2048)
    with pytest.raises(ResourceError, match=r"open_stac\(\.\.\., chunks=(\d+)\)") as caught:
        plan(ds, bundle=bundle, workers=1, memory=PROCESS_BYTES + 450_000_000)
    side = int(str(caught.value).split("chunks=")[1].split(")")[0])
    assert side < 2048
    fits = ds.chunk(y=side, x=side)
    assert plan(fits, bundle=bundle, workers=1, memory=PROCESS_BYTES + 450_000_000)
    with pytest.raises(ResourceError, match="no smaller chunk fits: use workers of at least"):
        plan(ds, bundle=bundle, workers=1, memory="100 MB")


def test_impossible_resources_are_refused(bundle: Bundle) -> None:
    with pytest.raises(InputError, match="0 workers"):
        plan(cube(), bundle=bundle, workers=0)
    with pytest.raises(InputError, match="'much'"):
        plan(cube(), bundle=bundle, memory="much")
    with pytest.raises(InputError, match="expected more"):
        plan(cube(), bundle=bundle, memory=0)


def test_arrays_of_the_caller_are_not_counted_as_graph() -> None:
    held = da.from_array(np.ones((500, 500)), chunks=100) + 1
    lazy = da.zeros((500, 500), chunks=100) + 1
    found, expected = graph_size(held), graph_size(lazy)
    assert found.tasks == len(dict(held.__dask_graph__()))
    assert found.held_bytes == 500 * 500 * 8
    assert found.largest_array_bytes >= 100 * 100 * 8
    assert found.pickled_bytes < 20_000
    assert expected.held_bytes == 0
    assert expected.largest_array_bytes <= 1000


def test_the_accessor_plans_its_cube(bundle: Bundle) -> None:
    ds = cube()
    found = ds.aktes.plan(bundle=bundle, workers=3, memory="2 GB")
    assert (found.workers, found.memory_bytes, found.chunks) == (3, 2_000_000_000, 12)
    assert "blocks: 12 of 1 date(s) x 200 x 200 pixels" in str(found)
    assert "<td style='text-align:left'>12 of 1 date(s) x 200 x 200 pixels</td>" in (
        found._repr_html_()
    )


def test_a_notebook_shows_a_bundle_as_a_table(bundle: Bundle) -> None:
    shown = bundle._repr_html_()
    assert "Model bundle random" in shown
    assert "student, 16 + 16 + 12 units" in shown
    assert bundle.sha256 in shown
    assert bundle.location not in shown


def test_the_command_prints_the_plan_and_refuses_what_cannot_fit(tmp_path: Path) -> None:
    item = write_granule(tmp_path)
    (tmp_path / "item.json").write_text(json.dumps(item))
    runner = CliRunner()
    arguments = ["plan", str(tmp_path / "item.json"), "--workers", "1"]
    done = runner.invoke(app, [*arguments, "--json"])
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert (found["dates"], found["method_used"]) == (1, "teacher")
    assert "matrix work" in runner.invoke(app, arguments).stdout
    refused = runner.invoke(app, [*arguments, "--memory", "10 MB"])
    assert refused.exit_code == 2
    assert "use workers of at least" in refused.stderr


def test_a_second_pass_is_planned(bundle: Bundle, tmp_path: Path) -> None:
    ds = cube()
    with dask.config.set(scheduler=refuse):
        once = plan(ds, bundle=bundle, workers=2)
        twice = plan(ds, bundle=bundle, workers=2, passes=2)
    assert (once.passes, twice.passes) == (1, 2)
    pixels = 3 * 400 * 400
    assert twice.read_bytes == once.read_bytes + pixels * 10
    assert twice.gflop == pytest.approx(3 * once.gflop)
    assert twice.graph.tasks > 2 * once.graph.tasks
    assert twice.written_bytes > once.written_bytes
    slowest = max(twice.pixel_seconds[name] for name in ("teacher", "student", "both"))
    expected = (3 * slowest + twice.pixel_seconds["prior"]) * pixels / 2
    assert twice.seconds == pytest.approx(expected)
    assert twice.lines()["passes"] == "2, 3 retrievals a date"
    # Of three dates in July each keeps nine 16-bit words a pixel, half of it with each worker.
    kept = 2 * 2 * 9 * 400 * 400
    block = 200 * 200 * (2 * (3 * 9 + 14) + 4 * 13)
    assert twice.peak_bytes - once.peak_bytes == kept + block


def test_memory_of_a_second_pass_can_be_too_much(bundle: Bundle) -> None:
    ds = cube()
    enough = plan(ds, bundle=bundle, workers=1).peak_bytes
    with pytest.raises(ResourceError):
        plan(ds, bundle=bundle, workers=1, memory=enough, passes=2)


def test_the_command_plans_a_second_pass(tmp_path: Path) -> None:
    item = write_granule(tmp_path)
    (tmp_path / "item.json").write_text(json.dumps(item))
    arguments = ["plan", str(tmp_path / "item.json"), "--passes", "2", "--json"]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["passes"] == 2
