"""What a retrieval will cost, before it runs: reading, tasks, memory, matrix work and time.

Everything is counted from the lazy result, from metadata and on the machine; the cube is never
computed.
"""

from __future__ import annotations

import math
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import xarray as xr
from dask.utils import format_bytes, parse_bytes

from aktes_xr.errors import InputError, ResourceError
from aktes_xr.jobs.graph_size import GraphSize, graph_size
from aktes_xr.jobs.memory import MemoryModel, remedy
from aktes_xr.models.bundle import Bundle, load_bundle
from aktes_xr.models.forward import TILE
from aktes_xr.retrieval.mapping import NEIGHBOURHOOD_PIXELS, retrieve

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from aktes_xr.models.network import Network
    from aktes_xr.retrieval.block import Method

__all__ = ["NetworkWork", "Plan", "plan"]

_CALIBRATION_SECONDS: Final = 0.1

Chunks = tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class NetworkWork:
    """Matrix work of one network, counting two operations per multiplication.

    Attributes
    ----------
    name : str
    gflop : float
        If it ran for every pixel.
    gflop_needed : float or None
        Where terrain gives it weight; None where the terrain is not in memory.
    seconds : float
        Of ``gflop_needed`` (or ``gflop``) on one thread of this machine.
    """

    name: str
    gflop: float
    gflop_needed: float | None
    seconds: float


@dataclass(frozen=True)
class Plan:
    """What a retrieval will take.

    Attributes
    ----------
    method_used : str
        Without elevation the teacher retrieves for the fusion.
    dates, chunks : int
        Number of dates, and of (dates, chunk) blocks, each one task.
    chunk : (time, y, x), pixels of the largest
    read_bytes : int
        Of all inputs that tasks read, decoded.
    written_bytes : int
        Of the result, before compression.
    halo_overhead : float
        Pixels that tasks get from neighbours, as a share of the cube's.
    graph : GraphSize
    workers, memory_bytes : int
        Workers of one thread each, and the memory of one.
    peak_bytes : int
        Projected peak of a worker.
    networks : tuple of NetworkWork
        Empty for the physics baselines.
    network_gflops : float or None
        Measured now: rate of one thread in the networks, Gflop/s; None without networks.
    seconds : float or None
        Of the networks on all workers, without reading and writing; None without networks.
    """

    method_used: str
    dates: int
    chunks: int
    chunk: tuple[int, int, int]
    read_bytes: int
    written_bytes: int
    halo_overhead: float
    graph: GraphSize
    workers: int
    memory_bytes: int
    peak_bytes: int
    networks: tuple[NetworkWork, ...]
    network_gflops: float | None
    seconds: float | None

    @property
    def gflop(self) -> float:
        """Matrix work if every network ran for every pixel."""
        return sum(work.gflop for work in self.networks)

    @property
    def gflop_needed(self) -> float | None:
        """Matrix work without the networks that terrain leaves out; None where it is not known."""
        parts = [work.gflop_needed for work in self.networks]
        known = [part for part in parts if part is not None]
        return sum(known) if len(known) == len(parts) else None

    def as_dict(self) -> dict[str, Any]:
        """Return plain types for JSON."""
        return {**asdict(self), "gflop": self.gflop, "gflop_needed": self.gflop_needed}

    def lines(self) -> dict[str, str]:
        """Return the plan as labels and texts to read."""
        needed = self.gflop_needed
        less = "not known before the terrain is" if needed is None else f"{needed:,.0f} Gflop"
        rows, columns = self.chunk[1:]
        found = {
            "method": self.method_used,
            "blocks": f"{self.chunks} of {self.chunk[0]} date(s) x {rows} x {columns} pixels",
            "to read": f"{format_bytes(self.read_bytes)} decoded",
            "to write": f"{format_bytes(self.written_bytes)} before compression",
            "halo": f"{self.halo_overhead:.2%} more pixels",
            "graph": f"{self.graph.tasks:,} tasks, {format_bytes(self.graph.pickled_bytes)}",
            "memory": f"{format_bytes(self.peak_bytes)} of {format_bytes(self.memory_bytes)} "
            f"on each of {self.workers} worker(s)",
        }
        if self.network_gflops is not None:
            found["matrix work"] = f"{self.gflop:,.0f} Gflop everywhere"
            found["  needed"] = less
            found["  rate"] = f"{self.network_gflops:,.0f} Gflop/s on one thread"
        if self.seconds is None:
            found["time"] = "not estimated for a method without networks"
        else:
            found["time"] = f"{self.seconds:,.0f} s in the networks, at most; reading comes on top"
        return found


