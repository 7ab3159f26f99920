"""How large a lazy result's graph is: tasks, pickled bytes, and the arrays inside it."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import cloudpickle  # type: ignore[import-untyped]
import dask
import numpy as np

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
    """Measure a Dask collection's graph as a scheduler gets it: optimised, every task spelt out.

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
