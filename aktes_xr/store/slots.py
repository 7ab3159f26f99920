"""A series in plain Zarr: each date in a slot of its own, and one file that says how many count.

Readers open a store by its root, ``zarr.json`` (`aktes_xr.store.root`), which says how long the
arrays are. A date is written behind that length, where no reader looks. Then the root is replaced
by one step, on a disk and in an object store: it is longer by one date, and its journal says what
that date is. So a reader sees whole dates only, and what a killed run left behind the end is
removed by the next one.

Slots are filled in the order of work, not of time; `aktes_xr.store.open_result` puts the dates in
order. A date that is made anew gets a new slot, and the old one stays, retired, as its history.

The arrays' own metadata must be long enough for what is being written. So a reader that leaves the
consolidated metadata aside sees, while a run works, dates without any value at the end.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Set
from dataclasses import dataclass, replace
from typing import Any

import dask.array as da
import xarray as xr
from zarr.buffer.cpu import Buffer
from zarr.storage import MemoryStore

from aktes_xr.errors import StoreExistsError
from aktes_xr.store.blocks import ZarrRegion, computed, finish, write_lazily
from aktes_xr.store.counts import Counts
from aktes_xr.store.dates import TIMES_PER_CHUNK, DateStore, begun, block_of
from aktes_xr.store.journal import Entry, Journal
from aktes_xr.store.medium import PARTIAL, Medium
from aktes_xr.store.root import ROOT, Root, dims_of, has_slots


@dataclass(frozen=True)
class SlotRegion:
    """Writes blocks of a batch into slots of a series.

    Attributes
    ----------
    store : path or address of the store
    first : slot of the batch's first date
    """

    store: str
    first: int

    def __call__(self, block: xr.Dataset, region: dict[str, slice]) -> None:
        """Write a block."""
        time = region["time"]
        place = slice(time.start + self.first, time.stop + self.first)
        ZarrRegion(self.store)(block, {**region, "time": place})


class SlotStore(DateStore):
    """A series that this process holds.

    Parameters
    ----------
    medium : Medium
        Where it lies.
    name : str
        Its name, for messages.
    sharded : bool
        One file for each variable and block.

    Attributes
    ----------
    journal : what is in it
    """

    def __init__(self, medium: Medium, name: str, *, sharded: bool) -> None:
        super().__init__(name, sharded=sharded)
        self._medium = medium
        content = medium.read(ROOT)
        root = Root.parse(content, name)
        if root is None and (content is not None or _foreign(medium)):
            raise StoreExistsError(
                f"{name} exists and is no series of a job: choose another place for it"
            )
        self._root = root or Root()
        self.journal, self._block = self._root.journal, self._root.block
        self._first = self.journal.length
        self._written = 0
        if root is not None:
            self._sweep()

    def _present(self) -> tuple[Mapping[str, Any], Set[str]]:
        return self._root.attributes, self._root.arrays

    def _write(self, prepared: xr.Dataset) -> Counts:
        if self.journal.length:
            self.close()
        else:
            self._create(prepared)
        self._first, self._written = self.journal.length, prepared.sizes["time"]
        self._set_length(self._first + self._written)
        dated = {n: v for n, v in prepared.variables.items() if "time" in v.dims}
        slotted = {n: v for n, v in dated.items() if has_slots(v.dims)}
        small = xr.Dataset({n: v for n, v in dated.items() if n not in slotted})
        self._batch = small.assign(computed(small, list(small.variables)))
        region = SlotRegion(self._medium.address, self._first)
        found = finish(write_lazily(xr.Dataset(slotted), region))
        return Counts.of(next(numbers for numbers in found if numbers.ndim > 1))

    def commit(self, row: int | None, entry: Entry) -> Entry:
        """Make a date count.

        Parameters
        ----------
        row : int or None
            Which one of the batch; they come in order, and those left out are dropped. None notes
            the entry alone.
        entry : Entry

        Returns
        -------
        Entry
            With its slot.
        """
        if row is not None:
            slot = self.journal.length
            self._place(self._first + row, slot)
            self._write_small(row, slot)
            entry = replace(entry, slot=slot)
        self.journal = self.journal.with_entry(entry)
        self._publish()
        return entry

    def close(self) -> None:
        """Leave nothing behind the end."""
        if self._first + self._written != self.journal.length:
            self._sweep()
        self._first, self._written = self.journal.length, 0

    def _place(self, source: int, slot: int) -> None:
        """Have a date lie in a slot, and all of it on the disk."""
        for name in self._root.dated(slots=True):
            chunks = f"{name}/c"
            if source != slot:
                self._medium.remove(f"{chunks}/{slot}")
                self._medium.move(f"{chunks}/{source}", f"{chunks}/{slot}")
            self._medium.sync(f"{chunks}/{slot}")

    def _write_small(self, row: int, slot: int) -> None:
        """Write what is one number for each date.

        Its chunks hold other dates as well. So each is changed in memory and then put in the place
        of the old one, which no reader and no crash sees half written.
        """
        names = self._root.dated(slots=False)
        files = {f"{name}/{ROOT}": self._root.own_metadata(name, slot + 1) for name in names}
        files[ROOT] = Root().with_journal(Journal())
        chunk = f"c/{slot // TIMES_PER_CHUNK}"
        keys = [f"{name}/{chunk}" + "/0" * (self._batch[name].ndim - 1) for name in names]
        for key in keys:
            content = self._medium.read(key)
            if content is not None:
                files[key] = content
        memory: dict[str, Any] = {k: Buffer.from_bytes(content) for k, content in files.items()}
        # xarray does not write indexes into regions: without its index, time is written.
        date = self._batch.isel(time=slice(row, row + 1)).drop_indexes("time")
        region = {"time": slice(slot, slot + 1)}
        date.to_zarr(MemoryStore(memory), region=region, consolidated=False, zarr_format=3)
        for key in keys:
            if key in memory:
                self._medium.put(key, memory[key].to_bytes())

    def _publish(self) -> None:
        self._medium.replace(ROOT, self._root.with_journal(self.journal))

    def _set_length(self, length: int) -> None:
        """Set the length of the arrays' own metadata."""
        for name in self._root.dated():
            own = self._root.own_metadata(name, length)
            if self._medium.read(f"{name}/{ROOT}") != own:
                self._medium.put(f"{name}/{ROOT}", own)

    def _create(self, prepared: xr.Dataset) -> None:
        """Write the metadata and what all dates share, behind a root without any of it."""
        for name in self._medium.names(""):
            if name != ROOT:
                self._medium.remove(name)
        self._root = Root()
        self._publish()
        files = _template(prepared)
        group = json.loads(files.pop(ROOT))
        arrays = {
            key.removesuffix(f"/{ROOT}"): json.loads(files[key])
            for key in files
            if key.endswith(f"/{ROOT}")
        }
        attributes = {**group["attributes"], "history": begun(prepared)}
        self._root.describe(attributes, arrays, block_of(prepared))
        self._set_length(0)
        for key, content in files.items():
            if "time" not in dims_of(arrays[key.split("/")[0]]):
                self._medium.put(key, content)
        shared = {
            name: variable
            for name, variable in prepared.variables.items()
            if variable.chunks is not None and "time" not in variable.dims
        }
        finish(write_lazily(xr.Dataset(shared), ZarrRegion(self._medium.address)))
        for lazy in shared:
            self._medium.sync(str(lazy))

    def _sweep(self) -> None:
        """Remove what no date refers to."""
        for key in strays(self._medium, self._root):
            self._medium.remove(key)
        self._set_length(self.journal.length)


