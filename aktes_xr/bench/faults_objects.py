"""Faults at a place in an object store: an S3-compatible server on loopback."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from unittest import mock

from aktes_xr.bench.fault_results import same_result, undisturbed
from aktes_xr.bench.fault_rows import Outcome, fault
from aktes_xr.bench.fault_stage import Stage, ended_after
from aktes_xr.errors import DependencyError
from aktes_xr.store import open_result
from aktes_xr.store.address import object_store

_SECRET = "planted-secret"


@fault("objects", expected="one 0, one 7 or 2, whole result")
def two_runs(stage: Stage) -> Outcome:
    """Two runs to one address at once."""
    with bucket() as address:
        both = [stage.start(out=address) for _ in range(2)]
        ended = [stage.end(one) for one in both]
        codes = sorted(end.code if end.code is not None else -1 for end in ended)
        whole = same_result(open_result(address).load(), undisturbed(stage))
        parts = _parts(address)
    holds = codes[0] == 0 and codes[1] in (2, 7) and whole and len(parts) == 2
    return Outcome(" and ".join(map(str, ended)), holds)


@fault("objects", expected="not seen; 0, none left")
def killed(stage: Stage) -> Outcome:
    """SIGKILL while blocks are written, rerun."""
    with bucket() as address:
        process = stage.start(out=address)
        seen = stage.until(lambda: any("/quality/c/" in key for key in _keys(address)), process)
        stage.kill(process, signal.SIGKILL)
        hidden = "zarr.json" not in _parts(address)
        again = stage.run(out=address)
        whole = again.code == 0 and same_result(open_result(address).load(), undisturbed(stage))
        parts = _parts(address)
    holds = seen and hidden and whole and len(parts) == 2
    return Outcome(f"{'not seen' if hidden else 'SEEN'}; {again}, {len(parts) - 2} left", holds)


@fault("objects", expected="6, the old one kept")
def unreadable_items(stage: Stage) -> Outcome:
    """``--overwrite`` with files that cannot be read."""
    with bucket() as address:
        stage.run(out=address)
        refused = stage.run("--overwrite", out=address, items=stage.broken)
        kept = same_result(open_result(address).load(), undisturbed(stage))
    return Outcome(f"{refused}, {'kept' if kept else 'LOST'}", kept and refused.code == 6)


@fault("objects", expected="4, one line, no secret in it")
def server_gone(stage: Stage) -> Outcome:
    """The server goes away."""
    with bucket() as address, mock.patch.dict(os.environ, AWS_ENDPOINT_URL="http://127.0.0.1:9"):
        ended = stage.run(out=address)
    return Outcome(str(ended), ended.code == 4 and ended.plain and _SECRET not in ended.said)


@fault("objects", expected="4, one line", own=True)
def no_bucket(stage: Stage) -> Outcome:
    """A bucket that does not exist."""
    with bucket() as address:
        ended = stage.run(out=address.replace("results", "elsewhere"))
    return Outcome(str(ended), ended.code == 4 and ended.plain and _SECRET not in ended.said)


@fault("objects", expected="143, nothing left", own=True)
def terminated(stage: Stage) -> Outcome:
    """SIGTERM while blocks are written."""
    with bucket() as address:
        process = stage.start(out=address)
        seen = stage.until(lambda: any("/quality/c/" in key for key in _keys(address)), process)
        ended = stage.kill(process, signal.SIGTERM)
        left = _keys(address)
    holds = seen and ended.code == 143 and ended.plain and not left
    return Outcome(f"{ended}, {len(left)} left", holds)


@contextlib.contextmanager
def bucket() -> Iterator[str]:
    """Serve a bucket as a process, named in the environment; its value is a result's address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = subprocess.Popen(
        [sys.executable, "-c", "from moto.server import main; main()", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    endpoint = f"http://127.0.0.1:{port}"
    environment = {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "planted",
        "AWS_SECRET_ACCESS_KEY": _SECRET,
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    with ended_after(server), mock.patch.dict(os.environ, environment):
        _make_bucket(server, f"{endpoint}/results")
        yield "s3://results/r.zarr"


def _make_bucket(server: subprocess.Popen[str], url: str) -> None:
    while server.poll() is None:
        try:
            urllib.request.urlopen(urllib.request.Request(url, method="PUT")).close()
        except urllib.error.URLError:
            time.sleep(0.2)
        else:
            return
    raise DependencyError("the benchmark's object store did not start: pip install 'moto[server]'")


def _keys(address: str) -> list[str]:
    return [str(entry["path"]) for batch in object_store(address).list() for entry in batch]


def _parts(address: str) -> set[str]:
    """Return first parts of what lies below the address, versions counted one by one."""
    return {
        "/".join(key.split("/")[: 2 if key.startswith(".versions") else 1])
        for key in _keys(address)
    }
