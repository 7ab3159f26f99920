"""The command line: help, exit codes, errors as one line, and what scripts read."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import signal
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import rasterio
import typer
import xarray as xr
from affine import Affine
from random_bundle import random_bundle
from typer.testing import CliRunner

import aktes_xr
from aktes_xr import sensor
from aktes_xr.bench import checks as bench
from aktes_xr.bench.checks import BenchResult, Check, Table
from aktes_xr.cli import app
from aktes_xr.cli.console import EXIT_CODES
from aktes_xr.errors import (
    BundleNotFoundError,
    ClusterError,
    ReadError,
    SearchError,
    StoreBusyError,
    WorseResultError,
)
from aktes_xr.terrain import terrain_indices

# rioxarray multiplies affine transforms in the way affine 3 means to drop.
pytestmark = pytest.mark.filterwarnings("ignore:Use `@` matmul:PendingDeprecationWarning")

COMMANDS = (
    *(
        "demo",
        "simulate",
        "retrieve",
        "terrain",
        "info",
        "compile",
        "train teacher",
        "train reference",
    ),
    *("distil", "validate", "report", "export", "plan", "bench"),
    *("run", "job check", "job schema"),
)


def run(*arguments: str) -> Any:
    return CliRunner().invoke(app, list(arguments))


def plain(text: str) -> str:
    """Help without boxes, colours and line ends."""
    return re.sub(r"\s+", " ", re.sub(r"[│╭╮╰╯─]|\x1b\[[0-9;]*m", " ", text))


def test_help_lists_commands_and_exit_codes() -> None:
    text = plain(run("--help").output)
    for name in COMMANDS:
        assert name.split()[0] in text
    assert EXIT_CODES in text


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_is_explained(command: str) -> None:
    node: Any = typer.main.get_command(app)
    for word in command.split():
        node = node.commands[word]
    assert node.help
    assert not [p.name for p in node.params if not p.help]
    assert run(*command.split(), "--help").exit_code == 0


def test_every_option_of_retrieve_has_a_variable_in_the_environment(tmp_path: Path) -> None:
    node: Any = typer.main.get_command(app)
    given = {p.name: p.envvar for p in node.commands["retrieve"].params if p.name != "help"}
    assert all(given.values()), given
    assert len(set(given.values())) == len(given)
    done = CliRunner().invoke(
        app,
        ["retrieve"],
        env={"AKTES_OUT": str(tmp_path / "r.zarr"), "AKTES_ITEMS": "a.json b.json"},
    )
    assert (done.exit_code, "could not read the STAC file a.json" in done.stderr) == (2, True)
    fine = {"AKTES_OUT": "r.zarr", "AKTES_ITEMS": "a.json", "AKTES_RESOLUTION": "fine"}
    assert "--resolution is 'fine'" in CliRunner().invoke(app, ["retrieve"], env=fine).stderr


def test_the_shell_can_complete() -> None:
    assert "--install-completion" in plain(run("--help").output)
    done = CliRunner().invoke(
        app,
        [],
        env={"_AKTES_COMPLETE": "complete_bash", "COMP_WORDS": "aktes retr", "COMP_CWORD": "1"},
        prog_name="aktes",
    )
    assert done.stdout.split() == ["retrieve"]


def test_training_without_its_packages_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("aktes_xr.learn.packages.find_spec", lambda name: None)
    done = run("train", "teacher", "--recipe", "quick", "--out", str(tmp_path / "run"))
    assert done.exit_code == 2
    assert "error [dependency]: training needs tensorflow" in done.stderr
    assert "pip install" in done.stderr
    assert not (tmp_path / "run").exists()


def test_version() -> None:
    assert run("--version").stdout.strip() == aktes_xr.__version__


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("bench", "nope"), "error [input]: There is no benchmark 'nope'. Choose one of: "),
        (("retrieve", "--out", "x.zarr"), "name either STAC items or a source to search"),
        (("retrieve", "--out", "x", "--bbox", "1,2"), "--bbox is '1,2': expected west,south"),
        (("retrieve", "--out", "x", "--source", "aws"), "searching 'aws' needs --bbox W,S,E,N"),
        (("simulate", "x", "--shape", "700"), "--shape is '700': expected rows x columns"),
    ],
)
def test_wrong_input_is_one_clear_line_and_code_2(arguments: Any, message: str) -> None:
    done = run(*arguments)
    assert done.exit_code == 2
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_unknown_option_is_usage_and_code_2() -> None:
    done = run("info", "--jsn")
    assert done.exit_code == 2
    assert "No such option: --jsn" in plain(done.stderr)


def raising(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    def fail(*_: Any, **__: Any) -> Any:
        raise error

    monkeypatch.setattr(bench, "run_benchmark", fail)


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (ReadError("no [luck] with a.tif"), 4, "error [stac.read]: no [luck] with a.tif"),
        (SearchError("could not search"), 4, "error [stac.search]: could not search"),
        (BundleNotFoundError("none there"), 2, "error [bundle.not_found]: none there"),
        (PermissionError(13, "Permission denied"), 4, "error [io]: [Errno 13] Permission denied"),
        (WorseResultError("kept it"), 6, "error [store.worse]: kept it"),
        (StoreBusyError("held"), 7, "error [store.busy]: held"),
        (ClusterError("lost"), 4, "error [cluster]: lost"),
        (KeyboardInterrupt(), 130, "interrupted"),
    ],
)
def test_exit_code_says_what_kind_of_trouble(
    monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int, text: str
) -> None:
    raising(monkeypatch, error)
    done = run("bench", "accuracy")
    assert (done.exit_code, done.stderr.strip()) == (code, text)


def test_debug_shows_the_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    raising(monkeypatch, ReadError("truncated"))
    done = run("--debug", "bench", "accuracy")
    assert done.exit_code == 4
    assert "Traceback" in done.stderr
    assert done.stderr.endswith("error [stac.read]: truncated\n")


def test_unexpected_errors_have_a_code_of_their_own_and_are_not_hidden(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    raising(monkeypatch, ZeroDivisionError("by nothing"))
    done = run("bench", "accuracy")
    assert done.exit_code == 5
    assert "Traceback" in done.stderr
    last = done.stderr.splitlines()[-1]
    assert last == "error [unexpected]: ZeroDivisionError: by nothing; please report this"


def test_termination_cleans_up_as_an_interruption_does(monkeypatch: pytest.MonkeyPatch) -> None:
    cleaned: list[bool] = []

    def work(*_: Any, **__: Any) -> Any:
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(30)
        finally:
            cleaned.append(True)

    monkeypatch.setattr(bench, "run_benchmark", work)
    before = signal.getsignal(signal.SIGTERM)
    done = run("bench", "accuracy")
    assert (done.exit_code, done.stderr.strip()) == (143, "terminated")
    assert cleaned == [True]
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.parametrize("code", [0, 1, 2, 3, 4, 5, 6, 7, 130, 143])
def test_every_exit_code_is_in_the_documentation_and_in_the_help(code: int) -> None:
    page = Path(__file__).parent.parent / "notebooks" / "howto" / "commands.md"
    assert re.search(rf"^\| {code} \|", page.read_text(encoding="utf-8"), re.MULTILINE)
    assert re.search(rf"[:;] {code} ", EXIT_CODES)


RESULT = BenchResult(
    checks=[
        Check.at_most("error [rms]", np.float32(0.25), 0.5, "K"),
        Check.at_least("speed", 12_345.678, 10.0, "1"),
    ],
    tables=[Table("Errors [K]", ("what", "value"), [("a", np.float64(0.25)), ("b", None)])],
)


def benchmark(monkeypatch: pytest.MonkeyPatch, result: BenchResult) -> list[bool]:
    """Offer `result` as the benchmark "accuracy"; return the list of its calls' `quick`."""
    calls: list[bool] = []

    def measured(*, quick: bool) -> BenchResult:
        calls.append(quick)
        return result

    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name, package=None: found(
            "json" if name == "aktes_xr.bench.accuracy" else name, package
        ),
    )
    module = SimpleNamespace(run=measured)
    monkeypatch.setattr(
        bench, "importlib", SimpleNamespace(import_module=lambda _: module, util=importlib.util)
    )
    monkeypatch.setattr(bench, "machine", lambda: {"cpus": 2})
    return calls


