"""What a chunk gives to its neighbours, and how it is put between what they give."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from aktes_xr import sensor

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

NEIGHBOURS: Final = tuple(place for place in product((-1, 0, 1), repeat=2) if place != (0, 0))
"""Steps along y and x, in the order in which `surround` takes the edges."""
_PARTS: Final = 5


def pack_edges(array: NDArray[Any], *, halo: int) -> NDArray[Any]:
    """Pack the edges of a chunk.

    Parameters
    ----------
    array : ndarray (time, plane, y, x)
        At least ``halo`` pixels along y and x.
    halo : int, pixels

    Returns
    -------
    ndarray (time, plane, 5 halo, length)
        First rows, last rows, first columns, last columns (these two transposed), and the corners
        first-first, first-last, last-first, last-last side by side.
    """
    rows, columns = array.shape[2:]
    length = max(rows, columns, 4 * halo)
    packed = np.zeros((*array.shape[:2], _PARTS * halo, length), array.dtype)
    head, tail = slice(None, halo), slice(-halo, None)
    packed[:, :, :halo, :columns] = array[:, :, head]
    packed[:, :, halo : 2 * halo, :columns] = array[:, :, tail]
    packed[:, :, 2 * halo : 3 * halo, :rows] = array[..., head].swapaxes(2, 3)
    packed[:, :, 3 * halo : 4 * halo, :rows] = array[..., tail].swapaxes(2, 3)
    for number, (down, right) in enumerate(product((head, tail), repeat=2)):
        place = slice(number * halo, (number + 1) * halo)
        packed[:, :, 4 * halo :, place] = array[:, :, down, right]
    return packed


def pack_plane_edges(
    planes: Sequence[NDArray[Any]], *, dates: int, halo: int
) -> NDArray[Any] | None:
    """Pack the edges of planes that lie apart from one another; nothing else of them is copied.

    Parameters
    ----------
    planes : sequence of ndarray (time or 1, y, x)
    dates : int
    halo : int, pixels

    Returns
    -------
    ndarray or None
        As `pack_edges` packs them stacked; None where there is none.
    """
    if not planes:
        return None
    stacked = (np.broadcast_to(plane, (dates, *plane.shape[1:])) for plane in planes)
    packed = [pack_edges(plane[:, np.newaxis], halo=halo) for plane in stacked]
    return np.concatenate(packed, axis=1)


def surround(
    array: NDArray[Any], around: Sequence[NDArray[Any] | None], *, halo: int
) -> NDArray[Any]:
    """Put a chunk between its neighbours' edges.

    Parameters
    ----------
    array : ndarray (time, plane, y, x)
    around : sequence of eight ndarrays from `pack_edges`, in the order of `NEIGHBOURS`
        None beyond the scene, where there is `fill_of` the array's type.
    halo : int, pixels

    Returns
    -------
    ndarray (time, plane, y + 2 halo, x + 2 halo)
    """
    padded, core = _padded(array.shape, array.dtype, halo)
    core[:] = array
    _put_edges(padded, around, halo)
    return padded


def surround_planes(
    planes: Sequence[NDArray[Any]],
    around: Sequence[NDArray[Any] | None],
    *,
    dates: int,
    halo: int,
) -> NDArray[Any]:
    """Stack planes that lie apart from one another between their neighbours' edges, at once.

    Parameters
    ----------
    planes : sequence of ndarray (time or 1, y, x)
    around : sequence of eight ndarrays from `pack_plane_edges`, as in `surround`
    dates : int
    halo : int, pixels

    Returns
    -------
    ndarray (time, plane, y + 2 halo, x + 2 halo)
        Of any size along y and x where there is no plane.
    """
    if not planes:
        return np.empty((dates, 0, 0, 0), np.float32)
    shape = (dates, len(planes), *planes[0].shape[1:])
    padded, core = _padded(shape, planes[0].dtype, halo)
    for place, plane in enumerate(planes):
        core[:, place] = plane
    _put_edges(padded, around, halo)
    return padded


def _padded(
    shape: tuple[int, ...], dtype: np.dtype[Any], halo: int
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Make room for a chunk and its edges; return all of it, and the chunk's part."""
    rows, columns = shape[2:]
    whole = (*shape[:2], rows + 2 * halo, columns + 2 * halo)
    padded = np.full(whole, fill_of(dtype), dtype, order="C")
    return padded, padded[:, :, halo : halo + rows, halo : halo + columns]


def _put_edges(padded: NDArray[Any], around: Sequence[NDArray[Any] | None], halo: int) -> None:
    rows, columns = (size - 2 * halo for size in padded.shape[2:])
    target = {-1: slice(None, halo), 0: slice(halo, -halo), 1: slice(-halo, None)}
    for (down, right), packed in zip(NEIGHBOURS, around, strict=True):
        if packed is not None:
            piece = _piece(packed, (down, right), (rows, columns), halo)
            padded[:, :, target[down], target[right]] = piece


def _piece(
    packed: NDArray[Any], step: tuple[int, int], shape: tuple[int, int], halo: int
) -> NDArray[Any]:
    """Return the part of a neighbour's edges that faces the chunk."""
    down, right = step
    if right == 0:
        first = halo if down < 0 else 0
        return packed[:, :, first : first + halo, : shape[1]]
    if down == 0:
        first = 3 * halo if right < 0 else 2 * halo
        return packed[:, :, first : first + halo, : shape[0]].swapaxes(2, 3)
    number = 2 * (down < 0) + (right < 0)
    return packed[:, :, 4 * halo :, number * halo : (number + 1) * halo]


def fill_of(dtype: np.dtype[Any]) -> Any:
    """Return what stands for nothing: the fill number, NaN, or False.

    Parameters
    ----------
    dtype : dtype
        Of digital numbers, of floats or of a mask.

    Returns
    -------
    scalar of that type
    """
    return dtype.type(np.nan if dtype.kind == "f" else sensor.FILL_DN)
