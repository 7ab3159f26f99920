"""Some dates at once: opened as a cube, retrieved, written, and committed one by one."""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final

import numpy as np
import xarray as xr

from aktes_xr import cube
from aktes_xr.ancillaries import add_cloud_mask
from aktes_xr.cube import ITEM_SEPARATOR
from aktes_xr.cube.grid import Grid
from aktes_xr.errors import GranuleError, NoItemsError
from aktes_xr.jobs.agenda import ITEMS, Task
from aktes_xr.jobs.config import Job
from aktes_xr.machine import workers_and_memory
from aktes_xr.retrieval import retrieve
from aktes_xr.retrieval.inputs import TERRAIN_VARIABLES, terrain_of
from aktes_xr.retrieval.two_pass import with_brightness
from aktes_xr.stac import open_stac
from aktes_xr.stac.chunking import chunk_lengths
from aktes_xr.store.journal import Entry, State
from aktes_xr.store.series import SeriesStore

logger = logging.getLogger(__name__)

_TASKS_PER_THREAD: Final = 2
_DIGITS: Final = 6


@dataclass(frozen=True)
class Row:
    """What the pixels of a date say.

    Attributes
    ----------
    valid_share, unreadable_share : of its pixels
    overcast : whether all that was measured is cloud
    """

    valid_share: float
    unreadable_share: float
    overcast: bool = False


@dataclass(frozen=True, eq=False)
class SecondPass:
    """What a second pass needs besides.

    Attributes
    ----------
    first : Dataset
        The first pass of all dates.
    stamps : mapping
        Further fingerprints of each date, by its key.
    """

    first: xr.Dataset
    stamps: Mapping[str, Mapping[str, str]]


