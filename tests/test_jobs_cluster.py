"""What a job computes on starts with it, and is stopped with it, however that ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jsonschema
import psutil
import pytest
import yaml
from random_bundle import random_bundle
from series_jobs import SmallJob
from test_deploy import operator_schema

from aktes_xr import errors
from aktes_xr.jobs.cluster import started
from aktes_xr.jobs.cluster_resource import cluster_resource
from aktes_xr.jobs.config import Cluster
from aktes_xr.store.series import read_journal

# A gateway's client fails to close when it is collected after its cluster was closed.
_kept: list[Any] = []
TEMPLATE = Path(__file__).resolve().parent.parent / "deploy/kubernetes/cluster/cluster.yaml"


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    pytest.importorskip("dask_gateway_server", reason="dask-gateway-server is not installed")
    from gateway_server import serve_gateway

    with serve_gateway(tmp_path_factory.mktemp("gateway")) as address:
        yield address


@pytest.fixture
def job(tmp_path: Path) -> SmallJob:
    random_bundle(tmp_path / "bundle")
    made = SmallJob(tmp_path, str(tmp_path / "bundle"))
    made.offer(*(made.item(day) for day in (6, 9, 14, 22)))
    return made


def clusters(address: str) -> list[Any]:
    from dask_gateway import Gateway

    client = Gateway(address)
    _kept.append(client)
    found = list(client.list_clusters())
    client.close()
    return found


def wait_until(holds: Callable[[], bool], *, seconds: float = 60.0) -> bool:
    deadline = time.monotonic() + seconds
    while not holds() and time.monotonic() < deadline:
        time.sleep(0.05)
    return holds()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
def test_a_gateway_s_cluster_ends_with_the_block(gateway: str) -> None:
    settings = Cluster(kind="gateway", address=gateway, workers=1)
    with started(settings) as client:
        assert client.submit(sum, (1, 2)).result(60) == 3
        assert len(clusters(gateway)) == 1
    assert clusters(gateway) == []


@pytest.mark.slow
def test_a_run_on_a_cluster_makes_every_date(job: SmallJob) -> None:
    # No elevation model: there is nothing that the dates share.
    job.offer(job.item(6), job.item(9))
    job.file.write_text(job.file.read_text() + '[cluster]\nkind = "processes"\nworkers = 1\n')
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "aktes_xr", "run", str(job.file)],
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert done.returncode == 0, done.stderr
    journal = read_journal(job.store)
    assert journal is not None
    assert journal.length == 2


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["processes", "gateway"])
def test_a_run_that_is_terminated_stops_its_cluster(
    kind: str, job: SmallJob, request: pytest.FixtureRequest
) -> None:
    environment = {**os.environ, "AKTES_JOB__CLUSTER__KIND": kind, "AKTES_JOB__BUDGET__BATCH": "1"}
    environment |= {"AKTES_JOB__CLUSTER__WORKERS": "1", "PYTHONWARNINGS": "ignore"}
    if kind == "gateway":
        environment["AKTES_JOB__CLUSTER__ADDRESS"] = request.getfixturevalue("gateway")
    process = subprocess.Popen(
        [sys.executable, "-m", "aktes_xr", "run", str(job.file)],
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
    )
    seen: set[psutil.Process] = set()

    def at_work() -> bool:
        if process.poll() is None:
            seen.update(psutil.Process(process.pid).children(recursive=True))
        return (Path(job.store) / "quality").exists() or process.poll() is not None

    wait_until(at_work, seconds=200.0)
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=90)
    assert process.returncode == 143, said
    # The helpers of multiprocessing notice a moment later that their process is gone.
    _, alive = psutil.wait_procs(seen, timeout=20)
    assert not alive
    if kind == "gateway":
        assert clusters(environment["AKTES_JOB__CLUSTER__ADDRESS"]) == []
    assert not list(Path(job.store).parent.glob(".*.lock"))
    journal = read_journal(job.store)
    assert journal is None or journal.length < 4


def test_what_cannot_be_started_is_one_error(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("dask_gateway", reason="dask-gateway is not installed")
    settings = Cluster(kind="gateway", address="http://127.0.0.1:9")
    with pytest.raises(errors.ClusterError, match="the Dask gateway answered"), started(settings):
        pass


@pytest.mark.parametrize("template", [None, TEMPLATE])
def test_the_resource_keeps_the_operators_schema(template: Path | None) -> None:
    image = "registry.example/aktes-xr@sha256:" + 64 * "0"
    settings = Cluster(kind="kubernetes", image=image, workers=7, manifest=template)
    schema = operator_schema("daskcluster")
    resource = cluster_resource(settings)
    jsonschema.validate(resource, schema)
    assert resource["spec"]["worker"]["replicas"] == 7
    # What is left by a run that was killed ends by itself.
    assert resource["spec"]["idleTimeout"] > 60
    name = resource["metadata"]["name"]
    assert name != cluster_resource(settings)["metadata"]["name"]
    assert resource["spec"]["scheduler"]["service"]["selector"]["dask.org/cluster-name"] == name
    for part in ("scheduler", "worker"):
        pod = resource["spec"][part]["spec"]
        containers = [*pod.get("initContainers", ()), *pod["containers"]]
        assert {one["image"] for one in containers} == {image}


def test_threads_and_memory_reach_the_worker() -> None:
    pytest.importorskip("dask_kubernetes", reason="dask-kubernetes is not installed")
    settings = Cluster(kind="kubernetes", image="x", threads=3, memory="6 GB", adaptive=True)
    worker = cluster_resource(settings)["spec"]["worker"]
    (container,) = worker["spec"]["containers"]
    arguments = dict(zip(container["args"], container["args"][1:], strict=False))
    assert (arguments["--nthreads"], arguments["--memory-limit"]) == ("3", "6GB")
    assert container["resources"]["limits"]["memory"] == "6G"
    assert worker["replicas"] == 1


@pytest.mark.parametrize(
    "content", ["kind: Pod\n", "- 1\n", "a: [", "", "kind: DaskCluster\nspec: {worker: {}}\n"]
)
def test_a_manifest_of_something_else_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "cluster.yaml"
    path.write_text(content)
    with pytest.raises(errors.ConfigError, match=r"cluster\.yaml"):
        cluster_resource(Cluster(kind="kubernetes", manifest=path))
    with pytest.raises(errors.ConfigError, match=r"none\.yaml"):
        cluster_resource(Cluster(kind="kubernetes", manifest=tmp_path / "none.yaml"))


def test_the_template_is_left_as_it_is() -> None:
    before = yaml.safe_load(TEMPLATE.read_text(encoding="utf-8"))
    cluster_resource(Cluster(kind="kubernetes", manifest=TEMPLATE), name="other")
    assert yaml.safe_load(TEMPLATE.read_text(encoding="utf-8")) == before
