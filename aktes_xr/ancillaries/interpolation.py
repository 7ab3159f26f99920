"""A source's cells around a cube, and from them the cube's pixels, lazily.

One task reads the cells of each chunk of the source along time, so that each is read once. The
cells are few, and so each block of the cube takes all of them. Only where a source is about as fine
as the cube does a block take its own part. Value and error of a block come from one task. It works
strip by strip, so that no block needs more memory than its result and a few rows.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import dask.array as da
import numpy as np
import xarray as xr
from dask.base import tokenize

from aktes_xr.ancillaries.height import LAPSE_RATE, carry, standard_error, to_linear
from aktes_xr.ancillaries.opening import reading_failures
from aktes_xr.ancillaries.place import Axis, Place, node_coordinates, node_shape, positions
from aktes_xr.errors import ReadError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Float64Array = NDArray[np.float64]

_STRIP_ROWS: Final = 64
_WHOLE_CELLS: Final = 65_536
"""A source with more cells than this under the cube is cut to each block's own part."""
_MARGIN: Final = 2


@dataclass(frozen=True, eq=False)
class Reader:
    """One variable of a source, as a task carries it: without its values.

    Attributes
    ----------
    variable : Variable (leading, row, column), lazily indexed
    quantity : str, what it is; decides what is interpolated
    factor, offset : into the quantity's units
    token : identifies the source
    label : what messages call it
    """

    variable: xr.Variable
    quantity: str
    factor: float
    offset: float
    token: str
    label: str

    def __dask_tokenize__(self) -> tuple[Any, ...]:
        return (self.token, self.label, self.quantity, self.factor, self.offset)

    def converted(self, values: Any) -> NDArray[np.float32]:
        """Convert units, and take the logarithm where that is what is interpolated.

        Parameters
        ----------
        values : array_like
            As the source holds them, in its units.

        Returns
        -------
        float32 ndarray
            In the units of the cube, on the scale that is interpolated.
        """
        found = np.asarray(values, np.float64) * self.factor + self.offset
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(to_linear(self.quantity, found), np.float32)