def test_bench_prints_and_writes_its_figures(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    calls = benchmark(monkeypatch, RESULT)
    done = run("bench", "accuracy", "--quick", "--json", str(tmp_path / "b.json"))
    assert done.exit_code == 0, done.output
    assert calls == [True]
    assert "Errors [K]" in done.stdout
    assert "error [rms]" in done.stdout
    assert "12,346" in done.stdout
    assert json.loads((tmp_path / "b.json").read_text()) == {
        "machine": {"cpus": 2},
        "checks": [
            {"name": "error [rms]", "value": 0.25, "target": 0.5, "unit": "K", "holds": True},
            {"name": "speed", "value": 12345.678, "target": 10.0, "unit": "1", "holds": True},
        ],
        "tables": [
            {
                "title": "Errors [K]",
                "columns": ["what", "value"],
                "rows": [["a", 0.25], ["b", None]],
            }
        ],
    }


def test_bench_hands_on_what_a_benchmark_takes_besides(monkeypatch: pytest.MonkeyPatch) -> None:
    benchmark(monkeypatch, RESULT)
    done = run("bench", "accuracy", "--bundle", "mine", "--reference", "larger")
    assert done.exit_code == 2
    assert "accuracy takes no bundle, reference" in done.stderr
    taken: list[str] = []

    def measured(*, quick: bool, bundle: str = "default") -> BenchResult:
        taken.append(bundle)
        return RESULT

    module = SimpleNamespace(run=measured)
    fake = SimpleNamespace(import_module=lambda _: module, util=importlib.util)
    monkeypatch.setattr(bench, "importlib", fake)
    assert run("bench", "accuracy", "--bundle", "mine").exit_code == 0
    assert run("bench", "accuracy").exit_code == 0
    assert taken == ["mine", "default"]


@pytest.mark.parametrize("value", [0.75, float("nan")])
def test_bench_fails_where_a_check_does_not_hold(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, value: float
) -> None:
    failed = Check.at_most("error", value, 0.5, "K")
    benchmark(monkeypatch, BenchResult([*RESULT.checks, failed]))
    done = run("bench", "accuracy", "--json", str(tmp_path / "b.json"))
    assert done.exit_code == 1
    assert "FAILS" in done.stdout
    written = json.loads((tmp_path / "b.json").read_text())["checks"][-1]
    assert written["holds"] is False
    assert written["value"] == (None if np.isnan(value) else value)


def test_a_benchmark_without_checks_proves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    benchmark(monkeypatch, BenchResult([]))
    assert run("bench", "accuracy").exit_code == 1


def test_machine_names_no_host_and_no_path() -> None:
    import socket

    text = json.dumps(bench.machine())
    assert socket.gethostname() not in text
    assert str(Path.home()) not in text
    assert json.loads(text)["cpus"] >= 1


def test_shipped_benchmarks_are_known_by_name() -> None:
    assert set(bench.available()) <= set(bench.NAMES)
    assert run("bench", "list").stdout.split() == list(bench.available())


def test_info_says_what_is_installed_and_loaded(tmp_path: Path) -> None:
    random_bundle(tmp_path / "random")
    done = run("info", "--bundle", str(tmp_path / "random"), "--json")
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert found["bands"]["B10"] == {
        "wavelength_um": pytest.approx(float(sensor.WAVELENGTH_UM[0]), abs=5e-4),
        "unit_conversion": 0.006882,
    }
    assert found["bundle"]["name"] == "random"
    assert found["machine"]["aktes_xr"] == run("--version").stdout.strip()
    text = run("info", "--bundle", str(tmp_path / "random")).stdout
    assert {"machine", "bands", "bundle"} <= set(text.split())
    assert str(tmp_path) not in text


def test_info_on_a_bundle_that_is_not_there(tmp_path: Path) -> None:
    done = run("info", "--bundle", str(tmp_path / "none"))
    assert done.exit_code == 2
    assert "error [bundle.not_found]: " in done.stderr


def test_terrain_writes_indices_and_complexity(tmp_path: Path) -> None:
    z = np.random.default_rng(0).normal(size=(40, 50)).cumsum(0).cumsum(1).astype("float32")
    transform = Affine(90.0, 0.0, 500_000.0, 0.0, -90.0, 4_000_000.0)
    with rasterio.open(
        tmp_path / "dem.tif",
        "w",
        driver="GTiff",
        height=40,
        width=50,
        count=1,
        dtype="float32",
        crs="EPSG:32633",
        transform=transform,
    ) as file:
        file.write(z, 1)
    out = tmp_path / "t.zarr"
    reach = ("--radius", "1000", "--azimuths", "8")
    done = run("terrain", str(tmp_path / "dem.tif"), "--out", str(out), "--json", *reach)
    assert done.exit_code == 0, done.output
    written = aktes_xr.open_result(out)
    assert set(json.loads(done.stdout)["variables"]) == set(written.data_vars)
    elevation = xr.DataArray(
        z,
        {"y": 4_000_000.0 - 45.0 - 90.0 * np.arange(40), "x": 500_045.0 + 90.0 * np.arange(50)},
        ("y", "x"),
    )
    expected = terrain_indices(elevation, azimuths=8, radius_m=1000.0)
    np.testing.assert_array_equal(written["sky_view_factor"], expected["sky_view_factor"])
    assert "terrain_complexity_k" in written
