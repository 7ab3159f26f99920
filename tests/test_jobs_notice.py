"""A webhook is told how a run ended; its address stays a secret, and no run depends on it."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from random_bundle import random_bundle
from series_jobs import SmallJob
from typer.testing import CliRunner

from aktes_xr import errors
from aktes_xr.cli import app
from aktes_xr.jobs.account import Account
from aktes_xr.jobs.config import Notify
from aktes_xr.jobs.notice import message, notify, webhook_of
from aktes_xr.store.journal import Entry

SECRET = "T0PSECRET-path"
NAME = "SERIES_WEBHOOK"


class Hook(BaseHTTPRequestHandler):
    told: list[dict[str, Any]]
    status = 200
    wait_s = 0.0

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        type(self).told.append({"path": self.path, **json.loads(body)})
        time.sleep(self.wait_s)
        self.send_response(self.status)
        if self.status == 302:
            self.send_header("Location", "/elsewhere")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def hook(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Hook]]:
    handler = type("OneHook", (Hook,), {"told": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    monkeypatch.setenv(NAME, f"http://127.0.0.1:{server.server_port}/{SECRET}?token={SECRET}")
    yield handler
    server.shutdown()
    thread.join()
    server.server_close()


def account(**changes: Any) -> Account:
    entry = Entry("2001-01-06T03:11:39Z", "unreadable", items=("a",), reason="no file")
    return Account("s3://bucket/r.zarr", made=[entry], remaining=4, **changes)


def test_what_is_told(hook: type[Hook]) -> None:
    notify(Notify(webhook_env=NAME), account(), exit_code=3)
    (told,) = hook.told
    assert told["path"].startswith(f"/{SECRET}")
    assert (told["exit_code"], told["outcomes"], told["remaining"]) == (3, {"unreadable": 1}, 4)
    assert "ended with 3: 1 unreadable; 4 left" in told["text"]
    assert told["troubles"] == ["unreadable: 2001-01-06T03:11:39Z (a): no file"]


def test_who_wishes_trouble_only_hears_of_no_other_run(hook: type[Hook]) -> None:
    notify(Notify(webhook_env=NAME), account(), exit_code=0)
    assert hook.told == []
    notify(Notify(webhook_env=NAME, when="always"), account(), exit_code=0)
    assert len(hook.told) == 1


def test_a_long_list_of_troubles_is_cut() -> None:
    many = account()
    many.made *= 30
    told = message(many, exit_code=3)
    assert (len(told["troubles"]), told["further_troubles"]) == (20, 10)


@pytest.mark.parametrize(("status", "words"), [(500, "it answered 500"), (302, "it answered 302")])
def test_a_webhook_that_fails_is_said_without_its_address(
    hook: type[Hook], status: int, words: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    hook.status = status
    notify(Notify(webhook_env=NAME), account(), exit_code=4)
    assert words in caplog.text
    assert NAME in caplog.text
    assert SECRET not in caplog.text
    assert len(hook.told) == 1, "no redirect is followed"


def test_a_slow_webhook_is_left_at_the_deadline(
    hook: type[Hook], caplog: pytest.LogCaptureFixture
) -> None:
    hook.wait_s = 3.0
    notify(Notify(webhook_env=NAME, deadline_s=0.2), account(), exit_code=4)
    assert "was not told" in caplog.text
    assert SECRET not in caplog.text


@pytest.mark.parametrize(
    "address",
    ["", "http://example.org/x", "file:///etc/passwd", "https://", "https://[", "nowhere"],
)
def test_an_address_that_is_none(
    address: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv(NAME, address)
    with pytest.raises(errors.ConfigError, match=NAME) as raised:
        webhook_of(Notify(webhook_env=NAME))
    if address:
        assert address not in str(raised.value).replace("https://...", "")
    notify(Notify(webhook_env=NAME), account(), exit_code=4)
    assert "no message was sent" in caplog.text


def test_a_run_tells_and_draws(
    hook: type[Hook], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    random_bundle(tmp_path / "bundle")
    job = SmallJob(tmp_path, str(tmp_path / "bundle"))
    job.offer(job.item(6))
    monkeypatch.setenv("AKTES_JOB__NOTIFY__WEBHOOK_ENV", NAME)
    monkeypatch.setenv("AKTES_JOB__NOTIFY__WHEN", "always")
    page = tmp_path / "pages" / "series.html"
    monkeypatch.setenv("AKTES_JOB__REPORT__PAGE", str(page))
    monkeypatch.setenv("AKTES_JOB__REPORT__JSON_FILE", str(tmp_path / "report.json"))
    checked = CliRunner().invoke(app, ["job", "check", str(job.file)])
    assert f"webhook: address in {NAME}" in checked.stdout
    done = CliRunner().invoke(app, ["run", str(job.file)])
    assert done.exit_code == 0, done.output
    assert [told["outcomes"] for told in hook.told] == [{"done": 1}]
    assert "2001-01-06" in page.read_text()
    before = page.stat().st_mtime_ns
    assert CliRunner().invoke(app, ["run", str(job.file)]).exit_code == 0
    assert page.stat().st_mtime_ns == before, "nothing was made, nothing is drawn"
    monkeypatch.setenv("AKTES_JOB__INPUT__SOURCES", json.dumps([str(tmp_path / "none.json")]))
    failed = CliRunner().invoke(app, ["run", str(job.file)])
    assert failed.exit_code == hook.told[-1]["exit_code"] != 0
    assert hook.told[-1]["error"]
    assert json.loads((tmp_path / "report.json").read_text())["error"] == hook.told[-1]["error"]
    assert SECRET not in done.output + failed.output + (tmp_path / "report.json").read_text()
