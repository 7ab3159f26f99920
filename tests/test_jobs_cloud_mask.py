"""MODIS' cloud mask in a retrieval on the command line and in a scheduled series."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_earthdata import Archive, granule, install
from mod35_granules import write_mask
from random_bundle import random_bundle
from series_jobs import BOUNDS, SmallJob
from typer.testing import CliRunner

import aktes_xr
from aktes_xr.cli import app
from aktes_xr.cube.selection import flags
from aktes_xr.store.series import read_journal

LEFT, _, _, TOP = BOUNDS
DAYS = {6: "MOD35_L2.A2001006.0310.061.2017214155303.hdf"}
DAYS |= {22: "MOD35_L2.A2001022.0310.061.2017214155303.hdf"}


def write(folder: Path, name: str) -> Path:
    """Write a granule in whose scans the job's region lies."""
    folder.mkdir(exist_ok=True)
    origin = (LEFT - 30_000.0, TOP + 50_000.0)
    return write_mask(folder, crs="EPSG:32650", name=name, origin=origin, seed=3)[0]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("bundle") / "random"
    random_bundle(path, clouds=True)
    return str(path)


@pytest.fixture
def job(tmp_path: Path, bundle: str) -> SmallJob:
    return SmallJob(tmp_path, bundle)


def invoke(*words: str) -> Any:
    return CliRunner().invoke(app, list(words))


def retrieve(job: SmallJob, day: int, *options: str) -> Any:
    item = job.folder / f"{day}.json"
    item.write_text(json.dumps(job.item(day)))
    out = str(job.folder / "out.zarr")
    common = ("--method", "teacher", "--bundle", job.bundle, "--out", out)
    return invoke("retrieve", str(item), *common, *options)


def with_mask(job: SmallJob, mask: str, *more: str) -> None:
    """Add a cloud mask, and lines of another table, to the job's file."""
    text = job.file.read_text().replace("[retrieval]", f"cloud_mask = {mask}\n\n[retrieval]")
    job.file.write_text(text.replace("[store]", "\n".join((*more, "[store]"))))


def test_granules_of_a_folder_on_the_command_line(job: SmallJob) -> None:
    masks = job.folder / "masks"
    write(masks, DAYS[6])
    done = retrieve(job, 6, "--cloud-mask", str(masks))
    assert done.exit_code in (0, 3), done.output
    found = aktes_xr.open_result(job.folder / "out.zarr")
    assert found.attrs["cloud_source"] == "mask"
    assert found.attrs["cloud_mask_source"] == DAYS[6]
    assert str(job.folder) not in str(found.attrs)
    cube = aktes_xr.open_stac(job.item(6), resolution="auto")
    expected = aktes_xr.add_cloud_mask(cube, masks)["cloud"].to_numpy()
    assert 0.0 < expected.mean() < 1.0
    shown = flags(found)
    measured = ~shown["fill"].to_numpy()
    np.testing.assert_array_equal(shown["cloud"].to_numpy()[measured], expected[measured])


def test_the_archive_on_the_command_line(job: SmallJob, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = Archive({"2001-01-06T03:12:30Z": [granule(DAYS[6])]})
    install(monkeypatch, archive, write)
    kept = job.folder / "kept"
    options = ("--cloud-mask", "mod35", "--cloud-mask-folder", str(kept))
    done = retrieve(job, 6, *options)
    assert done.exit_code in (0, 3), done.output
    assert "MOD35_L2.061" in done.stderr
    assert archive.downloaded == [DAYS[6]]
    assert (kept / DAYS[6]).is_file()
    found = aktes_xr.open_result(job.folder / "out.zarr")
    assert found.attrs["cloud_mask_source"] == DAYS[6]
    lacking = retrieve(job, 22, *options, "--overwrite")
    assert lacking.exit_code == 2
    assert "no MOD35_L2 granule for 2001-01-22 03:11:39 UTC" in lacking.output


def test_a_mask_that_nobody_would_look_at_is_refused(job: SmallJob) -> None:
    refused = retrieve(job, 6, "--cloud-mask", "mod35", "--clouds", "rules")
    assert refused.exit_code == 2
    assert "--clouds rules, which does not look at it" in refused.output
    job.offer(job.item(6))
    job.file.write_text(job.file.read_text().replace("[store]", 'clouds = "network"\n[store]'))
    with_mask(job, '["mod35"]')
    checked = invoke("job", "check", str(job.file))
    assert checked.exit_code == 2
    assert "takes no mask" in checked.output


def test_a_series_goes_on_without_the_date_that_has_no_granule(job: SmallJob) -> None:
    masks = job.folder / "masks"
    write(masks, DAYS[6])
    job.offer(job.item(6), job.item(22))
    with_mask(job, json.dumps([str(masks)]))
    checked = invoke("job", "check", str(job.file))
    assert checked.exit_code == 0, checked.output
    assert "masks" in checked.output
    done = invoke("run", str(job.file))
    assert done.exit_code == 3, done.output
    assert "unreadable: 2001-01-22T03:11:39Z" in done.stderr
    assert "no MOD35_L2 granule" in done.stderr
    series = aktes_xr.open_result(job.store)
    assert series["item_id"].values.tolist() == ["AST_L1T_00306_1"]
    write(masks, DAYS[22])
    again = invoke("run", str(job.file))
    assert again.exit_code == 0, again.output
    series = aktes_xr.open_result(job.store)
    assert series.sizes["time"] == 2
    assert 0.0 < float(flags(series)["cloud"].isel(time=1).mean()) < 1.0


def test_a_mask_is_a_part_of_the_ancillaries_fingerprint(job: SmallJob) -> None:
    job.offer(job.item(6))
    assert invoke("run", str(job.file)).exit_code == 0
    journal = read_journal(job.store)
    assert journal is not None
    with_mask(job, json.dumps([str(write(job.folder / "masks", DAYS[6]))]))
    planned = invoke("run", str(job.file), "--dry-run")
    assert "done, with other ancillaries" in planned.stdout
    made = invoke("run", str(job.file), "--redo", "ancillaries", "--json")
    assert json.loads(made.stdout)["planned"] == {"redo: asked for: other ancillaries": 1}
    series = aktes_xr.open_result(job.store)
    assert float(flags(series)["cloud"].mean()) > 0.0


def test_a_series_names_the_date_that_has_nothing_clear(job: SmallJob) -> None:
    masks = job.folder / "masks"
    write(masks, DAYS[6])
    # The pass of the 22nd is out of reach: nothing is known to be clear.
    far = (LEFT - 30_000.0, TOP + 900_000.0)
    write_mask(masks, crs="EPSG:32650", name=DAYS[22], origin=far)
    job.offer(job.item(6), job.item(22))
    with_mask(job, json.dumps([str(masks)]))
    done = invoke("run", str(job.file))
    assert done.exit_code == 0, done.output
    series = aktes_xr.open_result(job.store)
    assert series.attrs["dates_without_clear_reference"] == ["2001-01-22T03:11:39"]
    write(masks, DAYS[22])
    assert invoke("run", str(job.file), "--redo", "ancillaries").exit_code == 0
    series = aktes_xr.open_result(job.store)
    assert "dates_without_clear_reference" not in series.attrs


def test_the_schema_names_the_mask() -> None:
    shown = invoke("job", "schema")
    properties = json.loads(shown.stdout)["$defs"]["Input"]["properties"]
    assert {"cloud_mask", "cloud_mask_folder"} <= properties.keys()
