"""How large a lazy result's graph is: tasks, pickled bytes, and the arrays inside it."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import cloudpickle
import dask
import numpy as np
import xarray as xr
from dask.utils import format_bytes

from aktes_xr.machine import PROCESS_BYTES
from aktes_xr.models.cloud_features import SEEN
from aktes_xr.retrieval.tiles import N_PLANES, STATIC

if TYPE_CHECKING:
    from numpy.typing import NDArray

_SMALL_BYTES: Final = 1000


@dataclass(frozen=True)
class GraphSize:
    """Size of a lazy result's graph.

    Attributes
    ----------
    tasks : int
        Before optimisation.
    pickled_bytes : int
        Arrays of the caller's memory not counted.
    held_bytes : int
        Bytes of those arrays; 0 where everything is read by tasks.
    largest_array_bytes : int
        Of any array inside the graph.
    """

    tasks: int
    pickled_bytes: int
    held_bytes: int
    largest_array_bytes: int


def graph_size(collection: Any) -> GraphSize:
    """Count the tasks of a Dask collection and its pickled bytes, layer by layer.

    Parameters
    ----------
    collection : Dataset, DataArray or any Dask collection

    Returns
    -------
    GraphSize
    """
    graph = collection.__dask_graph__()
    layers: Mapping[str, Any] = getattr(graph, "layers", {"graph": graph})
    sink = _Sink()
    weigher = _Weigher(sink)
    for layer in layers.values():
        weigher.dump(layer)
        weigher.clear_memo()
    tasks = sum(len(layer) for layer in layers.values())
    held = sum(array.nbytes for array in weigher.large.values())
    return GraphSize(tasks, sink.count, held, weigher.largest)


def optimised_size(collection: Any) -> GraphSize:
    """Measure a Dask collection's graph as a scheduler gets it.

    That is after optimisation, with every task written out.

    Parameters
    ----------
    collection : Dataset, DataArray or any Dask collection, or a list of them

    Returns
    -------
    GraphSize
    """
    together = collection if isinstance(collection, list) else [collection]
    graph: dict[Any, Any] = {}
    for optimised in dask.optimize(*together):
        graph |= optimised.__dask_graph__()
    return graph_size(_Plain(graph))


@dataclass(frozen=True)
class _Plain:
    """Lets `graph_size` see plain tasks."""

    graph: dict[Any, Any]

    def __dask_graph__(self) -> dict[Any, Any]:
        return self.graph


class _Sink(io.RawIOBase):
    """Counts what is written to it."""

    count = 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        size = memoryview(data).nbytes
        self.count += size
        return size


class _Weigher(cloudpickle.Pickler):  # type: ignore[misc]
    """Pickles all but large arrays, whose sizes it notes instead of copying them."""

    def __init__(self, sink: _Sink) -> None:
        super().__init__(sink)
        self.large: dict[int, NDArray[Any]] = {}
        self.largest = 0

    def persistent_id(self, obj: Any) -> int | None:
        if not isinstance(obj, np.ndarray):
            return None
        self.largest = max(self.largest, obj.nbytes)
        if obj.nbytes <= _SMALL_BYTES:
            return None
        # Kept, so that no other array takes its number.
        self.large[id(obj)] = obj
        return id(obj)


_CHUNK_STEP: Final = 64


@dataclass(frozen=True)
class MemoryModel:
    """Memory that a worker needs, by the size of its blocks."""

    input: int
    halo: int
    ancillary: int
    terrain: int
    shape: tuple[int, int]

    @classmethod
    def of(cls, ds: xr.Dataset, *, halo: int) -> MemoryModel:
        """Read the bytes per pixel off a cube.

        Parameters
        ----------
        ds : Dataset
            A cube.
        halo : int, pixels
            Width of the edge that a block takes from its neighbours.

        Returns
        -------
        MemoryModel
        """
        ancillary = sum(
            ds[name].dtype.itemsize
            for name in ds.data_vars
            if name != "tir" and {"time", "y", "x"} <= set(ds[name].dims)
        )
        absent = {
            "emissivity_prior": sum(name.startswith("emissivity_prior") for name in STATIC),
            "ancillary_elevation": 1,
        }
        planes = len(STATIC) - sum(count for name, count in absent.items() if name not in ds)
        static = any({"y", "x"} == set(ds[name].dims) for name in ds.data_vars)
        size = ds["tir"].dtype.itemsize * ds.sizes["band"]
        shape = (ds.sizes["y"], ds.sizes["x"])
        return cls(size, halo, ancillary, 4 * planes if static else 0, shape)

    def peak(self, chunk: tuple[int, int, int]) -> int:
        """Estimate the most memory that a worker needs.

        Parameters
        ----------
        chunk : tuple of int
            Dates, rows and columns of a block.

        Returns
        -------
        int, bytes
        """
        dates, rows, columns = chunk
        pixels = dates * rows * columns
        padded = dates * (rows + 2 * self.halo) * (columns + 2 * self.halo)
        blocks = math.ceil(self.shape[0] / rows) * math.ceil(self.shape[1] / columns)
        held = min(math.ceil(self.shape[1] / columns) + 2, blocks) if self.halo else 1
        inputs = self.input * (held * pixels + padded) + self.ancillary * pixels
        # The cloud test arranges one date at a time; what it sees is let go before the next.
        seen = 4 * len(SEEN) * padded // max(dates, 1)
        planes = 2 * 4 * N_PLANES * pixels + seen
        return PROCESS_BYTES + inputs + planes + self.terrain * math.prod(self.shape)


def remedy(memory: MemoryModel, chunk: tuple[int, int, int], available: int) -> str:
    """Say what does not fit, and which chunks or which memory would do.

    Parameters
    ----------
    memory : MemoryModel
        Of the cube.
    chunk : tuple of int
        Dates, rows and columns of a block.
    available : int, bytes
        Memory of a worker.

    Returns
    -------
    str
        A sentence for an error message.
    """
    dates, rows, columns = chunk
    needed = memory.peak(chunk)
    found = (
        f"a block of {dates} date(s) x {rows} x {columns} pixels needs {format_bytes(needed)} in a "
        f"worker of {format_bytes(available)}"
    )
    for side in range(min(rows, columns), 0, -_CHUNK_STEP):
        for count in sorted({dates, 1}, reverse=True):
            if memory.peak((count, side, side)) <= available:
                return (
                    f"{found}: use chunks of at most {count} date(s) x {side} x {side} pixels, as "
                    f"with open_stac(..., chunks={side}), or workers of {format_bytes(needed)}"
                )
    return f"{found}, and no smaller chunk fits: use workers of at least {format_bytes(needed)}"
