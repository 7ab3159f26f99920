"""The variables of one source on their way to a cube, as they are or interpolated."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import dask.array as da
import numpy as np
import pandas as pd
import xarray as xr

from aktes_xr.ancillaries.interpolation import Fields, Reader, at_dates, cells, to_pixels
from aktes_xr.ancillaries.layout import Layout, lay_out
from aktes_xr.ancillaries.moments import Moments, bracket
from aktes_xr.ancillaries.names import ORIGIN, QUANTITIES, axes, conversion
from aktes_xr.ancillaries.place import CubeGrid, Place, cube_chunks, locate
from aktes_xr.errors import AncillaryError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from aktes_xr.ancillaries.opening import Opened

logger = logging.getLogger(__name__)

OnError = Literal["nodata", "raise"]


@dataclass(frozen=True)
class Laid:
    """A variable of a source, in order and with its units."""

    quantity: str
    name: str
    array: xr.DataArray
    layout: Layout
    factor: float
    offset: float


@dataclass
class Supply:
    """A source beside the cube that it is for.

    Attributes
    ----------
    ds : Dataset, the cube
    opened : Opened
    errors : whether a date without a sample is an error or is left empty
    """

    ds: xr.Dataset
    opened: Opened
    errors: OnError
    known: dict[str, tuple[str, ...]] = field(init=False)
    hours: list[str] = field(default_factory=list)
    _moments: dict[str, Moments] = field(default_factory=dict)
    _places: dict[tuple[str, str], Place] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.known = axes(self.opened.datasets[0])

    def lay_out(self, quantity: str, name: str, *, spread: bool = False) -> Laid:
        """Prepare a variable for its way to the cube.

        Parameters
        ----------
        quantity : str
            What it is for the cube, such as ``"air_temperature"``.
        name : str
            Its name in the source.
        spread : bool
            It is a difference, such as an error: its unit's offset does not apply.

        Returns
        -------
        Laid

        Raises
        ------
        UnitsError, AncillaryError
            It cannot be used.
        """
        variable = self.opened.datasets[0][name]
        factor, offset = conversion(quantity, variable.attrs.get("units"))
        array, layout = lay_out(variable, self.ds, self.known)
        if spread:
            return Laid(f"{quantity}_error", name, array, layout, factor, 0.0)
        if layout.time is None and quantity in QUANTITIES and self.ds.sizes["time"] != 1:
            raise AncillaryError("it has no time, and the cube has several dates")
        return Laid(quantity, name, array, layout, factor, offset)

    # In time.

    def moments(self, laid: Laid) -> Moments:
        """Return the samples of a variable that the cube's dates need.

        Parameters
        ----------
        laid : Laid
            A variable that was prepared.

        Returns
        -------
        Moments

        Raises
        ------
        AncillaryError
            There are none for any date, or, where errors are to be raised, for one.
        """
        time = laid.layout.time
        dates = self.ds["time"].to_numpy()
        if time is None:
            return _one_moment()
        if time not in self._moments:
            times = laid.array.indexes[time].to_numpy()
            if times.size == 0 or (times[1:] <= times[:-1]).any():
                raise AncillaryError(f"its times ({time}) do not increase; sort them")
            found = bracket(dates, times, period=self.opened.period)
            self._report(found, dates, times)
            self._moments[time] = found
        return self._moments[time]

    def _report(
        self,
        found: Moments,
        dates: NDArray[np.datetime64],
        times: NDArray[np.datetime64],
    ) -> None:
        label = self.opened.label
        if found.outside.any():
            first, last = self.opened.period or (times[0], times[-1])
            named = ", ".join(_written(date) for date in dates[found.outside])
            message = (
                f"{label} holds nothing within 6 h of {named} (it runs from {_written(first)} to "
                f"{_written(last)})"
            )
            if found.outside.all() or self.errors == "raise":
                raise AncillaryError(f"{message}; give another source, or other dates")
            logger.warning("%s: no ancillaries for these dates", message)
        used = times[found.samples]
        self.hours = [_written(used[0]), *([_written(used[-1])] if used.size > 1 else [])]

    # As they are.

    def as_it_is(self, laid: Laid) -> xr.Variable:
        """Bring a variable that lies on the cube's pixels, or nowhere, to the cube's dates.

        Parameters
        ----------
        laid : Laid
            A variable on the cube's pixels, or without a place.

        Returns
        -------
        Variable float32, lazy
        """
        plain = laid.array.drop_vars(list(laid.array.coords))
        own = dict(zip(("time", "y", "x"), cube_chunks(self.ds), strict=True))
        if laid.layout.kind == "cube" and plain.chunks is None:
            # One date after the other: a long file is never in memory whole.
            plain = plain.chunk(
                {dim: own[str(dim)] if dim in {"y", "x"} else 1 for dim in plain.dims}
            )
        if laid.layout.time is not None:
            plain = _at_dates(plain, laid.layout.time, self.moments(laid))
        elif laid.quantity in QUANTITIES:
            # The cube has a single date, and it is the field's.
            plain = plain.expand_dims({"time": 1})
        converted = (plain * np.float32(laid.factor) + np.float32(laid.offset)).astype(np.float32)
        if laid.layout.kind == "cube":
            converted = converted.chunk({dim: own[str(dim)] for dim in converted.dims})
        return converted.variable

    # Interpolated.

    def place(self, laid: Laid) -> Place:
        """Return where the cube lies on the variable's grid.

        Parameters
        ----------
        laid : Laid
            A variable on a grid of its own.

        Returns
        -------
        Place

        Raises
        ------
        GridError
            It does not lie there.
        """
        layout = laid.layout
        key = (str(layout.rows), str(layout.columns))
        if key not in self._places:
            rows, columns = (np.asarray(laid.array.indexes[dim], dtype=np.float64) for dim in key)
            self._places[key] = locate(
                CubeGrid.of(self.ds), rows, columns, crs=str(layout.crs), name=self.opened.label
            )
        return self._places[key]

    def choose(self, gridded: list[Laid]) -> xr.Dataset:
        """Choose among the source's chunkings the one that needs the fewest bytes.

        Parameters
        ----------
        gridded : list of Laid
            The variables to read.

        Returns
        -------
        Dataset
            The source in that chunking.
        """
        several = self.opened.datasets
        if len(several) == 1:
            return several[0]
        sizes = [
            sum(
                _needed(ds[laid.name], laid, self.moments(laid), self.place(laid))
                for laid in gridded
            )
            for ds in several
        ]
        best = int(np.argmin(sizes))
        logger.info(
            "%s: reading %.1f MB of chunks (others need %s MB)",
            self.opened.label,
            sizes[best] / 1e6,
            ", ".join(f"{size / 1e6:.1f}" for k, size in enumerate(sizes) if k != best),
        )
        return several[best]

    def cells_at_dates(self, laid: Laid, source: xr.Dataset) -> da.Array:
        """Return the cells around the cube at its dates (date, row, column), lazily.

        Parameters
        ----------
        laid : Laid
            A variable on a grid of its own.
        source : Dataset
            The source in the chunking to read.

        Returns
        -------
        dask Array (date, row, column) float32, lazy
        """
        moments = self.moments(laid)
        found = cells(self._reader(laid, source), moments.samples, self.place(laid))
        return at_dates(found, moments.before, moments.after, moments.weight)

    def orography(self, laid: Laid, source: xr.Dataset, name: str | None) -> da.Array | None:
        """Return the height of the ground that a variable is given for, m.

        None where the source does not tell it on the variable's own grid.

        Parameters
        ----------
        laid : Laid
            A variable on a grid of its own.
        source : Dataset
            The source in the chunking to read.
        name : str, optional
            Name of the height in the source.

        Returns
        -------
        dask Array (1, row, column) float32, m, or None
        """
        if name is None or name not in source:
            return None
        ground = self.lay_out(ORIGIN, name)
        if (ground.layout.rows, ground.layout.columns) != (laid.layout.rows, laid.layout.columns):
            return None
        return cells(self._reader(ground, source), np.zeros(1, np.intp), self.place(laid))

    def _reader(self, laid: Laid, source: xr.Dataset) -> Reader:
        array, layout = lay_out(source[laid.name], self.ds, self.known)
        if layout.time is None:
            array = array.chunk().expand_dims({"time": 1})
        label = f"{self.opened.label}, {laid.name}"
        return Reader(
            array.variable, laid.quantity, laid.factor, laid.offset, self.opened.token, label
        )

    def pixels(
        self, laid: Laid, fields: Fields, elevation: da.Array | None
    ) -> tuple[xr.Variable, xr.Variable]:
        """Bring cells to the cube's pixels and height: value and error, lazily.

        Parameters
        ----------
        laid : Laid
            The variable.
        fields : Fields
            Its cells at the cube's dates.
        elevation : dask Array (y, x), m, optional
            The cube's elevation.

        Returns
        -------
        value, error : Variable (time, y, x), lazy
            In the cube's units of the quantity.
        """
        moments = self.moments(laid)
        hours = np.where(moments.outside, np.nan, moments.hours)
        found = to_pixels(
            fields,
            self.place(laid),
            cube_chunks(self.ds),
            quantity=laid.quantity,
            hours=hours,
            elevation=elevation,
        )
        value, error = (xr.Variable(("time", "y", "x"), one) for one in found)
        return value, error

    def prior(self, name: str) -> xr.Variable:
        """Bring an emissivity (band, row, column) to the cube's pixels.

        Parameters
        ----------
        name : str
            Its name in the source; dims band, row and column.

        Returns
        -------
        Variable (band, y, x) float32, 1

        Raises
        ------
        AncillaryError
            It has not the cube's bands, or cannot be placed.
        """
        variable = self.opened.datasets[0][name]
        bands = list(map(str, self.ds.indexes["band"]))
        if "band" not in variable.indexes or not set(bands) <= set(variable.indexes["band"]):
            raise AncillaryError(f"it has not the bands {', '.join(bands)}")
        variable = variable.sel(band=bands)
        array, layout = lay_out(variable.isel(band=0, drop=True), self.ds, self.known)
        laid = Laid(name, name, array, layout, 1.0, 0.0)
        ordered = variable.squeeze(drop=True).transpose("band", layout.rows, layout.columns)
        if layout.kind == "cube":
            return ordered.variable.astype(np.float32)
        reader = Reader(
            ordered.variable, name, 1.0, 0.0, self.opened.token, f"{self.opened.label}, {name}"
        )
        place = self.place(laid)
        count = len(bands)
        found = cells(reader, np.arange(count), place).rechunk((-1, -1, -1))
        _, rows, columns = cube_chunks(self.ds)
        value, _ = to_pixels(
            Fields(found),
            place,
            ((count,), rows, columns),
            quantity=name,
            hours=np.zeros(count),
            elevation=None,
        )
        return xr.Variable(("band", "y", "x"), value)

    def mask(self, name: str) -> xr.Variable:
        """Take a mask at the nearest time; it must lie on the cube's own pixels.

        Parameters
        ----------
        name : str
            Its name in the source; bool.

        Returns
        -------
        Variable (time, y, x) bool

        Raises
        ------
        AncillaryError
            It lies on others, or is no mask.
        """
        variable, layout = lay_out(self.opened.datasets[0][name], self.ds, self.known)
        if layout.kind != "cube" or variable.dtype != np.bool_:
            raise AncillaryError("a mask must be bool and lie on the cube's own pixels")
        plain = variable.drop_vars(list(variable.coords))
        if layout.time is None:
            return plain.expand_dims({"time": self.ds.sizes["time"]}).variable
        moments = self.moments(Laid(name, name, variable, layout, 1.0, 0.0))
        if moments.outside.any():
            raise AncillaryError("it has no time within 6 h of every date")
        nearest = np.where(moments.weight > 0.5, moments.after, moments.before)
        dated = plain.isel({layout.time: moments.samples[nearest]})
        return _named_time(dated, layout.time).variable

    def heights(self, laid: Laid, orography: da.Array) -> xr.Variable:
        """Bring the orography to the cube's pixels (y, x), m.

        Parameters
        ----------
        laid : Laid
            A variable on the grid of the orography.
        orography : dask Array (1, row, column), m
            As `orography` gives it.

        Returns
        -------
        Variable (y, x) float32, m, lazy
        """
        _, *chunks = cube_chunks(self.ds)
        height, _ = to_pixels(
            Fields(orography),
            self.place(laid),
            ((1,), chunks[0], chunks[1]),
            quantity=ORIGIN,
            hours=np.zeros(1),
            elevation=None,
        )
        return xr.Variable(("y", "x"), height[0])


def _written(time: np.datetime64) -> str:
    return str(pd.Timestamp(time).isoformat(timespec="minutes"))


def _one_moment() -> Moments:
    """Return the moments of a field without a time, for a cube of one date."""
    first, nothing = np.zeros(1, np.intp), np.zeros(1)
    return Moments(first, first, first, nothing, nothing, np.zeros(1, np.bool_))


def _at_dates(plain: xr.DataArray, time: str, moments: Moments) -> xr.DataArray:
    found = plain.isel({time: moments.samples[moments.before]})
    if moments.weight.any():
        part = xr.DataArray(moments.weight.astype(np.float32), dims=time)
        found = found * (1 - part) + plain.isel({time: moments.samples[moments.after]}) * part
    if moments.outside.any():
        found = found.where(xr.DataArray(~moments.outside, dims=time))
    return _named_time(found, time)


def _named_time(found: xr.DataArray, time: str) -> xr.DataArray:
    return found if time == "time" else found.rename({time: "time"})


def _needed(variable: xr.DataArray, laid: Laid, moments: Moments, place: Place) -> int:
    """Count the bytes, uncompressed, of the chunks that a cube needs."""
    sizes = variable.encoding.get("preferred_chunks", {})
    total = variable.dtype.itemsize
    needed = {
        laid.layout.time: moments.samples,
        laid.layout.rows: np.asarray(place.rows.index),
        laid.layout.columns: np.asarray(place.columns.index),
    }
    for dim, places in needed.items():
        if dim is not None:
            length = int(sizes.get(dim, variable.sizes[dim]))
            total *= length * int(np.unique(places // length).size)
    return int(total)
