"""What a retrieval will cost, before it runs: reading, tasks, memory, matrix work and time.

Everything is counted from the lazy result, from metadata and on the machine, where a small block is
retrieved; the cube is never computed.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import xarray as xr
from dask.utils import format_bytes, parse_bytes

from aktes_xr.documents import html_table
from aktes_xr.errors import InputError, ResourceError
from aktes_xr.jobs.graph_size import GraphSize, MemoryModel, SeriesMemory, graph_size, remedy
from aktes_xr.jobs.kernels import pixel_seconds, prior_seconds
from aktes_xr.machine import workers_and_memory
from aktes_xr.models.bundle import Bundle, load_bundle
from aktes_xr.models.context import REACH
from aktes_xr.retrieval.block import PHYSICAL
from aktes_xr.retrieval.mapping import retrieve
from aktes_xr.retrieval.witnesses import Seasons

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from aktes_xr.retrieval.block import Method
    from aktes_xr.retrieval.two_pass import Passes

__all__ = ["NetworkWork", "Plan", "plan"]


_TURNS: Final = 3
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
    """

    name: str
    gflop: float
    gflop_needed: float | None


@dataclass(frozen=True)
class Plan:
    """What a retrieval will take.

    Attributes
    ----------
    method_used : str
        Without elevation the teacher retrieves for the fusion.
    passes : int
        Over a series; a second pass without a store of the first retrieves each date three times.
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
    pixel_seconds : dict
        Measured now: seconds a pixel takes on one thread of this machine, by what retrieves it
        (`aktes_xr.jobs.kernels.pixel_seconds`); of a second pass also ``prior``.
    seconds : float
        Of the retrieval on all workers, without terrain, reading and writing; where the terrain is
        not known, as if the slowest retrieved every pixel.
    """

    method_used: str
    passes: int
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
    pixel_seconds: dict[str, float]
    seconds: float

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
            **(
                {} if self.passes == 1 else {"passes": f"{self.passes}, {_TURNS} retrievals a date"}
            ),
            "blocks": f"{self.chunks} of {self.chunk[0]} date(s) x {rows} x {columns} pixels",
            "to read": f"{format_bytes(self.read_bytes)} decoded",
            "to write": f"{format_bytes(self.written_bytes)} before compression",
            "halo": f"{self.halo_overhead:.2%} more pixels",
            "graph": f"{self.graph.tasks:,} tasks, {format_bytes(self.graph.pickled_bytes)}",
            "memory": f"{format_bytes(self.peak_bytes)} of {format_bytes(self.memory_bytes)} "
            f"on each of {self.workers} worker(s)",
        }
        if self.networks:
            found["matrix work"] = f"{self.gflop:,.0f} Gflop everywhere"
            found["  needed"] = less
        paces = ", ".join(f"{1e6 * took:.2f} us by {by}" for by, took in self.pixel_seconds.items())
        found["a pixel"] = f"{paces}, on one thread"
        found["time"] = f"{self.seconds:,.0f} s, at most; terrain, reading and writing come on top"
        return found

    def __str__(self) -> str:
        return "\n".join(f"{name}: {text}" for name, text in self.lines().items())

    def _repr_html_(self) -> str:
        return html_table("What a retrieval will take", self.lines())


