"""A job of small dates for the benchmark of series: its granules, its file, its runs."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from rasterio.warp import transform_bounds

from aktes_xr.bench.fault_stage import COMMAND, Ended
from aktes_xr.bench.scale_cubes import CRS, small_bundle, write_granules
from aktes_xr.store.address import object_store

_DEADLINE_S: Final = 600.0
_JOB: Final = """
[region]
bounds_m = [{bounds}]
crs = "{crs}"

[input]
sources = ["{items}"]

[retrieval]
bundle = "{bundle}"

[store]
address = "{store}"
backend = "{backend}"

[budget]
batch = {batch}
"""


@dataclass(frozen=True)
class Granules:
    """Granules of one place on successive days.

    Attributes
    ----------
    folder : where they lie, with their catalogue and a bundle of small networks
    bounds : of their grid, m
    """

    folder: Path
    bounds: tuple[float, float, float, float]

    @classmethod
    def write(cls, folder: Path, dates: int, shape: tuple[int, int]) -> Granules:
        """Write granules.

        Parameters
        ----------
        folder : Path
            Where to.
        dates : int
            Number of days.
        shape : (int, int), pixel
            Rows and columns.

        Returns
        -------
        Granules
        """
        folder.mkdir()
        items = write_granules(folder, dates, shape)
        transform = items[0]["assets"]["TIR"]["proj:transform"]
        left, top = transform[2], transform[5]
        bounds = (left, top + transform[4] * shape[0], left + transform[0] * shape[1], top)
        for item in items:
            item["bbox"] = list(transform_bounds(CRS, "EPSG:4326", *bounds))
            west, south, east, north = item["bbox"]
            ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
            item["geometry"] = {"type": "Polygon", "coordinates": [ring]}
        catalogue = {"type": "FeatureCollection", "features": items}
        (folder / "items.json").write_text(json.dumps(catalogue), encoding="utf-8")
        small_bundle(folder / "bundle")
        return cls(folder, bounds)


@dataclass(frozen=True)
class Stage:
    """A job, and processes that run it.

    Attributes
    ----------
    granules : what it retrieves
    file : of the job
    store : where to
    """

    granules: Granules
    file: Path
    store: str

    @classmethod
    def set(cls, granules: Granules, file: Path, store: str, *, backend: str, batch: int) -> Stage:
        """Write the job's file.

        Parameters
        ----------
        granules : Granules
        file : Path
        store : str
            Path or address.
        backend : str
            ``"zarr"`` or ``"icechunk"``.
        batch : int
            Dates in work at once.

        Returns
        -------
        Stage
        """
        folder = granules.folder
        text = _JOB.format(
            bounds=", ".join(map(str, granules.bounds)),
            crs=CRS,
            items=folder / "items.json",
            bundle=folder / "bundle",
            store=store,
            backend=backend,
            batch=batch,
        )
        file.write_text(text, encoding="utf-8")
        return cls(granules, file, store)

    def start(self) -> subprocess.Popen[str]:
        """Start ``aktes run`` as a process of its own."""
        return subprocess.Popen(
            [*COMMAND, "run", str(self.file)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            env=dict(os.environ),
        )

    def run(self) -> Ended:
        """Run it to its end."""
        return end(self.start())

    def listing(self) -> dict[str, Any]:
        """Return size and time of change of all that is in the store."""
        if "://" in self.store:
            found = [entry for batch in object_store(self.store).list() for entry in batch]
            return {str(e["path"]): (e["size"], e["last_modified"]) for e in found}
        root = Path(self.store)
        stats = {str(p.relative_to(root)): p.stat() for p in root.rglob("*")}
        return {path: (s.st_size, s.st_mtime_ns) for path, s in stats.items()}


def end(process: subprocess.Popen[str]) -> Ended:
    """Wait for a process's end; one that takes minutes is killed.

    Parameters
    ----------
    process : subprocess.Popen

    Returns
    -------
    Ended
    """
    try:
        _, said = process.communicate(timeout=_DEADLINE_S)
        return Ended(process.returncode, said)
    except subprocess.TimeoutExpired:
        process.kill()
        return Ended(None, process.communicate()[1])


def end_all(processes: Sequence[subprocess.Popen[str]]) -> list[Ended]:
    """Wait for the end of several processes.

    Parameters
    ----------
    processes : sequence of subprocess.Popen

    Returns
    -------
    list of Ended
    """
    deadline = time.monotonic() + _DEADLINE_S
    while time.monotonic() < deadline and any(process.poll() is None for process in processes):
        time.sleep(0.05)
    return [end(process) for process in processes]