class Maker:
    """What all batches of a run share: grid, chunks, elevation and terrain.

    Parameters
    ----------
    job : Job
    grid : Grid
    store : SeriesStore
        Whose blocks the chunks must be, where it holds a date.
    modifier : callable or None
        Signs the items' links.
    elevation : path, items or None
        As `aktes_xr.open_stac` takes it.
    stamps : dict of str
        Fingerprints of all but the items.
    second : SecondPass, optional
        Make the second pass.
    brightness : bool
        Keep the brightness temperature, for the background of a second pass.
    """

    def __init__(
        self,
        job: Job,
        grid: Grid,
        store: SeriesStore,
        *,
        modifier: Any,
        elevation: Any,
        stamps: dict[str, str],
        second: SecondPass | None = None,
        brightness: bool = False,
    ) -> None:
        self._job, self._store, self._stamps = job, store, stamps
        self._second, self._brightness = second, brightness
        self._modifier, self._elevation = modifier, elevation
        self._like = xr.Dataset(coords={"y": grid.y, "x": grid.x}).rio.write_crs(grid.epsg)
        rows, columns = grid.shape
        chunk = job.retrieval.chunk
        wanted: Any = store.block or ("auto" if chunk is None else chunk)
        _, _, *lengths = chunk_lengths(wanted, (1, rows, columns))
        self._chunks = (lengths[0], lengths[1])
        self._blocks = math.ceil(rows / lengths[0]) * math.ceil(columns / lengths[1])
        self._shared: xr.Dataset | None = None
        self._terrain: xr.Dataset | None = None

    @property
    def size(self) -> int:
        """Dates to have in work at once, so that no thread waits."""
        if self._job.budget.batch is not None:
            return self._job.budget.batch
        settings = self._job.cluster
        threads, _ = workers_and_memory()
        if settings.kind != "threads" and settings.adaptive:
            threads = max(threads, (settings.workers or 1) * (settings.threads or 1))
        return max(1, math.ceil(_TASKS_PER_THREAD * threads / self._blocks))

    def make(self, tasks: Sequence[Task]) -> list[Entry]:
        """Retrieve dates and commit each.

        Parameters
        ----------
        tasks : sequence of Task
            With items.

        Returns
        -------
        list of Entry
            What the journal says of them now.
        """
        try:
            ds = self._open(tasks)
        except (NoItemsError, GranuleError) as error:
            if len(tasks) == 1:
                # A granule that the archive lacks today may come.
                state: State = "unreadable" if isinstance(error, GranuleError) else "unusable"
                return [self._note(tasks[0], state, str(error))]
            # Whoever is to blame for it must not take the others along.
            return [entry for task in tasks for entry in self.make([task])]
        found = _rows(ds, tasks)
        reasons = {one["id"]: one["reason"] for one in json.loads(ds.attrs["skipped_items"])}
        begin = time.perf_counter()
        made = []
        if found:
            ds = ds.isel(time=list(found.values()))
            rows = self._write(ds)
            for row, ((number, _), counted) in enumerate(zip(found.items(), rows, strict=True)):
                made.append(self._commit(tasks[number], row, counted))
        for number, task in enumerate(tasks):
            if number not in found:
                why = "; ".join(reasons.get(i, "") for i in (task.date.ids if task.date else ()))
                made.append(self._note(task, "unusable", why or "its items cannot be joined"))
        logger.debug("a batch of %d took %.2f s", len(tasks), time.perf_counter() - begin)
        return made

    def _open(self, tasks: Sequence[Task]) -> xr.Dataset:
        """Open the items of some dates; the elevation only once."""
        wanted = self._job.input
        ds = open_stac(
            [item for task in tasks if task.date is not None for item in task.date.items],
            like=self._like,
            chunks=self._chunks,
            dem=self._elevation if self._shared is None else None,
            modifier=self._modifier,
            ancillaries=wanted.ancillaries or None,
            allowed_hosts=wanted.allowed_hosts,
        )
        if wanted.cloud_mask:
            ds = add_cloud_mask(ds, wanted.cloud_mask, folder=wanted.cloud_mask_folder)
        if self._elevation is None:
            return ds
        if self._shared is None:
            self._shared = ds[["elevation"]].persist()
            terrain = terrain_of(ds.assign(elevation=self._shared["elevation"]))
            self._terrain = terrain[list(TERRAIN_VARIABLES)].persist()
        return cube.describe(ds.assign(elevation=self._shared["elevation"]))

    def _write(self, ds: xr.Dataset) -> list[Row]:
        settings, second = self._job.retrieval, self._second
        result = retrieve(
            ds,
            method=settings.method,
            bundle=settings.bundle,
            terrain=self._terrain,
            clouds=settings.clouds,
            keep_cloudy=settings.keep_cloudy,
            # Never None: all dates of a store have the same variables, whatever is told of each.
            closure=settings.closure,
            passes=1 if second is None else 2,
            first=None if second is None else second.first,
        )
        if self._brightness:
            result = with_brightness(result, ds)
        counts = self._store.write(result)
        valid, unreadable = counts.valid / counts.pixels, counts.unreadable / counts.pixels
        return [
            Row(float(v), float(u), bool(cloud))
            for v, u, cloud in zip(valid, unreadable, counts.overcast, strict=True)
        ]

    def _commit(self, task: Task, row: int, found: Row) -> Entry:
        """Make a date count, unless the store has it better already."""
        before = task.entry
        if found.unreadable_share == 0.0:
            return self._store.commit(row, self._entry(task, "done", found))
        reason = f"{found.unreadable_share:.2%} of the pixels could not be read"
        entry = replace(
            self._entry(task, "unreadable", found), attempts=_attempts(task), reason=reason
        )
        kept = before is not None and before.slot is not None
        if kept and before is not None and before.unreadable_share <= found.unreadable_share:
            same_items = before.stamps.get(ITEMS) == entry.stamps[ITEMS]
            stamps = before.stamps if same_items else {**before.stamps, ITEMS: entry.stamps[ITEMS]}
            kept_entry = replace(
                before, state="unreadable", attempts=entry.attempts, reason=reason, stamps=stamps
            )
            return self._store.commit(None, kept_entry)
        return self._store.commit(row if found.valid_share > 0.0 else None, entry)

    def _note(self, task: Task, state: State, reason: str) -> Entry:
        entry = self._entry(task, state, Row(0.0, 0.0))
        if task.entry is not None:
            before = task.entry
            entry = replace(
                entry, slot=before.slot, valid_share=before.valid_share, overcast=before.overcast
            )
        if state == "unreadable":
            entry = replace(entry, attempts=_attempts(task))
        return self._store.commit(None, replace(entry, reason=reason))

    def _entry(self, task: Task, state: State, found: Row) -> Entry:
        stamp = "" if task.date is None else task.date.stamp
        own = {} if self._second is None else self._second.stamps[task.key]
        return Entry(
            task.key,
            state,
            stamps={ITEMS: stamp, **self._stamps, **own},
            items=() if task.date is None else task.date.ids,
            valid_share=round(found.valid_share, _DIGITS),
            unreadable_share=round(found.unreadable_share, _DIGITS),
            overcast=found.overcast,
            made=datetime.now(UTC).isoformat(timespec="milliseconds"),
        )


def _attempts(task: Task) -> int:
    """Count this try, and those before of the same items."""
    before = task.entry
    same = (
        before is not None and task.date is not None and before.stamps.get(ITEMS) == task.date.stamp
    )
    return 1 + (before.attempts if same and before is not None else 0)


def _rows(ds: xr.Dataset, tasks: Sequence[Task]) -> dict[int, int]:
    """Return which step of the cube is whose date: number of the task, index along time."""
    found: dict[int, int] = {}
    sizes: dict[int, int] = {}
    for index, names in enumerate(np.atleast_1d(ds["item_id"].to_numpy()).tolist()):
        ids = set(str(names).split(ITEM_SEPARATOR))
        for number, task in enumerate(tasks):
            shared = len(ids & set(task.date.ids if task.date is not None else ()))
            # Items of two layouts make two steps of one pass: the one with more items is taken.
            if shared > sizes.get(number, 0):
                found[number], sizes[number] = index, shared
    return dict(sorted(found.items()))