def plan(
    ds: xr.Dataset,
    *,
    method: Method = "fusion",
    bundle: str | Bundle = "default",
    terrain: xr.Dataset | None = None,
    passes: Passes = 1,
    workers: int | None = None,
    memory: int | str | None = None,
) -> Plan:
    """Project what `aktes_xr.retrieve` of a cube will take, without computing anything of it.

    Parameters
    ----------
    ds, method, bundle, terrain, passes
        As for `aktes_xr.retrieve`. With a ``terrain`` in memory the share of pixels that the
        networks skip is counted too.
    workers : int, optional
        Workers of one thread each; unless given as many as the threads of the current cluster, or
        as this machine's processors.
    memory : int or str, optional
        Of each worker, bytes or text such as ``"4 GB"``; unless given the cluster's or this
        machine's, shared by the workers.

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
    result = retrieve(ds, method=method, bundle=loaded, terrain=terrain, passes=passes)
    chunks: Chunks = result["surface_temperature"].chunks or ()
    largest = (max((1, *chunks[0])), max((1, *chunks[1])), max((1, *chunks[2])))
    halo = 0 if method in PHYSICAL else REACH
    seasons = Seasons.of(ds["time"].dt.month.to_numpy().tolist() if passes == 2 else ())
    series = SeriesMemory.of(seasons, workers=count)
    needs = MemoryModel.of(ds, halo=halo, series=series)
    peak = needs.peak(largest)
    if peak > available:
        raise ResourceError(remedy(needs, largest, available))
    shares = _shares(result, loaded, terrain)
    pace = pixel_seconds(ds, method, loaded)
    pixels = ds.sizes["time"] * ds.sizes["y"] * ds.sizes["x"]
    slowest = max(pace.values())
    pixel = slowest if shares is None else sum(shares[by] * pace.get(by, slowest) for by in shares)
    turns = 1
    if passes == 2:
        # Once for what is remembered, once more for each date's own, and then with the prior.
        turns = _TURNS
        pace["prior"] = prior_seconds(series.asked)
        pixel = turns * pixel + pace["prior"]
    return Plan(
        method_used=str(result.attrs["method_used"]),
        passes=passes,
        dates=ds.sizes["time"],
        chunks=math.prod(len(sizes) for sizes in chunks),
        chunk=largest,
        read_bytes=sum(
            (passes if "time" in v.dims else 1) * v.nbytes
            for v in ds.variables.values()
            if v.chunks is not None
        ),
        written_bytes=sum(variable.nbytes for variable in result.data_vars.values()),
        halo_overhead=_halo_overhead(chunks, halo),
        graph=graph_size(result),
        workers=count,
        memory_bytes=available,
        peak_bytes=peak,
        networks=_networks(result, loaded, shares, turns * pixels),
        pixel_seconds=pace,
        seconds=pixel * pixels / count,
    )


def _resources(workers: int | None, memory: int | str | None) -> tuple[int, int]:
    threads, each = workers_and_memory()
    count = threads if workers is None else workers
    if count < 1:
        raise InputError(f"found {count} workers, expected at least one")
    if memory is None:
        return count, threads * each // count
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
    result: xr.Dataset, bundle: Bundle, shares: dict[str, float] | None, pixels: int
) -> tuple[NetworkWork, ...]:
    """Matrix work of each network that may run."""
    used, student = str(result.attrs["method_used"]), result.attrs.get("student")
    if used not in {"fusion", "teacher", "student"}:
        return ()
    needed: dict[str, float | None] = {"teacher": 1.0}
    if student is not None and shares is None:
        needed = {"teacher": None, student: None}
    elif student is not None and shares is not None:
        both = shares["both"]
        needed = {"teacher": shares["teacher"] + both, student: shares["student"] + both}
    work = []
    for name, share in needed.items():
        gflop = 2e-9 * bundle.models[name].network.multiplications * pixels
        work.append(NetworkWork(name, gflop, None if share is None else share * gflop))
    return tuple(work)


def _in_memory(terrain: xr.Dataset | None) -> NDArray[np.float32] | None:
    if terrain is None or terrain["terrain_complexity_k"].chunks is not None:
        return None
    return np.asarray(terrain["terrain_complexity_k"].to_numpy(), np.float32)


def _shares(
    result: xr.Dataset, bundle: Bundle, terrain: xr.Dataset | None
) -> dict[str, float] | None:
    """Share of the pixels by what retrieves them; None where the terrain decides and is unknown."""
    complexity = _in_memory(terrain)
    if "student" not in result.attrs or complexity is None:
        return None
    if result.attrs["method_used"] == "student":
        student = np.where(np.isnan(complexity), np.float32(0.0), np.float32(1.0))
    elif bundle.fusion is not None:
        student = bundle.fusion.share(complexity)
    else:
        return None
    found = {"teacher": float((student == 0.0).mean()), "student": float((student == 1.0).mean())}
    return {**found, "both": 1.0 - sum(found.values())}
