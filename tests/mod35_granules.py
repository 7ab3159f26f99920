"""Granules of MODIS' cloud mask, in HDF4 as the archive has them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pyproj import Transformer

pyhdf = pytest.importorskip("pyhdf.SD")

CRS = "EPSG:32632"
NAME = "MOD35_L2.A2004183.1035.061.2017214155303.hdf"
SCANS, COLUMNS = 12, 1354
WEST, SOUTH = 120_000.0, 5_000_000.0


def places(origin: tuple[float, float] = (WEST, SOUTH)) -> tuple[np.ndarray, np.ndarray]:
    """East and north (m) of pixels: an oblique track, each scan a little longer than the last."""
    line, column = np.mgrid[: 10 * SCANS, :COLUMNS].astype(np.float64)
    # Scans overlap: their lines lie 1,020 m apart, scans 10,000 m.
    along = 10_000.0 * (line // 10) + 1_020.0 * (line % 10)
    across = 1_000.0 * (column - 400) + 0.05 * (column - 677) ** 2
    turn = np.deg2rad(12.0)
    east = origin[0] + across * np.cos(turn) + along * np.sin(turn)
    return east, origin[1] - along * np.cos(turn) + across * np.sin(turn)


def write_mask(
    folder: Path,
    *,
    crs: str = CRS,
    name: str = NAME,
    origin: tuple[float, float] = (WEST, SOUTH),
    seed: int = 7,
) -> tuple[Path, np.ndarray]:
    """Write a file laid out as the product, and return which pixels are clear."""
    east, north = places(origin)
    longitude, latitude = Transformer.from_crs(crs, "EPSG:4326", always_xy=True).transform(
        east, north
    )
    rng = np.random.default_rng(seed)
    confidence = rng.integers(0, 4, (2 * SCANS, 271)).repeat(5, 0).repeat(5, 1)[:, :COLUMNS]
    determined = rng.random((10 * SCANS, COLUMNS)) > 0.02
    mask = np.zeros((6, 10 * SCANS, COLUMNS), np.int8)
    mask[0] = (determined | confidence << 1 | 0b11001000).astype(np.uint8).view(np.int8)
    path = folder / name
    file = pyhdf.SD(str(path), pyhdf.SDC.WRITE | pyhdf.SDC.CREATE | pyhdf.SDC.TRUNC)
    for field, values in (("Latitude", latitude), ("Longitude", longitude)):
        sampled = values[2::5, 2:1350:5].astype(np.float32)
        data = file.create(field, pyhdf.SDC.FLOAT32, sampled.shape)
        data.dim(0).setname("Cell_Along_Swath_5km:mod35")
        data.dim(1).setname("Cell_Across_Swath_5km:mod35")
        data[:] = sampled
        data.endaccess()
    data = file.create("Cloud_Mask", pyhdf.SDC.INT8, mask.shape)
    data.dim(0).setname("Byte_Segment:mod35")
    data[:] = mask
    data.endaccess()
    file.end()
    return path, determined & (confidence >= 2)
