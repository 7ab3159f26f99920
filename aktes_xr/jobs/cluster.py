"""What a job computes on: this process, a cluster of its own, or one that is there."""

from __future__ import annotations

import contextlib
import importlib
import logging
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Any, Final

import dask

from aktes_xr.errors import AktesError, ClusterError, DependencyError
from aktes_xr.jobs.cluster_resource import cluster_resource
from aktes_xr.jobs.config import Cluster

logger = logging.getLogger(__name__)

_SECONDS_TO_CLOSE: Final = 5
_LONGEST_REASON: Final = 200
_kept: list[Any] = []
"""Clients of gateways, closed, until the process ends: their own last deed fails before."""


def started(settings: Cluster) -> AbstractContextManager[Any]:
    """Start, or connect to, what a job computes on.

    Parameters
    ----------
    settings : Cluster
        Of the job.

    Returns
    -------
    context manager
        Its value is a `distributed.Client`, or None for the threads of this process. A cluster that
        was started is stopped at the end, however that comes; one that was there goes on.

    Raises
    ------
    ClusterError
        It cannot be reached or started.
    DependencyError
        The package that starts it is not installed.
    """
    starting = {
        "threads": _threads,
        "processes": _processes,
        "address": lambda chosen: connected(str(chosen.address)),
        "gateway": _gateway,
        "kubernetes": _kubernetes,
    }
    return starting[settings.kind](settings)


@contextlib.contextmanager
def connected(address: str) -> Iterator[Any]:
    """Connect to the scheduler of a cluster that is there.

    Parameters
    ----------
    address : str
        Of the scheduler.

    Yields
    ------
    distributed.Client

    Raises
    ------
    ClusterError
        No scheduler answers there.
    """
    from distributed import Client

    if not logging.getLogger("aktes_xr").isEnabledFor(logging.DEBUG):
        # Failures of the cluster end in one error of one line. Its own log would only repeat it.
        for name in logging.root.manager.loggerDict:
            if name.partition(".")[0] == "distributed":
                logging.getLogger(name).setLevel(logging.CRITICAL)
    try:
        client = Client(address)
    except (OSError, TimeoutError) as error:
        raise ClusterError(
            f"no Dask scheduler answers at {address}; start one, or leave its address "
            "(--scheduler, DASK_SCHEDULER_ADDRESS) out to compute on this machine"
        ) from error
    try:
        yield client
    finally:
        # A scheduler that has gone away does not answer when the client closes.
        with contextlib.suppress(OSError, TimeoutError):
            client.close(timeout=_SECONDS_TO_CLOSE)


@contextlib.contextmanager
def _threads(settings: Cluster) -> Iterator[None]:
    chosen = {} if settings.threads is None else {"num_workers": settings.threads}
    with dask.config.set(chosen):
        yield None


@contextlib.contextmanager
def _processes(settings: Cluster) -> Iterator[Any]:
    from distributed import Client, LocalCluster

    with (
        LocalCluster(
            n_workers=settings.workers,
            threads_per_worker=settings.threads,
            memory_limit=settings.memory or "auto",
            host="127.0.0.1",
            dashboard_address=None,
        ) as cluster,
        Client(cluster) as client,
    ):
        yield client


@contextlib.contextmanager
def _gateway(settings: Cluster) -> Iterator[Any]:
    package = _package("dask_gateway", "dask-gateway")
    refused = (OSError, ValueError, package.GatewayServerError, package.GatewayClusterError)
    with _start_errors("the Dask gateway", refused):
        gateway = package.Gateway(settings.address)
        _kept.append(gateway)
        name = gateway.submit(**settings.options)
    try:
        with _start_errors("the Dask gateway", refused):
            cluster = gateway.connect(name, shutdown_on_close=True)
        _kept.append(cluster)
        with _scaled(cluster, settings) as client:
            yield client
    finally:
        # By its name: also where the run was stopped while the cluster was starting.
        with contextlib.suppress(*refused):
            gateway.stop_cluster(name)
        gateway.close()


@contextlib.contextmanager
def _kubernetes(settings: Cluster) -> Iterator[Any]:
    package = _package("dask_kubernetes.operator", "dask-kubernetes")
    api = _package("kr8s", "dask-kubernetes")
    refused = (OSError, ValueError, RuntimeError, api.ServerError, api.APITimeoutError)
    with _start_errors("Kubernetes or its Dask operator", refused):
        # Asked first: a cluster's own object would ask again when the process ends.
        api.api().version()
        cluster = package.KubeCluster(
            custom_cluster_spec=cluster_resource(settings),
            namespace=settings.namespace,
            shutdown_on_close=True,
            quiet=True,
        )
    with _scaled(cluster, settings) as client:
        yield client


@contextlib.contextmanager
def _scaled(cluster: Any, settings: Cluster) -> Iterator[Any]:
    """Give a cluster its workers, and stop it at the end."""
    try:
        if settings.adaptive:
            cluster.adapt(minimum=1, maximum=settings.workers)
        else:
            cluster.scale(settings.workers or 1)
        with cluster.get_client() as client:
            yield client
    finally:
        cluster.close()
        logger.info("stopped the cluster")


@contextlib.contextmanager
def _start_errors(what: str, refused: tuple[type[Exception], ...]) -> Iterator[None]:
    """Say in one line that a cluster cannot be started."""
    try:
        yield
    except AktesError:
        raise
    except refused as error:
        raise ClusterError(
            f"no cluster was started: {what} answered with {type(error).__name__}: "
            f"{str(error)[:_LONGEST_REASON]}; check the job's [cluster], and what it names"
        ) from error


def _package(module: str, name: str) -> Any:
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError:
        raise DependencyError(
            f"this cluster is started by {module}, which is not installed; run: pip install {name}"
        ) from None