def strays(medium: Medium, root: Root) -> list[str]:
    """Return what a killed run has left: what lies behind the end, and files never finished.

    Parameters
    ----------
    medium : Medium
        Where the series lies; held, or what a living run writes is among them.
    root : Root
        Of the series.

    Returns
    -------
    list of str
        Keys of files, and of folders with all that is in them.
    """
    length, found = root.journal.length, []
    for slots, dates in ((True, 1), (False, TIMES_PER_CHUNK)):
        for array in root.dated(slots=slots):
            found += [
                f"{array}/c/{part}"
                for part in medium.names(f"{array}/c")
                if part.endswith(PARTIAL) or (part.isdigit() and int(part) * dates >= length)
            ]
    for folder in ("", *root.dated()):
        parts = medium.names(folder)
        found += [f"{folder}/{part}".lstrip("/") for part in parts if part.endswith(PARTIAL)]
    return found


def _foreign(medium: Medium) -> list[str]:
    """Return what lies in a place that has no root, but for what a killed run may have left."""
    return [name for name in medium.names("") if not name.endswith(PARTIAL)]


def _template(prepared: xr.Dataset) -> dict[str, bytes]:
    """Return the files of a store's metadata, and of what is in memory, by their keys."""
    # A task for every chunk, which xarray would make here, is never needed.
    bare = {
        name: variable.copy(data=da.zeros(variable.shape, dtype=variable.dtype, chunks=-1))
        for name, variable in prepared.variables.items()
        if variable.chunks is not None
    }
    content: dict[str, Any] = {}
    memory = MemoryStore(content)
    prepared.assign(bare).to_zarr(
        memory, mode="w-", zarr_format=3, consolidated=False, compute=False
    )
    return {key: buffer.to_bytes() for key, buffer in content.items()}
