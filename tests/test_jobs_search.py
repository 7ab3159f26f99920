"""A series whose items come from a real STAC API on loopback, page by page, and whose API fails."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from fault_server import faulty
from gateway_server import free_ports
from random_bundle import random_bundle
from series_jobs import SmallJob
from typer.testing import CliRunner

import aktes_xr
from aktes_xr.cli import app

COLLECTION = "aster-l1t"


@pytest.fixture
def job(tmp_path: Path) -> SmallJob:
    random_bundle(tmp_path / "bundle")
    return SmallJob(tmp_path, str(tmp_path / "bundle"))


def offered_by(job: SmallJob, address: str, *items: dict[str, Any]) -> None:
    """Write the job's file with an API's address in the place of the catalogue's."""
    job.offer(*items)
    catalogue = str(job.folder / "items.json")
    job.file.write_text(job.file.read_text().replace(catalogue, f"{address}/"))


@contextmanager
def serve_rustac(folder: Path, *items: dict[str, Any]) -> Iterator[str]:
    """Serve items by rustac, which writes an API of its own in Rust."""
    command = shutil.which("rustac", path=str(Path(sys.executable).parent)) or shutil.which(
        "rustac"
    )
    if command is None:
        pytest.skip("rustac is not installed")
    file = folder / "api.json"
    found = [{**item, "collection": COLLECTION} for item in items]
    file.write_text(json.dumps({"type": "FeatureCollection", "features": found}))
    (port,) = free_ports(1)
    address = f"http://127.0.0.1:{port}"
    with (folder / "rustac.log").open("w") as log:
        process = subprocess.Popen(
            [command, "serve", "--create-collections", "-a", f"127.0.0.1:{port}", str(file)],
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        deadline = time.monotonic() + 30.0
        while True:
            try:
                urllib.request.urlopen(address, timeout=5).close()
                break
            except (urllib.error.URLError, ConnectionError):
                if process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError((folder / "rustac.log").read_text()) from None
                time.sleep(0.05)
        yield address
    finally:
        process.terminate()
        process.wait(30)


def remote(job: SmallJob, address: str, *days: int) -> list[dict[str, Any]]:
    """Granules whose links lead to a server: an API may name no file of this machine."""
    items = [job.item(day) for day in days]
    for item in items:
        for asset in item["assets"].values():
            asset["href"] = f"{address}/{Path(asset['href']).name}"
    return items


@pytest.mark.slow
def test_every_item_of_an_api_once(job: SmallJob) -> None:
    days = list(range(1, 13))
    with faulty(job.folder) as host:
        items = remote(job, host.url, *days)
        # More than one page of rustac's, which holds ten.
        with serve_rustac(job.folder, *items) as address:
            offered_by(job, address, *items)
            planned = CliRunner().invoke(app, ["run", str(job.file), "--dry-run", "--json"])
            assert planned.exit_code == 0, planned.output
            found = [one["items"] for one in json.loads(planned.stdout)["dates"]]
            assert found == [[item["id"]] for item in items]
            done = CliRunner().invoke(app, ["run", str(job.file), "--dates", "2", "--json"])
            assert done.exit_code == 0, done.output
            assert json.loads(done.stdout)["remaining"] == len(days) - 2
            again = CliRunner().invoke(app, ["run", str(job.file), "--dates", "1", "--json"])
            assert json.loads(again.stdout)["planned"] == {
                "new: not in the store": 10,
                "skip: done": 2,
            }
    assert aktes_xr.open_result(job.store).sizes["time"] == 3


def test_an_api_that_is_out_of_order_ends_the_run_and_touches_nothing(job: SmallJob) -> None:
    with faulty(job.folder) as host:
        host.serve_api([b"<html>out of order</html>"])
        offered_by(job, host.url)
        done = CliRunner().invoke(app, ["run", str(job.file)])
    assert done.exit_code == 4, done.output
    assert not Path(job.store).exists()
