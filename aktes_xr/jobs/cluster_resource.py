"""The Kubernetes resource of a job's own cluster, as the Dask operator takes it.

A cluster has a name of its own for each run, and ends by itself when it has had nothing to do for
a while: so nothing is left of a run whose process was killed.
"""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any, Final

import yaml

from aktes_xr.errors import ConfigError, DependencyError
from aktes_xr.jobs.config import Cluster

IDLE_S: Final = 900
"""A cluster without any task for so long ends: longer than a run commits or looks for items."""
_KIND: Final = "DaskCluster"
_THREADS: Final = 2
_MEMORY: Final = "4Gi"


def cluster_resource(settings: Cluster, *, name: str | None = None) -> dict[str, Any]:
    """Return the resource of a cluster.

    Parameters
    ----------
    settings : Cluster
        Of the job. Its manifest is taken where there is one; else the operator's package makes one.
    name : str, optional
        Of the cluster; one that no other has, unless given.

    Returns
    -------
    dict
        With a name, workers, image and end of its own.

    Raises
    ------
    ConfigError
        The manifest cannot be read, or is of something else.
    DependencyError
        There is none, and the package that makes one is not installed.
    """
    chosen = name or f"aktes-{uuid.uuid4().hex[:10]}"
    found = _made(settings, chosen) if settings.manifest is None else _read(settings.manifest)
    found["metadata"] = {**found.get("metadata", {}), "name": chosen}
    spec = found["spec"]
    spec["idleTimeout"] = IDLE_S
    spec["worker"]["replicas"] = 1 if settings.adaptive else (settings.workers or 1)
    # The operator finds a cluster's scheduler by these labels, and names its service so.
    spec["scheduler"]["service"]["selector"] = {
        "dask.org/cluster-name": chosen,
        "dask.org/component": "scheduler",
    }
    if settings.image is not None:
        for part in ("scheduler", "worker"):
            pod = spec[part]["spec"]
            for container in (*pod.get("initContainers", ()), *pod["containers"]):
                container["image"] = settings.image
    return found


def _read(path: Path) -> dict[str, Any]:
    try:
        documents = list(yaml.safe_load_all(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(
            f"could not read the cluster's manifest {path.name} ({type(error).__name__}); give the "
            "YAML of a DaskCluster"
        ) from None
    match documents:
        case [
            {"kind": "DaskCluster", "spec": {"worker": {"spec": _}, "scheduler": {"service": _}}}
        ]:
            return dict(documents[0])
        case _:
            kinds = [one.get("kind") for one in documents if isinstance(one, dict)]
            raise ConfigError(
                f"{path.name} holds {kinds or 'no resource'}, expected one {_KIND} with a worker's "
                "pod and a scheduler's service"
            )


def _made(settings: Cluster, name: str) -> dict[str, Any]:
    try:
        from dask_kubernetes.operator import make_cluster_spec
    except ModuleNotFoundError:
        raise DependencyError(
            "a cluster without a manifest is made by dask_kubernetes, which is not installed; run: "
            "pip install dask-kubernetes, or give [cluster] manifest"
        ) from None
    threads, memory = settings.threads or _THREADS, settings.memory or _MEMORY
    # Kubernetes writes 4G or 4Gi where Dask, which takes both, also knows 4 GB and 4 GiB.
    amount = memory.replace(" ", "").removesuffix("B")
    found: dict[str, Any] = make_cluster_spec(
        name=name,
        image=settings.image,
        n_workers=settings.workers,
        env={},
        resources={
            "limits": {"memory": amount},
            "requests": {"cpu": str(threads), "memory": amount},
        },
        worker_command=[
            "dask",
            "worker",
            "--nthreads",
            str(threads),
            "--memory-limit",
            f"{amount}B",
        ],
        idle_timeout=IDLE_S,
    )
    return found
