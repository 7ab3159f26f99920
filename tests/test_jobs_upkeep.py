"""The upkeep of a series by its job's file: said first, done where asked, not undone by a run."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from series_jobs import SmallJob
from test_store_series import KEYS, entry, result
from typer.testing import CliRunner

from aktes_xr import errors
from aktes_xr.cli import app
from aktes_xr.jobs.config import Retention, load_job
from aktes_xr.jobs.dates import Date
from aktes_xr.jobs.upkeep import retained, tidy
from aktes_xr.store import open_result
from aktes_xr.store.series import claim_series


@pytest.fixture
def job(tmp_path: Path) -> SmallJob:
    made = SmallJob(tmp_path, "default")
    made.offer()
    with claim_series(made.store) as series:
        series.write(result())
        series.commit(0, entry(0))
        series.commit(1, entry(1))
    return made


def run(job: SmallJob, step: str, *options: str) -> Any:
    return CliRunner().invoke(app, ["series", step, str(job.file), *options])


def keep(monkeypatch: pytest.MonkeyPatch, since: datetime) -> None:
    days = (datetime.now(UTC) - since) / timedelta(days=1)
    monkeypatch.setenv("AKTES_JOB__RETENTION__DAYS", str(days))


def test_commands_say_first_and_do_where_asked(
    job: SmallJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep(monkeypatch, datetime(2001, 1, 10, tzinfo=UTC))
    monkeypatch.setenv("AKTES_JOB__RETENTION__HISTORY_DAYS", "0")
    said = run(job, "retain")
    assert said.exit_code == 0, said.output
    assert f"{KEYS[0]}: taken before 2001-01-10" in said.stdout
    assert "would leave (--apply does it): 1" in said.stdout
    assert open_result(job.store).sizes["time"] == 2
    assert run(job, "retain", "--apply").exit_code == 0
    assert open_result(job.store).sizes["time"] == 1
    told = json.loads(run(job, "compact", "--apply", "--json").stdout)
    assert [one["reason"] for one in told["leaving"]] == ["beyond the retention"]
    assert told["leaving"][0]["size"] > 1000
    assert json.loads(run(job, "gc", "--json").stdout)["leaving"] == []


def test_what_has_left_is_not_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    dates = [Date(datetime.fromisoformat(key), ()) for key in KEYS]
    assert retained(dates, Retention()) == dates
    days = (datetime.now(UTC) - datetime(2001, 1, 10, tzinfo=UTC)) / timedelta(days=1)
    assert retained(dates, Retention(days=days)) == dates[1:]


def test_a_job_without_retention_keeps_all(job: SmallJob) -> None:
    with pytest.raises(errors.ConfigError, match="keeps all dates"):
        tidy(load_job(job.file), "retain")
    with pytest.raises(errors.InputError, match="found step 'sweep'"):
        tidy(load_job(job.file), "sweep")  # type: ignore[arg-type]


def test_a_run_at_work_keeps_it_out(job: SmallJob) -> None:
    with claim_series(job.store):
        assert run(job, "gc", "--apply").exit_code == 7