def plan(
    ds: xr.Dataset,
    *,
    method: Method = "fusion",
    bundle: str | Bundle = "default",
    terrain: xr.Dataset | None = None,
    workers: int | None = None,
    memory: int | str | None = None,
) -> Plan:
    """Project what `aktes_xr.retrieve` of a cube will take, without computing anything of it.

    Parameters
    ----------
    ds, method, bundle, terrain
        As for `aktes_xr.retrieve`. With a ``terrain`` in memory the share of pixels that the
        networks skip is counted too.
    workers : int, optional
        Workers of one thread each; as many as this machine's processors unless given.
    memory : int or str, optional
        Of each worker, bytes or text such as ``"4 GB"``; this machine's divided by ``workers``
        unless given.

    Returns
    -------
    Plan

    Raises
    ------
    ResourceError
        A chunk does not fit a worker's memory; the message says which chunks or memory would do.
    InputError
        A number of workers or a memory that is not positive; or as `aktes_xr.retrieve` raises.
    """
    count, available = _resources(workers, memory)
    loaded = bundle if isinstance(bundle, Bundle) else load_bundle(bundle)
    result = retrieve(ds, method=method, bundle=loaded, terrain=terrain)
    chunks: Chunks = result["surface_temperature"].chunks or ()
    largest = (max((1, *chunks[0])), max((1, *chunks[1])), max((1, *chunks[2])))
    halo = NEIGHBOURHOOD_PIXELS if "student" in result.attrs else 0
    needs = MemoryModel.of(ds, halo=halo)
    peak = needs.peak(largest)
    if peak > available:
        raise ResourceError(remedy(needs, largest, available))
    networks, rate = _networks(ds, result, loaded, terrain)
    return Plan(
        method_used=str(result.attrs["method_used"]),
        dates=ds.sizes["time"],
        chunks=math.prod(len(sizes) for sizes in chunks),
        chunk=largest,
        read_bytes=sum(v.nbytes for v in ds.variables.values() if v.chunks is not None),
        written_bytes=sum(variable.nbytes for variable in result.data_vars.values()),
        halo_overhead=_halo_overhead(chunks, halo),
        graph=graph_size(result),
        workers=count,
        memory_bytes=available,
        peak_bytes=peak,
        networks=networks,
        network_gflops=rate,
        seconds=sum(work.seconds for work in networks) / count if networks else None,
    )


def _resources(workers: int | None, memory: int | str | None) -> tuple[int, int]:
    # Both know a container's limits.
    from dask.system import CPU_COUNT
    from distributed.system import MEMORY_LIMIT

    count = CPU_COUNT if workers is None else workers
    if count < 1:
        raise InputError(f"found {count} workers, expected at least one")
    if memory is None:
        return count, int(MEMORY_LIMIT) // count
    try:
        available = int(parse_bytes(memory))
    except ValueError as error:
        raise InputError(f"found memory {memory!r}, expected bytes or '4 GB'") from error
    if available <= 0:
        raise InputError(f"found {available} bytes of memory, expected more")
    return count, available


def _halo_overhead(chunks: Chunks, halo: int) -> float:
    """Pixels beyond the chunks' own, as a share; outside the scene there are none to read."""
    shares = []
    for sizes in chunks[1:]:
        inner = 2 * halo * (len(sizes) - 1)
        shares.append(1.0 + inner / max(sum(sizes), 1))
    return math.prod(shares) - 1.0


def _networks(
    ds: xr.Dataset, result: xr.Dataset, bundle: Bundle, terrain: xr.Dataset | None
) -> tuple[tuple[NetworkWork, ...], float | None]:
    """Work and time of each network that may run, and the rate of them all (Gflop/s)."""
    pixels = ds.sizes["time"] * ds.sizes["y"] * ds.sizes["x"]
    used = str(result.attrs["method_used"])
    student = result.attrs.get("student")
    shares: dict[str, float | None] = {}
    if used in {"fusion", "teacher", "student"}:
        shares["teacher"] = 1.0
    if student is not None:
        shares |= {"teacher": None, student: None}
        complexity = _in_memory(terrain)
        if complexity is not None:
            shares = _needed_shares(complexity, bundle, student, used)
    work = []
    spent = counted = 0.0
    for name, share in shares.items():
        network = bundle.models[name].network
        gflop = 2e-9 * network.multiplications * pixels
        tile_seconds = _tile_seconds(network)
        spent, counted = spent + tile_seconds, counted + 2e-9 * network.multiplications * TILE
        seconds = tile_seconds * pixels / TILE * (1.0 if share is None else share)
        work.append(NetworkWork(name, gflop, None if share is None else share * gflop, seconds))
    return tuple(work), counted / spent if work else None


def _in_memory(terrain: xr.Dataset | None) -> NDArray[np.float32] | None:
    if terrain is None or terrain["terrain_complexity_k"].chunks is not None:
        return None
    return np.asarray(terrain["terrain_complexity_k"].to_numpy(), np.float32)


def _needed_shares(
    complexity: NDArray[np.float32], bundle: Bundle, student: str, used: str
) -> dict[str, float | None]:
    if used == "student":
        share = np.where(np.isnan(complexity), np.float32(0.0), np.float32(1.0))
    elif bundle.fusion is not None:
        share = bundle.fusion.share(complexity)
    else:
        return {"teacher": None, student: None}
    return {"teacher": float((share < 1.0).mean()), student: float((share > 0.0).mean())}


def _tile_seconds(network: Network) -> float:
    tile = np.ones((network.n_features, TILE), np.float32)
    buffers = network.buffers()
    network.forward(tile, buffers)
    return _best(lambda: network.forward(tile, buffers))


def _best(call: Any) -> float:
    """Shortest time of a call, repeated for a tenth of a second; seconds."""
    best, start = math.inf, time.perf_counter()
    while time.perf_counter() - start < _CALIBRATION_SECONDS:
        before = time.perf_counter()
        call()
        best = min(best, time.perf_counter() - before)
    return best