def cells(reader: Reader, samples: NDArray[np.intp], place: Place) -> da.Array:
    """Return the cells of a variable that a cube needs.

    Parameters
    ----------
    reader : Reader
    samples : int (sample,), increasing places along the variable's first dimension
    place : Place

    Returns
    -------
    dask array (sample, row, column), float32
        In the quantity's units or their logarithm; rows and columns ascending.
    """
    lead, rows, columns = reader.variable.dims
    index = {rows: list(place.rows.index), columns: list(place.columns.index)}
    if reader.variable.chunks is not None:
        part = reader.variable.isel({lead: samples.tolist(), **index}).data
        return da.map_blocks(
            reader.converted, part, dtype=np.float32, meta=np.empty((0, 0, 0), np.float32)
        ).rechunk((1, -1, -1))
    length = int(reader.variable.encoding.get("preferred_chunks", {}).get(lead, 1))
    groups = np.split(samples, np.flatnonzero(np.diff(samples // length)) + 1)
    lengths = tuple(group.size for group in groups)
    return da.map_blocks(
        _read,
        reader=reader,
        samples=tuple(tuple(group.tolist()) for group in groups),
        index=index,
        chunks=(lengths, (place.shape[0],), (place.shape[1],)),
        dtype=np.float32,
        meta=np.empty((0, 0, 0), np.float32),
        name=f"aktes-ancillary-cells-{tokenize(reader, samples, index)}",
    )


def _read(
    *,
    reader: Reader,
    samples: tuple[tuple[int, ...], ...],
    index: dict[str, list[int]],
    block_info: Any = None,
) -> NDArray[np.float32]:
    group = samples[block_info[None]["chunk-location"][0]]
    wanted: dict[Any, Any] = {reader.variable.dims[0]: _shortest(group)}
    # Descending axes are read in their stored order and turned round afterwards.
    turned: dict[Any, slice] = {}
    for dim, places in index.items():
        if len(places) > 1 and places[0] > places[-1] and places == sorted(places, reverse=True):
            turned[dim], places = slice(None, None, -1), places[::-1]
        wanted[dim] = _shortest(places)
    try:
        found = reader.variable.isel(wanted).isel(turned).to_numpy()
    except reading_failures() as error:
        raise ReadError(f"{reader.label} could not be read: {str(error)[:200]}") from error
    return reader.converted(found)


def _shortest(places: Sequence[int]) -> slice | list[int]:
    first, last = places[0], places[-1]
    if last - first + 1 == len(places):
        return slice(first, last + 1)
    return list(places)


@dataclass(frozen=True, eq=False)
class Fields:
    """The arrays of one quantity that a block function is given; all lazy.

    Attributes
    ----------
    values : (date, row, column)
    orography : (1, row, column) or None, m
    temperature : (date, row, column) or None, K, at the orography
    stated : (date, row, column) or None, the source's own error
    """

    values: da.Array
    orography: da.Array | None = None
    temperature: da.Array | None = None
    stated: da.Array | None = None


def at_dates(found: da.Array, before: Any, after: Any, weight: Float64Array) -> da.Array:
    """Interpolate cells to dates, linearly; (date, row, column).

    Parameters
    ----------
    found : dask Array (sample, row, column) float32
        Cells at the source's own times.
    before, after : intp (date,)
        Numbers of the samples on either side of each date.
    weight : float64 (date,), 1
        Weight of the sample after.

    Returns
    -------
    dask Array (date, row, column) float32, lazy
    """
    first = found[before.tolist()]
    if not weight.any():
        return first
    part = weight.astype(np.float32)[:, np.newaxis, np.newaxis]
    return first * (np.float32(1.0) - part) + found[after.tolist()] * part


def to_pixels(
    fields: Fields,
    place: Place,
    chunks: tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]],
    *,
    quantity: str,
    hours: Float64Array,
    elevation: da.Array | None,
) -> tuple[da.Array, da.Array]:
    """Bring a quantity to the pixels of a cube and to their height.

    Parameters
    ----------
    fields : Fields
    place : Place
    chunks : of the result along time, y, x
    quantity : str
        Key of `names.QUANTITIES`; any other name is interpolated as it is, without an error.
    hours : float64 (date,)
        Distance in time that the error grows with; NaN gives NaN.
    elevation : (y, x), m, or None
        None leaves the quantity at the orography.

    Returns
    -------
    value, error : (date, y, x), float32
    """
    parts = (fields.values, fields.orography, fields.temperature, fields.stated)
    token = tokenize(*parts, place, chunks, quantity, hours, elevation)
    nodes = da.map_blocks(
        _nodes,
        place=place,
        chunks=tuple((size,) for size in node_shape(place.cube)),
        dtype=np.float64,
        meta=np.empty((0, 0, 0)),
        name=f"aktes-ancillary-nodes-{tokenize(place)}",
    )
    rows, columns = (da.arange(sum(sizes), chunks=(sizes,), dtype=np.int64) for sizes in chunks[1:])
    away = da.from_array(hours, chunks=(chunks[0],))
    height = None if elevation is None else elevation.rechunk(chunks[1:])
    name = f"aktes-ancillary-{quantity.replace('_', '-')}"

    def block(part: tuple[slice, slice], here: Place, ys: slice, xs: slice, label: str) -> da.Array:
        arguments: list[Any] = [nodes, "kij", rows[ys], "y", columns[xs], "x", away, "t"]
        given = []
        for key, array, letters in (
            ("values", fields.values, "tab"),
            ("orography", fields.orography, "oab"),
            ("temperature", fields.temperature, "tab"),
            ("stated", fields.stated, "tab"),
        ):
            if array is None:
                continue
            cut = array if array.shape[1:] == (1, 1) else array[:, part[0], part[1]]
            letters = letters if array.shape[1:] != (1, 1) else letters[0] + "cd"
            time = chunks[0] if letters[0] == "t" else -1
            arguments += [cut.rechunk((time, -1, -1)), letters]
            given.append(key)
        if height is not None:
            arguments += [height[ys, xs], "yx"]
            given.append("elevation")
        return da.blockwise(
            _evaluate,
            "tpyx",
            *arguments,
            new_axes={"p": 2},
            concatenate=True,
            align_arrays=False,
            dtype=np.float32,
            meta=np.empty((0, 0, 0, 0), np.float32),
            name=label,
            quantity=quantity,
            given=tuple(given),
            axes=(here.rows, here.columns),
            cell_km=here.cell_km,
        )

    whole = (slice(None), slice(None))
    if place.shape[0] * place.shape[1] <= _WHOLE_CELLS:
        both = block(whole, place, slice(None), slice(None), f"{name}-{token}")
    else:
        known = node_coordinates(place.cube, place.crs, place.middle)
        both = da.block(
            [
                [
                    block(*_part(place, known, ys, xs), ys, xs, f"{name}-{i}-{j}-{token}")
                    for j, xs in enumerate(_slices(chunks[2]))
                ]
                for i, ys in enumerate(_slices(chunks[1]))
            ]
        )
    return _plane(both, 0, name, token), _plane(both, 1, f"{name}-error", token)


def _slices(sizes: tuple[int, ...]) -> list[slice]:
    ends = np.cumsum(sizes)
    return [slice(int(end - size), int(end)) for end, size in zip(ends, sizes, strict=True)]


def _part(
    place: Place, nodes: Float64Array, ys: slice, xs: slice
) -> tuple[tuple[slice, slice], Place]:
    """Cut a source to what the block at ``ys``, ``xs`` needs."""
    corners = [np.array([s.start, (s.start + s.stop) // 2, s.stop - 1]) for s in (ys, xs)]
    rim = [np.linspace(c[0], c[-1], 9).astype(np.int64) for c in corners]
    found = positions(nodes, rim[0], rim[1], (place.rows, place.columns))
    slices, axes = [], []
    for counted, axis in zip(found, (place.rows, place.columns), strict=True):
        inside = counted[np.isfinite(counted)]
        low, high = (inside.min(), inside.max()) if inside.size else (0.0, 0.0)
        start = max(int(low) - _MARGIN, 0)
        stop = min(int(high) + 2 + _MARGIN, len(axis.index))
        slices.append(slice(start, stop))
        axes.append(Axis(axis.index[start:stop], axis.values[start:stop]))
    return (slices[0], slices[1]), replace(place, rows=axes[0], columns=axes[1])


def _nodes(*, place: Place) -> Float64Array:
    return node_coordinates(place.cube, place.crs, place.middle)


def _plane(both: da.Array, plane: int, name: str, token: str) -> da.Array:
    taken: da.Array = da.blockwise(
        _take,
        "tyx",
        both,
        "tpyx",
        plane=plane,
        dtype=np.float32,
        meta=np.empty((0, 0, 0), np.float32),
        name=f"{name}-plane-{token}-{plane}",
        concatenate=True,
    )
    return taken


def _take(both: NDArray[np.float32], *, plane: int) -> NDArray[np.float32]:
    return both[:, plane]


def _evaluate(
    nodes: Float64Array,
    rows: NDArray[np.int64],
    columns: NDArray[np.int64],
    hours: Float64Array,
    *arrays: NDArray[np.float32],
    quantity: str,
    given: tuple[str, ...],
    axes: tuple[Axis, Axis],
    cell_km: tuple[float, float],
) -> NDArray[np.float32]:
    fields = dict(zip(given, arrays, strict=True))
    out = np.empty((hours.size, 2, rows.size, columns.size), np.float32)
    for start in range(0, rows.size, _STRIP_ROWS):
        strip = slice(start, start + _STRIP_ROWS)
        where = positions(nodes, rows[strip], columns, axes)
        corners = _Corners.of(where, (len(axes[0].index), len(axes[1].index)))
        km = corners.bridge(cell_km)
        above: Any = 0.0
        if "orography" in fields and "elevation" in fields:
            height = fields["elevation"][strip].astype(np.float64)
            # Where the height of the ground is not known, the height of the model's surface serves.
            above = np.where(np.isnan(height), 0.0, height - corners.mean(fields["orography"][0]))
        for date, away in enumerate(hours):
            linear = corners.mean(fields["values"][date])
            out[date, :, strip] = _finish(
                quantity, linear, fields, corners, date=date, above=above, km=km, hours=float(away)
            )
    return out


def _finish(
    quantity: str,
    linear: Float64Array,
    fields: dict[str, NDArray[np.float32]],
    corners: _Corners,
    *,
    date: int,
    above: Any,
    km: Float64Array,
    hours: float,
) -> Float64Array:
    """Carry a strip to its height and say what it may be wrong by."""
    if quantity not in _CARRIED:
        return np.stack([linear + hours * 0.0, np.full_like(linear, np.nan)])
    layer = None
    if "temperature" in fields:
        layer = corners.mean(fields["temperature"][date]) - LAPSE_RATE * above / 2.0
    value = carry(quantity, linear, above_m=above, layer_k=layer)
    stated = None
    if "stated" in fields:
        own = fields["stated"][date]
        stated = float(own[0, 0]) if own.shape == (1, 1) else corners.mean(own)
    error = standard_error(quantity, value, stated=stated, hours=hours, km=km, above_m=above)
    # A date that no sample is near has NaN hours, and so neither a value nor an error.
    return np.stack([value + hours * 0.0, error])


_CARRIED: Final = frozenset(
    {"water_vapor", "air_temperature", "surface_pressure", "skin_temperature"}
)


@dataclass(frozen=True, eq=False, slots=True)
class _Corners:
    """The four cells around each pixel of a strip, and their shares."""

    top: NDArray[np.intp]
    left: NDArray[np.intp]
    bottom: NDArray[np.intp]
    right: NDArray[np.intp]
    u: Float64Array
    v: Float64Array

    @classmethod
    def of(cls, where: Float64Array, shape: tuple[int, int]) -> _Corners:
        row, column = np.nan_to_num(where[0]), np.nan_to_num(where[1])
        outside = np.isnan(where).any(axis=0)
        top, left = (
            np.clip(places.astype(np.intp), 0, max(size - 2, 0))
            for places, size in zip((row, column), shape, strict=True)
        )
        u = np.where(outside, np.nan, row - top)
        v = np.where(outside, np.nan, column - left)
        bottom, right = np.minimum(top + 1, shape[0] - 1), np.minimum(left + 1, shape[1] - 1)
        return cls(top, left, bottom, right, u, v)

    def mean(self, cells: NDArray[np.float32]) -> Float64Array:
        """Interpolate bilinearly; a corner without weight does not count, even if it is NaN."""
        u, v = self.u, self.v
        total = np.zeros(u.shape)
        for rows, share_row in ((self.top, 1.0 - u), (self.bottom, u)):
            for columns, share_column in ((self.left, 1.0 - v), (self.right, v)):
                share = share_row * share_column
                total += np.where(share == 0.0, 0.0, share * cells[rows, columns])
        return total

    def bridge(self, cell_km: tuple[float, float]) -> Float64Array:
        """Return the distance in space, km, that the error grows with.

        It is that of a Brownian bridge between the cells, along both axes.
        """
        return self.u * (1.0 - self.u) * cell_km[0] + self.v * (1.0 - self.v) * cell_km[1]
