"""Where a result's pixels are, as STAC says it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import xarray as xr
from rasterio.warp import transform

from aktes_xr.store.encoding import encode

_POINTS_PER_EDGE: Final = 16
_DEGREES: Final = 6


@dataclass(frozen=True)
class Footprint:
    """Where a result's pixels are.

    Attributes
    ----------
    ring : corners of the grid and points between them, degrees
    code : of the CRS, such as ``EPSG:32632``; None where it has none
    wkt : of the CRS
    shape : rows and columns
    transform : six numbers, from pixels to metres
    """

    ring: tuple[tuple[float, float], ...]
    code: str | None
    wkt: str
    shape: tuple[int, int]
    transform: tuple[float, ...]

    @classmethod
    def of(cls, result: xr.Dataset) -> Footprint:
        """Describe a result's grid.

        Parameters
        ----------
        result : Dataset
            With y, x and a CRS.

        Returns
        -------
        Footprint

        Raises
        ------
        CRSError, InputError
            It has no CRS, or no regular grid.
        """
        # As the store's own attributes say it, also of a single row or column.
        described = encode(result, sharded=False)
        crs = described.rio.crs
        rows, columns = described.attrs["spatial:shape"]
        a, _, left, _, e, top = described.attrs["spatial:transform"]
        steps = np.linspace(0.0, 1.0, _POINTS_PER_EDGE, endpoint=False)
        zeros, ones = np.zeros_like(steps), np.ones_like(steps)
        # Counter-clockwise from the upper left corner: edges of a projected grid are curves.
        across = np.concatenate([zeros, steps, ones, 1.0 - steps])
        down = np.concatenate([steps, ones, 1.0 - steps, zeros])
        xs = left + a * columns * across
        ys = top + e * rows * down
        longitude, latitude = transform(crs, "EPSG:4326", xs.tolist(), ys.tolist())[:2]
        ring = [
            (round(float(east), _DEGREES), round(float(north), _DEGREES))
            for east, north in zip(longitude, latitude, strict=True)
        ]
        epsg = crs.to_epsg()
        return cls(
            (*ring, ring[0]),
            None if epsg is None else f"EPSG:{epsg}",
            crs.to_wkt(),
            (rows, columns),
            (a, 0.0, left, 0.0, e, top),
        )

    @property
    def bbox(self) -> list[float]:
        """West, south, east, north, degrees."""
        east, north = zip(*self.ring, strict=True)
        return [min(east), min(north), max(east), max(north)]

    @property
    def geometry(self) -> dict[str, Any]:
        """As GeoJSON has it."""
        return {"type": "Polygon", "coordinates": [[list(point) for point in self.ring]]}

    @property
    def properties(self) -> dict[str, Any]:
        """Fields of the projection extension."""
        a, _, left, _, e, top = self.transform
        rows, columns = self.shape
        found = {
            "proj:code": self.code,
            "proj:shape": list(self.shape),
            "proj:transform": list(self.transform),
            "proj:bbox": [left, top + e * rows, left + a * columns, top],
        }
        return found if self.code is not None else {**found, "proj:wkt2": self.wkt}
