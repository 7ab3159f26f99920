"""A small job: granules of some dates, their catalogue and a TOML file."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from granules import numbers, write_granule

BOUNDS = (267_300.0, 1_742_400.0, 275_400.0, 1_747_800.0)
TOML = """
[region]
bounds_m = [{bounds}]
crs = "EPSG:32650"

[input]
sources = ["{catalogue}"]

[retrieval]
method = "teacher"
bundle = "{bundle}"

[store]
address = "{store}"
"""


@dataclass(frozen=True)
class SmallJob:
    """Where the parts of a job lie."""

    folder: Path
    bundle: str
    place: str | None = None

    @property
    def file(self) -> Path:
        return self.folder / "job.toml"

    @property
    def store(self) -> str:
        return self.place or str(self.folder / "r.zarr")

    def item(self, day: int, **changes: Any) -> dict[str, Any]:
        """Write the granule of a day of January 2001 and return its item."""
        dn = np.where(numbers(seed=day) == 0, 0, 1500 + numbers(seed=day) // 8).astype(np.uint16)
        return write_granule(
            self.folder,
            dn=dn,
            item_id=f"AST_L1T_003{day:02d}_1",
            time=f"2001-01-{day:02d}T03:11:39.833000Z",
            **changes,
        )

    def offer(self, *items: dict[str, Any]) -> None:
        """Write the catalogue, and the job's file beside it."""
        catalogue = self.folder / "items.json"
        catalogue.write_text(json.dumps({"type": "FeatureCollection", "features": items}))
        self.file.write_text(
            TOML.format(
                bounds=", ".join(map(str, BOUNDS)),
                catalogue=catalogue,
                bundle=self.bundle,
                store=self.store,
            )
        )

    def raster(self, day: int) -> Path:
        """Return the file of a day's granule."""
        (found,) = self.folder.glob(f"AST_L1T_003{day:02d}_1*.tif")
        return found
