"""A Dask gateway on loopback, whose clusters are processes of this machine."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

CONFIGURATION = """
c.DaskGateway.backend_class = "dask_gateway_server.backends.local.UnsafeLocalBackend"
c.DaskGateway.authenticator_class = "dask_gateway_server.auth.SimpleAuthenticator"
c.DaskGateway.address = "127.0.0.1:{api}"
c.Proxy.address = "127.0.0.1:{proxy}"
c.UnsafeLocalBackend.clusters_directory = "{folder}/clusters"
c.UnsafeLocalBackend.sigint_timeout = 2
c.ClusterConfig.worker_cores = 1
c.ClusterConfig.scheduler_cmd = ["{python}", "-W", "ignore", "-m", "distributed.cli.dask_scheduler"]
c.ClusterConfig.worker_cmd = ["{python}", "-W", "ignore", "-m", "distributed.cli.dask_worker"]
"""


def free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


@contextmanager
def serve_gateway(folder: Path) -> Iterator[str]:
    """Serve a gateway, and return its address."""
    api, proxy = free_ports(2)
    (folder / "clusters").mkdir()
    file = folder / "gateway.py"
    file.write_text(
        CONFIGURATION.format(api=api, proxy=proxy, folder=folder, python=sys.executable)
    )
    with (folder / "gateway.log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", "dask_gateway_server", "-f", str(file)],
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=folder,
        )
    try:
        deadline = time.monotonic() + 60.0
        while not _listens(proxy) or not _listens(api) or not _routed(proxy):
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError((folder / "gateway.log").read_text()[-2000:])
            time.sleep(0.1)
        yield f"http://127.0.0.1:{proxy}"
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(60)


def _routed(port: int) -> bool:
    """Whether the proxy knows the way to the gateway yet; before that it finds nothing."""
    request = urllib.request.Request(f"http://127.0.0.1:{port}/api/v1/clusters/")
    try:
        urllib.request.urlopen(request, timeout=5).close()
    except urllib.error.HTTPError as error:
        return error.code != 404
    except OSError:
        return False
    return True


def _listens(port: int) -> bool:
    with socket.socket() as one:
        return one.connect_ex(("127.0.0.1", port)) == 0
