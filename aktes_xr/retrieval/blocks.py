"""Which arrays a block of the cube takes: their keys, or their pieces where they are in memory."""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING, Any

import dask.array as da
from dask.highlevelgraph import HighLevelGraph

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from aktes_xr.retrieval.inputs import Fields


class Blocks:
    """The fields of a retrieval, block by block, for graphs that are written as tasks.

    Parameters
    ----------
    fields : Fields

    Attributes
    ----------
    shape : tuple of int
        Number of blocks along time, y and x.
    lazy : list of dask arrays
        What the blocks depend on.
    """

    def __init__(self, fields: Fields) -> None:
        time, _, rows, columns = fields.tir.numblocks
        self.shape = (time, rows, columns)
        self._tir, self._static = fields.tir, fields.static
        self._others = [
            _by_date(field, fields.chunks[0])
            for field in (fields.scalars, fields.dated, fields.masks)
        ]
        arrays = (fields.tir, fields.static, fields.scalars, fields.dated, fields.masks)
        self.lazy = [array for array in arrays if isinstance(array, da.Array)]

    def of(self, time: int, row: int, column: int) -> tuple[Any, ...]:
        """Name what a block takes.

        Parameters
        ----------
        time, row, column : int
            Number of the block along each axis.

        Returns
        -------
        tuple
            Measurement, static, scalars, dated and masks: keys of the graph, or arrays.
        """
        block = (time, 0, row, column)
        static = _key(self._static, block[4 - self._static.ndim :])
        return (
            (self._tir.name, *block),
            static,
            *(
                field[time] if isinstance(field, list) else _key(field, block)
                for field in self._others
            ),
        )


def layered(arrays: Sequence[da.Array], layers: Mapping[str, dict[Any, Any]]) -> HighLevelGraph:
    """Put layers of tasks on top of arrays.

    Parameters
    ----------
    arrays : sequence of dask array
        What the tasks take.
    layers : mapping of str to dict
        Tasks by key; each layer may take the arrays and the layers before it.

    Returns
    -------
    HighLevelGraph
    """
    below = HighLevelGraph.merge(*(array.__dask_graph__() for array in arrays))
    known = dict(below.layers)
    dependencies = dict(below.dependencies)
    taken = {name for array in arrays for name in array.__dask_layers__()}
    for name, tasks in layers.items():
        known[name] = tasks
        dependencies[name] = set(taken)
        taken.add(name)
    return HighLevelGraph(known, dependencies)


def _by_date(
    field: da.Array | NDArray[Any], time: tuple[int, ...]
) -> da.Array | list[NDArray[Any]]:
    """Cut an array in memory by dates, once, so that all chunks of a date share the piece."""
    if isinstance(field, da.Array):
        return field
    return [field[stop - size : stop] for size, stop in zip(time, accumulate(time), strict=True)]


def _key(field: da.Array, block: tuple[int, ...]) -> tuple[Any, ...]:
    """Key of a field's block; the only one along an axis where the field has one."""
    places = zip(block, field.numblocks, strict=False)
    return (field.name, *(0 if count == 1 else number for number, count in places))
